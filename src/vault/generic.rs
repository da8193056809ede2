//! Generic tokens.

use std::fmt::Display;

use uuid::Uuid;

use crate::access::Operation;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::TokenId;
use crate::lifetime::Lifetime;
use crate::payload::Payload;
use crate::record::{self, Draft, GenericView, Header, Kind, Malformed};
use crate::request::{CreateGeneric, Page, UpdateGeneric};
use crate::response::{GenericToken, Listing};
use crate::store::{Batch, Table};
#[cfg(doc)]
use crate::vault::VaultOptions;
use crate::vault::caller::{About, Caller};
use crate::vault::change::deadline;
use crate::vault::creation::{Creation, Deed, Plan};
use crate::vault::replay::{Claim, Keyed};
use crate::vault::standing::{Viewed, damaged};
use crate::vault::{Authority, Vault, bulk};

/// Where the published API has them, for `links.next` and events.
pub(super) const PATH: &str = "/api/generic/tokens";

impl<A: Authority> Vault<A> {
    /// Keeps a payload and gives a token for it. On return the token survives power loss.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.type_id`: the vault has no such type; below `$.payload`: the payload does not satisfy its
    /// schema; card data where the vault wants none, see [`VaultOptions::card_data_guard`]. `CONFLICT`: as
    /// [`CreateGeneric::idempotency_key`] says, or others got ahead each time that this was tried; `STORE_FAILURE`,
    /// `KEY_FAILURE`: nothing was kept. `UNAVAILABLE`: the vault is closed, or the outcome is unknown until it is reopened.
    /// `CORRUPT`: the store is damaged.
    ///
    /// ```
    /// # use tokenvault::{CreateGeneric, KeyManager, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let token = vault.create_generic(CreateGeneric::from_json(br#"{"payload":{"api_key":"abcd1234efgh5678"}}"#)?)?;
    /// assert_eq!(token.expires_at, None);
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn create_generic(&self, request: CreateGeneric) -> Result<GenericToken, Error> {
        self.caller().perform(Operation::CreateGeneric, About::Answer(id_of), |caller| {
            let (claim, creation) = prepare(caller, request)?;
            caller.create(claim, creation)
        })
    }

    /// Keeps many payloads: a result for each request, in order; one that is refused harms no other. Up to 256 requests
    /// share one sync, and their results come when it is done. Nothing happens before the first result is asked for.
    ///
    /// # Errors
    /// Each result has those of [`Vault::create_generic`], or the error that was handed in.
    ///
    /// ```
    /// # use tokenvault::{CreateGeneric, KeyManager, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let lines = [&br#"{"payload":{"pin":"1234"}}"#[..], b"{}"];
    /// let results: Vec<_> = vault.create_generic_many(lines.map(CreateGeneric::from_json)).collect();
    /// assert!(results[0].is_ok() && results[1].is_err());
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn create_generic_many<I>(
        &self,
        requests: I,
    ) -> impl Iterator<Item = Result<GenericToken, Error>> + use<'_, A, I>
    where
        I: IntoIterator<Item = Result<CreateGeneric, Error>>,
    {
        bulk::create(self.caller(), Operation::CreateGeneric, id_of, requests.into_iter(), prepare)
    }

    /// The view of a token. The payload stays sealed.
    ///
    /// # Errors
    /// `NOT_FOUND`: there is none, it was deleted, or it has expired. `CORRUPT`, `STORE_FAILURE`, `UNAVAILABLE`.
    ///
    /// ```
    /// # use tokenvault::{CreateGeneric, KeyManager, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let token = vault.create_generic(CreateGeneric::new([("pin", "1234")])?.metadata([("order", "77")])?)?;
    /// assert_eq!(vault.generic(token.id)?, token);
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn generic(&self, id: TokenId) -> Result<GenericToken, Error> {
        self.caller()
            .perform(Operation::ViewGeneric, About::Id(&id), |caller| caller.view(Kind::Generic, id.into(), answer))
    }

    /// The views of many tokens, in the order asked, each found or not. Each is looked up when it is asked for.
    ///
    /// # Errors
    /// Each result has those of [`Vault::generic`].
    ///
    /// ```
    /// # use tokenvault::{CreateGeneric, KeyManager, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// # let token = vault.create_generic(CreateGeneric::new([("pin", "1234")])?)?;
    /// let nobody = "8744c9ea-a02b-4ae6-875c-b64fc333e3ef".parse()?;
    /// let found: Vec<bool> = vault.generic_many([token.id, nobody]).map(|view| view.is_ok()).collect();
    /// assert_eq!(found, [true, false]);
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn generic_many<I>(&self, ids: I) -> impl Iterator<Item = Result<GenericToken, Error>> + use<'_, A, I>
    where
        I: IntoIterator<Item = TokenId>,
    {
        ids.into_iter().map(|id| self.generic(id))
    }

    /// Lends the payload to `lend`; it is wiped when that returns or panics.
    ///
    /// # Errors
    /// `NOT_FOUND`, `CORRUPT`, `STORE_FAILURE`, `UNAVAILABLE`; `lend` is then not called.
    ///
    /// ```
    /// # use tokenvault::{CreateGeneric, KeyManager, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// # let token = vault.create_generic(CreateGeneric::new([("pin", "1234")])?)?;
    /// let right = vault.generic_payload(token.id, |payload| payload.get("pin").is_some_and(|pin| pin.as_str() == Some("1234")))?;
    /// assert!(right);
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn generic_payload<R>(&self, id: TokenId, lend: impl FnOnce(&Payload) -> R) -> Result<R, Error> {
        self.caller().lend(Operation::GenericPayload, &id, |caller| Ok(lend(&caller.open_payload(id)?)))
    }

    /// As [`Vault::generic_payload`], for code that awaits while it has the payload. The look-up itself blocks.
    ///
    /// # Errors
    /// As [`Vault::generic_payload`].
    pub async fn generic_payload_async<R>(
        &self,
        id: TokenId,
        lend: impl AsyncFnOnce(&Payload) -> R,
    ) -> Result<R, Error> {
        let payload = self.caller().lend(Operation::GenericPayload, &id, |caller| caller.open_payload(id))?;
        Ok(lend(&payload).await)
    }

    /// A page of the tokens, in the order of their ids: a walk over all pages misses no token that was there when it began.
    /// It costs as much as it passes over: tokens that have expired and wait for a sweep.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.limit`: not 1 to 100; at `$.type_id`: the vault has no such type. `CORRUPT`: the message names
    /// a damaged token; go on behind it with [`Page::after`]. `STORE_FAILURE`, `UNAVAILABLE`.
    ///
    /// ```
    /// # use tokenvault::{CreateGeneric, KeyManager, Page, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// # for _ in 0..3 { vault.create_generic(CreateGeneric::new([("pin", "1234")])?)?; }
    /// let first = vault.list_generic(Page::first(2))?;
    /// let second = vault.list_generic(Page::first(2).after(first.data[1].id))?;
    /// assert_eq!((first.data.len(), second.data.len(), second.links.next), (2, 1, None));
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn list_generic(&self, page: Page) -> Result<Listing<GenericToken>, Error> {
        self.caller()
            .perform(Operation::ListGeneric, About::Nothing, |caller| caller.list(Kind::Generic, PATH, page, answer))
    }

    /// Changes labels and lifetime of a token, and gives its view. A lifetime counts from now. The payload stays, sealed anew.
    ///
    /// A request that asks for nothing changes nothing; any other is a change, whatever it is to.
    ///
    /// # Errors
    /// `NOT_FOUND`; `VALIDATION_ERROR`: card data where the vault wants none. `CONFLICT`: others changed it each time that this
    /// was tried. `CORRUPT`, `STORE_FAILURE`, `KEY_FAILURE`: nothing was changed. `UNAVAILABLE`: the vault is closed, or the
    /// outcome is unknown until it is reopened.
    ///
    /// ```
    /// # use tokenvault::{CreateGeneric, KeyManager, UpdateGeneric, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// # let token = vault.create_generic(CreateGeneric::new([("pin", "1234")])?.metadata([("order", "77")])?)?;
    /// let changed = vault.update_generic(token.id, UpdateGeneric::new().expires_in(60)?)?;
    /// assert!(changed.expires_at.is_some());
    /// assert_eq!(changed.metadata, token.metadata);
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "a request is used up, as everywhere")]
    pub fn update_generic(&self, id: TokenId, request: UpdateGeneric) -> Result<GenericToken, Error> {
        self.caller().perform(Operation::UpdateGeneric, About::Id(&id), |caller| {
            let UpdateGeneric { extras } = &request;
            caller.demands().metadata(extras.metadata.set()).finish()?;
            if request.is_empty() {
                return caller.view(Kind::Generic, id.into(), answer);
            }
            let now = caller.now();
            caller.change(Kind::Generic, id.into(), |standing| {
                let damaged = |_| damaged(id.into());
                let mut view = record::generic_view(&standing.viewed.view).map_err(damaged)?;
                let payload = record::payload(standing.open_secret(caller)?).map_err(damaged)?;
                view.metadata = extras.metadata.of(view.metadata);
                let expires_at = deadline(&extras.lifetime, now, standing.viewed.header.expires_at);
                let sealed = standing.reseal(caller, expires_at, |header| Draft::generic(header, &view, &payload))?;
                let sealed = sealed.of_type(view.type_id);
                let token = token(sealed.id, &sealed.header, view);
                Ok((sealed, token))
            })
        })
    }

    /// Removes a token and every trace of it from every index. A second delete is `NOT_FOUND`.
    ///
    /// What the storage engine keeps of the sealed record in dead pages is unreadable only once its key is gone.
    ///
    /// # Errors
    /// `NOT_FOUND`, `CONFLICT`, `CORRUPT`, `STORE_FAILURE`, `UNAVAILABLE`.
    ///
    /// ```
    /// # use tokenvault::{CreateGeneric, ErrorKind, KeyManager, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// # let token = vault.create_generic(CreateGeneric::new([("pin", "1234")])?)?;
    /// vault.delete_generic(token.id)?;
    /// assert_eq!(vault.generic(token.id).unwrap_err().kind(), ErrorKind::NotFound);
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn delete_generic(&self, id: TokenId) -> Result<(), Error> {
        self.caller()
            .perform(Operation::DeleteGeneric, About::Id(&id), |caller| caller.delete(Kind::Generic, id.into()))
    }
}

impl Caller<'_> {
    fn open_payload(&self, id: TokenId) -> Result<Payload, Error> {
        record::payload(self.reveal(Kind::Generic, id.into())?).map_err(|_| damaged(id.into()))
    }
}

/// What a request lays claim to, and what makes a token of it.
fn prepare(caller: &Caller<'_>, mut request: CreateGeneric) -> Result<(Option<Claim>, GenericCreation), Error> {
    let schema = request.type_id.map(|type_id| caller.schema(type_id)).transpose();
    let (demands, schema) = caller.demands().judged(schema)?;
    let demands = demands.payload(&request.payload).schema(schema.flatten().as_deref(), &request.payload);
    demands.metadata(request.extras.metadata.as_ref()).finish()?;
    let claim = caller.claim(Keyed::CreateGeneric, request.extras.idempotency.take(), &request);
    let CreateGeneric { payload, type_id, extras } = request;
    let view = GenericView { type_id, metadata: extras.metadata };
    Ok((claim, GenericCreation { payload, view, lifetime: extras.lifetime, was_planned: false }))
}

/// A generic token to be.
struct GenericCreation {
    payload: Payload,
    view: GenericView,
    lifetime: Option<Lifetime>,
    was_planned: bool,
}

impl Creation for GenericCreation {
    type Answer = GenericToken;

    fn plan(&mut self, caller: &Caller<'_>) -> Result<Plan, Error> {
        let was_planned = std::mem::replace(&mut self.was_planned, true);
        let mut beside = Batch::new();
        if let Some(type_id) = self.view.type_id {
            if was_planned {
                // Its type may have gone meanwhile; what is known of it is then out of date.
                caller.types.forget(type_id);
                caller.schema(type_id)?;
            }
            // The type stands as long as its own row does: so that is the condition.
            beside = beside.require_value(Table::TypeUse, *type_id.as_bytes(), []);
        }
        let draft = |header: &Header| Draft::generic(header, &self.view, &self.payload);
        let sealed = caller.seal((Kind::Generic, caller.owner()), self.lifetime, draft)?.of_type(self.view.type_id);
        Ok(Plan::of(Deed::Make(sealed), beside))
    }

    fn made(self, _: &Caller<'_>, id: Uuid, header: &Header) -> Result<GenericToken, Error> {
        Ok(token(id, header, self.view))
    }

    fn found(self, _: &Caller<'_>, viewed: &Viewed) -> Result<GenericToken, Error> {
        answer(viewed).map_err(|_| damaged(viewed.id))
    }
}

fn id_of(token: &GenericToken) -> &dyn Display {
    &token.id
}

fn answer(viewed: &Viewed) -> Result<GenericToken, Malformed> {
    Ok(token(viewed.id, &viewed.header, record::generic_view(&viewed.view)?))
}

/// Words the view of a token.
fn token(id: Uuid, header: &Header, view: GenericView) -> GenericToken {
    GenericToken {
        id: id.into(),
        created_at: header.created_at.to_datetime(),
        expires_at: header.expires_at.map(Timestamp::to_datetime),
        metadata: view.metadata,
    }
}
