//! Which part of a list is asked for.

use crate::error::{Error, Rule};
use crate::id::TokenId;
use crate::request::limits::{DEFAULT_PAGE, LONGEST_PAGE, SHORTEST_PAGE};

/// A page of a list: at most so many tokens, behind a token or from the first on. Lists are in the order of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    limit: usize,
    after: Option<TokenId>,
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
        Self { limit, after: None }
    }

    /// Begins behind a token, which may be gone by now.
    #[must_use]
    pub fn after(mut self, id: TokenId) -> Self {
        self.after = Some(id);
        self
    }

    /// The limit and the last id of the page before, checked.
    pub(crate) fn check(self) -> Result<(usize, Option<TokenId>), Error> {
        if !(SHORTEST_PAGE..=LONGEST_PAGE).contains(&self.limit) {
            return Err(Rule("must be from 1 to 100").at("$.limit"));
        }
        Ok((self.limit, self.after))
    }
}
