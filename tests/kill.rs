//! Promise: what was acknowledged is there after `kill -9`, and right; what was acknowledged as deleted is not.
//!
//! A child process creates and deletes tokens from several threads and tells each as it is acknowledged. The parent
//! kills it at a moment that nobody chose, opens the vault and asks for everything it was told.
#![cfg(all(unix, feature = "sled"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use common::numbers::with_check_digit;
use common::{keys, token};
use tokenvault::card::{CardExpiry, Pan};
use tokenvault::store::Durability;
use tokenvault::{CreateGeneric, CreatePci, ErrorKind, PanSource, TokenId, Vault, VaultOptions};

const FOLDER: &str = "TOKENVAULT_TEST_KILLED_VAULT";
const WAY: &str = "TOKENVAULT_TEST_WAY";
const ROUNDS: usize = 12;
const THREADS: u64 = 6;
/// A child is killed before this many milliseconds have passed since it told its first token.
const LONGEST_LIFE: u64 = 400;

/// An account number of a serial number. Some that begin with 4 are of a scheme that is not supported; with 41 none is.
fn account_number(serial: u64) -> String {
    with_check_digit(&format!("41{serial:013}"))
}

/// A number that nobody chose.
fn chance() -> u64 {
    RandomState::new().hash_one(0)
}

#[test]
#[ignore = "only as the child of the test below: it never ends"]
fn the_child_works_until_it_is_killed() {
    let way = std::env::var(WAY).unwrap();
    let durability = if way == "process" { Durability::Process } else { Durability::Power };
    let options = VaultOptions::new().durability(durability);
    let vault = options.open(std::env::var_os(FOLDER).unwrap(), keys()).unwrap();
    thread::scope(|scope| {
        for number in 0..THREADS {
            let vault = &vault;
            scope.spawn(move || work(vault, number));
        }
        if way == "compacting" {
            loop {
                vault.compact().unwrap();
            }
        }
    });
}

/// Tells `made` with kind, id and serial number, `going` before a token is deleted and `gone` when it is.
fn work(vault: &Vault, thread: u64) {
    let first = chance() % 1_000_000_000 * 10_000;
    for serial in (first..).step_by(THREADS.try_into().unwrap()).map(|serial| serial + thread) {
        let number = account_number(serial);
        if serial % 2 == 0 {
            let card = PanSource::new(Pan::parse(&number).unwrap(), CardExpiry::new(12, 2031).unwrap());
            let id = token(vault.create_pci(CreatePci::new(card)).unwrap()).id;
            tell(&format!("made pci {id} {serial}"));
            if serial % 5 == 0 {
                tell(&format!("going pci {id} {serial}"));
                vault.delete_pci(id).unwrap();
                tell(&format!("gone pci {id} {serial}"));
            }
        } else {
            let request = CreateGeneric::new([("number", &number)]).unwrap().expires_in(3600).unwrap();
            let id = vault.create_generic(request).unwrap().id;
            tell(&format!("made generic {id} {serial}"));
        }
    }
}

/// A line in one write, so that it is told whole or not at all.
fn tell(line: &str) {
    use std::io::Write;
    use std::sync::Mutex;

    static OUT: Mutex<()> = Mutex::new(());
    let turn = OUT.lock().unwrap();
    // Not through `stdout()`, whose buffer would hold the line back.
    let mut out = std::fs::OpenOptions::new().write(true).open("/dev/stdout").unwrap();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    drop(turn);
}

/// What was told of each token last.
type Told = HashMap<TokenId, (String, bool, u64)>;

/// Starts a child, kills it, and adds what it told.
fn kill_one(folder: &Path, way: &str, told: &mut Told) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_child_works_until_it_is_killed", "--include-ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(WAY, way)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).split(b'\n').map(Result::unwrap);
    let first = lines.find(|line| line.starts_with(b"made ")).unwrap();
    let listener = thread::spawn(move || {
        let rest: Vec<Vec<u8>> = lines.collect();
        rest
    });
    thread::sleep(Duration::from_millis(chance() % LONGEST_LIFE));
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9), "the child ended before it was killed");
    for line in [first].into_iter().chain(listener.join().unwrap()) {
        let line = String::from_utf8(line).unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        if let [what @ ("made" | "going" | "gone"), kind, id, serial] = words[..] {
            told.insert(id.parse().unwrap(), (what.to_owned(), kind == "pci", serial.parse().unwrap()));
        }
    }
}

/// Everything that was told holds.
fn check(vault: &Vault, told: &Told) {
    for (id, (what, is_pci, serial)) in told {
        let number = account_number(*serial);
        let right = if *is_pci {
            vault.reveal_pci(*id, |card| card.account_number() == number && card.expiry().year() == 2031)
        } else {
            vault.generic_payload(*id, |payload| payload.get("number").unwrap().as_str() == Some(&number))
        };
        match (what.as_str(), right) {
            ("made" | "going", Ok(right)) => assert!(right, "{id} gives another number than it was made of"),
            ("going" | "gone", Err(error)) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
            (what, right) => panic!("{id} was told to be {what}: {right:?}"),
        }
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    what_was_acknowledged_survives("power");
}

/// Without a sync behind it: the system has it.
#[test]
fn what_survives_only_the_process_survives_a_kill() {
    what_was_acknowledged_survives("process");
}

/// While the store is written anew, again and again.
#[test]
fn what_was_acknowledged_survives_a_kill_of_who_compacts() {
    what_was_acknowledged_survives("compacting");
}

fn what_was_acknowledged_survives(way: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault");
    Vault::create(&path, keys()).unwrap().close().unwrap();
    let (mut told, mut kinds) = (Told::new(), [0, 0]);
    for _ in 0..ROUNDS {
        let mut round = Told::new();
        kill_one(&path, way, &mut round);
        let vault = Vault::open(&path, keys()).unwrap();
        check(&vault, &round);
        vault.close().unwrap();
        kinds[usize::from(round.len() > 1)] += 1;
        told.extend(round);
    }
    assert!(told.len() > 100 && kinds[1] > ROUNDS / 2, "the children were killed before they could work");
    let vault = Vault::open(&path, keys()).unwrap();
    check(&vault, &told);
    let stats = vault.stats().unwrap();
    let kept = told.values().filter(|(what, ..)| what == "made").count();
    assert!(stats.generic_tokens + stats.pci_tokens >= u64::try_from(kept).unwrap());
    assert_eq!(vault.sweep().unwrap().remaining, 0);
}
