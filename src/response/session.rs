//! What a session answers.

use serde::{Deserialize, Serialize};

use crate::id::{SessionId, TokenId};

/// A session that was opened, and waits for a card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PciSession {
    /// Names the session.
    pub session_id: SessionId,
}

/// Whether a session was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionStatus {
    /// It waits.
    Open,
    /// What it waited for was handed in.
    Completed,
}

/// What became of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionView {
    /// In JSON `open` or `completed`.
    pub status: SessionStatus,
    /// The token that the card became, absent while it waits; or the token whose security code it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<TokenId>,
}
