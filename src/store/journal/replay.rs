//! What a journal holds when it is found again, and what of it still has to be done.
//!
//! A bad group is the torn end of the journal only if nothing says that it was durable: neither a group that was written
//! later, nor the engine behind, nor the mark. Otherwise what was acknowledged is missing.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use crate::store::journal::group::{BLOCK, Group, Head, Key};
use crate::store::journal::segment;

/// The last change of each key: its value, or `None` where it was removed.
pub(in crate::store) type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

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
        Ok(Due { rounds: start..=end, last })
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
            let rows = group.and_then(|group| group.rows()).ok_or(io::ErrorKind::UnexpectedEof)?;
            changes.extend(rows);
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
    pub(super) fn dropped(&self, due: &Due) -> impl Iterator<Item = Found> {
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
