//! A store between a vault and its store that does something at the worst moment: between what the vault has read and the commit
//! that follows from it, behind a commit and before the vault hears of it, or as it is closed.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::thread;

use tokenvault::Error;
use tokenvault::store::{Batch, Committed, Entry, Maintenance, Store, StoreStats, Table};

use super::shared::Shared;

/// What is done once.
type Once = Mutex<Option<Box<dyn FnOnce() + Send>>>;

/// What is done at each commit from now on.
type Each = Mutex<Option<Arc<dyn Fn(&Batch) + Send + Sync>>>;

/// What is answered from now on.
type Always<T> = Mutex<Option<Arc<dyn Fn() -> Result<T, Error> + Send + Sync>>>;

/// Every clone is the same store, and is meddled with alike.
#[derive(Clone, Default)]
pub struct Meddled {
    pub store: Shared,
    before: Arc<Once>,
    behind: Arc<Once>,
    before_each: Arc<Each>,
    behind_each: Arc<Each>,
    commits: Arc<Always<Committed>>,
    closes: Arc<Always<StoreStats>>,
    judged: Arc<Mutex<Vec<Committed>>>,
}

/// What came of a deed. A deed that was never done fails the test, by `take` or when this is dropped.
#[must_use = "so that the deed is known to have been done"]
pub struct Done<T>(Option<Arc<Mutex<Option<T>>>>);

impl<T> Done<T> {
    /// What it gave; it must have been done.
    #[track_caller]
    pub fn take(mut self) -> T {
        let done = self.0.take().and_then(|done| done.lock().unwrap().take());
        done.unwrap_or_else(|| panic!("{NEVER}"))
    }
}

const NEVER: &str = "nothing came between";

impl<T> Drop for Done<T> {
    fn drop(&mut self) {
        let is_open = self.0.take().is_some_and(|done| done.lock().unwrap().is_none());
        assert!(!is_open || thread::panicking(), "{NEVER}");
    }
}

impl<T> fmt::Debug for Done<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Done(..)")
    }
}

impl Meddled {
    pub fn on(store: &Shared) -> Self {
        Self { store: store.clone(), ..Self::default() }
    }

    /// Does something once, right before the next commit. It may use the store itself.
    pub fn before_commit<T: Send + 'static>(&self, deed: impl FnOnce() -> T + Send + 'static) -> Done<T> {
        once(&self.before, deed)
    }

    /// Does something once, behind the next commit.
    pub fn behind_commit<T: Send + 'static>(&self, deed: impl FnOnce() -> T + Send + 'static) -> Done<T> {
        once(&self.behind, deed)
    }

    /// Does something right before each commit from now on, and behind it. It may use the store itself.
    pub fn around_commits(
        &self,
        before: impl Fn(&Batch) + Send + Sync + 'static,
        behind: impl Fn(&Batch) + Send + Sync + 'static,
    ) {
        *self.before_each.lock().unwrap() = Some(Arc::new(before));
        *self.behind_each.lock().unwrap() = Some(Arc::new(behind));
    }

    /// Makes no commit from now on, and answers this instead.
    pub fn answer_commits_with(&self, answer: fn() -> Result<Committed, Error>) -> Done<()> {
        always(&self.commits, answer)
    }

    /// Makes commits again.
    pub fn make_commits(&self) {
        *self.commits.lock().unwrap() = None;
    }

    /// Does not close from now on, but answers what this answers.
    pub fn on_close(&self, answer: impl Fn() -> Result<StoreStats, Error> + Send + Sync + 'static) -> Done<()> {
        always(&self.closes, answer)
    }

    /// How each commit was judged since this was last asked.
    pub fn judged(&self) -> Vec<Committed> {
        std::mem::take(&mut self.judged.lock().unwrap())
    }
}

fn once<T: Send + 'static>(slot: &Once, deed: impl FnOnce() -> T + Send + 'static) -> Done<T> {
    let done = Arc::new(Mutex::new(None));
    let result = Done(Some(Arc::clone(&done)));
    *slot.lock().unwrap() = Some(Box::new(move || {
        let gave = deed();
        *done.lock().unwrap() = Some(gave);
    }));
    result
}

fn always<T>(slot: &Always<T>, answer: impl Fn() -> Result<T, Error> + Send + Sync + 'static) -> Done<()> {
    let done = Arc::new(Mutex::new(None));
    let result = Done(Some(Arc::clone(&done)));
    *slot.lock().unwrap() = Some(Arc::new(move || {
        *done.lock().unwrap() = Some(());
        answer()
    }));
    result
}

/// Does what is to be done, with no lock held.
fn meddle(with: &Once) {
    let deed = with.lock().unwrap().take();
    if let Some(deed) = deed {
        deed();
    }
}

/// The same for what is done each time.
fn meddle_each(with: &Each, batch: &Batch) {
    let deed = with.lock().unwrap().clone();
    if let Some(deed) = deed {
        deed(batch);
    }
}

impl Store for Meddled {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.store.get(table, key)
    }

    fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Entry>, Error> {
        self.store.scan(table, from, to, limit)
    }

    fn commit(&self, batch: Batch) -> Result<Committed, Error> {
        let made = batch.clone();
        meddle(&self.before);
        meddle_each(&self.before_each, &made);
        let instead = self.commits.lock().unwrap().clone();
        let judged = instead.map_or_else(|| self.store.commit(batch), |answer| answer())?;
        self.judged.lock().unwrap().push(judged.clone());
        meddle_each(&self.behind_each, &made);
        meddle(&self.behind);
        Ok(judged)
    }

    fn read_anchor(&self) -> Result<Option<Vec<u8>>, Error> {
        self.store.read_anchor()
    }

    fn write_anchor(&self, bytes: &[u8]) -> Result<(), Error> {
        self.store.write_anchor(bytes)
    }

    fn maintain(&self, task: Maintenance) -> Result<StoreStats, Error> {
        let instead = if task == Maintenance::Close { self.closes.lock().unwrap().clone() } else { None };
        instead.map_or_else(|| self.store.maintain(task), |answer| answer())
    }
}
