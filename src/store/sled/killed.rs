//! Promise: what a killed process left behind survives the loss of power, also while it is recovered.
//!
//! What a kill leaves in the system's memory is more than the disk has: an open must not build on it before it is durable.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::error::ErrorKind;
use crate::store::journal::Sizes;
use crate::store::sled::lives::copy;
use crate::store::sled::platter::{Kind, Platter};
use crate::store::sled::{SledOptions, SledStore};
use crate::store::{Batch, Durability, Maintenance, Store, Table};

/// Rows of one commit: so many that sled is synced several times before it has them all.
const ROWS: u16 = 600;

/// What groups of the journal are aligned to.
const BLOCK: usize = 4 << 10;

/// Makes a vault of one row, of which that alone is durable; its process was killed in the syncs of two large commits more.
fn killed_in_a_sync(path: &Path) -> Arc<Platter> {
    let folder = tempfile::tempdir().unwrap();
    let (origin, platter) = (folder.path().join("vault"), Platter::new());
    let store = SledStore::create(&origin).unwrap();
    store.write_anchor(b"anchor").unwrap();
    store.commit(Batch::new().put(Table::State, [0], [0])).unwrap();
    store.maintain(Maintenance::Checkpoint).unwrap();
    copy(&origin, path);
    platter.take(path);
    for table in [Table::Pci, Table::Generic] {
        let row = |row: u16| (row.wrapping_mul(40_503).to_be_bytes(), vec![7; 1_024]);
        let rows = (0..ROWS).map(row);
        let batch = rows.fold(Batch::new(), |batch, (key, value)| batch.put(table, key, value));
        store.commit(batch).unwrap();
    }
    let segment = Path::new("journal/segment.0");
    fs::write(path.join(segment), fs::read(origin.join(segment)).unwrap()).unwrap();
    platter
}

#[test]
fn the_power_may_go_before_any_sync_of_a_recovery() {
    let mut whole = Vec::new();
    for sync in 1.. {
        let folder = tempfile::tempdir().unwrap();
        let (path, restored) = (folder.path().join("vault"), folder.path().join("restored"));
        let platter = killed_in_a_sync(&path);
        platter.kept.lock().unwrap().left = Some(sync);
        drop(SledOptions::new().disk(platter.clone()).open(&path).unwrap());
        platter.restore(&path, &restored);
        let store = SledStore::open(&restored).unwrap_or_else(|error| panic!("before sync {sync}: {error}"));
        let stats = store.maintain(Maintenance::Stats).unwrap();
        let [old, first, second] = [Table::State, Table::Pci, Table::Generic].map(|table| stats.count(table));
        assert_eq!(old, 1);
        assert!([0, u64::from(ROWS)].contains(&first) && [0, first].contains(&second), "{first} and {second} rows");
        whole.push(second > 0);
        if platter.has_power() {
            break;
        }
    }
    assert!(whole.len() > 6 && !whole[0] && whole[whole.len() - 1], "{whole:?}");
}

/// The process was killed when a segment was made and the folder was not yet synced.
#[test]
fn a_segment_that_is_taken_over_keeps_its_name() {
    const SMALL: Sizes = Sizes { segment: 16 << 10, journal: 1 << 20 };
    let folder = tempfile::tempdir().unwrap();
    let (path, platter) = (folder.path().join("vault"), Platter::new());
    let options = SledOptions::new().disk(platter.clone()).journal(SMALL);
    let store = options.create(&path).unwrap();
    store.write_anchor(b"anchor").unwrap();
    drop(store);
    fs::write(path.join("journal/segment.1"), vec![0; 16 << 10]).unwrap();
    let store = options.open(&path).unwrap();
    for row in 0..7_u8 {
        store.commit(Batch::new().put(Table::Pci, [row], [row])).unwrap();
    }
    let restored = folder.path().join("restored");
    platter.restore(&path, &restored);
    let restored = SledStore::open(&restored).unwrap();
    assert_eq!(restored.maintain(Maintenance::Stats).unwrap().count(Table::Pci), 7);
}

/// Makes a vault of one row behind which the journal has a gap, and then the groups of two rows more.
fn killed_with_a_gap(path: &Path) {
    let put = |row: u8| Batch::new().put(Table::Pci, [row], [row]);
    loop {
        let folder = tempfile::tempdir().unwrap();
        let (origin, killed) = (folder.path().join("vault"), folder.path().join("killed"));
        let store = SledOptions::new().durability(Durability::Process).create(&origin).unwrap();
        store.write_anchor(b"anchor").unwrap();
        store.commit(put(1)).unwrap();
        store.maintain(Maintenance::Checkpoint).unwrap();
        copy(&origin, &killed);
        for row in 2..=4 {
            store.commit(put(row)).unwrap();
        }
        let segment = Path::new("journal/segment.0");
        let mut groups = fs::read(origin.join(segment)).unwrap();
        groups[BLOCK..2 * BLOCK].fill(0);
        fs::write(killed.join(segment), groups).unwrap();
        copy(&killed, path);
        // On a busy machine there may have been a sync between the three, of which the later ones then tell.
        if SledStore::open(&killed).is_ok() {
            return;
        }
        fs::remove_dir_all(path).unwrap();
    }
}

/// What is dropped is zeroed, since its numbers are given again. If the zeros do not reach the disk, the system's
/// memory shows them all the same.
#[test]
fn what_is_dropped_stays_so_if_its_sync_has_failed() {
    let folder = tempfile::tempdir().unwrap();
    let (path, restored, platter) = (folder.path().join("vault"), folder.path().join("restored"), Platter::new());
    killed_with_a_gap(&path);
    platter.take(&path);
    let options = SledOptions::new().disk(platter.clone());
    platter.kept.lock().unwrap().failing_once = Some(Kind::Journal);
    assert_eq!(options.open(&path).unwrap_err().kind(), ErrorKind::StoreFailure);
    let store = options.open(&path).unwrap();
    store.commit(Batch::new().put(Table::Pci, [9], [9])).unwrap();
    platter.restore(&path, &restored);
    let restored = SledStore::open(&restored).unwrap();
    let rows = restored.scan(Table::Pci, &[], &[0xff], 9).unwrap();
    assert_eq!(rows, [(vec![1], vec![1]), (vec![9], vec![9])]);
}

/// sled has more in the system's memory than on the disk, and the disk says so to the first open alone.
#[test]
fn the_log_is_not_trusted_if_its_sync_has_failed_in_an_open() {
    const ROWS: u64 = 200;
    let folder = tempfile::tempdir().unwrap();
    let [origin, path, restored] = ["origin", "vault", "restored"].map(|name| folder.path().join(name));
    let store = SledStore::create(&origin).unwrap();
    store.write_anchor(b"anchor").unwrap();
    store.commit(Batch::new().put(Table::State, [0], [0])).unwrap();
    store.maintain(Maintenance::Checkpoint).unwrap();
    copy(&origin, &path);
    let take_over = |file: &str| fs::write(path.join(file), fs::read(origin.join(file)).unwrap()).unwrap();
    let rows = (0..ROWS).map(|row| (row.to_be_bytes(), vec![7; 2_000]));
    store.commit(rows.fold(Batch::new(), |batch, (key, value)| batch.put(Table::Pci, key, value))).unwrap();
    ["journal/segment.0", "mark"].into_iter().for_each(take_over);
    let platter = Platter::new();
    platter.take(&path);
    store.maintain(Maintenance::Checkpoint).unwrap();
    take_over("sled/db");
    let options = SledOptions::new().disk(platter.clone());
    platter.kept.lock().unwrap().failing_once = Some(Kind::Log);
    assert_eq!(options.open(&path).unwrap_err().kind(), ErrorKind::StoreFailure);
    let store = options.open(&path).unwrap();
    store.commit(Batch::new().put(Table::State, [1], [1])).unwrap();
    store.maintain(Maintenance::Close).unwrap();
    platter.restore(&path, &restored);
    let stats = SledStore::open(&restored).unwrap().maintain(Maintenance::Stats).unwrap();
    assert_eq!((stats.count(Table::Pci), stats.count(Table::State)), (ROWS, 2));
}
