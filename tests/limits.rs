//! Promise: every limit holds exactly: what stands at its edge is accepted, what stands one past it is refused.
//!
//! Limits that several fields share are one table that is tried on each of them, through JSON and through typed calls.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::fmt::Write as _;

use proptest::prelude::*;
use tokenvault::card::{CardExpiry, Pan};
use tokenvault::{
    CreateGeneric, CreatePci, Error, ErrorKind, Metadata, Page, PanSource, Payload, UpdateGeneric, UpdatePci,
};

use common::kinds::{GENERIC, KINDS, Kind};
use common::{PAN_REQUEST, refused_generic, refused_pci, vault, violations};

/// Characters of one to four bytes, a combining one, and one that is drawn together with its neighbours.
const CHARACTERS: [&str; 6] = ["a", "é", "漢", "😀", "\u{301}", "\u{200d}"];

const KEY_TOO_LONG: &str = "key must be at most 20 characters";
const VALUE_TOO_LONG: &str = "must be at most 80 characters";
const TOO_MANY: &str = "must have at most 20 pairs";

/// The violations of a request, as text; none if it is accepted.
fn told(outcome: Result<(), Error>) -> Vec<(String, String)> {
    let Err(error) = outcome else { return Vec::new() };
    violations(&error).into_iter().map(|(path, message)| (path.to_owned(), message.to_owned())).collect()
}

/// The only message of a refusal; `None` if it is accepted.
fn rule(outcome: Result<(), Error>) -> Option<String> {
    let mut told = told(outcome);
    assert!(told.len() <= 1, "{told:?}");
    told.pop().map(|(_, message)| message)
}

/// A key and its value, or a path and its message.
type Pair = (String, String);

/// A place where a caller's map of text may stand.
struct Place {
    name: &'static str,
    json: fn(&str) -> Result<(), Error>,
    typed: fn(&[Pair]) -> Result<(), Error>,
}

/// The same rules hold in each.
const MAPS: [Place; 5] = [
    Place {
        name: "payload",
        json: |map| CreateGeneric::from_json(format!(r#"{{"payload":{map}}}"#).as_bytes()).map(drop),
        typed: |pairs| {
            CreateGeneric::new(pairs.iter().map(|(key, value)| (key, value.as_str())))?;
            Payload::new(pairs.iter().map(|(key, value)| (key, value))).map(drop)
        },
    },
    Place {
        name: "metadata of a generic token",
        json: |map| CreateGeneric::from_json(format!(r#"{{"metadata":{map},"payload":{{}}}}"#).as_bytes()).map(drop),
        typed: |pairs| {
            let request = CreateGeneric::new([("pin", "1234")])?;
            request.metadata(pairs.iter().map(|(key, value)| (key, value))).map(drop)
        },
    },
    Place {
        name: "metadata of a PCI token",
        json: |map| {
            let request = PAN_REQUEST.replace("{\"source\"", &format!(r#"{{"metadata":{map},"source""#));
            CreatePci::from_json(request.as_bytes()).map(drop)
        },
        typed: |pairs| {
            let request = CreatePci::new(PanSource::new(Pan::parse("4111111111111111")?, CardExpiry::new(1, 2030)?));
            Metadata::new(pairs.iter().map(|(key, value)| (key, value)))?;
            request.metadata(pairs.iter().map(|(key, value)| (key, value))).map(drop)
        },
    },
    Place {
        name: "new metadata of a generic token",
        json: |map| UpdateGeneric::from_json(format!(r#"{{"metadata":{map}}}"#).as_bytes()).map(drop),
        typed: |pairs| UpdateGeneric::new().metadata(pairs.iter().map(|(key, value)| (key, value))).map(drop),
    },
    Place {
        name: "new metadata of a PCI token",
        json: |map| UpdatePci::from_json(format!(r#"{{"expiry_month":1,"metadata":{map}}}"#).as_bytes()).map(drop),
        typed: |pairs| UpdatePci::new().metadata(pairs.iter().map(|(key, value)| (key, value))).map(drop),
    },
];

/// What every map says of some pairs, through JSON with plain characters, with escapes, and through typed calls.
fn each_map_says(pairs: &[(String, String)], expected: Option<&str>) {
    let members = |write: &dyn Fn(&str) -> String| {
        let members: Vec<_> =
            pairs.iter().map(|(key, value)| format!(r#""{}":"{}""#, write(key), write(value))).collect();
        format!("{{{}}}", members.join(","))
    };
    let (plain, escaped) = (members(&str::to_owned), members(&escape));
    for place in &MAPS {
        assert_eq!(rule((place.json)(&plain)).as_deref(), expected, "{}: {plain}", place.name);
        assert_eq!(rule((place.json)(&escaped)).as_deref(), expected, "{}: {escaped}", place.name);
        assert_eq!(rule((place.typed)(pairs)).as_deref(), expected, "{}, typed: {plain}", place.name);
    }
}

/// Writes every character as an escape.
fn escape(text: &str) -> String {
    text.encode_utf16().fold(String::new(), |mut escaped, unit| {
        write!(escaped, "\\u{unit:04x}").unwrap();
        escaped
    })
}

fn pair(key: impl Into<String>, value: impl Into<String>) -> (String, String) {
    (key.into(), value.into())
}

#[test]
fn a_map_has_at_most_twenty_pairs() {
    for count in [0, 1, 19, 20, 21, 40, 41, 63] {
        let pairs: Vec<_> = (0..count).map(|at| pair(format!("k{at}"), "v")).collect();
        each_map_says(&pairs, (count > 20).then_some(TOO_MANY));
    }
}

#[test]
fn a_key_has_1_to_20_characters_whatever_their_bytes() {
    for character in CHARACTERS {
        for (count, expected) in [
            (0, Some("key must not be empty")),
            (1, None),
            (20, None),
            (21, Some(KEY_TOO_LONG)),
            (80, Some(KEY_TOO_LONG)),
        ] {
            each_map_says(&[pair(character.repeat(count), "v")], expected);
        }
    }
}

#[test]
fn a_value_has_1_to_80_characters_whatever_their_bytes() {
    for character in CHARACTERS {
        for (count, expected) in [
            (0, Some("must not be empty")),
            (1, None),
            (80, None),
            (81, Some(VALUE_TOO_LONG)),
            (320, Some(VALUE_TOO_LONG)),
        ] {
            each_map_says(&[pair("key", character.repeat(count))], expected);
        }
    }
}

#[test]
fn keys_are_told_apart_by_their_characters_and_not_by_how_they_look() {
    let (composed, combined) = ("\u{e9}", "e\u{301}");
    each_map_says(&[pair(composed, "v"), pair(combined, "v")], None);
    each_map_says(&[pair("k", "v"), pair("K", "v")], None);
    each_map_says(&[pair("k", "v"), pair("l", "v"), pair("k", "w")], Some("duplicate key"));
}

#[test]
fn a_payload_of_the_largest_size_is_kept_and_given_back() {
    let (vault, _) = vault();
    let pairs: Vec<_> = (0..20).map(|at| pair(format!("{at:02}{}", "😀".repeat(18)), "😀".repeat(80))).collect();
    let request = CreateGeneric::new(pairs.iter().map(|(key, value)| (key, value))).unwrap();
    let request = request.metadata(pairs.iter().map(|(key, value)| (key, value))).unwrap();
    let token = vault.create_generic(request).unwrap();
    let same = |payload: &Payload| {
        let held: Vec<_> = payload.iter().map(|(key, value)| pair(key, value.as_str().unwrap())).collect();
        held == pairs
    };
    assert!(vault.generic_payload(token.id, same).unwrap());
    let view = vault.generic(token.id).unwrap();
    assert!(view.metadata.unwrap().iter().eq(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()))));
}

/// A lifetime as it stands in JSON, and what is said of it.
const LIFETIMES: [(&str, Option<&str>); 21] = [
    ("0", OUT_OF_RANGE),
    ("1", None),
    ("2592000", None),
    ("2592001", OUT_OF_RANGE),
    ("4294967295", OUT_OF_RANGE),
    ("4294967297", OUT_OF_RANGE),
    ("9223372036854775808", OUT_OF_RANGE),
    ("18446744073709551617", OUT_OF_RANGE),
    ("100000000000000000000000000000000", OUT_OF_RANGE),
    ("-0", OUT_OF_RANGE),
    ("-1", OUT_OF_RANGE),
    ("-60", OUT_OF_RANGE),
    ("1.0", NOT_PLAIN),
    ("1e3", NOT_PLAIN),
    ("1E3", NOT_PLAIN),
    ("60.5", NOT_PLAIN),
    ("\"60\"", NOT_A_NUMBER),
    ("true", NOT_A_NUMBER),
    ("[60]", NOT_A_NUMBER),
    ("{}", NOT_A_NUMBER),
    ("null", None),
];
const OUT_OF_RANGE: Option<&str> = Some("must be from 1 to 2592000 seconds");
const NOT_PLAIN: Option<&str> = Some("must be a plain integer, without fraction or exponent");
const NOT_A_NUMBER: Option<&str> = Some("must be an integer");

#[test]
fn a_lifetime_is_a_plain_integer_from_1_to_2592000() {
    for kind in KINDS {
        for (literal, expected) in LIFETIMES {
            let outcome = (kind.accepts)(&(kind.request)(&format!(r#""{}":{literal},"#, kind.lifetime)));
            let told = told(outcome);
            let path = format!("$.{}", kind.lifetime);
            let expected: Vec<_> = expected.map(|rule| pair(path, rule)).into_iter().collect();
            assert_eq!(told, expected, "{} {literal}", kind.name);
        }
        let (vault, _) = vault();
        for (seconds, good) in [(0, false), (1, true), (2_592_000, true), (2_592_001, false), (u64::MAX, false)] {
            let outcome = (kind.create)(&vault, Some(seconds));
            assert_eq!(outcome.is_ok(), good, "{} {seconds}", kind.name);
            if let Err(error) = outcome {
                let path = format!("$.{}", kind.lifetime);
                assert_eq!(violations(&error), [(path.as_str(), OUT_OF_RANGE.unwrap())]);
            }
        }
    }
}

#[test]
fn a_change_holds_the_same_limits_as_a_creation() {
    for (literal, expected) in LIFETIMES {
        if literal == "null" {
            continue;
        }
        let outcomes = [
            (
                "$.expiration_time",
                UpdateGeneric::from_json(format!(r#"{{"expiration_time":{literal}}}"#).as_bytes()).map(drop),
            ),
            ("$.expires_in", UpdatePci::from_json(format!(r#"{{"expires_in":{literal}}}"#).as_bytes()).map(drop)),
        ];
        for (path, outcome) in outcomes {
            let expected: Vec<_> = expected.map(|rule| pair(path, rule)).into_iter().collect();
            assert_eq!(told(outcome), expected, "{literal}");
        }
    }
    for (seconds, good) in [(0, false), (1, true), (2_592_000, true), (2_592_001, false), (u64::MAX, false)] {
        let typed = [UpdateGeneric::new().expires_in(seconds).is_ok(), UpdatePci::new().expires_in(seconds).is_ok()];
        assert_eq!(typed, [good, good], "{seconds}");
    }
    for (field, value, expected) in source_rows() {
        // Account number, type and code are no fields of an update.
        if !["expiry_month", "expiry_year", "cardholder_name"].contains(&field) || value == "null" {
            continue;
        }
        let outcome = UpdatePci::from_json(format!(r#"{{"{field}":{value}}}"#).as_bytes()).map(drop);
        assert_eq!(rule(outcome).as_deref(), expected, "{field} {value}");
    }
    for (month, good) in [(0, false), (1, true), (12, true), (13, false), (u8::MAX, false)] {
        assert_eq!(UpdatePci::new().expiry_month(month).is_ok(), good, "{month}");
    }
    for (year, good) in [(0, false), (1999, false), (2000, true), (9999, true), (10_000, false)] {
        assert_eq!(UpdatePci::new().expiry_year(year).is_ok(), good, "{year}");
    }
    for (name, good) in
        [("", false), ("n", true), (&*"é".repeat(255), true), (&*"é".repeat(256), false), ("a\n", false)]
    {
        let outcome = UpdatePci::new().cardholder_name(name).map(drop);
        assert_eq!(outcome.is_ok(), good, "{name}");
        if let Err(error) = outcome {
            assert_eq!(violations(&error)[0].0, "$.cardholder_name");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// "Identical validation rules": the same metadata and lifetime meet the same fate in a request of either kind.
    #[test]
    fn both_kinds_judge_metadata_and_lifetime_alike(
        metadata in metadata(), lifetime in lifetime(), metadata_comes_first: bool,
    ) {
        let judge = |kind: &Kind| {
            let lifetime = format!(r#""{}":{lifetime},"#, kind.lifetime);
            let metadata = format!(r#""metadata":{metadata},"#);
            let members = if metadata_comes_first { metadata + &lifetime } else { lifetime + &metadata };
            let told = told((kind.accepts)(&(kind.request)(&members)));
            told.into_iter().map(|(path, rule)| (path.replace(kind.lifetime, "<lifetime>"), rule)).collect::<Vec<_>>()
        };
        prop_assert_eq!(judge(&KINDS[0]), judge(&KINDS[1]));
    }
}

fn metadata() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        4 => "[a-z]{1,6}",
        1 => "[a-zé😀]{18,22}",
        1 => "[a-zé😀]{78,83}",
        1 => "[0-9]{6,19}",
        1 => Just(String::new()),
        1 => Just("\\ud83d".to_owned()),
        1 => Just("\\u0041".to_owned()),
    ];
    let value = prop_oneof![
        6 => text.clone().prop_map(|text| format!("\"{text}\"")),
        1 => prop_oneof![Just("null"), Just("1"), Just("true"), Just("{}"), Just("[]")].prop_map(str::to_owned),
    ];
    let pairs = prop::collection::vec((text, value), 0..24)
        .prop_map(|pairs| pairs.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect::<Vec<_>>().join(","))
        .prop_map(|pairs| format!("{{{pairs}}}"));
    prop_oneof![9 => pairs, 1 => prop_oneof![Just("null"), Just("[]"), Just("\"x\""), Just("7")].prop_map(str::to_owned)]
}

fn lifetime() -> impl Strategy<Value = String> {
    prop_oneof![
        (0_u64..2_600_000).prop_map(|seconds| seconds.to_string()),
        any::<i128>().prop_map(|seconds| seconds.to_string()),
        prop::sample::select(LIFETIMES.map(|row| row.0).to_vec()).prop_map(str::to_owned),
    ]
}

/// A field of a pan source as it stands in JSON, and what is said of it.
type SourceRow = (&'static str, String, Option<&'static str>);

fn source_rows() -> Vec<SourceRow> {
    const MONTH: Option<&str> = Some("must be from 1 to 12");
    const YEAR: Option<&str> = Some("must be from 2000 to 9999");
    const CODE: Option<&str> = Some("must have 3 or 4 digits");
    const NAME: Option<&str> = Some("must be at most 255 characters");
    let mut rows: Vec<SourceRow> = Vec::new();
    for (literal, expected) in [
        ("0", MONTH),
        ("1", None),
        ("12", None),
        ("13", MONTH),
        ("256", MONTH),
        ("257", MONTH),
        ("-1", MONTH),
        ("9223372036854775808", MONTH),
        ("1.0", NOT_PLAIN),
        ("1e0", NOT_PLAIN),
        ("\"4\"", NOT_A_NUMBER),
    ] {
        rows.push(("expiry_month", literal.to_owned(), expected));
    }
    for (literal, expected) in [
        ("1999", YEAR),
        ("2000", None),
        ("9999", None),
        ("10000", YEAR),
        ("25", YEAR),
        ("67536", YEAR),
        ("-2025", YEAR),
        ("2025.0", NOT_PLAIN),
        ("2e3", NOT_PLAIN),
        ("\"2025\"", NOT_A_NUMBER),
    ] {
        rows.push(("expiry_year", literal.to_owned(), expected));
    }
    for (length, expected) in [(1, CODE), (2, CODE), (3, None), (4, None), (5, CODE), (16, CODE)] {
        rows.push(("security_code", format!("\"{}\"", "7".repeat(length)), expected));
    }
    for character in CHARACTERS {
        for (length, expected) in [(1, None), (255, None), (256, NAME)] {
            rows.push(("cardholder_name", format!("\"{}\"", character.repeat(length)), expected));
        }
    }
    rows
}

#[test]
fn the_fields_of_a_card_hold_their_limits() {
    for (field, literal, expected) in source_rows() {
        let mut fields = vec![
            ("type", "\"pan\"".to_owned()),
            ("account_number", "\"4111111111111111\"".to_owned()),
            ("expiry_month", "12".to_owned()),
            ("expiry_year", "2025".to_owned()),
        ];
        fields.retain(|(name, _)| *name != field);
        fields.push((field, literal.clone()));
        let members: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let outcome = CreatePci::from_json(format!(r#"{{"source":{{{}}}}}"#, members.join(",")).as_bytes());
        let expected: Vec<_> = expected.map(|rule| pair(format!("$.source.{field}"), rule)).into_iter().collect();
        assert_eq!(told(outcome.map(drop)), expected, "{field} {literal}");
    }
}

#[test]
fn typed_cards_hold_the_same_limits() {
    for (month, year, paths) in [
        (0, 2025, &["$.expiry_month"][..]),
        (1, 2000, &[]),
        (12, 9999, &[]),
        (13, 1999, &["$.expiry_month", "$.expiry_year"]),
        (12, 10_000, &["$.expiry_year"]),
        (255, u16::MAX, &["$.expiry_month", "$.expiry_year"]),
    ] {
        let told = told(CardExpiry::new(month, year).map(drop));
        assert_eq!(told.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), paths, "{month} {year}");
    }
    let card = || PanSource::new(Pan::parse("4111111111111111").unwrap(), CardExpiry::new(12, 2025).unwrap());
    for character in CHARACTERS {
        assert!(card().cardholder_name(&character.repeat(255)).is_ok());
        assert_eq!(
            told(card().cardholder_name(&character.repeat(256)).map(drop)),
            [pair("$.source.cardholder_name", "must be at most 255 characters")]
        );
    }
    for (code, good) in [("", false), ("12", false), ("123", true), ("1234", true), ("12345", false), ("12a", false)] {
        let told = told(card().security_code(code).map(drop));
        assert_eq!(told.is_empty(), good, "{code}");
        assert!(told.iter().all(|(path, _)| path == "$.source.security_code"));
    }
}

#[test]
fn a_cardholder_name_of_the_longest_kind_is_kept_and_given_back() {
    let (vault, _) = vault();
    for character in CHARACTERS {
        let name = character.repeat(255);
        let request = PAN_REQUEST.replace("\"type\"", &format!(r#""cardholder_name":"{name}","type""#));
        let token = common::token(vault.create_pci(CreatePci::from_json(request.as_bytes()).unwrap()).unwrap());
        assert_eq!(token.card.cardholder_name.as_ref(), Some(&name));
        assert_eq!(vault.pci(token.id).unwrap(), token);
        assert!(vault.reveal_pci(token.id, |card| card.cardholder_name() == Some(name.as_str())).unwrap());
    }
}

#[test]
fn a_request_is_at_most_64_kib() {
    for kind in KINDS {
        let request = (kind.request)("");
        let padded = |length: usize| request.clone() + &" ".repeat(length - request.len());
        assert_eq!(told((kind.accepts)(&padded(65_536))), []);
        let too_large = told((kind.accepts)(&padded(65_537)));
        assert_eq!(too_large, [pair("$", "request is larger than 64 KiB at byte 65536")], "{}", kind.name);
        // The size is looked at before anything else.
        let nonsense = "\u{feff}{".repeat(20_000);
        assert_eq!(told((kind.accepts)(&nonsense)), too_large);
    }
}

#[test]
fn a_request_is_at_most_32_levels_deep() {
    for kind in KINDS {
        for (open, close) in [("[", "]"), (r#"{"k":"#, "}")] {
            let inner = if open == "[" { "" } else { "1" };
            let nested = |levels: usize| {
                let value = format!("{}{inner}{}", open.repeat(levels), close.repeat(levels));
                (kind.request)(&format!(r#""x":{value},"#))
            };
            // The request itself is the first level.
            assert_eq!(told((kind.accepts)(&nested(31))), [pair("$.x", "unknown field")]);
            let offset = r#"{"x":"#.len() + open.len() * 31;
            let too_deep = format!("more than 32 levels deep at byte {offset}");
            assert_eq!(told((kind.accepts)(&nested(32))), [pair("$", &too_deep)]);
            // The depth is looked at before the syntax.
            assert_eq!(
                told((kind.accepts)(&open.repeat(40)))[0].1.split(" at ").next(),
                Some("more than 32 levels deep")
            );
        }
    }
}

#[test]
fn brackets_in_text_and_beside_each_other_are_not_levels() {
    let beside = vec!["{}"; 100].join(",");
    let error = refused_generic(format!(r#"{{"payload":{{"a":"b"}},"x":[{beside}]}}"#));
    assert_eq!(violations(&error), [("$.x", "unknown field")]);
    let text = r#"[{\"\\[{"#.repeat(10);
    assert_eq!(told((GENERIC.accepts)(&format!(r#"{{"payload":{{"a":"{text}"}}}}"#))), []);
}

#[test]
fn a_page_has_1_to_100_tokens() {
    let (vault, _) = vault();
    for kind in KINDS {
        for _ in 0..101 {
            (kind.create)(&vault, None).unwrap();
        }
        for limit in [1, 99, 100] {
            let (ids, next) = (kind.list)(&vault, Page::first(limit)).unwrap();
            assert_eq!((ids.len(), next.is_some()), (limit, true));
        }
        for limit in [0, 101, usize::MAX] {
            let error = (kind.list)(&vault, Page::first(limit)).unwrap_err();
            assert_eq!(violations(&error), [("$.limit", "must be from 1 to 100")]);
        }
    }
}

const INEXACT: &str =
    "must be exactly a 64-bit integer or a double that gives back the same digits; send any other number as text";

#[test]
fn a_number_is_kept_as_its_literal_or_refused() {
    let eighty = format!("0.5{}", "0".repeat(77));
    let kept = [
        "0",
        "-0",
        "1",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "18446744073709551615",
        "0.1",
        "1.50",
        "-0.0",
        "1e2",
        "1E+2",
        "1e-7",
        "123.456",
        "5e-324",
        "2.2250738585072014e-308",
        "1.7976931348623157e308",
        "9007199254740993",
        "100000000000000000000",
        &eighty,
    ];
    let (vault, _) = vault();
    for literal in kept {
        let request = CreateGeneric::from_json(format!(r#"{{"payload":{{"n":{literal}}}}}"#).as_bytes()).unwrap();
        let token = vault.create_generic(request).unwrap();
        let held = |payload: &Payload| payload.get("n").unwrap().as_number().unwrap().as_literal().unwrap().to_owned();
        assert_eq!(vault.generic_payload(token.id, held).unwrap(), literal);
    }
    let refused = [
        "18446744073709551616",
        "-9223372036854775809",
        "9007199254740993.0",
        "0.10000000000000000001",
        "1e309",
        "-1e309",
        "1e-400",
        "3.14159265358979323846",
        "1e99999999999999999999999",
    ];
    for literal in refused {
        let error = refused_generic(format!(r#"{{"payload":{{"n":{literal}}}}}"#));
        assert_eq!(violations(&error), [("$.payload.n", INEXACT)], "{literal}");
    }
    let error = refused_generic(format!(r#"{{"payload":{{"n":{eighty}0}}}}"#));
    assert_eq!(violations(&error), [("$.payload.n", VALUE_TOO_LONG)], "81 characters, whatever they say");
}

#[test]
fn typed_numbers_hold_the_same_rules() {
    let (vault, _) = vault();
    for number in [0.0, -0.0, 0.1, 1e300, f64::MIN_POSITIVE, f64::MAX, f64::EPSILON, -123.456] {
        let token = vault.create_generic(CreateGeneric::new([("n", number)]).unwrap()).unwrap();
        let back = vault.generic_payload(token.id, |payload| payload.get("n").unwrap().as_number().unwrap().as_f64());
        assert_eq!(back.unwrap().map(f64::to_bits), Some(number.to_bits()));
    }
    let token = vault.create_generic(CreateGeneric::new([("n", u64::MAX)]).unwrap()).unwrap();
    let back = vault.generic_payload(token.id, |payload| payload.get("n").unwrap().as_number().unwrap().as_u64());
    assert_eq!(back.unwrap(), Some(u64::MAX));
    let token = vault.create_generic(CreateGeneric::new([("n", i64::MIN)]).unwrap()).unwrap();
    let back = vault.generic_payload(token.id, |payload| payload.get("n").unwrap().as_number().unwrap().as_i64());
    assert_eq!(back.unwrap(), Some(i64::MIN));
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = CreateGeneric::new([("a", 1.5), ("n", number)]).unwrap_err();
        assert_eq!(violations(&error), [("$.payload.n", INEXACT)]);
    }
}

#[test]
fn numbers_have_no_place_in_metadata_and_text_none_in_a_lifetime() {
    let error = refused_pci(PAN_REQUEST.replace("{\"source\"", r#"{"metadata":{"n":1},"source""#));
    assert_eq!(violations(&error), [("$.metadata.n", "must be a string")]);
    assert_eq!(error.kind(), ErrorKind::Validation);
}
