//! Promise: however it ends that sled is written anew, nothing is lost, and nothing but that has ended.
//!
//! At every step, and before every sync, the process may be killed and the power may go; the disk may be full, a sync may
//! fail, and the store may be closed.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::error::ErrorKind;
use crate::store::disk::Disk;
use crate::store::sled::compacting::{Rows, compact, databases, fill, key, rows, value};
use crate::store::sled::platter::Platter;
use crate::store::sled::{SledOptions, SledStore};
use crate::store::{Batch, Maintenance, Store, Table};

pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            match fs::copy(&path, to) {
                // sled has finished a snapshot just now.
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
                copied => drop(copied.unwrap()),
            }
        }
    }
}

/// What a kill leaves at any step is opened with everything, and without what is left of the other database.
#[test]
fn a_process_may_be_killed_at_any_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault");
    let store = SledStore::create(&path).unwrap();
    let mut known = fill(&store, 40_000, 20);
    let (mut step, mut opened) = (0, Vec::new());
    loop {
        let left = store.maintain(Maintenance::Compact).unwrap().left;
        let (row, gone) = (key(100_000 + step), known.keys().nth(7).unwrap().clone());
        store.commit(Batch::new().put(Table::Pci, row.clone(), *b"value").remove(Table::Pci, gone.clone())).unwrap();
        if step % 2 == 0 {
            store.maintain(Maintenance::Checkpoint).unwrap();
        }
        known.insert(row, b"value".to_vec());
        known.remove(&gone);
        let killed = folder.path().join(format!("killed-{step}"));
        copy(&path, &killed);
        let again = SledStore::open(&killed).unwrap();
        again.maintain(Maintenance::Stats).unwrap();
        assert_eq!(rows(&again), known, "step {step}");
        let found = databases(&killed);
        assert_eq!(found.len(), 1, "{found:?}");
        opened.extend(found);
        step += 1;
        if left == 0 {
            break;
        }
    }
    opened.dedup();
    assert_eq!((opened, step > 5), (vec!["sled".to_owned(), "sled.1".to_owned()], true));
}

/// Compacts, with a commit behind every step, until the power goes; answers how many of these were acknowledged until then.
fn compact_until(sync: u64, store: &SledStore, platter: &Platter) -> u8 {
    platter.kept.lock().unwrap().left = Some(sync);
    let mut acknowledged = 0;
    while platter.has_power() {
        let left = store.maintain(Maintenance::Compact).unwrap().left;
        store.commit(Batch::new().put(Table::State, [acknowledged], [acknowledged])).unwrap();
        store.maintain(Maintenance::Checkpoint).unwrap();
        acknowledged += u8::from(platter.has_power());
        if left == 0 {
            break;
        }
    }
    acknowledged
}

#[test]
fn the_power_may_go_before_any_sync_of_a_compaction() {
    let mut found = Vec::new();
    for sync in 1.. {
        let folder = tempfile::tempdir().unwrap();
        let (path, restored) = (folder.path().join("vault"), folder.path().join("restored"));
        let platter = Platter::new();
        let store = SledOptions::new().disk(platter.clone()).create(&path).unwrap();
        let left = fill(&store, 900, 1);
        let acknowledged = compact_until(sync, &store, &platter);
        let is_over = platter.has_power();
        drop(store);
        platter.restore(&path, &restored);
        let store = SledStore::open(&restored).unwrap_or_else(|error| panic!("before sync {sync}: {error}"));
        let stats = store.maintain(Maintenance::Stats).unwrap();
        assert_eq!(rows(&store), left, "before sync {sync}");
        let [committed, acknowledged] = [stats.count(Table::State), u64::from(acknowledged)];
        assert!((acknowledged..=acknowledged + 1).contains(&committed), "{committed} of {acknowledged}");
        found.extend(databases(&restored));
        compact(&store);
        assert_eq!(rows(&store), left);
        if is_over {
            break;
        }
    }
    let [first, second] = ["sled", "sled.1"].map(|name| found.iter().filter(|found| *found == name).count());
    assert!(first > 10 && second > 2 && first + second == found.len(), "{found:?}");
}

/// A compaction that comes to no good end is forgotten.
fn is_unharmed(store: &SledStore, path: &Path, left: &Rows) {
    assert_eq!(databases(path), ["sled"]);
    store.commit(Batch::new().put(Table::Generic, *b"a", *b"1")).unwrap();
    store.maintain(Maintenance::Stats).unwrap();
    assert_eq!(rows(store), *left);
    assert!(!path.join("unsynced").exists());
}

#[test]
fn a_full_disk_ends_it_and_nothing_else() {
    for steps in [0, 1, 2] {
        let folder = tempfile::tempdir().unwrap();
        let (path, platter) = (folder.path().join("vault"), Platter::new());
        let store = SledOptions::new().disk(platter.clone()).create(&path).unwrap();
        let left = fill(&store, 900, 1);
        for _ in 0..steps {
            assert!(store.maintain(Maintenance::Compact).unwrap().left > 0);
        }
        platter.room.store(1 << 20, Ordering::SeqCst);
        let error = store.maintain(Maintenance::Compact).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoreFailure);
        assert!(error.message().ends_with("has no space left"), "{error}");
        is_unharmed(&store, &path, &left);
        platter.room.store(u64::MAX, Ordering::SeqCst);
        compact(&store);
        assert_eq!((rows(&store), databases(&path)), (left, vec!["sled.1".to_owned()]));
    }
}

/// A disk that fails to sync such paths.
#[derive(Debug)]
struct Failing(fn(&Path) -> bool);

impl Failing {
    fn sync(&self, path: &Path) -> io::Result<()> {
        if self.0(path) { Err(io::Error::other("a failed sync")) } else { Ok(()) }
    }
}

impl Disk for Failing {
    fn sync_file(&self, _: &File, path: &Path) -> io::Result<()> {
        self.sync(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.sync(path)
    }
}

/// Also where it is no compaction that meets it, but what is applied meanwhile.
#[test]
fn a_failed_sync_of_a_copy_ends_it_and_nothing_else() {
    for is_met_by_a_pass in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let (path, disk) = (folder.path().join("vault"), Failing(|path| path.ends_with("sled.1/db")));
        let store = SledOptions::new().disk(Arc::new(disk)).create(&path).unwrap();
        let mut left = fill(&store, 900, 1);
        assert!(store.maintain(Maintenance::Compact).unwrap().left > 0);
        if is_met_by_a_pass {
            let more = (1_000..1_900).map(|row| (key(row), value(row)));
            left.extend(more.clone());
            let batch = more.fold(Batch::new(), |batch, (key, value)| batch.put(Table::Pci, key, value));
            store.commit(batch).unwrap();
            store.maintain(Maintenance::Checkpoint).unwrap();
            assert_eq!(databases(&path), ["sled"]);
        }
        let error = store.maintain(Maintenance::Compact).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoreFailure);
        is_unharmed(&store, &path, &left);
        drop(store);
        let store = SledStore::open(&path).unwrap();
        compact(&store);
        assert_eq!(rows(&store), left);
    }
}

/// It is no matter of the healthy database either, which would be written anew at the next open.
#[test]
fn what_is_only_a_copy_is_not_doubted() {
    let folder = tempfile::tempdir().unwrap();
    let (path, disk) = (folder.path().join("vault"), Failing(|path| path.ends_with("sled.1/conf")));
    let store = SledOptions::new().disk(Arc::new(disk)).create(&path).unwrap();
    let left = fill(&store, 500, 1);
    let error = (0..).find_map(|_| store.maintain(Maintenance::Compact).err()).unwrap();
    assert_eq!(error.kind(), ErrorKind::StoreFailure);
    assert!(!path.join("unsynced").exists());
    is_unharmed(&store, &path, &left);
}

/// An open has things to write before it is sure of anything, and the copy takes the room for them.
#[test]
fn what_a_kill_left_of_a_copy_makes_room_for_the_next_open() {
    let folder = tempfile::tempdir().unwrap();
    let (path, killed) = (folder.path().join("vault"), folder.path().join("killed"));
    let store = SledOptions::new().company(Duration::from_mins(1)).create(&path).unwrap();
    let mut left = fill(&store, 500, 1);
    store.maintain(Maintenance::Compact).unwrap();
    store.commit(Batch::new().put(Table::Pci, key(1_000), *b"value")).unwrap();
    left.insert(key(1_000), b"value".to_vec());
    copy(&path, &killed);
    assert_eq!(databases(&killed), ["sled", "sled.1"]);
    let is_full = |path: &Path| path.ends_with("sled/db") && path.with_file_name("../sled.1").exists();
    let store = SledOptions::new().disk(Arc::new(Failing(is_full))).open(&killed).unwrap();
    assert_eq!(rows(&store), left);
}

#[test]
fn a_copy_of_other_rows_than_were_acknowledged_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault");
    let store = SledStore::create(&path).unwrap();
    let left = fill(&store, 2_000, 20);
    store.maintain(Maintenance::Checkpoint).unwrap();
    store.shared.applier().as_mut().unwrap().held.digest ^= 1;
    let error = (0..).find_map(|_| store.maintain(Maintenance::Compact).err()).unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    is_unharmed(&store, &path, &left);
}

/// Nobody can tell then which of both the next open finds: either has everything.
#[test]
fn a_change_of_place_that_may_not_survive_is_told() {
    for survives in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let (path, disk) = (folder.path().join("vault"), Failing(|path| path.join("whole").exists()));
        let store = SledOptions::new().disk(Arc::new(disk)).create(&path).unwrap();
        let left = fill(&store, 2_000, 20);
        let error = (0..).find_map(|_| store.maintain(Maintenance::Compact).err()).unwrap();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(store.get(Table::Pci, &key(0)).unwrap_err().message(), error.message());
        drop(store);
        assert_eq!(databases(&path), ["sled", "sled.1"]);
        assert!(path.join("unsynced").exists(), "the name of the file is made anew with those beside it");
        if !survives {
            fs::remove_file(path.join("sled.1/whole")).unwrap();
        }
        let store = SledStore::open(&path).unwrap();
        store.maintain(Maintenance::Stats).unwrap();
        let found = if survives { "sled.1" } else { "sled" };
        assert_eq!((rows(&store), databases(&path)), (left, vec![found.to_owned()]));
    }
}

/// A disk that does not sync that a database is whole, and says when.
#[derive(Debug, Default)]
struct Unsaid(AtomicBool);

impl Disk for Unsaid {
    fn sync_file(&self, _: &File, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let fails = path.join("whole").exists();
        self.0.fetch_or(fails, Ordering::SeqCst);
        if fails { Err(io::Error::other("a failed sync")) } else { Ok(()) }
    }
}

/// What a pass brought into the first database then, the next open might not find. Whether the lock or the news comes first is a
/// matter of a moment: so it is tried many times.
#[test]
fn nothing_is_applied_behind_a_change_of_place_that_failed() {
    for _ in 0..40 {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(Unsaid::default());
        let store = SledOptions::new().disk(Arc::<Unsaid>::clone(&disk)).create(folder.path().join("vault")).unwrap();
        store.write_anchor(b"anchor").unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                while !disk.0.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_micros(100));
                }
                // As the applying thread does, but sooner.
                let applier = loop {
                    if let Ok(applier) = store.shared.applier.try_lock() {
                        break applier;
                    }
                };
                let health = store.shared.rounds.health.check();
                drop(applier);
                health
            });
            let error = (0..).find_map(|_| store.maintain(Maintenance::Compact).err()).unwrap();
            assert_eq!(waiting.join().unwrap().unwrap_err().message(), error.message());
        });
    }
}

#[test]
fn a_close_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault");
    let mut left = fill(&SledStore::create(&path).unwrap(), 20_000, 20);
    for wait in 0..12 {
        let store = SledStore::open(&path).unwrap();
        thread::scope(|scope| {
            let compacting = scope.spawn(|| (0..).find_map(|_| store.maintain(Maintenance::Compact).err()).unwrap());
            thread::sleep(Duration::from_millis(wait * 7));
            store.commit(Batch::new().put(Table::Pci, vec![7, wait.to_le_bytes()[0]], *b"value")).unwrap();
            store.maintain(Maintenance::Close).unwrap();
            assert_eq!(compacting.join().unwrap().kind(), ErrorKind::Unavailable);
        });
        left.insert(vec![7, wait.to_le_bytes()[0]], b"value".to_vec());
        let store = SledStore::open(&path).unwrap();
        store.maintain(Maintenance::Stats).unwrap();
        assert_eq!((rows(&store), databases(&path).len()), (left.clone(), 1));
    }
}

/// The only database there is may not look like the rest of one that was never finished.
#[test]
fn a_database_that_is_not_said_to_be_whole_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault");
    let store = SledStore::create(&path).unwrap();
    let left = fill(&store, 1_000, 20);
    compact(&store);
    drop(store);
    fs::remove_file(path.join("sled.1/whole")).unwrap();
    assert_eq!(SledStore::open(&path).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(SledOptions::new().open_or_create(&path).unwrap_err().kind(), ErrorKind::Corrupt);
    fs::write(path.join("sled.1/whole"), []).unwrap();
    assert_eq!(rows(&SledStore::open(&path).unwrap()), left);
    // Without title and anchors it is still told from a creation that was interrupted.
    for name in ["vault", "anchor.0", "anchor.1", "mark"] {
        fs::remove_file(path.join(name)).unwrap();
    }
    fs::remove_dir_all(path.join("journal")).unwrap();
    assert_eq!(SledOptions::new().open_or_create(&path).unwrap_err().kind(), ErrorKind::Corrupt);
    fs::remove_file(path.join("sled.1/whole")).unwrap();
    assert_eq!(SledOptions::new().open_or_create(&path).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(databases(&path), ["sled.1"]);
}
