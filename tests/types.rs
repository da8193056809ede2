//! Promise: a payload type is a JSON Schema 2020-12 that stands on its own, and every token of the type satisfies it; a type that
//! is in use stays, whoever races with whom.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use proptest::prelude::*;
use serde_json::{Value, json};
use tokenvault::store::Table;
use tokenvault::{
    CardDataGuard, CreateGeneric, CreateType, Error, ErrorKind, Page, PayloadType, TypeId, UpdateGeneric, Vault,
    VaultOptions,
};

use common::clock::HandClock;
use common::shared::Shared;
use common::{keys, vault, violations};

const UNKNOWN_TYPE: (&str, &str) = ("$.type_id", "unknown type");

/// A type in a vault.
fn make(vault: &Vault, schema: &Value) -> PayloadType {
    vault.create_type(CreateType::new("a type", schema.to_string()).unwrap()).unwrap()
}

/// A request for a token of a type.
fn typed(payload: &str, type_id: TypeId) -> CreateGeneric {
    CreateGeneric::from_json(format!(r#"{{"payload":{payload}}}"#).as_bytes()).unwrap().type_id(type_id)
}

/// The violations of a schema.
fn refused(schema: &str) -> Vec<(String, String)> {
    let error = CreateType::new("a type", schema).map(|_| schema.to_owned()).unwrap_err();
    owned(&error)
}

fn owned(error: &Error) -> Vec<(String, String)> {
    violations(error).into_iter().map(|(path, message)| (path.to_owned(), message.to_owned())).collect()
}

/// The violations of a payload under a schema; none if it satisfies it.
fn broken(schema: &Value, payload: &str) -> Vec<(String, String)> {
    let (vault, _) = vault();
    let id = make(&vault, schema).id;
    vault.create_generic(typed(payload, id)).map_or_else(|error| owned(&error), |_| Vec::new())
}

fn kind<T>(outcome: Result<T, Error>) -> ErrorKind {
    outcome.map(|_| "it succeeded").unwrap_err().kind()
}

// What a request for a type may be.

#[test]
fn a_type_has_a_name_and_a_schema() {
    let refused = |json: &str| owned(&CreateType::from_json(json.as_bytes()).unwrap_err());
    let one = |path: &str, message: &str| vec![(path.to_owned(), message.to_owned())];
    let required = "is required";
    assert_eq!(refused("{}"), [one("$.name", required), one("$.schema", required)].concat());
    assert_eq!(
        refused(r#"{"name":null,"schema":null}"#),
        [one("$.name", required), one("$.schema", required)].concat()
    );
    assert_eq!(refused(r#"{"name":"","schema":{}}"#), one("$.name", "must not be empty"));
    assert_eq!(refused(r#"{"name":7,"schema":{}}"#), one("$.name", "must be a string"));
    let name = |characters: usize| format!(r#"{{"name":"{}","schema":true}}"#, "é".repeat(characters));
    assert!(CreateType::from_json(name(80).as_bytes()).is_ok());
    assert_eq!(refused(&name(81)), one("$.name", "must be at most 80 characters"));
    assert_eq!(refused(r#"{"name":"n","schema":{},"title":"t"}"#), one("$.title", "unknown field"));
    assert_eq!(refused(r#"{"name":"n","schema":{},"name":"m"}"#), one("$.name", "duplicate field"));
    assert_eq!(refused("[]"), one("$", "must be an object"));
    assert_eq!(refused(r#"{"name":"n","schema":{]}"#), one("$", "malformed JSON at byte 22"));
    // Of both fields at once, each in its place.
    assert_eq!(
        refused(r#"{"schema":{"type":7},"name":""}"#),
        [one("$.schema.type", "is not what JSON Schema 2020-12 allows here"), one("$.name", "must not be empty")]
            .concat()
    );
    assert_eq!(
        owned(&CreateType::new("", "{").unwrap_err()),
        [one("$.name", "must not be empty"), one("$.schema", "malformed JSON at byte 1")].concat()
    );
    assert_eq!(format!("{:?}", CreateType::new("n", "{}").unwrap()), r#"CreateType { name: "n", .. }"#);
}

#[test]
fn a_schema_is_refused_where_it_breaks_a_rule() {
    const HERE: &str = "is not what JSON Schema 2020-12 allows here";
    const DIALECT: &str = "must be `https://json-schema.org/draft/2020-12/schema`";
    const WITHIN: &str = "must lead to a schema within this one";
    const BACK: &str = "must not lead back to where it stands";
    const PATTERN: &str = "must be a regular expression of bounded size, without look-around and back-references";
    let cases: &[(&str, &[(&str, &str)])] = &[
        // Not a schema.
        ("7", &[("$.schema", HERE)]),
        ("null", &[("$.schema", HERE)]),
        ("\"{}\"", &[("$.schema", HERE)]),
        ("[]", &[("$.schema", HERE)]),
        (r#"{"type":"text"}"#, &[("$.schema.type", HERE)]),
        (
            r#"{"properties":{"a":7,"b":{"minLength":-1}}}"#,
            &[("$.schema.properties.a", HERE), ("$.schema.properties.b.minLength", HERE)],
        ),
        (r#"{"allOf":[true,{"maximum":"9"}]}"#, &[("$.schema.allOf[1].maximum", HERE)]),
        (r#"{"required":["a","a"]}"#, &[("$.schema.required", HERE)]),
        // Not the dialect.
        (r#"{"$schema":"http://json-schema.org/draft-07/schema#"}"#, &[("$.schema.$schema", DIALECT)]),
        (r#"{"$schema":"https://json-schema.org/draft/2019-09/schema"}"#, &[("$.schema.$schema", DIALECT)]),
        (r#"{"$schema":"https://example.com/my/own"}"#, &[("$.schema.$schema", DIALECT)]),
        (
            r#"{"$defs":{"a":{"$id":"b","$schema":"https://json-schema.org/draft/2019-09/schema"}}}"#,
            &[("$.schema.$defs.a.$schema", DIALECT)],
        ),
        // References that lead outside, or nowhere.
        (r##"{"$ref":"#/$defs/a"}"##, &[("$.schema.$ref", WITHIN)]),
        (r##"{"$ref":"#a"}"##, &[("$.schema.$ref", WITHIN)]),
        (r#"{"$ref":"https://example.com/schema"}"#, &[("$.schema.$ref", WITHIN)]),
        (r#"{"$ref":"http://127.0.0.1:1/schema#/a"}"#, &[("$.schema.$ref", WITHIN)]),
        (r#"{"$ref":"file:///etc/passwd"}"#, &[("$.schema.$ref", WITHIN)]),
        (r#"{"$ref":"other.json"}"#, &[("$.schema.$ref", WITHIN)]),
        (r#"{"$ref":"https://json-schema.org/draft/2020-12/schema"}"#, &[("$.schema.$ref", WITHIN)]),
        (r#"{"$ref":"https://json-schema.org/draft/2020-12/meta/format-annotation"}"#, &[("$.schema.$ref", WITHIN)]),
        (r#"{"items":{"$dynamicRef":"https://example.com/a#b"}}"#, &[("$.schema.items.$dynamicRef", WITHIN)]),
        (r##"{"enum":[{"type":"string"}],"$ref":"#/enum/0"}"##, &[("$.schema.$ref", WITHIN)]),
        (r##"{"not":{"$ref":"#/properties"},"properties":{}}"##, &[("$.schema.not.$ref", WITHIN)]),
        (r#"{"$ref":"http://[x"}"#, &[("$.schema.$ref", "must be a URI reference")]),
        (r#"{"$id":"http://[x"}"#, &[("$.schema.$id", "must be a URI reference")]),
        // Recursion.
        (r##"{"$ref":"#"}"##, &[("$.schema.$ref", BACK)]),
        (r##"{"properties":{"a":{"$ref":"#"}}}"##, &[("$.schema.properties.a.$ref", BACK)]),
        (
            r##"{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"not":{"$ref":"#/$defs/a"}}}}"##,
            &[("$.schema.$defs.b.not.$ref", BACK)],
        ),
        (r##"{"$dynamicAnchor":"a","items":{"$dynamicRef":"#a"}}"##, &[("$.schema.items.$dynamicRef", BACK)]),
        (
            r#"{"$id":"https://example.com/a","items":{"$ref":"https://example.com/a"}}"#,
            &[("$.schema.items.$ref", BACK)],
        ),
        (r##"{"dependencies":{"a":{"$ref":"#"}}}"##, &[("$.schema.dependencies.a.$ref", BACK)]),
        // Patterns.
        (r#"{"pattern":"(?=a)b"}"#, &[("$.schema.pattern", PATTERN)]),
        (r#"{"pattern":"(a)\\1"}"#, &[("$.schema.pattern", PATTERN)]),
        (r#"{"pattern":"("}"#, &[("$.schema.pattern", PATTERN)]),
        (r#"{"pattern":"((a{99}){99}){99}"}"#, &[("$.schema.pattern", PATTERN)]),
        (r#"{"patternProperties":{"^a":true,"(?!x)":true}}"#, &[("$.schema.patternProperties[#2]", PATTERN)]),
        (
            r#"{"properties":{"a":{"pattern":"[z-a]"},"b":{"pattern":"[z-a]"}}}"#,
            &[("$.schema.properties.a.pattern", PATTERN), ("$.schema.properties.b.pattern", PATTERN)],
        ),
        // The text.
        (r#"{"type":"string","type":"object"}"#, &[("$.schema.type", "duplicate key")]),
        (
            r#"{"properties":{"a":true,"4111111111111111":1,"4111111111111111":2}}"#,
            &[("$.schema.properties[#3]", "duplicate key")],
        ),
        (r#"{"enum":["\ud800"]}"#, &[("$.schema.enum[0]", "must not contain a lone surrogate")]),
        (r#"{"\ud800":1}"#, &[("$.schema[#1]", "must not contain a lone surrogate")]),
        (r#"{"maximum":1e999}"#, &[("$.schema", "must have no number beyond those of 64 bits")]),
        ("7 x", &[("$.schema", "malformed JSON at byte 2")]),
        ("{} x", &[("$.schema", "malformed JSON at byte 3")]),
        ("", &[("$.schema", "malformed JSON at byte 0")]),
    ];
    for (schema, expected) in cases {
        let told = refused(schema);
        let told: Vec<_> = told.iter().map(|(path, message)| (path.as_str(), message.as_str())).collect();
        assert_eq!(&told, expected, "{schema}");
        let within = format!(r#"{{"name":"n","schema":{schema}}}"#);
        if !expected[0].1.starts_with("malformed") && *schema != "null" {
            let error = CreateType::from_json(within.as_bytes()).unwrap_err();
            assert_eq!(&violations(&error), expected, "{within}");
        }
    }
}

#[test]
fn what_stands_on_its_own_is_accepted() {
    let nested = |levels: usize| format!("{}{{}}{}", r#"{"not":"#.repeat(levels - 1), "}".repeat(levels - 1));
    for schema in [
        "true",
        "false",
        "{}",
        r#"{"$schema":"https://json-schema.org/draft/2020-12/schema"}"#,
        r#"{"$schema":"https://json-schema.org/draft/2020-12/schema#"}"#,
        r##"{"$defs":{"a":{"type":"string"}},"properties":{"x":{"$ref":"#/$defs/a"},"y":{"$ref":"#/$defs/a"}}}"##,
        r##"{"definitions":{"a":{"type":"string"}},"properties":{"x":{"$ref":"#/definitions/a"}}}"##,
        r##"{"$defs":{"a":{"$anchor":"text"}},"$ref":"#text"}"##,
        r##"{"$defs":{"a":{"$dynamicAnchor":"text"}},"$dynamicRef":"#text"}"##,
        r#"{"$id":"https://example.com/a","$defs":{"b":{"$id":"b","$defs":{"c":true}}},"properties":{"x":{"$ref":"b#/$defs/c"}}}"#,
        r#"{"$id":"https://example.com/a","$defs":{"b":{}},"not":{"$ref":"https://example.com/a#/$defs/b"}}"#,
        r#"{"properties":{"a":{"format":"ipv4","contentEncoding":"base64"}},"x-of-mine":{"$ref":"nowhere","type":7}}"#,
        r#"{"properties":{"$ref":{"type":"string"},"$schema":true,"":false}}"#,
        r#"{"examples":[{"$ref":"http://example.com"}],"const":{"$schema":"mine"},"default":""}"#,
        r#"{"pattern":"^[\\p{L} ]{1,80}$"}"#,
        &nested(32),
    ] {
        let (vault, _) = vault();
        let made = vault.create_type(CreateType::new("n", schema).unwrap()).unwrap();
        assert_eq!(made.schema, serde_json::from_str::<Value>(schema).unwrap());
        assert_eq!(serde_json::to_string(&made.schema).unwrap(), schema, "in the order in which it came");
    }
    assert_eq!(refused(&nested(33)), [("$.schema".to_owned(), "more than 32 levels deep at byte 224".to_owned())]);
}

#[test]
fn what_a_format_says_is_not_checked() {
    let schema = json!({"properties": {"a": {"format": "ipv4"}, "b": {"contentEncoding": "base64", "contentMediaType": "application/json"}}});
    assert_eq!(broken(&schema, r#"{"a":"not an address","b":"!"}"#), []);
}

#[test]
fn a_schema_is_at_most_32_kib() {
    let of = |bytes: usize| format!(r#"{{"title":"{}"}}"#, "t".repeat(bytes - 12));
    assert_eq!(of(32 * 1024).len(), 32 * 1024);
    assert!(CreateType::new("n", of(32 * 1024)).is_ok());
    let too_large = "must be at most 32 KiB".to_owned();
    assert_eq!(refused(&of(32 * 1024 + 1)), [("$.schema".to_owned(), too_large.clone())]);
    assert_eq!(refused(&of(65_536)), [("$.schema".to_owned(), too_large)]);
    assert_eq!(
        refused(&of(65_537)),
        [("$.schema".to_owned(), "request is larger than 64 KiB at byte 65536".to_owned())]
    );
}

/// Every keyword that the validator or an earlier version of JSON Schema gives schemas to, and a few that are none.
const HOLDERS: [&str; 28] = [
    "$defs",
    "definitions",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentSchemas",
    "dependencies",
    "prefixItems",
    "items",
    "additionalItems",
    "contains",
    "properties",
    "patternProperties",
    "additionalProperties",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
    "extends",
    "disallow",
    "dependentRequired",
    "$recursiveRef",
    "default",
    "unknown",
];

#[test]
fn no_keyword_hides_a_recursion() {
    let (vault, _) = vault();
    let here = r##"{"$ref":"#"}"##;
    for holder in HOLDERS {
        for held in [here.to_owned(), format!("[{here}]"), format!(r#"{{"a":{here}}}"#), r##""#""##.to_owned()] {
            let schema = format!(r#"{{"if":true,"{holder}":{held}}}"#);
            // Refused, or harmless to a payload that it is about.
            if let Ok(request) = CreateType::new("n", &schema) {
                let id = vault.create_type(request).unwrap().id;
                drop(vault.create_generic(typed(r#"{"a":"1"}"#, id)));
            }
        }
    }
}

#[test]
fn a_schema_of_many_violations_is_told_of_in_one_walk() {
    let schema = |count: usize| format!(r#"{{"allOf":[{}]}}"#, vec![r#"{"$ref":"%"}"#; count].join(","));
    let told = refused(&schema(2400));
    assert_eq!(
        (told.len(), told[99].0.as_str(), told[100].1.as_str()),
        (101, "$.schema.allOf[99].$ref", "and 2300 more")
    );
    let taken = |count| {
        let schema = schema(count);
        let best = (0..5).map(|_| {
            let begun = Instant::now();
            drop(refused(&schema));
            begun.elapsed()
        });
        best.min().unwrap()
    };
    let (some, more) = (taken(300), taken(2400));
    assert!(more < some * 32, "8 times as many took {more:?} after {some:?}");
}

/// Definitions that each refer to the one before so many times: they unfold like the powers of it.
fn powers(times: usize, of: usize, each: &str) -> String {
    let definition = |at: usize| {
        let before = vec![format!(r##"{{"$ref":"#/$defs/d{}"}}"##, at - 1); times].join(",");
        format!(r#""d{at}":{{"allOf":[{before}]{each}}}"#)
    };
    let definitions: Vec<_> = (1..=of).map(definition).collect();
    format!(r##"{{"$defs":{{"d0":true,{}}},"$ref":"#/$defs/d{of}"}}"##, definitions.join(","))
}

#[test]
fn what_references_unfold_to_is_bounded() {
    let many = ("unfolds to more than 10000 nodes", "$ref");
    // 2^11 truths, and a reference and a schema around each pair of them.
    assert!(CreateType::new("n", powers(2, 10, "")).is_ok());
    let told = refused(&powers(2, 14, ""));
    assert_eq!((told.len(), told[0].1.as_str()), (1, many.0));
    assert!(told[0].0.starts_with("$.schema.$defs.d"), "{told:?}");
    // `unevaluatedProperties` evaluates what is below again and again.
    assert!(CreateType::new("n", powers(2, 3, r#","unevaluatedProperties":true"#)).is_ok());
    assert_eq!(refused(&powers(2, 10, r#","unevaluatedProperties":true"#))[0].1, many.0);
    // A long enumeration is no reference, and may be as long as the schema.
    let ones = |count: usize| vec!["1"; count].join(",");
    assert!(CreateType::new("n", format!(r#"{{"examples":[{}]}}"#, ones(16_000))).is_ok());
    let twice = format!(
        r##"{{"$defs":{{"a":{{"examples":[{}]}}}},"allOf":[{{"$ref":"#/$defs/a"}},{{"$ref":"#/$defs/a"}}]}}"##,
        ones(12_000)
    );
    assert_eq!(refused(&twice)[0].1, many.0);
    // One after the other they nest as deep as there are definitions.
    assert!(CreateType::new("n", powers(1, 45, "")).is_ok());
    assert_eq!(refused(&powers(1, 60, ""))[0].1, "unfolds to more than 100 schemas within each other");
}

#[test]
fn the_deepest_schema_is_checked_on_a_small_stack() {
    let (vault, _) = vault();
    let schema = powers(1, 48, "");
    let chain: Vec<_> = (0..1100).map(|at| format!(r##""{at}":{{"$ref":"#/$defs/{}"}}"##, at + 1)).collect();
    let chain = format!(r#"{{"$defs":{{{},"1100":true}}}}"#, chain.join(","));
    let checked = thread::Builder::new().stack_size(512 * 1024).spawn(move || {
        assert_eq!(refused(&chain)[0].1, "unfolds to more than 100 schemas within each other");
        let id = vault.create_type(CreateType::new("n", schema).unwrap()).unwrap().id;
        vault.create_generic(typed(r#"{"a":1}"#, id)).unwrap();
    });
    checked.unwrap().join().unwrap();
}

#[test]
fn the_patterns_of_a_schema_share_a_bound() {
    let patterns = |count: usize, pattern: &str| {
        let each: Vec<_> = (0..count).map(|at| format!(r#""k{at}":{{"pattern":"^{at}{pattern}"}}"#)).collect();
        format!(r#"{{"properties":{{{}}}}}"#, each.join(","))
    };
    assert!(CreateType::new("n", patterns(200, "[a-z]{2}[0-9]{4}$")).is_ok());
    assert!(CreateType::new("n", patterns(2, r"[\\p{L}]{1,30}$")).is_ok());
    let told = refused(&patterns(40, r"[\\p{L}]{1,30}$"));
    assert_eq!((told.len(), told[0].0.as_str()), (40, "$.schema.properties.k0.pattern"));
}

#[test]
fn more_than_a_hundred_violations_are_counted() {
    let each: Vec<_> = (0..130).map(|at| format!(r#""k{at}":7"#)).collect();
    let told = refused(&format!(r#"{{"properties":{{{}}}}}"#, each.join(",")));
    assert_eq!((told.len(), &told[100]), (101, &("$".to_owned(), "and 30 more".to_owned())));
}

// What a payload is told.

#[test]
fn each_keyword_is_told_where_it_is_broken() {
    let a = |keyword: &str, limit: Value| json!({"properties": {"a": {keyword: limit}}});
    let cases = [
        (a("type", json!("integer")), r#"{"a":"x"}"#, "must be of a type that the schema allows"),
        (a("type", json!(["string", "boolean"])), r#"{"a":1}"#, "must be of a type that the schema allows"),
        (a("enum", json!(["x", 1])), r#"{"a":"y"}"#, "must be one of the values that the schema lists"),
        (a("const", json!(1)), r#"{"a":2}"#, "must be the value that the schema states"),
        (a("minimum", json!(1)), r#"{"a":0.5}"#, "is less than the schema allows"),
        (a("exclusiveMinimum", json!(1)), r#"{"a":1}"#, "is less than the schema allows"),
        (a("maximum", json!(1)), r#"{"a":18446744073709551615}"#, "is more than the schema allows"),
        (a("exclusiveMaximum", json!(1)), r#"{"a":1.0}"#, "is more than the schema allows"),
        (a("multipleOf", json!(0.01)), r#"{"a":0.015}"#, "must be a multiple of what the schema states"),
        (a("minLength", json!(2)), r#"{"a":"é"}"#, "is shorter than the schema allows"),
        (a("maxLength", json!(1)), r#"{"a":"éé"}"#, "is longer than the schema allows"),
        (a("pattern", json!("^[0-9]+$")), r#"{"a":"x"}"#, "must match the pattern of the schema"),
        (a("pattern", json!("^x")), r#"{"a":"y"}"#, "must match the pattern of the schema"),
        (
            a("anyOf", json!([{"minimum": 1}, {"maximum": -1}])),
            r#"{"a":0}"#,
            "must satisfy at least one of the schemas of `anyOf`",
        ),
        (a("oneOf", json!([true, true])), r#"{"a":0}"#, "must satisfy exactly one of the schemas of `oneOf`"),
        (a("oneOf", json!([false])), r#"{"a":0}"#, "must satisfy exactly one of the schemas of `oneOf`"),
        (a("not", json!({"const": 0})), r#"{"a":0}"#, "must not satisfy the schema of `not`"),
        (json!({"properties": {"a": false}}), r#"{"a":0}"#, "is not allowed by the schema of its type"),
        (json!({"additionalProperties": false}), r#"{"a":0}"#, "is not allowed by the schema of its type"),
        (json!({"unevaluatedProperties": false}), r#"{"a":0}"#, "is not allowed by the schema of its type"),
        (json!({"propertyNames": false}), r#"{"a":0}"#, "is not allowed by the schema of its type"),
        (json!({"propertyNames": {"minLength": 2}}), r#"{"a":0}"#, "has a key that the schema does not allow"),
        (
            json!({"patternProperties": {"^a$": {"type": "string"}}}),
            r#"{"a":0}"#,
            "must be of a type that the schema allows",
        ),
        (json!({"additionalProperties": {"type": "string"}}), r#"{"a":0}"#, "must be of a type that the schema allows"),
        (json!({"required": ["b", "a"]}), r#"{"b":0}"#, "is required"),
        (json!({"dependentRequired": {"b": ["a"]}}), r#"{"b":0}"#, "is required"),
        (json!({"dependentSchemas": {"b": {"required": ["a"]}}}), r#"{"b":0}"#, "is required"),
        (json!({"if": {"required": ["b"]}, "then": {"required": ["a"]}}), r#"{"b":0}"#, "is required"),
        (json!({"allOf": [{"$ref": "#/$defs/x"}], "$defs": {"x": {"required": ["a"]}}}), r#"{"b":0}"#, "is required"),
    ];
    for (schema, payload, message) in cases {
        assert_eq!(broken(&schema, payload), [("$.payload.a".to_owned(), message.to_owned())], "{schema}");
    }
    let whole = [
        (json!(false), "{}", "is not allowed by the schema of its type"),
        (json!({"type": "array"}), "{}", "must be of a type that the schema allows"),
        (json!({"minProperties": 1}), "{}", "has fewer pairs than the schema allows"),
        (json!({"maxProperties": 1}), r#"{"a":1,"b":1}"#, "has more pairs than the schema allows"),
        (json!({"const": {"a": 2}}), r#"{"a":1}"#, "must be the value that the schema states"),
        (
            json!({"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}),
            "{}",
            "must satisfy at least one of the schemas of `anyOf`",
        ),
        (json!({"required": ["größe"]}), "{}", "lacks a pair that the schema requires"),
    ];
    for (schema, payload, message) in whole {
        assert_eq!(broken(&schema, payload), [("$.payload".to_owned(), message.to_owned())], "{schema}");
    }
}

#[test]
fn every_violation_is_told_at_once_in_the_order_of_the_payload() {
    const NOT_ALLOWED: &str = "is not allowed by the schema of its type";
    let schema = json!({
        "required": ["z", "y", "b"],
        "minProperties": 9,
        "properties": {"c": {"type": "string"}, "b": {"maximum": 1, "multipleOf": 2}},
        "additionalProperties": false
    });
    let told = broken(&schema, r#"{"b":3,"4111111111111111":1,"c":true,"größe":1,"d":1}"#);
    let told: Vec<_> = told.iter().map(|(path, message)| (path.as_str(), message.as_str())).collect();
    assert_eq!(
        told,
        [
            ("$.payload", "has fewer pairs than the schema allows"),
            ("$.payload.b", "is more than the schema allows"),
            ("$.payload[#2]", NOT_ALLOWED),
            ("$.payload.c", "must be of a type that the schema allows"),
            ("$.payload[#4]", NOT_ALLOWED),
            ("$.payload.d", NOT_ALLOWED),
            ("$.payload.z", "is required"),
            ("$.payload.y", "is required"),
        ]
    );
}

#[test]
fn a_key_that_may_not_be_shown_is_told_by_its_position_or_not_at_all() {
    let at = |path: &str, message: &str| vec![(path.to_owned(), message.to_owned())];
    let number = r#"{"a":1,"4111111111111111":1}"#;
    let text = json!({"type": "string"});
    let allowed = "must be of a type that the schema allows";
    // The schema names it.
    let named = json!({"properties": {"4111111111111111": text}});
    assert_eq!(broken(&named, number), at("$.payload[#2]", allowed));
    // The schema does not, and judges all keys alike.
    let alike = json!({"properties": {"a": true}, "additionalProperties": text});
    assert_eq!(broken(&alike, number), at("$.payload[#2]", allowed));
    assert_eq!(broken(&alike, r#"{"a":1,"a/b":1}"#), at("$.payload[#2]", allowed));
    assert_eq!(broken(&alike, r#"{"a~1b":1}"#), at("$.payload[#1]", allowed));
    // A name that stands in for it is none of the schema's.
    let stand_in = json!({"properties": {"#1": true, "#1##": true}, "additionalProperties": false});
    assert_eq!(broken(&stand_in, number).len(), 2);
    // The schema judges keys by more than their being named: what is wrong is not told of a key that cannot be.
    let judging = json!({"patternProperties": {"^[0-9]": text}});
    assert_eq!(broken(&judging, number), at("$.payload", "does not satisfy the schema of its type"));
    assert_eq!(broken(&judging, r#"{"a":1,"41111":1}"#), at("$.payload.41111", allowed));
    // What satisfies the schema does so under its own name.
    assert_eq!(broken(&json!({"propertyNames": {"pattern": "^[0-9a]+$"}}), number), []);
}

#[test]
fn numbers_are_judged_by_what_they_say() {
    for (schema, payload, is_valid) in [
        (json!({"type": "integer"}), r#"{"a":1.0}"#, true),
        (json!({"type": "integer"}), r#"{"a":1e2}"#, true),
        (json!({"type": "integer"}), r#"{"a":-0.0}"#, true),
        (json!({"type": "integer"}), r#"{"a":0.5}"#, false),
        (json!({"type": "number"}), r#"{"a":18446744073709551615}"#, true),
        (json!({"maximum": 18_446_744_073_709_551_614_u64}), r#"{"a":18446744073709551615}"#, false),
        (json!({"minimum": -9_223_372_036_854_775_807_i64}), r#"{"a":-9223372036854775808}"#, false),
        (json!({"const": 100}), r#"{"a":1e2}"#, true),
        (json!({"const": 1.5}), r#"{"a":1.50}"#, true),
        (json!({"enum": [0.1, 2]}), r#"{"a":2.0}"#, true),
        (json!({"enum": [0.1, 2]}), r#"{"a":0.2}"#, false),
        (json!({"multipleOf": 0.1}), r#"{"a":0.30}"#, true),
        (json!({"multipleOf": 3}), r#"{"a":9007199254740993}"#, true),
        (json!({"const": "1"}), r#"{"a":1}"#, false),
        (json!({"const": true}), r#"{"a":1}"#, false),
    ] {
        let told = broken(&json!({"properties": {"a": schema}}), payload);
        assert_eq!(told.is_empty(), is_valid, "{schema} {payload} {told:?}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        (-3_i64..4).prop_map(Value::from),
        (-6_i32..7).prop_map(|halves| Value::from(f64::from(halves) / 2.0)),
        "[abé0-9]{1,3}".prop_map(Value::from),
    ]
}

/// Schemas of payloads, of every keyword that can speak of one.
fn any_schema() -> impl Strategy<Value = Value> {
    let types =
        prop_oneof![Just("string"), Just("integer"), Just("number"), Just("boolean"), Just("object"), Just("null")];
    let name = "[a-c1]{1,2}";
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        Just(json!({})),
        types.prop_map(|name| json!({"type": name})),
        prop::collection::vec(any_value(), 1..4).prop_map(|values| json!({"enum": values})),
        any_value().prop_map(|value| json!({"const": value})),
        (-3_i32..4).prop_map(|limit| json!({"minimum": limit, "multipleOf": 0.5})),
        (-3_i32..4).prop_map(|limit| json!({"exclusiveMaximum": limit})),
        (0_u32..4).prop_map(|length| json!({"minLength": length, "pattern": "^[ab]|[0-9]$"})),
        prop::collection::vec(name, 0..3).prop_map(
            |names| json!({"dependentRequired": {"a": names.into_iter().collect::<std::collections::BTreeSet<_>>()}})
        ),
        prop::collection::btree_set(name, 0..3).prop_map(|names| json!({"required": names})),
        (0_u32..3, 0_u32..3).prop_map(|(least, more)| json!({"minProperties": least, "maxProperties": least + more})),
    ];
    leaf.prop_recursive(3, 24, 3, move |inner| {
        let list = prop::collection::vec(inner.clone(), 1..3);
        let map = prop::collection::btree_map(name, inner.clone(), 0..3);
        prop_oneof![
            (map.clone(), inner.clone())
                .prop_map(|(map, rest)| json!({"properties": map, "additionalProperties": rest})),
            (map.clone(), inner.clone())
                .prop_map(|(map, rest)| json!({"patternProperties": map, "unevaluatedProperties": rest})),
            (map, inner.clone()).prop_map(|(map, rest)| json!({"dependentSchemas": map, "propertyNames": rest})),
            list.clone().prop_map(|list| json!({"allOf": list, "unevaluatedProperties": false})),
            list.clone().prop_map(|list| json!({"anyOf": list})),
            list.prop_map(|list| json!({"oneOf": list})),
            inner.clone().prop_map(|not| json!({"not": not})),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(a, b, c)| json!({"if": a, "then": b, "else": c, "$defs": {"x": true}})),
        ]
    })
}

proptest! {
    #[test]
    fn a_payload_is_judged_as_the_validator_judges_it_as_json(
        schema in any_schema(),
        payload in prop::collection::btree_map("[a-c1]{1,2}|4111111111111111|é", any_value(), 0..5),
    ) {
        let payload = serde_json::to_value(&payload).unwrap();
        let judge = jsonschema::draft202012::new(&schema).unwrap();
        let (vault, _) = vault();
        let id = make(&vault, &schema).id;
        match vault.create_generic(typed(&payload.to_string(), id)) {
            Ok(_) => prop_assert!(judge.is_valid(&payload), "accepted"),
            Err(error) => {
                prop_assert!(!judge.is_valid(&payload), "{error}");
                let told = owned(&error);
                prop_assert!(!told.is_empty() && told.iter().all(|(path, _)| path.starts_with("$.payload")), "{told:?}");
                // What the validator says of the payload as a whole or of a pair is told there, where it can be.
                let hidden = payload.as_object().unwrap().keys().any(|key| key.len() > 2 || key == "é");
                if !hidden {
                    for own in judge.iter_errors(&payload).filter(|own| !own.instance_path().as_str().is_empty()) {
                        let path = own.instance_path().as_str().replace('/', "$.payload.");
                        prop_assert!(told.iter().any(|(told, _)| *told == path), "{path} {told:?}");
                    }
                }
            }
        }
    }
}

// The life of a type.

#[test]
fn a_type_is_made_seen_listed_and_deleted_once() {
    let (vault, _) = vault();
    let schema =
        r#"{"required":["iban"],"properties":{"iban":{"type":"string","maxLength":34}},"x":[1,2.50,{"":null}]}"#;
    let made = vault.create_type(CreateType::new("Account ü", schema).unwrap()).unwrap();
    let json = serde_json::to_string(&made).unwrap();
    let id = made.id;
    assert_eq!(
        json,
        format!(
            r#"{{"id":"{id}","created_at":"2026-01-02T03:04:05.678Z","name":"Account ü","schema":{}}}"#,
            schema.replace("2.50", "2.5")
        )
    );
    assert_eq!(serde_json::from_str::<PayloadType>(&json).unwrap(), made);
    assert_eq!(vault.type_by_id(id).unwrap(), made);
    let other = make(&vault, &json!({}));
    let mut both = [made, other];
    both.sort_by_key(|one| one.id);
    assert_eq!(vault.list_types(Page::default()).unwrap().data, both);
    let first = vault.list_types(Page::first(1)).unwrap();
    assert_eq!(first.links.next.unwrap(), format!("/api/admin/types?limit=1&after={}", both[0].id));
    let second = vault.list_types(Page::first(1).after(both[0].id)).unwrap();
    assert_eq!((second.data, second.links.next), (vec![both[1].clone()], None));
    assert_eq!(vault.stats().unwrap().payload_types, 2);
    vault.delete_type(id).unwrap();
    for gone in [kind(vault.type_by_id(id)), kind(vault.delete_type(id))] {
        assert_eq!(gone, ErrorKind::NotFound);
    }
    assert_eq!(vault.stats().unwrap().payload_types, 1);
}

#[test]
fn the_kinds_of_ids_do_not_mix() {
    let (vault, _) = vault();
    let id = make(&vault, &json!({})).id;
    let token = vault.create_generic(typed("{}", id)).unwrap().id;
    let as_type = TypeId::from(*token.as_uuid());
    assert_eq!(kind(vault.type_by_id(as_type)), ErrorKind::NotFound);
    assert_eq!(kind(vault.delete_type(as_type)), ErrorKind::NotFound);
    assert_eq!(kind(vault.generic(tokenvault::TokenId::from(*id.as_uuid()))), ErrorKind::NotFound);
    assert_eq!(owned(&vault.create_generic(typed("{}", as_type)).unwrap_err())[0].0, "$.type_id");
}

#[test]
fn a_typed_token_is_answered_viewed_and_lent_like_any_other() {
    let (vault, _) = vault();
    let id = make(&vault, &json!({"required": ["pin"]})).id;
    let json =
        format!(r#"{{"type_id":"{id}","payload":{{"pin":"1234"}},"metadata":{{"k":"v"}},"expiration_time":60}}"#);
    let token = vault.create_generic(CreateGeneric::from_json(json.as_bytes()).unwrap()).unwrap();
    assert_eq!(
        serde_json::to_string(&token).unwrap(),
        format!(
            r#"{{"id":"{}","created_at":"2026-01-02T03:04:05.678Z","expires_at":"2026-01-02T03:05:05.678Z","metadata":{{"k":"v"}}}}"#,
            token.id
        )
    );
    assert_eq!(vault.generic(token.id).unwrap(), token);
    assert!(vault.generic_payload(token.id, |payload| payload.get("pin").unwrap().as_str() == Some("1234")).unwrap());
}

#[test]
fn a_typed_token_that_is_changed_keeps_its_type() {
    let store = Shared::default();
    let vault = VaultOptions::new().open_with(store.clone(), keys()).unwrap();
    let id = make(&vault, &json!({})).id;
    let token = vault.create_generic(typed(r#"{"a":1}"#, id)).unwrap();
    let change = UpdateGeneric::new().metadata([("k", "v")]).unwrap().expires_in(60).unwrap();
    let changed = vault.update_generic(token.id, change).unwrap();
    assert_eq!(vault.list_generic(Page::default().of_type(id)).unwrap().data, [changed]);
    assert_eq!(store.rows(Table::TypeUse).len(), 2);
    assert_eq!(kind(vault.delete_type(id)), ErrorKind::Conflict);
    vault.delete_generic(token.id).unwrap();
    vault.delete_type(id).unwrap();
    assert_eq!(store.rows(Table::TypeUse), []);
}

#[test]
fn what_the_vault_and_the_type_refuse_is_told_at_once() {
    let options = VaultOptions::new().card_data_guard(CardDataGuard::On);
    let vault = options.open_with(Shared::default(), keys()).unwrap();
    let id = make(&vault, &json!({"properties": {"a": {"maxLength": 3}, "b": {"maxLength": 3}}})).id;
    let error = vault.create_generic(typed(r#"{"a":"4111111111111111","b":"four"}"#, id)).unwrap_err();
    let told = owned(&error);
    let paths: Vec<_> = told.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["$.payload.a", "$.payload.b"], "one a path: {told:?}");
}

#[test]
fn an_id_that_names_no_type_is_refused_at_its_place() {
    let (vault, _) = vault();
    let gone = make(&vault, &json!({})).id;
    vault.delete_type(gone).unwrap();
    for id in [gone, "8744c9ea-a02b-4ae6-875c-b64fc333e3ef".parse().unwrap()] {
        assert_eq!(violations(&vault.create_generic(typed("{}", id)).unwrap_err()), [UNKNOWN_TYPE]);
        assert_eq!(violations(&vault.list_generic(Page::default().of_type(id)).unwrap_err()), [UNKNOWN_TYPE]);
    }
    for malformed in ["x", "8744c9eaa02b4ae6875cb64fc333e3ef", "{8744c9ea-a02b-4ae6-875c-b64fc333e3ef}"] {
        let json = format!(r#"{{"payload":{{}},"type_id":"{malformed}"}}"#);
        let error = CreateGeneric::from_json(json.as_bytes()).unwrap_err();
        assert_eq!(violations(&error), [("$.type_id", "must be a UUID in hyphenated form")]);
    }
}

#[test]
fn a_type_outlives_its_vault_being_closed() {
    let store = Shared::default();
    let open = || VaultOptions::new().open_with(store.clone(), keys()).unwrap();
    let vault = open();
    let made = make(&vault, &json!({"required": ["iban"]}));
    let token = vault.create_generic(typed(r#"{"iban":"x"}"#, made.id)).unwrap();
    vault.close().unwrap();
    let vault = open();
    assert_eq!(owned(&vault.create_generic(typed("{}", made.id)).unwrap_err())[0].0, "$.payload.iban");
    assert_eq!(vault.type_by_id(made.id).unwrap(), made);
    assert_eq!(kind(vault.delete_type(made.id)), ErrorKind::Conflict);
    vault.delete_generic(token.id).unwrap();
    vault.delete_type(made.id).unwrap();
    vault.close().unwrap();
    let closed = [
        kind(vault.type_by_id(made.id)),
        kind(vault.delete_type(made.id)),
        kind(vault.list_types(Page::default())),
        kind(vault.create_type(CreateType::new("n", "{}").unwrap())),
        kind(vault.create_generic(typed("{}", made.id))),
    ];
    assert_eq!(closed, [ErrorKind::Unavailable; 5]);
}

#[test]
fn name_and_schema_are_sealed_at_rest() {
    let store = Shared::default();
    let vault = VaultOptions::new().open_with(store.clone(), keys()).unwrap();
    let schema = r#"{"title":"a most peculiar title"}"#;
    vault.create_type(CreateType::new("a most peculiar name", schema).unwrap()).unwrap();
    for (_, record) in Table::ALL.iter().flat_map(|table| store.rows(*table)) {
        assert!(!record.windows(8).any(|run| run == b"peculiar"));
    }
}

#[cfg(feature = "sled")]
#[test]
fn the_largest_type_and_its_tokens_are_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault");
    let longest = "n".repeat(80);
    let schema = format!(r#"{{"required":["a"],"title":"{}"}}"#, "t".repeat(32 * 1024 - 29));
    assert_eq!(schema.len(), 32 * 1024);
    let vault = Vault::create(&path, keys()).unwrap();
    let made = vault.create_type(CreateType::new(&longest, &schema).unwrap()).unwrap();
    let token = vault.create_generic(typed(r#"{"a":1}"#, made.id)).unwrap();
    vault.close().unwrap();
    let vault = Vault::open(&path, keys()).unwrap();
    assert_eq!(vault.list_types(Page::default()).unwrap().data, std::slice::from_ref(&made));
    assert_eq!(vault.list_generic(Page::default().of_type(made.id)).unwrap().data, [token]);
    assert_eq!(owned(&vault.create_generic(typed("{}", made.id)).unwrap_err())[0].0, "$.payload.a");
}

#[test]
fn a_type_stays_while_a_live_token_uses_it_and_leaves_no_trace() {
    let (store, clock) = (Shared::default(), HandClock::at("2026-01-02T03:04:05.678Z"));
    let vault = VaultOptions::new().clock(clock.clone()).open_with(store.clone(), keys()).unwrap();
    let id = make(&vault, &json!({})).id;
    let request = || typed(r#"{"a":1}"#, id);
    let for_ever = vault.create_generic(request()).unwrap().id;
    for _ in 0..300 {
        vault.create_generic(request().expires_in(60).unwrap()).unwrap();
    }
    assert_eq!((store.rows(Table::TypeUse).len(), store.rows(Table::Generic).len()), (302, 301));
    assert_eq!(kind(vault.delete_type(id)), ErrorKind::Conflict);
    clock.advance_millis(60_000);
    // One by one: read, swept, deleted, or removed with the type.
    let expired = vault.list_generic(Page::default()).unwrap();
    assert_eq!(expired.data.len(), 1, "expired ones are passed over");
    assert_eq!(kind(vault.delete_type(id)), ErrorKind::Conflict, "one still lives");
    vault.delete_generic(for_ever).unwrap();
    vault.delete_type(id).unwrap();
    for table in Table::ALL.iter().filter(|table| **table != Table::State) {
        assert_eq!(store.rows(*table), [], "{table:?}");
    }
    // Each way in which a token goes takes its row along.
    let id = make(&vault, &json!({})).id;
    let uses = || store.rows(Table::TypeUse).len();
    let request = || typed("{}", id).expires_in(1).unwrap();
    let [read, _swept, deleted] = [0; 3].map(|_| vault.create_generic(request()).unwrap().id);
    assert_eq!(uses(), 4);
    vault.delete_generic(deleted).unwrap();
    assert_eq!(uses(), 3);
    clock.advance_millis(1000);
    assert_eq!(kind(vault.generic(read)), ErrorKind::NotFound);
    assert_eq!(uses(), 2);
    assert_eq!(vault.sweep().unwrap().expired_generic, 1);
    assert_eq!(uses(), 1);
    vault.delete_type(id).unwrap();
    assert_eq!(uses(), 0);
}

#[test]
fn a_token_that_does_not_prove_to_be_expired_keeps_its_type() {
    let (store, clock) = (Shared::default(), HandClock::at("2026-01-02T03:04:05.678Z"));
    let vault = VaultOptions::new().clock(clock.clone()).open_with(store.clone(), keys()).unwrap();
    let id = make(&vault, &json!({})).id;
    let token = vault.create_generic(typed("{}", id).expires_in(1).unwrap()).unwrap().id;
    let mut record = store.value(Table::Generic, token.as_bytes()).unwrap();
    *record.last_mut().unwrap() ^= 1;
    record[40] ^= 1;
    store.put(Table::Generic, token.as_bytes(), &record);
    clock.advance_millis(1000);
    assert_eq!(kind(vault.delete_type(id)), ErrorKind::Corrupt);
    assert!(vault.type_by_id(id).is_ok());
}

#[test]
fn a_record_of_a_type_that_was_tampered_with_is_corrupt() {
    let store = Shared::default();
    let open = || VaultOptions::new().open_with(store.clone(), keys()).unwrap();
    let (one, other) = {
        let vault = open();
        (make(&vault, &json!({"required": ["a"]})).id, make(&vault, &json!({})).id)
    };
    let record = store.value(Table::Type, other.as_bytes()).unwrap();
    store.put(Table::Type, one.as_bytes(), &record);
    let vault = open();
    let outcomes = [
        kind(vault.type_by_id(one)),
        kind(vault.create_generic(typed("{}", one))),
        kind(vault.delete_type(one)),
        kind(vault.list_types(Page::default())),
    ];
    assert_eq!(outcomes, [ErrorKind::Corrupt; 4], "the schema of another type is not taken for its own");
    assert_eq!(store.rows(Table::Generic), []);
}

// Lists of one type.

#[test]
fn a_list_of_one_type_has_every_live_token_of_it_and_no_other() {
    let (vault, clock) = vault();
    let (one, other) = (make(&vault, &json!({})).id, make(&vault, &json!({})).id);
    let mut of_one = Vec::new();
    for at in 0..60 {
        let request = CreateGeneric::new([("a", at)]).unwrap();
        let token = match at % 4 {
            0 | 1 => vault.create_generic(request.type_id(one)),
            2 => vault.create_generic(request.type_id(one).expires_in(1).unwrap()),
            _ => vault.create_generic(if at % 8 == 3 { request } else { request.type_id(other) }),
        };
        let token = token.unwrap();
        if at % 4 < 2 {
            of_one.push(token);
        }
    }
    clock.advance_millis(1000);
    of_one.sort_by_key(|token| token.id);
    let (mut walked, mut page) = (Vec::new(), Page::first(7).of_type(one));
    loop {
        let listed = vault.list_generic(page).unwrap();
        walked.extend(listed.data);
        let Some(next) = listed.links.next else { break };
        let last = walked.last().unwrap().id;
        assert_eq!(next, format!("/api/generic/tokens?limit=7&type_id={one}&after={last}"));
        assert_eq!(walked.len() % 7, 0, "every page but the last is full");
        page = page.after(last);
    }
    assert_eq!(walked, of_one);
    assert_eq!(vault.list_generic(Page::first(100)).unwrap().data.len(), 45, "any type and none");
    let behind_all = of_one.last().unwrap().id;
    assert_eq!(vault.list_generic(Page::default().of_type(one).after(behind_all)).unwrap().data, []);
}

#[test]
fn no_other_list_takes_a_type() {
    let (vault, _) = vault();
    let page = Page::default().of_type(make(&vault, &json!({})).id);
    let refused = [("$.type_id", "only generic tokens have a type")];
    assert_eq!(violations(&vault.list_pci(page).unwrap_err()), refused);
    assert_eq!(violations(&vault.list_types(page).unwrap_err()), refused);
}

// Many at once.

#[test]
fn a_refused_request_among_many_harms_no_other() {
    let (vault, _) = vault();
    let id = make(&vault, &json!({"required": ["a"]})).id;
    let unknown = "8744c9ea-a02b-4ae6-875c-b64fc333e3ef".parse().unwrap();
    let requests = (0..600).map(|at| match at % 3 {
        0 => Ok(typed(r#"{"a":1}"#, id)),
        1 => Ok(typed("{}", id)),
        _ => Ok(typed("{}", unknown)),
    });
    let results: Vec<_> = vault.create_generic_many(requests).collect();
    for (at, result) in results.iter().enumerate() {
        match (at % 3, result) {
            (0, Ok(_)) => {}
            (1, Err(error)) => assert_eq!(violations(error), [("$.payload.a", "is required")]),
            (2, Err(error)) => assert_eq!(violations(error), [UNKNOWN_TYPE]),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(vault.stats().unwrap().generic_tokens, 200);
}

#[test]
fn a_type_that_goes_while_many_are_made_takes_only_its_own_along() {
    let (vault, _) = vault();
    let (stays, goes) = (make(&vault, &json!({})).id, make(&vault, &json!({})).id);
    let deleter = vault.clone();
    // All are checked before the first is kept; in between, the type goes.
    let requests = (0..10).map(|at| {
        if at == 9 {
            deleter.delete_type(goes).unwrap();
        }
        Ok(typed("{}", if at % 2 == 0 || at == 9 { stays } else { goes }))
    });
    let results: Vec<_> = vault.create_generic_many(requests).collect();
    for (at, result) in results.iter().enumerate() {
        match result {
            Ok(_) => assert!(at % 2 == 0 || at == 9),
            Err(error) => assert_eq!((at % 2, violations(error)), (1, vec![UNKNOWN_TYPE])),
        }
    }
    assert_eq!(results.iter().flatten().count(), 6);
    assert_eq!(vault.list_generic(Page::default().of_type(stays)).unwrap().data.len(), 6);
}

#[test]
fn neither_a_creation_nor_a_deletion_wins_against_the_other() {
    let store = Shared::default();
    let vault = VaultOptions::new().open_with(store.clone(), keys()).unwrap();
    let (mut kept, mut deleted) = (0, 0);
    for round in 0..200 {
        let id = make(&vault, &json!({})).id;
        let start = Barrier::new(4);
        let (creations, deletions): (Vec<_>, Vec<_>) = thread::scope(|scope| {
            let create = || {
                start.wait();
                if round % 2 == 0 {
                    return vault.create_generic(typed("{}", id));
                }
                vault.create_generic_many([Ok(typed("{}", id))]).next().unwrap()
            };
            let delete = || {
                start.wait();
                vault.delete_type(id)
            };
            let creators = [(); 2].map(|()| scope.spawn(create));
            let deleters = [(); 2].map(|()| scope.spawn(delete));
            (creators.map(|thread| thread.join().unwrap()).into(), deleters.map(|thread| thread.join().unwrap()).into())
        });
        let made = creations.iter().flatten().count();
        let gone = deletions.iter().flatten().count();
        assert!(gone <= 1 && (made == 0 || gone == 0), "{creations:?} {deletions:?}");
        for refused in creations.iter().filter_map(|outcome| outcome.as_ref().err()) {
            assert_eq!(violations(refused), [UNKNOWN_TYPE]);
        }
        for refused in deletions.iter().filter_map(|outcome| outcome.as_ref().err()) {
            assert!(matches!(refused.kind(), ErrorKind::Conflict | ErrorKind::NotFound), "{refused}");
        }
        assert_eq!(vault.type_by_id(id).is_ok(), gone == 0);
        let uses = store.rows(Table::TypeUse).len();
        assert_eq!(uses, if gone == 1 { 0 } else { 1 + made });
        (kept, deleted) = (kept + made, deleted + gone);
        for token in creations.into_iter().flatten() {
            vault.delete_generic(token.id).unwrap();
        }
        drop(vault.delete_type(id));
        assert_eq!(store.rows(Table::TypeUse), []);
    }
    assert!(kept > 0 && deleted > 0, "both must have won: {kept} {deleted}");
}

#[test]
fn readers_of_a_type_see_it_whole_while_it_comes_and_goes() {
    let (vault, _) = vault();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..100 {
                let id = make(&vault, &json!({"required": ["a"]})).id;
                let told = vault.create_generic(typed("{}", id)).unwrap_err();
                assert_eq!(violations(&told), [("$.payload.a", "is required")]);
                // A token that the other thread has made stands in the way for a moment.
                while vault.delete_type(id).is_err_and(|error| error.kind() == ErrorKind::Conflict) {}
                assert_eq!(kind(vault.type_by_id(id)), ErrorKind::NotFound);
            }
            stop.store(true, Ordering::SeqCst);
        });
        while !stop.load(Ordering::SeqCst) {
            for listed in vault.list_types(Page::default()).unwrap().data {
                match vault.create_generic(typed(r#"{"a":1}"#, listed.id)) {
                    Ok(token) => vault.delete_generic(token.id).unwrap(),
                    Err(error) => assert_eq!(violations(&error), [UNKNOWN_TYPE]),
                }
            }
        }
    });
}

#[test]
fn a_row_that_says_another_type_than_the_token_is_refused() {
    let store = Shared::default();
    let vault = VaultOptions::new().open_with(store.clone(), keys()).unwrap();
    let make = |name: &str| vault.create_type(CreateType::new(name, "{}").unwrap()).unwrap().id;
    let (one, other) = (make("one"), make("other"));
    let token = vault.create_generic(CreateGeneric::new([("k", "v")]).unwrap().type_id(other)).unwrap();
    let row = [one.as_bytes().as_slice(), token.id.as_bytes()].concat();
    store.put(Table::TypeUse, &row, &[]);
    let listed = |id| vault.list_generic(Page::default().of_type(id));
    assert_eq!(listed(one).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(listed(other).unwrap().data, [token]);
}

#[test]
fn an_unknown_type_hides_nothing_else_that_is_wrong() {
    let options = VaultOptions::new().card_data_guard(CardDataGuard::On);
    let vault = options.open_with(Shared::default(), keys()).unwrap();
    let nobody: TypeId = "8744c9ea-a02b-4ae6-875c-b64fc333e3ef".parse().unwrap();
    let request = CreateGeneric::new([("pin", "4111111111111111")]).unwrap().type_id(nobody);
    let error = vault.create_generic(request).unwrap_err();
    assert_eq!(violations(&error), [UNKNOWN_TYPE, ("$.payload.pin", "must not hold a card number")]);
}
