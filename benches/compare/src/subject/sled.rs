//! sled by hand: one tree, as tokenvault has it.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use sled::{Batch, Db};
use uuid::Uuid;

use crate::subject::by_hand::{self, Change, Engine, ROW};
use crate::subject::{CACHE_BYTES, Subject};

pub(crate) const DURABILITY: &str =
    "sled 0.34, one tree; one batch and one flush a group, then fdatasync of its file, which its flush omits";

const RECORDS: u8 = 2;
const EXPIRY: u8 = 3;

pub(crate) fn open(folder: &Path) -> Box<dyn Subject> {
    by_hand::open::<Sled>(folder)
}

struct Sled {
    tree: Db,
    file: File,
}

impl Engine for Sled {
    fn open(folder: &Path) -> Self {
        let config = sled::Config::new().path(folder).cache_capacity(CACHE_BYTES.into()).flush_every_ms(None);
        let start = Instant::now();
        let tree = loop {
            match config.open() {
                Ok(tree) => break tree,
                // Its lock outlives it for a moment.
                Err(_) if start.elapsed() < Duration::from_secs(5) => std::thread::sleep(Duration::from_millis(1)),
                Err(error) => panic!("sled does not open: {error}"),
            }
        };
        tree.flush().unwrap();
        let file = File::open(folder.join("db")).unwrap();
        File::open(folder).unwrap().sync_all().unwrap();
        Self { tree, file }
    }

    fn apply(&self, changes: Vec<Change>) {
        let mut batch = Batch::default();
        for change in changes {
            match change {
                Change::Put { id, row, record } => {
                    batch.insert(&record_key(id), record);
                    batch.insert(&expiry_key(row), &[]);
                }
                Change::Remove { id, row } => {
                    batch.remove(&record_key(id));
                    batch.remove(&expiry_key(row));
                }
            }
        }
        self.tree.apply_batch(batch).unwrap();
        self.tree.flush().unwrap();
        self.file.sync_data().unwrap();
    }

    fn get(&self, id: Uuid) -> Vec<u8> {
        self.tree.get(record_key(id)).unwrap().unwrap().to_vec()
    }

    fn rows_below(&self, end: [u8; ROW], limit: usize) -> Vec<[u8; ROW]> {
        let rows = self.tree.range(expiry_key([0; ROW])..expiry_key(end)).take(limit);
        rows.map(|row| *row.unwrap().0.last_chunk().unwrap()).collect()
    }
}

fn record_key(id: Uuid) -> [u8; 17] {
    let mut key = [RECORDS; 17];
    *key.last_chunk_mut().unwrap() = *id.as_bytes();
    key
}

fn expiry_key(row: [u8; ROW]) -> [u8; ROW + 1] {
    let mut key = [EXPIRY; ROW + 1];
    *key.last_chunk_mut().unwrap() = row;
    key
}
