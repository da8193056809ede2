//! Promise: a security code stays with the card that it came with. Whoever replaces the card of a token, or only its labels, at
//! the worst moment, never gets one card's number beside another's code, nor loses a code that was handed in.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::sync::{Arc, Mutex};

use common::clock::HandClock;
use common::meddled::Meddled;
use common::shared::Shared;
use common::{keys, token, vault};
use tokenvault::card::{CardExpiry, Pan};
use tokenvault::store::{Batch, Committed, Entry, Maintenance, Store, StoreStats, Table};
use tokenvault::{
    Body, CreatePci, Error, ErrorKind, EventType, Page, PanSource, Received, Subscription, TokenId, UpdatePci, Vault,
    VaultOptions,
};

const ONE: &str = "4111111111111111";
const OTHER: &str = "5555555555554444";
const BOTH: Body<'_> = Body::Form("{{account_number}}/{{security_code}}");

fn card(number: &str) -> PanSource {
    PanSource::new(Pan::parse(number).unwrap(), CardExpiry::new(6, 2031).unwrap())
}

fn with_code(number: &str, code: &str) -> PanSource {
    card(number).security_code(code).unwrap()
}

fn code(vault: &Vault, id: TokenId) -> Option<String> {
    vault.use_security_code(id, str::to_owned).ok()
}

fn fill(vault: &Vault, id: TokenId) -> Result<String, ErrorKind> {
    let filled = vault.fill(id, BOTH, |body| String::from_utf8(body.to_vec()).unwrap());
    filled.map_err(|error| error.kind())
}

fn types(events: &Subscription) -> Vec<EventType> {
    let event = |received| match received {
        Received::Event(event) => event.r#type,
        Received::Lost(_) => panic!("the subscriber is not slow"),
    };
    std::iter::from_fn(|| events.try_next()).map(event).collect()
}

#[test]
fn a_request_that_comes_again_leaves_the_code_of_the_new_card() {
    let (vault, _) = vault();
    let request = || CreatePci::new(with_code(ONE, "111")).idempotency_key("k").unwrap();
    let id = token(vault.create_pci(request()).unwrap()).id;
    vault.replace_account_number(id, with_code(OTHER, "999")).unwrap();
    let events = vault.subscribe().unwrap();
    assert_eq!(token(vault.create_pci(request()).unwrap()).id, id);
    assert_eq!(types(&events), [EventType::PciSecurityCodeNotKept]);
    assert_eq!(fill(&vault, id).unwrap(), format!("{OTHER}/999"));
}

#[test]
fn a_request_that_comes_again_brings_its_code_though_labels_were_changed() {
    let (vault, _) = vault();
    let request = || CreatePci::new(with_code(ONE, "111")).idempotency_key("k").unwrap();
    let id = token(vault.create_pci(request()).unwrap()).id;
    vault.update_pci(id, UpdatePci::new().metadata([("a", "b")]).unwrap()).unwrap();
    assert_eq!(code(&vault, id).as_deref(), Some("111"));
    assert_eq!(token(vault.create_pci(request()).unwrap()).id, id);
    assert_eq!(fill(&vault, id).unwrap(), format!("{ONE}/111"));
}

#[test]
fn the_code_of_the_old_card_is_gone_when_the_new_one_stands() {
    let store = Meddled::default();
    let vault = VaultOptions::new().open_with(store.clone(), keys()).unwrap();
    let id = token(vault.create_pci(CreatePci::new(with_code(ONE, "111"))).unwrap()).id;
    let meddling = vault.clone();
    let between = store.behind_commit(move || fill(&meddling, id));
    vault.replace_account_number(id, with_code(OTHER, "999")).unwrap();
    assert_eq!(between.take(), Err(ErrorKind::Validation), "there is no code yet");
    assert_eq!(fill(&vault, id).unwrap(), format!("{OTHER}/999"));
}

#[test]
fn whoever_hears_of_a_new_card_finds_its_code() {
    let (vault, _) = vault();
    let id = token(vault.create_pci(CreatePci::new(with_code(ONE, "111"))).unwrap()).id;
    let (events, listener) = (vault.subscribe().unwrap(), vault.clone());
    std::thread::scope(|scope| {
        let heard = scope.spawn(move || {
            let mut events = events;
            assert!(
                matches!(events.next(), Some(Received::Event(event)) if event.r#type == EventType::PciTokenUpdated)
            );
            fill(&listener, id)
        });
        vault.replace_account_number(id, with_code(OTHER, "999")).unwrap();
        assert_eq!(heard.join().unwrap().unwrap(), format!("{OTHER}/999"));
    });
}

type Deed = Box<dyn FnOnce() + Send>;

/// Does something once, right behind a look at a token.
#[derive(Clone, Default)]
struct Watched {
    store: Shared,
    behind: Arc<Mutex<Option<Deed>>>,
}

impl Store for Watched {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let found = self.store.get(table, key);
        let deed = self.behind.lock().unwrap().take_if(|_| table == Table::Pci);
        if let Some(deed) = deed {
            deed();
        }
        found
    }

    fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Entry>, Error> {
        self.store.scan(table, from, to, limit)
    }

    fn commit(&self, batch: Batch) -> Result<Committed, Error> {
        self.store.commit(batch)
    }

    fn read_anchor(&self) -> Result<Option<Vec<u8>>, Error> {
        self.store.read_anchor()
    }

    fn write_anchor(&self, bytes: &[u8]) -> Result<(), Error> {
        self.store.write_anchor(bytes)
    }

    fn maintain(&self, task: Maintenance) -> Result<StoreStats, Error> {
        self.store.maintain(task)
    }
}

#[test]
fn a_body_has_the_number_and_the_code_of_one_card() {
    let store = Watched::default();
    let vault = VaultOptions::new().open_with(store.clone(), keys()).unwrap();
    let id = token(vault.create_pci(CreatePci::new(with_code(ONE, "111"))).unwrap()).id;
    let meddling = vault.clone();
    *store.behind.lock().unwrap() = Some(Box::new(move || {
        meddling.replace_account_number(id, with_code(OTHER, "999")).unwrap();
    }));
    assert_eq!(fill(&vault, id).unwrap(), format!("{OTHER}/999"));
}

#[test]
fn labels_that_are_changed_behind_the_commit_cost_no_code() {
    let store = Meddled::default();
    let vault = VaultOptions::new().open_with(store.clone(), keys()).unwrap();
    let meddling = vault.clone();
    let meddled = store.behind_commit(move || {
        let id = meddling.list_pci(Page::first(1)).unwrap().data[0].id;
        meddling.update_pci(id, UpdatePci::new().metadata([("a", "b")]).unwrap()).unwrap();
    });
    let id = token(vault.create_pci(CreatePci::new(with_code(ONE, "111"))).unwrap()).id;
    meddled.take();
    assert_eq!(code(&vault, id).as_deref(), Some("111"));
}

#[test]
fn a_lifetime_that_is_set_behind_the_commit_is_that_of_the_code_too() {
    let store = Meddled::default();
    let clock = HandClock::at("2026-01-02T03:04:05.678Z");
    let vault = VaultOptions::new().clock(clock.clone()).open_with(store.clone(), keys()).unwrap();
    let meddling = vault.clone();
    let meddled = store.behind_commit(move || {
        let id = meddling.list_pci(Page::first(1)).unwrap().data[0].id;
        meddling.update_pci(id, UpdatePci::new().expires_in(10).unwrap()).unwrap();
    });
    let id = token(vault.create_pci(CreatePci::new(with_code(ONE, "111"))).unwrap()).id;
    meddled.take();
    assert!(vault.security_code_available(id).unwrap());
    clock.advance_millis(10_000);
    let events = vault.subscribe().unwrap();
    assert_eq!(vault.pci(id).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(types(&events), [EventType::PciSecurityCodeExpired, EventType::PciTokenExpired]);
}

#[test]
fn a_card_that_is_replaced_behind_the_commit_costs_the_code_of_the_first() {
    let store = Meddled::default();
    let vault = VaultOptions::new().open_with(store.clone(), keys()).unwrap();
    let meddling = vault.clone();
    let meddled = store.behind_commit(move || {
        let id = meddling.list_pci(Page::first(1)).unwrap().data[0].id;
        meddling.replace_account_number(id, card(OTHER)).unwrap();
    });
    let id = token(vault.create_pci(CreatePci::new(with_code(ONE, "111"))).unwrap()).id;
    meddled.take();
    assert_eq!(code(&vault, id), None);
}

#[test]
fn the_time_of_a_code_runs_from_when_the_vault_has_it() {
    let (vault, clock) = vault();
    let requests = (0..2).map(|at| {
        // The caller takes its time for the second.
        clock.advance_millis(at * 3_600_000);
        Ok(CreatePci::new(with_code(ONE, "111")))
    });
    let ids: Vec<TokenId> = vault.create_pci_many(requests).map(|created| token(created.unwrap()).id).collect();
    let held: Vec<bool> = ids.iter().map(|id| vault.security_code_available(*id).unwrap()).collect();
    assert_eq!(held, [false, true]);
}
