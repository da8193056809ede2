//! API keys: made, viewed, listed, changed, removed.

use uuid::Uuid;

use crate::access::Operation;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::ApiKeyId;
use crate::record::{self, ApiKeyView, Draft, Header, Kind, Malformed};
use crate::request::{CreateApiKey, Page, UpdateApiKey};
use crate::response::{ApiKey, CreatedApiKey, CredentialSecret, EventReason, Listing};
use crate::store::Batch;
use crate::vault::access::made_before;
use crate::vault::caller::{About, Caller};
use crate::vault::creation::{Creation, Deed, Plan};
use crate::vault::event::Change;
use crate::vault::replay::Keyed;
use crate::vault::standing::{Standing, Viewed, damaged};
use crate::vault::{Authority, Vault};

/// Where lists of them go on, for `links.next`.
pub(in crate::vault) const PATH: &str = "/api/admin/api-keys";

/// What leads the secret of an API key.
const PREFIX: &str = "key_";
/// How much of the secret is shown.
const SHOWN: usize = 7;

impl<A: Authority> Vault<A> {
    /// Makes an API key. The answer is the only one that has its secret. On return the key survives power loss.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.account.id`: there is no such account. `CONFLICT`, also for a second request under its idempotency
    /// key: the secret is not shown twice. `STORE_FAILURE`, `KEY_FAILURE`, `CORRUPT`, `UNAVAILABLE`.
    ///
    /// ```
    /// # use tokenvault::{CreateApiKey, KeyManager, Scope, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let key = vault.create_api_key(CreateApiKey::new([Scope::GenericTokensRead])?)?;
    /// let client = vault.authenticate(key.key_value.expose())?;
    /// # drop(client);
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn create_api_key(&self, request: CreateApiKey) -> Result<CreatedApiKey, Error> {
        self.caller().perform(Operation::CreateApiKey, About::Answer(|made: &CreatedApiKey| &made.id), |caller| {
            caller.create_api_key(request)
        })
    }

    /// An API key, with its secret masked.
    ///
    /// # Errors
    /// `NOT_FOUND`, `CORRUPT`, `STORE_FAILURE`, `UNAVAILABLE`.
    pub fn api_key(&self, id: ApiKeyId) -> Result<ApiKey, Error> {
        self.caller()
            .perform(Operation::ViewApiKey, About::Id(&id), |caller| caller.view(Kind::ApiKey, id.into(), answer))
    }

    /// A page of the API keys, in the order of their ids.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.limit`, `CORRUPT`, `STORE_FAILURE`, `UNAVAILABLE`.
    pub fn list_api_keys(&self, page: Page) -> Result<Listing<ApiKey>, Error> {
        self.caller()
            .perform(Operation::ListApiKeys, About::Nothing, |caller| caller.list(Kind::ApiKey, PATH, page, answer))
    }

    /// Gives an API key other scopes. Whoever uses it is held to them from the next call on.
    ///
    /// # Errors
    /// `NOT_FOUND`, `CONFLICT`, `CORRUPT`, `STORE_FAILURE`, `KEY_FAILURE`, `UNAVAILABLE`.
    pub fn update_api_key(&self, id: ApiKeyId, update: &UpdateApiKey) -> Result<ApiKey, Error> {
        self.caller().perform(Operation::UpdateApiKey, About::Id(&id), |caller| caller.update_api_key(id, update))
    }

    /// Removes an API key. Whoever uses it is refused from the next call on.
    ///
    /// # Errors
    /// `NOT_FOUND`, also of a second delete; `CONFLICT`, `CORRUPT`, `STORE_FAILURE`, `UNAVAILABLE`.
    pub fn delete_api_key(&self, id: ApiKeyId) -> Result<(), Error> {
        self.caller().perform(Operation::DeleteApiKey, About::Id(&id), |caller| caller.delete_api_key(id))
    }
}

impl Caller<'_> {
    fn create_api_key(&self, mut request: CreateApiKey) -> Result<CreatedApiKey, Error> {
        self.require_all(request.scopes)?;
        let claim = self.claim(Keyed::CreateApiKey, request.idempotency.take(), &request);
        self.create(claim, ApiKeyCreation { request, secret: None })
    }

    fn update_api_key(&self, id: ApiKeyId, update: &UpdateApiKey) -> Result<ApiKey, Error> {
        let done = self.until_settled(|| {
            let own = self.while_good(Batch::new())?;
            self.require_all(update.scopes)?;
            let (old, view) = self.changeable(id)?;
            let view = ApiKeyView { scopes: update.scopes, ..view };
            let mut sealed = old.reseal(self, old.viewed.header.expires_at, |header| Draft::api_key(header, &view))?;
            let header = sealed.header;
            self.commit_for(sealed.put_in_place_of(old, own), (header, view))
        });
        self.credentials.may_be_changed(&done);
        let (header, view) = done?;
        self.tell(Kind::ApiKey, id.into(), Change::Updated, EventReason::Request);
        Ok(word(id.into(), &header, &view))
    }

    fn delete_api_key(&self, id: ApiKeyId) -> Result<(), Error> {
        let done = self.until_settled(|| {
            let own = self.while_good(Batch::new())?;
            let (old, _) = self.changeable(id)?;
            self.commit_for(old.remove_from(own), ())
        });
        self.credentials.may_be_changed(&done);
        done?;
        self.tell(Kind::ApiKey, id.into(), Change::Deleted, EventReason::Request);
        Ok(())
    }

    /// A key whose scopes the caller has.
    fn changeable(&self, id: ApiKeyId) -> Result<(Standing, ApiKeyView), Error> {
        let key = self.standing(Kind::ApiKey, id.into())?;
        let view = record::api_key_view(&key.viewed.view).map_err(|_| damaged(id.into()))?;
        self.require_all(view.scopes)?;
        Ok((key, view))
    }
}

/// An API key to be.
struct ApiKeyCreation {
    request: CreateApiKey,
    /// Of the last plan.
    secret: Option<CredentialSecret>,
}

impl Creation for ApiKeyCreation {
    type Answer = CreatedApiKey;

    fn plan(&mut self, caller: &Caller<'_>) -> Result<Plan, Error> {
        let own = caller.while_good(Batch::new())?;
        caller.require_all(self.request.scopes)?;
        let (owner, beside) = caller.account_of(self.request.account.as_deref())?;
        let (secret, hash) = caller.fresh_secret(PREFIX)?;
        let view = ApiKeyView {
            secret: hash,
            shown: secret.expose().get(..SHOWN).unwrap_or_default().into(),
            scopes: self.request.scopes,
            created_by: caller.by(),
        };
        let created_at = caller.now();
        let expires_at = self.request.lifetime.map(|seconds| created_at.plus_seconds(seconds));
        let header = Header::first(Kind::ApiKey, created_at, expires_at).owned_by(owner);
        let sealed = caller.seal_as(None, header, |header| Draft::api_key(header, &view))?;
        self.secret = Some(secret);
        Ok(Plan::of(Deed::Make(sealed), own.join(beside)))
    }

    fn made(self, _: &Caller<'_>, id: Uuid, header: &Header) -> Result<CreatedApiKey, Error> {
        Ok(CreatedApiKey {
            id: id.into(),
            created_at: header.created_at.to_datetime(),
            expires_at: header.expires_at.map(Timestamp::to_datetime),
            key_value: self.secret.ok_or_else(|| damaged(id))?,
            scopes: self.request.scopes,
        })
    }

    fn found(self, _: &Caller<'_>, viewed: &Viewed) -> Result<CreatedApiKey, Error> {
        Err(made_before(&viewed.id))
    }
}

fn answer(viewed: &Viewed) -> Result<ApiKey, Malformed> {
    Ok(word(viewed.id, &viewed.header, &record::api_key_view(&viewed.view)?))
}

fn word(id: Uuid, header: &Header, view: &ApiKeyView) -> ApiKey {
    ApiKey {
        id: id.into(),
        created_at: header.created_at.to_datetime(),
        expires_at: header.expires_at.map(Timestamp::to_datetime),
        masked_key_value: format!("{}xxxx", view.shown),
        scopes: view.scopes,
    }
}
