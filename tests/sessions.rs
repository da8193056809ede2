//! Promise: a session makes one token, or takes one security code, however many try and whenever the vault was opened last; what
//! is refused does not use it; it is gone when its time is up, or with the token that it is about.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::time::Duration;

use common::cards::card;
use common::clock::{HandClock, TwoHandClock};
use common::meddled::Meddled;
use common::shared::Shared;
use common::threads::at_once;
use common::{keys, token, vault, violations};
use proptest::prelude::*;
use tokenvault::card::{Pan, SecurityCode};
use tokenvault::store::{MemoryStore, Table};
use tokenvault::{
    CardDataGuard, CompleteSession, CreatePci, Error, ErrorKind, EventType, Fingerprints, PciCreated, PciToken,
    Received, SessionId, SessionStatus, SessionView, TokenId, UnlistedSchemes, Vault, VaultOptions,
};

const MINUTE: i64 = 60_000;
const SOURCE: &str = r#"{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025}"#;

fn code() -> SecurityCode {
    SecurityCode::parse("123").unwrap()
}

fn open_session(vault: &Vault, request: CreatePci) -> SessionId {
    let PciCreated::Session(session) = vault.create_pci(request).unwrap() else { panic!("a token") };
    session.session_id
}

fn new_token(vault: &Vault) -> TokenId {
    token(vault.create_pci(CreatePci::new(card())).unwrap()).id
}

fn kind<T>(outcome: Result<T, Error>) -> ErrorKind {
    outcome.map(|_| "it was not refused").unwrap_err().kind()
}

/// What a session answers: whether it was completed, and the token.
fn status(vault: &Vault, id: SessionId) -> Result<(SessionStatus, Option<TokenId>), ErrorKind> {
    vault.session(id).map(|SessionView { status, token_id, .. }| (status, token_id)).map_err(|error| error.kind())
}

// One session.

#[test]
fn a_token_gets_what_was_given_with_its_session_and_its_lifetime_counts_from_its_creation() {
    let (vault, clock) = vault();
    let request = CreatePci::session().metadata([("order", "77"), ("café", "é")]).unwrap().expires_in(60).unwrap();
    let session = open_session(&vault, request);
    assert_eq!(status(&vault, session), Ok((SessionStatus::Open, None)));
    clock.advance_millis(10 * MINUTE);

    let made = vault.complete_session(session, card().cardholder_name("Zoë").unwrap()).unwrap();
    assert_eq!(made.created_at.to_rfc3339(), "2026-01-02T03:14:05.678+00:00", "not when the session was made");
    assert_eq!((made.expires_at.unwrap() - made.created_at).num_milliseconds(), MINUTE);
    let metadata: Vec<_> = made.metadata.as_ref().unwrap().iter().collect();
    assert_eq!(metadata, [("order", "77"), ("café", "é")]);
    assert_eq!(made.card.cardholder_name.as_deref(), Some("Zoë"));
    assert_eq!(vault.pci(made.id).unwrap(), made);
    assert!(vault.reveal_pci(made.id, |card| card.account_number() == "4111111111111111").unwrap());
    assert_eq!(status(&vault, session), Ok((SessionStatus::Completed, Some(made.id))));
}

#[test]
fn a_session_without_extras_makes_a_plain_token_that_never_expires() {
    let (vault, clock) = vault();
    let made = vault.complete_session(open_session(&vault, CreatePci::session()), card()).unwrap();
    assert_eq!((made.expires_at, &made.metadata), (None, &None));
    let empty = CreatePci::session().metadata([("", ""); 0]).unwrap();
    let made_empty = vault.complete_session(open_session(&vault, empty), card()).unwrap();
    assert!(made_empty.metadata.is_some_and(|metadata| metadata.is_empty()), "empty maps are echoed");
    clock.advance_millis(40 * 24 * 60 * MINUTE);
    vault.pci(made.id).unwrap();
}

#[test]
fn a_session_is_used_once_and_goes_on_to_name_its_token() {
    let (vault, _) = vault();
    let session = open_session(&vault, CreatePci::session());
    let made = vault.complete_session(session, card()).unwrap();
    for _ in 0..2 {
        assert_eq!(kind(vault.complete_session(session, card())), ErrorKind::Conflict);
    }
    assert_eq!(status(&vault, session), Ok((SessionStatus::Completed, Some(made.id))));
    assert_eq!(vault.stats().unwrap().pci_tokens, 1);
    // The token is its own from now on, and so is the session.
    vault.delete_pci(made.id).unwrap();
    assert_eq!(status(&vault, session), Ok((SessionStatus::Completed, Some(made.id))));
}

#[test]
fn what_is_refused_does_not_use_a_session() {
    let (vault, _) = vault();
    let session = open_session(&vault, CreatePci::session());
    let complete = |json: &str| {
        let request = CompleteSession::from_json(json.as_bytes())?;
        vault.complete_session(session, request)
    };
    for (json, expected) in [
        ("", [("$", "malformed JSON at byte 0")]),
        ("[]", [("$", "must be an object")]),
        (&SOURCE.replace("1111\"", "1112\""), [("$.account_number", "fails the Luhn check")]),
        (&SOURCE.replace("12,", "13,"), [("$.expiry_month", "must be from 1 to 12")]),
        (&SOURCE.replace("pan", "session"), [("$.type", "must be `pan`")]),
        (&SOURCE.replace(r#""type":"pan","#, ""), [("$.type", "is required")]),
        (&SOURCE.replace('}', r#","security_code":"12"}"#), [("$.security_code", "must have 3 or 4 digits")]),
        (&SOURCE.replace('}', r#","expires_in":9}"#), [("$.expires_in", "unknown field")]),
        (&SOURCE.replace('}', r#","type":"pan"}"#), [("$.type", "duplicate field")]),
    ] {
        let refusal = complete(json).unwrap_err();
        assert_eq!(violations(&refusal), expected, "{json}");
        assert_eq!(status(&vault, session), Ok((SessionStatus::Open, None)));
    }
    let refusal = vault.complete_security_code(session, code()).unwrap_err();
    assert_eq!(violations(&refusal), [("$.session_id", "the session waits for a card")]);
    let all = complete(r#"{"account_number":"x"}"#).unwrap_err();
    let expected = [("$.account_number", "must be ASCII digits only, without separators"), ("$.type", "is required")];
    assert_eq!(violations(&all), expected);
    complete(SOURCE).unwrap();
}

#[test]
fn the_rules_of_a_vault_hold_for_its_sessions() {
    let unlisted = r#"{"type":"pan","account_number":"9111111111111110","expiry_month":12,"expiry_year":2025}"#;
    let accepting = VaultOptions::new().unlisted_schemes(UnlistedSchemes::Accept);
    let accepting = accepting.card_data_guard(CardDataGuard::On).open_with(MemoryStore::new(), keys()).unwrap();
    let (refusing, _) = vault();
    let read = |rules| CompleteSession::from_json_with(unlisted.as_bytes(), rules);
    assert_eq!(kind(read(refusing.rules())), ErrorKind::Validation);

    let session = open_session(&refusing, CreatePci::session());
    let refusal = refusing.complete_session(session, read(accepting.rules()).unwrap()).unwrap_err();
    assert_eq!(violations(&refusal), [("$.account_number", "no supported scheme")]);
    refusing.complete_session(session, card()).unwrap();

    let session = open_session(&accepting, CreatePci::session());
    let named = card().cardholder_name("4111 1111 1111 1111").unwrap();
    let refusal = accepting.complete_session(session, named).unwrap_err();
    assert_eq!(refusal.violations()[0].path(), "$.cardholder_name");
    let made = accepting.complete_session(session, read(accepting.rules()).unwrap()).unwrap();
    assert_eq!(made.card.scheme, None);
    let labelled = CreatePci::session().metadata([("card", "4111 1111 1111 1111")]).unwrap();
    let refusal = accepting.create_pci(labelled).unwrap_err();
    assert_eq!(refusal.violations()[0].path(), "$.metadata.card");
}

#[test]
fn the_token_of_a_session_is_found_by_its_number() {
    let options = VaultOptions::new().fingerprints(Fingerprints::On);
    let vault = options.open_with(MemoryStore::new(), keys()).unwrap();
    let made = vault.complete_session(open_session(&vault, CreatePci::session()), card()).unwrap().id;
    let number = Pan::parse("4111111111111111").unwrap();
    assert_eq!(vault.find_by_account_number(&number).unwrap(), [made]);
}

#[test]
fn an_id_of_another_kind_names_nothing() {
    let (vault, _) = vault();
    let (session, made) = (open_session(&vault, CreatePci::session()), new_token(&vault));
    let as_token = session.to_string().parse::<TokenId>().unwrap();
    let as_session = made.to_string().parse::<SessionId>().unwrap();
    assert_eq!(status(&vault, as_session), Err(ErrorKind::NotFound));
    assert_eq!(kind(vault.complete_session(as_session, card())), ErrorKind::NotFound);
    assert_eq!(kind(vault.complete_security_code(as_session, code())), ErrorKind::NotFound);
    assert_eq!(kind(vault.pci(as_token)), ErrorKind::NotFound);
    assert_eq!(kind(vault.generic(as_token)), ErrorKind::NotFound);
    assert_eq!(kind(vault.delete_pci(as_token)), ErrorKind::NotFound);
    assert_eq!(kind(vault.refresh_security_code(as_token)), ErrorKind::NotFound);
    assert!(vault.list_pci(tokenvault::Page::default()).unwrap().data.iter().all(|token| token.id != as_token));
}

#[test]
fn sessions_and_tokens_are_made_together_in_order() {
    let (vault, _) = vault();
    let requests = (0..600).map(|at| Ok(if at % 3 == 1 { CreatePci::session() } else { CreatePci::new(card()) }));
    let created: Vec<_> = vault.create_pci_many(requests).map(Result::unwrap).collect();
    for (at, created) in created.into_iter().enumerate() {
        match created {
            PciCreated::Session(session) => {
                assert_eq!(at % 3, 1);
                vault.complete_session(session.session_id, card()).unwrap();
            }
            PciCreated::Token(token) => {
                assert_ne!(at % 3, 1);
                vault.pci(token.id).unwrap();
            }
        }
    }
    assert_eq!(vault.stats().unwrap().sessions, 200);
}

#[test]
fn what_becomes_of_a_session_is_told_once() {
    let (vault, clock) = vault();
    let events = vault.subscribe().unwrap();
    let heard = || {
        let told = std::iter::from_fn(|| events.try_next()).map(|received| match received {
            Received::Event(event) => (event.r#type, event.related_object.id),
            Received::Lost(lost) => panic!("{lost} events went by"),
        });
        told.collect::<Vec<_>>()
    };
    let (used, left) = (open_session(&vault, CreatePci::session()), open_session(&vault, CreatePci::session()));
    assert_eq!(heard(), [], "a session that was opened is no news");
    let made = vault.complete_session(used, card()).unwrap().id;
    vault.complete_session(used, card()).unwrap_err();
    let told = [(EventType::PciTokenCreated, made.to_string()), (EventType::SessionCompleted, used.to_string())];
    assert_eq!(heard(), told);
    let refresh = vault.refresh_security_code(made).unwrap();
    vault.complete_security_code(refresh, code()).ok();
    let completed = heard().into_iter().filter(|(told, _)| *told == EventType::SessionCompleted);
    assert_eq!(completed.map(|(_, id)| id).collect::<Vec<_>>(), [refresh.to_string()]);
    clock.advance_millis(15 * MINUTE);
    is_gone(&vault, left);
    vault.sweep().unwrap();
    let expired: Vec<_> = heard().into_iter().filter(|(told, _)| *told == EventType::SessionExpired).collect();
    assert_eq!(expired.len(), 3);
    assert_eq!(expired[0].1, left.to_string());
}

/// A source of any fields, right and wrong, in any order.
fn source() -> impl Strategy<Value = String> {
    let field = prop::sample::select(vec![
        r#""type":"pan""#,
        r#""type":"pan""#,
        r#""type":7"#,
        r#""account_number":"4111111111111111""#,
        r#""account_number":"4111111111111111""#,
        r#""account_number":"4111""#,
        r#""account_number":null"#,
        r#""expiry_month":12"#,
        r#""expiry_month":0"#,
        r#""expiry_year":2031"#,
        r#""expiry_year":"2031""#,
        r#""cardholder_name":"Zo\u00eb""#,
        r#""cardholder_name":"""#,
        r#""security_code":"123""#,
        r#""security_code":"12""#,
        r#""expires_in":60"#,
        r#""x":{}"#,
    ]);
    prop::collection::vec(field, 0..9).prop_map(|fields| format!("{{{}}}", fields.join(",")))
}

proptest! {
    #[test]
    fn a_source_is_judged_alone_as_it_is_within_a_request(source in source()) {
        let alone = CompleteSession::from_json(source.as_bytes()).map(drop);
        let within = CreatePci::from_json(format!(r#"{{"source":{source}}}"#).as_bytes()).map(drop);
        let told = |refused: Result<(), Error>| {
            let told = refused.err().map(|error| error.violations().to_vec()).unwrap_or_default();
            told.iter().map(|told| format!("{} {}", told.path(), told.message())).collect::<Vec<_>>()
        };
        let within: Vec<_> = told(within).iter().map(|told| told.replace("$.source.", "$.")).collect();
        prop_assert_eq!(told(alone), within);
    }
}

// Its time.

/// Every way to ask for a session that is gone.
fn is_gone(vault: &Vault, session: SessionId) {
    assert_eq!(status(vault, session), Err(ErrorKind::NotFound));
    assert_eq!(kind(vault.complete_session(session, card())), ErrorKind::NotFound);
    assert_eq!(kind(vault.complete_security_code(session, code())), ErrorKind::NotFound);
}

#[test]
fn a_session_lives_a_quarter_of_an_hour_to_the_millisecond() {
    for completed in [false, true] {
        let (vault, clock) = vault();
        let session = open_session(&vault, CreatePci::session());
        if completed {
            clock.advance_millis(5 * MINUTE);
            vault.complete_session(session, card()).unwrap();
            clock.advance_millis(-5 * MINUTE);
        }
        clock.advance_millis(15 * MINUTE - 1);
        assert!(status(&vault, session).is_ok());
        assert_eq!(vault.sweep().unwrap().expired_sessions, 0);
        clock.advance_millis(1);
        is_gone(&vault, session);
        let stats = vault.stats().unwrap();
        assert_eq!((stats.sessions, stats.pci_tokens, stats.expiring_tokens), (0, u64::from(completed), 0));
    }
}

#[test]
fn a_session_can_be_completed_in_its_last_millisecond() {
    let (vault, clock) = vault();
    let session = open_session(&vault, CreatePci::session());
    let refresh = vault.refresh_security_code(new_token(&vault)).unwrap();
    clock.advance_millis(15 * MINUTE - 1);
    vault.complete_session(session, card()).unwrap();
    vault.complete_security_code(refresh, code()).unwrap();
    assert_eq!(status(&vault, session).unwrap().0, SessionStatus::Completed, "its time did not begin anew");
    clock.advance_millis(1);
    is_gone(&vault, session);
    is_gone(&vault, refresh);
}

#[test]
fn the_lifetime_is_an_option_and_zero_is_none_at_all() {
    for (lifetime, millis) in
        [(Duration::from_millis(1), 1), (Duration::from_hours(24), 86_400_000), (Duration::MAX, 100 * 365 * 86_400_000)]
    {
        let clock = HandClock::at("2026-01-02T03:04:05.678Z");
        let options = VaultOptions::new().clock(clock.clone()).session_lifetime(lifetime);
        let vault = options.open_with(MemoryStore::new(), keys()).unwrap();
        let session = open_session(&vault, CreatePci::session());
        clock.advance_millis(millis - 1);
        assert!(status(&vault, session).is_ok());
        clock.advance_millis(1);
        assert_eq!(status(&vault, session).is_err(), lifetime != Duration::MAX);
    }
    let options = VaultOptions::new().session_lifetime(Duration::ZERO);
    let vault = options.open_with(MemoryStore::new(), keys()).unwrap();
    is_gone(&vault, open_session(&vault, CreatePci::session()));
}

#[test]
fn a_sweep_removes_what_nobody_asks_for_and_says_so() {
    let (vault, clock) = vault();
    let used = open_session(&vault, CreatePci::session().expires_in(60).unwrap());
    let token = vault.complete_session(used, card()).unwrap();
    for _ in 0..300 {
        open_session(&vault, CreatePci::session());
    }
    vault.refresh_security_code(new_token(&vault)).unwrap();
    assert_eq!(vault.stats().unwrap().sessions, 302);
    clock.advance_millis(MINUTE);
    let report = vault.sweep().unwrap();
    assert_eq!((report.expired_pci, report.expired_sessions, report.remaining), (1, 0, 0));
    assert_eq!(kind(vault.pci(token.id)), ErrorKind::NotFound);
    clock.advance_millis(14 * MINUTE);
    let report = vault.sweep().unwrap();
    assert_eq!((report.expired_pci, report.expired_sessions, report.expired_other), (0, 302, 0));
    let stats = vault.stats().unwrap();
    assert_eq!((stats.sessions, stats.expiring_tokens, stats.pci_tokens), (0, 0, 1));
}

#[test]
fn a_clock_that_leaps_costs_no_session() {
    let clock = TwoHandClock::at("2026-01-02T03:04:05.678Z");
    let vault = VaultOptions::new().clock(clock.clone()).open_with(MemoryStore::new(), keys()).unwrap();
    let (found_again, confirmed) =
        (open_session(&vault, CreatePci::session()), open_session(&vault, CreatePci::session()));
    clock.leap_millis(120 * MINUTE);
    is_gone(&vault, found_again);
    assert_eq!(vault.sweep().unwrap().remaining, 2);
    clock.leap_millis(-120 * MINUTE);
    vault.complete_session(found_again, card()).unwrap();
    clock.leap_millis(120 * MINUTE);
    vault.confirm_clock().unwrap();
    is_gone(&vault, confirmed);
    assert_eq!(vault.sweep().unwrap().expired_sessions, 1);
}

// Restart.

fn survive_restarts(open: &dyn Fn() -> Vault) {
    let vault = open();
    let request = CreatePci::session().metadata([("order", "77")]).unwrap().expires_in(3600).unwrap();
    let (session, other) = (open_session(&vault, request), open_session(&vault, CreatePci::session()));
    let made = new_token(&vault);
    let refresh = vault.refresh_security_code(made).unwrap();
    vault.close().unwrap();

    let vault = open();
    assert_eq!(status(&vault, session), Ok((SessionStatus::Open, None)));
    assert_eq!(status(&vault, refresh), Ok((SessionStatus::Open, Some(made))));
    let completed = vault.complete_session(session, card()).unwrap();
    assert!(completed.metadata.is_some() && completed.expires_at.is_some());
    vault.complete_security_code(refresh, code()).unwrap();
    vault.close().unwrap();

    let vault = open();
    assert_eq!(status(&vault, session), Ok((SessionStatus::Completed, Some(completed.id))));
    assert_eq!(status(&vault, refresh), Ok((SessionStatus::Completed, Some(made))));
    assert_eq!(status(&vault, other), Ok((SessionStatus::Open, None)));
    assert_eq!(kind(vault.complete_session(session, card())), ErrorKind::Conflict);
    assert_eq!(kind(vault.complete_security_code(refresh, code())), ErrorKind::Conflict);
    assert_eq!(vault.pci(completed.id).unwrap(), completed);
    vault.close().unwrap();
    assert_eq!(status(&vault, session), Err(ErrorKind::Unavailable));
    assert_eq!(kind(vault.complete_session(other, card())), ErrorKind::Unavailable);
    assert_eq!(kind(vault.complete_security_code(refresh, code())), ErrorKind::Unavailable);
    assert_eq!(kind(vault.refresh_security_code(made)), ErrorKind::Unavailable);
}

#[test]
fn sessions_survive_restarts_in_memory() {
    let store = Shared::default();
    survive_restarts(&|| VaultOptions::new().open_with(store.clone(), keys()).unwrap());
}

#[test]
#[cfg(feature = "sled")]
fn sessions_survive_restarts_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault");
    survive_restarts(&|| Vault::open_or_create(&path, keys()).unwrap());
}

// Races.

fn one_of_many_wins(vault: &Vault, rounds: usize) {
    for round in 1..=rounds {
        let session = open_session(vault, CreatePci::session());
        let outcomes = at_once(8, |_| vault.complete_session(session, card()));
        let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        let won: Vec<PciToken> = won.into_iter().map(Result::unwrap).collect();
        assert_eq!((won.len(), lost.len()), (1, 7));
        assert!(lost.into_iter().all(|lost| kind(lost) == ErrorKind::Conflict));
        assert_eq!(status(vault, session), Ok((SessionStatus::Completed, Some(won[0].id))));
        assert_eq!(vault.stats().unwrap().pci_tokens, u64::try_from(round).unwrap(), "no token but that of the winner");
    }
}

#[test]
fn of_many_that_complete_one_session_one_makes_a_token() {
    one_of_many_wins(&vault().0, 200);
}

#[test]
#[cfg(feature = "sled")]
fn of_many_that_complete_one_session_one_makes_a_token_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    one_of_many_wins(&Vault::create(folder.path().join("vault"), keys()).unwrap(), 20);
}

#[test]
fn of_many_that_complete_one_refresh_one_code_stays() {
    let (vault, _) = vault();
    let made = new_token(&vault);
    for _ in 0..200 {
        let session = vault.refresh_security_code(made).unwrap();
        let codes: Vec<_> = (100..108).map(|code| code.to_string()).collect();
        let outcomes = at_once(8, |at| vault.complete_security_code(session, SecurityCode::parse(&codes[at]).unwrap()));
        let winner = outcomes.iter().position(Result::is_ok).unwrap();
        let lost = outcomes.into_iter().filter_map(Result::err).map(|error| error.kind()).collect::<Vec<_>>();
        assert_eq!(lost, [ErrorKind::Conflict; 7]);
        assert!(vault.use_security_code(made, |code| code == codes[winner]).unwrap());
    }
}

#[test]
fn a_completion_that_races_with_the_end_of_a_session_makes_a_token_or_none() {
    let (vault, clock) = vault();
    let mut made = 0;
    for _ in 0..200 {
        let session = open_session(&vault, CreatePci::session());
        clock.advance_millis(15 * MINUTE - 1);
        let outcomes = at_once(3, |at| match at {
            0 => Some(vault.complete_session(session, card()).map(|token| token.id)),
            1 => {
                clock.advance_millis(1);
                vault.sweep().unwrap();
                None
            }
            _ => {
                status(&vault, session).err();
                None
            }
        });
        match outcomes.into_iter().flatten().next().unwrap() {
            Ok(id) => {
                made += 1;
                vault.pci(id).unwrap();
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
        }
        assert_eq!(vault.stats().unwrap().pci_tokens, made);
        vault.sweep().unwrap();
        assert_eq!(vault.stats().unwrap().sessions, 0);
    }
}

// The same request again.

fn keyed(key: &str) -> CompleteSession {
    CompleteSession::from(card()).idempotency_key(key).unwrap()
}

#[test]
fn the_same_completion_under_one_key_gives_the_first_answer_again() {
    let store = Shared::default();
    let clock = HandClock::at("2026-01-02T03:04:05.678Z");
    let open = || VaultOptions::new().clock(clock.clone()).open_with(store.clone(), keys()).unwrap();
    let vault = open();
    let request = CreatePci::session().metadata([("order", "77")]).unwrap();
    let (session, other) = (open_session(&vault, request), open_session(&vault, CreatePci::session()));
    let made = vault.complete_session(session, keyed("once")).unwrap();
    assert_eq!(vault.complete_session(session, keyed("once")).unwrap(), made);

    // Another card, another session, another key, none.
    let named = CompleteSession::from(card().cardholder_name("Zoë").unwrap()).idempotency_key("once").unwrap();
    assert_eq!(kind(vault.complete_session(session, named)), ErrorKind::Conflict);
    assert_eq!(kind(vault.complete_session(other, keyed("once"))), ErrorKind::Conflict);
    assert_eq!(kind(vault.complete_session(session, keyed("twice"))), ErrorKind::Conflict);
    assert_eq!(kind(vault.complete_session(session, card())), ErrorKind::Conflict);
    assert_eq!(status(&vault, other), Ok((SessionStatus::Open, None)), "what was refused used nothing");
    // A creation under the same key is another thing.
    let created = token(vault.create_pci(CreatePci::new(card()).idempotency_key("once").unwrap()).unwrap());
    assert_ne!(created.id, made.id);

    // It is remembered for a day: longer than the session, and across a restart.
    vault.close().unwrap();
    clock.advance_millis(24 * 60 * MINUTE - 1);
    let vault = open();
    assert_eq!(status(&vault, session), Err(ErrorKind::NotFound));
    assert_eq!(vault.complete_session(session, keyed("once")).unwrap(), made);
    assert_eq!(vault.stats().unwrap().pci_tokens, 2);
    clock.advance_millis(1);
    assert_eq!(kind(vault.complete_session(session, keyed("once"))), ErrorKind::NotFound);
}

#[test]
fn a_completion_whose_token_is_gone_is_a_conflict() {
    let (vault, _) = vault();
    let session = open_session(&vault, CreatePci::session());
    let made = vault.complete_session(session, keyed("once")).unwrap();
    vault.delete_pci(made.id).unwrap();
    assert_eq!(kind(vault.complete_session(session, keyed("once"))), ErrorKind::Conflict);
}

#[test]
fn a_key_of_a_completion_has_1_to_64_characters() {
    for bad in ["", &"k".repeat(65)] {
        let refusal = CompleteSession::from(card()).idempotency_key(bad).unwrap_err();
        assert_eq!(refusal.violations()[0].path(), "$.idempotency_key");
    }
}

#[test]
fn of_many_that_complete_under_one_key_all_get_one_answer() {
    let (vault, _) = vault();
    for round in 1..=100 {
        let session = open_session(&vault, CreatePci::session());
        let key = format!("round {round}");
        let answers = at_once(16, |_| vault.complete_session(session, keyed(&key)).unwrap());
        assert!(answers.iter().all(|answer| *answer == answers[0]));
        assert_eq!(vault.stats().unwrap().pci_tokens, round);
    }
}

#[test]
fn a_code_that_comes_with_a_replay_takes_the_place_of_the_first() {
    let (vault, _) = vault();
    let session = open_session(&vault, CreatePci::session());
    let complete = |code: &str| {
        let request = CompleteSession::from(card().security_code(code).unwrap()).idempotency_key("once").unwrap();
        vault.complete_session(session, request).unwrap().id
    };
    let made = complete("111");
    assert_eq!(complete("222"), made);
    let is_the_second = vault.use_security_code(made, |code| code == "222");
    #[cfg(target_os = "linux")]
    assert!(is_the_second.unwrap());
    #[cfg(not(target_os = "linux"))]
    is_the_second.unwrap_err();
}

// What happens between a look and the commit that follows it.

fn meddled_vault(store: &Meddled, clock: &HandClock) -> Vault {
    VaultOptions::new().clock(clock.clone()).open_with(store.clone(), keys()).unwrap()
}

#[test]
fn a_session_that_is_used_or_gone_by_the_commit_makes_no_token() {
    let (store, clock) = (Meddled::default(), HandClock::at("2026-01-02T03:04:05.678Z"));
    let (vault, other) = (meddled_vault(&store, &clock), meddled_vault(&store, &clock));
    let (session, meddler) = (open_session(&vault, CreatePci::session()), other.clone());
    let done = store.before_commit(move || drop(meddler.complete_session(session, card()).unwrap()));
    assert_eq!(kind(vault.complete_session(session, card())), ErrorKind::Conflict);
    done.take();
    assert_eq!(vault.stats().unwrap().pci_tokens, 1);

    let (session, time) = (open_session(&vault, CreatePci::session()), clock.clone());
    let done = store.before_commit(move || {
        time.advance_millis(15 * MINUTE);
        assert_eq!(other.sweep().unwrap().expired_sessions, 2);
    });
    assert_eq!(kind(vault.complete_session(session, card())), ErrorKind::NotFound);
    done.take();
    assert_eq!(vault.stats().unwrap().pci_tokens, 1);
}

#[test]
fn a_refresh_whose_token_is_gone_by_the_commit_is_not_completed() {
    let (store, clock) = (Meddled::default(), HandClock::at("2026-01-02T03:04:05.678Z"));
    let (vault, other) = (meddled_vault(&store, &clock), meddled_vault(&store, &clock));
    let made = new_token(&vault);
    let session = vault.refresh_security_code(made).unwrap();
    let record = store.store.value(Table::Session, session.as_bytes());
    let done = store.before_commit(move || other.delete_pci(made).unwrap());
    assert_eq!(kind(vault.complete_security_code(session, code())), ErrorKind::NotFound);
    done.take();
    assert_eq!(store.store.value(Table::Session, session.as_bytes()), record);
}

// A session for a security code.

#[test]
fn a_refresh_session_takes_one_code_and_no_card() {
    let (vault, _) = vault();
    let made = new_token(&vault);
    let session = vault.refresh_security_code(made).unwrap();
    assert_eq!(status(&vault, session), Ok((SessionStatus::Open, Some(made))));
    let refusal = vault.complete_session(session, card()).unwrap_err();
    assert_eq!(violations(&refusal), [("$.session_id", "the session waits for a security code")]);
    vault.complete_security_code(session, code()).unwrap();
    assert_eq!(status(&vault, session), Ok((SessionStatus::Completed, Some(made))));
    assert_eq!(kind(vault.complete_security_code(session, code())), ErrorKind::Conflict);
    let refusal = vault.complete_session(session, card()).unwrap_err();
    assert_eq!(refusal.kind(), ErrorKind::Validation, "it is of the other kind, used or not");
    assert_eq!(vault.stats().unwrap().pci_tokens, 1);
}

#[test]
fn a_refresh_session_dies_with_its_token() {
    let (vault, clock) = vault();
    let made = new_token(&vault);
    let (open, used) = (vault.refresh_security_code(made).unwrap(), vault.refresh_security_code(made).unwrap());
    vault.complete_security_code(used, code()).unwrap();
    vault.delete_pci(made).unwrap();
    is_gone(&vault, open);
    is_gone(&vault, used);
    assert_eq!(kind(vault.refresh_security_code(made)), ErrorKind::NotFound);

    let brief = token(vault.create_pci(CreatePci::new(card()).expires_in(60).unwrap()).unwrap()).id;
    let session = vault.refresh_security_code(brief).unwrap();
    clock.advance_millis(MINUTE - 1);
    assert!(status(&vault, session).is_ok());
    clock.advance_millis(1);
    is_gone(&vault, session);
    assert_eq!(kind(vault.refresh_security_code(brief)), ErrorKind::NotFound);
    let report = vault.sweep().unwrap();
    assert_eq!(report.remaining, 0);
}

#[test]
fn a_refresh_that_races_with_the_deletion_of_its_token_leaves_no_code() {
    let (vault, _) = vault();
    for _ in 0..300 {
        let made = new_token(&vault);
        let session = vault.refresh_security_code(made).unwrap();
        let outcomes =
            at_once(
                2,
                |at| {
                    if at == 0 { vault.complete_security_code(session, code()) } else { vault.delete_pci(made) }
                },
            );
        outcomes[1].as_ref().unwrap();
        if let Err(error) = &outcomes[0] {
            assert_eq!(error.kind(), ErrorKind::NotFound);
        }
        assert_eq!(kind(vault.use_security_code(made, |_| ())), ErrorKind::NotFound);
        assert_eq!(kind(vault.security_code_available(made)), ErrorKind::NotFound);
        assert_eq!(status(&vault, session), Err(ErrorKind::NotFound));
    }
}

// What is stored of it.

#[test]
fn a_session_that_was_tampered_with_is_corrupt_and_makes_no_token() {
    let store = Shared::default();
    let clock = HandClock::at("2026-01-02T03:04:05.678Z");
    let vault = VaultOptions::new().clock(clock.clone()).open_with(store.clone(), keys()).unwrap();
    let metadata = CreatePci::session().metadata([("order", "77")]).unwrap();
    let (session, other) = (open_session(&vault, metadata), open_session(&vault, CreatePci::session()));
    let key = session.as_bytes();
    let record = store.value(Table::Session, key).unwrap();
    for at in 0..record.len() {
        let mut changed = record.clone();
        changed[at] ^= 0x40;
        store.put(Table::Session, key, &changed);
        assert_eq!(status(&vault, session), Err(ErrorKind::Corrupt), "byte {at}");
        assert_eq!(kind(vault.complete_session(session, card())), ErrorKind::Corrupt, "byte {at}");
    }
    // The record of another session, in its place.
    store.put(Table::Session, key, &store.value(Table::Session, other.as_bytes()).unwrap());
    assert_eq!(kind(vault.complete_session(session, card())), ErrorKind::Corrupt);
    // Nothing is called expired on the word of a header that anybody may have written.
    clock.advance_millis(15 * MINUTE);
    assert_eq!(status(&vault, session), Err(ErrorKind::Corrupt));
    assert_eq!(vault.sweep().unwrap().remaining, 1);
    assert_eq!(vault.stats().unwrap().pci_tokens, 0);
}

#[test]
fn a_completed_session_holds_no_metadata_any_more() {
    let store = Shared::default();
    let vault = VaultOptions::new().open_with(store.clone(), keys()).unwrap();
    let length = |id: SessionId| store.value(Table::Session, id.as_bytes()).unwrap().len();
    let plain = open_session(&vault, CreatePci::session());
    let full = open_session(&vault, CreatePci::session().metadata([("order", "7".repeat(80))]).unwrap());
    assert!(length(full) > length(plain) + 80);
    for session in [plain, full] {
        vault.complete_session(session, card()).unwrap();
    }
    assert_eq!(length(full), length(plain));
}
