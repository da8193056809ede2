//! API tokens of accounts: made, viewed, listed, changed, enabled, disabled, deleted.

use std::slice::from_ref;
use std::sync::Arc;

use uuid::Uuid;

use crate::access::{ApiTokenStatus, Operation, Scopes};
use crate::clock::Timestamp;
use crate::error::{Error, Violation};
use crate::id::ApiTokenId;
use crate::random;
use crate::record::{self, ApiTokenView, Draft, Header, Kind, ModuleView};
use crate::request::{ApiTokenQuery, CreateApiToken, UpdateApiToken};
use crate::response::{
    ApiToken, ApiTokenListing, Audit, AuditedAt, CredentialSecret, EventReason, Omissions, Pagination,
};
use crate::store::{Batch, Committed, Table};
use crate::vault::access::registry::{account_answer, module_answer};
use crate::vault::access::{Live, made_before};
use crate::vault::caller::{About, Caller};
use crate::vault::creation::{Creation, Deed, Plan};
use crate::vault::event::Change;
use crate::vault::listing::{BEHIND_EVERY_ID, behind, id_of};
use crate::vault::replay::Keyed;
use crate::vault::rows::{owned_id, owned_of};
use crate::vault::standing::{Viewed, damaged};
use crate::vault::{Authority, Shared, Vault};

/// Where the publication has them.
pub(in crate::vault) const PATH: &str = "/public/v1/accounts/api-tokens";

/// How many are read at a time, or written.
const BATCH: usize = 128;

impl<A: Authority> Vault<A> {
    /// Makes an API token of an account. The answer is the only one that has its secret. On return it survives power loss.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.account.id` and `$.modules[n].id`: there is no such account or module. `CONFLICT`, also for a
    /// second request under its idempotency key: the secret is not shown twice. `STORE_FAILURE`, `KEY_FAILURE`, `CORRUPT`,
    /// `UNAVAILABLE`.
    ///
    /// ```
    /// # use tokenvault::{CreateApiToken, DefineAccount, DefineModule, KeyManager, Scope, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// vault.define_account(DefineAccount::new("ACC-9042", "Corner shop")?)?;
    /// vault.define_module(DefineModule::new("MOD-1", "Checkout", "Takes cards", [Scope::PciTokensCreate])?)?;
    /// let made = vault.create_api_token(CreateApiToken::new("ACC-9042", "Till", ["MOD-1"])?)?;
    /// assert!(vault.authenticate(made.token.unwrap().expose()).is_ok());
    /// assert!(vault.api_token(made.id)?.token.is_none());
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn create_api_token(&self, request: CreateApiToken) -> Result<ApiToken, Error> {
        self.caller().perform(Operation::CreateApiToken, About::Answer(|made: &ApiToken| &made.id), |caller| {
            caller.create_api_token(request)
        })
    }

    /// An API token, without its secret.
    ///
    /// # Errors
    /// `NOT_FOUND`, `CORRUPT`, `STORE_FAILURE`, `UNAVAILABLE`.
    pub fn api_token(&self, id: ApiTokenId) -> Result<ApiToken, Error> {
        self.caller().perform(Operation::ViewApiToken, About::Id(&id), |caller| caller.api_token(id))
    }

    /// A page of the API tokens, in the order of their ids.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.limit`, `CORRUPT`, `STORE_FAILURE`, `UNAVAILABLE`.
    pub fn list_api_tokens(&self, query: &ApiTokenQuery) -> Result<ApiTokenListing, Error> {
        self.caller().perform(Operation::ListApiTokens, About::Nothing, |caller| caller.list_api_tokens(query))
    }

    /// Changes what an update says, and nothing else. Whoever uses the token is held to it from the next call on.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.modules[n].id`, `NOT_FOUND`, `CONFLICT`: it was deleted; `CORRUPT`, `STORE_FAILURE`,
    /// `KEY_FAILURE`, `UNAVAILABLE`.
    pub fn update_api_token(&self, id: ApiTokenId, update: &UpdateApiToken) -> Result<ApiToken, Error> {
        self.caller().perform(Operation::UpdateApiToken, About::Id(&id), |caller| caller.update_api_token(id, update))
    }

    /// Makes a disabled token good again. Of one that is good it changes nothing.
    ///
    /// # Errors
    /// `NOT_FOUND`, `CONFLICT`: it was deleted; `CORRUPT`, `STORE_FAILURE`, `KEY_FAILURE`, `UNAVAILABLE`.
    pub fn enable_api_token(&self, id: ApiTokenId) -> Result<ApiToken, Error> {
        self.caller()
            .perform(Operation::EnableApiToken, About::Id(&id), |caller| caller.set_status(id, ApiTokenStatus::Active))
    }

    /// Lets a token be refused, from the next call on. Of one that is disabled it changes nothing.
    ///
    /// # Errors
    /// `NOT_FOUND`, `CONFLICT`: it was deleted; `CORRUPT`, `STORE_FAILURE`, `KEY_FAILURE`, `UNAVAILABLE`.
    pub fn disable_api_token(&self, id: ApiTokenId) -> Result<ApiToken, Error> {
        self.caller().perform(Operation::DisableApiToken, About::Id(&id), |caller| {
            caller.set_status(id, ApiTokenStatus::Disabled)
        })
    }

    /// Lets a token be refused for ever. Only root sees it from here on. Of one that is deleted it changes nothing.
    ///
    /// # Errors
    /// `NOT_FOUND`, `CORRUPT`, `STORE_FAILURE`, `KEY_FAILURE`, `UNAVAILABLE`.
    pub fn delete_api_token(&self, id: ApiTokenId) -> Result<ApiToken, Error> {
        self.caller()
            .perform(Operation::DeleteApiToken, About::Id(&id), |caller| caller.set_status(id, ApiTokenStatus::Deleted))
    }
}

impl Caller<'_> {
    fn create_api_token(&self, mut request: CreateApiToken) -> Result<ApiToken, Error> {
        let claim = self.claim(Keyed::CreateApiToken, request.idempotency.take(), &request);
        self.create(claim, ApiTokenCreation { request, made: None })
    }

    fn api_token(&self, id: ApiTokenId) -> Result<ApiToken, Error> {
        let viewed = self.viewed(Kind::ApiToken, id.into())?;
        let view = record::api_token_view(&viewed.view).map_err(|_| damaged(viewed.id))?;
        self.check_shown(&view)?;
        self.word_token(id, &viewed.header, view, None)
    }

    fn list_api_tokens(&self, query: &ApiTokenQuery) -> Result<ApiTokenListing, Error> {
        let (offset, limit) = query.page()?;
        self.check_open()?;
        let (mut total, mut ids, mut from) = (0, Vec::new(), Vec::new());
        let owner = self.owner_meant(query)?;
        while let Some(found) = owner.map(|owner| self.some_of(owner, &from)).transpose()? {
            let Some((last, _)) = found.last() else { break };
            from = behind(*last);
            for (id, known) in found {
                if self.is_asked_for(query, id, known)? {
                    total += 1;
                    if total > offset && ids.len() < limit {
                        ids.push(id);
                    }
                }
            }
        }
        let mut data = Vec::with_capacity(ids.len());
        for id in ids {
            let viewed = self.any_viewed(Kind::ApiToken, id)?;
            let view = record::api_token_view(&viewed.view).map_err(|_| damaged(id))?;
            // The row of an index is not proved, and whose token it is never changes.
            if owner.is_some_and(|owner| owner != 0 && owner != viewed.header.owner) {
                return Err(damaged(id));
            }
            // It may have been changed since.
            if self.is_meant(query, view.status) {
                let id = ApiTokenId::of(id).ok_or_else(|| damaged(id))?;
                data.push(self.word_token(id, &viewed.header, view, None)?);
            }
        }
        Ok(ApiTokenListing::new(data, Pagination::new(offset, limit, total)))
    }

    /// The account whose tokens are asked for, 0 for all; `None` if there is no such account for the caller.
    fn owner_meant(&self, query: &ApiTokenQuery) -> Result<Option<u32>, Error> {
        let Some(name) = &query.account else { return Ok(Some(self.owner())) };
        let account = self.account(name)?.map(|(number, _)| number);
        Ok(account.filter(|number| self.sees(*number)))
    }

    /// The next tokens of an account, or of all, from the key `from` on.
    fn some_of(&self, owner: u32, from: &[u8]) -> Result<Vec<(Uuid, Known)>, Error> {
        if owner == 0 {
            let entries = self.store.scan(Table::ApiToken, from, &BEHIND_EVERY_ID, BATCH)?;
            return entries.into_iter().map(|(key, record)| Ok((id_of(&key)?, Known::Record(record)))).collect();
        }
        let (from, to) = owned_of(owner, Kind::ApiToken, from);
        let rows = self.store.scan(Table::Owned, &from, &to, BATCH)?;
        let known = |row: Vec<u8>, value: Vec<u8>| {
            let status = value.first().copied().and_then(ApiTokenStatus::from_byte);
            let status = status.ok_or_else(|| Error::corrupt("a row in the store has no status"))?;
            Ok((owned_id(&row)?, Known::Status(status)))
        };
        rows.into_iter().map(|(row, value)| known(row, value)).collect()
    }

    /// Whether a query asks for a token. Most are counted without a look at their records.
    fn is_asked_for(&self, query: &ApiTokenQuery, id: Uuid, known: Known) -> Result<bool, Error> {
        let status = match known {
            Known::Status(status) => status,
            Known::Record(_) if query.status.is_none() && self.is_root() => return Ok(true),
            Known::Record(record) => {
                let viewed = self.open_view(Kind::ApiToken, id, record)?;
                record::api_token_view(&viewed.view).map_err(|_| damaged(id))?.status
            }
        };
        Ok(self.is_meant(query, status))
    }

    fn is_meant(&self, query: &ApiTokenQuery, status: ApiTokenStatus) -> bool {
        self.is_shown(status) && query.status.is_none_or(|wanted| wanted == status)
    }

    fn update_api_token(&self, id: ApiTokenId, update: &UpdateApiToken) -> Result<ApiToken, Error> {
        let names = update.modules.as_deref();
        self.change_token(
            id,
            || names.map(|names| self.modules_of(names)).transpose(),
            |view, modules| {
                if view.status == ApiTokenStatus::Deleted {
                    return Err(deleted());
                }
                if let Some(name) = &update.name {
                    view.name.clone_from(name);
                }
                view.icon = update.icon.of(view.icon.take());
                view.description = update.description.of(view.description.take());
                if let Some(modules) = modules {
                    view.modules = modules.iter().map(|(place, _)| *place).collect();
                }
                Ok(())
            },
        )
    }

    fn set_status(&self, id: ApiTokenId, status: ApiTokenStatus) -> Result<ApiToken, Error> {
        self.change_token(
            id,
            || Ok(None),
            |view, _| {
                if view.status == ApiTokenStatus::Deleted && status != ApiTokenStatus::Deleted {
                    return Err(deleted());
                }
                view.status = status;
                Ok(())
            },
        )
    }

    /// Changes a token whose scopes, before and after, the caller has. The modules that it is given are looked up first.
    fn change_token(
        &self,
        id: ApiTokenId,
        modules: impl Fn() -> Result<Option<FoundModules>, Error>,
        change: impl Fn(&mut ApiTokenView, Option<&[(Uuid, ModuleView)]>) -> Result<(), Error>,
    ) -> Result<ApiToken, Error> {
        let done = self.until_settled(|| {
            let own = self.while_good(Batch::new())?;
            let (modules, beside) = modules()?.map_or((None, Batch::new()), |(found, beside)| (Some(found), beside));
            let old = self.standing(Kind::ApiToken, id.into())?;
            let before = record::api_token_view(&old.viewed.view).map_err(|_| damaged(id.into()))?;
            self.check_shown(&before)?;
            let beside = self.grantable(&before.modules, own.join(beside))?;
            let mut view = before.clone();
            change(&mut view, modules.as_deref())?;
            if view == before {
                return Ok(Some((old.viewed.header, before, false)));
            }
            let beside = self.grantable(&view.modules, beside)?;
            view.updated_at = self.now();
            view.updated_by = self.by();
            view.last_access = self.credentials.last_access(id.into()).max(view.last_access);
            let mut sealed = old.reseal(self, None, |header| Draft::api_token(header, &view))?;
            let header = sealed.header;
            self.commit_for(sealed.put_in_place_of(old, beside), (header, view, true))
        });
        self.credentials.may_be_changed(&done);
        let (header, view, is_changed) = done?;
        if is_changed {
            let change = if view.status == ApiTokenStatus::Deleted { Change::Deleted } else { Change::Updated };
            self.tell(Kind::ApiToken, id.into(), change, EventReason::Request);
        }
        self.word_token(id, &header, view, None)
    }

    /// Whether the caller sees a token of this status: only root sees a deleted one.
    fn is_shown(&self, status: ApiTokenStatus) -> bool {
        status != ApiTokenStatus::Deleted || self.is_root()
    }

    fn check_shown(&self, view: &ApiTokenView) -> Result<(), Error> {
        if self.is_shown(view.status) { Ok(()) } else { Err(Error::not_found()) }
    }

    /// Where modules of these names stand and what they are, and the conditions that they stay so.
    fn modules_of(&self, names: &[Box<str>]) -> Result<FoundModules, Error> {
        let (mut found, mut unknown, mut beside) = (Vec::new(), Vec::new(), Batch::new());
        for (at, name) in names.iter().enumerate() {
            let place = self.place(Kind::Module, name)?;
            match self.registered(Kind::Module, place)? {
                Some(module) => {
                    beside = module.require_in(beside);
                    let view = record::module_view(&module.viewed.view).map_err(|_| damaged(place))?;
                    found.push((place, view));
                }
                None => unknown.push(Violation::new(format!("$.modules[{at}].id"), "unknown module")),
            }
        }
        if unknown.is_empty() { Ok((found, beside)) } else { Err(Error::validation(unknown, 0)) }
    }

    /// Words a token, with its account and its modules as they are now.
    fn word_token(
        &self,
        id: ApiTokenId,
        header: &Header,
        view: ApiTokenView,
        secret: Option<CredentialSecret>,
    ) -> Result<ApiToken, Error> {
        let modules = view.modules.iter().map(|place| {
            let module = self.registered(Kind::Module, *place)?.ok_or_else(|| damaged(*place))?;
            let module = record::module_view(&module.viewed.view).map_err(|_| damaged(*place))?;
            module_answer(&module).ok_or_else(|| damaged(*place))
        });
        let modules = modules.collect::<Result<_, Error>>()?;
        let account = self.registered(Kind::Account, view.account)?.ok_or_else(|| damaged(view.account))?;
        let account = record::account_view(&account.viewed.view).map_err(|_| damaged(view.account))?;
        let last_access = self.credentials.last_access(id.into()).max(view.last_access);
        let text = |text: Option<Box<str>>| text.map(Into::into);
        let omitted = if secret.is_some() { Vec::new() } else { vec!["token".to_owned()] };
        Ok(ApiToken {
            id,
            audit: Audit {
                created: AuditedAt::new(header.created_at.to_datetime(), view.created_by),
                updated: AuditedAt::new(view.updated_at.to_datetime(), view.updated_by),
            },
            meta: Omissions { omitted },
            status: view.status,
            name: view.name.into(),
            description: text(view.description),
            icon: text(view.icon),
            last_access_at: last_access.map(Timestamp::to_datetime),
            token: secret,
            account: account_answer(account),
            modules,
        })
    }
}

/// What a walk over tokens has at hand of one.
enum Known {
    /// What the index says.
    Status(ApiTokenStatus),
    /// The record as it is stored.
    Record(Vec<u8>),
}

/// Modules where they stand, and the conditions that they stay so.
type FoundModules = (Vec<(Uuid, ModuleView)>, Batch);

impl Shared {
    /// Writes when tokens were last used into their records, which says nothing else of a change.
    pub(in crate::vault) fn keep_accesses(&self) -> Result<(), Error> {
        self.credentials.used().chunks(BATCH).try_for_each(|used| match self.keep_some(used)? {
            Committed::Applied => Ok(()),
            // Whoever has got ahead of one of them has written the same for that.
            Committed::Refused { .. } => used.iter().try_for_each(|one| self.keep_some(from_ref(one)).map(drop)),
        })
    }

    fn keep_some(&self, used: &[(Arc<Live>, Timestamp)]) -> Result<Committed, Error> {
        let mut batch = Batch::new();
        for (live, at) in used {
            let id = &live.id;
            let Some(record) = self.store.get(Table::ApiToken, id.as_bytes())? else { continue };
            // What is damaged is told to whoever asks for it, and stands in the way of nobody else.
            let Ok(old) = self.open_standing(Kind::ApiToken, *id, record) else { continue };
            let Ok(view) = record::api_token_view(&old.viewed.view) else { continue };
            if view.last_access < Some(*at) {
                let view = ApiTokenView { last_access: Some(*at), ..view };
                let mut sealed =
                    self.seal_as(Some(*id), old.viewed.header, |header| Draft::api_token(header, &view))?;
                batch = sealed.put_in_place_of(old, batch);
            }
        }
        let done = if batch.is_empty() { Committed::Applied } else { self.store.commit(batch)? };
        if done == Committed::Applied {
            for (live, at) in used {
                live.has_kept(*at);
            }
        }
        Ok(done)
    }
}

/// An API token to be.
struct ApiTokenCreation {
    request: CreateApiToken,
    /// Of the last plan.
    made: Option<(ApiTokenView, CredentialSecret)>,
}

impl Creation for ApiTokenCreation {
    type Answer = ApiToken;

    fn plan(&mut self, caller: &Caller<'_>) -> Result<Plan, Error> {
        let own = caller.while_good(Batch::new())?;
        let request = &self.request;
        let found = caller.modules_of(&request.modules);
        let account = caller.account_of(Some(&request.account));
        let ((modules, conditions), (owner, beside)) = match (account, found) {
            (Ok(account), Ok(modules)) => (modules, account),
            (Err(account), Err(modules)) => return Err(account.and(modules)),
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        let scopes = modules.iter().fold(Scopes::default(), |scopes, (_, module)| scopes.union(module.scopes));
        caller.require_all(scopes)?;
        let mut fresh = [0; 8];
        random::fill(&mut fresh)?;
        let id = ApiTokenId::from_random(fresh);
        let (secret, hash) = caller.fresh_secret(&format!("idt:{id}:"))?;
        let (created_at, by) = (caller.now(), caller.by());
        let view = ApiTokenView {
            secret: hash,
            status: ApiTokenStatus::Active,
            account: caller.place(Kind::Account, &request.account)?,
            name: request.name.clone(),
            icon: request.icon.clone(),
            description: request.description.clone(),
            modules: modules.into_iter().map(|(place, _)| place).collect(),
            created_by: by.clone(),
            updated_at: created_at,
            updated_by: by,
            last_access: None,
        };
        let header = Header::first(Kind::ApiToken, created_at, None).owned_by(owner);
        let sealed = caller.seal_as(Some(id.into()), header, |header| Draft::api_token(header, &view))?;
        self.made = Some((view, secret));
        Ok(Plan::of(Deed::Make(sealed), own.join(beside).join(conditions)))
    }

    fn made(self, caller: &Caller<'_>, id: Uuid, header: &Header) -> Result<ApiToken, Error> {
        let (view, secret) = self.made.ok_or_else(|| damaged(id))?;
        caller.word_token(ApiTokenId::of(id).ok_or_else(|| damaged(id))?, header, view, Some(secret))
    }

    fn found(self, _: &Caller<'_>, viewed: &Viewed) -> Result<ApiToken, Error> {
        Err(made_before(&ApiTokenId::of(viewed.id).ok_or_else(|| damaged(viewed.id))?))
    }
}

fn deleted() -> Error {
    Error::conflict("the API token was deleted")
}
