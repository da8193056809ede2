//! Promise: nobody waits without end for a disk that hangs, nobody sees what is not durable, and a failed sync is not
//! forgotten.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{self, Command};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::ErrorKind;
use crate::store::disk::OnSync;
use crate::store::sled::platter::Platter;
use crate::store::sled::{SledOptions, SledStore};
use crate::store::{Batch, Committed, Durability, Maintenance, Store, Table};

#[test]
fn a_hanging_sync_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let (path, platter) = (folder.path().join("vault"), Platter::new());
    let options = SledOptions::new().disk(platter.clone()).patience(Duration::from_secs(3));
    let store = options.create(&path).unwrap();
    store.write_anchor(b"anchor").unwrap();
    let put = |key: u8| Batch::new().put(Table::Pci, [key], [key]);
    assert_eq!(store.commit(put(1)).unwrap(), Committed::Applied);
    thread::scope(|scope| {
        let held = platter.kept.lock().unwrap();
        // Who leads is in the sync itself: there is no way to give that up.
        let leading = scope.spawn(|| store.commit(put(2)));
        await_round(&store);
        let error = store.commit(put(3)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let later = [
            store.commit(put(4)).unwrap_err(),
            store.get(Table::Pci, &[2]).unwrap_err(),
            store.get(Table::Pci, &[1]).unwrap_err(),
        ];
        assert!(later.iter().all(|later| later.message() == error.message()));
        let close = store.maintain(Maintenance::Close).unwrap_err();
        assert_eq!(close.kind(), ErrorKind::Unavailable);
        assert!(close.message().ends_with("did not close: its storage engine hangs"), "{close}");
        let again = store.maintain(Maintenance::Close).unwrap_err();
        assert_eq!(again.message(), close.message(), "a close that did not come to its end is not forgotten");
        let reopened = SledStore::open(&path).unwrap_err();
        assert_eq!(reopened.kind(), ErrorKind::StoreFailure, "the hanging thread still holds the folder");
        drop(held);
        assert_eq!(leading.join().unwrap().unwrap(), Committed::Applied, "it was durable in the end");
    });
}

/// The clock runs on while a process is stopped; that is no time for which a sync hung.
#[test]
fn a_process_that_was_stopped_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (path, platter) = (folder.path().join("vault"), Platter::new());
    let options = SledOptions::new().disk(platter.clone()).patience(Duration::from_secs(2));
    let store = options.create(&path).unwrap();
    store.write_anchor(b"anchor").unwrap();
    thread::scope(|scope| {
        let held = platter.kept.lock().unwrap();
        let committing = scope.spawn(|| store.commit(Batch::new().put(Table::Pci, *b"key", *b"value")));
        await_round(&store);
        let waiting = scope.spawn(|| store.commit(Batch::new().put(Table::Pci, *b"other", *b"value")));
        let closing = scope.spawn(|| {
            thread::sleep(Duration::from_millis(100));
            store.maintain(Maintenance::Close)
        });
        let stop = "sleep 0.3; kill -STOP $0; sleep 3; kill -CONT $0";
        let mut stopping = Command::new("sh").args(["-c", stop, &process::id().to_string()]).spawn().unwrap();
        assert!(stopping.wait().unwrap().success());
        thread::sleep(Duration::from_millis(200));
        drop(held);
        assert_eq!(committing.join().unwrap().unwrap(), Committed::Applied);
        assert_eq!(waiting.join().unwrap().unwrap(), Committed::Applied);
        closing.join().unwrap().unwrap();
    });
}

/// No round is begun any longer then: that rows get into sled is all there is to see.
#[test]
fn a_close_that_takes_long_but_goes_on_is_not_given_up() {
    const PATIENCE: Duration = Duration::from_millis(1_200);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault");
    let slow =
        OnSync(|path: &Path| thread::sleep(if path.ends_with("sled/db") { PATIENCE / 8 } else { Duration::ZERO }));
    let options = SledOptions::new().disk(Arc::new(slow)).patience(PATIENCE);
    let store = options.company(Duration::from_mins(1)).create(&path).unwrap();
    store.write_anchor(b"anchor").unwrap();
    let put = |batch: Batch, row: u16| batch.put(Table::Pci, row.to_be_bytes(), vec![7; 1_000]);
    store.commit((0..6_000).fold(Batch::new(), put)).unwrap();
    let start = Instant::now();
    store.maintain(Maintenance::Close).unwrap();
    assert!(start.elapsed() > 2 * PATIENCE, "{:?} is not long", start.elapsed());
    drop(store);
    assert_eq!(SledStore::open(&path).unwrap().maintain(Maintenance::Stats).unwrap().count(Table::Pci), 6_000);
}

/// Readers do not see what power loss may yet take, and wait for nobody.
#[test]
fn a_reader_sees_nothing_of_what_is_in_flight_and_waits_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let platter = Platter::new();
    let store = SledOptions::new().disk(platter.clone()).create(folder.path().join("vault")).unwrap();
    let put = |key: u8, value: u8| Batch::new().put(Table::Pci, [key], [value]);
    store.commit(put(1, 0).put(Table::Pci, [2], [0]).put(Table::Pci, [9], [0])).unwrap();
    let rows = |store: &SledStore| store.scan(Table::Pci, &[0], &[10], 9).unwrap();
    let row = |key: u8, value: u8| (vec![key], vec![value]);
    thread::scope(|scope| {
        let held = platter.kept.lock().unwrap();
        let committing = scope.spawn(|| store.commit(put(1, 1).remove(Table::Pci, [2]).put(Table::Pci, [3], [1])));
        await_round(&store);
        assert_eq!(store.get(Table::Pci, &[1]).unwrap(), Some(vec![0]));
        assert_eq!(store.get(Table::Pci, &[2]).unwrap(), Some(vec![0]));
        assert_eq!(store.get(Table::Pci, &[3]).unwrap(), None);
        assert_eq!(rows(&store), [row(1, 0), row(2, 0), row(9, 0)]);
        drop(held);
        assert_eq!(committing.join().unwrap().unwrap(), Committed::Applied);
        assert_eq!(store.get(Table::Pci, &[1]).unwrap(), Some(vec![1]));
        assert_eq!(store.get(Table::Pci, &[2]).unwrap(), None);
        assert_eq!(rows(&store), [row(1, 1), row(3, 1), row(9, 0)]);
    });
}

/// Returns when a round is under way.
fn await_round(store: &SledStore) {
    let under_way = |store: &SledStore| store.shared.rounds.begun() > store.shared.rounds.tally().round;
    while !under_way(store) {
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(Duration::from_millis(100));
}

#[test]
fn a_failed_sync_answers_everyone_until_the_vault_is_reopened() {
    let folder = tempfile::tempdir().unwrap();
    let (path, platter) = (folder.path().join("vault"), Platter::new());
    let store = SledOptions::new().disk(platter.clone()).create(&path).unwrap();
    store.write_anchor(b"anchor").unwrap();
    let put = |key: u8| Batch::new().put(Table::Pci, [key], [key]);
    assert_eq!(store.commit(put(1)).unwrap(), Committed::Applied);
    platter.failing.store(u64::MAX, Ordering::SeqCst);
    let failures: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (10..26)
            .map(|key| {
                scope.spawn({
                    let store = &store;
                    move || store.commit(put(key))
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap().unwrap_err()).collect()
    });
    platter.failing.store(0, Ordering::SeqCst);
    let later = [
        store.get(Table::Pci, &[1]).unwrap_err(),
        store.scan(Table::Pci, &[0], &[9], 9).unwrap_err(),
        store.commit(put(2)).unwrap_err(),
        store.commit(Batch::new()).unwrap_err(),
        store.read_anchor().unwrap_err(),
        store.maintain(Maintenance::Stats).unwrap_err(),
        store.maintain(Maintenance::Close).unwrap_err(),
    ];
    for error in failures.iter().chain(&later) {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.message(), failures[0].message());
        let sync = std::error::Error::source(error).unwrap();
        assert_eq!(sync.source().unwrap().to_string(), "a failed sync");
    }
    drop(store);
    // What the system shows of the log may not be on the disk, so that it is written anew before it is trusted.
    assert!(path.join("unsynced").exists());
    let before = fs::metadata(path.join("sled/db")).unwrap();
    platter.failing.store(u64::MAX, Ordering::SeqCst);
    let refused = SledOptions::new().disk(platter.clone()).open(&path).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::StoreFailure, "{refused}");
    assert!(path.join("unsynced").exists() && !path.join("sled/db.new").exists());
    platter.failing.store(0, Ordering::SeqCst);
    let store = SledOptions::new().disk(platter.clone()).open(&path).unwrap();
    assert_ne!(fs::metadata(path.join("sled/db")).unwrap().ino(), before.ino());
    assert!(!path.join("unsynced").exists() && !path.join("sled/db.new").exists());
    assert_eq!(store.get(Table::Pci, &[1]).unwrap(), Some(vec![1]));
    assert_eq!(store.commit(put(2)).unwrap(), Committed::Applied);
}

/// The system tells of a failed sync once; the next one succeeds, whatever the disk has.
#[test]
fn a_failed_sync_is_not_tried_again() {
    for durability in [Durability::Power, Durability::Process] {
        let folder = tempfile::tempdir().unwrap();
        let platter = Platter::new();
        let options = SledOptions::new().durability(durability).disk(platter.clone());
        let store = options.create(folder.path().join("vault")).unwrap();
        store.write_anchor(b"anchor").unwrap();
        platter.failing.store(u64::MAX, Ordering::SeqCst);
        let committed = store.commit(Batch::new().put(Table::Pci, [1], [1]));
        assert_eq!(committed.is_ok(), durability == Durability::Process);
        thread::sleep(Duration::from_millis(400));
        assert_eq!(store.get(Table::Pci, &[1]).unwrap_err().kind(), ErrorKind::Unavailable);
        drop(store);
        assert_eq!(u64::MAX - platter.failing.load(Ordering::SeqCst), 1, "{durability:?}");
    }
}

/// The applying thread waits for the sync of what it is to apply, and whoever commits for room in the backlog.
#[test]
fn commits_that_outrun_sled_wait_for_it_and_it_for_nobody_who_waits() {
    for durability in [Durability::Process, Durability::Power] {
        let folder = tempfile::tempdir().unwrap();
        let options = SledOptions::new().durability(durability).patience(Duration::from_secs(6));
        let store = options.create(folder.path().join("vault")).unwrap();
        store.write_anchor(b"anchor").unwrap();
        let row = |row: u64| (row.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes(), vec![7; 1_000]);
        let batch = |first: u64| {
            (first..first + 1_000).map(row).fold(Batch::new(), |batch, (key, value)| batch.put(Table::Pci, key, value))
        };
        let batches = Mutex::new((0..80).map(|number| batch(number * 1_000)).collect::<Vec<_>>());
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while let Some(batch) = { batches.lock().unwrap().pop() } {
                        store.commit(batch).unwrap();
                    }
                });
            }
        });
        assert_eq!(store.maintain(Maintenance::Stats).unwrap().count(Table::Pci), 80_000);
    }
}
