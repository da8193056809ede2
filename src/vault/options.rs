//! How a vault is made and opened.

use std::fmt;
#[cfg(feature = "sled")]
use std::path::Path;

use crate::card::MaskStyle;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::error::{Error, Rule};
use crate::keys::{KeyManager, Keys};
#[cfg(feature = "sled")]
use crate::store::SledOptions;
use crate::store::{Store, Table};
use crate::vault::{Fingerprints, Vault};

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

    /// How many bytes of records the store in a folder keeps in memory; of no effect on [`VaultOptions::open_with`]. Default: 64 MiB.
    #[cfg(feature = "sled")]
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.store = self.store.cache_bytes(bytes);
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
        Vault::new(Box::new(store), keys, self.clock, self.fingerprints)
    }

    fn unlock(self, store: impl Store, anchor: &[u8], keys: KeyManager) -> Result<Vault, Error> {
        let keys = keys.unlock(anchor)?;
        if self.mask.is_some_and(|mask| mask != keys.mask()) {
            return Err(Rule("the vault was made with another mask style").at("$.mask"));
        }
        Vault::new(Box::new(store), keys, self.clock, self.fingerprints)
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
