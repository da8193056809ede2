//! Any bytes as the schema of a payload type.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| common::schemas::schema(bytes));
