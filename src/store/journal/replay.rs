//! What a journal holds when it is found again, and what of it still has to be done.
//!
//! A bad group is the torn end of the journal only if nothing says that it was durable: neither a group that was written
//! later, nor the engine behind, nor the mark. Otherwise what was acknowledged is missing.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::mem;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use crate::store::disk::Disk;
use crate::store::journal::group::{BLOCK, Group, Head, Key, Row};
use crate::store::journal::segment;

/// What has to be done again, by key.
pub(in crate::store) type Changes = BTreeMap<Vec<u8>, Change>;

/// What becomes of one row.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Change {
    /// The last value; `None` where it was removed.
    pub(in crate::store) value: Option<Vec<u8>>,
    origin: Origin,
}

/// What may have stood at a key before.
#[derive(Debug, Default, PartialEq, Eq)]
enum Origin {
    #[default]
    Anything,
    /// Nothing: it was drawn, and had these values in between.
    Drawn(Vec<Vec<u8>>),
    DrawnTwice,
}

impl Change {
    /// Whether nothing stood at the key before.
    pub(in crate::store) fn is_drawn(&self) -> bool {
        self.origin != Origin::Anything
    }

    /// Whether the engine may have that at the key: of one that was drawn it has nothing that does not stand here.
    pub(in crate::store) fn may_follow(&self, found: Option<&[u8]>) -> bool {
        match &self.origin {
            Origin::Anything => true,
            Origin::Drawn(earlier) => {
                let known = || earlier.iter().chain(&self.value).map(Vec::as_slice);
                found.is_none_or(|found| known().any(|known| known == found))
            }
            Origin::DrawnTwice => false,
        }
    }

    fn replace(&mut self, value: Option<Vec<u8>>) {
        let replaced = mem::replace(&mut self.value, value);
        if let Origin::Drawn(earlier) = &mut self.origin {
            earlier.extend(replaced);
        }
    }
}

/// Every whole group of a journal, by number.
#[derive(Debug, Default)]
pub(in crate::store) struct Survey {
    key: Key,
    pub(super) segments: Vec<(u64, PathBuf)>,
    groups: BTreeMap<u64, Found>,
    /// The last round that a group says to be durable in the engine.
    settled: u64,
}

/// A group, and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    head: Head,
    is_empty: bool,
    /// The position of its segment in the list.
    pub(super) segment: usize,
    /// Where it begins and ends there.
    pub(super) start: u64,
    pub(super) end: u64,
}

/// The rounds of a journal that may not be in the engine, and what they lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Due {
    pub(super) rounds: RangeInclusive<u64>,
    /// The last round that is known to be durable, in the journal or in the engine.
    durable: u64,
    /// That of the last round, with the last round that is known to be applied; `None` if the journal does not have it.
    pub(in crate::store) last: Option<Head>,
}

/// What was acknowledged is not there.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) struct Missing;

impl Survey {
    /// Reads every segment in a folder, which may be missing.
    pub(in crate::store) fn read(folder: &Path, key: Key) -> io::Result<Self> {
        if !folder.try_exists()? {
            return Ok(Self { key, ..Self::default() });
        }
        let mut survey = Self { key, segments: segment::list(folder)?, ..Self::default() };
        for (at, (_, path)) in survey.segments.iter().enumerate() {
            for (group, block) in groups(&key, &fs::read(path)?) {
                let start = (block * BLOCK) as u64;
                let end = start + (group.blocks() * BLOCK) as u64;
                let found = Found { head: group.head, is_empty: group.is_empty(), segment: at, start, end };
                survey.settled = survey.settled.max(group.head.applied);
                // The word that its round is applied has the number of that round, and is not to hide it.
                if found.is_empty {
                    survey.groups.entry(group.head.round).or_insert(found);
                } else {
                    survey.groups.insert(group.head.round, found);
                }
            }
        }
        Ok(survey)
    }

    /// What has to be done again, given the last round that shows in the engine and the last that was marked as durable.
    ///
    /// A round that shows in the engine may not be durable there, but those behind it are not either: so everything is done
    /// again from the first round on of which the journal still has all that follow, except for what a group says to be
    /// durable. A segment is used again only when all its rounds are.
    pub(in crate::store) fn judge(&self, applied: u64, marked: Option<u64>) -> Result<Due, Missing> {
        let heads = || self.groups.values().map(|found| found.head);
        let durable = heads().map(|head| head.synced).chain(marked).chain([applied]).max().unwrap_or(applied);
        let is_there = |round: &u64| self.groups.contains_key(round);
        let end = (applied.saturating_add(1)..=u64::MAX).take_while(is_there).last().unwrap_or(applied);
        // An engine that is behind what it was known to have was put back, or lost it.
        if end < durable || self.settled > applied {
            return Err(Missing);
        }
        let present = (self.settled.saturating_add(1)..=end).rev().take_while(is_there);
        let start = present.last().unwrap_or(end.saturating_add(1));
        let last = self.groups.get(&end).map(|found| Head { applied: self.settled, ..found.head });
        Ok(Due { rounds: start..=end, durable, last })
    }

    /// Makes everything that is due durable in the journal: the system's memory may show what never reached the disk. It is
    /// written again, since after a sync that failed the system takes it for written.
    pub(in crate::store) fn secure(&self, due: &Due, disk: &dyn Disk) -> io::Result<()> {
        let unsure = || self.due(due).filter(|found| found.head.round > due.durable);
        for (at, (_, path)) in self.segments.iter().enumerate() {
            let groups: Vec<_> =
                unsure().filter(|found| found.segment == at).map(|found| found.start..found.end).collect();
            if !groups.is_empty() {
                segment::write_again(path, groups, disk)?;
            }
        }
        Ok(())
    }

    /// Zeroes what is dropped, durably, since its numbers are given again.
    pub(in crate::store) fn blot(&self, due: &Due, disk: &dyn Disk) -> io::Result<()> {
        for (at, (_, path)) in self.segments.iter().enumerate() {
            let dropped = self.dropped(due).filter(|dropped| dropped.segment == at);
            let positions: Vec<_> = dropped.map(|dropped| dropped.start).collect();
            if !positions.is_empty() {
                segment::blot(path, &positions, disk)?;
            }
        }
        Ok(())
    }

    /// The changes that are due.
    pub(in crate::store) fn changes(&self, due: &Due) -> io::Result<Changes> {
        let mut changes = Changes::new();
        let mut open: Option<(usize, Vec<u8>)> = None;
        for found in self.due(due).filter(|found| !found.is_empty) {
            let Some((_, path)) = self.segments.get(found.segment) else { continue };
            let bytes = match open.take() {
                Some((segment, bytes)) if segment == found.segment => bytes,
                _ => fs::read(path)?,
            };
            let group = usize::try_from(found.start).ok().and_then(|start| bytes.get(start..));
            let group = group.and_then(|bytes| Group::decode(&self.key, bytes));
            // It was whole a moment ago.
            let rows = group.ok_or(io::ErrorKind::UnexpectedEof)?.rows();
            for Row { key, value, is_new } in rows {
                let is_known = changes.contains_key(key);
                let change = changes.entry(key.to_vec()).or_default();
                change.replace(value.map(<[u8]>::to_vec));
                if is_new {
                    change.origin = if is_known { Origin::DrawnTwice } else { Origin::Drawn(Vec::new()) };
                }
            }
            open = Some((found.segment, bytes));
        }
        Ok(changes)
    }

    fn due(&self, due: &Due) -> impl Iterator<Item = &Found> {
        // A map refuses a range that ends before it starts.
        let rounds = Some(due.rounds.clone()).filter(|rounds| !rounds.is_empty());
        rounds.into_iter().flat_map(|rounds| self.groups.range(rounds)).map(|(_, found)| found)
    }

    /// Where the last group that counts stands.
    pub(super) fn end(&self, due: &Due) -> Option<Found> {
        self.groups.get(due.rounds.end()).copied()
    }

    /// Groups behind the end, whose rounds nobody was promised and whose numbers are given again.
    fn dropped(&self, due: &Due) -> impl Iterator<Item = Found> {
        self.groups.range(due.rounds.end().saturating_add(1)..).map(|(_, found)| *found)
    }

    pub(super) fn key(&self) -> Key {
        self.key
    }
}

/// The whole groups of a segment, with the number of the block at which each begins.
fn groups<'a>(key: &Key, bytes: &'a [u8]) -> impl Iterator<Item = (Group<'a>, usize)> {
    let mut block = 0;
    std::iter::from_fn(move || {
        while let Some(rest) = bytes.get(block * BLOCK..).filter(|rest| !rest.is_empty()) {
            let at = block;
            let group = Group::decode(key, rest);
            block += group.map_or(1, |group| group.blocks());
            if let Some(group) = group {
                return Some((group, at));
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::disk::RealDisk;
    use crate::store::journal::{Journal, Sizes};

    const KEY: Key = [7; 16];
    const SIZES: Sizes = Sizes { segment: 4 * BLOCK as u64, journal: 1 << 20 };

    /// A round that follows a durable one, as all do unless the process is all that they survive.
    fn durable(round: u64) -> Head {
        Head { round, synced: round - 1, ..Head::default() }
    }

    /// A journal of groups that change one row each, in segments of four blocks.
    fn journal(folder: &Path, heads: &[Head]) {
        let mut journal = Journal::create(folder, KEY, Head::default(), SIZES, Arc::new(RealDisk)).unwrap();
        for head in heads {
            let value = [head.round.to_le_bytes()[0]; 20];
            let row = Row { key: b"key", value: Some(&value), is_new: false };
            journal.prepare(*head, [row].into_iter()).unwrap();
            assert!(journal.make_room(0).unwrap());
            journal.write().unwrap();
        }
    }

    fn judged(folder: &Path, applied: u64, marked: Option<u64>) -> Result<(Changes, Option<u64>), Missing> {
        let survey = Survey::read(folder, KEY).unwrap();
        let due = survey.judge(applied, marked)?;
        Ok((survey.changes(&due).unwrap(), due.last.map(|head| head.round)))
    }

    fn row(value: u8) -> Changes {
        let change = Change { value: Some(vec![value; 20]), ..Change::default() };
        Changes::from([(b"key".to_vec(), change)])
    }

    /// Its name, the groups, the rounds that show in the engine and in the mark, and what is due.
    type Case<'a> = (&'a str, &'a [Head], (u64, Option<u64>), Result<(Changes, Option<u64>), Missing>);

    #[test]
    fn what_is_due_is_told_from_what_is_missing() {
        let process = |round| Head { round, ..Head::default() };
        let applied = |round, applied| Head { applied, ..durable(round) };
        let whole = |last| Ok((row(u8::try_from(last).unwrap()), Some(last)));
        let cases: [Case<'_>; 16] = [
            ("an empty journal", &[], (0, Some(0)), Ok((Changes::new(), None))),
            ("one of which the engine has all", &[], (7, Some(7)), Ok((Changes::new(), None))),
            ("a mark beyond an empty journal", &[], (7, Some(8)), Err(Missing)),
            ("everything", &[1, 2, 3].map(durable), (0, Some(3)), whole(3)),
            ("the mark is lost", &[1, 2, 3].map(durable), (0, None), whole(3)),
            ("a group that nobody was told of", &[1, 2, 3].map(durable), (0, Some(2)), whole(3)),
            ("the engine has some", &[1, 2, 3].map(durable), (2, Some(3)), whole(3)),
            ("the engine has all", &[1, 2, 3].map(durable), (3, Some(3)), whole(3)),
            ("the last is missing", &[1, 2].map(durable), (0, Some(3)), Err(Missing)),
            (
                "the last is missing, and the engine has it",
                &[1, 2].map(durable),
                (3, Some(3)),
                Ok((Changes::new(), None)),
            ),
            ("the first is missing", &[2, 3].map(durable), (0, Some(3)), Err(Missing)),
            ("the first is missing, and the engine has it", &[2, 3].map(durable), (1, Some(3)), whole(3)),
            ("one in the middle is missing", &[1, 3].map(durable), (0, None), Err(Missing)),
            ("and nobody was promised more", &[1, 3, 4].map(process), (0, None), whole(1)),
            ("an engine that was put back", &[applied(3, 2), applied(4, 2)], (1, None), Err(Missing)),
            ("what is applied is not due", &[applied(1, 0), applied(2, 2)], (2, None), Ok((Changes::new(), Some(2)))),
        ];
        for (name, heads, (applied, marked), expected) in cases {
            let folder = tempfile::tempdir().unwrap();
            journal(folder.path(), heads);
            assert_eq!(judged(folder.path(), applied, marked), expected, "{name}");
        }
    }

    /// A pass may have been killed at any of its rows, whatever was committed meanwhile.
    #[test]
    fn at_a_key_that_was_drawn_stands_what_the_journal_has_or_nothing() {
        let [one, two, gone] = [Some(&b"one"[..]), Some(&b"two"[..]), None];
        let cases = [
            ([(one, true), (two, false), (two, false)], [true, true, true, false]),
            ([(one, true), (gone, false), (gone, false)], [true, true, false, false]),
            ([(one, true), (gone, false), (two, false)], [true, true, true, false]),
            ([(one, true), (gone, false), (two, true)], [false; 4]),
            ([(one, false), (two, false), (two, true)], [false; 4]),
            ([(one, false), (two, false), (two, false)], [true; 4]),
        ];
        for (rows, expected) in cases {
            let folder = tempfile::tempdir().unwrap();
            let disk = Arc::new(RealDisk);
            let mut journal = Journal::create(folder.path(), KEY, Head::default(), SIZES, disk).unwrap();
            for (round, (value, is_new)) in (1..).zip(rows) {
                journal.prepare(durable(round), [Row { key: b"key", value, is_new }].into_iter()).unwrap();
                journal.write().unwrap();
            }
            let (changes, _) = judged(folder.path(), 0, None).unwrap();
            let change = &changes[&b"key"[..]];
            let found = [None, one, two, Some(b"other")].map(|found| change.may_follow(found));
            assert_eq!((found, change.is_drawn()), (expected, expected != [true; 4]), "{rows:?}");
        }
    }

    /// Every bit of every group, and some of what lies between them.
    #[test]
    fn a_changed_bit_of_what_was_acknowledged_is_missed() {
        let folder = tempfile::tempdir().unwrap();
        journal(folder.path(), &(1..=6).map(durable).collect::<Vec<_>>());
        let segments = segment::list(folder.path()).unwrap();
        assert_eq!(segments.len(), 2, "groups of more than one segment");
        let mut dead = 0;
        for (at, (_, path)) in segments.iter().enumerate() {
            let whole = fs::read(path).unwrap();
            let is_group = |position: usize| position % BLOCK < 128;
            for bit in (0..whole.len() * 8).filter(|bit| is_group(bit / 8) || bit % 4001 == 0) {
                let mut changed = whole.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                fs::write(path, &changed).unwrap();
                let round = at * 4 + bit / 8 / BLOCK + 1;
                let is_dead = round > 6 || bit / 8 % BLOCK >= 56 + 8 + 3 + 20;
                let (marked, unmarked) = (judged(folder.path(), 0, Some(6)), judged(folder.path(), 0, None));
                let expected = |is_noticed| if is_noticed { Err(Missing) } else { Ok(()) };
                assert_eq!(marked.map(drop), expected(!is_dead), "bit {bit} of {}", path.display());
                // Without the mark nothing tells the last group from one that was never finished.
                assert_eq!(unmarked.map(drop), expected(!is_dead && round < 6), "bit {bit} of {}", path.display());
                dead += usize::from(is_dead);
            }
            fs::write(path, whole).unwrap();
        }
        assert!(dead > 0);
    }

    #[test]
    fn a_lost_or_cut_segment_is_missed() {
        let folder = tempfile::tempdir().unwrap();
        journal(folder.path(), &(1..=10).map(durable).collect::<Vec<_>>());
        for (_, path) in segment::list(folder.path()).unwrap() {
            let whole = fs::read(&path).unwrap();
            for length in [0, 1, 100, BLOCK + 3] {
                fs::write(&path, &whole[..length]).unwrap();
                assert_eq!(judged(folder.path(), 0, Some(10)).map(drop), Err(Missing));
            }
            fs::remove_file(&path).unwrap();
            assert_eq!(judged(folder.path(), 0, Some(10)).map(drop), Err(Missing));
            fs::write(&path, &whole).unwrap();
        }
        assert_eq!(judged(folder.path(), 0, Some(10)), Ok((row(10), Some(10))));
    }

    /// Their numbers are given again: so they must not be found a second time.
    #[test]
    fn what_is_dropped_is_dropped_for_good() {
        let folder = tempfile::tempdir().unwrap();
        let unsynced = [1, 2, 4, 5, 6].map(|round| Head { round, ..Head::default() });
        journal(folder.path(), &unsynced);
        let survey = Survey::read(folder.path(), KEY).unwrap();
        let due = survey.judge(0, None).unwrap();
        let last = due.last.unwrap();
        survey.blot(&due, &RealDisk).unwrap();
        drop(Journal::resume(folder.path(), (&survey, &due), last, SIZES, Arc::new(RealDisk)).unwrap());
        let survey = Survey::read(folder.path(), KEY).unwrap();
        assert_eq!(survey.groups.keys().copied().collect::<Vec<_>>(), [1, 2]);
    }
}
