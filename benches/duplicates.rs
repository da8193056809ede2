//! What it costs to ask twice: the replay of an idempotent create beside a view, a search by account number among many, and
//! creations that look for duplicates beside those that do not.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench"
)]

mod common;
#[allow(dead_code, unreachable_pub, reason = "the bench uses some of it")]
#[path = "../tests/common/numbers.rs"]
mod numbers;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::print_ratio_on;
use criterion::{Criterion, criterion_group, criterion_main};
use numbers::with_check_digit;
use tempfile::TempDir;
use tokenvault::card::{CardExpiry, Pan};
use tokenvault::store::MemoryStore;
use tokenvault::{
    CreateGeneric, CreatePci, Duplicates, Fingerprints, KeyManager, PanSource, PciCreated, TokenId, Vault, VaultOptions,
};

/// Cards in the vault that is searched, and tokens in the one that is viewed.
const TOKENS: usize = 100_000;
/// Threads that create at once.
const THREADS: usize = 8;

/// A Visa number of 16 digits, another one for each place.
fn number(place: usize) -> Pan {
    Pan::parse(&with_check_digit(&format!("4{place:014}"))).unwrap()
}

fn card(place: usize) -> CreatePci {
    CreatePci::new(PanSource::new(number(place), CardExpiry::new(12, 2025).unwrap()))
}

fn keyed_card(place: usize) -> CreatePci {
    card(place).metadata([("order", "2026-77")]).unwrap().idempotency_key(&key(place)).unwrap()
}

fn keyed_payload(place: usize) -> CreateGeneric {
    let request = CreateGeneric::new([("iban", "DE89370400440532013000"), ("bic", "COBADEFFXXX")]).unwrap();
    request.metadata([("order", "2026-77")]).unwrap().idempotency_key(&key(place)).unwrap()
}

fn key(place: usize) -> String {
    format!("order 2026-77, attempt {place}")
}

fn id(created: PciCreated) -> TokenId {
    match created {
        PciCreated::Token(token) => token.id,
        PciCreated::Session(_) => unreachable!("a pan source makes a token"),
    }
}

fn memory(fingerprints: Fingerprints) -> Vault {
    let options = VaultOptions::new().fingerprints(fingerprints);
    options.open_with(MemoryStore::new(), KeyManager::generate().unwrap()).unwrap()
}

fn durable(fingerprints: Fingerprints) -> (TempDir, Vault) {
    let folder = tempfile::tempdir().unwrap();
    let options = VaultOptions::new().fingerprints(fingerprints);
    let vault = options.create(folder.path().join("bench.vault"), KeyManager::generate().unwrap()).unwrap();
    (folder, vault)
}

/// The last places, round and round.
fn places(count: usize) -> impl FnMut() -> usize {
    let mut places = (TOKENS - count..TOKENS).cycle();
    move || places.next().unwrap()
}

/// The same request again, beside a view of its token. In a vault of many tokens the last thousand are asked for again, as
/// they are when an answer was lost; and all of them, which no cache of the processor holds: there a replay looks for two
/// rows and a view for one.
fn replay(_: &mut Criterion) {
    let last_and_all = [("last_1000", 1_000), ("all_100000", TOKENS)];
    let (_folder, on_disk) = durable(Fingerprints::Off);
    for (store, vault) in [("memory", memory(Fingerprints::Off)), ("sled", on_disk)] {
        let cards = (0..TOKENS).map(|place| Ok(keyed_card(place)));
        let tokens: Vec<_> = vault.create_pci_many(cards).map(|created| id(created.unwrap())).collect();
        for (name, count) in last_and_all {
            let (mut asked, mut viewed) = (places(count), places(count));
            print_ratio_on(
                &format!("replay/pci/{store}/{name}"),
                ("replay", || keyed_card(asked()), |request| id(vault.create_pci(request).unwrap())),
                ("view", || tokens[viewed()], |id| vault.pci(id).unwrap().id),
            );
        }
        // They were replays.
        assert_eq!(id(vault.create_pci(keyed_card(7)).unwrap()), tokens[7]);
        assert_eq!(vault.stats().unwrap().pci_tokens, TOKENS as u64);
    }
    let (_folder, on_disk) = durable(Fingerprints::Off);
    for (store, vault) in [("memory", memory(Fingerprints::Off)), ("sled", on_disk)] {
        let payloads = (0..TOKENS).map(|place| Ok(keyed_payload(place)));
        let tokens: Vec<_> = vault.create_generic_many(payloads).map(|created| created.unwrap().id).collect();
        for (name, count) in last_and_all {
            let (mut asked, mut viewed) = (places(count), places(count));
            print_ratio_on(
                &format!("replay/generic/{store}/{name}"),
                ("replay", || keyed_payload(asked()), |request| vault.create_generic(request).unwrap().id),
                ("view", || tokens[viewed()], |id| vault.generic(id).unwrap().id),
            );
        }
        assert_eq!(vault.create_generic(keyed_payload(7)).unwrap().id, tokens[7]);
        assert_eq!(vault.stats().unwrap().generic_tokens, TOKENS as u64);
    }
}

fn find(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("find_by_account_number");
    let (_folder, on_disk) = durable(Fingerprints::On);
    for (store, vault) in [("memory", memory(Fingerprints::On)), ("sled", on_disk)] {
        let cards = (0..TOKENS).map(|place| Ok(card(place)));
        assert_eq!(vault.create_pci_many(cards).flatten().count(), TOKENS);
        let pans: Vec<_> = (0..1_000).map(|place| number(place * (TOKENS / 1_000))).collect();
        let mut turn = pans.iter().cycle();
        group.bench_function(format!("among_100000/{store}"), |bench| {
            bench.iter(|| {
                let found = vault.find_by_account_number(turn.next().unwrap()).unwrap();
                assert_eq!(found.len(), 1);
            });
        });
        let stranger = number(TOKENS);
        group.bench_function(format!("not_among_100000/{store}"), |bench| {
            bench.iter(|| vault.find_by_account_number(&stranger).unwrap());
        });
    }
    group.finish();
}

/// One side of the comparison: a vault of its own, the cards it is given, and what is wanted of duplicates.
struct Side {
    name: &'static str,
    vault: Vault,
    _folder: TempDir,
    request: fn(usize) -> CreatePci,
    next: AtomicUsize,
}

impl Side {
    fn new(name: &'static str, fingerprints: Fingerprints, request: fn(usize) -> CreatePci) -> Self {
        let (folder, vault) = durable(fingerprints);
        Self { name, vault, _folder: folder, request, next: AtomicUsize::new(0) }
    }

    /// Seconds a call that [`THREADS`] threads take for a turn.
    fn turn(&self, calls: usize) -> f64 {
        let requests = |_| {
            let place = || (self.request)(self.next.fetch_add(1, Ordering::Relaxed));
            (0..calls / THREADS).map(|_| place()).collect::<Vec<_>>()
        };
        let shares: Vec<_> = (0..THREADS).map(requests).collect();
        let start = Instant::now();
        thread::scope(|scope| {
            for share in shares {
                scope
                    .spawn(move || share.into_iter().for_each(|request| drop(self.vault.create_pci(request).unwrap())));
            }
        });
        start.elapsed().as_secs_f64() / calls as f64
    }
}

/// Durable creations at 8 threads, in turns: each side gets one, again and again.
fn duplicates(_: &mut Criterion) {
    if common::is_filtered("duplicates/sled/8_threads") {
        return;
    }
    let returning = |place| card(place).duplicates(Duplicates::ReturnExisting);
    let sides = [
        Side::new("plain create, no fingerprints", Fingerprints::Off, card),
        Side::new("plain create", Fingerprints::On, card),
        Side::new("ReturnExisting, new cards", Fingerprints::On, returning),
        Side::new("UpdateExisting, new cards", Fingerprints::On, |place| {
            card(place).duplicates(Duplicates::UpdateExisting)
        }),
        Side::new("ReturnExisting, known cards", Fingerprints::On, |place| {
            card(place % THREADS).duplicates(Duplicates::ReturnExisting)
        }),
        Side::new("UpdateExisting, known cards", Fingerprints::On, |place| {
            card(place % 1_000).duplicates(Duplicates::UpdateExisting)
        }),
    ];
    let (turns, calls) = if common::is_test() { (1, THREADS) } else { (41, 2_000) };
    let costs: Vec<Vec<f64>> = (0..turns).map(|_| sides.iter().map(|side| side.turn(calls)).collect()).collect();
    for (at, side) in sides.iter().enumerate() {
        let [low, ratio, high] = common::quantiles(costs.iter().map(|costs| costs[at] / costs[0]));
        let [_, seconds, _] = common::quantiles(costs.iter().map(|costs| costs[at]));
        println!(
            "duplicates/sled/8_threads: {} / {} = {ratio:.2} ({low:.2} to {high:.2}), {:.0} a second, {turns} turns",
            side.name,
            sides[0].name,
            1.0 / seconds
        );
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(3));
    targets = replay, find, duplicates
}
criterion_main!(benches);
