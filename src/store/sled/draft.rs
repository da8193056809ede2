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

/// The change of one row.
#[derive(Debug)]
struct Change {
    /// The checksum of what stands there before the round.
    before: Option<u32>,
    /// What stands there after it.
    after: Option<Vec<u8>>,
}

/// The changes of a round, by key.
#[derive(Debug, Default)]
pub(super) struct Changes(BTreeMap<Vec<u8>, Change>);

impl Changes {
    /// Each key, and what stands there after the round.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.0.iter().map(|(key, change)| (key.as_slice(), change.after.as_deref()))
    }

    /// As [`Changes::rows`], to keep.
    pub(super) fn into_rows(self) -> impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)> {
        self.0.into_iter().map(|(key, change)| (key, change.after))
    }

    fn range(&self, from: &[u8], to: &[u8]) -> impl Iterator<Item = (&Vec<u8>, &Change)> {
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
    pub(super) fn commit(&mut self, conditions: &[Condition], writes: Vec<Write>) -> Result<Committed, Error> {
        for (condition, required) in conditions.iter().enumerate() {
            if let Some(refused) = self.refusal(condition, required)? {
                return Ok(refused);
            }
        }
        let changes = writes.into_iter().map(|write| self.prepare(write)).collect::<Result<Vec<_>, _>>()?;
        for (key, change) in changes {
            self.bytes += key.len() + change.after.as_ref().map_or(0, Vec::len);
            // What stood there before the round is known from the first change of the key.
            match self.changes.0.get_mut(&key) {
                Some(earlier) => earlier.after = change.after,
                None => drop(self.changes.0.insert(key, change)),
            }
        }
        Ok(Committed::Applied)
    }

    /// The changes, and the tally that they lead to.
    pub(super) fn finish(self, tally: Tally) -> (Changes, Tally) {
        let mut tally = Tally { round: tally.round.wrapping_add(1), ..tally };
        for (key, change) in &self.changes.0 {
            if let Some(before) = change.before {
                tally.subtract(before);
            }
            if let Some(after) = &change.after {
                tally.add(row_checksum(key, after));
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

    fn prepare(&self, write: Write) -> Result<(Vec<u8>, Change), Error> {
        let (key, after) = match write {
            Write::Put(table, key, value) => (row_key(table.as_byte(), &key), Some(value)),
            Write::Remove(table, key) => (row_key(table.as_byte(), &key), None),
        };
        // Reading the row first also meets damage before anything is changed.
        let before = match self.changes.0.get(&key) {
            Some(earlier) => earlier.before,
            None => self.standing.get(&key)?.map(|value| row_checksum(&key, &value)),
        };
        Ok((key, Change { before, after }))
    }

    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        match self.changes.0.get(key) {
            Some(change) => Ok(change.after.clone()),
            None => self.standing.get(key),
        }
    }

    /// The first value of a range.
    fn first(&self, from: &[u8], to: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let written =
            self.changes.range(from, to).find_map(|(key, change)| Some((key.as_slice(), change.after.as_ref()?)));
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
