//! The port to whatever keeps the records: six calls on bytes. It never learns what a card is.

mod batch;
#[cfg(feature = "sled")]
mod disk;
#[cfg(feature = "sled")]
mod journal;
mod memory;
#[cfg(feature = "sled")]
mod sled;

pub use self::batch::{Batch, Condition, Write};
pub use self::memory::MemoryStore;
#[cfg(feature = "sled")]
pub use self::sled::{SledOptions, SledStore};

use std::sync::Arc;

use crate::error::Error;

/// What a key names. The number is the byte that leads a key where a store has only one key space; it never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Table {
    /// Generic tokens: id, sealed record.
    Generic = 1,
    /// PCI tokens: id, sealed record.
    Pci = 2,
    /// What expires when: instant, kind and id; no value.
    Expiry = 3,
    /// Sessions: id, sealed record.
    Session = 4,
    /// Payload types: id, sealed record.
    Type = 5,
    /// Which tokens have which type: id of the type, id of the token; no value. The id of the type alone while it exists.
    TypeUse = 6,
    /// What idempotency keys have led to: a keyed hash, sealed record.
    Replay = 7,
    /// Which tokens stand for which card: number of the key, keyed hash of the account number, id of the token; no value.
    Fingerprint = 8,
    /// What the vault remembers of itself.
    State = 9,
    /// API keys: id, sealed record.
    ApiKey = 10,
    /// API tokens of accounts: id, sealed record.
    ApiToken = 11,
    /// Accounts: keyed hash of the id, sealed record.
    Account = 12,
    /// Modules of API tokens: keyed hash of the id, sealed record.
    Module = 13,
    /// Which credential has which secret: number of the key, keyed hash of the secret; kind and id.
    Secret = 14,
    /// What belongs to which account: number of the account, kind, id; the type of a generic token that has one, the
    /// status of an API token.
    Owned = 15,
    /// Which API tokens have which module: place of the module, id of the token; no value.
    ModuleUse = 16,
}

impl Table {
    /// Every table, in the order of its byte.
    pub const ALL: &'static [Self] = &[
        Self::Generic,
        Self::Pci,
        Self::Expiry,
        Self::Session,
        Self::Type,
        Self::TypeUse,
        Self::Replay,
        Self::Fingerprint,
        Self::State,
        Self::ApiKey,
        Self::ApiToken,
        Self::Account,
        Self::Module,
        Self::Secret,
        Self::Owned,
        Self::ModuleUse,
    ];

    /// The byte that stands for the table, 1 to 255.
    #[must_use]
    pub const fn as_byte(self) -> u8 {
        self as u8
    }

    /// The table of a byte, if there is one.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|table| table.as_byte() == byte)
    }
}

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// How a [`Batch`] was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// Every condition held, and every write is made.
    Applied,
    /// A condition did not hold, and nothing is written.
    Refused {
        /// The position of the first condition that did not hold, from 0.
        condition: usize,
        /// What stood at its key, or the first value of its range.
        found: Option<Vec<u8>>,
    },
}

/// Work on the store as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Maintenance {
    /// Counts the entries of every table: a walk over all keys.
    Stats,
    /// Writes and syncs whatever still waits for it.
    Checkpoint,
    /// Goes on with giving back the space of what was removed, or begins with it; entries are read and written meanwhile. One
    /// call does a portion of it, and [`StoreStats::left`] says whether to call again. What is not brought to its end is
    /// begun anew by the next open. A store that needs nothing of the kind does nothing.
    Compact,
    /// As a checkpoint, then gives every resource back; each later call answers `UNAVAILABLE`. A second close does nothing.
    Close,
}

/// What an acknowledged commit survives.
#[cfg(feature = "sled")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// The loss of power: it is on the disk before it is acknowledged.
    #[default]
    Power,
    /// The end of the process, however that comes about, `kill -9` included: it is with the system before it is
    /// acknowledged, and its sync begins within 100 ms as a rule. The loss of power, or a crash of the system, takes
    /// what was acknowledged since the last sync that succeeded, always the last of it, and nothing that was
    /// acknowledged before: so what was removed may come back. If a sync fails, what was acknowledged before it may be
    /// lost in the same way, and only later calls hear of it, as `UNAVAILABLE`.
    Process,
}

/// What the store says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStats {
    /// Entries of each table, for [`Maintenance::Stats`]; otherwise empty.
    pub entries: Vec<(Table, u64)>,
    /// Bytes that it takes on disk; 0 where there is none.
    pub bytes_on_disk: u64,
    /// Entries that a [`Maintenance::Compact`] has still to go over; 0 when it is done, and for everything else.
    pub left: u64,
}

impl StoreStats {
    /// The figures of a store outside this crate.
    #[must_use]
    pub fn new(entries: Vec<(Table, u64)>, bytes_on_disk: u64) -> Self {
        Self { entries, bytes_on_disk, left: 0 }
    }

    /// The entries counted for a table; 0 if it was not counted.
    #[must_use]
    pub fn count(&self, table: Table) -> u64 {
        self.entries.iter().filter(|(of, _)| *of == table).map(|(_, count)| count).sum()
    }
}

/// Keeps entries of bytes, sorted by key within a table.
///
/// The caller guarantees keys of at most 64 bytes, values of at most 64 KiB, and no more than 64 MiB of both in one batch.
/// `tests/store_conformance.rs` says what every store must do, and runs against those of this crate.
///
/// One vault at a time writes the anchor of a store: two processes that open one store must agree on that outside of it.
pub trait Store: Send + Sync + 'static {
    /// The value at a key, or `None`.
    ///
    /// # Errors
    /// `STORE_FAILURE`, `CORRUPT`, `UNAVAILABLE`.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// The first `limit` entries of a table from the key `from` on, up to but without `to`, in the order of their keys.
    ///
    /// # Errors
    /// `STORE_FAILURE`, `CORRUPT`, `UNAVAILABLE`.
    fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Entry>, Error>;

    /// Makes every write or none, if every condition holds, judged in the order of commits. On return, of either answer,
    /// it and what it was judged against survive power loss, unless whoever opened the store asked for less.
    ///
    /// # Errors
    /// `STORE_FAILURE`: nothing was written. `UNAVAILABLE`: the outcome is unknown until the store is reopened. `CORRUPT`.
    fn commit(&self, batch: Batch) -> Result<Committed, Error>;

    /// The vault's one small blob, or `None` if it was never written.
    ///
    /// # Errors
    /// `CORRUPT` if there is one and it is damaged beyond its second copy; `STORE_FAILURE`, `UNAVAILABLE`.
    fn read_anchor(&self) -> Result<Option<Vec<u8>>, Error>;

    /// Replaces the blob; a crash at any moment leaves the old one or the new one. On return it survives power loss.
    ///
    /// # Errors
    /// `STORE_FAILURE`, `UNAVAILABLE`.
    fn write_anchor(&self, bytes: &[u8]) -> Result<(), Error>;

    /// Does a piece of work on the store as a whole.
    ///
    /// # Errors
    /// `STORE_FAILURE`, `CORRUPT`, `UNAVAILABLE`.
    fn maintain(&self, task: Maintenance) -> Result<StoreStats, Error>;
}

/// Hands every call on to what a pointer points at.
macro_rules! store_behind {
    ($($pointer:ident),+) => {$(
        impl<S: Store + ?Sized> Store for $pointer<S> {
            fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
                (**self).get(table, key)
            }

            fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Entry>, Error> {
                (**self).scan(table, from, to, limit)
            }

            fn commit(&self, batch: Batch) -> Result<Committed, Error> {
                (**self).commit(batch)
            }

            fn read_anchor(&self) -> Result<Option<Vec<u8>>, Error> {
                (**self).read_anchor()
            }

            fn write_anchor(&self, bytes: &[u8]) -> Result<(), Error> {
                (**self).write_anchor(bytes)
            }

            fn maintain(&self, task: Maintenance) -> Result<StoreStats, Error> {
                (**self).maintain(task)
            }
        }
    )+};
}

store_behind!(Arc, Box);
