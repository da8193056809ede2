//! Promise: whoever subscribes hears once of everything that happens, in the published words, and never holds anybody up.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::thread;
use std::time::Duration;

use common::clock::HandClock;
use serde_json::Value;
use tokenvault::card::SecurityCode;
use tokenvault::store::MemoryStore;
use tokenvault::{
    CreateGeneric, CreatePci, CreateType, ErrorKind, Event, EventReason, EventType, KeyManager, PciCreated, Received,
    RelatedObject, Subscription, TokenId, UpdateGeneric, UpdatePci, Vault, VaultOptions,
};

const CARD: &[u8] =
    br#"{"source":{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025}}"#;

fn vault() -> (HandClock, Vault) {
    let clock = HandClock::at("2026-11-21T12:00:00Z");
    let options = VaultOptions::new().clock(clock.clone());
    (clock, options.open_with(MemoryStore::new(), KeyManager::generate().unwrap()).unwrap())
}

fn generic() -> CreateGeneric {
    CreateGeneric::new([("pin", "1234")]).unwrap()
}

fn pci(vault: &Vault) -> TokenId {
    match vault.create_pci(CreatePci::from_json(CARD).unwrap()).unwrap() {
        PciCreated::Token(token) => token.id,
        PciCreated::Session(_) => panic!("a pan source makes a token"),
    }
}

/// Where the published API has what an event is about.
fn path(r#type: EventType) -> &'static str {
    use EventType as E;
    match r#type {
        E::PciTokenCreated
        | E::PciTokenUpdated
        | E::PciTokenDeleted
        | E::PciTokenExpired
        | E::PciSecurityCodeExpired
        | E::PciSecurityCodeNotKept => "/api/pci/tokens",
        E::GenericTokenCreated | E::GenericTokenUpdated | E::GenericTokenDeleted | E::GenericTokenExpired => {
            "/api/generic/tokens"
        }
        E::SessionCompleted | E::SessionExpired => "/api/pci/sessions",
        other => panic!("{other:?} is about nothing that is known here"),
    }
}

/// What has come so far. Each says where its object is.
fn heard(events: &Subscription) -> Vec<(EventType, EventReason, String)> {
    std::iter::from_fn(|| events.try_next())
        .map(|received| match received {
            Received::Event(event) => {
                let RelatedObject { id, url, .. } = event.related_object;
                assert_eq!(url, format!("{}/{id}", path(event.r#type)));
                (event.r#type, event.reason, id)
            }
            Received::Lost(lost) => panic!("{lost} events went by"),
        })
        .collect()
}

#[test]
fn every_change_of_a_token_is_told_once() {
    let (clock, vault) = vault();
    let events = vault.subscribe().unwrap();
    let card = pci(&vault);
    let token = vault.create_generic(generic()).unwrap().id;
    let read = vault.create_generic(generic().expires_in(10).unwrap()).unwrap().id;
    let swept = vault.create_generic(generic().expires_in(10).unwrap()).unwrap().id;
    vault.delete_pci(card).unwrap();
    assert_eq!(vault.delete_pci(card).unwrap_err().kind(), ErrorKind::NotFound);
    vault.delete_generic(token).unwrap();
    clock.advance_millis(10_000);
    assert_eq!(vault.generic(read).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(vault.generic(read).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(vault.sweep().unwrap().expired_generic, 1);
    vault.sweep().unwrap();
    let told = [
        (EventType::PciTokenCreated, EventReason::Request, card),
        (EventType::GenericTokenCreated, EventReason::Request, token),
        (EventType::GenericTokenCreated, EventReason::Request, read),
        (EventType::GenericTokenCreated, EventReason::Request, swept),
        (EventType::PciTokenDeleted, EventReason::Request, card),
        (EventType::GenericTokenDeleted, EventReason::Request, token),
        (EventType::GenericTokenExpired, EventReason::Expiry, read),
        (EventType::GenericTokenExpired, EventReason::Sweep, swept),
    ];
    assert_eq!(heard(&events), told.map(|(what, why, id)| (what, why, id.to_string())));
}

#[test]
fn changes_codes_and_sessions_are_told_too() {
    let (clock, vault) = vault();
    let (token, card) = (vault.create_generic(generic()).unwrap().id, pci(&vault));
    let events = vault.subscribe().unwrap();
    vault.update_generic(token, UpdateGeneric::new().expires_in(60).unwrap()).unwrap();
    vault.update_pci(card, UpdatePci::new().expires_in(604_800).unwrap()).unwrap();
    let (used, unused) = (vault.refresh_security_code(card).unwrap(), vault.refresh_security_code(card).unwrap());
    vault.complete_security_code(used, SecurityCode::parse("123").unwrap()).unwrap();
    clock.advance_millis(86_400_000);
    assert!(!vault.security_code_available(card).unwrap());
    assert_eq!(vault.session(unused).unwrap_err().kind(), ErrorKind::NotFound);
    // A type is nothing that is told of.
    vault.delete_type(vault.create_type(CreateType::new("anything", "{}").unwrap()).unwrap().id).unwrap();
    let told = [
        (EventType::GenericTokenUpdated, EventReason::Request, token.to_string()),
        (EventType::PciTokenUpdated, EventReason::Request, card.to_string()),
        (EventType::SessionCompleted, EventReason::Request, used.to_string()),
        (EventType::PciSecurityCodeExpired, EventReason::Expiry, card.to_string()),
        (EventType::SessionExpired, EventReason::Expiry, unused.to_string()),
    ];
    assert_eq!(heard(&events), told);
}

#[test]
fn tokens_of_a_bulk_are_told_in_order_and_refused_items_are_not() {
    let (_, vault) = vault();
    let events = vault.subscribe().unwrap();
    let requests = [Ok(generic()), CreateGeneric::from_json(b"{}"), Ok(generic())];
    let made: Vec<_> = vault.create_generic_many(requests).filter_map(Result::ok).collect();
    let told: Vec<String> = heard(&events).into_iter().map(|(.., id)| id).collect();
    assert_eq!(told, made.iter().map(|token| token.id.to_string()).collect::<Vec<_>>());
}

/// An event without what its JSON does not say.
fn published(event: &Event) -> Event {
    let mut event = event.clone();
    assert_eq!(event.by.take().map(|by| by.id).as_deref(), Some("root"));
    event
}

#[test]
fn an_event_is_the_published_body_and_comes_back_from_it() {
    let (_, vault) = vault();
    let events = vault.subscribe().unwrap();
    let card = pci(&vault);
    let Some(Received::Event(event)) = events.try_next() else { panic!("nothing came") };
    let body: Value = serde_json::to_value(&event).unwrap();
    let expected = serde_json::json!({
        "id": event.id.to_string(),
        "created_at": "2026-11-21T12:00:00.000Z",
        "type": "pci.token.created",
        "reason": "request",
        "related_object": {"id": card.to_string(), "url": format!("/api/pci/tokens/{card}")},
    });
    assert_eq!(body, expected);
    assert_eq!(serde_json::from_value::<Event>(body).unwrap(), published(&event));
}

#[test]
fn the_signature_is_of_exactly_the_bytes_that_are_relayed() {
    let (_, vault) = vault();
    let events = vault.subscribe().unwrap();
    pci(&vault);
    let Some(Received::Event(event)) = events.try_next() else { panic!("nothing came") };
    let signed = event.sign(b"key").unwrap();
    assert_eq!(serde_json::from_slice::<Event>(&signed.body).unwrap(), published(&event));
    assert!(signed.signature.len() == 64 && signed.signature.bytes().all(|byte| b"0123456789abcdef".contains(&byte)));
    assert_eq!(event.sign(b"key").unwrap(), signed);
    assert_ne!(event.sign(b"yek").unwrap().signature, signed.signature);
    assert_ne!(event.sign(b"").unwrap().signature, signed.signature);
}

#[test]
fn a_slow_subscriber_loses_the_oldest_and_is_told_how_many() {
    let (_, vault) = vault();
    let events = vault.subscribe().unwrap();
    let made: Vec<TokenId> =
        vault.create_generic_many((0..1030).map(|_| Ok(generic()))).map(|token| token.unwrap().id).collect();
    assert_eq!(events.try_next(), Some(Received::Lost(6)));
    let told: Vec<String> = heard(&events).into_iter().map(|(.., id)| id).collect();
    assert_eq!(told, made[6..].iter().map(TokenId::to_string).collect::<Vec<_>>());
    assert_eq!(events.try_next(), None);
}

#[test]
fn every_subscriber_has_a_queue_of_its_own() {
    let (_, vault) = vault();
    let (one, other) = (vault.subscribe().unwrap(), vault.subscribe().unwrap());
    vault.create_generic(generic()).unwrap();
    drop(one);
    let late = vault.subscribe().unwrap();
    vault.create_generic(generic()).unwrap();
    assert_eq!((heard(&other).len(), heard(&late).len()), (2, 1));
}

#[test]
fn a_subscriber_that_waits_is_woken_and_hears_everything_before_the_end() {
    let (_, vault) = vault();
    let (made, events) = (vault.create_generic(generic()).unwrap(), vault.subscribe().unwrap());
    let waiter = thread::spawn(move || events.count());
    vault.delete_generic(made.id).unwrap();
    vault.create_generic(generic()).unwrap();
    vault.close().unwrap();
    assert_eq!(waiter.join().unwrap(), 2);
    assert_eq!(vault.subscribe().unwrap_err().kind(), ErrorKind::Unavailable);
}

#[test]
fn waiting_for_an_event_ends_when_nothing_comes() {
    let (_, vault) = vault();
    let events = vault.subscribe().unwrap();
    assert_eq!(events.next_within(Duration::from_millis(1)), None);
    vault.create_generic(generic()).unwrap();
    assert!(matches!(events.next_within(Duration::MAX), Some(Received::Event(_))));
}

#[test]
fn dropping_the_last_handle_ends_its_subscriptions() {
    let (_, vault) = vault();
    let mut events = vault.subscribe().unwrap();
    drop(vault);
    assert_eq!(events.next(), None);
}

#[test]
fn two_reads_of_one_expired_token_tell_of_it_once() {
    let (clock, vault) = vault();
    for _ in 0..50 {
        let token = vault.create_generic(generic().expires_in(1).unwrap()).unwrap().id;
        let events = vault.subscribe().unwrap();
        clock.advance_millis(1_000);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| assert_eq!(vault.generic(token).unwrap_err().kind(), ErrorKind::NotFound));
            }
        });
        assert_eq!(heard(&events), [(EventType::GenericTokenExpired, EventReason::Expiry, token.to_string())]);
    }
}
