//! The key ring: every key of a vault below its root, with its state and age.
//!
//! Data keys are numbered epochs, from which the keys of each purpose are derived. Index and credential keys live outside
//! the epochs, since what is stored only as a keyed hash cannot be hashed again.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Timestamp;
use crate::cursor::Cursor;
use crate::error::Error;
use crate::keys::credential::CredentialKey;
use crate::keys::index::IndexKey;
use crate::keys::{Key, purpose_sealer};
use crate::random;
use crate::seal::Sealer;
use crate::secret::SecretBytes;

/// Bytes of a key in the ring: kind, number, state, creation, uses, key.
const ROW: usize = 1 + 4 + 1 + 8 + 8 + 32;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Data = 1,
    Index = 2,
    Credential = 3,
}

/// What a key may still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Active = 1,
    DecryptOnly = 2,
    Destroyed = 3,
}

const KINDS: [Kind; 3] = [Kind::Data, Kind::Index, Kind::Credential];
const STATES: [State; 3] = [State::Active, State::DecryptOnly, State::Destroyed];

struct RingKey {
    kind: Kind,
    number: u32,
    state: State,
    created_at: Timestamp,
    /// Records sealed up to when the ring was last written.
    uses: u64,
    key: Key,
}

/// Every key of a vault below its root.
pub(super) struct Ring {
    keys: Vec<RingKey>,
}

impl Ring {
    /// One fresh key of each kind, number 1.
    pub(super) fn fresh(now: Timestamp) -> Result<Self, Error> {
        let fresh = |kind| {
            let key = Key::born(|key| random::fill_key(key))?;
            Ok(RingKey { kind, number: 1, state: State::Active, created_at: now, uses: 0, key })
        };
        Ok(Self { keys: KINDS.into_iter().map(fresh).collect::<Result<_, Error>>()? })
    }

    /// The plain bytes of a ring; `None` if they are not one: of each kind exactly one key is active, and no number is there twice.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(bytes);
        let mut keys: Vec<RingKey> = Vec::new();
        for _ in 0..cursor.u16()? {
            let key = RingKey::decode(&mut cursor)?;
            if keys.iter().any(|other| other.kind == key.kind && other.number == key.number) {
                return None;
            }
            keys.push(key);
        }
        let active = |kind| keys.iter().filter(|key| key.kind == kind && key.state == State::Active).count();
        let one_each = KINDS.into_iter().all(|kind| active(kind) == 1);
        (one_each && cursor.is_at_end()).then_some(Self { keys })
    }

    /// The plain bytes, with what the epochs have sealed since.
    pub(super) fn encode(&self, epochs: &[Epoch]) -> SecretBytes {
        let mut bytes = SecretBytes::with_room(2 + self.keys.len() * ROW);
        bytes.push(&u16::try_from(self.keys.len()).unwrap_or(u16::MAX).to_le_bytes());
        for key in &self.keys {
            let epoch = epochs.iter().find(|epoch| key.kind == Kind::Data && epoch.number == key.number);
            let uses = key.uses.saturating_add(epoch.map_or(0, Epoch::uses_since_open));
            bytes.push(&[key.kind as u8]);
            bytes.push(&key.number.to_le_bytes());
            bytes.push(&[key.state as u8]);
            bytes.push(&key.created_at.as_millis().to_le_bytes());
            bytes.push(&uses.to_le_bytes());
            // Into the wiped block that is sealed into the anchor.
            bytes.push(key.key.expose());
        }
        bytes
    }

    /// The data keys that can open records, ready for use.
    pub(super) fn epochs(&self, vault: &[u8; 16]) -> Result<Vec<Epoch>, Error> {
        let usable = |key: &&RingKey| key.kind == Kind::Data && key.state != State::Destroyed;
        let epoch = |key: &RingKey| -> Result<Epoch, Error> {
            Ok(Epoch {
                number: key.number,
                active: key.state == State::Active,
                created_at: key.created_at,
                uses_before: key.uses,
                uses: AtomicU64::new(0),
                view: purpose_sealer(&key.key, vault, "tokenvault/1/view")?,
                secret: purpose_sealer(&key.key, vault, "tokenvault/1/secret")?,
            })
        };
        // Room for all from the start: a block that is outgrown is not wiped.
        let mut epochs = Vec::with_capacity(self.keys.len());
        for key in self.keys.iter().filter(usable) {
            epochs.push(epoch(key)?);
        }
        Ok(epochs)
    }

    /// The index keys that can still be looked up under, ready for use, the active one first.
    pub(super) fn index_keys(&self, vault: &[u8; 16]) -> Result<Vec<IndexKey>, Error> {
        self.ready(Kind::Index, |number, key| IndexKey::new(number, key, vault))
    }

    /// The credential keys, in the same way.
    pub(super) fn credential_keys(&self, vault: &[u8; 16]) -> Result<Vec<CredentialKey>, Error> {
        self.ready(Kind::Credential, |number, key| CredentialKey::new(number, key, vault))
    }

    /// The keys of a kind that are not destroyed, made ready for use, the active one first.
    fn ready<T>(&self, kind: Kind, ready: impl Fn(u32, &Key) -> Result<T, Error>) -> Result<Vec<T>, Error> {
        let usable = |key: &&RingKey| key.kind == kind && key.state != State::Destroyed;
        let mut keys = Vec::with_capacity(self.keys.len());
        for key in self.keys.iter().filter(usable) {
            let at = if key.state == State::Active { 0 } else { keys.len() };
            keys.insert(at, ready(key.number, &key.key)?);
        }
        Ok(keys)
    }
}

impl RingKey {
    fn decode(cursor: &mut Cursor<'_>) -> Option<Self> {
        let kind = cursor.u8().and_then(|byte| KINDS.into_iter().find(|kind| *kind as u8 == byte))?;
        let number = cursor.u32()?;
        let state = cursor.u8().and_then(|byte| STATES.into_iter().find(|state| *state as u8 == byte))?;
        let created_at = Timestamp::from_millis(cursor.i64()?)?;
        let uses = cursor.u64()?;
        let bytes = cursor.take(32)?;
        let key = Key::born(|key| {
            key.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            Ok::<_, ()>(())
        });
        Some(Self { kind, number, state, created_at, uses, key: key.ok()? })
    }
}

/// A data key ready for use: one sealer a purpose, so that the key of the views opens no account number.
pub(crate) struct Epoch {
    number: u32,
    active: bool,
    created_at: Timestamp,
    uses_before: u64,
    uses: AtomicU64,
    view: Sealer,
    secret: Sealer,
}

impl Epoch {
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Whether it seals new records.
    pub(crate) fn is_active(&self) -> bool {
        self.active
    }

    pub(crate) fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// Records that it has sealed. After a crash, those since the vault was last closed are not in it.
    pub(crate) fn uses(&self) -> u64 {
        self.uses_before.saturating_add(self.uses_since_open())
    }

    pub(super) fn uses_since_open(&self) -> u64 {
        self.uses.load(Ordering::Relaxed)
    }

    /// Seals what may be shown.
    pub(crate) fn view(&self) -> &Sealer {
        &self.view
    }

    /// Seals what is lent only.
    pub(crate) fn secret(&self) -> &Sealer {
        &self.secret
    }

    /// Counts a record.
    pub(crate) fn count_use(&self) {
        self.uses.fetch_add(1, Ordering::Relaxed);
    }
}
