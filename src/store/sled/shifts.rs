//! Whose shift it is: that of the applying thread, or of whoever compacts.
//!
//! Both need the same lock, which whoever lets go of it would have again before the other one wakes up. So they go by turns:
//! whoever comes to compact while a pass goes on is next, and so is a pass that comes meanwhile.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Whose shift it is.
#[derive(Debug, Default)]
pub(super) struct Shifts {
    state: Mutex<State>,
    /// Tells the applying thread that it may go on.
    over: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whether a pass goes on, or waits for its turn.
    is_passing: bool,
    /// How many come to compact.
    compacting: usize,
    /// Whether they go before the next pass.
    are_next: bool,
}

impl Shifts {
    /// Waits, as the applying thread, until whoever is next has compacted; those that come now wait for its end.
    pub(super) fn pass(&self) -> Pass<'_> {
        let mut state = self.lock();
        state.is_passing = true;
        drop(self.over.wait_while(state, |state| state.are_next));
        Pass(self)
    }

    /// Whoever asks to compact.
    pub(super) fn compact(&self) -> Compacting<'_> {
        self.lock().compacting += 1;
        Compacting(self)
    }

    // Nothing under this lock stops half way, so a poisoned one guards sound data.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pass, until it is dropped.
#[must_use]
pub(super) struct Pass<'a>(&'a Shifts);

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_passing = false;
        state.are_next = state.compacting > 0;
    }
}

/// Whoever waits to compact or does so, until it is dropped.
#[must_use]
pub(super) struct Compacting<'a>(&'a Shifts);

impl Compacting<'_> {
    /// Whether it is its turn: no pass goes on.
    pub(super) fn is_next(&self) -> bool {
        let state = self.0.lock();
        state.are_next || !state.is_passing
    }

    /// Whether a pass waits for the end of it.
    pub(super) fn is_awaited(&self) -> bool {
        self.0.lock().is_passing
    }
}

impl Drop for Compacting<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.compacting -= 1;
        state.are_next = false;
        self.0.over.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(50);

    #[test]
    fn a_pass_and_whoever_compacts_go_by_turns() {
        let shifts = Shifts::default();
        let first = shifts.pass();
        let compacting = shifts.compact();
        assert!(!compacting.is_next());
        drop(first);
        thread::scope(|scope| {
            let second = scope.spawn(|| shifts.pass());
            thread::sleep(MOMENT);
            assert!(compacting.is_next() && compacting.is_awaited() && !second.is_finished());
            drop(compacting);
            // Whoever comes back at once is not before a pass that has waited, whether or not that has woken up.
            let again = shifts.compact();
            assert!(!again.is_next());
            drop(second.join().unwrap());
            assert!(again.is_next() && !again.is_awaited());
        });
        drop(shifts.pass());
    }

    #[test]
    fn nobody_waits_for_one_who_has_given_up() {
        let shifts = Shifts::default();
        let pass = shifts.pass();
        let compacting = shifts.compact();
        drop(pass);
        drop(compacting);
        drop(shifts.pass());
        assert!(shifts.compact().is_next());
    }
}
