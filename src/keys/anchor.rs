//! The bytes of a vault's anchor, version 1: its id and settings in the clear, the key ring sealed under the root key.
//!
//! The checksum tells damage, the key check tells a wrong key, and the ring's seal covers both: none is taken for another.

use sha2::{Digest, Sha256};

use crate::card::MaskStyle;
use crate::cursor::Cursor;
use crate::error::Error;
use crate::keys::passphrase::Hardness;
use crate::keys::ring::Ring;
use crate::seal::{NONCE, Nonce, Sealer, TAG};
use crate::secret::SecretBytes;

const MAGIC: &[u8; 8] = b"TKNVAULT";
/// The version that this code writes, and the newest that it reads.
const VERSION: u16 = 1;
/// The most that a key wrapper may ask to be kept.
const LONGEST_WRAPPED: usize = 8 * 1024;

const DAMAGED: &str = "the vault's anchor is damaged";

/// How the root key is come by.
pub(super) enum Access {
    Key,
    Passphrase(Hardness),
    Wrapped(Vec<u8>),
}

impl Access {
    pub(super) fn wrapped(wrapped: &[u8]) -> Result<Self, Error> {
        if wrapped.len() > LONGEST_WRAPPED {
            return Err(Error::key_failure("the key wrapper answered more than 8 KiB"));
        }
        Ok(Self::Wrapped(wrapped.to_owned()))
    }

    /// What to say to somebody who comes with a key of another sort.
    pub(super) fn expectation(&self) -> &'static str {
        match self {
            Self::Key => "the vault was made with a key, not with a pass phrase or a key wrapper",
            Self::Passphrase(_) => "the vault was made with a pass phrase, not with a key or a key wrapper",
            Self::Wrapped(_) => "the vault was made with a key wrapper, not with a key or a pass phrase",
        }
    }

    fn encode(&self, to: &mut Vec<u8>) {
        match self {
            Self::Key => to.push(1),
            Self::Passphrase(hardness) => {
                to.push(2);
                hardness.encode(to);
            }
            Self::Wrapped(wrapped) => {
                to.push(3);
                to.extend_from_slice(&u16::try_from(wrapped.len()).unwrap_or(u16::MAX).to_le_bytes());
                to.extend_from_slice(wrapped);
            }
        }
    }

    fn decode(cursor: &mut Cursor<'_>) -> Option<Self> {
        match cursor.u8()? {
            1 => Some(Self::Key),
            2 => Hardness::decode(cursor).map(Self::Passphrase),
            3 => {
                let length = cursor.u16().filter(|length| usize::from(*length) <= LONGEST_WRAPPED)?;
                Some(Self::Wrapped(cursor.take(length.into())?.to_owned()))
            }
            _ => None,
        }
    }
}

/// What an anchor says in the clear.
pub(super) struct Settings {
    /// The vault's own id.
    pub(super) vault: [u8; 16],
    pub(super) mask: MaskStyle,
    pub(super) access: Access,
    pub(super) key_check: [u8; 16],
}

impl Settings {
    fn decode(cursor: &mut Cursor<'_>) -> Option<Self> {
        Some(Self {
            vault: cursor.array()?,
            mask: MaskStyle::from_byte(cursor.u8()?)?,
            access: Access::decode(cursor)?,
            key_check: cursor.array()?,
        })
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.vault.to_vec();
        bytes.push(self.mask.as_byte());
        self.access.encode(&mut bytes);
        bytes.extend_from_slice(&self.key_check);
        bytes
    }
}

/// An anchor whose checksum is right. Nothing of it is authentic until the ring has opened.
pub(super) struct Anchor {
    pub(super) settings: Settings,
    /// The bytes of the settings, to which the ring is bound.
    bound: Vec<u8>,
    ring: Vec<u8>,
}

impl Anchor {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let damaged = || Error::corrupt(DAMAGED);
        let mut cursor = Cursor::new(bytes);
        let magic = cursor.take(MAGIC.len()).ok_or_else(damaged)?;
        let version = cursor.u16().ok_or_else(damaged)?;
        let checksum: [u8; 32] = cursor.array().ok_or_else(damaged)?;
        let rest = cursor.rest();
        if magic != MAGIC || checksum != sum(version, rest) {
            return Err(damaged());
        }
        if version != VERSION {
            return Err(Error::store_failure(format!(
                "the vault has format {version}, which this program cannot read: it reads format {VERSION}"
            )));
        }
        let mut cursor = Cursor::new(rest);
        let settings = Settings::decode(&mut cursor).ok_or_else(damaged)?;
        let (bound, ring) = rest.split_at_checked(cursor.position()).ok_or_else(damaged)?;
        Ok(Self { settings, bound: bound.to_owned(), ring: ring.to_owned() })
    }

    /// Opens the ring with a key that has passed the key check: what does not open now is damaged.
    pub(super) fn open_ring(&self, sealer: &Sealer) -> Result<Ring, Error> {
        let mut ring = SecretBytes::adopt(self.ring.clone());
        // Opened in place, in a block that is wiped.
        let plain = sealer.open(&self.bound, ring.expose_mut()).map_err(|_| Error::corrupt(DAMAGED))?;
        Ring::decode(plain).ok_or_else(|| Error::corrupt(DAMAGED))
    }
}

/// The anchor of a vault, with its ring sealed anew.
pub(super) fn encode(settings: &Settings, ring: &SecretBytes, sealer: &Sealer) -> Result<Vec<u8>, Error> {
    let mut rest = settings.encode();
    let mut part = SecretBytes::with_room(NONCE + ring.len() + TAG);
    part.push(&[0; NONCE]);
    // From one wiped block into another, which is sealed in place.
    part.push(ring.expose());
    part.push(&[0; TAG]);
    sealer.seal(Nonce::fresh()?, &rest, part.expose_mut())?;
    rest.extend(part.into_sealed());

    let mut anchor = MAGIC.to_vec();
    anchor.extend_from_slice(&VERSION.to_le_bytes());
    anchor.extend_from_slice(&sum(VERSION, &rest));
    anchor.extend(rest);
    Ok(anchor)
}

/// The checksum, over the version as well: a changed version is damage before it is news.
fn sum(version: u16, rest: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(MAGIC).chain_update(version.to_le_bytes()).chain_update(rest).finalize().into()
}
