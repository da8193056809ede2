//! Promise: while sled is written anew commits and reads go on, and see everything.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

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
