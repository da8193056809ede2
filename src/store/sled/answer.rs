//! How whoever commits hears of the outcome: one word from the thread that leads, or none if that has ended.

use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::store::Committed;

type Word = Result<Committed, Error>;

/// The end of the thread that leads. Dropped without a word, it says that there will be none.
#[derive(Debug)]
pub(super) struct Answer {
    word: Option<Arc<OnceLock<Word>>>,
    asking: Thread,
}

/// The end of the thread that asked.
#[derive(Debug)]
pub(super) struct Outcome(Arc<OnceLock<Word>>);

/// What came of a wait.
#[derive(Debug)]
pub(super) enum Waited {
    Heard(Word),
    /// Nothing for all that time.
    Idle,
    /// There will be no word.
    Unheard,
}

/// Both ends; the second belongs to this thread.
pub(super) fn answer() -> (Answer, Outcome) {
    let word = Arc::new(OnceLock::new());
    (Answer { word: Some(Arc::clone(&word)), asking: thread::current() }, Outcome(word))
}

impl Answer {
    pub(super) fn give(self, outcome: Word) {
        if let Some(word) = &self.word {
            // Nobody else has this end.
            drop(word.set(outcome));
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // First it is let go of, so that who wakes sees that nobody holds it.
        drop(self.word.take());
        self.asking.unpark();
    }
}

impl Outcome {
    /// Waits for the word.
    pub(super) fn wait(&self, patience: Duration) -> Waited {
        let start = Instant::now();
        loop {
            let is_last_look = Arc::strong_count(&self.0) == 1;
            // The count alone orders nothing: without this the look may be the earlier of the two, and miss the word.
            fence(Ordering::Acquire);
            if let Some(word) = self.0.get() {
                return Waited::Heard(word.clone());
            }
            if is_last_look {
                return Waited::Unheard;
            }
            let left = patience.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Waited::Idle;
            }
            thread::park_timeout(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn a_word_is_heard_and_so_is_that_there_is_none() {
        let (answer, outcome) = super::answer();
        assert!(matches!(outcome.wait(Duration::from_millis(10)), Waited::Idle));
        thread::spawn(move || answer.give(Ok(Committed::Applied)));
        assert!(matches!(outcome.wait(LONG), Waited::Heard(Ok(Committed::Applied))));
        let (answer, outcome) = super::answer();
        thread::spawn(move || drop(answer));
        assert!(matches!(outcome.wait(LONG), Waited::Unheard));
    }
}
