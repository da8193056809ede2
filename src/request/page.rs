//! Which part of a list is asked for.

use uuid::Uuid;

use crate::error::{Error, Rule};
use crate::id::TypeId;
use crate::request::limits::{DEFAULT_PAGE, LONGEST_PAGE, SHORTEST_PAGE};

/// A page of a list: at most so many tokens, behind a token or from the first on. Lists are in the order of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    limit: usize,
    after: Option<Uuid>,
    type_id: Option<TypeId>,
}

impl Default for Page {
    /// The first 20.
    fn default() -> Self {
        Self::first(DEFAULT_PAGE)
    }
}

impl Page {
    /// The first tokens there are, at most `limit`: 1 to 100.
    #[must_use]
    pub fn first(limit: usize) -> Self {
        Self { limit, after: None, type_id: None }
    }

    /// Begins behind an id, whose token may be gone by now.
    #[must_use]
    pub fn after(mut self, id: impl Into<Uuid>) -> Self {
        self.after = Some(id.into());
        self
    }

    /// Only generic tokens of a type. No other list takes it. Default: of any type and of none.
    #[must_use]
    pub fn of_type(mut self, type_id: TypeId) -> Self {
        self.type_id = Some(type_id);
        self
    }

    /// The limit, the last id of the page before, and the type, checked.
    pub(crate) fn check(self) -> Result<(usize, Option<Uuid>, Option<TypeId>), Error> {
        if !(SHORTEST_PAGE..=LONGEST_PAGE).contains(&self.limit) {
            return Err(Rule("must be from 1 to 100").at("$.limit"));
        }
        Ok((self.limit, self.after, self.type_id))
    }
}
