//! Which token has which code, and until when. One thread a vault, started with its first code, lets none outlive its deadline,
//! whether anybody asks for it or not.
//!
//! A deadline is kept twice: as an instant of the vault's clock, for whoever asks, and as one of the system's steady clock, for
//! the thread. The one that comes first counts.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::card::SecurityCode;
use crate::clock::Timestamp;
use crate::id::TokenId;
use crate::response::EventReason;
use crate::vault::Shared;

/// The codes of a vault.
pub(in crate::vault) struct Board {
    /// Told of what lapses; held only while it is told.
    vault: Weak<Shared>,
    state: Mutex<State>,
    wake: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct State {
    codes: HashMap<TokenId, Held>,
    /// When the thread must take which code away.
    deadlines: BTreeSet<(Instant, TokenId)>,
    /// The process that has the thread; a child of a fork has none.
    process: Option<u32>,
    stopped: bool,
}

struct Held {
    code: SecurityCode,
    until: Timestamp,
    deadline: Instant,
}

/// What a token has.
#[derive(Debug)]
pub(in crate::vault) enum Found<T> {
    Nothing,
    /// A code whose deadline has come, taken away just now.
    Lapsed,
    Code(T),
}

impl Board {
    pub(in crate::vault) fn new(vault: Weak<Shared>) -> Arc<Self> {
        let (state, wake, thread) = (Mutex::default(), Condvar::new(), Mutex::new(None));
        Arc::new(Self { vault, state, wake, thread })
    }

    /// Keeps a code from `now` to `until`, in the place of one that the token had. Answers whether it is kept: without a thread
    /// to take it away in time it is not.
    pub(super) fn put(self: &Arc<Self>, id: TokenId, code: SecurityCode, now: Timestamp, until: Timestamp) -> bool {
        let mut state = self.state();
        state.remove(id);
        if state.stopped || !self.start(&mut state) {
            return false;
        }
        let left = u64::try_from(until.as_millis() - now.as_millis()).unwrap_or(0);
        let deadline = Instant::now() + Duration::from_millis(left);
        state.deadlines.insert((deadline, id));
        state.codes.insert(id, Held { code, until, deadline });
        if state.deadlines.first().is_some_and(|first| *first == (deadline, id)) {
            self.wake.notify_all();
        }
        true
    }

    /// Whether a token has a code.
    pub(super) fn look(&self, id: TokenId, now: Timestamp) -> Found<()> {
        let mut state = self.state();
        match state.codes.get(&id) {
            None => Found::Nothing,
            Some(held) if held.has_lapsed(now) => {
                state.remove(id);
                Found::Lapsed
            }
            Some(_) => Found::Code(()),
        }
    }

    /// Takes the code of a token away: whoever comes second finds nothing.
    pub(super) fn take(&self, id: TokenId, now: Timestamp) -> Found<SecurityCode> {
        match self.state().remove(id) {
            None => Found::Nothing,
            Some(held) if held.has_lapsed(now) => Found::Lapsed,
            Some(held) => Found::Code(held.code),
        }
    }

    /// Wipes the code of a token, if it has one.
    pub(super) fn forget(&self, id: TokenId) {
        self.state().remove(id);
    }

    /// Wipes every code that has lapsed by the vault's clock, and tells whose they were.
    pub(super) fn sweep(&self, now: Timestamp) -> Vec<TokenId> {
        let mut state = self.state();
        let lapsed = state.codes.iter().filter(|(_, held)| held.has_lapsed(now)).map(|(id, _)| *id).collect::<Vec<_>>();
        for id in &lapsed {
            state.remove(*id);
        }
        lapsed
    }

    /// Wipes every code and keeps none from here on; waits until the thread has ended, unless it is the one that asks.
    pub(in crate::vault) fn stop(&self) {
        let (codes, process) = {
            let mut state = self.state();
            state.stopped = true;
            state.deadlines.clear();
            (std::mem::take(&mut state.codes), state.process)
        };
        drop(codes);
        self.wake.notify_all();
        if process != Some(std::process::id()) {
            return;
        }
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take_if(|thread| thread.thread().id() != thread::current().id()) {
            // One that panicked has said so itself.
            drop(thread.join());
        }
    }

    /// Sees to it that the thread runs.
    fn start(self: &Arc<Self>, state: &mut State) -> bool {
        let process = Some(std::process::id());
        if state.process != process {
            let board = Arc::clone(self);
            let Ok(thread) = thread::Builder::new().name("tokenvault-codes".to_owned()).spawn(move || board.run())
            else {
                return false;
            };
            *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
            state.process = process;
        }
        true
    }

    /// Takes away what lapses, until stopped or until there is no vault any more.
    fn run(&self) {
        let mut state = self.state();
        while !state.stopped {
            let now = Instant::now();
            let lapsed = state.take_lapsed(now);
            if !lapsed.is_empty() {
                drop(state);
                let Some(vault) = self.vault.upgrade() else { return };
                for id in lapsed {
                    vault.code_lapsed(id, EventReason::Expiry);
                }
                drop(vault);
                state = self.state();
                continue;
            }
            let next = state.deadlines.first().map(|(deadline, _)| deadline.saturating_duration_since(now));
            state = match next {
                Some(left) => self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Nothing that runs under the lock can stop half way, so a poisoned lock guards sound data.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remove(&mut self, id: TokenId) -> Option<Held> {
        let held = self.codes.remove(&id)?;
        self.deadlines.remove(&(held.deadline, id));
        Some(held)
    }

    /// Wipes what has lapsed by the steady clock.
    fn take_lapsed(&mut self, now: Instant) -> Vec<TokenId> {
        let mut lapsed = Vec::new();
        while self.deadlines.first().is_some_and(|(deadline, _)| *deadline <= now) {
            lapsed.extend(self.deadlines.pop_first().map(|(_, id)| id));
        }
        for id in &lapsed {
            self.codes.remove(id);
        }
        lapsed
    }
}

impl Held {
    fn has_lapsed(&self, now: Timestamp) -> bool {
        now >= self.until || Instant::now() >= self.deadline
    }
}
