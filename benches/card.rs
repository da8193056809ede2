//! What it costs to check a card: the account number alone, and the published request as a whole beside a bare parse of
//! the same bytes.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a bench")]

mod common;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use serde::Deserialize;
use tokenvault::CreatePci;
use tokenvault::card::{MaskStyle, Pan};

/// The published request.
const REQUEST: &[u8] = br#"{"source":{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025,"security_code":"123"}}"#;

/// The same fields, borrowed and unchecked: what no parser can do without.
#[derive(Deserialize)]
struct Bare<'a> {
    #[serde(borrow)]
    source: BareSource<'a>,
}

#[derive(Deserialize)]
struct BareSource<'a> {
    r#type: &'a str,
    account_number: &'a str,
    expiry_month: u8,
    expiry_year: u16,
    security_code: &'a str,
}

fn account_number(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("account_number");
    group.bench_function("luhn", |bench| bench.iter(|| luhn::valid(black_box("4111111111111111"))));
    for (name, number) in [("parse/visa", "4111111111111111"), ("parse/discover", "6500000000000002")] {
        group.bench_function(name, |bench| {
            bench.iter(|| Pan::parse(black_box(number)).unwrap());
        });
    }
    group.bench_function("mask", |bench| {
        let pan = Pan::parse("4111111111111111").unwrap();
        bench.iter(|| black_box(&pan).mask(MaskStyle::FirstSixLastFour));
    });
    group.finish();
}

fn request(criterion: &mut Criterion) {
    let bare: Bare<'_> = serde_json::from_slice(REQUEST).unwrap();
    assert_eq!((bare.source.r#type, bare.source.account_number), ("pan", "4111111111111111"));
    assert_eq!((bare.source.expiry_month, bare.source.expiry_year), (12, 2025));
    assert_eq!(bare.source.security_code, "123");
    assert!(CreatePci::from_json(REQUEST).is_ok());

    let mut group = criterion.benchmark_group("request");
    group.bench_function("bare_serde_json", |bench| {
        bench.iter(|| serde_json::from_slice::<Bare<'_>>(black_box(REQUEST)).unwrap());
    });
    group.bench_function("create_pci_from_json", |bench| {
        bench.iter(|| CreatePci::from_json(black_box(REQUEST)).unwrap());
    });
    group.finish();
    common::print_ratio(
        "request",
        ("create_pci_from_json", || CreatePci::from_json(black_box(REQUEST)).unwrap()),
        ("bare_serde_json", || serde_json::from_slice::<Bare<'_>>(black_box(REQUEST)).unwrap()),
    );
}

criterion_group!(benches, account_number, request);
criterion_main!(benches);
