//! redb by hand: two tables.

use std::path::Path;

use redb::{Database, ReadableDatabase, TableDefinition};
use uuid::Uuid;

use crate::subject::by_hand::{self, Change, Engine, ROW};
use crate::subject::{CACHE_BYTES, Subject};

pub(crate) const DURABILITY: &str = "redb 4, two tables; one transaction a group, Durability::Immediate (fdatasync)";

const RECORDS: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("records");
const EXPIRY: TableDefinition<'_, &[u8; ROW], ()> = TableDefinition::new("expiry");

pub(crate) fn open(folder: &Path) -> Box<dyn Subject> {
    by_hand::open::<Redb>(folder)
}

struct Redb(Database);

impl Engine for Redb {
    fn open(folder: &Path) -> Self {
        let cache = CACHE_BYTES.try_into().unwrap();
        let database = Database::builder().set_cache_size(cache).create(folder.join("redb")).unwrap();
        let engine = Self(database);
        engine.apply(Vec::new());
        engine
    }

    fn apply(&self, changes: Vec<Change>) {
        let transaction = self.0.begin_write().unwrap();
        {
            let mut records = transaction.open_table(RECORDS).unwrap();
            let mut expiry = transaction.open_table(EXPIRY).unwrap();
            for change in changes {
                match change {
                    Change::Put { id, row, record } => {
                        records.insert(id.as_bytes(), record.as_slice()).unwrap();
                        expiry.insert(&row, ()).unwrap();
                    }
                    Change::Remove { id, row } => {
                        records.remove(id.as_bytes()).unwrap();
                        expiry.remove(&row).unwrap();
                    }
                }
            }
        }
        transaction.commit().unwrap();
    }

    fn get(&self, id: Uuid) -> Vec<u8> {
        let records = self.0.begin_read().unwrap().open_table(RECORDS).unwrap();
        records.get(id.as_bytes()).unwrap().unwrap().value().to_vec()
    }

    fn rows_below(&self, end: [u8; ROW], limit: usize) -> Vec<[u8; ROW]> {
        let expiry = self.0.begin_read().unwrap().open_table(EXPIRY).unwrap();
        expiry.range::<&[u8; ROW]>(..&end).unwrap().take(limit).map(|row| *row.unwrap().0.value()).collect()
    }
}
