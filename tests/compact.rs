//! Promise: compacting a vault gives the space of what was removed back to the file system, and loses nothing of what is left.
//!
//! What a crash, a full disk or a failed sync does to it is tested with the store: `src/store/sled/compacting.rs`.
#![cfg(feature = "sled")]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::numbers::with_check_digit;
use common::{keys, token};
use tokenvault::card::{CardExpiry, Pan};
use tokenvault::store::{Durability, MemoryStore};
use tokenvault::{CompactReport, CreateGeneric, CreatePci, ErrorKind, PanSource, TokenId, Vault, VaultOptions};

const LEFT: u64 = 1_000;
const REMOVED: u64 = 19_000;

/// Without a sync for each token: it is not durability that is tested here.
fn options() -> VaultOptions {
    VaultOptions::new().durability(Durability::Process)
}

fn account_number(serial: u64) -> String {
    with_check_digit(&format!("4{serial:014}"))
}

fn request(serial: u64) -> CreatePci {
    let card = PanSource::new(Pan::parse(&account_number(serial)).unwrap(), CardExpiry::new(12, 2031).unwrap());
    CreatePci::new(card).metadata([("order", "2026-77")]).unwrap()
}

/// Makes tokens of consecutive serial numbers.
fn fill(vault: &Vault, serials: std::ops::Range<u64>) -> Vec<(u64, TokenId)> {
    let made = vault.create_pci_many(serials.clone().map(|serial| Ok(request(serial))));
    serials.zip(made.map(|made| token(made.unwrap()).id)).collect()
}

/// The vault of tokens of which most are deleted again.
fn thinned(path: &Path) -> (Vault, Vec<(u64, TokenId)>) {
    let vault = options().create(path, keys()).unwrap();
    let mut tokens = fill(&vault, 0..LEFT + REMOVED);
    let removed: Vec<_> = tokens.extract_if(.., |(serial, _)| *serial % (1 + REMOVED / LEFT) > 0).collect();
    for (_, id) in removed {
        vault.delete_pci(id).unwrap();
    }
    (vault, tokens)
}

fn bytes(path: &Path) -> u64 {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| if entry.path().is_dir() { bytes(&entry.path()) } else { entry.metadata().unwrap().len() })
        .sum()
}

fn reveals(vault: &Vault, tokens: &[(u64, TokenId)]) {
    for (serial, id) in tokens {
        assert!(vault.reveal_pci(*id, |card| card.account_number() == account_number(*serial)).unwrap());
    }
}

/// With the journal, and without it.
#[test]
fn what_is_left_needs_hardly_more_than_a_vault_that_never_had_more() {
    let folder = tempfile::tempdir().unwrap();
    let [thin, fresh] = ["thin.vault", "fresh.vault"].map(|name| folder.path().join(name));
    let (vault, tokens) = thinned(&thin);
    let report = vault.compact().unwrap();
    assert!(report.bytes_after < report.bytes_before, "{report:?}");
    reveals(&vault, &tokens);
    vault.close().unwrap();
    let vault = options().create(&fresh, keys()).unwrap();
    fill(&vault, 0..LEFT);
    vault.close().unwrap();
    let of_journal = [&thin, &fresh].map(|path| bytes(&path.join("journal")));
    let [thin_bytes, fresh_bytes] = [&thin, &fresh].map(|path| bytes(path));
    assert!(thin_bytes * 10 <= fresh_bytes * 13, "{thin_bytes} of {fresh_bytes}");
    let [thin_bytes, fresh_bytes] = [thin_bytes - of_journal[0], fresh_bytes - of_journal[1]];
    assert!(thin_bytes * 10 <= fresh_bytes * 13, "{thin_bytes} of {fresh_bytes} without the journals");

    let vault = options().open(&thin, keys()).unwrap();
    assert_eq!(vault.stats().unwrap().pci_tokens, LEFT);
    reveals(&vault, &tokens);
}

#[test]
fn tokens_are_made_read_and_deleted_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let vault = options().create(folder.path().join("cards.vault"), keys()).unwrap();
    let mut tokens = fill(&vault, 0..2_000);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let threads: Vec<_> = (1..4)
            .map(|thread| {
                let (vault, is_over) = (&vault, &is_over);
                scope.spawn(move || {
                    let mut made = Vec::new();
                    for serial in (thread * 1_000_000..).step_by(2) {
                        made.extend(fill(vault, serial..serial + 2));
                        let (_, id) = made.remove(made.len() / 2);
                        vault.delete_pci(id).unwrap();
                        assert_eq!(vault.pci(id).unwrap_err().kind(), ErrorKind::NotFound);
                        reveals(vault, &made[made.len() - 1..]);
                        if is_over.load(Ordering::SeqCst) {
                            break;
                        }
                    }
                    made
                })
            })
            .collect();
        for _ in 0..5 {
            vault.compact().unwrap();
        }
        is_over.store(true, Ordering::SeqCst);
        for thread in threads {
            tokens.extend(thread.join().unwrap());
        }
    });
    assert_eq!(vault.stats().unwrap().pci_tokens, tokens.len() as u64);
    reveals(&vault, &tokens);
}

#[test]
fn progress_is_told_to_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let vault = options().create(folder.path().join("cards.vault"), keys()).unwrap();
    fill(&vault, 0..5_000);
    let mut steps = Vec::new();
    let report = vault.compact_with(|report| steps.push(*report)).unwrap();
    assert!(steps.len() > 8, "{steps:?}");
    assert!(steps.is_sorted_by_key(|step| u64::MAX - step.remaining), "{steps:?}");
    assert!(steps.iter().all(|step| step.bytes_before == report.bytes_before));
    assert_eq!((steps.last(), report.remaining), (Some(&report), 0));
}

#[test]
fn a_vault_is_compacted_by_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::create(folder.path().join("cards.vault"), keys()).unwrap();
    let mut refused = 0;
    vault
        .compact_with(|_| {
            assert_eq!(vault.compact().unwrap_err().kind(), ErrorKind::Conflict);
            refused += 1;
        })
        .unwrap();
    assert!(refused > 0);
    vault.compact().unwrap();
}

#[test]
fn whoever_hears_of_the_progress_may_close_the_vault() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cards.vault");
    let vault = options().create(&path, keys()).unwrap();
    let tokens = fill(&vault, 0..100);
    let error = vault.compact_with(|_| vault.close().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let vault = options().open(&path, keys()).unwrap();
    reveals(&vault, &tokens);
    vault.compact().unwrap();
    reveals(&vault, &tokens);
}

/// A panic there leaves a copy that gets what is committed, and that the next one goes on with.
#[test]
fn a_panic_of_whoever_hears_of_the_progress_harms_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let vault = options().create(folder.path().join("cards.vault"), keys()).unwrap();
    let mut tokens = fill(&vault, 0..100);
    let listen = || vault.compact_with(|_| panic!("of the application"));
    let panicked = thread::scope(|scope| scope.spawn(listen).join());
    assert!(panicked.is_err());
    tokens.extend(fill(&vault, 100..200));
    vault.compact().unwrap();
    assert_eq!(vault.stats().unwrap().pci_tokens, 200);
    reveals(&vault, &tokens);
}

#[test]
fn a_store_that_needs_no_compaction_does_nothing() {
    let vault = VaultOptions::new().open_with(MemoryStore::new(), keys()).unwrap();
    let id = vault.create_generic(CreateGeneric::new([("pin", "1234")]).unwrap()).unwrap().id;
    let nothing = vault.compact().unwrap();
    assert_eq!(serde_json::to_value(nothing).unwrap(), serde_json::to_value(CompactReport::default()).unwrap());
    vault.generic_payload(id, |_| ()).unwrap();
    vault.close().unwrap();
    assert_eq!(vault.compact().unwrap_err().kind(), ErrorKind::Unavailable);
}
