//! A record on its way into the store: decided and sealed, then written with every row that it has in an index. The same for
//! every kind.

use uuid::Uuid;

use crate::error::Error;
use crate::id::{self, TypeId};
use crate::record::{self, Draft, Header, Kind, Malformed};
use crate::seal::Nonce;
use crate::store::{Batch, Table};
use crate::vault::rows::{Leads, rows};
use crate::vault::standing::Standing;
use crate::vault::{Shared, table};

/// No more records in a commit once their records have so many bytes: it stays small in memory and in the store's log.
pub(super) const COMMIT_BYTES: usize = 256 * 1024;

/// A sealed record that is not yet in the store.
pub(super) struct Sealed {
    pub(super) id: Uuid,
    pub(super) header: Header,
    record: Vec<u8>,
    leads: Leads,
}

impl Shared {
    /// Seals a record whose header is decided but for the key: under a fresh id, or anew under the one that it has.
    pub(super) fn seal_as(
        &self,
        id: Option<Uuid>,
        header: Header,
        draft: impl FnOnce(&Header) -> Result<Draft, Malformed>,
    ) -> Result<Sealed, Error> {
        self.admit(header.expires_at)?;
        let outgrown = |Malformed| Error::store_failure("a record outgrew its format");
        let epoch = self.keys.active()?;
        let mut fresh = [0; 16];
        let [for_view, for_secret] = Nonce::fresh_pair(&mut fresh)?;
        let id = id.unwrap_or_else(|| id::from_random(fresh));
        let header = Header { epoch: epoch.number(), ..header };
        let mut draft = draft(&header).map_err(outgrown)?;
        let parts = draft.parts().map_err(outgrown)?;
        let leads = Leads::of(header.kind, parts.plain_view().map_err(outgrown)?);
        let associated = record::associated_data(self.keys.vault(), id, parts.header_bytes);
        epoch.view().seal(for_view, &associated, parts.view)?;
        if let Some(secret) = parts.secret {
            epoch.secret().seal(for_secret, &associated, secret)?;
        }
        // What the vault remembers of itself is no record that anybody has made.
        if header.kind != Kind::State {
            epoch.count_use();
        }
        Ok(Sealed { id, header, record: draft.into_sealed(), leads })
    }
}

impl Sealed {
    /// How many bytes the record has.
    pub(super) fn bytes(&self) -> usize {
        self.record.len()
    }

    /// The same, as a generic token of a type.
    pub(super) fn of_type(self, type_id: Option<TypeId>) -> Self {
        Self { leads: self.leads.of_type(type_id), ..self }
    }

    /// Adds what must be written for a record whose id was drawn for it, which is then no longer here.
    pub(super) fn insert_into(&mut self, batch: Batch) -> Batch {
        self.write_into(batch, Batch::insert)
    }

    /// The same for an id that others may have.
    pub(super) fn create_into(&mut self, batch: Batch) -> Batch {
        let batch = batch.require_absent(table(self.header.kind), *self.id.as_bytes());
        self.put_into(batch)
    }

    /// Adds what must be written in the place of a record with the same id, if that still stands.
    pub(super) fn put_in_place_of(&mut self, old: Standing, batch: Batch) -> Batch {
        let batch = batch.require_value(table(self.header.kind), *self.id.as_bytes(), old.record);
        // What both have is removed first and then written: of two writes to one key the later counts.
        self.put_into(old.viewed.remove_from(batch))
    }

    /// Adds what must be written for it, which is then no longer here: its record, and its rows in the indexes.
    pub(super) fn put_into(&mut self, batch: Batch) -> Batch {
        self.write_into(batch, Batch::put)
    }

    fn write_into(&mut self, batch: Batch, write: impl Fn(Batch, Table, Vec<u8>, Vec<u8>) -> Batch) -> Batch {
        let (header, id) = (self.header, self.id);
        let batch = write(batch, table(header.kind), id.as_bytes().to_vec(), std::mem::take(&mut self.record));
        let rows = rows(&header, id, &self.leads);
        rows.fold(batch, |batch, (table, row, value)| write(batch, table, row, value))
    }
}
