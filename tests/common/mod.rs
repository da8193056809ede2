//! What several tests share: a clock that stands still, vaults to try things on, the properties that tests and fuzz targets
//! both call.
#![allow(dead_code, reason = "each test uses some of it")]
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

pub mod cards;
pub mod clock;
pub mod credential;
pub mod forge;
pub mod forged_access;
#[cfg(feature = "sled")]
pub mod journal;
pub mod kinds;
pub mod meddled;
pub mod numbers;
pub mod operations;
pub mod requests;
pub mod schemas;
pub mod shared;
pub mod stored;
pub mod template;
pub mod text;
pub mod threads;
#[cfg(feature = "cli")]
pub mod tool;

use tokenvault::store::MemoryStore;
use tokenvault::{CreateGeneric, CreatePci, Error, ErrorKind, KeyManager, PciCreated, PciToken, Vault, VaultOptions};

use self::clock::HandClock;

/// The published request for a PCI token with the card at hand.
pub const PAN_REQUEST: &str = r#"{"source":{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025,"security_code":"123"}}"#;

/// The key of every vault here.
pub fn keys() -> KeyManager {
    KeyManager::from_key(&mut [7; 32])
}

/// A vault in memory whose clock is moved by hand.
pub fn vault() -> (Vault, HandClock) {
    let clock = HandClock::at("2026-01-02T03:04:05.678Z");
    let vault = VaultOptions::new().clock(clock.clone()).open_with(MemoryStore::new(), keys()).unwrap();
    (vault, clock)
}

/// Generic and PCI tokens, and those of either kind that expire.
pub fn counts(vault: &Vault) -> (u64, u64, u64) {
    let stats = vault.stats().unwrap();
    (stats.generic_tokens, stats.pci_tokens, stats.expiring_tokens)
}

/// The token of an answer that must be one.
pub fn token(created: PciCreated) -> PciToken {
    match created {
        PciCreated::Token(token) => token,
        PciCreated::Session(_) => panic!("a session"),
    }
}

/// The refusal of a generic request.
pub fn refused_generic(json: impl AsRef<[u8]>) -> Error {
    let json = json.as_ref();
    CreateGeneric::from_json(json).map(|_| String::from_utf8_lossy(json).into_owned()).unwrap_err()
}

/// The refusal of a PCI request.
pub fn refused_pci(json: impl AsRef<[u8]>) -> Error {
    let json = json.as_ref();
    CreatePci::from_json(json).map(|_| String::from_utf8_lossy(json).into_owned()).unwrap_err()
}

/// Path and message of every violation, in order.
pub fn violations(error: &Error) -> Vec<(&str, &str)> {
    assert_eq!(error.kind(), ErrorKind::Validation, "{error}");
    error.violations().iter().map(|violation| (violation.path(), violation.message())).collect()
}
