//! How a vault is made and opened.

use std::fmt;
#[cfg(feature = "sled")]
use std::path::Path;
use std::time::Duration;

use crate::card::{BinStyle, MaskStyle};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::destination::Destination;
use crate::error::{Error, Rule};
use crate::keys::{KeyManager, Keys};
use crate::rules::{CardDataGuard, Rules, UnknownFields, UnlistedSchemes};
#[cfg(feature = "sled")]
use crate::store::{Durability, SledOptions};
use crate::store::{Store, Table};
use crate::vault::access::AuditSink;
use crate::vault::fill::{Forwarder, Forwarding};
use crate::vault::inquiry::{BinDirectory, Inquiries};
use crate::vault::{Fingerprints, Vault};

/// What the application gives a vault to work with, beside store, keys and clock.
#[derive(Default)]
pub(super) struct Ports {
    pub(super) forwarding: Forwarding,
    pub(super) inquiries: Inquiries,
    pub(super) audit: Option<Box<dyn AuditSink>>,
}

/// How long what is not a token lives, where nothing else ends it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetimes {
    pub(super) session: Duration,
    pub(super) security_code: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        const QUARTER_OF_AN_HOUR: Duration = Duration::from_mins(15);
        Self { session: QUARTER_OF_AN_HOUR, security_code: QUARTER_OF_AN_HOUR }
    }
}

/// What the vault demands of a request, and how long it waits for one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Policy {
    pub(super) rules: Rules,
    pub(super) guard: CardDataGuard,
    pub(super) lifetimes: Lifetimes,
}

/// Options for making or opening a vault; each says its default.
///
/// ```
/// use tokenvault::card::MaskStyle;
/// use tokenvault::store::MemoryStore;
/// use tokenvault::{KeyManager, VaultOptions};
///
/// let vault = VaultOptions::new().mask(MaskStyle::LastFour).open_with(MemoryStore::new(), KeyManager::generate()?)?;
/// # vault.close()?;
/// # Ok::<(), tokenvault::Error>(())
/// ```
#[must_use]
pub struct VaultOptions {
    clock: Box<dyn Clock>,
    mask: Option<MaskStyle>,
    policy: Policy,
    ports: Ports,
    fingerprints: Option<Fingerprints>,
    #[cfg(feature = "sled")]
    store: SledOptions,
}

impl Default for VaultOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl VaultOptions {
    /// Every default.
    pub fn new() -> Self {
        Self {
            clock: Box::new(SystemClock),
            mask: None,
            policy: Policy::default(),
            ports: Ports::default(),
            fingerprints: None,
            #[cfg(feature = "sled")]
            store: SledOptions::new(),
        }
    }

    /// Where the vault takes the time from. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// How much of an account number the vault shows. It is kept in the vault when that is made; another style is refused
    /// afterwards. Default: that of the vault, or [`MaskStyle::FirstSixLastFour`] for a new one.
    pub fn mask(mut self, mask: MaskStyle) -> Self {
        self.mask = Some(mask);
        self
    }

    /// How long a session takes a card or a security code and then tells what became of it, in whole milliseconds. Zero: not at
    /// all. Default: 15 minutes.
    pub fn session_lifetime(mut self, lifetime: Duration) -> Self {
        self.policy.lifetimes.session = lifetime;
        self
    }

    /// How long a security code is held that nobody uses, in whole milliseconds; never longer than its token. Zero: not at all.
    /// Default: 15 minutes.
    pub fn security_code_lifetime(mut self, lifetime: Duration) -> Self {
        self.policy.lifetimes.security_code = lifetime;
        self
    }

    /// What becomes of account numbers of no listed scheme. Default: [`UnlistedSchemes::Refuse`].
    ///
    /// ```
    /// # use tokenvault::{CreatePci, KeyManager, PciCreated, UnlistedSchemes, VaultOptions, store::MemoryStore};
    /// let options = VaultOptions::new().unlisted_schemes(UnlistedSchemes::Accept);
    /// # let vault = options.open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let request =
    ///     br#"{"source":{"type":"pan","account_number":"9111111111111110","expiry_month":12,"expiry_year":2031}}"#;
    /// let created = vault.create_pci(CreatePci::from_json_with(request, vault.rules())?)?;
    /// let PciCreated::Token(token) = created else { unreachable!("a pan source makes a token") };
    /// assert_eq!(token.card.scheme, None);
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn unlisted_schemes(mut self, schemes: UnlistedSchemes) -> Self {
        self.policy.rules = self.policy.rules.unlisted_schemes(schemes);
        self
    }

    /// What becomes of fields that a request should not have, where it is read by [`Vault::rules`]. Default:
    /// [`UnknownFields::Refuse`].
    pub fn unknown_fields(mut self, fields: UnknownFields) -> Self {
        self.policy.rules = self.policy.rules.unknown_fields(fields);
        self
    }

    /// Whether card numbers and track data are refused in metadata, names and payloads. Default: [`CardDataGuard::Off`].
    ///
    /// ```
    /// # use tokenvault::{CardDataGuard, CreateGeneric, KeyManager, VaultOptions, store::MemoryStore};
    /// let options = VaultOptions::new().card_data_guard(CardDataGuard::On);
    /// # let vault = options.open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let request = CreateGeneric::new([("pin", "1234")])?.metadata([("card", "4111 1111 1111 1111")])?;
    /// assert_eq!(vault.create_generic(request).unwrap_err().violations()[0].path(), "$.metadata.card");
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn card_data_guard(mut self, guard: CardDataGuard) -> Self {
        self.policy.guard = guard;
        self
    }

    /// Who sends what [`Vault::forward`] fills. Default: nobody, and every forward is `FORBIDDEN`.
    pub fn forwarder(mut self, forwarder: impl Forwarder) -> Self {
        self.ports.forwarding.forwarder = Some(Box::new(forwarder));
        self
    }

    /// Lets [`Vault::forward`] send to an origin, `https://psp.example` for instance: https, the default port, no user name, no
    /// password, no path. Each call allows one more. Default: none, and every forward is `FORBIDDEN`.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.destination`: it is no such origin.
    pub fn allow_destination(mut self, origin: &str) -> Result<Self, Error> {
        let origin = Destination::parse_origin(origin).map_err(|rule| rule.at("$.destination"))?;
        self.ports.forwarding.allowed.push(origin);
        Ok(self)
    }

    /// Who tells [`Vault::inquire`] of issuers. Default: nobody, and those fields are left out.
    pub fn bin_directory(mut self, directory: impl BinDirectory) -> Self {
        self.ports.inquiries.directory = Some(Box::new(directory));
        self
    }

    /// Who hears of every operation, and by whom it is. Default: nobody.
    pub fn audit(mut self, sink: impl AuditSink) -> Self {
        self.ports.audit = Some(Box::new(sink));
        self
    }

    /// Lets [`Vault::inquire`] tell eight leading digits of account numbers that have sixteen or more. Beside a mask these are
    /// twelve digits of one number: PCI SSC FAQ 1091 allows that for sixteen, and sends you to the scheme for longer ones.
    /// Default: six.
    pub fn eight_digit_bin(mut self) -> Self {
        self.ports.inquiries.bin = BinStyle::Eight;
        self
    }

    /// Whether the vault keeps fingerprints of account numbers, by which
    /// [`find_by_account_number`](Vault::find_by_account_number) and [`Duplicates`](crate::Duplicates) find the tokens of a
    /// card. Default: that of the vault, or [`Fingerprints::Off`] for a new one.
    ///
    /// Once on, it is kept in the vault: new tokens get fingerprints however it is opened, and [`Fingerprints::Off`] is
    /// refused. Tokens that were there before get theirs from [`Vault::index_fingerprints`].
    pub fn fingerprints(mut self, fingerprints: Fingerprints) -> Self {
        self.fingerprints = Some(fingerprints);
        self
    }

    /// Memory in bytes for records of the store in a folder, and once more while the vault is compacted; of no effect on
    /// [`VaultOptions::open_with`]. Default: 128 MiB.
    ///
    /// What the whole vault takes with it: [`SledOptions::cache_bytes`](crate::store::SledOptions::cache_bytes).
    #[cfg(feature = "sled")]
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.store = self.store.cache_bytes(bytes);
        self
    }

    /// What an acknowledged change survives in a folder; of no effect on [`VaultOptions::open_with`]. It is a choice of the one
    /// who opens the vault, and not kept in it. Default: [`Durability::Power`].
    ///
    /// ```no_run
    /// use tokenvault::store::Durability;
    /// use tokenvault::{KeyManager, VaultOptions};
    ///
    /// let options = VaultOptions::new().durability(Durability::Process);
    /// let vault = options.open("cards.vault", KeyManager::from_env("TOKENVAULT_KEY")?)?;
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    #[cfg(feature = "sled")]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.store = self.store.durability(durability);
        self
    }

    /// As [`Vault::create`], with these options.
    ///
    /// # Errors
    /// As [`Vault::create`].
    #[cfg(feature = "sled")]
    pub fn create(self, path: impl AsRef<Path>, keys: KeyManager) -> Result<Vault, Error> {
        // The keys come first: where they cannot be had, no folder is left behind.
        let keys = self.found(keys)?;
        let store = self.store.clone().create(path)?;
        self.begin(store, keys)
    }

    /// As [`Vault::open`], with these options.
    ///
    /// # Errors
    /// As [`Vault::open`]; `VALIDATION_ERROR` at `$.mask`: the vault has another style; at `$.fingerprints`: it keeps them.
    #[cfg(feature = "sled")]
    pub fn open(self, path: impl AsRef<Path>, keys: KeyManager) -> Result<Vault, Error> {
        let store = self.store.clone().open(path)?;
        match store.read_anchor()? {
            Some(anchor) => self.unlock(store, &anchor, keys),
            None => Err(Error::corrupt("the vault has no anchor")),
        }
    }

    /// As [`Vault::open_or_create`], with these options.
    ///
    /// # Errors
    /// As [`Vault::open_or_create`].
    #[cfg(feature = "sled")]
    pub fn open_or_create(self, path: impl AsRef<Path>, keys: KeyManager) -> Result<Vault, Error> {
        let store = self.store.clone().open_or_create(path)?;
        self.open_with(store, keys)
    }

    /// Opens the vault in any store, or makes one there if the store is empty.
    ///
    /// # Errors
    /// `KEY_FAILURE`: the key is not that of the vault. `CORRUPT`: the anchor is damaged, or there are records and no anchor.
    /// `VALIDATION_ERROR` at `$.mask`: the vault has another style; at `$.fingerprints`: it keeps them. `STORE_FAILURE`, `UNAVAILABLE`.
    pub fn open_with(self, store: impl Store, keys: KeyManager) -> Result<Vault, Error> {
        if let Some(anchor) = store.read_anchor()? {
            return self.unlock(store, &anchor, keys);
        }
        for table in Table::ALL {
            if !store.scan(*table, &[], &[0xff; 64], 1)?.is_empty() {
                return Err(Error::corrupt("the vault has records and no anchor"));
            }
        }
        let keys = self.found(keys)?;
        self.begin(store, keys)
    }

    fn found(&self, keys: KeyManager) -> Result<Keys, Error> {
        keys.found(self.mask.unwrap_or_default(), Timestamp::now(&*self.clock))
    }

    fn begin(self, store: impl Store, keys: Keys) -> Result<Vault, Error> {
        store.write_anchor(&keys.anchor()?)?;
        let vault = Vault::new(Box::new(store), keys, self.clock, self.policy, self.ports);
        vault.shared().resume_fingerprints(self.fingerprints)?;
        Ok(vault)
    }

    fn unlock(self, store: impl Store, anchor: &[u8], keys: KeyManager) -> Result<Vault, Error> {
        let keys = keys.unlock(anchor)?;
        if self.mask.is_some_and(|mask| mask != keys.mask()) {
            return Err(Rule("the vault was made with another mask style").at("$.mask"));
        }
        let vault = Vault::new(Box::new(store), keys, self.clock, self.policy, self.ports);
        vault.shared().recall()?;
        vault.shared().resume_fingerprints(self.fingerprints)?;
        Ok(vault)
    }
}

impl fmt::Debug for VaultOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultOptions").field("mask", &self.mask).finish_non_exhaustive()
    }
}

#[cfg(feature = "sled")]
impl Vault {
    /// Makes a new vault in a folder that is absent or empty, with mode 0700.
    ///
    /// # Errors
    /// `STORE_FAILURE`, naming the path: it holds something, or cannot be written. `KEY_FAILURE`: the key cannot be had.
    /// `UNAVAILABLE`: a key wrapper answered so.
    pub fn create(path: impl AsRef<Path>, keys: KeyManager) -> Result<Self, Error> {
        VaultOptions::new().create(path, keys)
    }

    /// Opens the vault in a folder. It must exist: a mistyped path never opens an empty vault.
    ///
    /// # Errors
    /// `STORE_FAILURE`, naming the path: there is no vault, or one whose creation did not finish, or one of a later format; it is
    /// open already, or cannot be read and written. `KEY_FAILURE`: the key is not that of the vault. `CORRUPT`: the folder is
    /// damaged. `UNAVAILABLE`: a key wrapper answered so.
    ///
    /// ```
    /// use tokenvault::{ErrorKind, KeyManager, Vault};
    ///
    /// let error = Vault::open("/no/such.vault", KeyManager::generate()?).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::StoreFailure);
    /// assert!(error.message().contains("/no/such.vault"));
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn open(path: impl AsRef<Path>, keys: KeyManager) -> Result<Self, Error> {
        VaultOptions::new().open(path, keys)
    }

    /// Opens the vault in a folder, or makes one there if the folder is absent or empty, or holds a creation that was cut short.
    ///
    /// # Errors
    /// As [`Vault::open`] and [`Vault::create`].
    pub fn open_or_create(path: impl AsRef<Path>, keys: KeyManager) -> Result<Self, Error> {
        VaultOptions::new().open_or_create(path, keys)
    }
}
