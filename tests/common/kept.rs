//! A store in memory that outlives its vault, so that a vault without a folder can be opened again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokenvault::Error;
use tokenvault::store::{Batch, Committed, Entry, Maintenance, MemoryStore, Store, StoreStats, Table};

/// One opening of rows that are kept for the next one.
#[derive(Default)]
pub struct Kept {
    rows: Arc<MemoryStore>,
    closed: AtomicBool,
}

impl Kept {
    /// Opens the same rows again.
    pub fn again(&self) -> Self {
        Self { rows: Arc::clone(&self.rows), closed: AtomicBool::new(false) }
    }

    fn rows(&self) -> Result<&MemoryStore, Error> {
        if self.closed.load(Ordering::SeqCst) { Err(Error::unavailable("closed")) } else { Ok(&self.rows) }
    }
}

impl Store for Kept {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.rows()?.get(table, key)
    }

    fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Entry>, Error> {
        self.rows()?.scan(table, from, to, limit)
    }

    fn commit(&self, batch: Batch) -> Result<Committed, Error> {
        self.rows()?.commit(batch)
    }

    fn read_anchor(&self) -> Result<Option<Vec<u8>>, Error> {
        self.rows()?.read_anchor()
    }

    fn write_anchor(&self, bytes: &[u8]) -> Result<(), Error> {
        self.rows()?.write_anchor(bytes)
    }

    fn maintain(&self, task: Maintenance) -> Result<StoreStats, Error> {
        if task == Maintenance::Close {
            self.closed.store(true, Ordering::SeqCst);
            return Ok(StoreStats::default());
        }
        self.rows()?.maintain(task)
    }
}
