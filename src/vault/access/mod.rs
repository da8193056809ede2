//! Who else may do what: credentials, the accounts and modules that they name, and those who hold them.

mod api_key;
mod api_token;
mod audit;
mod live;
mod registry;

use std::fmt::Display;
use std::sync::Arc;

use uuid::Uuid;

pub use self::audit::{AuditEntry, AuditOutcome, AuditSink};
pub(super) use self::live::{Credentials, Live};
pub(super) use self::{api_key::PATH as API_KEYS, api_token::PATH as API_TOKENS};

use self::live::Grants;
use crate::access::{ApiTokenStatus, By, Operation, Scopes};
use crate::error::{Error, ErrorKind, Rule};
use crate::id::{ApiKeyId, ApiTokenId};
use crate::keys::CredentialKey;
use crate::record::{self, Kind, SecretHash};
use crate::response::CredentialSecret;
use crate::seal::same_hash;
use crate::store::{Batch, Table};
use crate::vault::authority::Holder;
use crate::vault::caller::Caller;
use crate::vault::rows::secret_key;
use crate::vault::standing::{Viewed, damaged};
use crate::vault::{Client, Shared, Vault};

/// The longest secret there is, of any kind: what is longer is none.
const LONGEST: usize = 128;

impl Vault {
    /// A handle for whoever knows the secret of an API key or an API token: it may do what the credential may. It costs less than a
    /// microsecond when the credential was seen before, so that every request can ask.
    ///
    /// # Errors
    /// `UNAUTHORIZED`: the secret is no credential's, or its credential is disabled, deleted or has expired: not told apart. Nor is
    /// a secret that is nearly one from any other, by the time that the answer takes. `CORRUPT`, `STORE_FAILURE`, `UNAVAILABLE`.
    ///
    /// ```
    /// # use tokenvault::{CreateApiKey, CreateGeneric, ErrorKind, KeyManager, Scope, VaultOptions, store::MemoryStore};
    /// # let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate()?)?;
    /// let key = vault.create_api_key(CreateApiKey::new([Scope::GenericTokensCreate])?)?;
    /// let client = vault.authenticate(key.key_value.expose())?;
    /// let token = client.create_generic(CreateGeneric::new([("pin", "1234")])?)?;
    /// assert_eq!(client.generic(token.id).unwrap_err().kind(), ErrorKind::Forbidden);
    /// vault.delete_api_key(key.id)?;
    /// assert_eq!(client.generic(token.id).unwrap_err().kind(), ErrorKind::Unauthorized);
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn authenticate(&self, secret: &str) -> Result<Client, Error> {
        let shared = self.shared();
        let turned_away = |by: Option<By>, refused| shared.turn_away(Operation::Authenticate, by, refused);
        let live = shared.credential_of(secret.as_bytes()).map_err(|refused| turned_away(None, refused))?;
        live.scopes(shared).map_err(|refused| turned_away(live.known_by(), refused))?;
        Ok(Vault { handle: Arc::clone(&self.handle), who: Holder(live) })
    }
}

impl Shared {
    /// The credential whose secret this is.
    fn credential_of(&self, secret: &[u8]) -> Result<Arc<Live>, Error> {
        self.check_open()?;
        if secret.len() > LONGEST {
            return Err(Error::unauthorized());
        }
        // A secret that nobody knows takes the same way as one that is wrong: both are hashed, and neither hash is there.
        for key in self.keys.credential() {
            let hash = key.secret(secret);
            if let Some(live) = self.credentials.seen(&hash) {
                return Ok(live);
            }
            if let Some(live) = self.stored_credential(&SecretHash { key: key.number(), hash })? {
                return Ok(self.credentials.keep(hash, live));
            }
        }
        Err(Error::unauthorized())
    }

    fn stored_credential(&self, secret: &SecretHash) -> Result<Option<Live>, Error> {
        let Some(value) = self.store.get(Table::Secret, &secret_key(secret))? else { return Ok(None) };
        let damaged_row = || Error::corrupt("a row in the store names no credential");
        let (kind, id) = value.split_first().ok_or_else(damaged_row)?;
        let kind = Kind::from_byte(*kind).filter(|kind| matches!(kind, Kind::ApiKey | Kind::ApiToken));
        let (kind, id) = kind.zip(Uuid::from_slice(id).ok()).ok_or_else(damaged_row)?;
        let viewed = match self.any_viewed(kind, id) {
            Ok(viewed) => viewed,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let own = secret_of(&viewed).ok_or_else(|| damaged(id))?;
        // The row only leads here; what is sealed decides.
        if own.key != secret.key || !same_hash(&own.hash, &secret.hash) {
            return Err(damaged_row());
        }
        Ok(Some(Live::unread(kind, id, viewed.header.owner, viewed.header.expires_at)))
    }

    /// Tells whoever audits of a secret that was refused, and whose it is, if it is anybody's.
    fn turn_away(&self, operation: Operation, by: Option<By>, refused: Error) -> Error {
        if let Some(sink) = &self.audit {
            let (at, outcome) = (self.now().to_datetime(), AuditOutcome::Refused(refused.kind()));
            let id = by.as_ref().map(|by| by.id.clone());
            let entry = AuditEntry { at, by, purpose: None, operation, id, outcome };
            // It is refused whether that is kept or not.
            drop(sink.record(&entry));
        }
        refused
    }

    /// The credential key for what is new.
    fn credential_key(&self) -> Result<&CredentialKey, Error> {
        let key = self.keys.credential().first();
        key.ok_or_else(|| Error::key_failure("the key ring has no active credential key"))
    }

    /// A new secret behind its prefix, and what is stored of it.
    fn fresh_secret(&self, prefix: &str) -> Result<(CredentialSecret, SecretHash), Error> {
        let key = self.credential_key()?;
        let (secret, hash) = key.fresh(prefix)?;
        Ok((CredentialSecret::new(secret), SecretHash { key: key.number(), hash }))
    }

    /// What a credential may do at present.
    fn grants(&self, kind: Kind, id: Uuid) -> Result<Grants, Error> {
        let viewed = self.any_viewed(kind, id)?;
        if kind == Kind::ApiKey {
            let key = record::api_key_view(&viewed.view).map_err(|_| damaged(id))?;
            let by = By { id: ApiKeyId::from(id).to_string(), name: format!("{}xxxx", key.shown) };
            return Ok(Grants { scopes: Some(key.scopes), by });
        }
        let token = record::api_token_view(&viewed.view).map_err(|_| damaged(id))?;
        let named = ApiTokenId::of(id).ok_or_else(|| damaged(id))?;
        let by = By { id: named.to_string(), name: token.name.into() };
        let is_good = token.status == ApiTokenStatus::Active;
        Ok(Grants { scopes: is_good.then(|| self.scopes_of(&token.modules)).transpose()?, by })
    }

    /// What modules let a token do.
    fn scopes_of(&self, modules: &[Uuid]) -> Result<Scopes, Error> {
        self.scopes_while(modules, Batch::new()).map(|(scopes, _)| scopes)
    }

    /// The same with the conditions that they stay as they are.
    fn scopes_while(&self, modules: &[Uuid], batch: Batch) -> Result<(Scopes, Batch), Error> {
        modules.iter().try_fold((Scopes::default(), batch), |(scopes, batch), place| {
            let module = self.registered(Kind::Module, *place)?.ok_or_else(|| damaged(*place))?;
            let view = record::module_view(&module.viewed.view).map_err(|_| damaged(*place))?;
            Ok((scopes.union(view.scopes), module.require_in(batch)))
        })
    }
}

impl Caller<'_> {
    /// Adds the conditions that the caller's credential, and the modules that it has its scopes from, stay as they are: nothing is
    /// granted behind its end. Asked before the scopes are, so that a change in between is noticed by one or the other.
    fn while_good(&self, batch: Batch) -> Result<Batch, Error> {
        let Some(live) = self.holder() else { return Ok(batch) };
        let own = self.any_standing(live.kind, live.id).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::unauthorized(),
            _ => error,
        })?;
        let batch = own.require_in(batch);
        if live.kind != Kind::ApiToken {
            return Ok(batch);
        }
        let view = record::api_token_view(&own.viewed.view).map_err(|_| damaged(live.id))?;
        self.scopes_while(&view.modules, batch).map(|(_, batch)| batch)
    }

    /// Refuses whoever has not all that these modules let do, and adds the conditions that they stay as they are.
    fn grantable(&self, modules: &[Uuid], batch: Batch) -> Result<Batch, Error> {
        if self.is_root() {
            return Ok(batch);
        }
        let (scopes, batch) = self.scopes_while(modules, batch)?;
        self.require_all(scopes)?;
        Ok(batch)
    }

    /// The number of the account that a new credential belongs to, and the condition that the account stays: the one that is
    /// named, or the caller's own, which is the only one that a caller of an account may name.
    fn account_of(&self, name: Option<&str>) -> Result<(u32, Batch), Error> {
        const UNKNOWN_ACCOUNT: Rule = Rule("unknown account");

        let Some(name) = name else { return Ok((self.owner(), Batch::new())) };
        let account = self.account(name)?.filter(|(number, _)| self.sees(*number));
        let (number, account) = account.ok_or_else(|| UNKNOWN_ACCOUNT.at("$.account.id"))?;
        Ok((number, account.require_in(Batch::new())))
    }
}

/// The hash of a credential's secret, as it is sealed.
fn secret_of(viewed: &Viewed) -> Option<SecretHash> {
    match viewed.header.kind {
        Kind::ApiKey => record::api_key_view(&viewed.view).ok().map(|view| view.secret),
        Kind::ApiToken => record::api_token_view(&viewed.view).ok().map(|view| view.secret),
        _ => None,
    }
}

/// A secret is shown once: a request that comes again is told what it has made, and not its secret.
fn made_before(id: &impl Display) -> Error {
    Error::conflict(format!("the idempotency key has made {id}, whose secret is not shown again"))
}
