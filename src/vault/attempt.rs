//! Others get ahead: what is read only guesses, the conditions of a commit decide, and whoever lost tries again by what then
//! stands. Not for ever: a store that refuses each time is not asked again and again.

use std::sync::atomic::Ordering;

use crate::error::Error;
use crate::store::{Batch, Committed};
use crate::vault::Shared;

/// How often somebody may have got ahead. Each time something was done, so that it is not for nothing.
const TRIES: usize = 256;

impl Shared {
    /// What an attempt comes to, made anew whenever somebody else has got ahead of it, which is `None`.
    ///
    /// # Errors
    /// Those of the attempt, `UNAVAILABLE` once the vault is closed, and `CONFLICT` where others got ahead each time.
    pub(super) fn until_settled<T>(&self, mut attempt: impl FnMut() -> Result<Option<T>, Error>) -> Result<T, Error> {
        for _ in 0..TRIES {
            self.check_open()?;
            if let Some(done) = attempt()? {
                return Ok(done);
            }
        }
        Err(Error::conflict("others got ahead each time"))
    }

    /// Commits, and gives what that makes true; `None` if somebody else has got ahead.
    pub(super) fn commit_for<T>(&self, batch: Batch, truth: T) -> Result<Option<T>, Error> {
        Ok((self.commit(batch)? == Committed::Applied).then_some(truth))
    }

    /// Makes a commit that a caller waits for, to which work in the background gives way.
    pub(super) fn commit(&self, batch: Batch) -> Result<Committed, Error> {
        self.awaited.fetch_add(1, Ordering::Relaxed);
        self.store.commit(batch)
    }

    /// Changes whenever a caller begins to wait for a commit.
    pub(super) fn awaited(&self) -> u64 {
        self.awaited.load(Ordering::Relaxed)
    }
}
