//! What it costs to ask who calls: a credential that was seen before, and an operation of a client beside the same of root.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench"
)]

mod common;

use common::print_ratio_on;
use criterion::{Criterion, criterion_group, criterion_main};
use tokenvault::store::MemoryStore;
use tokenvault::{
    Client, CreateApiKey, CreateApiToken, CreateGeneric, DefineAccount, DefineModule, KeyManager, Scope, Vault,
    VaultOptions,
};

/// Credentials that the vault knows beside the one that is used.
const OTHERS: usize = 10_000;

fn vault() -> Vault {
    VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate().unwrap()).unwrap()
}

fn payload() -> CreateGeneric {
    CreateGeneric::new([("iban", "DE89370400440532013000"), ("bic", "COBADEFFXXX")]).unwrap()
}

/// The secrets of an API key and of an API token.
fn secrets(vault: &Vault) -> [String; 2] {
    vault.define_account(DefineAccount::new("ACC-1", "Shop").unwrap()).unwrap();
    let module = DefineModule::new("MOD-1", "M", "D", [Scope::GenericTokensCreate]).unwrap();
    vault.define_module(module).unwrap();
    let key = vault.create_api_key(CreateApiKey::new([Scope::GenericTokensCreate]).unwrap()).unwrap();
    let token = vault.create_api_token(CreateApiToken::new("ACC-1", "Till", ["MOD-1"]).unwrap()).unwrap();
    [key.key_value.expose().to_owned(), token.token.unwrap().expose().to_owned()]
}

/// A credential that was seen is known again in less than a microsecond, among however many.
fn authenticate(c: &mut Criterion) {
    let vault = vault();
    let others: Vec<Client> = (0..OTHERS)
        .map(|_| {
            let key = vault.create_api_key(CreateApiKey::new([Scope::GenericTokensRead]).unwrap()).unwrap();
            vault.authenticate(key.key_value.expose()).unwrap()
        })
        .collect();
    for (kind, secret) in ["an API key", "an API token"].into_iter().zip(secrets(&vault)) {
        assert!(vault.authenticate(&secret).unwrap().create_generic(payload()).is_ok());
        c.bench_function(&format!("authenticate {kind} that was seen"), |b| {
            b.iter(|| vault.authenticate(&secret).unwrap());
        });
    }
    let wrong = "key_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    assert!(vault.authenticate(wrong).is_err());
    c.bench_function("authenticate nobody", |b| b.iter(|| vault.authenticate(wrong).unwrap_err()));
    drop(others);
}

/// A client does what root does at 1.05 times the cost at most. One of an account writes a row more: that of what is its own.
fn create(_: &mut Criterion) {
    for (at, kind) in ["an API key", "an API token"].into_iter().enumerate() {
        let (vault, beside) = (vault(), vault());
        let [key, token] = secrets(&vault);
        let client = vault.authenticate(if at == 0 { &key } else { &token }).unwrap();
        secrets(&beside);
        print_ratio_on(
            &format!("create_generic by {kind} beside root"),
            ("a client", payload, |request| client.create_generic(request).unwrap()),
            ("root", payload, |request| beside.create_generic(request).unwrap()),
        );
    }
}

criterion_group!(benches, authenticate, create);
criterion_main!(benches);
