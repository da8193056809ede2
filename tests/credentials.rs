//! Promise: a credential ends for everybody at once, and its secret is nowhere but with whoever was given it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test"
)]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};

use base64ct::{Base64UrlUnpadded, Encoding};
use common::forge::{self, Forger};
use common::meddled::Meddled;
use common::operations::payload;
use common::shared::Shared;
use common::text::hex;
use common::threads::at_once;
use common::{keys, vault};
use tokenvault::store::{Batch, Committed, Entry, Maintenance, Store, StoreStats, Table};
use tokenvault::{
    ApiKeyId, ApiTokenId, ApiTokenQuery, ApiTokenStatus, AuditEntry, AuditSink, Client, CreateApiKey, CreateApiToken,
    CreatePci, DefineAccount, DefineModule, Error, ErrorKind, Page, Received, Scope, UpdateApiKey, Vault, VaultOptions,
};

fn define(vault: &Vault) {
    vault.define_account(DefineAccount::new("ACC-1", "Shop").unwrap()).unwrap();
    vault.define_module(DefineModule::new("MOD-1", "M", "D", [Scope::GenericTokensCreate]).unwrap()).unwrap();
}

fn till() -> CreateApiToken {
    CreateApiToken::new("ACC-1", "Till", ["MOD-1"]).unwrap()
}

/// Once a call that ends the credential has returned, no call that begins gets through.
fn ends_for_all(end: impl Fn(&Vault) + Sync, secret: &str, vault: &Vault) {
    let has_ended = AtomicBool::new(false);
    at_once(4, |place| {
        if place == 0 {
            end(vault);
            has_ended.store(true, Ordering::SeqCst);
            return;
        }
        let client = vault.authenticate(secret);
        loop {
            let was_over = has_ended.load(Ordering::SeqCst);
            let again = vault.authenticate(secret).map(drop);
            let used = client.as_ref().map_err(Clone::clone).and_then(|client| client.create_generic(payload()));
            for done in [again, used.map(drop)] {
                match done {
                    Ok(()) => assert!(!was_over, "it was good after its end"),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Unauthorized),
                }
            }
            if was_over {
                return;
            }
        }
    });
}

#[test]
fn a_credential_that_has_ended_is_refused_to_every_thread() {
    let (vault, _) = vault();
    define(&vault);
    for _ in 0..50 {
        let made = vault.create_api_token(till()).unwrap();
        let secret = made.token.unwrap();
        ends_for_all(|vault| drop(vault.disable_api_token(made.id).unwrap()), secret.expose(), &vault);
        vault.enable_api_token(made.id).unwrap();
        vault.authenticate(secret.expose()).unwrap().create_generic(payload()).unwrap();
        ends_for_all(|vault| drop(vault.delete_api_token(made.id).unwrap()), secret.expose(), &vault);
        let key = vault.create_api_key(CreateApiKey::new([Scope::GenericTokensCreate]).unwrap()).unwrap();
        ends_for_all(|vault| vault.delete_api_key(key.id).unwrap(), key.key_value.expose(), &vault);
    }
}

#[test]
fn of_many_that_use_one_key_at_once_one_makes_a_credential() {
    let (vault, _) = vault();
    define(&vault);
    let made = at_once(8, |_| vault.create_api_token(till().idempotency_key("k").unwrap()).is_ok());
    assert_eq!(made.into_iter().filter(|is_made| *is_made).count(), 1);
    assert_eq!(vault.list_api_tokens(&ApiTokenQuery::new()).unwrap().meta.pagination.total, 1);
}

#[test]
fn accounts_that_are_defined_at_once_get_numbers_of_their_own() {
    let (vault, _) = vault();
    at_once(8, |place| {
        vault.define_account(DefineAccount::new(&format!("ACC-{place}"), "Shop").unwrap()).unwrap();
    });
    let clients: Vec<_> = (0..8).map(|place| common::operations::client_of(&vault, &format!("ACC-{place}"))).collect();
    for client in &clients {
        client.create_generic(payload()).unwrap();
    }
    for client in &clients {
        assert_eq!(client.list_generic(Page::default()).unwrap().data.len(), 1);
    }
}

#[test]
fn the_number_of_an_account_is_never_given_again() {
    let store = Shared::default();
    let open = || VaultOptions::new().open_with(store.clone(), keys()).unwrap();
    let vault = open();
    vault.define_account(DefineAccount::new("ACC-0", "Shop").unwrap()).unwrap();
    vault.delete_account("ACC-0").unwrap();
    define(&vault);
    let first = common::operations::client_of(&vault, "ACC-1");
    let token = first.create_generic(payload()).unwrap().id;
    assert_eq!(vault.delete_account("ACC-1").unwrap_err().kind(), ErrorKind::Conflict);
    let owners = || store.rows(Table::Owned).iter().map(|(row, _)| row[3]).collect::<Vec<_>>();
    assert_eq!(owners(), [2, 2], "its key, and what that has made");
    vault.close().unwrap();
    let vault = open();
    vault.define_account(DefineAccount::new("ACC-2", "Shop").unwrap()).unwrap();
    let second = common::operations::client_of(&vault, "ACC-2");
    assert_eq!(owners(), [2, 2, 3]);
    assert_eq!(second.generic(token).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn an_account_is_unused_once_what_it_had_has_expired() {
    let (vault, clock) = vault();
    define(&vault);
    let request = CreateApiKey::new([Scope::GenericTokensCreate, Scope::PciTokensCreate]).unwrap();
    let key = vault.create_api_key(request.account("ACC-1").unwrap().expires_in(3600).unwrap()).unwrap();
    let client = vault.authenticate(key.key_value.expose()).unwrap();
    client.create_generic(payload().expires_in(3600).unwrap()).unwrap();
    client.create_pci(CreatePci::session()).unwrap();
    let lasting = client.create_generic(payload()).unwrap().id;
    clock.advance_millis(3_600_000);
    assert_eq!(vault.delete_account("ACC-1").unwrap_err().kind(), ErrorKind::Conflict);
    vault.delete_generic(lasting).unwrap();
    vault.delete_account("ACC-1").unwrap();
}

#[test]
fn a_key_that_was_seen_to_have_expired_is_no_good_again_when_the_clock_goes_back() {
    for is_swept in [false, true] {
        let (vault, clock) = vault();
        let request = CreateApiKey::new([Scope::GenericTokensRead]).unwrap().expires_in(60).unwrap();
        let key = vault.create_api_key(request).unwrap();
        let client = vault.authenticate(key.key_value.expose()).unwrap();
        let refused = || {
            let used = client.list_generic(Page::default()).unwrap_err();
            [used.kind(), vault.authenticate(key.key_value.expose()).unwrap_err().kind()]
        };
        clock.advance_millis(60_000);
        if is_swept {
            vault.sweep().unwrap();
        }
        assert_eq!(refused(), [ErrorKind::Unauthorized; 2]);
        clock.advance_millis(-30_000);
        assert_eq!(refused(), [ErrorKind::Unauthorized; 2]);
        assert_eq!(vault.api_key(key.id).unwrap_err().kind(), ErrorKind::NotFound);
    }
}

/// Makes a commit and then says that it does not know, if it is told to.
#[derive(Clone, Default)]
struct Unsure {
    store: Shared,
    is_unsure: std::sync::Arc<AtomicBool>,
}

impl Store for Unsure {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.store.get(table, key)
    }

    fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Entry>, Error> {
        self.store.scan(table, from, to, limit)
    }

    fn commit(&self, batch: Batch) -> Result<Committed, Error> {
        let done = self.store.commit(batch);
        if self.is_unsure.load(Ordering::SeqCst) { Err(Error::unavailable("it may be done")) } else { done }
    }

    fn read_anchor(&self) -> Result<Option<Vec<u8>>, Error> {
        self.store.read_anchor()
    }

    fn write_anchor(&self, bytes: &[u8]) -> Result<(), Error> {
        self.store.write_anchor(bytes)
    }

    fn maintain(&self, task: Maintenance) -> Result<StoreStats, Error> {
        self.store.maintain(task)
    }
}

type End = fn(&Vault, ApiTokenId, ApiKeyId, &dyn Fn() -> DefineModule) -> Result<(), Error>;

#[test]
fn a_credential_that_may_have_ended_is_read_again() {
    let narrow = || DefineModule::new("MOD-1", "M", "D", [Scope::AdminAuditRead]).unwrap();
    let ends: [(End, bool); 5] = [
        (|vault, id, _, _| vault.disable_api_token(id).map(drop), true),
        (|vault, id, _, _| vault.delete_api_token(id).map(drop), true),
        (|vault, _, _, module| vault.define_module(module()).map(drop), true),
        (|vault, _, id, _| vault.delete_api_key(id), false),
        (|vault, _, id, _| vault.update_api_key(id, &UpdateApiKey::new([Scope::AdminAuditRead])?).map(drop), false),
    ];
    for (end, is_token) in ends {
        let store = Unsure::default();
        let vault = VaultOptions::new().open_with(store.clone(), keys()).unwrap();
        define(&vault);
        let key = vault.create_api_key(CreateApiKey::new([Scope::GenericTokensCreate]).unwrap()).unwrap();
        let token = vault.create_api_token(till()).unwrap();
        let of_token = token.token.unwrap();
        let client = vault.authenticate(if is_token { of_token.expose() } else { key.key_value.expose() }).unwrap();
        client.create_generic(payload()).unwrap();
        store.is_unsure.store(true, Ordering::SeqCst);
        assert_eq!(end(&vault, token.id, key.id, &narrow).unwrap_err().kind(), ErrorKind::Unavailable);
        store.is_unsure.store(false, Ordering::SeqCst);
        assert!(client.create_generic(payload()).is_err());
    }
}

type Grant<'a> = &'a dyn Fn(&Client) -> Result<(), Error>;

#[test]
fn nothing_is_granted_behind_the_end_of_whoever_grants_it() {
    let store = Meddled::default();
    let vault = VaultOptions::new().open_with(store.clone(), keys()).unwrap();
    define(&vault);
    let scopes = [
        Scope::AdminApiKeysCreate,
        Scope::AdminApiKeysUpdate,
        Scope::AdminApiTokensCreate,
        Scope::AdminApiTokensUpdate,
        Scope::GenericTokensCreate,
    ];
    let key_to_change = vault.create_api_key(CreateApiKey::new([Scope::GenericTokensCreate]).unwrap()).unwrap().id;
    let token_to_change = vault.create_api_token(till()).unwrap().id;
    vault.disable_api_token(token_to_change).unwrap();
    let grants: [Grant<'_>; 4] = [
        &|client| client.create_api_key(CreateApiKey::new([Scope::GenericTokensCreate])?).map(drop),
        &|client| client.create_api_token(till()).map(drop),
        &|client| {
            let update = UpdateApiKey::new([Scope::GenericTokensCreate, Scope::AdminApiKeysCreate])?;
            client.update_api_key(key_to_change, &update).map(drop)
        },
        &|client| client.enable_api_token(token_to_change).map(drop),
    ];
    for grant in grants {
        for is_deleted in [true, false] {
            let admin = vault.create_api_key(CreateApiKey::new(scopes).unwrap()).unwrap();
            let client = vault.authenticate(admin.key_value.expose()).unwrap();
            let (root, before) = (vault.clone(), store.store.rows(Table::Secret).len());
            let done = store.before_commit(move || {
                if is_deleted {
                    return root.delete_api_key(admin.id).map(|()| 1);
                }
                root.update_api_key(admin.id, &UpdateApiKey::new([Scope::AdminAuditRead])?).map(|_| 0)
            });
            let wanted = if is_deleted { ErrorKind::Unauthorized } else { ErrorKind::Forbidden };
            assert_eq!(grant(&client).unwrap_err().kind(), wanted);
            assert_eq!(store.store.rows(Table::Secret).len() + done.take().unwrap(), before);
        }
    }
    assert_eq!(vault.api_token(token_to_change).unwrap().status, ApiTokenStatus::Disabled);
    assert_eq!(vault.api_key(key_to_change).unwrap().scopes.iter().count(), 1);
}

#[test]
fn the_last_use_never_goes_back() {
    let (vault, clock) = vault();
    define(&vault);
    let made = vault.create_api_token(till()).unwrap();
    let client = vault.authenticate(made.token.unwrap().expose()).unwrap();
    let last = || vault.api_token(made.id).unwrap().last_access_at.unwrap();
    let first = last();
    clock.advance_millis(-120_000);
    client.create_generic(payload()).unwrap();
    assert_eq!(last(), first);
    clock.advance_millis(240_000);
    client.create_generic(payload()).unwrap();
    assert!(last() > first);
}

/// A key that is no longer the active one still says where what was named under it stands.
#[test]
fn accounts_and_secrets_outlive_the_key_that_they_were_made_under() {
    let forger = Forger::new([7; 32]);
    let (store, row) = (Shared::default(), forge::ring_row);
    store.write_anchor(&forger.anchor()).unwrap();
    let open = || VaultOptions::new().open_with(store.clone(), keys()).unwrap();
    let vault = open();
    define(&vault);
    let key = CreateApiKey::new([Scope::GenericTokensCreate]).unwrap().account("ACC-1").unwrap();
    let key = vault.create_api_key(key).unwrap().key_value;
    vault.close().unwrap();
    let rows = [row(1, 1, 1, forger.data), row(2, 1, 1, [0x1d; 32]), row(3, 1, 2, [0xc5; 32]), row(3, 2, 1, [9; 32])];
    let ring = [vec![4, 0], rows.concat()].concat();
    let settings = forger.settings(forge::FIRST_SIX_LAST_FOUR, forge::BY_KEY);
    store.write_anchor(&forger.anchor_of(1, &settings, &ring)).unwrap();
    let vault = open();
    vault.authenticate(key.expose()).unwrap().create_generic(payload()).unwrap();
    define(&vault);
    vault.create_api_token(till()).unwrap();
    assert_eq!((store.rows(Table::Account).len(), store.rows(Table::Module).len()), (1, 1));
    assert_eq!(common::operations::client_of(&vault, "ACC-1").list_generic(Page::default()).unwrap().data.len(), 1);
    vault.define_account(DefineAccount::new("ACC-2", "Shop").unwrap()).unwrap();
    vault.define_account(DefineAccount::new("ACC-2", "Shop").unwrap()).unwrap();
    assert_eq!(store.rows(Table::Account).len(), 2);
}

#[test]
fn every_trace_of_a_credential_goes_with_it() {
    let store = Shared::default();
    let vault = VaultOptions::new().open_with(store.clone(), keys()).unwrap();
    define(&vault);
    let request = CreateApiKey::new([Scope::GenericTokensRead]).unwrap().account("ACC-1").unwrap();
    let key = vault.create_api_key(request.expires_in(60).unwrap()).unwrap();
    assert_eq!((store.rows(Table::Secret).len(), store.rows(Table::Owned).len()), (1, 1));
    vault.delete_api_key(key.id).unwrap();
    for table in [Table::ApiKey, Table::Secret, Table::Owned, Table::Expiry] {
        assert_eq!(store.rows(table), [], "{table:?}");
    }
    let token = vault.create_api_token(till()).unwrap();
    assert_eq!((store.rows(Table::Secret).len(), store.rows(Table::ModuleUse).len()), (1, 1));
    vault.delete_api_token(token.id).unwrap();
    assert_eq!(
        (store.rows(Table::Secret).len(), store.rows(Table::ModuleUse).len()),
        (0, 1),
        "it is kept, and no good"
    );
}

/// When it was last used is written behind everything else, and its damage is told to whoever asks for it.
#[test]
fn a_damaged_token_stands_in_the_way_of_no_sweep_and_no_close() {
    let store = Shared::default();
    let open = || VaultOptions::new().open_with(store.clone(), keys()).unwrap();
    let vault = open();
    define(&vault);
    let [damaged, other] = [0, 1].map(|_| {
        let made = vault.create_api_token(till()).unwrap();
        vault.authenticate(made.token.unwrap().expose()).unwrap().create_generic(payload()).unwrap();
        made.id
    });
    store.put(Table::ApiToken, uuid::Uuid::from(damaged).as_bytes(), b"no record");
    vault.sweep().unwrap();
    vault.close().unwrap();
    let vault = open();
    assert!(vault.api_token(other).unwrap().last_access_at.is_some());
    assert_eq!(vault.api_token(damaged).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn the_last_use_of_many_tokens_is_written_though_one_is_changed_meanwhile() {
    let store = Shared::default();
    let open = || VaultOptions::new().open_with(store.clone(), keys()).unwrap();
    let vault = open();
    define(&vault);
    let ids: Vec<_> = (0..300)
        .map(|_| {
            let made = vault.create_api_token(till()).unwrap();
            vault.authenticate(made.token.unwrap().expose()).unwrap();
            made.id
        })
        .collect();
    std::thread::scope(|scope| {
        scope.spawn(|| ids.iter().for_each(|id| drop(vault.disable_api_token(*id).unwrap())));
        vault.sweep().unwrap();
    });
    vault.close().unwrap();
    let vault = open();
    for id in ids {
        assert!(vault.api_token(id).unwrap().last_access_at.is_some());
    }
}

#[test]
fn a_row_that_was_put_there_leads_nowhere() {
    let store = Shared::default();
    let vault = VaultOptions::new().open_with(store.clone(), keys()).unwrap();
    let [key, other] =
        [0, 1].map(|_| vault.create_api_key(CreateApiKey::new([Scope::GenericTokensRead]).unwrap()).unwrap());
    // Whoever can write the store lets one secret lead to the other credential.
    let rows = store.rows(Table::Secret);
    for (row, (_, value)) in rows.iter().map(|(row, _)| row).zip(rows.iter().rev()) {
        store.commit(tokenvault::store::Batch::new().put(Table::Secret, row.clone(), value.clone())).unwrap();
    }
    for secret in [key.key_value, other.key_value] {
        assert_eq!(vault.authenticate(secret.expose()).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}

/// What whoever audits hears.
#[derive(Clone, Default)]
struct Trail(std::sync::Arc<std::sync::Mutex<Vec<String>>>);

impl AuditSink for Trail {
    fn record(&self, entry: &AuditEntry) -> Result<(), Error> {
        self.0.lock().unwrap().push(format!("{entry:?}"));
        Ok(())
    }
}

#[test]
fn a_secret_is_neither_stored_nor_told() {
    let (store, trail) = (Shared::default(), Trail::default());
    let vault = VaultOptions::new().audit(trail.clone()).open_with(store.clone(), keys()).unwrap();
    define(&vault);
    let events = vault.subscribe().unwrap();
    let key = vault.create_api_key(CreateApiKey::new([Scope::AdminApiKeysRead]).unwrap()).unwrap();
    let token = vault.create_api_token(till()).unwrap();
    let mut said = vec![format!("{key:?} {token:?}")];
    let secrets = [key.key_value.expose().to_owned(), token.token.as_ref().unwrap().expose().to_owned()];
    let client = vault.authenticate(&secrets[0]).unwrap();
    said.push(format!("{client:?} {:?} {:?}", vault.api_key(key.id), vault.api_token(token.id)));
    let tokens = vault.list_api_tokens(&ApiTokenQuery::new());
    said.push(format!("{:?} {tokens:?}", vault.list_api_keys(Page::default())));
    said.push(format!("{:?}", client.create_generic(payload())));
    let again = || till().idempotency_key("k").unwrap();
    said.push(format!("{:?} {:?}", vault.create_api_token(again()), vault.create_api_token(again())));
    said.extend(secrets.iter().map(|secret| format!("{:?}", vault.authenticate(&secret[..40]))));
    while let Some(Received::Event(event)) = events.try_next() {
        said.push(format!("{event:?} {}", serde_json::to_string(&event).unwrap()));
    }
    said.extend(trail.0.lock().unwrap().drain(..));
    let said = said.concat();
    vault.close().unwrap();
    let mut stored = store.anchor();
    for table in Table::ALL {
        for (row, value) in store.rows(*table) {
            stored.extend([row, value].concat());
        }
    }
    for secret in secrets {
        // Behind the part that is shown, and what it stands for.
        let hidden = &secret[secret.len() - 36..];
        assert!(!said.contains(&hidden[..8]) && !said.contains(&hidden[28..]), "{said}");
        let mut bits = [0; 32];
        Base64UrlUnpadded::decode(&secret[secret.len() - 43..], &mut bits).unwrap();
        for form in [hidden.as_bytes()[..12].to_vec(), bits[8..20].to_vec(), hex(&bits[8..20]).into_bytes()] {
            assert!(!stored.windows(form.len()).any(|window| window == form));
        }
    }
}
