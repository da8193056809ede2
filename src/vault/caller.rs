//! Who calls: what that lets them do and see, and the trail that it leaves.

use std::ops::Deref;
use std::sync::Arc;

use uuid::Uuid;

use crate::access::{Actor, By, Operation, Scope, Scopes};
use crate::error::Error;
use crate::record::Header;
use crate::vault::Shared;
use crate::vault::access::{AuditEntry, AuditOutcome, Live};

/// In whose name a handle acts.
pub(super) enum Who {
    /// The code that opened the vault: it may do everything.
    Root(Actor),
    /// Whoever has authenticated with a credential.
    Credential(Arc<Live>),
}

/// A call under way: the vault, and in whose name.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    shared: &'a Shared,
    who: &'a Who,
}

impl Deref for Caller<'_> {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        self.shared
    }
}

/// What an operation is about, for its trail.
pub(super) enum About<T> {
    /// A record.
    Id(Uuid),
    /// What it answers.
    Answer(fn(&T) -> Uuid),
    Nothing,
}

impl<'a> Caller<'a> {
    pub(super) fn new(shared: &'a Shared, who: &'a Who) -> Self {
        Self { shared, who }
    }

    /// Does an operation, if the caller may, and tells whoever audits what has become of it.
    pub(super) fn perform<T>(
        &self,
        operation: Operation,
        about: About<T>,
        work: impl FnOnce(&Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let done = self.admit(operation).and_then(|()| work(self));
        if self.shared.audit.is_some() {
            let id = match (&done, about) {
                (_, About::Id(id)) => Some(id),
                (Ok(answer), About::Answer(id_of)) => Some(id_of(answer)),
                (_, About::Answer(_) | About::Nothing) => None,
            };
            // It is done, or refused: too late to take it back.
            drop(self.record(operation, id, AuditOutcome::from(&done)));
        }
        done
    }

    /// The same for an operation that lends a secret: whoever audits hears of it before, and may refuse it.
    pub(super) fn lend<T>(
        &self,
        operation: Operation,
        id: Uuid,
        work: impl FnOnce(&Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.begin_to_lend(operation, id)?;
        work(self)
    }

    /// The first half of [`Caller::lend`].
    pub(super) fn begin_to_lend(&self, operation: Operation, id: Uuid) -> Result<(), Error> {
        match self.admit(operation) {
            Ok(()) => self.record(operation, Some(id), AuditOutcome::Begins),
            Err(refused) => {
                drop(self.record(operation, Some(id), AuditOutcome::Refused(refused.kind())));
                Err(refused)
            }
        }
    }

    fn admit(&self, operation: Operation) -> Result<(), Error> {
        match self.who {
            Who::Root(_) => Ok(()),
            Who::Credential(live) => live.admit(self.shared, operation),
        }
    }

    /// Refuses a request that needs a further scope.
    pub(super) fn require(&self, scope: Scope) -> Result<(), Error> {
        self.require_all([scope].into_iter().collect())
    }

    /// Refuses whoever has not all of these scopes: nobody grants what they lack.
    pub(super) fn require_all(&self, scopes: Scopes) -> Result<(), Error> {
        match self.who {
            Who::Root(_) => Ok(()),
            Who::Credential(live) if live.scopes(self.shared)?.contains_all(scopes) => Ok(()),
            Who::Credential(_) => Err(Error::forbidden("the credential lacks the scope")),
        }
    }

    /// The number of the account that owns what is made; 0 for none.
    pub(super) fn owner(&self) -> u32 {
        match self.who {
            Who::Root(_) => 0,
            Who::Credential(live) => live.owner,
        }
    }

    /// Whether a record is there for the caller: whoever is of no account sees all.
    pub(super) fn sees(&self, header: &Header) -> bool {
        let owner = self.owner();
        owner == 0 || owner == header.owner
    }

    pub(super) fn is_root(&self) -> bool {
        matches!(self.who, Who::Root(_))
    }

    /// What tells the idempotency keys of one caller from those of others.
    pub(super) fn credential(&self) -> Uuid {
        match self.who {
            Who::Root(_) => Uuid::nil(),
            Who::Credential(live) => live.id,
        }
    }

    /// Who it is, for audit trails.
    pub(super) fn by(&self) -> By {
        match self.who {
            Who::Root(actor) => actor.by(),
            Who::Credential(live) => live.by(),
        }
    }

    fn record(&self, operation: Operation, id: Option<Uuid>, outcome: AuditOutcome) -> Result<(), Error> {
        let Some(sink) = &self.shared.audit else { return Ok(()) };
        let purpose = match self.who {
            Who::Root(actor) => actor.said_purpose().map(str::to_owned),
            Who::Credential(_) => None,
        };
        let at = self.shared.now().to_datetime();
        sink.record(&AuditEntry { at, by: self.by(), purpose, operation, id: id.map(|id| id.to_string()), outcome })
    }
}
