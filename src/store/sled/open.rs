//! How a store is made and opened.
//!
//! An open finds everything that was ever acknowledged, or it is an error; one that fails loses nothing.

use std::fs::File;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::error::Error;
use crate::process::Process;
use crate::random;
use crate::store::Durability;
use crate::store::disk::{Disk, RealDisk};
use crate::store::journal::{self, Head, Journal, Key, Sizes};
use crate::store::sled::anchor::Anchor;
use crate::store::sled::apply::Applier;
use crate::store::sled::backlog::COMPANY;
use crate::store::sled::commit::Committer;
use crate::store::sled::compact::Second;
use crate::store::sled::engine::Engine;
use crate::store::sled::folder::{Folder, Found};
use crate::store::sled::gathering::Gathering;
use crate::store::sled::health::Health;
use crate::store::sled::log::Log;
use crate::store::sled::recover::{
    Recovered, Recovery, anchor_missing, commits_missing, records_or_rounds, require_no_rounds,
};
use crate::store::sled::rounds::{PATIENCE, Rounds};
use crate::store::sled::shifts::Shifts;
use crate::store::sled::tally::{Mark, Tally};
use crate::store::sled::turns::Turns;
use crate::store::sled::{CommitThread, Shared, SledStore};

/// Memory for records, unless told otherwise.
const DEFAULT_CACHE_BYTES: u64 = 128 << 20;

/// How to make or open a [`SledStore`].
#[derive(Clone, Debug)]
#[must_use]
pub struct SledOptions {
    cache_bytes: u64,
    durability: Durability,
    disk: Arc<dyn Disk>,
    journal: Sizes,
    company: Duration,
    patience: Duration,
}

impl Default for SledOptions {
    fn default() -> Self {
        Self {
            cache_bytes: DEFAULT_CACHE_BYTES,
            durability: Durability::default(),
            disk: Arc::new(RealDisk),
            journal: Sizes::default(),
            company: COMPANY,
            patience: PATIENCE,
        }
    }
}

impl SledOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Memory for records, in bytes, and as much again during a [`Maintenance::Compact`](crate::store::Maintenance::Compact);
    /// 128 MiB unless told otherwise.
    ///
    /// sled itself is given less of it, for what it keeps beside: a store of a million tokens stays within 1.3 times as much
    /// and 64 MiB while it is written at full rate. Where many threads read what is not in memory, the C library of Linux
    /// keeps what each of them has freed: with `MALLOC_ARENA_MAX=2` in the environment it stays within that too.
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// What an acknowledged commit survives; [`Durability::Power`] unless told otherwise.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Makes a new store in a folder that does not exist yet, or is empty; only its owner may enter it.
    ///
    /// # Errors
    /// `STORE_FAILURE`: the path is taken, the folder above it is missing, or the system refuses.
    pub fn create(&self, path: impl AsRef<Path>) -> Result<SledStore, Error> {
        let folder = Folder::new(path.as_ref());
        match folder.inspect()? {
            Found::Nothing | Found::EmptyFolder => self.make(folder),
            Found::Unfinished => {
                require_no_rounds(&folder)?;
                Err(folder.failure("holds a vault whose creation did not finish; open_or_create finishes it"))
            }
            Found::Vault => Err(folder.failure("holds a vault already")),
        }
    }

    /// Opens a store that exists. After a crash it first does again what stands in the journal alone: up to 100,000
    /// rows or 32 MiB, and one commit more.
    ///
    /// # Errors
    /// `STORE_FAILURE`: there is no vault, it is open elsewhere, or the system refuses. `CORRUPT`: what was acknowledged
    /// is damaged or missing.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<SledStore, Error> {
        let folder = Folder::new(path.as_ref());
        let unfinished = "holds a vault whose creation did not finish; open_or_create finishes it";
        match folder.inspect()? {
            Found::Nothing => Err(folder.failure("does not exist; make a vault there with create")),
            Found::EmptyFolder => Err(folder.failure("is empty: no vault here; make one with create")),
            Found::Unfinished => {
                require_no_rounds(&folder)?;
                Err(folder.failure(unfinished))
            }
            Found::Vault => {
                let (store, anchored) = self.open_vault(&folder)?;
                if anchored { Ok(store) } else { Err(folder.failure(unfinished)) }
            }
        }
    }

    /// Opens a store, or makes one where there is none; also finishes a creation that was interrupted.
    ///
    /// # Errors
    /// As [`SledOptions::open`] and [`SledOptions::create`].
    pub fn open_or_create(&self, path: impl AsRef<Path>) -> Result<SledStore, Error> {
        let folder = Folder::new(path.as_ref());
        match folder.inspect()? {
            Found::Nothing | Found::EmptyFolder | Found::Unfinished => self.make(folder),
            Found::Vault => self.open_vault(&folder).map(|(store, _)| store),
        }
    }

    #[cfg(test)]
    pub(super) fn disk(mut self, disk: Arc<dyn Disk>) -> Self {
        self.disk = disk;
        self
    }

    #[cfg(test)]
    pub(super) fn journal(mut self, journal: Sizes) -> Self {
        self.journal = journal;
        self
    }

    #[cfg(test)]
    pub(super) fn company(mut self, company: Duration) -> Self {
        self.company = company;
        self
    }

    #[cfg(test)]
    pub(super) fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    fn make(&self, folder: Folder) -> Result<SledStore, Error> {
        folder.make(&*self.disk)?;
        let lock = folder.lock()?;
        if folder.inspect()? != Found::Unfinished {
            return Err(folder.failure("was made by another process just now"));
        }
        self.require_no_records(&folder)?;
        folder.clear_data()?;
        let health = Arc::new(Health::default());
        let engine = Engine::open(folder.path(), &folder.data(), self.cache_bytes, Arc::clone(&health))?;
        match self.lay_out(&folder, &engine) {
            Ok(recovered) => self.start(Opened { folder, lock, engine, recovered, health }),
            Err(error) => {
                engine.close();
                Err(error)
            }
        }
    }

    /// A creation that did not finish took no record: a folder that holds any is a vault that lost its title and anchor.
    fn require_no_records(&self, folder: &Folder) -> Result<(), Error> {
        require_no_rounds(folder)?;
        let is_written = journal::is_written(&folder.journal()).map_err(|cause| folder.refused(cause))?;
        if is_written || folder.holds_later_log()? {
            return Err(anchor_missing(folder));
        }
        if !folder.holds_log()? {
            return Ok(());
        }
        folder.await_release()?;
        folder.clear_drafts()?;
        let engine = Engine::open(folder.path(), &folder.data(), self.cache_bytes, Arc::default())?;
        let found = records_or_rounds(&engine);
        engine.close();
        folder.await_release()?;
        if found? { Err(anchor_missing(folder)) } else { Ok(()) }
    }

    /// Makes everything of a new store but records and anchor, durably, and the title that says so last.
    fn lay_out(&self, folder: &Folder, engine: &Engine) -> Result<Recovered, Error> {
        let (tally, mut journal_key) = (Tally::default(), Key::default());
        random::fill_key(&mut journal_key)?;
        let own_rows = tally.own_rows(journal_key);
        engine.apply(own_rows.iter().map(|(key, value)| (key.as_slice(), Some(value.as_slice()))))?;
        engine.flush()?;
        let mut mark = Mark::open(&folder.mark()).map_err(|cause| folder.refused(cause))?;
        mark.write(tally.round).map_err(|cause| folder.refused(cause))?;
        let (head, disk) = (Head::default(), Arc::clone(&self.disk));
        let journal = Journal::create(&folder.journal(), journal_key, head, self.journal, disk);
        let journal = journal.map_err(|cause| folder.refused(cause))?;
        folder.settle(&*self.disk)?;
        folder.entitle(&*self.disk)?;
        Ok(Recovered { mark, journal, tally })
    }

    /// Also answers whether there is an anchor.
    fn open_vault(&self, folder: &Folder) -> Result<(SledStore, bool), Error> {
        let lock = folder.lock()?;
        let folder = folder.current()?;
        folder.probe()?;
        if !folder.holds_data()? {
            return Err(commits_missing(&folder));
        }
        // What stays behind is removed by the next open.
        drop(folder.remove_unfinished());
        folder.await_release()?;
        folder.clear_drafts()?;
        folder.rewrite_doubted(&*self.disk)?;
        // sled notes how far it has read, and trusts that note: so first everything that it will read is made durable.
        folder.settle(&*self.disk)?;
        let health = Arc::new(Health::default());
        let engine = Engine::open(folder.path(), &folder.data(), self.cache_bytes, Arc::clone(&health))?;
        let recovery = Recovery { folder: &folder, engine: &engine, disk: &self.disk, sizes: self.journal };
        match recovery.run() {
            Ok((recovered, anchored)) => {
                // What another database left behind only takes space.
                drop(folder.remove_others());
                let store = self.start(Opened { folder, lock, engine, recovered, health })?;
                Ok((store, anchored))
            }
            Err(error) => {
                engine.close();
                Err(error)
            }
        }
    }

    fn start(&self, opened: Opened) -> Result<SledStore, Error> {
        let Opened { folder, lock, engine, recovered: Recovered { mark, journal, tally }, health } = opened;
        let log = Log::open(&folder, Arc::clone(&self.disk))?;
        let rounds = Arc::new(Rounds::new(&folder, Arc::clone(&health), tally, self.patience));
        let engine = Arc::new(engine);
        let applier = Applier {
            backlog: Arc::clone(&rounds.backlog),
            health,
            disk: Arc::clone(&self.disk),
            engine: Arc::clone(&engine),
            log,
            cache_bytes: self.cache_bytes,
            second: Second::default(),
            held: tally,
            patience: self.patience,
            took: Duration::ZERO,
        };
        let committer = Committer {
            rounds: Arc::clone(&rounds),
            disk: Arc::clone(&self.disk),
            folder: folder.clone(),
            journal,
            mark,
            unsynced: None,
            gathering: Gathering::default(),
            synced: tally.round,
        };
        let anchor = Mutex::new(Anchor::new(folder.path(), Arc::clone(&self.disk)));
        let company = self.company;
        let shared = Arc::new(Shared {
            rounds,
            turns: Turns::new(committer),
            process: Process::current(),
            folder,
            engine: RwLock::new(Some(engine)),
            applier: Mutex::new(Some(applier)),
            shifts: Shifts::default(),
            lock: Mutex::new(Some(lock)),
        });
        let applying = spawn(&shared, "tokenvault-apply", move |shared| shared.apply(company))?;
        let (end, ended) = sync_channel(0);
        let handle = spawn(&shared, "tokenvault-commit", move |shared| {
            shared.serve(applying);
            drop((shared, end));
        });
        // Nobody else would tell the other thread.
        let handle = handle.inspect_err(|_| shared.rounds.backlog.end())?;
        let thread = Mutex::new(Some(CommitThread { handle, ended }));
        Ok(SledStore { shared, anchor, thread, durability: self.durability })
    }
}

fn spawn(
    shared: &Arc<Shared>,
    name: &str,
    work: impl FnOnce(Arc<Shared>) + Send + 'static,
) -> Result<JoinHandle<()>, Error> {
    let serving = Arc::clone(shared);
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || work(serving));
    thread.map_err(|cause| shared.folder.refused(cause))
}

/// What a store starts from.
struct Opened {
    folder: Folder,
    lock: File,
    engine: Engine,
    recovered: Recovered,
    health: Arc<Health>,
}
