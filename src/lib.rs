//! tokenvault
#![forbid(unsafe_code)]
#![allow(dead_code, reason = "scaffold")]
pub mod card;
mod clock;
mod cursor;
mod error;
mod id;
pub mod keys;
mod lifetime;
mod metadata;
mod pairs;
mod payload;
mod random;
mod record;
mod request;
mod seal;
mod secret;
pub use crate::clock::{Clock, SystemClock};
pub use crate::error::{Error, ErrorKind, Violation};
pub use crate::id::{SessionId, TokenId};
pub use crate::keys::{KeyManager, KeyWrapper};
pub use crate::metadata::Metadata;
pub use crate::record::Card;
pub use crate::request::{CreateGeneric, CreatePci, Page, PanSource};
pub use crate::payload::{Payload, PayloadNumber, PayloadValue};
