//! Any bytes as a template, its kind and the card that fills it.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| common::template::template(bytes));
