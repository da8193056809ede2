//! Expiry: the sweep that removes what has expired, and the thread that repeats it.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::{Error, Rule};
use crate::id::TokenId;
use crate::record::Kind;
use crate::response::SweepReport;
use crate::store::{Batch, Committed, Entry, Table};
use crate::vault::entry::{expiry_key, remove};
use crate::vault::{Shared, Vault, table};

/// At most so many entries in one commit.
const BATCH: usize = 256;

impl Vault {
    /// Removes every token that has expired by now, in bounded batches.
    ///
    /// An entry that fails authentication is not removed; it counts as remaining, and reading it answers `CORRUPT`.
    ///
    /// # Errors
    /// `STORE_FAILURE`, `CORRUPT` (of the store), `UNAVAILABLE`; what was removed by then stays removed.
    ///
    /// ```
    /// # use tokenvault::{KeyManager, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let report = vault.sweep()?;
    /// assert_eq!((report.expired_generic, report.expired_pci, report.remaining), (0, 0, 0));
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn sweep(&self) -> Result<SweepReport, Error> {
        self.sweep_with(|_| {})
    }

    /// As [`Vault::sweep`], and tells `progress` after each batch what has been removed so far.
    ///
    /// # Errors
    /// As [`Vault::sweep`].
    pub fn sweep_with(&self, progress: impl FnMut(&SweepReport)) -> Result<SweepReport, Error> {
        self.shared().sweep(progress)
    }

    /// Sweeps at once and then every `interval`, on a thread that stops when the handle is dropped or the vault closed.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.interval` if it is zero. `UNAVAILABLE`: the vault is closed, or no thread can be had.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tokenvault::{KeyManager, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let sweeper = vault.start_sweeper(Duration::from_secs(60))?;
    /// // ... as long as the application runs
    /// drop(sweeper);
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn start_sweeper(&self, interval: Duration) -> Result<Sweeper, Error> {
        self.shared().check_open()?;
        if interval.is_zero() {
            return Err(Rule("must be longer than zero").at("$.interval"));
        }
        let halt = Arc::new(Halt::default());
        let (vault, ours) = (Arc::downgrade(&self.handle.shared), Arc::clone(&halt));
        let thread =
            thread::Builder::new().name("tokenvault-sweeper".to_owned()).spawn(move || ours.run(&vault, interval));
        let thread = thread.map_err(|source| Error::unavailable("no thread for the sweeper").caused_by(source))?;
        *lock(&halt.thread) = Some(thread);
        self.shared().sweepers.enlist(&halt);
        let sweeper = Sweeper { halt };
        // A vault that was closed meanwhile may not have found it in the list: it is dropped, and so stopped.
        self.shared().check_open().map(|()| sweeper)
    }
}

impl Shared {
    fn sweep(&self, mut progress: impl FnMut(&SweepReport)) -> Result<SweepReport, Error> {
        let now = self.now();
        let mut report = SweepReport::default();
        let mut from = Vec::new();
        let to = now.as_millis().saturating_add(1).to_be_bytes();
        loop {
            self.check_open()?;
            let rows = self.store.scan(Table::Expiry, &from, &to, BATCH)?;
            let Some((last, _)) = rows.last() else { return Ok(report) };
            from = [last.as_slice(), &[0]].concat();
            self.remove_rows(rows, now, &mut report)?;
            progress(&report);
        }
    }

    /// Removes the tokens of some rows of the expiry index, in one commit.
    fn remove_rows(&self, rows: Vec<Entry>, now: Timestamp, report: &mut SweepReport) -> Result<(), Error> {
        let mut removals = Vec::new();
        for (row, value) in rows {
            // A row with a value is not as the vault writes it, and could not be removed as such.
            let removal = if value.is_empty() { self.judge(row, now)? } else { None };
            match removal {
                Some(removal) => removals.push(removal),
                None => report.remaining += 1,
            }
        }
        let batch = removals.iter().fold(Batch::new(), |batch, removal| removal.add_to(batch));
        if batch.is_empty() {
            return Ok(());
        }
        if self.store.commit(batch)? == Committed::Applied {
            for removal in &removals {
                removal.count(report);
            }
            return Ok(());
        }
        // One of them was changed or removed meanwhile: each on its own, and that one is somebody else's.
        for removal in &removals {
            if self.store.commit(removal.add_to(Batch::new()))? == Committed::Applied {
                removal.count(report);
            }
        }
        Ok(())
    }

    /// What to remove for a row of the expiry index; `None` if its record does not prove that it has expired.
    fn judge(&self, row: Vec<u8>, now: Timestamp) -> Result<Option<Removal>, Error> {
        let Some((kind, id)) = parse_row(&row) else { return Ok(None) };
        let Some(record) = self.store.get(table(kind), id.as_bytes())? else {
            return Ok(Some(Removal { row, token: None }));
        };
        let Ok(viewed) = self.open_view(kind, id, record) else { return Ok(None) };
        let is_of_this_row = viewed.header.expires_at.is_some_and(|at| expiry_key(at, kind, id) == row);
        if is_of_this_row && !viewed.header.is_expired(now) {
            return Ok(None);
        }
        let token = is_of_this_row.then_some((viewed.id, viewed.header));
        Ok(Some(Removal { row, token }))
    }
}

/// The kind and id that a row of the expiry index names.
fn parse_row(row: &[u8]) -> Option<(Kind, TokenId)> {
    let (_, rest) = row.split_first_chunk::<8>()?;
    let (kind, id) = rest.split_first()?;
    Some((Kind::from_byte(*kind)?, TokenId::from_bytes(id.try_into().ok()?)))
}

/// A row of the expiry index that goes, with its token, or alone if it is not that of a token.
struct Removal {
    row: Vec<u8>,
    token: Option<(TokenId, crate::record::Header)>,
}

impl Removal {
    /// The row stands as long as the token expires at that instant: so it is the condition.
    fn add_to(&self, batch: Batch) -> Batch {
        let batch = batch.require_value(Table::Expiry, self.row.clone(), []);
        match &self.token {
            Some((id, header)) => remove(batch, *id, header),
            None => batch.remove(Table::Expiry, self.row.clone()),
        }
    }

    fn count(&self, report: &mut SweepReport) {
        match self.token.as_ref().map(|(_, header)| header.kind) {
            Some(Kind::Generic) => report.expired_generic += 1,
            Some(Kind::Pci) => report.expired_pci += 1,
            None => report.expired_other += 1,
        }
    }
}

/// A thread that sweeps a vault. Dropping it stops the thread and waits for the batch under way.
#[must_use = "the sweeper stops when it is dropped"]
pub struct Sweeper {
    halt: Arc<Halt>,
}

impl Sweeper {
    /// How the last sweep ended; `None` before the first has.
    #[must_use]
    pub fn last(&self) -> Option<Result<SweepReport, Error>> {
        lock(&self.halt.state).last.clone()
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.halt.stop();
    }
}

impl fmt::Debug for Sweeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sweeper").field("last", &self.last()).finish()
    }
}

/// The sweepers of a vault, so that closing it stops them.
#[derive(Default)]
pub(super) struct Sweepers(Mutex<Vec<Weak<Halt>>>);

impl Sweepers {
    fn enlist(&self, halt: &Arc<Halt>) {
        let mut halts = lock(&self.0);
        halts.retain(|halt| halt.strong_count() > 0);
        halts.push(Arc::downgrade(halt));
    }

    pub(super) fn stop(&self) {
        let halts = std::mem::take(&mut *lock(&self.0));
        halts.iter().filter_map(Weak::upgrade).for_each(|halt| halt.stop());
    }
}

/// Stops a sweeper's thread, and hears from it.
#[derive(Default)]
struct Halt {
    state: Mutex<State>,
    wake: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct State {
    stopped: bool,
    last: Option<Result<SweepReport, Error>>,
}

impl Halt {
    /// Sweeps until stopped. The vault is held only while it is swept: a sleeping sweeper keeps none open.
    fn run(&self, vault: &Weak<Shared>, interval: Duration) {
        while !lock(&self.state).stopped {
            let Some(vault) = vault.upgrade() else { return };
            let report = vault.sweep(|_| {});
            drop(vault);
            let mut state = lock(&self.state);
            state.last = Some(report);
            let slept = self.wake.wait_timeout_while(state, interval, |state| !state.stopped);
            drop(slept);
        }
    }

    /// Tells the thread to stop and waits until it has, unless it is the one that asks.
    fn stop(&self) {
        lock(&self.state).stopped = true;
        self.wake.notify_all();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id()) {
            // A sweep that panicked has already been reported by the panic itself.
            drop(thread.join());
        }
    }
}

/// A lock whose holder panicked still guards good data here.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
