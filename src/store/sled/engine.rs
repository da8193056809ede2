//! Every call into sled.
//!
//! sled panics where it meets damage that it did not foresee; here a panic ends as `CORRUPT` and poisons the store.

use std::fmt;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{io, iter};

use crate::error::Error;
use crate::store::sled::folder::Folder;
use crate::store::sled::health::Health;
use crate::store::sled::rows::Rows;

/// sled keeps a page of more than a quarter of a segment in a file of its own, which it never syncs. A page holds up to
/// 20 rows, and the port allows values of 64 KiB: 1.3 MiB, so a quarter of 8 MiB is the first power of two that fits.
const SEGMENT_BYTES: usize = 8 << 20;

/// What sled gets of the memory for records. It counts a page as that stands in its log, where it takes less than in memory,
/// and keeps beside: 34 MiB of buffers, up to 16,384 pages that it has not counted yet, and where its pages stand, about 45
/// bytes a token. `benches/scale` shows what comes of it.
const CACHE_SIXTEENTHS: u64 = 10;

/// What rows that were asked for get of it, each by itself.
const ROWS_SIXTEENTHS: u64 = 5;

/// With less sled panics.
const LEAST_CACHE_BYTES: u64 = 256;

/// The sled database of one folder.
pub(super) struct Engine {
    /// `None` only while it is dropped.
    db: Option<sled::Db>,
    rows: Rows,
    folder: PathBuf,
    health: Arc<Health>,
}

// sled's own `Debug` shows every row.
impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens what is in the folder `data` of the vault folder, or makes it.
    pub(super) fn open(vault: &Path, data: &Path, cache_bytes: u64, health: Arc<Health>) -> Result<Self, Error> {
        let config = sled::Config::new()
            .path(data)
            .cache_capacity((cache_bytes / 16 * CACHE_SIXTEENTHS).max(LEAST_CACHE_BYTES))
            .segment_size(SEGMENT_BYTES)
            .flush_every_ms(None)
            .print_profile_on_drop(false);
        let db = guarded(vault, &health, || config.open())?;
        let rows = Rows::new(cache_bytes / 16 * ROWS_SIXTEENTHS);
        Ok(Self { db: Some(db), rows, folder: vault.to_path_buf(), health })
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>, Error> {
        self.rows.get(key, || self.look(key))
    }

    /// The same from sled itself, which may find that it is damaged there.
    pub(super) fn look(&self, key: &[u8]) -> Result<Option<sled::IVec>, Error> {
        self.guarded(|| self.db()?.get(key))
    }

    /// Shows the rows from `from` on, up to but without `to`, in order, until `visit` breaks.
    pub(super) fn walk(
        &self,
        from: &[u8],
        to: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        if from >= to {
            return Ok(());
        }
        self.guarded(|| {
            for row in self.db()?.range(from..to) {
                let (key, value) = row?;
                if visit(&key, &value).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Makes every change or none, in memory: it survives only after a flush and a sync.
    pub(super) fn apply<'a>(&self, changes: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>) -> Result<(), Error> {
        let (mut batch, mut keys) = (sled::Batch::default(), Vec::new());
        for (key, value) in changes {
            keys.push(key);
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.guarded(|| self.db()?.apply_batch(batch))?;
        for key in keys {
            self.rows.forget(key);
        }
        Ok(())
    }

    /// Makes one change, in memory; answers what stood there before.
    pub(super) fn write(&self, key: &[u8], value: Option<&[u8]>) -> Result<Option<sled::IVec>, Error> {
        self.rows.write(key, || {
            self.guarded(|| match value {
                Some(value) => self.db()?.insert(key, value),
                None => self.db()?.remove(key),
            })
        })
    }

    /// Hands every change to the operating system; sled's flush does not reach further.
    pub(super) fn flush(&self) -> Result<(), Error> {
        self.guarded(|| self.db()?.flush()).map(drop)
    }

    /// Whose health it is that a panic takes from now on.
    pub(super) fn answer_for(&mut self, health: &Arc<Health>) {
        self.health = Arc::clone(health);
    }

    /// Gives the files back.
    pub(super) fn close(self) {
        drop(self);
    }

    fn db(&self) -> sled::Result<&sled::Db> {
        self.db.as_ref().ok_or_else(|| sled::Error::Unsupported("the database is closed".to_owned()))
    }

    fn guarded<T>(&self, work: impl FnOnce() -> sled::Result<T>) -> Result<T, Error> {
        guarded(&self.folder, &self.health, work)
    }
}

/// sled flushes once more when it is dropped, and may panic at it.
impl Drop for Engine {
    fn drop(&mut self) {
        let db = self.db.take();
        drop(catch_unwind(AssertUnwindSafe(move || drop(db))));
    }
}

// What sled had in hand at a panic is never used again, since the store is poisoned: so much for `AssertUnwindSafe`.
fn guarded<T>(folder: &Path, health: &Health, work: impl FnOnce() -> sled::Result<T>) -> Result<T, Error> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(cause)) => Err(failure(folder, cause)),
        Err(_) => {
            let folder = folder.display();
            Err(health.poison(Error::corrupt(format!("the data in {folder} is damaged: the storage engine panicked"))))
        }
    }
}

fn failure(folder: &Path, cause: sled::Error) -> Error {
    let damaged = match &cause {
        sled::Error::Io(cause) => cause.kind() == io::ErrorKind::UnexpectedEof,
        _ => matches!(cause, sled::Error::Corruption { .. }),
    };
    if damaged {
        return Error::corrupt(format!("the data in {} is damaged", folder.display())).caused_by(cause);
    }
    match cause {
        sled::Error::Io(cause) => Folder::new(folder).refused(cause),
        cause => Error::store_failure(format!("the storage engine failed in {}", folder.display())).caused_by(cause),
    }
}

/// The key of a row of a table: its byte, then the key within it.
pub(super) fn row_key(table: u8, key: &[u8]) -> Vec<u8> {
    iter::once(table).chain(key.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sled::backlog::Backlog;
    use crate::store::sled::draft::{Draft, Request};
    use crate::store::sled::standing::Standing;
    use crate::store::sled::tally::Tally;
    use crate::store::{Batch, Durability, Table};

    /// Otherwise it would be acknowledged, and its row could never come into sled.
    #[test]
    fn a_change_is_refused_where_sled_fails_although_its_row_is_kept() {
        let temporary = tempfile::tempdir().unwrap();
        let mut engine =
            Engine::open(temporary.path(), &temporary.path().join("sled"), 1 << 20, Arc::default()).unwrap();
        let key = row_key(Table::Pci.as_byte(), b"id");
        engine.write(&key, Some(b"old")).unwrap();
        assert!(engine.get(&key).unwrap().is_some());
        drop(engine.db.take());
        let backlog = Backlog::new(Tally::default());
        let standing = Standing { backlog: &backlog, engine: &engine };
        assert_eq!(standing.get(&key).unwrap().as_deref(), Some(&b"old"[..]));
        for batch in [Batch::new().put(Table::Pci, *b"id", *b"new"), Batch::new().remove(Table::Pci, *b"id")] {
            let request = Request::new(batch, Durability::Power, standing).unwrap();
            Draft::new(standing).commit(request).unwrap_err();
        }
    }
}
