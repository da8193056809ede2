//! What is told to subscribers: that something happened to a token or session, never what it holds.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::access::By;
use crate::id::EventId;
use crate::response::instant;

/// Something that happened. In JSON: `{"id","created_at","type","reason","related_object":{"id","url"}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// Names the event: whoever receives it twice can tell.
    pub id: EventId,
    /// When it was sent.
    #[serde(with = "instant")]
    pub created_at: DateTime<Utc>,
    /// What happened.
    pub r#type: EventType,
    /// What made it happen.
    pub reason: EventReason,
    /// What it happened to.
    pub related_object: RelatedObject,
    /// Who has asked for it; none where nobody has. It is not in the JSON.
    #[serde(skip)]
    pub by: Option<By>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum EventType {
    /// A PCI token was made.
    #[serde(rename = "pci.token.created")]
    PciTokenCreated,
    /// A PCI token was changed.
    #[serde(rename = "pci.token.updated")]
    PciTokenUpdated,
    /// A PCI token was deleted.
    #[serde(rename = "pci.token.deleted")]
    PciTokenDeleted,
    /// A PCI token has expired and was removed.
    #[serde(rename = "pci.token.expired")]
    PciTokenExpired,
    /// A generic token was made.
    #[serde(rename = "generic.token.created")]
    GenericTokenCreated,
    /// A generic token was changed.
    #[serde(rename = "generic.token.updated")]
    GenericTokenUpdated,
    /// A generic token was deleted.
    #[serde(rename = "generic.token.deleted")]
    GenericTokenDeleted,
    /// A generic token has expired and was removed.
    #[serde(rename = "generic.token.expired")]
    GenericTokenExpired,
    /// The security code of a PCI token was not used in time, and is wiped.
    #[serde(rename = "pci.token.security-code.expired")]
    PciSecurityCodeExpired,
    /// A security code was handed in for a PCI token and is not kept: no memory could be locked for it, or the token was changed
    /// at that moment.
    #[serde(rename = "pci.token.security-code.not-kept")]
    PciSecurityCodeNotKept,
    /// A session was completed.
    #[serde(rename = "session.completed")]
    SessionCompleted,
    /// A session has expired and was removed.
    #[serde(rename = "session.expired")]
    SessionExpired,
    /// An API key or an API token was made.
    #[serde(rename = "credential.created")]
    CredentialCreated,
    /// An API key or an API token was changed.
    #[serde(rename = "credential.changed")]
    CredentialChanged,
    /// An API key or an API token was deleted.
    #[serde(rename = "credential.deleted")]
    CredentialDeleted,
}

/// What made it happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum EventReason {
    /// Somebody asked for it.
    Request,
    /// Its time had come, and a read or a timer found it so.
    Expiry,
    /// Its time had come, and a sweep found it so.
    Sweep,
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RelatedObject {
    /// The id of the token, session or credential.
    pub id: String,
    /// Its path in the API, for instance `/api/pci/tokens/8744c9ea-a02b-4ae6-875c-b64fc333e3ef`.
    pub url: String,
}
