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

use std::cell::{Cell, RefCell};

use common::print_ratio_on;
use criterion::{Criterion, criterion_group, criterion_main};
use tokenvault::store::MemoryStore;
use tokenvault::{
    Client, CreateApiKey, CreateApiToken, CreateGeneric, DefineAccount, DefineModule, KeyManager, Scope, Vault,
    VaultOptions,
};

/// Credentials that the vault knows beside the one that is used.
const OTHERS: usize = 10_000;

/// Tokens in a vault at most.
const MOST_TOKENS: usize = 10_000;

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

/// A client does what root does at 1.05 times the cost at most, where what is made is kept for good, and wherever it has no account.
/// What is made for an account has one row more, that of what is its own: in memory, where rows are much of the work, it shows.
fn create(_: &mut Criterion) {
    for (at, kind) in ["an API key", "an API token"].into_iter().enumerate() {
        beside_root(&format!("create_generic by {kind} beside root"), at, vault);
    }
    #[cfg(feature = "sled")]
    for (at, kind) in ["an API key", "an API token"].into_iter().enumerate() {
        let (folder, count) = (tempfile::tempdir().unwrap(), Cell::new(0));
        let durable = || {
            count.set(count.get() + 1);
            let folder = folder.path().join(count.get().to_string());
            Vault::create(folder, KeyManager::generate().unwrap()).unwrap()
        };
        beside_root(&format!("durable create_generic by {kind} beside root"), at, durable);
    }
}

/// The holder of the first or the second secret beside root, each on vaults of its own.
fn beside_root(name: &str, secret: usize, vault: impl Fn() -> Vault) {
    let fresh = || {
        let vault = vault();
        let client = vault.authenticate(&secrets(&vault)[secret]).unwrap();
        (vault, client)
    };
    let (ours, beside) = (Renewed::new(&fresh), Renewed::new(&fresh));
    print_ratio_on(
        name,
        ("a client", || ours.request(), |request| ours.sides.borrow().1.create_generic(request).unwrap()),
        ("root", || beside.request(), |request| beside.sides.borrow().0.create_generic(request).unwrap()),
    );
}

/// A vault, root's handle and a client's, with another one in its place each time that it has many tokens: how large a map has
/// grown is not what is asked.
struct Renewed<'a> {
    fresh: &'a dyn Fn() -> (Vault, Client),
    sides: RefCell<(Vault, Client)>,
    requests: Cell<usize>,
}

impl<'a> Renewed<'a> {
    fn new(fresh: &'a dyn Fn() -> (Vault, Client)) -> Self {
        Self { fresh, sides: RefCell::new(fresh()), requests: Cell::new(0) }
    }

    /// The next request, made beside the clock.
    fn request(&self) -> CreateGeneric {
        self.requests.set(self.requests.get() + 1);
        if self.requests.get().is_multiple_of(MOST_TOKENS) {
            *self.sides.borrow_mut() = (self.fresh)();
        }
        payload()
    }
}

criterion_group!(benches, authenticate, create);
criterion_main!(benches);
