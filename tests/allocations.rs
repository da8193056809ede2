//! Promise: a token costs a few blocks of memory that can be named, and a card is checked in the one block that it is kept in.
//!
//! What is counted are blocks that a thread asks for, also those that it gives back at once.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod common;

use std::hint::black_box;

use allocation_counter::measure;
use common::cards::card;
use common::{PAN_REQUEST, token, vault};
use tokenvault::card::{CardExpiry, Pan, SecurityCode};
use tokenvault::{CreatePci, Fingerprints, KeyManager, Vault, VaultOptions, store::MemoryStore};

/// Tokens that are made before it is counted: by then a map of the store has room for some more.
const BEFORE: usize = 100;
/// Tokens that are counted one by one.
const COUNTED: usize = 100;

/// How many blocks a call asks for.
fn blocks<T>(call: impl FnOnce() -> T) -> u64 {
    let mut given = None;
    let counted = measure(|| given = Some(black_box(call()))).count_total;
    drop(given);
    counted
}

/// The fewest and the most blocks that the creation of a token asks for. The maps of the store ask for one now and then.
fn blocks_a_token(vault: &Vault, request: impl Fn() -> CreatePci) -> (u64, u64) {
    for _ in 0..BEFORE {
        token(vault.create_pci(request()).unwrap());
    }
    let counted = (0..COUNTED).map(|_| {
        let request = request();
        blocks(|| vault.create_pci(request).unwrap())
    });
    let counted: Vec<u64> = counted.collect();
    (*counted.iter().min().unwrap(), *counted.iter().max().unwrap())
}

#[test]
fn a_card_is_checked_in_the_one_block_that_it_is_kept_in() {
    for number in ["4111111111111111", "6500000000000002", "378282246310005"] {
        assert_eq!(blocks(|| Pan::parse(black_box(number)).unwrap()), 1, "{number}");
    }
    assert_eq!(blocks(|| CardExpiry::new(black_box(12), 2025).unwrap()), 0);
    assert_eq!(blocks(|| SecurityCode::parse(black_box("737")).unwrap()), 1);
}

#[test]
fn a_request_is_read_into_the_blocks_that_it_keeps() {
    // The account number and the security code.
    assert_eq!(blocks(|| CreatePci::from_json(black_box(PAN_REQUEST.as_bytes())).unwrap()), 2);
}

/// The mask, the record, and what the batch holds: a list of writes, and the key in it.
#[test]
fn a_token_of_a_card_takes_four_blocks() {
    let (vault, _) = vault();
    let (fewest, most) = blocks_a_token(&vault, || CreatePci::new(card()));
    assert_eq!(fewest, 4);
    assert!(most <= 4 + 4, "{most}");
}

/// One more for each row of an index: here for its expiry and for its fingerprint.
#[test]
fn a_row_of_an_index_takes_one_block_more() {
    let keys = KeyManager::generate().unwrap();
    let vault = VaultOptions::new().fingerprints(Fingerprints::On).open_with(MemoryStore::new(), keys).unwrap();
    assert_eq!(blocks_a_token(&vault, || CreatePci::new(card()).expires_in(3600).unwrap()).0, 6);
}

/// A name moves from the request into the answer.
#[test]
fn a_name_takes_no_block_more() {
    let (vault, _) = vault();
    let named = || CreatePci::new(card().cardholder_name("A. Holder").unwrap());
    assert_eq!(blocks_a_token(&vault, named).0, 4);
}
