//! What may be typed for a value: kinds of things, and ids.

use std::convert::Infallible;

use clap::ValueEnum;
use tokenvault::TokenId;
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
    Ok(text.parse::<TokenId>().map_or(Uuid::nil(), Uuid::from))
}
