//! Promise: a template becomes a body of its kind in which each value stands as it is, or it is refused with all that is wrong
//! in it, before anything is lent.
//!
//! What the rules mean for any template is the property in `common/template.rs`; here stand the rules at their edges.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use common::shared::Shared;
use common::template::{NUMBER, template as holds};
use common::{keys, token, vault, violations};
use proptest::prelude::*;
use proptest::sample::Index;
use tokenvault::card::{CardExpiry, Pan};
use tokenvault::store::Table;
use tokenvault::{Body, CreateGeneric, CreatePci, Error, ErrorKind, PanSource, TokenId, Vault, VaultOptions};

fn card(vault: &Vault, name: Option<&str>) -> TokenId {
    let card = PanSource::new(Pan::parse(NUMBER).unwrap(), CardExpiry::new(4, 2031).unwrap());
    let card = name.iter().try_fold(card, |card, name| card.cardholder_name(name)).unwrap();
    token(vault.create_pci(CreatePci::new(card)).unwrap()).id
}

/// A template filled with a card of this name.
fn fill(body: Body<'_>, name: &str) -> Result<String, Error> {
    let (vault, _) = vault();
    let id = card(&vault, Some(name));
    vault.fill(id, body, |filled| String::from_utf8(filled.to_vec()).unwrap())
}

#[track_caller]
fn becomes(body: Body<'_>, filled: &str) {
    assert_eq!(fill(body, "Zoë \"Q\" <Jo>").unwrap(), filled);
}

/// What is said of a template: path and rule, in order. The card has no name.
#[track_caller]
fn refused(body: Body<'_>, said: &[(&str, &str)]) {
    let (vault, _) = vault();
    let id = card(&vault, None);
    let refusal = vault.fill(id, body, |_| panic!("lent")).unwrap_err();
    assert_eq!(violations(&refusal), said);
}

const UNKNOWN: &str = "unknown placeholder";
const UNTERMINATED: &str = "unterminated placeholder";
const OUTSIDE: &str = "placeholder outside a string value";
const OUTSIDE_XML: &str = "placeholder outside the text of an element and the value of an attribute";
const UNWRAP: &str = "`unwrap` outside a JSON string that holds nothing else";
const NO_NAME: &str = "placeholder for a cardholder name that the token lacks";
const NO_CODE: &str = "placeholder for a security code that the token lacks";

// What is filled in.

#[test]
fn each_value_is_escaped_for_its_kind_of_body() {
    becomes(
        Body::Json(
            r#"{"n":"{{ account_number }}","h":"{{ cardholder_name }}","y":"{{ expiry_year }}","m":"{{ expiry_month }}"}"#,
        ),
        r#"{"n":"4539184724659184","h":"Zoë \"Q\" <Jo>","y":"2031","m":"04"}"#,
    );
    becomes(
        Body::Form("n={{account_number}}&h={{cardholder_name}}&e={{expiry_month}}%2F{{expiry_year}}"),
        "n=4539184724659184&h=Zo%C3%AB+%22Q%22+%3CJo%3E&e=04%2F2031",
    );
    becomes(
        Body::Xml(
            "<c n='{{ account_number }}' h=\"{{ cardholder_name }}\">{{ cardholder_name }}, {{ expiry_month }}</c>",
        ),
        "<c n='4539184724659184' h=\"Zoë &quot;Q&quot; &lt;Jo&gt;\">Zoë &quot;Q&quot; &lt;Jo&gt;, 04</c>",
    );
}

#[test]
fn spaces_within_the_braces_are_optional() {
    for spelled in ["{{expiry_month}}", "{{ expiry_month }}", "{{expiry_month }}", "{{     expiry_month   }}"] {
        becomes(Body::Form(spelled), "04");
        becomes(Body::Json(&format!("\"{spelled}\"")), "\"04\"");
    }
    for spelled in ["{{expiry_month|unwrap}}", "{{ expiry_month | unwrap }}", "{{  expiry_month|  unwrap}}"] {
        becomes(Body::Json(&format!("\"{spelled}\"")), "4");
    }
}

#[test]
fn values_stand_beside_text_and_beside_each_other() {
    becomes(Body::Json(r#"["a{{expiry_month}}{{expiry_year}}b {{expiry_month}}"]"#), r#"["a042031b 04"]"#);
    becomes(Body::Form("{{expiry_month}}{{expiry_year}}={"), "042031={");
    becomes(Body::Xml("<a>{{expiry_month}}{{expiry_year}}{</a>"), "<a>042031{</a>");
}

#[test]
fn a_template_without_placeholders_stays_as_it_is() {
    for text in [" {\"a\" : [ ] } \n", "[]", "\"}}\"", "-0.5e+10"] {
        becomes(Body::Json(text), text);
    }
    for text in ["a=b+%20", "", "}}"] {
        becomes(Body::Form(text), text);
    }
    for text in ["<a>}}{ </a>\n", "", "\u{feff}<a b='}}'/>"] {
        becomes(Body::Xml(text), text);
    }
}

#[test]
fn unwrap_gives_the_native_value() {
    becomes(
        Body::Json(r#"{"m":"{{ expiry_month | unwrap }}","y":"{{ expiry_year | unwrap }}"}"#),
        r#"{"m":4,"y":2031}"#,
    );
    // That of text is a string.
    becomes(
        Body::Json(r#"["{{ account_number | unwrap }}","{{ cardholder_name | unwrap }}"]"#),
        r#"["4539184724659184","Zoë \"Q\" <Jo>"]"#,
    );
    becomes(Body::Json(r#""{{ expiry_month | unwrap }}""#), "4");
    becomes(Body::Json(r#"{"{":"{{expiry_month|unwrap}}"}"#), r#"{"{":4}"#);
}

#[test]
fn a_value_that_looks_like_a_placeholder_is_not_expanded() {
    let name = "{{ account_number }}";
    assert_eq!(fill(Body::Json(r#"["{{cardholder_name}}"]"#), name).unwrap(), r#"["{{ account_number }}"]"#);
    assert_eq!(fill(Body::Xml("<a>{{cardholder_name}}</a>"), name).unwrap(), "<a>{{ account_number }}</a>");
    assert_eq!(fill(Body::Form("a={{cardholder_name}}"), name).unwrap(), "a=%7B%7B+account_number+%7D%7D");
    // Nor do a value and the text beside it make one.
    let beside = Body::Json(r#"["{{cardholder_name}}{ expiry_month }}"]"#);
    assert_eq!(fill(beside, "{").unwrap(), r#"["{{ expiry_month }}"]"#);
}

#[test]
fn two_braces_that_are_meant_as_such_are_escaped() {
    for text in [r#"["{\u007b account_number }}"]"#, r#"["\u007b{ account_number }}"]"#] {
        becomes(Body::Json(text), text);
    }
    for text in ["a=%7B%7Baccount_number}}", "a={%7Baccount_number}}"] {
        becomes(Body::Form(text), text);
    }
    becomes(Body::Xml("<a>&#123;{ account_number }}</a>"), "<a>&#123;{ account_number }}</a>");
}

// What is refused.

#[test]
fn what_is_no_placeholder_is_refused_by_its_byte() {
    for (text, said) in [
        ("{{}}", UNKNOWN),
        ("{{ }}", UNKNOWN),
        ("{{ Account_Number }}", UNKNOWN),
        ("{{ account number }}", UNKNOWN),
        ("{{ account_numbers }}", UNKNOWN),
        ("{{ number }}", UNKNOWN),
        ("{{ account_number. }}", UNKNOWN),
        ("{{{ account_number }}}", UNKNOWN),
        ("{{ account_number | }}", UNKNOWN),
        ("{{ account_number | wrap }}", UNKNOWN),
        ("{{ account_number | unwrap | unwrap }}", UNKNOWN),
        ("{{ account_number || unwrap }}", UNKNOWN),
        ("{{ unwrap }}", UNKNOWN),
        ("{{ é }}", UNKNOWN),
        ("{{ account_number } }", UNTERMINATED),
        ("{{ account_number }", UNTERMINATED),
        ("{{account_number", UNTERMINATED),
        ("{{", UNTERMINATED),
    ] {
        refused(Body::Json(&format!("[\"é{text}\"]")), &[("$[4]", said)]);
        refused(Body::Xml(&format!("<é>{text}</é>")), &[("$[4]", said)]);
        refused(Body::Xml(&format!("<é a='{text}'/>")), &[("$[7]", said)]);
        if said == UNKNOWN || !text.contains(' ') {
            refused(Body::Form(&format!("a={text}")), &[("$[2]", said)]);
        }
    }
    let spaced = "character that a form must percent-encode at byte 4";
    refused(Body::Form("a={{ account_number &b=c"), &[("$[2]", UNTERMINATED), ("$", spaced)]);
    // Of all that is white, only spaces are optional.
    refused(Body::Xml("<a>{{\naccount_number }}</a>"), &[("$[3]", UNTERMINATED)]);
    refused(Body::Xml("<a>{{ account_number\t}}</a>"), &[("$[3]", UNTERMINATED)]);
}

#[test]
fn a_placeholder_that_is_not_closed_does_not_hide_the_next() {
    refused(
        Body::Json(r#"["{{ a {{ b }} {{ cardholder_name }}"]"#),
        &[("$[2]", UNTERMINATED), ("$[7]", UNKNOWN), ("$[15]", NO_NAME)],
    );
    refused(Body::Json(r#"["{{ a","}}{{ b }}"]"#), &[("$[2]", UNTERMINATED), ("$[11]", UNKNOWN)]);
    refused(
        Body::Xml("<a b='{{ c' d='}}{{ e }}'>{{ f<g/>}}</a>"),
        &[("$[6]", UNTERMINATED), ("$[17]", UNKNOWN), ("$[26]", UNTERMINATED)],
    );
    refused(Body::Form("a={{b&c=}}{{d}}"), &[("$[2]", UNTERMINATED), ("$[10]", UNKNOWN)]);
    refused(Body::Json(r#"["{{{{ expiry_month }}"]"#), &[("$[2]", UNTERMINATED)]);
    // Nor the end of what it stands in.
    refused(Body::Xml("<a><!-- {{ --></a>"), &[("$[8]", UNTERMINATED)]);
    refused(Body::Xml("<a><?b {{?></a>"), &[("$[7]", UNTERMINATED)]);
}

#[test]
fn a_placeholder_that_an_escape_cuts_is_refused() {
    for cut in [
        "{{ account\\u005fnumber }}",
        "{{\\u0020account_number }}",
        "{{ account_number }\\u007d",
        "{{ account_number \\u007d}",
        "{{\\\"",
    ] {
        refused(Body::Json(&format!("[\"{cut}\"]")), &[("$[2]", UNTERMINATED)]);
    }
    refused(Body::Xml("<a>{{ account_number &#125;}</a>"), &[("$[3]", UNTERMINATED)]);
    refused(Body::Form("{{account_number%7D}"), &[("$[0]", UNTERMINATED)]);
}

#[test]
fn json_has_placeholders_in_string_values_only() {
    refused(Body::Json("{{ account_number }}"), &[("$[0]", OUTSIDE)]);
    refused(
        Body::Json(r#"{"month":{{ expiry_month | unwrap }},"b":[{{ expiry_year }} , 1]}"#),
        &[("$[9]", OUTSIDE), ("$[42]", OUTSIDE)],
    );
    refused(
        Body::Json(r#"{"{{ account_number }}":1,"a{{ cardholder_name }}":2}"#),
        &[("$[2]", OUTSIDE), ("$[28]", OUTSIDE)],
    );
    refused(Body::Json("{{{ account_number }}:1}"), &[("$[0]", UNKNOWN), ("$", "malformed JSON at byte 21")]);
    refused(Body::Json(r#"{ {{ account_number }} : "{{ b }}" }"#), &[("$[2]", OUTSIDE), ("$[26]", UNKNOWN)]);
    refused(Body::Json("{\"a\":{{\"b\":1}}}"), &[("$[5]", UNTERMINATED), ("$", "malformed JSON at byte 7")]);
}

#[test]
fn unwrap_stands_alone_in_a_json_string() {
    for (body, at) in [
        (r#"[" {{ expiry_month | unwrap }}"]"#, "$[3]"),
        (r#"["{{ expiry_month | unwrap }} "]"#, "$[2]"),
        (r#"["{{ account_number | unwrap }}x"]"#, "$[2]"),
        (r#"["\"{{ expiry_month | unwrap }}"]"#, "$[4]"),
        (r#"["{{ expiry_month | unwrap }}\""]"#, "$[2]"),
    ] {
        refused(Body::Json(body), &[(at, UNWRAP)]);
    }
    refused(
        Body::Json(r#"["{{ expiry_month | unwrap }}{{ expiry_year | unwrap }}"]"#),
        &[("$[2]", UNWRAP), ("$[29]", UNWRAP)],
    );
    refused(Body::Form("a={{ expiry_month | unwrap }}"), &[("$[2]", UNWRAP)]);
    refused(
        Body::Xml("<a b='{{expiry_month|unwrap}}'>{{ expiry_month | unwrap }}</a>"),
        &[("$[6]", UNWRAP), ("$[31]", UNWRAP)],
    );
    refused(Body::Json(r#"{"{{ expiry_month | unwrap }}":1}"#), &[("$[2]", OUTSIDE)]);
}

#[test]
fn a_value_that_is_not_there_is_told_with_all_else_that_is_wrong() {
    refused(Body::Form("{{cardholder_name}}{{security_code}}"), &[("$[0]", NO_NAME), ("$[19]", NO_CODE)]);
    refused(
        Body::Json(r#"["{{ cardholder_name }}","{{ a }}","{{ security_code | unwrap }}","{{"]"#),
        &[("$[2]", NO_NAME), ("$[26]", UNKNOWN), ("$[36]", NO_CODE), ("$[67]", UNTERMINATED)],
    );
    refused(Body::Json(r#"["{{ cardholder_name }}",}"#), &[("$[2]", NO_NAME), ("$", "malformed JSON at byte 25")]);
}

#[test]
fn at_most_a_hundred_violations_are_listed_and_the_rest_counted() {
    let (vault, _) = vault();
    let id = card(&vault, None);
    for what in ["{{a}}", "{{cardholder_name}}"] {
        for count in [100, 101, 50_000] {
            let error = vault.fill(id, Body::Form(&what.repeat(count)), |_| panic!("lent")).unwrap_err();
            let told = violations(&error);
            assert_eq!(told[99].0, format!("$[{}]", 99 * what.len()));
            let more = format!("and {} more", count - 100);
            assert_eq!(told.get(100), (count > 100).then_some(&("$", more.as_str())));
            assert!(told.len() <= 101);
        }
    }
}

#[test]
fn malformed_json_is_told_by_its_byte() {
    for (text, at) in [
        ("", 0),
        (" ", 1),
        ("\u{feff}{}", 0),
        ("{", 1),
        ("{\"a\"", 4),
        ("{\"a\":1}x", 7),
        ("{\"a\" 1}", 5),
        ("{a:1}", 1),
        ("[01]", 2),
        ("[\"\u{1}\"]", 2),
        ("[\"\\x\"]", 3),
        ("[\"\\u12{{account_number}}\"]", 6),
        ("[\"\\{{account_number}}\"]", 3),
        ("[1,]", 3),
        ("[1}", 2),
        ("{\"a\":1]", 6),
        ("{\"a\":1,}", 7),
        ("[}", 1),
        ("{]", 1),
        ("]", 0),
        ("[nul]", 4),
        ("[1.]", 3),
        ("[1e+]", 4),
        ("[-]", 2),
        ("\"a", 2),
        ("1 2", 2),
        (",", 0),
        ("[:]", 1),
    ] {
        refused(Body::Json(text), &[("$", &format!("malformed JSON at byte {at}"))]);
    }
}

#[test]
fn sixty_four_levels_are_read_and_one_more_is_refused() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |levels: usize| format!("{}\"{{{{expiry_month}}}}\"{}", open.repeat(levels), close.repeat(levels));
        assert_eq!(fill(Body::Json(&nested(64)), "Jo").unwrap().matches("\"04\"").count(), 1);
        let said = format!("more than 64 levels deep at byte {}", 64 * open.len());
        refused(Body::Json(&nested(65)), &[("$", &said)]);
        refused(Body::Json(&nested(80_000)), &[("$", &said)]);
    }
    // Levels that are closed again do not count.
    let flat = format!("[{}1]", "[],".repeat(300));
    becomes(Body::Json(&flat), &flat);
}

#[test]
fn a_form_is_percent_encoded() {
    for (text, at) in [("a=b c", 3), ("a=b\n", 3), ("é", 0), ("a\u{7f}", 1), ("{{expiry_month}} ", 16), ("\0", 0)] {
        refused(Body::Form(text), &[("$", &format!("character that a form must percent-encode at byte {at}"))]);
    }
    // What follows would be taken for the digits.
    let cut = [("%", 0), ("a%2", 1), ("%{{expiry_month}}", 0), ("%2{{expiry_month}}", 0), ("%2g", 0), ("%%20", 0)];
    for (text, at) in cut {
        refused(Body::Form(text), &[("$", &format!("`%` without two hexadecimal digits at byte {at}"))]);
    }
}

#[test]
fn xml_has_placeholders_in_text_and_attributes_only() {
    for (text, at) in [
        ("{{ account_number }}<a/>", 0),
        ("<a/>{{ account_number }}", 4),
        ("<{{ account_number }}/>", 1),
        ("<a {{ account_number }}='b'/>", 3),
        ("<a b={{ account_number }}/>", 5),
        ("<a></a {{ account_number }}>", 7),
        ("<a><!-- {{ account_number }} --></a>", 8),
        ("<a><![CDATA[{{ account_number }}]]></a>", 12),
        ("<?b {{ account_number }}?><a/>", 4),
    ] {
        refused(Body::Xml(text), &[(&format!("$[{at}]"), OUTSIDE_XML)]);
    }
    becomes(
        Body::Xml("<?xml version='1.0'?><!-- <a> --><a b='>\"'><c/>{{expiry_month}}<![CDATA[<d>]]></a><!-- -->\n"),
        "<?xml version='1.0'?><!-- <a> --><a b='>\"'><c/>04<![CDATA[<d>]]></a><!-- -->\n",
    );
}

#[test]
fn xml_whose_places_cannot_be_told_is_refused() {
    for (text, at) in [
        ("<a", 2),
        ("<a>", 3),
        ("</a>", 4),
        ("<a></a></a>", 11),
        ("<a b='", 6),
        ("<a b='<'/>", 6),
        ("<a <b>", 3),
        ("<!--", 4),
        ("<!-->", 5),
        ("<?", 2),
        ("<a><![CDATA[", 12),
        ("<a>& </a>", 4),
        ("<a>&lt</a>", 6),
        ("<a>&;</a>", 4),
        // A name like `lt; x` would make a reference of it.
        ("<a>&{{ cardholder_name }}</a>", 4),
        ("<a b='&{{ cardholder_name }};'/>", 7),
    ] {
        refused(Body::Xml(text), &[("$", &format!("malformed XML at byte {at}"))]);
    }
    let declared = "<!DOCTYPE a [<!ENTITY b '{{ account_number }}'>]><a>&b;</a>";
    refused(Body::Xml(declared), &[("$", "document type declaration at byte 0")]);
}

#[test]
fn a_character_that_xml_lacks_is_refused_in_xml_alone() {
    for name in ["\u{fffe}", "Jo\u{ffff}"] {
        let error = fill(Body::Xml("<a>{{ expiry_month }}{{ cardholder_name }}</a>"), name).unwrap_err();
        assert_eq!(violations(&error), [("$[21]", "placeholder for a value with a character that XML lacks")]);
        assert!(fill(Body::Json(r#"["{{ cardholder_name }}"]"#), name).unwrap().contains(name));
        assert!(fill(Body::Form("{{ cardholder_name }}"), name).unwrap().contains("%EF%BF%B"));
        assert_eq!(fill(Body::Xml("<a>{{ expiry_month }}</a>"), name).unwrap(), "<a>04</a>");
    }
}

// Sizes.

#[test]
fn a_template_of_a_mebibyte_is_filled_and_one_byte_more_is_refused() {
    let body = |length: usize| format!("{}{{{{expiry_month}}}}", "a".repeat(length - 16));
    assert_eq!(fill(Body::Form(&body(1 << 20)), "Jo").unwrap().len(), (1 << 20) - 14);
    let too_large = body((1 << 20) + 1);
    for kind in [Body::Json, Body::Form, Body::Xml] {
        refused(kind(&too_large), &[("$", "template is larger than 1 MiB at byte 1048576")]);
    }
    let error = Body::from_utf8(&vec![0xff; (1 << 20) + 1], Body::Json).unwrap_err();
    assert_eq!(violations(&error), [("$", "template is larger than 1 MiB at byte 1048576")]);
}

#[test]
fn bytes_that_are_not_utf_8_are_no_template() {
    let error = Body::from_utf8(b"[\"\xff\"]", Body::Json).unwrap_err();
    assert_eq!(violations(&error), [("$", "invalid UTF-8 at byte 2")]);
}

#[test]
fn a_body_of_two_mebibytes_is_filled_and_one_byte_more_is_refused() {
    // 255 characters of 12 bytes each in the place of 19.
    let name = "\u{10fffd}".repeat(255);
    let names = "{{cardholder_name}}".repeat(685);
    let body = |filled: usize| format!("{}{names}", "a".repeat(filled - 685 * 3060));
    assert_eq!(fill(Body::Form(&body(2 << 20)), &name).unwrap().len(), 2 << 20);
    let error = fill(Body::Form(&body((2 << 20) + 1)), &name).unwrap_err();
    assert_eq!(violations(&error), [("$", "filled body would be larger than 2 MiB")]);
}

#[test]
fn hostile_templates_take_a_time_in_proportion() {
    let (vault, _) = vault();
    let id = card(&vault, None);
    let hostile =
        ["{{", "{{ ", "{{ account_number ", "{", "{{ a }", "[", "\"{{", "<a b='{{", "&{{", "<!--{{", "%7b", "<a>", " "];
    // Quadratic work on a mebibyte would take minutes.
    for piece in hostile.into_iter().chain(["{{expiry_month}}"]) {
        let text = piece.repeat((1 << 20) / piece.len() - 20);
        for (before, behind) in [("", ""), ("\"", "\""), ("<a>", "</a>"), ("<a b='", "'/>"), ("<!--", "-->")] {
            let text = format!("{before}{text}{behind}");
            for kind in [Body::Json, Body::Form, Body::Xml] {
                let start = Instant::now();
                drop(vault.fill(id, kind(&text), |_| ()));
                assert!(start.elapsed() < Duration::from_secs(5), "{before}{piece} took {:?}", start.elapsed());
            }
        }
    }
}

// The call.

#[test]
fn a_template_that_is_wrong_comes_before_a_token_that_is_not_there() {
    let (vault, _) = vault();
    let nobody: TokenId = "8744c9ea-a02b-4ae6-875c-b64fc333e3ef".parse().unwrap();
    let kind = |id, body| vault.fill(id, body, |_| panic!("lent")).unwrap_err().kind();
    assert_eq!(kind(nobody, Body::Json("{{")), ErrorKind::Validation);
    assert_eq!(kind(nobody, Body::Json("\"{{ security_code }}\"")), ErrorKind::NotFound);
    let generic = vault.create_generic(CreateGeneric::new([("pin", "1234")]).unwrap()).unwrap();
    assert_eq!(kind(generic.id, Body::Form("")), ErrorKind::NotFound);
    let id = card(&vault, None);
    vault.close().unwrap();
    assert_eq!(kind(id, Body::Form("")), ErrorKind::Unavailable);
}

#[test]
fn an_expired_token_fills_nothing() {
    let (vault, clock) = vault();
    let card = PanSource::new(Pan::parse(NUMBER).unwrap(), CardExpiry::new(4, 2031).unwrap());
    let id = token(vault.create_pci(CreatePci::new(card).expires_in(10).unwrap()).unwrap()).id;
    clock.advance_millis(9_999);
    assert_eq!(vault.fill(id, Body::Form("{{expiry_month}}"), <[u8]>::to_vec).unwrap(), b"04");
    clock.advance_millis(1);
    let error = vault.fill(id, Body::Form("{{expiry_month}}"), |_| panic!("lent")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn a_damaged_record_fills_nothing() {
    let store = Shared::default();
    let vault = VaultOptions::new().open_with(store.clone(), keys()).unwrap();
    let id = card(&vault, None);
    let mut record = store.value(Table::Pci, id.as_bytes()).unwrap();
    *record.last_mut().unwrap() ^= 1;
    store.put(Table::Pci, id.as_bytes(), &record);
    let kind = |body| vault.fill(id, body, |_| panic!("lent")).unwrap_err().kind();
    assert_eq!(kind(Body::Form("a")), ErrorKind::Corrupt);
    assert_eq!(kind(Body::Form("{{")), ErrorKind::Validation);
}

#[test]
fn what_the_closure_answers_is_answered_and_its_panic_passes_on() {
    let (vault, _) = vault();
    let id = card(&vault, None);
    let answer: Result<u8, &str> = vault.fill(id, Body::Form("a"), |_| Err("no")).unwrap();
    assert_eq!(answer, Err("no"));
    let panics = || vault.fill(id, Body::Form("a"), |_| panic!("as it pleases"));
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    assert_eq!(vault.fill(id, Body::Form("a"), <[u8]>::len).unwrap(), 1);
}

#[test]
fn a_body_says_its_media_type_and_does_not_show_itself() {
    for (body, media_type, shown) in [
        (Body::Json("secret"), "application/json", "Json(..)"),
        (Body::Form("secret"), "application/x-www-form-urlencoded", "Form(..)"),
        (Body::Xml("secret"), "application/xml", "Xml(..)"),
    ] {
        assert_eq!((body.content_type(), format!("{body:?}").as_str()), (media_type, shown));
    }
}

// Any template.

/// The pieces of templates, in any order.
fn pieces(own: &'static [&'static str]) -> impl Strategy<Value = String> {
    const COMMON: &[&str] = &[
        "{{ account_number }}",
        "{{cardholder_name}}",
        "{{ expiry_month }}",
        "{{ expiry_year | unwrap }}",
        "{{expiry_month|unwrap}}",
        "{{ security_code }}",
        "{{ a }}",
        "{{",
        "}}",
        "{",
        " ",
        "a",
        "é",
    ];
    let of = proptest::sample::select::<&str>;
    let piece = prop_oneof![of(COMMON), of(own), of(own)];
    proptest::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

fn any_of(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    proptest::sample::select::<&str>(texts).prop_map(str::to_owned)
}

/// JSON that is well-formed but for its placeholders, in most cases.
fn json() -> impl Strategy<Value = String> {
    const ALONE: &[&str] =
        &["\"{{ expiry_month | unwrap }}\"", "\"{{ cardholder_name | unwrap }}\"", "\"{{ account_number }}\""];
    let string = pieces(&["\\n", "\\\"", "\\u00e9", "\\ud83d", "b"]).prop_map(|text| format!("\"{text}\""));
    let leaf = prop_oneof![2 => any_of(ALONE), 1 => string, 1 => any_of(&["1e5", "-0.1", "true", "null", "1e999"])];
    leaf.prop_recursive(4, 16, 4, |inner| {
        let name = any_of(&["a", "a", "b", "b", "c", "{{ expiry_year }}"]);
        let member = (name, inner.clone()).prop_map(|(name, value)| format!("\"{name}\": {value}"));
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(|values| format!("[{}]", values.join(" ,"))),
            proptest::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

/// XML that is well-formed but for its placeholders, in most cases.
fn xml() -> impl Strategy<Value = String> {
    let text = || {
        let mixed = pieces(&["&amp;", "&#x41;", "]]>", "b", "\n"]);
        prop_oneof![3 => any_of(&["{{ cardholder_name }}", "{{account_number}}"]), 1 => mixed]
    };
    let inner = text().prop_recursive(3, 12, 3, move |inner| {
        let element = (text(), proptest::collection::vec(inner, 0..3))
            .prop_map(|(value, inner)| format!("<a b='{value}'>{}</a>", inner.concat()));
        prop_oneof![4 => element, 1 => any_of(&["<!-- {{ expiry_month }} -->", "<b c=\"{{expiry_year}}\"/>"])]
    });
    inner.prop_map(|inner| format!("<r>{inner}</r>"))
}

/// The first byte of the property's input: a kind of body, and any card.
fn choice(kind: u8) -> impl Strategy<Value = u8> {
    (0_u8..6).prop_map(move |card| card * 3 + kind)
}

fn of_json() -> impl Strategy<Value = String> {
    prop_oneof![2 => json(), 1 => pieces(&["\"", "[", "]", "{", "}", ":", ",", "\\", "1", "\"a\"", "null"])]
}

fn of_xml() -> impl Strategy<Value = String> {
    const PIECES: &[&str] =
        &["<a>", "</a>", "<a b='", "'", "/>", "<!--", "-->", "<![CDATA[", "]]>", "&amp;", "&", "<?", "?>", "\"", "<!"];
    prop_oneof![2 => xml(), 1 => pieces(PIECES)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn any_json_keeps_the_property(choice in choice(0), text in of_json()) {
        holds(&[&[choice], text.as_bytes()].concat());
    }

    #[test]
    fn any_form_keeps_the_property(choice in choice(1), text in pieces(&["&", "=", "+", "%41", "%", "b", "%c3%a9"])) {
        holds(&[&[choice], text.as_bytes()].concat());
        holds(&[&[choice], text.replace([' ', 'é'], "").as_bytes()].concat());
    }

    #[test]
    fn any_xml_keeps_the_property(choice in choice(2), text in of_xml()) {
        holds(&[&[choice], text.as_bytes()].concat());
    }

    #[test]
    fn any_bytes_keep_the_property(bytes in any::<Vec<u8>>()) {
        holds(&bytes);
    }

    #[test]
    fn a_changed_byte_keeps_the_property(choice in 0_u8..18, text in prop_oneof![json(), xml()], at: Index, byte: u8) {
        let mut bytes = [&[choice], text.as_bytes()].concat();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        holds(&bytes);
    }
}
