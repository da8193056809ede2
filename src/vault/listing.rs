//! Lists: pages of records in the order of their ids.

use uuid::Uuid;

use crate::error::{Error, Rule};
use crate::id::TypeId;
use crate::record::Kind;
use crate::request::Page;
use crate::response::{Links, Listing};
use crate::store::Table;
use crate::vault::caller::Caller;
use crate::vault::payload_type::UNKNOWN_TYPE;
use crate::vault::rows::{owned_id, owned_of};
use crate::vault::standing::{Answer, damaged};
use crate::vault::table;

/// How many entries a list reads at a time once its first look was not enough.
const MORE: usize = 128;

/// Behind every id.
pub(super) const BEHIND_EVERY_ID: [u8; 17] = [0xff; 17];

const NO_TYPES_HERE: Rule = Rule("only generic tokens have a type");

/// Where a list takes its records from.
#[derive(Clone, Copy)]
enum Among {
    /// Every record of a kind.
    All(Kind),
    /// Those of an account, of one type if it is named, through the index.
    Owned(u32, Kind, Option<TypeId>),
    /// The generic tokens of a type, through the index.
    OfType(TypeId),
}

/// An id of a list, with its record unless that has gone meanwhile or is not asked for.
type Found = (Uuid, Option<Vec<u8>>);

impl Caller<'_> {
    /// A page of the records of a kind, in the order of their ids, with the path of the next one below `path`. Expired ones are
    /// passed over, and the page still filled.
    pub(super) fn list<T>(&self, kind: Kind, path: &str, page: Page, answer: Answer<T>) -> Result<Listing<T>, Error> {
        self.check_open()?;
        let (limit, after, type_id) = page.check()?;
        let among = match (self.owner(), type_id) {
            (_, Some(_)) if kind != Kind::Generic => return Err(NO_TYPES_HERE.at("$.type_id")),
            (0, None) => Among::All(kind),
            (0, Some(type_id)) => Among::OfType(type_id),
            // Never a look at what is another's: neither its damage nor its number is told.
            (owner, type_id) => Among::Owned(owner, kind, type_id),
        };
        let reading = self.watch.read();
        let mut from = after.map(behind).unwrap_or_default();
        // One more than is asked for tells whether there is a next page.
        let mut views = Vec::with_capacity(limit + 1);
        let mut wanted = limit + 1;
        while views.len() <= limit {
            let ids = self.records(among, &from, wanted)?;
            let were_all = ids.len() < wanted;
            // Among many that have expired, the few that are missing are not looked for one by one.
            wanted = MORE;
            for (id, record) in ids {
                if views.len() > limit {
                    break;
                }
                from = behind(id);
                let Some(record) = record else { continue };
                let viewed = self.open_view(kind, id, record)?;
                // The rows of the indexes are not proved, and what they say stands in the record.
                if type_id.is_some() && viewed.type_id() != type_id {
                    return Err(damaged(id));
                }
                if !self.sees(viewed.header.owner) {
                    return Err(damaged(id));
                }
                if reading.is_gone(&viewed.header) {
                    self.watch.mark(&reading, &viewed.header);
                } else {
                    views.push(viewed);
                }
            }
            if were_all {
                break;
            }
        }
        if let (Some(type_id), true) = (type_id, views.is_empty()) {
            self.check_type(type_id)?;
        }
        let more = views.len() > limit;
        views.truncate(limit);
        let last = views.last().filter(|_| more).map(|view| view.id);
        let filter = type_id.map(|type_id| format!("&type_id={type_id}")).unwrap_or_default();
        let next = last.map(|id| format!("{path}?limit={limit}{filter}&after={id}"));
        let answer = |viewed| answer(viewed).map_err(|_| damaged(viewed.id));
        Ok(Listing { data: views.iter().map(answer).collect::<Result<_, _>>()?, links: Links { next } })
    }

    /// A mistyped id of a type is not taken for that of a type without tokens.
    fn check_type(&self, type_id: TypeId) -> Result<(), Error> {
        if self.owner() != 0 {
            return self.schema(type_id).map(drop);
        }
        let is_there = self.store.get(Table::TypeUse, type_id.as_bytes())?.is_some();
        if is_there { Ok(()) } else { Err(UNKNOWN_TYPE.at("$.type_id")) }
    }

    /// The next of the list from the key `from` on.
    fn records(&self, among: Among, from: &[u8], wanted: usize) -> Result<Vec<Found>, Error> {
        match among {
            Among::All(kind) => {
                let entries = self.store.scan(table(kind), from, &BEHIND_EVERY_ID, wanted)?;
                entries.into_iter().map(|(key, record)| Ok((id_of(&key)?, Some(record)))).collect()
            }
            Among::Owned(owner, kind, type_id) => {
                let (from, to) = owned_of(owner, kind, from);
                let rows = self.store.scan(Table::Owned, &from, &to, wanted)?;
                let found = rows.into_iter().map(|(row, of_type)| {
                    let id = owned_id(&row)?;
                    let is_wanted = type_id.is_none_or(|type_id| type_id.as_bytes().as_slice() == of_type);
                    let record = if is_wanted { self.store.get(table(kind), id.as_bytes())? } else { None };
                    Ok((id, record))
                });
                found.collect()
            }
            Among::OfType(type_id) => self
                .uses(type_id, from, wanted)?
                .into_iter()
                .map(|id| {
                    let record = self.store.get(Table::Generic, id.as_bytes())?;
                    Ok((id, record))
                })
                .collect(),
        }
    }
}

/// The first key behind an id.
pub(super) fn behind(id: Uuid) -> Vec<u8> {
    [id.as_bytes().as_slice(), &[0]].concat()
}

/// The id that a key is.
pub(super) fn id_of(key: &[u8]) -> Result<Uuid, Error> {
    Uuid::from_slice(key).map_err(|_| Error::corrupt("a key in the store is not an id"))
}
