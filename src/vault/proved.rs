//! What idempotency keys have led to, as far as this process has written or proved their entries. An entry never changes while it
//! stands, so that a request that comes again soon needs neither another look into the store nor another proof.

use std::sync::atomic::{AtomicI64, Ordering};

use quick_cache::sync::Cache;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::record::Kind;
use crate::seal::HASH;
use crate::vault::watch::Reading;

/// At most so many entries, about 100 bytes each.
const ENTRIES: usize = 1 << 17;

/// What a request has led to, and until when that is remembered.
#[derive(Clone, Copy)]
pub(super) struct Proved {
    pub(super) kind: Kind,
    pub(super) target: Uuid,
    pub(super) expires_at: Timestamp,
}

/// What is at hand, by the keyed hash of the request under its key.
pub(super) struct ProvedEntries {
    entries: Cache<[u8; HASH], Proved>,
    /// In ms: what expires up to here may have been removed. The clock may go back; what is removed does not come back.
    ended: AtomicI64,
}

impl ProvedEntries {
    pub(super) fn keep(&self, request: [u8; HASH], proved: Proved) {
        self.entries.insert(request, proved);
    }

    /// What the request has led to, if that is at hand and its time has not come.
    pub(super) fn of(&self, request: &[u8; HASH], reading: &Reading) -> Option<Proved> {
        let proved = self.entries.get(request)?;
        // Behind the look: an entry that was removed before is not found for that.
        let ended = proved.expires_at.as_millis() <= self.ended.load(Ordering::Acquire);
        (!ended && proved.expires_at > reading.removable).then_some(proved)
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
