//! Whose turn it is to make a round of commits.
//!
//! Who commits alone leads its own round, so that no other thread need be woken for it. If others wait at the end of that
//! round, the committing thread leads on, until nobody waits any longer.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::error::Error;
use crate::store::Committed;
use crate::store::sled::Abort;
use crate::store::sled::answer::{Answer, Outcome, answer};
use crate::store::sled::commit::Committer;
use crate::store::sled::draft::Request;
use crate::store::sled::engine::Engine;

/// A commit that waits for a round.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) request: Request,
    pub(super) answer: Answer,
}

/// What becomes of a commit.
pub(super) enum Turn<'a> {
    /// It is made by the thread that brought it.
    Lead(Lead<'a>, Request),
    Wait(Outcome),
}

/// What the committing thread has to do.
pub(super) enum Duty<'a> {
    Lead(Lead<'a>),
    /// Every commit is made, and there will be no others.
    End(Box<Committer>),
}

/// The order of commits.
#[derive(Debug)]
pub(super) struct Turns {
    queue: Mutex<Queue>,
    /// Tells the committing thread that it has something to do.
    due: Condvar,
}

#[derive(Debug)]
struct Queue {
    /// Whoever has taken it leads.
    committer: Option<Box<Committer>>,
    waiting: VecDeque<Waiting>,
    /// With so many that wait, the committing thread is told.
    expected: usize,
    /// Whether the committing thread is to lead next.
    is_relayed: bool,
    /// Whether the committing thread looks by itself in time for the next sync.
    is_timed: bool,
    is_closed: bool,
}

impl Turns {
    pub(super) fn new(committer: Committer) -> Self {
        let committer = Some(Box::new(committer));
        let queue = Queue {
            committer,
            waiting: VecDeque::new(),
            expected: 0,
            is_relayed: false,
            is_timed: false,
            is_closed: false,
        };
        Self { queue: Mutex::new(queue), due: Condvar::new() }
    }

    /// `None` if the store is closed.
    pub(super) fn enter(&self, request: Request) -> Option<Turn<'_>> {
        let mut queue = self.lock();
        if queue.is_closed {
            return None;
        }
        if !queue.is_relayed
            && let Some(committer) = queue.committer.take()
        {
            return Some(Turn::Lead(Lead::new(self, committer), request));
        }
        let (answer, outcome) = answer();
        queue.waiting.push_back(Waiting { request, answer });
        if queue.waiting.len() == queue.expected {
            self.due.notify_one();
        }
        Some(Turn::Wait(outcome))
    }

    /// Refuses whatever comes from now on, and lets the committing thread end.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.due.notify_one();
    }

    /// Waits, as the committing thread, until there is something to do.
    pub(super) fn await_duty(&self) -> Duty<'_> {
        let mut queue = self.lock();
        loop {
            let within = queue.committer.as_ref().and_then(|committer| committer.sync_within());
            let is_due = queue.is_relayed || within.is_some_and(|wait| wait.is_zero());
            if (is_due || queue.is_closed)
                && let Some(committer) = queue.committer.take()
            {
                queue.is_relayed = false;
                return if is_due { Duty::Lead(Lead::new(self, committer)) } else { Duty::End(committer) };
            }
            queue.is_timed = within.is_some();
            queue = match within {
                Some(wait) => self.due.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner).0,
                None => self.due.wait(queue).unwrap_or_else(PoisonError::into_inner),
            };
            queue.is_timed = false;
        }
    }

    /// Answers nobody any longer, since there is no committing thread.
    pub(super) fn abandon(&self) {
        let mut queue = self.lock();
        queue.is_closed = true;
        queue.waiting.clear();
    }

    fn leave(&self, committer: Box<Committer>, rest: VecDeque<Waiting>) {
        let mut queue = self.lock();
        for waiting in rest.into_iter().rev() {
            queue.waiting.push_front(waiting);
        }
        queue.is_relayed = !queue.waiting.is_empty();
        let is_due = queue.is_relayed || queue.is_closed || (committer.sync_within().is_some() && !queue.is_timed);
        queue.committer = Some(committer);
        drop(queue);
        if is_due {
            self.due.notify_one();
        }
    }

    // Nothing under this lock stops half way, so a poisoned one guards sound data.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What waits for a round.
pub(super) struct Line<'a> {
    turns: &'a Turns,
    /// Taken from the queue, and not yet in a round.
    batch: &'a mut VecDeque<Waiting>,
}

impl Line<'_> {
    pub(super) fn next(&mut self) -> Option<Waiting> {
        if self.batch.is_empty() {
            mem::swap(self.batch, &mut self.turns.lock().waiting);
        }
        self.batch.pop_front()
    }

    pub(super) fn len(&self) -> usize {
        self.batch.len() + self.turns.lock().waiting.len()
    }
}

/// The right to make rounds; whoever drops it leaves it to others.
pub(super) struct Lead<'a> {
    turns: &'a Turns,
    /// `None` only while it is dropped.
    committer: Option<Box<Committer>>,
    /// Taken from the queue, and not yet in a round.
    batch: VecDeque<Waiting>,
}

impl<'a> Lead<'a> {
    fn new(turns: &'a Turns, committer: Box<Committer>) -> Self {
        Self { turns, committer: Some(committer), batch: VecDeque::new() }
    }

    /// Makes a round of a commit, if there is one, and of what waits. `None` if there was none.
    pub(super) fn round(&mut self, engine: &Engine, request: Option<Request>) -> Option<Result<Committed, Error>> {
        let Self { turns, committer, batch } = self;
        committer.as_mut()?.round(engine, request, Line { turns, batch })
    }

    /// Waits, as the committing thread, for as many commits as the next round may expect; answers whether any wait for one.
    pub(super) fn gather(&mut self) -> bool {
        let Some(committer) = &mut self.committer else { return false };
        if !self.batch.is_empty() {
            return true;
        }
        let expected = committer.gathering.expected();
        let mut queue = self.turns.lock();
        if let Some((commits, patience)) = expected {
            let start = Instant::now();
            queue.expected = commits;
            while queue.waiting.len() < commits && !queue.is_closed {
                let left = patience.saturating_sub(start.elapsed());
                if left.is_zero() {
                    break;
                }
                queue = self.turns.due.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
            }
            queue.expected = 0;
            committer.gathering.came(queue.waiting.len());
        }
        !queue.waiting.is_empty()
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let Some(committer) = self.committer.take() else { return };
        drop(Abort(&committer.rounds));
        self.turns.leave(committer, mem::take(&mut self.batch));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::thread::{self, ThreadId};
    use std::time::Duration;

    use super::*;
    use crate::store::disk::OnSync;
    use crate::store::sled::SledOptions;
    use crate::store::{Batch, Durability, Store, Table};

    /// The next round has no sync that it could share.
    #[test]
    fn no_round_waits_behind_a_sync_that_was_put_off() {
        let folder = tempfile::tempdir().unwrap();
        let slow = OnSync(|_: &Path| thread::sleep(Duration::from_millis(1)));
        let options = SledOptions::new().disk(Arc::new(slow)).durability(Durability::Process);
        let store = options.create(folder.path().join("vault")).unwrap();
        store.write_anchor(b"anchor").unwrap();
        let engine = store.shared.engine().unwrap();
        for (durability, is_expected) in [(Durability::Process, false), (Durability::Power, true)] {
            let batch = Batch::new().put(Table::Pci, [1], [1]);
            let request = store.read(|standing| Request::new(batch, durability, standing)).unwrap();
            let Some(Turn::Lead(mut lead, request)) = store.shared.turns.enter(request) else {
                panic!("someone leads")
            };
            lead.round(&engine, Some(request)).unwrap().unwrap();
            let committer = lead.committer.as_mut().unwrap();
            committer.sync_soon();
            committer.gathering.parts(1, 1);
            assert_eq!(committer.gathering.expected().is_some(), is_expected, "{durability:?}");
        }
    }

    #[test]
    fn who_commits_alone_wakes_nobody_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let synced_by = Arc::<Mutex<Option<ThreadId>>>::default();
        let told = Arc::clone(&synced_by);
        let disk = OnSync(move |path: &Path| {
            if path.parent().is_some_and(|folder| folder.ends_with("journal")) {
                *told.lock().unwrap() = Some(thread::current().id());
            }
        });
        let store = SledOptions::new().disk(Arc::new(disk)).create(folder.path().join("vault")).unwrap();
        store.write_anchor(b"anchor").unwrap();
        for row in 0..100 {
            store.commit(Batch::new().put(Table::Pci, [row], [row])).unwrap();
            assert_eq!(synced_by.lock().unwrap().take(), Some(thread::current().id()));
        }
    }
}
