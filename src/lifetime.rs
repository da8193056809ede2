//! How long a token lives.

use crate::clock::Timestamp;
use crate::error::Rule;

/// Whole seconds from creation to expiry, 1 to 2,592,000 (30 days).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime(u32);

impl Lifetime {
    pub(crate) const MAX_SECONDS: u32 = 2_592_000;
    pub(crate) const RULE: Rule = Rule("must be from 1 to 2592000 seconds");

    /// Checks the range.
    pub(crate) fn from_seconds(seconds: u64) -> Result<Self, Rule> {
        match u32::try_from(seconds) {
            Ok(seconds @ 1..=Self::MAX_SECONDS) => Ok(Self(seconds)),
            _ => Err(Self::RULE),
        }
    }

    /// When what begins at `now` ends.
    pub(crate) fn end(self, now: Timestamp) -> Timestamp {
        now.plus_seconds(self.0)
    }

    pub(crate) fn seconds(self) -> u32 {
        self.0
    }
}
