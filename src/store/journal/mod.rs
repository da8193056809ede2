//! The redo journal: what is committed stands here, durably, before it stands in the engine behind.
//!
//! A round of commits is one group, written with one write and made durable with one sync. Groups fill segments, files of
//! one size that are used again once everything in them is durable in the engine.

mod group;
mod replay;
mod segment;

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::store::disk::{Disk, is_full};

pub(super) use self::group::{Head, Key, Row};
pub(super) use self::replay::{Changes, Due, Survey};
use self::segment::Segment;

/// The length of a segment. A group that is larger has one of its own.
const SEGMENT_BYTES: u64 = 4 << 20;

/// The length of all segments together, beyond which nothing is written before one can be used again.
const JOURNAL_BYTES: u64 = 64 << 20;

/// So many spare segments are kept in any case. A new one costs its zeros and two syncs, in the middle of somebody's
/// commit.
const SPARE_SEGMENTS: usize = 3;

/// How large a journal may get.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) segment: u64,
    pub(super) journal: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { segment: SEGMENT_BYTES, journal: JOURNAL_BYTES }
    }
}

/// The journal of one folder, open for writing.
#[derive(Debug)]
pub(super) struct Journal {
    folder: PathBuf,
    key: Key,
    sizes: Sizes,
    disk: Arc<dyn Disk>,
    current: Segment,
    /// Filled before, oldest first.
    full: VecDeque<Segment>,
    spare: Vec<Segment>,
    /// How many were full at once of late, before some were released.
    crowd: usize,
    /// The number in the name of the next segment.
    next: u64,
    /// The group that is written next.
    group: Vec<u8>,
    last: Head,
}

impl Journal {
    /// Makes the journal of a store that has none; its next group follows `last`.
    pub(super) fn create(folder: &Path, key: Key, last: Head, sizes: Sizes, disk: Arc<dyn Disk>) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        if let Some(parent) = folder.parent() {
            disk.sync_folder(parent)?;
        }
        let next = segment::list(folder)?.last().map_or(0, |(number, _)| number + 1);
        let current = Segment::create(folder, next, sizes.segment, &*disk)?;
        let (folder, next) = (folder.to_path_buf(), next + 1);
        let (full, spare, crowd, group) = (VecDeque::new(), Vec::new(), 0, Vec::new());
        Ok(Self { folder, key, sizes, disk, current, full, spare, crowd, next, group, last })
    }

    /// Goes on behind `last` with a journal that was found, once what was due is durable in the engine and the rest is
    /// blotted.
    pub(super) fn resume(
        folder: &Path,
        (survey, due): (&Survey, &Due),
        last: Head,
        sizes: Sizes,
        disk: Arc<dyn Disk>,
    ) -> io::Result<Self> {
        let end = survey.end(due);
        let (mut current, mut spare) = (None, Vec::new());
        for (at, (_, path)) in survey.segments.iter().enumerate() {
            let end = end.filter(|end| end.segment == at).map(|end| end.end);
            let segment = Segment::open(path.clone(), end.unwrap_or(0), *due.rounds.end())?;
            match end {
                Some(_) => current = Some(segment),
                None => spare.push(segment),
            }
        }
        // What was cut short when it was made has not the length of a segment.
        let (fit, unfit) = spare.into_iter().partition(|segment: &Segment| segment.length() == sizes.segment);
        spare = fit;
        for segment in unfit {
            segment.remove()?;
        }
        let next = survey.segments.last().map_or(0, |(number, _)| number + 1);
        // Whoever made a segment may have been killed before it was sure of its name.
        if !survey.segments.is_empty() {
            disk.sync_folder(folder)?;
        }
        let Some(current) = current.or_else(|| spare.pop()) else {
            return Self::create(folder, survey.key(), last, sizes, disk);
        };
        let (folder, key, full, group) = (folder.to_path_buf(), survey.key(), VecDeque::new(), Vec::new());
        let mut journal = Self { folder, key, sizes, disk, current, full, spare, crowd: 0, next, group, last };
        journal.shrink(SPARE_SEGMENTS);
        Ok(journal)
    }

    /// Takes in the next group; it is not written yet. Answers its length.
    pub(super) fn prepare<'a>(&mut self, head: Head, rows: impl Iterator<Item = Row<'a>>) -> io::Result<u64> {
        group::encode(&self.key, head, rows, &mut self.group)?;
        self.last = head;
        Ok(self.group.len() as u64)
    }

    /// Whether the group that was prepared fits behind the last one, so that one sync makes both durable.
    pub(super) fn has_room(&self) -> bool {
        self.current.has_room(self.group.len() as u64)
    }

    /// Finds room for the group that was prepared, in another segment if need be; `false` if there is none before more
    /// rounds are applied than those up to `applied`.
    pub(super) fn make_room(&mut self, applied: u64) -> io::Result<bool> {
        let needed = self.group.len() as u64;
        if self.has_room() {
            return Ok(true);
        }
        self.release(applied);
        let next = match self.spare.pop() {
            Some(spare) if needed <= spare.length() => Some(spare),
            spare => {
                self.spare.extend(spare);
                self.grow(needed)?
            }
        };
        let Some(mut next) = next else { return Ok(false) };
        next.rewind()?;
        self.full.push_back(std::mem::replace(&mut self.current, next));
        Ok(true)
    }

    /// Writes the group that was prepared.
    pub(super) fn write(&mut self) -> io::Result<()> {
        self.current.write(&self.group, self.last.round)
    }

    /// Makes what was written into this segment durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.current.sync(&*self.disk)
    }

    /// Ends a journal of which everything is applied: says so in a group without rows, so that nothing is due when it
    /// is found again, and leaves one segment.
    pub(super) fn close(mut self) -> io::Result<()> {
        let head = Head { synced: self.last.round, applied: self.last.round, ..self.last };
        if self.last.applied < self.last.round {
            self.prepare(head, std::iter::empty())?;
            if !self.make_room(head.round)? {
                return Ok(());
            }
            self.write()?;
            self.sync()?;
        }
        self.spare.extend(self.full.drain(..));
        self.shrink(0);
        Ok(())
    }

    /// A new segment, if there may be one. Spare ones that are too small for the group make room for it.
    fn grow(&mut self, needed: u64) -> io::Result<Option<Segment>> {
        let bytes = needed.max(self.sizes.segment);
        loop {
            let is_too_much = self.length() + bytes > self.sizes.journal;
            if is_too_much && self.give_back() {
                continue;
            }
            // Where nothing would ever be released a group must not wait for it, however large it is.
            if is_too_much && !self.full.is_empty() {
                return Ok(None);
            }
            let made = Segment::create(&self.folder, self.next, bytes, &*self.disk);
            self.next += 1;
            match made {
                Err(cause) if is_full(&cause) && self.give_back() => {}
                Err(cause) if is_full(&cause) && !self.full.is_empty() => return Ok(None),
                made => return made.map(Some),
            }
        }
    }

    /// That of all segments together.
    fn length(&self) -> u64 {
        self.full.iter().chain(&self.spare).chain([&self.current]).map(Segment::length).sum()
    }

    /// Removes a spare segment, if there is one.
    fn give_back(&mut self) -> bool {
        self.spare.pop().map(|spare| drop(spare.remove())).is_some()
    }

    /// Takes back the segments that are not needed any longer, and keeps as many of them as were needed of late.
    fn release(&mut self, applied: u64) {
        let before = self.full.len();
        while let Some(segment) = self.full.pop_front_if(|segment| segment.newest <= applied) {
            self.spare.push(segment);
        }
        if self.full.len() < before {
            self.crowd = before.max(self.crowd.saturating_sub(1));
        }
        self.shrink(SPARE_SEGMENTS.max(self.crowd.saturating_sub(self.full.len())));
    }

    /// Removes spare segments, first those of a length of their own. One that stays behind is found at the next open.
    fn shrink(&mut self, kept: usize) {
        let regular = self.sizes.segment;
        let (spare, odd) = self.spare.drain(..).partition(|segment: &Segment| segment.length() == regular);
        self.spare = spare;
        let more = self.spare.split_off(kept.min(self.spare.len()));
        odd.into_iter().chain(more).for_each(|segment: Segment| drop(segment.remove()));
    }
}

/// The segments in a folder, which may be missing.
pub(super) fn segments(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let listed = if folder.try_exists()? { segment::list(folder)? } else { Vec::new() };
    Ok(listed.into_iter().map(|(_, path)| path).collect())
}

/// Whether any segment in a folder was ever written to.
pub(super) fn is_written(folder: &Path) -> io::Result<bool> {
    for path in segments(folder)? {
        if segment::is_written(&path)? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::RealDisk;

    /// Four groups of a block.
    const SEGMENT: u64 = 16 << 10;
    const SIZES: Sizes = Sizes { segment: SEGMENT, journal: 16 * SEGMENT };

    /// Writes so many groups of so many blocks, once so much is applied.
    fn write(journal: &mut Journal, groups: u64, blocks: usize, applied: u64) {
        let value = vec![7; (blocks - 1) * group::BLOCK];
        for _ in 0..groups {
            let head = Head { round: journal.last.round + 1, ..journal.last };
            let row = Row { key: b"key", value: Some(&value), is_new: false };
            journal.prepare(head, [row].into_iter()).unwrap();
            assert!(journal.make_room(applied).unwrap(), "round {}", head.round);
            journal.write().unwrap();
        }
    }

    fn lengths(folder: &Path) -> Vec<u64> {
        let segments = segment::list(folder).unwrap();
        segments.iter().map(|(_, path)| path.metadata().unwrap().len()).collect()
    }

    /// Each is written with zeros and synced twice, in the middle of somebody's commit.
    #[test]
    fn no_segment_is_made_while_passes_need_as_many_as_those_before() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, disk) = (folder.path(), Arc::new(RealDisk));
        let mut journal = Journal::create(folder, Key::default(), Head::default(), SIZES, disk).unwrap();
        let mut made = Vec::new();
        for _ in 0..40 {
            // A pass ends when six segments more are full.
            let applied = journal.last.round;
            write(&mut journal, 1, 1, applied);
            write(&mut journal, 6 * 4 - 1, 1, 0);
            made.push(journal.next);
        }
        assert_eq!(made.iter().skip(2).max(), made.get(2), "{made:?}");
        assert!(made[0] >= 6, "{made:?}");
        for _ in 0..40 {
            let applied = journal.last.round;
            write(&mut journal, 4, 1, applied);
        }
        assert!(lengths(folder).len() <= 1 + SPARE_SEGMENTS, "nobody needs {:?} any longer", lengths(folder));
        journal.close().unwrap();
        assert_eq!(lengths(folder), [SEGMENT]);
    }

    #[test]
    fn nothing_is_due_after_a_close() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, disk) = (folder.path(), Arc::new(RealDisk));
        let mut journal = Journal::create(folder, Key::default(), Head::default(), SIZES, disk).unwrap();
        write(&mut journal, 6, 1, 0);
        let due = |folder: &Path| {
            let survey = Survey::read(folder, Key::default()).unwrap();
            survey.changes(&survey.judge(6, Some(6)).unwrap()).unwrap().len()
        };
        assert_eq!(due(folder), 1);
        journal.close().unwrap();
        assert_eq!(due(folder), 0);
    }

    #[test]
    fn a_large_group_has_the_room_of_spare_segments() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, disk) = (folder.path(), Arc::new(RealDisk));
        let mut journal = Journal::create(folder, Key::default(), Head::default(), SIZES, disk).unwrap();
        write(&mut journal, 16 * 4, 1, 0);
        assert_eq!(lengths(folder), [SEGMENT; 16]);
        let applied = journal.last.round - 4;
        write(&mut journal, 1, 6 * 4, applied);
        assert!(lengths(folder).contains(&(6 * SEGMENT)));
        assert!(lengths(folder).iter().sum::<u64>() <= SIZES.journal, "{:?}", lengths(folder));
    }
}
