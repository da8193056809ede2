//! Promise: what somebody changed in the store is refused. It is never taken for another thing, never gives wrong plaintext,
//! and is never removed on its own word; the key that is wrong and the data that is damaged are two different answers.
//!
//! The tests sit between the vault and its store and change bytes there. What needs a key to be forged is forged with it.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use common::clock::HandClock;
use common::forge::{self, BY_KEY, FIRST_SIX_LAST_FOUR, Forger, GENERIC, Header, PCI, VISA};
use common::shared::Shared;
use common::token;
use tokenvault::card::MaskStyle;
use tokenvault::store::{Store, Table};
use tokenvault::{
    CreateGeneric, CreatePci, Error, ErrorKind, GenericToken, KeyManager, KeyWrapper, Page, PciToken, TokenId,
    UpdateGeneric, UpdatePci, Vault, VaultOptions,
};

const KEY: [u8; 32] = [7; 32];
const HEADER: usize = 32;
const SEAL: usize = 24 + 16;
/// How long the tokens live, in milliseconds.
const LIFETIME: i64 = 3_600_000;
/// Where the expiry stands in a header.
const EXPIRES_AT: std::ops::Range<usize> = 22..30;

const CARD: &[u8] = br#"{"source":{"type":"pan","account_number":"5555555555554444","expiry_month":3,"expiry_year":2031,"cardholder_name":"Jo"},"metadata":{"order":"77"},"expires_in":3600}"#;
const SECRET: &[u8] = br#"{"payload":{"pin":"1234","n":7},"metadata":{"order":"78"},"expiration_time":3600}"#;

fn key() -> KeyManager {
    KeyManager::from_key(&mut KEY.clone())
}

fn open(store: &Shared, clock: &HandClock, keys: KeyManager) -> Result<Vault, Error> {
    VaultOptions::new().clock(clock.clone()).open_with(store.clone(), keys)
}

fn refused<T>(result: Result<T, Error>, kind: ErrorKind) {
    match result {
        Ok(_) => panic!("{kind:?} was expected, and nothing was refused"),
        Err(error) => assert_eq!(error.kind(), kind, "{error}"),
    }
}

/// A vault with one token of each kind, and its store to reach into. Both expire after an hour.
struct Victim {
    store: Shared,
    clock: HandClock,
    vault: Vault,
    generic: GenericToken,
    pci: PciToken,
}

impl Victim {
    fn new() -> Self {
        let (store, clock) = (Shared::default(), HandClock::at("2026-01-02T03:04:05.678Z"));
        let vault = open(&store, &clock, key()).unwrap();
        let generic = vault.create_generic(CreateGeneric::from_json(SECRET).unwrap()).unwrap();
        let pci = token(vault.create_pci(CreatePci::from_json(CARD).unwrap()).unwrap());
        Self { store, clock, vault, generic, pci }
    }

    fn record(&self, table: Table) -> Vec<u8> {
        self.store.value(table, self.id(table).as_bytes()).unwrap()
    }

    fn id(&self, table: Table) -> TokenId {
        if table == Table::Pci { self.pci.id } else { self.generic.id }
    }

    fn expiry_rows(&self) -> usize {
        self.store.rows(Table::Expiry).len()
    }

    /// Puts bytes in the place of the record of a table.
    fn put(&self, table: Table, record: &[u8]) {
        self.store.put(table, self.id(table).as_bytes(), record);
    }

    fn stays(&self, table: Table, record: &[u8]) {
        let found = self.store.value(table, self.id(table).as_bytes());
        assert_eq!(found.as_deref(), Some(record), "what was changed has been removed");
        assert_eq!(self.expiry_rows(), 2);
    }

    fn view(&self, table: Table) -> Result<bool, Error> {
        match table {
            Table::Pci => self.vault.pci(self.pci.id).map(|seen| seen == self.pci),
            _ => self.vault.generic(self.generic.id).map(|seen| seen == self.generic),
        }
    }

    fn list(&self, table: Table) -> Result<bool, Error> {
        match table {
            Table::Pci => self.vault.list_pci(Page::default()).map(|seen| seen.data == [self.pci.clone()]),
            _ => self.vault.list_generic(Page::default()).map(|seen| seen.data == [self.generic.clone()]),
        }
    }

    fn reveal(&self, table: Table) -> Result<bool, Error> {
        match table {
            Table::Pci => self.vault.reveal_pci(self.pci.id, |card| {
                let printed = (card.cardholder_name(), card.expiry().month(), card.expiry().year());
                card.account_number() == "5555555555554444" && printed == (Some("Jo"), 3, 2031)
            }),
            _ => self.vault.generic_payload(self.generic.id, |payload| {
                let pin = payload.get("pin").is_some_and(|pin| pin.as_str() == Some("1234"));
                pin && payload.get("n").is_some_and(|n| n.as_number().unwrap().as_i64() == Some(7))
                    && payload.len() == 2
            }),
        }
    }

    fn delete(&self, table: Table) -> Result<(), Error> {
        match table {
            Table::Pci => self.vault.delete_pci(self.pci.id),
            _ => self.vault.delete_generic(self.generic.id),
        }
    }

    /// A change that would open every part, and seal it anew.
    fn update(&self, table: Table) -> Result<(), Error> {
        match table {
            Table::Pci => self.vault.update_pci(self.pci.id, UpdatePci::new().never_expires()).map(drop),
            _ => self.vault.update_generic(self.generic.id, UpdateGeneric::new().never_expires()).map(drop),
        }
    }

    /// Puts bytes in the place of a record, and asks for everything, before its expiry and after it. Each part has its own
    /// proof: what still gives an answer gives the right one, and nothing is removed.
    fn refuses(&self, table: Table, changed: &[u8], unchanged: Unchanged) {
        self.put(table, changed);
        match unchanged {
            Unchanged::View => assert!(self.view(table).unwrap() && self.list(table).unwrap()),
            _ => self.refuses_the_view(table),
        }
        match unchanged {
            Unchanged::Secret => assert!(self.reveal(table).unwrap()),
            _ => refused(self.reveal(table), ErrorKind::Corrupt),
        }
        refused(self.update(table), ErrorKind::Corrupt);
        self.stays(table, changed);
        if unchanged == Unchanged::View {
            return;
        }
        self.clock.advance_millis(LIFETIME);
        self.refuses_the_view(table);
        refused(self.reveal(table), ErrorKind::Corrupt);
        self.stays(table, changed);
        self.clock.advance_millis(-LIFETIME);
    }

    fn refuses_the_view(&self, table: Table) {
        refused(self.view(table), ErrorKind::Corrupt);
        refused(self.list(table), ErrorKind::Corrupt);
        refused(self.delete(table), ErrorKind::Corrupt);
    }

    fn refuses_all(&self, table: Table, changed: &[u8]) {
        self.refuses(table, changed, Unchanged::Nothing);
    }
}

/// What of a record is as the vault wrote it, header included.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unchanged {
    Nothing,
    View,
    Secret,
}

/// The length of a record up to the end of its view.
fn end_of_view(record: &[u8]) -> usize {
    HEADER + SEAL + usize::from(u16::from_le_bytes([record[30], record[31]]))
}

#[test]
fn every_bit_of_a_record_counts() {
    let victim = Victim::new();
    for table in [Table::Generic, Table::Pci] {
        let record = victim.record(table);
        let end_of_view = end_of_view(&record);
        for bit in 0..record.len() * 8 {
            let mut changed = record.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let unchanged = match bit / 8 {
                0..HEADER => Unchanged::Nothing,
                at if at < end_of_view => Unchanged::Secret,
                _ => Unchanged::View,
            };
            victim.refuses(table, &changed, unchanged);
        }
        victim.put(table, &record);
        assert!(victim.view(table).unwrap() && victim.reveal(table).unwrap());
    }
}

#[test]
fn a_record_of_another_length_is_refused() {
    let victim = Victim::new();
    for table in [Table::Generic, Table::Pci] {
        let record = victim.record(table);
        for length in 0..record.len() {
            if length < end_of_view(&record) + SEAL {
                victim.refuses_all(table, &record[..length]);
            } else {
                victim.refuses(table, &record[..length], Unchanged::View);
            }
        }
        for more in [1, 2, 16, 40, 4096, 65_536] {
            victim.refuses(table, &[record.clone(), vec![0; more]].concat(), Unchanged::View);
        }
        victim.refuses_all(table, &[&[0], &record[..]].concat());
        victim.refuses(table, &[&record[..], &record].concat(), Unchanged::View);
        victim.put(table, &record);
    }
}

#[test]
fn a_sweep_leaves_what_is_changed_and_removes_the_rest() {
    let victim = Victim::new();
    let record = victim.record(Table::Pci);
    for bit in 0..end_of_view(&record) * 8 {
        let mut changed = record.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        victim.put(Table::Pci, &changed);
        victim.clock.advance_millis(LIFETIME);
        let report = victim.vault.sweep().unwrap();
        assert_eq!((report.expired_pci, report.expired_other, report.remaining), (0, 0, 1), "bit {bit}");
        assert_eq!(report.expired_generic, u64::from(bit == 0), "the other one goes with the first sweep");
        victim.clock.advance_millis(-LIFETIME);
    }
    assert_eq!(victim.expiry_rows(), 1);
    victim.put(Table::Pci, &record);
    victim.clock.advance_millis(LIFETIME);
    assert_eq!(victim.vault.sweep().unwrap().expired_pci, 1);
    assert_eq!(victim.expiry_rows(), 0);
}

#[test]
fn a_sweep_of_many_passes_over_those_that_were_changed() {
    let victim = Victim::new();
    let requests = (0..600).map(|_| CreateGeneric::from_json(SECRET));
    let tokens: Vec<_> = victim.vault.create_generic_many(requests).map(Result::unwrap).collect();
    for token in tokens.iter().step_by(100) {
        let mut record = victim.store.value(Table::Generic, token.id.as_bytes()).unwrap();
        record[40] ^= 1;
        victim.store.put(Table::Generic, token.id.as_bytes(), &record);
    }
    victim.clock.advance_millis(LIFETIME);
    let report = victim.vault.sweep().unwrap();
    assert_eq!((report.expired_generic, report.expired_pci, report.remaining), (601 - 6, 1, 6));
    assert_eq!(victim.store.rows(Table::Generic).len(), 6);
}

#[test]
fn a_forged_expiry_neither_ends_a_token_nor_keeps_it_alive() {
    let victim = Victim::new();
    let year = 365 * 86_400_000_i64;
    let now = victim.generic.created_at.timestamp_millis();
    for table in [Table::Generic, Table::Pci] {
        let record = victim.record(table);
        for forged in [0, 1, now - year, now, now + LIFETIME + 1, now + year, -1, i64::MAX, i64::MIN] {
            let mut changed = record.clone();
            changed[EXPIRES_AT].copy_from_slice(&forged.to_le_bytes());
            victim.refuses_all(table, &changed);
        }
        victim.put(table, &record);
    }
}

#[test]
fn a_forged_row_of_the_expiry_index_removes_no_token() {
    let victim = Victim::new();
    let row = |millis: i64, kind: u8, id: TokenId| [&millis.to_be_bytes()[..], &[kind], id.as_bytes()].concat();
    let past = victim.generic.created_at.timestamp_millis() - 1;
    let before = victim.store.rows(Table::Expiry);
    victim.store.put(Table::Expiry, &row(past, GENERIC, victim.generic.id), &[]);
    victim.store.put(Table::Expiry, &row(past, PCI, victim.pci.id), &[]);
    victim.store.put(Table::Expiry, &row(past, PCI, victim.generic.id), &[]);
    let report = victim.vault.sweep().unwrap();
    assert_eq!((report.expired_generic, report.expired_pci, report.remaining), (0, 0, 0));
    assert_eq!(report.expired_other, 3, "rows that belong to no token go");
    assert_eq!(victim.store.rows(Table::Expiry), before);
    assert!(victim.view(Table::Generic).unwrap() && victim.view(Table::Pci).unwrap());

    // What is no row at all stays and is told.
    for foreign in [vec![0], row(past, 0, victim.pci.id), [row(past, PCI, victim.pci.id), vec![0]].concat()] {
        victim.store.put(Table::Expiry, &foreign, &[]);
    }
    assert_eq!(victim.vault.sweep().unwrap().remaining, 3);
    assert!(victim.view(Table::Generic).unwrap() && victim.view(Table::Pci).unwrap());
}

#[test]
fn a_row_of_the_expiry_index_that_was_written_on_stays_and_is_told() {
    let victim = Victim::new();
    let rows = victim.store.rows(Table::Expiry);
    let (row, _) = rows.iter().find(|(key, _)| key[8] == GENERIC).unwrap();
    victim.store.put(Table::Expiry, row, b"not empty");
    victim.clock.advance_millis(LIFETIME);
    let report = victim.vault.sweep().unwrap();
    assert_eq!((report.expired_generic, report.expired_pci, report.remaining), (0, 1, 1));
}

#[test]
fn a_record_in_the_place_of_another_is_refused() {
    let victim = Victim::new();
    let twin = victim.vault.create_pci(CreatePci::from_json(CARD).unwrap()).map(token).unwrap();
    let (record, other) = (victim.record(Table::Pci), victim.store.value(Table::Pci, twin.id.as_bytes()).unwrap());
    victim.store.put(Table::Pci, twin.id.as_bytes(), &record);
    victim.store.put(Table::Pci, victim.pci.id.as_bytes(), &other);
    for id in [victim.pci.id, twin.id] {
        refused(victim.vault.pci(id), ErrorKind::Corrupt);
        refused(victim.vault.reveal_pci(id, |_| ()), ErrorKind::Corrupt);
        refused(victim.vault.delete_pci(id), ErrorKind::Corrupt);
    }
    refused(victim.vault.list_pci(Page::default()), ErrorKind::Corrupt);
}

#[test]
fn the_parts_of_two_records_do_not_mix() {
    let victim = Victim::new();
    let twin = victim.vault.create_pci(CreatePci::from_json(CARD).unwrap()).map(token).unwrap();
    let (record, other) = (victim.record(Table::Pci), victim.store.value(Table::Pci, twin.id.as_bytes()).unwrap());
    let end = end_of_view(&record);
    let mixed = [&record[..end], &other[end..]].concat();
    victim.vault.delete_pci(twin.id).unwrap();
    victim.refuses(Table::Pci, &mixed, Unchanged::View);
    // The secret part is bound to its own header, not to the view: the twin's header is the same, its id is not.
    victim.refuses(Table::Pci, &[&other[..end], &record[end..]].concat(), Unchanged::Secret);
    victim.refuses_all(Table::Pci, &[&record[..HEADER], &other[HEADER..]].concat());
}

#[test]
fn a_record_of_the_other_kind_is_refused() {
    let victim = Victim::new();
    let (generic, pci) = (victim.record(Table::Generic), victim.record(Table::Pci));
    victim.refuses_all(Table::Pci, &generic);
    victim.refuses_all(Table::Generic, &pci);

    // With the id that it was sealed for, only the kind in its header is wrong; and with that changed too, the seal.
    let (generic_id, pci_id) = (victim.generic.id, victim.pci.id);
    for changed in [generic.clone(), [&[1, PCI], &generic[2..]].concat()] {
        victim.store.put(Table::Pci, generic_id.as_bytes(), &changed);
        refused(victim.vault.pci(generic_id), ErrorKind::Corrupt);
        refused(victim.vault.reveal_pci(generic_id, |_| ()), ErrorKind::Corrupt);
        refused(victim.vault.delete_pci(generic_id), ErrorKind::Corrupt);
    }
    for changed in [pci.clone(), [&[1, GENERIC], &pci[2..]].concat()] {
        victim.store.put(Table::Generic, pci_id.as_bytes(), &changed);
        refused(victim.vault.generic(pci_id), ErrorKind::Corrupt);
        refused(victim.vault.generic_payload(pci_id, |_| ()), ErrorKind::Corrupt);
        refused(victim.vault.delete_generic(pci_id), ErrorKind::Corrupt);
    }
}

#[test]
fn a_record_of_another_vault_is_refused() {
    let (victim, same_key) = (Victim::new(), Victim::new());
    let other_key = {
        let store = Shared::default();
        let vault = open(&store, &victim.clock, KeyManager::from_key(&mut [8; 32])).unwrap();
        let created = token(vault.create_pci(CreatePci::from_json(CARD).unwrap()).unwrap());
        store.value(Table::Pci, created.id.as_bytes()).unwrap()
    };
    victim.refuses_all(Table::Pci, &same_key.record(Table::Pci));
    victim.refuses_all(Table::Pci, &other_key);

    // The same id, the same root key, the same data key: only the vault's id tells them apart.
    let id = *victim.pci.id.as_bytes();
    let ours = Forger::of(&victim.store.anchor(), KEY);
    let theirs = Forger { vault: *b"not this vault!!", ..ours.clone() };
    let (view, secret) = (forge::pci_view(&VISA, None), forge::pci_secret(&VISA));
    victim.refuses_all(Table::Pci, &theirs.record(&id, &Header::of(PCI), &view, &secret));
    let stolen = Forger { data: [9; 32], ..ours.clone() };
    victim.refuses_all(Table::Pci, &stolen.record(&id, &Header::of(PCI), &view, &secret));

    // And what is forged with all of it right opens: the refusals above are for their reason.
    victim.put(Table::Pci, &ours.record(&id, &Header::of(PCI), &view, &secret));
    assert_eq!(victim.vault.pci(victim.pci.id).unwrap().card.masked_account_number, VISA.masked);
    assert!(victim.vault.reveal_pci(victim.pci.id, |card| card.account_number() == VISA.number).unwrap());
}

#[test]
fn view_and_secret_have_different_keys() {
    let victim = Victim::new();
    let forger = Forger::of(&victim.store.anchor(), KEY);
    let id = victim.generic.id;
    // Both parts valid as either, and of one length: exchanged, only their keys are wrong.
    let record = forger.record(id.as_bytes(), &Header::of(GENERIC), &[0], &[0]);
    victim.put(Table::Generic, &record);
    assert_eq!(victim.vault.generic(id).unwrap().metadata, None);
    assert!(victim.vault.generic_payload(id, tokenvault::Payload::is_empty).unwrap());
    let (view, secret) = record[HEADER..].split_at(SEAL + 1);
    victim.refuses_all(Table::Generic, &[&record[..HEADER], secret, view].concat());
}

#[test]
fn a_record_of_another_version_or_epoch_is_refused_even_if_its_seal_is_right() {
    let victim = Victim::new();
    let forger = Forger::of(&victim.store.anchor(), KEY);
    let id = *victim.pci.id.as_bytes();
    let (view, secret) = (forge::pci_view(&VISA, None), forge::pci_secret(&VISA));
    let right = Header::of(PCI);
    for header in [
        Header { version: 0, ..right.clone() },
        Header { version: 2, ..right.clone() },
        Header { kind: 0, ..right.clone() },
        Header { kind: 3, ..right.clone() },
        Header { epoch: 0, ..right.clone() },
        Header { epoch: 2, ..right.clone() },
        Header { created_at: -1, ..right.clone() },
        Header { created_at: i64::MAX, ..right.clone() },
        Header { expires_at: i64::MIN, ..right.clone() },
        Header { expires_at: i64::MAX, ..right },
    ] {
        victim.refuses_all(Table::Pci, &forger.record(&id, &header, &view, &secret));
    }
}

/// A key service that keeps nothing to itself.
struct Xor;

impl KeyWrapper for Xor {
    fn wrap_key(&self, key: &[u8; 32]) -> Result<Vec<u8>, Error> {
        Ok(key.iter().map(|byte| byte ^ 0x5a).collect())
    }

    fn unwrap_key(&self, wrapped: &[u8], key: &mut [u8; 32]) -> Result<(), Error> {
        let wrapped = wrapped.try_into().map_err(|_| Error::key_failure("of another length"))?;
        *key = wrapped;
        for byte in key {
            *byte ^= 0x5a;
        }
        Ok(())
    }
}

fn passphrase() -> KeyManager {
    KeyManager::from_passphrase("correct horse".to_owned()).unwrap()
}

fn wrapper() -> KeyManager {
    KeyManager::from_wrapper(Xor)
}

type Sort = (&'static str, fn() -> KeyManager);

/// Every sort of key.
const SORTS: [Sort; 3] = [("key", key), ("pass phrase", passphrase), ("wrapper", wrapper)];

/// Opens an empty vault whose anchor consists of these bytes.
fn open_anchor(anchor: &[u8], keys: KeyManager) -> Result<Vault, Error> {
    let store = Shared::default();
    store.write_anchor(anchor).unwrap();
    open(&store, &HandClock::at("2026-01-02T03:04:05.678Z"), keys)
}

fn anchor_of(keys: KeyManager) -> Vec<u8> {
    let store = Shared::default();
    VaultOptions::new().open_with(store.clone(), keys).unwrap();
    store.anchor()
}

#[test]
fn every_bit_of_an_anchor_counts_and_none_is_blamed_on_the_key() {
    for (sort, keys) in SORTS {
        let anchor = anchor_of(keys());
        open_anchor(&anchor, keys()).unwrap();
        for bit in 0..anchor.len() * 8 {
            let mut changed = anchor.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            for (_, keys) in SORTS {
                let error = open_anchor(&changed, keys()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{sort}, bit {bit}: {error}");
            }
        }
        for length in 0..anchor.len() {
            refused(open_anchor(&anchor[..length], keys()), ErrorKind::Corrupt);
        }
        refused(open_anchor(&[&anchor[..], &[0]].concat(), keys()), ErrorKind::Corrupt);
        refused(open_anchor(&[&[0], &anchor[..]].concat(), keys()), ErrorKind::Corrupt);
    }
}

#[test]
fn an_anchor_changed_together_with_its_checksum_does_not_open() {
    let anchor = anchor_of(key());
    let rest = anchor[8 + 2 + 32..].to_vec();
    for bit in 0..rest.len() * 8 {
        let mut changed = rest.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let error = open_anchor(&forge::anchor(1, &changed), key()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::KeyFailure), "bit {bit}: {error}");
        // Behind the key check, the key is known to be right.
        if bit / 8 >= 16 + 1 + 1 + 16 || bit / 8 == 16 {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "bit {bit}");
        }
    }
    for length in 0..rest.len() {
        refused(open_anchor(&forge::anchor(1, &rest[..length]), key()), ErrorKind::Corrupt);
    }
}

#[test]
fn a_wrong_key_is_never_called_damage() {
    let anchor = anchor_of(key());
    for bit in 0..256 {
        let mut wrong = KEY;
        wrong[bit / 8] ^= 1 << (bit % 8);
        refused(open_anchor(&anchor, KeyManager::from_key(&mut wrong)), ErrorKind::KeyFailure);
    }
    let anchor = anchor_of(passphrase());
    for wrong in ["correct horsf", "Correct horse", "correct horse ", "c"] {
        let keys = KeyManager::from_passphrase(wrong.to_owned()).unwrap();
        refused(open_anchor(&anchor, keys), ErrorKind::KeyFailure);
    }
}

#[test]
fn a_key_of_another_sort_is_a_wrong_key() {
    for (sort, keys) in SORTS {
        let anchor = anchor_of(keys());
        for (other, keys) in SORTS.into_iter().filter(|(other, _)| *other != sort) {
            let error = open_anchor(&anchor, keys()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::KeyFailure, "{sort} opened with {other}");
            assert!(error.message().contains(&format!("was made with a {}", sort.replace("wrapper", "key wrapper"))));
        }
    }
}

#[test]
fn a_newer_format_is_told_by_its_version() {
    let forger = Forger::new(KEY);
    let settings = forger.settings(FIRST_SIX_LAST_FOUR, BY_KEY);
    for version in [0, 2, 3, 700, u16::MAX] {
        let anchor = forger.anchor_of(version, &settings, &forger.ring());
        let error = open_anchor(&anchor, key()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoreFailure, "{error}");
        assert!(error.message().contains(&format!("format {version},")), "{error}");
    }
    // Whatever the newer format holds behind its checksum.
    refused(open_anchor(&forge::anchor(2, b"new"), key()), ErrorKind::StoreFailure);
}

#[test]
fn records_without_an_anchor_are_damage_and_no_new_vault() {
    let clock = HandClock::at("2026-01-02T03:04:05.678Z");
    for &table in Table::ALL {
        let store = Shared::default();
        store.put(table, b"a key", b"and what stands there");
        refused(open(&store, &clock, key()), ErrorKind::Corrupt);
        assert_eq!(store.read_anchor().unwrap(), None, "no new anchor was written over the loss");
    }
    open(&Shared::default(), &clock, key()).unwrap();
}

#[test]
fn a_forged_vault_opens_and_what_the_vault_writes_the_forger_reads() {
    let forger = Forger::new(KEY);
    let store = Shared::default();
    store.write_anchor(&forger.anchor()).unwrap();
    let clock = HandClock::at("2026-01-02T03:04:05.678Z");
    let id = TokenId::from(uuid::Uuid::from_bytes([0x42; 16]));
    let (view, secret) = (forge::pci_view(&VISA, Some(&[("a", "b")])), forge::pci_secret(&VISA));
    store.put(Table::Pci, id.as_bytes(), &forger.record(id.as_bytes(), &Header::of(PCI), &view, &secret));

    let vault = open(&store, &clock, key()).unwrap();
    assert_eq!(vault.pci(id).unwrap().metadata.unwrap().get("a"), Some("b"));
    let created = token(vault.create_pci(CreatePci::from_json(CARD).unwrap()).unwrap());
    vault.close().unwrap();

    let forger = Forger::of(&store.anchor(), KEY);
    let record = store.value(Table::Pci, created.id.as_bytes()).unwrap();
    let plain = forger.open(created.id.as_bytes(), &record).unwrap();
    let card = forge::Card {
        number: "5555555555554444",
        masked: "555555******4444",
        scheme: 2,
        month: 3,
        year: 2031,
        name: Some("Jo"),
    };
    assert_eq!(plain.view, forge::pci_view(&card, Some(&[("order", "77")])));
    assert_eq!(plain.secret, forge::pci_secret(&card));
    let created_at = created.created_at.timestamp_millis();
    assert_eq!(plain.header, Header { created_at, expires_at: created_at + LIFETIME, ..Header::of(PCI) });
    assert_eq!(forger.open(&[0; 16], &record), None);
}

#[test]
fn another_mask_style_is_refused_and_changes_nothing() {
    let store = Shared::default();
    VaultOptions::new().mask(MaskStyle::LastFour).open_with(store.clone(), key()).unwrap();
    let anchor = store.anchor();
    let options = VaultOptions::new().mask(MaskStyle::FirstSixLastFour);
    refused(options.open_with(store.clone(), key()), ErrorKind::Validation);
    assert_eq!(store.anchor(), anchor);
}
