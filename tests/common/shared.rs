//! A store that outlives the vault on it, so that a test can look into it, change it behind the vault's back and open it again.

use std::sync::Arc;

use tokenvault::Error;
use tokenvault::store::{Batch, Committed, Entry, Maintenance, MemoryStore, Store, StoreStats, Table};

/// Every clone is the same store. Closing a vault on it keeps what it holds.
#[derive(Clone, Debug, Default)]
pub struct Shared(Arc<MemoryStore>);

impl Shared {
    /// Puts bytes at a key, whatever stands there.
    pub fn put(&self, table: Table, key: &[u8], value: &[u8]) {
        assert_eq!(self.0.commit(Batch::new().put(table, key, value)).unwrap(), Committed::Applied);
    }

    /// Removes what stands at a key.
    pub fn remove(&self, table: Table, key: &[u8]) {
        assert_eq!(self.0.commit(Batch::new().remove(table, key)).unwrap(), Committed::Applied);
    }

    /// What stands at a key, if anything does.
    pub fn value(&self, table: Table, key: &[u8]) -> Option<Vec<u8>> {
        self.0.get(table, key).unwrap()
    }

    /// Every entry of a table.
    pub fn rows(&self, table: Table) -> Vec<Entry> {
        self.0.scan(table, &[], &[0xff; 65], usize::MAX).unwrap()
    }

    /// The anchor, which must be there.
    pub fn anchor(&self) -> Vec<u8> {
        self.0.read_anchor().unwrap().unwrap()
    }

    /// A store with the same anchor and entries.
    pub fn copy(&self) -> Self {
        let copy = Self::default();
        if let Some(anchor) = self.0.read_anchor().unwrap() {
            copy.0.write_anchor(&anchor).unwrap();
        }
        for &table in Table::ALL {
            self.rows(table).iter().for_each(|(key, value)| copy.put(table, key, value));
        }
        copy
    }
}

impl Store for Shared {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.0.get(table, key)
    }

    fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Entry>, Error> {
        self.0.scan(table, from, to, limit)
    }

    fn commit(&self, batch: Batch) -> Result<Committed, Error> {
        self.0.commit(batch)
    }

    fn read_anchor(&self) -> Result<Option<Vec<u8>>, Error> {
        self.0.read_anchor()
    }

    fn write_anchor(&self, bytes: &[u8]) -> Result<(), Error> {
        self.0.write_anchor(bytes)
    }

    fn maintain(&self, task: Maintenance) -> Result<StoreStats, Error> {
        match task {
            Maintenance::Close => Ok(StoreStats::default()),
            task => self.0.maintain(task),
        }
    }
}
