//! Promise: what version 1 wrote is read by every later release, field by field.
//!
//! `tests/data/golden/` holds whole vaults as they were written: the anchor, then each entry. The files never change. A later
//! format gets files of its own, written by the ignored test at the end; it refuses to write over one that is there.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use common::clock::HandClock;
use common::shared::Shared;
use common::text::{hex, unhex};
use common::token;
use tokenvault::card::{MaskStyle, Pan, Scheme, SecurityCode};
use tokenvault::store::{Store, Table};
use tokenvault::{
    ApiTokenQuery, CompleteSession, CreateApiKey, CreateApiToken, CreateGeneric, CreatePci, CreateType, DefineAccount,
    DefineModule, Duplicates, Error, ErrorKind, Fingerprints, KeyManager, KeyWrapper, Page, Payload, PciCreated,
    Scope as Granted, SessionId, SessionStatus, TokenId, TypeId, Vault, VaultOptions,
};

/// When every token was made.
const CREATED: &str = "2026-01-02T03:04:05.678Z";
/// An hour later.
const EXPIRES: &str = "2026-01-02T04:04:05.678+00:00";

const FULL_PAYLOAD: &str = r#"{"payload":{"text":"DE89370400440532013000","grüße":"naïve ☃ 日本語 😀","yes":true,"no":false,"least":-9223372036854775808,"most":18446744073709551615,"double":0.1,"tiny":5e-324,"exponent":1.50E+3,"minus zero":-0,"fraction":2.0},"metadata":{"order":"2026-77","clé":"é"},"expiration_time":3600}"#;
const FULL_CARD: &str = r#"{"source":{"type":"pan","account_number":"378282246310005","expiry_month":1,"expiry_year":9999,"cardholder_name":"Zoë Ångström"},"metadata":{"order":"2026-77"},"expires_in":3600}"#;
const PLAIN_CARD: &str = r#"{"source":{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025,"security_code":"123"}}"#;

const FULL_SESSION: &str =
    r#"{"source":{"type":"session"},"metadata":{"order":"2026-77","clé":"é"},"expires_in":3600}"#;
const SESSION_CARD: &str = r#"{"type":"pan","account_number":"378282246310005","expiry_month":1,"expiry_year":9999}"#;

/// What is written, each under the name by which the file calls it.
const GENERIC: [(&str, &str); 4] = [
    ("plain", r#"{"payload":{"pin":"1234"}}"#),
    ("empty", r#"{"payload":{},"metadata":{}}"#),
    ("full", FULL_PAYLOAD),
    ("labelled", r#"{"payload":{"pin":"1234"},"metadata":{"b":"2","a":"1"}}"#),
];
const PCI: [(&str, &str); 3] = [
    ("plain", PLAIN_CARD),
    ("full", FULL_CARD),
    (
        "longest",
        r#"{"source":{"type":"pan","account_number":"6212345678901234569","expiry_month":6,"expiry_year":2000},"metadata":{}}"#,
    ),
];

/// A vault of a file: how it is called, opened and masked.
struct Golden {
    file: &'static str,
    keys: fn() -> KeyManager,
    mask: MaskStyle,
}

const VAULTS: [Golden; 4] = [
    Golden { file: "v1-key.hex", keys: key, mask: MaskStyle::FirstSixLastFour },
    Golden { file: "v1-last-four.hex", keys: key, mask: MaskStyle::LastFour },
    Golden { file: "v1-passphrase.hex", keys: passphrase, mask: MaskStyle::FirstSixLastFour },
    Golden { file: "v1-wrapper.hex", keys: wrapper, mask: MaskStyle::FirstSixLastFour },
];

/// A vault with sessions, which were not there when the others were written.
const SESSIONS: Golden = Golden { file: "v1-sessions.hex", keys: key, mask: MaskStyle::FirstSixLastFour };

/// The same with types.
const TYPES: Golden = Golden { file: "v1-types.hex", keys: key, mask: MaskStyle::FirstSixLastFour };

/// The same with fingerprints, idempotency keys, and a session that remembers what is wanted of duplicates.
const ACCESS: Golden = Golden { file: "v1-access.hex", keys: key, mask: MaskStyle::FirstSixLastFour };
const INDEX: Golden = Golden { file: "v1-index.hex", keys: key, mask: MaskStyle::FirstSixLastFour };

const TYPE_NAME: &str = "Konto für 口座";
const TYPE_SCHEMA: &str =
    r#"{"required":["iban"],"properties":{"iban":{"type":"string","maxLength":34}},"x":[1,2.5,null,"é"]}"#;

fn key() -> KeyManager {
    KeyManager::from_key(&mut b"the root key of the golden files".to_owned())
}

fn passphrase() -> KeyManager {
    KeyManager::from_passphrase("the pass phrase of the golden files".to_owned()).unwrap()
}

fn wrapper() -> KeyManager {
    KeyManager::from_wrapper(Reversing)
}

/// A key service whose answer is longer than the key.
struct Reversing;

impl KeyWrapper for Reversing {
    fn wrap_key(&self, key: &[u8; 32]) -> Result<Vec<u8>, Error> {
        Ok(key.iter().rev().copied().chain(*b"wrapped").collect())
    }

    fn unwrap_key(&self, wrapped: &[u8], key: &mut [u8; 32]) -> Result<(), Error> {
        assert!(wrapped.ends_with(b"wrapped"));
        key.iter_mut().rev().zip(wrapped).for_each(|(to, from)| *to = *from);
        Ok(())
    }
}

/// A vault as it was written, and the ids of its tokens.
struct Opened {
    vault: Vault,
    clock: HandClock,
    ids: Vec<(String, TokenId)>,
}

impl Opened {
    fn id(&self, name: &str) -> TokenId {
        self.ids.iter().find(|(own, _)| own == name).unwrap().1
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden")
}

/// Each line of a file is a table (or `anchor`), a name, a key and a value.
fn open(golden: &Golden) -> Opened {
    let text = fs::read_to_string(folder().join(golden.file)).unwrap();
    let (store, mut ids) = (Shared::default(), Vec::new());
    for line in text.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [table, name, key, value] = fields[..] else { panic!("{line}") };
        let (key, value) = (unhex(key), unhex(value));
        let table = match table {
            "anchor" => {
                store.write_anchor(&value).unwrap();
                continue;
            }
            "generic" => Table::Generic,
            "pci" => Table::Pci,
            "session" => Table::Session,
            "type" => Table::Type,
            "use" => Table::TypeUse,
            "expiry" => Table::Expiry,
            "replay" => Table::Replay,
            "fingerprint" => Table::Fingerprint,
            "state" => Table::State,
            other => panic!("{other}"),
        };
        if !matches!(table, Table::Expiry | Table::TypeUse | Table::Replay | Table::Fingerprint | Table::State) {
            let id = uuid::Uuid::from_slice(&key).unwrap();
            ids.push((format!("{table:?} {name}"), TokenId::from(id)));
        }
        store.put(table, &key, &value);
    }
    let clock = HandClock::at(CREATED);
    let vault = VaultOptions::new().mask(golden.mask).clock(clock.clone()).open_with(store, (golden.keys)()).unwrap();
    Opened { vault, clock, ids }
}

#[test]
fn generic_tokens_are_read() {
    for golden in &VAULTS {
        let opened = open(golden);
        let view = |name: &str| opened.vault.generic(opened.id(&format!("Generic {name}"))).unwrap();
        for (name, _) in GENERIC {
            assert_eq!(view(name).created_at.to_rfc3339(), "2026-01-02T03:04:05.678+00:00");
            assert_eq!(view(name).expires_at.map(|at| at.to_rfc3339()), (name == "full").then(|| EXPIRES.to_owned()));
        }
        let metadata = |name: &str| {
            let metadata = view(name).metadata?;
            Some(metadata.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(metadata("plain"), None);
        assert_eq!(metadata("empty").as_deref(), Some(""));
        assert_eq!(metadata("full").as_deref(), Some("order=2026-77 clé=é"));
        assert_eq!(metadata("labelled").as_deref(), Some("b=2 a=1"));
    }
}

#[test]
fn payloads_are_read() {
    for golden in &VAULTS {
        let opened = open(golden);
        let lend = |name: &str, check: fn(&Payload)| {
            opened.vault.generic_payload(opened.id(&format!("Generic {name}")), check).unwrap();
        };
        lend("plain", |payload| assert_eq!((payload.len(), text(payload, "pin")), (1, "1234")));
        lend("labelled", |payload| assert_eq!((payload.len(), text(payload, "pin")), (1, "1234")));
        lend("empty", |payload| assert!(payload.is_empty()));
        lend("full", |payload| {
            let keys: Vec<&str> = payload.iter().map(|(key, _)| key).collect();
            let written = "text grüße yes no least most double tiny exponent minus zero fraction";
            assert_eq!(keys.join(" "), written);
            assert_eq!(text(payload, "text"), "DE89370400440532013000");
            assert_eq!(text(payload, "grüße"), "naïve ☃ 日本語 😀");
            assert_eq!(payload.get("yes").unwrap().as_bool(), Some(true));
            assert_eq!(payload.get("no").unwrap().as_bool(), Some(false));
            for (key, literal) in [
                ("least", "-9223372036854775808"),
                ("most", "18446744073709551615"),
                ("double", "0.1"),
                ("tiny", "5e-324"),
                ("exponent", "1.50E+3"),
                ("minus zero", "-0"),
                ("fraction", "2.0"),
            ] {
                assert_eq!(payload.get(key).unwrap().as_number().unwrap().as_literal(), Some(literal));
            }
        });
    }
}

fn text<'a>(payload: &'a Payload, key: &str) -> &'a str {
    payload.get(key).unwrap().as_str().unwrap()
}

#[test]
fn pci_tokens_and_cards_are_read() {
    for golden in &VAULTS {
        let opened = open(golden);
        for (name, number, mask, scheme, expiry, holder) in [
            ("plain", "4111111111111111", "411111******1111", Scheme::Visa, (12, 2025), None),
            ("full", "378282246310005", "378282*****0005", Scheme::AmericanExpress, (1, 9999), Some("Zoë Ångström")),
            ("longest", "6212345678901234569", "621234*********4569", Scheme::UnionPay, (6, 2000), None),
        ] {
            let token = opened.vault.pci(opened.id(&format!("Pci {name}"))).unwrap();
            let mask = match golden.mask {
                MaskStyle::LastFour => "*".repeat(number.len() - 4) + number.split_at(number.len() - 4).1,
                _ => mask.to_owned(),
            };
            assert_eq!(token.card.masked_account_number, mask);
            assert_eq!(token.card.scheme, Some(scheme));
            assert_eq!((token.card.expiry_month, token.card.expiry_year), expiry);
            assert_eq!(token.card.cardholder_name.as_deref(), holder);
            assert_eq!(token.created_at.to_rfc3339(), "2026-01-02T03:04:05.678+00:00");
            assert_eq!(token.expires_at.map(|at| at.to_rfc3339()), (name == "full").then(|| EXPIRES.to_owned()));
            let metadata = token.metadata.map(|metadata| metadata.get("order").map(str::to_owned));
            assert_eq!(
                metadata,
                match name {
                    "plain" => None,
                    "full" => Some(Some("2026-77".to_owned())),
                    _ => Some(None),
                }
            );
            let lent = opened.vault.reveal_pci(token.id, |card| {
                assert_eq!(card.account_number(), number);
                assert_eq!((card.expiry().month(), card.expiry().year()), expiry);
                assert_eq!(card.cardholder_name(), holder);
            });
            lent.unwrap();
        }
    }
}

#[test]
fn lists_expiry_and_deletion_work_on_them() {
    for golden in &VAULTS {
        let opened = open(golden);
        assert_eq!(opened.vault.list_generic(Page::default()).unwrap().data.len(), GENERIC.len());
        assert_eq!(opened.vault.list_pci(Page::default()).unwrap().data.len(), PCI.len());
        opened.clock.advance_millis(3_600_000 - 1);
        opened.vault.pci(opened.id("Pci full")).unwrap();
        opened.clock.advance_millis(1);
        let gone = opened.vault.pci(opened.id("Pci full")).unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::NotFound);
        assert_eq!(opened.vault.sweep().unwrap().expired_generic, 1);
        opened.vault.delete_generic(opened.id("Generic plain")).unwrap();
        let stats = opened.vault.stats().unwrap();
        assert_eq!((stats.generic_tokens, stats.pci_tokens, stats.expiring_tokens), (2, 2, 0));
        let epoch = &stats.key_epochs[0];
        assert_eq!((epoch.epoch, epoch.active, epoch.sealed_records), (1, true, 7));
        assert_eq!(epoch.created_at.to_rfc3339(), "2026-01-02T03:04:05.678+00:00");
    }
}

#[test]
fn sessions_are_read() {
    let opened = open(&SESSIONS);
    let id = |name: &str| SessionId::from(*opened.id(&format!("Session {name}")).as_uuid());
    let view = |name: &str| opened.vault.session(id(name)).map(|view| (view.status, view.token_id));
    let (completed, refreshed) = (opened.id("Pci completed"), opened.id("Pci refreshed"));
    assert_eq!(view("plain").unwrap(), (SessionStatus::Open, None));
    assert_eq!(view("full").unwrap(), (SessionStatus::Open, None));
    assert_eq!(view("completed").unwrap(), (SessionStatus::Completed, Some(completed)));
    assert_eq!(view("refresh").unwrap(), (SessionStatus::Open, Some(refreshed)));
    assert_eq!(view("refreshed").unwrap(), (SessionStatus::Completed, Some(refreshed)));

    let card = || CompleteSession::from_json(SESSION_CARD.as_bytes()).unwrap();
    let plain = opened.vault.complete_session(id("plain"), card()).unwrap();
    assert_eq!((plain.expires_at, plain.metadata), (None, None));
    let full = opened.vault.complete_session(id("full"), card()).unwrap();
    assert_eq!(full.expires_at.unwrap().to_rfc3339(), EXPIRES);
    assert_eq!(full.metadata.unwrap().iter().collect::<Vec<_>>(), [("order", "2026-77"), ("clé", "é")]);
    opened.vault.complete_security_code(id("refresh"), SecurityCode::parse("123").unwrap()).unwrap();
    opened.clock.advance_millis(15 * 60 * 1000 - 1);
    assert!(view("completed").is_ok());
    opened.clock.advance_millis(1);
    assert_eq!(view("completed").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(opened.vault.sweep().unwrap().expired_sessions, 4);
}

#[test]
fn types_and_their_tokens_are_read() {
    let opened = open(&TYPES);
    let [plain, full] = ["plain", "full"].map(|name| TypeId::from(*opened.id(&format!("Type {name}")).as_uuid()));
    let seen = opened.vault.type_by_id(full).unwrap();
    assert_eq!((seen.name.as_str(), serde_json::to_string(&seen.schema).unwrap().as_str()), (TYPE_NAME, TYPE_SCHEMA));
    assert_eq!(seen.created_at.to_rfc3339(), "2026-01-02T03:04:05.678+00:00");
    assert_eq!(opened.vault.list_types(Page::default()).unwrap().data.len(), 2);
    let listed = |of_type| opened.vault.list_generic(Page::default().of_type(of_type)).unwrap().data;
    let [token] = &listed(full)[..] else { panic!("one token is of the type") };
    assert_eq!(token.id, opened.id("Generic typed"));
    assert_eq!(token.metadata.as_ref().unwrap().get("order"), Some("2026-77"));
    assert!(opened.vault.generic_payload(token.id, |payload| text(payload, "iban") == "DE89").unwrap());
    let refused = CreateGeneric::new([("pin", "1234")]).unwrap().type_id(full);
    assert_eq!(opened.vault.create_generic(refused).unwrap_err().violations()[0].path(), "$.payload.iban");
    assert_eq!(opened.vault.delete_type(full).unwrap_err().kind(), ErrorKind::Conflict);
    opened.vault.delete_type(plain).unwrap();
    opened.clock.advance_millis(3_600_000);
    opened.vault.delete_type(full).unwrap();
    assert_eq!(opened.vault.stats().unwrap().generic_tokens, 0);
}

#[test]
fn fingerprints_and_idempotency_keys_are_read() {
    let opened = open(&INDEX);
    let (vault, plain, full) = (&opened.vault, opened.id("Pci plain"), opened.id("Pci full"));
    let find = |number: &str| vault.find_by_account_number(&Pan::parse(number).unwrap()).unwrap();
    assert_eq!((find("4111111111111111"), find("378282246310005")), (vec![plain], vec![full]));
    let seen = vault.pci(full).unwrap();
    assert_eq!((seen.card.cardholder_name.as_deref(), seen.metadata.unwrap().len()), (Some("Zoë Ångström"), 1));

    let request = || CreatePci::from_json(FULL_CARD.as_bytes()).unwrap();
    let replayed = vault.create_pci(request().idempotency_key("clé ☃").unwrap()).unwrap();
    assert_eq!(token(replayed).id, full);
    let returned = vault.create_pci(request().duplicates(Duplicates::ReturnExisting)).unwrap();
    assert_eq!(token(returned).id, full);
    let payload = || CreateGeneric::from_json(FULL_PAYLOAD.as_bytes()).unwrap().idempotency_key("clé ☃").unwrap();
    assert_eq!(vault.create_generic(payload()).unwrap().id, opened.id("Generic full"));
    let session = SessionId::from(*opened.id("Session returning").as_uuid());
    let card = CompleteSession::from_json(
        br#"{"type":"pan","account_number":"4111111111111111","expiry_month":1,"expiry_year":2030}"#,
    );
    assert_eq!(vault.complete_session(session, card.unwrap()).unwrap().id, plain);

    vault.delete_pci(plain).unwrap();
    assert_eq!(find("4111111111111111"), []);
    opened.clock.advance_millis(86_400_000);
    let report = vault.sweep().unwrap();
    assert_eq!((report.expired_pci, report.expired_generic, report.expired_other), (1, 1, 2));
    assert_eq!(find("378282246310005"), []);
}

/// Writes the files anew into the folder of `TOKENVAULT_GOLDEN`: for a new format, never over an old one.
#[test]
#[ignore = "writes files; see the top"]
fn write_golden_files() {
    let Some(folder) = std::env::var_os("TOKENVAULT_GOLDEN") else { panic!("TOKENVAULT_GOLDEN names no folder") };
    let files = VAULTS.iter().map(|golden| (golden, write(golden)));
    for (golden, lines) in files.chain([
        (&SESSIONS, write_sessions()),
        (&TYPES, write_types()),
        (&INDEX, write_index()),
        (&ACCESS, write_access()),
    ]) {
        let path = Path::new(&folder).join(golden.file);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path).unwrap();
        for line in lines {
            writeln!(file, "{line}").unwrap();
        }
    }
}

const ACCOUNT: &str = r#"{"id":"ACC-9042","name":"Café","type":"Client","status":"Active","icon":"/a.png"}"#;
const MODULE: &str = r#"{"id":"MOD-1","name":"Kasse","description":"Nimmt Karten","scopes":["generic:tokens:create","generic:tokens:read"],"filters":{"group.buyers":["é"]},"settings":{"paid":true}}"#;
const API_TOKEN: &str =
    r#"{"account":{"id":"ACC-9042"},"name":"Zoë","icon":"/t.png","description":"d","modules":[{"id":"MOD-1"}]}"#;

/// Records of credentials, whose secrets stand in the file too: they are of no other vault.
fn write_access() -> Vec<String> {
    let (store, clock) = (Shared::default(), HandClock::at(CREATED));
    let vault = VaultOptions::new().clock(clock).open_with(store.clone(), (ACCESS.keys)()).unwrap();
    vault.define_account(DefineAccount::from_json(ACCOUNT.as_bytes()).unwrap()).unwrap();
    vault.define_module(DefineModule::from_json(MODULE.as_bytes()).unwrap()).unwrap();
    let key = CreateApiKey::new([Granted::PciTokensRead, Granted::AdminAuditRead]).unwrap().expires_in(3600).unwrap();
    let key = vault.create_api_key(key).unwrap();
    let token = vault.create_api_token(CreateApiToken::from_json(API_TOKEN.as_bytes()).unwrap()).unwrap();
    let secret = token.token.unwrap();
    vault
        .authenticate(secret.expose())
        .unwrap()
        .create_generic(CreateGeneric::new([("pin", "1234")]).unwrap())
        .unwrap();
    vault.close().unwrap();
    let mut lines = vec![format!("anchor -  {}", hex(&store.anchor()))];
    for (name, secret) in [("key", key.key_value.expose()), ("token", secret.expose())] {
        lines.push(format!("given {name} - {}", hex(secret.as_bytes())));
    }
    for table in Table::ALL {
        for (key, value) in store.rows(*table) {
            lines.push(format!("table {} {} {}", table.as_byte(), hex(&key), hex(&value)));
        }
    }
    lines
}

#[test]
fn credentials_accounts_and_modules_are_read() {
    let text = fs::read_to_string(folder().join(ACCESS.file)).unwrap();
    let (store, clock) = (Shared::default(), HandClock::at(CREATED));
    let mut secrets = Vec::new();
    for line in text.lines() {
        let [kind, name, key, value] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        match kind {
            "anchor" => store.write_anchor(&unhex(value)).unwrap(),
            "given" => secrets.push(String::from_utf8(unhex(value)).unwrap()),
            _ => {
                let table = Table::ALL.iter().find(|table| table.as_byte().to_string() == name).unwrap();
                store.put(*table, &unhex(key), &unhex(value));
            }
        }
    }
    let vault = VaultOptions::new().clock(clock.clone()).open_with(store, (ACCESS.keys)()).unwrap();
    let key = &vault.list_api_keys(Page::default()).unwrap().data[0];
    assert_eq!(key.scopes, [Granted::PciTokensRead, Granted::AdminAuditRead].into_iter().collect());
    assert_eq!(key.expires_at.unwrap().to_rfc3339(), EXPIRES);
    let token = &vault.list_api_tokens(&ApiTokenQuery::new()).unwrap().data[0];
    let read = serde_json::to_value(token).unwrap();
    let given = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
    let mut module = given(MODULE);
    module.as_object_mut().unwrap().remove("scopes");
    assert_eq!((&read["account"], &read["modules"][0]), (&given(ACCOUNT), &module));
    for field in ["name", "icon", "description"] {
        assert_eq!(read[field], given(API_TOKEN)[field]);
    }
    let account = serde_json::from_str::<serde_json::Value>(ACCOUNT).unwrap()["id"].as_str().unwrap().to_owned();
    let of_account = vault.list_api_tokens(&ApiTokenQuery::new().account(&account).unwrap()).unwrap();
    assert_eq!(of_account.meta.pagination.total, 1);
    assert_eq!((&read["lastAccessAt"], &read["status"]), (&"2026-01-02T03:04:00.000Z".into(), &"Active".into()));
    let [by_key, by_token] = [0, 1].map(|at| vault.authenticate(&secrets[at]).unwrap());
    assert_eq!(by_key.list_pci(Page::default()).unwrap().data.len(), 0);
    assert_eq!(by_token.list_generic(Page::default()).unwrap().data.len(), 1, "its own");
    vault.define_account(DefineAccount::new("ACC-2", "n").unwrap()).unwrap();
    clock.advance_millis(3_600_000);
    assert_eq!(vault.authenticate(&secrets[0]).unwrap_err().kind(), ErrorKind::Unauthorized);
}

fn write_sessions() -> Vec<String> {
    let (store, clock) = (Shared::default(), HandClock::at(CREATED));
    let vault = VaultOptions::new().clock(clock).open_with(store.clone(), (SESSIONS.keys)()).unwrap();
    let open = |request: &str| match vault.create_pci(CreatePci::from_json(request.as_bytes()).unwrap()).unwrap() {
        PciCreated::Session(session) => session.session_id,
        PciCreated::Token(_) => panic!("a token"),
    };
    let plain = r#"{"source":{"type":"session"}}"#;
    let (session, completed) = (open(plain), open(FULL_SESSION));
    let token = token(vault.create_pci(CreatePci::from_json(PLAIN_CARD.as_bytes()).unwrap()).unwrap()).id;
    let (refresh, refreshed) =
        (vault.refresh_security_code(token).unwrap(), vault.refresh_security_code(token).unwrap());
    vault.complete_security_code(refreshed, SecurityCode::parse("123").unwrap()).unwrap();
    let card = CompleteSession::from_json(SESSION_CARD.as_bytes()).unwrap();
    let made = vault.complete_session(completed, card).unwrap().id;
    let sessions = [("plain", session), ("full", open(FULL_SESSION)), ("completed", completed)];
    let sessions = sessions.into_iter().chain([("refresh", refresh), ("refreshed", refreshed)]);
    let sessions = sessions.map(|(name, id)| ("session", name, Table::Session, *id.as_bytes()));
    let tokens =
        [("completed", made), ("refreshed", token)].map(|(name, id)| ("pci", name, Table::Pci, *id.as_bytes()));
    let line = |(kind, name, table, id): (&str, &str, Table, [u8; 16])| {
        format!("{kind} {name} {} {}", hex(&id), hex(&store.value(table, &id).unwrap()))
    };
    let mut lines: Vec<_> = sessions.chain(tokens).map(line).collect();
    for (key, value) in store.rows(Table::Expiry) {
        lines.push(format!("expiry - {} {}", hex(&key), hex(&value)));
    }
    vault.close().unwrap();
    lines.insert(0, format!("anchor -  {}", hex(&store.anchor())));
    lines
}

fn write_types() -> Vec<String> {
    let (store, clock) = (Shared::default(), HandClock::at(CREATED));
    let vault = VaultOptions::new().clock(clock).open_with(store.clone(), (TYPES.keys)()).unwrap();
    let make = |name: &str, schema: &str| vault.create_type(CreateType::new(name, schema).unwrap()).unwrap().id;
    let (plain, full) = (make("n", "true"), make(TYPE_NAME, TYPE_SCHEMA));
    let request = CreateGeneric::new([("iban", "DE89")]).unwrap().type_id(full).metadata([("order", "2026-77")]);
    let token = vault.create_generic(request.unwrap().expires_in(3600).unwrap()).unwrap().id;
    let types = [("plain", plain), ("full", full)].map(|(name, id)| ("type", name, Table::Type, *id.as_bytes()));
    let records = types.into_iter().chain([("generic", "typed", Table::Generic, *token.as_bytes())]);
    let line = |(kind, name, table, id): (&str, &str, Table, [u8; 16])| {
        format!("{kind} {name} {} {}", hex(&id), hex(&store.value(table, &id).unwrap()))
    };
    let mut lines: Vec<_> = records.map(line).collect();
    for (kind, table) in [("use", Table::TypeUse), ("expiry", Table::Expiry)] {
        for (key, value) in store.rows(table) {
            lines.push(format!("{kind} - {} {}", hex(&key), hex(&value)));
        }
    }
    vault.close().unwrap();
    lines.insert(0, format!("anchor -  {}", hex(&store.anchor())));
    lines
}

fn write_index() -> Vec<String> {
    let (store, clock) = (Shared::default(), HandClock::at(CREATED));
    let options = VaultOptions::new().clock(clock).fingerprints(Fingerprints::On);
    let vault = options.open_with(store.clone(), (INDEX.keys)()).unwrap();
    let plain = CreatePci::from_json(PLAIN_CARD.as_bytes()).unwrap();
    let full = CreatePci::from_json(FULL_CARD.as_bytes()).unwrap().idempotency_key("clé ☃").unwrap();
    let [plain, full] = [plain, full].map(|request| token(vault.create_pci(request).unwrap()).id);
    let payload = CreateGeneric::from_json(FULL_PAYLOAD.as_bytes()).unwrap().idempotency_key("clé ☃").unwrap();
    let payload = vault.create_generic(payload).unwrap().id;
    let session = CreatePci::session().duplicates(Duplicates::ReturnExisting);
    let PciCreated::Session(session) = vault.create_pci(session).unwrap() else { panic!("a token") };
    let records = [
        ("pci", "plain", Table::Pci, *plain.as_bytes()),
        ("pci", "full", Table::Pci, *full.as_bytes()),
        ("generic", "full", Table::Generic, *payload.as_bytes()),
        ("session", "returning", Table::Session, *session.session_id.as_bytes()),
    ];
    let line = |(kind, name, table, id): (&str, &str, Table, [u8; 16])| {
        format!("{kind} {name} {} {}", hex(&id), hex(&store.value(table, &id).unwrap()))
    };
    let mut lines: Vec<_> = records.into_iter().map(line).collect();
    let rows = [
        ("expiry", Table::Expiry),
        ("replay", Table::Replay),
        ("fingerprint", Table::Fingerprint),
        ("state", Table::State),
    ];
    for (kind, table) in rows {
        for (key, value) in store.rows(table) {
            lines.push(format!("{kind} - {} {}", hex(&key), hex(&value)));
        }
    }
    vault.close().unwrap();
    lines.insert(0, format!("anchor -  {}", hex(&store.anchor())));
    lines
}

fn write(golden: &Golden) -> Vec<String> {
    let (store, clock) = (Shared::default(), HandClock::at(CREATED));
    let vault = VaultOptions::new().mask(golden.mask).clock(clock).open_with(store.clone(), (golden.keys)()).unwrap();
    let mut lines = Vec::new();
    for (name, json) in GENERIC {
        let id = vault.create_generic(CreateGeneric::from_json(json.as_bytes()).unwrap()).unwrap().id;
        let record = store.value(Table::Generic, id.as_bytes()).unwrap();
        lines.push(format!("generic {name} {} {}", hex(id.as_bytes()), hex(&record)));
    }
    for (name, json) in PCI {
        let id = token(vault.create_pci(CreatePci::from_json(json.as_bytes()).unwrap()).unwrap()).id;
        let record = store.value(Table::Pci, id.as_bytes()).unwrap();
        lines.push(format!("pci {name} {} {}", hex(id.as_bytes()), hex(&record)));
    }
    for (key, value) in store.rows(Table::Expiry) {
        lines.push(format!("expiry - {} {}", hex(&key), hex(&value)));
    }
    vault.close().unwrap();
    lines.insert(0, format!("anchor -  {}", hex(&store.anchor())));
    lines
}
