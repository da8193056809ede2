//! What leaves the vault: views of tokens, pages, reports. None of these types can hold a secret.

mod access;
mod created;
mod event;
mod inquiry;
mod instant;
mod listing;
mod payload_type;
mod report;
mod session;
mod token;

pub use self::access::{
    Account, ApiKey, ApiToken, ApiTokenListing, Audit, AuditedAt, CreatedApiKey, CredentialSecret, Module, Omissions,
    PageMeta, Pagination,
};
pub use self::created::PciCreated;
pub use self::event::{Event, EventReason, EventType, RelatedObject};
pub use self::inquiry::{Inquiry, Issuer};
pub use self::listing::{Links, Listing};
pub use self::payload_type::PayloadType;
pub use self::report::{CompactReport, IndexReport, KeyEpoch, Stats, SweepReport};
pub use self::session::{PciSession, SessionStatus, SessionView};
pub use self::token::{GenericToken, MaskedCard, PciToken};
