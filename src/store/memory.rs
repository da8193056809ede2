//! A store in memory, for tests and for vaults that may vanish.
//!
//! It keeps every promise of the port but to survive: what it holds ends with it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::error::Error;
use crate::store::{Batch, Committed, Condition, Entry, Maintenance, Store, StoreStats, Table, Write, batch};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// Keeps entries in memory, and loses them when it is dropped.
#[derive(Default)]
pub struct MemoryStore {
    held: RwLock<Held>,
}

// A derived one would show every row.
impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Held {
    tables: BTreeMap<Table, Rows>,
    anchor: Option<Vec<u8>>,
    closed: bool,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    // Nothing that runs under the lock can stop half way, so a poisoned lock guards sound data.
    fn read(&self) -> Result<RwLockReadGuard<'_, Held>, Error> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        if held.closed { Err(closed()) } else { Ok(held) }
    }

    fn write(&self) -> Result<RwLockWriteGuard<'_, Held>, Error> {
        let held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if held.closed { Err(closed()) } else { Ok(held) }
    }
}

impl Store for MemoryStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.read()?.value(table, key).cloned())
    }

    fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Entry>, Error> {
        let held = self.read()?;
        let entries = held.range(table, from, to).take(limit);
        Ok(entries.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn commit(&self, batch: Batch) -> Result<Committed, Error> {
        let (conditions, writes) = batch.into_parts();
        let mut held = self.write()?;
        for (condition, required) in conditions.iter().enumerate() {
            if let Err(found) = held.judge(required) {
                return Ok(Committed::Refused { condition, found });
            }
        }
        let taken = |write: &Write| matches!(write, Write::Insert(table, key, _) if held.value(*table, key).is_some());
        if batch::has_doubles(&writes) || writes.iter().any(taken) {
            return Err(batch::not_new());
        }
        for write in writes {
            held.apply(write);
        }
        Ok(Committed::Applied)
    }

    fn read_anchor(&self) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.read()?.anchor.clone())
    }

    fn write_anchor(&self, bytes: &[u8]) -> Result<(), Error> {
        self.write()?.anchor = Some(bytes.to_vec());
        Ok(())
    }

    fn maintain(&self, task: Maintenance) -> Result<StoreStats, Error> {
        match task {
            Maintenance::Stats => {
                let held = self.read()?;
                let entries = Table::ALL.iter().map(|table| (*table, held.count(*table))).collect();
                Ok(StoreStats::new(entries, 0))
            }
            Maintenance::Checkpoint | Maintenance::Compact => self.read().map(|_| StoreStats::default()),
            Maintenance::Close => {
                *self.held.write().unwrap_or_else(PoisonError::into_inner) = Held { closed: true, ..Held::default() };
                Ok(StoreStats::default())
            }
        }
    }
}

impl Held {
    /// `Err` holds what was found instead.
    fn judge(&self, condition: &Condition) -> Result<(), Option<Vec<u8>>> {
        let (holds, found) = match condition {
            Condition::Absent(table, key) => {
                let found = self.value(*table, key);
                (found.is_none(), found)
            }
            Condition::Value(table, key, value) => {
                let found = self.value(*table, key);
                (found == Some(value), found)
            }
            Condition::EmptyRange(table, from, to) => {
                let found = self.range(*table, from, to).next().map(|(_, value)| value);
                (found.is_none(), found)
            }
        };
        if holds { Ok(()) } else { Err(found.cloned()) }
    }

    fn apply(&mut self, write: Write) {
        match write {
            Write::Put(table, key, value) | Write::Insert(table, key, value) => {
                drop(self.tables.entry(table).or_default().insert(key, value));
            }
            Write::Remove(table, key) => drop(self.tables.get_mut(&table).map(|rows| rows.remove(&key))),
        }
    }

    fn value(&self, table: Table, key: &[u8]) -> Option<&Vec<u8>> {
        self.tables.get(&table)?.get(key)
    }

    fn range(&self, table: Table, from: &[u8], to: &[u8]) -> impl Iterator<Item = (&Vec<u8>, &Vec<u8>)> {
        // A map refuses a range that ends before it starts; for the port it is an empty one.
        let rows = self.tables.get(&table).filter(|_| from < to);
        let bounds = (Bound::Included(from), Bound::Excluded(to));
        rows.into_iter().flat_map(move |rows| rows.range::<[u8], _>(bounds))
    }

    fn count(&self, table: Table) -> u64 {
        self.tables.get(&table).map_or(0, |rows| u64::try_from(rows.len()).unwrap_or(u64::MAX))
    }
}

fn closed() -> Error {
    Error::unavailable("the store is closed")
}
