//! Any bytes as a stored record, and as the plain parts of one.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| common::stored::record(bytes));
