//! tokenvault
#![forbid(unsafe_code)]
#![expect(missing_docs, reason = "scaffold")]
mod error;
pub mod store;
pub use crate::error::{Error, ErrorKind, Violation};
