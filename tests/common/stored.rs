//! Properties of what is read back from a store, called by tests, replayed seeds and fuzz targets.
//!
//! Any bytes at all: where the vault expects a record or its anchor, and as the plain bytes of one that is sealed rightly. What
//! the vault makes of them is valid by the rules of a request, or it is refused; nothing panics, takes long or is removed.

use chrono::{DateTime, Utc};
use tokenvault::card::Pan;
use tokenvault::store::{Store, Table};
use tokenvault::{
    Card, Clock, CreateGeneric, Error, ErrorKind, Fingerprints, KeyManager, Metadata, Page, Payload, PciToken, TokenId,
    TypeId, UpdateGeneric, UpdatePci, Vault, VaultOptions,
};

use super::forge::{self, BY_KEY, FIRST_SIX_LAST_FOUR, Forger, GENERIC, Header, PCI, TYPE};
use super::forged_access;
use super::shared::Shared;

/// The byte of an entry of an idempotency key in the expiry index.
const REPLAY: u8 = 5;
const KEY: [u8; 32] = [0x6b; 32];
/// Bytes of an anchor in front of its settings.
const BEFORE_SETTINGS: usize = 8 + 2 + 32;
/// Where the sort of the key stands in the settings.
const ACCESS_AT: usize = 16 + 1;

/// 2026-01-02T03:04:05.678Z, always.
struct Then;

impl Then {
    const MILLIS: i64 = 1_767_323_045_678;
}

impl Clock for Then {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(Self::MILLIS).unwrap()
    }
}

fn key() -> KeyManager {
    KeyManager::from_key(&mut KEY.clone())
}

fn open(store: &Shared, keys: KeyManager) -> Result<Vault, Error> {
    VaultOptions::new().clock(Then).open_with(store.clone(), keys)
}

fn id() -> TokenId {
    TokenId::from(uuid::Uuid::from_bytes(*b"any sixteen byte"))
}

/// Any bytes as a record, and as the plain parts of one: a byte of choices, the length of the view, the view, the secret.
///
/// # Panics
/// If the property does not hold.
pub fn record(bytes: &[u8]) {
    for table in [Table::Generic, Table::Pci] {
        foreign_record(table, bytes);
    }
    foreign_index(bytes);
    if let Some((&[choices, low, high], parts)) = bytes.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes([low, high])).min(parts.len());
        let (view, secret) = parts.split_at(length);
        forged_record(choices, view, secret);
        forged_type(parts);
        let forger = Forger { vault: *b"not the foreign!", ..Forger::new(KEY) };
        forged_access::access(parts, |store| open(store, key()).unwrap(), &forger);
    }
}

/// Bytes that no key of the vault has sealed are refused, and stay.
fn foreign_record(table: Table, bytes: &[u8]) {
    let store = Shared::default();
    store.write_anchor(&Forger::new(KEY).anchor()).unwrap();
    let vault = open(&store, key()).unwrap();
    store.put(table, id().as_bytes(), bytes);
    let kind = table.as_byte();
    store.put(Table::Expiry, &[&[0; 8][..], &[kind], id().as_bytes()].concat(), &[]);

    if table == Table::Pci {
        corrupt(vault.pci(id()));
        corrupt(vault.list_pci(Page::default()));
        corrupt(vault.reveal_pci(id(), |_| ()));
        corrupt(vault.delete_pci(id()));
    } else {
        corrupt(vault.generic(id()));
        corrupt(vault.list_generic(Page::default()));
        corrupt(vault.generic_payload(id(), |_| ()));
        corrupt(vault.delete_generic(id()));
    }
    let report = vault.sweep().unwrap();
    assert_eq!((report.expired_generic + report.expired_pci + report.expired_other, report.remaining), (0, 1));
    assert_eq!(store.value(table, id().as_bytes()).as_deref(), Some(bytes));
}

/// Bytes in the place of what an idempotency key has led to, of what the vault remembers of its fingerprints, and of the row of
/// one: refused, or passed over, and they stay.
fn foreign_index(bytes: &[u8]) {
    let store = Shared::default();
    store.write_anchor(&Forger::new(KEY).anchor()).unwrap();
    let on = || VaultOptions::new().clock(Then).fingerprints(Fingerprints::On).open_with(store.clone(), key());
    let vault = on().unwrap();
    let request = || CreateGeneric::new([("pin", "1234")]).unwrap().idempotency_key("k").unwrap();
    vault.create_generic(request()).unwrap();
    let (entry, _) = store.rows(Table::Replay).remove(0);
    store.put(Table::Replay, &entry, bytes);
    // By a vault that has not proved the entry yet.
    corrupt(on().unwrap().create_generic(request()));
    store.put(Table::Expiry, &[&[0; 8][..], &[REPLAY], &entry].concat(), &[]);
    let report = vault.sweep().unwrap();
    assert_eq!((report.expired_other, report.remaining), (0, 1));
    assert_eq!(store.value(Table::Replay, &entry).as_deref(), Some(bytes));

    let pan = Pan::parse("4111111111111111").unwrap();
    let row = bytes.get(..64).unwrap_or(bytes);
    store.put(Table::Fingerprint, row, bytes);
    assert_eq!(answered(vault.find_by_account_number(&pan)).unwrap_or_default(), []);
    let (name, _) = store.rows(Table::State).remove(0);
    store.put(Table::State, &name, bytes);
    corrupt(on());
    assert_eq!(store.value(Table::State, &name).as_deref(), Some(bytes));
}

fn corrupt<T>(result: Result<T, Error>) {
    assert_eq!(result.err().map(|error| error.kind()), Some(ErrorKind::Corrupt));
}

/// Whether it is an answer; otherwise it must be `CORRUPT`.
fn answered<T>(result: Result<T, Error>) -> Option<T> {
    result.map_err(|error| assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}")).ok()
}

/// A record that is sealed rightly and holds anything gives what a request could have asked for, or is refused.
fn forged_record(choices: u8, view: &[u8], secret: &[u8]) {
    let kind = if choices & 1 == 0 { GENERIC } else { PCI };
    let table = if kind == PCI { Table::Pci } else { Table::Generic };
    let expires_at = if choices & 2 == 0 { 0 } else { Then::MILLIS + 1 };
    let forger = Forger { vault: *b"not the foreign!", ..Forger::new(KEY) };
    let store = Shared::default();
    store.write_anchor(&forger.anchor()).unwrap();
    let vault = open(&store, key()).unwrap();
    let header = Header { expires_at, ..Header::of(kind) };
    store.put(table, id().as_bytes(), &forger.record(id().as_bytes(), &header, view, secret));

    if kind == PCI {
        let seen = answered(vault.pci(id()));
        let listed = answered(vault.list_pci(Page::default()));
        assert_eq!(listed.map(|mut list| list.data.remove(0)), seen);
        if let Some(token) = &seen {
            check_token(token);
        }
        answered(vault.reveal_pci(id(), check_card));
        if let Some(token) = answered(vault.update_pci(id(), UpdatePci::new().expiry_month(7).unwrap())) {
            check_token(&token);
            let same = |card: &Card| {
                card.expiry().month() == 7 && card.cardholder_name() == token.card.cardholder_name.as_deref()
            };
            assert!(vault.reveal_pci(id(), same).unwrap(), "view and secret are of one change");
        }
        vault.delete_pci(id()).unwrap();
    } else {
        let seen = answered(vault.generic(id()));
        let listed = answered(vault.list_generic(Page::default()));
        assert_eq!(listed.map(|mut list| list.data.remove(0)), seen);
        if let Some(metadata) = seen.as_ref().and_then(|token| token.metadata.as_ref()) {
            check_metadata(metadata);
        }
        let lent = answered(vault.generic_payload(id(), check_payload));
        let updated = answered(vault.update_generic(id(), UpdateGeneric::new().never_expires()));
        assert_eq!(updated.is_some(), seen.is_some() && lent.is_some());
        answered(vault.generic_payload(id(), check_payload));
        vault.delete_generic(id()).unwrap();
    }
    assert_eq!(store.value(table, id().as_bytes()), None);
}

/// The same for a payload type, which has no secret part: whatever its schema is, a payload is judged by it or not kept.
fn forged_type(view: &[u8]) {
    let forger = Forger { vault: *b"not the foreign!", ..Forger::new(KEY) };
    let store = Shared::default();
    store.write_anchor(&forger.anchor()).unwrap();
    let vault = open(&store, key()).unwrap();
    let id = TypeId::from(*id().as_uuid());
    let Ok(length) = u16::try_from(view.len()) else { return };
    let view = &view[..usize::from(length)];
    store.put(Table::Type, id.as_bytes(), &forger.record_of_view(id.as_bytes(), &Header::of(TYPE), view));
    store.put(Table::TypeUse, id.as_bytes(), &[]);

    let seen = answered(vault.type_by_id(id));
    assert!(seen.as_ref().is_none_or(|seen| (1..=80).contains(&seen.name.chars().count())));
    let listed = answered(vault.list_types(Page::default()));
    assert_eq!(listed.map(|mut list| list.data.remove(0)), seen);
    let request = CreateGeneric::new([("pin", "1234")]).unwrap().type_id(id);
    match vault.create_generic(request) {
        Ok(token) => {
            assert!(seen.is_some());
            vault.delete_generic(token.id).unwrap();
        }
        Err(error) if error.kind() == ErrorKind::Validation => {
            assert!(seen.is_some() && error.violations()[0].path().starts_with("$.payload"), "{error}");
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}"),
    }
    vault.delete_type(id).unwrap();
    assert_eq!((store.rows(Table::Type), store.rows(Table::TypeUse)), (vec![], vec![]));
}

fn check_pair(key: &str, value: Option<&str>) {
    assert!((1..=20).contains(&key.chars().count()));
    assert!(value.is_none_or(|value| (1..=80).contains(&value.chars().count())));
}

fn check_metadata(metadata: &Metadata) {
    assert!(metadata.len() <= 20 && metadata.iter().len() == metadata.len());
    for (at, (key, value)) in metadata.iter().enumerate() {
        check_pair(key, Some(value));
        assert!(metadata.iter().skip(at + 1).all(|(other, _)| other != key));
    }
    let json = serde_json::to_string(metadata).unwrap();
    assert_eq!(&serde_json::from_str::<Metadata>(&json).unwrap(), metadata);
}

fn check_payload(payload: &Payload) {
    assert!(payload.len() <= 20 && payload.iter().count() == payload.len());
    for (at, (key, value)) in payload.iter().enumerate() {
        let literal = value.as_number().map(|number| number.as_literal().unwrap());
        check_pair(key, value.as_str().or(literal));
        assert!(payload.iter().skip(at + 1).all(|(other, _)| other != key));
        if let Some(literal) = literal {
            // A number of JSON, and one that a request may hold.
            assert!(literal.parse::<f64>().unwrap().is_finite());
            let request = format!(r#"{{"payload":{{"n":{literal}}}}}"#);
            CreateGeneric::from_json(request.as_bytes()).unwrap();
        }
    }
}

fn check_token(token: &PciToken) {
    let mask = &token.card.masked_account_number;
    assert!((13..=19).contains(&mask.len()) && mask.bytes().all(|byte| byte == b'*' || byte.is_ascii_digit()));
    assert!(mask.bytes().filter(u8::is_ascii_digit).count() <= 10, "a mask shows at most ten digits");
    check_date(token.card.expiry_month, token.card.expiry_year);
    token.card.cardholder_name.as_deref().into_iter().for_each(check_name);
    token.metadata.iter().for_each(check_metadata);
    let json = serde_json::to_string(token).unwrap();
    assert_eq!(&serde_json::from_str::<PciToken>(&json).unwrap(), token);
}

fn check_card(card: &Card) {
    let number = card.account_number();
    assert!((13..=19).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit()));
    check_date(card.expiry().month(), card.expiry().year());
    card.cardholder_name().into_iter().for_each(check_name);
}

fn check_date(month: u8, year: u16) {
    assert!((1..=12).contains(&month) && (2000..=9999).contains(&year));
}

fn check_name(name: &str) {
    assert!((1..=255).contains(&name.chars().count()) && !name.chars().any(char::is_control));
}

/// Any bytes as an anchor, and as the plain parts of one: a byte that chooses which, then the ring or the settings.
///
/// # Panics
/// If the property does not hold.
pub fn key_ring(bytes: &[u8]) {
    let forger = Forger::new(KEY);
    open_and_use(bytes, key());
    let Some((choice, rest)) = bytes.split_first() else { return };
    let settings = forger.settings(FIRST_SIX_LAST_FOUR, BY_KEY);
    let anchor = match choice % 4 {
        0 => forger.anchor_of(1, &settings, rest),
        1 => forger.anchor_of(1, rest, &forger.ring()),
        2 => forge::anchor(1, rest),
        _ => forge::anchor(u16::from(*choice), rest),
    };
    open_and_use(&anchor, key());
    if is_cheap(&anchor) {
        open_and_use(&anchor, KeyManager::from_passphrase("open".to_owned()).unwrap());
    }
}

/// Whether an anchor asks for a pass phrase at a cost that a fuzzer can pay.
fn is_cheap(anchor: &[u8]) -> bool {
    let Some(access) = anchor.get(BEFORE_SETTINGS + ACCESS_AT..) else { return false };
    let cost = |at: usize| access.get(at..at + 4).map(|cost| u32::from_le_bytes(cost.try_into().unwrap()));
    access.first() == Some(&2) && [17, 21, 25].into_iter().all(|at| cost(at).is_some_and(|cost| cost <= 64))
}

/// A vault with any anchor is refused, or serves as a vault does.
fn open_and_use(anchor: &[u8], keys: KeyManager) {
    let store = Shared::default();
    store.write_anchor(anchor).unwrap();
    let vault = match open(&store, keys) {
        Ok(vault) => vault,
        Err(error) => {
            let refused = [ErrorKind::Corrupt, ErrorKind::KeyFailure, ErrorKind::StoreFailure];
            assert!(refused.contains(&error.kind()), "{error}");
            assert_eq!(store.anchor(), anchor, "what was refused is not changed");
            return;
        }
    };
    assert_eq!(vault.stats().unwrap().key_epochs.iter().filter(|epoch| epoch.active).count(), 1);
    let token = vault.create_generic(CreateGeneric::new([("pin", "1234")]).unwrap()).unwrap();
    vault.close().unwrap();
    let vault = open(&store, key()).unwrap();
    let lent = vault.generic_payload(token.id, |payload| payload.get("pin").unwrap().as_str() == Some("1234"));
    assert!(lent.unwrap());
}
