//! The changes of one round of commits, judged one after the other before any of them is made.
//!
//! A later commit of the round sees what an earlier one will write; a refused one leaves no trace.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use crate::error::Error;
use crate::store::sled::engine::{Engine, row_key};
use crate::store::sled::tally::{TALLY_KEY, Tally, row_checksum};
use crate::store::{Committed, Condition, Write};

/// sled keeps every page that a batch touches in memory until its end, and no reader passes in the meantime.
const ROWS_PER_ROUND: usize = 1_024;

/// As [`ROWS_PER_ROUND`], for large rows, with what stands there before the round and after it.
///
/// A round should write less than a segment of 8 MiB, so that none is reused before what replaced it is synced. sled may
/// rewrite the whole page of a changed row, of 20 rows: 20 times this bound is 5 MiB. Measured, with rounds of this many
/// bytes of scattered removals: 0.3 MB in the mean, and at most 3.0 MB for rows of 16 KiB, 3.7 MB for rows of 48 KiB. One
/// commit is never divided, nor is it foreseen that small rows may share their pages with large ones.
const BYTES_PER_ROUND: usize = 256 << 10;

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
    pub(super) fn touch(&self, key: &[u8]) -> bool {
        self.0.contains_key(key)
    }

    pub(super) fn touch_range(&self, from: &[u8], to: &[u8]) -> bool {
        self.range(from, to).next().is_some()
    }

    fn range(&self, from: &[u8], to: &[u8]) -> impl Iterator<Item = (&Vec<u8>, &Change)> {
        let bounds = (from < to).then_some((Bound::Included(from), Bound::Excluded(to)));
        bounds.into_iter().flat_map(|bounds| self.0.range::<[u8], _>(bounds))
    }
}

/// A round in the making.
pub(super) struct Draft<'a> {
    engine: &'a Engine,
    changes: Changes,
    bytes: usize,
}

impl<'a> Draft<'a> {
    pub(super) fn new(engine: &'a Engine) -> Self {
        Self { engine, changes: Changes::default(), bytes: 0 }
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
        for (key, change, replaced) in changes {
            self.bytes += key.len() + replaced + change.after.as_ref().map_or(0, Vec::len);
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

    /// Also answers the length of the value that sled has to replace.
    fn prepare(&self, write: Write) -> Result<(Vec<u8>, Change, usize), Error> {
        let (key, after) = match write {
            Write::Put(table, key, value) => (row_key(table.as_byte(), &key), Some(value)),
            Write::Remove(table, key) => (row_key(table.as_byte(), &key), None),
        };
        // Reading the row first also meets damage before anything is changed.
        let (before, replaced) = match self.changes.0.get(&key) {
            Some(earlier) => (earlier.before, 0),
            None => match self.engine.get(&key)? {
                Some(value) => (Some(row_checksum(&key, &value)), value.len()),
                None => (None, 0),
            },
        };
        Ok((key, Change { before, after }, replaced))
    }

    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        match self.changes.0.get(key) {
            Some(change) => Ok(change.after.clone()),
            None => Ok(self.engine.get(key)?.map(|value| value.to_vec())),
        }
    }

    /// The first value of a range.
    fn first(&self, from: &[u8], to: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let written =
            self.changes.range(from, to).find_map(|(key, change)| Some((key.as_slice(), change.after.as_ref()?)));
        let to = written.map_or(to, |(key, _)| key);
        let mut standing = None;
        self.engine.walk(from, to, |key, value| {
            if self.changes.touch(key) {
                return ControlFlow::Continue(());
            }
            standing = Some(value.to_vec());
            ControlFlow::Break(())
        })?;
        Ok(standing.or_else(|| written.map(|(_, value)| value.clone())))
    }
}

impl Changes {
    /// Makes every change in sled, with the tally that it leads to, or none.
    pub(super) fn apply(&self, engine: &Engine, tally: Tally) -> Result<(), Error> {
        let tally = tally.encode();
        let changes = self.0.iter().map(|(key, change)| (key.as_slice(), change.after.as_deref()));
        engine.apply(changes.chain([(TALLY_KEY, Some(tally.as_slice()))]))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::Table;

    /// A removal makes sled rewrite a page as well, however little it says itself.
    #[test]
    fn a_round_is_full_by_what_it_removes() {
        let temporary = tempfile::tempdir().unwrap();
        let engine = Engine::open(temporary.path(), &temporary.path().join("sled"), 1 << 20, Arc::default()).unwrap();
        let value = vec![7; 16 << 10];
        let key = |row: u8| row_key(Table::Pci.as_byte(), &[row; 16]);
        let keys: Vec<_> = (0..64).map(key).collect();
        engine.apply(keys.iter().map(|key| (key.as_slice(), Some(value.as_slice())))).unwrap();
        let mut draft = Draft::new(&engine);
        let removals = (0..64_u8).take_while(|row| {
            draft.commit(&[], vec![Write::Remove(Table::Pci, vec![*row; 16])]).unwrap();
            !draft.is_full()
        });
        assert_eq!(removals.count(), 15);
    }
}
