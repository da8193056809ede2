//! API keys: made, viewed, listed, changed, removed.

use uuid::Uuid;

use crate::access::{Operation, Scopes};
use crate::error::{Error, Rule};
use crate::id::ApiKeyId;
use crate::record::{self, ApiKeyView, Draft, Header, Kind, Malformed, SecretHash};
use crate::request::{CreateApiKey, Page, UpdateApiKey};
use crate::response::{ApiKey, CreatedApiKey, CredentialSecret, EventReason, Listing};
use crate::store::Batch;
use crate::vault::Vault;
use crate::vault::access::secret;
use crate::vault::caller::{About, Caller};
use crate::vault::creation::{Creation, Deed, Plan};
use crate::vault::standing::{Viewed, damaged};
use crate::vault::event::Change;

/// Where lists of them go on, for `links.next`.
pub(in crate::vault) const PATH: &str = "/api/admin/api-keys";

/// What leads the secret of an API key.
const PREFIX: &str = "key_";
/// How much of the secret is shown.
const SHOWN: usize = 7;

pub(super) const UNKNOWN_ACCOUNT: Rule = Rule("unknown account");

impl Vault {
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
        self.caller().create_api_key(request)
    }

    /// An API key, with its secret masked.
    ///
    /// # Errors
    /// `NOT_FOUND`, `CORRUPT`, `STORE_FAILURE`, `UNAVAILABLE`.
    pub fn api_key(&self, id: ApiKeyId) -> Result<ApiKey, Error> {
        self.caller().api_key(id)
    }

    /// A page of the API keys, in the order of their ids.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.limit`, `CORRUPT`, `STORE_FAILURE`, `UNAVAILABLE`.
    pub fn list_api_keys(&self, page: Page) -> Result<Listing<ApiKey>, Error> {
        self.caller().list_api_keys(page)
    }

    /// Gives an API key other scopes. Whoever uses it is held to them from the next call on.
    ///
    /// # Errors
    /// `NOT_FOUND`, `CONFLICT`, `CORRUPT`, `STORE_FAILURE`, `KEY_FAILURE`, `UNAVAILABLE`.
    pub fn update_api_key(&self, id: ApiKeyId, update: &UpdateApiKey) -> Result<ApiKey, Error> {
        self.caller().update_api_key(id, update)
    }

    /// Removes an API key. Whoever uses it is refused from the next call on.
    ///
    /// # Errors
    /// `NOT_FOUND`, also of a second delete; `CONFLICT`, `CORRUPT`, `STORE_FAILURE`, `UNAVAILABLE`.
    pub fn delete_api_key(&self, id: ApiKeyId) -> Result<(), Error> {
        self.caller().delete_api_key(id)
    }
}

impl Caller<'_> {
    pub(in crate::vault) fn create_api_key(&self, request: CreateApiKey) -> Result<CreatedApiKey, Error> {
        self.perform(Operation::CreateApiKey, About::Answer(|made: &CreatedApiKey| made.id.into()), |caller| {
            caller.require_all(request.scopes)?;
            let claim = caller.claim(crate::vault::replay::Operation::CreateApiKey, request.idempotency.as_ref(), &request);
            caller.create(claim, ApiKeyCreation { request, secret: None })
        })
    }

    pub(in crate::vault) fn api_key(&self, id: ApiKeyId) -> Result<ApiKey, Error> {
        self.perform(Operation::ViewApiKey, About::Id(id.into()), |caller| caller.view(Kind::ApiKey, id.into(), answer))
    }

    pub(in crate::vault) fn list_api_keys(&self, page: Page) -> Result<Listing<ApiKey>, Error> {
        self.perform(Operation::ListApiKeys, About::Nothing, |caller| caller.list(Kind::ApiKey, PATH, page, answer))
    }

    pub(in crate::vault) fn update_api_key(&self, id: ApiKeyId, update: &UpdateApiKey) -> Result<ApiKey, Error> {
        self.perform(Operation::UpdateApiKey, About::Id(id.into()), |caller| {
            let changed = caller.until_settled(|| {
                let old = caller.standing(Kind::ApiKey, id.into())?;
                let view = record::api_key_view(&old.viewed.view).map_err(|_| damaged(id.into()))?;
                caller.require_all(view.scopes.union(update.scopes))?;
                let view = ApiKeyView { scopes: update.scopes, ..view };
                let expires_at = old.viewed.header.expires_at;
                let mut sealed = old.reseal(caller, expires_at, |header| Draft::api_key(header, &view))?;
                let header = sealed.header;
                caller.commit_for(sealed.put_in_place_of(old, Batch::new()), (header, view))
            })?;
            caller.credentials.changed();
            caller.tell(Kind::ApiKey, id.into(), Change::Updated, EventReason::Request);
            Ok(word(id.into(), &changed.0, &changed.1))
        })
    }

    pub(in crate::vault) fn delete_api_key(&self, id: ApiKeyId) -> Result<(), Error> {
        self.perform(Operation::DeleteApiKey, About::Id(id.into()), |caller| {
            caller.until_settled(|| {
                let old = caller.standing(Kind::ApiKey, id.into())?;
                let view = record::api_key_view(&old.viewed.view).map_err(|_| damaged(id.into()))?;
                caller.require_all(view.scopes)?;
                caller.commit_for(old.remove_from(Batch::new()), ())
            })?;
            caller.credentials.changed();
            caller.tell(Kind::ApiKey, id.into(), Change::Deleted, EventReason::Request);
            Ok(())
        })
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
        let (owner, beside) = caller.account_of(self.request.account.as_deref())?;
        let (secret, hash) = secret::fresh(&caller.keys, PREFIX)?;
        let view = ApiKeyView {
            secret: hash,
            shown: secret.get(..SHOWN).unwrap_or_default().into(),
            scopes: self.request.scopes,
            created_by: caller.by(),
        };
        let created_at = caller.now();
        let expires_at = self.request.lifetime.map(|seconds| created_at.plus_seconds(seconds));
        let header = Header { owner, ..Header::first(Kind::ApiKey, created_at, expires_at) };
        let sealed = caller.seal_as(None, header, |header| Draft::api_key(header, &view))?;
        self.secret = Some(CredentialSecret::new(secret));
        Ok(Plan::of(Deed::Make(sealed), beside))
    }

    fn made(self, caller: &Caller<'_>, id: Uuid, header: &Header) -> Result<CreatedApiKey, Error> {
        caller.credentials.changed();
        Ok(CreatedApiKey {
            id: id.into(),
            created_at: header.created_at.to_datetime(),
            expires_at: header.expires_at.map(|at| at.to_datetime()),
            key_value: self.secret.ok_or_else(|| damaged(id))?,
            scopes: self.request.scopes,
        })
    }

    fn found(self, _: &Caller<'_>, viewed: &Viewed) -> Result<CreatedApiKey, Error> {
        Err(super::made_before(&viewed.id))
    }
}

fn answer(viewed: &Viewed) -> Result<ApiKey, Malformed> {
    Ok(word(viewed.id, &viewed.header, &record::api_key_view(&viewed.view)?))
}

fn word(id: Uuid, header: &Header, view: &ApiKeyView) -> ApiKey {
    ApiKey {
        id: id.into(),
        created_at: header.created_at.to_datetime(),
        expires_at: header.expires_at.map(|at| at.to_datetime()),
        masked_key_value: format!("{}xxxx", view.shown),
        scopes: view.scopes,
    }
}
