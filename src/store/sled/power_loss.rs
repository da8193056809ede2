//! Promise: what was acknowledged survives the loss of power.
//!
//! The disk of these tests keeps, beside the real folder, a *platter*: of each file what it held when it was last synced,
//! of each folder the names that it had then, and nothing else. Threads write and remove rows of all sizes; at a random
//! moment the power goes, the platter is opened as a vault, and every acknowledged row must be there. The same test with
//! a disk that leaves out the sync of the log, as sled alone does, loses rows: so it would notice. A disk may also have
//! kept any part of what was written since the last sync: then the same holds, or the vault says that it is damaged.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};
use std::{array, thread};

use crate::error::{Error, ErrorKind};
use crate::store::journal::Sizes;
use crate::store::sled::platter::{Kind, Platter, next};
use crate::store::sled::{SledOptions, SledStore};
use crate::store::{Batch, Committed, Durability, Maintenance, Store, Table};

/// From nothing to the largest value of the port; a page of the larger ones would be a blob with sled's own segments.
const SIZES: [usize; 7] = [0, 25, 500, 500, 16 << 10, 48 << 10, 64 << 10];

const KEYS_PER_THREAD: usize = 24;

/// So small that segments are used again all the time.
const SMALL: Sizes = Sizes { segment: 256 << 10, journal: 1 << 20 };

/// Which syncs reach the platter, once the vault is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Syncs {
    All,
    /// All but those of such files.
    AllBut(Kind),
    /// All, and of what was written since then any blocks; the power goes in the sync of such a file.
    AllAndMore(Kind),
}

/// What the threads of one life of a vault share.
struct Life<'a> {
    store: &'a SledStore,
    platter: &'a Platter,
    random: &'a AtomicU64,
    acknowledged: AtomicU64,
}

/// What may stand at a key: what was last acknowledged, and what was asked for since.
type MayStand = Vec<Option<Vec<u8>>>;

/// Writes and removes rows of its own until the power goes; answers what may stand at each of its keys then.
fn churn(life: &Life<'_>, thread: u8) -> [MayStand; KEYS_PER_THREAD] {
    let Life { store, platter, random, acknowledged } = life;
    let mut known: [MayStand; KEYS_PER_THREAD] = array::from_fn(|_| vec![None]);
    loop {
        let key = usize::try_from(next(random)).unwrap() % KEYS_PER_THREAD;
        let size = SIZES[usize::try_from(next(random)).unwrap() % SIZES.len()];
        let fill = u8::try_from(next(random) % 256).unwrap();
        let value = (fill % 5 > 0).then(|| vec![fill; size]);
        known[key].push(value.clone());
        let row = [thread, u8::try_from(key).unwrap()];
        let batch = match &value {
            Some(value) => Batch::new().put(Table::Pci, row, value.clone()).put(Table::Expiry, row, [fill]),
            None => Batch::new().remove(Table::Pci, row).remove(Table::Expiry, row),
        };
        assert_eq!(store.commit(batch).unwrap(), Committed::Applied);
        if !platter.has_power() {
            return known;
        }
        known[key] = vec![value];
        acknowledged.fetch_add(1, Ordering::SeqCst);
    }
}

/// Rows that are neither what was acknowledged nor what was asked for.
fn lost(store: &SledStore, thread: u8, known: &[MayStand]) -> Result<usize, Error> {
    let mut lost = 0;
    for (key, may_stand) in known.iter().enumerate() {
        let row = [thread, u8::try_from(key).unwrap()];
        let found = store.get(Table::Pci, &row)?;
        let due = store.get(Table::Expiry, &row)?;
        assert_eq!(found.is_some(), due.is_some(), "a batch is whole or not there");
        lost += usize::from(!may_stand.contains(&found));
    }
    Ok(lost)
}

/// One life of a vault: the power goes after so many commits. Answers how many rows were lost with it.
fn lose_power(threads: u8, syncs: Syncs, seed: u64, commits: u64) -> Result<usize, Error> {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let platter = Platter::new();
    let path = folder.join("vault");
    let store = SledOptions::new().disk(platter.clone()).journal(SMALL).create(&path).unwrap();
    store.write_anchor(b"anchor").unwrap();
    if let Syncs::AllBut(kind) = syncs {
        platter.kept.lock().unwrap().left_out = Some(kind);
    }
    let random = AtomicU64::new(seed);
    let life = Life { store: &store, platter: &platter, random: &random, acknowledged: AtomicU64::new(0) };
    let known: Vec<_> = thread::scope(|scope| {
        let life = &life;
        let churns: Vec<_> = (0..threads).map(|thread| scope.spawn(move || churn(life, thread))).collect();
        while life.acknowledged.load(Ordering::SeqCst) < commits {
            assert!(!churns.iter().any(ScopedJoinHandle::is_finished), "a commit failed");
            thread::sleep(Duration::from_millis(1));
        }
        match syncs {
            Syncs::AllAndMore(kind) => platter.cut_power_in_sync(kind),
            Syncs::All | Syncs::AllBut(_) => platter.cut_power(),
        }
        churns.into_iter().map(|churn| churn.join().unwrap()).collect()
    });
    drop(store);
    let restored = folder.join("restored");
    platter.restore(&path, &restored);
    if let Syncs::AllAndMore(_) = syncs {
        let changed = platter.add_unsynced(&restored, &random);
        assert_ne!(changed, 0, "nothing was in flight");
    }
    let store = SledStore::open(&restored)?;
    assert_eq!(store.read_anchor()?.as_deref(), Some(&b"anchor"[..]));
    store.maintain(Maintenance::Stats)?;
    (0..threads).zip(&known).map(|(thread, known)| lost(&store, thread, known)).sum()
}

#[test]
fn every_acknowledged_row_survives_the_loss_of_power() {
    for (threads, commits) in [(1, 50), (8, 100), (8, 500), (16, 700)] {
        let seed = 0x9e37_79b9_7f4a_7c15 ^ commits ^ u64::from(threads);
        assert_eq!(lose_power(threads, Syncs::All, seed, commits).unwrap(), 0, "{threads} threads");
    }
}

/// The end of the journal is torn, and what was acknowledged is in front of it.
#[test]
fn groups_that_reached_the_disk_in_part_take_nothing() {
    for trial in 0..12 {
        let syncs = Syncs::AllAndMore(Kind::Journal);
        let lost = lose_power(8, syncs, 0x9e37_79b9_7f4a_7c15 ^ trial, 60 + trial * 17);
        assert_eq!(lost.unwrap(), 0, "trial {trial}");
    }
}

#[test]
fn writes_that_reached_the_disk_in_part_take_nothing_silently() {
    let mut opened = 0;
    for trial in 0..12 {
        let syncs = Syncs::AllAndMore(Kind::Log);
        match lose_power(8, syncs, 0x9e37_79b9_7f4a_7c15 ^ trial, 60 + trial * 17) {
            Ok(lost) => {
                assert_eq!(lost, 0, "trial {trial}");
                opened += 1;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}"),
        }
    }
    assert!(opened > 0);
}

#[test]
fn without_the_sync_of_the_journal_rows_are_lost() {
    assert_ne!(lose_power(8, Syncs::AllBut(Kind::Journal), 7, 100).unwrap(), 0);
}

/// Segments of the journal are used again once sled has their rows: so that has to be true.
#[test]
fn without_the_sync_of_the_log_rows_are_missing() {
    let error = lose_power(8, Syncs::AllBut(Kind::Log), 7, 500).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

#[test]
fn a_reopened_vault_survives_the_loss_of_power() {
    let folder = tempfile::tempdir().unwrap();
    let (path, platter) = (folder.path().join("vault"), Platter::new());
    let options = SledOptions::new().disk(platter.clone());
    let mut written = 0_u8;
    drop(options.open_or_create(&path).unwrap());
    for life in 0..4 {
        let store = options.open_or_create(&path).unwrap();
        store.write_anchor(&[life]).unwrap();
        for _ in 0..5 {
            written += 1;
            let batch = Batch::new().put(Table::Pci, [written], vec![written; 48 << 10]);
            assert_eq!(store.commit(batch).unwrap(), Committed::Applied);
        }
        drop(store);
        let restored = folder.path().join(format!("restored-{life}"));
        platter.restore(&path, &restored);
        let store = SledStore::open(&restored).unwrap();
        assert_eq!(store.read_anchor().unwrap(), Some(vec![life]));
        for row in 1..=written {
            assert_eq!(store.get(Table::Pci, &[row]).unwrap(), Some(vec![row; 48 << 10]), "life {life}, row {row}");
        }
    }
}

/// Does a little of everything until the power goes before a sync; answers the rows that were acknowledged until then, of
/// which that of the last may or may not be there, and whether the power went.
fn live_until(sync: u64, path: &Path, platter: &Arc<Platter>) -> (Vec<Option<Vec<u8>>>, bool) {
    let options = SledOptions::new().disk(platter.clone()).journal(SMALL);
    let mut rows = vec![None; 40];
    platter.kept.lock().unwrap().left = Some(sync);
    drop(options.create(path).unwrap());
    for life in 0..3_u8 {
        let store = options.open_or_create(path).unwrap();
        store.write_anchor(b"anchor").unwrap();
        for step in 0..40_u8 {
            let (row, fill) = (step.wrapping_mul(7) % 40, life * 40 + step);
            let value = vec![fill; SIZES[usize::from(fill) % SIZES.len()]];
            let removed = step % 5 == 4;
            let batch = if removed {
                Batch::new().remove(Table::Pci, [row])
            } else {
                Batch::new().put(Table::Pci, [row], value.clone())
            };
            assert_eq!(store.commit(batch).unwrap(), Committed::Applied);
            if !platter.has_power() {
                return (rows, true);
            }
            rows[usize::from(row)] = (!removed).then_some(value);
            if step == 20 {
                store.maintain(Maintenance::Checkpoint).unwrap();
            }
        }
    }
    (rows, !platter.has_power())
}

/// A life in which the power goes before a sync of that number; whether there was one.
fn cut_before(sync: u64) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let (path, platter) = (folder.path().join("vault"), Platter::new());
    let (rows, power_went) = live_until(sync, &path, &platter);
    let restored = folder.path().join("restored");
    platter.restore(&path, &restored);
    let store = SledOptions::new().journal(SMALL).open_or_create(&restored).unwrap();
    let found: Vec<_> = (0..40).map(|row| store.get(Table::Pci, &[row]).unwrap()).collect();
    let differing = rows.iter().zip(&found).filter(|(known, found)| known != found).count();
    assert!(differing <= usize::from(power_went), "before sync {sync}: {differing} rows differ");
    store.maintain(Maintenance::Close).unwrap();
    power_went
}

/// In the making of the vault and of a segment, between sled's sync and the next use of a segment, in a close, in the
/// recovery after one.
#[test]
fn the_power_may_go_before_any_sync() {
    const LANES: usize = 4;
    let cuts: usize = thread::scope(|scope| {
        let lane = |first| (first..).step_by(LANES).take_while(|sync| cut_before(*sync)).count();
        let lanes: Vec<_> = (1..).take(LANES).map(|first| scope.spawn(move || lane(first))).collect();
        lanes.into_iter().map(|lane| lane.join().unwrap()).sum()
    });
    assert!(cuts > 200, "{cuts}");
}

/// What survives is the beginning of what was acknowledged, and all of it that is older than it may be.
#[test]
fn what_survives_only_the_process_is_lost_from_its_end() {
    for (trial, syncs) in [Syncs::All, Syncs::AllAndMore(Kind::Journal)].into_iter().cycle().take(8).enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let (path, platter) = (folder.path().join("vault"), Platter::new());
        let options = SledOptions::new().durability(Durability::Process).journal(SMALL);
        let store = options.clone().disk(platter.clone()).create(&path).unwrap();
        store.write_anchor(b"anchor").unwrap();
        let mut acknowledged = Vec::new();
        let end = Duration::from_millis(400 + 37 * u64::try_from(trial).unwrap());
        let start = Instant::now();
        while platter.has_power() && start.elapsed() < end + Duration::from_secs(5) {
            let row = u32::try_from(acknowledged.len()).unwrap().to_be_bytes();
            assert_eq!(store.commit(Batch::new().put(Table::Pci, row, vec![7; 700])).unwrap(), Committed::Applied);
            assert_eq!(store.get(Table::Pci, &row).unwrap().map(|value| value.len()), Some(700), "it is seen at once");
            acknowledged.push(Instant::now());
            if start.elapsed() >= end {
                match syncs {
                    Syncs::AllAndMore(kind) => platter.cut_power_in_sync(kind),
                    _ => platter.cut_power(),
                }
            }
        }
        let cut = Instant::now();
        drop(store);
        let restored = folder.path().join("restored");
        platter.restore(&path, &restored);
        if let Syncs::AllAndMore(_) = syncs {
            platter.add_unsynced(&restored, &AtomicU64::new(0x9e37_79b9 + u64::try_from(trial).unwrap()));
        }
        for life in 0..2 {
            let store = options.open(&restored).unwrap();
            let rows = store.scan(Table::Pci, &[], &[0xff; 5], usize::MAX).unwrap();
            assert!(rows.iter().map(|(key, _)| key.clone()).eq((0_u32..).take(rows.len()).map(u32::to_be_bytes)));
            // A machine under load is late; that it took seconds would be told.
            let old = acknowledged.iter().take_while(|at| cut.duration_since(**at) > Duration::from_secs(2)).count();
            assert!(rows.len() >= old && rows.len() <= acknowledged.len() + 1, "trial {trial}, life {life}");
        }
    }
}

#[test]
fn what_survives_only_the_process_is_soon_synced() {
    let folder = tempfile::tempdir().unwrap();
    let (path, platter) = (folder.path().join("vault"), Platter::new());
    let options = SledOptions::new().durability(Durability::Process).disk(platter.clone());
    let store = options.create(&path).unwrap();
    store.write_anchor(b"anchor").unwrap();
    let is_durable = |row: u8, name: &str| {
        let restored = folder.path().join(name);
        platter.restore(&path, &restored);
        SledStore::open(&restored).unwrap().get(Table::Pci, &[row]).unwrap().is_some()
    };
    store.commit(Batch::new().put(Table::Pci, [1], [1])).unwrap();
    let start = Instant::now();
    let mut tries = 0;
    while !is_durable(1, &format!("waited-{tries}")) {
        assert!(start.elapsed() < Duration::from_secs(5), "nobody syncs it");
        tries += 1;
    }
    // Otherwise the pass for the first row would ask for a sync.
    store.maintain(Maintenance::Checkpoint).unwrap();
    store.commit(Batch::new().put(Table::Pci, [2], [2])).unwrap();
    store.maintain(Maintenance::Checkpoint).unwrap();
    assert!(is_durable(2, "checkpointed"), "a checkpoint syncs everything");
}

#[test]
fn no_page_is_kept_outside_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault");
    let store = SledStore::create(&path).unwrap();
    for round in 0..10_u8 {
        let row = |row: u8| (vec![row; 64], vec![round; 64 << 10]);
        let rows = (0..40).map(row);
        let batch = rows.fold(Batch::new(), |batch, (key, value)| batch.put(Table::Pci, key, value));
        assert_eq!(store.commit(batch).unwrap(), Committed::Applied);
        for row in (0..40).filter(|row| row % 3 == round % 3) {
            assert_eq!(store.commit(Batch::new().remove(Table::Pci, vec![row; 64])).unwrap(), Committed::Applied);
        }
    }
    assert_eq!(fs::read_dir(path.join("sled/blobs")).unwrap().count(), 0);
}
