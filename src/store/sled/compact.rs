//! Writes sled anew without what is gone: of itself it gives no space back to the file system.
//!
//! Rows are copied into a second database, a portion at a time, and counted there. In between commits are applied as ever,
//! and to both. Once a file in the second one's folder says that it is whole, it takes the place of the first. Before that it
//! is thrown away, whatever happens.

use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use std::{io, mem, thread};

use crate::error::{Error, ErrorKind};
use crate::store::disk::Disk;
use crate::store::sled::apply::Applier;
use crate::store::sled::engine::Engine;
use crate::store::sled::folder::Folder;
use crate::store::sled::health::Health;
use crate::store::sled::log::Log;
use crate::store::sled::recover::{BEHIND_ALL_ROWS, rows_missing};
use crate::store::sled::shifts::Compacting;
use crate::store::sled::tally::{OWN_TABLE, Tally};
use crate::store::sled::{Shared, closed};

/// What is gone over at a time: nothing is applied meanwhile.
const ROWS_AT_ONCE: usize = 1_024;
const BYTES_AT_ONCE: usize = 1 << 20;

/// sled splits a page of more than 16 rows when it comes there again, and would leave every page half empty if they came in
/// order. Of as many rows the second part comes behind the first parts of all others, and fills the pages that these have made.
const ROWS_A_PAGE: usize = 16;

/// What a split leaves in the first page of two. With fewer first the second part would make a page too large again, and the
/// next look would split it.
const ROWS_FIRST: usize = 9;

/// A copy stops before the disk has less room than this, so that what is applied meanwhile meets no full disk.
const ROOM_LEFT: u64 = 64 << 20;

/// However long a pass took, the next one waits no longer than this for portions.
const LONGEST_SHIFT: Duration = Duration::from_secs(1);

/// A key in front of the rows of every table.
const FIRST_ROW: [u8; 1] = [OWN_TABLE + 1];

/// How long a look at whether anybody still reads a database lasts.
const PAUSE: Duration = Duration::from_millis(1);

/// The second database, if there is one.
#[derive(Debug, Default)]
pub(super) enum Second {
    #[default]
    None,
    Draft(Box<Draft>),
    /// A draft failed, and was thrown away.
    GivenUp(Error),
    /// The first one, since another has taken its place.
    Retired(Retired),
}

/// The database that is to take the place of the first.
#[derive(Debug)]
pub(super) struct Draft {
    engine: Engine,
    log: Log,
    disk: Arc<dyn Disk>,
    stage: Stage,
    /// Where the next portion begins.
    from: Vec<u8>,
    /// The rows that were gone over in either stage.
    done: u64,
    /// What the rows of all tables in front of the next portion add up to, once they are counted.
    found: Tally,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Copying,
    Counting,
}

/// A database whose place was taken, and who may still read it.
#[derive(Debug)]
pub(super) struct Retired {
    engine: Arc<Engine>,
    folder: Folder,
}

/// What a step has led to.
pub(super) enum Step {
    /// Nothing is copied yet.
    Begun,
    /// So many rows are still to be gone over.
    Left(u64),
    /// This one is to be read from now on.
    Switched(Arc<Engine>),
    /// Somebody still reads the one whose place was taken.
    Read,
    /// Nobody does, and it is removed.
    Done,
}

impl Shared {
    /// Begins to write sled anew, or goes on with it; answers how many rows are still to be gone over, 0 at the end.
    pub(super) fn compact(&self) -> Result<u64, Error> {
        let (backlog, shift) = (&self.rounds.backlog, self.shifts.compact());
        let may_go = || shift.is_next() || backlog.has_ended() || self.rounds.health.check().is_err();
        if !backlog.wait(self.rounds.patience, may_go) {
            return Err(self.rounds.stuck());
        }
        let mut applier = self.applier();
        let step = applier.as_mut().ok_or_else(closed)?.compact_for(&shift).map_err(|error| match error.kind() {
            // Before a pass goes on: it may not be in the database that the next open takes.
            ErrorKind::Unavailable => self.rounds.fail(error),
            _ => error,
        });
        drop((applier, shift));
        match step? {
            Step::Begun => {
                // A row whose removal waits would be copied, and its place stays.
                self.rounds.drain()?;
                Ok((2 * self.rounds.tally().rows).max(1))
            }
            Step::Left(rows) => Ok(rows.max(1)),
            Step::Switched(engine) => {
                let mut read = self.engine.write().unwrap_or_else(PoisonError::into_inner);
                *read.as_mut().ok_or_else(closed)? = engine;
                Ok(1)
            }
            Step::Read => {
                thread::sleep(PAUSE);
                Ok(1)
            }
            Step::Done => Ok(0),
        }
    }
}

impl Applier {
    /// Does a portion, and more of them while a pass waits, for as long as the last pass took.
    fn compact_for(&mut self, shift: &Compacting<'_>) -> Result<Step, Error> {
        let (start, share) = (Instant::now(), self.took.min(LONGEST_SHIFT));
        loop {
            let step = self.compact()?;
            if !matches!(step, Step::Left(_)) || !shift.is_awaited() || start.elapsed() >= share {
                return Ok(step);
            }
        }
    }

    fn compact(&mut self) -> Result<Step, Error> {
        self.health.check()?;
        match mem::take(&mut self.second) {
            Second::None => {
                let draft = Draft::begin(&self.log.folder().next(), Arc::clone(&self.disk), self.cache_bytes)?;
                self.second = Second::Draft(Box::new(draft));
                Ok(Step::Begun)
            }
            Second::GivenUp(cause) => Err(cause),
            Second::Draft(mut draft) => match draft.step(&self.engine, self.held) {
                Ok(true) => self.switch(*draft).map(Step::Switched),
                Ok(false) => {
                    let left = (2 * self.held.rows).saturating_sub(draft.done);
                    self.second = Second::Draft(draft);
                    Ok(Step::Left(left))
                }
                Err(cause) => {
                    draft.discard();
                    Err(cause)
                }
            },
            Second::Retired(retired) if is_used(&retired.engine) => {
                self.second = Second::Retired(retired);
                Ok(Step::Read)
            }
            Second::Retired(retired) => {
                retired.remove();
                Ok(Step::Done)
            }
        }
    }

    /// Puts a draft in the place of the first database; readers follow, and until then the first one gets everything too.
    fn switch(&mut self, mut draft: Draft) -> Result<Arc<Engine>, Error> {
        if let Err(cause) = draft.settle() {
            draft.discard();
            return Err(cause);
        }
        if let Err(cause) = draft.log.folder().say_whole(&*draft.disk) {
            // If that may have been said it stays, since half of it would be less than nothing.
            if cause.kind() != ErrorKind::Unavailable {
                draft.discard();
            }
            return Err(cause);
        }
        let Draft { mut engine, mut log, .. } = draft;
        engine.answer_for(&self.health);
        log.publish();
        let retired = mem::replace(&mut self.engine, Arc::new(engine));
        let folder = mem::replace(&mut self.log, log).folder().clone();
        self.second = Second::Retired(Retired { engine: retired, folder });
        Ok(Arc::clone(&self.engine))
    }
}

impl Second {
    /// Does with a row what was done with it in the first database.
    pub(super) fn write(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Error> {
        let written = match self {
            Self::None | Self::GivenUp(_) => return Ok(()),
            Self::Retired(retired) => return retired.engine.write(key, value).map(drop),
            Self::Draft(draft) => draft.write(key, value),
        };
        // Whoever compacts hears of it, and nobody else.
        if let Err(cause) = written
            && let Self::Draft(draft) = mem::replace(self, Self::GivenUp(cause))
        {
            draft.discard();
        }
        Ok(())
    }

    pub(super) fn close(self, health: &Health) {
        match self {
            Self::None | Self::GivenUp(_) => {}
            Self::Draft(draft) => draft.discard(),
            Self::Retired(retired) => {
                // It writes files by path until then.
                await_unused(&retired.engine);
                if health.check().is_ok() {
                    retired.remove();
                }
            }
        }
    }
}

impl Retired {
    /// Under the lock of the applier: a close waits for it, so that nothing is removed by path once the folder is somebody else's.
    fn remove(self) {
        drop(self.engine);
        // What stays behind is removed by the next open.
        drop(self.folder.remove_database());
    }
}

/// Whether anybody else has a database in hand.
fn is_used(engine: &Arc<Engine>) -> bool {
    Arc::strong_count(engine) > 1
}

/// Waits for whoever reads a database, which goes on to the end.
pub(super) fn await_unused(engine: &Arc<Engine>) {
    while is_used(engine) {
        thread::sleep(PAUSE);
    }
}

impl Draft {
    fn begin(folder: &Folder, disk: Arc<dyn Disk>, cache_bytes: u64) -> Result<Self, Error> {
        // It takes up the room that is asked for.
        folder.remove_database()?;
        require_room(folder, &*disk)?;
        let begun = || {
            // Whatever happens to it is no matter of the store's.
            let health = Arc::<Health>::default();
            let engine = Engine::open(folder.path(), &folder.data(), cache_bytes, health)?;
            let log = Log::open_draft(folder, Arc::clone(&disk))?;
            Ok((engine, log))
        };
        let (engine, log) = begun().inspect_err(|_| drop(folder.remove_database()))?;
        Ok(Self { engine, log, disk, stage: Stage::Copying, from: Vec::new(), done: 0, found: Tally::default() })
    }

    /// Goes over the next portion of rows; `true` when all are copied, and are those that they should be.
    fn step(&mut self, first: &Engine, held: Tally) -> Result<bool, Error> {
        require_room(self.log.folder(), &*self.disk)?;
        let portion = Portion::read(if self.stage == Stage::Copying { first } else { &self.engine }, &self.from)?;
        self.done += portion.rows.len() as u64;
        match self.stage {
            Stage::Copying => {
                for (key, value) in in_two_parts(&portion.rows) {
                    self.log.write(&self.engine, key, Some(value))?;
                }
            }
            Stage::Counting => portion.rows.iter().for_each(|(key, value)| self.found.replace(key, None, Some(value))),
        }
        // The last portion ends its stage at once: at each look more rows may have come behind it.
        match (portion.next, self.stage) {
            (Some(next), _) => self.from = next,
            (None, Stage::Copying) => (self.stage, self.from) = (Stage::Counting, FIRST_ROW.to_vec()),
            (None, Stage::Counting) if self.found.is_of_rows(held) => return Ok(true),
            (None, Stage::Counting) => return Err(rows_missing(self.log.folder())),
        }
        Ok(false)
    }

    fn write(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Error> {
        let replaced = self.log.write(&self.engine, key, value)?;
        if self.stage == Stage::Counting && key >= &FIRST_ROW[..] && key < &*self.from {
            self.found.replace(key, replaced.as_deref(), value);
        }
        Ok(())
    }

    /// Makes all of it durable.
    fn settle(&mut self) -> Result<(), Error> {
        self.log.settle(&self.engine)?;
        self.log.folder().settle_unfinished(&*self.disk)
    }

    fn discard(self) {
        let Self { engine, log, .. } = self;
        engine.close();
        // What stays behind is removed by the next open.
        drop(log.folder().remove_database());
    }
}

/// Rows that are gone over at a time.
struct Portion {
    rows: Vec<(sled::IVec, sled::IVec)>,
    /// Where the next one begins; `None` if there is none.
    next: Option<Vec<u8>>,
}

impl Portion {
    /// The first rows from a key on.
    fn read(engine: &Engine, from: &[u8]) -> Result<Self, Error> {
        let (mut rows, mut bytes, mut next) = (Vec::new(), 0, None);
        engine.walk(from, &BEHIND_ALL_ROWS, |key, value| {
            if rows.len() == ROWS_AT_ONCE || bytes >= BYTES_AT_ONCE {
                next = Some(key.to_vec());
                return ControlFlow::Break(());
            }
            bytes += key.len() + value.len();
            rows.push((key.into(), value.into()));
            ControlFlow::Continue(())
        })?;
        Ok(Self { rows, next })
    }
}

/// Rows in the order in which sled gets them.
fn in_two_parts<T>(rows: &[T]) -> impl Iterator<Item = &T> {
    let part = |second: bool| {
        let is_second = |at: usize| at % ROWS_A_PAGE >= ROWS_FIRST;
        rows.iter().enumerate().filter(move |(at, _)| is_second(*at) == second).map(|(_, row)| row)
    };
    part(false).chain(part(true))
}

fn require_room(folder: &Folder, disk: &dyn Disk) -> Result<(), Error> {
    match disk.room(folder.path()) {
        Ok(room) if room < ROOM_LEFT => Err(folder.refused(io::ErrorKind::StorageFull.into())),
        // Where nobody tells, the disk itself will.
        _ => Ok(()),
    }
}
