//! The vault: what an application calls.

mod access;
mod attempt;
mod authority;
mod bulk;
mod caller;
mod card;
mod change;
mod compact;
mod creation;
mod demands;
mod event;
mod expiry;
mod fill;
mod fingerprint;
mod generic;
mod inquiry;
mod listing;
mod options;
mod payload_type;
mod pci;
mod proved;
mod reindex;
mod replay;
mod rows;
mod sealed;
mod security_code;
mod session;
mod standing;
mod stats;
mod sweeper;
mod watch;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub use self::access::{AuditEntry, AuditOutcome, AuditSink};
pub use self::authority::{Authority, Holder, Root};
pub use self::event::{Received, SignedEvent, Subscription};
pub use self::fill::{ForwardResponse, Forwarder};
pub use self::fingerprint::Fingerprints;
pub use self::inquiry::BinDirectory;
pub use self::options::VaultOptions;
pub use self::sweeper::Sweeper;

use self::access::Credentials;
use self::caller::About;
use self::demands::Demands;
use self::event::Events;
use self::fill::Forwarding;
use self::fingerprint::Index;
use self::inquiry::Inquiries;
use self::options::{Policy, Ports};
use self::payload_type::Types;
use self::proved::ProvedEntries;
use self::security_code::Board;
use self::sweeper::Sweepers;
use self::watch::Watch;
use crate::access::{Actor, Operation};
use crate::clock::{Clock, Timestamp};
use crate::error::Error;
use crate::keys::Keys;
use crate::record::Kind;
use crate::rules::Rules;
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
pub struct Vault<A: Authority = Root> {
    handle: Arc<Handle>,
    who: A,
}

/// A handle on a vault for whoever has authenticated with a credential: see [`Vault::authenticate`].
///
/// It offers what [`Operation`] names with a scope; what only root may do it does not have. Each call answers `UNAUTHORIZED`
/// once the credential is disabled, deleted or has expired, and `FORBIDDEN` without the scope. A credential of an account makes
/// what belongs to that, and sees nothing else: what is another's is `NOT_FOUND`, and in no list.
pub type Client = Vault<Holder>;

/// Closes the vault with the last handle that an application drops, whatever its sweepers are doing.
struct Handle {
    shared: Arc<Shared>,
}

/// What the handles of one vault share, and its threads while they work.
struct Shared {
    store: Box<dyn Store>,
    keys: Keys,
    watch: Watch,
    policy: Policy,
    forwarding: Forwarding,
    inquiries: Inquiries,
    closed: AtomicBool,
    /// How many commits a caller has waited for.
    awaited: AtomicU64,
    /// How closing ended, for whoever closes too.
    ending: Mutex<Option<Result<(), Error>>>,
    sweepers: Sweepers,
    /// Held for each batch of a sweep.
    sweeping: Mutex<()>,
    /// Held by whoever compacts the vault.
    compacting: Mutex<()>,
    codes: Arc<Board>,
    events: Events,
    types: Types,
    replays: ProvedEntries,
    index: Index,
    credentials: Credentials,
    audit: Option<Box<dyn AuditSink>>,
}

impl Vault {
    fn new(store: Box<dyn Store>, keys: Keys, clock: Box<dyn Clock>, policy: Policy, ports: Ports) -> Self {
        let shared = Arc::new_cyclic(|vault| {
            let Ports { forwarding, inquiries, audit } = ports;
            Shared {
                store,
                keys,
                watch: Watch::new(clock),
                policy,
                forwarding,
                inquiries,
                closed: AtomicBool::new(false),
                awaited: AtomicU64::new(0),
                ending: Mutex::new(None),
                sweepers: Sweepers::default(),
                sweeping: Mutex::new(()),
                compacting: Mutex::new(()),
                codes: Board::new(vault.clone()),
                events: Events::default(),
                types: Types::default(),
                replays: ProvedEntries::default(),
                index: Index::default(),
                credentials: Credentials::default(),
                audit,
            }
        });
        Self { handle: Arc::new(Handle { shared }), who: Root::default() }
    }

    /// Closes the vault: every handle on it answers `UNAVAILABLE` from here on, its threads have stopped, its security codes are
    /// wiped, everything is on disk, and another process may open it. The last handle that is dropped does the same. A second
    /// close waits for the first, and answers as it did.
    ///
    /// # Errors
    /// `STORE_FAILURE`, `UNAVAILABLE`, `CORRUPT`, `KEY_FAILURE`: the vault could not be closed in order; what was acknowledged
    /// is safe all the same.
    pub fn close(&self) -> Result<(), Error> {
        self.caller().perform(Operation::Close, About::Nothing, |caller| caller.close())
    }

    /// Root's own handle in somebody's name: what is done by it is theirs in every audit trail.
    ///
    /// ```
    /// # use tokenvault::{KeyManager, VaultOptions, store::MemoryStore};
    /// use tokenvault::Actor;
    ///
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let clerk = vault.acting_as(Actor::new("j.doe").purpose("chargeback 4711"));
    /// # drop(clerk);
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    #[must_use]
    pub fn acting_as(&self, actor: Actor) -> Self {
        Self { handle: Arc::clone(&self.handle), who: Root(actor) }
    }
}

impl<A: Authority> Vault<A> {
    /// The rules of this vault, to read requests by: see [`VaultOptions::unknown_fields`] and
    /// [`VaultOptions::unlisted_schemes`].
    ///
    /// ```
    /// # use tokenvault::{CreateGeneric, KeyManager, UnknownFields, VaultOptions, store::MemoryStore};
    /// let options = VaultOptions::new().unknown_fields(UnknownFields::Ignore);
    /// # let vault = options.open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let request = CreateGeneric::from_json_with(br#"{"payload":{"pin":"1234"},"colour":"red"}"#, vault.rules())?;
    /// vault.create_generic(request)?;
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn rules(&self) -> Rules {
        self.shared().policy.rules
    }

    fn shared(&self) -> &Shared {
        &self.handle.shared
    }
}

impl<A: Authority> fmt::Debug for Vault<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("closed", &self.shared().closed).finish_non_exhaustive()
    }
}

impl Shared {
    fn now(&self) -> Timestamp {
        self.watch.read().now
    }

    /// What the vault demands of a request.
    fn demands(&self) -> Demands {
        Demands::new(self.policy)
    }

    /// Refuses once the vault is closed.
    fn check_open(&self) -> Result<(), Error> {
        if self.closed.load(Ordering::Acquire) { Err(Error::unavailable("the vault is closed")) } else { Ok(()) }
    }

    fn close(&self) -> Result<(), Error> {
        self.closed.store(true, Ordering::Release);
        self.sweepers.stop();
        self.codes.stop();
        // Whoever comes second waits here, and hears how it ended.
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        ending.get_or_insert_with(|| self.end()).clone()
    }

    fn end(&self) -> Result<(), Error> {
        let marked = self.keep_mark().and(self.keep_accesses());
        let counted = if self.keys.were_used() {
            self.keys.anchor().and_then(|anchor| self.store.write_anchor(&anchor))
        } else {
            Ok(())
        };
        let closed = self.store.maintain(Maintenance::Close);
        self.events.end();
        marked.and(counted).and(closed.map(|_| ()))
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
        Kind::State => Table::State,
        Kind::ApiKey => Table::ApiKey,
        Kind::ApiToken => Table::ApiToken,
        Kind::Account => Table::Account,
        Kind::Module => Table::Module,
    }
}
