//! Promise: while sled is written anew commits and reads go on, and see everything.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::store::disk::OnSync;
use crate::store::journal::Sizes;
use crate::store::sled::platter::next;
use crate::store::sled::{SledOptions, SledStore};
use crate::store::{Batch, Maintenance, Store, Table};

pub(super) type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

pub(super) fn key(row: u32) -> Vec<u8> {
    row.wrapping_mul(0x9e37_79b9).to_be_bytes().to_vec()
}

/// Makes rows, and removes all of them but each of so many.
pub(super) fn fill(store: &SledStore, rows: u32, kept: u32) -> Rows {
    store.write_anchor(b"anchor").unwrap();
    let commit = |rows: Vec<u32>, change: fn(Batch, u32) -> Batch| {
        for rows in rows.chunks(500) {
            store.commit(rows.iter().fold(Batch::new(), |batch, row| change(batch, *row))).unwrap();
        }
        store.maintain(Maintenance::Checkpoint).unwrap();
    };
    commit((0..rows).collect(), |batch, row| batch.put(Table::Pci, key(row), value(row)));
    commit((0..rows).filter(|row| row % kept > 0).collect(), |batch, row| batch.remove(Table::Pci, key(row)));
    (0..rows).filter(|row| row % kept == 0).map(|row| (key(row), value(row))).collect()
}

pub(super) fn value(row: u32) -> Vec<u8> {
    vec![row.to_le_bytes()[0]; 1_000]
}

pub(super) fn rows(store: &SledStore) -> Rows {
    store.scan(Table::Pci, &[], &[0xff; 9], usize::MAX).unwrap().into_iter().collect()
}

pub(super) fn compact(store: &SledStore) {
    while store.maintain(Maintenance::Compact).unwrap().left > 0 {}
}

/// The folders of databases.
pub(super) fn databases(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with("sled")).collect();
    names.sort();
    names
}

#[test]
fn the_space_of_what_is_gone_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault");
    let mut store = SledStore::create(&path).unwrap();
    let left = fill(&store, 20_000, 20);
    for database in 1..4 {
        let before = store.shared.folder.bytes().unwrap();
        compact(&store);
        assert_eq!(store.maintain(Maintenance::Stats).unwrap().count(Table::Pci), 1_000);
        let after = store.shared.folder.bytes().unwrap();
        assert!(database > 1 || after < before / 2, "{after} of {before}");
        assert_eq!((rows(&store), databases(&path)), (left.clone(), vec![format!("sled.{database}")]));
        if database < 3 {
            drop(store);
            store = SledStore::open(&path).unwrap();
            assert_eq!(rows(&store), left);
        }
    }
}

/// Also once it was looked at: sled splits pages that are too large when it comes to them again.
#[test]
fn a_copy_takes_no_more_than_rows_that_came_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::create(folder.path().join("vault")).unwrap();
    store.write_anchor(b"anchor").unwrap();
    for rows in (0..100_000).collect::<Vec<u32>>().chunks(500) {
        let put = |batch: Batch, row: &u32| batch.put(Table::Pci, key(*row), [7; 180]);
        store.commit(rows.iter().fold(Batch::new(), put)).unwrap();
    }
    store.maintain(Maintenance::Stats).unwrap();
    let log = || fs::metadata(store.shared.folder.current().unwrap().log()).unwrap().len();
    let before = log();
    compact(&store);
    store.maintain(Maintenance::Stats).unwrap();
    store.maintain(Maintenance::Checkpoint).unwrap();
    assert!(log() * 10 <= before * 11, "{} of {before} bytes", log());
}

/// They would take space in the copy, and keep it.
#[test]
fn rows_whose_removal_waits_are_not_copied() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledOptions::new().company(Duration::MAX).create(folder.path().join("vault")).unwrap();
    fill(&store, 1_000, 10);
    store.commit((0..50).fold(Batch::new(), |batch, row| batch.remove(Table::Pci, key(10 * row)))).unwrap();
    // Each row is copied, and then counted.
    assert_eq!(store.maintain(Maintenance::Compact).unwrap().left, 2 * 50);
    compact(&store);
    assert_eq!(rows(&store).len(), 50);
}

/// Writes, removes and reads rows of its own, and holds each against what it has written.
fn live(store: &SledStore, thread: u8, random: &AtomicU64, is_over: &AtomicBool) -> Rows {
    let mut known = Rows::new();
    while !is_over.load(Ordering::SeqCst) {
        let key = vec![thread, next(random).to_le_bytes()[0]];
        let value = vec![next(random).to_le_bytes()[0]; 700];
        let batch = if value[0].is_multiple_of(3) {
            known.remove(&key);
            Batch::new().remove(Table::Generic, key.clone())
        } else {
            known.insert(key.clone(), value.clone());
            Batch::new().put(Table::Generic, key.clone(), value)
        };
        store.commit(batch).unwrap();
        assert_eq!(store.get(Table::Generic, &key).unwrap().as_ref(), known.get(&key));
        let found = store.scan(Table::Generic, &[thread], &[thread, 64], 300).unwrap();
        assert!(found.iter().map(|(key, value)| (key, value)).eq(known.range(..vec![thread, 64])));
        store.shared.folder.bytes().expect("a folder that goes meanwhile is no failure");
    }
    known
}

#[test]
fn commits_and_reads_go_on_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault");
    let store = SledStore::create(&path).unwrap();
    let left = fill(&store, 10_000, 20);
    let (random, is_over) = (AtomicU64::new(0x9e37_79b9_7f4a_7c15), AtomicBool::new(false));
    let known: Vec<Rows> = thread::scope(|scope| {
        let threads: Vec<_> = (0..6)
            .map(|thread| {
                let (store, random, is_over) = (&store, &random, &is_over);
                scope.spawn(move || live(store, thread, random, is_over))
            })
            .collect();
        for _ in 0..8 {
            compact(&store);
        }
        is_over.store(true, Ordering::SeqCst);
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(databases(&path), ["sled.8"]);
    let known: Rows = known.into_iter().flatten().collect();
    let check = |store: &SledStore| {
        store.maintain(Maintenance::Stats).unwrap();
        let found: Rows = store.scan(Table::Generic, &[], &[9], usize::MAX).unwrap().into_iter().collect();
        assert_eq!((rows(store), found), (left.clone(), known.clone()));
    };
    check(&store);
    drop(store);
    check(&SledStore::open(&path).unwrap());
}

/// Commits that outrun sled wait for a thread that a compaction must not hold up.
#[test]
fn commits_that_outrun_sled_wait_for_no_compaction() {
    let folder = tempfile::tempdir().unwrap();
    let options = SledOptions::new().patience(Duration::from_secs(10));
    let store = options.create(folder.path().join("vault")).unwrap();
    store.write_anchor(b"anchor").unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                compact(&store);
            }
        });
        let threads: Vec<_> = (0..8_u32)
            .map(|thread| {
                let store = &store;
                scope.spawn(move || {
                    for first in (0..10_000).step_by(1_000) {
                        let rows = (first..first + 1_000).map(|row| (thread << 16) + row);
                        let put = |batch: Batch, row: u32| batch.put(Table::Pci, key(row), value(row));
                        store.commit(rows.fold(Batch::new(), put)).unwrap();
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        is_over.store(true, Ordering::SeqCst);
    });
    assert_eq!(store.maintain(Maintenance::Stats).unwrap().count(Table::Pci), 80_000);
}

/// Nor do they hold it up for long: each pass is followed by the next, and leaves it as much time as it took itself.
#[test]
fn a_compaction_comes_to_its_end_while_commits_outrun_sled() {
    const SMALL: Sizes = Sizes { segment: 256 << 10, journal: 1 << 20 };
    const ROWS: u32 = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let (path, is_slow) = (folder.path().join("vault"), Arc::<AtomicBool>::default());
    let slows = Arc::clone(&is_slow);
    let disk = OnSync(move |path: &Path| {
        if path.ends_with("sled/db") && slows.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(100));
        }
    });
    let store = SledOptions::new().disk(Arc::new(disk)).journal(SMALL).create(&path).unwrap();
    let left = fill(&store, ROWS, 1);
    is_slow.store(true, Ordering::SeqCst);
    let is_over = AtomicBool::new(false);
    let passes = thread::scope(|scope| {
        for thread in 0..4 {
            let (store, is_over) = (&store, &is_over);
            scope.spawn(move || {
                for round in 0_u32.. {
                    let put = |batch: Batch, row| batch.put(Table::Generic, [thread, row], value(round));
                    store.commit((0..100).fold(Batch::new(), put)).unwrap();
                    if is_over.load(Ordering::SeqCst) {
                        break;
                    }
                }
            });
        }
        let compacting = scope.spawn(|| compact(&store));
        let (mut passes, mut applied) = (0, 0);
        while !compacting.is_finished() {
            let now = store.shared.rounds.backlog.applied();
            (passes, applied) = (passes + u32::from(now > applied), now);
            thread::sleep(Duration::from_millis(1));
        }
        is_over.store(true, Ordering::SeqCst);
        compacting.join().unwrap();
        passes
    });
    let portions = 2 * ROWS / 1_024;
    assert!(passes * 2 < portions, "{passes} passes for {portions} portions");
    assert_eq!((rows(&store), databases(&path)), (left, vec!["sled.1".to_owned()]));
}

/// Whoever opens the folder next, or makes another vault there, would meet what is on its way out.
#[test]
fn a_close_waits_for_what_is_being_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault");
    let store = SledStore::create(&path).unwrap();
    fill(&store, 1_000, 20);
    while !path.join("sled.1/whole").exists() {
        store.maintain(Maintenance::Compact).unwrap();
    }
    for file in 0..100_000 {
        File::create(path.join(format!("sled/{file}"))).unwrap();
    }
    let files = || fs::read_dir(path.join("sled")).map_or(0, Iterator::count);
    let all = files();
    thread::scope(|scope| {
        let compacting = scope.spawn(|| compact(&store));
        while files() == all {
            thread::sleep(Duration::from_millis(1));
        }
        store.maintain(Maintenance::Close).unwrap();
        assert_eq!(databases(&path), ["sled.1"]);
        compacting.join().unwrap();
    });
}

/// Who still reads the first database misses nothing of what comes, and the space is given back behind them.
#[test]
fn a_database_is_kept_for_who_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault");
    let store = SledStore::create(&path).unwrap();
    fill(&store, 1_000, 20);
    let first = store.shared.engine().unwrap();
    while databases(&path).len() < 2 || !path.join("sled.1/whole").exists() {
        store.maintain(Maintenance::Compact).unwrap();
    }
    assert_eq!(store.maintain(Maintenance::Compact).unwrap().left, 1);
    store.commit(Batch::new().put(Table::Pci, *b"new", *b"value").remove(Table::Pci, key(0))).unwrap();
    store.maintain(Maintenance::Checkpoint).unwrap();
    let second = store.shared.engine().unwrap();
    assert!(!Arc::ptr_eq(&first, &second));
    for engine in [&first, &second] {
        assert_eq!(engine.get(b"\x02new").unwrap().unwrap(), b"value");
        assert_eq!(engine.get(&[&[2], &key(0)[..]].concat()).unwrap(), None);
    }
    assert_eq!(databases(&path), ["sled", "sled.1"]);
    drop(first);
    compact(&store);
    assert_eq!(databases(&path), ["sled.1"]);
}

/// One that is begun by many is done once, by all of them.
#[test]
fn many_may_compact_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault");
    let store = SledStore::create(&path).unwrap();
    let left = fill(&store, 4_000, 20);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| compact(&store));
        }
    });
    store.maintain(Maintenance::Stats).unwrap();
    assert_eq!(rows(&store), left);
    compact(&store);
    assert_eq!(databases(&path).len(), 1);
}
