//! Promise: a change keeps the id and all that it does not name; what it names is replaced at once, everywhere, or not at all.
//!
//! Views and secrets are compared as a whole, so that a field that should have stayed and did not is seen. The records are
//! opened by the documented format alone. Where threads race, each outcome must be one that some order of the calls gives.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::thread;

use chrono::TimeDelta;
use proptest::prelude::*;
use tokenvault::card::{CardExpiry, Pan, Scheme};
use tokenvault::store::{Committed, Table};
use tokenvault::{
    CreateGeneric, CreatePci, Error, ErrorKind, EventType, GenericToken, PanSource, PciToken, Received, TokenId,
    UpdateGeneric, UpdatePci, Vault, VaultOptions,
};

use common::clock::HandClock;
use common::counts;
use common::forge::{Forger, Plain};
use common::kinds::{GENERIC, KINDS, Kind, PCI};
use common::meddled::{Done, Meddled};
use common::shared::Shared;
use common::threads::at_once;
use common::{keys, token, vault};

const CARD: &str = r#"{"source":{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025,"cardholder_name":"Zoë Ångström"},"metadata":{"order":"77","shop":"é"},"expires_in":3600}"#;
const PAYLOAD: &str = r#"{"payload":{"iban":"DE89370400440532013000","n":1.50,"t":true},"metadata":{"order":"77"},"expiration_time":3600}"#;
const NOBODY: &str = "8744c9ea-a02b-4ae6-875c-b64fc333e3ef";

fn card(vault: &Vault, json: &str) -> PciToken {
    token(vault.create_pci(CreatePci::from_json(json.as_bytes()).unwrap()).unwrap())
}

fn payload(vault: &Vault, json: &str) -> GenericToken {
    vault.create_generic(CreateGeneric::from_json(json.as_bytes()).unwrap()).unwrap()
}

fn update_pci(vault: &Vault, id: TokenId, json: &str) -> Result<PciToken, Error> {
    vault.update_pci(id, UpdatePci::from_json(json.as_bytes()).unwrap())
}

fn update_generic(vault: &Vault, id: TokenId, json: &str) -> Result<GenericToken, Error> {
    vault.update_generic(id, UpdateGeneric::from_json(json.as_bytes()).unwrap())
}

fn other_card() -> PanSource {
    let source = PanSource::new(Pan::parse("378282246310005").unwrap(), CardExpiry::new(6, 2031).unwrap());
    source.cardholder_name("Bob Holder").unwrap()
}

/// Number, date and name, as they are lent.
fn revealed(vault: &Vault, id: TokenId) -> (String, (u8, u16), Option<String>) {
    let lend = |card: &tokenvault::Card| {
        let expiry = (card.expiry().month(), card.expiry().year());
        (card.account_number().to_owned(), expiry, card.cardholder_name().map(str::to_owned))
    };
    vault.reveal_pci(id, lend).unwrap()
}

/// What a payload holds, as text.
fn held(vault: &Vault, id: TokenId) -> Vec<(String, String)> {
    let text = |value: &tokenvault::PayloadValue<'_>| {
        let literal = value.as_number().and_then(|number| number.as_literal().map(str::to_owned));
        literal.or(value.as_bool().map(|truth| truth.to_string())).or(value.as_str().map(str::to_owned)).unwrap()
    };
    let lend =
        |payload: &tokenvault::Payload| payload.iter().map(|(key, value)| (key.to_owned(), text(&value))).collect();
    vault.generic_payload(id, lend).unwrap()
}

// What is named changes, what is not named stays.

/// An update, and what it makes of the view.
type Case<T> = (&'static str, fn(&mut T));

#[test]
fn an_update_of_a_card_changes_what_it_names_and_nothing_else() {
    let (vault, clock) = vault();
    let before = card(&vault, CARD);
    clock.advance_millis(1_000);
    let table: [Case<PciToken>; 9] = [
        (r#"{"expiry_month":4}"#, |token| token.card.expiry_month = 4),
        (r#"{"expiry_year":2031}"#, |token| token.card.expiry_year = 2031),
        (r#"{"expiry_year":2032,"expiry_month":1}"#, |token| {
            (token.card.expiry_month, token.card.expiry_year) = (1, 2032);
        }),
        (r#"{"cardholder_name":"Bob"}"#, |token| token.card.cardholder_name = Some("Bob".to_owned())),
        (r#"{"cardholder_name":null}"#, |token| token.card.cardholder_name = None),
        (r#"{"metadata":{"a":"b"}}"#, |token| {
            token.metadata = Some(tokenvault::Metadata::new([("a", "b")]).unwrap());
        }),
        (r#"{"metadata":{}}"#, |token| token.metadata = Some(tokenvault::Metadata::default())),
        (r#"{"metadata":null}"#, |token| token.metadata = None),
        (r#"{"expires_in":null}"#, |token| token.expires_at = None),
    ];
    let mut expected = before.clone();
    for (json, change) in table {
        change(&mut expected);
        assert_eq!(update_pci(&vault, before.id, json).unwrap(), expected, "{json}");
        assert_eq!(vault.pci(before.id).unwrap(), expected, "{json}");
        let card = &expected.card;
        let lent = ("4111111111111111".to_owned(), (card.expiry_month, card.expiry_year), card.cardholder_name.clone());
        assert_eq!(revealed(&vault, before.id), lent, "{json}");
    }
    assert_eq!(counts(&vault), (0, 1, 0));
}

#[test]
fn an_update_of_a_payload_s_token_changes_what_it_names_and_never_the_payload() {
    let (vault, clock) = vault();
    let before = payload(&vault, PAYLOAD);
    let secret = held(&vault, before.id);
    clock.advance_millis(1_000);
    let table: [Case<GenericToken>; 4] = [
        (r#"{"metadata":{"a":"b"}}"#, |token| {
            token.metadata = Some(tokenvault::Metadata::new([("a", "b")]).unwrap());
        }),
        (r#"{"metadata":{}}"#, |token| token.metadata = Some(tokenvault::Metadata::default())),
        (r#"{"expiration_time":null}"#, |token| token.expires_at = None),
        (r#"{"metadata":null}"#, |token| token.metadata = None),
    ];
    let mut expected = before.clone();
    for (json, change) in table {
        change(&mut expected);
        assert_eq!(update_generic(&vault, before.id, json).unwrap(), expected, "{json}");
        assert_eq!(vault.generic(before.id).unwrap(), expected, "{json}");
        assert_eq!(held(&vault, before.id), secret, "{json}");
    }
    assert_eq!(counts(&vault), (1, 0, 0));
}

#[test]
fn a_lifetime_counts_from_the_change_and_the_index_follows() {
    let (vault, clock) = vault();
    let pci = card(&vault, CARD);
    let generic = payload(&vault, PAYLOAD);
    clock.advance_millis(3_599_999);
    let pci = update_pci(&vault, pci.id, r#"{"expires_in":60}"#).unwrap();
    let generic = update_generic(&vault, generic.id, r#"{"expiration_time":60}"#).unwrap();
    let lifetime = TimeDelta::milliseconds(3_599_999 + 60_000);
    assert_eq!(pci.expires_at, Some(pci.created_at + lifetime));
    assert_eq!(generic.expires_at, Some(generic.created_at + lifetime));
    assert_eq!(counts(&vault), (1, 1, 2), "one row each");
    clock.advance_millis(59_999);
    let report = vault.sweep().unwrap();
    assert_eq!((report.expired_generic, report.expired_pci, report.expired_other), (0, 0, 0), "the old rows are gone");
    assert!(vault.pci(pci.id).is_ok() && vault.generic(generic.id).is_ok());
    clock.advance_millis(1);
    let report = vault.sweep().unwrap();
    assert_eq!((report.expired_generic, report.expired_pci, report.expired_other), (1, 1, 0));
    assert_eq!(counts(&vault), (0, 0, 0));
}

#[test]
fn a_lifetime_may_become_shorter_or_begin_late() {
    let (vault, clock) = vault();
    let id = card(&vault, CARD).id;
    update_pci(&vault, id, r#"{"expires_in":1}"#).unwrap();
    clock.advance_millis(999);
    assert!(vault.pci(id).is_ok());
    update_pci(&vault, id, r#"{"expires_in":null}"#).unwrap();
    clock.advance_millis(1_000_000_000);
    assert!(vault.pci(id).is_ok());
    update_pci(&vault, id, r#"{"expires_in":2592000}"#).unwrap();
    assert_eq!(counts(&vault), (0, 1, 1));
    clock.advance_millis(2_592_000_000);
    assert_eq!(vault.pci(id).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(counts(&vault), (0, 0, 0));
}

#[test]
fn another_card_takes_the_place_of_the_one_that_stands() {
    let (vault, clock) = vault();
    let before = card(&vault, CARD);
    clock.advance_millis(1_000);
    let after = vault.replace_account_number(before.id, other_card()).unwrap();
    let mut expected = before.clone();
    expected.card.masked_account_number = "378282*****0005".to_owned();
    expected.card.scheme = Some(Scheme::AmericanExpress);
    (expected.card.expiry_month, expected.card.expiry_year) = (6, 2031);
    expected.card.cardholder_name = Some("Bob Holder".to_owned());
    assert_eq!(after, expected, "id, creation, labels and expiry stay");
    assert_eq!(vault.pci(before.id).unwrap(), expected);
    let lent = ("378282246310005".to_owned(), (6, 2031), Some("Bob Holder".to_owned()));
    assert_eq!(revealed(&vault, before.id), lent);
    assert_eq!(vault.list_pci(tokenvault::Page::default()).unwrap().data, [expected.clone()]);

    let nameless = PanSource::new(Pan::parse("4222222222222").unwrap(), CardExpiry::new(1, 2000).unwrap());
    let after = vault.replace_account_number(before.id, nameless).unwrap();
    assert_eq!(
        (after.card.cardholder_name, after.expires_at),
        (None, before.expires_at),
        "the name follows the source"
    );
    assert_eq!(revealed(&vault, before.id), ("4222222222222".to_owned(), (1, 2000), None));
    assert_eq!(counts(&vault), (0, 1, 1));
}

#[test]
fn typed_requests_ask_for_the_same_as_json() {
    let (vault, _) = vault();
    let (one, other) = (card(&vault, CARD), card(&vault, CARD));
    let requests: [(UpdatePci, &str); 4] = [
        (
            UpdatePci::new().expiry_month(1).unwrap().expiry_year(2040).unwrap(),
            r#"{"expiry_month":1,"expiry_year":2040}"#,
        ),
        (UpdatePci::new().cardholder_name("A").unwrap(), r#"{"cardholder_name":"A"}"#),
        (UpdatePci::new().clear_cardholder_name().clear_metadata(), r#"{"cardholder_name":null,"metadata":null}"#),
        (
            UpdatePci::new().metadata([("k", "v")]).unwrap().never_expires(),
            r#"{"metadata":{"k":"v"},"expires_in":null}"#,
        ),
    ];
    for (typed, json) in requests {
        let mut typed = vault.update_pci(one.id, typed).unwrap();
        typed.id = other.id;
        let read = update_pci(&vault, other.id, json).unwrap();
        assert_eq!(typed, read, "{json}");
    }
    let token = payload(&vault, PAYLOAD);
    let typed = UpdateGeneric::new().metadata([("k", "v")]).unwrap().expires_in(7).unwrap();
    let typed = vault.update_generic(token.id, typed).unwrap();
    assert_eq!(update_generic(&vault, token.id, r#"{"metadata":{"k":"v"},"expiration_time":7}"#).unwrap(), typed);
    let typed = vault.update_generic(token.id, UpdateGeneric::new().clear_metadata().never_expires()).unwrap();
    assert_eq!((typed.metadata, typed.expires_at), (None, None));
}

#[test]
fn a_request_that_asks_for_nothing_changes_nothing() {
    let (shared, clock) = (Shared::default(), HandClock::at("2026-01-02T03:04:05.678Z"));
    let vault = VaultOptions::new().clock(clock).open_with(shared.clone(), keys()).unwrap();
    let (pci, generic) = (card(&vault, CARD), payload(&vault, PAYLOAD));
    let rows = || Table::ALL.iter().map(|table| shared.rows(*table)).collect::<Vec<_>>();
    let (before, stats) = (rows(), vault.stats().unwrap());
    let events = vault.subscribe().unwrap();
    assert_eq!(update_pci(&vault, pci.id, "{}").unwrap(), pci);
    assert_eq!(vault.update_pci(pci.id, UpdatePci::new()).unwrap(), pci);
    assert_eq!(update_generic(&vault, generic.id, " {} ").unwrap(), generic);
    assert_eq!(vault.update_generic(generic.id, UpdateGeneric::new()).unwrap(), generic);
    assert_eq!(rows(), before, "not a byte");
    assert_eq!(vault.stats().unwrap(), stats);
    assert_eq!(events.try_next(), None);
    let nobody: TokenId = NOBODY.parse().unwrap();
    assert_eq!(update_pci(&vault, nobody, "{}").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(update_generic(&vault, nobody, "{}").unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn each_change_is_told_once() {
    let (vault, _) = vault();
    let (pci, generic) = (card(&vault, CARD), payload(&vault, PAYLOAD));
    let events = vault.subscribe().unwrap();
    update_pci(&vault, pci.id, r#"{"expiry_month":1}"#).unwrap();
    vault.replace_account_number(pci.id, other_card()).unwrap();
    update_generic(&vault, generic.id, r#"{"metadata":null}"#).unwrap();
    update_generic(&vault, pci.id, r#"{"metadata":null}"#).unwrap_err();
    let mut told = Vec::new();
    while let Some(received) = events.try_next() {
        let Received::Event(event) = received else { panic!("{received:?}") };
        told.push((event.r#type, event.related_object.id));
    }
    let (pci, generic) = (pci.id.to_string(), generic.id.to_string());
    let updated = EventType::PciTokenUpdated;
    assert_eq!(told, [(updated, pci.clone()), (updated, pci), (EventType::GenericTokenUpdated, generic)]);
    assert_eq!(serde_json::to_string(&updated).unwrap(), r#""pci.token.updated""#);
}

// What stands in the store.

/// A vault whose records are opened by the documented format.
struct Glass {
    shared: Shared,
    clock: HandClock,
    vault: Vault,
}

impl Glass {
    const ROOT: [u8; 32] = [7; 32];

    fn new() -> Self {
        let (shared, clock) = (Shared::default(), HandClock::at("2026-01-02T03:04:05.678Z"));
        let vault = VaultOptions::new().clock(clock.clone()).open_with(shared.clone(), keys()).unwrap();
        Self { shared, clock, vault }
    }

    fn record(&self, table: Table, id: TokenId) -> Vec<u8> {
        self.shared.value(table, id.as_bytes()).unwrap()
    }

    fn plain(&self, table: Table, id: TokenId) -> Plain {
        Forger::of(&self.shared.anchor(), Self::ROOT).open(id.as_bytes(), &self.record(table, id)).unwrap()
    }
}

#[test]
fn a_change_seals_every_part_anew_and_counts_the_revision() {
    let glass = Glass::new();
    let (pci, generic) = (card(&glass.vault, CARD).id, payload(&glass.vault, PAYLOAD).id);
    for (table, id) in [(Table::Pci, pci), (Table::Generic, generic)] {
        for revision in 0..4 {
            let (record, plain) = (glass.record(table, id), glass.plain(table, id));
            assert_eq!(plain.header.revision, revision);
            glass.clock.advance_millis(10);
            match (table, revision) {
                (Table::Pci, 2) => drop(glass.vault.replace_account_number(id, other_card()).unwrap()),
                (Table::Pci, _) => drop(update_pci(&glass.vault, id, r#"{"metadata":{"order":"77"}}"#).unwrap()),
                _ => drop(update_generic(&glass.vault, id, r#"{"metadata":{"order":"77"}}"#).unwrap()),
            }
            let (record_after, after) = (glass.record(table, id), glass.plain(table, id));
            assert_eq!(after.header.created_at, plain.header.created_at);
            assert_eq!(after.header.expires_at, plain.header.expires_at);
            // The view stands behind the header with its nonce, the secret behind the view with its own.
            let nonces = |record: &[u8]| {
                let view = usize::from(u16::from_le_bytes([record[30], record[31]]));
                let secret = 32 + 24 + view + 16;
                [record[32..56].to_vec(), record[secret..secret + 24].to_vec()]
            };
            let [view, secret] = nonces(&record);
            let [view_after, secret_after] = nonces(&record_after);
            assert!(view != view_after && secret != secret_after && view_after != secret_after, "a nonce came twice");
            if (table, revision) != (Table::Pci, 2) {
                assert_eq!(after.secret, plain.secret);
            }
        }
    }
    let stats = glass.vault.stats().unwrap();
    assert_eq!(stats.key_epochs[0].sealed_records, 2 + 8, "each sealing is a use of the key");
}

#[test]
fn a_revision_that_can_grow_no_more_stays() {
    let glass = Glass::new();
    let id = card(&glass.vault, CARD).id;
    let forger = Forger::of(&glass.shared.anchor(), Glass::ROOT);
    let mut plain = glass.plain(Table::Pci, id);
    plain.header.revision = u32::MAX;
    glass.shared.put(
        Table::Pci,
        id.as_bytes(),
        &forger.record(id.as_bytes(), &plain.header, &plain.view, &plain.secret),
    );
    assert_eq!(update_pci(&glass.vault, id, r#"{"expiry_month":1}"#).unwrap().card.expiry_month, 1);
    assert_eq!(glass.plain(Table::Pci, id).header.revision, u32::MAX);
}

#[test]
fn a_changed_token_is_there_after_the_vault_was_opened_again() {
    let glass = Glass::new();
    let (pci, generic) = (card(&glass.vault, CARD).id, payload(&glass.vault, PAYLOAD).id);
    let changed = [
        serde_json::to_string(&glass.vault.replace_account_number(pci, other_card()).unwrap()).unwrap(),
        serde_json::to_string(&update_generic(&glass.vault, generic, r#"{"expiration_time":60}"#).unwrap()).unwrap(),
    ];
    glass.vault.close().unwrap();
    let vault = VaultOptions::new().clock(glass.clock.clone()).open_with(glass.shared.clone(), keys()).unwrap();
    assert_eq!([(PCI.view)(&vault, pci).unwrap(), (GENERIC.view)(&vault, generic).unwrap()], changed[..]);
    assert_eq!(revealed(&vault, pci).0, "378282246310005");
}

#[test]
fn a_record_that_fails_authentication_is_not_changed() {
    for (table, part) in
        [(Table::Pci, "view"), (Table::Pci, "secret"), (Table::Generic, "view"), (Table::Generic, "secret")]
    {
        let glass = Glass::new();
        let id = if table == Table::Pci { card(&glass.vault, CARD).id } else { payload(&glass.vault, PAYLOAD).id };
        let mut record = glass.record(table, id);
        let at = if part == "view" { 40 } else { record.len() - 1 };
        record[at] ^= 1;
        glass.shared.put(table, id.as_bytes(), &record);
        let error = if table == Table::Pci {
            update_pci(&glass.vault, id, r#"{"expires_in":60}"#).unwrap_err()
        } else {
            update_generic(&glass.vault, id, r#"{"expiration_time":60}"#).unwrap_err()
        };
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{table:?} {part}");
        assert_eq!(glass.record(table, id), record, "{table:?} {part}");
        assert_eq!(glass.shared.rows(Table::Expiry).len(), 1);
    }
}

#[test]
fn a_new_card_replaces_one_whose_number_can_no_longer_be_read() {
    let glass = Glass::new();
    let id = card(&glass.vault, CARD).id;
    let mut record = glass.record(Table::Pci, id);
    *record.last_mut().unwrap() ^= 1;
    glass.shared.put(Table::Pci, id.as_bytes(), &record);
    assert_eq!(glass.vault.reveal_pci(id, |_| ()).unwrap_err().kind(), ErrorKind::Corrupt);
    glass.vault.replace_account_number(id, other_card()).unwrap();
    assert_eq!(revealed(&glass.vault, id).0, "378282246310005", "nothing of the old number is needed");
}

// Who is not there.

#[test]
fn what_is_not_there_cannot_be_changed() {
    let (vault, clock) = vault();
    let nobody: TokenId = NOBODY.parse().unwrap();
    let gone = |outcome: Result<(), Error>| assert_eq!(outcome.unwrap_err().kind(), ErrorKind::NotFound);
    let all = |id: TokenId| {
        gone(update_pci(&vault, id, r#"{"expiry_month":1}"#).map(drop));
        gone(vault.replace_account_number(id, other_card()).map(drop));
    };
    let (pci, generic) = (card(&vault, CARD).id, payload(&vault, PAYLOAD).id);
    for id in [nobody, generic] {
        all(id);
    }
    for id in [nobody, pci] {
        gone(update_generic(&vault, id, r#"{"metadata":null}"#).map(drop));
    }
    assert_eq!(counts(&vault), (1, 1, 2));
    clock.advance_millis(3_600_000);
    gone(update_pci(&vault, pci, r#"{"expires_in":null}"#).map(drop));
    gone(update_generic(&vault, generic, r#"{"expiration_time":null}"#).map(drop));
    assert_eq!(counts(&vault), (0, 0, 0), "an expired token is removed, and not brought back");
    let deleted = card(&vault, CARD).id;
    vault.delete_pci(deleted).unwrap();
    all(deleted);
}

#[test]
fn a_closed_vault_changes_nothing() {
    let (vault, _) = vault();
    let (pci, generic) = (card(&vault, CARD).id, payload(&vault, PAYLOAD).id);
    vault.close().unwrap();
    let closed = |outcome: Result<(), Error>| assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Unavailable);
    closed(update_pci(&vault, pci, r#"{"expiry_month":1}"#).map(drop));
    closed(update_generic(&vault, generic, r#"{"metadata":null}"#).map(drop));
    closed(vault.replace_account_number(pci, other_card()).map(drop));
    assert!(vault.pci_many([pci]).chain(vault.pci_many([generic])).all(|view| view.is_err()));
}

// Many views.

#[test]
fn many_views_come_in_the_order_asked_each_found_or_not() {
    let (vault, clock) = vault();
    let nobody: TokenId = NOBODY.parse().unwrap();
    for kind in KINDS {
        let lasting = (kind.create)(&vault, None).unwrap();
        let [one, expired, deleted] = [(); 3].map(|()| (kind.create)(&vault, Some(60)).unwrap());
        (kind.delete)(&vault, deleted).unwrap();
        let other = if kind.name == "pci" { &GENERIC } else { &PCI };
        let of_other = (other.create)(&vault, None).unwrap();
        let ids = [one, nobody, lasting, deleted, one, of_other, lasting];
        assert_eq!(found(&kind, &vault, &ids), [Some(one), None, Some(lasting), None, Some(one), None, Some(lasting)]);
        clock.advance_millis(60_000);
        assert_eq!(found(&kind, &vault, &[expired, lasting]), [None, Some(lasting)]);
        assert!(found(&kind, &vault, &[]).is_empty());
    }
}

/// Which ids were found, by their views.
fn found(kind: &Kind, vault: &Vault, ids: &[TokenId]) -> Vec<Option<TokenId>> {
    let ids = ids.iter().copied();
    let not_found = |error: Error| assert_eq!(error.kind(), ErrorKind::NotFound);
    if kind.name == "pci" {
        return vault.pci_many(ids).map(|view| view.map_err(not_found).map(|token| token.id).ok()).collect();
    }
    vault.generic_many(ids).map(|view| view.map_err(not_found).map(|token| token.id).ok()).collect()
}

#[test]
fn one_damaged_token_harms_no_other_of_many() {
    let glass = Glass::new();
    let ids = [(); 3].map(|()| card(&glass.vault, CARD).id);
    let mut record = glass.record(Table::Pci, ids[1]);
    record[40] ^= 1;
    glass.shared.put(Table::Pci, ids[1].as_bytes(), &record);
    let kinds: Vec<_> =
        glass.vault.pci_many(ids).map(|view| view.map(|token| token.id).map_err(|error| error.kind())).collect();
    assert_eq!(kinds, [Ok(ids[0]), Err(ErrorKind::Corrupt), Ok(ids[2])]);
}

// Races.

/// The expiry index has one row for each token with an expiry, and no other.
fn index_is_exact(shared: &Shared, vault: &Vault) {
    let tokens = |table: Table| shared.rows(table).into_iter().map(|(id, record)| (id, record[22..30].to_vec()));
    let mut expected: Vec<Vec<u8>> = [(Table::Generic, 1_u8), (Table::Pci, 2)]
        .into_iter()
        .flat_map(|(table, kind)| {
            tokens(table).filter_map(move |(id, expires_at)| {
                let at = i64::from_le_bytes(expires_at.try_into().unwrap());
                (at != 0).then(|| [&at.to_be_bytes()[..], &[kind], &id].concat())
            })
        })
        .collect();
    expected.sort();
    let rows: Vec<_> = shared.rows(Table::Expiry).into_iter().map(|(row, _)| row).collect();
    assert_eq!(rows, expected);
    let stats = vault.stats().unwrap();
    assert_eq!(stats.expiring_tokens, u64::try_from(rows.len()).unwrap());
}

#[test]
fn changes_of_one_token_that_race_are_each_made_once_on_top_of_each_other() {
    for _ in 0..20 {
        let glass = Glass::new();
        let (pci, generic) = (card(&glass.vault, CARD).id, payload(&glass.vault, PAYLOAD).id);
        let created = glass.vault.pci(pci).unwrap().created_at;
        at_once(4, |thread| {
            for round in 0..5 {
                match thread {
                    0 => drop(update_pci(&glass.vault, pci, &format!(r#"{{"expires_in":{}}}"#, round + 1)).unwrap()),
                    1 => drop(update_pci(&glass.vault, pci, &format!(r#"{{"expiry_month":{}}}"#, round + 1)).unwrap()),
                    2 => drop(update_pci(&glass.vault, pci, &format!(r#"{{"metadata":{{"r":"{round}"}}}}"#)).unwrap()),
                    _ => drop(glass.vault.replace_account_number(pci, other_card()).unwrap()),
                }
                update_generic(&glass.vault, generic, &format!(r#"{{"expiration_time":{}}}"#, thread * 5 + round + 1))
                    .unwrap();
            }
        });
        let (card, plain) = (glass.vault.pci(pci).unwrap(), glass.plain(Table::Pci, pci));
        assert_eq!(plain.header.revision, 20, "none is lost");
        assert_eq!(glass.plain(Table::Generic, generic).header.revision, 20);
        assert_eq!(card.expires_at, Some(created + TimeDelta::seconds(5)), "the last of its thread");
        assert_eq!(card.metadata.unwrap().get("r"), Some("4"));
        // The month is that of the last update or of the card that replaced it since.
        assert!([5, 6].contains(&card.card.expiry_month), "{}", card.card.expiry_month);
        assert_eq!(revealed(&glass.vault, pci).1.0, card.card.expiry_month, "view and secret are of one change");
        index_is_exact(&glass.shared, &glass.vault);
        glass.clock.advance_millis(20_000);
        let report = glass.vault.sweep().unwrap();
        assert_eq!((report.expired_generic, report.expired_pci, report.expired_other, report.remaining), (1, 1, 0, 0));
        assert!(glass.shared.rows(Table::Expiry).is_empty() && glass.shared.rows(Table::Pci).is_empty());
    }
}

#[test]
fn a_change_that_races_with_a_delete_leaves_nothing_behind() {
    for round in 0..60 {
        let glass = Glass::new();
        let ids: Vec<_> = (0..8).map(|_| card(&glass.vault, CARD).id).collect();
        let outcomes = at_once(3, |thread| {
            let each = ids.iter().map(|id| match thread {
                0 => glass.vault.delete_pci(*id),
                1 => update_pci(&glass.vault, *id, r#"{"expires_in":60}"#).map(drop),
                _ if round % 2 == 0 => update_pci(&glass.vault, *id, r#"{"expires_in":null}"#).map(drop),
                _ => glass.vault.replace_account_number(*id, other_card()).map(drop),
            });
            each.map(|outcome| outcome.map_err(|error| error.kind())).collect::<Vec<_>>()
        });
        assert!(outcomes[0].iter().all(Result::is_ok), "a delete wins in the end");
        for outcome in outcomes[1..].iter().flatten() {
            assert!(matches!(outcome, Ok(()) | Err(ErrorKind::NotFound)), "{outcome:?}");
        }
        assert_eq!(counts(&glass.vault), (0, 0, 0));
        assert!(glass.shared.rows(Table::Expiry).is_empty(), "no row without its token");
    }
}

#[test]
fn a_change_that_races_with_expiry_and_sweep_is_made_before_or_not_at_all() {
    for round in 0..40 {
        let glass = Glass::new();
        let ids: Vec<_> = (0..10).map(|_| (PCI.create)(&glass.vault, Some(60)).unwrap()).collect();
        glass.clock.advance_millis(59_999);
        let outcomes = at_once(3, |thread| match thread {
            0 => {
                if round % 2 == 0 {
                    thread::yield_now();
                }
                glass.clock.advance_millis(1);
                assert_eq!(glass.vault.sweep().unwrap().remaining, 0);
                Vec::new()
            }
            1 => ids.iter().map(|id| glass.vault.pci(*id).is_ok()).collect(),
            _ => ids.iter().map(|id| update_pci(&glass.vault, *id, r#"{"expires_in":3600}"#).is_ok()).collect(),
        });
        glass.vault.sweep().unwrap();
        for (id, was_changed) in ids.iter().zip(&outcomes[2]) {
            assert_eq!(glass.vault.pci(*id).is_ok(), *was_changed);
        }
        index_is_exact(&glass.shared, &glass.vault);
    }
}

/// A token that expires after a minute, its record as it was first, and changed with its expiry kept.
fn changed_once() -> (Meddled, HandClock, Vault, TokenId, [Vec<u8>; 2]) {
    let (store, clock) = (Meddled::default(), HandClock::at("2026-01-02T03:04:05.678Z"));
    let vault = VaultOptions::new().clock(clock.clone()).open_with(store.clone(), keys()).unwrap();
    let id = (PCI.create)(&vault, Some(60)).unwrap();
    let record = || store.store.value(Table::Pci, id.as_bytes()).unwrap();
    let first = record();
    update_pci(&vault, id, r#"{"metadata":{"a":"b"}}"#).unwrap();
    let records = [first, record()];
    store.store.put(Table::Pci, id.as_bytes(), &records[0]);
    store.judged();
    (store, clock, vault, id, records)
}

fn interrupt(store: &Meddled, meanwhile: impl FnOnce(&Shared) + Send + 'static) -> Done<()> {
    let inner = store.store.clone();
    store.before_commit(move || meanwhile(&inner))
}

#[test]
fn a_sweep_removes_a_record_only_as_it_has_read_it() {
    let (store, clock, vault, id, [_, second]) = changed_once();
    clock.advance_millis(60_000);
    let done = interrupt(&store, move |store| store.put(Table::Pci, id.as_bytes(), &second));
    let report = vault.sweep().unwrap();
    done.take();
    assert_eq!((report.expired_pci, report.remaining), (1, 0), "it has expired as it is now, too");
    let judged = store.judged();
    assert!(matches!(judged[..], [Committed::Refused { .. }, Committed::Applied]), "{judged:?}");
    assert_eq!(counts(&vault), (0, 0, 0));
}

#[test]
fn a_sweep_leaves_what_was_removed_or_prolonged_meanwhile() {
    let (store, clock, vault, id, _) = changed_once();
    let row = store.store.rows(Table::Expiry).remove(0).0;
    clock.advance_millis(60_000);
    let done = interrupt(&store, move |store| {
        store.remove(Table::Pci, id.as_bytes());
        store.remove(Table::Expiry, &row);
    });
    let report = vault.sweep().unwrap();
    done.take();
    assert_eq!((report.expired_pci, report.expired_other, report.remaining), (0, 0, 0), "somebody else has removed it");

    let (store, clock, vault, id, _) = changed_once();
    let first = (store.store.value(Table::Pci, id.as_bytes()).unwrap(), store.store.rows(Table::Expiry).remove(0).0);
    update_pci(&vault, id, r#"{"expires_in":3600}"#).unwrap();
    let second = (store.store.value(Table::Pci, id.as_bytes()).unwrap(), store.store.rows(Table::Expiry).remove(0).0);
    let put = move |store: &Shared, of: &(Vec<u8>, Vec<u8>), other: &(Vec<u8>, Vec<u8>)| {
        store.put(Table::Pci, id.as_bytes(), &of.0);
        store.put(Table::Expiry, &of.1, &[]);
        store.remove(Table::Expiry, &other.1);
    };
    put(&store.store, &first, &second);
    clock.advance_millis(60_000);
    let done = interrupt(&store, move |store| put(store, &second, &first));
    let report = vault.sweep().unwrap();
    done.take();
    assert_eq!((report.expired_pci, report.expired_other, report.remaining), (0, 0, 0));
    assert!(vault.pci(id).is_ok());
    index_is_exact(&store.store, &vault);
}

#[test]
fn a_change_is_made_anew_on_what_another_has_made_meanwhile() {
    let (store, _, vault, id, [_, second]) = changed_once();
    let done = interrupt(&store, move |store| store.put(Table::Pci, id.as_bytes(), &second));
    let changed = update_pci(&vault, id, r#"{"expiry_month":1}"#).unwrap();
    done.take();
    assert_eq!(changed.card.expiry_month, 1);
    assert_eq!(changed.metadata.unwrap().get("a"), Some("b"), "the other change stands");
    let (store, _, vault, id, _) = changed_once();
    let row = store.store.rows(Table::Expiry).remove(0).0;
    let done = interrupt(&store, move |store| {
        store.remove(Table::Pci, id.as_bytes());
        store.remove(Table::Expiry, &row);
    });
    assert_eq!(update_pci(&vault, id, r#"{"expiry_month":1}"#).unwrap_err().kind(), ErrorKind::NotFound);
    done.take();
    assert_eq!(counts(&vault), (0, 0, 0), "what was deleted is not brought back");
}

#[test]
fn a_lifetime_counts_from_the_call_however_often_it_is_tried() {
    let (store, clock, vault, id, [_, second]) = changed_once();
    let created_at = vault.pci(id).unwrap().created_at;
    let ticking = clock.clone();
    let done = interrupt(&store, move |store| {
        ticking.advance_millis(500);
        store.put(Table::Pci, id.as_bytes(), &second);
    });
    let changed = update_pci(&vault, id, r#"{"expires_in":10}"#).unwrap();
    done.take();
    assert_eq!(changed.expires_at, Some(created_at + TimeDelta::seconds(10)));
}

// Any sequence.

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// An update gives what a map gives in which the fields that are there are put and those that are null removed.
    #[test]
    fn updates_are_those_of_a_map(updates in prop::collection::vec(
        (prop::option::of(1_u8..=12), prop::option::of(2000_u16..=9999), prop::option::of(prop::option::of("[^\\pC]{1,30}")),
         prop::option::of(prop::option::of(prop::collection::btree_map(".{1,20}", ".{1,80}", 0..4))),
         prop::option::of(prop::option::of(1_u32..=2_592_000))), 1..6)) {
        let (vault, clock) = vault();
        let mut expected = serde_json::to_value(card(&vault, CARD)).unwrap();
        let id = expected["id"].as_str().unwrap().parse().unwrap();
        let start = vault.pci(id).unwrap().created_at;
        for (at, (month, year, name, metadata, lifetime)) in updates.into_iter().enumerate() {
            clock.advance_millis(1);
            let now = start + TimeDelta::milliseconds(i64::try_from(at).unwrap() + 1);
            let mut update = serde_json::Map::new();
            let put = |object: &mut serde_json::Value, key: &str, value: Option<serde_json::Value>| {
                let object = object.as_object_mut().unwrap();
                match value {
                    Some(value) => drop(object.insert(key.to_owned(), value)),
                    None => drop(object.remove(key)),
                }
            };
            if let Some(month) = month {
                update.insert("expiry_month".to_owned(), month.into());
                put(&mut expected["card"], "expiry_month", Some(month.into()));
            }
            if let Some(year) = year {
                update.insert("expiry_year".to_owned(), year.into());
                put(&mut expected["card"], "expiry_year", Some(year.into()));
            }
            if let Some(name) = name {
                update.insert("cardholder_name".to_owned(), name.clone().into());
                put(&mut expected["card"], "cardholder_name", name.map(Into::into));
            }
            if let Some(metadata) = metadata {
                let metadata = metadata.map(|pairs| serde_json::to_value(pairs).unwrap());
                update.insert("metadata".to_owned(), metadata.clone().into());
                put(&mut expected, "metadata", metadata);
            }
            if let Some(lifetime) = lifetime {
                update.insert("expires_in".to_owned(), lifetime.into());
                let expires_at = lifetime.map(|seconds| now + TimeDelta::seconds(seconds.into()));
                let expires_at = expires_at.map(|at| at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
                put(&mut expected, "expires_at", expires_at.map(Into::into));
            }
            let json = serde_json::to_string(&update).unwrap();
            let answer = serde_json::to_value(update_pci(&vault, id, &json).unwrap()).unwrap();
            prop_assert_eq!(&answer, &expected, "{}", json);
            prop_assert_eq!(serde_json::to_value(vault.pci(id).unwrap()).unwrap(), answer);
            let expiring = expected.get("expires_at").is_some();
            prop_assert_eq!(counts(&vault), (0, 1, u64::from(expiring)));
        }
    }
}
