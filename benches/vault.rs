//! What a vault does in a second: create and reveal of both kinds, in memory and durably in sled, at 1, 8 and 64 threads.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

#[path = "../src/seal/native.rs"]
#[cfg(feature = "ring-cipher")]
mod native;
#[path = "../src/seal/portable.rs"]
#[cfg(not(feature = "ring-cipher"))]
mod portable;

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;
use tokenvault::card::{CardExpiry, Pan};
use tokenvault::store::MemoryStore;
use tokenvault::{CreateGeneric, CreatePci, KeyManager, PanSource, PciCreated, TokenId, Vault, VaultOptions};

#[cfg(feature = "ring-cipher")]
use native::Cipher;
#[cfg(not(feature = "ring-cipher"))]
use portable::Cipher;

/// Tokens in the vault that is revealed from.
const TOKENS: usize = 100_000;
/// Bytes of a PCI record without name and metadata, and where its secret part stands.
const RECORD: usize = 158;
const SECRET_PART: usize = RECORD - (NONCE + 23 + TAG);
const NONCE: usize = 24;
const TAG: usize = 16;

fn pci() -> CreatePci {
    let pan = Pan::parse("4111111111111111").unwrap();
    CreatePci::new(PanSource::new(pan, CardExpiry::new(12, 2025).unwrap()))
}

fn generic() -> CreateGeneric {
    CreateGeneric::new([("iban", "DE89370400440532013000"), ("bic", "COBADEFFXXX")]).unwrap()
}

fn id(created: PciCreated) -> TokenId {
    match created {
        PciCreated::Token(token) => token.id,
        PciCreated::Session(_) => unreachable!("a pan source makes a token"),
    }
}

fn memory() -> Vault {
    VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate().unwrap()).unwrap()
}

fn durable() -> (TempDir, Vault) {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::create(folder.path().join("bench.vault"), KeyManager::generate().unwrap()).unwrap();
    (folder, vault)
}

/// The time that `threads` threads take for `rounds` calls between them.
fn together(threads: u64, rounds: u64, call: impl Fn() + Sync) -> Duration {
    let start = Instant::now();
    thread::scope(|scope| {
        for thread in 0..threads {
            let share = rounds / threads + u64::from(thread < rounds % threads);
            let call = &call;
            scope.spawn(move || (0..share).for_each(|_| call()));
        }
    });
    start.elapsed()
}

fn create(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("create");
    group.throughput(Throughput::Elements(1));
    let vault = memory();
    group.bench_function("pci/memory", |bench| {
        bench.iter_batched(pci, |request| vault.create_pci(request).unwrap(), BatchSize::SmallInput);
    });
    group.bench_function("generic/memory", |bench| {
        bench.iter_batched(generic, |request| vault.create_generic(request).unwrap(), BatchSize::SmallInput);
    });
    group.sample_size(10).measurement_time(Duration::from_secs(8));
    for threads in [1, 8, 64] {
        let (_folder, vault) = durable();
        group.bench_function(format!("pci/sled/{threads}_threads"), |bench| {
            bench.iter_custom(|rounds| together(threads, rounds, || drop(vault.create_pci(pci()).unwrap())));
        });
        group.bench_function(format!("generic/sled/{threads}_threads"), |bench| {
            bench.iter_custom(|rounds| together(threads, rounds, || drop(vault.create_generic(generic()).unwrap())));
        });
    }
    group.finish();
}

fn reveal(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reveal");
    group.throughput(Throughput::Elements(1));
    let (_folder, on_disk) = durable();
    for (store, vault) in [("memory", memory()), ("sled", on_disk)] {
        let requests = || (0..TOKENS).map(|_| Ok(pci()));
        let cards: Vec<_> = vault.create_pci_many(requests()).map(|created| id(created.unwrap())).collect();
        let token = vault.create_generic(generic()).unwrap().id;
        let mut turn = cards.iter().cycle();
        group.bench_function(format!("pci/{store}"), |bench| {
            bench.iter(|| {
                vault.reveal_pci(*turn.next().unwrap(), |card| black_box(card.account_number().len())).unwrap()
            });
        });
        group.bench_function(format!("generic/{store}"), |bench| {
            bench.iter(|| vault.generic_payload(token, |payload| black_box(payload.len())).unwrap());
        });
    }
    bare_reveal(&mut group);
    group.finish();
}

/// The same by hand: as many records of the same size in sled, one get and one open.
fn bare_reveal(group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>) {
    let folder = tempfile::tempdir().unwrap();
    let tree = sled::Config::new().path(folder.path()).cache_capacity(64 << 20).open().unwrap();
    let cipher = Cipher::new(&[1; 32]);
    let associated = [7; 64];
    let mut record = vec![b'4'; RECORD];
    let (nonce, rest) = record.get_mut(SECRET_PART..).unwrap().split_first_chunk_mut::<NONCE>().unwrap();
    let (body, tag) = rest.split_last_chunk_mut::<TAG>().unwrap();
    *tag = cipher.seal(nonce, &associated, body).unwrap();
    let ids: Vec<[u8; 17]> = (0..TOKENS).map(|_| rand::random()).collect();
    for id in &ids {
        tree.insert(id, record.clone()).unwrap();
    }
    tree.flush().unwrap();
    let mut turn = ids.iter().cycle();
    group.bench_function("pci/bare_sled_get_and_open", |bench| {
        bench.iter(|| {
            let mut record = tree.get(turn.next().unwrap()).unwrap().unwrap().to_vec();
            let (nonce, rest) = record.get_mut(SECRET_PART..).unwrap().split_first_chunk_mut::<NONCE>().unwrap();
            let (body, tag) = rest.split_last_chunk_mut::<TAG>().unwrap();
            cipher.open(nonce, &associated, body, tag).unwrap();
            black_box(record)
        });
    });
}

criterion_group!(benches, create, reveal);
criterion_main!(benches);
