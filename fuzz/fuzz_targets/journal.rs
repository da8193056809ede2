//! The journal of a vault that was not closed, with any bytes changed.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| common::journal::journal(bytes));
