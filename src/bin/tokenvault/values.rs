//! What may be typed for a value: kinds of things, and ids.

use std::convert::Infallible;

use clap::ValueEnum;
use tokenvault::{ApiTokenId, ApiTokenStatus, Error, TokenId};
use uuid::Uuid;

/// What a token stands for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// A payment card
    Pci,
    /// A small map of secrets
    Generic,
}

/// What can be made, shown, listed and removed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RecordKind {
    /// A token that stands for a payment card
    Pci,
    /// A token that stands for a small map of secrets
    Generic,
    /// A payload type: a name, and a JSON Schema that payloads of the type satisfy
    #[value(alias = "types")]
    Type,
    /// A credential with scopes of its own
    #[value(alias = "api-keys")]
    ApiKey,
    /// A credential of an account, with the scopes of its modules
    #[value(alias = "api-tokens")]
    ApiToken,
}

/// What can be changed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ChangedKind {
    /// A token that stands for a payment card
    Pci,
    /// A token that stands for a small map of secrets
    Generic,
    /// The scopes of an API key
    ApiKey,
    /// An API token of an account
    ApiToken,
}

/// What can be removed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RemovedKind {
    /// A token that stands for a payment card
    Pci,
    /// A token that stands for a small map of secrets
    Generic,
    /// A payload type that no token uses
    Type,
    /// An API key
    ApiKey,
    /// An API token of an account
    ApiToken,
    /// An account that nothing belongs to
    Account,
    /// A module that no API token has
    Module,
}

/// What API tokens name.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum DefinedKind {
    /// Whom API tokens and what they make belong to
    Account,
    /// Scopes that API tokens have together
    Module,
}

/// What can be switched off and on.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SwitchedKind {
    /// An API token of an account
    ApiToken,
}

/// What an API token can be.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Status {
    /// It is good
    Active,
    /// It is refused until it is enabled
    Disabled,
    /// It is refused for ever; only root sees it
    Deleted,
}

impl From<Status> for ApiTokenStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Active => Self::Active,
            Status::Disabled => Self::Disabled,
            Status::Deleted => Self::Deleted,
        }
    }
}

/// What a template is.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum BodyKind {
    /// application/json
    Json,
    /// application/x-www-form-urlencoded
    Form,
    /// application/xml
    Xml,
}

/// Reads an id. What is none names nothing, so it is the nil UUID, which no vault gives to anything: the answer is that of an id
/// that does not exist, after all that is wrong with the request.
#[expect(clippy::unnecessary_wraps, reason = "the form of a parser")]
pub(crate) fn id(text: &str) -> Result<Uuid, Infallible> {
    Ok(Name(text.to_owned()).uuid())
}

/// The id of something whose kind says how it is read.
#[derive(Clone, Debug)]
pub(crate) struct Name(String);

/// Reads one as it was typed.
#[expect(clippy::unnecessary_wraps, reason = "the form of a parser")]
pub(crate) fn name(text: &str) -> Result<Name, Infallible> {
    Ok(Name(text.to_owned()))
}

impl Name {
    /// As an id, see [`id`].
    pub(crate) fn uuid(&self) -> Uuid {
        self.0.parse::<TokenId>().map_or(Uuid::nil(), Uuid::from)
    }

    /// As the id of an API token.
    pub(crate) fn api_token(&self) -> Result<ApiTokenId, Error> {
        self.0.parse()
    }

    /// As the id that root gave to an account or a module.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}
