//! Promise: whatever is handed in, a wrong input is refused by name and place, is never quoted, and changes nothing.
//!
//! The list goes from bytes that are no text, over text that is no JSON and JSON of the wrong shape, to single values. At its
//! end, bytes that nobody thought of: the properties of `common/requests.rs` on random and on damaged requests.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::fmt::Write as _;

use proptest::prelude::*;
use tokenvault::card::Pan;
use tokenvault::{
    CreateGeneric, CreatePci, Error, ErrorKind, Metadata, Page, PanSource, Payload, SessionId, TokenId, UpdateGeneric,
    UpdatePci,
};

use common::kinds::{GENERIC, KINDS, PCI};
use common::{PAN_REQUEST, refused_generic, refused_pci, requests, vault, violations};

/// Everything that an error shows.
fn everything(error: &Error) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    format!("{}\n{error}\n{error:?}\n{source}", serde_json::to_string(error).unwrap())
}

/// The only violation of a refusal.
fn only(error: &Error) -> (String, String) {
    let told = violations(error);
    assert_eq!(told.len(), 1, "{told:?}");
    (told[0].0.to_owned(), told[0].1.to_owned())
}

fn at(path: &str, message: impl Into<String>) -> (String, String) {
    (path.to_owned(), message.into())
}

/// What both parsers say of bytes that neither can read.
fn unreadable(bytes: &[u8]) -> String {
    let (generic, pci) = (only(&refused_generic(bytes)), only(&refused_pci(bytes)));
    assert_eq!(generic, pci);
    assert_eq!(generic.0, "$");
    generic.1
}

// Bytes that are no JSON.

#[test]
fn malformed_json_is_told_with_the_byte_where_it_stops_to_be_json() {
    let table: [(&str, usize); 41] = [
        ("", 0),
        ("  ", 2),
        ("\n", 1),
        ("{", 1),
        ("{\n", 2),
        ("nul", 3),
        ("nulx", 3),
        ("\u{1}", 0),
        ("\u{b}{}", 0),
        ("{,}", 1),
        ("{1:2}", 1),
        ("{'a':1}", 1),
        ("{\"a\" 1}", 5),
        ("{\"a\":}", 5),
        ("{\"a\":1,}", 7),
        ("{\"a\":1 \"b\"}", 7),
        ("{\"a\":1\n2}", 7),
        ("{\"a\":[}", 6),
        ("{\"a\":[1,]}", 8),
        ("{\"a\":+1}", 5),
        ("{\"a\":.5}", 5),
        ("{\"a\":01}", 6),
        ("{\"a\":-}", 6),
        ("{\"a\":-\n1}", 6),
        ("{\"a\":1.\n}", 7),
        ("{\"a\":1e\n}", 7),
        ("{\"a\":0x10}", 6),
        ("{\"a\":NaN}", 5),
        ("{\"a\":tru}", 8),
        ("{\"a\":t\nrue}", 6),
        ("{\"a\":\"\\q\"}", 7),
        ("{\"a\":\"\\\n\"}", 7),
        ("{\"a\":\"\\u12zz\"}", 10),
        ("{\"a\":\"\\u1\"}", 9),
        ("{\"a\":\"\\u1", 9),
        ("{\"a\":\"\u{1}\"}", 6),
        ("{\"a\nb\":1}", 3),
        ("{\n\"a\":\"x\ty\"}", 8),
        ("{\"é\":x}", 6),
        ("\n\n {\n \"a\":\n x}", 12),
        ("{\"a\":1} // note", 8),
    ];
    for (json, offset) in table {
        assert_eq!(unreadable(json.as_bytes()), format!("malformed JSON at byte {offset}"), "{json:?}");
    }
    // It is the only violation, however much else is wrong before it.
    let error = refused_generic(r#"{"unknown":1,"payload":{"":null},"expiration_time":0,"#);
    assert_eq!(only(&error), at("$", "malformed JSON at byte 53"));
}

#[test]
fn what_follows_a_request_is_refused_but_white_space() {
    for kind in KINDS {
        let request = (kind.request)("");
        assert!((kind.accepts)(&format!(" \t\r\n{request} \t\r\n")).is_ok());
        for tail in ["x", "{}", ",", "\0", "\u{b}", "\u{a0}", "\u{feff}", "]", "}"] {
            let error = (kind.accepts)(&format!("{request} {tail}")).unwrap_err();
            assert_eq!(only(&error), at("$", format!("malformed JSON at byte {}", request.len() + 1)), "{tail:?}");
        }
    }
}

#[test]
fn invalid_utf_8_is_told_with_the_byte_where_it_begins() {
    let table: [(&[u8], usize); 8] = [
        (b"\xff", 0),
        (b"{\"a\":\"\x80\"}", 6),
        (b"{\"a\":\"\xc3\"}", 6),
        (b"{\"\xed\xa0\x80\":1}", 2),
        (b"{\"a\":\"\xc0\xaf\"}", 6),
        (b"{\"a\":\"\xf4\x90\x80\x80\"}", 6),
        (b"{\"payload\":{}}\xe2\x82", 14),
        (b"{\"\xc3\xa9\":\"\xf0\x9f\x98\"}", 7),
    ];
    for (bytes, offset) in table {
        assert_eq!(unreadable(bytes), format!("invalid UTF-8 at byte {offset}"));
    }
    assert_eq!(unreadable(b"{\0\"\0a\0\"\0:\x001\0}\0"), "malformed JSON at byte 1", "UTF-16 is no UTF-8");
}

#[test]
fn a_byte_order_mark_is_refused() {
    for kind in KINDS {
        let request = (kind.request)("");
        assert_eq!(unreadable(format!("\u{feff}{request}").as_bytes()), "byte order mark at byte 0");
    }
    assert_eq!(unreadable(b"\xff\xfe{\0}\0"), "invalid UTF-8 at byte 0");
}

#[test]
fn json_that_is_no_object_is_refused() {
    for json in ["null", "true", "7", "\"text\"", "[]", "[{}]", " [1]\n"] {
        assert_eq!(unreadable(json.as_bytes()), "must be an object", "{json}");
    }
}

// Objects of the wrong shape.

#[test]
fn a_field_that_comes_twice_is_refused_also_if_an_escape_hides_it() {
    for twin in ["payload", "p\\u0061yload", "\\u0070\\u0061\\u0079\\u006c\\u006f\\u0061\\u0064"] {
        let error = refused_generic(format!(r#"{{"payload":{{"a":"b"}},"{twin}":{{"a":"b"}}}}"#));
        assert_eq!(only(&error), at("$.payload", "duplicate field"), "{twin}");
        let error = refused_generic(format!(r#"{{"{twin}":null,"payload":{{"a":"b"}}}}"#));
        assert!(violations(&error).contains(&("$.payload", "duplicate field")), "{twin} as null");
    }
    for (field, value) in [("source", "{}"), ("expires_in", "60"), ("metadata", "{}")] {
        let both = format!(r#"{{"{field}":{value},"source""#);
        let request = PAN_REQUEST.replace("{\"source\"", &both).replace("}}", &format!(r#"}},"{field}":{value}}}"#));
        let error = refused_pci(request);
        let path = format!("$.{field}");
        assert!(violations(&error).contains(&(path.as_str(), "duplicate field")), "{error}");
    }
    for (field, escaped) in [
        ("account_number", "account\\u005fnumber"),
        ("type", "\\u0074ype"),
        ("expiry_month", "expiry_m\\u006fnth"),
        ("expiry_year", "expir\\u0079_year"),
        ("security_code", "security_\\u0063ode"),
    ] {
        for twin in [field, escaped] {
            let error = refused_pci(PAN_REQUEST.replace("{\"type\"", &format!(r#"{{"{twin}":null,"type""#)));
            let path = format!("$.source.{field}");
            assert!(violations(&error).contains(&(path.as_str(), "duplicate field")), "{twin}: {error}");
        }
    }
}

#[test]
fn a_key_that_comes_twice_is_refused_also_if_an_escape_hides_it() {
    for (one, other) in [("k", "k"), ("k", "\\u006b"), ("\\u006b", "k"), ("é", "\\u00e9"), ("😀", "\\ud83d\\ude00")]
    {
        for map in ["payload", "metadata"] {
            let error = refused_generic(format!(r#"{{"payload":{{}},"{map}":{{"{one}":"1","{other}":"2"}}}}"#));
            assert!(violations(&error).iter().any(|(_, rule)| *rule == "duplicate key" || *rule == "duplicate field"));
        }
        let error = refused_generic(format!(r#"{{"payload":{{"{one}":"1","{other}":"2"}}}}"#));
        assert_eq!(only(&error).1, "duplicate key");
    }
    // Apart from each other's bytes they may be alike.
    let pairs = [("k", "1"), ("k", "2")];
    assert_eq!(only(&Payload::new(pairs).unwrap_err()), at("$.payload.k", "duplicate key"));
    assert_eq!(only(&Metadata::new(pairs).unwrap_err()), at("$.metadata.k", "duplicate key"));
}

#[test]
fn a_duplicate_far_behind_the_twentieth_pair_is_found_too() {
    let mut members: Vec<String> = (0..50).map(|at| format!(r#""k{at}":"v""#)).collect();
    members.push(r#""k3":"v""#.to_owned());
    let error = refused_generic(format!(r#"{{"payload":{{{}}}}}"#, members.join(",")));
    assert_eq!(violations(&error), [("$.payload", "must have at most 20 pairs"), ("$.payload.k3", "duplicate key")]);
}

#[test]
fn values_of_the_wrong_type_are_refused() {
    let wrong = |json: &str, except: char| !json.starts_with(except);
    let values = ["7", "true", "\"text\"", "[]", "[\"x\"]", "{}", "{\"x\":1}"];
    for value in values.iter().filter(|value| wrong(value, '{')) {
        for field in ["payload", "metadata"] {
            let other = if field == "payload" { "" } else { r#","payload":{}"# };
            let error = refused_generic(format!(r#"{{"{field}":{value}{other}}}"#));
            assert_eq!(only(&error), at(&format!("$.{field}"), "must be an object"), "{value}");
        }
        let error = refused_pci(format!(r#"{{"source":{value}}}"#));
        assert_eq!(only(&error), at("$.source", "must be an object"), "{value}");
    }
    let source = |field: &str, value: &str| {
        let mut fields = vec![
            ("type", "\"pan\""),
            ("account_number", "\"4111111111111111\""),
            ("expiry_month", "12"),
            ("expiry_year", "2025"),
        ];
        fields.retain(|(name, _)| *name != field);
        fields.push((field, value));
        let members: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        refused_pci(format!(r#"{{"source":{{{}}}}}"#, members.join(",")))
    };
    for value in values.iter().filter(|value| wrong(value, '"')) {
        for field in ["account_number", "cardholder_name", "security_code"] {
            let told = only(&source(field, value));
            assert_eq!(told, at(&format!("$.source.{field}"), "must be a string"), "{value}");
        }
        assert!(violations(&source("type", value)).contains(&("$.source.type", "must be a string")));
        let error = refused_generic(format!(r#"{{"payload":{{}},"metadata":{{"k":{value}}}}}"#));
        assert_eq!(only(&error), at("$.metadata.k", "must be a string"), "{value}");
        let error = refused_generic(format!(r#"{{"payload":{{}},"type_id":{value}}}"#));
        assert_eq!(only(&error), at("$.type_id", "must be a string"), "{value}");
    }
    for value in values.iter().filter(|value| wrong(value, '7')) {
        for field in ["expiry_month", "expiry_year"] {
            assert_eq!(only(&source(field, value)), at(&format!("$.source.{field}"), "must be an integer"), "{value}");
        }
    }
}

#[test]
fn a_number_is_no_string_and_a_string_no_number() {
    let error = refused_pci(PAN_REQUEST.replace("\"4111111111111111\"", "4111111111111111"));
    assert_eq!(only(&error), at("$.source.account_number", "must be a string"));
    assert!(!everything(&error).contains("4111"));
    let error = refused_pci(PAN_REQUEST.replace("\"123\"", "123"));
    assert_eq!(only(&error), at("$.source.security_code", "must be a string"));
    let error = refused_pci(PAN_REQUEST.replace("12,", "\"12\","));
    assert_eq!(only(&error), at("$.source.expiry_month", "must be an integer"));
}

#[test]
fn the_empty_string_is_never_a_value_nor_a_key() {
    const EMPTY: &str = "must not be empty";
    let generic = [
        (r#"{"payload":{"k":""}}"#, "$.payload.k", EMPTY),
        (r#"{"payload":{"":"v"}}"#, "$.payload[#1]", "key must not be empty"),
        (r#"{"payload":{},"metadata":{"k":""}}"#, "$.metadata.k", EMPTY),
        (r#"{"payload":{},"metadata":{"a":"b","":"v"}}"#, "$.metadata[#2]", "key must not be empty"),
        (r#"{"payload":{},"type_id":""}"#, "$.type_id", EMPTY),
        (r#"{"payload":{},"":"x"}"#, "$[#2]", "unknown field"),
    ];
    for (json, path, rule) in generic {
        assert_eq!(only(&refused_generic(json)), at(path, rule), "{json}");
    }
    for (field, value) in [("account_number", "4111111111111111"), ("security_code", "123")] {
        let error = refused_pci(PAN_REQUEST.replace(value, ""));
        assert_eq!(only(&error), at(&format!("$.source.{field}"), EMPTY));
    }
    let error = refused_pci(PAN_REQUEST.replace("\"type\"", r#""cardholder_name":"","type""#));
    assert_eq!(only(&error), at("$.source.cardholder_name", EMPTY));
    let error = refused_pci(PAN_REQUEST.replace("\"pan\"", "\"\""));
    assert_eq!(violations(&error)[0], ("$.source.type", EMPTY));
    assert_eq!(only(&Pan::parse("").unwrap_err()), at("$", EMPTY));
}

#[test]
fn null_is_absent_for_a_field_and_wrong_in_a_map() {
    assert_eq!(only(&refused_generic(r#"{"payload":null}"#)), at("$.payload", "is required"));
    assert_eq!(only(&refused_pci(r#"{"source":null}"#)), at("$.source", "is required"));
    for field in ["type", "account_number", "expiry_month", "expiry_year"] {
        let (before, rest) = PAN_REQUEST.split_once(&format!("\"{field}\":")).unwrap();
        let (_, after) = rest.split_once(',').unwrap();
        let error = refused_pci(format!(r#"{before}"{field}":null,{after}"#));
        assert_eq!(only(&error), at(&format!("$.source.{field}"), "is required"));
    }
    let error = refused_generic(r#"{"payload":{"k":null},"metadata":{"k":null}}"#);
    let expected = [("$.payload.k", "must be a string, a number or a boolean"), ("$.metadata.k", "must be a string")];
    assert_eq!(violations(&error), expected);
}

#[test]
fn a_lone_surrogate_is_refused_in_a_value_and_in_a_key() {
    const RULE: &str = "must not contain a lone surrogate";
    for lone in ["\\ud83d", "\\ude00", "\\uDBFF", "a\\ud83dz", "\\ud83d\\ud83d", "\\ude00\\ud83d", "\\ud83d\\n"] {
        let error = refused_generic(format!(
            r#"{{"payload":{{"k":"{lone}","{lone}":"v"}},"metadata":{{"k":"{lone}","{lone}":"v"}},"{lone}":1}}"#
        ));
        let places = ["$.payload.k", "$.payload[#2]", "$.metadata.k", "$.metadata[#2]", "$[#3]"];
        assert_eq!(violations(&error), places.map(|path| (path, RULE)), "{lone}");
        let error = refused_pci(PAN_REQUEST.replace("411111", lone).replace("\"123\"", &format!("\"{lone}\"")));
        let places = ["$.source.account_number", "$.source.security_code"];
        assert_eq!(violations(&error), places.map(|path| (path, RULE)), "{lone}");
    }
}

#[test]
fn control_characters_have_no_place_in_a_name() {
    for control in ["\\u0000", "\\n", "\\t", "\\u001b[2J", "\\u007f", "\\u0085", "\u{85}", "\u{9f}"] {
        let error =
            refused_pci(PAN_REQUEST.replace("\"type\"", &format!(r#""cardholder_name":"John{control}Doe","type""#)));
        assert_eq!(only(&error), at("$.source.cardholder_name", "must not contain control characters"));
    }
}

// Changes.

/// The refusal of a change of a card, and of a payload's token.
fn refused_update_pci(json: &str) -> Error {
    UpdatePci::from_json(json.as_bytes()).map(|_| json.to_owned()).unwrap_err()
}

fn refused_update_generic(json: &str) -> Error {
    UpdateGeneric::from_json(json.as_bytes()).map(|_| json.to_owned()).unwrap_err()
}

#[test]
fn a_change_that_is_no_request_is_refused_with_every_violation_in_document_order() {
    let error = refused_update_pci(
        r#"{"source":{},"expires_in":0,"account_number":"4111111111111111","expiry_month":13,"expiry_year":null,
            "cardholder_name":"","metadata":{"k":null},"expiry_month":1,"ttl":9,"4111111111111111":1}"#,
    );
    let expected = [
        ("$.source", "unknown field"),
        ("$.expires_in", "must be from 1 to 2592000 seconds"),
        ("$.account_number", "unknown field"),
        ("$.expiry_month", "must be from 1 to 12"),
        ("$.expiry_year", "cannot be cleared"),
        ("$.cardholder_name", "must not be empty"),
        ("$.metadata.k", "must be a string"),
        ("$.ttl", "unknown field; did you mean `expires_in`?"),
        ("$[#10]", "unknown field"),
    ];
    assert_eq!(violations(&error), expected);
    let error = refused_update_generic(
        r#"{"payload":{"pin":"1"},"metadata":[],"expiration_time":"60","type_id":null,"expires_in":60,"metadata":{}}"#,
    );
    let expected = [
        ("$.payload", "unknown field"),
        ("$.metadata", "must be an object"),
        ("$.expiration_time", "must be an integer"),
        ("$.type_id", "unknown field"),
        ("$.expires_in", "unknown field; did you mean `expiration_time`?"),
    ];
    assert_eq!(violations(&error), expected);
}

#[test]
fn a_field_that_is_cleared_and_set_is_a_duplicate_in_either_order() {
    for json in [
        r#"{"metadata":null,"metadata":{}}"#,
        r#"{"metadata":{},"metadata":null}"#,
        r#"{"metadata":null,"\u006detadata":null}"#,
    ] {
        assert_eq!(only(&refused_update_pci(json)), at("$.metadata", "duplicate field"), "{json}");
        assert_eq!(only(&refused_update_generic(json)), at("$.metadata", "duplicate field"), "{json}");
    }
    let json = r#"{"expiry_month":null,"expiry_month":null}"#;
    assert_eq!(only(&refused_update_pci(json)), at("$.expiry_month", "cannot be cleared"));
}

#[test]
fn only_a_whole_null_clears_a_field() {
    for (value, offset) in [("nul", 13), ("nulll", 14), ("n", 11), ("Null", 10), ("NULL", 10)] {
        let json = format!(r#"{{"metadata":{value}}}"#);
        let (offset, json) = (offset + 2, json.as_str());
        assert_eq!(only(&refused_update_pci(json)), at("$", format!("malformed JSON at byte {offset}")), "{json}");
        assert_eq!(only(&refused_update_generic(json)), at("$", format!("malformed JSON at byte {offset}")), "{json}");
    }
    assert_eq!(only(&refused_update_generic(r#"{"metadata":"null"}"#)), at("$.metadata", "must be an object"));
    for json in ["null", "[]", "7", "\"{}\""] {
        assert_eq!(only(&refused_update_pci(json)), at("$", "must be an object"));
        assert_eq!(only(&refused_update_generic(json)), at("$", "must be an object"));
        assert_eq!(only(&PanSource::from_json(json.as_bytes()).unwrap_err()), at("$", "must be an object"));
    }
}

#[test]
fn a_source_alone_is_held_to_the_rules_of_a_source() {
    let refused = |json: &str| PanSource::from_json(json.as_bytes()).unwrap_err();
    let missing = refused(r#"{"type":"pan"}"#);
    let expected = ["$.account_number", "$.expiry_year", "$.expiry_month"].map(|path| (path, "is required"));
    assert_eq!(violations(&missing), expected);
    assert_eq!(
        only(&refused(r#"{"account_number":"4111111111111111","expiry_month":1,"expiry_year":2030}"#)),
        at("$.type", "is required")
    );
    let error = refused(
        r#"{"type":"pan","account_number":"4111111111111112","expiry_month":0,"expiry_year":2030,"x":1,"security_code":"1"}"#,
    );
    let expected = [
        ("$.account_number", "fails the Luhn check"),
        ("$.expiry_month", "must be from 1 to 12"),
        ("$.x", "unknown field"),
        ("$.security_code", "must have 3 or 4 digits"),
    ];
    assert_eq!(violations(&error), expected);
    assert_eq!(violations(&refused(r#"{"type":"session"}"#))[0].0, "$.type", "a session is no card");
    assert_eq!(violations(&refused(PAN_REQUEST)), [("$.source", "unknown field"), ("$.type", "is required")]);
}

// Account numbers.

#[test]
fn what_is_no_account_number_is_refused_with_the_first_rule_that_it_breaks() {
    const DIGITS: &str = "must be ASCII digits only, without separators";
    const LENGTH: &str = "must have 13 to 19 digits";
    const LONG: &str = "must be at most 19 ASCII digits";
    const LUHN: &str = "fails the Luhn check";
    const SCHEME: &str = "no supported scheme";
    let ten_thousand = "4".repeat(10_000);
    let arabic_indic: String = "٤١١١١١١١١".to_owned();
    let table = [
        ("4111 1111 1111 1111", DIGITS),
        ("4111-1111-1111-111", DIGITS),
        (" 4111111111111111", DIGITS),
        ("4111111111111111\n", DIGITS),
        ("4111111111111111\0", DIGITS),
        ("\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}", DIGITS),
        ("+411111111111111", DIGITS),
        ("4111x11111111111", DIGITS),
        ("４１１１１１", DIGITS),
        ("４１１１１１１１１１１１１１１１", LONG),
        (&arabic_indic, DIGITS),
        ("411111******1111", DIGITS),
        ("4", LENGTH),
        ("411111111111", LENGTH),
        ("41111111111111111111", LONG),
        (&ten_thousand, LONG),
        ("x4111111111111111111", LONG),
        ("4111111111111112", LUHN),
        ("1234567890123456", LUHN),
        ("0000000000000000", SCHEME),
        ("0000000000000", SCHEME),
        ("9999999999999995", SCHEME),
        ("5018000000000009", SCHEME),
        // Right prefix, wrong length.
        ("41111111111114", SCHEME),
        ("41111111111111113", SCHEME),
        ("41111111111112", LUHN),
        ("510510510510515", SCHEME),
        ("3400000000000000", SCHEME),
        // Carve-outs: Elo, Hipercard, Troy.
        ("4011780000000006", SCHEME),
        ("3841000000000007", SCHEME),
        ("6500520000000009", SCHEME),
    ];
    for (number, rule) in table {
        let error = Pan::parse(number).unwrap_err();
        assert_eq!(only(&error), at("$", rule), "{number:?}");
        let escaped = number.encode_utf16().fold(String::new(), |mut text, unit| {
            write!(text, "\\u{unit:04x}").unwrap();
            text
        });
        let quoted = serde_json::to_string(number).unwrap();
        for written in [quoted, format!("\"{escaped}\"")].into_iter().filter(|written| written.len() < 60_000) {
            let error = refused_pci(PAN_REQUEST.replace("\"4111111111111111\"", &written));
            assert_eq!(only(&error), at("$.source.account_number", rule), "{written}");
        }
    }
}

/// Account numbers as somebody might write them into a place where none belongs.
const CANARIES: [(&str, &str); 6] = [
    ("4111111111111111", "4111"),
    ("\\u0034111111111111111", "1111"),
    ("4111 1111 1111 1111", "1111"),
    ("4111-1111-1111-1111", "1111"),
    ("pan4111111111111111", "1111"),
    ("\\u0034\\u0031\\u0031\\u0031\\u0031\\u0031\\u0031\\u0031\\u0031\\u0031\\u0031\\u0031\\u0031", "111"),
];

#[test]
fn an_account_number_as_a_name_is_told_by_its_position() {
    for (canary, part) in CANARIES {
        let requests = [
            refused_generic(format!(r#"{{"payload":{{}},"{canary}":1}}"#)),
            refused_generic(format!(r#"{{"payload":{{}},"metadata":{{"{canary}":1}}}}"#)),
            refused_generic(format!(r#"{{"payload":{{"{canary}":null}}}}"#)),
            refused_generic(format!(r#"{{"payload":{{"{canary}":"x","{canary}":"x"}}}}"#)),
            refused_pci(PAN_REQUEST.replace("\"type\"", &format!(r#""{canary}":1,"type""#))),
            refused_pci(PAN_REQUEST.replace("{\"source\"", &format!(r#"{{"{canary}":1,"source""#))),
        ];
        for error in requests {
            let (path, _) = only(&error);
            assert!(path.contains("[#"), "{path}");
            assert!(!everything(&error).contains(part), "{error}");
        }
    }
}

#[test]
fn a_name_is_shown_only_if_it_can_hold_no_account_number() {
    let forty = "k".repeat(40);
    for shown in ["a", "A-Z.a_z", "x12345", "12345", "order_2026-11-21", forty.as_str()] {
        let error = refused_generic(format!(r#"{{"payload":{{}},"{shown}":1}}"#));
        assert_eq!(violations(&error)[0].0, format!("$.{shown}"));
    }
    let forty_one = "k".repeat(41);
    for hidden in ["x123456", "123456", "1234567890", "a b", "é", "a$", "a[0]", "\\n", "k\\u0000", forty_one.as_str()]
    {
        let error = refused_generic(format!(r#"{{"payload":{{}},"{hidden}":1}}"#));
        assert_eq!(violations(&error)[0].0, "$[#2]", "{hidden}");
    }
}

#[test]
fn no_value_is_ever_quoted() {
    let secret = "s3cr3tK3y!";
    for (canary, part) in CANARIES.into_iter().chain([(secret, "s3cr"), ("\\u00733cr3tK3y!", "3cr3t")]) {
        let errors = [
            refused_generic(format!(r#"{{"payload":"{canary}"}}"#)),
            refused_generic(format!(r#"{{"payload":{{"k":["{canary}"]}}}}"#)),
            refused_generic(format!(r#"{{"payload":{{"k":"{}"}}}}"#, canary.repeat(30))),
            refused_generic(format!(r#"{{"payload":{{}},"type_id":"{canary}"}}"#)),
            refused_generic(format!(r#"{{"payload":{{}},"expiration_time":"{canary}"}}"#)),
            refused_generic(format!(r#"{{"payload":{{"k":"{canary}"}},"#)),
            refused_generic(format!(r#"["{canary}"]"#)),
            refused_pci(format!(r#"{{"source":"{canary}"}}"#)),
            refused_pci(PAN_REQUEST.replace("\"pan\"", &format!("\"{canary}\""))),
            refused_pci(PAN_REQUEST.replace("4111111111111111", &format!("x{canary}"))),
            refused_pci(PAN_REQUEST.replace("\"123\"", &format!("\"{canary}\""))),
            refused_pci(PAN_REQUEST.replace("12,", &format!("\"{canary}\","))),
            refused_pci(PAN_REQUEST.replace("\"type\"", &format!(r#""cardholder_name":"\n{canary}","type""#))),
        ];
        for error in errors {
            assert!(!everything(&error).contains(part), "{error}");
        }
    }
}

#[test]
fn no_typed_call_quotes_what_it_refuses() {
    let key = "k4111111111111111-and-more";
    let secret = "s3cr3tK3y!".repeat(9);
    let errors = [
        Pan::parse("4111111111111112").unwrap_err(),
        Metadata::new([(key, "v")]).unwrap_err(),
        Metadata::new([("k", &secret)]).unwrap_err(),
        Payload::new([(key, "v")]).unwrap_err(),
        Payload::new([("k", &secret)]).unwrap_err(),
        CreateGeneric::new([("k", f64::NAN)]).map(drop).unwrap_err(),
        CreateGeneric::new([("k", f64::INFINITY)]).map(drop).unwrap_err(),
        "4111111111111111".parse::<TokenId>().unwrap_err(),
    ];
    for error in errors {
        let shown = everything(&error);
        assert!(!shown.contains("4111") && !shown.contains("s3cr") && !shown.contains("and-more"), "{shown}");
    }
}

// Ids.

#[test]
fn an_id_that_is_malformed_or_of_the_other_kind_is_not_found() {
    let malformed = [
        "",
        "x",
        "8744c9eaa02b4ae6875cb64fc333e3ef",
        "{8744c9ea-a02b-4ae6-875c-b64fc333e3ef}",
        "urn:uuid:8744c9ea-a02b-4ae6-875c-b64fc333e3ef",
        " 8744c9ea-a02b-4ae6-875c-b64fc333e3ef",
        "8744c9ea-a02b-4ae6-875c-b64fc333e3eg",
        "8744c9ea_a02b_4ae6_875c_b64fc333e3ef",
        "8744c9ea-a02b-4ae6-875c-b64fc333e3é",
        "４744c9ea-a02b-4ae6-875c-b64fc333e3",
        "4111111111111111",
    ];
    for text in malformed {
        let errors = [text.parse::<TokenId>().unwrap_err(), text.parse::<SessionId>().unwrap_err()];
        for error in errors {
            assert_eq!(serde_json::to_string(&error).unwrap(), NOT_FOUND, "{text}");
        }
    }
    let (vault, _) = vault();
    let nobody: TokenId = "8744c9ea-a02b-4ae6-875c-b64fc333e3ef".parse().unwrap();
    for (kind, other) in [(GENERIC, PCI), (PCI, GENERIC)] {
        let of_other = (other.create)(&vault, None).unwrap();
        for id in [nobody, of_other] {
            let errors = [
                (kind.view)(&vault, id).unwrap_err(),
                (kind.reveal)(&vault, id).unwrap_err(),
                (kind.delete)(&vault, id).unwrap_err(),
            ];
            for error in errors {
                assert_eq!(serde_json::to_string(&error).unwrap(), NOT_FOUND, "{}", kind.name);
                assert_eq!(error.kind(), ErrorKind::NotFound);
            }
        }
        assert_eq!((other.reveal)(&vault, of_other).unwrap(), other.secret, "nothing happened to it");
    }
}

const NOT_FOUND: &str = r#"{"code":404,"classifier":"NOT_FOUND","message":"Not found"}"#;

#[test]
fn a_refusal_changes_nothing() {
    let (vault, _) = vault();
    for kind in KINDS {
        (kind.create)(&vault, Some(60)).unwrap();
        (kind.create)(&vault, None).unwrap();
    }
    let before = vault.stats().unwrap();
    assert_eq!((before.generic_tokens, before.pci_tokens, before.expiring_tokens), (2, 2, 2));
    let bad = ["", "{}", "[]", r#"{"payload":{"k":null}}"#, r#"{"source":{"type":"pan"}}"#, r#"{"payload":{},"x":1}"#];
    let generic = vault.create_generic_many(bad.map(|json| CreateGeneric::from_json(json.as_bytes())));
    assert!(generic.into_iter().all(|result| result.unwrap_err().kind() == ErrorKind::Validation));
    let pci = vault.create_pci_many(bad.map(|json| CreatePci::from_json(json.as_bytes())));
    assert!(pci.into_iter().all(|result| result.unwrap_err().kind() == ErrorKind::Validation));
    let nobody: TokenId = "8744c9ea-a02b-4ae6-875c-b64fc333e3ef".parse().unwrap();
    for kind in KINDS {
        assert!((kind.create)(&vault, Some(0)).is_err());
        assert!((kind.view)(&vault, nobody).is_err());
        assert!((kind.reveal)(&vault, nobody).is_err());
        assert!((kind.delete)(&vault, nobody).is_err());
        assert!((kind.list)(&vault, Page::first(0)).is_err());
    }
    assert!(vault.start_sweeper(std::time::Duration::ZERO).is_err());
    assert_eq!(vault.stats().unwrap(), before, "no token, no row, no use of a key");
}

#[test]
fn nothing_that_holds_a_secret_prints_it() {
    let request = CreatePci::from_json(PAN_REQUEST.as_bytes()).unwrap();
    let pan = Pan::parse("4111111111111111").unwrap();
    let shown = format!("{request:?} {pan:?}");
    assert_eq!(shown, "CreatePci(..) Pan(..)");
    let card = PanSource::new(pan, tokenvault::card::CardExpiry::new(12, 2025).unwrap());
    assert_eq!(format!("{:?}", card.cardholder_name("John Doe").unwrap()), "PanSource(..)");
    let payload = Payload::new([("iban", "DE89370400440532013000")]).unwrap();
    assert_eq!(format!("{payload:?} {:?}", payload.get("iban").unwrap()), "Payload(..) PayloadValue(..)");
}

// Bytes that nobody thought of.

const SAMPLES: [&str; 6] = [
    r#"{"payload":{"iban":"DE89370400440532013000","n":-1.5e3,"t":true,"é😀":"\ud83d\ude00\n"},"expiration_time":60}"#,
    r#"{"metadata":{"my_key_one":"my_value_one","4111111111111111":"x"},"payload":{},"type_id":null}"#,
    r#"{"source":{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025,"security_code":"123"}}"#,
    r#"{"expiry_month":4,"expiry_year":2031,"cardholder_name":"Zo\u00eb","metadata":{"a":"b"},"expires_in":60}"#,
    r#"{"metadata":null,"expiration_time":null}"#,
    r#"{"expires_in":2592000,"metadata":{"a":"b"},"source":{"cardholder_name":"Zo\u00eb","expiry_year":2099,"expiry_month":1,"account_number":"378282246310005","type":"pan"}}"#,
];

/// Pieces of which requests are made, so that damage meets structure.
const PIECES: [&str; 30] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u",
    "\\ud83d",
    "\n",
    "\u{1}",
    "é",
    "😀",
    "null",
    "true",
    "0",
    "-",
    "1e3",
    ".5",
    "\"payload\":",
    "\"source\":",
    "\"metadata\":{",
    "\"expires_in\":",
    "\"type\":\"pan\",",
    "4111111111111111",
    "\"\":",
    "\u{feff}",
    " ",
    "\"account_number\":",
];

/// A sample with some pieces put in, taken out or written over.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let damage = (any::<prop::sample::Index>(), 0_usize..6, prop::sample::select(PIECES.to_vec()), any::<bool>());
    (prop::sample::select(SAMPLES.to_vec()), prop::collection::vec(damage, 0..5)).prop_map(|(sample, damages)| {
        let mut bytes = sample.as_bytes().to_vec();
        for (at, taken, piece, put) in damages {
            let start = at.index(bytes.len() + 1);
            let end = (start + taken).min(bytes.len());
            bytes.splice(start..end, if put { piece.bytes() } else { "".bytes() });
        }
        bytes
    })
}

/// Objects whose members are the right ones and wrong ones, in any order.
fn composed() -> impl Strategy<Value = Vec<u8>> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<f64>().prop_map(|value| serde_json::to_string(&value).unwrap()),
        "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?",
        ".{0,6}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        ".{76,84}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        "[1-9]|1[0-2]|20[0-9][0-9]",
        Just("\"4111111111111111\"".to_owned()),
        Just("\"pan\"".to_owned()),
        Just("\"123\"".to_owned()),
    ];
    let name = prop_oneof![
        8 => prop::sample::select(vec![
            "payload", "metadata", "expiration_time", "expires_in", "type_id", "source", "type", "account_number",
            "expiry_month", "expiry_year", "cardholder_name", "security_code",
        ]).prop_map(str::to_owned),
        3 => ".{0,3}",
        1 => ".{18,23}",
        1 => "[0-9]{5,16}",
    ];
    let value = scalar.prop_recursive(3, 60, 22, move |inner| {
        prop::collection::vec((name.clone(), inner), 0..22).prop_map(|members| {
            let members: Vec<_> = members
                .into_iter()
                .map(|(name, value)| format!("{}:{value}", serde_json::to_string(&name).unwrap()))
                .collect();
            format!("{{{}}}", members.join(","))
        })
    });
    value.prop_map(String::into_bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_keep_the_properties(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        requests::create_generic_json(&bytes);
        requests::create_pci_json(&bytes);
        requests::account_number(&bytes);
        requests::update_json(&bytes);
    }

    #[test]
    fn damaged_requests_keep_the_properties(bytes in damaged()) {
        requests::create_generic_json(&bytes);
        requests::create_pci_json(&bytes);
        requests::update_json(&bytes);
    }

    #[test]
    fn composed_requests_keep_the_properties(bytes in composed()) {
        requests::create_generic_json(&bytes);
        requests::create_pci_json(&bytes);
        requests::update_json(&bytes);
    }
}
