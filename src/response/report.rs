//! What the vault says of its own work and state.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::response::instant;

/// What a sweep has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SweepReport {
    /// Expired generic tokens that were removed.
    pub expired_generic: u64,
    /// Expired PCI tokens that were removed.
    pub expired_pci: u64,
    /// Expired sessions that were removed.
    pub expired_sessions: u64,
    /// Other expired entries that were removed.
    pub expired_other: u64,
    /// Expired and not removed: entries that fail authentication, and those that have expired only by a leap of the clock, see
    /// [`Vault::confirm_clock`](crate::Vault::confirm_clock).
    pub remaining: u64,
}

/// What indexing fingerprints has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IndexReport {
    /// Tokens that were given a fingerprint.
    pub indexed: u64,
    /// Tokens that had one already.
    pub already: u64,
    /// Tokens without one: they fail authentication, and stay where they are.
    pub remaining: u64,
}

impl IndexReport {
    /// Counts another part of the work.
    pub(crate) fn add(&mut self, part: Self) {
        self.indexed += part.indexed;
        self.already += part.already;
        self.remaining += part.remaining;
    }
}

/// What compacting a vault has given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CompactReport {
    /// Bytes that the store took on disk before.
    pub bytes_before: u64,
    /// Bytes that it takes now; before the end, those of a copy under way are among them.
    pub bytes_after: u64,
    /// Entries that have still to be gone over, each once to be copied and once to be checked; 0 at the end.
    pub remaining: u64,
}

/// Counts, keys and bytes of a vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stats {
    /// Generic tokens, those included that have expired and are not yet removed.
    pub generic_tokens: u64,
    /// PCI tokens, those included that have expired and are not yet removed.
    pub pci_tokens: u64,
    /// Payload types.
    pub payload_types: u64,
    /// Sessions, those included that were completed or have expired and are not yet removed.
    pub sessions: u64,
    /// Tokens of both kinds that have an expiry.
    pub expiring_tokens: u64,
    /// The data keys that can open records.
    pub key_epochs: Vec<KeyEpoch>,
    /// Bytes that the store takes on disk.
    pub bytes_on_disk: u64,
}

/// A data key of a vault. PCI DSS 3.7.4 wants keys changed at the end of their cryptoperiod: age and use are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeyEpoch {
    /// The number of the epoch, from 1.
    pub epoch: u32,
    /// Whether it seals new records; otherwise it only opens old ones.
    pub active: bool,
    /// When it was made.
    #[serde(with = "instant")]
    pub created_at: DateTime<Utc>,
    /// Records that it has sealed, new and changed ones, as counted when the vault was last closed and since: after a crash, a lower bound.
    pub sealed_records: u64,
}
