//! How a store is made and opened.
//!
//! An open finds everything that was ever acknowledged, or it is an error; one that fails leaves the folder as it was.

use std::fs::{File, OpenOptions};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{channel, sync_channel};
use std::sync::{Arc, Mutex, RwLock};
use std::thread;
use std::time::Duration;

use crate::error::Error;
use crate::store::Table;
use crate::store::disk::{Disk, RealDisk};
use crate::store::sled::anchor::Anchor;
use crate::store::sled::commit::{Committer, PATIENCE, Rounds};
use crate::store::sled::engine::Engine;
use crate::store::sled::folder::{Folder, Found};
use crate::store::sled::health::Health;
use crate::store::sled::tally::{Mark, OWN_TABLE, TALLY_KEY, Tally, row_checksum};
use crate::store::sled::{CommitThread, Shared, SledStore};

/// Memory for pages that sled read or wrote, unless told otherwise.
const DEFAULT_CACHE_BYTES: u64 = 64 << 20;

/// Up to this many rows are counted at every open and compared with the tally; more only by `Maintenance::Stats`.
const ROWS_COUNTED_AT_OPEN: u64 = 100_000;

/// A key behind every row: keys are at most 64 bytes, and the byte of the table.
const BEHIND_ALL_ROWS: [u8; 66] = [0xff; 66];

/// How to make or open a [`SledStore`].
#[derive(Clone, Debug)]
#[must_use]
pub struct SledOptions {
    cache_bytes: u64,
    disk: Arc<dyn Disk>,
    patience: Duration,
}

impl Default for SledOptions {
    fn default() -> Self {
        Self { cache_bytes: DEFAULT_CACHE_BYTES, disk: Arc::new(RealDisk), patience: PATIENCE }
    }
}

impl SledOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Memory for pages, in bytes; 64 MiB unless told otherwise.
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.cache_bytes = bytes;
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

    /// Opens a store that exists.
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
                let (store, anchored) = self.open_vault(folder.clone())?;
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
            Found::Vault => self.open_vault(folder).map(|(store, _)| store),
        }
    }

    #[cfg(test)]
    pub(super) fn disk(mut self, disk: Arc<dyn Disk>) -> Self {
        self.disk = disk;
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
            Ok((mark, tally)) => self.start(Opened { folder, lock, engine, mark, tally, health }),
            Err(error) => {
                engine.close();
                Err(error)
            }
        }
    }

    /// A creation that did not finish took no record: a folder that holds any is a vault that lost its title and anchor.
    fn require_no_records(&self, folder: &Folder) -> Result<(), Error> {
        require_no_rounds(folder)?;
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
    fn lay_out(&self, folder: &Folder, engine: &Engine) -> Result<(Mark, Tally), Error> {
        let tally = Tally::default();
        let own_rows = tally.own_rows();
        engine.apply(own_rows.iter().map(|(key, value)| (key.as_slice(), Some(value.as_slice()))))?;
        engine.flush()?;
        let mut mark = Mark::open(&folder.mark()).map_err(|cause| folder.refused(cause))?;
        mark.write(tally.round).map_err(|cause| folder.refused(cause))?;
        folder.settle(&*self.disk)?;
        folder.entitle(&*self.disk)?;
        Ok((mark, tally))
    }

    /// Also answers whether there is an anchor.
    fn open_vault(&self, folder: Folder) -> Result<(SledStore, bool), Error> {
        let lock = folder.lock()?;
        folder.probe()?;
        if !folder.holds_data()? {
            return Err(commits_missing(&folder));
        }
        folder.await_release()?;
        folder.clear_drafts()?;
        folder.rewrite_doubted(&*self.disk)?;
        // sled notes how far it has read, and trusts that note: so first everything that it will read is made durable.
        folder.settle(&*self.disk)?;
        let health = Arc::new(Health::default());
        let engine = Engine::open(folder.path(), &folder.data(), self.cache_bytes, Arc::clone(&health))?;
        match self.examine(&folder, &engine) {
            Ok((mark, tally, anchored)) => {
                let store = self.start(Opened { folder, lock, engine, mark, tally, health })?;
                Ok((store, anchored))
            }
            Err(error) => {
                engine.close();
                Err(error)
            }
        }
    }

    fn examine(&self, folder: &Folder, engine: &Engine) -> Result<(Mark, Tally, bool), Error> {
        let mut mark = Mark::open(&folder.mark()).map_err(|cause| folder.refused(cause))?;
        let tally = check(folder, engine, &mut mark)?;
        let anchor = Anchor::new(folder.path(), Arc::clone(&self.disk)).read()?;
        let anchored = require_anchor(folder, tally, anchor)?.is_some();
        folder.settle(&*self.disk)?;
        // A lost mark is made again; without it a loss is noticed less surely, but nothing is lost.
        drop(mark.write(tally.round));
        Ok((mark, tally, anchored))
    }

    fn start(&self, opened: Opened) -> Result<SledStore, Error> {
        let Opened { folder, lock, engine, mark, tally, health } = opened;
        let log_path = folder.log();
        let log = OpenOptions::new().read(true).write(true).open(&log_path).map_err(|cause| folder.refused(cause))?;
        let rounds = Arc::new(Rounds::new(&folder, health, tally, self.patience));
        let committer = Committer {
            rounds: Arc::clone(&rounds),
            disk: Arc::clone(&self.disk),
            folder: folder.clone(),
            log,
            log_path,
            mark,
        };
        let anchor = Mutex::new(Anchor::new(folder.path(), Arc::clone(&self.disk)));
        let (engine, lock) = (RwLock::new(Some(engine)), Mutex::new(Some(lock)));
        let shared = Arc::new(Shared { rounds, folder, engine, lock });
        let (requests, waiting) = channel();
        let (end, ended) = sync_channel(0);
        let serving = Arc::clone(&shared);
        let thread = thread::Builder::new().name("tokenvault-commit".to_owned()).spawn(move || {
            serving.serve(committer, &waiting);
            drop((serving, end));
        });
        let handle = thread.map_err(|cause| shared.folder.refused(cause))?;
        let (requests, thread) = (RwLock::new(Some(requests)), Mutex::new(Some(CommitThread { handle, ended })));
        Ok(SledStore { shared, anchor, requests, thread })
    }
}

/// What a store starts from.
struct Opened {
    folder: Folder,
    lock: File,
    engine: Engine,
    mark: Mark,
    tally: Tally,
    health: Arc<Health>,
}

/// Whether everything that was acknowledged is there, as far as can be told without a walk over a large store.
fn check(folder: &Folder, engine: &Engine, mark: &mut Mark) -> Result<Tally, Error> {
    let tally = engine.get(TALLY_KEY)?.and_then(|row| Tally::decode(&row)).ok_or_else(|| commits_missing(folder))?;
    let marked = mark.read().map_err(|cause| folder.refused(cause))?;
    if marked.is_some_and(|round| round > tally.round) {
        return Err(commits_missing(folder));
    }
    if tally.rows <= ROWS_COUNTED_AT_OPEN {
        let (_, found) = count(engine)?;
        if (found.rows, found.digest) != (tally.rows, tally.digest) {
            return Err(rows_missing(folder));
        }
    }
    Ok(tally)
}

/// Walks over all rows.
pub(super) fn count(engine: &Engine) -> Result<(Vec<(Table, u64)>, Tally), Error> {
    let mut entries: Vec<_> = Table::ALL.iter().map(|table| (*table, 0)).collect();
    let mut found = Tally::default();
    engine.walk(&[OWN_TABLE + 1], &BEHIND_ALL_ROWS, |key, value| {
        found.add(row_checksum(key, value));
        let table = key.first().copied().and_then(Table::from_byte);
        if let Some((_, count)) = entries.iter_mut().find(|(of, _)| Some(*of) == table) {
            *count += 1;
        }
        ControlFlow::Continue(())
    })?;
    Ok((entries, found))
}

/// The anchor, which must be there if there are records.
pub(super) fn require_anchor(folder: &Folder, tally: Tally, anchor: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, Error> {
    if anchor.is_none() && tally.rows > 0 { Err(anchor_missing(folder)) } else { Ok(anchor) }
}

/// Refuses a folder without title and anchor whose mark says that commits were acknowledged there.
fn require_no_rounds(folder: &Folder) -> Result<(), Error> {
    let marked = Mark::peek(&folder.mark()).map_err(|cause| folder.refused(cause))?;
    if marked.is_some_and(|round| round > 0) { Err(anchor_missing(folder)) } else { Ok(()) }
}

/// Whether a log holds anything but what a creation writes, or what a creation that was stopped half way leaves of it.
fn records_or_rounds(engine: &Engine) -> Result<bool, Error> {
    let fresh = engine.get(TALLY_KEY)?.is_none_or(|row| Tally::decode(&row) == Some(Tally::default()));
    Ok(!fresh || count(engine)?.1.rows > 0)
}

fn anchor_missing(folder: &Folder) -> Error {
    let folder = folder.path().display();
    Error::corrupt(format!("{folder} holds records, but both copies of its anchor are missing"))
}

fn commits_missing(folder: &Folder) -> Error {
    let folder = folder.path().display();
    Error::corrupt(format!("commits that were acknowledged are missing in {folder}: its log was cut, replaced or lost"))
}

pub(super) fn rows_missing(folder: &Folder) -> Error {
    let folder = folder.path().display();
    Error::corrupt(format!("the records in {folder} are not those that were acknowledged: some are missing or changed"))
}
