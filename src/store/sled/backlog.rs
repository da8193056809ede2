//! What is committed and not yet in sled: a map in memory that readers see before it.
//!
//! A row is taken out only once sled has it, and readers look here first: so none is ever missed. What is not in sled
//! durably stands in the journal.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use crate::store::sled::tally::Tally;

/// No commit is begun while so many rows are not durable in sled: it bounds memory, and how long an open after a crash
/// takes.
const MOST: Load = Load { rows: 100_000, bytes: 32 << 20 };

/// Rows wait for company for as long as this: many at once are cheaper, sorted, and their syncs are fewer.
pub(super) const COMPANY: Duration = Duration::from_secs(1);
/// That many rows or bytes of journal need no more company.
const ENOUGH: Load = Load { rows: 40_000, bytes: 14 << 20 };
const JOURNAL_ENOUGH: u64 = 24 << 20;

/// What a row weighs in memory, beside its bytes.
const ROW_WEIGHT: u64 = 128;

/// Keys are told apart by their last bytes into so many groups, each with a moment of its own: what leaves one says nothing of
/// the others. Most keys end with an id, which is random.
const GROUPS: u16 = 4_096;

/// A key or a value, held by the map and by whoever reads it.
pub(super) type Bytes = Arc<[u8]>;

/// What stands at a key; a value of `None` stands for its removal.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) round: u64,
    pub(super) value: Option<Bytes>,
    /// Whether sled cannot have anything at its key.
    pub(super) is_new: bool,
}

/// Rows as they were committed, also if a later one has taken the place of an earlier one: the journal has both.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    rows: u64,
    bytes: u64,
}

impl Load {
    fn add(&mut self, key: &[u8], row: &Row) {
        let value = row.value.as_ref().map_or(0, |value| value.len());
        self.rows += 1;
        self.bytes += ROW_WEIGHT + (key.len() + value) as u64;
    }

    /// Whether it is more than an earlier one by as much as `most`.
    fn exceeds(self, earlier: Self, most: Self) -> bool {
        self.rows - earlier.rows >= most.rows || self.bytes - earlier.bytes >= most.bytes
    }
}

/// How far things are.
#[derive(Debug)]
struct Progress {
    /// After the last round that is durable in the journal.
    settled: Tally,
    /// The last round that is durable in sled.
    applied: u64,
    /// All rows that have ever landed.
    landed: Load,
    /// Of these, those that are durable in the journal, that were so when the last pass began, and that are durable in
    /// sled.
    ready: Load,
    begun: Load,
    done: Load,
    /// When the oldest row came in that no pass has begun to apply.
    since: Option<Instant>,
    /// Bytes of journal that were written since the last pass began.
    journal: u64,
    /// Whether the rows of a round are being applied.
    in_pass: bool,
    /// The last round for which somebody waits until it is applied.
    wanted: u64,
    /// How many wait for the applying thread to get on. To tell nobody is a call to the system too.
    waiting: usize,
    /// Whether no more rounds will come, or it makes no sense to apply them.
    ended: bool,
}

/// The rows that wait to be applied.
#[derive(Debug)]
pub(super) struct Backlog {
    rows: RwLock<BTreeMap<Bytes, Row>>,
    /// As many as there are rows, so that readers pass an empty map without its lock.
    count: AtomicUsize,
    /// How often rows have left it.
    left: AtomicU64,
    /// The same, of each of the [`GROUPS`].
    moments: Vec<AtomicU64>,
    progress: Mutex<Progress>,
    /// Whether the applying thread has met a row that is not yet durable.
    unsynced: AtomicBool,
    /// Tells the applying thread that there is something to do.
    due: Condvar,
    /// Tells whoever waits for it that it has done something.
    done: Condvar,
}

impl Backlog {
    /// Nothing waits; `tally` is that of the last round, which is durable in sled.
    pub(super) fn new(tally: Tally) -> Self {
        let progress = Progress {
            settled: tally,
            applied: tally.round,
            landed: Load::default(),
            ready: Load::default(),
            begun: Load::default(),
            done: Load::default(),
            since: None,
            journal: 0,
            in_pass: false,
            wanted: 0,
            waiting: 0,
            ended: false,
        };
        Self {
            rows: RwLock::default(),
            count: AtomicUsize::new(0),
            left: AtomicU64::new(0),
            moments: (0..GROUPS).map(|_| AtomicU64::new(0)).collect(),
            progress: Mutex::new(progress),
            unsynced: AtomicBool::new(false),
            due: Condvar::new(),
            done: Condvar::new(),
        }
    }

    /// Changes whenever rows have left the backlog.
    pub(super) fn moment(&self) -> u64 {
        self.left.load(Ordering::SeqCst)
    }

    /// Changes whenever the row of this key has left the backlog: what sled had at two looks at the same moment is the same.
    pub(super) fn moment_of(&self, key: &[u8]) -> u64 {
        self.group(key).map_or(0, |moment| moment.load(Ordering::SeqCst))
    }

    fn group(&self, key: &[u8]) -> Option<&AtomicU64> {
        let end = key.last_chunk::<2>().map_or(0, |end| u16::from_be_bytes(*end));
        self.moments.get(usize::from(end % GROUPS))
    }

    /// What is said of a key: `None` if nothing is, so that sled knows.
    pub(super) fn get(&self, key: &[u8]) -> Option<Row> {
        if self.count.load(Ordering::SeqCst) == 0 { None } else { self.read().get(key).cloned() }
    }

    /// The rows of a range in their order, up to the one with which there are `limit` values.
    pub(super) fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<(Bytes, Row)> {
        if self.count.load(Ordering::SeqCst) == 0 || from >= to {
            return Vec::new();
        }
        let (rows, mut values) = (self.read(), 0);
        let range = rows.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
        let few = range.take_while(|(_, row)| {
            values += usize::from(row.value.is_some());
            values <= limit
        });
        few.map(|(key, row)| (Arc::clone(key), row.clone())).collect()
    }

    /// Lets everyone see the rows of a round.
    pub(super) fn land(&self, rows: impl Iterator<Item = (Bytes, Row)>) {
        let (mut held, mut load) = (self.write(), self.progress().landed);
        for (key, mut row) in rows {
            load.add(&key, &row);
            match held.entry(key) {
                Entry::Vacant(place) => drop(place.insert(row)),
                Entry::Occupied(mut earlier) => {
                    row.is_new |= earlier.get().is_new;
                    earlier.insert(row);
                }
            }
        }
        self.count.store(held.len(), Ordering::SeqCst);
        drop(held);
        self.progress().landed = load;
    }

    /// Notes that every round that has landed is durable in the journal, by so many bytes more of it: they may be applied.
    pub(super) fn settle(&self, tally: Tally, journal: u64) {
        let mut progress = self.progress();
        let (is_first, had_enough) = (progress.since.is_none(), has_enough(&progress));
        progress.settled = tally;
        progress.ready = progress.landed;
        progress.journal += journal;
        progress.since.get_or_insert_with(Instant::now);
        if is_first || (has_enough(&progress) && !had_enough) {
            self.due.notify_one();
        }
        self.tell(&progress);
    }

    /// Waits until there are rows to apply, for company too; answers the tally to which they lead, or `None` at the
    /// end.
    pub(super) fn begin_pass(&self, company: Duration) -> Option<Tally> {
        let mut progress = self.progress();
        loop {
            if progress.ended {
                return None;
            }
            let Some(since) = progress.since else {
                progress = self.due.wait(progress).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let waits = progress.applied >= progress.wanted && !has_enough(&progress);
            let wait = if waits { company.saturating_sub(since.elapsed()) } else { Duration::ZERO };
            if wait.is_zero() {
                (progress.since, progress.journal, progress.in_pass) = (None, 0, true);
                progress.begun = progress.ready;
                return Some(progress.settled);
            }
            progress = self.due.wait_timeout(progress, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The first rows behind a key.
    pub(super) fn behind(&self, key: Option<&Bytes>, limit: usize) -> Vec<(Bytes, Row)> {
        let from = key.map_or(Bound::Unbounded, |key| Bound::Excluded(&**key));
        let rows = self.read();
        let range = rows.range::<[u8], _>((from, Bound::Unbounded));
        range.take(limit).map(|(key, row)| (Arc::clone(key), row.clone())).collect()
    }

    /// Takes out rows that are in sled, unless later ones have taken their place.
    pub(super) fn forget(&self, applied: &[(Bytes, Row)]) {
        let mut held = self.write();
        self.left.fetch_add(1, Ordering::SeqCst);
        for (key, row) in applied {
            if let Some(moment) = self.group(key) {
                moment.fetch_add(1, Ordering::SeqCst);
            }
            match held.get_mut(key) {
                // Sled has what this one takes the place of.
                Some(held) if held.round > row.round => held.is_new = false,
                _ => drop(held.remove(key)),
            }
        }
        self.count.store(held.len(), Ordering::SeqCst);
        drop(held);
        self.tell(&self.progress());
    }

    /// Notes that every round up to this one is durable in sled.
    pub(super) fn end_pass(&self, round: u64) {
        let mut progress = self.progress();
        progress.applied = round;
        progress.done = progress.begun;
        progress.in_pass = false;
        self.tell(&progress);
    }

    /// The last round that is durable in sled.
    pub(super) fn applied(&self) -> u64 {
        self.progress().applied
    }

    /// Whether so much waits that no commit should be begun.
    pub(super) fn is_full(&self) -> bool {
        let progress = self.progress();
        progress.landed.exceeds(progress.done, MOST)
    }

    /// Whether every round up to this one is durable in sled; if not, what waits is applied without waiting for company.
    pub(super) fn hasten(&self, round: u64) -> bool {
        let mut progress = self.progress();
        let is_applied = progress.applied >= round || !(progress.in_pass || progress.since.is_some());
        // What comes later is not waited for: more will come with every moment.
        let wanted = round.min(progress.settled.round);
        if !is_applied && progress.wanted < wanted {
            progress.wanted = wanted;
            self.due.notify_one();
        }
        is_applied
    }

    /// Whether a round is durable in the journal; if not, its sync is asked for.
    pub(super) fn is_settled(&self, round: u64) -> bool {
        let is_settled = self.progress().settled.round >= round;
        if !is_settled {
            self.unsynced.store(true, Ordering::SeqCst);
        }
        is_settled
    }

    /// Whether a sync was asked for since the last time that this was called.
    pub(super) fn wants_sync(&self) -> bool {
        self.unsynced.swap(false, Ordering::SeqCst)
    }

    /// Waits for other threads to get on until a condition holds; `false` if nothing happened for longer than `patience`.
    /// The clock runs on while a process is stopped, so that its pauses are counted, and not the time.
    pub(super) fn wait(&self, patience: Duration, until: impl Fn() -> bool) -> bool {
        // Between `until` and the pause something may happen: so the pause is short.
        const PAUSE: Duration = Duration::from_millis(5);
        let (most, mut pauses) = (patience.as_millis() / PAUSE.as_millis(), 0);
        while !until() {
            if pauses > most {
                return false;
            }
            let mut progress = self.progress();
            progress.waiting += 1;
            let waited = self.done.wait_timeout(progress, PAUSE);
            let (mut progress, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            progress.waiting -= 1;
            pauses = if waited.timed_out() { pauses + 1 } else { 0 };
        }
        true
    }

    /// Whether the applying thread should give up.
    pub(super) fn has_ended(&self) -> bool {
        self.progress().ended
    }

    /// Lets the applying thread end, and whoever waits for it look again.
    pub(super) fn end(&self) {
        self.progress().ended = true;
        self.due.notify_all();
        self.done.notify_all();
    }

    /// Lets whoever waits look again. Under the lock: whoever is about to wait would miss it.
    fn tell(&self, progress: &Progress) {
        if progress.waiting > 0 {
            self.done.notify_all();
        }
    }

    // Nothing under these locks stops half way, so a poisoned one guards sound data.
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Bytes, Row>> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<Bytes, Row>> {
        self.rows.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn has_enough(progress: &Progress) -> bool {
    progress.ready.exceeds(progress.begun, ENOUGH) || progress.journal >= JOURNAL_ENOUGH
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn land(backlog: &Backlog, round: u64, rows: u64) {
        let row = |row: u64| (Bytes::from(row.to_be_bytes()), Row { round, value: None, is_new: false });
        backlog.land((0..rows).map(row));
        backlog.settle(Tally { round, ..Tally::default() }, 0);
    }

    /// What is in sled but not durable there is still to be done after a crash.
    #[test]
    fn what_waits_for_a_sync_of_sled_takes_room() {
        let backlog = Backlog::new(Tally::default());
        land(&backlog, 1, MOST.rows / 2);
        land(&backlog, 2, MOST.rows / 2);
        assert!(backlog.is_full());
        let pass = backlog.begin_pass(COMPANY).unwrap();
        backlog.forget(&backlog.behind(None, usize::MAX));
        assert!(backlog.is_full());
        backlog.end_pass(pass.round);
        assert!(!backlog.is_full());
    }

    #[test]
    fn what_comes_after_a_round_that_somebody_waits_for_waits_for_company() {
        const SHORT: Duration = Duration::from_millis(300);
        let backlog = Backlog::new(Tally::default());
        land(&backlog, 1, 1);
        assert!(!backlog.hasten(u64::MAX));
        let pass = backlog.begin_pass(Duration::MAX).unwrap();
        land(&backlog, 2, 1);
        backlog.end_pass(pass.round);
        assert!(backlog.hasten(1));
        let start = Instant::now();
        assert_eq!(backlog.begin_pass(SHORT).map(|tally| tally.round), Some(2));
        assert!(start.elapsed() > SHORT / 2);
    }

    /// What was seen of a key stays true while rows of other groups leave.
    #[test]
    fn a_moment_is_that_of_the_keys_with_the_same_end() {
        let backlog = Backlog::new(Tally::default());
        land(&backlog, 1, 5_000);
        let key = |end: u64| end.to_be_bytes();
        let group = u64::from(GROUPS);
        let ends = [7, 7 + group, 8, 7 + group / 2];
        let moments = || ends.map(|end| backlog.moment_of(&key(end)));
        let (before, all) = (moments(), backlog.moment());
        let rows = backlog.behind(Some(&Bytes::from(key(6))), 1);
        assert_eq!(*rows[0].0, key(7));
        backlog.forget(&rows);
        assert_eq!(moments(), [before[0] + 1, before[1] + 1, before[2], before[3]]);
        assert_eq!(backlog.moment(), all + 1);
        // Also if a later row has taken the place of the one that left.
        land(&backlog, 2, 1);
        let rows = backlog.behind(None, 1);
        let before = backlog.moment_of(&key(0));
        land(&backlog, 3, 1);
        backlog.forget(&rows);
        assert!(backlog.get(&key(0)).is_some() && backlog.moment_of(&key(0)) > before);
    }

    /// What takes its place before it is in sled is told from what does so afterwards.
    #[test]
    fn a_row_is_new_until_sled_has_it() {
        let backlog = Backlog::new(Tally::default());
        let key = Bytes::from(*b"key");
        let land = |round, is_new| backlog.land([(Arc::clone(&key), Row { round, value: None, is_new })].into_iter());
        land(1, true);
        land(2, false);
        assert!(backlog.get(&key).unwrap().is_new);
        let applied = backlog.behind(None, 1);
        land(3, false);
        backlog.forget(&applied);
        assert!(!backlog.get(&key).unwrap().is_new);
    }

    #[test]
    fn whoever_waits_for_rows_hears_of_the_first_and_of_enough() {
        const MOMENT: Duration = Duration::from_millis(100);
        for (company, rows) in [(Duration::ZERO, 1), (Duration::MAX, ENOUGH.rows)] {
            let backlog = Backlog::new(Tally::default());
            thread::scope(|scope| {
                let pass = scope.spawn(|| backlog.begin_pass(company));
                thread::sleep(MOMENT);
                land(&backlog, 1, 1);
                if rows > 1 {
                    thread::sleep(MOMENT);
                    assert!(!pass.is_finished(), "one row waits for company");
                    land(&backlog, 2, rows);
                }
                assert!(pass.join().unwrap().is_some());
            });
        }
    }
}
