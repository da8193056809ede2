//! Where the root key comes from, and what hangs below it: the key ring, its epochs, one derived key a purpose.
//!
//! The root key is never stored. It wraps the key ring, which stands with the vault's settings in the [anchor](crate::design).

mod anchor;
mod credential;
mod index;
mod passphrase;
mod ring;
mod source;

use std::fmt;
use std::path::Path;

use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

pub(crate) use self::credential::CredentialKey;
pub(crate) use self::index::IndexKey;
pub(crate) use self::ring::Epoch;

use self::anchor::{Access, Anchor, Settings};
use self::passphrase::Hardness;
use self::ring::Ring;
use crate::card::MaskStyle;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::random;
use crate::seal::Sealer;
use crate::secret::Secret;

/// A key of 256 bits.
type Key = Secret<[u8; 32]>;

const WRONG_KEY: &str = "this is not the key of the vault";

/// Wraps the root key outside this process, for instance in a key management service (PCI DSS 3.6.1.2: a key-encrypting key
/// is stored apart from what it encrypts).
///
/// ```
/// use tokenvault::{Error, KeyManager, KeyWrapper, Vault};
/// # use tokenvault::{VaultOptions, store::MemoryStore};
///
/// struct Kms; // holds the client of a real service
/// impl KeyWrapper for Kms {
///     fn wrap_key(&self, key: &[u8; 32]) -> Result<Vec<u8>, Error> {
///         Ok(key.iter().map(|byte| byte ^ 0x5a).collect()) // the service encrypts
///     }
///     fn unwrap_key(&self, wrapped: &[u8], key: &mut [u8; 32]) -> Result<(), Error> {
///         let wrapped: &[u8; 32] = wrapped.try_into().map_err(|_| Error::key_failure("not a key of this service"))?;
///         key.iter_mut().zip(wrapped).for_each(|(to, from)| *to = from ^ 0x5a); // the service decrypts
///         Ok(())
///     }
/// }
/// let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::from_wrapper(Kms))?;
/// # vault.close()?;
/// # Ok::<(), Error>(())
/// ```
pub trait KeyWrapper: Send + Sync + 'static {
    /// Wraps a root key when a vault is created; what it answers, at most 8 KiB, is kept in the vault, once
    /// [`unwrap_key`](Self::unwrap_key) has shown that it can be undone.
    ///
    /// # Errors
    /// `KEY_FAILURE` or `UNAVAILABLE`.
    fn wrap_key(&self, key: &[u8; 32]) -> Result<Vec<u8>, Error>;

    /// Unwraps a root key into place when the vault is opened. What is handed in is not yet known to be authentic.
    ///
    /// # Errors
    /// `KEY_FAILURE` or `UNAVAILABLE`.
    fn unwrap_key(&self, wrapped: &[u8], key: &mut [u8; 32]) -> Result<(), Error>;
}

/// Where the root key of a vault comes from.
///
/// It cannot be printed or cloned; its key is wiped when dropped.
pub struct KeyManager {
    source: Source,
}

enum Source {
    Key(Key),
    Passphrase(Zeroizing<String>),
    Wrapper(Box<dyn KeyWrapper>),
}

impl KeyManager {
    /// A root key that the application holds. The bytes handed in are wiped.
    ///
    /// ```
    /// let mut key = [7; 32]; // 32 unpredictable bytes
    /// let keys = tokenvault::KeyManager::from_key(&mut key);
    /// assert_eq!(key, [0; 32]);
    /// ```
    #[must_use]
    pub fn from_key(key: &mut [u8; 32]) -> Self {
        let Ok(root) = Key::born(|root| {
            root.copy_from_slice(key);
            Ok::<_, std::convert::Infallible>(())
        });
        key.zeroize();
        Self { source: Source::Key(root) }
    }

    /// A root key from an environment variable: 64 hexadecimal digits, or base64 of 32 bytes.
    ///
    /// # Errors
    /// `KEY_FAILURE`, naming the variable: it is not set, or does not hold a key.
    pub fn from_env(variable: &str) -> Result<Self, Error> {
        source::from_env(variable).map(Self::holding)
    }

    /// A root key from a file: 32 bytes, 64 hexadecimal digits, or base64 of 32 bytes.
    ///
    /// # Errors
    /// `KEY_FAILURE`, naming the file: it cannot be read, other users can read it, or it does not hold a key.
    pub fn from_key_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        source::from_file(path.as_ref()).map(Self::holding)
    }

    /// A root key derived from a pass phrase by Argon2id (RFC 9106, the second recommended option: 64 MiB, 3 passes, 4 lanes).
    /// Salt and parameters are kept in the vault. The text handed in is wiped when the manager is dropped.
    ///
    /// # Errors
    /// `KEY_FAILURE` if the pass phrase is empty.
    pub fn from_passphrase(passphrase: impl Into<Zeroizing<String>>) -> Result<Self, Error> {
        let passphrase = passphrase.into();
        if passphrase.is_empty() {
            return Err(Error::key_failure("the pass phrase is empty"));
        }
        Ok(Self { source: Source::Passphrase(passphrase) })
    }

    /// A fresh root key, which nobody else has: for a vault that need not be opened again, as in a test or a demonstration.
    /// For one that is kept, see [`KeyManager::create_key_file`].
    ///
    /// # Errors
    /// `KEY_FAILURE` if the system gives no random bytes.
    pub fn generate() -> Result<Self, Error> {
        Key::born(|key| random::fill_key(key)).map(Self::holding)
    }

    /// A fresh root key, written to a new file in 64 hexadecimal digits and a line feed, mode 0600, and synced.
    ///
    /// # Errors
    /// `KEY_FAILURE`, naming the file: it exists, or cannot be written.
    pub fn create_key_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let key = Key::born(|key| random::fill_key(key))?;
        source::create_file(path.as_ref(), &key)?;
        Ok(Self::holding(key))
    }

    /// A root key that an application's own service wraps: a fresh one for each vault.
    #[must_use]
    pub fn from_wrapper(wrapper: impl KeyWrapper) -> Self {
        Self { source: Source::Wrapper(Box::new(wrapper)) }
    }

    fn holding(key: Key) -> Self {
        Self { source: Source::Key(key) }
    }

    /// Makes the keys of a new vault.
    pub(crate) fn found(self, mask: MaskStyle, now: Timestamp) -> Result<Keys, Error> {
        let mut vault = [0; 16];
        random::fill_key(&mut vault)?;
        let (root, access) = match self.source {
            Source::Key(root) => (root, Access::Key),
            Source::Passphrase(passphrase) => {
                let hardness = Hardness::fresh()?;
                (hardness.derive(&passphrase)?, Access::Passphrase(hardness))
            }
            Source::Wrapper(service) => {
                let root = Key::born(|key| random::fill_key(key))?;
                // Lent to the application's own service, which is what wraps it.
                let wrapped = service.wrap_key(root.expose())?;
                let access = Access::wrapped(&wrapped)?;
                let again = Key::born(|key| service.unwrap_key(&wrapped, key))?;
                // A vault that could never be opened again is not made.
                if !bool::from(again.expose().ct_eq(root.expose())) {
                    return Err(Error::key_failure("the key wrapper does not unwrap what it has wrapped"));
                }
                (root, access)
            }
        };
        let key_check = key_check(&root, &vault)?;
        Keys::new(root, Settings { vault, mask, access, key_check }, Ring::fresh(now)?)
    }

    /// Opens the keys of a vault by its anchor.
    pub(crate) fn unlock(self, anchor: &[u8]) -> Result<Keys, Error> {
        let anchor = Anchor::decode(anchor)?;
        let vault = &anchor.settings.vault;
        let root = match (self.source, &anchor.settings.access) {
            (Source::Key(root), Access::Key) => root,
            (Source::Passphrase(passphrase), Access::Passphrase(hardness)) => hardness.derive(&passphrase)?,
            (Source::Wrapper(service), Access::Wrapped(wrapped)) => Key::born(|key| service.unwrap_key(wrapped, key))?,
            (_, access) => return Err(Error::key_failure(access.expectation())),
        };
        if !bool::from(key_check(&root, vault)?.ct_eq(&anchor.settings.key_check)) {
            return Err(Error::key_failure(WRONG_KEY));
        }
        let ring = anchor.open_ring(&ring_sealer(&root, vault)?)?;
        Keys::new(root, anchor.settings, ring)
    }
}

impl fmt::Debug for KeyManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyManager(..)")
    }
}

/// The keys of an open vault.
pub(crate) struct Keys {
    root: Key,
    settings: Settings,
    ring: Ring,
    epochs: Vec<Epoch>,
    /// Where the active data key stands among the epochs.
    active: usize,
    /// The active one first.
    index: Vec<IndexKey>,
    /// The active one first.
    credential: Vec<CredentialKey>,
}

impl Keys {
    fn new(root: Key, settings: Settings, ring: Ring) -> Result<Self, Error> {
        let epochs = ring.epochs(&settings.vault)?;
        let active = epochs.iter().position(Epoch::is_active);
        let active = active.ok_or_else(|| Error::corrupt("the key ring has no active data key"))?;
        let index = ring.index_keys(&settings.vault)?;
        let credential = ring.credential_keys(&settings.vault)?;
        Ok(Self { root, settings, ring, epochs, active, index, credential })
    }

    /// The vault's own id, which binds its records to it.
    pub(crate) fn vault(&self) -> &[u8; 16] {
        &self.settings.vault
    }

    /// How much of an account number the vault shows.
    pub(crate) fn mask(&self) -> MaskStyle {
        self.settings.mask
    }

    /// The data key that seals new records.
    pub(crate) fn active(&self) -> Result<&Epoch, Error> {
        self.epochs.get(self.active).ok_or_else(|| Error::key_failure("the key ring has no active data key"))
    }

    /// The data key of an epoch, if the ring still has it.
    pub(crate) fn epoch(&self, number: u32) -> Option<&Epoch> {
        self.epochs.iter().find(|epoch| epoch.number() == number)
    }

    /// Every data key that can open records.
    pub(crate) fn epochs(&self) -> &[Epoch] {
        &self.epochs
    }

    /// Every index key that can be looked up under; the first is the active one, under which is written.
    pub(crate) fn index(&self) -> &[IndexKey] {
        &self.index
    }

    /// Every credential key under which secrets are known again; the first is the active one, for new secrets.
    pub(crate) fn credential(&self) -> &[CredentialKey] {
        &self.credential
    }

    /// The index key under which is written.
    pub(crate) fn active_index(&self) -> Result<&IndexKey, Error> {
        self.index.first().ok_or_else(|| Error::key_failure("the key ring has no active index key"))
    }

    /// Whether any key has been used since the anchor was read or made.
    pub(crate) fn were_used(&self) -> bool {
        self.epochs.iter().any(|epoch| epoch.uses_since_open() > 0)
    }

    /// The anchor to keep, with the uses counted so far.
    pub(crate) fn anchor(&self) -> Result<Vec<u8>, Error> {
        let sealer = ring_sealer(&self.root, self.vault())?;
        anchor::encode(&self.settings, &self.ring.encode(&self.epochs), &sealer)
    }
}

/// Shows whether a root key is the vault's own before anything is opened with it.
fn key_check(root: &Key, vault: &[u8; 16]) -> Result<[u8; 16], Error> {
    let mut check = [0; 16];
    derive(root, vault, "tokenvault/1/key-check", &mut check)?;
    Ok(check)
}

fn ring_sealer(root: &Key, vault: &[u8; 16]) -> Result<Sealer, Error> {
    purpose_sealer(root, vault, "tokenvault/1/key-ring")
}

/// The sealer of one purpose below a key.
fn purpose_sealer(key: &Key, vault: &[u8; 16], purpose: &str) -> Result<Sealer, Error> {
    // Handed to the cipher, which keeps it in wiped memory of its own.
    Ok(Sealer::new(purpose_key(key, vault, purpose)?.expose()))
}

/// The key of one purpose below a key.
fn purpose_key(key: &Key, vault: &[u8; 16], purpose: &str) -> Result<Key, Error> {
    Key::born(|derived| derive(key, vault, purpose, derived))
}

/// HKDF-SHA256 (RFC 5869) with the vault's id as salt and the purpose as info.
fn derive(key: &Key, vault: &[u8; 16], purpose: &str, into: &mut [u8]) -> Result<(), Error> {
    // The one use of a key as such: to derive others from it.
    let hkdf = Hkdf::<Sha256>::new(Some(vault), key.expose());
    hkdf.expand(purpose.as_bytes(), into).map_err(|_| Error::key_failure("a derived key is too long"))
}
