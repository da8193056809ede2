//! fjall by hand: two keyspaces.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use uuid::Uuid;

use crate::subject::by_hand::{self, Change, Engine, ROW};
use crate::subject::{CACHE_BYTES, Subject};

pub(crate) const DURABILITY: &str = "fjall 3, two keyspaces; one batch a group, PersistMode::SyncData (fdatasync)";

pub(crate) fn open(folder: &Path) -> Box<dyn Subject> {
    by_hand::open::<Fjall>(folder)
}

struct Fjall {
    database: Database,
    records: Keyspace,
    expiry: Keyspace,
}

impl Engine for Fjall {
    fn open(folder: &Path) -> Self {
        let database = Database::builder(folder).cache_size(CACHE_BYTES.into()).open().unwrap();
        let keyspace = |name| database.keyspace(name, KeyspaceCreateOptions::default).unwrap();
        let (records, expiry) = (keyspace("records"), keyspace("expiry"));
        Self { database, records, expiry }
    }

    fn apply(&self, changes: Vec<Change>) {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for change in changes {
            match change {
                Change::Put { id, row, record } => {
                    batch.insert(&self.records, id.as_bytes(), record);
                    batch.insert(&self.expiry, row, []);
                }
                Change::Remove { id, row } => {
                    batch.remove(&self.records, id.as_bytes());
                    batch.remove(&self.expiry, row);
                }
            }
        }
        batch.commit().unwrap();
    }

    fn get(&self, id: Uuid) -> Vec<u8> {
        self.records.get(id.as_bytes()).unwrap().unwrap().to_vec()
    }

    fn rows_below(&self, end: [u8; ROW], limit: usize) -> Vec<[u8; ROW]> {
        let rows = self.expiry.range(..end).take(limit);
        rows.map(|row| *row.key().unwrap().first_chunk().unwrap()).collect()
    }
}
