//! How a round of commits is made: what waits together is one group of the journal, and shares one sync.
//!
//! Nothing is answered before it is durable, and no reader sees it before that either.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind};
use crate::store::disk::Disk;
use crate::store::journal::{Head, Journal};
use crate::store::sled::draft::{Draft, Request};
use crate::store::sled::engine::Engine;
use crate::store::sled::folder::Folder;
use crate::store::sled::gathering::Gathering;
use crate::store::sled::rounds::Rounds;
use crate::store::sled::standing::Standing;
use crate::store::sled::tally::{Mark, Tally};
use crate::store::sled::turns::{Line, Waiting};
use crate::store::{Committed, Durability};

/// With [`Durability::Process`] a sync begins this long after the first group that it makes durable, or behind the round that is
/// under way then: how long it takes is up to the disk.
const SYNC_AFTER: Duration = Duration::from_millis(50);

/// What rounds are made with; one thread has it at a time.
#[derive(Debug)]
pub(super) struct Committer {
    pub(super) rounds: Arc<Rounds>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) folder: Folder,
    pub(super) journal: Journal,
    pub(super) mark: Mark,
    pub(super) unsynced: Option<Unsynced>,
    pub(super) synced: u64,
    pub(super) gathering: Gathering,
}

/// Groups that are written and not yet durable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unsynced {
    since: Instant,
    bytes: u64,
}

impl Committer {
    /// Makes one round of the commits in a line; answers them all, and gives the outcome of the one that leads it.
    pub(super) fn round(
        &mut self,
        engine: &Engine,
        leading: Option<Request>,
        mut line: Line<'_>,
    ) -> Option<Result<Committed, Error>> {
        let rounds = Arc::clone(&self.rounds);
        let mut draft = Draft::new(Standing { backlog: &rounds.backlog, engine });
        let (mut judged, mut durability) = (Vec::new(), Durability::Process);
        let room = self.await_backlog();
        let mut judge = |draft: &mut Draft<'_>, request: Request| {
            durability = durability.min(request.durability);
            let outcome = room.clone().and_then(|()| rounds.health.check());
            let outcome = outcome.and_then(|()| draft.commit(request));
            outcome.map_err(|cause| match cause.kind() {
                // Once sled has failed at anything, a write behind our back for instance, it fails at everything.
                ErrorKind::StoreFailure => rounds.fail(failure(cause)),
                _ => cause,
            })
        };
        let led = leading.map(|request| judge(&mut draft, request));
        while let Some(Waiting { request, answer }) = if draft.is_full() { None } else { line.next() } {
            judged.push((answer, judge(&mut draft, request)));
        }
        // What a refusal was judged against is durable since the round before, or becomes so with this one.
        let made = self.rounds.health.check().and_then(|()| self.make_durable(draft, durability));
        self.gathering.parts(judged.len() + usize::from(led.is_some()), line.len());
        for (answer, outcome) in judged {
            answer.give(made.clone().and(outcome));
        }
        if self.is_sync_due() || (self.unsynced.is_some() && rounds.backlog.wants_sync()) {
            self.sync_soon();
        }
        led.map(|outcome| made.and(outcome))
    }

    /// How long it may still take until the next sync, if anything waits for one.
    pub(super) fn sync_within(&self) -> Option<Duration> {
        self.unsynced.map(|unsynced| SYNC_AFTER.saturating_sub(unsynced.since.elapsed()))
    }

    pub(super) fn is_sync_due(&self) -> bool {
        self.sync_within().is_some_and(|wait| wait.is_zero())
    }

    /// Syncs what nobody waits for.
    pub(super) fn sync_soon(&mut self) {
        if let Err(cause) = self.sync() {
            self.rounds.fail(failure(cause));
        }
    }

    /// Ends the journal, once everything is applied.
    pub(super) fn close(self) {
        if self.rounds.health.check().is_ok() && self.rounds.backlog.hasten(u64::MAX) {
            // Should it fail, only the next open takes longer.
            drop(self.journal.close());
        }
    }

    /// Waits while so much is not yet in sled that more must not be.
    fn await_backlog(&mut self) -> Result<(), Error> {
        if !self.rounds.backlog.is_full() {
            return Ok(());
        }
        // The other thread waits for the sync of what it is to apply, and there is nobody else to do that.
        self.sync().map_err(|cause| self.rounds.fail(failure(cause)))?;
        let Rounds { backlog, health, patience, .. } = &*self.rounds;
        if backlog.wait(*patience, || !backlog.is_full() || health.check().is_err()) {
            Ok(())
        } else {
            Err(self.rounds.stuck())
        }
    }

    fn make_durable(&mut self, draft: Draft<'_>, durability: Durability) -> Result<(), Error> {
        let made = match durability {
            Durability::Process if draft.is_empty() => Ok(()),
            Durability::Power if draft.is_empty() => self.sync(),
            _ => self.write(draft, durability),
        };
        made.map_err(|cause| self.rounds.fail(failure(cause)))
    }

    /// Writes a round, and lets everyone see it once it is as durable as was asked for.
    fn write(&mut self, draft: Draft<'_>, durability: Durability) -> Result<(), Error> {
        let (changes, tally) = draft.finish(self.rounds.tally());
        self.rounds.begin(tally);
        let Tally { round, rows, digest } = tally;
        let head = Head { round, synced: self.synced, applied: self.rounds.backlog.applied(), rows, digest };
        let bytes = self.journal.prepare(head, changes.rows()).map_err(|cause| self.folder.refused(cause))?;
        if !self.journal.has_room() {
            self.change_segment()?;
        }
        self.journal.write().map_err(|cause| self.folder.refused(cause))?;
        self.unsynced.get_or_insert_with(|| Unsynced { since: Instant::now(), bytes: 0 }).bytes += bytes;
        if durability == Durability::Power {
            let start = Instant::now();
            self.sync_journal()?;
            self.gathering.synced(start.elapsed());
        }
        self.rounds.backlog.land(changes.into_rows(round));
        self.rounds.land(tally);
        if durability == Durability::Power {
            self.settle();
        }
        Ok(())
    }

    /// One sync reaches one segment: so what is in this one is synced before it is left.
    fn change_segment(&mut self) -> Result<(), Error> {
        self.sync()?;
        let Rounds { backlog, health, patience, .. } = &*self.rounds;
        loop {
            let applied = backlog.applied();
            if self.journal.make_room(applied).map_err(|cause| self.folder.refused(cause))? {
                return Ok(());
            }
            backlog.hasten(u64::MAX);
            if !backlog.wait(*patience, || backlog.applied() > applied || health.check().is_err()) {
                return Err(self.rounds.stuck());
            }
            health.check()?;
        }
    }

    /// Makes durable what was written and is not.
    fn sync(&mut self) -> Result<(), Error> {
        if self.unsynced.is_some() {
            self.sync_journal()?;
            self.settle();
        }
        Ok(())
    }

    fn sync_journal(&mut self) -> Result<(), Error> {
        self.journal.sync().map_err(|cause| {
            // The next sync would succeed, since the system tells of a failure once, and would say nothing of these groups.
            self.unsynced = None;
            self.folder.doubt(&*self.disk);
            self.folder.refused(cause)
        })
    }

    /// Notes that every round that can be seen is durable.
    fn settle(&mut self) {
        let Some(unsynced) = self.unsynced.take() else { return };
        let tally = self.rounds.tally();
        self.synced = tally.round;
        // Without the mark a loss is noticed less surely, but nothing is lost.
        drop(self.mark.write(tally.round));
        self.rounds.backlog.settle(tally, unsynced.bytes);
    }
}

pub(super) fn failure(cause: Error) -> Error {
    if cause.kind() == ErrorKind::Corrupt {
        return cause;
    }
    let why = cause.message();
    let detail = format!("a commit could not be made durable: {why}; reopen the vault to learn what it holds");
    Error::unavailable(detail).caused_by(cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sled::SledStore;
    use crate::store::{Batch, Store, Table};

    /// It is its caller's failure: the store goes on.
    #[test]
    fn a_commit_that_is_too_large_is_refused_before_it_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault");
        let store = SledStore::create(&path).unwrap();
        store.write_anchor(b"anchor").unwrap();
        let put = |batch: Batch, row: u16| batch.put(Table::Pci, row.to_be_bytes(), vec![7; 64 << 10]);
        let error = store.commit((0..1_024).fold(Batch::new(), put)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoreFailure);
        assert!(error.message().contains("64 MiB"), "{error}");
        assert_eq!(store.get(Table::Pci, &[0, 0]).unwrap(), None);
        store.commit((0..1_000).fold(Batch::new(), put)).unwrap();
        drop(store);
        assert!(SledStore::open(&path).unwrap().get(Table::Pci, &999_u16.to_be_bytes()).unwrap().is_some());
    }
}
