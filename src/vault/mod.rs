//! The vault: what an application calls.

mod bulk;
mod creation;
mod entry;
mod event;
mod expiry;
mod fingerprint;
mod generic;
mod options;
mod pci;
mod reindex;
mod replay;
mod stats;
mod sweeper;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub use self::event::{Received, SignedEvent, Subscription};
pub use self::fingerprint::Fingerprints;
pub use self::options::VaultOptions;
pub use self::sweeper::Sweeper;

use self::event::Events;
use self::fingerprint::{Index, Stage};
use self::sweeper::Sweepers;
use crate::clock::{Clock, Timestamp};
use crate::error::Error;
use crate::keys::Keys;
use crate::record::Kind;
use crate::store::{Maintenance, Store, Table};

/// Keeps card numbers and other secrets, and gives opaque tokens for them.
///
/// A clone is another handle on the same vault. Handles can be used from many threads at once; calls block, and a call that
/// changes something returns when the change survives power loss.
///
/// ```
/// use tokenvault::{CreateGeneric, KeyManager, Vault};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("cards.vault");
/// let vault = Vault::create(&path, KeyManager::from_key(&mut [7; 32]))?; // 32 unpredictable bytes
/// let token = vault.create_generic(CreateGeneric::new([("iban", "DE89370400440532013000")])?)?;
/// let country = vault.generic_payload(token.id, |payload| payload.get("iban")?.as_str()?.get(..2).map(str::to_owned))?;
/// assert_eq!(country.as_deref(), Some("DE"));
/// vault.close()?;
/// # Ok::<(), tokenvault::Error>(())
/// ```
#[derive(Clone)]
pub struct Vault {
    handle: Arc<Handle>,
}

/// Closes the vault with the last handle that an application drops, whatever its sweepers are doing.
struct Handle {
    shared: Arc<Shared>,
}

/// What the handles of one vault share, and its sweepers while they sweep.
struct Shared {
    store: Box<dyn Store>,
    keys: Keys,
    clock: Box<dyn Clock>,
    closed: AtomicBool,
    /// How closing ended, for whoever closes too.
    ending: Mutex<Option<Result<(), Error>>>,
    sweepers: Sweepers,
    events: Events,
    index: Index,
}

impl Vault {
    fn new(
        store: Box<dyn Store>,
        keys: Keys,
        clock: Box<dyn Clock>,
        wanted: Option<Fingerprints>,
    ) -> Result<Self, Error> {
        let (closed, ending) = (AtomicBool::new(false), Mutex::new(None));
        let (sweepers, events) = (Sweepers::default(), Events::default());
        let index = Index::new(Stage::Off);
        let mut shared = Shared { store, keys, clock, closed, ending, sweepers, events, index };
        shared.index = Index::new(shared.resume_fingerprints(wanted)?);
        Ok(Self { handle: Arc::new(Handle { shared: Arc::new(shared) }) })
    }

    /// Closes the vault: every handle on it answers `UNAVAILABLE` from here on, its sweepers have stopped, everything is on
    /// disk, and another process may open it. The last handle that is dropped does the same. A second close waits for the first,
    /// and answers as it did.
    ///
    /// # Errors
    /// `STORE_FAILURE`, `UNAVAILABLE`, `CORRUPT`, `KEY_FAILURE`: the vault could not be closed in order; what was acknowledged
    /// is safe all the same.
    pub fn close(&self) -> Result<(), Error> {
        self.shared().close()
    }

    fn shared(&self) -> &Shared {
        &self.handle.shared
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("closed", &self.shared().closed).finish_non_exhaustive()
    }
}

impl Shared {
    fn now(&self) -> Timestamp {
        Timestamp::now(&*self.clock)
    }

    /// Refuses once the vault is closed.
    fn check_open(&self) -> Result<(), Error> {
        if self.closed.load(Ordering::Acquire) { Err(Error::unavailable("the vault is closed")) } else { Ok(()) }
    }

    fn close(&self) -> Result<(), Error> {
        self.closed.store(true, Ordering::Release);
        self.sweepers.stop();
        // Whoever comes second waits here, and hears how it ended.
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        ending.get_or_insert_with(|| self.end()).clone()
    }

    fn end(&self) -> Result<(), Error> {
        let counted = if self.keys.were_used() {
            self.keys.anchor().and_then(|anchor| self.store.write_anchor(&anchor))
        } else {
            Ok(())
        };
        let closed = self.store.maintain(Maintenance::Close);
        self.events.end();
        counted.and(closed.map(|_| ()))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Nobody is left to hear of a failure; whoever wants to hear of it calls `close`.
        drop(self.shared.close());
    }
}

/// Where the records of a kind are.
fn table(kind: Kind) -> Table {
    match kind {
        Kind::Generic => Table::Generic,
        Kind::Pci => Table::Pci,
        Kind::Session => Table::Session,
        Kind::Type => Table::Type,
        Kind::Replay => Table::Replay,
    }
}
