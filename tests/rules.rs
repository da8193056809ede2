//! Promise: a vault relaxes a rule, or adds one, only where it was told to; whoever reads the request, the vault judges.
//!
//! Each option is tried on every request that it touches, and left out once for each.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use proptest::prelude::*;
use tokenvault::card::{CardExpiry, MaskStyle, Pan, Scheme};
use tokenvault::store::MemoryStore;
use tokenvault::{
    CardDataGuard, CompleteSession, CreateGeneric, CreatePci, CreateType, Error, ErrorKind, InquirySource, Page,
    PanSource, Payload, PciCreated, Rules, UnknownFields, UnlistedSchemes, UpdateGeneric, UpdatePci, Vault,
    VaultOptions,
};

use common::numbers::with_check_digit;
use common::requests::{passes_luhn, scheme_of};
use common::shared::Shared;
use common::{PAN_REQUEST, keys, token, violations};

/// A number of no listed scheme, as a house that issues its own cards has them.
const UNLISTED: &str = "9111111111111110";
const NO_SCHEME: (&str, &str) = ("$.source.account_number", "no supported scheme");

fn open(options: VaultOptions) -> Vault {
    options.open_with(MemoryStore::new(), keys()).unwrap()
}

fn accepting() -> Rules {
    Rules::new().unlisted_schemes(UnlistedSchemes::Accept)
}

fn ignoring() -> Rules {
    Rules::new().unknown_fields(UnknownFields::Ignore)
}

fn unlisted_request() -> CreatePci {
    CreatePci::from_json_with(PAN_REQUEST.replace("4111111111111111", UNLISTED).as_bytes(), accepting()).unwrap()
}

fn source(number: &str) -> PanSource {
    PanSource::new(Pan::parse_with(number, accepting()).unwrap(), CardExpiry::new(12, 2031).unwrap())
}

#[test]
fn the_rules_of_a_vault_are_those_that_it_was_told() {
    assert_eq!(open(VaultOptions::new()).rules(), Rules::default());
    assert_eq!(Rules::new(), Rules::default());
    let options = VaultOptions::new().unlisted_schemes(UnlistedSchemes::Accept);
    assert_eq!(open(options).rules(), accepting());
    let options = VaultOptions::new().unknown_fields(UnknownFields::Ignore);
    assert_eq!(open(options).rules(), ignoring());
    let options = VaultOptions::new().unknown_fields(UnknownFields::Ignore).unlisted_schemes(UnlistedSchemes::Accept);
    assert_eq!(open(options).rules(), ignoring().unlisted_schemes(UnlistedSchemes::Accept));
}

// Numbers of no listed scheme.

#[test]
fn a_vault_that_takes_unlisted_schemes_keeps_their_cards_without_a_scheme() {
    let vault = open(VaultOptions::new().unlisted_schemes(UnlistedSchemes::Accept));
    let request = PAN_REQUEST.replace("4111111111111111", UNLISTED);
    let created =
        token(vault.create_pci(CreatePci::from_json_with(request.as_bytes(), vault.rules()).unwrap()).unwrap());
    assert_eq!(created.card.scheme, None);
    assert_eq!(created.card.masked_account_number, "911111******1110");
    let json = serde_json::to_string(&created).unwrap();
    assert!(!json.contains("scheme"), "{json}");
    assert_eq!(serde_json::from_str::<tokenvault::PciToken>(&json).unwrap(), created);
    assert_eq!(vault.pci(created.id).unwrap(), created);
    assert_eq!(vault.list_pci(Page::default()).unwrap().data, std::slice::from_ref(&created));
    assert!(vault.reveal_pci(created.id, |card| card.account_number() == UNLISTED).unwrap());
    // A carve-out has no scheme either; a listed number keeps its own.
    let carved_out = vault.replace_account_number(created.id, source("5066991111111118")).unwrap();
    assert_eq!(carved_out.card.scheme, None);
    let listed = vault.replace_account_number(created.id, source("4111111111111111")).unwrap();
    assert_eq!(listed.card.scheme, Some(Scheme::Visa));
}

#[test]
fn a_vault_that_takes_none_refuses_them_however_they_were_read() {
    let vault = open(VaultOptions::new());
    let refused = |outcome: Result<(), Error>| assert_eq!(violations(&outcome.unwrap_err()), [NO_SCHEME]);
    refused(vault.create_pci(unlisted_request()).map(drop));
    refused(vault.create_pci(CreatePci::new(source(UNLISTED))).map(drop));
    let mut many = vault.create_pci_many([Ok(unlisted_request()), CreatePci::from_json(PAN_REQUEST.as_bytes())]);
    refused(many.next().unwrap().map(drop));
    let kept = token(many.next().unwrap().unwrap());
    // Where the source is the request, it is the root.
    let error = vault.replace_account_number(kept.id, source(UNLISTED)).unwrap_err();
    assert_eq!(violations(&error), [("$.account_number", NO_SCHEME.1)]);
    let PciCreated::Session(session) = vault.create_pci(CreatePci::session()).unwrap() else { panic!("a token") };
    let error = vault.complete_session(session.session_id, source(UNLISTED)).unwrap_err();
    assert_eq!(violations(&error), [("$.account_number", NO_SCHEME.1)]);
    assert_eq!(vault.pci(kept.id).unwrap(), kept);
    assert_eq!(vault.stats().unwrap().pci_tokens, 1);
}

#[test]
fn a_card_of_an_unlisted_scheme_stays_when_the_vault_takes_no_more() {
    let shared = Shared::default();
    let vault = VaultOptions::new().unlisted_schemes(UnlistedSchemes::Accept);
    let vault = vault.open_with(shared.clone(), keys()).unwrap();
    let kept = token(vault.create_pci(unlisted_request()).unwrap());
    vault.close().unwrap();
    let vault = VaultOptions::new().open_with(shared, keys()).unwrap();
    assert_eq!(vault.pci(kept.id).unwrap(), kept);
    let changed = vault.update_pci(kept.id, UpdatePci::new().expiry_year(2040).unwrap()).unwrap();
    assert_eq!((changed.card.expiry_year, changed.card.scheme), (2040, None));
    assert!(vault.reveal_pci(kept.id, |card| card.account_number() == UNLISTED).unwrap());
}

#[test]
fn an_unlisted_number_obeys_every_other_rule() {
    let rule = |number: &str| {
        let error = Pan::parse_with(number, accepting()).unwrap_err();
        violations(&error)[0].1.to_owned()
    };
    assert_eq!(rule(""), "must not be empty");
    assert_eq!(rule("911111111111"), "must have 13 to 19 digits");
    assert_eq!(rule("91111111111111111111"), "must be at most 19 ASCII digits");
    assert_eq!(rule("9111-11111111111"), "must be ASCII digits only, without separators");
    assert_eq!(rule("9111111111111112"), "fails the Luhn check");
    assert_eq!(rule("0000000000000000"), "must not begin with 0");
    assert_eq!(rule("0000000000000001"), "fails the Luhn check");
    assert_eq!(rule("0411111111111111118"), "must not begin with 0");
    for number in ["9111111111114", "9111111111111111115", "1000000000009", UNLISTED] {
        let pan = Pan::parse_with(number, accepting()).unwrap();
        assert_eq!((pan.scheme(), pan.mask(MaskStyle::LastFour).len()), (None, number.len()));
        assert_eq!(violations(&Pan::parse(number).unwrap_err()), [("$", "no supported scheme")]);
    }
    let request = PAN_REQUEST.replace("4111111111111111", "0000000000000000");
    let error = CreatePci::from_json_with(request.as_bytes(), accepting()).unwrap_err();
    assert_eq!(violations(&error), [("$.source.account_number", "must not begin with 0")]);
}

proptest! {
    /// Any digits: what is taken is what the rule says, and the scheme is that of the table whatever the rules.
    #[test]
    fn unlisted_numbers_are_those_of_the_rule(number in "[0-9]{11,21}", valid: bool) {
        // Half of them with a check digit that is right.
        let number = if valid { with_check_digit(&number) } else { number };
        let taken = (13..=19).contains(&number.len()) && passes_luhn(&number) && !number.starts_with('0');
        let pan = Pan::parse_with(&number, accepting());
        prop_assert_eq!(pan.is_ok(), taken);
        if let Ok(pan) = pan {
            prop_assert_eq!(pan.scheme().map(Scheme::as_str), scheme_of(&number));
            prop_assert_eq!(Pan::parse(&number).is_ok(), scheme_of(&number).is_some());
        }
    }
}

// Fields that a request should not have.

/// A way to read a request.
type Read = fn(&str, Rules) -> Result<(), Error>;

/// Every request, as it is and with a place for more members at its root and in its source.
const REQUESTS: [(&str, Read, &str); 9] = [
    (
        "create generic",
        |json, rules| CreateGeneric::from_json_with(json.as_bytes(), rules).map(drop),
        r#"{MORE"payload":{"pin":"1234"}}"#,
    ),
    (
        "create pci",
        |json, rules| CreatePci::from_json_with(json.as_bytes(), rules).map(drop),
        r#"{MORE"source":{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025}}"#,
    ),
    (
        "create pci, source",
        |json, rules| CreatePci::from_json_with(json.as_bytes(), rules).map(drop),
        r#"{"source":{MORE"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025}}"#,
    ),
    (
        "source",
        |json, rules| PanSource::from_json_with(json.as_bytes(), rules).map(drop),
        r#"{MORE"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025}"#,
    ),
    (
        "complete session, source",
        |json, rules| CompleteSession::from_json_with(json.as_bytes(), rules).map(drop),
        r#"{MORE"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025}"#,
    ),
    (
        "inquire, source",
        |json, rules| InquirySource::from_json_with(json.as_bytes(), rules).map(drop),
        r#"{MORE"type":"pan","account_number":"4111111111111111"}"#,
    ),
    (
        "create type, no source",
        |json, rules| CreateType::from_json_with(json.as_bytes(), rules).map(drop),
        r#"{MORE"name":"a type","schema":{}}"#,
    ),
    (
        "update generic",
        |json, rules| UpdateGeneric::from_json_with(json.as_bytes(), rules).map(drop),
        r#"{MORE"metadata":{}}"#,
    ),
    ("update pci", |json, rules| UpdatePci::from_json_with(json.as_bytes(), rules).map(drop), r#"{MORE"metadata":{}}"#),
];

#[test]
fn unknown_fields_are_passed_over_only_by_rules_that_say_so() {
    let values = ["1", "null", "\"x\"", "true", "{\"a\":[1,{\"b\":null}]}", "[]", "\"4111111111111111\"", "\"\""];
    for (name, read, request) in REQUESTS {
        for value in values {
            for field in ["colour", "metadatas", "4111111111111111", "", "Source", "expiry_date", "é"] {
                let json = request.replace("MORE", &format!(r#""{field}":{value},"#));
                let error = read(&json, Rules::default()).unwrap_err();
                assert_eq!(violations(&error)[0].1, "unknown field", "{name}: {json}");
                assert!(!error.to_string().contains("4111"), "{name}");
                read(&json, ignoring()).unwrap_or_else(|error| panic!("{name}: {json}: {error}"));
            }
        }
    }
}

#[test]
fn what_looks_like_a_lifetime_is_never_passed_over() {
    const LOOKS: [&str; 12] = [
        "ttl",
        "expires_at",
        "expiresIn",
        "expires-in",
        "expire_in",
        "EXPIRES_IN",
        "expiration",
        "expirationTime",
        "expiration_tme",
        "lifetime",
        "valid_for",
        "expiry",
    ];
    for (name, read, request) in REQUESTS {
        for field in LOOKS {
            for value in ["60", "null", "\"60\""] {
                let json = request.replace("MORE", &format!(r#""{field}":{value},"#));
                let error = read(&json, ignoring()).unwrap_err();
                let message = violations(&error)[0].1;
                assert!(message.starts_with("unknown field"), "{name}: {json}: {message}");
                assert_eq!(message.contains("did you mean"), !name.contains("source"), "{name}: {json}");
            }
        }
    }
    // The lifetime of the other kind is one as well.
    for (name, read, request) in REQUESTS {
        let other = if name.contains("generic") { "expires_in" } else { "expiration_time" };
        read(&request.replace("MORE", &format!(r#""{other}":60,"#)), ignoring()).unwrap_err();
    }
}

#[test]
fn every_other_rule_holds_where_unknown_fields_are_passed_over() {
    let told = |(name, read, request): (&str, Read, &str), more: &str| {
        let error = read(&request.replace("MORE", more), ignoring()).err();
        let error = error.unwrap_or_else(|| panic!("{name}: {more}"));
        violations(&error)[0].1.to_owned()
    };
    for request in REQUESTS {
        assert_eq!(told(request, r#""x":1,"x":2,"#), "duplicate field");
        assert_eq!(told(request, r#""x":1,"\u0078":2,"#), "duplicate field");
        assert_eq!(told(request, r#""\ud83d":1,"#), "must not contain a lone surrogate");
        assert!(told(request, r#""x":tru,"#).starts_with("malformed JSON"));
        assert!(told(request, &format!(r#""x":{}1{},"#, "[".repeat(40), "]".repeat(40))).starts_with("more than 32"));
        assert!(told(request, &format!(r#""x":"{}","#, "y".repeat(70_000))).starts_with("request is larger"));
    }
    let error = CreateGeneric::from_json_with(br#"{"x":1,"payload":{"k":null},"metadata":{"k":""}}"#, ignoring());
    let expected = [("$.payload.k", "must be a string, a number or a boolean"), ("$.metadata.k", "must not be empty")];
    assert_eq!(violations(&error.unwrap_err()), expected);
    let error = CreateGeneric::from_json_with(br#"{"payloads":{"k":"v"}}"#, ignoring()).unwrap_err();
    assert_eq!(violations(&error), [("$.payload", "is required")]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Rules that pass fields over accept whatever the strict ones accept, and give the same token.
    #[test]
    fn passing_fields_over_changes_nothing_else(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        for bytes in [&bytes[..], PAN_REQUEST.as_bytes(), br#"{"payload":{"pin":1},"expiration_time":9}"#] {
            prop_assert!(CreatePci::from_json(bytes).is_err() || CreatePci::from_json_with(bytes, ignoring()).is_ok());
            prop_assert!(CreateGeneric::from_json(bytes).is_err() || CreateGeneric::from_json_with(bytes, ignoring()).is_ok());
        }
    }
}

// Card data where they do not belong.

const NUMBER: &str = "must not hold a card number";
const TRACK: &str = "must not hold track data of a card";

/// Every spelling of card data that the options promise to find, and what is said of it.
const CARD_DATA: [(&str, &str); 6] = [
    ("4111111111111111", NUMBER),
    ("4111 1111 1111 1111", NUMBER),
    ("Amex 3782-822463-10005!", NUMBER),
    ("a4111111111111111z", NUMBER),
    ("%B4111111111111111^DOE/JOHN^2512101?", TRACK),
    (";4111111111111111=25121010000000000?", TRACK),
];

/// Makes or changes something in which a text stands, and gives the path of that.
type Put = fn(&Vault, &str) -> (Result<(), Error>, &'static str);

const PLACES: [(&str, Put); 14] = [
    ("payload", |vault, text| {
        let request = CreateGeneric::new([("a", "b"), ("note", text)]);
        (request.and_then(|request| vault.create_generic(request)).map(drop), "$.payload.note")
    }),
    ("metadata of a payload", |vault, text| {
        let request = CreateGeneric::new([("a", "b")]).and_then(|request| request.metadata([("note", text)]));
        (request.and_then(|request| vault.create_generic(request)).map(drop), "$.metadata.note")
    }),
    ("one of many payloads", |vault, text| {
        let request = CreateGeneric::new([("note", text)]);
        (vault.create_generic_many([request]).next().unwrap().map(drop), "$.payload.note")
    }),
    ("metadata of a card", |vault, text| {
        let request = CreatePci::new(source("4111111111111111")).metadata([("note", text)]);
        (request.and_then(|request| vault.create_pci(request)).map(drop), "$.metadata.note")
    }),
    ("name", |vault, text| {
        let request = source("4111111111111111").cardholder_name(text).map(CreatePci::new);
        (request.and_then(|request| vault.create_pci(request)).map(drop), "$.source.cardholder_name")
    }),
    ("one of many names", |vault, text| {
        let request = source("4111111111111111").cardholder_name(text).map(CreatePci::new);
        (vault.create_pci_many([request]).next().unwrap().map(drop), "$.source.cardholder_name")
    }),
    ("new metadata of a payload", |vault, text| {
        let id = vault.create_generic(CreateGeneric::new([("a", "b")]).unwrap()).unwrap().id;
        let request = UpdateGeneric::new().metadata([("note", text)]);
        (request.and_then(|request| vault.update_generic(id, request)).map(drop), "$.metadata.note")
    }),
    ("new metadata of a card", |vault, text| {
        let id = token(vault.create_pci(CreatePci::new(source("4111111111111111"))).unwrap()).id;
        let request = UpdatePci::new().metadata([("note", text)]);
        (request.and_then(|request| vault.update_pci(id, request)).map(drop), "$.metadata.note")
    }),
    ("new name", |vault, text| {
        let id = token(vault.create_pci(CreatePci::new(source("4111111111111111"))).unwrap()).id;
        let request = UpdatePci::new().cardholder_name(text);
        (request.and_then(|request| vault.update_pci(id, request)).map(drop), "$.cardholder_name")
    }),
    ("name of another card", |vault, text| {
        let id = token(vault.create_pci(CreatePci::new(source("4111111111111111"))).unwrap()).id;
        let request = source("378282246310005").cardholder_name(text);
        let changed = request.and_then(|request| vault.replace_account_number(id, request));
        (changed.map(drop), "$.cardholder_name")
    }),
    ("name in a session", |vault, text| {
        let PciCreated::Session(session) = vault.create_pci(CreatePci::session()).unwrap() else { panic!("a token") };
        let request = source("378282246310005").cardholder_name(text);
        let completed = request.and_then(|request| vault.complete_session(session.session_id, request));
        (completed.map(drop), "$.cardholder_name")
    }),
    ("metadata of a session", |vault, text| {
        let request = CreatePci::session().metadata([("note", text)]);
        (request.and_then(|request| vault.create_pci(request)).map(drop), "$.metadata.note")
    }),
    ("name from JSON", |vault, text| {
        let name = serde_json::to_string(text).unwrap();
        let request = PAN_REQUEST.replace("\"type\"", &format!(r#""cardholder_name":{name},"type""#));
        (
            CreatePci::from_json(request.as_bytes()).and_then(|request| vault.create_pci(request)).map(drop),
            "$.source.cardholder_name",
        )
    }),
    ("payload from JSON", |vault, text| {
        let request = format!(r#"{{"payload":{{"note":{}}}}}"#, serde_json::to_string(text).unwrap());
        (
            CreateGeneric::from_json(request.as_bytes()).and_then(|request| vault.create_generic(request)).map(drop),
            "$.payload.note",
        )
    }),
];

fn guarded() -> Vault {
    open(VaultOptions::new().card_data_guard(CardDataGuard::On))
}

#[test]
fn card_data_are_refused_wherever_they_stand_and_never_quoted() {
    let vault = guarded();
    for (name, put) in PLACES {
        for (text, rule) in CARD_DATA {
            let before = vault.stats().unwrap();
            let (outcome, path) = put(&vault, text);
            let error = outcome.unwrap_err();
            assert_eq!(violations(&error), [(path, rule)], "{name}: {text}");
            assert!(!format!("{error} {error:?}").contains("1111"), "{name}");
            // What is changed was made first, without card data.
            let made = u64::from(name.starts_with("new") || name.contains("another"));
            let [before, after] = [before, vault.stats().unwrap()].map(|stats| stats.generic_tokens + stats.pci_tokens);
            assert_eq!(after, before + made, "{name}");
        }
        put(&vault, "order 2026-77 of 12 items").0.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn nobody_looks_for_card_data_unless_told_to() {
    let vault = open(VaultOptions::new());
    for (name, put) in PLACES {
        for (text, _) in CARD_DATA {
            put(&vault, text).0.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
    let vault = open(VaultOptions::new().card_data_guard(CardDataGuard::Off));
    for (_, put) in PLACES {
        put(&vault, "4111111111111111").0.unwrap();
    }
}

#[test]
fn card_data_in_keys_and_numbers_are_told_by_position() {
    let vault = guarded();
    let request = CreateGeneric::new([("pin", "1"), ("4111111111111111", "x"), ("378282246310005", "4222222222222")]);
    let request = request.unwrap().metadata([("4111 1111 1111 1111", "x"), ("b", "4222222222222")]).unwrap();
    let error = vault.create_generic(request).unwrap_err();
    let expected = ["$.payload[#2]", "$.payload[#3]", "$.metadata[#1]", "$.metadata.b"].map(|path| (path, NUMBER));
    assert_eq!(violations(&error), expected, "every one at once, each path once");
    let payload = Payload::new([("n", 4_111_111_111_111_111_u64)]).unwrap();
    assert_eq!(payload.len(), 1);
    for literal in ["4111111111111111", "-4111111111111111", "4111111111111111.0"] {
        let request = CreateGeneric::from_json(format!(r#"{{"payload":{{"n":{literal}}}}}"#).as_bytes()).unwrap();
        let error = vault.create_generic(request).unwrap_err();
        assert_eq!(violations(&error), [("$.payload.n", NUMBER)], "{literal}");
    }
    let request = CreateGeneric::new([("n", 4_111_111_111_111_111_i64)]).unwrap();
    assert_eq!(violations(&vault.create_generic(request).unwrap_err()), [("$.payload.n", NUMBER)]);
}

#[test]
fn everything_that_is_wrong_with_a_card_is_told_at_once() {
    let vault = guarded();
    let card = source(UNLISTED).cardholder_name("4111111111111111").unwrap();
    let request = CreatePci::new(card).metadata([("a", "b"), ("c", ";4111111111111111=2512?")]).unwrap();
    let error = vault.create_pci(request).unwrap_err();
    assert_eq!(violations(&error), [NO_SCHEME, ("$.source.cardholder_name", NUMBER), ("$.metadata.c", TRACK)]);
}

#[test]
fn what_an_update_does_not_name_is_not_judged() {
    let shared = Shared::default();
    let vault = VaultOptions::new().open_with(shared.clone(), keys()).unwrap();
    let request = CreatePci::new(source("4111111111111111")).metadata([("card", "4111111111111111")]).unwrap();
    let id = token(vault.create_pci(request).unwrap()).id;
    vault.close().unwrap();
    let vault = VaultOptions::new().card_data_guard(CardDataGuard::On).open_with(shared, keys()).unwrap();
    assert_eq!(vault.update_pci(id, UpdatePci::new().expiry_month(1).unwrap()).unwrap().card.expiry_month, 1);
    assert_eq!(vault.update_pci(id, UpdatePci::new().clear_metadata()).unwrap().metadata, None);
    let nobody = "8744c9ea-a02b-4ae6-875c-b64fc333e3ef".parse().unwrap();
    let request = UpdatePci::new().cardholder_name("4111111111111111").unwrap();
    assert_eq!(vault.update_pci(nobody, request).unwrap_err().kind(), ErrorKind::Validation, "the request comes first");
}
