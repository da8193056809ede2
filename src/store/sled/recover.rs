//! What is done with a store that was found: what its journal has and sled has not is done again, and all of it is checked.
//!
//! What the system's memory shows of the journal may never have reached the disk: it is made durable there before sled gets
//! any of it, and in sled before the first answer is given.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::error::Error;
use crate::random;
use crate::store::disk::Disk;
use crate::store::journal::{self, Changes, Head, Journal, Key, Sizes, Survey};
use crate::store::sled::anchor::Anchor;
use crate::store::sled::apply;
use crate::store::sled::engine::Engine;
use crate::store::sled::folder::Folder;
use crate::store::sled::log::Log;
use crate::store::sled::tally::{JOURNAL_KEY, Mark, OWN_TABLE, TALLY_KEY, Tally, row_checksum};
use crate::store::{Table, batch};

/// Up to this many rows are counted at every open and compared with the tally; more only by `Maintenance::Stats`.
const ROWS_COUNTED_AT_OPEN: u64 = 100_000;

/// A key behind every row: keys are at most 64 bytes, and the byte of the table.
pub(super) const BEHIND_ALL_ROWS: [u8; 66] = [0xff; 66];

/// What a store goes on with.
pub(super) struct Recovered {
    pub(super) mark: Mark,
    pub(super) journal: Journal,
    pub(super) tally: Tally,
}

/// A store that was found.
pub(super) struct Recovery<'a> {
    pub(super) folder: &'a Folder,
    pub(super) engine: &'a Engine,
    pub(super) disk: &'a Arc<dyn Disk>,
    pub(super) sizes: Sizes,
}

impl Recovery<'_> {
    /// Also answers whether there is an anchor.
    pub(super) fn run(self) -> Result<(Recovered, bool), Error> {
        let Self { folder, engine, disk, sizes } = self;
        let refused = |cause| folder.refused(cause);
        // What is written here is in the system's memory from then on, whether or not its sync succeeds.
        let doubted = |cause| {
            folder.doubt(&**disk);
            folder.refused(cause)
        };
        let applied =
            engine.get(TALLY_KEY)?.and_then(|row| Tally::decode(&row)).ok_or_else(|| commits_missing(folder))?;
        let mut mark = Mark::open(&folder.mark()).map_err(refused)?;
        let marked = mark.read().map_err(refused)?;
        let survey = Survey::read(&folder.journal(), self.journal_key()?).map_err(refused)?;
        let due = survey.judge(applied.round, marked).map_err(|_| commits_missing(folder))?;
        let tally = due.last.map_or(applied, |Head { round, rows, digest, .. }| Tally { round, rows, digest });
        let changes = survey.changes(&due).map_err(refused)?;
        if tally.round > applied.round || !changes.is_empty() {
            // Sled must not have what the journal may lose: of a commit whose rows are there in part all must be found
            // again.
            survey.secure(&due, &**disk).map_err(doubted)?;
            require_drawn_once(folder, engine, &changes)?;
            let rows = changes.iter().map(|(key, change)| (key.as_slice(), change.value.as_deref()));
            apply::apply(engine, &mut Log::open(folder, Arc::clone(disk))?, rows, tally)?;
        }
        check(folder, engine, tally)?;
        let anchor = Anchor::new(folder.path(), Arc::clone(disk)).read()?;
        let anchored = require_anchor(folder, tally, anchor)?.is_some();
        folder.settle(&**disk)?;
        survey.blot(&due, &**disk).map_err(doubted)?;
        let Tally { round, rows, digest } = tally;
        let last = due.last.unwrap_or(Head { round, synced: round, applied: round, rows, digest });
        let journal =
            Journal::resume(&folder.journal(), (&survey, &due), last, sizes, Arc::clone(disk)).map_err(refused)?;
        // A lost mark is made again; without it a loss is noticed less surely, but nothing is lost.
        drop(mark.write(tally.round));
        Ok((Recovered { mark, journal, tally }, anchored))
    }

    fn journal_key(&self) -> Result<Key, Error> {
        if let Some(row) = self.engine.get(JOURNAL_KEY)? {
            return Key::try_from(&*row).map_err(|_| commits_missing(self.folder));
        }
        if journal::is_written(&self.folder.journal()).map_err(|cause| self.folder.refused(cause))? {
            return Err(commits_missing(self.folder));
        }
        let mut key = Key::default();
        random::fill_key(&mut key)?;
        self.engine.write(JOURNAL_KEY, Some(&key))?;
        Log::open(self.folder, Arc::clone(self.disk))?.settle(self.engine)?;
        Ok(key)
    }
}

/// Whether the rows are those that were acknowledged, as far as can be told without a walk over a large store.
fn check(folder: &Folder, engine: &Engine, tally: Tally) -> Result<(), Error> {
    if tally.rows <= ROWS_COUNTED_AT_OPEN {
        let (_, found) = count(engine)?;
        if !found.is_of_rows(tally) {
            return Err(rows_missing(folder));
        }
    }
    Ok(())
}

/// Refuses to put a record in the place of another one that has the same id.
fn require_drawn_once(folder: &Folder, engine: &Engine, changes: &Changes) -> Result<(), Error> {
    for (key, change) in changes {
        if change.is_drawn() && !change.may_follow(engine.get(key)?.as_deref()) {
            return Err(drawn_twice(folder));
        }
    }
    Ok(())
}

/// Walks over all rows.
pub(super) fn count(engine: &Engine) -> Result<(Vec<(Table, u64)>, Tally), Error> {
    let mut entries: Vec<_> = Table::ALL.iter().map(|table| (*table, 0)).collect();
    let mut found = Tally::default();
    engine.walk(&[OWN_TABLE + 1], &BEHIND_ALL_ROWS, |key, value| {
        found.add(row_checksum(key, value));
        let table = key.first().copied().and_then(Table::from_byte);
        if let Some((_, count)) = entries.iter_mut().find(|(of, _)| Some(*of) == table) {
            *count += 1;
        }
        ControlFlow::Continue(())
    })?;
    Ok((entries, found))
}

/// The anchor, which must be there if there are records.
pub(super) fn require_anchor(folder: &Folder, tally: Tally, anchor: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, Error> {
    if anchor.is_none() && tally.rows > 0 { Err(anchor_missing(folder)) } else { Ok(anchor) }
}

/// Refuses a folder without title and anchor whose mark says that commits were acknowledged there.
pub(super) fn require_no_rounds(folder: &Folder) -> Result<(), Error> {
    let marked = Mark::peek(&folder.mark()).map_err(|cause| folder.refused(cause))?;
    if marked.is_some_and(|round| round > 0) { Err(anchor_missing(folder)) } else { Ok(()) }
}

/// Whether a log holds anything but what a creation writes, or what a creation that was stopped half way leaves of it.
pub(super) fn records_or_rounds(engine: &Engine) -> Result<bool, Error> {
    let fresh = engine.get(TALLY_KEY)?.is_none_or(|row| Tally::decode(&row) == Some(Tally::default()));
    Ok(!fresh || count(engine)?.1.rows > 0)
}

pub(super) fn anchor_missing(folder: &Folder) -> Error {
    let folder = folder.path().display();
    Error::corrupt(format!("{folder} holds records, but both copies of its anchor are missing"))
}

pub(super) fn commits_missing(folder: &Folder) -> Error {
    let folder = folder.path().display();
    Error::corrupt(format!("commits that were acknowledged are missing in {folder}: its log was cut, replaced or lost"))
}

fn drawn_twice(folder: &Folder) -> Error {
    let (folder, what) = (folder.path().display(), batch::not_new());
    Error::corrupt(format!("{folder} cannot be opened, go back to a backup: {}", what.message()))
}

pub(super) fn rows_missing(folder: &Folder) -> Error {
    let folder = folder.path().display();
    Error::corrupt(format!("the records in {folder} are not those that were acknowledged: some are missing or changed"))
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::ErrorKind;
    use crate::store::sled::interrupted::copy;
    use crate::store::sled::{SledOptions, SledStore};
    use crate::store::{Batch, Committed, Maintenance, Store};

    const OTHER: &str = "an id that was just drawn";

    /// A store as it is left by a kill behind such commits, each of which is in sled or only in the journal. It is opened twice:
    /// answers what stands at the key, or why it cannot be opened.
    fn killed(commits: &[(bool, Batch)]) -> Result<Option<Vec<u8>>, String> {
        let temporary = tempfile::tempdir().unwrap();
        let [path, killed] = ["vault", "killed"].map(|name| temporary.path().join(name));
        let store = SledOptions::new().company(Duration::from_mins(1)).create(&path).unwrap();
        store.write_anchor(b"anchor").unwrap();
        for (is_applied, batch) in commits {
            assert_eq!(store.commit(batch.clone()).unwrap(), Committed::Applied);
            if *is_applied {
                store.maintain(Maintenance::Checkpoint).unwrap();
            }
        }
        copy(&path, &killed);
        let opened = || SledStore::open(&killed).map(|store| store.get(Table::Pci, b"id").unwrap());
        let opened = [opened(), opened()].map(|opened| opened.map_err(|error| error.message().to_owned()));
        assert_eq!(opened[0], opened[1]);
        let [opened, _] = opened;
        opened
    }

    fn insert(value: u8) -> Batch {
        Batch::new().insert(Table::Pci, *b"id", [value])
    }

    fn put(value: u8) -> Batch {
        Batch::new().put(Table::Pci, *b"id", [value])
    }

    fn remove() -> Batch {
        Batch::new().remove(Table::Pci, *b"id")
    }

    #[test]
    fn an_id_that_was_drawn_twice_is_refused_at_each_open() {
        let twice = [
            vec![(true, insert(1)), (false, insert(2))],
            vec![(true, insert(1)), (false, insert(2)), (false, put(3))],
            vec![(true, insert(1)), (false, insert(2)), (false, remove())],
            vec![(true, insert(1)), (true, put(3)), (false, insert(2))],
            vec![(true, put(1)), (false, insert(2))],
        ];
        for commits in twice {
            let why = killed(&commits).unwrap_err();
            assert!(why.contains(OTHER), "{commits:?}: {why}");
        }
    }

    #[test]
    fn what_was_inserted_once_is_opened_however_much_of_it_sled_has() {
        for is_applied in [[true; 3], [false; 3], [true, false, false], [true, true, false], [false, true, false]] {
            let commits = |batches: [Batch; 3]| is_applied.into_iter().zip(batches).collect::<Vec<_>>();
            assert_eq!(killed(&commits([insert(1), put(2), put(3)])), Ok(Some(vec![3])));
            assert_eq!(killed(&commits([insert(1), put(2), remove()])), Ok(None));
            assert_eq!(killed(&commits([insert(1), remove(), put(3)])), Ok(Some(vec![3])));
        }
    }

    /// Also if the later one was changed before it came there.
    #[test]
    fn the_first_of_two_that_have_one_id_stays_in_sled() {
        for later in [vec![insert(2)], vec![insert(2), put(3)], vec![insert(2), remove()]] {
            let temporary = tempfile::tempdir().unwrap();
            let folder = Folder::new(&temporary.path().join("vault"));
            let store = SledOptions::new().company(Duration::from_mins(1)).create(folder.path()).unwrap();
            store.write_anchor(b"anchor").unwrap();
            store.commit(insert(1)).unwrap();
            store.maintain(Maintenance::Checkpoint).unwrap();
            for batch in later {
                store.commit(batch).unwrap();
            }
            let error = store.maintain(Maintenance::Checkpoint).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(error.message().contains(OTHER), "{error}");
            drop(store);
            assert!(SledStore::open(folder.path()).unwrap_err().message().contains(OTHER));
            let engine = Engine::open(folder.path(), &folder.data(), 1 << 20, Arc::default()).unwrap();
            assert_eq!(engine.get(b"\x02id").unwrap().as_deref(), Some(&[1][..]));
            engine.close();
        }
    }

    /// With another key no group would be one, as if none had ever been written.
    #[test]
    fn a_journal_whose_key_is_lost_is_missed() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(&temporary.path().join("vault"));
        let store = SledStore::create(folder.path()).unwrap();
        store.write_anchor(b"anchor").unwrap();
        store.commit(Batch::new().put(Table::Pci, [1], [1])).unwrap();
        drop(store);
        let engine = Engine::open(folder.path(), &folder.data(), 1 << 20, Arc::default()).unwrap();
        engine.write(JOURNAL_KEY, None).unwrap();
        engine.flush().unwrap();
        engine.close();
        assert_eq!(SledStore::open(folder.path()).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
