//! A record that stands in the store: opened, judged by the clock, removed with every row that it has in an index. The same for
//! every kind.

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::TypeId;
use crate::record::{self, Draft, Fingerprint, Header, Kind, Malformed, Parts};
use crate::response::EventReason;
use crate::secret::SecretBytes;
use crate::store::{Batch, Committed};
use crate::vault::event::Change;
use crate::vault::rows::{Leads, rows};
use crate::vault::sealed::Sealed;
use crate::vault::watch::Reading;
use crate::vault::{Shared, table};

/// A record whose header has proved authentic, with its view opened in place.
pub(super) struct Viewed {
    pub(super) id: Uuid,
    pub(super) header: Header,
    /// The plain bytes of the view.
    pub(super) view: Vec<u8>,
}

/// A record that is there, opened to be judged, and as it is stored: what is made of it depends on its still standing so.
pub(super) struct Standing {
    pub(super) viewed: Viewed,
    /// As it is stored.
    pub(super) record: Vec<u8>,
}

/// How a view becomes an answer.
pub(super) type Answer<T> = fn(&Viewed) -> Result<T, Malformed>;

impl Shared {
    /// A record of anybody's that is there and has not expired; one that has is removed.
    pub(super) fn any_live(&self, kind: Kind, id: Uuid) -> Result<Vec<u8>, Error> {
        let (record, header) = self.stored(kind, id)?;
        // Behind the record: by an older look one could be taken for gone that was made, or given more time, since.
        let reading = self.watch.read();
        if !reading.is_gone(&header) {
            return Ok(record);
        }
        self.expire(kind, id, record, &reading)?;
        Err(Error::not_found())
    }

    /// The same for whoever has looked at the clock, which is looked at again before anything is called gone.
    pub(super) fn any_live_at(&self, kind: Kind, id: Uuid, reading: &Reading) -> Result<Vec<u8>, Error> {
        let (record, header) = self.stored(kind, id)?;
        if reading.is_gone(&header) { self.any_live(kind, id) } else { Ok(record) }
    }

    /// A record as it stands, and its header, which is not proved.
    fn stored(&self, kind: Kind, id: Uuid) -> Result<(Vec<u8>, Header), Error> {
        self.check_open()?;
        let mut record = self.store.get(table(kind), id.as_bytes())?.ok_or_else(Error::not_found)?;
        let header = Parts::of(&mut record).map_err(|_| damaged(id))?.header;
        Ok((record, header))
    }

    /// Removes a record that has expired, unless only a leap of the clock has ended it.
    fn expire(&self, kind: Kind, id: Uuid, record: Vec<u8>, reading: &Reading) -> Result<(), Error> {
        // Nothing is called expired on the word of a header that has not authenticated.
        let expired = self.open_standing(kind, id, record)?;
        if reading.may_remove(&expired.viewed.header) {
            self.lapse_code(kind, id, EventReason::Expiry);
            match self.commit_removal(expired.remove_from(Batch::new())) {
                Ok(Committed::Applied) => self.tell(kind, id, Change::Expired, EventReason::Expiry),
                Ok(Committed::Refused { .. }) => {}
                // A removal that cannot be written does not turn "not found" into a failure: the next read or sweep removes it.
                Err(_) => self.watch.mark(reading, &expired.viewed.header),
            }
        }
        Ok(())
    }

    /// A record of anybody's that is there and has not expired, opened.
    pub(super) fn any_viewed(&self, kind: Kind, id: Uuid) -> Result<Viewed, Error> {
        self.open_view(kind, id, self.any_live(kind, id)?)
    }

    /// The same for whoever makes something of it.
    pub(super) fn any_standing(&self, kind: Kind, id: Uuid) -> Result<Standing, Error> {
        self.open_standing(kind, id, self.any_live(kind, id)?)
    }

    /// A record as it was read, opened, whether it has expired or not.
    pub(super) fn open_standing(&self, kind: Kind, id: Uuid, record: Vec<u8>) -> Result<Standing, Error> {
        Ok(Standing { viewed: self.open_view(kind, id, record.clone())?, record })
    }

    /// Opens the view of a record, which proves its header.
    pub(super) fn open_view(&self, kind: Kind, id: Uuid, mut record: Vec<u8>) -> Result<Viewed, Error> {
        let parts = Parts::of(&mut record).map_err(|_| damaged(id))?;
        let header = parts.header;
        let epoch = self.keys.epoch(header.epoch).filter(|_| header.kind == kind).ok_or_else(|| damaged(id))?;
        let associated = record::associated_data(self.keys.vault(), id, parts.header_bytes);
        let view = epoch.view().open(&associated, parts.view).map_err(|_| damaged(id))?.to_vec();
        Ok(Viewed { id, header, view })
    }

    /// A record of anybody's that is there and has not expired, with its secret part opened in place, and its header, which that
    /// has proved.
    pub(super) fn any_revealed(&self, kind: Kind, id: Uuid) -> Result<(Header, SecretBytes), Error> {
        self.open_secret(kind, id, self.any_live(kind, id)?)
    }

    /// Opens the secret part of a record in place, which proves its header.
    fn open_secret(&self, kind: Kind, id: Uuid, record: Vec<u8>) -> Result<(Header, SecretBytes), Error> {
        let mut record = SecretBytes::adopt(record);
        // Opened where it will be lent from, and wiped there.
        let parts = Parts::of(record.expose_mut()).map_err(|_| damaged(id))?;
        let header = parts.header;
        let epoch = self.keys.epoch(header.epoch).filter(|_| header.kind == kind).ok_or_else(|| damaged(id))?;
        let associated = record::associated_data(self.keys.vault(), id, parts.header_bytes);
        let secret = parts.secret.ok_or_else(|| damaged(id))?;
        epoch.secret().open(&associated, secret).map_err(|_| damaged(id))?;
        Ok((header, record))
    }
}

impl Standing {
    /// Adds the condition that it still stands so.
    pub(super) fn require_in(&self, batch: Batch) -> Batch {
        let Viewed { id, header, .. } = &self.viewed;
        batch.require_value(table(header.kind), *id.as_bytes(), self.record.clone())
    }

    /// Adds what must be removed for it, every trace of it, if it still stands so: one that was changed may have other rows by
    /// now.
    pub(super) fn remove_from(&self, batch: Batch) -> Batch {
        self.viewed.remove_from(self.require_in(batch))
    }

    /// Seals a record that is to stand in its place, under the active key and with the next revision.
    pub(super) fn reseal(
        &self,
        shared: &Shared,
        expires_at: Option<Timestamp>,
        draft: impl FnOnce(&Header) -> Result<Draft, Malformed>,
    ) -> Result<Sealed, Error> {
        shared.seal_as(Some(self.viewed.id), self.viewed.header.next(expires_at), draft)
    }

    /// Its secret part, opened in a copy of it.
    pub(super) fn open_secret(&self, shared: &Shared) -> Result<SecretBytes, Error> {
        shared.open_secret(self.viewed.header.kind, self.viewed.id, self.record.clone()).map(|(_, record)| record)
    }
}

impl Viewed {
    /// Adds what must be removed for the record: every trace of it.
    pub(super) fn remove_from(&self, batch: Batch) -> Batch {
        let batch = batch.remove(table(self.header.kind), *self.id.as_bytes());
        let leads = Leads::of(self.header.kind, &self.view).of_type(self.type_id());
        let rows = rows(&self.header, self.id, &leads);
        rows.fold(batch, |batch, (table, row, _)| batch.remove(table, row))
    }

    /// The fingerprint of its card, if it is the token of one and has it.
    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        if self.header.kind == Kind::Pci { record::fingerprint(&self.view) } else { None }
    }

    /// The type of a generic token.
    pub(super) fn type_id(&self) -> Option<TypeId> {
        let is_generic = self.header.kind == Kind::Generic;
        is_generic.then(|| record::generic_view(&self.view).ok()).flatten().and_then(|view| view.type_id)
    }
}

pub(super) fn damaged(id: Uuid) -> Error {
    Error::corrupt(format!("the record of {id} fails authentication"))
}
