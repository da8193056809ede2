//! The answer to a request for a PCI token.

use chrono::{DateTime, Utc};
use serde::de::{Deserialize, Deserializer, Error};
use serde::{Deserialize as DeriveDeserialize, Serialize};

use crate::id::{SessionId, TokenId};
use crate::metadata::Metadata;
use crate::response::instant;
use crate::response::session::PciSession;
use crate::response::token::{MaskedCard, PciToken};

/// A token, or a session in which somebody else hands in the card: in JSON, the one or the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PciCreated {
    /// The token that was made.
    Token(PciToken),
    /// The session that was opened.
    Session(PciSession),
}

impl<'de> Deserialize<'de> for PciCreated {
    /// Told apart by the fields that are there, without a buffer in between.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(DeriveDeserialize)]
        struct Either {
            session_id: Option<SessionId>,
            id: Option<TokenId>,
            card: Option<MaskedCard>,
            #[serde(with = "instant::optional", default)]
            created_at: Option<DateTime<Utc>>,
            #[serde(with = "instant::optional", default)]
            expires_at: Option<DateTime<Utc>>,
            metadata: Option<Metadata>,
        }
        let Either { session_id, id, card, created_at, expires_at, metadata } = Either::deserialize(deserializer)?;
        match (session_id, id, card, created_at) {
            (Some(session_id), None, None, None) => Ok(Self::Session(PciSession { session_id })),
            (None, Some(id), Some(card), Some(created_at)) => {
                Ok(Self::Token(PciToken { id, card, created_at, expires_at, metadata }))
            }
            _ => Err(D::Error::custom("neither a PCI token nor a session")),
        }
    }
}
