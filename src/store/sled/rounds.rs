//! How far the rounds of commits are: what readers and writers share with whoever leads.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::Error;
use crate::store::Committed;
use crate::store::sled::answer::{Outcome, Waited};
use crate::store::sled::backlog::Backlog;
use crate::store::sled::folder::Folder;
use crate::store::sled::health::Health;
use crate::store::sled::tally::Tally;

/// A round that takes longer than this has met a dead thread or a dead disk.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// Patience is counted in so many slices. Of the time for which a process is stopped, by a debugger or with its
/// container, the clock says nothing: it costs one slice, and what went on before it goes on in the others.
pub(super) const SLICES: u32 = 60;

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

    /// Changes when rounds or the applying thread have got on: the ones may wait for the other.
    pub(super) fn progress(&self) -> (u64, u64) {
        (self.begun(), self.backlog.moment())
    }

    /// Waits for the outcome of a commit that another thread makes.
    pub(super) fn wait(&self, outcome: &Outcome) -> Result<Committed, Error> {
        let (mut progress, mut idle) = (self.progress(), 0);
        while idle < SLICES {
            match outcome.wait(self.slice()) {
                Waited::Heard(outcome) => return outcome,
                Waited::Idle if self.progress() == progress => idle += 1,
                Waited::Idle => (progress, idle) = (self.progress(), 0),
                Waited::Unheard => return Err(self.abort()),
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

    /// Poisons a store of which a thread has ended that others wait for.
    pub(super) fn abort(&self) -> Error {
        let folder = self.folder.display();
        self.fail(Error::unavailable(format!("a thread that made commits in {folder} has ended; reopen the vault")))
    }

    /// Poisons the store, and lets the applying thread end.
    pub(super) fn fail(&self, error: Error) -> Error {
        let error = self.health.poison(error);
        self.backlog.end();
        error
    }

    pub(super) fn begin(&self, tally: Tally) {
        self.begun.store(tally.round, Ordering::SeqCst);
    }

    pub(super) fn land(&self, tally: Tally) {
        *self.lock() = tally;
    }

    // Nothing under this lock stops half way, so a poisoned one guards sound data.
    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
