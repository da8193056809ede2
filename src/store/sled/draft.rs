//! The changes of one round of commits, judged one after the other before any of them is made.
//!
//! A later commit of the round sees what an earlier one will write; a refused one leaves no trace.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use crate::error::Error;
use crate::store::sled::backlog::{Bytes, Row};
use crate::store::sled::engine::row_key;
use crate::store::sled::standing::{Standing, Value};
use crate::store::sled::tally::{Tally, row_checksum};
use crate::store::{Batch, Committed, Condition, Durability, Table, Write, batch, journal};

/// Who comes behind as many rows waits for the next round: one that is larger gains nothing, and keeps more waiting.
const ROWS_PER_ROUND: usize = 1_024;

/// As [`ROWS_PER_ROUND`], for large rows.
const BYTES_PER_ROUND: usize = 1 << 20;

/// Bytes of keys and values that one commit may write. It is one group of the journal, which is in memory as a whole, also at an
/// open after a crash, and says its length in four bytes.
const LARGEST_COMMIT: usize = 64 << 20;

/// A commit as it comes to its round: with keys of rows, and with what stood there a moment ago.
#[derive(Debug)]
pub(super) struct Request {
    conditions: Vec<Required>,
    changes: Vec<(Bytes, After)>,
    glances: Glances,
    pub(super) durability: Durability,
}

/// A [`Condition`] on rows.
#[derive(Debug)]
enum Required {
    Absent(Bytes),
    Value(Bytes, Vec<u8>),
    EmptyRange(Bytes, Bytes),
}

/// What is to stand at a key, with its checksum.
#[derive(Debug)]
struct After {
    value: Option<Bytes>,
    checksum: u32,
    /// Whether nothing can have stood there before the round.
    is_new: bool,
}

/// What stood at some keys a moment ago, in the order of the keys.
#[derive(Debug)]
struct Glances(Vec<(Bytes, Glance)>);

/// What stood at a key at one moment.
#[derive(Debug)]
struct Glance {
    moment: u64,
    found: Option<Value>,
}

impl Request {
    /// Does for a commit what can be done before it is its turn; whoever leads the round then need not look at the rows, unless
    /// they have changed.
    pub(super) fn new(batch: Batch, durability: Durability, standing: Standing<'_>) -> Result<Self, Error> {
        let (conditions, writes) = batch.into_parts();
        if writes.iter().map(bytes).sum::<usize>() > LARGEST_COMMIT {
            let detail = format!("a commit of more than {} MiB is not taken: make several of it", LARGEST_COMMIT >> 20);
            return Err(Error::store_failure(detail));
        }
        if batch::has_doubles(&writes) {
            return Err(batch::not_new());
        }
        let key = |table: Table, key: &[u8]| Bytes::from(row_key(table.as_byte(), key));
        let changes: Vec<_> = writes
            .into_iter()
            .map(|write| match write {
                Write::Put(table, row, value) => (key(table, &row), Some(value), false),
                Write::Insert(table, row, value) => (key(table, &row), Some(value), true),
                Write::Remove(table, row) => (key(table, &row), None, false),
            })
            .map(|(key, value, is_new)| {
                let checksum = value.as_ref().map_or(0, |value| row_checksum(&key, value));
                (key, After { value: value.map(Bytes::from), checksum, is_new })
            })
            .collect();
        let conditions: Vec<_> = conditions
            .into_iter()
            .map(|condition| match condition {
                Condition::Absent(table, row) => Required::Absent(key(table, &row)),
                Condition::Value(table, row, value) => Required::Value(key(table, &row), value),
                Condition::EmptyRange(table, from, to) => Required::EmptyRange(key(table, &from), key(table, &to)),
            })
            .collect();
        let required = conditions.iter().filter_map(|required| match required {
            Required::Absent(key) | Required::Value(key, _) => Some(key),
            Required::EmptyRange(..) => None,
        });
        let replaced = changes.iter().filter(|(_, after)| !after.is_new).map(|(key, _)| key);
        let keys = replaced.chain(required).map(Arc::clone).collect();
        Ok(Self { glances: Glances::new(keys, standing), conditions, changes, durability })
    }
}

/// The bytes of a row that is written.
fn bytes(write: &Write) -> usize {
    match write {
        Write::Put(_, key, value) | Write::Insert(_, key, value) => key.len() + value.len(),
        Write::Remove(_, key) => key.len(),
    }
}

impl Glances {
    fn new(mut keys: Vec<Bytes>, standing: Standing<'_>) -> Self {
        keys.sort();
        keys.dedup();
        let glance = |key: Bytes| {
            let moment = standing.backlog.moment_of(&key);
            // Where a look fails, whoever leads looks once more, and hears why.
            let found = standing.look(&key).ok()?;
            Some((key, Glance { moment, found }))
        };
        Self(keys.into_iter().filter_map(glance).collect())
    }

    fn get(&self, key: &[u8]) -> Option<&Glance> {
        let at = self.0.binary_search_by(|(found, _)| (**found).cmp(key)).ok()?;
        self.0.get(at).map(|(_, glance)| glance)
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
pub(super) struct Changes(BTreeMap<Bytes, Changed>);

impl Changes {
    /// Each key, and what stands there after the round.
    pub(super) fn rows(&self) -> impl Iterator<Item = journal::Row<'_>> {
        self.0.iter().map(|(key, Changed { after, .. })| {
            let value = after.value.as_deref();
            journal::Row { key, value, is_new: after.is_new }
        })
    }

    /// As [`Changes::rows`], to keep.
    pub(super) fn into_rows(self, round: u64) -> impl Iterator<Item = (Bytes, Row)> {
        let row = move |after: After| Row { round, value: after.value, is_new: after.is_new };
        self.0.into_iter().map(move |(key, change)| (key, row(change.after)))
    }

    fn range(&self, from: &[u8], to: &[u8]) -> impl Iterator<Item = (&Bytes, &Changed)> {
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
    pub(super) fn commit(&mut self, request: Request) -> Result<Committed, Error> {
        let Request { conditions, changes, glances, .. } = request;
        for (condition, required) in conditions.iter().enumerate() {
            let (holds, found) = self.judge(required, &glances)?;
            if !holds {
                return Ok(Committed::Refused { condition, found });
            }
        }
        let before =
            changes.iter().map(|(key, after)| self.before(key, after, &glances)).collect::<Result<Vec<_>, _>>()?;
        for ((key, after), before) in changes.into_iter().zip(before) {
            self.bytes += key.len() + after.value.as_ref().map_or(0, |value| value.len());
            // What stood there before the round is known from the first change of the key.
            match self.changes.0.get_mut(&key) {
                Some(earlier) => earlier.after = After { is_new: earlier.after.is_new, ..after },
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

    /// Whether a condition holds, and what stands where it looked.
    fn judge(&self, required: &Required, glances: &Glances) -> Result<(bool, Option<Vec<u8>>), Error> {
        Ok(match required {
            Required::Absent(key) => {
                let found = self.value(key, glances)?;
                (found.is_none(), found.map(|found| found.to_vec()))
            }
            Required::Value(key, value) => {
                let found = self.value(key, glances)?;
                let holds = found.as_ref().is_some_and(|found| **found == **value);
                (holds, found.filter(|_| !holds).map(|found| found.to_vec()))
            }
            Required::EmptyRange(from, to) => {
                let found = self.first(from, to)?;
                (found.is_none(), found)
            }
        })
    }

    /// The checksum of what stands at a key before the round. Looking there also meets damage before anything is changed.
    fn before(&self, key: &[u8], after: &After, glances: &Glances) -> Result<Option<u32>, Error> {
        if after.is_new {
            // Whether sled has it is seen when the row comes there.
            let is_known = self.changes.0.contains_key(key) || self.standing.backlog.get(key).is_some();
            return if is_known { Err(batch::not_new()) } else { Ok(None) };
        }
        match self.changes.0.get(key) {
            Some(earlier) => Ok(earlier.before),
            None => Ok(self.standing(key, glances)?.map(|value| row_checksum(key, &value))),
        }
    }

    fn value(&self, key: &[u8], glances: &Glances) -> Result<Option<Value>, Error> {
        match self.changes.0.get(key) {
            Some(change) => Ok(change.after.value.clone().map(Value::Waiting)),
            None => self.standing(key, glances),
        }
    }

    /// What stands at a key before the round.
    fn standing(&self, key: &[u8], glances: &Glances) -> Result<Option<Value>, Error> {
        if let Some(row) = self.standing.backlog.get(key) {
            return Ok(row.value.map(Value::Waiting));
        }
        // A row comes into sled by the backlog alone, and has not left that since: so sled has what it had.
        match glances.get(key) {
            Some(glance) if glance.moment == self.standing.backlog.moment_of(key) => Ok(glance.found.clone()),
            _ => self.standing.look(key),
        }
    }

    /// The first value of a range.
    fn first(&self, from: &[u8], to: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let written =
            self.changes.range(from, to).find_map(|(key, change)| Some((&**key, change.after.value.as_ref()?)));
        let to = written.map_or(to, |(key, _)| key);
        let mut standing = None;
        self.standing.walk(from, to, usize::MAX, |key, value| {
            if self.changes.0.contains_key(key) {
                return ControlFlow::Continue(());
            }
            standing = Some(value.to_vec());
            ControlFlow::Break(())
        })?;
        Ok(standing.or_else(|| written.map(|(_, value)| value.to_vec())))
    }
}
