//! tokenvault
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod card;
mod clock;
mod cursor;
#[doc = include_str!("design.md")]
pub mod design {}
mod error;
mod id;
mod keys;
mod lifetime;
mod metadata;
mod pairs;
mod payload;
mod random;
mod record;
mod request;
mod response;
mod seal;
mod secret;
pub mod store;
mod vault;

pub use crate::clock::{Clock, SystemClock};
pub use crate::error::{Error, ErrorKind, Violation};
pub use crate::id::{SessionId, TokenId};
pub use crate::keys::{KeyManager, KeyWrapper};
pub use crate::metadata::Metadata;
pub use crate::payload::{Payload, PayloadNumber, PayloadValue};
pub use crate::record::Card;
pub use crate::request::{CreateGeneric, CreatePci, Page, PanSource};
pub use crate::response::{
    GenericToken, KeyEpoch, Links, Listing, MaskedCard, PciCreated, PciSession, PciToken, Stats, SweepReport,
};
pub use crate::vault::{Sweeper, Vault, VaultOptions};
