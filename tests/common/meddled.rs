//! A store in which something happens right before a commit, or right behind it and before its caller hears of it.

use std::sync::{Arc, Mutex};

use tokenvault::Error;
use tokenvault::store::{Batch, Committed, Entry, Maintenance, Store, StoreStats, Table};

use super::shared::Shared;

type Meddling = Mutex<Option<Box<dyn FnOnce() + Send>>>;

/// Every clone is the same store, and is meddled with alike.
#[derive(Clone, Default)]
pub struct Meddled {
    pub store: Shared,
    before: Arc<Meddling>,
    behind: Arc<Meddling>,
}

impl Meddled {
    /// Does something once, before the next commit.
    pub fn before_the_next_commit(&self, meddling: impl FnOnce() + Send + 'static) {
        *self.before.lock().unwrap() = Some(Box::new(meddling));
    }

    /// Does something once, behind the next commit.
    pub fn behind_the_next_commit(&self, meddling: impl FnOnce() + Send + 'static) {
        *self.behind.lock().unwrap() = Some(Box::new(meddling));
    }
}

/// The meddling may use the store itself.
fn meddle(with: &Meddling) {
    let meddling = with.lock().unwrap().take();
    if let Some(meddling) = meddling {
        meddling();
    }
}

impl Store for Meddled {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.store.get(table, key)
    }

    fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Entry>, Error> {
        self.store.scan(table, from, to, limit)
    }

    fn commit(&self, batch: Batch) -> Result<Committed, Error> {
        meddle(&self.before);
        let committed = self.store.commit(batch);
        meddle(&self.behind);
        committed
    }

    fn read_anchor(&self) -> Result<Option<Vec<u8>>, Error> {
        self.store.read_anchor()
    }

    fn write_anchor(&self, bytes: &[u8]) -> Result<(), Error> {
        self.store.write_anchor(bytes)
    }

    fn maintain(&self, task: Maintenance) -> Result<StoreStats, Error> {
        self.store.maintain(task)
    }
}
