//! What stands at each key: the backlog over sled.

use std::ops::{ControlFlow, Deref};

use crate::error::Error;
use crate::store::sled::backlog::{Backlog, Bytes, Row};
use crate::store::sled::engine::Engine;

/// Backlog and sled, seen as one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing<'a> {
    pub(super) backlog: &'a Backlog,
    pub(super) engine: &'a Engine,
}

/// A value, held by where it stands too: another handle on it is no copy.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Waiting(Bytes),
    Applied(sled::IVec),
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Waiting(bytes) => bytes,
            Self::Applied(bytes) => bytes,
        }
    }
}

impl Standing<'_> {
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Value>, Error> {
        match self.backlog.get(key) {
            Some(row) => Ok(row.value.map(Value::Waiting)),
            None => Ok(self.engine.get(key)?.map(Value::Applied)),
        }
    }

    /// The same for whoever is about to change it: damage in sled is met before the change is taken.
    pub(super) fn look(&self, key: &[u8]) -> Result<Option<Value>, Error> {
        match self.backlog.get(key) {
            Some(row) => Ok(row.value.map(Value::Waiting)),
            None => Ok(self.engine.look(key)?.map(Value::Applied)),
        }
    }

    /// Shows the rows from `from` on, up to but without `to`, in order, until `visit` breaks; at least the first `limit`.
    pub(super) fn walk(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        // In this order: what leaves the backlog in between is in sled by then.
        let mut waiting = Waiting(self.backlog.range(from, to, limit).into_iter().peekable());
        let mut ended = ControlFlow::Continue(());
        self.engine.walk(from, to, |key, value| {
            ended = waiting.show_before(key, &mut visit);
            if ended.is_continue() && !waiting.replaces(key) {
                ended = visit(key, value);
            }
            ended
        })?;
        if ended.is_continue() {
            let _end = waiting.0.try_for_each(|(key, row)| show(&key, &row, &mut visit));
        }
        Ok(())
    }
}

/// Rows of the backlog that a walk has not come to.
struct Waiting<I: Iterator<Item = (Bytes, Row)>>(std::iter::Peekable<I>);

impl<I: Iterator<Item = (Bytes, Row)>> Waiting<I> {
    fn show_before(&mut self, key: &[u8], visit: &mut impl FnMut(&[u8], &[u8]) -> ControlFlow<()>) -> ControlFlow<()> {
        while let Some((key, row)) = self.0.next_if(|(waiting, _)| **waiting < *key) {
            show(&key, &row, visit)?;
        }
        ControlFlow::Continue(())
    }

    /// Whether the next row is that of a key: it is shown when the walk comes behind it.
    fn replaces(&mut self, key: &[u8]) -> bool {
        self.0.peek().is_some_and(|(waiting, _)| **waiting == *key)
    }
}

fn show(key: &[u8], row: &Row, visit: &mut impl FnMut(&[u8], &[u8]) -> ControlFlow<()>) -> ControlFlow<()> {
    row.value.as_ref().map_or(ControlFlow::Continue(()), |value| visit(key, value))
}
