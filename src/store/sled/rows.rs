//! Rows that were asked for lately, each by itself.
//!
//! sled comes to a row by way of pages: some thirty places in memory, which in a large vault the processor has to fetch one
//! behind the other. Here it is about five, however large the vault is.
//!
//! Whoever writes a row forgets it behind that, and whoever reads keeps nothing that was written in the meantime: both under
//! the lock of the same shard. Until it is forgotten, what is here is that of before; but then the backlog has the row still,
//! and is asked first, or there are no readers yet, as in an open.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use quick_cache::Weighter;
use quick_cache::unsync::Cache;
use sled::IVec;

use crate::error::Error;

/// So many that threads seldom meet in one.
const SHARDS: u8 = 64;
/// What a row takes beside key and value: their blocks, its place, room for others, and what is remembered of some that went.
const BESIDE: u64 = 224;
/// A row with 17 bytes of key and a sealed card.
const USUAL: u64 = 420;

pub(super) struct Rows {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
}

struct Shard {
    rows: Cache<Box<[u8]>, IVec, Weight>,
    /// How many rows of this shard were written.
    written: u64,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Box<[u8]>, IVec> for Weight {
    fn weight(&self, key: &Box<[u8]>, value: &IVec) -> u64 {
        [key.len(), value.len()].iter().filter_map(|len| u64::try_from(*len).ok()).sum::<u64>() + BESIDE
    }
}

impl Rows {
    /// For so many bytes, with all that is kept beside keys and values.
    pub(super) fn new(bytes: u64) -> Self {
        let each = bytes / u64::from(SHARDS);
        let usual = usize::try_from(each / USUAL).unwrap_or(usize::MAX);
        let shard = |_| Mutex::new(Shard { rows: Cache::with_weighter(usual, each, Weight), written: 0 });
        Self { shards: (0..SHARDS).map(shard).collect(), hasher: RandomState::new() }
    }

    /// The value of a key, from here or as it is read.
    pub(super) fn get(
        &self,
        key: &[u8],
        read: impl FnOnce() -> Result<Option<IVec>, Error>,
    ) -> Result<Option<IVec>, Error> {
        let Some(shard) = self.shard(key) else { return read() };
        let written = {
            let shard = lock(shard);
            if let Some(value) = shard.rows.get(key) {
                return Ok(Some(value.clone()));
            }
            shard.written
        };
        let value = read()?;
        if let Some(value) = &value {
            let mut shard = lock(shard);
            if shard.written == written {
                shard.rows.insert(key.into(), value.clone());
            }
        }
        Ok(value)
    }

    /// Writes a row, and forgets it behind that.
    pub(super) fn write<T>(&self, key: &[u8], write: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let replaced = write()?;
        self.forget(key);
        Ok(replaced)
    }

    /// Forgets a row that was written.
    pub(super) fn forget(&self, key: &[u8]) {
        if let Some(shard) = self.shard(key) {
            let mut shard = lock(shard);
            shard.written += 1;
            shard.rows.remove(key);
        }
    }

    fn shard(&self, key: &[u8]) -> Option<&Mutex<Shard>> {
        let [place, ..] = self.hasher.hash_one(key).to_le_bytes();
        self.shards.get(usize::from(place % SHARDS))
    }
}

// Nothing under this lock stops half way, so a poisoned one guards sound data.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::store::sled::SledOptions;
    use crate::store::{Batch, Store, Table};

    /// What `get` answers, and whether it had to read for it.
    fn get(rows: &Rows, key: &[u8], value: &[u8]) -> (Option<IVec>, bool) {
        let mut read = false;
        let answer = rows.get(key, || {
            read = true;
            Ok(Some(value.into()))
        });
        (answer.unwrap(), read)
    }

    #[test]
    fn a_row_is_read_once_until_it_is_written() {
        let rows = Rows::new(1 << 20);
        assert_eq!(get(&rows, b"key", b"old"), (Some("old".into()), true));
        assert_eq!(get(&rows, b"key", b"new"), (Some("old".into()), false));
        rows.write(b"key", || Ok(())).unwrap();
        assert_eq!(get(&rows, b"key", b"new"), (Some("new".into()), true));
        assert_eq!(rows.get(b"other", || Ok(None)).unwrap(), None);
        assert_eq!(get(&rows, b"other", b"value").0, Some("value".into()));
        rows.get(b"failed", || Err(Error::corrupt("damaged"))).unwrap_err();
        assert!(get(&rows, b"failed", b"value").1);
    }

    #[test]
    fn what_was_written_while_it_was_read_is_not_kept() {
        let rows = Rows::new(1 << 20);
        let stale = rows.get(b"key", || {
            rows.forget(b"key");
            Ok(Some("old".into()))
        });
        assert_eq!(stale.unwrap(), Some("old".into()));
        assert_eq!(get(&rows, b"key", b"new"), (Some("new".into()), true));
    }

    /// Who reads while it is written may find either, and keeps neither.
    #[test]
    fn what_is_read_before_its_write_ends_is_forgotten_behind_it() {
        let rows = Rows::new(1 << 20);
        assert!(rows.write(b"key", || Ok(get(&rows, b"key", b"old").1)).unwrap());
        assert_eq!(get(&rows, b"key", b"new"), (Some("new".into()), true));
    }

    #[test]
    fn rows_take_no_more_than_they_may() {
        for bytes in [0, 1, 1 << 10, 1 << 20, u64::MAX] {
            let rows = Rows::new(bytes);
            for row in 0..10_000_u32 {
                get(&rows, &row.to_be_bytes(), &[7; 200]);
            }
            let weight: u64 = rows.shards.iter().map(|shard| lock(shard).rows.weight()).sum();
            assert!(weight <= bytes, "{weight} of {bytes}");
            // Unless nothing fits.
            assert_eq!(weight > 0, bytes >= 1 << 20, "{bytes}");
        }
    }

    /// With passes that follow each other at once, rows go from backlog to sled while they are read.
    #[test]
    fn nobody_reads_an_older_row_behind_a_newer_one() {
        const ROWS: u8 = 4;
        let folder = tempfile::tempdir().unwrap();
        let store = SledOptions::new().company(Duration::ZERO).create(folder.path().join("vault")).unwrap();
        store.write_anchor(b"anchor").unwrap();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut newest = [0; ROWS as usize];
                    while !over.load(Ordering::Relaxed) {
                        for (row, newest) in (0..ROWS).zip(&mut newest) {
                            let value = store.get(Table::Pci, &[row]).unwrap();
                            let value = value.map_or(0, |value| u32::from_be_bytes(value.try_into().unwrap()));
                            assert!(value >= *newest, "{value} behind {newest}");
                            *newest = value;
                        }
                    }
                });
            }
            let made = (1..=3_000_u32).try_for_each(|value| {
                let put = |batch: Batch, row| batch.put(Table::Pci, [row], value.to_be_bytes());
                store.commit((0..ROWS).fold(Batch::new(), put)).map(drop)
            });
            over.store(true, Ordering::Relaxed);
            made.unwrap();
        });
    }
}
