//! The changes of one round of commits, judged one after the other before any of them is made.
//!
//! A later commit of the round sees what an earlier one will write; a refused one leaves no trace.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use crate::error::Error;
use crate::store::sled::engine::row_key;
use crate::store::sled::standing::Standing;
use crate::store::sled::tally::{Tally, row_checksum};
use crate::store::{Committed, Condition, Write};

/// Who comes behind as many rows waits for the next round: one that is larger gains nothing, and keeps more waiting.
const ROWS_PER_ROUND: usize = 1_024;

/// As [`ROWS_PER_ROUND`], for large rows.
const BYTES_PER_ROUND: usize = 1 << 20;

/// The change of one row, as it is asked for.
#[derive(Debug)]
pub(super) struct Change {
    key: Vec<u8>,
    /// What stood there a moment ago, if that is known.
    before: Option<Glance>,
    after: After,
}

/// What is to stand at a key, with its checksum.
#[derive(Debug)]
struct After {
    value: Option<Vec<u8>>,
    checksum: u32,
}

/// The checksum of what stood at a key, and when that was.
#[derive(Clone, Copy, Debug)]
struct Glance {
    checksum: Option<u32>,
    moment: u64,
}

impl Change {
    /// Looks at what the write replaces already, so that the committing thread need not, unless it has changed by then.
    pub(super) fn new(write: Write, standing: Standing<'_>) -> Self {
        let (key, value) = match write {
            Write::Put(table, key, value) => (row_key(table.as_byte(), &key), Some(value)),
            Write::Remove(table, key) => (row_key(table.as_byte(), &key), None),
        };
        let moment = standing.backlog.moment();
        let found = standing.get(&key).ok();
        let before = found.map(|found| Glance { checksum: found.map(|found| row_checksum(&key, &found)), moment });
        let checksum = value.as_ref().map_or(0, |value| row_checksum(&key, value));
        Self { key, before, after: After { value, checksum } }
    }
}

/// The change of one row by a round.
#[derive(Debug)]
struct Changed {
    /// The checksum of what stands there before the round.
    before: Option<u32>,
    /// What stands there after it.
    after: After,
}

/// The changes of a round, by key.
#[derive(Debug, Default)]
pub(super) struct Changes(BTreeMap<Vec<u8>, Changed>);

impl Changes {
    /// Each key, and what stands there after the round.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.0.iter().map(|(key, change)| (key.as_slice(), change.after.value.as_deref()))
    }

    /// As [`Changes::rows`], to keep.
    pub(super) fn into_rows(self) -> impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)> {
        self.0.into_iter().map(|(key, change)| (key, change.after.value))
    }

    fn range(&self, from: &[u8], to: &[u8]) -> impl Iterator<Item = (&Vec<u8>, &Changed)> {
        let bounds = (from < to).then_some((Bound::Included(from), Bound::Excluded(to)));
        bounds.into_iter().flat_map(|bounds| self.0.range::<[u8], _>(bounds))
    }
}

/// A round in the making.
pub(super) struct Draft<'a> {
    standing: Standing<'a>,
    changes: Changes,
    bytes: usize,
}

impl<'a> Draft<'a> {
    pub(super) fn new(standing: Standing<'a>) -> Self {
        Self { standing, changes: Changes::default(), bytes: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.0.is_empty()
    }

    /// Whether it changes as many rows or bytes as one round should.
    pub(super) fn is_full(&self) -> bool {
        self.changes.0.len() >= ROWS_PER_ROUND || self.bytes >= BYTES_PER_ROUND
    }

    /// Judges a commit, and takes in its writes if every condition holds. An error leaves no trace either.
    pub(super) fn commit(&mut self, conditions: &[Condition], changes: Vec<Change>) -> Result<Committed, Error> {
        for (condition, required) in conditions.iter().enumerate() {
            if let Some(refused) = self.refusal(condition, required)? {
                return Ok(refused);
            }
        }
        let before = changes.iter().map(|change| self.before(change)).collect::<Result<Vec<_>, _>>()?;
        for (Change { key, after, .. }, before) in changes.into_iter().zip(before) {
            self.bytes += key.len() + after.value.as_ref().map_or(0, Vec::len);
            // What stood there before the round is known from the first change of the key.
            match self.changes.0.get_mut(&key) {
                Some(earlier) => earlier.after = after,
                None => drop(self.changes.0.insert(key, Changed { before, after })),
            }
        }
        Ok(Committed::Applied)
    }

    /// The changes, and the tally that they lead to.
    pub(super) fn finish(self, tally: Tally) -> (Changes, Tally) {
        let mut tally = Tally { round: tally.round.wrapping_add(1), ..tally };
        for Changed { before, after } in self.changes.0.values() {
            if let Some(before) = before {
                tally.subtract(*before);
            }
            if after.value.is_some() {
                tally.add(after.checksum);
            }
        }
        (self.changes, tally)
    }

    fn refusal(&self, condition: usize, required: &Condition) -> Result<Option<Committed>, Error> {
        let (holds, found) = match required {
            Condition::Absent(table, key) => {
                let found = self.value(&row_key(table.as_byte(), key))?;
                (found.is_none(), found)
            }
            Condition::Value(table, key, value) => {
                let found = self.value(&row_key(table.as_byte(), key))?;
                (found.as_ref() == Some(value), found)
            }
            Condition::EmptyRange(table, from, to) => {
                let table = table.as_byte();
                let found = self.first(&row_key(table, from), &row_key(table, to))?;
                (found.is_none(), found)
            }
        };
        Ok((!holds).then_some(Committed::Refused { condition, found }))
    }

    /// The checksum of what stands at the key of a change before the round. Looking there also meets damage before anything is
    /// changed.
    fn before(&self, change: &Change) -> Result<Option<u32>, Error> {
        if let Some(earlier) = self.changes.0.get(&change.key) {
            return Ok(earlier.before);
        }
        if let Some(row) = self.standing.backlog.get(&change.key) {
            return Ok(row.value.map(|value| row_checksum(&change.key, &value)));
        }
        // A row comes into sled by the backlog alone, and nothing has left that since: so sled has what it had.
        let moment = self.standing.backlog.moment();
        match change.before.filter(|glance| glance.moment == moment) {
            Some(glance) => Ok(glance.checksum),
            None => Ok(self.standing.get(&change.key)?.map(|value| row_checksum(&change.key, &value))),
        }
    }

    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        match self.changes.0.get(key) {
            Some(change) => Ok(change.after.value.clone()),
            None => self.standing.get(key),
        }
    }

    /// The first value of a range.
    fn first(&self, from: &[u8], to: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let written =
            self.changes.range(from, to).find_map(|(key, change)| Some((key.as_slice(), change.after.value.as_ref()?)));
        let to = written.map_or(to, |(key, _)| key);
        let mut standing = None;
        self.standing.walk(from, to, usize::MAX, |key, value| {
            if self.changes.0.contains_key(key) {
                return ControlFlow::Continue(());
            }
            standing = Some(value.to_vec());
            ControlFlow::Break(())
        })?;
        Ok(standing.or_else(|| written.map(|(_, value)| value.clone())))
    }
}
