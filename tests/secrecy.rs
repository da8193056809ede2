//! Promise: no account number, payload or key is told by what is printed, refused or panicked, nor stands in a file.
//!
//! Everything that a vault says and every byte that it writes is searched for a number that stands nowhere else, in every form
//! that it could have been given by accident. Ten digits of a number may be seen: the mask.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test"
)]

mod common;

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use common::text::{base64, hex, unhex};
use common::{token, vault};
use serde::Serialize;
use sha2::{Digest, Sha256, Sha512};
use tokenvault::card::{CardExpiry, Pan};
use tokenvault::store::MemoryStore;
use tokenvault::{
    Body, CardDataGuard, CreateGeneric, CreatePci, Destination, Duplicates, Error, ForwardResponse, Forwarder,
    InquirySource, KeyManager, Metadata, Page, PanSource, Payload, Received, UpdateGeneric, UpdatePci, VaultOptions,
};

const PAN: &str = "4539184724659184";
const TEXT: &str = "K7#quartz-Ostrich!42~vellum";
const NUMBER: i64 = -7_315_418_862_931_471;
/// How a caller calls a request: no secret, and nobody's business.
const NAME: &str = "invoice-Zebra!7731/4539184724659184";
const KEY: [u8; 32] = *b"\x9e\x37\x79\xb9\x7f\x4a\x7c\x15\xf3\x9c\xc0\x60\x5c\xed\xc8\x34\x10\x82\x27\x6b\xf3\xa2\x72\x51\xf8\x6c\x6a\x11\xd0\xc1\x8e\x95";

/// A form of a secret, by name.
type Form = (String, Vec<u8>);

/// Every form in which a secret could be found. Of a number the part that no mask shows; of a text, all of it.
fn forms() -> Vec<Form> {
    let mut forms = Vec::new();
    // With its neighbours, since six digits alone stand in many places by chance.
    let hidden = &PAN[4..14];
    text_forms(&mut forms, "account number", hidden);
    text_forms(&mut forms, "payload", &TEXT[..12]);
    text_forms(&mut forms, "idempotency key", &NAME[..18]);
    text_forms(&mut forms, "payload's number", "15418862931471");
    for digits in [PAN.to_owned(), PAN.chars().rev().collect()] {
        for (name, from) in [("even", 0), ("odd", 1)] {
            let packed: Vec<u8> = digits.as_bytes()[from..]
                .chunks_exact(2)
                .map(|pair| ((pair[0] - b'0') << 4) | (pair[1] - b'0'))
                .collect();
            forms.push((format!("account number packed, {name}"), packed));
        }
        forms.push(("account number as values".to_owned(), digits.bytes().map(|digit| digit - b'0').collect()));
    }
    for (hash, digest) in bare_hashes() {
        forms.push((format!("{hash} of the account number"), digest.clone()));
        forms.push((format!("{hash} of the account number in digits"), hex(&digest).into_bytes()));
        forms.push((format!("{hash} of the account number in base64"), base64(&digest[..15]).into_bytes()));
    }
    let number = PAN.parse::<u64>().unwrap();
    forms.push(("account number as an integer".to_owned(), number.to_le_bytes().to_vec()));
    forms.push(("account number as an integer".to_owned(), number.to_be_bytes().to_vec()));
    forms.push(("payload's number as an integer".to_owned(), NUMBER.to_le_bytes().to_vec()));
    forms.push(("payload's number as an integer".to_owned(), NUMBER.to_be_bytes().to_vec()));
    forms.push(("key".to_owned(), KEY[..16].to_vec()));
    forms.push(("key in hexadecimal digits".to_owned(), hex(&KEY[..16]).into_bytes()));
    forms.push(("key in base64".to_owned(), base64(&KEY[..15]).into_bytes()));
    forms.push(("key as a list".to_owned(), format!("{:?}", &KEY[..8]).trim_matches(['[', ']']).as_bytes().to_vec()));
    forms
}

/// The hashes that nobody may keep of a number: whoever has one tries all numbers (PCI DSS 3.5.1.1 wants a key).
fn bare_hashes() -> [(&'static str, Vec<u8>); 4] {
    [
        ("SHA-256", Sha256::digest(PAN).to_vec()),
        ("SHA-512", Sha512::digest(PAN).to_vec()),
        // As `sha1sum` and `md5sum` give them.
        ("SHA-1", unhex("2f608334a37bfc1e2ade90bae033714a39c0e548")),
        ("MD5", unhex("4ab7d2f158416572eb59cc9a2b014904")),
    ]
}

fn text_forms(forms: &mut Vec<Form>, what: &str, text: &str) {
    let mut add = |form: &str, bytes: Vec<u8>| forms.push((format!("{what} as {form}"), bytes));
    add("text", text.as_bytes().to_vec());
    add("text backwards", text.bytes().rev().collect());
    add("UTF-16, little-endian", text.encode_utf16().flat_map(u16::to_le_bytes).collect());
    add("UTF-16, big-endian", text.encode_utf16().flat_map(u16::to_be_bytes).collect());
    add("hexadecimal digits", hex(text.as_bytes()).into_bytes());
    add("upper hexadecimal digits", hex(text.as_bytes()).to_uppercase().into_bytes());
    add("a list", format!("{:?}", text.as_bytes()).trim_matches(['[', ']']).as_bytes().to_vec());
    add("escapes of JSON", text.bytes().flat_map(|byte| format!("\\u{byte:04x}").into_bytes()).collect());
    for skipped in 0..3 {
        // Three letters at either end depend on what stands beside it.
        let whole = &text[skipped..skipped + (text.len() - skipped) / 3 * 3];
        add(&format!("base64, {skipped} behind"), base64(whole.as_bytes()).into_bytes());
    }
}

fn search(hay: &[u8]) -> Option<String> {
    let found = |form: &Form| hay.windows(form.1.len()).any(|window| window == form.1);
    forms().into_iter().find(found).map(|form| form.0)
}

#[track_caller]
fn tells_nothing(said: &str) {
    assert_eq!(search(said.as_bytes()), None, "{said}");
}

#[track_caller]
fn shows_nothing(value: &(impl Debug + ?Sized)) {
    tells_nothing(&format!("{value:?} {value:#?}"));
}

#[track_caller]
fn answers_nothing(value: &(impl Debug + Serialize)) {
    shows_nothing(value);
    tells_nothing(&serde_json::to_string(value).unwrap());
}

#[track_caller]
fn refuses_quietly<T>(result: Result<T, Error>) {
    let Err(error) = result else { panic!("nothing was refused") };
    answers_nothing(&error);
    tells_nothing(&error.to_string());
    for violation in error.violations() {
        shows_nothing(violation);
        tells_nothing(&format!("{} {}", violation.path(), violation.message()));
    }
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        tells_nothing(&format!("{cause} {cause:?}"));
        source = cause.source();
    }
}

#[test]
fn the_search_has_teeth() {
    for (name, form) in forms() {
        for (before, after) in [("", ""), ("x", "yz"), ("1234567", "8")] {
            let planted = [before.as_bytes(), &form, after.as_bytes()].concat();
            assert!(search(&planted).is_some(), "{name} was not found");
        }
    }
    // As it would really stand there, at each alignment.
    for before in ["", "a", "ab", "abc"] {
        for secret in [PAN, TEXT, NAME, "-7315418862931471"] {
            let line = format!("{before}{secret}|");
            assert!(search(line.as_bytes()).is_some());
            assert!(search(base64(line.as_bytes()).as_bytes()).is_some(), "{line}");
            assert!(search(hex(line.as_bytes()).as_bytes()).is_some());
        }
    }
    assert!(search(&hex_pairs(PAN)).is_some() && search(&hex_pairs(&format!("0{PAN}0"))).is_some());
    assert_eq!(search(b"453918******9184 ************9184"), None, "a mask may be seen");
    for (plain, text) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
        assert_eq!(base64(plain.as_bytes()), text, "RFC 4648, section 10");
    }
}

/// Two digits a byte.
fn hex_pairs(digits: &str) -> Vec<u8> {
    unhex(digits)
}

fn pci_json() -> String {
    format!(
        r#"{{"source":{{"type":"pan","account_number":"{PAN}","expiry_month":12,"expiry_year":2031,"cardholder_name":"Jo"}},"metadata":{{"order":"77"}},"expires_in":3600}}"#
    )
}

fn generic_json() -> String {
    format!(r#"{{"payload":{{"text":"{TEXT}","number":{NUMBER},"pan":"{PAN}"}},"expiration_time":3600}}"#)
}

#[test]
fn nothing_that_is_printed_tells_a_secret() {
    let keys = KeyManager::from_key(&mut KEY.clone());
    shows_nothing(&keys);
    let pan = Pan::parse(PAN).unwrap();
    shows_nothing(&pan);
    let source = PanSource::new(pan, CardExpiry::new(12, 2031).unwrap()).security_code("123").unwrap();
    shows_nothing(&source);
    let request = CreatePci::new(source);
    shows_nothing(&request);
    shows_nothing(&Payload::new([("text", TEXT)]).unwrap());
    shows_nothing(&tokenvault::PayloadValue::from(TEXT));
    shows_nothing(&tokenvault::PayloadNumber::from(NUMBER));
    let generic = CreateGeneric::from_json(generic_json().as_bytes()).unwrap();
    shows_nothing(&generic);
    shows_nothing(&CreatePci::from_json(pci_json().as_bytes()).unwrap());

    let options = VaultOptions::new();
    shows_nothing(&options);
    let store = common::shared::Shared::default();
    let vault = options.open_with(store.clone(), keys).unwrap();
    let events = vault.subscribe().unwrap();
    shows_nothing(&events);
    let created = vault.create_pci(request).unwrap();
    answers_nothing(&created);
    let pci = token(created);
    answers_nothing(&vault.pci(pci.id).unwrap());
    answers_nothing(&vault.list_pci(Page::default()).unwrap());
    let generic = vault.create_generic(generic).unwrap();
    answers_nothing(&generic);
    answers_nothing(&vault.generic(generic.id).unwrap());
    answers_nothing(&vault.list_generic(Page::default()).unwrap());
    answers_nothing(&vault.stats().unwrap());
    answers_nothing(&vault.sweep().unwrap());
    shows_nothing(&vault);
    let update = UpdatePci::new().cardholder_name(TEXT).unwrap().clear_cardholder_name();
    shows_nothing(&update);
    answers_nothing(&vault.update_pci(pci.id, update).unwrap());
    answers_nothing(&vault.update_generic(generic.id, UpdateGeneric::new().expires_in(60).unwrap()).unwrap());
    let again = PanSource::new(Pan::parse(PAN).unwrap(), CardExpiry::new(1, 2032).unwrap());
    answers_nothing(&vault.replace_account_number(pci.id, again).unwrap());
    vault.pci_many([pci.id]).for_each(|view| answers_nothing(&view.unwrap()));
    vault.generic_many([generic.id]).for_each(|view| answers_nothing(&view.unwrap()));
    vault.reveal_pci(pci.id, |card| shows_nothing(card)).unwrap();
    let show_all = |payload: &Payload| {
        shows_nothing(payload);
        payload.iter().for_each(|(_, value)| shows_nothing(&value));
    };
    vault.generic_payload(generic.id, show_all).unwrap();
    // The store holds what it is given; that is the sealed record.
    shows_nothing(&store);
    let card = Pan::parse(PAN).unwrap();
    refuses_quietly(vault.find_by_account_number(&card));
    let repeated = |members: &str| {
        let json = pci_json().replace(r#""expires_in""#, &format!(r#"{members}"expires_in""#));
        CreatePci::from_json(json.as_bytes()).unwrap().idempotency_key(NAME).unwrap()
    };
    shows_nothing(&repeated("").duplicates(Duplicates::ReturnExisting));
    answers_nothing(&vault.create_pci(repeated("")).unwrap());
    answers_nothing(&vault.create_pci(repeated("")).unwrap());
    refuses_quietly(vault.create_pci(repeated("").duplicates(Duplicates::ReturnExisting)));
    refuses_quietly(vault.create_pci(
        CreatePci::from_json(pci_json().replace("2031", "2032").as_bytes()).unwrap().idempotency_key(NAME).unwrap(),
    ));
    vault.delete_pci(pci.id).unwrap();
    refuses_quietly(vault.pci(pci.id));
    vault.close().unwrap();
    refuses_quietly(vault.generic(generic.id));
    // Of each kind of change of a token one at least.
    let told: Vec<_> = events.collect();
    assert!(told.len() >= 7, "{told:?}");
    for received in told {
        shows_nothing(&received);
        let Received::Event(event) = received else { panic!("{received:?}") };
        answers_nothing(&event);
        let signed = event.sign(&KEY).unwrap();
        shows_nothing(&signed);
        tells_nothing(&signed.signature);
        assert_eq!(search(&signed.body), None);
    }
}

#[test]
fn no_refusal_quotes_what_it_refuses() {
    for secret in [PAN, TEXT, "-7315418862931471"] {
        for (before, after) in [
            (r#"{"source":{"type":"pan","account_number":""#, r#"1","expiry_month":12,"expiry_year":2031}}"#),
            (r#"{"source":{"type":"pan","account_number":""#, r#"","expiry_month":0}}"#),
            (r#"{"source":{"type":""#, r#""}}"#),
            (r#"{"source":""#, r#""}"#),
            (r#"{"source":{""#, r#"":1}}"#),
            (r#"{""#, r#"":1}"#),
            (r#"{"expires_in""#, r#"":1}"#),
            (r#"{"expires_in":""#, r#""}"#),
            (r#"{"metadata":{""#, r#"":""}}"#),
            (r#"{"metadata":{"a":[""#, r#""]}}"#),
            (r#"{"payload":{""#, r#"":null}}"#),
            (r#"{"payload":{"a":[""#, r#""]}}"#),
            (r#"{"payload":""#, r#""}"#),
            (r#"{"payload":{},"type_id":""#, r#""}"#),
            (r#"{"payload":{"a":""#, r#""}"#),
            (r#"{"payload":{"a":""#, "\u{1}\"}}"),
            (r#"{"payload":{"a":"#, "}}}"),
            ("", ""),
            ("\"", "\""),
            ("[\"", "\"]"),
        ] {
            let json = format!("{before}{secret}{after}");
            refuses_quietly(CreatePci::from_json(json.as_bytes()));
            if !json.starts_with(r#"{"payload":{"a":"-"#) {
                refuses_quietly(CreateGeneric::from_json(json.as_bytes()).and_then(|_| Pan::parse("").map(drop)));
            }
            refuses_quietly(UpdatePci::from_json(json.as_bytes()));
            refuses_quietly(UpdateGeneric::from_json(json.as_bytes()));
            refuses_quietly(PanSource::from_json(json.as_bytes()));
        }
        refuses_quietly(Pan::parse(&format!("{secret}1")));
        refuses_quietly(Payload::new([(secret.repeat(3), TEXT)]));
        refuses_quietly(Payload::new([("a", secret.repeat(9).as_str())]));
        refuses_quietly(Payload::new([(secret, secret), (secret, secret)]));
        refuses_quietly(Metadata::new([(secret.repeat(3), "")]));
        refuses_quietly(Metadata::new([(secret, secret), (secret, secret)]));
        refuses_quietly(secret.parse::<tokenvault::TokenId>());
        refuses_quietly(KeyManager::from_env(&hex(b"no such variable")));
        let card = PanSource::new(Pan::parse(PAN).unwrap(), CardExpiry::new(12, 2031).unwrap());
        refuses_quietly(card.cardholder_name(&secret.repeat(40)));
        let card = PanSource::new(Pan::parse(PAN).unwrap(), CardExpiry::new(12, 2031).unwrap());
        refuses_quietly(card.security_code(secret));
        refuses_quietly(UpdatePci::new().cardholder_name(&secret.repeat(40)));
        refuses_quietly(UpdatePci::new().metadata([(secret.repeat(3), "")]));
        refuses_quietly(UpdateGeneric::new().metadata([(secret, secret), (secret, secret)]));
        let request = CreateGeneric::new([("a", "b")]).unwrap();
        refuses_quietly(request.idempotency_key(&secret.repeat(5)));
    }
    let guarded = VaultOptions::new().card_data_guard(CardDataGuard::On);
    let guarded = guarded.open_with(MemoryStore::new(), KeyManager::generate().unwrap()).unwrap();
    let card = || PanSource::new(Pan::parse(PAN).unwrap(), CardExpiry::new(12, 2031).unwrap());
    let id = token(guarded.create_pci(CreatePci::new(card())).unwrap()).id;
    refuses_quietly(guarded.create_pci(CreatePci::new(card().cardholder_name(PAN).unwrap())));
    refuses_quietly(guarded.create_pci(CreatePci::new(card()).metadata([(PAN, PAN)]).unwrap()));
    refuses_quietly(guarded.create_generic(CreateGeneric::new([(PAN, PAN)]).unwrap()));
    refuses_quietly(guarded.update_pci(id, UpdatePci::new().metadata([("a", PAN)]).unwrap()));
    refuses_quietly(guarded.replace_account_number(id, card().cardholder_name(&format!("%B{PAN}^JO^")).unwrap()));
    let answer = serde_json::from_str::<tokenvault::PciToken>(&pci_json()).unwrap_err();
    tells_nothing(&answer.to_string());
}

#[test]
fn no_refusal_of_a_template_quotes_it_or_a_value() {
    let (vault, _) = vault();
    let keep = |request: &str| token(vault.create_pci(CreatePci::from_json(request.as_bytes()).unwrap()).unwrap());
    let pci = keep(&pci_json().replace("Jo", &format!("{PAN}\u{ffff}")));
    let nameless = keep(&pci_json().replace(r#","cardholder_name":"Jo""#, ""));
    for secret in [PAN, TEXT] {
        for (before, behind) in [
            ("{{", ""),
            ("{{ ", " }}"),
            ("{{ account_number | ", " }}"),
            ("[\"{{", "\"]"),
            ("{\"{{ account_number }}", "\":1}"),
            ("[\"", "{{ account_number | unwrap }}\"]"),
            ("[\"", "{{ security_code }}\"]"),
            ("[", "]]"),
            ("<", ""),
            ("<!", ">"),
            ("<a b='", "{{ security_code }}'/>"),
            ("&", ";&"),
            ("%", ""),
            ("\u{1}", ""),
        ] {
            let text = format!("{before}{secret}{behind}");
            for body in [Body::Json(&text), Body::Form(&text), Body::Xml(&text)] {
                shows_nothing(&body);
                // What is well-formed in another kind is not refused there.
                if let Err(error) = vault.fill(pci.id, body, <[u8]>::len) {
                    refuses_quietly::<()>(Err(error));
                }
            }
        }
        let url = format!("https://{secret}@psp.example/{secret}");
        refuses_quietly(vault.forward(pci.id, &url, Body::Form("a")));
        refuses_quietly(VaultOptions::new().allow_destination(&url));
        let source = format!(r#"{{"type":"{secret}","id":"{secret}","{secret}":1}}"#);
        refuses_quietly(InquirySource::from_json(source.as_bytes()));
        let source = format!(r#"{{"type":"pan","account_number":"{secret}1"}}"#);
        refuses_quietly(InquirySource::from_json(source.as_bytes()));
        let source = InquirySource::from_json(format!(r#"{{"type":"pci_token","id":"{secret}"}}"#).as_bytes()).unwrap();
        refuses_quietly(vault.inquire(source));
    }
    refuses_quietly(vault.fill(pci.id, Body::Xml("<a>{{ cardholder_name }}</a>"), |_| ()));
    refuses_quietly(vault.fill(nameless.id, Body::Form("{{ account_number }}{{ cardholder_name }}"), |_| ()));
}

#[test]
fn nothing_that_a_filled_body_passes_tells_of_it() {
    struct Quiet;
    impl Forwarder for Quiet {
        fn forward(&self, destination: &Destination, _: &str, body: &[u8]) -> Result<ForwardResponse, Error> {
            assert!(search(body).is_some());
            shows_nothing(destination);
            // A destination that repeats what it got.
            Ok(ForwardResponse::new(200, body.to_vec()))
        }
    }
    let options = VaultOptions::new().forwarder(Quiet).allow_destination("https://psp.example").unwrap();
    shows_nothing(&options);
    let vault = options.open_with(tokenvault::store::MemoryStore::new(), common::keys()).unwrap();
    shows_nothing(&vault);
    let pci = token(vault.create_pci(CreatePci::from_json(pci_json().as_bytes()).unwrap()).unwrap());
    let url = format!("https://psp.example/{PAN}");
    shows_nothing(&vault.forward(pci.id, &url, Body::Form("a={{ account_number }}")).unwrap());
    shows_nothing(&InquirySource::pan(Pan::parse(PAN).unwrap()));
    answers_nothing(&vault.inquire(InquirySource::token(pci.id)).unwrap());
}

/// What stands in all files of a folder.
#[cfg(feature = "sled")]
fn bytes_below(folder: &std::path::Path) -> Vec<u8> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let below = |entry: std::fs::DirEntry| {
        if entry.file_type().unwrap().is_dir() {
            bytes_below(&entry.path())
        } else {
            std::fs::read(entry.path()).unwrap()
        }
    };
    entries.flat_map(below).collect()
}

/// Every form of a security code that a file could hold it in; four digits and less stand anywhere by chance, so they are
/// counted, among many tokens that had it.
#[cfg(feature = "sled")]
fn forms_of_a_code(code: &str) -> Vec<Form> {
    let mut forms = Vec::new();
    text_forms(&mut forms, "security code", code);
    // Of base64 there is none where two digits stand before the first whole group.
    forms.retain(|(_, form)| !form.is_empty());
    let number: u16 = code.parse().unwrap();
    let values: Vec<u8> = code.bytes().map(|digit| digit - b'0').collect();
    forms.push(("security code as values".to_owned(), values));
    forms.push(("security code packed".to_owned(), hex_pairs(code)));
    for (name, bytes) in [("little-endian", number.to_le_bytes()), ("big-endian", number.to_be_bytes())] {
        forms.push((format!("security code as a number, {name}"), bytes.to_vec()));
    }
    forms
}

#[test]
#[cfg(all(feature = "sled", target_os = "linux"))]
fn no_file_of_a_vault_holds_a_security_code() {
    const MANY: usize = 3000;
    const CODE: &str = "8317";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault");
    let vault = tokenvault::Vault::create(&path, common::keys()).unwrap();
    let json = pci_json().replacen("},", &format!(r#","security_code":"{CODE}"}},"#), 1);
    let requests = (0..MANY).map(|_| CreatePci::from_json(json.as_bytes()));
    let ids: Vec<_> = vault.create_pci_many(requests).map(|created| token(created.unwrap()).id).collect();
    let code = || tokenvault::card::SecurityCode::parse(CODE).unwrap();
    for id in &ids[..200] {
        assert!(vault.use_security_code(*id, |lent| lent == CODE).unwrap());
        vault.complete_security_code(vault.refresh_security_code(*id).unwrap(), code()).unwrap();
    }
    for id in &ids[200..400] {
        assert!(vault.security_code_available(*id).unwrap());
        vault.fill(*id, Body::Form("{{security_code}}"), |_| ()).unwrap();
        vault.delete_pci(*id).unwrap();
    }
    // While codes are held, and when the vault is closed.
    let count = |what: &str| {
        let bytes = bytes_below(&path);
        assert!(bytes.len() > MANY * 100, "{} bytes", bytes.len());
        let written = bytes.iter().filter(|byte| **byte != 0).count();
        for (name, form) in forms_of_a_code(CODE) {
            let begins = bytes.iter().enumerate().filter(|(_, byte)| **byte == form[0]);
            let found = begins.filter(|(at, _)| bytes[*at..].starts_with(&form)).count();
            // In so many places by chance, where all bytes are as likely.
            let by_chance = written >> (8 * form.len().min(4));
            assert!(4 * by_chance + 100 < MANY, "{name}: {by_chance} by chance");
            assert!(found < 4 * by_chance + 100, "{name}: {found} times, {by_chance} by chance, {what}");
        }
    };
    count("while the vault is open");
    vault.close().unwrap();
    count("when it is closed");
}

#[test]
fn a_record_has_no_room_for_a_security_code() {
    let store = common::shared::Shared::default();
    let vault = VaultOptions::new().open_with(store.clone(), common::keys()).unwrap();
    let rows = || {
        let tables = tokenvault::store::Table::ALL.iter();
        tables
            .map(|table| store.rows(*table).into_iter().map(|(_, value)| value.len()).collect())
            .collect::<Vec<Vec<_>>>()
    };
    let card = || PanSource::new(Pan::parse(PAN).unwrap(), CardExpiry::new(12, 2031).unwrap());
    let rows_with = |source: PanSource| {
        let id = token(vault.create_pci(CreatePci::new(source)).unwrap()).id;
        let rows = rows();
        vault.delete_pci(id).unwrap();
        rows
    };
    let without = rows_with(card());
    assert_eq!(without.iter().flatten().count(), 1);
    for code in ["831", "8317"] {
        assert_eq!(rows_with(card().security_code(code).unwrap()), without, "encrypted or hashed, it would take room");
    }
    // Nor has a session that took one.
    let id = token(vault.create_pci(CreatePci::new(card())).unwrap()).id;
    let session = vault.refresh_security_code(id).unwrap();
    let before = rows();
    vault.complete_security_code(session, tokenvault::card::SecurityCode::parse("8317").unwrap()).ok();
    assert_eq!(rows(), before);
}

#[test]
fn no_panic_tells_what_was_lent() {
    let (vault, _) = vault();
    let pci = token(vault.create_pci(CreatePci::from_json(pci_json().as_bytes()).unwrap()).unwrap());
    let generic = vault.create_generic(CreateGeneric::from_json(generic_json().as_bytes()).unwrap()).unwrap();
    let said = Arc::new(Mutex::new(Vec::new()));
    let hook = std::panic::take_hook();
    let heard = Arc::clone(&said);
    std::panic::set_hook(Box::new(move |panic| {
        heard.lock().unwrap().push(format!("{panic} {}", std::backtrace::Backtrace::force_capture()));
    }));
    let results = [
        // What the borrower prints is what the type lets it print.
        catch_unwind(AssertUnwindSafe(|| vault.reveal_pci(pci.id, |card| panic!("{card:?}")))).map(drop),
        catch_unwind(AssertUnwindSafe(|| vault.generic_payload(generic.id, |payload| panic!("{payload:?}")))).map(drop),
        catch_unwind(AssertUnwindSafe(|| {
            vault.generic_payload(generic.id, |payload| {
                let value = payload.get("text").unwrap();
                value.as_bool().ok_or(value).unwrap();
            })
        }))
        .map(drop),
    ];
    std::panic::set_hook(hook);
    assert!(results.iter().all(Result::is_err));
    let said = said.lock().unwrap().concat();
    assert!(said.contains("Card(..)") && said.contains("Payload(..)") && said.contains("PayloadValue(..)"));
    tells_nothing(&said);
    // The vault goes on.
    assert!(vault.reveal_pci(pci.id, |card| card.account_number() == PAN).unwrap());
}

#[test]
#[cfg(feature = "sled")]
fn no_file_of_a_vault_holds_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault");
    let clock = common::clock::HandClock::at("2026-01-02T03:04:05.678Z");
    let options = || VaultOptions::new().clock(clock.clone());
    let keys = || KeyManager::from_key(&mut KEY.clone());
    let work = |vault: &tokenvault::Vault| {
        let requests = (0..40).map(|_| CreatePci::from_json(pci_json().as_bytes()));
        let pci: Vec<_> = vault.create_pci_many(requests).map(|created| token(created.unwrap())).collect();
        let requests = (0..40).map(|_| CreateGeneric::from_json(generic_json().as_bytes()));
        let generic: Vec<_> = vault.create_generic_many(requests).map(Result::unwrap).collect();
        CreatePci::from_json(pci_json().replace("2031", "1031").as_bytes()).unwrap_err();
        vault.list_pci(Page::default()).unwrap();
        for (pci, generic) in pci.iter().zip(&generic).take(10) {
            vault.pci(pci.id).unwrap();
            assert!(vault.reveal_pci(pci.id, |card| card.account_number() == PAN).unwrap());
            assert!(vault.fill(pci.id, Body::Form("{{account_number}}"), |filled| filled == PAN.as_bytes()).unwrap());
            vault.inquire(InquirySource::token(pci.id)).unwrap();
            assert!(vault.generic_payload(generic.id, |payload| payload.len() == 3).unwrap());
            vault.delete_pci(pci.id).unwrap();
            vault.delete_generic(generic.id).unwrap();
        }
    };
    // Three tokens without fingerprints, and then all with them.
    let vault = options().create(&path, keys()).unwrap();
    for _ in 0..3 {
        vault.create_pci(CreatePci::from_json(pci_json().as_bytes()).unwrap()).unwrap();
    }
    vault.close().unwrap();
    let vault = options().fingerprints(tokenvault::Fingerprints::On).open(&path, keys()).unwrap();
    assert_eq!(vault.index_fingerprints().unwrap().indexed, 3);
    work(&vault);
    let named = || CreatePci::from_json(pci_json().as_bytes()).unwrap().idempotency_key(NAME).unwrap();
    for _ in 0..2 {
        vault.create_pci(named().duplicates(Duplicates::ReturnExisting)).unwrap();
    }
    let generic = CreateGeneric::from_json(generic_json().as_bytes()).unwrap();
    vault.create_generic(generic.idempotency_key(NAME).unwrap()).unwrap();
    assert_eq!(vault.find_by_account_number(&Pan::parse(PAN).unwrap()).unwrap().len(), 33);
    let searched = search_files(&path);
    assert!(searched > 10_000, "while it is open: {searched} bytes");
    vault.close().unwrap();
    search_files(&path);

    let vault = options().open(&path, keys()).unwrap();
    clock.advance_millis(3_600_000);
    assert_eq!(vault.sweep().unwrap().expired_pci, 33);
    work(&vault);
    vault.close().unwrap();
    let searched = search_files(&path);
    assert!(searched > 10_000, "after closing: {searched} bytes");

    // The same walk finds what is planted in a file of it.
    std::fs::write(path.join("planted"), format!("..{PAN}..")).unwrap();
    assert!(catch_unwind(|| search_files(&path)).is_err());
}

/// Searches every file below a folder, and tells how many bytes that were.
#[cfg(feature = "sled")]
fn search_files(folder: &std::path::Path) -> usize {
    let (mut folders, mut searched) = (vec![folder.to_owned()], 0);
    let forms = forms();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let bytes = std::fs::read(entry.path()).unwrap();
            let name = entry.file_name();
            assert_eq!(search(name.as_encoded_bytes()), None);
            for (what, form) in &forms {
                assert!(!holds(&bytes, form), "the {what} stands in {}", entry.path().display());
            }
            searched += bytes.len();
        }
    }
    searched
}

/// Whether a file holds a form of a secret; quick over the zeros of which files are full.
#[cfg(feature = "sled")]
fn holds(bytes: &[u8], form: &[u8]) -> bool {
    let at = form.iter().position(|byte| *byte != 0).unwrap();
    let rare = form[at];
    let mut from = at;
    while let Some(offset) = bytes.get(from..).and_then(|rest| rest.iter().position(|byte| *byte == rare)) {
        let start = from + offset - at;
        if bytes[start..].starts_with(form) {
            return true;
        }
        from += offset + 1;
    }
    false
}
