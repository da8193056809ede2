//! Whether a round waits until more commits have come.
//!
//! Who was answered often commits again at once, and misses the round that has begun: many threads then make two groups,
//! each of which waits for the sync of the other. A round that waits for all of them makes one group, and twice as many
//! commits a sync.

use std::mem;
use std::time::Duration;

/// With less it takes longer to wake all of them, and to be woken, than their sync would take.
const LEAST: Duration = Duration::from_micros(300);
/// However long a sync took.
const MOST: Duration = Duration::from_millis(10);
/// So often the rounds until the next wait are doubled.
const DOUBLED: u32 = 6;

/// What the rounds before tell of the next one.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// Commits that the last round answered, and that waited behind it.
    commits: usize,
    /// How long its sync took; zero if nobody waited for one, so that the next round has none to share.
    sync: Duration,
    /// Waits in vain, one behind the other.
    vain: u32,
    /// Rounds that go on without a wait.
    paused: u32,
}

impl Gathering {
    /// Takes down how long the sync took that a round waited for.
    pub(super) fn synced(&mut self, took: Duration) {
        self.sync = took;
    }

    /// Takes down how many commits a round is about to answer, and how many wait behind it.
    pub(super) fn parts(&mut self, answered: usize, waiting: usize) {
        self.commits = answered + waiting;
    }

    /// How many commits the next round waits for, and how long at most: as long as the sync that it may spare, so that a wait
    /// in vain costs no more than that.
    pub(super) fn expected(&mut self) -> Option<(usize, Duration)> {
        let sync = mem::take(&mut self.sync);
        if self.commits < 2 || sync < LEAST {
            return None;
        }
        if self.paused > 0 {
            self.paused -= 1;
            return None;
        }
        Some((self.commits, sync.min(MOST)))
    }

    /// Takes down whether as many came as were expected: where they do not, it is waited for ever more rarely.
    pub(super) fn came(&mut self, commits: usize) {
        if commits >= self.commits {
            self.vain = 0;
        } else {
            self.paused = 1 << self.vain;
            self.vain = DOUBLED.min(self.vain + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use super::*;
    use crate::store::disk::OnSync;
    use crate::store::sled::SledOptions;
    use crate::store::{Batch, Store, Table};

    const SYNC: Duration = Duration::from_millis(5);

    /// In two groups by turns they would take twice as many syncs as each of them has commits.
    #[test]
    fn threads_that_commit_again_and_again_share_every_sync() {
        const THREADS: u8 = 8;
        const COMMITS: u32 = 100;
        let folder = tempfile::tempdir().unwrap();
        let syncs = Arc::<AtomicU32>::default();
        let counted = Arc::clone(&syncs);
        let slow = OnSync(move |path: &Path| {
            if path.parent().is_some_and(|folder| folder.ends_with("journal")) {
                counted.fetch_add(1, Ordering::Relaxed);
                thread::sleep(SYNC);
            }
        });
        let store = SledOptions::new().disk(Arc::new(slow)).create(folder.path().join("vault")).unwrap();
        store.write_anchor(b"anchor").unwrap();
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let store = &store;
                scope.spawn(move || {
                    for row in 0..COMMITS {
                        let key = [&[thread][..], &row.to_be_bytes()].concat();
                        store.commit(Batch::new().put(Table::Pci, key, [7])).unwrap();
                    }
                });
            }
        });
        let syncs = syncs.load(Ordering::Relaxed);
        assert!((COMMITS..COMMITS * 5 / 4).contains(&syncs), "{syncs} syncs");
    }

    fn expected(
        gathering: &mut Gathering,
        answered: usize,
        waiting: usize,
        sync: Duration,
    ) -> Option<(usize, Duration)> {
        gathering.synced(sync);
        gathering.parts(answered, waiting);
        gathering.expected()
    }

    #[test]
    fn nobody_waits_who_was_alone_or_would_soon_be_through() {
        let mut gathering = Gathering::default();
        assert_eq!(expected(&mut gathering, 1, 0, SYNC), None);
        assert_eq!(expected(&mut gathering, 4, 4, LEAST / 2), None);
        assert_eq!(expected(&mut gathering, 4, 4, SYNC), Some((8, SYNC)));
        assert_eq!(expected(&mut gathering, 4, 4, Duration::from_secs(9)), Some((8, MOST)));
        // A round without a sync of its own.
        gathering.parts(4, 4);
        assert_eq!(gathering.expected(), None);
    }

    #[test]
    fn who_waits_in_vain_waits_ever_more_rarely() {
        let mut gathering = Gathering::default();
        let mut gaps = Vec::new();
        while gaps.len() < 9 {
            let mut gap = 0;
            while expected(&mut gathering, 1, 1, SYNC).is_none() {
                gap += 1;
            }
            gaps.push(gap);
            gathering.came(1);
        }
        assert_eq!(gaps, [0, 1, 2, 4, 8, 16, 32, 64, 64]);
        while expected(&mut gathering, 1, 1, SYNC).is_none() {}
        gathering.came(2);
        assert!(expected(&mut gathering, 1, 1, SYNC).is_some());
    }
}
