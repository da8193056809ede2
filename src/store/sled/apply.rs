//! One thread brings what is committed from the backlog into sled, behind everyone's back.
//!
//! A pass writes all rows that wait as plain sorted changes: in batches they would stay in sled's memory to the end, and
//! keep readers out. The tally comes last; with it durable, the journal up to its round is not needed any longer.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::store::batch;
use crate::store::sled::backlog::{Backlog, Bytes, Row};
use crate::store::sled::engine::Engine;
use crate::store::sled::health::Health;
use crate::store::sled::log::Log;
use crate::store::sled::tally::{TALLY_KEY, Tally};

/// Rows that are taken from the backlog at a time.
const ROWS_AT_ONCE: usize = 256;

/// What the applying thread works with.
#[derive(Debug)]
pub(super) struct Applier {
    pub(super) backlog: Arc<Backlog>,
    pub(super) health: Arc<Health>,
    pub(super) log: Log,
    /// How long rows wait for company.
    pub(super) company: Duration,
    /// How long a pass waits for the sync of a row.
    pub(super) patience: Duration,
}

impl Applier {
    /// As [`Backlog::begin_pass`].
    pub(super) fn begin_pass(&self) -> Option<Tally> {
        self.backlog.begin_pass(self.company)
    }

    /// Applies everything that waits. Rows that come in behind its back may stay behind.
    pub(super) fn pass(&mut self, engine: &Engine, tally: Tally) -> Result<(), Error> {
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
                if self.log.write(engine, key, row.value.as_deref())? && row.is_new {
                    return Err(batch::not_new());
                }
            }
            self.backlog.forget(&rows);
        }
        self.health.check()?;
        finish(engine, &mut self.log, tally)?;
        self.backlog.end_pass(tally.round);
        Ok(())
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
    use super::*;
    use crate::store::disk::RealDisk;
    use crate::store::sled::folder::Folder;

    /// A panic of sled in a reader poisons the store behind the back of the applying thread.
    #[test]
    fn sled_is_left_alone_once_the_store_is_poisoned() {
        let temporary = tempfile::tempdir().unwrap();
        let (folder, health) = (Folder::new(temporary.path()), Arc::<Health>::default());
        std::fs::create_dir(folder.data()).unwrap();
        let engine = Engine::open(folder.path(), &folder.data(), 1 << 20, Arc::clone(&health)).unwrap();
        let (backlog, patience) = (Arc::new(Backlog::new(Tally::default())), Duration::from_secs(1));
        let log = Log::open(&folder, Arc::new(RealDisk)).unwrap();
        let (backlog_of_it, health_of_it) = (Arc::clone(&backlog), Arc::clone(&health));
        let company = Duration::ZERO;
        let mut applier = Applier { backlog: backlog_of_it, health: health_of_it, log, company, patience };
        let tally = Tally { round: 1, ..Tally::default() };
        let row = Row { round: 1, value: Some(Bytes::from(*b"value")), is_new: false };
        backlog.land([(Bytes::from(*b"key"), row)].into_iter());
        backlog.settle(tally, 0);
        health.poison(Error::corrupt("sled panicked"));
        applier.pass(&engine, tally).unwrap_err();
        assert_eq!((engine.get(b"key").unwrap(), engine.get(TALLY_KEY).unwrap()), (None, None));
        assert_eq!(backlog.applied(), 0);
    }
}
