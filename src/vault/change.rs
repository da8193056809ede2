//! A record that takes the place of another under the same id: sealed anew, with every row that it has in an index, in one
//! commit.

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::lifetime::Lifetime;
use crate::record::{Header, Kind};
use crate::request::Edit;
use crate::response::EventReason;
use crate::store::Batch;
use crate::vault::caller::Caller;
use crate::vault::event::Change;
use crate::vault::sealed::Sealed;
use crate::vault::standing::Standing;

impl Caller<'_> {
    /// Puts a changed record in the place of the one that stands, and tells of it.
    pub(super) fn change<T>(
        &self,
        kind: Kind,
        id: Uuid,
        amend: impl Fn(&Standing) -> Result<(Sealed, T), Error>,
    ) -> Result<T, Error> {
        let (_, answer) = self.change_unheard(kind, id, amend)?;
        self.tell(kind, id, Change::Updated, EventReason::Request);
        Ok(answer)
    }

    /// The same for whoever has more to do before it is told, with the header of what now stands. Of changes that race one wins
    /// at a time, and the others are made anew on what they then find.
    pub(super) fn change_unheard<T>(
        &self,
        kind: Kind,
        id: Uuid,
        amend: impl Fn(&Standing) -> Result<(Sealed, T), Error>,
    ) -> Result<(Header, T), Error> {
        let (header, answer) = self.until_settled(|| {
            let standing = self.standing(kind, id)?;
            let (mut changed, answer) = amend(&standing)?;
            let batch = changed.put_in_place_of(standing, Batch::new());
            self.commit_for(batch, (changed.header, answer))
        })?;
        self.limit_code(kind, id, header.expires_at);
        Ok((header, answer))
    }
}

/// When a record expires that is changed at `now`.
pub(super) fn deadline(edit: &Edit<Lifetime>, now: Timestamp, before: Option<Timestamp>) -> Option<Timestamp> {
    match edit {
        Edit::Keep => before,
        Edit::Clear => None,
        Edit::Set(lifetime) => Some(lifetime.end(now)),
    }
}
