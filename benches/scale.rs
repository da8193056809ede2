//! What growth costs: the same calls in a small vault and in large ones, side by side; how long a large one takes to open; how
//! much memory it takes while it is written at full rate, while 8 threads read what is not in memory, and for a walk over all
//! of it; how fast it is swept; and what compacting gives back.
//!
//! `cargo bench --bench scale -- [TOKENS ...] [growth] [sweep] [compact]`, for instance `-- 1000000 10000000`: so many tokens, or so many that
//! have expired among twice as many; with `--test`, a few tokens only.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench"
)]

#[path = "../tests/common/clock.rs"]
#[allow(dead_code, unreachable_pub, reason = "the bench uses some of it")]
mod clock;
mod common;

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use clock::HandClock;
use tokenvault::card::{CardExpiry, Pan};
use tokenvault::{CreatePci, KeyManager, Page, PanSource, PciCreated, TokenId, Vault, VaultOptions};

const BEGIN: &str = "2026-01-02T03:04:05.678Z";
/// Memory for pages, in every vault here.
const CACHE: u64 = 256 << 20;
/// What a vault may take beside 1.3 times its cache.
const BESIDE: f64 = 64.0;
const MIB: f64 = (1 << 20) as f64;
/// Tokens in the small vault.
const SMALL: usize = 10_000;
/// Tokens that are asked for again and again: with 20 records a page of the list they touch 20 times as many, each in a page of the
/// engine's that counts for 8 KiB: 80 MiB, half of what the engine has of the cache.
const WORKING_SET: usize = 500;
/// Tokens that are read from all over a vault, to see what memory that takes.
const READ: usize = 100_000;
/// Tokens that expire in every vault, for the sweep.
const EXPIRING: usize = 10_000;
const THREADS: usize = 8;
/// How often a vault is swept, and the bare loop run, where that takes no minutes.
const SWEEPS: usize = 3;
/// Bytes of a record like these.
const RECORD: usize = 179;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [task, path, tokens] = arguments.as_slice()
        && let (path, Ok(tokens)) = (Path::new(path), tokens.parse())
    {
        match task.as_str() {
            "fill" => return fill(path, tokens),
            "bare" => return println!("{}", bare_loop(path, tokens)),
            "half" => return half(path, tokens),
            _ => {}
        }
    }
    let mut sizes: Vec<usize> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let (small, compacted) = if common::is_test() { (100, 200) } else { (SMALL, 2_000_000) };
    if sizes.is_empty() {
        sizes = vec![if common::is_test() { 400 } else { 1_000_000 }];
    }
    let folder = tempfile::tempdir().unwrap();
    if !common::is_filtered("growth") {
        growth(folder.path(), small, &sizes);
    }
    if !common::is_filtered("sweep") {
        for tokens in sizes {
            sweep_of_half(folder.path(), 2 * tokens);
        }
    }
    if !common::is_filtered("compact") {
        compact(folder.path(), compacted);
    }
}

fn request(place: usize) -> CreatePci {
    let pan = Pan::parse(["4111111111111111", "5555555555554444"][place % 2]).unwrap();
    CreatePci::new(PanSource::new(pan, CardExpiry::new(12, 2030).unwrap())).metadata([("order", "2026-77")]).unwrap()
}

fn expiring(place: usize) -> CreatePci {
    request(place).expires_in(60).unwrap()
}

fn id(created: PciCreated) -> TokenId {
    match created {
        PciCreated::Token(token) => token.id,
        PciCreated::Session(_) => unreachable!("a pan source makes a token"),
    }
}

fn keys() -> KeyManager {
    KeyManager::from_key(&mut [7; 32])
}

fn options(clock: &HandClock) -> VaultOptions {
    VaultOptions::new().cache_bytes(CACHE).clock(clock.clone())
}

fn open(path: &Path) -> (Vault, HandClock) {
    let clock = HandClock::at(BEGIN);
    (options(&clock).open(path, keys()).unwrap(), clock)
}

/// What a vault of this process holds in memory now and held at most, in MiB.
fn resident() -> [f64; 2] {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kibibytes = |name: &str| -> Option<f64> {
        status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
    };
    ["VmRSS:", "VmHWM:"].map(|name| kibibytes(name).unwrap_or(f64::NAN) / 1024.0)
}

/// Makes a vault in a process of its own, so that its memory is only its own: 8 threads write it at full rate.
fn fill(path: &Path, tokens: usize) {
    let vault = options(&HandClock::at(BEGIN)).create(path, keys()).unwrap();
    let [empty, _] = resident();
    let (start, next) = (Instant::now(), AtomicUsize::new(0));
    let ids = thread::scope(|scope| {
        let share = || {
            let places = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < tokens));
            let requests =
                places.map(|place| Ok(if place < EXPIRING.min(tokens / 4) { expiring(place) } else { request(place) }));
            let made = vault.create_pci_many(requests).map(|created| id(created.unwrap()));
            // Spread over the whole vault: ids are random.
            made.enumerate().filter(|(at, _)| at % (tokens / READ + 1) == 0).map(|(_, id)| id).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(share)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let seconds = start.elapsed().as_secs_f64();
    let [now, most] = resident();
    let limit = 1.3 * CACHE as f64 / MIB + BESIDE;
    println!(
        "fill/{tokens}: {:.0} tokens a second, {most:.0} MiB at most ({now:.0} at the end, {empty:.0} when empty); limit {limit:.0} MiB",
        tokens as f64 / seconds
    );
    let told =
        |phase: &str| println!("{phase}/{tokens}: {:.0} MiB at most so far; limit {limit:.0} MiB", resident()[1]);
    let reading = |ids: &[TokenId]| ids.iter().for_each(|id| assert_eq!(vault.pci(*id).unwrap().id, *id));
    thread::scope(|scope| {
        for share in ids.chunks(ids.len().div_ceil(THREADS)) {
            scope.spawn(move || reading(share));
        }
    });
    told("read");
    assert_eq!(vault.stats().unwrap().pci_tokens, tokens as u64);
    told("stats");
    let closing = Instant::now();
    vault.close().unwrap();
    println!("close/{tokens}: {:.2} s", closing.elapsed().as_secs_f64());
    let working_set = ids.iter().step_by(ids.len().div_ceil(WORKING_SET));
    let ids: Vec<String> = working_set.map(ToString::to_string).collect();
    fs::write(path.with_extension("ids"), ids.join("\n")).unwrap();
}

/// A vault that another process has filled.
struct Grown {
    tokens: usize,
    vault: Vault,
    clock: HandClock,
    ids: Vec<TokenId>,
}

impl Grown {
    fn new(folder: &Path, tokens: usize) -> Self {
        let path = folder.join(format!("{tokens}.vault"));
        let filled = Command::new(env::current_exe().unwrap()).arg("fill").arg(&path).arg(tokens.to_string()).status();
        assert!(filled.unwrap().success(), "the vault could not be filled");
        let start = Instant::now();
        let (vault, clock) = open(&path);
        println!("open/{tokens}: {:.2} s, {:.0} MiB on disk", start.elapsed().as_secs_f64(), on_disk(&path) / MIB);
        let ids = fs::read_to_string(path.with_extension("ids")).unwrap();
        let ids: Vec<TokenId> = ids.lines().map(|id| id.parse().unwrap()).collect();
        // The working set goes into the cache.
        for id in &ids {
            assert!(vault.list_pci(Page::first(20).after(*id)).unwrap().data.len() <= 20);
            assert_eq!(vault.pci(*id).unwrap().id, *id);
        }
        Self { tokens, vault, clock, ids }
    }

    fn turns(&self) -> impl FnMut() -> TokenId + '_ {
        let mut turn = self.ids.iter().cycle();
        move || *turn.next().unwrap()
    }
}

fn on_disk(path: &Path) -> f64 {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    entries
        .map(
            |entry| if entry.path().is_dir() { on_disk(&entry.path()) } else { entry.metadata().unwrap().len() as f64 },
        )
        .sum()
}

fn growth(folder: &Path, small: usize, sizes: &[usize]) {
    let small = Grown::new(folder, small);
    for tokens in sizes {
        let large = Grown::new(folder, *tokens);
        let both = |call: &str| format!("growth/{call}/{tokens}");
        let (name, beside) = (large.tokens.to_string(), small.tokens.to_string());
        common::print_ratio_on(
            &both("reveal"),
            (&name, large.turns(), |id| large.vault.reveal_pci(id, |card| card.account_number().len()).unwrap()),
            (&beside, small.turns(), |id| small.vault.reveal_pci(id, |card| card.account_number().len()).unwrap()),
        );
        common::print_ratio_on(
            &both("view"),
            (&name, large.turns(), |id| large.vault.pci(id).unwrap()),
            (&beside, small.turns(), |id| small.vault.pci(id).unwrap()),
        );
        common::print_ratio_on(
            &both("list"),
            (&name, large.turns(), |id| large.vault.list_pci(Page::first(20).after(id)).unwrap()),
            (&beside, small.turns(), |id| small.vault.list_pci(Page::first(20).after(id)).unwrap()),
        );
        // Behind the reads: the engine takes in what is created while others go on.
        let place = AtomicUsize::new(0);
        let next = || request(place.fetch_add(1, Ordering::Relaxed));
        common::print_ratio_on(
            &both("create"),
            (&name, next, |request| id(large.vault.create_pci(request).unwrap())),
            (&beside, next, |request| id(small.vault.create_pci(request).unwrap())),
        );
        let swept = |grown: &Grown| {
            grown.clock.advance_millis(60_000);
            let start = Instant::now();
            let removed = grown.vault.sweep().unwrap().expired_pci;
            removed as f64 / start.elapsed().as_secs_f64()
        };
        let rate = swept(&large);
        println!("growth/sweep/{tokens}: {rate:.0} tokens a second");
        println!("memory/{tokens}: {:.0} MiB in this process now, with both vaults open", resident()[0]);
    }
    small.clock.advance_millis(60_000);
    let start = Instant::now();
    let removed = small.vault.sweep().unwrap().expired_pci;
    println!("growth/sweep/{}: {:.0} tokens a second", small.tokens, removed as f64 / start.elapsed().as_secs_f64());
}

/// A vault half of whose tokens have expired is swept, beside a bare loop over sled that reads and removes as many rows: in turns,
/// each in a process of its own, so that its memory is only its own.
fn sweep_of_half(folder: &Path, tokens: usize) {
    let task = |task: &str, round: usize| -> f64 {
        let path = folder.join(format!("{task}.{round}"));
        let done = Command::new(env::current_exe().unwrap()).arg(task).arg(&path).arg(tokens.to_string()).output();
        fs::remove_dir_all(path).unwrap();
        let done = done.unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let said = String::from_utf8(done.stdout).unwrap();
        let (lines, rate) = said.trim_end().rsplit_once('\n').unwrap_or(("", &said));
        print!("{lines}{}", if lines.is_empty() { "" } else { "\n" });
        rate.trim().parse().unwrap()
    };
    let rounds = if tokens > 400_000 || common::is_test() { 1 } else { SWEEPS };
    let pairs: Vec<[f64; 2]> = (0..rounds).map(|round| ["bare", "half"].map(|name| task(name, round))).collect();
    let median = |values: &dyn Fn(&[f64; 2]) -> f64| common::quantiles(pairs.iter().map(values))[1];
    println!(
        "sweep/{tokens}: {:.0} a second beside {:.0} of the bare loop = {:.2}, {rounds} rounds",
        median(&|pair| pair[1]),
        median(&|pair| pair[0]),
        median(&|pair| pair[1] / pair[0])
    );
}

/// Sweeps a vault half of whose tokens have expired; then another quarter while 8 threads create, beside their rate when nothing
/// is swept. Prints the rate of the first last.
fn half(path: &Path, tokens: usize) {
    let clock = HandClock::at(BEGIN);
    let vault = options(&clock).create(path, keys()).unwrap();
    let requests = (0..tokens).map(|place| Ok(if place % 2 == 0 { expiring(place) } else { request(place) }));
    assert_eq!(vault.create_pci_many(requests).map(Result::unwrap).count(), tokens);
    // As beside: everything is in sled, and in its cache as far as it fits.
    assert_eq!(vault.stats().unwrap().pci_tokens, tokens as u64);
    let [before, _] = resident();
    clock.advance_millis(60_000);
    let (start, mut most) = (Instant::now(), 0.0_f64);
    let removed = vault.sweep_with(|_| most = most.max(resident()[0])).unwrap().expired_pci;
    let swept = start.elapsed().as_secs_f64();
    vault.close().unwrap();
    let rate = removed as f64 / swept;
    println!(
        "sweep/alone/{tokens}: {removed} at {rate:.0} a second, {:.0} with the close behind; {most:.0} MiB at most, {before:.0} before",
        removed as f64 / start.elapsed().as_secs_f64()
    );

    let vault = options(&clock).open(path, keys()).unwrap();
    assert_eq!(vault.create_pci_many((0..tokens / 4).map(|place| Ok(expiring(place)))).flatten().count(), tokens / 4);
    let alone = creating(&vault, || thread::sleep(Duration::from_secs(u64::from(!common::is_test()) * 3)));
    clock.advance_millis(60_000);
    let mut swept = 0.0;
    let meanwhile = creating(&vault, || {
        let start = Instant::now();
        swept = vault.sweep().unwrap().expired_pci as f64 / start.elapsed().as_secs_f64();
    });
    println!(
        "sweep/creating_meanwhile/{tokens}: {swept:.0} a second beside {meanwhile:.0} creations a second at {THREADS} threads, {:.2} of {alone:.0} without a sweep; {:.0} MiB at most",
        meanwhile / alone,
        resident()[1]
    );
    println!("{rate}");
}

/// A vault of which nine tokens in ten are swept is compacted, beside one that never had more than what is left; and again
/// while 8 threads create.
fn compact(folder: &Path, tokens: usize) {
    let (clock, thin, fresh) = (HandClock::at(BEGIN), folder.join("thin.vault"), folder.join("fresh.vault"));
    let vault = options(&clock).create(&thin, keys()).unwrap();
    let requests = (0..tokens).map(|place| Ok(if place % 10 == 0 { request(place) } else { expiring(place) }));
    assert_eq!(vault.create_pci_many(requests).flatten().count(), tokens);
    clock.advance_millis(60_000);
    vault.sweep().unwrap();
    let start = Instant::now();
    let report = vault.compact().unwrap();
    println!("compact/{tokens}: {report:?}, {:.2} s", start.elapsed().as_secs_f64());
    vault.close().unwrap();
    let vault = options(&clock).create(&fresh, keys()).unwrap();
    assert_eq!(
        vault.create_pci_many((0..tokens).step_by(10).map(|place| Ok(request(place)))).flatten().count(),
        tokens / 10
    );
    vault.close().unwrap();
    let [after, never] = [&thin, &fresh].map(|path| on_disk(path) / MIB);
    println!(
        "compact/{tokens}: {:.0} MiB before, {after:.0} MiB after, {:.2} of {never:.0} MiB of a vault that never had more",
        report.bytes_before as f64 / MIB,
        after / never
    );

    let (vault, _) = open(&thin);
    let alone = creating(&vault, || thread::sleep(Duration::from_secs(u64::from(!common::is_test()) * 3)));
    let mut seconds = 0.0;
    let meanwhile = creating(&vault, || {
        let start = Instant::now();
        vault.compact().unwrap();
        seconds = start.elapsed().as_secs_f64();
    });
    println!(
        "compact/creating_meanwhile/{tokens}: {seconds:.2} s beside {meanwhile:.0} creations a second at {THREADS} threads, {:.2} of {alone:.0} without it",
        meanwhile / alone
    );
}

/// How many creations a second 8 threads reach while something else goes on.
fn creating(vault: &Vault, meanwhile: impl FnOnce()) -> f64 {
    let (start, made, over) = (Instant::now(), AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let place = made.fetch_add(1, Ordering::Relaxed);
                    drop(vault.create_pci(request(place)).unwrap());
                }
            });
        }
        meanwhile();
        over.store(true, Ordering::Relaxed);
    });
    made.into_inner() as f64 / start.elapsed().as_secs_f64()
}

/// Rows as those of a vault's tokens in a sled of their own: half of them are read and removed in the order of their expiry.
fn bare_loop(path: &Path, tokens: usize) -> f64 {
    let tree = sled::Config::new().path(path).cache_capacity(CACHE).open().unwrap();
    let row = |place: usize, id: &[u8; 16]| [&[9][..], &(place as u64).to_be_bytes(), &[2], id].concat();
    for place in 0..tokens {
        let id: [u8; 16] = rand::random();
        tree.insert([&[2][..], &id].concat(), vec![7; RECORD]).unwrap();
        if place % 2 == 0 {
            tree.insert(row(place, &id), &[]).unwrap();
        }
    }
    tree.flush().unwrap();
    let [before, _] = resident();
    let (start, mut removed) = (Instant::now(), 0);
    loop {
        let rows: Vec<_> = tree.range([9].as_slice()..[10].as_slice()).take(512).map(|row| row.unwrap().0).collect();
        if rows.is_empty() {
            break;
        }
        for row in rows {
            let key = [&[2][..], &row[row.len() - 16..]].concat();
            std::hint::black_box(tree.get(&key).unwrap().unwrap());
            tree.remove(key).unwrap();
            tree.remove(row).unwrap();
            removed += 1;
        }
    }
    tree.flush().unwrap();
    assert_eq!(removed, tokens.div_ceil(2));
    let rate = removed as f64 / start.elapsed().as_secs_f64();
    println!("sweep/bare_loop/{tokens}: {rate:.0} a second; {:.0} MiB at most, {before:.0} before", resident()[1]);
    rate
}
