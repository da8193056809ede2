//! What a token costs beside what it cannot do without: `create_pci` into memory, and its bare parts - two seals, a UUID,
//! two nonces and one insert into a map. And the cipher that the vault seals with beside the portable one.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a bench")]

mod common;
#[cfg(feature = "ring-cipher")]
#[path = "../src/seal/native.rs"]
mod native;
#[path = "../src/seal/portable.rs"]
mod portable;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use rand::Rng;
use tokenvault::store::MemoryStore;
use tokenvault::{CreatePci, KeyManager, Vault, VaultOptions};

#[cfg(feature = "ring-cipher")]
use native::Cipher;
#[cfg(not(feature = "ring-cipher"))]
use portable::Cipher;

const REQUEST: &[u8] =
    br#"{"source":{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025}}"#;

/// Bytes of the header, the view and the secret part of the token above.
const HEADER: usize = 32;
const VIEW: usize = 23;
const SECRET: usize = 23;
const NONCE: usize = 24;
const TAG: usize = 16;

/// So few requests are made ahead that they stay in the processor's cache.
const FEW: u64 = 64;
/// At most this many tokens stand in a map.
const TOKENS: u64 = 10_000;

/// The same bytes sealed by hand with the same cipher, and kept in a map.
fn bare_token(ciphers: &[Cipher; 2], map: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
    let mut rng = rand::rng();
    let mut id = [0; 16];
    rng.fill_bytes(&mut id);
    let id = uuid::Builder::from_random_bytes(id).into_uuid();
    let associated = [7; 64];
    let mut record = Vec::with_capacity(HEADER + VIEW + SECRET + 2 * (NONCE + TAG));
    record.extend([0; HEADER]);
    for (cipher, length) in ciphers.iter().zip([VIEW, SECRET]) {
        let mut nonce = [0; NONCE];
        rng.fill_bytes(&mut nonce);
        record.extend(nonce);
        let start = record.len();
        record.resize(start + length, b'4');
        let body = record.get_mut(start..).unwrap();
        let tag = cipher.seal(&nonce, &associated, body).unwrap();
        record.extend(tag);
    }
    map.insert(id.as_bytes().to_vec(), record);
}

/// Times `call` on requests that are made beside the clock, and on a subject that is made anew whenever it holds
/// [`TOKENS`] tokens: so both sides of the ratio work on maps of the same size.
fn timed<S, Q>(rounds: u64, subject: impl Fn() -> S, request: impl Fn() -> Q, call: impl Fn(&mut S, Q)) -> Duration {
    let (mut time, mut left) = (Duration::ZERO, rounds);
    while left > 0 {
        let (mut subject, mut room) = (subject(), left.min(TOKENS));
        left -= room;
        while room > 0 {
            let requests: Vec<Q> = (0..room.min(FEW)).map(|_| request()).collect();
            room -= room.min(FEW);
            let start = Instant::now();
            for request in requests {
                call(&mut subject, request);
            }
            time += start.elapsed();
        }
    }
    time
}

fn token(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("token_in_memory");
    let ciphers = [Cipher::new(&[1; 32]), Cipher::new(&[2; 32])];
    group.bench_function("bare_parts", |bench| {
        bench.iter_custom(|rounds| timed(rounds, BTreeMap::new, || (), |map, ()| bare_token(black_box(&ciphers), map)));
    });
    group.bench_function("create_pci", |bench| {
        let request = || CreatePci::from_json(REQUEST).unwrap();
        let create = |vault: &mut Vault, request| drop(black_box(vault.create_pci(request).unwrap()));
        bench.iter_custom(|rounds| timed(rounds, vault, request, create));
    });
    group.finish();
}

/// Seal and open of the cipher that a build has beside the portable one.
fn seal(criterion: &mut Criterion) {
    let (key, nonce, associated) = ([1; 32], [3; NONCE], [7; 64]);
    let (ours, beside) = (Cipher::new(&key), portable::Cipher::new(&key));
    let mut group = criterion.benchmark_group("seal");
    for length in [VIEW, 100, 200, 500, 4000] {
        let plain = vec![b'4'; length];
        let (mut body, mut body_beside) = (plain.clone(), plain.clone());
        let tag = ours.seal(&nonce, &associated, &mut body).unwrap();
        assert_eq!(tag, beside.seal(&nonce, &associated, &mut body_beside).unwrap());
        assert_eq!(body, body_beside);
        let sealed = body.clone();
        ours.open(&nonce, &associated, &mut body, &tag).unwrap();
        beside.open(&nonce, &associated, &mut body_beside, &tag).unwrap();
        assert_eq!((&body, &body_beside), (&plain, &plain));

        group.bench_function(format!("{length}_bytes"), |bench| {
            bench.iter(|| ours.seal(&nonce, &associated, black_box(&mut body)).unwrap());
        });
        common::print_ratio(
            &format!("seal/{length}_bytes"),
            ("ours", || ours.seal(&nonce, &associated, black_box(&mut body)).unwrap()),
            ("portable", || beside.seal(&nonce, &associated, black_box(&mut body_beside)).unwrap()),
        );
        let open = |cipher: &mut dyn FnMut(&mut [u8]) -> Option<()>, body: &mut [u8]| {
            body.copy_from_slice(&sealed);
            cipher(black_box(body)).unwrap();
        };
        common::print_ratio(
            &format!("open/{length}_bytes"),
            ("ours", || open(&mut |body| ours.open(&nonce, &associated, body, &tag), &mut body)),
            ("portable", || open(&mut |body| beside.open(&nonce, &associated, body, &tag), &mut body_beside)),
        );
    }
    group.finish();
}

fn vault() -> Vault {
    VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate().unwrap()).unwrap()
}

criterion_group!(benches, token, seal);
criterion_main!(benches);
