//! Entries of idempotency keys that this process has written or proved. An entry never changes while it stands, so that a
//! request that comes again soon is answered without another look into the store, and without another proof.

use std::sync::atomic::{AtomicI64, Ordering};

use quick_cache::sync::Cache;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::record::Replay;
use crate::vault::watch::Reading;

/// At most so many entries, about 100 bytes each.
const ENTRIES: usize = 1 << 17;

/// What an entry says, and until when.
#[derive(Clone, Copy)]
pub(super) struct Proved {
    pub(super) entry: Replay,
    pub(super) expires_at: Timestamp,
}

/// The entries that are at hand, by where they stand.
pub(super) struct ProvedEntries {
    entries: Cache<Uuid, Proved>,
    /// In ms: what expires up to here may have been removed. The clock may go back; what is removed does not come back.
    ended: AtomicI64,
}

impl ProvedEntries {
    pub(super) fn keep(&self, id: Uuid, proved: Proved) {
        self.entries.insert(id, proved);
    }

    /// The entry, if it is at hand and its time has not come.
    pub(super) fn at(&self, id: Uuid, reading: &Reading) -> Option<Replay> {
        let Proved { entry, expires_at } = self.entries.get(&id)?;
        // Behind the look: an entry that was removed before is not found for that.
        let ended = expires_at.as_millis() <= self.ended.load(Ordering::Acquire);
        (!ended && expires_at > reading.removable).then_some(entry)
    }

    /// From here on nothing is at hand that expires up to an instant: called before that is removed.
    pub(super) fn end(&self, until: Timestamp) {
        self.ended.fetch_max(until.as_millis(), Ordering::AcqRel);
    }
}

impl Default for ProvedEntries {
    fn default() -> Self {
        Self { entries: Cache::new(ENTRIES), ended: AtomicI64::new(i64::MIN) }
    }
}
