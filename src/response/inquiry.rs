//! What an inquiry tells of a card.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::card::Scheme;

/// What the leading digits of a card tell.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Inquiry {
    /// The first six digits, or eight where the vault was opened to tell so many.
    pub bin: String,
    /// The schemes that it belongs to; left out if it is none of the seven.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scheme: Vec<Scheme>,
    /// What the application's directory knows; in JSON its fields stand beside the others.
    #[serde(flatten)]
    pub issuer: Issuer,
}

impl fmt::Debug for Inquiry {
    /// Without the BIN, which can be more than the vault's mask shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inquiry").field("scheme", &self.scheme).field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// What a [`BinDirectory`](crate::BinDirectory) knows of an issuer and its cards; what it does not know is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Issuer {
    /// For instance `credit`, `debit` or `prepaid`; `type` in JSON.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub card_type: Option<String>,
    /// For instance `consumer` or `commercial`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<String>,
    /// The currency in which the card is billed, for instance `EUR` (ISO 4217).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency_code: Option<String>,
    /// The bank.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_name: Option<String>,
    /// Its country, for instance `DE` (ISO 3166-1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_country_code: Option<String>,
}
