//! How close a durable `create_pci` comes to the bare limit of the disk: one write of 500 bytes a token into a file that is
//! there already, and one sync, shared by all who wait. Both in turns, and what stands in the way of the next turn in none.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a bench")]

mod common;

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokenvault::card::{CardExpiry, Pan};
use tokenvault::store::Durability;
use tokenvault::{CreatePci, KeyManager, PanSource, Vault, VaultOptions};

use common::{is_filtered, is_test, quantiles};

/// How many turns each side gets, and how long one is.
const TURNS: usize = 21;
const TURN: Duration = Duration::from_millis(400);

/// Bytes of a token.
const TOKEN: usize = 500;
const FILE: u64 = 64 << 20;

/// Names the vault of a child that is to be killed.
const KILLED: &str = "TOKENVAULT_BENCH_KILLED_VAULT";

fn main() {
    if let Some(path) = std::env::var_os(KILLED) {
        return work(Path::new(&path));
    }
    let names = [1, 8, 64].map(|threads| (threads, format!("durable/create_pci/{threads}_threads")));
    for (threads, name) in names.iter().filter(|(_, name)| !is_filtered(name)) {
        let (_folder, vault) = vault(Durability::Power);
        let folder = tempfile::tempdir().unwrap();
        let limit = Limit::new(&folder.path().join("limit"));
        print_ratio(name, *threads, || create(&vault), || limit.write());
    }
    let name = "durable/create_pci/process/1_threads";
    if !is_filtered(name) {
        let (_folder, process) = vault(Durability::Process);
        let (_other_folder, power) = vault(Durability::Power);
        print_ratio(name, 1, || create(&process), || create(&power));
    }
    if !is_filtered("durable/sustained") {
        sustained();
    }
    if !is_filtered("durable/open") {
        recovery();
    }
}

fn vault(durability: Durability) -> (TempDir, Vault) {
    let folder = tempfile::tempdir().unwrap();
    let options = VaultOptions::new().durability(durability);
    let vault = options.create(folder.path().join("bench.vault"), KeyManager::generate().unwrap()).unwrap();
    (folder, vault)
}

fn create(vault: &Vault) {
    let card = PanSource::new(Pan::parse("4111111111111111").unwrap(), CardExpiry::new(12, 2025).unwrap());
    drop(vault.create_pci(CreatePci::new(card)).unwrap());
}

/// Prints calls a second of both, and the median ratio with what nine of ten pairs of turns lie between.
fn print_ratio(name: &str, threads: usize, ours: impl Fn() + Sync, beside: impl Fn() + Sync) {
    let (turns, turn) = if is_test() { (1, Duration::from_millis(5)) } else { (TURNS, TURN) };
    let pairs: Vec<_> =
        (0..turns).map(|_| (a_second(threads, turn, &ours), a_second(threads, turn, &beside))).collect();
    let [low, median, high] = quantiles(pairs.iter().map(|(ours, beside)| ours / beside));
    let [_, ours, _] = quantiles(pairs.iter().map(|pair| pair.0));
    let [_, beside, _] = quantiles(pairs.iter().map(|pair| pair.1));
    println!("{name}: {ours:.0} / {beside:.0} a second = {median:.2} ({low:.2} to {high:.2}), {turns} turns");
}

/// How many calls a second threads make together.
fn a_second(threads: usize, turn: Duration, call: &(impl Fn() + Sync)) -> f64 {
    let start = Instant::now();
    let made: u32 = thread::scope(|scope| {
        let work = || {
            let mut made = 0_u32;
            while start.elapsed() < turn {
                call();
                made += 1;
            }
            made
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    f64::from(made) / start.elapsed().as_secs_f64()
}

/// Creates at 64 threads for 20 seconds: what counts is how fast the rows come into the engine.
fn sustained() {
    let (_folder, vault) = vault(Durability::Power);
    let seconds = if is_test() { 1 } else { 20 };
    let turn = Duration::from_millis(if is_test() { 5 } else { 1000 });
    let rates = (0..seconds).map(|_| a_second(64, turn, &|| create(&vault)));
    let rates: Vec<_> = rates.map(|rate| format!("{:.0}", rate / 1000.0)).collect();
    println!("durable/sustained/64_threads: {} thousand a second, second by second", rates.join(" "));
}

/// How long an open takes after `kill -9` at full speed.
fn recovery() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("killed.vault");
    for _ in 0..if is_test() { 1 } else { 5 } {
        let mut child = Command::new(std::env::current_exe().unwrap());
        let mut child = child.env(KILLED, &path).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(if is_test() { 500 } else { 4000 }));
        child.kill().unwrap();
        child.wait().unwrap();
        let start = Instant::now();
        let vault = Vault::open(&path, key()).unwrap();
        let opened = start.elapsed();
        let stats = vault.stats().unwrap();
        vault.close().unwrap();
        let start = Instant::now();
        Vault::open(&path, key()).unwrap().close().unwrap();
        let again = start.elapsed();
        let tokens = stats.pci_tokens;
        println!(
            "durable/open: {opened:.2?} with {tokens} tokens after a kill; {again:.2?} after a close, with the next one"
        );
    }
}

fn key() -> KeyManager {
    KeyManager::from_key(&mut [7; 32])
}

/// Creates until it is killed.
fn work(path: &Path) {
    let vault = Vault::open_or_create(path, key()).unwrap();
    loop {
        a_second(64, TURN, &|| create(&vault));
    }
}

/// The bare limit: whoever comes first writes for all who wait.
struct Limit {
    file: Mutex<File>,
    queue: Mutex<Queue>,
    written: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: usize,
    /// The group that is waiting, and the last that is written.
    next: u64,
    done: u64,
    is_led: bool,
}

impl Limit {
    fn new(path: &Path) -> Self {
        let mut file = File::create(path).unwrap();
        file.write_all(&vec![0; usize::try_from(FILE).unwrap()]).unwrap();
        file.sync_all().unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let queue = Queue { next: 1, ..Queue::default() };
        Self { file: Mutex::new(file), queue: Mutex::new(queue), written: Condvar::new() }
    }

    fn write(&self) {
        let mut queue = self.queue.lock().unwrap();
        queue.waiting += 1;
        let group = queue.next;
        while queue.is_led && queue.done < group {
            queue = self.written.wait(queue).unwrap();
        }
        if queue.done >= group {
            return;
        }
        queue.is_led = true;
        queue.next += 1;
        let bytes = std::mem::take(&mut queue.waiting) * TOKEN;
        drop(queue);
        let mut file = self.file.lock().unwrap();
        if file.stream_position().unwrap() + u64::try_from(bytes).unwrap() > FILE {
            file.seek(SeekFrom::Start(0)).unwrap();
        }
        file.write_all(&vec![7; bytes]).unwrap();
        file.sync_data().unwrap();
        drop(file);
        let mut queue = self.queue.lock().unwrap();
        (queue.is_led, queue.done) = (false, group);
        drop(queue);
        self.written.notify_all();
    }
}
