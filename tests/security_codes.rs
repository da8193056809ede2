//! Promise: a security code is lent once and to one, and is gone with its use, its deletion, its deadline, its token or its
//! vault, whichever comes first; whoever subscribes hears of one that lapsed unused.
//!
//! Where codes stand, and that they leave no copy behind, is tested in `security_code_memory.rs`.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use common::cards::card;
use common::clock::{HandClock, TwoHandClock};
use common::meddled::{Done, Meddled};
use common::shared::Shared;
use common::{PAN_REQUEST, keys, token, vault, violations};
use proptest::prelude::*;
use tokenvault::card::{CardExpiry, Pan, SecurityCode};
use tokenvault::store::MemoryStore;
use tokenvault::{
    Body, CompleteSession, CreateGeneric, CreatePci, Duplicates, Error, ErrorKind, EventReason, EventType,
    Fingerprints, Page, PanSource, PciCreated, Received, Subscription, TokenId, UpdatePci, Vault, VaultOptions,
};

const MINUTE: i64 = 60_000;

fn with_code(code: &str) -> CreatePci {
    CreatePci::new(card().security_code(code).unwrap())
}

fn create(vault: &Vault, request: CreatePci) -> TokenId {
    token(vault.create_pci(request).unwrap()).id
}

fn kind<T>(outcome: Result<T, Error>) -> ErrorKind {
    outcome.map(|_| "it was not refused").unwrap_err().kind()
}

/// Uses the code of a token, and shows it.
fn used(vault: &Vault, id: TokenId) -> Result<String, ErrorKind> {
    vault.use_security_code(id, str::to_owned).map_err(|error| error.kind())
}

const NOT_FOUND: Result<String, ErrorKind> = Err(ErrorKind::NotFound);

/// What was told of security codes: its type, why, and of which token.
fn heard(events: &Subscription) -> Vec<(EventType, EventReason, String)> {
    let codes = [EventType::PciSecurityCodeExpired, EventType::PciSecurityCodeNotKept];
    std::iter::from_fn(|| events.try_next())
        .map(|received| match received {
            Received::Event(event) => event,
            Received::Lost(lost) => panic!("{lost} events went by"),
        })
        .filter(|event| codes.contains(&event.r#type))
        .map(|event| (event.r#type, event.reason, event.related_object.id))
        .collect()
}

/// Waits for the next code that lapses, and gives the id of its token.
fn next_lapsed(events: &Subscription) -> String {
    loop {
        match events.next_within(Duration::from_secs(10)) {
            Some(Received::Event(event)) if event.r#type == EventType::PciSecurityCodeExpired => {
                return event.related_object.id;
            }
            Some(Received::Event(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn lapsed(id: TokenId, reason: EventReason) -> (EventType, EventReason, String) {
    (EventType::PciSecurityCodeExpired, reason, id.to_string())
}

// Its use.

#[test]
fn a_code_is_lent_once_as_it_was_handed_in() {
    let (vault, _) = vault();
    for code in ["000", "123", "0000", "9999"] {
        let id = create(&vault, with_code(code));
        assert!(vault.security_code_available(id).unwrap());
        assert!(vault.security_code_available(id).unwrap(), "asking uses nothing");
        vault.pci(id).unwrap();
        vault.reveal_pci(id, |_| ()).unwrap();
        assert_eq!(used(&vault, id).as_deref(), Ok(code));
        assert!(!vault.security_code_available(id).unwrap());
        assert_eq!(used(&vault, id), NOT_FOUND);
        vault.pci(id).unwrap();
    }
    let json = create(&vault, CreatePci::from_json(PAN_REQUEST.as_bytes()).unwrap());
    assert_eq!(used(&vault, json).as_deref(), Ok("123"));
    let escaped = PAN_REQUEST.replace(r#""123""#, r#""\u0039\u0038\u0037\u0036""#);
    let escaped = create(&vault, CreatePci::from_json(escaped.as_bytes()).unwrap());
    assert_eq!(used(&vault, escaped).as_deref(), Ok("9876"));
}

#[test]
fn a_token_made_without_a_code_has_none() {
    let (vault, _) = vault();
    let plain = create(&vault, CreatePci::new(card()));
    let null = CreatePci::from_json(PAN_REQUEST.replace(r#""123""#, "null").as_bytes()).unwrap();
    for id in [plain, create(&vault, null)] {
        assert!(!vault.security_code_available(id).unwrap());
        assert_eq!(used(&vault, id), NOT_FOUND);
        vault.delete_security_code(id).unwrap();
    }
}

#[test]
fn the_last_of_two_codes_in_a_typed_request_is_kept() {
    let (vault, _) = vault();
    let source = card().security_code("111").unwrap().security_code("2222").unwrap();
    let id = create(&vault, CreatePci::new(source));
    assert_eq!(used(&vault, id).as_deref(), Ok("2222"));
}

#[test]
fn what_is_no_code_is_refused_where_it_is_handed_in() {
    for (code, rule) in [
        ("", "must not be empty"),
        ("12", "must have 3 or 4 digits"),
        ("12345", "must have 3 or 4 digits"),
        ("12a", "must be ASCII digits only"),
        (" 123", "must be ASCII digits only"),
        ("١٢٣", "must be ASCII digits only"),
        ("-12", "must be ASCII digits only"),
        ("12\0", "must be ASCII digits only"),
    ] {
        assert_eq!(violations(&SecurityCode::parse(code).unwrap_err()), [("$", rule)], "{code}");
        let refusal = card().security_code(code).unwrap_err();
        assert_eq!(violations(&refusal), [("$.source.security_code", rule)], "{code}");
        let json = PAN_REQUEST.replace(r#""123""#, &serde_json::to_string(code).unwrap());
        let refusal = CreatePci::from_json(json.as_bytes()).unwrap_err();
        assert_eq!(violations(&refusal), [("$.source.security_code", rule)], "{code}");
    }
    let number = PAN_REQUEST.replace(r#""123""#, "123");
    let refusal = CreatePci::from_json(number.as_bytes()).unwrap_err();
    assert_eq!(violations(&refusal), [("$.source.security_code", "must be a string")]);
}

#[test]
fn an_id_of_no_card_is_not_found_whatever_is_asked() {
    let (vault, _) = vault();
    let generic = vault.create_generic(CreateGeneric::new([("pin", "1234")]).unwrap()).unwrap().id;
    let deleted = create(&vault, with_code("123"));
    vault.delete_pci(deleted).unwrap();
    for id in [generic, deleted, "8744c9ea-a02b-4ae6-875c-b64fc333e3ef".parse().unwrap()] {
        assert_eq!(kind(vault.security_code_available(id)), ErrorKind::NotFound);
        assert_eq!(used(&vault, id), NOT_FOUND);
        assert_eq!(kind(vault.delete_security_code(id)), ErrorKind::NotFound);
        assert_eq!(kind(vault.refresh_security_code(id)), ErrorKind::NotFound);
    }
}

#[test]
fn a_code_is_used_whatever_the_borrower_answers() {
    let (vault, _) = vault();
    let id = create(&vault, with_code("123"));
    let declined: Result<(), &str> = vault.use_security_code(id, |_| Err("declined")).unwrap();
    assert_eq!((declined, used(&vault, id)), (Err("declined"), NOT_FOUND));

    let id = create(&vault, with_code("123"));
    let panics = || vault.use_security_code(id, |code| panic!("{}", code.len()));
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    assert_eq!(used(&vault, id), NOT_FOUND);
    // The vault goes on.
    assert_eq!(used(&vault, create(&vault, with_code("4567"))).as_deref(), Ok("4567"));
}

#[test]
fn a_borrower_may_use_the_vault() {
    let (vault, _) = vault();
    let (one, other) = (create(&vault, with_code("111")), create(&vault, with_code("222")));
    let inner = vault.use_security_code(one, |code| {
        let third = create(&vault, with_code("333"));
        assert_eq!(used(&vault, one), NOT_FOUND, "it is lent already");
        vault.delete_pci(one).unwrap();
        (code.to_owned(), used(&vault, other), used(&vault, third))
    });
    assert_eq!(inner.unwrap(), ("111".to_owned(), Ok("222".to_owned()), Ok("333".to_owned())));
}

#[test]
fn a_code_can_be_held_across_an_await_and_is_used_by_a_future_that_is_given_up() {
    struct OnceAsked(bool);
    impl Future for OnceAsked {
        type Output = ();
        fn poll(mut self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
        }
    }
    let (vault, _) = vault();
    let mut context = Context::from_waker(Waker::noop());
    let (whole, given_up) = (create(&vault, with_code("123")), create(&vault, with_code("456")));
    let lend = async |code: &str| {
        OnceAsked(false).await;
        code.to_owned()
    };
    let mut future = pin!(vault.use_security_code_async(whole, lend));
    assert!(future.as_mut().poll(&mut context).is_pending());
    let Poll::Ready(answer) = future.as_mut().poll(&mut context) else { panic!("it is ready") };
    assert_eq!(answer.unwrap(), "123");
    {
        let mut future = pin!(vault.use_security_code_async(given_up, lend));
        assert!(future.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!((used(&vault, whole), used(&vault, given_up)), (NOT_FOUND, NOT_FOUND));
}

#[test]
fn of_many_that_use_one_code_one_gets_it() {
    const USERS: usize = 8;
    let (vault, _) = vault();
    for _ in 0..300 {
        let id = create(&vault, with_code("123"));
        let (barrier, loans) = (Barrier::new(USERS), AtomicUsize::new(0));
        let outcomes: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..USERS)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        let lend = |code: &str| (loans.fetch_add(1, Ordering::SeqCst), code == "123");
                        vault.use_security_code(id, lend).map_err(|error| error.kind())
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(loans.load(Ordering::SeqCst), 1);
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Ok((0, true))).count(), 1);
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(ErrorKind::NotFound)).count(), USERS - 1);
    }
}

// Its use in a template.

fn filled(vault: &Vault, id: TokenId, template: &str) -> Result<String, Error> {
    vault.fill(id, Body::Form(template), |filled| String::from_utf8(filled.to_vec()).unwrap())
}

#[test]
fn a_template_uses_a_code_up_when_it_is_lent_and_not_before() {
    let (vault, _) = vault();
    let id = create(&vault, with_code("0123"));
    let lacking = "placeholder for a cardholder name that the token lacks";
    let error = filled(&vault, id, "{{security_code}}{{cardholder_name}}").unwrap_err();
    assert_eq!(violations(&error), [("$[17]", lacking)], "the code is not what is lacking");
    let error = filled(&vault, id, "{{security_code}}{{pin}}").unwrap_err();
    assert_eq!(violations(&error), [("$[17]", "unknown placeholder")]);
    filled(&vault, id, "{{account_number}}").unwrap();
    assert!(vault.security_code_available(id).unwrap(), "nothing was consumed");

    let template = "a={{security_code}}&b={{ security_code }}&c={{expiry_year}}";
    assert_eq!(filled(&vault, id, template).unwrap(), "a=0123&b=0123&c=2025");
    assert!(!vault.security_code_available(id).unwrap());
    let none = "placeholder for a security code that the token lacks";
    let error = filled(&vault, id, template).unwrap_err();
    assert_eq!(violations(&error), [("$[2]", none), ("$[22]", none)]);

    let id = create(&vault, with_code("456"));
    let panics = || vault.fill(id, Body::Json("\"{{ security_code }}\""), |_| panic!("as it pleases"));
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    assert_eq!(used(&vault, id), NOT_FOUND, "it was lent");
}

#[test]
fn of_many_that_fill_a_template_with_one_code_one_gets_it() {
    let (vault, _) = vault();
    for _ in 0..200 {
        let id = create(&vault, with_code("123"));
        let barrier = Barrier::new(6);
        let outcomes: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..6)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        filled(&vault, id, "{{security_code}}").map_err(|error| error.kind())
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Ok("123".to_owned())).count(), 1);
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(ErrorKind::Validation)).count(), 5);
    }
}

#[test]
fn a_template_finds_a_code_lapsed_and_that_is_told() {
    let (vault, clock) = vault();
    let events = vault.subscribe().unwrap();
    let id = create(&vault, with_code("123"));
    clock.advance_millis(15 * MINUTE);
    assert_eq!(kind(filled(&vault, id, "{{security_code}}")), ErrorKind::Validation);
    assert_eq!(heard(&events), [lapsed(id, EventReason::Expiry)]);
}

// Where it comes from.

#[test]
fn a_code_comes_with_a_token_a_bulk_and_a_session() {
    let (vault, _) = vault();
    let requests = (0..600).map(|at| Ok(if at % 2 == 0 { with_code("123") } else { CreatePci::new(card()) }));
    let mut created = vault.create_pci_many(requests);
    let first = token(created.next().unwrap().unwrap());
    assert_eq!(used(&vault, first.id).as_deref(), Ok("123"));
    let ids: Vec<_> = created.map(|created| token(created.unwrap()).id).collect();
    for (at, id) in (1..).zip(ids) {
        assert_eq!(vault.security_code_available(id).unwrap(), at % 2 == 0, "{at}");
    }

    let PciCreated::Session(session) = vault.create_pci(CreatePci::session()).unwrap() else { panic!("a token") };
    let source = br#"{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025,"security_code":"7777"}"#;
    let made = vault.complete_session(session.session_id, CompleteSession::from_json(source).unwrap()).unwrap();
    assert_eq!(used(&vault, made.id).as_deref(), Ok("7777"));
}

#[test]
fn a_new_code_takes_the_place_of_the_old_and_begins_anew() {
    let (vault, clock) = vault();
    let id = create(&vault, with_code("111"));
    let session = vault.refresh_security_code(id).unwrap();
    assert!(vault.security_code_available(id).unwrap(), "a refresh that is not completed takes nothing away");
    clock.advance_millis(10 * MINUTE);
    vault.complete_security_code(session, SecurityCode::parse("2222").unwrap()).unwrap();
    clock.advance_millis(10 * MINUTE);
    assert_eq!(used(&vault, id).as_deref(), Ok("2222"), "the deadline of the old one has come");
    // One comes also where none was.
    let session = vault.refresh_security_code(id).unwrap();
    vault.complete_security_code(session, SecurityCode::parse("333").unwrap()).unwrap();
    assert_eq!(used(&vault, id).as_deref(), Ok("333"));
}

// Its end.

#[test]
fn a_code_that_is_deleted_is_gone_and_a_second_deletion_changes_nothing() {
    let (vault, _) = vault();
    let events = vault.subscribe().unwrap();
    let id = create(&vault, with_code("123"));
    vault.delete_security_code(id).unwrap();
    assert!(!vault.security_code_available(id).unwrap());
    assert_eq!(used(&vault, id), NOT_FOUND);
    vault.delete_security_code(id).unwrap();
    vault.pci(id).unwrap();
    assert_eq!(heard(&events), [], "whoever deletes it knows");
}

#[test]
fn a_code_lives_a_quarter_of_an_hour_to_the_millisecond() {
    let (vault, clock) = vault();
    let events = vault.subscribe().unwrap();
    let [asked, used_late, swept] = [(); 3].map(|()| create(&vault, with_code("123")));
    clock.advance_millis(15 * MINUTE - 1);
    vault.sweep().unwrap();
    for id in [asked, used_late, swept] {
        assert!(vault.security_code_available(id).unwrap());
    }
    clock.advance_millis(1);
    assert!(!vault.security_code_available(asked).unwrap());
    assert!(!vault.security_code_available(asked).unwrap());
    assert_eq!(used(&vault, used_late), NOT_FOUND);
    assert_eq!(used(&vault, used_late), NOT_FOUND);
    vault.sweep().unwrap();
    vault.sweep().unwrap();
    let expected =
        [lapsed(asked, EventReason::Expiry), lapsed(used_late, EventReason::Expiry), lapsed(swept, EventReason::Sweep)];
    assert_eq!(heard(&events), expected, "each once");
    // A clock that goes back brings none back.
    clock.advance_millis(-15 * MINUTE);
    assert!([asked, used_late, swept].map(|id| vault.security_code_available(id).unwrap()) == [false; 3]);
}

#[test]
fn a_code_can_be_used_in_its_last_millisecond() {
    let (vault, clock) = vault();
    let id = create(&vault, with_code("123"));
    clock.advance_millis(15 * MINUTE - 1);
    assert_eq!(used(&vault, id).as_deref(), Ok("123"));
    clock.advance_millis(1);
    let events = vault.subscribe().unwrap();
    vault.sweep().unwrap();
    assert_eq!(heard(&events), [], "it was used");
}

#[test]
fn a_code_never_outlives_its_token() {
    let (vault, clock) = vault();
    let events = vault.subscribe().unwrap();
    let brief = || create(&vault, with_code("123").expires_in(60).unwrap());
    let (read, swept, deleted) = (brief(), brief(), brief());
    vault.delete_pci(deleted).unwrap();
    clock.advance_millis(MINUTE - 1);
    assert!(vault.security_code_available(read).unwrap());
    clock.advance_millis(1);
    assert_eq!(kind(vault.pci(read)), ErrorKind::NotFound);
    assert_eq!(heard(&events), [lapsed(read, EventReason::Expiry)], "of the deleted one its deletion tells");
    vault.sweep().unwrap();
    assert_eq!(heard(&events), [lapsed(swept, EventReason::Sweep)]);
    for id in [read, swept, deleted] {
        assert_eq!(used(&vault, id), NOT_FOUND);
    }
    clock.advance_millis(-MINUTE);
    assert_eq!([read, swept, deleted].map(|id| used(&vault, id)), [NOT_FOUND, NOT_FOUND, NOT_FOUND]);
}

#[test]
fn a_clock_that_leaps_costs_no_code_until_it_is_confirmed() {
    let clock = TwoHandClock::at("2026-01-02T03:04:05.678Z");
    let vault = VaultOptions::new().clock(clock.clone()).open_with(MemoryStore::new(), keys()).unwrap();
    let events = vault.subscribe().unwrap();
    let (found_again, confirmed) = (create(&vault, with_code("111")), create(&vault, with_code("222")));
    clock.leap_millis(120 * MINUTE);
    for id in [found_again, confirmed] {
        assert!(!vault.security_code_available(id).unwrap());
        assert_eq!(used(&vault, id), NOT_FOUND);
    }
    vault.sweep().unwrap();
    assert_eq!(heard(&events), [], "nothing has lapsed on the word of a clock that leapt");
    clock.leap_millis(-120 * MINUTE);
    assert_eq!(used(&vault, found_again).as_deref(), Ok("111"));
    clock.leap_millis(120 * MINUTE);
    vault.confirm_clock().unwrap();
    assert!(!vault.security_code_available(confirmed).unwrap());
    assert_eq!(heard(&events), [lapsed(confirmed, EventReason::Expiry)]);
}

#[test]
fn a_clock_that_went_back_lets_new_codes_live() {
    let (vault, clock) = vault();
    let brief = create(&vault, with_code("111").expires_in(60).unwrap());
    clock.advance_millis(60 * MINUTE);
    // What was listed as expired stays so.
    assert!(vault.list_pci(Page::default()).unwrap().data.is_empty());
    clock.advance_millis(-60 * MINUTE);
    assert_eq!(used(&vault, brief), NOT_FOUND);
    let fresh = create(&vault, with_code("222"));
    assert_eq!(used(&vault, fresh).as_deref(), Ok("222"));
}

#[test]
fn a_restart_leaves_no_code() {
    let store = Shared::default();
    let open = || VaultOptions::new().open_with(store.clone(), keys()).unwrap();
    let vault = open();
    let id = create(&vault, with_code("123"));
    let clone = vault.clone();
    vault.close().unwrap();
    assert_eq!(kind(clone.security_code_available(id)), ErrorKind::Unavailable);
    assert_eq!(used(&clone, id), Err(ErrorKind::Unavailable));
    assert_eq!(kind(clone.delete_security_code(id)), ErrorKind::Unavailable);
    let vault = open();
    assert!(!vault.security_code_available(id).unwrap());
    assert_eq!(used(&vault, id), NOT_FOUND);
}

#[test]
fn two_vaults_know_nothing_of_each_others_codes() {
    let store = Shared::default();
    let open = || VaultOptions::new().open_with(store.clone(), keys()).unwrap();
    let (one, other) = (open(), open());
    let id = create(&one, with_code("123"));
    assert_eq!(used(&other, id), NOT_FOUND);
    drop(other);
    assert_eq!(used(&one, id).as_deref(), Ok("123"));
}

// Changes of its token.

#[test]
fn a_code_ends_with_a_token_whose_life_was_shortened_and_not_later_than_it_would_have() {
    let (vault, clock) = vault();
    let events = vault.subscribe().unwrap();
    let (shortened, prolonged) = (create(&vault, with_code("123")), create(&vault, with_code("456")));
    let unchanged = create(&vault, with_code("789").expires_in(60).unwrap());
    vault.update_pci(shortened, UpdatePci::new().expires_in(60).unwrap()).unwrap();
    vault.update_pci(prolonged, UpdatePci::new().expires_in(2_000_000).unwrap()).unwrap();
    vault.update_pci(unchanged, UpdatePci::new().expiry_month(3).unwrap()).unwrap();
    for id in [shortened, prolonged, unchanged] {
        assert!(vault.security_code_available(id).unwrap(), "a change of something else changes nothing");
    }
    clock.advance_millis(MINUTE - 1);
    assert!(vault.security_code_available(shortened).unwrap());
    clock.advance_millis(1);
    assert_eq!((used(&vault, shortened), used(&vault, unchanged)), (NOT_FOUND, NOT_FOUND));
    clock.advance_millis(14 * MINUTE - 1);
    assert!(vault.security_code_available(prolonged).unwrap());
    clock.advance_millis(1);
    assert!(!vault.security_code_available(prolonged).unwrap());
    let expected = [shortened, unchanged, prolonged].map(|id| lapsed(id, EventReason::Expiry));
    assert_eq!(heard(&events), expected);
}

#[test]
fn a_thread_takes_away_what_a_change_lets_lapse_sooner() {
    let vault = brief_vault(Duration::from_hours(1));
    let events = vault.subscribe().unwrap();
    let id = create(&vault, with_code("123"));
    vault.update_pci(id, UpdatePci::new().expires_in(1).unwrap()).unwrap();
    assert_eq!(next_lapsed(&events), id.to_string());
}

#[test]
fn a_code_ends_with_a_token_that_a_duplicate_has_given_a_shorter_life() {
    let options = VaultOptions::new().clock(HandClock::at("2026-01-02T03:04:05.678Z"));
    let options = options.fingerprints(Fingerprints::On);
    let vault = options.open_with(MemoryStore::new(), keys()).unwrap();
    let events = vault.subscribe().unwrap();
    let id = create(&vault, with_code("123"));
    let again = CreatePci::new(card()).duplicates(Duplicates::UpdateExisting).expires_in(1).unwrap();
    assert_eq!(create(&vault, again), id);
    assert_eq!(next_lapsed(&events), id.to_string());
}

#[test]
fn another_card_brings_its_own_code_or_none() {
    let (vault, clock) = vault();
    let events = vault.subscribe().unwrap();
    let other = || PanSource::new(Pan::parse("5555555555554444").unwrap(), CardExpiry::new(6, 2031).unwrap());
    let (with, without) = (create(&vault, with_code("111")), create(&vault, with_code("222")));
    let session = vault.refresh_security_code(without).unwrap();
    clock.advance_millis(10 * MINUTE);
    vault.replace_account_number(with, other().security_code("3333").unwrap()).unwrap();
    vault.replace_account_number(without, other()).unwrap();
    assert_eq!((used(&vault, with).as_deref(), used(&vault, without)), (Ok("3333"), NOT_FOUND));
    // A session that was opened before takes a code for the card that the token now stands for.
    vault.complete_security_code(session, SecurityCode::parse("444").unwrap()).unwrap();
    clock.advance_millis(10 * MINUTE);
    assert_eq!(used(&vault, without).as_deref(), Ok("444"), "its deadline began with it");
    assert_eq!(heard(&events), []);
}

#[test]
fn of_cards_that_are_replaced_at_once_none_gets_the_code_of_another() {
    const CARDS: [(&str, &str); 4] = [
        ("5555555555554444", "555"),
        ("378282246310005", "3782"),
        ("6011111111111117", "601"),
        ("4222222222222", "422"),
    ];
    let (vault, _) = vault();
    let (mut kept, rounds) = (0, 300);
    for _ in 0..rounds {
        let id = create(&vault, with_code("111"));
        let session = vault.refresh_security_code(id).unwrap();
        let barrier = Barrier::new(CARDS.len() + 1);
        thread::scope(|scope| {
            for (number, code) in CARDS {
                let (vault, barrier) = (&vault, &barrier);
                scope.spawn(move || {
                    let card = PanSource::new(Pan::parse(number).unwrap(), CardExpiry::new(6, 2031).unwrap());
                    let card = card.security_code(code).unwrap();
                    barrier.wait();
                    vault.replace_account_number(id, card).unwrap();
                });
            }
            barrier.wait();
            // Whether it comes before one of them or behind the last, it may be the one that stays.
            drop(vault.complete_security_code(session, SecurityCode::parse("999").unwrap()));
        });
        let number = vault.reveal_pci(id, |card| card.account_number().to_owned()).unwrap();
        let code = CARDS.iter().find(|(of, _)| *of == number).unwrap().1;
        match used(&vault, id) {
            Ok(used) => {
                kept += 1;
                assert!(used == code || used == "999", "{used} for {number}");
            }
            refused => assert_eq!(refused, NOT_FOUND),
        }
    }
    assert!(kept > rounds / 2, "{kept} of {rounds}");
}

/// How a code may come to a token.
type Way = fn(&Vault, TokenId) -> Result<(), Error>;

#[test]
fn a_code_that_comes_too_late_for_its_card_is_not_kept_and_that_is_told() {
    let not_kept = |id: TokenId| vec![(EventType::PciSecurityCodeNotKept, EventReason::Request, id.to_string())];
    let other = || PanSource::new(Pan::parse("5555555555554444").unwrap(), CardExpiry::new(6, 2031).unwrap());
    let ways: [Way; 2] = [
        |vault, id| {
            let late = PanSource::new(Pan::parse("378282246310005").unwrap(), CardExpiry::new(6, 2031).unwrap());
            vault.replace_account_number(id, late.security_code("111").unwrap()).map(drop)
        },
        |vault, id| {
            let session = vault.refresh_security_code(id).unwrap();
            let outcome = vault.complete_security_code(session, SecurityCode::parse("111").unwrap());
            assert_eq!(
                outcome.as_ref().map_err(Error::kind),
                Err(ErrorKind::Unavailable),
                "it was asked for nothing else"
            );
            Ok(())
        },
    ];
    for (at, late) in ways.into_iter().enumerate() {
        for has_code in [true, false] {
            let card = move || if has_code { other().security_code("222").unwrap() } else { other() };
            let store = Meddled::default();
            let vault = VaultOptions::new().open_with(store.clone(), keys()).unwrap();
            let events = vault.subscribe().unwrap();
            let id = create(&vault, with_code("000"));
            let meddler = vault.clone();
            let replace = move || drop(meddler.replace_account_number(id, card()).unwrap());
            // The second commit of a refresh is its completion.
            let again = store.clone();
            let is_first = at == 0;
            let done = store.behind_commit(move || {
                if is_first {
                    replace();
                    return None;
                }
                Some(again.behind_commit(replace))
            });
            late(&vault, id).unwrap();
            done.take().into_iter().for_each(Done::take);
            assert_eq!(heard(&events), not_kept(id));
            let expected = if has_code { Ok("222".to_owned()) } else { NOT_FOUND };
            assert_eq!(used(&vault, id), expected, "that of the card that came last");
        }
    }
}

#[test]
fn a_code_that_comes_too_late_for_its_token_is_gone_without_a_word() {
    let store = Meddled::default();
    let vault = VaultOptions::new().open_with(store.clone(), keys()).unwrap();
    let events = vault.subscribe().unwrap();
    let id = create(&vault, CreatePci::new(card()));
    let session = vault.refresh_security_code(id).unwrap();
    let meddler = vault.clone();
    let deleted = store.behind_commit(move || meddler.delete_pci(id).unwrap());
    let outcome = vault.complete_security_code(session, SecurityCode::parse("111").unwrap());
    deleted.take();
    assert_eq!(kind(outcome), ErrorKind::NotFound);
    assert_eq!((used(&vault, id), heard(&events)), (NOT_FOUND, vec![]));
}

// Its deadline when nobody asks.

fn brief_vault(lifetime: Duration) -> Vault {
    // The vault's own clock stands still: it is the thread that keeps the deadline.
    let clock = HandClock::at("2026-01-02T03:04:05.678Z");
    let options = VaultOptions::new().clock(clock).security_code_lifetime(lifetime);
    options.open_with(MemoryStore::new(), keys()).unwrap()
}

#[test]
fn a_thread_takes_away_what_lapses_though_nobody_asks() {
    let vault = brief_vault(Duration::from_millis(200));
    let events = vault.subscribe().unwrap();
    let begun = Instant::now();
    let ids: Vec<_> = (0..20).map(|_| create(&vault, with_code("123"))).collect();
    let used_in_time = create(&vault, with_code("123"));
    assert_eq!(used(&vault, used_in_time).as_deref(), Ok("123"));
    let mut told = Vec::new();
    while told.len() < ids.len() {
        let Some(Received::Event(event)) = events.next_within(Duration::from_secs(10)) else { panic!("{told:?}") };
        if event.r#type == EventType::PciSecurityCodeExpired {
            assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
            assert_eq!(event.reason, EventReason::Expiry);
            told.push(event.related_object.id);
        }
    }
    assert_eq!(told, ids.iter().map(ToString::to_string).collect::<Vec<_>>(), "in the order of their deadlines");
    assert!(ids.iter().all(|id| !vault.security_code_available(*id).unwrap()));
    assert_eq!(heard(&events), [], "each once");
}

#[test]
fn a_deadline_that_comes_before_the_one_that_is_waited_for_is_kept_too() {
    let clock = HandClock::at("2026-01-02T03:04:05.678Z");
    let vault = VaultOptions::new().clock(clock).open_with(MemoryStore::new(), keys()).unwrap();
    let events = vault.subscribe().unwrap();
    let long = create(&vault, with_code("123"));
    thread::sleep(Duration::from_millis(50));
    let brief = create(&vault, with_code("456").expires_in(1).unwrap());
    assert_eq!(next_lapsed(&events), brief.to_string());
    assert_eq!(used(&vault, long).as_deref(), Ok("123"));
}

#[test]
fn a_lifetime_of_zero_holds_none() {
    let vault = brief_vault(Duration::ZERO);
    let id = create(&vault, with_code("123"));
    assert!(!vault.security_code_available(id).unwrap());
    assert_eq!(used(&vault, id), NOT_FOUND);
}

/// The threads of this process that have this name.
fn threads_of_codes() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let named = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm"));
    tasks.filter_map(|task| named(task).ok()).filter(|name| name.trim() == "tokenvault-code").count()
}

#[test]
fn the_thread_of_a_vault_comes_with_its_first_code_and_ends_with_it() {
    // Alone in its process, since others have such threads too.
    const CHILD: &str = "TOKENVAULT_TEST_THREADS";
    if std::env::var_os(CHILD).is_none() {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "the_thread_of_a_vault_comes_with_its_first_code_and_ends_with_it"]).env(CHILD, "1");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    // A thread names itself, and a name goes, a moment later.
    let become_so_many = |count: usize| {
        let deadline = Instant::now() + Duration::from_secs(10);
        while threads_of_codes() != count {
            assert!(Instant::now() < deadline, "{} threads, not {count}", threads_of_codes());
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(20));
        assert_eq!(threads_of_codes(), count);
    };
    let (vault, _) = vault();
    create(&vault, CreatePci::new(card()));
    become_so_many(0);
    let id = create(&vault, with_code("123"));
    create(&vault, with_code("123"));
    become_so_many(1);
    used(&vault, id).unwrap();
    vault.close().unwrap();
    become_so_many(0);
    // The last handle, while the thread sleeps.
    let vault = brief_vault(Duration::from_hours(1));
    create(&vault, with_code("123"));
    become_so_many(1);
    drop(vault);
    become_so_many(0);
}

#[test]
fn a_vault_that_is_closed_while_codes_lapse_ends_in_order() {
    for round in 0..100 {
        let vault = brief_vault(Duration::from_millis(round % 4));
        let requests = (0..50).map(|_| Ok(with_code("123")));
        assert_eq!(vault.create_pci_many(requests).flatten().count(), 50);
        let clone = vault.clone();
        thread::scope(|scope| {
            scope.spawn(move || clone.close().unwrap());
            drop(vault);
        });
    }
}

// Everything in any order.

/// What may be done to one of a few tokens.
#[derive(Clone, Debug)]
enum Step {
    Create { code: Option<String>, seconds: Option<u64> },
    Available(usize),
    Use(usize),
    DeleteCode(usize),
    Refresh(usize),
    Complete { session: usize, code: String },
    DeleteToken(usize),
    Advance(i64),
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    let code = "[0-9]{3,4}";
    prop_oneof![
        3 => (prop::option::of(code), prop::option::of(1_u64..2000))
            .prop_map(|(code, seconds)| Step::Create { code, seconds }),
        2 => any::<usize>().prop_map(Step::Available),
        2 => any::<usize>().prop_map(Step::Use),
        1 => any::<usize>().prop_map(Step::DeleteCode),
        2 => any::<usize>().prop_map(Step::Refresh),
        3 => (any::<usize>(), code).prop_map(|(session, code)| Step::Complete { session, code }),
        1 => any::<usize>().prop_map(Step::DeleteToken),
        3 => (0..8 * MINUTE).prop_map(Step::Advance),
        1 => Just(Step::Sweep),
    ]
}

/// What a token should have.
struct Held {
    id: TokenId,
    /// `None` once it was deleted.
    expires_at: Option<i64>,
    code: Option<(String, i64)>,
}

struct Session {
    id: tokenvault::SessionId,
    of: usize,
    expires_at: i64,
    completed: bool,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn codes_and_their_sessions_behave_as_the_model_does(steps in prop::collection::vec(step(), 1..80)) {
        let (vault, clock) = vault();
        let (mut now, mut tokens, mut sessions) = (0_i64, Vec::<Held>::new(), Vec::<Session>::new());
        for step in steps {
            let (many, open) = (tokens.len().max(1), sessions.len().max(1));
            let lives = |held: &Held| held.expires_at.is_some_and(|at| now < at);
            match step {
                Step::Create { code, seconds } => {
                    let request = code.as_ref().map_or_else(|| CreatePci::new(card()), |code| with_code(code));
                    let request = seconds.into_iter().try_fold(request, CreatePci::expires_in).unwrap();
                    let id = create(&vault, request);
                    let expires_at = seconds.map_or(i64::MAX, |seconds| now + 1000 * i64::try_from(seconds).unwrap());
                    let code = code.map(|code| (code, expires_at.min(now + 15 * MINUTE)));
                    tokens.push(Held { id, expires_at: Some(expires_at), code });
                }
                Step::Available(which) => if let Some(held) = tokens.get(which % many) {
                    let expected = held.code.as_ref().is_some_and(|(_, until)| now < *until);
                    let answer = vault.security_code_available(held.id).map_err(|error| error.kind());
                    prop_assert_eq!(answer, if lives(held) { Ok(expected) } else { Err(ErrorKind::NotFound) });
                },
                Step::Use(which) => if let Some(held) = tokens.get_mut(which % many) {
                    let lives = held.expires_at.is_some_and(|at| now < at);
                    let expected = held.code.take().filter(|(_, until)| lives && now < *until);
                    prop_assert_eq!(used(&vault, held.id), expected.map(|(code, _)| code).ok_or(ErrorKind::NotFound));
                },
                Step::DeleteCode(which) => if let Some(held) = tokens.get_mut(which % many) {
                    let lives = held.expires_at.is_some_and(|at| now < at);
                    held.code = None;
                    prop_assert_eq!(vault.delete_security_code(held.id).is_ok(), lives);
                },
                Step::Refresh(which) => if let Some(held) = tokens.get(which % many) {
                    let opened = vault.refresh_security_code(held.id);
                    prop_assert_eq!(opened.is_ok(), lives(held));
                    if let Ok(id) = opened {
                        let expires_at = held.expires_at.unwrap().min(now + 15 * MINUTE);
                        sessions.push(Session { id, of: which % many, expires_at, completed: false });
                    }
                },
                Step::Complete { session, code } => if let Some(session) = sessions.get_mut(session % open) {
                    let held = &mut tokens[session.of];
                    let lives = now < session.expires_at && held.expires_at.is_some_and(|at| now < at);
                    let outcome = vault.complete_security_code(session.id, SecurityCode::parse(&code).unwrap());
                    let expected = match (lives, session.completed) {
                        (false, _) => Err(ErrorKind::NotFound),
                        (true, true) => Err(ErrorKind::Conflict),
                        (true, false) => Ok(()),
                    };
                    prop_assert_eq!(outcome.map_err(|error| error.kind()), expected);
                    if expected.is_ok() {
                        session.completed = true;
                        held.code = Some((code, held.expires_at.unwrap().min(now + 15 * MINUTE)));
                    }
                },
                Step::DeleteToken(which) => if let Some(held) = tokens.get_mut(which % many) {
                    let lives = held.expires_at.take().is_some_and(|at| now < at);
                    held.code = None;
                    prop_assert_eq!(vault.delete_pci(held.id).is_ok(), lives);
                },
                Step::Advance(millis) => {
                    clock.advance_millis(millis);
                    now += millis;
                }
                Step::Sweep => {
                    vault.sweep().unwrap();
                }
            }
        }
    }
}
