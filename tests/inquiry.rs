//! Promise: an inquiry tells the leading digits, the scheme and what the application knows of the issuer, and never more of a
//! number than PCI DSS lets be seen beside the vault's mask.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice, reason = "a test")]

mod common;

use std::sync::{Arc, Mutex};

use common::kinds::PCI;
use common::shared::Shared;
use common::{keys, token, vault, violations};
use serde_json::{Value, json};
use tokenvault::card::{CardExpiry, MaskStyle, Pan, Scheme};
use tokenvault::store::{MemoryStore, Table};
use tokenvault::{
    BinDirectory, CreateGeneric, CreatePci, Error, ErrorKind, Inquiry, InquirySource, Issuer, PanSource, TokenId,
    UnknownFields, UnlistedSchemes, Vault, VaultOptions,
};

/// A number of each length that a scheme has, with its scheme.
const NUMBERS: [(&str, Scheme); 7] = [
    ("4222222222222", Scheme::Visa),
    ("30569309025904", Scheme::DinersClub),
    ("378282246310005", Scheme::AmericanExpress),
    ("4539184724659184", Scheme::Visa),
    ("36000000000000004", Scheme::DinersClub),
    ("6011000000000000126", Scheme::Discover),
    ("5555555555554444", Scheme::Mastercard),
];

fn open(options: VaultOptions) -> Vault {
    options.open_with(MemoryStore::new(), keys()).unwrap()
}

fn keep(vault: &Vault, number: &str) -> TokenId {
    let card = PanSource::new(Pan::parse(number).unwrap(), CardExpiry::new(4, 2031).unwrap());
    token(vault.create_pci(CreatePci::new(card)).unwrap()).id
}

fn source(json: &Value) -> Result<InquirySource, Error> {
    InquirySource::from_json(json.to_string().as_bytes())
}

fn json_of(inquiry: &Inquiry) -> Value {
    let text = serde_json::to_string(inquiry).unwrap();
    assert_eq!(serde_json::from_str::<Inquiry>(&text).unwrap(), *inquiry);
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_number_and_its_token_tell_the_same() {
    let vault = open(VaultOptions::new());
    for (number, scheme) in NUMBERS {
        let id = keep(&vault, number);
        let told = json!({"bin": &number[..6], "scheme": [scheme.as_str()]});
        for source in [
            InquirySource::pan(Pan::parse(number).unwrap()),
            InquirySource::token(id),
            source(&json!({"type": "pan", "account_number": number})).unwrap(),
            source(&json!({"type": "pci_token", "id": id})).unwrap(),
        ] {
            assert_eq!(json_of(&vault.inquire(source).unwrap()), told);
        }
    }
}

#[test]
fn eight_digits_are_told_by_option_and_from_sixteen_digits_on() {
    for style in [MaskStyle::FirstSixLastFour, MaskStyle::LastFour] {
        for (eight, options) in [(false, VaultOptions::new()), (true, VaultOptions::new().eight_digit_bin())] {
            let vault = open(options.mask(style));
            for (number, _) in NUMBERS {
                let id = keep(&vault, number);
                let by_token = vault.inquire(InquirySource::token(id)).unwrap().bin;
                let by_number = vault.inquire(InquirySource::pan(Pan::parse(number).unwrap())).unwrap().bin;
                let digits = if eight && number.len() >= 16 { 8 } else { 6 };
                assert_eq!((by_token.as_str(), by_number.as_str()), (&number[..digits], &number[..digits]));
                // What is seen of a number in all: the BIN and the mask, one upon the other.
                let mask = vault.pci(id).unwrap().card.masked_account_number;
                let seen = mask.bytes().enumerate().filter(|(at, byte)| *at < digits || byte.is_ascii_digit()).count();
                let most = if number.len() >= 16 { number.len() - 4 } else { 10 };
                assert!(seen <= most && seen <= 12, "{seen} of {} digits", number.len());
                if !eight {
                    assert_eq!(seen, 10, "no more than the first six and the last four");
                }
            }
        }
    }
}

/// Spoils the secret part of every card, so that whoever opens one hears of it.
fn spoil(store: &Shared) {
    for (key, mut record) in store.rows(Table::Pci) {
        *record.last_mut().unwrap() ^= 1;
        store.put(Table::Pci, &key, &record);
    }
}

#[test]
fn the_account_number_is_opened_only_where_the_mask_shows_too_little() {
    let opens = |options: VaultOptions, number: &str| {
        let store = Shared::default();
        let vault = options.open_with(store.clone(), keys()).unwrap();
        let id = keep(&vault, number);
        spoil(&store);
        assert_eq!(vault.reveal_pci(id, |_| ()).unwrap_err().kind(), ErrorKind::Corrupt);
        match vault.inquire(InquirySource::token(id)) {
            Ok(inquiry) => {
                assert_eq!(inquiry.bin, number[..6]);
                false
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt);
                true
            }
        }
    };
    let sixteen = "4539184724659184";
    assert!(!opens(VaultOptions::new(), sixteen));
    assert!(!opens(VaultOptions::new().eight_digit_bin(), "378282246310005"));
    assert!(opens(VaultOptions::new().eight_digit_bin(), sixteen));
    assert!(opens(VaultOptions::new().mask(MaskStyle::LastFour), sixteen));
}

/// Knows one issuer, and remembers what it was asked.
#[derive(Clone, Default)]
struct Directory(Arc<Mutex<Vec<String>>>);

impl BinDirectory for Directory {
    fn look_up(&self, bin: &str) -> Result<Option<Issuer>, Error> {
        self.0.lock().unwrap().push(bin.to_owned());
        match bin {
            "453918" => {
                let mut issuer = Issuer::default();
                issuer.card_type = Some("debit".to_owned());
                issuer.segment = Some("consumer".to_owned());
                issuer.currency_code = Some("EUR".to_owned());
                issuer.issuer_name = Some("A Bank".to_owned());
                issuer.issuer_country_code = Some("DE".to_owned());
                Ok(Some(issuer))
            }
            "555555" => {
                let mut issuer = Issuer::default();
                issuer.issuer_country_code = Some("US".to_owned());
                Ok(Some(issuer))
            }
            "601100" => Err(Error::unavailable("the directory is out of reach")),
            _ => Ok(None),
        }
    }
}

#[test]
fn the_directory_adds_what_it_knows_and_is_told_the_bin_alone() {
    let directory = Directory::default();
    let vault = open(VaultOptions::new().bin_directory(directory.clone()));
    let inquire = |number| vault.inquire(InquirySource::token(keep(&vault, number)));
    assert_eq!(
        serde_json::to_string(&inquire("4539184724659184").unwrap()).unwrap(),
        r#"{"bin":"453918","scheme":["visa"],"type":"debit","segment":"consumer","currency_code":"EUR","issuer_name":"A Bank","issuer_country_code":"DE"}"#
    );
    assert_eq!(
        json_of(&inquire("5555555555554444").unwrap()),
        json!({"bin": "555555", "scheme": ["mastercard"], "issuer_country_code": "US"})
    );
    assert_eq!(json_of(&inquire("378282246310005").unwrap()), json!({"bin": "378282", "scheme": ["american express"]}));
    let error = inquire("6011000000000000126").unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Unavailable, "the directory is out of reach"));
    assert_eq!(*directory.0.lock().unwrap(), ["453918", "555555", "378282", "601100"]);
}

#[test]
fn a_directory_is_told_eight_digits_where_eight_are_told() {
    let directory = Directory::default();
    let vault = open(VaultOptions::new().bin_directory(directory.clone()).eight_digit_bin());
    vault.inquire(InquirySource::pan(Pan::parse("4539184724659184").unwrap())).unwrap();
    assert_eq!(*directory.0.lock().unwrap(), ["45391847"]);
}

#[test]
fn a_token_that_is_not_there_is_not_found() {
    let (vault, clock) = vault();
    let kind = |source| vault.inquire(source).unwrap_err().kind();
    let nobody: TokenId = "8744c9ea-a02b-4ae6-875c-b64fc333e3ef".parse().unwrap();
    assert_eq!(kind(InquirySource::token(nobody)), ErrorKind::NotFound);
    for text in ["x", "8744c9eaa02b4ae6875cb64fc333e3ef", "4539184724659184"] {
        assert_eq!(kind(source(&json!({"type": "pci_token", "id": text})).unwrap()), ErrorKind::NotFound);
    }
    let generic = vault.create_generic(CreateGeneric::new([("pin", "1234")]).unwrap()).unwrap();
    assert_eq!(kind(InquirySource::token(generic.id)), ErrorKind::NotFound);
    let id = (PCI.create)(&vault, Some(10)).unwrap();
    clock.advance_millis(9_999);
    assert!(vault.inquire(InquirySource::token(id)).is_ok());
    clock.advance_millis(1);
    assert_eq!(kind(InquirySource::token(id)), ErrorKind::NotFound);
    vault.close().unwrap();
    assert_eq!(kind(InquirySource::token(id)), ErrorKind::Unavailable);
    assert_eq!(kind(InquirySource::pan(Pan::parse("4539184724659184").unwrap())), ErrorKind::Unavailable);
}

#[test]
fn a_pan_source_may_have_all_that_it_has_in_a_creation() {
    let whole = json!({
        "type": "pan", "account_number": "4539184724659184", "cardholder_name": "Jo", "expiry_year": 2031,
        "expiry_month": 4, "security_code": "123",
    });
    assert!(source(&whole).is_ok());
    for (field, value, rule) in [
        ("cardholder_name", json!(""), "must not be empty"),
        ("cardholder_name", json!("a\nb"), "must not contain control characters"),
        ("expiry_year", json!(1999), "must be from 2000 to 9999"),
        ("expiry_month", json!(13), "must be from 1 to 12"),
        ("expiry_month", json!("4"), "must be an integer"),
        ("security_code", json!("12"), "must have 3 or 4 digits"),
        ("account_number", json!("4539184724659185"), "fails the Luhn check"),
        ("account_number", json!("4539 1847 2465 9184"), "must be ASCII digits only, without separators"),
        ("account_number", json!(4_539_184_724_659_184_u64), "must be a string"),
        ("type", json!("card"), "must be `pan` or `pci_token`"),
        ("type", json!("session"), "must be `pan` or `pci_token`"),
        ("type", json!(1), "must be a string"),
    ] {
        let mut wrong = whole.clone();
        wrong[field] = value;
        assert_eq!(violations(&source(&wrong).unwrap_err()), [(format!("$.{field}").as_str(), rule)]);
    }
}

#[test]
fn every_violation_of_a_source_is_told_in_order() {
    let told = |json: &str| {
        let error = InquirySource::from_json(json.as_bytes()).unwrap_err();
        violations(&error).into_iter().map(|(path, rule)| format!("{path} {rule}")).collect::<Vec<_>>()
    };
    assert_eq!(told("{}"), ["$.type is required"]);
    assert_eq!(told(r#"{"type":null,"id":null}"#), ["$.type is required"]);
    assert_eq!(told(r#"{"type":"pan"}"#), ["$.account_number is required"]);
    assert_eq!(told(r#"{"type":"pci_token"}"#), ["$.id is required"]);
    assert_eq!(told(r#"{"type":"pci_token","id":7}"#), ["$.id must be a string"]);
    assert_eq!(told(r#"{"type":"pci_token","id":""}"#), ["$.id must not be empty"]);
    assert_eq!(told(r#"{"account_number":"1"}"#), ["$.account_number must have 13 to 19 digits", "$.type is required"]);
    assert_eq!(
        told(r#"{"id":"x","a":1,"account_number":"1","type":"pan"}"#),
        ["$.id unknown field of a `pan` source", "$.a unknown field", "$.account_number must have 13 to 19 digits"]
    );
    assert_eq!(
        told(r#"{"id":7,"type":"x","account_number":"1","expiry_month":0}"#),
        [
            "$.id must be a string",
            "$.type must be `pan` or `pci_token`",
            "$.account_number must have 13 to 19 digits",
            "$.expiry_month must be from 1 to 12",
        ]
    );
    assert_eq!(
        told(
            r#"{"expiry_year":2031,"id":"x","expiry_month":0,"type":"pci_token","account_number":"4539184724659184","security_code":"123"}"#
        ),
        [
            "$.expiry_year unknown field of a `pci_token` source",
            "$.expiry_month unknown field of a `pci_token` source",
            "$.account_number unknown field of a `pci_token` source",
            "$.security_code unknown field of a `pci_token` source",
        ]
    );
    assert_eq!(told(r#"{"type":"pan","type":"pan","account_number":"4539184724659184"}"#), ["$.type duplicate field"]);
    assert_eq!(told("[]"), ["$ must be an object"]);
    assert_eq!(told(r#"{"type":"pan"} x"#), ["$ malformed JSON at byte 15"]);
}

#[test]
fn the_rules_of_a_vault_hold_for_inquiries_too() {
    let unlisted = json!({"type": "pan", "account_number": "9111111111111110", "colour": "red"}).to_string();
    let error = InquirySource::from_json(unlisted.as_bytes()).unwrap_err();
    assert_eq!(violations(&error), [("$.account_number", "no supported scheme"), ("$.colour", "unknown field")]);

    let relaxed = VaultOptions::new().unlisted_schemes(UnlistedSchemes::Accept).unknown_fields(UnknownFields::Ignore);
    let relaxed = open(relaxed);
    let source = || InquirySource::from_json_with(unlisted.as_bytes(), relaxed.rules()).unwrap();
    assert_eq!(json_of(&relaxed.inquire(source()).unwrap()), json!({"bin": "911111"}));
    let card = PanSource::new(
        Pan::parse_with("9111111111111110", relaxed.rules()).unwrap(),
        CardExpiry::new(4, 2031).unwrap(),
    );
    let id = token(relaxed.create_pci(CreatePci::new(card)).unwrap()).id;
    assert_eq!(json_of(&relaxed.inquire(InquirySource::token(id)).unwrap()), json!({"bin": "911111"}));
    // What was read by other rules is still judged by those of the vault.
    let error = open(VaultOptions::new()).inquire(source()).unwrap_err();
    assert_eq!(violations(&error), [("$.account_number", "no supported scheme")]);

    // The fields of the other source are passed over as unknown ones are, whatever they hold.
    let both = json!({"account_number": "1", "id": id, "type": "pci_token"}).to_string();
    assert!(InquirySource::from_json(both.as_bytes()).is_err());
    let source = InquirySource::from_json_with(both.as_bytes(), relaxed.rules()).unwrap();
    assert_eq!(relaxed.inquire(source).unwrap().bin, "911111");
}

#[test]
fn nothing_shows_a_number_or_more_of_it_than_the_mask() {
    let source = InquirySource::pan(Pan::parse("4539184724659184").unwrap());
    assert_eq!(format!("{source:?}"), "InquirySource(..)");
    let vault = open(VaultOptions::new().mask(MaskStyle::LastFour));
    let inquiry = vault.inquire(source).unwrap();
    assert!(format!("{inquiry:?}").starts_with("Inquiry { scheme: [Visa], issuer: Issuer { card_type: None,"));
    assert!(!format!("{inquiry:#?}").contains("4539"));
}
