//! Any bytes as a request for a PCI token.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| common::requests::create_pci_json(bytes));
