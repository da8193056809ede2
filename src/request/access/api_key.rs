//! Requests for API keys.

use crate::access::{Scope, Scopes};
use crate::error::{Error, Rule};
use crate::request::access::{check_id, check_scopes, read_reference, read_scopes};
use crate::request::fields::{Fields, Null, read_json};
use crate::request::idempotency::IdempotencyKey;
use crate::request::json::{Malformed, Reader};
use crate::request::report::{Path, Report};
use crate::rules::Rules;

/// The longest lifetime of a key in seconds: 90 days.
const LONGEST: u32 = 7_776_000;
const LIFETIME: Rule = Rule("must be from 1 to 7776000 seconds");

#[derive(Clone, Copy, PartialEq)]
enum Field {
    Scopes,
    Lifetime,
    Account,
}

const FIELDS: Fields<Field> = Fields {
    named: &[("scopes", Field::Scopes), ("expires_in", Field::Lifetime), ("account", Field::Account)],
    lifetime: Some(Rule("unknown field; did you mean `expires_in`?")),
    null: Null::Absent,
};

/// Asks for an API key: at least one scope, a lifetime of 1 to 7,776,000 seconds or none, and an account or none.
///
/// ```
/// use tokenvault::{CreateApiKey, Scope};
///
/// let request = CreateApiKey::new([Scope::PciTokensCreate])?.expires_in(3600)?;
/// let same = CreateApiKey::from_json(br#"{"scopes":["pci:tokens:create"],"expires_in":3600}"#)?;
/// # drop((request, same));
/// # Ok::<(), tokenvault::Error>(())
/// ```
#[derive(Debug)]
pub struct CreateApiKey {
    pub(crate) scopes: Scopes,
    /// In seconds.
    pub(crate) lifetime: Option<u32>,
    pub(crate) account: Option<Box<str>>,
    pub(crate) idempotency: Option<IdempotencyKey>,
}

impl CreateApiKey {
    /// Asks for a key with these scopes, for ever, of no account.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.scopes` if there is none.
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Result<Self, Error> {
        let scopes = check_scopes(scopes).map_err(|rule| rule.at("$.scopes"))?;
        Ok(Self { scopes, lifetime: None, account: None, idempotency: None })
    }

    /// Lets the key expire so many seconds after its creation, 1 to 7,776,000 (90 days). Default: never.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.expires_in`.
    pub fn expires_in(mut self, seconds: u64) -> Result<Self, Error> {
        self.lifetime = Some(check_lifetime(seconds).map_err(|rule| rule.at("$.expires_in"))?);
        Ok(self)
    }

    /// Lets what the key makes belong to an account, and shows the key nothing else. Default: none.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.account.id`.
    pub fn account(mut self, id: &str) -> Result<Self, Error> {
        self.account = Some(check_id(id).map_err(|rule| rule.at("$.account.id"))?);
        Ok(self)
    }

    /// Names the request, 1 to 64 characters: of requests with one key within 24 hours one makes a key, and the others are
    /// `CONFLICT`, since its secret is not shown again. Default: none.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.idempotency_key`.
    pub fn idempotency_key(mut self, key: &str) -> Result<Self, Error> {
        self.idempotency = Some(IdempotencyKey::new(key)?);
        Ok(self)
    }

    /// Reads `{"scopes":[...],"expires_in"?,"account"?:{"id"}}`. At most 64 KiB, 32 levels deep.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with every violation at its path, or with one at `$` if it is not well-formed JSON.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        Self::from_json_with(json, Rules::new())
    }

    /// As [`CreateApiKey::from_json`], by other rules.
    ///
    /// # Errors
    /// As [`CreateApiKey::from_json`].
    pub fn from_json_with(json: &[u8], rules: Rules) -> Result<Self, Error> {
        read_json(json, rules, Self::read)
    }

    fn read(reader: &mut Reader<'_>, report: &mut Report) -> Result<Option<Self>, Malformed> {
        let (mut scopes, mut lifetime, mut account) = (None, None, None);
        let Some(present) = FIELDS.read_request(reader, report, |field, path, reader, report| {
            match field {
                Field::Scopes => scopes = read_scopes(path, reader, report)?,
                Field::Lifetime => {
                    let seconds = reader.value()?.integer(LIFETIME);
                    lifetime = report.keep(path, seconds.and_then(check_lifetime));
                }
                Field::Account => account = read_reference(path, reader, report)?,
            }
            Ok(())
        })?
        else {
            return Ok(None);
        };
        present.require(Field::Scopes, &Path::Root, report);
        Ok(scopes.map(|scopes| Self { scopes, lifetime, account, idempotency: None }))
    }
}

fn check_lifetime(seconds: u64) -> Result<u32, Rule> {
    u32::try_from(seconds).ok().filter(|seconds| (1..=LONGEST).contains(seconds)).ok_or(LIFETIME)
}

const UPDATE_FIELDS: Fields<Field> = Fields { named: &[("scopes", Field::Scopes)], lifetime: None, null: Null::Absent };

/// Asks for other scopes of an API key, in the place of those that it has.
///
/// ```
/// use tokenvault::{Scope, UpdateApiKey};
///
/// let request = UpdateApiKey::new([Scope::PciTokensRead])?;
/// let same = UpdateApiKey::from_json(br#"{"scopes":["pci:tokens:read"]}"#)?;
/// # drop((request, same));
/// # Ok::<(), tokenvault::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct UpdateApiKey {
    pub(crate) scopes: Scopes,
}

impl UpdateApiKey {
    /// Asks for these scopes.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.scopes` if there is none.
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Result<Self, Error> {
        check_scopes(scopes).map(|scopes| Self { scopes }).map_err(|rule| rule.at("$.scopes"))
    }

    /// Reads `{"scopes":[...]}`. At most 64 KiB, 32 levels deep.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with every violation at its path, or with one at `$` if it is not well-formed JSON.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        Self::from_json_with(json, Rules::new())
    }

    /// As [`UpdateApiKey::from_json`], by other rules.
    ///
    /// # Errors
    /// As [`UpdateApiKey::from_json`].
    pub fn from_json_with(json: &[u8], rules: Rules) -> Result<Self, Error> {
        read_json(json, rules, |reader, report| {
            let mut scopes = None;
            let present = UPDATE_FIELDS.read_request(reader, report, |_, path, reader, report| {
                scopes = read_scopes(path, reader, report)?;
                Ok(())
            })?;
            if let Some(present) = present {
                present.require(Field::Scopes, &Path::Root, report);
            }
            Ok(scopes.map(|scopes| Self { scopes }))
        })
    }
}
