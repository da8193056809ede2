//! Which token has which code, and until when. One thread a vault, started with its first code, lets none outlive its deadline,
//! whether anybody asks for it or not.
//!
//! A deadline is kept twice: as an instant of the vault's clock, for whoever asks, and as one of the system's steady clock, for
//! the thread. The one that comes first counts.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::clock::Timestamp;
use crate::id::TokenId;
use crate::process::Process;
use crate::response::EventReason;
use crate::seal::HASH;
use crate::vault::Shared;
use crate::vault::security_code::LockedCode;
use crate::vault::watch::Reading;

/// The codes of a vault.
pub(in crate::vault) struct Board {
    /// Told of what lapses; held only while it is told.
    vault: Weak<Shared>,
    state: Mutex<State>,
    wake: Condvar,
    /// The thread, and the process that has it: a child of a fork has none.
    thread: Mutex<Option<(Process, JoinHandle<()>)>>,
}

#[derive(Default)]
struct State {
    codes: HashMap<TokenId, Held>,
    /// When the thread must take which code away.
    deadlines: BTreeSet<(Instant, TokenId)>,
    stopped: bool,
}

/// A code, for which token of which card, and until when.
pub(super) struct Held {
    /// That of the token when the code came for it.
    pub(super) revision: u32,
    pub(super) card: CardTag,
    pub(super) code: LockedCode,
    pub(super) until: Timestamp,
    pub(super) deadline: Instant,
}

/// Tells the card of a code from others: the keyed hash of its account number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::vault) struct CardTag(pub(super) [u8; HASH]);

/// What the system's steady clock will show when the vault's shows `until`, if neither is set.
pub(super) fn steady(now: Timestamp, until: Timestamp) -> Instant {
    let left = u64::try_from(until.as_millis() - now.as_millis()).unwrap_or(0);
    Instant::now() + Duration::from_millis(left)
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

    /// Keeps a code, in the place of one that came for no later revision of the token. Answers whether it
    /// is kept: without a thread to take it away in time it is not.
    pub(super) fn put(self: &Arc<Self>, id: TokenId, new: Held) -> bool {
        let mut state = self.state();
        if state.stopped || state.codes.get(&id).is_some_and(|held| held.revision > new.revision) || !self.start() {
            return false;
        }
        state.remove(id);
        self.hold(state, id, new);
        true
    }

    /// Lets the code of a token end at `until` at the latest.
    pub(super) fn limit(&self, id: TokenId, now: Timestamp, until: Timestamp) {
        let mut state = self.state();
        if let Some(held) = state.remove(id) {
            let (until, deadline) = (until.min(held.until), steady(now, until).min(held.deadline));
            self.hold(state, id, Held { until, deadline, ..held });
        }
    }

    fn hold(&self, mut state: MutexGuard<'_, State>, id: TokenId, held: Held) {
        let deadline = (held.deadline, id);
        state.deadlines.insert(deadline);
        state.codes.insert(id, held);
        if state.deadlines.first() == Some(&deadline) {
            self.wake.notify_all();
        }
    }

    /// Whether a token has a code, of this card if one is named.
    pub(super) fn look(&self, id: TokenId, card: Option<CardTag>, reading: &Reading) -> Found<()> {
        self.find(id, card, reading, |_| Some(()))
    }

    /// Takes the code of a token away: whoever comes second finds nothing.
    pub(super) fn take(&self, id: TokenId, card: Option<CardTag>, reading: &Reading) -> Found<LockedCode> {
        self.find(id, card, reading, |state| state.remove(id).map(|held| held.code))
    }

    /// Whether a token has a code, and not of this card.
    pub(in crate::vault) fn is_of_another(&self, id: TokenId, card: CardTag) -> bool {
        self.state().codes.get(&id).is_some_and(|held| held.card != card)
    }

    /// What `get` makes of the code of a token, if it has one that can be had.
    fn find<T>(
        &self,
        id: TokenId,
        card: Option<CardTag>,
        reading: &Reading,
        get: impl FnOnce(&mut State) -> Option<T>,
    ) -> Found<T> {
        let mut state = self.state();
        match state.codes.get(&id) {
            Some(held) if card.is_some_and(|card| card != held.card) => Found::Nothing,
            Some(held) if held.has_lapsed(reading) => {
                state.remove(id);
                Found::Lapsed
            }
            Some(held) if held.is_there(reading) => get(&mut state).map_or(Found::Nothing, Found::Code),
            _ => Found::Nothing,
        }
    }

    /// Wipes the code of a token, if it has one that came for this revision or an earlier one. Answers whether it had.
    pub(in crate::vault) fn forget(&self, id: TokenId, revision: u32) -> bool {
        let mut state = self.state();
        let is_meant = state.codes.get(&id).is_some_and(|held| held.revision <= revision);
        is_meant && state.remove(id).is_some()
    }

    /// Wipes every code that has lapsed, and tells whose they were.
    pub(super) fn sweep(&self, reading: &Reading) -> Vec<TokenId> {
        let mut state = self.state();
        let lapsed = state.codes.iter().filter(|(_, held)| held.has_lapsed(reading));
        let lapsed: Vec<_> = lapsed.map(|(id, _)| *id).collect();
        for id in &lapsed {
            state.remove(*id);
        }
        lapsed
    }

    /// Wipes every code and keeps none from here on; waits until the thread has ended, unless it is the one that asks.
    pub(in crate::vault) fn stop(&self) {
        let codes = {
            let mut state = self.state();
            state.stopped = true;
            state.deadlines.clear();
            std::mem::take(&mut state.codes)
        };
        drop(codes);
        self.wake.notify_all();
        let mut thread = self.thread();
        if let Some((_, thread)) = thread.take_if(|(_, thread)| thread.thread().id() != thread::current().id()) {
            // One that panicked has said so itself.
            drop(thread.join());
        }
    }

    /// Sees to it that the thread runs.
    fn start(self: &Arc<Self>) -> bool {
        let mut thread = self.thread();
        if thread.is_none() {
            let board = Arc::clone(self);
            let begun = thread::Builder::new().name("tokenvault-codes".to_owned()).spawn(move || board.run());
            *thread = begun.ok().map(|begun| (Process::current(), begun));
        }
        thread.is_some()
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

    /// The thread, if this process has it.
    fn thread(&self) -> MutexGuard<'_, Option<(Process, JoinHandle<()>)>> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        // That of a parent can be neither joined nor let go: what named it there may name another thread here.
        if let Some(inherited) = thread.take_if(|(process, _)| !process.is_current()) {
            std::mem::forget(inherited);
        }
        thread
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
    /// Whether its deadline has come, and not only by a leap of the vault's clock.
    fn has_lapsed(&self, reading: &Reading) -> bool {
        Instant::now() >= self.deadline || (self.is_over(reading) && reading.removable >= self.until)
    }

    /// Whether it can be had: not behind its deadline, nor in a child of the process that has it.
    fn is_there(&self, reading: &Reading) -> bool {
        !self.is_over(reading) && self.code.is_here()
    }

    fn is_over(&self, reading: &Reading) -> bool {
        reading.now >= self.until
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::process::Command;

    use chrono::{DateTime, Utc};
    use uuid::Uuid;

    use super::*;
    use crate::card::SecurityCode;
    use crate::clock::Clock;
    use crate::vault::watch::Watch;

    const CODES: u64 = 100_000;

    struct Epoch;

    impl Clock for Epoch {
        fn now(&self) -> DateTime<Utc> {
            DateTime::UNIX_EPOCH
        }
    }

    fn id(number: u64) -> TokenId {
        let scattered = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        Uuid::from_u128(scattered).into()
    }

    /// Figures of this process in KiB: what is in memory, and what of it is locked.
    fn takes() -> (u64, u64) {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let figure = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
        };
        (figure("VmRSS:"), figure("VmLck:"))
    }

    /// Alone in its process, since the figures are those of the process.
    #[test]
    fn a_hundred_thousand_codes_take_less_than_32_mib() {
        const TEST: &str = "vault::security_code::board::tests::a_hundred_thousand_codes_take_less_than_32_mib";
        const CHILD: &str = "TOKENVAULT_TEST_ALONE";
        if std::env::var_os(CHILD).is_none() {
            let mut child = Command::new(std::env::current_exe().unwrap());
            let output = child.args(["--exact", TEST, "--nocapture"]).env(CHILD, "1").output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
            println!("{}", said.lines().find(|line| line.contains("KiB")).unwrap());
            return;
        }
        let reading = Watch::new(Box::new(Epoch)).read();
        let (now, until) = (Timestamp::from_millis(0).unwrap(), Timestamp::from_millis(3_600_000).unwrap());
        let board = Board::new(Weak::new());
        let begun = takes();
        let (card, deadline) = (CardTag([7; HASH]), steady(now, until));
        for number in 0..CODES {
            let code = LockedCode::of(SecurityCode::parse("1234").unwrap()).unwrap();
            assert!(board.put(id(number), Held { revision: 0, card, code, until, deadline }));
        }
        let end = takes();
        let (taken, locked) = (end.0 - begun.0, end.1 - begun.1);
        println!("{CODES} codes take {taken} KiB, of which {locked} KiB are locked");
        // Four bytes each, locked: so much with pages of 4 KiB, sixteen times that with those of 64 KiB. Then the index.
        assert!((391..=8192).contains(&locked), "{locked} KiB");
        assert!(taken > locked && taken < 32 * 1024, "{taken} KiB");
        for number in 0..CODES {
            assert!(
                matches!(board.take(id(number), None, &reading), Found::Code(code) if code.expose() == Some("1234"))
            );
        }
        let state = board.state();
        assert!(state.codes.is_empty() && state.deadlines.is_empty());
    }
}
