//! What one commit writes, and what must hold for it.

use crate::error::Error;
use crate::store::Table;

/// Something that must hold at the moment of the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing stands at the key.
    Absent(Table, Vec<u8>),
    /// Exactly this value stands at the key.
    Value(Table, Vec<u8>, Vec<u8>),
    /// Nothing stands from the first key on, up to but without the second.
    EmptyRange(Table, Vec<u8>, Vec<u8>),
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// The value stands at the key from now on.
    Put(Table, Vec<u8>, Vec<u8>),
    /// The same at a key that is new: it has random bytes that were drawn for it. A store need not look whether anything
    /// stands there; one that finds something answers `CORRUPT`, now or later. So it does if the same batch writes there twice.
    Insert(Table, Vec<u8>, Vec<u8>),
    /// Nothing stands at the key from now on.
    Remove(Table, Vec<u8>),
}

impl Write {
    fn place(&self) -> (Table, &[u8]) {
        match self {
            Self::Put(table, key, _) | Self::Insert(table, key, _) | Self::Remove(table, key) => (*table, key),
        }
    }
}

/// Writes that are made together or not at all, under conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Batch {
    conditions: Vec<Condition>,
    writes: Vec<Write>,
}

impl Batch {
    /// No condition, no write.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing may stand at the key.
    pub fn require_absent(mut self, table: Table, key: impl Into<Vec<u8>>) -> Self {
        self.conditions.push(Condition::Absent(table, key.into()));
        self
    }

    /// Exactly this value must stand at the key.
    pub fn require_value(mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        self.conditions.push(Condition::Value(table, key.into(), value.into()));
        self
    }

    /// Nothing may stand from `from` on, up to but without `to`.
    pub fn require_empty(mut self, table: Table, from: impl Into<Vec<u8>>, to: impl Into<Vec<u8>>) -> Self {
        self.conditions.push(Condition::EmptyRange(table, from.into(), to.into()));
        self
    }

    /// Puts a value at a key.
    pub fn put(mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        self.writes.push(Write::Put(table, key.into(), value.into()));
        self
    }

    /// Puts a value at a key that was drawn for it, and that nobody else can have.
    pub fn insert(mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        self.writes.push(Write::Insert(table, key.into(), value.into()));
        self
    }

    /// Removes what stands at a key, if anything does.
    pub fn remove(mut self, table: Table, key: impl Into<Vec<u8>>) -> Self {
        self.writes.push(Write::Remove(table, key.into()));
        self
    }

    /// Both: the conditions and writes of this one first.
    pub(crate) fn join(mut self, mut other: Self) -> Self {
        self.conditions.append(&mut other.conditions);
        self.writes.append(&mut other.writes);
        self
    }

    /// What must hold, in the order in which it is judged.
    #[must_use]
    pub fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// What is written; of two writes to one key the later counts.
    #[must_use]
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// Whether it has neither a condition nor a write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty() && self.writes.is_empty()
    }

    /// Conditions and writes, for a store that keeps them.
    #[must_use]
    pub fn into_parts(self) -> (Vec<Condition>, Vec<Write>) {
        (self.conditions, self.writes)
    }
}

/// Up to so many writes are compared each with each, which takes no memory.
const FEW: usize = 8;

/// Whether a key that was drawn for a row is written to twice, so that one of both would be lost.
pub(super) fn has_doubles(writes: &[Write]) -> bool {
    let is_double = |one: &Write, other: &Write| {
        let is_drawn = [one, other].iter().any(|write| matches!(write, Write::Insert(..)));
        is_drawn && one.place() == other.place()
    };
    if writes.len() <= FEW {
        let behind = |at: usize| writes.iter().skip(at + 1);
        return writes.iter().enumerate().any(|(at, one)| behind(at).any(|other| is_double(one, other)));
    }
    let mut sorted: Vec<_> = writes.iter().collect();
    // Of more than two at one key the drawn one has another beside it.
    sorted.sort_unstable_by_key(|write| write.place());
    sorted.iter().zip(sorted.iter().skip(1)).any(|(one, other)| is_double(one, other))
}

/// What is said of a key that was drawn for a row, and at which one stands.
pub(super) fn not_new() -> Error {
    Error::corrupt("a record stands at an id that was just drawn: the system gave the same random bytes twice")
}
