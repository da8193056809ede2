//! Any bytes as a request for a generic token.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| common::requests::create_generic_json(bytes));
