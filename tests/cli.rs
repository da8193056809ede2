//! The command line, as a shell and its user see it: what is printed where, and with which exit code.
//!
//! Each test runs the tool itself on a vault of its own. Answers stand on standard output, one JSON a line; whoever writes
//! one request and waits gets its answer; a refusal is an answer and exit code 1; only a vault that does not open and a wrong
//! usage are exit code 2, with words on standard error. That is otherwise silent, unless a command was cut short. No secret
//! is printed but by `reveal`.
#![cfg(feature = "cli")]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use common::tool::{NOBODY, PATIENCE, Place, Ran, not_found, ran, soon, violation};

/// A request for a card that the vault takes; the number is a test number.
const CARD: &str = r#"{"source":{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025,"cardholder_name":"Bob \"B\" Holder","security_code":"123"},"metadata":{"order":"1001"}}"#;
const NUMBER: &str = "4111111111111111";
const MASK: &str = "411111******1111";

/// A request for a payload that the vault takes.
const PAYLOAD: &str =
    r#"{"payload":{"iban":"DE89370400440532013000","limit":1.50,"big":18446744073709551615,"open":true}}"#;

// One token: create, view, reveal, list, delete.

#[test]
fn a_card_is_created_viewed_revealed_listed_and_deleted() {
    let place = Place::new();
    let created = place.run(&["create", "pci"], CARD.as_bytes()).succeeded();
    let token = &created.lines()[0];
    assert_eq!(token["card"]["masked_account_number"], MASK);
    assert_eq!(token["metadata"], json!({"order": "1001"}));
    let id = token["id"].as_str().unwrap();

    assert_eq!(place.run(&["view", "pci", id], b"").succeeded().stdout(), created.stdout());
    assert_eq!(
        place.run(&["reveal", "pci", id], b"").succeeded().stdout(),
        "{\"account_number\":\"4111111111111111\",\"expiry_month\":12,\"expiry_year\":2025,\"cardholder_name\":\"Bob \\\"B\\\" Holder\"}\n"
    );
    assert_eq!(place.run(&["list", "pci"], b"").succeeded().lines(), [json!({"data": [token], "links": {}})]);
    assert_eq!(place.run(&["delete", "pci", id], b"").succeeded().stdout(), "");
    for command in ["view", "reveal", "delete"] {
        assert_eq!(place.run(&[command, "pci", id], b"").refused().lines(), [not_found()], "{command}");
    }
}

#[test]
fn a_card_without_a_name_is_revealed_without_one() {
    let place = Place::new();
    let id = place.create("pci", &CARD.replace(r#","cardholder_name":"Bob \"B\" Holder""#, ""));
    let card = place.run(&["reveal", "pci", &id], b"").succeeded();
    assert_eq!(card.lines(), [json!({"account_number": NUMBER, "expiry_month": 12, "expiry_year": 2025})]);
}

#[test]
fn a_payload_is_created_viewed_revealed_and_deleted() {
    let place = Place::new();
    let created = place.run(&["create", "generic"], PAYLOAD.as_bytes()).succeeded();
    let id = created.lines()[0]["id"].as_str().unwrap().to_owned();

    assert_eq!(place.run(&["view", "generic", &id], b"").succeeded().stdout(), created.stdout());
    let revealed = place.run(&["reveal", "generic", &id], b"").succeeded();
    let bare = PAYLOAD.strip_prefix(r#"{"payload":"#).unwrap().strip_suffix('}').unwrap();
    assert_eq!(revealed.stdout().trim_end(), bare, "numbers come back in the digits that came");
    assert_eq!(place.run(&["view", "pci", &id], b"").refused().lines(), [not_found()], "an id of the other kind");
    place.run(&["delete", "generic", &id], b"").succeeded();
    assert_eq!(place.run(&["delete", "generic", &id], b"").refused().lines(), [not_found()]);
}

#[test]
fn many_are_viewed_in_the_order_asked_each_found_or_not() {
    let place = Place::new();
    let lines = place.run(&["create", "pci"], [CARD; 3].join("\n").as_bytes()).succeeded().lines();
    let ids: Vec<_> = lines.iter().map(|line| line["id"].as_str().unwrap()).collect();
    let all = place.run(&["view", "pci", ids[2], ids[0], ids[1], ids[0]], b"").succeeded();
    assert_eq!(all.lines(), [2, 0, 1, 0].map(|at| lines[at].clone()));
    let some = place.run(&["view", "pci", NOBODY, ids[1], "x", NUMBER], b"").refused();
    assert_eq!(some.lines(), [not_found(), lines[1].clone(), not_found(), not_found()]);
}

#[test]
fn a_type_is_created_viewed_listed_used_and_deleted() {
    let place = Place::new();
    let schema = r#"{"required":["iban"],"properties":{"iban":{"type":"string","maxLength":34}}}"#;
    let request = format!(r#"{{"name":"account","schema":{schema}}}"#);
    let created = place.run(&["create", "type"], format!("{request}\n{{}}\n").as_bytes()).refused();
    let [made, refused] = &created.lines()[..] else { panic!("{}", created.stdout()) };
    assert_eq!((&made["name"], &made["schema"]), (&json!("account"), &serde_json::from_str(schema).unwrap()));
    assert_eq!(violation(refused), ("$.name", "is required"));
    assert!(created.stdout().contains(schema), "in the order in which it came");
    let id = made["id"].as_str().unwrap();

    assert_eq!(place.run(&["view", "type", id], b"").succeeded().lines(), vec![made.clone()]);
    for kind in ["type", "types"] {
        assert_eq!(place.run(&["list", kind], b"").succeeded().lines(), [json!({"data": [made], "links": {}})]);
    }
    let typed = |payload: &str| format!(r#"{{"payload":{payload},"type_id":"{id}"}}"#);
    let bad = place.run(&["create", "generic"], typed("{}").as_bytes()).refused();
    assert_eq!(violation(&bad.lines()[0]), ("$.payload.iban", "is required"));
    let token = place.create("generic", &typed(r#"{"iban":"DE89"}"#));
    place.create("generic", PAYLOAD);

    let listed = place.run(&["list", "generic", "--type-id", id], b"").succeeded().lines().remove(0);
    assert_eq!((listed["data"].as_array().unwrap().len(), &listed["data"][0]["id"]), (1, &json!(token)));
    for unknown in [NOBODY, NUMBER, ""] {
        let unknown = place.run(&["list", "generic", "--type-id", unknown], b"").refused();
        assert_eq!(violation(&unknown.lines()[0]), ("$.type_id", "unknown type"));
    }
    for list in ["pci", "types"] {
        for type_id in [id, NUMBER] {
            let refused = place.run(&["list", list, "--type-id", type_id], b"").refused();
            assert_eq!(violation(&refused.lines()[0]), ("$.type_id", "only generic tokens have a type"));
        }
    }
    assert_eq!(place.run(&["stats"], b"").succeeded().lines()[0]["payload_types"], 1);

    let in_use = place.run(&["delete", "type", id], b"").refused();
    assert_eq!(in_use.lines(), [json!({"code": 409, "classifier": "CONFLICT", "message": "Conflict"})]);
    place.run(&["delete", "generic", &token], b"").succeeded();
    assert_eq!(place.run(&["delete", "type", id], b"").succeeded().stdout(), "");
    for command in ["view", "delete"] {
        assert_eq!(place.run(&[command, "type", id], b"").refused().lines(), [not_found()], "{command}");
    }
    place.run(&["reveal", "type", id], b"").misused("type");
}

#[test]
fn a_malformed_id_is_not_found_and_not_repeated() {
    let place = Place::with_vault();
    for id in ["", "x", NUMBER, &NOBODY.replace('-', "")] {
        for command in ["view", "reveal", "delete"] {
            assert_eq!(place.run(&[command, "pci", id], b"").refused().lines(), [not_found()], "{command} {id}");
        }
    }
    assert_eq!(place.run(&["list", "pci", "--after", NUMBER], b"").refused().lines(), [not_found()]);
}

#[test]
fn a_list_goes_on_behind_the_last_id() {
    let place = Place::new();
    place.run(&["create", "generic"], [PAYLOAD; 5].join("\n").as_bytes()).succeeded();
    let first = place.run(&["list", "generic", "--limit", "3"], b"").succeeded().lines().remove(0);
    let last = first["data"][2]["id"].as_str().unwrap();
    assert_eq!(first["links"]["next"], format!("/api/generic/tokens?limit=3&after={last}"));
    let second = place.run(&["list", "generic", "--limit", "3", "--after", last], b"").succeeded().lines().remove(0);
    assert_eq!((second["data"].as_array().unwrap().len(), &second["links"]), (2, &json!({})));
}

#[test]
fn a_page_of_a_length_that_is_none_is_refused() {
    let place = Place::with_vault();
    for limit in ["0", "101"] {
        let refused = place.run(&["list", "pci", "--limit", limit], b"").refused();
        assert_eq!(violation(&refused.lines()[0]), ("$.limit", "must be from 1 to 100"));
    }
}

#[test]
fn what_is_wrong_with_a_request_is_told_before_an_id_that_names_nothing() {
    let place = Place::with_vault();
    for id in [NOBODY, "x", NUMBER] {
        for (arguments, input, told) in [
            (&["fill", id, "--body", "json"][..], r#"{"card":"{{ bogus }}"}"#, ("$[9]", "unknown placeholder")),
            (&["list", "pci", "--after", id, "--limit", "0"], "", ("$.limit", "must be from 1 to 100")),
            (&["list", "generic", "--after", id, "--limit", "0"], "", ("$.limit", "must be from 1 to 100")),
            (&["list", "types", "--after", id, "--limit", "0"], "", ("$.limit", "must be from 1 to 100")),
            (&["update", "pci", id], "[]", ("$", "must be an object")),
            (&["update", "generic", id], "[]", ("$", "must be an object")),
            (&["replace-account-number", id], "[]", ("$", "must be an object")),
            (&["session", "complete", id], "[]", ("$", "must be an object")),
        ] {
            let refused = place.run(arguments, input.as_bytes()).refused().lines().remove(0);
            assert_eq!(violation(&refused), told, "{arguments:?}");
        }
    }
}

// One template, one inquiry.

#[test]
fn a_template_is_filled_and_printed_as_it_is() {
    let place = Place::new();
    let id = place.create("pci", CARD);
    for (kind, template, filled) in [
        (
            "json",
            "{\"n\":\"{{ account_number }}\",\n\"h\":\"{{ cardholder_name }}\",\"m\":\"{{ expiry_month | unwrap }}\"}\n",
            "{\"n\":\"4111111111111111\",\n\"h\":\"Bob \\\"B\\\" Holder\",\"m\":12}\n",
        ),
        ("form", "h={{ cardholder_name }}", "h=Bob+%22B%22+Holder"),
        ("form", "h={{ cardholder_name }}\r\n", "h=Bob+%22B%22+Holder"),
        ("xml", "<h>{{ cardholder_name }}</h>\n", "<h>Bob &quot;B&quot; Holder</h>\n"),
        ("json", "[]", "[]"),
    ] {
        let ran = place.run(&["fill", &id, "--body", kind], template.as_bytes()).succeeded();
        assert_eq!(ran.stdout(), filled);
    }
    let large = format!("{}={{{{expiry_year}}}}", "a".repeat((1 << 20) - 16));
    let ran = place.run(&["fill", &id, "--body", "form"], large.as_bytes()).succeeded();
    assert_eq!(ran.stdout(), large.replace("{{expiry_year}}", "2025"));
}

#[test]
fn a_template_that_is_refused_prints_its_violations_and_nothing_else() {
    let place = Place::new();
    let id = place.create("pci", CARD);
    let refused = |kind: &str, template: &[u8]| {
        let ran = place.run(&["fill", &id, "--body", kind], template).refused();
        let [body] = &ran.lines()[..] else { panic!("{}", ran.stdout()) };
        let (path, message) = violation(body);
        (path.to_owned(), message.to_owned())
    };
    let said = |path: &str, message: &str| (path.to_owned(), message.to_owned());
    assert_eq!(refused("form", b"a={{ a }}"), said("$[2]", "unknown placeholder"));
    // A code lives in the process that took it.
    let lacking = "placeholder for a security code that the token lacks";
    assert_eq!(refused("json", b"[\"{{ security_code }}\"]"), said("$[2]", lacking));
    assert_eq!(refused("json", b""), said("$", "malformed JSON at byte 0"));
    assert_eq!(refused("form", b"a=1\n\n"), said("$", "character that a form must percent-encode at byte 3"));
    assert_eq!(refused("xml", b"<a>\xff</a>"), said("$", "invalid UTF-8 at byte 3"));
    let large = "é".repeat(1 << 20);
    assert_eq!(refused("xml", large.as_bytes()), said("$", "template is larger than 1 MiB at byte 1048576"));
    for id in [NOBODY, "x", NUMBER] {
        assert_eq!(place.run(&["fill", id, "--body", "form"], b"a").refused().lines(), [not_found()]);
    }
    place.run(&["fill", &id, "--body", "text"], b"").misused("[possible values: json, form, xml]");
    place.run(&["fill", &id], b"").misused("--body");
}

#[test]
fn an_inquiry_is_answered_by_number_and_by_token() {
    let place = Place::new();
    let id = place.create("pci", CARD);
    let told = json!({"bin": "411111", "scheme": ["visa"]});
    for source in [json!({"type": "pan", "account_number": NUMBER}), json!({"type": "pci_token", "id": id})] {
        let source = format!("{source:#}\n");
        assert_eq!(place.run(&["inquire"], source.as_bytes()).succeeded().lines(), vec![told.clone()]);
    }
    for (number, bin) in [(NUMBER, "41111111"), ("378282246310005", "378282")] {
        let source = json!({"type": "pan", "account_number": number}).to_string();
        let told = place.run(&["inquire", "--eight-digit-bin"], source.as_bytes()).succeeded().lines().remove(0);
        assert_eq!(told["bin"], bin);
    }
    let nobody = json!({"type": "pci_token", "id": NOBODY}).to_string();
    assert_eq!(place.run(&["inquire"], nobody.as_bytes()).refused().lines(), [not_found()]);
    let refused = |source: &[u8]| place.run(&["inquire"], source).refused().lines().remove(0);
    assert_eq!(violation(&refused(br#"{"type":"pan"}"#)), ("$.account_number", "is required"));
    assert_eq!(violation(&refused(b"")), ("$", "malformed JSON at byte 0"));
    assert_eq!(violation(&refused(&b" ".repeat(65_537))), ("$", "request is larger than 64 KiB at byte 65536"));
}

// A change.

#[test]
fn an_update_changes_what_it_names_and_prints_the_token() {
    let place = Place::new();
    let mut card = place.run(&["create", "pci"], CARD.as_bytes()).succeeded().lines().remove(0);
    let id = card["id"].as_str().unwrap().to_owned();
    let fields = r#"{"expiry_month":4,"expiry_year":2031,"cardholder_name":null,"metadata":{"a":"b"}}"#;
    let changed = place.run(&["update", "pci", &id], format!("{fields}\n").as_bytes()).succeeded();
    card["card"]["expiry_month"] = 4.into();
    card["card"]["expiry_year"] = 2031.into();
    card["card"].as_object_mut().unwrap().remove("cardholder_name");
    card["metadata"] = json!({"a": "b"});
    assert_eq!(changed.lines(), [card]);
    assert_eq!(place.run(&["view", "pci", &id], b"").succeeded().stdout(), changed.stdout());
    let revealed = place.run(&["reveal", "pci", &id], b"").succeeded().lines().remove(0);
    assert_eq!(revealed, json!({"account_number": NUMBER, "expiry_month": 4, "expiry_year": 2031}));

    let id = place.create("generic", PAYLOAD);
    let changed = place.run(&["update", "generic", &id], b"{\"expiration_time\":60}").succeeded();
    assert!(changed.lines()[0]["expires_at"].is_string());
    let changed = place.run(&["update", "generic", &id], b"{\n  \"expiration_time\": null\n}").succeeded();
    assert!(changed.lines()[0].get("expires_at").is_none(), "one object, over several lines");
    assert!(place.run(&["reveal", "generic", &id], b"").succeeded().stdout().contains("DE89370400440532013000"));
}

#[test]
fn another_card_takes_the_place_of_the_first() {
    let place = Place::new();
    let id = place.create("pci", CARD);
    let source = r#"{"type":"pan","account_number":"378282246310005","expiry_month":6,"expiry_year":2031,"security_code":"1234"}"#;
    let changed = place.run(&["replace-account-number", &id], source.as_bytes()).succeeded().lines().remove(0);
    assert_eq!(changed["id"], id.as_str());
    assert_eq!(
        changed["card"],
        json!({"expiry_month": 6, "expiry_year": 2031, "masked_account_number": "378282*****0005", "scheme": "american express"})
    );
    assert_eq!(changed["metadata"], json!({"order": "1001"}));
    let revealed = place.run(&["reveal", "pci", &id], b"").succeeded().lines().remove(0);
    assert_eq!(revealed["account_number"], "378282246310005");
}

#[test]
fn a_change_that_is_none_is_refused() {
    let place = Place::new();
    let id = place.create("pci", CARD);
    for (arguments, input, path, message) in [
        (&["update", "pci", &id][..], "{", "$", "malformed JSON at byte 1"),
        (&["update", "pci", &id], "", "$", "malformed JSON at byte 0"),
        (&["update", "pci", &id], r#"{"expiry_month":null}"#, "$.expiry_month", "cannot be cleared"),
        (&["update", "pci", &id], r#"{"account_number":"4111111111111111"}"#, "$.account_number", "unknown field"),
        (&["update", "pci", "x"], r#"{"expires_in":0}"#, "$.expires_in", "must be from 1 to 2592000 seconds"),
        (&["update", "generic", &id], r#"{"payload":{}}"#, "$.payload", "unknown field"),
        (&["replace-account-number", &id], r#"{"type":"pan"}"#, "$.account_number", "is required"),
        (&["replace-account-number", &id], &CARD.replace(NUMBER, "4111111111111112"), "$.source", "unknown field"),
    ] {
        let refused = place.run(arguments, input.as_bytes()).refused().lines().remove(0);
        assert_eq!(violation(&refused), (path, message), "{arguments:?} {input}");
    }
    let large = format!("{{{}}}", " ".repeat(70_000));
    let refused = place.run(&["update", "pci", &id], large.as_bytes()).refused().lines().remove(0);
    assert_eq!(violation(&refused), ("$", "request is larger than 64 KiB at byte 65536"));
    for id in ["x", NUMBER, NOBODY] {
        assert_eq!(place.run(&["update", "pci", id], b"{}").refused().lines(), [not_found()], "{id}");
        assert_eq!(place.run(&["update", "generic", id], b"{}").refused().lines(), [not_found()], "{id}");
    }
    let source = r#"{"type":"pan","account_number":"4111111111111111","expiry_month":6,"expiry_year":2031}"#;
    assert_eq!(place.run(&["replace-account-number", NOBODY], source.as_bytes()).refused().lines(), [not_found()]);
    let view = place.run(&["view", "pci", &id], b"").succeeded().lines().remove(0);
    assert_eq!(view["card"]["masked_account_number"], MASK, "nothing was changed");
}

#[test]
fn rules_are_relaxed_and_added_where_it_is_said() {
    let place = Place::with_vault();
    let more = CARD.replace("{\"source\"", "{\"colour\":\"red\",\"source\"");
    let refused = place.run(&["create", "pci"], more.as_bytes()).refused();
    assert_eq!(violation(&refused.lines()[0]), ("$.colour", "unknown field"));
    let ignore = ["--unknown-fields", "ignore"];
    place.run(&[&["create", "pci"][..], &ignore].concat(), more.as_bytes()).succeeded();
    let ttl =
        place.run(&[&["create", "pci"][..], &ignore].concat(), more.replace("colour", "ttl").as_bytes()).refused();
    assert_eq!(violation(&ttl.lines()[0]), ("$.ttl", "unknown field; did you mean `expires_in`?"));

    let unlisted = CARD.replace(NUMBER, "9111111111111110");
    let refused = place.run(&["create", "pci"], unlisted.as_bytes()).refused();
    assert_eq!(violation(&refused.lines()[0]), ("$.source.account_number", "no supported scheme"));
    let accept = ["--unlisted-schemes", "accept"];
    let kept =
        place.run(&[&["create", "pci"][..], &accept].concat(), unlisted.as_bytes()).succeeded().lines().remove(0);
    assert!(kept["card"].get("scheme").is_none());

    let session = place.run(&["create", "pci"], br#"{"source":{"type":"session"}}"#).succeeded().lines().remove(0);
    let complete = ["session", "complete", session["session_id"].as_str().unwrap()];
    let source = r#"{"type":"pan","account_number":"9111111111111110","expiry_month":6,"expiry_year":2031,"x":1}"#;
    assert_eq!(place.run(&complete, source.as_bytes()).refused().lines()[0]["code"], 422);
    let relaxed = [&complete[..], &accept, &ignore].concat();
    place.run(&relaxed, source.as_bytes()).succeeded();

    let source = r#"{"type":"pan","account_number":"9111111111111110","x":1}"#;
    let told = place.run(&[&["inquire"][..], &accept, &ignore].concat(), source.as_bytes()).succeeded();
    assert_eq!(told.lines(), [json!({"bin": "911111"})]);
    assert_eq!(place.run(&["inquire"], source.as_bytes()).refused().lines()[0]["code"], 422);

    let id = kept["id"].as_str().unwrap();
    let fields = r#"{"metadata":{"note":"4111 1111 1111 1111"},"colour":1}"#;
    let guarded = ["update", "pci", id, "--card-data-guard", "on", "--unknown-fields", "ignore"];
    let refused = place.run(&guarded, fields.as_bytes()).refused();
    assert_eq!(violation(&refused.lines()[0]), ("$.metadata.note", "must not hold a card number"));
    assert!(!refused.stdout().contains("1111 1111"));
    place.run(&["update", "pci", id, "--unknown-fields", "ignore"], fields.as_bytes()).succeeded();
    let source = r#"{"type":"pan","account_number":"9111111111111110","expiry_month":6,"expiry_year":2031}"#;
    let refused = place.run(&["replace-account-number", id], source.as_bytes()).refused();
    assert_eq!(violation(&refused.lines()[0]), ("$.account_number", "no supported scheme"));
    place.run(&[&["replace-account-number", id][..], &accept].concat(), source.as_bytes()).succeeded();
    place.run(&["create", "pci", "--unknown-fields", "perhaps"], b"").misused("perhaps");
}

// Many lines.

#[test]
fn every_line_is_answered_in_order_and_a_refusal_harms_no_other() {
    let place = Place::new();
    let bad_number = CARD.replace(NUMBER, "4111111111111112");
    let input = [CARD, &bad_number, "{", CARD].join("\n") + "\n";
    let ran = place.run(&["create", "pci"], input.as_bytes()).refused();
    let lines = ran.lines();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0]["card"]["masked_account_number"], MASK);
    assert_eq!(violation(&lines[1]), ("$.source.account_number", "fails the Luhn check"));
    assert_eq!(violation(&lines[2]).0, "$");
    assert_eq!(lines[3]["card"]["masked_account_number"], MASK);
    assert!(!ran.stdout().contains("411111111"));
    let stats = place.run(&["stats"], b"").succeeded().lines().remove(0);
    assert_eq!((&stats["pci_tokens"], &stats["generic_tokens"]), (&json!(2), &json!(0)));
}

#[test]
fn blank_lines_have_no_answer_and_the_last_line_needs_no_line_feed() {
    let place = Place::new();
    let input = format!("\n{PAYLOAD}\r\n \t \r\n\n{PAYLOAD}");
    assert_eq!(place.run(&["create", "generic"], input.as_bytes()).succeeded().lines().len(), 2);
    assert_eq!(place.run(&["create", "generic"], b"\n \n").succeeded().stdout(), "");
    assert_eq!(place.run(&["create", "generic"], b"").succeeded().stdout(), "");
}

#[test]
fn nul_and_invalid_utf8_are_refused_where_they_stand() {
    let place = Place::new();
    let input = [
        PAYLOAD.as_bytes(),
        b"{\"payload\":{\"a\":\"\0\"}}",
        b"\0",
        b"{\"payload\":{\"\xff\":\"1\"}}",
        PAYLOAD.as_bytes(),
    ];
    let lines = place.run(&["create", "generic"], &input.join(&b'\n')).refused().lines();
    assert_eq!(lines.len(), 5);
    for (at, says) in [(1, "malformed JSON at byte"), (2, "malformed JSON at byte 0"), (3, "invalid UTF-8 at byte 13")]
    {
        let (path, message) = violation(&lines[at]);
        assert_eq!(path, "$", "line {at}");
        assert!(message.starts_with(says), "line {at}: {message}");
    }
    assert!(lines[0]["id"].is_string() && lines[4]["id"].is_string());
}

#[test]
fn a_line_that_is_too_long_is_refused_and_the_next_is_not() {
    let place = Place::new();
    let padded = |length: usize| format!("{PAYLOAD}{}", " ".repeat(length - PAYLOAD.len()));
    for (length, fits) in [(64 * 1024, true), (64 * 1024 + 1, false), (200_000, false), (3_000_000, false)] {
        let input = [PAYLOAD, &padded(length), PAYLOAD].join("\n");
        let ran = place.run(&["create", "generic"], input.as_bytes());
        let lines = ran.lines();
        assert_eq!((lines.len(), ran.code()), (3, i32::from(!fits)), "{length} bytes");
        assert!(lines[0]["id"].is_string() && lines[2]["id"].is_string());
        if fits {
            assert!(lines[1]["id"].is_string());
        } else {
            let (path, message) = violation(&lines[1]);
            assert!(path == "$" && message.contains("larger than 64 KiB"), "{message}");
        }
    }
}

/// A run that is fed line by line.
struct Conversation {
    child: Child,
    to: ChildStdin,
    from: Receiver<String>,
}

impl Conversation {
    fn begin(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let to = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (heard, from) = mpsc::channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| heard.send(line)));
        Self { child, to, from }
    }

    fn say(&mut self, text: &str) {
        self.to.write_all(text.as_bytes()).unwrap();
    }

    #[track_caller]
    fn hear(&mut self) -> Value {
        serde_json::from_str(&self.from.recv_timeout(PATIENCE).unwrap()).unwrap()
    }

    fn end(self) -> i32 {
        drop(self.to);
        let mut child = self.child;
        soon(move || child.wait().unwrap().code().unwrap())
    }
}

#[test]
fn a_caller_that_waits_for_each_answer_gets_it() {
    let place = Place::new();
    let mut conversation = Conversation::begin(place.tool(&["create", "generic"]));
    for round in 0..20 {
        // In two parts, and with half of the next line behind it: none of it may keep the answer back.
        let (begin, end) = PAYLOAD.split_at(30);
        if round == 0 {
            conversation.say(begin);
        }
        conversation.say(&format!("{end}\n{begin}"));
        assert!(conversation.hear()["id"].is_string());
    }
    assert_eq!(conversation.end(), 1, "half a line is a line, and is refused");
}

#[test]
fn what_was_answered_is_kept_even_if_the_tool_is_killed() {
    let place = Place::new();
    let mut conversation = Conversation::begin(place.tool(&["create", "pci"]));
    conversation.say(&format!("{CARD}\n"));
    let token = conversation.hear();
    conversation.child.kill().unwrap();
    conversation.child.wait().unwrap();
    assert_eq!(place.run(&["view", "pci", token["id"].as_str().unwrap()], b"").succeeded().lines(), [token]);
}

#[test]
fn twenty_thousand_lines_are_answered_in_order_and_in_time() {
    const LINES: usize = 20_000;
    let place = Place::new();
    let line = |at: usize| format!("{{\"payload\":{{\"pin\":\"1234\"}},\"metadata\":{{\"line\":\"{at}\"}}}}\n");
    let input: String = (0..LINES).map(line).collect();
    let start = Instant::now();
    let ran = place.run(&["create", "generic"], input.as_bytes()).succeeded();
    // A second in a release build; a sync a line would take a minute.
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    let lines = ran.lines();
    assert_eq!(lines.len(), LINES);
    for (at, answer) in lines.iter().enumerate() {
        assert_eq!(answer["metadata"]["line"], at.to_string());
    }
    assert_eq!(place.run(&["stats"], b"").succeeded().lines()[0]["generic_tokens"], LINES);
}

#[test]
fn a_reader_that_has_gone_ends_it_quietly() {
    let place = Place::new();
    let mut command = place.tool(&["create", "generic"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    // Standard input stays open: the tool must not wait for its end.
    stdin.write_all(format!("{PAYLOAD}\n").as_bytes()).unwrap();
    let ran = Ran(soon(move || child.wait_with_output().unwrap()));
    assert_eq!((ran.code(), ran.stderr()), (1, ""));
    drop(stdin);
}

/// A limit of 8 MiB (16,384 units of 512 bytes) on the size of a file stands in for a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_vault_that_cannot_write_any_more_ends_it_and_says_what_was_not_tried() {
    const LINES: usize = 48_000;
    let place = Place::with_vault();
    let tool = place.tool(&["create", "generic"]);
    let mut command = Command::new("sh");
    command.args(["-c", r#"trap "" XFSZ; ulimit -f 16384; exec "$0" "$@""#]).arg(tool.get_program());
    command.args(tool.get_args());
    let fields: Vec<_> = (0..5).map(|at| format!(r#""{at}":"{}""#, "x".repeat(80))).collect();
    let input = format!("{{\"payload\":{{{}}}}}\n", fields.join(",")).repeat(LINES);
    let ran = ran(command, input.as_bytes());

    let lines = ran.lines();
    assert!(lines.len() < LINES, "the rest was tried on a vault that takes nothing");
    // A later group may have been made durable before the one that could not be.
    let (kept, lost): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line["id"].is_string());
    assert!(!kept.is_empty() && !lost.is_empty());
    assert!(lost.iter().all(|line| line["classifier"] == "UNAVAILABLE"));
    assert_eq!(ran.code(), 1, "{}", ran.stderr());
    let untried = format!("from line {} of standard input on, nothing was tried", lines.len() + 1);
    let (told, unclosed) = ran.stderr().split_once('\n').unwrap();
    assert!(told.ends_with(&untried), "{told}");
    let unclosed: Value = serde_json::from_str(unclosed).unwrap();
    assert_eq!(unclosed["classifier"], "UNAVAILABLE", "nor could the vault be closed in order");

    let stats = place.run(&["stats"], b"").succeeded().lines().remove(0);
    assert!(stats["generic_tokens"].as_u64().unwrap() >= kept.len() as u64, "{} of {stats}", kept.len());
}

// Sessions and security codes.

const SOURCE: &str =
    r#"{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025,"security_code":"123"}"#;

#[test]
fn a_session_is_opened_by_one_command_completed_by_another_and_used_once() {
    let place = Place::new();
    let request = br#"{"source":{"type":"session"},"metadata":{"order":"77"},"expires_in":60}"#;
    let opened = place.run(&["create", "pci"], request).succeeded().lines().remove(0);
    let id = opened["session_id"].as_str().unwrap();
    assert_eq!(opened, json!({"session_id": id}), "nothing else");
    assert_eq!(place.run(&["session", "view", id], b"").succeeded().lines(), [json!({"status": "open"})]);

    let complete = |source: &str| place.run(&["session", "complete", id], source.as_bytes());
    for (source, path, rule) in [
        (SOURCE.replace("1111\"", "1112\""), "$.account_number", "fails the Luhn check"),
        (SOURCE.replace("pan", "session"), "$.type", "must be `pan`"),
        (String::new(), "$", "malformed JSON at byte 0"),
        (" ".repeat(70_000), "$", "request is larger than 64 KiB at byte 65536"),
    ] {
        assert_eq!(violation(&complete(&source).refused().lines()[0]), (path, rule));
    }
    // Spread over lines, as a file would be.
    let token = complete(&SOURCE.replace(',', ",\n  ")).succeeded().lines().remove(0);
    assert_eq!((&token["card"]["masked_account_number"], &token["metadata"]["order"]), (&json!(MASK), &json!("77")));
    assert!(token["expires_at"].is_string());
    let view = json!({"status": "completed", "token_id": token["id"]});
    assert_eq!(place.run(&["session", "view", id], b"").succeeded().lines(), [view]);
    let conflict = json!({"code": 409, "classifier": "CONFLICT", "message": "Conflict"});
    assert_eq!(complete(SOURCE).refused().lines(), [conflict]);
}

#[test]
fn a_completion_that_is_sent_again_under_its_key_gets_its_first_answer_again() {
    let place = Place::new();
    let open = || place.run(&["create", "pci"], br#"{"source":{"type":"session"}}"#).succeeded().lines().remove(0);
    let (session, other) = (open(), open());
    let complete = |session: &Value, key: &str, source: &str| {
        let id = session["session_id"].as_str().unwrap();
        place.run(&["session", "complete", id, "--idempotency-key", key], source.as_bytes())
    };
    let first = complete(&session, "order-77", SOURCE).succeeded();
    assert_eq!(complete(&session, "order-77", SOURCE).succeeded().stdout(), first.stdout());
    for (session, key, source) in [
        (&session, "order-77", SOURCE.replace("2025", "2026")),
        (&session, "order-78", SOURCE.to_owned()),
        (&other, "order-77", SOURCE.to_owned()),
    ] {
        assert_eq!(complete(session, key, &source).refused().lines()[0]["classifier"], "CONFLICT");
    }
    let refused = complete(&other, "", SOURCE).refused().lines().remove(0);
    assert_eq!(violation(&refused), ("$.idempotency_key", "must not be empty"));
}

#[test]
fn a_security_code_is_gone_with_the_command_that_took_it() {
    let place = Place::new();
    let id = place.create("pci", CARD);
    let code = |command: &str| place.run(&["security-code", command, &id], b"");
    assert_eq!(code("check").succeeded().lines(), [json!({"available": false})]);
    assert_eq!(code("delete").succeeded().stdout(), "");
    let refresh = code("refresh").succeeded().lines().remove(0);
    let session = refresh["session_id"].as_str().unwrap();
    assert_eq!(refresh, json!({"session_id": session}));
    let open = json!({"status": "open", "token_id": id});
    assert_eq!(place.run(&["session", "view", session], b"").succeeded().lines(), [open]);
    let refused = place.run(&["session", "complete", session], SOURCE.as_bytes()).refused();
    assert_eq!(violation(&refused.lines()[0]), ("$.session_id", "the session waits for a security code"));
}

#[test]
fn an_id_that_names_nothing_is_not_found_by_any_command_of_sessions_and_codes() {
    let place = Place::with_vault();
    for id in ["", "x", NUMBER, NOBODY] {
        for (group, command) in [
            ("session", "view"),
            ("session", "complete"),
            ("security-code", "check"),
            ("security-code", "delete"),
            ("security-code", "refresh"),
        ] {
            let ran = place.run(&[group, command, id], SOURCE.as_bytes());
            assert_eq!(ran.refused().lines(), [not_found()], "{group} {command} {id}");
        }
    }
}

// Expiry and figures.

// Requests that come again, and cards that have a token.

#[test]
fn a_file_that_is_sent_again_makes_nothing_twice() {
    let place = Place::new();
    let create =
        |kind: &str, input: &str| place.run(&["create", kind, "--idempotency-prefix", "import-7:"], input.as_bytes());
    for (kind, request) in [("generic", PAYLOAD), ("pci", CARD), ("type", r#"{"name":"t","schema":{}}"#)] {
        let file = format!("{request}\n\n{request}\n{request}");
        let first = create(kind, &file).succeeded();
        let mut ids: Vec<_> = first.lines().iter().map(|line| line["id"].to_string()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 3, "each line has a key of its own");
        assert_eq!(create(kind, &file).succeeded().stdout(), first.stdout());
        // As much of it as was sent, and then more.
        let longer = create(kind, &format!("{file}\n{request}")).succeeded();
        assert_eq!(longer.lines()[..3], first.lines());
        // A line that is not in its place is another request, unless it says the same.
        assert_eq!(create(kind, &format!("{request}\n")).succeeded().lines(), first.lines()[..1]);
        let moved =
            create(kind, &format!("\n{}", request.replace("100", "200").replace("1.50", "2.50").replace("{}", "true")));
        assert_eq!(moved.succeeded().lines().len(), 1, "a blank line was there before");
        let other = create(kind, &request.replace("100", "200").replace("1.50", "2.50").replace("{}", "true"));
        assert_eq!(other.refused().lines()[0]["classifier"], "CONFLICT");
    }
    let stats = place.run(&["stats"], b"").succeeded().lines().remove(0);
    assert_eq!((&stats["generic_tokens"], &stats["pci_tokens"]), (&json!(5), &json!(5)));
}

#[test]
fn the_keys_of_two_prefixes_are_never_the_same_and_every_line_has_room_for_one() {
    let place = Place::new();
    let create =
        |prefix: &str, lines: &str| place.run(&["create", "generic", "--idempotency-prefix", prefix], lines.as_bytes());
    let other = PAYLOAD.replace("1.50", "2.50");
    // Line 11 of one and line 1 of the other.
    create("a", &format!("{}{PAYLOAD}", "\n".repeat(10))).succeeded();
    create("a1", &other).succeeded();
    create("a:1", &other).succeeded();

    let longest = "☃".repeat(43);
    create(&longest, &[PAYLOAD; 12].join("\n")).succeeded();
    create(&format!("{longest}p"), PAYLOAD).misused("at most 43 characters");
    create("", PAYLOAD).misused("--idempotency-prefix");
    create(NUMBER, PAYLOAD).succeeded();
    let number = create(&NUMBER.repeat(3), PAYLOAD);
    number.misused("(not shown)");
    assert!(!number.stderr().contains("4111"));
}

#[test]
fn a_card_that_is_known_is_returned_updated_and_found() {
    let place = Place::new();
    let source = format!(r#"{{"type":"pan","account_number":"{NUMBER}"}}"#);
    let first = place.run(&["create", "pci", "--fingerprints"], CARD.as_bytes()).succeeded();
    let id = first.lines()[0]["id"].clone();
    assert_eq!(place.run(&["find"], source.as_bytes()).succeeded().stdout(), format!("{{\"ids\":[{id}]}}\n"));

    let other = CARD.replace("1001", "1002").replace("2025", "2031");
    let again = |what: &str, lines: &str| place.run(&["create", "pci", "--duplicates", what], lines.as_bytes());
    let returned = again("return-existing", &format!("{other}\n{CARD}\n")).succeeded();
    assert_eq!(returned.stdout(), first.stdout().repeat(2));
    let updated = again("update-existing", &other).succeeded().lines().remove(0);
    assert_eq!((&updated["id"], &updated["metadata"]["order"]), (&id, &json!("1002")));
    assert_eq!(place.run(&["view", "pci", id.as_str().unwrap()], b"").succeeded().lines(), [updated]);
    let second = again("allow", CARD).succeeded().lines().remove(0);
    let found = place.run(&["find"], source.as_bytes()).succeeded().lines().remove(0);
    assert_eq!(found, json!({"ids": [id, second["id"]]}));
    let stranger = source.replace(NUMBER, "4222222222222");
    assert_eq!(place.run(&["find"], stranger.as_bytes()).succeeded().stdout(), "{\"ids\":[]}\n");
}

#[test]
fn fingerprints_are_made_for_a_vault_that_has_tokens() {
    let place = Place::new();
    let source = format!(r#"{{"type":"pan","account_number":"{NUMBER}"}}"#);
    let lines = format!("{CARD}\n").repeat(3);
    let lacking = "the vault lacks fingerprints of its cards: `tokenvault index-fingerprints` makes them";
    place.run(&["create", "pci"], lines.as_bytes()).succeeded();
    let without = place.run(&["find"], source.as_bytes()).refused().lines();
    assert_eq!((without.len(), violation(&without[0])), (1, ("$", lacking)));
    let returning = ["create", "pci", "--duplicates", "return-existing"];
    // With fingerprints or without, it is refused before a line is read, and changes nothing.
    for arguments in [&returning[..], &[&returning[..], &["--fingerprints"]].concat()] {
        let without = place.run(arguments, lines.as_bytes()).refused().lines();
        assert_eq!((without.len(), violation(&without[0])), (1, ("$.duplicates", lacking)), "{arguments:?}");
    }
    let stats = place.run(&["stats"], b"").succeeded().lines().remove(0);
    assert_eq!(stats["pci_tokens"], 3);
    // Turned on, and not yet complete.
    place.run(&["create", "pci", "--fingerprints"], CARD.as_bytes()).succeeded();
    let incomplete = place.run(&returning, CARD.as_bytes()).refused().lines().remove(0);
    assert_eq!(violation(&incomplete), ("$.duplicates", lacking));

    let report = place.run(&["index-fingerprints"], b"").succeeded().lines();
    assert_eq!(report, [json!({"indexed": 3, "already": 1, "remaining": 0})]);
    let report = place.run(&["index-fingerprints"], b"").succeeded().lines();
    assert_eq!(report, [json!({"indexed": 0, "already": 0, "remaining": 0})]);
    let found = place.run(&["find"], source.as_bytes()).succeeded().lines().remove(0);
    assert_eq!(found["ids"].as_array().unwrap().len(), 4);
    place.run(&returning, CARD.as_bytes()).succeeded();
}

#[test]
fn a_refused_search_for_duplicates_leaves_a_vault_without_fingerprints() {
    let place = Place::new();
    let returning = ["create", "pci", "--duplicates", "return-existing"];
    let with_fingerprints = [&returning[..], &["--fingerprints"]].concat();
    place.run(&returning, CARD.as_bytes()).misused("add --fingerprints");
    assert!(!place.vault().exists());
    let id = place.create("pci", CARD);
    place.run(&with_fingerprints, CARD.as_bytes()).refused();
    place.run(&["delete", "pci", &id], b"").succeeded();
    // In a vault that keeps fingerprints, it would get one at once.
    place.create("pci", CARD);
    let indexed = place.run(&["index-fingerprints"], b"").succeeded().lines().remove(0);
    assert_eq!((&indexed["indexed"], &indexed["already"]), (&json!(1), &json!(0)), "nothing was turned on");
    let known = place.run(&with_fingerprints, CARD.as_bytes()).succeeded();
    assert_eq!(place.run(&returning, CARD.as_bytes()).succeeded().stdout(), known.stdout());

    // A new vault, and one without cards, have all they need.
    for make in [None, Some("generic")] {
        let place = Place::new();
        make.map(|kind| place.create(kind, PAYLOAD));
        let tokens = place.run(&with_fingerprints, [CARD; 2].join("\n").as_bytes()).succeeded().lines();
        assert_eq!(tokens[0], tokens[1]);
    }
}

#[test]
fn a_search_that_is_none_is_refused_and_repeats_no_number() {
    let place = Place::new();
    place.run(&["create", "pci", "--fingerprints"], b"").succeeded();
    for (source, path) in [
        (r#"{"type":"pan","account_number":"4111111111111112"}"#, "$.account_number"),
        (r#"{"type":"pan"}"#, "$.account_number"),
        (r#"{"type":"pci_token","id":"8744c9ea-a02b-4ae6-875c-b64fc333e3ef"}"#, "$.type"),
        ("4111111111111111", "$"),
        ("", "$"),
    ] {
        let refused = place.run(&["find"], source.as_bytes()).refused();
        assert_eq!(violation(&refused.lines()[0]).0, path, "{source}");
        assert!(!refused.stdout().contains("41111111"));
    }
    for arguments in [["generic", "--duplicates", "return-existing"].as_slice(), &["type", "--fingerprints"]] {
        place.run(&[&["create"], arguments].concat(), b"").misused("are for cards");
    }
}

#[test]
fn a_sweep_removes_what_has_expired() {
    let place = Place::new();
    let brief = PAYLOAD.replace("}}", r#"},"expiration_time":1}"#);
    let id = place.create("generic", &brief);
    place.create("generic", PAYLOAD);
    let stats = place.run(&["stats"], b"").succeeded().lines().remove(0);
    assert_eq!((&stats["generic_tokens"], &stats["expiring_tokens"]), (&json!(2), &json!(1)));
    assert_eq!(stats["key_epochs"][0]["sealed_records"], 2);
    assert!(stats["bytes_on_disk"].as_u64().unwrap() > 0);

    let deadline = Instant::now() + PATIENCE;
    let report = loop {
        let report = place.run(&["sweep"], b"").succeeded().lines().remove(0);
        if report["expired_generic"] != 0 {
            break report;
        }
        assert!(Instant::now() < deadline, "what lives for a second is still there");
    };
    assert_eq!((&report["expired_generic"], &report["remaining"]), (&json!(1), &json!(0)));
    assert_eq!(place.run(&["view", "generic", &id], b"").refused().lines(), [not_found()]);
    assert_eq!(place.run(&["stats"], b"").succeeded().lines()[0]["generic_tokens"], 1);
}

// Vault and key.

#[test]
fn a_vault_that_does_not_exist_is_made_by_create_alone() {
    let place = Place::new();
    for arguments in [
        &["view", "pci", NOBODY][..],
        &["reveal", "generic", NOBODY],
        &["list", "pci"],
        &["delete", "pci", NOBODY],
        &["session", "view", NOBODY],
        &["session", "complete", NOBODY],
        &["security-code", "check", NOBODY],
        &["security-code", "refresh", NOBODY],
        &["sweep"],
        &["stats"],
    ] {
        place.run(arguments, b"").unopened("STORE_FAILURE", "does not exist");
        assert!(!place.vault().exists(), "{arguments:?}");
    }
    place.run(&["create", "generic"], b"").succeeded();
    place.run(&["stats"], b"").succeeded();
}

#[test]
fn another_key_does_not_open_the_vault() {
    let place = Place::with_vault();
    let other = Place::new();
    fs::copy(other.key(), place.key()).unwrap();
    for arguments in [&["stats"][..], &["create", "pci"]] {
        place.run(arguments, CARD.as_bytes()).unopened("KEY_FAILURE", "not the key of the vault");
    }
}

#[test]
fn no_key_is_an_error_that_says_what_to_do() {
    let place = Place::new();
    let without = |variable: Option<&str>| {
        let mut command = place.bare(&["--vault", "cards.vault", "create", "pci"]);
        if let Some(key) = variable {
            command.env("TOKENVAULT_KEY", key);
        }
        ran(command, CARD.as_bytes())
    };
    without(None).unopened("KEY_FAILURE", "TOKENVAULT_KEY is not set");
    for unfit in [None, Some(""), Some("4111")] {
        without(unfit).unopened("KEY_FAILURE", "--key-file; `tokenvault keygen FILE`");
    }
    without(Some("")).unopened("KEY_FAILURE", "64 hexadecimal digits");
    without(Some("4111")).unopened("KEY_FAILURE", "64 hexadecimal digits");
    assert!(!place.vault().exists(), "without a key no folder is left behind");
}

#[test]
fn vault_and_key_can_come_from_the_environment() {
    let place = Place::new();
    let id = place.create("pci", CARD);
    let key = fs::read_to_string(place.key()).unwrap();
    let mut command = place.bare(&["view", "pci", &id]);
    command.env("TOKENVAULT_PATH", place.vault()).env("TOKENVAULT_KEY", key.trim_end());
    assert_eq!(ran(command, b"").succeeded().lines()[0]["id"], id.as_str());
}

#[test]
fn a_key_file_that_cannot_serve_says_why() {
    let place = Place::with_vault();
    fs::write(place.key(), b"4111").unwrap();
    place.run(&["stats"], b"").unopened("KEY_FAILURE", "64 hexadecimal digits");
    fs::remove_file(place.key()).unwrap();
    place.run(&["stats"], b"").unopened("KEY_FAILURE", "no such file");
    fs::create_dir(place.key()).unwrap();
    place.run(&["stats"], b"").unopened("KEY_FAILURE", "vault.key: it is a folder");
    let under_a_file = place.folder.path().join("file/vault.key");
    fs::write(place.folder.path().join("file"), b"").unwrap();
    let mut tool = place.bare(&["--vault", "cards.vault", "stats", "--key-file"]);
    tool.arg(under_a_file);
    ran(tool, b"").unopened("KEY_FAILURE", "vault.key: Not a directory");
}

#[test]
fn a_path_that_looks_like_a_key_or_a_card_number_is_not_repeated() {
    let place = Place::with_vault();
    let key = fs::read_to_string(place.key()).unwrap();
    let (key, file) = (key.trim(), place.key());
    let file = file.to_str().unwrap();
    for typed in [key, NUMBER, "4111 1111 1111 1111"] {
        for arguments in [&["--vault", "cards.vault", "--key-file", typed][..], &["--vault", typed, "--key-file", file]]
        {
            let ran = ran(place.bare(&[arguments, &["stats"]].concat()), b"");
            assert!(ran.code() == 2 && ran.stderr().contains("(not shown)"), "{}", ran.stderr());
            assert!(!ran.stderr().contains(typed), "{}", ran.stderr());
        }
        fs::write(place.folder.path().join(typed), b"").unwrap();
        let taken = ran(place.bare(&["keygen", typed]), b"").refused();
        assert!(taken.stdout().contains("(not shown)") && !taken.stdout().contains(typed), "{}", taken.stdout());
    }
}

#[cfg(unix)]
#[test]
fn a_key_file_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    let place = Place::with_vault();
    assert_eq!(fs::metadata(place.key()).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(place.key(), fs::Permissions::from_mode(0o640)).unwrap();
    place.run(&["stats"], b"").unopened("KEY_FAILURE", "chmod 600");
}

#[test]
fn keygen_prints_nothing_and_never_overwrites() {
    let place = Place::new();
    let file = place.folder.path().join("second.key");
    let keygen = || ran(place.bare(&["keygen", "second.key"]), b"");
    assert_eq!(keygen().succeeded().stdout(), "");
    let key = fs::read(&file).unwrap();
    let refused = keygen().refused().lines().remove(0);
    assert_eq!(refused["classifier"], "KEY_FAILURE");
    assert!(refused["message"].as_str().unwrap().contains("never overwritten"));
    assert_eq!(fs::read(&file).unwrap(), key);
    assert_ne!(fs::read(place.key()).unwrap(), key);
}

#[test]
fn a_vault_that_is_open_already_does_not_open_again() {
    let place = Place::with_vault();
    let mut conversation = Conversation::begin(place.tool(&["create", "generic"]));
    conversation.say(&format!("{PAYLOAD}\n"));
    conversation.hear();
    place.run(&["stats"], b"").unopened("STORE_FAILURE", "already open");
    assert_eq!(conversation.end(), 0);
    place.run(&["stats"], b"").succeeded();
}

// Usage.

#[test]
fn a_wrong_usage_is_told_and_repeats_no_secret() {
    let place = Place::with_vault();
    for (arguments, says) in [
        (&[][..], "Usage"),
        (&["crate"], "'create'"),
        (&["create"], "<KIND>"),
        (&["create", "cards"], "'cards'"),
        (&["view", "pci"], "<ID>"),
        (&["list", "pci", "--limit", "many"], "--limit"),
        (&["create", "pci", NUMBER], "(not shown)"),
        (&["create", NUMBER], "(not shown)"),
        (&[NUMBER], "(not shown)"),
    ] {
        let ran = place.run(arguments, b"");
        ran.misused(says);
        assert!(!ran.stderr().contains("4111"), "{arguments:?}");
    }
    ran(place.bare(&["stats"]), b"").misused("--vault");
    let mut nowhere = place.bare(&["stats"]);
    nowhere.env("TOKENVAULT_PATH", "");
    ran(nowhere, b"").misused("TOKENVAULT_PATH");
    let mut keygen = place.bare(&["keygen", "third.key"]);
    keygen.env("TOKENVAULT_PATH", "");
    ran(keygen, b"").succeeded();
}

/// What leads to each help there is.
const HELPS: &[&[&str]] = &[
    &[],
    &["keygen"],
    &["demo"],
    &["create"],
    &["update"],
    &["replace-account-number"],
    &["view"],
    &["reveal"],
    &["list"],
    &["delete"],
    &["define"],
    &["enable"],
    &["disable"],
    &["session"],
    &["session", "complete"],
    &["session", "view"],
    &["security-code"],
    &["security-code", "check"],
    &["security-code", "delete"],
    &["security-code", "refresh"],
    &["fill"],
    &["inquire"],
    &["find"],
    &["index-fingerprints"],
    &["sweep"],
    &["stats"],
    &["compact"],
];

/// A help, as wide as a terminal of so many columns.
fn help(place: &Place, command: &[&str], columns: &str) -> String {
    let mut tool = place.bare(command);
    tool.arg("--help").env("COLUMNS", columns);
    ran(tool, b"").succeeded().stdout().to_owned()
}

/// The same with its lines joined.
fn unwrapped(place: &Place, command: &[&str]) -> String {
    help(place, command, "80").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The examples of a help, as they are copied from it.
fn examples(help: &str) -> String {
    let lines = help.split_inclusive('\n').skip_while(|line| !line.starts_with("Example")).skip(1);
    lines.take_while(|line| line.starts_with("  ")).collect()
}

#[test]
fn the_help_of_every_command_has_an_example() {
    let place = Place::new();
    for command in HELPS {
        let examples = examples(&help(&place, command, "80"));
        assert!(examples.contains(&format!("tokenvault {}", command.join(" "))), "{command:?}: {examples}");
        for variable in ["TOKENVAULT_KEY", "TOKENVAULT_CREDENTIAL"] {
            assert!(unwrapped(&place, command).contains(variable), "{command:?}: {variable}");
        }
    }
    for (command, told) in [
        (&[][..], "Exit code:"),
        (&[], "Only applications that link the library have events, audit, forwarding"),
        (&["create"], "`tokenvault index-fingerprints`"),
        (&["index-fingerprints"], "met on the way in this run"),
        (&["stats"], "lower bound"),
        (&["compact"], "room for a second copy"),
    ] {
        assert!(unwrapped(&place, command).contains(told), "{command:?}: {told}");
    }
    // No field of an update has an account number.
    assert!(!unwrapped(&place, &["update"]).contains("--unlisted-schemes"));
    for command in [&["create"][..], &["session", "complete"], &["security-code"]] {
        let help = unwrapped(&place, command);
        assert!(help.contains("gone") && help.contains("process"), "{command:?} says where codes are: {help}");
    }
    for promise in ["Blank lines", "Answers keep the order", "may have been kept"] {
        assert!(unwrapped(&place, &["create"]).contains(promise), "{promise}");
    }
}

#[test]
fn a_help_fits_a_terminal_and_breaks_no_example() {
    let place = Place::new();
    for command in HELPS {
        let (narrow, wide) = (help(&place, command, "80"), help(&place, command, "1000"));
        assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
        assert_eq!(examples(&narrow), examples(&wide), "{command:?}");
        assert!(examples(&wide).lines().all(|line| line.chars().count() <= 78), "{}", examples(&wide));
    }
}

/// Makes what the ids of the examples stand for, and gives the examples with the ids that it got.
#[cfg(unix)]
fn furnished(place: &Place, examples: &str) -> String {
    let id = |kind: &str, request: &str, field: &str| {
        let created = place.run(&["create", kind], request.as_bytes()).succeeded().lines().remove(0);
        created[field].as_str().unwrap().to_owned()
    };
    place.run(&["create", "pci", "--fingerprints"], b"").succeeded();
    for (id, name) in [("ACC-9042", "Corner shop"), ("ACC-9043", "Closed shop")] {
        place.define("account", &json!({"id": id, "name": name}));
    }
    for (id, scope) in [("MOD-1", "pci:tokens:create"), ("MOD-2", "pci:tokens:read")] {
        place.define("module", &json!({"id": id, "name": "M", "description": "D", "scopes": [scope]}));
    }
    let token = json!({"account": {"id": "ACC-9042"}, "name": "Till", "modules": [{"id": "MOD-1"}]}).to_string();
    [
        ("0d2f7b53-6b0e-4a56-9d57-4a8f0f6f0b1c", id("api-key", r#"{"scopes":["pci:tokens:read"]}"#, "id")),
        ("TKN-1671-0642", id("api-token", &token, "id")),
        ("8744c9ea-a02b-4ae6-875c-b64fc333e3ef", id("pci", CARD, "id")),
        ("6f9619ff-8b86-4d01-b42d-00cf4fc964ff", id("pci", CARD, "id")),
        ("1b4e28ba-2fa1-41d2-883f-0016d3cca427", id("generic", PAYLOAD, "id")),
        ("5cd3ff2c-5b3c-4f14-8f04-1cc7a0bbcd85", id("type", r#"{"name":"t","schema":{}}"#, "id")),
        ("c9bf9e57-1685-4c89-bafb-ff5af830be8a", id("pci", r#"{"source":{"type":"session"}}"#, "session_id")),
    ]
    .iter()
    .fold(examples.to_owned(), |examples, (sample, id)| examples.replace(sample, id))
}

/// What a shell that finds the tool makes of a text. Vault and key come from the environment, unless the text says where.
#[cfg(unix)]
fn shell(place: &Place, text: &str) -> Ran {
    let mut command = Command::new("sh");
    let tools = Path::new(env!("CARGO_BIN_EXE_tokenvault")).parent().unwrap();
    command.env("PATH", format!("{}:{}", tools.display(), std::env::var("PATH").unwrap()));
    command.env_remove("TOKENVAULT_CREDENTIAL");
    command
        .env("TOKENVAULT_PATH", place.vault())
        .env("TOKENVAULT_KEY", fs::read_to_string(place.key()).unwrap().trim());
    let home = place.folder.path().join("home");
    fs::create_dir(&home).unwrap();
    ran(
        {
            command.args(["-e", "-c", text]).current_dir(home);
            command
        },
        b"",
    )
}

/// What was read from a pipe cannot be read again.
#[cfg(target_os = "linux")]
#[test]
fn a_key_from_a_pipe_is_read_once() {
    let tool =
        "tokenvault --vault new.vault --key-file /dev/fd/3 create pci --fingerprints --duplicates return-existing";
    let script = format!("cat ../vault.key | {{ exec 3<&0; {tool} < /dev/null; }}");
    shell(&Place::new(), &script).succeeded();
}

#[cfg(unix)]
#[test]
fn every_example_runs_as_it_stands() {
    let run = |command: &[&str]| {
        let place = Place::new();
        let examples = examples(&help(&place, command, "80")).replace("  tokenvault demo\n", "");
        let ran = shell(&place, &furnished(&place, &examples));
        assert_eq!((ran.code(), ran.stderr()), (0, ""), "{examples}{}", ran.stdout());
        assert!(!ran.stdout().contains("classifier"), "{examples}{}", ran.stdout());
    };
    thread::scope(|scope| HELPS.iter().for_each(|command| drop(scope.spawn(|| run(command)))));
}

#[cfg(unix)]
#[test]
fn the_commands_of_the_readme_run_as_they_stand() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let block = readme.split("```sh\n").find(|block| block.starts_with("cargo install")).unwrap();
    let (_, script) = block.split("```").next().unwrap().split_once('\n').unwrap();
    let ran = shell(&Place::new(), script);
    assert_eq!((ran.code(), ran.stderr()), (0, ""), "{}", ran.stdout());
    assert!(!ran.stdout().contains("classifier"), "{}", ran.stdout());
    assert!(ran.stdout().ends_with("{\"card\":\"4111111111111111\"}\n"), "{}", ran.stdout());
}

// The demonstration.

#[test]
fn the_demo_needs_nothing_and_shows_the_full_number_only_where_it_is_revealed() {
    let place = Place::new();
    let mut command = place.bare(&["demo"]);
    command.env("TMPDIR", place.folder.path());
    assert!(unwrapped(&place, &["demo"]).contains("interrupted"), "what is left behind then");
    let ran = ran(command, b"").succeeded();
    assert!(ran.stdout().contains(MASK) && ran.stdout().contains("a second"));
    assert!(!ran.stdout().contains("is a bug"), "{}", ran.stdout());
    let full: Vec<_> = ran.stdout().lines().filter(|line| line.contains(NUMBER)).collect();
    assert_eq!(full.len(), 1, "{full:?}");
    assert!(full[0].contains(r#"{"account_number":"4111111111111111""#));
    assert!(!ran.stdout().contains("5555555555554444"), "nor any other number");
    for shown in [
        r#"{"path":"$.payload.iban","message":"is required"}"#,
        r#"{"status":"completed","token_id":""#,
        r#"{"card":"411111******1111","holder":"Bob Holder","month":12}"#,
        "with ReturnExisting: the token of step 2",
        r#"{"bin":"411111","scheme":["visa"]}"#,
        r#""expiry_year":2031"#,
    ] {
        assert!(ran.stdout().contains(shown), "{shown}: {}", ran.stdout());
    }
    let left = left_in(place.folder.path());
    assert_eq!(left, ["vault.key"], "nothing is left behind");
}

#[cfg(unix)]
#[test]
fn a_demo_without_a_temporary_folder_says_why() {
    let place = Place::new();
    let mut command = place.bare(&["demo"]);
    command.env("TMPDIR", place.folder.path().join("missing"));
    let refused = ran(command, b"").refused().lines().remove(0);
    assert!(refused["message"].as_str().unwrap().contains("No such file"), "{refused}");
}

fn left_in(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
