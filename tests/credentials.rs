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
use common::operations::payload;
use common::shared::Shared;
use common::text::hex;
use common::threads::at_once;
use common::{keys, vault};
use tokenvault::store::{Store, Table};
use tokenvault::{
    ApiTokenQuery, CreateApiKey, CreateApiToken, DefineAccount, DefineModule, ErrorKind, Page, Received, Scope, Vault,
    VaultOptions,
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
    let (vault, _) = vault();
    vault.define_account(DefineAccount::new("ACC-1", "Shop").unwrap()).unwrap();
    vault.delete_account("ACC-1").unwrap();
    let store = Shared::default();
    let vault = VaultOptions::new().open_with(store.clone(), keys()).unwrap();
    define(&vault);
    let first = common::operations::client_of(&vault, "ACC-1");
    let token = first.create_generic(payload()).unwrap().id;
    assert_eq!(vault.delete_account("ACC-1").unwrap_err().kind(), ErrorKind::Conflict);
    vault.define_account(DefineAccount::new("ACC-2", "Shop").unwrap()).unwrap();
    let owners: Vec<u8> = store.rows(Table::Owned).iter().map(|(row, _)| row[3]).collect();
    assert!(owners.iter().all(|owner| *owner == 1), "{owners:?}");
    let second = common::operations::client_of(&vault, "ACC-2");
    assert_eq!(second.generic(token).unwrap_err().kind(), ErrorKind::NotFound);
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

#[test]
fn a_secret_is_neither_stored_nor_told() {
    let store = Shared::default();
    let vault = VaultOptions::new().open_with(store.clone(), keys()).unwrap();
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
    said.extend(secrets.iter().map(|secret| format!("{:?}", vault.authenticate(&secret[..40]))));
    while let Some(Received::Event(event)) = events.try_next() {
        said.push(format!("{event:?} {}", serde_json::to_string(&event).unwrap()));
    }
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
