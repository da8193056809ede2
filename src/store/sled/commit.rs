//! One thread makes every commit: what arrives together is one round, one group of the journal, and shares one sync.
//!
//! Nothing is answered before it is durable, and no reader sees it before that either. It is a thread of our own and not
//! one of the writers, because a sync of a dead disk waits without end: so nobody waits in it but this thread, and who
//! waits for this thread gives up after [`PATIENCE`].

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind};
use crate::store::disk::Disk;
use crate::store::journal::{Head, Journal};
use crate::store::sled::answer::{Answer, Outcome, Waited, answer};
use crate::store::sled::backlog::Backlog;
use crate::store::sled::draft::{Change, Draft};
use crate::store::sled::engine::Engine;
use crate::store::sled::folder::Folder;
use crate::store::sled::health::Health;
use crate::store::sled::standing::Standing;
use crate::store::sled::tally::{Mark, Tally};
use crate::store::{Batch, Committed, Condition, Durability};

/// A round that takes longer than this has met a dead thread or a dead disk.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// Patience is counted in so many slices. Of the time for which a process is stopped, by a debugger or with its
/// container, the clock says nothing: it costs one slice, and what went on before it goes on in the others.
pub(super) const SLICES: u32 = 60;

/// With [`Durability::Process`] a sync begins this long after the first group that it makes durable, or behind the round that is
/// under way then: how long it takes is up to the disk.
const SYNC_AFTER: Duration = Duration::from_millis(50);

/// A commit on its way to the thread.
#[derive(Debug)]
pub(super) struct Request {
    conditions: Vec<Condition>,
    changes: Vec<Change>,
    durability: Durability,
    answer: Answer,
}

impl Request {
    /// Does for a commit what can be done before it is its turn.
    pub(super) fn new(batch: Batch, durability: Durability, standing: Standing<'_>) -> (Self, Outcome) {
        let (conditions, writes) = batch.into_parts();
        let changes = writes.into_iter().map(|write| Change::new(write, standing)).collect();
        let (answer, outcome) = answer();
        (Self { conditions, changes, durability, answer }, outcome)
    }
}

/// What the committing thread works with.
#[derive(Debug)]
pub(super) struct Committer {
    pub(super) rounds: Arc<Rounds>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) folder: Folder,
    pub(super) journal: Journal,
    pub(super) mark: Mark,
    pub(super) unsynced: Option<Unsynced>,
    pub(super) synced: u64,
}

/// Groups that are written and not yet durable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unsynced {
    since: Instant,
    bytes: u64,
}

impl Committer {
    /// Waits for a request; `Timeout` if it is time for a sync first.
    pub(super) fn await_request(&self, waiting: &Receiver<Request>) -> Result<Request, RecvTimeoutError> {
        match self.unsynced {
            Some(unsynced) => waiting.recv_timeout(SYNC_AFTER.saturating_sub(unsynced.since.elapsed())),
            None => waiting.recv().map_err(RecvTimeoutError::from),
        }
    }

    /// Makes one round of the first request and of what waits behind it.
    pub(super) fn round(&mut self, engine: &Engine, first: Request, waiting: &Receiver<Request>) {
        let rounds = Arc::clone(&self.rounds);
        let mut draft = Draft::new(Standing { backlog: &rounds.backlog, engine });
        let (mut judged, mut durability) = (Vec::new(), Durability::Process);
        let room = self.await_backlog();
        let mut next = Some(first);
        while let Some(request) = next {
            durability = durability.min(request.durability);
            let outcome = room.clone().and_then(|()| self.rounds.health.check());
            let outcome = outcome.and_then(|()| draft.commit(&request.conditions, request.changes));
            let outcome = outcome.map_err(|cause| match cause.kind() {
                // Once sled has failed at anything, a write behind our back for instance, it fails at everything.
                ErrorKind::StoreFailure => self.rounds.fail(failure(cause)),
                _ => cause,
            });
            judged.push((request.answer, outcome));
            next = if draft.is_full() { None } else { waiting.try_recv().ok() };
        }
        // What a refusal was judged against is durable since the round before, or becomes so with this one.
        let made = self.rounds.health.check().and_then(|()| self.make_durable(draft, durability));
        for (answer, outcome) in judged {
            answer.give(made.clone().and(outcome));
        }
        if self.unsynced.is_some_and(|unsynced| unsynced.since.elapsed() >= SYNC_AFTER || rounds.backlog.wants_sync()) {
            self.sync_soon();
        }
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
            self.sync_journal()?;
        }
        self.rounds.backlog.land(changes.into_rows(), round);
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

/// How far the rounds are: what readers and writers share with the committing thread.
#[derive(Debug)]
pub(super) struct Rounds {
    pub(super) health: Arc<Health>,
    pub(super) backlog: Arc<Backlog>,
    /// For messages.
    folder: PathBuf,
    /// How long anyone waits for a round.
    pub(super) patience: Duration,
    /// The number of the last round that was begun.
    begun: AtomicU64,
    /// After the last round that can be seen.
    tally: Mutex<Tally>,
}

impl Rounds {
    pub(super) fn new(folder: &Folder, health: Arc<Health>, tally: Tally, patience: Duration) -> Self {
        Self {
            health,
            backlog: Arc::new(Backlog::new(tally)),
            folder: folder.path().to_path_buf(),
            patience,
            begun: AtomicU64::new(tally.round),
            tally: Mutex::new(tally),
        }
    }

    /// The tally after the last round that can be seen.
    pub(super) fn tally(&self) -> Tally {
        *self.lock()
    }

    /// The number of the last round that was begun.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    /// Changes when either thread has got on: the committing one may wait for the other.
    pub(super) fn progress(&self) -> (u64, u64) {
        (self.begun(), self.backlog.moment())
    }

    /// Waits for the outcome of a request that was handed to the thread.
    pub(super) fn wait(&self, outcome: &Outcome) -> Result<Committed, Error> {
        let (mut progress, mut idle) = (self.progress(), 0);
        while idle < SLICES {
            match outcome.wait(self.slice()) {
                Waited::Heard(outcome) => return outcome,
                Waited::Idle if self.progress() == progress => idle += 1,
                Waited::Idle => (progress, idle) = (self.progress(), 0),
                Waited::Unheard => {
                    let folder = self.folder.display();
                    let ended = format!("the committing thread of {folder} has ended; reopen the vault");
                    return Err(self.health.poison(Error::unavailable(ended)));
                }
            }
        }
        Err(self.stuck())
    }

    /// Waits until everything that can be seen is durable in sled.
    pub(super) fn drain(&self) -> Result<(), Error> {
        let round = self.tally().round;
        let is_applied =
            self.backlog.wait(self.patience, || self.backlog.hasten(round) || self.health.check().is_err());
        self.health.check()?;
        if is_applied { Ok(()) } else { Err(self.stuck()) }
    }

    /// One of the [`SLICES`] of patience.
    pub(super) fn slice(&self) -> Duration {
        self.patience / SLICES
    }

    pub(super) fn stuck(&self) -> Error {
        let (seconds, folder) = (self.patience.as_secs(), self.folder.display());
        let detail = format!(
            "no commit was made durable in {folder} for {seconds} seconds; reopen the vault to learn what it holds"
        );
        self.fail(Error::unavailable(detail))
    }

    /// Poisons the store, and lets the applying thread end.
    pub(super) fn fail(&self, error: Error) -> Error {
        let error = self.health.poison(error);
        self.backlog.end();
        error
    }

    fn begin(&self, tally: Tally) {
        self.begun.store(tally.round, Ordering::SeqCst);
    }

    fn land(&self, tally: Tally) {
        *self.lock() = tally;
    }

    // Nothing under this lock stops half way, so a poisoned one guards sound data.
    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
