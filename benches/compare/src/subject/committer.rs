//! Lets those who wait for a durable write share one.
//!
//! Whoever finds nobody writing writes for all who wait, in its own thread: alone it costs nothing, and N threads need not N
//! syncs. Those who come meanwhile are the next group, and one of them writes it.

use std::sync::{Condvar, Mutex};

/// Groups changes, and hands each group to one writer.
pub(crate) struct Committer<C> {
    queue: Mutex<Queue<C>>,
    /// One for the group that gathers and one for the group that is written, in turn.
    written: [Condvar; 2],
    write: Mutex<Box<dyn FnMut(Vec<C>) + Send>>,
}

struct Queue<C> {
    gathering: Vec<C>,
    /// The number of the group that gathers.
    number: usize,
    /// All groups before this one are durable.
    durable: usize,
    is_writing: bool,
}

impl<C> Committer<C> {
    /// `write` makes a group durable as a whole.
    pub(crate) fn new(write: impl FnMut(Vec<C>) + Send + 'static) -> Self {
        let queue = Queue { gathering: Vec::new(), number: 0, durable: 0, is_writing: false };
        Self { queue: Mutex::new(queue), written: Default::default(), write: Mutex::new(Box::new(write)) }
    }

    /// Makes changes durable.
    pub(crate) fn commit(&self, changes: impl IntoIterator<Item = C>) {
        let mut queue = self.queue.lock().unwrap();
        queue.gathering.extend(changes);
        let mine = queue.number;
        let [even, odd] = &self.written;
        let (of_mine, of_next) = if mine.is_multiple_of(2) { (even, odd) } else { (odd, even) };
        while queue.durable <= mine {
            if queue.is_writing {
                queue = of_mine.wait(queue).unwrap();
                continue;
            }
            let group = std::mem::take(&mut queue.gathering);
            queue.number += 1;
            queue.is_writing = true;
            drop(queue);
            (self.write.lock().unwrap())(group);
            queue = self.queue.lock().unwrap();
            queue.durable = mine + 1;
            queue.is_writing = false;
            of_mine.notify_all();
            of_next.notify_one();
        }
    }
}
