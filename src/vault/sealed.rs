//! A record on its way into the store: decided and sealed, then written with every row that it has in an index. The same for
//! every kind.

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::{self, TypeId};
use crate::lifetime::Lifetime;
use crate::record::{self, Draft, Fingerprint, Header, Kind, Malformed};
use crate::seal::Nonce;
use crate::store::{Batch, Table};
use crate::vault::fingerprint::fingerprint_key;
use crate::vault::payload_type::use_key;
use crate::vault::standing::Standing;
use crate::vault::{Shared, table};

/// No more records in a commit once their records have so many bytes: it stays small in memory and in the store's log.
pub(super) const COMMIT_BYTES: usize = 256 * 1024;

/// A sealed record that is not yet in the store.
pub(super) struct Sealed {
    pub(super) id: Uuid,
    pub(super) header: Header,
    record: Vec<u8>,
    /// The type of a generic token.
    type_id: Option<TypeId>,
    /// As it stands in the sealed view of a PCI token.
    fingerprint: Option<Fingerprint>,
}

impl Shared {
    /// Decides and seals: id, instants and key come together, and the draft is sealed in place.
    pub(super) fn seal(
        &self,
        kind: Kind,
        lifetime: Option<Lifetime>,
        draft: impl FnOnce(&Header) -> Result<Draft, Malformed>,
    ) -> Result<Sealed, Error> {
        self.check_open()?;
        let created_at = self.now();
        let expires_at = lifetime.map(|lifetime| lifetime.end(created_at));
        self.seal_as(None, Header::first(kind, created_at, expires_at), draft)
    }

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
        let fingerprint = parts.fingerprint();
        let associated = record::associated_data(self.keys.vault(), id, parts.header_bytes);
        epoch.view().seal(for_view, &associated, parts.view)?;
        if let Some(secret) = parts.secret {
            epoch.secret().seal(for_secret, &associated, secret)?;
        }
        // What the vault remembers of itself is no record that anybody has made.
        if header.kind != Kind::State {
            epoch.count_use();
        }
        Ok(Sealed { id, header, record: draft.into_sealed(), type_id: None, fingerprint })
    }
}

impl Sealed {
    /// How many bytes the record has.
    pub(super) fn bytes(&self) -> usize {
        self.record.len()
    }

    /// The same, as a generic token of a type.
    pub(super) fn of_type(self, type_id: Option<TypeId>) -> Self {
        Self { type_id, ..self }
    }

    /// Adds what must be written for a record whose id is new, which is then no longer here.
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
        let (header, id) = (self.header, self.id);
        let batch = batch.put(table(header.kind), *id.as_bytes(), std::mem::take(&mut self.record));
        let rows = rows(&header, id, self.type_id, self.fingerprint);
        rows.fold(batch, |batch, (table, row)| batch.put(table, row, []))
    }
}

/// The rows of a record in the indexes: they come and go with it.
pub(super) fn rows(
    header: &Header,
    id: Uuid,
    type_id: Option<TypeId>,
    fingerprint: Option<Fingerprint>,
) -> impl Iterator<Item = (Table, Vec<u8>)> {
    let expiry = header.expires_at.map(|at| (Table::Expiry, expiry_key(at, header.kind, id)));
    let own = (header.kind == Kind::Type).then(|| (Table::TypeUse, id.as_bytes().to_vec()));
    let of_type = type_id.map(|type_id| (Table::TypeUse, use_key(type_id, id)));
    let of_card = fingerprint.map(|fingerprint| (Table::Fingerprint, fingerprint_key(&fingerprint, header, id)));
    [expiry, own, of_type, of_card].into_iter().flatten()
}

/// A key of the expiry index: the instant, so that keys sort by it, then the kind and the id.
pub(super) fn expiry_key(expires_at: Timestamp, kind: Kind, id: Uuid) -> Vec<u8> {
    let mut key = Vec::with_capacity(25);
    key.extend_from_slice(&expires_at.as_millis().to_be_bytes());
    key.push(kind.as_byte());
    key.extend_from_slice(id.as_bytes());
    key
}
