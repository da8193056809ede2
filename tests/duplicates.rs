//! Promise: a vault that keeps fingerprints finds the tokens of a card by its whole number. `ReturnExisting` never makes a
//! second live token of a card, `UpdateExisting` changes the one there is, and a fingerprint goes with its token.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::cards::{plain, returning};
use common::clock::{HandClock, TwoHandClock};
use common::meddled::Meddled;
use common::shared::Shared;
use common::threads::at_once;
use common::{keys, token, violations};
use tokenvault::card::Pan;
use tokenvault::store::Table;
use tokenvault::{
    CardDataGuard, CompleteSession, CreatePci, Duplicates, Error, ErrorKind, EventType, Fingerprints, IndexReport,
    PciToken, Received, TokenId, Vault, VaultOptions,
};

const BEGIN: &str = "2026-01-02T03:04:05.678Z";
const VISA: &str = "4111111111111111";
/// Another card with the same mask.
const TWIN: &str = "4111110000091111";
/// Threads that come at once.
const MANY: usize = 16;

const OFF: (&str, &str) = ("$.duplicates", "the vault keeps no fingerprints: open it with them");
const INCOMPLETE: &str = "the fingerprints are not complete: index them first";

/// A request with more members before its source, and more fields in that.
fn card(number: &str, members: &str, fields: &str) -> CreatePci {
    let source = format!(r#"{{"type":"pan","account_number":"{number}",{fields}"expiry_month":12}}"#);
    let source =
        if source.contains("expiry_year") { source } else { source.replace(r#""exp"#, r#""expiry_year":2025,"exp"#) };
    CreatePci::from_json(format!(r#"{{{members}"source":{source}}}"#).as_bytes()).unwrap()
}

fn updating(number: &str, members: &str, fields: &str) -> CreatePci {
    card(number, members, fields).duplicates(Duplicates::UpdateExisting)
}

fn create(vault: &Vault, request: CreatePci) -> PciToken {
    token(vault.create_pci(request).unwrap())
}

fn pan(number: &str) -> Pan {
    Pan::parse(number).unwrap()
}

fn find(vault: &Vault, number: &str) -> Vec<TokenId> {
    vault.find_by_account_number(&pan(number)).unwrap()
}

/// A vault that keeps fingerprints, its clock, and its store to look into.
struct Place {
    store: Shared,
    clock: HandClock,
}

impl Place {
    fn new() -> Self {
        Self { store: Shared::default(), clock: HandClock::at(BEGIN) }
    }

    fn options(&self) -> VaultOptions {
        VaultOptions::new().clock(self.clock.clone())
    }

    fn on(&self) -> Vault {
        self.options().fingerprints(Fingerprints::On).open_with(self.store.clone(), keys()).unwrap()
    }

    fn as_it_is(&self) -> Vault {
        self.options().open_with(self.store.clone(), keys()).unwrap()
    }

    fn rows(&self) -> usize {
        self.store.rows(Table::Fingerprint).len()
    }
}

fn place() -> (Place, Vault) {
    let place = Place::new();
    let vault = place.on();
    (place, vault)
}

#[test]
fn duplicates_are_allowed_unless_said_otherwise_and_found_oldest_first() {
    let (place, vault) = place();
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(create(&vault, plain(VISA)).id);
        place.clock.advance_millis(1);
    }
    assert_eq!(find(&vault, VISA), ids);
    assert_eq!(find(&vault, TWIN), []);
    let mut of_one_instant = [(); 5].map(|()| create(&vault, plain(TWIN)).id);
    of_one_instant.sort();
    assert_eq!(find(&vault, TWIN), of_one_instant);
}

#[test]
fn a_card_with_hundreds_of_tokens_has_them_all_found() {
    let (_, vault) = place();
    let requests = (0..600).map(|_| Ok(plain(VISA)));
    let made: BTreeSet<_> = vault.create_pci_many(requests).map(|created| token(created.unwrap()).id).collect();
    create(&vault, plain(TWIN));
    assert_eq!(find(&vault, VISA).into_iter().collect::<BTreeSet<_>>(), made);
}

#[test]
fn the_existing_token_is_returned_as_it_is() {
    let (place, vault) = place();
    let first = create(&vault, card(VISA, r#""metadata":{"a":"1"},"expires_in":60,"#, r#""cardholder_name":"Jo","#));
    place.clock.advance_millis(1);
    let again = card(VISA, r#""metadata":{"b":"2"},"#, r#""cardholder_name":"Bo","expiry_year":2031,"#);
    assert_eq!(create(&vault, again.duplicates(Duplicates::ReturnExisting)), first);
    assert_eq!(vault.pci(first.id).unwrap(), first);
    assert_eq!(find(&vault, VISA), [first.id]);
    assert_ne!(create(&vault, returning(TWIN)).id, first.id, "the mask is not the card");
}

#[test]
fn of_several_the_oldest_is_returned_and_updated() {
    let (place, vault) = place();
    let mut tokens: Vec<_> = (0..20).map(|_| create(&vault, plain(VISA))).collect();
    place.clock.advance_millis(1);
    tokens.extend((0..20).map(|_| create(&vault, plain(VISA))));
    tokens.sort_by_key(|token| (token.created_at, token.id));
    assert_eq!(create(&vault, returning(VISA)), tokens[0]);
    assert_eq!(create(&vault, updating(VISA, r#""metadata":{},"#, "")).id, tokens[0].id);
    vault.delete_pci(tokens[0].id).unwrap();
    assert_eq!(create(&vault, returning(VISA)), tokens[1]);
}

#[test]
fn an_expired_token_is_none_and_makes_way() {
    let (place, vault) = place();
    let first = create(&vault, card(VISA, r#""expires_in":60,"#, ""));
    place.clock.advance_millis(59_999);
    assert_eq!(create(&vault, returning(VISA)), first);
    assert_eq!(find(&vault, VISA), [first.id]);
    place.clock.advance_millis(1);
    assert_eq!(find(&vault, VISA), []);
    assert_eq!(place.rows(), 1, "a search only passes over it");
    let second = create(&vault, returning(VISA));
    assert_ne!(second.id, first.id);
    assert_eq!((place.rows(), place.store.rows(Table::Pci).len(), place.store.rows(Table::Expiry).len()), (1, 1, 0));
    assert_eq!(find(&vault, VISA), [second.id]);
}

#[test]
fn an_expired_token_makes_way_although_an_other_lives() {
    let (place, vault) = place();
    create(&vault, card(VISA, r#""expires_in":60,"#, ""));
    place.clock.advance_millis(1);
    let second = create(&vault, card(VISA, r#""expires_in":60,"#, ""));
    place.clock.advance_millis(59_999);
    assert_eq!(create(&vault, returning(VISA)), second);
    place.clock.advance_millis(1);
    create(&vault, updating(VISA, "", ""));
    assert_eq!((place.rows(), find(&vault, VISA).len()), (1, 1));
}

#[test]
fn an_update_replaces_what_the_request_says_and_leaves_the_rest() {
    let (place, vault) = place();
    let old = create(&vault, card(VISA, r#""metadata":{"a":"1"},"expires_in":60,"#, r#""cardholder_name":"Jo","#));
    place.clock.advance_millis(59_999);
    let events = vault.subscribe().unwrap();
    let new = create(&vault, updating(VISA, r#""metadata":{"b":"2"},"expires_in":60,"#, r#""expiry_year":2031,"#));
    assert_eq!((new.id, new.created_at), (old.id, old.created_at));
    assert_eq!(new.expires_at.unwrap(), old.expires_at.unwrap() + chrono::TimeDelta::milliseconds(59_999));
    assert_eq!((new.card.expiry_year, &new.card.cardholder_name), (2031, &None));
    assert_eq!(new.metadata.as_ref().unwrap().iter().collect::<Vec<_>>(), [("b", "2")]);
    assert_eq!(vault.pci(old.id).unwrap(), new);
    let lent = vault.reveal_pci(old.id, |card| {
        (card.account_number() == VISA, card.expiry().year(), card.cardholder_name().map(str::to_owned))
    });
    assert_eq!(lent.unwrap(), (true, 2031, None));
    let Some(Received::Event(event)) = events.try_next() else { panic!("no event") };
    assert_eq!((event.r#type, event.related_object.id), (EventType::PciTokenUpdated, old.id.to_string()));
    assert_eq!(events.try_next(), None);
    assert_eq!((place.rows(), place.store.rows(Table::Expiry).len()), (1, 1));

    // The old lifetime is over, and does not count.
    place.clock.advance_millis(1);
    assert_eq!(vault.sweep().unwrap().expired_pci, 0);
    place.clock.advance_millis(59_998);
    assert_eq!(vault.pci(old.id).unwrap(), new);

    // What is left out is gone.
    let bare = create(&vault, updating(VISA, "", ""));
    assert_eq!((bare.id, bare.expires_at, bare.metadata), (old.id, None, None));
    place.clock.advance_millis(1_000_000);
    assert_eq!(vault.sweep().unwrap().expired_pci, 0);
    assert_eq!(find(&vault, VISA), [old.id]);
    assert!(place.store.rows(Table::Expiry).is_empty());

    // Nothing to update is made.
    let made = create(&vault, updating(TWIN, "", ""));
    assert_eq!(find(&vault, TWIN), [made.id]);
}

#[test]
fn an_update_counts_as_a_revision() {
    let (place, vault) = place();
    let made = create(&vault, plain(VISA));
    let revision = || {
        let record = place.store.value(Table::Pci, made.id.as_bytes()).unwrap();
        u32::from_le_bytes(record[10..14].try_into().unwrap())
    };
    for expected in 0..3 {
        assert_eq!(revision(), expected);
        create(&vault, updating(VISA, "", ""));
    }
}

#[test]
fn a_fingerprint_goes_with_its_token_however_that_goes() {
    let (place, vault) = place();
    let make = || create(&vault, card(VISA, r#""expires_in":60,"#, ""));
    let (deleted, read) = (make(), make());
    (0..10).for_each(|_| drop(make()));
    assert_eq!(place.rows(), 12);
    vault.delete_pci(deleted.id).unwrap();
    assert_eq!(place.rows(), 11);
    place.clock.advance_millis(60_000);
    vault.pci(read.id).unwrap_err();
    assert_eq!(place.rows(), 10);
    assert_eq!(vault.sweep().unwrap().expired_pci, 10);
    assert_eq!(place.rows(), 0);
    assert_eq!(find(&vault, VISA), []);
}

#[test]
fn a_sweep_that_meets_a_change_leaves_no_trace_behind() {
    let (place, vault) = (Place::new(), Place::new().on());
    drop(vault);
    let vault = place.as_it_is();
    let made = create(&vault, card(VISA, r#""expires_in":60,"#, ""));
    vault.close().unwrap();
    // Between what the sweep sees and its commit, the token gets its fingerprint.
    let meddler = Meddled::on(&place.store);
    let vault = place.options().open_with(meddler.clone(), keys()).unwrap();
    let other = place.on();
    place.clock.advance_millis(60_000);
    let indexed = meddler.before_commit(move || other.index_fingerprints().unwrap());
    vault.sweep().unwrap();
    assert_eq!(indexed.take().indexed, 1);
    vault.sweep().unwrap();
    assert_eq!(place.store.value(Table::Pci, made.id.as_bytes()), None);
    assert_eq!((place.rows(), place.store.rows(Table::Expiry).len()), (0, 0));
}

#[test]
fn without_fingerprints_nothing_is_found_and_nothing_missed() {
    let place = Place::new();
    for vault in [
        place.as_it_is(),
        place.options().fingerprints(Fingerprints::Off).open_with(Shared::default(), keys()).unwrap(),
    ] {
        create(&vault, plain(VISA));
        for duplicates in [Duplicates::ReturnExisting, Duplicates::UpdateExisting] {
            let error = vault.create_pci(plain(VISA).duplicates(duplicates)).unwrap_err();
            assert_eq!(violations(&error), [OFF]);
        }
        let error = vault.find_by_account_number(&pan(VISA)).unwrap_err();
        assert_eq!(violations(&error), [("$", OFF.1)]);
        let error = vault.index_fingerprints().unwrap_err();
        assert_eq!(violations(&error), [("$.fingerprints", OFF.1)]);
        assert_eq!(vault.stats().unwrap().pci_tokens, 1);
    }
    assert_eq!((place.rows(), place.store.rows(Table::State).len()), (0, 0));
}

#[test]
fn once_on_they_stay_on_however_the_vault_is_opened() {
    let (place, vault) = place();
    let first = create(&vault, plain(VISA));
    vault.close().unwrap();
    let vault = place.as_it_is();
    assert_eq!(create(&vault, returning(VISA)), first);
    let second = create(&vault, plain(TWIN));
    vault.close().unwrap();
    let refused = place.options().fingerprints(Fingerprints::Off).open_with(place.store.clone(), keys()).unwrap_err();
    assert_eq!(violations(&refused), [("$.fingerprints", "the vault keeps fingerprints")]);
    assert_eq!(find(&place.on(), TWIN), [second.id]);
}

#[test]
fn an_empty_vault_has_nothing_to_index() {
    let place = Place::new();
    place.as_it_is().close().unwrap();
    assert_eq!(find(&place.on(), VISA), []);
    assert_eq!(place.on().index_fingerprints().unwrap(), IndexReport::default());
}

/// A place with a vault that was made without fingerprints and holds so many tokens.
fn unindexed(tokens: usize) -> (Place, Vec<PciToken>) {
    let place = Place::new();
    let vault = place.as_it_is();
    let number = |at: usize| if at.is_multiple_of(2) { VISA } else { TWIN };
    let requests = (0..tokens)
        .map(|at| Ok(card(number(at), r#""metadata":{"a":"1"},"expires_in":3600,"#, r#""cardholder_name":"Jo","#)));
    let made = vault.create_pci_many(requests).map(|created| token(created.unwrap())).collect();
    vault.close().unwrap();
    (place, made)
}

/// Every live token is found by its number and no other is, and nothing else stands in the index.
#[track_caller]
fn is_exact(place: &Place, vault: &Vault) {
    let mut page = tokenvault::Page::first(100);
    let mut of_card = [Vec::new(), Vec::new()];
    loop {
        let listing = vault.list_pci(page).unwrap();
        for token in &listing.data {
            let is_twin = vault.reveal_pci(token.id, |card| card.account_number() == TWIN).unwrap();
            of_card[usize::from(is_twin)].push((token.created_at, token.id));
        }
        let Some(last) = listing.data.last().filter(|_| listing.links.next.is_some()) else { break };
        page = tokenvault::Page::first(100).after(last.id);
    }
    for (number, mut expected) in [VISA, TWIN].into_iter().zip(of_card.clone()) {
        expected.sort();
        assert_eq!(find(vault, number), expected.into_iter().map(|(_, id)| id).collect::<Vec<_>>());
    }
    assert_eq!(place.rows(), of_card.iter().map(Vec::len).sum::<usize>());
}

#[test]
fn turning_them_on_indexes_what_is_there_and_changes_nothing_that_is_seen() {
    let (place, made) = unindexed(700);
    let vault = place.on();
    for error in [vault.find_by_account_number(&pan(VISA)).unwrap_err(), vault.create_pci(returning(VISA)).unwrap_err()]
    {
        assert_eq!(violations(&error)[0].1, INCOMPLETE);
    }
    // New ones have a fingerprint already.
    let new = create(&vault, plain(VISA));
    assert_eq!(place.rows(), 1);
    let mut steps = Vec::new();
    let report = vault.index_fingerprints_with(|report| steps.push(*report)).unwrap();
    assert_eq!((report.indexed, report.already, report.remaining), (700, 1, 0));
    assert!(steps.len() > 2 && steps.is_sorted_by_key(|step| step.indexed) && steps.last() == Some(&report));
    assert_eq!(place.rows(), 701);
    for token in &made {
        assert_eq!(&vault.pci(token.id).unwrap(), token);
        assert!(vault.reveal_pci(token.id, |card| card.cardholder_name() == Some("Jo")).unwrap());
    }
    is_exact(&place, &vault);
    assert!(find(&vault, VISA).contains(&new.id));
    assert_eq!(vault.index_fingerprints().unwrap(), IndexReport::default(), "there is nothing left to do");
    place.clock.advance_millis(3_600_000);
    assert_eq!(vault.sweep().unwrap().expired_pci, 700);
    is_exact(&place, &vault);
}

#[test]
fn an_index_that_was_interrupted_goes_on_where_it_stopped() {
    let (place, _) = unindexed(700);
    let (mut indexed, mut runs) = (0, 0);
    loop {
        // However it is opened, once it was begun.
        let vault = if runs == 0 { place.on() } else { place.as_it_is() };
        let outcome = vault.index_fingerprints_with(|report| {
            indexed += report.indexed;
            vault.close().unwrap();
        });
        runs += 1;
        match outcome {
            Ok(report) => {
                assert_eq!(report, IndexReport::default());
                break;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable),
        }
        assert!(runs < 20);
    }
    assert!(runs > 2 && indexed == 700, "{indexed} in {runs} runs");
    is_exact(&place, &place.as_it_is());
}

#[test]
fn an_index_goes_on_while_tokens_come_change_and_go() {
    let (place, made) = unindexed(3_000);
    let vault = place.on();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let (vault, done) = (&vault, &done);
        scope.spawn(move || {
            for token in made.iter().rev().step_by(3) {
                vault.delete_pci(token.id).unwrap();
            }
        });
        scope.spawn(move || {
            while !done.load(Ordering::SeqCst) {
                create(vault, plain(VISA));
            }
        });
        let report = vault.index_fingerprints().unwrap();
        done.store(true, Ordering::SeqCst);
        assert_eq!(report.remaining, 0);
    });
    is_exact(&place, &vault);
}

#[test]
fn two_that_index_at_once_do_the_work_once() {
    let (place, _) = unindexed(2_000);
    let vault = place.on();
    let both = thread::scope(|scope| {
        let index = || vault.index_fingerprints().unwrap().indexed;
        [scope.spawn(index), scope.spawn(index)].map(|thread| thread.join().unwrap())
    });
    assert_eq!(both.iter().sum::<u64>(), 2_000);
    is_exact(&place, &vault);
}

#[test]
fn a_token_that_changes_each_time_the_index_looks_does_not_stop_it() {
    let (place, made) = unindexed(300);
    let meddler = Meddled::on(&place.store);
    let vault = place.options().fingerprints(Fingerprints::On).open_with(meddler.clone(), keys()).unwrap();
    let mut gone = Vec::new();
    let mut victims = made.iter();
    // Something goes before each batch is kept.
    let report = loop {
        let (other, victim) = (place.as_it_is(), victims.next().unwrap().id);
        let deleted = meddler.before_commit(move || other.delete_pci(victim));
        let mut batches = 0;
        let outcome = vault.index_fingerprints_with(|_| batches += 1);
        deleted.take().unwrap();
        gone.push(victim);
        if batches > 0 {
            break outcome.unwrap();
        }
    };
    assert_eq!(report.indexed, 299);
    is_exact(&place, &vault);
}

#[test]
fn a_damaged_token_stays_without_one_and_holds_nothing_up() {
    let (place, made) = unindexed(3);
    let mut record = place.store.value(Table::Pci, made[1].id.as_bytes()).unwrap();
    *record.last_mut().unwrap() ^= 1;
    place.store.put(Table::Pci, made[1].id.as_bytes(), &record);
    let vault = place.on();
    let report = vault.index_fingerprints().unwrap();
    assert_eq!((report.indexed, report.remaining), (2, 1));
    assert_eq!(find(&vault, VISA).len() + find(&vault, TWIN).len(), 2);
    assert_eq!(place.store.value(Table::Pci, made[1].id.as_bytes()), Some(record));
}

fn sixteen_return_one(vault: &Vault, rounds: usize) {
    for _ in 0..rounds {
        let answers = at_once(MANY, |_| create(vault, returning(VISA)));
        assert!(answers.iter().all(|answer| *answer == answers[0]));
        assert_eq!(find(vault, VISA), [answers[0].id]);
        vault.delete_pci(answers[0].id).unwrap();
    }
}

#[test]
fn sixteen_threads_with_one_card_make_one_token() {
    sixteen_return_one(&place().1, 200);
}

#[test]
#[cfg(feature = "sled")]
fn sixteen_threads_make_one_token_on_disk_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault");
    let vault = VaultOptions::new().fingerprints(Fingerprints::On).create(&path, keys()).unwrap();
    sixteen_return_one(&vault, 20);
    let first = create(&vault, returning(VISA));
    vault.close().unwrap();
    let vault = Vault::open(&path, keys()).unwrap();
    assert_eq!(create(&vault, returning(VISA)), first);
    vault.close().unwrap();
}

#[test]
fn sixteen_threads_replace_an_expired_token_once() {
    let (place, vault) = place();
    for _ in 0..100 {
        let answers = at_once(MANY, |_| {
            create(&vault, card(VISA, r#""expires_in":60,"#, "").duplicates(Duplicates::ReturnExisting))
        });
        assert!(answers.iter().all(|answer| *answer == answers[0]));
        assert_eq!(
            (place.rows(), place.store.rows(Table::Expiry).len(), place.store.rows(Table::Pci).len()),
            (1, 1, 1)
        );
        place.clock.advance_millis(60_000);
    }
}

#[test]
fn sixteen_threads_that_update_leave_one_token_as_one_of_them_said() {
    let (place, vault) = place();
    for _ in 0..100 {
        let answers = at_once(MANY, |at| {
            let seconds = 60 + at;
            create(&vault, updating(VISA, &format!(r#""metadata":{{"at":"{at}"}},"expires_in":{seconds},"#), ""))
        });
        let [id] = find(&vault, VISA)[..] else { panic!("not one token") };
        assert!(answers.iter().all(|answer| answer.id == id));
        assert!(answers.contains(&vault.pci(id).unwrap()));
        assert_eq!((place.rows(), place.store.rows(Table::Expiry).len()), (1, 1));
        place.clock.advance_millis(100_000);
    }
}

#[test]
fn whatever_comes_and_goes_at_once_no_card_has_two_tokens() {
    let (place, vault) = place();
    for _ in 0..100 {
        at_once(MANY, |at| match at % 4 {
            0 => drop(vault.create_pci(updating(VISA, "", "")).unwrap()),
            1 => find(&vault, VISA).into_iter().for_each(|id| drop(vault.delete_pci(id))),
            2 => drop(vault.create_pci(returning(VISA).idempotency_key(&at.to_string()).unwrap())),
            _ => drop(vault.create_pci(returning(VISA)).unwrap()),
        });
        assert!(find(&vault, VISA).len() <= 1);
        assert_eq!(place.rows(), place.store.rows(Table::Pci).len());
        place.clock.advance_millis(86_400_000);
    }
}

#[test]
fn whoever_comes_between_the_look_and_the_commit_was_first() {
    let place = Place::new();
    place.on().close().unwrap();
    let meddler = Meddled::on(&place.store);
    let vault = place.options().open_with(meddler.clone(), keys()).unwrap();

    // A token of the card was made meanwhile.
    let other = place.as_it_is();
    let first = meddler.before_commit(move || create(&other, plain(VISA)));
    let answer = create(&vault, returning(VISA));
    let first = first.take();
    assert_eq!(answer, first);

    // The token to update went meanwhile: another is made.
    let other = place.as_it_is();
    let deleted = meddler.before_commit(move || other.delete_pci(first.id).unwrap());
    let second = create(&vault, updating(VISA, "", ""));
    deleted.take();
    assert_ne!(second.id, answer.id);

    // It was updated meanwhile: the later update counts.
    let other = place.as_it_is();
    let updated = meddler.before_commit(move || create(&other, updating(VISA, r#""metadata":{"a":"1"},"#, "")));
    let last = create(&vault, updating(VISA, r#""metadata":{"a":"2"},"#, ""));
    assert_eq!(updated.take().id, last.id);
    assert_eq!(vault.pci(last.id).unwrap(), last);

    // The token to return under a key went meanwhile: the key leads to a live one.
    let other = place.as_it_is();
    let deleted = meddler.before_commit(move || other.delete_pci(last.id).unwrap());
    let request = || returning(VISA).idempotency_key("k").unwrap();
    let third = create(&vault, request());
    deleted.take();
    assert_eq!(create(&vault, request()), third);
    assert_eq!(find(&vault, VISA), [third.id]);
}

#[test]
fn a_key_and_duplicates_go_together() {
    let (place, vault) = place();
    let first = create(&vault, plain(VISA));
    place.clock.advance_millis(1);
    let returned = || returning(VISA).idempotency_key("k").unwrap();
    assert_eq!(create(&vault, returned()), first);
    let events = vault.subscribe().unwrap();
    let updated = || updating(VISA, r#""metadata":{"a":"1"},"expires_in":60,"#, "").idempotency_key("l").unwrap();
    let second = create(&vault, updated());
    place.clock.advance_millis(1);
    // A replay updates nothing.
    assert_eq!((create(&vault, updated()), create(&vault, returned())), (second.clone(), second.clone()));
    assert!(events.try_next().is_some() && events.try_next().is_none());
    // What is wanted of duplicates is a part of the request.
    let other = plain(VISA).idempotency_key("k").unwrap();
    assert_eq!(vault.create_pci(other).unwrap_err().kind(), ErrorKind::Conflict);
    vault.delete_pci(first.id).unwrap();
    assert_eq!(vault.create_pci(returned()).unwrap_err().kind(), ErrorKind::Conflict);
    assert_ne!(create(&vault, returning(VISA)).id, second.id);
}

#[test]
fn bulk_creations_obey_duplicates_inside_a_batch_and_across_batches() {
    let (_, vault) = place();
    let results: Vec<Result<PciToken, Error>> = vault
        .create_pci_many([
            Ok(returning(VISA)),
            Ok(plain(TWIN)),
            Ok(returning(VISA)),
            CreatePci::from_json(b"{}"),
            Ok(returning(TWIN)),
            Ok(updating(VISA, r#""metadata":{"a":"1"},"#, "")),
            Ok(plain(VISA)),
        ])
        .map(|result| result.map(token))
        .collect();
    let id = |at: usize| results[at].as_ref().unwrap().id;
    assert_eq!((id(0), id(1)), (id(2), id(4)));
    assert_eq!(id(5), id(0), "each is done before the next");
    assert_eq!(results[3].as_ref().unwrap_err().kind(), ErrorKind::Validation);
    assert_eq!((find(&vault, VISA).len(), find(&vault, TWIN).len()), (2, 1));
    assert_eq!(vault.pci(id(5)).unwrap(), *results[5].as_ref().unwrap());

    let numbers: Vec<_> = (0..700).map(|at| common::numbers::visa(at % 350)).collect();
    let requests = || numbers.iter().map(|number| Ok(returning(number)));
    let made: Vec<_> = vault.create_pci_many(requests()).map(|created| token(created.unwrap())).collect();
    assert_eq!(made[..350], made[350..]);
    assert_eq!(vault.stats().unwrap().pci_tokens, 3 + 350);
    let again: Vec<_> = vault.create_pci_many(requests()).map(|created| token(created.unwrap())).collect();
    assert_eq!(again, made);
}

#[test]
fn a_member_of_a_batch_that_comes_second_harms_no_other() {
    let place = Place::new();
    place.on().close().unwrap();
    let meddler = Meddled::on(&place.store);
    let vault = place.options().open_with(meddler.clone(), keys()).unwrap();
    let other = place.as_it_is();
    let first = meddler.before_commit(move || create(&other, plain(&common::numbers::visa(3))));
    let requests = (0..5).map(|at| Ok(returning(&common::numbers::visa(at))));
    let made: Vec<_> = vault.create_pci_many(requests).map(|created| token(created.unwrap())).collect();
    assert_eq!(made[3], first.take());
    for (at, token) in made.iter().enumerate() {
        assert_eq!(find(&vault, &common::numbers::visa(at)), [token.id]);
    }
}

#[test]
fn whoever_asks_in_a_batch_hears_of_a_change_before_it() {
    let (_, vault) = place();
    let made = create(&vault, plain(VISA));
    // From here on it looks before the commit.
    create(&vault, returning(VISA));
    let updated = updating(VISA, "", r#""security_code":"111","expiry_year":2040,"#);
    let returned = card(VISA, "", r#""security_code":"222","#).duplicates(Duplicates::ReturnExisting);
    let answers: Vec<_> =
        vault.create_pci_many([Ok(updated), Ok(returned)]).map(|created| token(created.unwrap())).collect();
    assert_eq!((answers[0].id, answers[0].card.expiry_year), (made.id, 2040));
    assert_eq!(answers[1], answers[0]);
    assert_eq!(vault.use_security_code(made.id, str::to_owned).unwrap(), "222");
}

#[test]
fn an_answer_in_a_batch_heeds_a_change_before_it_that_was_first_planned_as_a_creation() {
    let (_, vault) = place();
    let keyed = || plain(VISA).idempotency_key("a").unwrap();
    create(&vault, keyed());
    // Nobody looked for the card yet, so that the change is planned as a new token, and refused.
    let labels = updating(VISA, r#""metadata":{"order":"78"},"#, "");
    let made: Vec<_> =
        vault.create_pci_many([Ok(labels), Ok(keyed())]).map(|created| token(created.unwrap())).collect();
    assert_eq!(made[0].metadata.as_ref().and_then(|labels| labels.get("order")), Some("78"));
    assert_eq!(made[1], made[0], "the replay comes second");
}

#[test]
fn of_tokens_of_one_millisecond_a_batch_finds_the_smallest_id_also_among_its_own() {
    let (_, vault) = place();
    for _ in 0..20 {
        let standing = create(&vault, plain(VISA)).id;
        // From here on it looks before the commit.
        create(&vault, returning(VISA));
        let made = vault.create_pci_many([Ok(plain(VISA)), Ok(returning(VISA))]);
        let made: Vec<_> = made.map(|made| token(made.unwrap()).id).collect();
        assert_eq!(made[1], made[0].min(standing));
        for id in [standing, made[0]] {
            vault.delete_pci(id).unwrap();
        }
    }
}

#[test]
fn requests_of_a_batch_are_done_in_order_though_an_expired_token_is_in_the_way() {
    let (place, vault) = place();
    create(&vault, card(VISA, r#""expires_in":60,"#, ""));
    place.clock.advance_millis(60_000);
    let made = vault.create_pci_many([Ok(returning(VISA)), Ok(plain(VISA))]);
    let made: BTreeSet<TokenId> = made.map(|made| token(made.unwrap()).id).collect();
    assert_eq!(made.len(), 2, "the second is not there yet when the first is asked for");
}

#[test]
fn requests_of_a_batch_that_are_planned_anew_make_one_token() {
    let place = Place::new();
    let made = create(&place.on(), plain(VISA)).id;
    let meddler = Meddled::on(&place.store);
    let vault = place.options().open_with(meddler.clone(), keys()).unwrap();
    create(&vault, returning(VISA));
    let other = place.as_it_is();
    let deleted = meddler.before_commit(move || other.delete_pci(made).unwrap());
    let requests = (0..4).map(|at| Ok(returning(VISA).idempotency_key(&format!("k{at}")).unwrap()));
    let answers: BTreeSet<_> = vault.create_pci_many(requests).map(|created| token(created.unwrap()).id).collect();
    deleted.take();
    assert_eq!(find(&vault, VISA), answers.into_iter().collect::<Vec<_>>());
    assert_eq!(find(&vault, VISA).len(), 1);
}

#[test]
fn a_look_for_a_token_of_a_card_is_a_look_at_the_oldest() {
    let (place, vault) = place();
    let oldest = create(&vault, plain(VISA));
    place.clock.advance_millis(1);
    for _ in 0..3 {
        let younger = create(&vault, plain(VISA));
        place.store.put(Table::Pci, younger.id.as_bytes(), b"not read");
    }
    assert_eq!(create(&vault, returning(VISA)), oldest);
    assert_eq!(create(&vault, updating(VISA, "", "")).id, oldest.id);
    let all = vault.find_by_account_number(&pan(VISA));
    assert_eq!(all.unwrap_err().kind(), ErrorKind::Corrupt, "a search looks at each");
}

#[test]
fn what_cannot_be_judged_is_told_with_the_rest_and_before_the_key() {
    let place = Place::new();
    let vault = place.options().card_data_guard(CardDataGuard::On).open_with(place.store.clone(), keys()).unwrap();
    let request = returning(VISA).metadata([("note", VISA)]).unwrap();
    let told = vault.create_pci(request).unwrap_err();
    assert_eq!(violations(&told), [("$.metadata.note", "must not hold a card number"), OFF]);

    let under_a_key = |request: CreatePci| request.idempotency_key("k").unwrap();
    create(&vault, under_a_key(plain(VISA)));
    let again = under_a_key(returning(VISA));
    assert_eq!(violations(&vault.create_pci(again).unwrap_err()), [OFF]);
}

#[test]
fn a_row_that_leads_nowhere_is_in_nobodys_way() {
    let (place, vault) = place();
    let made = create(&vault, plain(VISA));
    place.store.remove(Table::Pci, made.id.as_bytes());
    assert_eq!((place.rows(), find(&vault, VISA).len(), place.rows()), (1, 0, 0));
    let made = create(&vault, plain(VISA));
    place.store.remove(Table::Pci, made.id.as_bytes());
    let second = create(&vault, returning(VISA));
    assert_eq!((find(&vault, VISA), place.rows()), (vec![second.id], 1));
}

#[test]
fn a_fingerprint_is_another_in_each_vault_and_no_bare_hash() {
    let row = || {
        let (place, vault) = place();
        create(&vault, plain(VISA));
        place.store.rows(Table::Fingerprint).remove(0)
    };
    let (one, other) = (row(), row());
    assert_eq!((one.0.len(), one.1.len()), (64, 0));
    assert_eq!((&one.0[..4], &one.0[36..40]), (&[0, 0, 0, 1][..], &[0; 4][..]), "key 1, no owner");
    assert_ne!(one.0[4..36], other.0[4..36]);
}

/// A session for a card, as it is asked for.
fn session(vault: &Vault, members: &str, duplicates: Duplicates) -> tokenvault::SessionId {
    let json = format!(r#"{{{members}"source":{{"type":"session"}}}}"#);
    let request = CreatePci::from_json(json.as_bytes()).unwrap().duplicates(duplicates);
    match vault.create_pci(request).unwrap() {
        tokenvault::PciCreated::Session(session) => session.session_id,
        tokenvault::PciCreated::Token(_) => panic!("a token"),
    }
}

/// A completion with a card.
fn completion(number: &str) -> CompleteSession {
    let source = format!(r#"{{"type":"pan","account_number":"{number}","expiry_month":6,"expiry_year":2031}}"#);
    CompleteSession::from_json(source.as_bytes()).unwrap()
}

#[test]
fn a_session_remembers_what_is_wanted_of_duplicates() {
    let (place, vault) = place();
    let first = create(&vault, card(VISA, r#""metadata":{"a":"1"},"#, ""));
    let allowing = session(&vault, "", Duplicates::Allow);
    let returning = session(&vault, r#""metadata":{"b":"2"},"#, Duplicates::ReturnExisting);
    let updating = session(&vault, r#""metadata":{"c":"3"},"expires_in":60,"#, Duplicates::UpdateExisting);
    vault.close().unwrap();
    let vault = place.as_it_is();
    place.clock.advance_millis(1);

    assert_eq!(vault.complete_session(returning, completion(VISA)).unwrap(), first);
    assert_eq!(vault.session(returning).unwrap().token_id, Some(first.id));
    let updated = vault.complete_session(updating, completion(VISA)).unwrap();
    assert_eq!((updated.id, updated.created_at, updated.card.expiry_year), (first.id, first.created_at, 2031));
    assert_eq!(updated.metadata.as_ref().unwrap().get("c"), Some("3"));
    assert_eq!(vault.pci(first.id).unwrap(), updated);
    assert_eq!(vault.session(updating).unwrap().token_id, Some(first.id));
    let other = vault.complete_session(allowing, completion(VISA)).unwrap();
    assert_eq!(find(&vault, VISA), [first.id, other.id]);
    for used in [allowing, returning, updating] {
        assert_eq!(vault.complete_session(used, completion(TWIN)).unwrap_err().kind(), ErrorKind::Conflict);
    }
    assert_eq!(find(&vault, TWIN), []);
}

#[test]
fn sixteen_sessions_completed_with_one_card_make_one_token() {
    let (_, vault) = place();
    for _ in 0..50 {
        let sessions: Vec<_> = (0..MANY).map(|_| session(&vault, "", Duplicates::ReturnExisting)).collect();
        let answers = at_once(MANY, |at| vault.complete_session(sessions[at], completion(VISA)).unwrap());
        assert!(answers.iter().all(|answer| *answer == answers[0]));
        assert_eq!(find(&vault, VISA), [answers[0].id]);
        assert!(sessions.iter().all(|id| vault.session(*id).unwrap().token_id == Some(answers[0].id)));
        vault.delete_pci(answers[0].id).unwrap();
    }
}

#[test]
fn a_session_that_could_not_obey_is_not_opened() {
    let vault = Place::new().as_it_is();
    let json = br#"{"source":{"type":"session"}}"#;
    let request = CreatePci::from_json(json).unwrap().duplicates(Duplicates::ReturnExisting);
    assert_eq!(violations(&vault.create_pci(request).unwrap_err()), [OFF]);
}

#[test]
fn a_leap_of_the_clock_makes_no_second_token() {
    let (store, clock) = (Shared::default(), TwoHandClock::at(BEGIN));
    let options = VaultOptions::new().clock(clock.clone()).fingerprints(Fingerprints::On);
    let vault = options.open_with(store.clone(), keys()).unwrap();
    let first = create(&vault, card(VISA, r#""expires_in":60,"#, ""));
    clock.leap_millis(10_000_000);
    assert_eq!(find(&vault, VISA), []);
    for duplicates in [Duplicates::ReturnExisting, Duplicates::UpdateExisting] {
        let refused = vault.create_pci(plain(VISA).duplicates(duplicates)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
        assert!(refused.to_string().contains("leap of the clock"), "{refused}");
    }
    clock.leap_millis(-10_000_000);
    assert_eq!(create(&vault, returning(VISA)), first);
    // Or it was right.
    clock.leap_millis(10_000_000);
    vault.confirm_clock().unwrap();
    assert_ne!(create(&vault, returning(VISA)).id, first.id);
    assert_eq!(store.rows(Table::Fingerprint).len(), 1);
}

#[test]
fn a_code_does_not_outlive_a_token_whose_lifetime_an_update_shortens() {
    let (place, vault) = place();
    let made = create(&vault, card(VISA, "", r#""security_code":"123","#));
    create(&vault, updating(VISA, r#""expires_in":60,"#, ""));
    place.clock.advance_millis(59_999);
    assert!(vault.security_code_available(made.id).unwrap());
    create(&vault, updating(VISA, "", ""));
    place.clock.advance_millis(1);
    assert!(!vault.security_code_available(made.id).unwrap(), "its end was set by the first update");
    create(&vault, updating(VISA, "", r#""security_code":"456","#));
    assert!(vault.use_security_code(made.id, |code| code == "456").unwrap());
}

#[test]
fn an_index_that_another_has_finished_is_not_begun_again() {
    let (place, _) = unindexed(300);
    place.on().index_fingerprints().unwrap();
    let state = place.store.rows(Table::State).into_iter().find(|(name, _)| name == b"fingerprints").unwrap().0;
    place.store.remove(Table::State, &state);
    let meddler = Meddled::on(&place.store);
    let vault = place.options().fingerprints(Fingerprints::On).open_with(meddler.clone(), keys()).unwrap();
    let other = place.as_it_is();
    let finished = meddler.before_commit(move || other.index_fingerprints().unwrap());
    let report = vault.index_fingerprints().unwrap();
    assert_eq!(finished.take().already, 300);
    assert_eq!(report, IndexReport::default(), "the work of the other was not counted twice");
    is_exact(&place, &place.as_it_is());
}
