//! A store between a vault and its store that does something at the worst moment: between what the vault has read and the
//! commit that follows from it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokenvault::Error;
use tokenvault::store::{Batch, Committed, Entry, Maintenance, Store, StoreStats, Table};

use super::shared::Shared;

type Deed = Box<dyn FnOnce() + Send>;

/// Every clone is the same store.
#[derive(Clone)]
pub struct Meddler {
    store: Shared,
    deed: Arc<Mutex<Option<Deed>>>,
    refuses: Arc<AtomicBool>,
}

/// What came of a deed.
#[derive(Debug)]
pub struct Done<T>(Arc<Mutex<Option<T>>>);

impl<T> Done<T> {
    /// What it gave; it must have been done.
    #[track_caller]
    pub fn take(self) -> T {
        let done = self.0.lock().unwrap().take();
        done.unwrap_or_else(|| panic!("nothing came between"))
    }
}

impl Meddler {
    pub fn on(store: &Shared) -> Self {
        Self { store: store.clone(), deed: Arc::default(), refuses: Arc::default() }
    }

    /// Does something right before the next commit.
    pub fn before_commit<T: Send + 'static>(&self, deed: impl FnOnce() -> T + Send + 'static) -> Done<T> {
        let done = Arc::new(Mutex::new(None));
        let result = Done(Arc::clone(&done));
        *self.deed.lock().unwrap() = Some(Box::new(move || *done.lock().unwrap() = Some(deed())));
        result
    }

    /// Refuses every commit from now on.
    pub fn refuse_all(&self) {
        self.refuses.store(true, Ordering::SeqCst);
    }
}

impl Store for Meddler {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.store.get(table, key)
    }

    fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Entry>, Error> {
        self.store.scan(table, from, to, limit)
    }

    fn commit(&self, batch: Batch) -> Result<Committed, Error> {
        let deed = self.deed.lock().unwrap().take();
        if let Some(deed) = deed {
            deed();
        }
        if self.refuses.load(Ordering::SeqCst) {
            return Ok(Committed::Refused { condition: 0, found: None });
        }
        self.store.commit(batch)
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
