//! Who calls: what that lets them do and see, and the trail that it leaves.
//!
//! What a caller does not see is not there. So the look-ups of a call are those of [`Caller`]; what [`Shared`] looks up itself
//! is anybody's, and its names say so.

use std::fmt::Display;
use std::ops::Deref;

use uuid::Uuid;

use crate::access::{By, Operation, Scope, Scopes};
use crate::error::Error;
use crate::lifetime::Lifetime;
use crate::record::{Draft, Header, Kind, Malformed};
use crate::response::EventReason;
use crate::secret::SecretBytes;
use crate::store::Batch;
use crate::vault::access::{AuditEntry, AuditOutcome, Live};
use crate::vault::authority::Who;
use crate::vault::event::Change;
use crate::vault::sealed::Sealed;
use crate::vault::standing::{Answer, Standing, Viewed, damaged};
use crate::vault::{Authority, Shared, Vault};

/// A call under way: the vault, and in whose name.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    shared: &'a Shared,
    who: Who<'a>,
}

impl Deref for Caller<'_> {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        self.shared
    }
}

/// What an operation is about, for its trail.
pub(super) enum About<'a, T> {
    /// A record of this id.
    Id(&'a dyn Display),
    /// What it answers.
    Answer(fn(&T) -> &dyn Display),
    Nothing,
}

impl<A: Authority> Vault<A> {
    pub(super) fn caller(&self) -> Caller<'_> {
        Caller { shared: &self.handle.shared, who: self.who.who() }
    }
}

impl Caller<'_> {
    /// Does an operation, if the caller may, and tells whoever audits what has become of it.
    pub(super) fn perform<T>(
        &self,
        operation: Operation,
        about: About<'_, T>,
        work: impl FnOnce(&Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.perform_by(operation, operation.scope(), about, work)
    }

    /// The same for an operation that needs another scope for what is asked of it.
    pub(super) fn perform_by<T>(
        &self,
        operation: Operation,
        scope: Option<Scope>,
        about: About<'_, T>,
        work: impl FnOnce(&Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let done = self.authorize(scope).and_then(|()| work(self));
        self.trail(operation, about, &done);
        done
    }

    /// Tells whoever audits what has become of an operation.
    pub(super) fn trail<T>(&self, operation: Operation, about: About<'_, T>, done: &Result<T, Error>) {
        if self.audit.is_some() {
            let id: Option<&dyn Display> = match (done, about) {
                (_, About::Id(id)) => Some(id),
                (Ok(answer), About::Answer(id_of)) => Some(id_of(answer)),
                (_, About::Answer(_) | About::Nothing) => None,
            };
            // It is done, or refused: too late to take it back.
            drop(self.record(operation, id, AuditOutcome::from(done)));
        }
    }

    /// The same for an operation that lends a secret: whoever audits hears of it before, and may refuse it.
    pub(super) fn lend<T>(
        &self,
        operation: Operation,
        id: &dyn Display,
        work: impl FnOnce(&Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.begin_to_lend(operation, id)?;
        work(self)
    }

    /// The first half of [`Caller::lend`].
    pub(super) fn begin_to_lend(&self, operation: Operation, id: &dyn Display) -> Result<(), Error> {
        match self.authorize(operation.scope()) {
            Ok(()) => self.record(operation, Some(id), AuditOutcome::Begins),
            Err(refused) => {
                drop(self.record(operation, Some(id), AuditOutcome::Refused(refused.kind())));
                Err(refused)
            }
        }
    }

    /// Refuses whoever has not a scope; without one, whoever is not root.
    pub(super) fn authorize(&self, scope: Option<Scope>) -> Result<(), Error> {
        match self.who {
            Who::Root(_) => Ok(()),
            Who::Credential(live) => {
                let scopes = live.scopes(self.shared)?;
                if scope.is_some_and(|scope| scopes.contains(scope)) { Ok(()) } else { Err(lacks()) }
            }
        }
    }

    /// Refuses a request that needs a further scope.
    pub(super) fn require(&self, scope: Scope) -> Result<(), Error> {
        self.authorize(Some(scope))
    }

    /// Refuses whoever has not all of these scopes: nobody grants what they lack.
    pub(super) fn require_all(&self, scopes: Scopes) -> Result<(), Error> {
        match self.who {
            Who::Root(_) => Ok(()),
            Who::Credential(live) if live.scopes(self.shared)?.contains_all(scopes) => Ok(()),
            Who::Credential(_) => Err(lacks()),
        }
    }

    /// Refuses whoever is of an account: what is asked for tells of others too.
    pub(super) fn require_no_account(&self) -> Result<(), Error> {
        if self.owner() == 0 { Ok(()) } else { Err(Error::forbidden("the credential is of an account")) }
    }

    /// The number of the account that owns what is made; 0 for none.
    pub(super) fn owner(&self) -> u32 {
        match self.who {
            Who::Root(_) => 0,
            Who::Credential(live) => live.owner,
        }
    }

    /// Whether what belongs to an account is there for the caller: whoever is of none sees all.
    pub(super) fn sees(&self, owner: u32) -> bool {
        self.owner() == 0 || self.owner() == owner
    }

    /// The credential by which it acts; none for root.
    pub(super) fn holder(&self) -> Option<&Live> {
        match self.who {
            Who::Root(_) => None,
            Who::Credential(live) => Some(live),
        }
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

    fn record(&self, operation: Operation, id: Option<&dyn Display>, outcome: AuditOutcome) -> Result<(), Error> {
        let Some(sink) = &self.audit else { return Ok(()) };
        let purpose = match self.who {
            Who::Root(actor) => actor.said_purpose().map(str::to_owned),
            Who::Credential(_) => None,
        };
        let at = self.now().to_datetime();
        sink.record(&AuditEntry {
            at,
            by: Some(self.by()),
            purpose,
            operation,
            id: id.map(ToString::to_string),
            outcome,
        })
    }
}

impl Caller<'_> {
    /// A record that is there for the caller and has not expired, opened.
    pub(super) fn viewed(&self, kind: Kind, id: Uuid) -> Result<Viewed, Error> {
        self.if_seen(self.any_viewed(kind, id)?, |viewed| viewed)
    }

    /// The same for whoever makes something of it.
    pub(super) fn standing(&self, kind: Kind, id: Uuid) -> Result<Standing, Error> {
        self.if_seen(self.any_standing(kind, id)?, |standing| &standing.viewed)
    }

    /// Hides what has proved to belong to somebody else.
    fn if_seen<T>(&self, found: T, viewed: impl FnOnce(&T) -> &Viewed) -> Result<T, Error> {
        if self.sees(viewed(&found).header.owner) { Ok(found) } else { Err(Error::not_found()) }
    }

    /// The view of a record. The secret part stays sealed.
    pub(super) fn view<T>(&self, kind: Kind, id: Uuid, answer: Answer<T>) -> Result<T, Error> {
        answer(&self.viewed(kind, id)?).map_err(|_| damaged(id))
    }

    /// A record that is there for the caller and has not expired, with its secret part opened in place.
    pub(super) fn reveal(&self, kind: Kind, id: Uuid) -> Result<SecretBytes, Error> {
        if self.owner() != 0 {
            // Another's secret is not opened, not even to be hidden.
            self.viewed(kind, id)?;
        }
        let (header, record) = self.any_revealed(kind, id)?;
        if self.sees(header.owner) { Ok(record) } else { Err(Error::not_found()) }
    }

    /// Removes a record and every trace of it.
    pub(super) fn delete(&self, kind: Kind, id: Uuid) -> Result<(), Error> {
        self.until_settled(|| self.commit_for(self.standing(kind, id)?.remove_from(Batch::new()), ()))?;
        self.forget_code(kind, id);
        self.tell(kind, id, Change::Deleted, EventReason::Request);
        Ok(())
    }

    /// Decides and seals a new record of an owner's: id, instants and key come together, and the draft is sealed in place.
    pub(super) fn seal(
        &self,
        (kind, owner): (Kind, u32),
        lifetime: Option<Lifetime>,
        draft: impl FnOnce(&Header) -> Result<Draft, Malformed>,
    ) -> Result<Sealed, Error> {
        self.check_open()?;
        let created_at = self.now();
        let expires_at = lifetime.map(|lifetime| lifetime.end(created_at));
        self.seal_as(None, Header::first(kind, created_at, expires_at).owned_by(owner), draft)
    }

    /// Tells whoever listens what the caller has done to a record.
    pub(super) fn tell(&self, kind: Kind, id: Uuid, change: Change, reason: EventReason) {
        self.tell_by(Some(self), kind, id, change, reason);
    }
}

fn lacks() -> Error {
    Error::forbidden("the credential lacks the scope")
}
