//! The durable store: sled in a folder, with what sled lacks.
//!
//! Commits go into a journal, and from there into sled behind everyone's back. Whatever was answered survives power
//! loss, and what is missing or damaged is an error: never a panic, never silence.

mod anchor;
mod answer;
mod apply;
mod backlog;
mod commit;
mod compact;
#[cfg(test)]
#[cfg(unix)]
mod compacting;
mod draft;
mod engine;
mod files;
mod folder;
mod gathering;
mod health;
#[cfg(test)]
#[cfg(unix)]
mod in_flight;
#[cfg(test)]
#[cfg(unix)]
mod interrupted;
#[cfg(test)]
#[cfg(unix)]
mod killed;
#[cfg(test)]
#[cfg(unix)]
mod lives;
mod log;
mod open;
#[cfg(test)]
#[cfg(unix)]
mod passes;
#[cfg(test)]
#[cfg(unix)]
mod platter;
#[cfg(test)]
#[cfg(unix)]
mod power_loss;
mod recover;
mod rounds;
mod rows;
mod shifts;
mod standing;
mod tally;
mod turns;

use std::fmt;
use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind};
use crate::process::Process;
use crate::store::{Batch, Committed, Durability, Entry, Maintenance, Store, StoreStats, Table};

use self::anchor::Anchor;
use self::apply::Applier;
use self::draft::Request;
use self::engine::{Engine, row_key};
use self::folder::Folder;
pub use self::open::SledOptions;
use self::rounds::{Rounds, SLICES};
use self::shifts::Shifts;
use self::standing::Standing;
use self::turns::{Duty, Turn, Turns};

/// Keeps entries in a folder, durably.
///
/// One process at a time has the folder open. A commit returns when it would survive power loss, or what else
/// [`SledOptions::durability`] says; commits that arrive together share one sync. After a failed sync, on a full disk for
/// instance, every call answers `UNAVAILABLE` until the store is dropped and opened again. That open may write log and
/// journal anew, and needs the space of a second log for it: the system's memory may show of the first one what the disk
/// never took.
///
/// sled panics where it meets damage that it did not foresee. Such a panic is caught and answers `CORRUPT`; the panic
/// hook still reports it, and a program built with `panic = "abort"` ends there instead.
pub struct SledStore {
    shared: Arc<Shared>,
    anchor: Mutex<Anchor>,
    thread: Mutex<Option<CommitThread>>,
    durability: Durability,
}

// What waits to be written is full of rows.
impl fmt::Debug for SledStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.shared.folder.path();
        f.debug_struct("SledStore")
            .field("folder", &folder)
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}

/// What the store and its committing thread share.
struct Shared {
    rounds: Arc<Rounds>,
    turns: Turns,
    /// Who has opened it.
    process: Process,
    folder: Folder,
    /// `None` once closed. Nobody waits for another thread while holding this lock.
    engine: RwLock<Option<Arc<Engine>>>,
    /// `None` once closed.
    applier: Mutex<Option<Applier>>,
    /// Who has the applier next.
    shifts: Shifts,
    lock: Mutex<Option<File>>,
}

#[derive(Debug)]
struct CommitThread {
    handle: JoinHandle<()>,
    /// Hangs up when the thread has given everything back.
    ended: Receiver<()>,
}

impl SledStore {
    /// Makes a new store; [`SledOptions::create`] with the defaults.
    ///
    /// # Errors
    /// As [`SledOptions::create`].
    pub fn create(path: impl AsRef<Path>) -> Result<Self, Error> {
        SledOptions::new().create(path)
    }

    /// Opens a store that exists; [`SledOptions::open`] with the defaults.
    ///
    /// # Errors
    /// As [`SledOptions::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        SledOptions::new().open(path)
    }

    fn read<T>(&self, read: impl FnOnce(Standing<'_>) -> Result<T, Error>) -> Result<T, Error> {
        self.shared.require_own()?;
        let engine = self.shared.engine.read().unwrap_or_else(PoisonError::into_inner);
        let engine = engine.as_ref().ok_or_else(closed)?;
        self.shared.rounds.health.check()?;
        read(Standing { backlog: &self.shared.rounds.backlog, engine })
    }

    fn make(&self, batch: Batch, durability: Durability) -> Result<Committed, Error> {
        let request = self.read(|standing| Request::new(batch, durability, standing))?;
        self.shared.commit(request)
    }

    /// Makes everything durable that was acknowledged, and brings it into sled.
    fn drain(&self) -> Result<(), Error> {
        self.make(Batch::new(), Durability::Power)?;
        self.shared.rounds.drain()
    }

    fn stats(&self) -> Result<StoreStats, Error> {
        self.drain()?;
        let engine = self.shared.engine()?;
        self.shared.rounds.health.check()?;
        let entries = self.shared.count(&engine)?;
        Ok(StoreStats::new(entries, self.shared.folder.bytes()?))
    }

    fn checkpoint(&self) -> Result<StoreStats, Error> {
        self.drain()?;
        self.read(|_| Ok(StoreStats::new(Vec::new(), self.shared.folder.bytes()?)))
    }

    fn compact(&self) -> Result<StoreStats, Error> {
        self.read(|_| Ok(()))?;
        let left = self.shared.compact()?;
        Ok(StoreStats { left, ..StoreStats::new(Vec::new(), self.shared.folder.bytes()?) })
    }

    fn close(&self) -> Result<StoreStats, Error> {
        self.shared.require_own()?;
        self.shared.turns.close();
        // Held until the end, so that nobody hears of a close that another call is still waiting for.
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes_on_disk = self.shared.folder.bytes().unwrap_or_default();
        let Some(CommitThread { handle, ended }) = thread.take() else {
            return self.shared.rounds.health.check().map(|()| StoreStats::default());
        };
        let rounds = &self.shared.rounds;
        let (mut progress, mut idle) = (rounds.progress(), 0);
        while idle < SLICES && ended.recv_timeout(rounds.slice()) == Err(RecvTimeoutError::Timeout) {
            (progress, idle) =
                if rounds.progress() == progress { (progress, idle + 1) } else { (rounds.progress(), 0) };
        }
        if idle == SLICES {
            *thread = Some(CommitThread { handle, ended });
            let folder = self.shared.folder.path().display();
            return Err(Error::unavailable(format!("the store in {folder} did not close: its storage engine hangs")));
        }
        drop(handle.join());
        self.shared.rounds.health.check()?;
        Ok(StoreStats::new(Vec::new(), bytes_on_disk))
    }
}

impl Store for SledStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let key = row_key(table.as_byte(), key);
        self.read(|standing| Ok(standing.get(&key)?.map(|value| value.to_vec())))
    }

    fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Entry>, Error> {
        let (from, to) = (row_key(table.as_byte(), from), row_key(table.as_byte(), to));
        let mut entries = Vec::new();
        if limit == 0 {
            return self.read(|_| Ok(entries));
        }
        self.read(|standing| {
            standing.walk(&from, &to, limit, |key, value| {
                entries.push((key.get(1..).unwrap_or_default().to_vec(), value.to_vec()));
                if entries.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            Ok(entries)
        })
    }

    fn commit(&self, batch: Batch) -> Result<Committed, Error> {
        self.make(batch, self.durability)
    }

    fn read_anchor(&self) -> Result<Option<Vec<u8>>, Error> {
        self.shared.require_own()?;
        let anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        self.read(|_| recover::require_anchor(&self.shared.folder, self.shared.rounds.tally(), anchor.read()?))
    }

    fn write_anchor(&self, bytes: &[u8]) -> Result<(), Error> {
        self.shared.require_own()?;
        let anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        self.read(|_| {
            anchor.write(bytes).map_err(|error| match error.kind() {
                ErrorKind::Unavailable => self.shared.rounds.fail(error),
                _ => error,
            })
        })
    }

    fn maintain(&self, task: Maintenance) -> Result<StoreStats, Error> {
        match task {
            Maintenance::Stats => self.stats(),
            Maintenance::Checkpoint => self.checkpoint(),
            Maintenance::Compact => self.compact(),
            Maintenance::Close => self.close(),
        }
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        // Whoever wants to know calls close.
        drop(self.close());
    }
}

impl Shared {
    /// A fork has the files of its parent, but none of the threads, and would write where its parent does.
    fn require_own(&self) -> Result<(), Error> {
        if self.process.is_current() {
            return Ok(());
        }
        let folder = self.folder.path().display();
        Err(Error::unavailable(format!(
            "{folder} was opened by the process of which this one is a fork: close it before a fork, and open it afterwards"
        )))
    }

    /// Makes a commit, or waits for the round that makes it.
    fn commit(&self, request: Request) -> Result<Committed, Error> {
        match self.turns.enter(request).ok_or_else(closed)? {
            Turn::Wait(outcome) => self.rounds.wait(&outcome),
            Turn::Lead(mut lead, request) => lead.round(&*self.engine()?, Some(request)).ok_or_else(closed)?,
        }
    }

    /// The committing thread, until the store is closed.
    fn serve(&self, applying: JoinHandle<()>) {
        // However this thread ends, nobody waits for it.
        let end = End(self);
        let mut committer = loop {
            match self.turns.await_duty() {
                Duty::End(committer) => break committer,
                Duty::Lead(mut lead) => {
                    let mut is_awaited = true;
                    lead.gather();
                    while is_awaited {
                        // Asked for each time: it may have been written anew.
                        let Ok(engine) = self.engine() else { return };
                        lead.round(&engine, None);
                        is_awaited = lead.gather();
                    }
                }
            }
        };
        committer.sync_soon();
        // Who closes hears of a failure from the store's health.
        drop(self.rounds.drain());
        drop(end);
        drop(applying.join());
        committer.close();
        let folder = self.applier().take().map(Applier::close);
        let engine = self.engine.write().unwrap_or_else(PoisonError::into_inner).take();
        engine.iter().for_each(compact::await_unused);
        drop(engine);
        // Should sled hold on to its lock, the next to open waits for it too.
        drop(folder.map(|folder| folder.await_release()));
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// The applying thread, until the other one ends.
    fn apply(&self, company: Duration) {
        let _abort = Abort(&self.rounds);
        while let Some(tally) = self.rounds.backlog.begin_pass(company) {
            let _shift = self.shifts.pass();
            let mut applier = self.applier();
            let Some(applier) = applier.as_mut() else { break };
            let start = Instant::now();
            if let Err(cause) = applier.pass(tally) {
                self.rounds.fail(commit::failure(cause));
            }
            applier.took = start.elapsed();
        }
    }

    /// sled, for whoever may wait for another thread while using it.
    fn engine(&self) -> Result<Arc<Engine>, Error> {
        self.engine.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(closed)
    }

    // A panic under this lock comes from sled and has poisoned the store, or is one of ours and changes nothing half way.
    fn applier(&self) -> MutexGuard<'_, Option<Applier>> {
        self.applier.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the rows of every table, and compares them with the tally if no commit came in between.
    fn count(&self, engine: &Engine) -> Result<Vec<(Table, u64)>, Error> {
        let before = self.rounds.tally();
        let is_applied = self.rounds.backlog.applied() == before.round;
        let (entries, found) = recover::count(engine)?;
        let undisturbed = is_applied && self.rounds.begun() == before.round;
        if undisturbed && (found.rows, found.digest) != (before.rows, before.digest) {
            return Err(recover::rows_missing(&self.folder));
        }
        Ok(entries)
    }
}

/// Lets the applying thread end when it is dropped, and whoever waits for the committing one.
struct End<'a>(&'a Shared);

impl Drop for End<'_> {
    fn drop(&mut self) {
        drop(Abort(&self.0.rounds));
        self.0.rounds.backlog.end();
        self.0.turns.abandon();
    }
}

/// Poisons the store when it is dropped by a thread that panics.
struct Abort<'a>(&'a Rounds);

impl Drop for Abort<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.abort();
        }
    }
}

fn closed() -> Error {
    Error::unavailable("the store is closed")
}
