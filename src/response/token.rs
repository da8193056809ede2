//! The views of tokens.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::card::Scheme;
use crate::id::TokenId;
use crate::metadata::Metadata;
use crate::response::instant;

/// The view of a generic token. The payload is never in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GenericToken {
    /// Names the token.
    pub id: TokenId,
    /// When it was made.
    #[serde(with = "instant")]
    pub created_at: DateTime<Utc>,
    /// The instant at which it is gone; absent if it never expires.
    #[serde(with = "instant::optional", default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// The labels that it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

/// The view of a PCI token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PciToken {
    /// Names the token.
    pub id: TokenId,
    /// What may be seen of the card.
    pub card: MaskedCard,
    /// When it was made.
    #[serde(with = "instant")]
    pub created_at: DateTime<Utc>,
    /// The instant at which it is gone; absent if it never expires.
    #[serde(with = "instant::optional", default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// The labels that it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

/// What may be seen of a card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MaskedCard {
    /// The name printed on the card, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cardholder_name: Option<String>,
    /// 1 to 12.
    pub expiry_month: u8,
    /// Four digits.
    pub expiry_year: u16,
    /// The account number with hidden digits as `*`, in its own length.
    pub masked_account_number: String,
    /// The scheme that issued the card; absent if it is none of the seven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
}
