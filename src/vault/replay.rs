//! Idempotency: a request that names itself by a key is done once, however often it comes within a day.
//!
//! The entry of a key is written in the one commit that does what was asked for, on condition that none stands there. So of
//! many that come at once one is done, and the others find its entry.

use uuid::Uuid;

use crate::error::{Error, ErrorKind};
use crate::keys::IndexKey;
use crate::record::{self, Header, Kind, Replay, ReplayParts};
use crate::request::{Canonical, IdempotencyKey};
use crate::seal::{HASH, same_hash};
use crate::store::{Batch, Table};
use crate::vault::caller::Caller;
use crate::vault::proved::Proved;
use crate::vault::rows::expiry_key;
use crate::vault::standing::{Standing, Viewed, damaged};
use crate::vault::watch::Reading;
use crate::vault::{Shared, table};

/// How long an entry is valid, in seconds.
const LIFETIME: u32 = 24 * 60 * 60;

/// Keys of different operations are different keys. The number stands in entries and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyed {
    CreateGeneric = 1,
    CreatePci = 2,
    CompleteSession = 3,
    CreateType = 4,
    CompleteSecurityCode = 5,
    CreateApiKey = 6,
    CreateApiToken = 7,
}

/// What a request with an idempotency key lays claim to: to be the first under that key.
pub(super) struct Claim {
    name: Name,
    /// A place under each index key that entries may stand under; the first is the one to write.
    places: Vec<Place>,
}

/// An idempotency key, and what it is within.
struct Name {
    credential: Uuid,
    operation: Keyed,
    key: IdempotencyKey,
}

impl Name {
    /// Where its entry stands under an index key.
    fn id(&self, index: &IndexKey) -> Uuid {
        Uuid::from_bytes(index.entry_id(self.credential.as_bytes(), self.operation as u8, self.key.as_str()))
    }

    /// The keyed hash of a request under it.
    fn request(&self, index: &IndexKey, request: &impl Canonical) -> [u8; HASH] {
        let feed = |to: &mut dyn FnMut(&[u8])| request.write(to);
        index.request(self.credential.as_bytes(), self.operation as u8, self.key.as_str(), feed)
    }
}

/// Where an entry stands or will stand under one index key.
struct Place {
    /// The keyed hash of the request under its key.
    request: [u8; HASH],
    /// Worked out when the store is asked.
    id: Option<Uuid>,
    /// An entry there that has expired: it makes way.
    expired: Option<Standing>,
    /// What the entry says that the next commit writes there.
    staked: Option<Proved>,
}

impl Caller<'_> {
    /// The claim of a request, if it has a key.
    pub(super) fn claim(
        &self,
        operation: Keyed,
        key: Option<IdempotencyKey>,
        request: &impl Canonical,
    ) -> Option<Claim> {
        let name = Name { credential: self.credential(), operation, key: key? };
        let place = |index| Place { request: name.request(index, request), id: None, expired: None, staked: None };
        let places = self.keys.index().iter().map(place).collect();
        Some(Claim { name, places })
    }

    /// What the same request has led to, if it came before and that is still remembered; it may have gone since.
    ///
    /// # Errors
    /// `CONFLICT`: the key was used for another request, or what it led to is gone.
    pub(super) fn replayed(&self, claim: &mut Claim) -> Result<Option<Viewed>, Error> {
        self.check_open()?;
        let reading = self.watch.read();
        // An entry of its own may be made next.
        self.admit(Some(reading.now.plus_seconds(LIFETIME)))?;
        for (index, place) in self.keys.index().iter().zip(&mut claim.places) {
            place.expired = None;
            let proved = match self.replays.of(&place.request, &reading) {
                Some(proved) => Some(proved),
                None => self.proved(&claim.name, index, place, &reading)?,
            };
            if let Some(proved) = proved {
                return self.target(proved, &reading).map(Some);
            }
        }
        Ok(None)
    }

    fn target(&self, Proved { kind, target, .. }: Proved, reading: &Reading) -> Result<Viewed, Error> {
        let gone = |error: Error| match error.kind() {
            ErrorKind::NotFound => Error::conflict("what the idempotency key led to is gone"),
            _ => error,
        };
        let record = self.any_live_at(kind, target, reading).map_err(gone)?;
        let viewed = self.open_view(kind, target, record)?;
        if self.sees(viewed.header.owner) { Ok(viewed) } else { Err(gone(Error::not_found())) }
    }

    /// Adds the entry of a claim on what is made or found, and the condition that nobody was first.
    pub(super) fn stake(&self, claim: &mut Claim, (kind, target): (Kind, Uuid), mut batch: Batch) -> Batch {
        for (index, place) in self.keys.index().iter().zip(&mut claim.places) {
            batch = match &place.expired {
                Some(expired) => {
                    expired.viewed.header.expires_at.inspect(|ended| self.replays.end(*ended));
                    expired.remove_from(batch)
                }
                None => batch.require_absent(Table::Replay, *place.id(&claim.name, index).as_bytes()),
            };
        }
        let (Some(place), Some(index)) = (claim.places.first_mut(), self.keys.index().first()) else { return batch };
        let created_at = self.now();
        let expires_at = created_at.plus_seconds(LIFETIME);
        let header = Header::first(Kind::Replay, created_at, Some(expires_at)).owned_by(self.owner());
        let header = Header { epoch: index.number(), ..header };
        place.staked = Some(Proved { kind, target, expires_at });
        let (id, operation) = (place.id(&claim.name, index), claim.name.operation as u8);
        let entry = Replay { operation, kind, target, request: place.request };
        let bytes = entry.encode(self.keys.vault(), id, &header, |associated, body| index.proof(associated, body));
        batch.put(table(Kind::Replay), *id.as_bytes(), bytes).put(
            Table::Expiry,
            expiry_key(expires_at, Kind::Replay, id),
            [],
        )
    }
}

impl Place {
    fn id(&mut self, name: &Name, index: &IndexKey) -> Uuid {
        *self.id.get_or_insert_with(|| name.id(index))
    }
}

impl Shared {
    /// What the entry at a place says, if one stands there. One that has expired is left there to make way.
    fn proved(
        &self,
        name: &Name,
        index: &IndexKey,
        place: &mut Place,
        reading: &Reading,
    ) -> Result<Option<Proved>, Error> {
        let id = place.id(name, index);
        let Some(bytes) = self.store.get(Table::Replay, id.as_bytes())? else { return Ok(None) };
        let (header, body) = self.prove_entry(id, &bytes)?;
        // What only a leap of the clock has ended is remembered: no request is done twice for that.
        if reading.may_remove(&header) {
            place.expired = Some(self.open_entry(id, bytes)?);
            return Ok(None);
        }
        let entry = Replay::decode(body).ok().filter(|entry| entry.operation == name.operation as u8);
        let (entry, expires_at) = entry.zip(header.expires_at).ok_or_else(|| damaged(id))?;
        if !same_hash(&entry.request, &place.request) {
            return Err(Error::conflict("the idempotency key was used for another request"));
        }
        let proved = Proved { kind: entry.kind, target: entry.target, expires_at };
        self.replays.keep(place.request, proved);
        Ok(Some(proved))
    }

    /// Keeps what a claim has led to at hand, once the commit is made that has written its entry.
    pub(super) fn keep_staked(&self, claim: Option<&Claim>) {
        for place in claim.into_iter().flat_map(|claim| &claim.places) {
            place.staked.inspect(|proved| self.replays.keep(place.request, *proved));
        }
    }

    /// An entry as it was read, proved.
    pub(super) fn open_entry(&self, id: Uuid, entry: Vec<u8>) -> Result<Standing, Error> {
        let (header, body) = self.prove_entry(id, &entry)?;
        Ok(Standing { viewed: Viewed { id, header, view: body.to_vec() }, record: entry })
    }

    /// The header of the entry of an idempotency key and what it says, if its proof is good.
    fn prove_entry<'a>(&self, id: Uuid, entry: &'a [u8]) -> Result<(Header, &'a [u8]), Error> {
        let ReplayParts { header, header_bytes, body, proof } = ReplayParts::of(entry).map_err(|_| damaged(id))?;
        let key = self.keys.index().iter().find(|key| key.number() == header.epoch).ok_or_else(|| damaged(id))?;
        let associated = record::associated_data(self.keys.vault(), id, header_bytes);
        if key.proves(&associated, body, proof) { Ok((header, body)) } else { Err(damaged(id)) }
    }
}
