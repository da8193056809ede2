//! The audit hook: who has done what, told to whoever must know.

use chrono::{DateTime, Utc};

use crate::access::{By, Operation};
use crate::error::{Error, ErrorKind};

/// Hears of every operation: of one that lends a secret before it does, and can refuse it; of every other one afterwards, refusals
/// for want of a credential or a scope included (PCI DSS 10.2.1). Of [`Vault::authenticate`](crate::Vault::authenticate) it hears
/// when that is refused: who has authenticated is told by what they then do.
///
/// What nobody asks for has no entry: the sweeps of a [`Sweeper`](crate::Sweeper), the end of a vault with its last handle.
///
/// It is called on the thread that asks, once a call, without any lock of the vault's.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use tokenvault::{AuditEntry, AuditOutcome, AuditSink, CreateGeneric, Error, KeyManager, VaultOptions, store::MemoryStore};
///
/// struct Trail(Arc<Mutex<Vec<String>>>);
/// impl AuditSink for Trail {
///     fn record(&self, entry: &AuditEntry) -> Result<(), Error> {
///         let who = entry.by.as_ref().map_or("nobody", |by| &by.id);
///         let line = format!("{who} {} {:?}", entry.operation, entry.outcome);
///         self.0.lock().map_err(|_| Error::unavailable("the trail is gone"))?.push(line);
///         Ok(())
///     }
/// }
///
/// let lines = Arc::new(Mutex::new(Vec::new()));
/// let options = VaultOptions::new().audit(Trail(Arc::clone(&lines)));
/// let vault = options.open_with(MemoryStore::new(), KeyManager::generate()?)?;
/// let id = vault.create_generic(CreateGeneric::new([("pin", "1234")])?)?.id;
/// vault.generic_payload(id, |_| ())?;
/// assert!(vault.authenticate("key_of_nobody").is_err());
/// let told = ["root create_generic Done", "root generic_payload Begins", "nobody authenticate Refused(Unauthorized)"];
/// assert_eq!(*lines.lock().unwrap(), told);
/// # Ok::<(), Error>(())
/// ```
pub trait AuditSink: Send + Sync + 'static {
    /// Keeps an entry.
    ///
    /// # Errors
    /// Whatever keeps it from being kept. An operation that lends a secret is then refused with that error; of any other it is too
    /// late, and the error is dropped.
    fn record(&self, entry: &AuditEntry) -> Result<(), Error>;
}

/// One operation, as an [`AuditSink`] hears of it. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditEntry {
    /// When.
    pub at: DateTime<Utc>,
    /// Who; none where a secret is nobody's.
    pub by: Option<By>,
    /// What for, if root has said so.
    pub purpose: Option<String>,
    /// What was asked for.
    pub operation: Operation,
    /// The id of what it is about, if there is one.
    pub id: Option<String>,
    /// What has become of it.
    pub outcome: AuditOutcome,
}

/// What has become of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuditOutcome {
    /// A secret is about to be lent, if it is there: nothing more is told of this call.
    Begins,
    /// It was done.
    Done,
    /// It was refused, or failed.
    Refused(ErrorKind),
}

impl<T> From<&Result<T, Error>> for AuditOutcome {
    fn from(result: &Result<T, Error>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(error) => Self::Refused(error.kind()),
        }
    }
}
