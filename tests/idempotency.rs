//! Promise: a request with an idempotency key is done once. For a day the same request gets the first answer again, another
//! one under that key is refused, and of many at once one is done and all get its answer.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::sync::Barrier;
use std::thread;

use common::clock::{HandClock, TwoHandClock};
use common::forge::{BY_KEY, FIRST_SIX_LAST_FOUR, Forger, ring_row};
use common::kinds::KINDS;
use common::meddled::Meddled;
use common::shared::Shared;
use common::threads::at_once;
use common::{keys, token, vault, violations};
use tokenvault::card::{CardExpiry, Pan, SecurityCode};
use tokenvault::store::{Committed, Store, Table};
use tokenvault::{
    CompleteSecurityCode, CreateGeneric, CreatePci, CreateType, Error, ErrorKind, Fingerprints, KeyManager, Page,
    PanSource, PciCreated, UpdateGeneric, UpdatePci, Vault, VaultOptions,
};

const BEGIN: &str = "2026-01-02T03:04:05.678Z";
/// How long a key is remembered, in milliseconds.
const DAY: i64 = 86_400_000;
/// Threads that come at once.
const MANY: usize = 16;

fn generic(pin: &str, key: &str) -> CreateGeneric {
    CreateGeneric::new([("pin", pin)]).unwrap().idempotency_key(key).unwrap()
}

fn card(members: &str, key: &str) -> CreatePci {
    let source = r#"{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025}"#;
    let json = format!(r#"{{{members}"source":{source}}}"#);
    CreatePci::from_json(json.as_bytes()).unwrap().idempotency_key(key).unwrap()
}

fn open(store: &Shared, clock: &HandClock) -> Vault {
    VaultOptions::new().clock(clock.clone()).open_with(store.clone(), keys()).unwrap()
}

/// A vault, its clock, and its store to look into.
fn vault_and_store() -> (Vault, HandClock, Shared) {
    let (clock, store) = (HandClock::at(BEGIN), Shared::default());
    (open(&store, &clock), clock, store)
}

#[track_caller]
fn conflicts<T>(result: Result<T, Error>) {
    let Err(error) = result else { panic!("nothing was refused") };
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
}

fn generic_tokens(vault: &Vault) -> u64 {
    vault.stats().unwrap().generic_tokens
}

fn pci_tokens(vault: &Vault) -> u64 {
    vault.stats().unwrap().pci_tokens
}

#[test]
fn the_same_request_is_done_once() {
    let (vault, clock) = vault();
    let first = vault.create_generic(generic("1234", "k")).unwrap();
    clock.advance_millis(5_000);
    assert_eq!(vault.create_generic(generic("1234", "k")).unwrap(), first);
    assert_eq!(generic_tokens(&vault), 1);

    let first = vault.create_pci(card("", "k")).unwrap();
    clock.advance_millis(5_000);
    assert_eq!(vault.create_pci(card("", "k")).unwrap(), first);
    assert_eq!(pci_tokens(&vault), 1);
}

#[test]
fn what_does_not_change_a_request_does_not_make_it_another() {
    let (vault, _) = vault();
    let create = |json: &str| {
        let request = CreatePci::from_json(json.as_bytes()).unwrap().idempotency_key("k").unwrap();
        vault.create_pci(request).unwrap()
    };
    let first = create(
        r#"{"source":{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025,"security_code":"123"},"metadata":{"a":"1","b":"2"}}"#,
    );
    let again = create(
        r#"{"expires_in":null,"metadata":{"b":"2","a":"\u0031"},"source":{"expiry_year":2025,"cardholder_name":null,"expiry_month":12,"account_number":"4111\u0031\u0031111111\u0031111","security_code":"9999","type":"pan"}}"#,
    );
    assert_eq!(again, first);
    assert_eq!(pci_tokens(&vault), 1);

    let create = |json: &str| {
        let request = CreateGeneric::from_json(json.as_bytes()).unwrap().idempotency_key("k").unwrap();
        vault.create_generic(request)
    };
    let first = create(r#"{"payload":{"a":"1","n":1.50,"t":true}}"#).unwrap();
    assert_eq!(create(r#"{"metadata":null,"payload":{"t":true,"n":1.50,"a":"1"}}"#).unwrap(), first);
    conflicts(create(r#"{"payload":{"a":"1","n":1.5,"t":true}}"#));
    conflicts(create(r#"{"payload":{"a":"1","n":"1.50","t":true}}"#));
    conflicts(create(r#"{"payload":{"a":"1","n":1.50,"t":true},"metadata":{}}"#));
    conflicts(create(r#"{"payload":{"a":"1","n":1.50,"t":true},"expiration_time":1}"#));
    assert_eq!(generic_tokens(&vault), 1);
}

#[test]
fn another_request_under_the_key_is_refused_and_changes_nothing() {
    let (vault, _, store) = vault_and_store();
    let first = vault.create_pci(card("", "k")).unwrap();
    let before = Table::ALL.iter().map(|table| store.rows(*table)).collect::<Vec<_>>();
    conflicts(vault.create_pci(card(r#""metadata":{"a":"1"},"#, "k")));
    conflicts(vault.create_pci(card(r#""expires_in":60,"#, "k")));
    assert_eq!(Table::ALL.iter().map(|table| store.rows(*table)).collect::<Vec<_>>(), before);
    assert_eq!(vault.create_pci(card("", "k")).unwrap(), first);
}

#[test]
fn other_keys_other_operations_and_no_key_are_other_requests() {
    let (vault, _) = vault();
    let none = || CreateGeneric::new([("pin", "1234")]).unwrap();
    let mut ids = vec![
        vault.create_generic(generic("1234", "k")).unwrap().id,
        vault.create_generic(generic("1234", "K")).unwrap().id,
        vault.create_generic(generic("1234", "k ")).unwrap().id,
        vault.create_generic(none()).unwrap().id,
        vault.create_generic(none()).unwrap().id,
        token(vault.create_pci(card("", "k")).unwrap()).id,
    ];
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6);
}

#[test]
fn a_key_has_1_to_64_characters() {
    let (vault, _) = vault();
    for good in ["k", &"k".repeat(64), &"☃".repeat(64), "\0"] {
        let first = vault.create_generic(generic("1234", good)).unwrap();
        assert_eq!(vault.create_generic(generic("1234", good)).unwrap(), first);
    }
    for (bad, rule) in [("", "must not be empty"), (&"k".repeat(65), "must be at most 64 characters")] {
        let error = CreateGeneric::new([("pin", "1234")]).unwrap().idempotency_key(bad).unwrap_err();
        assert_eq!(violations(&error), [("$.idempotency_key", rule)]);
        let request = CreatePci::from_json(common::PAN_REQUEST.as_bytes()).unwrap();
        assert_eq!(violations(&request.idempotency_key(bad).unwrap_err()), [("$.idempotency_key", rule)]);
    }
}

#[test]
fn the_key_is_no_field_of_the_published_request() {
    let refused = common::refused_generic(r#"{"payload":{},"idempotency_key":"k"}"#);
    assert_eq!(violations(&refused), [("$.idempotency_key", "unknown field")]);
}

#[test]
fn a_key_is_remembered_for_24_hours_to_the_millisecond() {
    let (vault, clock, store) = vault_and_store();
    let first = vault.create_generic(generic("1234", "k")).unwrap();
    clock.advance_millis(DAY - 1);
    assert_eq!(vault.create_generic(generic("1234", "k")).unwrap(), first);
    conflicts(vault.create_generic(generic("0000", "k")));

    clock.advance_millis(1);
    // Any request may have it now; the old entry makes way with its row, and the day begins anew.
    let second = vault.create_generic(generic("0000", "k")).unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!((store.rows(Table::Replay).len(), store.rows(Table::Expiry).len()), (1, 1));
    clock.advance_millis(DAY - 1);
    assert_eq!(vault.create_generic(generic("0000", "k")).unwrap(), second);
    clock.advance_millis(1);
    let report = vault.sweep().unwrap();
    assert_eq!((report.expired_other, report.expired_generic, report.remaining), (1, 0, 0));
    assert!(store.rows(Table::Replay).is_empty() && store.rows(Table::Expiry).is_empty());
    assert_ne!(vault.create_generic(generic("0000", "k")).unwrap().id, second.id);
    assert_eq!(generic_tokens(&vault), 3);
}

#[test]
fn an_entry_does_not_count_as_a_token_that_expires() {
    let (vault, _) = vault();
    vault.create_generic(generic("1234", "k")).unwrap();
    assert_eq!(vault.stats().unwrap().expiring_tokens, 0);
    vault.create_generic(generic("1234", "l").expires_in(60).unwrap()).unwrap();
    assert_eq!(vault.stats().unwrap().expiring_tokens, 1);
}

#[test]
fn a_replay_whose_token_is_gone_is_refused() {
    let (vault, clock) = vault();
    let deleted = vault.create_generic(generic("1234", "deleted")).unwrap();
    let request = || generic("1234", "expired").expires_in(60).unwrap();
    let expired = vault.create_generic(request()).unwrap();
    vault.delete_generic(deleted.id).unwrap();
    conflicts(vault.create_generic(generic("1234", "deleted")));
    clock.advance_millis(59_999);
    assert_eq!(vault.create_generic(request()).unwrap(), expired);
    clock.advance_millis(1);
    conflicts(vault.create_generic(request()));
    conflicts(vault.create_generic(request()));
    vault.sweep().unwrap();
    conflicts(vault.create_generic(request()));
    assert_eq!(generic_tokens(&vault), 0);
    // The day over, the key is free.
    clock.advance_millis(DAY - 60_000);
    vault.create_generic(generic("1234", "deleted")).unwrap();
    vault.create_generic(request()).unwrap();
}

#[test]
fn a_restart_forgets_nothing() {
    let (vault, clock, store) = vault_and_store();
    let generic_token = vault.create_generic(generic("1234", "k")).unwrap();
    let pci = vault.create_pci(card("", "k")).unwrap();
    vault.close().unwrap();
    let vault = open(&store, &clock);
    assert_eq!(vault.create_generic(generic("1234", "k")).unwrap(), generic_token);
    assert_eq!(vault.create_pci(card("", "k")).unwrap(), pci);
    conflicts(vault.create_generic(generic("0000", "k")));
}

#[test]
fn an_entry_says_nothing_of_key_and_request_and_is_another_in_each_vault() {
    let entry = || {
        let (vault, _, store) = vault_and_store();
        vault.create_generic(generic("1234", "a key of the caller")).unwrap();
        store.rows(Table::Replay)
    };
    let (one, other) = (entry(), entry());
    assert_eq!((one.len(), one[0].0.len()), (1, 16));
    assert_ne!(one[0].0, other[0].0, "ids are hashed under a key of the vault");
    let of_request = |entry: &[u8]| entry[32 + 18..32 + 50].to_vec();
    assert_ne!(of_request(&one[0].1), of_request(&other[0].1), "and so are requests");
}

/// Sixteen at once, all of which get the same.
fn same_at_once<T: Send + PartialEq + std::fmt::Debug>(create: impl Fn() -> T + Sync) -> T {
    let mut answers = at_once(MANY, |_| create());
    let first = answers.remove(0);
    assert!(answers.iter().all(|answer| *answer == first), "{first:?} {answers:?}");
    first
}

fn races(vault: &Vault, rounds: u64) {
    for round in 1..=rounds {
        let key = format!("race {round}");
        same_at_once(|| vault.create_generic(generic("1234", &key)).unwrap());
        same_at_once(|| vault.create_pci(card("", &key)).unwrap());
        assert_eq!((generic_tokens(vault), pci_tokens(vault)), (round, round));
    }
}

#[test]
fn sixteen_threads_with_one_key_make_one_token_and_get_equal_answers() {
    let (vault, _) = vault();
    races(&vault, 200);
}

#[test]
#[cfg(feature = "sled")]
fn sixteen_threads_make_one_token_on_disk_too() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::create(folder.path().join("vault"), keys()).unwrap();
    races(&vault, 20);
    vault.close().unwrap();
}

#[test]
fn sixteen_threads_replace_an_expired_entry_once() {
    let (vault, clock, store) = vault_and_store();
    for round in 1..=100 {
        same_at_once(|| vault.create_generic(generic("1234", "k")).unwrap());
        assert_eq!(generic_tokens(&vault), round);
        assert_eq!((store.rows(Table::Replay).len(), store.rows(Table::Expiry).len()), (1, 1));
        clock.advance_millis(DAY);
    }
}

#[test]
fn sixteen_requests_under_one_key_make_one_token_and_the_others_are_refused() {
    let (vault, _) = vault();
    for round in 1..=100 {
        let (key, barrier) = (format!("race {round}"), Barrier::new(MANY));
        let made = thread::scope(|scope| {
            let (vault, key, barrier) = (&vault, &key, &barrier);
            let one = move |pin: usize| {
                barrier.wait();
                vault.create_generic(generic(&pin.to_string(), key))
            };
            let threads: Vec<_> = (0..MANY).map(|pin| scope.spawn(move || one(pin))).collect();
            let results: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            let (made, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
            refused.into_iter().for_each(conflicts);
            made.len()
        });
        assert_eq!((made, generic_tokens(&vault)), (1, round));
    }
}

/// What another process of thought does between a look and the commit that follows from it.
#[test]
fn whoever_comes_between_the_look_and_the_commit_was_first() {
    let (clock, store) = (HandClock::at(BEGIN), Shared::default());
    let meddler = Meddled::on(&store);
    let vault = VaultOptions::new().clock(clock.clone()).open_with(meddler.clone(), keys()).unwrap();
    let other = open(&store, &clock);

    let first = meddler.before_commit(move || other.create_generic(generic("1234", "k")).unwrap());
    let answer = vault.create_generic(generic("1234", "k")).unwrap();
    assert_eq!(answer, first.take());
    assert_eq!(generic_tokens(&vault), 1);

    // Another request was first.
    let other = open(&store, &clock);
    let first = meddler.before_commit(move || other.create_generic(generic("0000", "l")).unwrap());
    conflicts(vault.create_generic(generic("1234", "l")));
    first.take();

    // Its token went in the meantime.
    let other = open(&store, &clock);
    let first = meddler.before_commit(move || {
        let token = other.create_generic(generic("1234", "m")).unwrap();
        other.delete_generic(token.id).unwrap();
    });
    conflicts(vault.create_generic(generic("1234", "m")));
    first.take();

    // The expired entry that was in the way was swept.
    clock.advance_millis(DAY);
    let other = open(&store, &clock);
    let swept = meddler.before_commit(move || other.sweep().unwrap());
    let made = vault.create_generic(generic("0000", "k")).unwrap();
    assert_eq!(swept.take().expired_other, 3);
    assert_eq!(vault.create_generic(generic("0000", "k")).unwrap(), made);
}

#[test]
fn a_store_that_refuses_every_condition_is_not_asked_for_ever() {
    let meddler = Meddled::on(&Shared::default());
    let vault = VaultOptions::new().open_with(meddler.clone(), keys()).unwrap();
    let changed = vault.create_generic(generic("1234", "before")).unwrap().id;
    let id = token(vault.create_pci(card("", "before")).unwrap()).id;
    let unused = vault.create_type(CreateType::new("unused", "{}").unwrap()).unwrap().id;
    let session = vault.refresh_security_code(id).unwrap();
    // Tokens that have no fingerprint yet.
    let indexed = VaultOptions::new().fingerprints(Fingerprints::On).open_with(meddler.clone(), keys()).unwrap();

    let refused = meddler.answer_commits_with(|| Ok(Committed::Refused { condition: 0, found: None }));
    conflicts(vault.create_generic(generic("1234", "k")));
    conflicts(vault.update_generic(changed, UpdateGeneric::new().expires_in(60).unwrap()));
    conflicts(vault.update_pci(id, UpdatePci::new().expiry_year(2031).unwrap()));
    conflicts(vault.replace_account_number(
        id,
        PanSource::new(Pan::parse("4242424242424242").unwrap(), CardExpiry::new(6, 2031).unwrap()),
    ));
    conflicts(vault.delete_generic(changed));
    conflicts(vault.delete_type(unused));
    conflicts(vault.refresh_security_code(id));
    conflicts(vault.complete_security_code(session, SecurityCode::parse("123").unwrap()));
    conflicts(indexed.index_fingerprints());
    refused.take();
}

#[test]
fn a_security_code_is_handed_in_once_under_a_key() {
    let (vault, clock) = vault();
    let id = token(vault.create_pci(card("", "k")).unwrap()).id;
    let (session, other) = (vault.refresh_security_code(id).unwrap(), vault.refresh_security_code(id).unwrap());
    let request =
        |code: &str| CompleteSecurityCode::from(SecurityCode::parse(code).unwrap()).idempotency_key("k").unwrap();
    let held = || vault.use_security_code(id, str::to_owned).ok();
    vault.complete_security_code(session, request("111")).unwrap();
    assert_eq!(held().as_deref(), Some("111"));
    vault.complete_security_code(session, request("222")).unwrap();
    assert_eq!(held().as_deref(), Some("222"), "it takes the place of the first");
    assert_eq!(held(), None);
    conflicts(vault.complete_security_code(other, request("333")));
    conflicts(vault.complete_security_code(session, SecurityCode::parse("444").unwrap()));
    assert_eq!(held(), None);
    // Its session has ended, and the key is still remembered.
    clock.advance_millis(3_600_000);
    vault.complete_security_code(session, request("555")).unwrap();
    assert_eq!(held().as_deref(), Some("555"));
    vault.delete_pci(id).unwrap();
    conflicts(vault.complete_security_code(session, request("666")));
}

#[test]
fn sixteen_threads_hand_in_one_code() {
    let (vault, _) = vault();
    let id = token(vault.create_pci(card("", "k")).unwrap()).id;
    let session = vault.refresh_security_code(id).unwrap();
    at_once(MANY, |_| {
        let code = CompleteSecurityCode::from(SecurityCode::parse("111").unwrap());
        vault.complete_security_code(session, code.idempotency_key("k").unwrap()).unwrap();
    });
    assert_eq!(vault.use_security_code(id, str::to_owned).unwrap(), "111");
}

#[test]
fn bulk_creations_obey_keys_inside_a_batch_and_across_batches() {
    let (vault, clock) = vault();
    let before = vault.create_generic(generic("0", "before")).unwrap();
    clock.advance_millis(1);
    let requests = || {
        let mut requests = vec![
            Ok(generic("0", "before")),
            Ok(generic("1", "a")),
            CreateGeneric::new([("pin", "none")]),
            Ok(generic("1", "a")),
            Ok(generic("2", "a")),
            CreateGeneric::from_json(b"{}"),
            Ok(generic("2", "before")),
            Ok(generic("1", "b")),
        ];
        // More than one batch.
        requests.extend((0..300).map(|_| CreateGeneric::new([("pin", "none")])));
        requests.extend((0..300).map(|at| Ok(generic("9", &format!("k{at}")))));
        requests.extend((0..300).map(|at| Ok(generic("9", &format!("k{at}")))));
        requests.push(Ok(generic("1", "b")));
        requests
    };
    let results: Vec<_> = vault.create_generic_many(requests()).collect();
    assert_eq!(results.len(), 8 + 900 + 1);
    assert_eq!(results[0].as_ref().unwrap(), &before);
    assert_eq!(results[1].as_ref().unwrap(), results[3].as_ref().unwrap());
    assert!(results[2].is_ok() && results[7].is_ok());
    for (at, kind) in [(4, ErrorKind::Conflict), (5, ErrorKind::Validation), (6, ErrorKind::Conflict)] {
        assert_eq!(results[at].as_ref().unwrap_err().kind(), kind);
    }
    for at in 308..608 {
        assert_eq!(results[at].as_ref().unwrap(), results[at + 300].as_ref().unwrap());
    }
    assert_eq!(results[7].as_ref().unwrap(), results[908].as_ref().unwrap());
    assert_eq!(generic_tokens(&vault), 1 + 1 + 1 + 1 + 300 + 300);

    // Once more: whatever has a key is there already.
    let again: Vec<_> = vault.create_generic_many(requests()).collect();
    for at in (0..2).chain([3, 7]).chain(308..909) {
        assert_eq!(results[at].as_ref().unwrap(), again[at].as_ref().unwrap());
    }
    assert_eq!(generic_tokens(&vault), 604 + 301);
}

#[test]
fn a_member_of_a_batch_that_comes_second_harms_no_other() {
    let (clock, store) = (HandClock::at(BEGIN), Shared::default());
    let meddler = Meddled::on(&store);
    let vault = VaultOptions::new().clock(clock.clone()).open_with(meddler.clone(), keys()).unwrap();
    let other = open(&store, &clock);
    let first = meddler.before_commit(move || {
        let same = other.create_generic(generic("1", "k1")).unwrap();
        other.create_generic(generic("0", "k3")).unwrap();
        same
    });
    let requests = (0..5).map(|at| Ok(generic(&at.to_string(), &format!("k{at}"))));
    let results: Vec<_> = vault.create_generic_many(requests).collect();
    assert_eq!(results[1].as_ref().unwrap(), &first.take());
    for (at, result) in results.into_iter().enumerate() {
        if at == 3 {
            conflicts(result);
        } else {
            let token = result.unwrap();
            let pin = vault
                .generic_payload(token.id, |payload| payload.get("pin").unwrap().as_str() == Some(&at.to_string()));
            assert!(pin.unwrap(), "the answer of {at} is that of another");
        }
    }
    assert_eq!(generic_tokens(&vault), 5);
}

#[test]
fn many_bulk_creations_of_the_same_requests_make_each_once() {
    let (vault, _) = vault();
    for round in 1..=20 {
        let create = || {
            let requests = (0..100).map(|at| Ok(generic("1234", &format!("{round} {at}"))));
            vault.create_generic_many(requests).map(Result::unwrap).collect::<Vec<_>>()
        };
        same_at_once(create);
        assert_eq!(generic_tokens(&vault), 100 * round);
    }
}

/// A vault whose index keys are these, each with its number and whether it is the active one.
fn under(store: &Shared, clock: &HandClock, index: &[(u32, bool)], fingerprints: Option<Fingerprints>) -> Vault {
    const ROOT: [u8; 32] = [0x6b; 32];
    let forger = Forger::new(ROOT);
    let mut rows = vec![ring_row(1, 1, 1, forger.data), ring_row(3, 1, 1, [3; 32])];
    let key = |(number, active): &(u32, bool)| {
        ring_row(2, *number, if *active { 1 } else { 2 }, [u8::try_from(*number).unwrap(); 32])
    };
    rows.splice(1..1, index.iter().map(key));
    let count = u16::try_from(rows.len()).unwrap().to_le_bytes().to_vec();
    let ring = [vec![count], rows].concat().concat();
    store.write_anchor(&forger.anchor_of(1, &forger.settings(FIRST_SIX_LAST_FOUR, BY_KEY), &ring)).unwrap();
    let options = VaultOptions::new().clock(clock.clone());
    let options = fingerprints.into_iter().fold(options, VaultOptions::fingerprints);
    options.open_with(store.clone(), KeyManager::from_key(&mut ROOT.clone())).unwrap()
}

#[test]
fn indexing_goes_on_under_a_later_index_key() {
    let (store, clock) = (Shared::default(), HandClock::at(BEGIN));
    let vault = under(&store, &clock, &[(1, true)], None);
    let made = token(vault.create_pci(card("", "k")).unwrap()).id;
    vault.close().unwrap();
    // Begun, and nothing indexed yet.
    under(&store, &clock, &[(1, true)], Some(Fingerprints::On)).close().unwrap();
    let vault = under(&store, &clock, &[(1, false), (2, true)], None);
    assert_eq!(vault.index_fingerprints().unwrap().indexed, 1);
    assert_eq!(vault.find_by_account_number(&Pan::parse("4111111111111111").unwrap()).unwrap(), [made]);
}

#[test]
fn a_later_index_key_still_knows_what_came_under_an_earlier_one() {
    let (store, clock) = (Shared::default(), HandClock::at(BEGIN));
    let open = |index: &[(u32, bool)]| under(&store, &clock, index, Some(Fingerprints::On));
    let vault = open(&[(1, true)]);
    let first = vault.create_generic(generic("1234", "k")).unwrap();
    let first_card = token(vault.create_pci(card("", "k")).unwrap());
    vault.close().unwrap();

    // The key that was active only looks up from here on.
    let vault = open(&[(1, false), (2, true)]);
    assert_eq!(vault.create_generic(generic("1234", "k")).unwrap(), first);
    conflicts(vault.create_generic(generic("0000", "k")));
    let second = vault.create_generic(generic("1234", "l")).unwrap();
    assert_eq!(vault.create_generic(generic("1234", "l")).unwrap(), second);
    let pan = tokenvault::card::Pan::parse("4111111111111111").unwrap();
    assert_eq!(vault.find_by_account_number(&pan).unwrap(), [first_card.id]);
    let returning = || card("", "m").duplicates(tokenvault::Duplicates::ReturnExisting);
    assert_eq!(token(vault.create_pci(returning()).unwrap()), first_card);
    clock.advance_millis(1);
    let second_card = token(vault.create_pci(card("", "n")).unwrap());
    assert_eq!(vault.find_by_account_number(&pan).unwrap(), [first_card.id, second_card.id]);
    vault.delete_pci(first_card.id).unwrap();
    assert_eq!(vault.find_by_account_number(&pan).unwrap(), [second_card.id]);
    assert_eq!(store.rows(Table::Fingerprint).len(), 1);

    // The day over, the earlier entries make way.
    clock.advance_millis(DAY);
    assert_ne!(vault.create_generic(generic("1234", "k")).unwrap().id, first.id);
    assert_eq!(vault.sweep().unwrap().expired_other, 4);
}

#[test]
fn a_replay_answers_the_token_as_it_stands() {
    let clock = HandClock::at(BEGIN);
    let options = VaultOptions::new().clock(clock.clone()).fingerprints(Fingerprints::On);
    let vault = options.open_with(Shared::default(), keys()).unwrap();
    let first = token(vault.create_pci(card("", "k")).unwrap());
    clock.advance_millis(1);
    let update = card(r#""metadata":{"a":"1"},"#, "l").duplicates(tokenvault::Duplicates::UpdateExisting);
    let updated = token(vault.create_pci(update).unwrap());
    assert_eq!(updated.id, first.id);
    assert_eq!(vault.create_pci(card("", "k")).unwrap(), PciCreated::Token(updated));
    assert_eq!(vault.list_pci(Page::default()).unwrap().data.len(), 1);
}

#[test]
fn requests_of_both_kinds_without_a_key_leave_no_entry() {
    let (vault, _, store) = vault_and_store();
    for kind in KINDS {
        (kind.create)(&vault, Some(60)).unwrap();
    }
    assert!(store.rows(Table::Replay).is_empty());
}

#[test]
fn a_leap_of_the_clock_does_nothing_twice() {
    let clock = TwoHandClock::at(BEGIN);
    let vault = VaultOptions::new().clock(clock.clone()).open_with(Shared::default(), keys()).unwrap();
    let first = vault.create_generic(generic("1234", "k")).unwrap();
    clock.leap_millis(2 * DAY);
    assert_eq!(vault.create_generic(generic("1234", "k")).unwrap(), first);
    clock.leap_millis(-2 * DAY);
    assert_eq!(vault.create_generic(generic("1234", "k")).unwrap(), first);
    clock.leap_millis(2 * DAY);
    vault.confirm_clock().unwrap();
    assert_ne!(vault.create_generic(generic("1234", "k")).unwrap().id, first.id);
}

/// Whoever has swept an entry away does not remember it when the clock goes back; nor does whoever has put another in its place.
#[test]
fn a_clock_that_goes_back_brings_no_entry_back() {
    let (vault, clock, _) = vault_and_store();
    let swept = vault.create_generic(generic("1234", "swept")).unwrap();
    let replaced = vault.create_generic(generic("1234", "replaced")).unwrap();
    clock.advance_millis(DAY);
    let second = vault.create_generic(generic("0000", "replaced")).unwrap();
    vault.sweep().unwrap();
    clock.advance_millis(-1);
    assert_ne!(vault.create_generic(generic("1234", "swept")).unwrap().id, swept.id);
    conflicts(vault.create_generic(generic("1234", "replaced")));
    assert_eq!(vault.create_generic(generic("0000", "replaced")).unwrap(), second);
    assert_ne!(second.id, replaced.id);
}

fn payload_type(name: &str, schema: &str, key: &str) -> CreateType {
    CreateType::new(name, schema).unwrap().idempotency_key(key).unwrap()
}

#[test]
fn a_type_is_made_once_however_its_schema_is_written() {
    let (vault, _) = vault();
    let schema =
        r#"{"properties":{"a":{"type":"string","maxLength":9},"b":{"enum":["x",1,null,true]}},"required":["a"]}"#;
    let turned = r#" { "required" : ["\u0061"], "properties": {"b":{"enum":["x", 1, null, true]}, "a":{"maxLength":9,"type":"string"}} } "#;
    let first = vault.create_type(payload_type("t", schema, "k")).unwrap();
    assert_eq!(vault.create_type(payload_type("t", schema, "k")).unwrap(), first);
    assert_eq!(vault.create_type(payload_type("t", turned, "k")).unwrap(), first);
    conflicts(vault.create_type(payload_type("u", schema, "k")));
    for other in [
        schema.replace("[\"a\"]", "[\"b\"]"),
        schema.replace("[\"a\"]", "[]"),
        schema.replace(":9", ":10"),
        schema.replace("\"x\",1", "1,\"x\""),
        schema.replace("\"x\",1", "\"x\",\"1\""),
        schema.replace("\"x\",1", "\"x\",[1]"),
        schema.replace("null", "{}"),
        schema.replace("true", "false"),
    ] {
        assert_ne!(other, schema);
        conflicts(vault.create_type(payload_type("t", &other, "k")));
    }
    assert_eq!(vault.list_types(Page::default()).unwrap().data, std::slice::from_ref(&first));
    vault.delete_type(first.id).unwrap();
    conflicts(vault.create_type(payload_type("t", schema, "k")));
    let error = CreateType::new("t", schema).unwrap().idempotency_key("").unwrap_err();
    assert_eq!(violations(&error), [("$.idempotency_key", "must not be empty")]);
}

#[test]
fn sixteen_threads_make_a_type_once() {
    let (vault, _) = vault();
    for round in 1..=50 {
        same_at_once(|| vault.create_type(payload_type("t", "{}", &format!("race {round}"))).unwrap());
        assert_eq!(vault.list_types(Page::first(100)).unwrap().data.len(), round);
    }
}

#[test]
fn the_type_of_a_payload_and_the_source_of_a_card_are_part_of_a_request() {
    let (vault, _) = vault();
    let [one, other] = [(); 2].map(|()| vault.create_type(CreateType::new("t", "{}").unwrap()).unwrap().id);
    let first = vault.create_generic(generic("1", "k").type_id(one)).unwrap();
    assert_eq!(vault.create_generic(generic("1", "k").type_id(one)).unwrap(), first);
    conflicts(vault.create_generic(generic("1", "k").type_id(other)));
    conflicts(vault.create_generic(generic("1", "k")));

    let session = || CreatePci::session().idempotency_key("k").unwrap();
    let opened = vault.create_pci(session()).unwrap();
    assert_eq!(vault.create_pci(session()).unwrap(), opened);
    conflicts(vault.create_pci(card("", "k")));
    assert_eq!(pci_tokens(&vault), 0);
}
