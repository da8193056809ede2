//! Promise: whoever changes what leads to tokens, the entries of idempotency keys and the rows of fingerprints, leads nobody to
//! another token. What was changed is `CORRUPT` or not found, and nothing is removed on its word.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use common::cards::{plain, returning};
use common::clock::HandClock;
use common::shared::Shared;
use common::{keys, token};
use tokenvault::card::Pan;
use tokenvault::store::Table;
use tokenvault::{
    CreateGeneric, CreatePci, Duplicates, Error, ErrorKind, Fingerprints, GenericToken, PciToken, Vault, VaultOptions,
};

const VISA: &str = "4111111111111111";
const OTHER: &str = "4222222222222";
const DAY: i64 = 86_400_000;
/// Where the expiry stands in a header.
const EXPIRES_AT: std::ops::Range<usize> = 22..30;

/// A vault with two tokens of each kind, each made under a key, and its store to reach into.
struct Victim {
    store: Shared,
    clock: HandClock,
    vault: Vault,
    generic: [GenericToken; 2],
    pci: [PciToken; 2],
    /// The entries of the generic tokens, then of the cards: the ids under which they stand.
    entries: [Vec<u8>; 4],
}

fn generic(at: usize) -> CreateGeneric {
    CreateGeneric::new([("pin", "1234")]).unwrap().idempotency_key(["one", "other"][at]).unwrap()
}

fn card(at: usize) -> CreatePci {
    plain([VISA, OTHER][at]).idempotency_key(["one", "other"][at]).unwrap()
}

#[track_caller]
fn corrupt<T>(result: Result<T, Error>) {
    let Err(error) = result else { panic!("nothing was refused") };
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

impl Victim {
    fn new() -> Self {
        let (store, clock) = (Shared::default(), HandClock::at("2026-01-02T03:04:05.678Z"));
        let vault = open(&store, &clock).unwrap();
        let mut entries = Vec::new();
        let mut entry = || {
            let new = store.rows(Table::Replay).into_iter().find(|(id, _)| !entries.contains(id)).unwrap();
            entries.push(new.0);
        };
        let generic = [0, 1].map(|at| {
            let token = vault.create_generic(generic(at)).unwrap();
            entry();
            token
        });
        let pci = [0, 1].map(|at| {
            let token = token(vault.create_pci(card(at)).unwrap());
            entry();
            token
        });
        Self { entries: entries.try_into().unwrap(), store, clock, vault, generic, pci }
    }

    /// What the same requests are answered, the generic ones, then the cards, by a vault that has not seen them yet.
    fn replay(&self, at: usize) -> Result<bool, Error> {
        self.replay_by(&open(&self.store, &self.clock).unwrap(), at)
    }

    fn replay_by(&self, vault: &Vault, at: usize) -> Result<bool, Error> {
        match at {
            0 | 1 => vault.create_generic(generic(at)).map(|token| token == self.generic[at]),
            _ => vault.create_pci(card(at - 2)).map(|created| token(created) == self.pci[at - 2]),
        }
    }

    fn entry(&self, at: usize) -> Vec<u8> {
        self.store.value(Table::Replay, &self.entries[at]).unwrap()
    }

    fn put_entry(&self, at: usize, entry: &[u8]) {
        self.store.put(Table::Replay, &self.entries[at], entry);
    }

    /// Puts an entry in the place of one: nobody gets an answer, before it expires or after, and it stays.
    fn refuses(&self, at: usize, entry: &[u8]) {
        self.put_entry(at, entry);
        let tokens = || [Table::Generic, Table::Pci].map(|table| self.store.rows(table));
        let before = tokens();
        for millis in [0, DAY] {
            self.clock.advance_millis(millis);
            corrupt(self.replay(at));
            assert_eq!(self.store.value(Table::Replay, &self.entries[at]).as_deref(), Some(entry));
            assert_eq!(tokens(), before, "something was made");
        }
        self.clock.advance_millis(-DAY);
    }

    /// The rows of the two cards.
    fn rows(&self) -> [Vec<u8>; 2] {
        let row = |token: &PciToken| {
            let rows = self.store.rows(Table::Fingerprint);
            rows.into_iter().find(|(row, _)| row.ends_with(token.id.as_bytes())).unwrap().0
        };
        [row(&self.pci[0]), row(&self.pci[1])]
    }

    fn find(&self, number: &str) -> Result<Vec<tokenvault::TokenId>, Error> {
        self.vault.find_by_account_number(&Pan::parse(number).unwrap())
    }
}

fn open(store: &Shared, clock: &HandClock) -> Result<Vault, Error> {
    VaultOptions::new().clock(clock.clone()).fingerprints(Fingerprints::On).open_with(store.clone(), keys())
}

#[test]
fn every_bit_of_an_entry_counts() {
    let victim = Victim::new();
    for at in [0, 2] {
        let entry = victim.entry(at);
        assert!(victim.replay(at).unwrap());
        for bit in 0..entry.len() * 8 {
            let mut changed = entry.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            victim.refuses(at, &changed);
        }
        for length in 0..entry.len() {
            victim.refuses(at, &entry[..length]);
        }
        victim.refuses(at, &[entry.as_slice(), &[0]].concat());
        victim.put_entry(at, &entry);
        assert!(victim.replay(at).unwrap());
    }
}

#[test]
fn an_entry_in_the_place_of_another_is_refused() {
    let victim = Victim::new();
    for at in 0..4 {
        let own = victim.entry(at);
        for other in (0..4).filter(|other| *other != at) {
            victim.refuses(at, &victim.entry(other));
        }
        // A token's record is no entry, nor is an entry a record.
        victim.refuses(at, &victim.store.rows(Table::Pci)[0].1);
        victim.put_entry(at, &own);
    }
    let id = victim.pci[0].id;
    victim.store.put(Table::Pci, id.as_bytes(), &victim.entry(2));
    corrupt(victim.vault.pci(id));
    corrupt(victim.replay(2));
}

#[test]
fn an_entry_of_another_vault_is_refused() {
    let (victim, stranger) = (Victim::new(), Victim::new());
    for at in 0..4 {
        victim.refuses(at, &stranger.entry(at));
    }
}

#[test]
fn an_entry_is_not_removed_on_its_own_word() {
    let victim = Victim::new();
    let mut entry = victim.entry(0);
    entry[EXPIRES_AT].copy_from_slice(&1_i64.to_le_bytes());
    victim.refuses(0, &entry);
    // A row of the expiry index that says the same.
    let row = [&1_i64.to_be_bytes()[..], &[5], &victim.entries[0]].concat();
    victim.store.put(Table::Expiry, &row, &[]);
    let report = victim.vault.sweep().unwrap();
    assert_eq!((report.expired_other, report.remaining), (0, 1));
    assert_eq!(victim.entry(0), entry);
}

#[test]
fn an_entry_that_vanished_is_a_request_that_never_came() {
    let victim = Victim::new();
    victim.store.remove(Table::Replay, &victim.entries[0]);
    assert!(!victim.replay(0).unwrap(), "no other token is answered for it");
    assert!(victim.replay(1).unwrap());
}

#[test]
fn what_a_process_has_proved_of_an_entry_nobody_changes_under_it() {
    let victim = Victim::new();
    for at in 0..4 {
        victim.put_entry(at, &victim.entry((at + 1) % 4));
        assert!(victim.replay_by(&victim.vault, at).unwrap(), "the vault that has made it");
    }
    let vault = open(&victim.store, &victim.clock).unwrap();
    for at in 0..4 {
        corrupt(victim.replay_by(&vault, at));
    }
}

#[test]
fn a_row_that_leads_to_another_card_is_refused() {
    let victim = Victim::new();
    let [one, other] = victim.rows();
    let led_astray = [&one[..48], victim.pci[1].id.as_bytes()].concat();
    victim.store.remove(Table::Fingerprint, &one);
    victim.store.put(Table::Fingerprint, &led_astray, &[]);
    corrupt(victim.find(VISA));
    corrupt(victim.vault.create_pci(returning(VISA)));
    corrupt(victim.vault.create_pci(plain(VISA).duplicates(Duplicates::UpdateExisting)));
    assert_eq!(victim.vault.pci(victim.pci[1].id).unwrap(), victim.pci[1]);
    assert_eq!(victim.find(OTHER).unwrap(), [victim.pci[1].id]);
    assert!(victim.store.value(Table::Fingerprint, &led_astray).is_some(), "it stays");

    // Beside the right one it is refused as well.
    victim.store.put(Table::Fingerprint, &one, &[]);
    corrupt(victim.find(VISA));
    victim.store.remove(Table::Fingerprint, &led_astray);
    assert_eq!(victim.find(VISA).unwrap(), [victim.pci[0].id]);
    assert_eq!(victim.find(OTHER).unwrap(), [victim.pci[1].id]);
    assert_eq!(victim.rows(), [one, other]);
}

/// Where in a row stand the owner of the token and the instant at which it was made.
const OWNER_AND_CREATED_AT: std::ops::Range<usize> = 36..48;

#[test]
fn a_changed_bit_of_a_row_leads_nobody_astray() {
    let victim = Victim::new();
    let [row, _] = victim.rows();
    for bit in 0..row.len() * 8 {
        let mut changed = row.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        victim.store.remove(Table::Fingerprint, &row);
        victim.store.put(Table::Fingerprint, &changed, &[]);
        if OWNER_AND_CREATED_AT.contains(&(bit / 8)) {
            // In the place of another: root, who asks for all owners, is told of it as of one older or younger than it is.
            corrupt(victim.find(VISA));
        } else {
            // A fingerprint that nobody asks for, or a token that is not there.
            assert_eq!(victim.find(VISA).unwrap(), []);
        }
        assert_eq!(victim.find(OTHER).unwrap(), [victim.pci[1].id]);
        victim.store.remove(Table::Fingerprint, &changed);
    }
    for key in [&row[..40], &row[..63], &[&row[..], &[0]].concat()] {
        victim.store.put(Table::Fingerprint, key, &[]);
        corrupt(victim.find(VISA));
        victim.store.remove(Table::Fingerprint, key);
    }
}

#[test]
fn a_token_of_another_account_is_not_found() {
    let victim = Victim::new();
    let id = victim.pci[0].id;
    let mut record = victim.store.value(Table::Pci, id.as_bytes()).unwrap();
    record[6] = 1;
    victim.store.put(Table::Pci, id.as_bytes(), &record);
    corrupt(victim.find(VISA));
}

#[test]
fn what_the_vault_remembers_of_its_fingerprints_is_its_own_word() {
    let victim = Victim::new();
    victim.vault.close().unwrap();
    let (name, state) = victim.store.rows(Table::State).remove(0);
    let opens = |state: &[u8]| {
        victim.store.put(Table::State, &name, state);
        open(&victim.store, &victim.clock)
    };
    for bit in 0..state.len() * 8 {
        let mut changed = state.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        corrupt(opens(&changed));
    }
    for length in 0..state.len() {
        corrupt(opens(&state[..length]));
    }
    let stranger = Victim::new();
    corrupt(opens(&stranger.store.rows(Table::State)[0].1));

    // If it is lost, nothing is taken for complete.
    victim.store.remove(Table::State, &name);
    let vault = open(&victim.store, &victim.clock).unwrap();
    let find = || vault.find_by_account_number(&Pan::parse(VISA).unwrap());
    assert_eq!(find().unwrap_err().kind(), ErrorKind::Validation);
    assert_eq!(vault.index_fingerprints().unwrap().already, 2);
    assert_eq!(find().unwrap(), [victim.pci[0].id]);
}
