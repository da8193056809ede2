//! Promise: what goes in and what comes out is the JSON of the two published APIs, field by field and word for word.
//!
//! Requests and answers are compared as text, so that the order of the fields, an extra field or a `null` would be seen.
//! Where the vault answers otherwise than a publication, on purpose, the test says so.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::collections::HashSet;
use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokenvault::store::MemoryStore;
use tokenvault::{
    Clock, CreateGeneric, CreatePci, Error, ErrorKind, GenericToken, Listing, Page, PciCreated, PciToken, Stats,
    SweepReport, TokenId, Vault, VaultOptions,
};

use common::clock::HandClock;
use common::kinds::KINDS;
use common::{PAN_REQUEST, keys, refused_generic, refused_pci, token, vault, violations};

const NOW: &str = "2026-01-02T03:04:05.678Z";

fn create_generic(vault: &Vault, json: &str) -> GenericToken {
    vault.create_generic(CreateGeneric::from_json(json.as_bytes()).unwrap()).unwrap()
}

fn create_pci(vault: &Vault, json: &str) -> PciToken {
    token(vault.create_pci(CreatePci::from_json(json.as_bytes()).unwrap()).unwrap())
}

fn json(answer: &impl Serialize) -> String {
    serde_json::to_string(answer).unwrap()
}

#[test]
fn the_published_sepa_example_gives_id_and_creation_and_nothing_else() {
    let (vault, _) = vault();
    let request =
        r#"{"payload":{"iban":"DE89370400440532013000","bic":"COBADEFFXXX","account_holder_name":"John Doe"}}"#;
    let token = create_generic(&vault, request);
    assert_eq!(json(&token), format!(r#"{{"id":"{}","created_at":"{NOW}"}}"#, token.id));
    assert_eq!(json(&vault.generic(token.id).unwrap()), json(&token));
}

#[test]
fn the_published_api_credentials_example_expires_thirty_days_on() {
    let (vault, _) = vault();
    let request = r#"{"payload":{"api_key":"abcd1234efgh5678","api_secret":"s3cr3tK3y!"},"expiration_time":2592000}"#;
    let token = create_generic(&vault, request);
    let expected = r#""created_at":"2026-01-02T03:04:05.678Z","expires_at":"2026-02-01T03:04:05.678Z""#;
    assert_eq!(json(&token), format!(r#"{{"id":"{}",{expected}}}"#, token.id));
    assert_eq!(json(&vault.generic(token.id).unwrap()), json(&token));
}

#[test]
fn the_published_pan_example_gives_the_published_card() {
    let (vault, _) = vault();
    let created = vault.create_pci(CreatePci::from_json(PAN_REQUEST.as_bytes()).unwrap()).unwrap();
    let answer = json(&created);
    let token = token(created);
    // The publication's answer shows a name that its request lacks; here a name is shown only if it was given.
    let card =
        r#""card":{"expiry_month":12,"expiry_year":2025,"masked_account_number":"411111******1111","scheme":"visa"}"#;
    assert_eq!(answer, format!(r#"{{"id":"{}",{card},"created_at":"{NOW}"}}"#, token.id));
    assert_eq!(json(&vault.pci(token.id).unwrap()), answer);
}

#[test]
fn everything_that_was_given_is_answered_in_the_published_order() {
    let (vault, _) = vault();
    let metadata = r#""metadata":{"my_key_two":"my_value_two","my_key_one":"my_value_one"}"#;
    let request = format!(
        r#"{{"expires_in":1,{metadata},"source":{{"security_code":"321","expiry_month":4,"expiry_year":2025,
            "cardholder_name":"John Doe","account_number":"4111111111111111","type":"pan"}}}}"#
    );
    let token = create_pci(&vault, &request);
    let card = r#""card":{"cardholder_name":"John Doe","expiry_month":4,"expiry_year":2025,"masked_account_number":"411111******1111","scheme":"visa"}"#;
    let times = r#""created_at":"2026-01-02T03:04:05.678Z","expires_at":"2026-01-02T03:04:06.678Z""#;
    assert_eq!(json(&token), format!(r#"{{"id":"{}",{card},{times},{metadata}}}"#, token.id));

    let request = r#"{"payload":{},"metadata":{},"expiration_time":1}"#;
    let token = create_generic(&vault, request);
    assert_eq!(json(&token), format!(r#"{{"id":"{}",{times},"metadata":{{}}}}"#, token.id), "empty maps are echoed");
    assert_eq!(json(&vault.generic(token.id).unwrap()), json(&token));
}

#[test]
fn null_means_absent_and_never_comes_back() {
    let (vault, _) = vault();
    let request = r#"{"payload":{"pin":"1234"},"metadata":null,"expiration_time":null,"type_id":null}"#;
    let token = create_generic(&vault, request);
    assert_eq!(json(&token), format!(r#"{{"id":"{}","created_at":"{NOW}"}}"#, token.id));
    let request = PAN_REQUEST
        .replace(r#""123""#, "null")
        .replace("{\"source\":{", r#"{"metadata":null,"expires_in":null,"source":{"cardholder_name":null,"#);
    assert!(!json(&create_pci(&vault, &request)).contains("null"));
}

#[test]
fn a_session_source_is_its_type_alone() {
    let (vault, _) = vault();
    let answers = |request: &str| {
        let created = vault.create_pci(CreatePci::from_json(request.as_bytes()).unwrap()).unwrap();
        let PciCreated::Session(session) = &created else { panic!("a token for {request}") };
        assert_eq!(json(&created), format!(r#"{{"session_id":"{}"}}"#, session.session_id));
        assert_eq!(json(&vault.session(session.session_id).unwrap()), r#"{"status":"open"}"#);
    };
    answers(r#"{"source":{"type":"session"}}"#);
    answers(r#"{"source":{"account_number":null,"type":"session","security_code":null},"expires_in":60}"#);

    let error = refused_pci(
        r#"{"source":{"cardholder_name":"","x":1,"expiry_month":4,"account_number":"4111111111111112","type":"session","expiry_month":null},"y":1}"#,
    );
    let alone = "must be absent where the type is `session`";
    let expected = [
        ("$.source.cardholder_name", alone),
        ("$.source.x", "unknown field"),
        ("$.source.expiry_month", alone),
        ("$.source.account_number", alone),
        ("$.y", "unknown field"),
    ];
    assert_eq!(violations(&error), expected, "in the order of the document, and nothing of a card's rules");
}

#[test]
fn ids_are_version_4_uuids_in_lower_case_and_never_the_same() {
    let (vault, _) = vault();
    let mut seen = HashSet::new();
    for kind in KINDS {
        for _ in 0..200 {
            let id = (kind.create)(&vault, None).unwrap();
            let text = id.to_string();
            assert_eq!(json(&id), format!("\"{text}\""));
            let bytes = text.as_bytes();
            for (at, byte) in bytes.iter().enumerate() {
                let expected = match at {
                    8 | 13 | 18 | 23 => *byte == b'-',
                    14 => *byte == b'4',
                    19 => b"89ab".contains(byte),
                    _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(byte),
                };
                assert!(expected, "{text}");
            }
            assert_eq!(bytes.len(), 36);
            assert!(seen.insert(text));
        }
    }
}

/// A clock that shows more than the vault keeps.
struct Nanoseconds(DateTime<Utc>);

impl Clock for Nanoseconds {
    fn now(&self) -> DateTime<Utc> {
        self.0
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_token_expires_exactly_its_lifetime_after_its_creation(
        seconds in 0_i64..253_399_708_800, nanos in 0_u32..1_000_000_000, lifetime in 1_u64..=2_592_000,
    ) {
        let now = DateTime::from_timestamp(seconds, nanos).unwrap();
        let vault = VaultOptions::new().clock(Nanoseconds(now)).open_with(MemoryStore::new(), keys()).unwrap();
        for kind in KINDS {
            let request = (kind.request)(&format!(r#""{}":{lifetime},"#, kind.lifetime));
            let answer: Value = if kind.name == "pci" {
                serde_json::from_str(&json(&create_pci(&vault, &request))).unwrap()
            } else {
                serde_json::from_str(&json(&create_generic(&vault, &request))).unwrap()
            };
            let [created, expires] = ["created_at", "expires_at"].map(|field| {
                let text = answer[field].as_str().unwrap().to_owned();
                let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
                assert_eq!(shape, "0000-00-00T00:00:00.000Z");
                DateTime::parse_from_rfc3339(&text).unwrap().to_utc()
            });
            prop_assert_eq!(created.timestamp_millis(), now.timestamp_millis());
            prop_assert_eq!(expires - created, TimeDelta::seconds(i64::try_from(lifetime).unwrap()));
        }
    }
}

#[test]
fn every_kind_of_error_has_its_code_and_classifier() {
    let table = [
        (ErrorKind::Unauthorized, 401, "UNAUTHORIZED"),
        (ErrorKind::Forbidden, 403, "FORBIDDEN"),
        (ErrorKind::NotFound, 404, "NOT_FOUND"),
        (ErrorKind::Conflict, 409, "CONFLICT"),
        (ErrorKind::Validation, 422, "VALIDATION_ERROR"),
        (ErrorKind::StoreFailure, 500, "STORE_FAILURE"),
        (ErrorKind::KeyFailure, 500, "KEY_FAILURE"),
        (ErrorKind::Corrupt, 500, "CORRUPT"),
        (ErrorKind::Unavailable, 503, "UNAVAILABLE"),
    ];
    assert_eq!(ErrorKind::all().map(|kind| (kind, kind.code(), kind.classifier())).collect::<Vec<_>>(), table);
}

#[test]
fn error_bodies_are_the_published_ones() {
    let (vault, _) = vault();
    let nobody: TokenId = "8744c9ea-a02b-4ae6-875c-b64fc333e3ef".parse().unwrap();
    let bodies = [
        (
            refused_generic("{}"),
            r#"{"code":422,"classifier":"VALIDATION_ERROR","message":"Validation error","validation_errors":[{"path":"$.payload","message":"is required"}]}"#,
        ),
        (vault.generic(nobody).unwrap_err(), r#"{"code":404,"classifier":"NOT_FOUND","message":"Not found"}"#),
        (Error::store_failure("detail"), r#"{"code":500,"classifier":"STORE_FAILURE","message":"detail"}"#),
        (Error::key_failure("detail"), r#"{"code":500,"classifier":"KEY_FAILURE","message":"detail"}"#),
        (Error::corrupt("detail"), r#"{"code":500,"classifier":"CORRUPT","message":"detail"}"#),
        (Error::unavailable("detail"), r#"{"code":503,"classifier":"UNAVAILABLE","message":"detail"}"#),
    ];
    for (error, body) in bodies {
        assert_eq!(json(&error), body);
        assert_eq!(json(&error.clone()), body, "a clone says the same");
    }
}

#[test]
fn a_source_of_an_error_is_kept_and_not_published() {
    let error = Error::store_failure("cannot write").caused_by(std::io::Error::other("disk"));
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "disk");
    assert_eq!(std::error::Error::source(&error.clone()).unwrap().to_string(), "disk");
    assert_eq!(json(&error), r#"{"code":500,"classifier":"STORE_FAILURE","message":"cannot write"}"#);
}

/// An answer is the same after a trip through JSON.
fn returns<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(answer: &T) {
    let text = json(answer);
    let back: T = serde_json::from_str(&text).unwrap();
    assert_eq!(&back, answer, "{text}");
    assert_eq!(json(&back), text);
}

#[test]
fn answers_return_from_json_as_they_were() {
    let (vault, clock) = vault();
    let bare = create_generic(&vault, r#"{"payload":{"pin":"1234"}}"#);
    let full = create_generic(
        &vault,
        r#"{"payload":{"pin":"1234"},"metadata":{"b":"\u00e9\ud83d\ude00","a":"\\\""},"expiration_time":7}"#,
    );
    let named = PAN_REQUEST.replace("\"type\"", r#""cardholder_name":"Zoë \"Z\" O'Hara","type""#);
    let card = create_pci(&vault, PAN_REQUEST);
    let full_card =
        create_pci(&vault, &named.replace("{\"source\"", r#"{"metadata":{"k":"v"},"expires_in":60,"source""#));
    for token in [&bare, &full] {
        returns::<GenericToken>(token);
    }
    for token in [&card, &full_card] {
        returns::<PciToken>(token);
        returns::<PciCreated>(&PciCreated::Token(token.clone()));
    }
    let session: PciCreated = serde_json::from_str(r#"{"session_id":"8744c9ea-a02b-4ae6-875c-b64fc333e3ef"}"#).unwrap();
    assert!(matches!(session, PciCreated::Session(_)));
    returns(&session);
    returns::<Listing<GenericToken>>(&vault.list_generic(Page::first(1)).unwrap());
    returns::<Listing<PciToken>>(&vault.list_pci(Page::first(20)).unwrap());
    clock.advance_millis(7_000);
    returns::<Stats>(&vault.stats().unwrap());
    returns::<SweepReport>(&vault.sweep().unwrap());
}

#[test]
fn an_answer_that_is_neither_token_nor_session_does_not_return() {
    let id = "8744c9ea-a02b-4ae6-875c-b64fc333e3ef";
    for text in ["{}".to_owned(), format!(r#"{{"id":"{id}"}}"#), format!(r#"{{"id":"{id}","session_id":"{id}"}}"#)] {
        assert!(serde_json::from_str::<PciCreated>(&text).is_err(), "{text}");
    }
}

#[test]
fn a_sweep_report_names_what_it_removed() {
    let (vault, clock) = vault();
    create_generic(&vault, r#"{"payload":{},"expiration_time":1}"#);
    clock.advance_millis(1_000);
    let expected = r#"{"expired_generic":1,"expired_pci":0,"expired_sessions":0,"expired_other":0,"remaining":0}"#;
    assert_eq!(json(&vault.sweep().unwrap()), expected);
}

#[test]
fn a_list_has_data_and_the_path_of_the_next_page_until_the_last() {
    for kind in KINDS {
        let (vault, _) = vault();
        let list = |page| match kind.name {
            "pci" => json(&vault.list_pci(page).unwrap()),
            _ => json(&vault.list_generic(page).unwrap()),
        };
        assert_eq!(list(Page::default()), r#"{"data":[],"links":{}}"#);
        let mut ids: Vec<_> = (0..41).map(|_| (kind.create)(&vault, None).unwrap()).collect();
        ids.sort();
        let view = |id: &TokenId| (kind.view)(&vault, *id).unwrap();
        let data = |ids: &[TokenId]| ids.iter().map(view).collect::<Vec<_>>().join(",");
        let next =
            |limit, last: TokenId| format!(r#"{{"next":"/api/{}/tokens?limit={limit}&after={last}"}}"#, kind.name);
        let page = |ids: &[TokenId], links: &str| format!(r#"{{"data":[{}],"links":{links}}}"#, data(ids));
        assert_eq!(list(Page::default()), page(&ids[..20], &next(20, ids[19])), "the default is 20");
        assert_eq!(list(Page::first(20).after(ids[19])), page(&ids[20..40], &next(20, ids[39])));
        assert_eq!(list(Page::first(20).after(ids[39])), page(&ids[40..], "{}"));
        assert_eq!(list(Page::first(20).after(ids[20])), page(&ids[21..], "{}"), "exactly full and the last");
        assert_eq!(list(Page::first(1)), page(&ids[..1], &next(1, ids[0])));
        assert_eq!(list(Page::first(100)), page(&ids, "{}"));
    }
}

// What follows are the deviations from the publications, made on purpose.

#[test]
fn unknown_fields_are_refused_wherever_they_stand() {
    let error = refused_generic(r#"{"payload":{"a":"b"},"labels":{}}"#);
    assert_eq!(violations(&error), [("$.labels", "unknown field")]);
    let error = refused_pci(PAN_REQUEST.replace("\"type\"", r#""cvc":"123","type""#));
    assert_eq!(violations(&error), [("$.source.cvc", "unknown field")]);
    assert_eq!(violations(&refused_generic(r#"{"payload":{},"source":{}}"#)), [("$.source", "unknown field")]);
}

#[test]
fn an_account_number_must_be_digits_of_a_length_with_luhn_and_a_listed_scheme() {
    let table = [
        ("4111 1111 1111 1111", "must be ASCII digits only, without separators"),
        ("411111111111", "must have 13 to 19 digits"),
        ("41111111111111111111", "must be at most 19 ASCII digits"),
        ("4111111111111112", "fails the Luhn check"),
        ("9111111111111111", "fails the Luhn check"),
        ("1000000000000008", "no supported scheme"),
    ];
    for (number, rule) in table {
        let error = refused_pci(PAN_REQUEST.replace("4111111111111111", number));
        assert_eq!(violations(&error), [("$.source.account_number", rule)]);
    }
}

#[test]
fn a_payload_holds_strings_numbers_and_booleans_only() {
    let (vault, _) = vault();
    let token = create_generic(&vault, r#"{"payload":{"s":"x","n":1.50,"t":true,"f":false}}"#);
    let read = |payload: &tokenvault::Payload| {
        let number = payload.get("n").unwrap().as_number().unwrap().as_literal().unwrap().to_owned();
        (number, payload.get("t").unwrap().as_bool(), payload.get("f").unwrap().as_bool())
    };
    assert_eq!(vault.generic_payload(token.id, read).unwrap(), ("1.50".to_owned(), Some(true), Some(false)));
    for value in ["null", "{}", "[]", r#"{"a":"b"}"#, "[1]"] {
        let error = refused_generic(format!(r#"{{"payload":{{"k":{value}}}}}"#));
        assert_eq!(violations(&error), [("$.payload.k", "must be a string, a number or a boolean")]);
    }
}

#[test]
fn two_tokens_of_one_second_have_times_that_differ() {
    let (vault, clock) = vault();
    let first = create_generic(&vault, r#"{"payload":{}}"#);
    clock.advance_millis(1);
    let second = create_generic(&vault, r#"{"payload":{}}"#);
    assert_eq!(second.created_at - first.created_at, TimeDelta::milliseconds(1));
    assert!(json(&second).contains("05.679Z"));
}

#[test]
fn a_whole_second_has_its_milliseconds_too() {
    for (instant, shown) in [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000Z"),
        ("2026-01-02T00:00:00.100Z", "2026-01-02T00:00:00.100Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
    ] {
        let vault = VaultOptions::new().clock(HandClock::at(instant)).open_with(MemoryStore::new(), keys()).unwrap();
        let token = create_generic(&vault, r#"{"payload":{}}"#);
        assert_eq!(json(&token), format!(r#"{{"id":"{}","created_at":"{shown}"}}"#, token.id));
        assert_eq!(json(&vault.generic(token.id).unwrap()), json(&token));
    }
}

#[test]
fn a_card_whose_date_has_passed_is_accepted() {
    let vault =
        VaultOptions::new().clock(HandClock::at("2099-01-01T00:00:00Z")).open_with(MemoryStore::new(), keys()).unwrap();
    assert_eq!(create_pci(&vault, PAN_REQUEST).card.expiry_year, 2025);
}

// How violations are told.

#[test]
fn violations_stand_in_document_order_and_missing_fields_come_last() {
    let error = refused_pci(
        r#"{"zzz":1,"source":{"expiry_month":13,"type":"pan","security_code":"12","aaa":2},"metadata":{"k":1},"expires_in":0}"#,
    );
    let expected = [
        ("$.zzz", "unknown field"),
        ("$.source.expiry_month", "must be from 1 to 12"),
        ("$.source.security_code", "must have 3 or 4 digits"),
        ("$.source.aaa", "unknown field"),
        ("$.metadata.k", "must be a string"),
        ("$.expires_in", "must be from 1 to 2592000 seconds"),
        ("$.source.account_number", "is required"),
        ("$.source.expiry_year", "is required"),
    ];
    assert_eq!(violations(&error), expected);
    let error = refused_generic(r#"{"metadata":{"k":""},"expiration_time":"60"}"#);
    let expected = [
        ("$.metadata.k", "must not be empty"),
        ("$.expiration_time", "must be an integer"),
        ("$.payload", "is required"),
    ];
    assert_eq!(violations(&error), expected);
}

#[test]
fn missing_fields_stand_in_the_order_of_the_publication() {
    let missing = |json: &str| violations(&refused_pci(json)).into_iter().map(|(path, _)| path.to_owned()).collect();
    let paths: Vec<String> = missing(r#"{"source":{"type":"pan"}}"#);
    assert_eq!(paths, ["$.source.account_number", "$.source.expiry_year", "$.source.expiry_month"]);
    let paths: Vec<String> = missing(r#"{"source":{}}"#);
    assert_eq!(paths, ["$.source.type"]);
    let paths: Vec<String> = missing("{}");
    assert_eq!(paths, ["$.source"]);
}

#[test]
fn a_path_is_told_once_with_the_first_rule_that_fails_there() {
    let error = refused_generic(r#"{"payload":{"k":"","k":"","k":null},"expiration_time":0,"expiration_time":"x"}"#);
    let expected = [("$.payload.k", "must not be empty"), ("$.expiration_time", "must be from 1 to 2592000 seconds")];
    assert_eq!(violations(&error), expected);
}

#[test]
fn too_many_pairs_are_told_before_what_is_wrong_with_the_pairs() {
    for pairs in [21, 99, 100, 101, 150] {
        let members: Vec<String> = (0..pairs).map(|at| format!(r#""k{at}":1"#)).collect();
        let error = refused_generic(format!(r#"{{"payload":{{}},"metadata":{{{}}}}}"#, members.join(",")));
        let told = violations(&error);
        assert_eq!(told[0], ("$.metadata", "must have at most 20 pairs"), "{pairs} pairs");
        assert_eq!(told[1], ("$.metadata.k0", "must be a string"));
        let listed = 1 + pairs;
        if listed <= 100 {
            assert_eq!(told.len(), listed);
        } else {
            assert_eq!(told.len(), 101);
            let more = format!("and {} more", listed - 100);
            assert_eq!(told[100], ("$", more.as_str()));
        }
    }
}

/// So many members that no request has.
fn unknown(count: usize) -> String {
    (0..count).fold(String::new(), |mut json, at| {
        write!(json, r#""u{at}":0,"#).unwrap();
        json
    })
}

#[test]
fn a_hundred_violations_are_listed_and_the_rest_is_counted() {
    for (count, more) in [(99, None), (100, None), (101, Some("and 1 more")), (250, Some("and 150 more"))] {
        let error = refused_generic(format!(r#"{{{}"payload":{{}}}}"#, unknown(count)));
        let told = violations(&error);
        assert_eq!(told.len(), count.min(100) + usize::from(more.is_some()));
        assert!(told.iter().take(100).all(|(path, _)| path.starts_with("$.u")));
        assert_eq!(told.get(100), more.map(|more| ("$", more)).as_ref());
    }
    // What is missing counts like the rest.
    let error = refused_generic(format!(r#"{{{}"metadata":{{}}}}"#, unknown(100)));
    assert_eq!(violations(&error)[100], ("$", "and 1 more"));
}

#[test]
fn a_path_that_is_told_is_not_counted_again() {
    let error = refused_generic(format!(r#"{{{}"u5":1,"u5":2,"payload":{{}}}}"#, unknown(100)));
    assert_eq!(error.violations().len(), 100);
}

#[test]
fn a_field_that_could_be_meant_for_the_lifetime_is_told_its_name() {
    let meant = |error: &Error| violations(error).into_iter().any(|(_, message)| message.contains("did you mean"));
    let alike = [
        "ttl",
        "TTL",
        "expiry",
        "expires",
        "expires_at",
        "expiresAt",
        "expiration",
        "expirationDate",
        "lifetime",
        "valid_for",
        "expire_in",
        "expires-in",
        "ExpiresIn",
        "expiresin",
        "expiration_tme",
        "expirationTime",
        "expiration_tiem",
    ];
    for name in alike {
        let generic = refused_generic(format!(r#"{{"payload":{{}},"{name}":60}}"#));
        let path = format!("$.{name}");
        assert_eq!(violations(&generic), [(path.as_str(), "unknown field; did you mean `expiration_time`?")]);
        let pci = refused_pci(PAN_REQUEST.replace("{\"source\"", &format!(r#"{{"{name}":60,"source""#)));
        assert_eq!(violations(&pci), [(path.as_str(), "unknown field; did you mean `expires_in`?")]);
    }
    // Each kind's own name is a look-alike for the other.
    assert!(meant(&refused_generic(r#"{"payload":{},"expires_in":60}"#)));
    assert!(meant(&refused_pci(PAN_REQUEST.replace("{\"source\"", r#"{"expiration_time":60,"source""#))));
    for name in ["note", "labels", "expiry_month", "time", "x"] {
        assert!(!meant(&refused_generic(format!(r#"{{"payload":{{}},"{name}":60}}"#))), "{name}");
    }
}

#[test]
fn typed_requests_tell_every_violation_at_once_as_json_does() {
    let error = CreateGeneric::new([("a", ""), ("", "v"), ("ok", "v"), ("4111111111111111", "v".repeat(81).as_str())])
        .unwrap_err();
    let typed: Vec<_> = error.violations().iter().map(|own| (own.path(), own.message())).collect();
    let json = format!(r#"{{"payload":{{"a":"","":"v","ok":"v","4111111111111111":"{}"}}}}"#, "v".repeat(81));
    let error = CreateGeneric::from_json(json.as_bytes()).unwrap_err();
    let from_json: Vec<_> = error.violations().iter().map(|own| (own.path(), own.message())).collect();
    assert_eq!(typed, from_json);
    assert_eq!(typed.iter().map(|own| own.0).collect::<Vec<_>>(), ["$.payload.a", "$.payload[#2]", "$.payload[#4]"]);
}
