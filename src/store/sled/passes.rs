//! Promise: what is brought into sled behind everyone's back changes nothing that is seen, and holds up only who
//! outruns it.
//!
//! Passes begin at once here, so that readers meet them under way; the journal is so small, or the disk so full, that
//! commits wait for them; and one ends in the middle.

use std::array;
use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::ErrorKind;
use crate::store::disk::Disk;
use crate::store::journal::Sizes;
use crate::store::sled::platter::next;
use crate::store::sled::{SledOptions, SledStore};
use crate::store::{Batch, Committed, Maintenance, Store, Table};

const KEYS: usize = 48;

/// Four groups of a block.
const SEGMENT: u64 = 16 << 10;

/// A disk on which syncs take no time, and some do not come to their end.
#[derive(Debug, Default)]
struct Moody {
    /// Whether no space is left for a segment that was just made, the segments that are there, and how many were
    /// refused.
    is_full: AtomicBool,
    segments: Mutex<HashSet<PathBuf>>,
    refused: AtomicU64,
    /// Whether a sync of sled's log takes its thread along.
    kills: AtomicBool,
}

impl Disk for Moody {
    fn sync_file(&self, _: &File, path: &Path) -> io::Result<()> {
        assert!(!path.ends_with("sled/db") || !self.kills.load(Ordering::SeqCst), "the thread dies");
        if path.parent().unwrap().ends_with("journal") {
            let mut segments = self.segments.lock().unwrap();
            if self.is_full.load(Ordering::SeqCst) && !segments.contains(path) {
                self.refused.fetch_add(1, Ordering::SeqCst);
                return Err(io::ErrorKind::StorageFull.into());
            }
            segments.insert(path.to_path_buf());
        }
        Ok(())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// How often each row was changed: put at first, then removed, then put again.
struct Changes {
    begun: [AtomicU64; KEYS],
    made: [AtomicU64; KEYS],
}

impl Changes {
    /// Whether a row may be found like that by who began to look when the first so many changes were made.
    fn allow(&self, key: usize, made: u64, found: Option<&[u8]>) -> bool {
        let may_be = made..=self.begun[key].load(Ordering::SeqCst);
        match found {
            Some(value) => {
                let change = u64::from_be_bytes(*value.first_chunk().unwrap());
                change % 2 == 1 && may_be.contains(&change) && value == row(change)
            }
            None => may_be.into_iter().any(|change| change % 2 == 0),
        }
    }
}

fn row(change: u64) -> Vec<u8> {
    let length = usize::try_from(change * 37 % 300).unwrap();
    [&change.to_be_bytes()[..], &vec![7; length]].concat()
}

/// Changes rows of its own, on condition that they stand as it knows them.
fn write(store: &SledStore, changes: &Changes, random: &AtomicU64, own: impl Fn(usize) -> usize) {
    let mut batch = Batch::new();
    let keys: HashSet<_> = (0..=next(random) % 4).map(|_| own(usize::try_from(next(random)).unwrap())).collect();
    for key in &keys {
        let change = changes.begun[*key].fetch_add(1, Ordering::SeqCst) + 1;
        let at = [u8::try_from(*key).unwrap()];
        batch = if change % 2 == 1 {
            let behind = [at[0], 0];
            let batch = batch.require_absent(Table::Pci, at).require_empty(Table::Pci, at, behind);
            batch.put(Table::Pci, at, row(change))
        } else {
            batch.require_value(Table::Pci, at, row(change - 1)).remove(Table::Pci, at)
        };
    }
    assert_eq!(store.commit(batch).unwrap(), Committed::Applied);
    for key in keys {
        changes.made[key].fetch_add(1, Ordering::SeqCst);
    }
}

/// Looks at one row, and at a range.
fn read(store: &SledStore, changes: &Changes, random: &AtomicU64) {
    let made: [u64; KEYS] = array::from_fn(|key| changes.made[key].load(Ordering::SeqCst));
    let any = |below: usize| usize::try_from(next(random)).unwrap() % below;
    let key = any(KEYS);
    let found = store.get(Table::Pci, &[u8::try_from(key).unwrap()]).unwrap();
    assert!(changes.allow(key, made[key], found.as_deref()), "row {key} after {}: {found:?}", made[key]);
    let (from, limit) = (any(KEYS), 1 + any(KEYS));
    let to = from + any(KEYS + 1 - from);
    let bounds = [from, to].map(|bound| [u8::try_from(bound).unwrap()]);
    let rows = store.scan(Table::Pci, &bounds[0], &bounds[1], limit).unwrap();
    assert!(rows.len() <= limit && rows.is_sorted_by(|a, b| a.0 < b.0));
    let seen = if rows.len() == limit { usize::from(rows[limit - 1].0[0]) + 1 } else { to };
    let rows: BTreeMap<_, _> = rows.into_iter().collect();
    for (key, made) in made.into_iter().enumerate().take(seen).skip(from) {
        let found = rows.get(&[u8::try_from(key).unwrap()][..]).map(Vec::as_slice);
        assert!(changes.allow(key, made, found), "row {key} of {from} to {to} after {made}: {found:?}");
    }
}

#[test]
fn readers_on_other_threads_see_what_is_committed_while_passes_go_on() {
    const WRITERS: usize = 2;
    let folder = tempfile::tempdir().unwrap();
    let options = SledOptions::new().disk(Arc::new(Moody::default())).company(Duration::ZERO);
    let store = options.create(folder.path().join("vault")).unwrap();
    store.write_anchor(b"anchor").unwrap();
    let zeros = || array::from_fn(|_| AtomicU64::new(0));
    let changes = Changes { begun: zeros(), made: zeros() };
    let end = Instant::now() + Duration::from_secs(4);
    thread::scope(|scope| {
        for thread in 0..2 * WRITERS {
            let (store, changes, random) = (&store, &changes, AtomicU64::new(0x9e37_79b9 + thread as u64));
            scope.spawn(move || {
                while Instant::now() < end {
                    if thread < WRITERS {
                        write(store, changes, &random, |any| any % (KEYS / WRITERS) * WRITERS + thread);
                    } else if next(&random).is_multiple_of(50) {
                        // Nothing is counted wrong either.
                        store.maintain(Maintenance::Stats).unwrap();
                    }
                    read(store, changes, &random);
                }
            });
        }
    });
    let passes = store.shared.rounds.backlog.moment();
    assert!(passes > 20, "only {passes} passes");
    let is_there = |made: &AtomicU64| made.load(Ordering::SeqCst) % 2;
    let rows: u64 = changes.made.iter().map(is_there).sum();
    assert_eq!(store.maintain(Maintenance::Stats).unwrap().count(Table::Pci), rows);
}

fn bytes(journal: &Path) -> u64 {
    let files = fs::read_dir(journal).unwrap();
    // A segment that is not needed any longer may go at any time.
    files.filter_map(|file| file.unwrap().metadata().ok()).map(|metadata| metadata.len()).sum()
}

#[test]
fn commits_wait_for_room_in_a_full_journal() {
    const SIZES: Sizes = Sizes { segment: SEGMENT, journal: 4 * SEGMENT };
    const THREADS: u8 = 4;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault");
    let options = SledOptions::new().disk(Arc::new(Moody::default())).journal(SIZES).patience(Duration::from_secs(10));
    let store = options.create(&path).unwrap();
    store.write_anchor(b"anchor").unwrap();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, journal) = (&store, path.join("journal"));
            scope.spawn(move || {
                for step in 0..60_u8 {
                    // Some need a segment of their own.
                    let rows = if step % 20 == 19 { 12 } else { 1 };
                    let put = |batch: Batch, row| batch.put(Table::Pci, [thread, step, row], vec![step; 3 << 10]);
                    assert_eq!(store.commit((0..rows).fold(Batch::new(), put)).unwrap(), Committed::Applied);
                    // A round of all threads may be larger than the journal: it does not wait for what would never
                    // come.
                    assert!(bytes(&journal) <= SIZES.journal + u64::from(THREADS) * 12 * (3 << 10) + SEGMENT);
                }
            });
        }
    });
    assert_eq!(store.maintain(Maintenance::Stats).unwrap().count(Table::Pci), u64::from(THREADS) * (57 + 3 * 12));
    drop(store);
    assert_eq!(SledStore::open(&path).unwrap().maintain(Maintenance::Stats).unwrap().count(Table::Pci), 372);
}

/// A segment that cannot be made is no failure as long as others come free.
#[test]
fn commits_wait_for_room_on_a_full_disk() {
    const SIZES: Sizes = Sizes { segment: SEGMENT, journal: 64 * SEGMENT };
    let folder = tempfile::tempdir().unwrap();
    let (path, disk) = (folder.path().join("vault"), Arc::new(Moody::default()));
    let options = SledOptions::new().disk(disk.clone()).journal(SIZES).patience(Duration::from_secs(10));
    let store = options.create(&path).unwrap();
    store.write_anchor(b"anchor").unwrap();
    let put =
        |row: u8| assert_eq!(store.commit(Batch::new().put(Table::Pci, [row], [row])).unwrap(), Committed::Applied);
    let segments = || fs::read_dir(path.join("journal")).unwrap().count();
    // Their numbers tell how many were made.
    let made = (0..50).find(|row| {
        put(*row);
        segments() == 3
    });
    disk.is_full.store(true, Ordering::SeqCst);
    (made.unwrap() + 1..100).for_each(put);
    assert!(disk.refused.load(Ordering::SeqCst) > 0);
    assert_eq!(segments(), 3);
    disk.is_full.store(false, Ordering::SeqCst);
    (100..200).for_each(put);
    assert!(segments() > 3);
    assert_eq!(store.maintain(Maintenance::Stats).unwrap().count(Table::Pci), 200);
}

#[test]
fn everyone_hears_that_the_applying_thread_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let (path, disk) = (folder.path().join("vault"), Arc::new(Moody::default()));
    let store = SledOptions::new().disk(disk.clone()).create(&path).unwrap();
    store.write_anchor(b"anchor").unwrap();
    disk.kills.store(true, Ordering::SeqCst);
    store.commit(Batch::new().put(Table::Pci, [1], [1])).unwrap();
    let start = Instant::now();
    let error = store.maintain(Maintenance::Checkpoint).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let later = [
        store.get(Table::Pci, &[1]).unwrap_err(),
        store.commit(Batch::new().put(Table::Pci, [2], [2])).unwrap_err(),
        store.maintain(Maintenance::Stats).unwrap_err(),
        store.maintain(Maintenance::Close).unwrap_err(),
    ];
    assert!(later.iter().all(|later| later.message() == error.message()), "{later:?}");
    drop(store);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    let store = SledStore::open(&path).unwrap();
    assert_eq!(store.get(Table::Pci, &[1]).unwrap(), Some(vec![1]));
    assert_eq!(store.get(Table::Pci, &[2]).unwrap(), None);
}
