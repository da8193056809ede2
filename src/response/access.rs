//! Credentials, accounts and modules as they are given back.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::access::{ApiTokenStatus, By, Scopes};
use crate::id::{ApiKeyId, ApiTokenId};
use crate::response::instant;

/// The secret of a credential, in the one answer that has it. It is wiped when dropped, and not printed; serialising writes it.
pub struct CredentialSecret(Zeroizing<String>);

impl CredentialSecret {
    pub(crate) fn new(secret: Zeroizing<String>) -> Self {
        Self(secret)
    }

    /// The secret, to hand over to whoever will authenticate with it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Serialize for CredentialSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for CredentialSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Zeroizing::new).map(Self)
    }
}

impl fmt::Debug for CredentialSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialSecret(..)")
    }
}

/// A new API key: the only answer that has its secret.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct CreatedApiKey {
    /// Names the key.
    pub id: ApiKeyId,
    /// When it was made.
    #[serde(with = "instant")]
    pub created_at: DateTime<Utc>,
    /// When it ceases to be good; none for never.
    #[serde(with = "instant::optional", default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// What to authenticate with: `key_` and 43 characters.
    pub key_value: CredentialSecret,
    /// What it may do.
    pub scopes: Scopes,
}

/// An API key.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct ApiKey {
    /// Names the key.
    pub id: ApiKeyId,
    /// When it was made.
    #[serde(with = "instant")]
    pub created_at: DateTime<Utc>,
    /// When it ceases to be good; none for never.
    #[serde(with = "instant::optional", default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// The first seven characters of its secret, then `xxxx`.
    pub masked_key_value: String,
    /// What it may do.
    pub scopes: Scopes,
}

/// An API token of an account, as its publication has it.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ApiToken {
    /// Names the token, for instance `TKN-1671-0642`.
    pub id: ApiTokenId,
    /// Who made and who changed it, and when.
    pub audit: Audit,
    /// What of the whole object is not here.
    #[serde(rename = "$meta")]
    pub meta: Omissions,
    /// Whether it is good.
    pub status: ApiTokenStatus,
    /// Its name, 1 to 80 characters.
    pub name: String,
    /// Its description, at most 255 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its icon, at most 255 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// When it was last used, to the minute; none before its first use.
    #[serde(with = "instant::optional", default, skip_serializing_if = "Option::is_none")]
    pub last_access_at: Option<DateTime<Utc>>,
    /// What to authenticate with: `idt:`, the id, `:` and 43 characters. Only in the answer to its creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<CredentialSecret>,
    /// The account that it belongs to.
    pub account: Account,
    /// What it may do is what all of these may do.
    pub modules: Vec<Module>,
}

/// Who made and who changed something, and when.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Audit {
    /// Its making.
    pub created: AuditedAt,
    /// Its last change; its making, where there was none.
    pub updated: AuditedAt,
}

/// Who did something, and when.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct AuditedAt {
    /// When.
    #[serde(with = "instant")]
    pub at: DateTime<Utc>,
    /// Who.
    pub by: By,
}

impl AuditedAt {
    pub(crate) fn new(at: DateTime<Utc>, by: By) -> Self {
        Self { at, by }
    }
}

/// What of a whole object an answer leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Omissions {
    /// The names of the fields.
    pub omitted: Vec<String>,
}

/// An account, as root has defined it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Account {
    /// Names the account.
    pub id: String,
    /// Its icon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// Its type; the vault makes nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    /// Its status; the vault makes nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Its name.
    pub name: String,
}

/// A module, as root has defined it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Module {
    /// Names the module.
    pub id: String,
    /// Its description.
    pub description: String,
    /// Its name.
    pub name: String,
    /// Filters as they were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<Value>,
    /// Settings as they were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Value>,
}

/// A page of API tokens.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct ApiTokenListing {
    /// The tokens, in the order of their ids.
    pub data: Vec<ApiToken>,
    /// Where in the list they stand.
    #[serde(rename = "$meta")]
    pub meta: PageMeta,
}

/// Where in a list a page stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct PageMeta {
    /// The numbers.
    pub pagination: Pagination,
}

/// How many there are, and which are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Pagination {
    /// How many were passed over.
    pub offset: usize,
    /// How many were wanted at most.
    pub limit: usize,
    /// How many there are in all that fit what was asked for.
    pub total: usize,
}

impl ApiTokenListing {
    pub(crate) fn new(data: Vec<ApiToken>, pagination: Pagination) -> Self {
        Self { data, meta: PageMeta { pagination } }
    }
}

impl Pagination {
    pub(crate) fn new(offset: usize, limit: usize, total: usize) -> Self {
        Self { offset, limit, total }
    }
}
