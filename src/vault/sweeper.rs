//! The thread that sweeps a vault from time to time.

use std::fmt;
use std::mem;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::access::Operation;
use crate::error::{Error, Rule};
use crate::process::Process;
use crate::response::SweepReport;
use crate::vault::caller::About;
use crate::vault::{Shared, Vault};

impl Vault {
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
        self.caller().perform(Operation::StartSweeper, About::Nothing, |_| self.sweep_every(interval))
    }

    fn sweep_every(&self, interval: Duration) -> Result<Sweeper, Error> {
        self.shared().check_open()?;
        if interval.is_zero() {
            return Err(Rule("must be longer than zero").at("$.interval"));
        }
        let halt = Arc::new(Halt::default());
        let (vault, ours) = (Arc::downgrade(&self.handle.shared), Arc::clone(&halt));
        let thread =
            thread::Builder::new().name("tokenvault-sweeper".to_owned()).spawn(move || ours.run(&vault, interval));
        let thread = thread.map_err(|source| Error::unavailable("no thread for the sweeper").caused_by(source))?;
        *lock(&halt.thread) = Some((Process::current(), thread));
        self.shared().sweepers.enlist(&halt);
        let sweeper = Sweeper { halt };
        // A vault that was closed meanwhile may not have found it in the list: it is dropped, and so stopped.
        self.shared().check_open().map(|()| sweeper)
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
        let halts = mem::take(&mut *lock(&self.0));
        halts.iter().filter_map(Weak::upgrade).for_each(|halt| halt.stop());
    }
}

/// Stops a sweeper's thread, and hears from it.
#[derive(Default)]
struct Halt {
    state: Mutex<State>,
    wake: Condvar,
    thread: Mutex<Option<(Process, JoinHandle<()>)>>,
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
            let report = vault.sweep(|_| {
                let stopped = lock(&self.state).stopped;
                if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
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
        // Whoever comes second waits here until the thread has ended.
        let mut thread = lock(&self.thread);
        let is_other = |thread: &JoinHandle<()>| thread.thread().id() != thread::current().id();
        match thread.take_if(|(_, thread)| is_other(thread)) {
            // A sweep that panicked has already been reported by the panic itself.
            Some((process, thread)) if process.is_current() => drop(thread.join()),
            // That of a parent can be neither joined nor let go: what named it there may name another thread here.
            Some(inherited) => mem::forget(inherited),
            None => {}
        }
    }
}

/// A lock whose holder panicked still guards good data here.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
