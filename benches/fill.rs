//! What it costs to fill a template of 2 KiB of each kind, beside the bare reveal of the same card.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a bench")]

mod common;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tokenvault::card::{CardExpiry, Pan};
use tokenvault::store::MemoryStore;
use tokenvault::{Body, CreatePci, KeyManager, PanSource, PciCreated, TokenId, Vault, VaultOptions};

/// Bytes of a template.
const SIZE: usize = 2048;

fn vault() -> (Vault, TokenId) {
    let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate().unwrap()).unwrap();
    let card = PanSource::new(Pan::parse("4111111111111111").unwrap(), CardExpiry::new(12, 2025).unwrap());
    let card = card.cardholder_name("Jo \"Q\" Holder").unwrap();
    let PciCreated::Token(token) = vault.create_pci(CreatePci::new(card)).unwrap() else { unreachable!() };
    (vault, token.id)
}

/// A charge as a payment service takes it: a card, and lines of what was bought up to the size.
fn template(before: &str, line: &str, behind: &str) -> String {
    let lines = (SIZE - before.len() - behind.len()) / line.len();
    let rest = SIZE - before.len() - behind.len() - lines * line.len();
    format!("{before}{}{}{behind}", line.repeat(lines), "1".repeat(rest))
}

fn fill(criterion: &mut Criterion) {
    let (vault, id) = vault();
    let json = template(
        r#"{"card":{"number":"{{ account_number }}","holder":"{{ cardholder_name }}","month":"{{ expiry_month | unwrap }}","year":"{{ expiry_year | unwrap }}"},"items":[{"name":"a thing of some use","price":1250,"currency":"EUR"},"#,
        r#"{"name":"a thing of some use","price":1250,"currency":"EUR"},"#,
        "1]}",
    );
    let form = template(
        "number={{account_number}}&holder={{cardholder_name}}&month={{expiry_month}}&year={{expiry_year}}",
        "&item=a+thing+of+some+use&price=1250&currency=EUR",
        "",
    );
    let xml = template(
        "<charge><card number='{{ account_number }}' expiry='{{ expiry_year }}-{{ expiry_month }}'>{{ cardholder_name }}</card>",
        "<item price='1250' currency='EUR'>a thing of some use</item>",
        "</charge>",
    );
    let mut group = criterion.benchmark_group("fill");
    group.throughput(Throughput::Bytes(SIZE.try_into().unwrap()));
    for (name, body) in [("json", Body::Json(&json)), ("form", Body::Form(&form)), ("xml", Body::Xml(&xml))] {
        let holds_the_number = |filled: &[u8]| filled.windows(16).any(|window| window == b"4111111111111111");
        assert!(vault.fill(id, body, holds_the_number).unwrap());
        group.bench_function(name, |bench| {
            bench.iter(|| vault.fill(id, black_box(body), |filled| black_box(filled.len())).unwrap());
        });
    }
    group.finish();
    common::print_ratio(
        "fill",
        ("fill_json", || vault.fill(id, black_box(Body::Json(&json)), <[u8]>::len).unwrap()),
        ("reveal_pci", || vault.reveal_pci(id, |card| card.account_number().len()).unwrap()),
    );
}

criterion_group!(benches, fill);
criterion_main!(benches);
