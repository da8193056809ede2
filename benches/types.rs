//! What the type of a payload costs: a typed create beside an untyped one of the same payload, the check on its own, and the
//! making of a type.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, reason = "a bench")]

mod common;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use tokenvault::store::MemoryStore;
use tokenvault::{CreateGeneric, CreateType, KeyManager, TypeId, Vault, VaultOptions};

/// A bank account: six pairs, two patterns, a number, an enumeration, and a reference.
const SCHEMA: &str = r##"{
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$defs": {"country": {"type": "string", "pattern": "^[A-Z]{2}$"}},
    "properties": {
        "iban": {"type": "string", "pattern": "^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$"},
        "holder": {"type": "string", "minLength": 1, "maxLength": 70},
        "country": {"$ref": "#/$defs/country"},
        "currency": {"enum": ["EUR", "USD", "GBP", "CHF"]},
        "limit": {"type": "number", "minimum": 0, "maximum": 100000},
        "joint": {"type": "boolean"}
    },
    "required": ["iban", "holder"],
    "additionalProperties": false
}"##;

const REQUEST: &[u8] = br#"{"payload":{"iban":"DE89370400440532013000","holder":"Zoe Example","country":"DE","currency":"EUR","limit":1500.5,"joint":false}}"#;

fn untyped() -> CreateGeneric {
    CreateGeneric::from_json(REQUEST).unwrap()
}

fn vault_with(schema: &str) -> (Vault, TypeId) {
    let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate().unwrap()).unwrap();
    let id = vault.create_type(CreateType::new("bank account", schema).unwrap()).unwrap().id;
    (vault, id)
}

/// Creates a token and removes it, so that the store stays as small as it was.
fn create(vault: &Vault, request: CreateGeneric) {
    let token = vault.create_generic(request).unwrap();
    vault.delete_generic(token.id).unwrap();
}

fn beside_each_other(_: &mut Criterion) {
    for (name, schema) in [("bank account", SCHEMA), ("any payload", "{}")] {
        let (vault, id) = vault_with(schema);
        let typed = || vault.create_generic(untyped().type_id(id)).unwrap();
        let plain = || vault.create_generic(untyped()).unwrap();
        common::print_difference(&format!("typed create/{name}"), ("typed", typed), ("untyped", plain));
    }
}

fn types(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("types");
    let (vault, id) = vault_with(SCHEMA);
    group.bench_function("create_and_delete/untyped", |bench| {
        bench.iter_batched(untyped, |request| create(&vault, request), BatchSize::SmallInput);
    });
    group.bench_function("create_and_delete/typed", |bench| {
        bench.iter_batched(|| untyped().type_id(id), |request| create(&vault, request), BatchSize::SmallInput);
    });
    group.bench_function("compile", |bench| bench.iter(|| CreateType::new("bank account", SCHEMA).unwrap()));
    group.finish();
}

criterion_group!(benches, beside_each_other, types);
criterion_main!(benches);
