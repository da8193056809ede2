//! Payload types: made, viewed, listed, removed, and what typed tokens are held against.
//!
//! In the table of their use, the id of a type stands as long as the type does, and behind it, with the id of each, its tokens.
//! A typed creation has the first as its condition, a deletion that there is none of the second: neither can win against the
//! other.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use uuid::Uuid;

use crate::access::Operation;
use crate::error::{Error, ErrorKind, Rule};
use crate::id::TypeId;
use crate::record::{self, Draft, Header, Kind, Malformed};
use crate::request::{CreateType, Given, Page};
use crate::response::{Listing, PayloadType};
use crate::schema::Schema;
use crate::store::{Batch, Table};
use crate::vault::caller::{About, Caller};
use crate::vault::creation::{Creation, Deed, Plan};
use crate::vault::listing::behind;
use crate::vault::replay::Keyed;
use crate::vault::standing::{Viewed, damaged};
use crate::vault::{Authority, Shared, Vault};

/// Where lists of them go on, for `links.next`.
const PATH: &str = "/api/admin/types";

/// At most so many compiled schemas are kept.
const COMPILED: usize = 1024;

/// How many tokens of a type are looked at before the next ones are.
const BATCH: usize = 128;

pub(super) const UNKNOWN_TYPE: Rule = Rule("unknown type");

impl<A: Authority> Vault<A> {
    /// Makes a payload type, which never changes. On return it survives power loss.
    ///
    /// # Errors
    /// `CONFLICT`: as [`CreateType::idempotency_key`] says; `STORE_FAILURE`, `KEY_FAILURE`: nothing was made. `UNAVAILABLE`: the
    /// vault is closed, or the outcome is unknown until it is reopened. `CORRUPT`: the store is damaged.
    ///
    /// ```
    /// # use tokenvault::{CreateGeneric, CreateType, KeyManager, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let account = vault.create_type(CreateType::new("account", r#"{"required":["iban"]}"#)?)?;
    ///
    /// let request = CreateGeneric::new([("pin", "1234")])?.type_id(account.id);
    /// let error = vault.create_generic(request).unwrap_err();
    /// assert_eq!((error.violations()[0].path(), error.violations()[0].message()), ("$.payload.iban", "is required"));
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn create_type(&self, mut request: CreateType) -> Result<PayloadType, Error> {
        self.caller().perform(Operation::CreateType, About::Answer(|made: &PayloadType| &made.id), |caller| {
            let claim = caller.claim(Keyed::CreateType, request.idempotency.take(), &request);
            let CreateType { name, schema, .. } = request;
            caller.create(claim, TypeCreation { name, schema })
        })
    }

    /// A payload type.
    ///
    /// # Errors
    /// `NOT_FOUND`, `CORRUPT`, `STORE_FAILURE`, `UNAVAILABLE`.
    ///
    /// ```
    /// # use tokenvault::{CreateType, KeyManager, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let made = vault.create_type(CreateType::new("anything", "{}")?)?;
    /// assert_eq!(vault.type_by_id(made.id)?, made);
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn type_by_id(&self, id: TypeId) -> Result<PayloadType, Error> {
        self.caller().perform(Operation::TypeById, About::Id(&id), |caller| caller.view(Kind::Type, id.into(), answer))
    }

    /// A page of the payload types, in the order of their ids.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.limit`, or at `$.type_id` for a page of one type; `CORRUPT`, `STORE_FAILURE`, `UNAVAILABLE`.
    ///
    /// ```
    /// # use tokenvault::{CreateType, KeyManager, Page, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// vault.create_type(CreateType::new("anything", "{}")?)?;
    /// assert_eq!(vault.list_types(Page::default())?.data[0].name, "anything");
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn list_types(&self, page: Page) -> Result<Listing<PayloadType>, Error> {
        self.caller()
            .perform(Operation::ListTypes, About::Nothing, |caller| caller.list(Kind::Type, PATH, page, answer))
    }

    /// Removes a payload type that no live token uses. Tokens of it that have expired are removed first.
    ///
    /// # Errors
    /// `CONFLICT` while a live token uses it; `NOT_FOUND`, also of a second delete; `CORRUPT`, also of a token that uses it;
    /// `STORE_FAILURE`, `UNAVAILABLE`.
    ///
    /// ```
    /// # use tokenvault::{CreateGeneric, CreateType, ErrorKind, KeyManager, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let id = vault.create_type(CreateType::new("anything", "{}")?)?.id;
    /// let token = vault.create_generic(CreateGeneric::new([("pin", "1234")])?.type_id(id))?;
    /// assert_eq!(vault.delete_type(id).unwrap_err().kind(), ErrorKind::Conflict);
    /// vault.delete_generic(token.id)?;
    /// vault.delete_type(id)?;
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn delete_type(&self, id: TypeId) -> Result<(), Error> {
        self.caller().perform(Operation::DeleteType, About::Id(&id), |caller| caller.delete_type(id))
    }
}

/// A payload type to be.
struct TypeCreation {
    name: Box<str>,
    schema: Given,
}

impl Creation for TypeCreation {
    type Answer = PayloadType;

    fn plan(&mut self, caller: &Caller<'_>) -> Result<Plan, Error> {
        let draft = |header: &Header| Draft::payload_type(header, &self.name, &self.schema.json);
        let sealed = caller.seal((Kind::Type, caller.owner()), None, draft)?;
        Ok(Plan::of(Deed::Make(sealed), Batch::new()))
    }

    fn made(self, caller: &Caller<'_>, id: Uuid, header: &Header) -> Result<PayloadType, Error> {
        let Given { json, compiled } = self.schema;
        caller.types.keep(id.into(), header.owner, compiled);
        let made = PayloadType::of(id.into(), header.created_at.to_datetime(), &self.name, &json);
        made.ok_or_else(|| damaged(id))
    }

    fn found(self, _: &Caller<'_>, viewed: &Viewed) -> Result<PayloadType, Error> {
        answer(viewed).map_err(|_| damaged(viewed.id))
    }
}

/// The compiled schemas of types that were used, with their owners.
#[derive(Default)]
pub(super) struct Types(RwLock<HashMap<TypeId, (u32, Arc<Schema>)>>);

impl Types {
    fn compiled(&self, id: TypeId) -> Option<(u32, Arc<Schema>)> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    fn keep(&self, id: TypeId, owner: u32, schema: Arc<Schema>) {
        let mut schemas = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let any = schemas.keys().next().copied().filter(|_| schemas.len() >= COMPILED);
        if let Some(any) = any {
            schemas.remove(&any);
        }
        schemas.insert(id, (owner, schema));
    }

    pub(super) fn forget(&self, id: TypeId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

impl Caller<'_> {
    /// The compiled schema of a type.
    pub(super) fn schema(&self, id: TypeId) -> Result<Arc<Schema>, Error> {
        self.check_open()?;
        if let Some((owner, schema)) = self.types.compiled(id) {
            return if self.sees(owner) { Ok(schema) } else { Err(UNKNOWN_TYPE.at("$.type_id")) };
        }
        let viewed = self.viewed(Kind::Type, id.into()).map_err(|error| match error.kind() {
            ErrorKind::NotFound => UNKNOWN_TYPE.at("$.type_id"),
            _ => error,
        })?;
        let (_, json) = record::type_view(&viewed.view).map_err(|_| damaged(id.into()))?;
        let schema = Arc::new(Schema::compile(json).map_err(|_| damaged(id.into()))?);
        self.types.keep(id, viewed.header.owner, Arc::clone(&schema));
        Ok(schema)
    }

    fn delete_type(&self, id: TypeId) -> Result<(), Error> {
        let [first, end] = uses_range(id);
        self.until_settled(|| {
            let standing = self.standing(Kind::Type, id.into())?;
            self.remove_expired_uses(id)?;
            let unused = Batch::new().require_empty(Table::TypeUse, first.clone(), end.clone());
            self.commit_for(standing.remove_from(unused), ())
        })?;
        self.types.forget(id);
        Ok(())
    }
}

impl Shared {
    /// The tokens of a type, the next ones from the key `from` on, which is behind the id of the last.
    pub(super) fn uses(&self, type_id: TypeId, from: &[u8], wanted: usize) -> Result<Vec<Uuid>, Error> {
        let [first, end] = uses_range(type_id);
        let from = if from.is_empty() { first } else { [type_id.as_bytes(), from].concat() };
        let rows = self.store.scan(Table::TypeUse, &from, &end, wanted)?;
        let token = |row: &[u8]| row.get(16..).and_then(|token| Uuid::from_slice(token).ok());
        let tokens = rows
            .iter()
            .map(|(row, _)| token(row).ok_or_else(|| Error::corrupt("a key in the store is no use of a type")));
        tokens.collect()
    }

    /// Reads every token of a type, which removes one that has expired; `CONFLICT` at the first that lives.
    fn remove_expired_uses(&self, id: TypeId) -> Result<(), Error> {
        let mut from = Vec::new();
        loop {
            let tokens = self.uses(id, &from, BATCH)?;
            let Some(last) = tokens.last() else { return Ok(()) };
            from = behind(*last);
            for token in tokens {
                match self.any_live(Kind::Generic, token) {
                    Ok(_) => return Err(in_use()),
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

fn in_use() -> Error {
    Error::conflict("a token uses the type")
}

/// The key that says that a token is of a type.
pub(super) fn use_key(type_id: TypeId, token: Uuid) -> Vec<u8> {
    [*type_id.as_bytes(), *token.as_bytes()].concat()
}

/// The first key that could be of a token of a type, and one behind the last.
fn uses_range(type_id: TypeId) -> [Vec<u8>; 2] {
    let id = type_id.as_bytes().as_slice();
    [[id, &[0]].concat(), [id, &[0xff; 17]].concat()]
}

fn answer(viewed: &Viewed) -> Result<PayloadType, Malformed> {
    let (name, schema) = record::type_view(&viewed.view)?;
    PayloadType::of(viewed.id.into(), viewed.header.created_at.to_datetime(), name, schema).ok_or(Malformed)
}
