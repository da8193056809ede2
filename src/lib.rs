//! An embedded, in-process tokenization vault.
//!
//! An application links this crate, opens a folder, and has what it would otherwise rent from a card-vault service: it hands
//! in a card number or another secret and gets an opaque token; the number is checked, its scheme detected, masked, sealed,
//! kept durably, lent back to the code that may see it, and gone when it expires. No server, no network.
//!
//! ```
//! use tokenvault::{CreatePci, KeyManager, PciCreated, Vault};
//!
//! # fn main() -> Result<(), tokenvault::Error> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("cards.vault");
//! let vault = Vault::create(&path, KeyManager::from_key(&mut [7; 32]))?; // 32 unpredictable bytes
//! let request = br#"{"source":{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025}}"#;
//!
//! if let PciCreated::Token(token) = vault.create_pci(CreatePci::from_json(request)?)? {
//!     assert_eq!(token.card.masked_account_number, "411111******1111");
//!     let digits = vault.reveal_pci(token.id, |card| card.account_number().len())?; // lent, then wiped
//!     assert_eq!(digits, 16);
//! }
//! vault.close()
//! # }
//! ```
//!
//! # Where to look
//!
//! * [`Vault`] is what an application calls; [`VaultOptions`] opens it in other ways.
//! * [`CreatePci`] and [`CreateGeneric`] say what to keep; [`PciToken`] and [`GenericToken`] are what comes back.
//! * Without the number at hand, [`CreatePci::session`] and [`Vault::complete_session`]; for security codes
//!   [`Vault::use_security_code`]; to send a card without seeing it [`Vault::fill`] and [`Vault::forward`].
//! * [`Vault::create_type`] holds payloads to a JSON Schema; [`Rules`] are what a vault relaxes or adds.
//! * [`Vault::authenticate`] gives a [`Client`] to whoever has an API key or the API token of an account; [`Operation`] says what
//!   each may do, an [`AuditSink`] hears of it, [`Vault::acting_as`] gives root a name.
//! * [`Duplicates`] and idempotency keys ask for one thing once; [`Vault::subscribe`] tells what happens.
//! * [`KeyManager`] says where the root key comes from, [`KeyWrapper`] lets a key management service keep it.
//! * [`Error`] is the one error, with the bodies of the published APIs.
//! * [`card`] has the account number, its scheme and its mask; [`store`] the port to whatever keeps the records.
//! * [`design`] has the bytes, the keys and the whys.
//!
//! # What it is not
//!
//! It is no server, no user management and no card network; it makes no system compliant by itself. Whoever holds an open
//! [`Vault`] may do everything; whoever holds a [`Client`], what its credential allows. Security codes are never stored: a vault keeps them in locked memory of this process until they
//! are used once.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod access;
pub mod card;
mod clock;
mod cursor;
mod destination;
#[doc = include_str!("design.md")]
pub mod design {}
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
mod duplicates;
mod error;
mod id;
mod keys;
mod lexer;
mod lifetime;
mod locked;
mod metadata;
mod pairs;
mod payload;
mod process;
mod random;
mod record;
mod request;
mod response;
mod rules;
mod schema;
mod seal;
mod secret;
pub mod store;
mod template;
mod vault;

pub use crate::access::{Actor, ApiTokenStatus, By, Operation, Scope, Scopes};
pub use crate::clock::{Clock, SystemClock};
pub use crate::destination::Destination;
pub use crate::duplicates::Duplicates;
pub use crate::error::{Error, ErrorKind, Violation};
pub use crate::id::{ApiKeyId, ApiTokenId, EventId, SessionId, TokenId, TypeId};
pub use crate::keys::{KeyManager, KeyWrapper};
pub use crate::metadata::Metadata;
pub use crate::payload::{Payload, PayloadNumber, PayloadValue};
pub use crate::record::Card;
pub use crate::request::{
    ApiTokenQuery, CompleteSecurityCode, CompleteSession, CreateApiKey, CreateApiToken, CreateGeneric, CreatePci,
    CreateType, DefineAccount, DefineModule, InquirySource, Page, PanSource, UpdateApiKey, UpdateApiToken,
    UpdateGeneric, UpdatePci,
};
pub use crate::response::{
    Account, ApiKey, ApiToken, ApiTokenListing, Audit, AuditedAt, CompactReport, CreatedApiKey, CredentialSecret,
    Event, EventReason, EventType, GenericToken, IndexReport, Inquiry, Issuer, KeyEpoch, Links, Listing, MaskedCard,
    Module, Omissions, PageMeta, Pagination, PayloadType, PciCreated, PciSession, PciToken, RelatedObject,
    SessionStatus, SessionView, Stats, SweepReport,
};
pub use crate::rules::{CardDataGuard, Rules, UnknownFields, UnlistedSchemes};
pub use crate::template::Body;
pub use crate::vault::{
    AuditEntry, AuditOutcome, AuditSink, Authority, BinDirectory, Client, Fingerprints, ForwardResponse, Forwarder,
    Holder, Received, Root, SignedEvent, Subscription, Sweeper, Vault, VaultOptions,
};
