//! A record that takes the place of another under the same id: sealed anew, with every row that it has in an index, in one
//! commit.

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::lifetime::Lifetime;
use crate::record::{Draft, Header, Kind, Malformed};
use crate::request::Edit;
use crate::response::EventReason;
use crate::store::{Batch, Committed};
use crate::vault::entry::{Sealed, Viewed};
use crate::vault::event::Change;
use crate::vault::{Shared, table};

/// A record that stands, as it is handed to whoever changes it.
pub(super) struct Standing<'a> {
    pub(super) viewed: Viewed,
    /// The record as it is stored, sealed.
    pub(super) record: &'a [u8],
}

impl Shared {
    /// Puts a changed record in the place of the one that stands. Of changes that race one wins at a time, and the others
    /// are made anew on what they then find.
    pub(super) fn change<T>(
        &self,
        kind: Kind,
        id: Uuid,
        amend: impl Fn(Standing<'_>) -> Result<(Sealed, T), Error>,
    ) -> Result<T, Error> {
        loop {
            let record = self.live(kind, id)?;
            let viewed = self.open_view(kind, id, record.clone())?;
            let batch = viewed.remove_from(Batch::new());
            let (mut changed, answer) = amend(Standing { viewed, record: &record })?;
            // Of two writes to one key the later counts: what the two records have in common stays.
            let batch = changed.put_into(batch).require_value(table(kind), *id.as_bytes(), record);
            match self.store.commit(batch)? {
                Committed::Applied => {
                    self.limit_code(kind, id, changed.header.expires_at);
                    self.tell(kind, id, Change::Updated, EventReason::Request);
                    return Ok(answer);
                }
                Committed::Refused { found: None, .. } => return Err(Error::not_found()),
                Committed::Refused { found: Some(_), .. } => {}
            }
        }
    }
}

impl Standing<'_> {
    /// Seals the record anew, under the active key and with the next revision.
    pub(super) fn reseal(
        &self,
        shared: &Shared,
        expires_at: Option<Timestamp>,
        draft: impl FnOnce(&Header) -> Result<Draft, Malformed>,
    ) -> Result<Sealed, Error> {
        let before = self.viewed.header;
        let header = Header { revision: before.revision.saturating_add(1), expires_at, ..before };
        shared.seal_as(Some(self.viewed.id), header, draft)
    }
}

/// When a record expires that is changed at `now`.
pub(super) fn deadline(edit: &Edit<Lifetime>, now: Timestamp, before: Option<Timestamp>) -> Option<Timestamp> {
    match edit {
        Edit::Keep => before,
        Edit::Clear => None,
        Edit::Set(lifetime) => Some(now.plus_seconds(lifetime.seconds())),
    }
}
