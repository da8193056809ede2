//! One thread makes every commit: what arrives together is one round, and shares one sync.
//!
//! Nothing is answered before it is durable, and no reader sees it before that either. It is a thread of our own and not
//! one of the writers, because sled's flush waits without end if one of sled's threads has died: so nobody waits in it
//! but this thread, and who waits for this thread gives up after [`PATIENCE`].

use std::error::Error as _;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::store::disk::Disk;
use crate::store::sled::draft::{Changes, Draft};
use crate::store::sled::engine::Engine;
use crate::store::sled::folder::Folder;
use crate::store::sled::health::Health;
use crate::store::sled::tally::{Mark, Tally};
use crate::store::{Batch, Committed, Condition, Write};

/// A round that takes longer than this has met a dead thread or a dead disk.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// Patience is counted in so many slices. Of the time for which a process is stopped, by a debugger or with its
/// container, the clock says nothing: it costs one slice, and what went on before it goes on in the others.
pub(super) const SLICES: u32 = 60;

/// A commit, and where its outcome goes.
#[derive(Debug)]
pub(super) struct Request {
    conditions: Vec<Condition>,
    writes: Vec<Write>,
    answer: SyncSender<Result<Committed, Error>>,
}

impl Request {
    pub(super) fn new(batch: Batch) -> (Self, Receiver<Result<Committed, Error>>) {
        let (conditions, writes) = batch.into_parts();
        let (answer, outcome) = sync_channel(1);
        (Self { conditions, writes, answer }, outcome)
    }
}

/// What the committing thread works with.
#[derive(Debug)]
pub(super) struct Committer {
    pub(super) rounds: Arc<Rounds>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) folder: Folder,
    /// sled's log, on a handle of our own.
    pub(super) log: File,
    pub(super) log_path: PathBuf,
    pub(super) mark: Mark,
}

impl Committer {
    /// Makes one round of the first request and of what waits behind it.
    pub(super) fn round(&mut self, engine: &Engine, first: Request, waiting: &Receiver<Request>) {
        let mut draft = Draft::new(engine);
        let mut judged = Vec::new();
        let mut next = Some(first);
        while let Some(Request { conditions, writes, answer }) = next {
            let outcome = self.rounds.health.check().and_then(|()| draft.commit(&conditions, writes));
            let outcome = outcome.map_err(|cause| match cause.kind() {
                // Once sled has failed at anything, a write behind our back for instance, it fails at everything.
                ErrorKind::StoreFailure => self.rounds.fail(failure(cause)),
                _ => cause,
            });
            judged.push((answer, outcome));
            next = if draft.is_full() { None } else { waiting.try_recv().ok() };
        }
        // What a refusal was judged against is durable since the round before, or becomes so with this one.
        let durable = self.rounds.health.check().and_then(|()| self.make_durable(engine, draft));
        for (answer, outcome) in judged {
            // Who asked may have given up.
            drop(answer.try_send(durable.clone().and(outcome)));
        }
    }

    fn make_durable(&mut self, engine: &Engine, draft: Draft<'_>) -> Result<(), Error> {
        if draft.is_empty() {
            return Ok(());
        }
        let (changes, tally) = draft.finish(self.rounds.tally());
        let changes = Arc::new(changes);
        self.rounds.begin(&changes, tally);
        let made = changes.apply(engine, tally).and_then(|()| self.flush(engine)).and_then(|()| self.sync());
        if let Err(cause) = made {
            return Err(self.rounds.fail(failure(cause)));
        }
        // Without the mark a loss is noticed less surely, but nothing is lost.
        drop(self.mark.write(tally.round));
        self.rounds.land(tally);
        Ok(())
    }

    fn flush(&self, engine: &Engine) -> Result<(), Error> {
        engine.flush().inspect_err(|cause| {
            let cause = cause.source().and_then(|cause| cause.downcast_ref::<io::Error>());
            // Where there is no space nothing was written; and the log could not be written anew.
            if cause.is_some_and(|cause| cause.kind() != io::ErrorKind::StorageFull) {
                self.folder.doubt(&*self.disk);
            }
        })
    }

    fn sync(&self) -> Result<(), Error> {
        self.disk.sync_file(&self.log, &self.log_path).map_err(|cause| {
            self.folder.doubt(&*self.disk);
            self.folder.refused(cause)
        })
    }
}

fn failure(cause: Error) -> Error {
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
    /// For messages.
    folder: PathBuf,
    /// How long anyone waits for a round.
    pub(super) patience: Duration,
    /// The number of the last round whose changes may show in sled.
    begun: AtomicU64,
    /// The number of the last durable round.
    durable: AtomicU64,
    now: Mutex<Now>,
    landed: Condvar,
}

#[derive(Debug)]
struct Now {
    /// After the last durable round.
    tally: Tally,
    /// Those of a round that is not yet durable.
    changes: Option<Arc<Changes>>,
}

impl Rounds {
    pub(super) fn new(folder: &Folder, health: Arc<Health>, tally: Tally, patience: Duration) -> Self {
        let (begun, durable) = (AtomicU64::new(tally.round), AtomicU64::new(tally.round));
        let folder = folder.path().to_path_buf();
        Self {
            health,
            folder,
            patience,
            begun,
            durable,
            now: Mutex::new(Now { tally, changes: None }),
            landed: Condvar::new(),
        }
    }

    /// The tally after the last durable round.
    pub(super) fn tally(&self) -> Tally {
        self.lock().tally
    }

    /// The number of the last round whose changes may show in sled.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    /// To be called after a read, with whether it may have seen any of given changes: returns when they are durable.
    pub(super) fn settle(&self, seen: impl FnOnce(&Changes) -> bool) -> Result<(), Error> {
        let begun = self.begun();
        if self.durable.load(Ordering::SeqCst) >= begun {
            return Ok(());
        }
        let mut now = self.lock();
        if !now.changes.as_ref().is_some_and(|changes| seen(changes)) {
            return Ok(());
        }
        let round = now.tally.round;
        let under_way = |now: &mut Now| now.tally.round == round && self.health.check().is_ok();
        for _ in 0..SLICES {
            let waited = self.landed.wait_timeout_while(now, self.slice(), under_way);
            let timeout;
            (now, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            if !timeout.timed_out() {
                break;
            }
        }
        if now.tally.round == round { self.health.check().and_then(|()| Err(self.stuck())) } else { Ok(()) }
    }

    /// Waits for the outcome of a request that was handed to the thread.
    pub(super) fn wait(&self, outcome: &Receiver<Result<Committed, Error>>) -> Result<Committed, Error> {
        let (mut begun, mut idle) = (self.begun(), 0);
        while idle < SLICES {
            match outcome.recv_timeout(self.slice()) {
                Ok(outcome) => return outcome,
                Err(RecvTimeoutError::Timeout) if self.begun() == begun => idle += 1,
                Err(RecvTimeoutError::Timeout) => (begun, idle) = (self.begun(), 0),
                Err(RecvTimeoutError::Disconnected) => {
                    let folder = self.folder.display();
                    let ended = format!("the committing thread of {folder} has ended; reopen the vault");
                    return Err(self.health.poison(Error::unavailable(ended)));
                }
            }
        }
        Err(self.stuck())
    }

    /// One of the [`SLICES`] of patience.
    pub(super) fn slice(&self) -> Duration {
        self.patience / SLICES
    }

    fn stuck(&self) -> Error {
        let (seconds, folder) = (self.patience.as_secs(), self.folder.display());
        let detail = format!(
            "no commit was made durable in {folder} for {seconds} seconds; reopen the vault to learn what it holds"
        );
        self.health.poison(Error::unavailable(detail))
    }

    fn begin(&self, changes: &Arc<Changes>, tally: Tally) {
        self.lock().changes = Some(Arc::clone(changes));
        self.begun.store(tally.round, Ordering::SeqCst);
    }

    fn land(&self, tally: Tally) {
        *self.lock() = Now { tally, changes: None };
        self.durable.store(tally.round, Ordering::SeqCst);
        self.landed.notify_all();
    }

    fn fail(&self, error: Error) -> Error {
        let error = self.health.poison(error);
        drop(self.lock());
        self.landed.notify_all();
        error
    }

    // Nothing under this lock stops half way, so a poisoned one guards sound data.
    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
