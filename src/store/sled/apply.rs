//! One thread brings what is committed from the backlog into sled, behind everyone's back.
//!
//! A pass writes all rows that wait as plain sorted changes: in batches they would stay in sled's memory to the end, and
//! keep readers out. The tally comes last; with it durable, the journal up to its round is not needed any longer.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::store::batch;
use crate::store::disk::Disk;
use crate::store::sled::backlog::{Backlog, Bytes, Row};
use crate::store::sled::compact::Second;
use crate::store::sled::engine::Engine;
use crate::store::sled::folder::Folder;
use crate::store::sled::health::Health;
use crate::store::sled::log::Log;
use crate::store::sled::tally::{TALLY_KEY, Tally};

/// Rows that are taken from the backlog at a time.
const ROWS_AT_ONCE: usize = 256;

/// What the applying thread works with, and whoever compacts.
#[derive(Debug)]
pub(super) struct Applier {
    pub(super) backlog: Arc<Backlog>,
    pub(super) health: Arc<Health>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) engine: Arc<Engine>,
    pub(super) log: Log,
    /// Memory for the pages of a second database.
    pub(super) cache_bytes: u64,
    pub(super) second: Second,
    /// What the rows in sled add up to, those included that the tally there does not speak of yet.
    pub(super) held: Tally,
    /// How long a pass waits for the sync of a row.
    pub(super) patience: Duration,
    /// How long the last pass took: as long may whoever compacts hold up the next one.
    pub(super) took: Duration,
}

impl Applier {
    /// Applies everything that waits. Rows that come in behind its back may stay behind.
    pub(super) fn pass(&mut self, tally: Tally) -> Result<(), Error> {
        let mut last: Option<Bytes> = None;
        loop {
            let rows = self.backlog.behind(last.as_ref(), ROWS_AT_ONCE);
            let Some((key, _)) = rows.last() else { break };
            last = Some(Arc::clone(key));
            if !self.await_sync(&rows) {
                return Ok(());
            }
            // After a panic in another thread sled is not to be used again.
            self.health.check()?;
            for (key, row) in &rows {
                let value = row.value.as_deref();
                let replaced = self.log.write(&self.engine, key, value)?;
                if let Some(first) = replaced.as_ref().filter(|_| row.is_new) {
                    // The journal has the other one.
                    self.log.write(&self.engine, key, Some(first))?;
                    return Err(batch::not_new());
                }
                self.held.replace(key, replaced.as_deref(), value);
                self.second.write(key, value)?;
            }
            self.backlog.forget(&rows);
        }
        self.health.check()?;
        self.second.write(TALLY_KEY, Some(&tally.encode()))?;
        finish(&self.engine, &mut self.log, tally)?;
        self.backlog.end_pass(tally.round);
        Ok(())
    }

    /// Gives sled back; answers the folder with the database that the next open finds.
    pub(super) fn close(self) -> Folder {
        self.second.close(&self.health);
        self.log.folder().clone()
    }

    /// Waits until rows are durable in the journal: sled must not have what that may lose. `false` if they will not be.
    fn await_sync(&self, rows: &[(Bytes, Row)]) -> bool {
        let newest = rows.iter().map(|(_, row)| row.round).max().unwrap_or(0);
        self.backlog.wait(self.patience, || self.backlog.has_ended() || self.backlog.is_settled(newest))
            && self.backlog.is_settled(newest)
    }
}

/// Makes changes durable in sled, with the tally that they lead to.
pub(super) fn apply<'a>(
    engine: &Engine,
    log: &mut Log,
    rows: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    tally: Tally,
) -> Result<(), Error> {
    for (key, value) in rows {
        log.write(engine, key, value)?;
    }
    finish(engine, log, tally)
}

fn finish(engine: &Engine, log: &mut Log, tally: Tally) -> Result<(), Error> {
    log.write(engine, TALLY_KEY, Some(&tally.encode()))?;
    log.settle(engine)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::store::disk::{OnSync, RealDisk};

    fn panicked() -> Error {
        Error::corrupt("sled panicked")
    }

    /// A pass of one row, which must fail; answers what sled has then, of the row and of the tally.
    fn failed_pass(value: &[u8], health: Arc<Health>, disk: Arc<dyn Disk>) -> [Option<sled::IVec>; 2] {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path());
        fs::create_dir(folder.data()).unwrap();
        let engine = Arc::new(Engine::open(folder.path(), &folder.data(), 1 << 20, Arc::clone(&health)).unwrap());
        let backlog = Arc::new(Backlog::new(Tally::default()));
        let mut applier = Applier {
            backlog: Arc::clone(&backlog),
            health,
            disk: Arc::clone(&disk),
            engine: Arc::clone(&engine),
            log: Log::open(&folder, disk).unwrap(),
            cache_bytes: 1 << 20,
            second: Second::default(),
            held: Tally::default(),
            patience: Duration::from_secs(1),
            took: Duration::ZERO,
        };
        let tally = Tally { round: 1, ..Tally::default() };
        let row = Row { round: 1, value: Some(Bytes::from(value)), is_new: false };
        backlog.land([(Bytes::from(*b"key"), row)].into_iter());
        backlog.settle(tally, 0);
        assert_eq!(applier.pass(tally).unwrap_err().message(), panicked().message());
        assert_eq!(backlog.applied(), 0);
        [&b"key"[..], TALLY_KEY].map(|key| engine.get(key).unwrap())
    }

    /// A panic of sled in a reader poisons the store behind the back of the applying thread.
    #[test]
    fn sled_is_left_alone_once_the_store_is_poisoned() {
        let health = Arc::<Health>::default();
        health.poison(panicked());
        assert_eq!(failed_pass(b"value", health, Arc::new(RealDisk)), [None, None]);
    }

    /// Also behind the last row.
    #[test]
    fn no_tally_is_written_once_the_store_is_poisoned() {
        // A row of which the log is synced at once.
        let (value, health) = (vec![7; 300 << 10], Arc::<Health>::default());
        let elsewhere = Arc::clone(&health);
        let disk = Arc::new(OnSync(move |_: &Path| drop(elsewhere.poison(panicked()))));
        assert_eq!(failed_pass(&value, health, disk), [Some(sled::IVec::from(value)), None]);
    }
}
