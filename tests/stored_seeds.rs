//! Promise: whatever bytes stand where a record or an anchor should, the vault refuses them or gives something valid.
//!
//! The seeds of the fuzz targets are replayed here on every run; each names what it is.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test"
)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::forge::{self, Card, Forger, GENERIC, Header, PCI, VISA, Value};
use common::{forged_access, stored};
use proptest::prelude::*;

fn seeds(property: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(property)
}

fn replay(property: &str, check: fn(&[u8])) {
    let mut replayed = 0;
    for entry in fs::read_dir(seeds(property)).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        check(&fs::read(path).unwrap());
        replayed += 1;
    }
    assert!(replayed >= 12, "seeds are missing");
}

#[test]
fn seeds_of_records() {
    replay("record", stored::record);
}

#[test]
fn seeds_of_key_rings() {
    replay("key_ring", stored::key_ring);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_as_a_record(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        stored::record(&bytes);
    }

    #[test]
    fn a_seed_of_a_record_with_a_byte_changed(seed in 0_usize..100, at: prop::sample::Index, byte: u8) {
        let seeds = record_seeds();
        let mut bytes = seeds[seed % seeds.len()].1.clone();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        stored::record(&bytes);
    }

    #[test]
    fn any_bytes_as_a_key_ring(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        stored::key_ring(&bytes);
    }

    #[test]
    fn a_seed_of_a_key_ring_with_a_byte_changed(seed in 0_usize..100, at: prop::sample::Index, byte: u8) {
        let seeds = key_ring_seeds();
        let mut bytes = seeds[seed % seeds.len()].1.clone();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        stored::key_ring(&bytes);
    }
}

/// Writes the seeds anew, after a change of what they are made of.
#[test]
#[ignore = "writes files"]
fn write_seeds() {
    for (property, seeds_of) in [("record", record_seeds()), ("key_ring", key_ring_seeds())] {
        fs::create_dir_all(seeds(property)).unwrap();
        for (name, bytes) in seeds_of {
            fs::write(seeds(property).join(name), bytes).unwrap();
        }
    }
}

type Seeds = Vec<(&'static str, Vec<u8>)>;

fn parts(choices: u8, view: &[u8], secret: &[u8]) -> Vec<u8> {
    [&[choices][..], &u16::try_from(view.len()).unwrap().to_le_bytes(), view, secret].concat()
}

fn record_seeds() -> Seeds {
    let generic = |view: &[u8], secret: &[u8]| parts(0, view, secret);
    let pci = |card: &Card<'_>, pairs| parts(1, &forge::pci_view(card, pairs), &forge::pci_secret(card));
    let no_label = forge::generic_view(None);
    let pin = forge::payload(&[("pin", Value::Text("1234"))]);
    let number = |literal| generic(&no_label, &forge::payload(&[("n", Value::Number(literal))]));
    let many: Vec<(String, String)> = (0..21).map(|at| (format!("key{at}"), "v".repeat(80))).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let forger = Forger::new([1; 32]);
    let of_type = |name: &str, schema: &str| generic(&[forge::text(name), forge::text(schema)].concat(), &[]);
    let typed = [&[2][..], &[7; 16]].concat();
    // The key and the id of the vault in which they are read.
    let own = Forger { vault: *b"not the foreign!", ..Forger::new([0x6b; 32]) };
    let view_of = |view: Vec<u8>| generic(&view, &[]);
    let with_filters =
        |json: &str| forged_access::module_view_with(&["pci:tokens:read"], &[vec![1], forge::text(json)].concat());
    vec![
        ("type", of_type("account", r#"{"required":["pin"],"properties":{"pin":{"pattern":"^[0-9]+$"}}}"#)),
        ("type_without_a_name", of_type("", "{}")),
        ("type_with_a_schema_that_is_none", of_type("account", r#"{"type":7}"#)),
        ("type_with_a_schema_that_is_no_json", of_type("account", "{")),
        ("api_key", view_of(forged_access::api_key_view(&own, &["pci:tokens:read"]))),
        ("api_key_without_a_scope", view_of(forged_access::api_key_view(&own, &[]))),
        ("api_key_of_an_unknown_scope", view_of(forged_access::api_key_view(&own, &["pci:tokens:*"]))),
        ("api_token", view_of(forged_access::api_token_view(&own, 1, 1))),
        ("api_token_disabled", view_of(forged_access::api_token_view(&own, 2, 1))),
        ("api_token_deleted", view_of(forged_access::api_token_view(&own, 3, 1))),
        ("api_token_of_an_unknown_status", view_of(forged_access::api_token_view(&own, 4, 1))),
        ("api_token_with_a_module_twice", view_of(forged_access::api_token_view(&own, 1, 2))),
        ("api_token_without_a_module", view_of(forged_access::api_token_view(&own, 1, 0))),
        ("account", view_of(forged_access::account_view(1))),
        ("account_of_nobody", view_of(forged_access::account_view(0))),
        ("module", view_of(forged_access::module_view(&["pci:tokens:read", "pci:tokens:create"]))),
        ("module_with_filters", view_of(with_filters(r#"{"a":["b"]}"#))),
        ("module_with_filters_that_are_no_json", view_of(with_filters("{"))),
        ("generic_of_a_type", generic(&typed, &pin)),
        ("generic_of_half_a_type", generic(&typed[..9], &pin)),
        ("generic", generic(&no_label, &pin)),
        ("generic_expiring_labelled", parts(2, &forge::generic_view(Some(&[("order", "77"), ("é", "☃")])), &pin)),
        ("generic_empty_maps", generic(&forge::generic_view(Some(&[])), &[0])),
        (
            "generic_every_kind_of_value",
            generic(
                &no_label,
                &forge::payload(&[
                    ("t", Value::Text("naïve 😀")),
                    ("yes", Value::Bool(true)),
                    ("no", Value::Bool(false)),
                    ("n", Value::Number("-1.50e+3")),
                ]),
            ),
        ),
        ("generic_20_labels", generic(&forge::generic_view(Some(&many[..20])), &pin)),
        ("generic_21_labels", generic(&forge::generic_view(Some(&many)), &pin)),
        (
            "generic_twice_the_same_key",
            generic(&no_label, &forge::payload(&[("a", Value::Bool(true)), ("a", Value::Bool(true))])),
        ),
        ("generic_empty_key_and_text", generic(&no_label, &forge::payload(&[("", Value::Text(""))]))),
        ("generic_number_with_a_plus", number("+5")),
        ("generic_number_that_is_none", number("inf")),
        ("generic_number_with_a_leading_zero", number("007")),
        ("generic_number_without_a_fraction", number("1.")),
        ("generic_bytes_too_many", generic(&no_label, &[&pin[..], &[0]].concat())),
        ("pci", pci(&VISA, None)),
        ("pci_named_labelled", pci(&Card { name: Some("Zoë Ångström"), ..VISA }, Some(&[("order", "77")]))),
        ("pci_without_a_scheme", pci(&Card { scheme: 0, ..VISA }, None)),
        ("pci_of_an_unknown_scheme", pci(&Card { scheme: 8, ..VISA }, None)),
        ("pci_in_month_13", pci(&Card { month: 13, ..VISA }, None)),
        ("pci_of_letters", pci(&Card { number: "four one one one", ..VISA }, None)),
        ("pci_without_a_number", pci(&Card { number: "", masked: "", ..VISA }, None)),
        ("pci_that_hides_nothing", pci(&Card { masked: VISA.number, ..VISA }, None)),
        ("pci_with_an_empty_name", pci(&Card { name: Some(""), ..VISA }, None)),
        ("pci_with_a_control_character", pci(&Card { name: Some("a\u{7}b"), ..VISA }, None)),
        ("sealed_generic_of_another_vault", forger.record(&[9; 16], &Header::of(GENERIC), &no_label, &pin)),
        (
            "sealed_pci_of_another_vault",
            forger.record(&[9; 16], &Header::of(PCI), &forge::pci_view(&VISA, None), &forge::pci_secret(&VISA)),
        ),
    ]
}

fn key_ring_seeds() -> Seeds {
    let forger = Forger::new([0x6b; 32]);
    let row = |kind, number, state| forge::ring_row(kind, number, state, [kind; 32]);
    let ring =
        |rows: &[Vec<u8>]| [&[0][..], &u16::try_from(rows.len()).unwrap().to_le_bytes(), &rows.concat()].concat();
    let settings = |access: &[u8]| [&[1][..], &forger.settings(1, access)].concat();
    let cost = |memory_kib: u32, passes: u32, lanes: u32| {
        [&[2][..], &[3; 16], &[memory_kib, passes, lanes].map(u32::to_le_bytes).concat()].concat()
    };
    let (index, credential) = (row(2, 1, 1), row(3, 1, 1));
    vec![
        ("anchor", forger.anchor()),
        ("anchor_of_another_key", Forger::new([2; 32]).anchor()),
        ("ring", ring(&[row(1, 1, 1), index.clone(), credential.clone()])),
        ("ring_after_rotation", ring(&[row(1, 1, 2), row(1, 2, 3), row(1, 3, 1), index.clone(), credential.clone()])),
        ("ring_with_two_active", ring(&[row(1, 1, 1), row(1, 2, 1), index.clone(), credential.clone()])),
        ("ring_with_a_number_twice", ring(&[row(1, 1, 1), row(1, 1, 2), index.clone(), credential.clone()])),
        ("ring_without_data_key", ring(&[index.clone(), credential])),
        ("ring_of_an_unknown_kind", ring(&[row(4, 1, 1), index])),
        ("ring_of_nothing", ring(&[])),
        ("ring_cut", ring(&[row(1, 1, 1)])[..40].to_vec()),
        ("settings_by_key", settings(&[1])),
        ("settings_by_pass_phrase_cheap", settings(&cost(8, 1, 1))),
        ("settings_by_pass_phrase_impossible", settings(&cost(8, 0, 0))),
        ("settings_by_pass_phrase_too_dear", settings(&cost(u32::MAX, u32::MAX, u32::MAX))),
        ("settings_by_wrapper", settings(&[3, 4, 0, 1, 2, 3, 4])),
        ("settings_by_wrapper_that_is_short", settings(&[3, 0xff, 0xff, 1])),
        ("settings_of_an_unknown_mask", [&[1][..], &forger.settings(9, &[1])].concat()),
        ("settings_without_a_ring", [&[2][..], &forger.settings(1, &[1])].concat()),
        ("newer_format", [&[7][..], b"whatever comes"].concat()),
        ("nothing", Vec::new()),
    ]
}
