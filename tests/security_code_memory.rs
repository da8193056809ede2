//! Promise: a security code stands in locked memory alone, which no core dump and no child of a fork has, and nowhere once it is
//! used, lapsed, deleted or dropped; where no memory can be locked it is not kept, and whoever asks is told.
//!
//! Four digits are too short to be searched for as such: they stand in many places by chance. So many tokens get one code, and
//! it is counted: in the locked pages, where there must be one for each token, and in all other memory that can be written,
//! where there must be no more than before. Each test runs alone, in a process of its own.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::{self, File};
use std::hint::black_box;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::cards::card;
use common::clock::HandClock;
use common::{keys, token, vault};
use tokenvault::card::SecurityCode;
use tokenvault::store::MemoryStore;
use tokenvault::{
    Body, CompleteSession, CreatePci, ErrorKind, EventType, PciCreated, Received, SessionStatus, TokenId, Vault,
    VaultOptions,
};

/// Tokens with one code.
const MANY: usize = 1000;
/// So many times it may come to stand elsewhere by chance: what left a copy for each token would leave a thousand.
const BY_CHANCE: usize = 20;

/// The code, and what must stand nowhere else: neither is a literal, which would be found.
fn code() -> String {
    (8300 + black_box(17)).to_string()
}

// What memory holds.

/// Where a mapping is.
type Range = (u64, u64);

/// The mappings that can be written: those that are locked and in no dump and no fork, and all others.
fn mappings() -> (Vec<Range>, Vec<Range>) {
    let (mut guarded, mut others) = (Vec::new(), Vec::new());
    let (mut at, mut is_written) = ((0, 0), false);
    for line in fs::read_to_string("/proc/self/smaps").unwrap().lines() {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap();
        if let Some((from, to)) = first.split_once('-') {
            let hex = |digits| u64::from_str_radix(digits, 16).unwrap();
            at = (hex(from), hex(to));
            is_written = words.next().unwrap().starts_with("rw") && !line.ends_with("[vvar]");
        } else if first == "VmFlags:" && is_written {
            let flags: Vec<_> = words.collect();
            let has = |flag| flags.contains(&flag);
            // Locked, not dumped, not copied to a child.
            if has("lo") && has("dd") && has("dc") { guarded.push(at) } else { others.push(at) }
        }
    }
    (guarded, others)
}

/// How often a code stands in some mappings.
fn count(ranges: &[Range], code: &str) -> usize {
    const STEP: usize = 4096;
    let memory = File::open("/proc/self/mem").unwrap();
    // Room for what stands across the end of a step. It lies in this function's frame, and is wiped before it is read from.
    let mut buffer = [0; STEP + 3];
    let mut found = 0;
    for &(from, to) in ranges {
        for at in (from..to).step_by(STEP) {
            let wanted = usize::try_from(to - at).unwrap().min(buffer.len());
            buffer.fill(0);
            // What cannot be read, a guard page for instance, was never written.
            if memory.read_exact_at(&mut buffer[..wanted], at).is_ok() && buffer != [0; STEP + 3] {
                found += occurrences(&buffer, code.as_bytes());
            }
        }
    }
    buffer.fill(0);
    black_box(&buffer);
    found
}

fn occurrences(bytes: &[u8], code: &[u8]) -> usize {
    occurrences_of_masked(bytes, code, 0)
}

/// How often a code stands in bytes, which is handed in with a mask over each of its own.
fn occurrences_of_masked(bytes: &[u8], code: &[u8], mask: u8) -> usize {
    let is_masked = |(byte, masked): (&u8, &u8)| byte ^ mask == *masked;
    let windows = bytes.windows(code.len()).filter(|window| window[0] ^ mask == code[0]);
    windows.filter(|window| window.iter().zip(code).all(is_masked)).count()
}

/// The allocator of this program: counts the codes in blocks that are given back.
struct Watching;

#[global_allocator]
static HEAP: Watching = Watching;

/// The code to count, or 0. It is masked: on the stack of whoever gives back a block it would come to stand in the next one,
/// where there is room between two fields.
static WATCHED: AtomicU32 = AtomicU32::new(0);
const MASK: u8 = 0xa5;
static GIVEN_BACK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes on to the system's allocator; the rest only reads.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises. In a fresh block nothing is found but what its owner wrote.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let watched = WATCHED.load(Ordering::Relaxed);
        if watched != 0 {
            // SAFETY: the block is its owner's until it is given back below.
            let bytes = unsafe { std::slice::from_raw_parts(block, layout.size()) };
            GIVEN_BACK.fetch_add(occurrences_of_masked(bytes, &watched.to_ne_bytes(), MASK), Ordering::Relaxed);
        }
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Counts the code from here on in whatever is given back.
fn watch(code: &str) {
    let masked: Vec<u8> = code.bytes().map(|digit| digit ^ MASK).collect();
    WATCHED.store(u32::from_ne_bytes(masked.try_into().unwrap()), Ordering::Relaxed);
}

/// How often a code stands in guarded memory, and in any other.
fn counts(code: &str) -> (usize, usize) {
    let (guarded, others) = mappings();
    (count(&guarded, code), count(&others, code))
}

/// Whether guarded memory is all zeros.
fn is_wiped() -> bool {
    let memory = File::open("/proc/self/mem").unwrap();
    mappings().0.into_iter().all(|(from, to)| {
        let mut bytes = vec![1; usize::try_from(to - from).unwrap()];
        memory.read_exact_at(&mut bytes, from).unwrap();
        bytes.iter().all(|byte| *byte == 0)
    })
}

/// Waits for what a thread does a moment later.
fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < deadline, "not {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

// A process of one's own.

const CHILD: &str = "TOKENVAULT_TEST_ALONE";

/// This program, to run one of its tests.
fn this(program: &Path, test: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(CHILD, "1");
    command
}

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

#[track_caller]
fn succeeded(output: &Output) {
    let said = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
    assert!(output.status.success() && said.contains("1 passed"), "{}: {said}", output.status);
}

/// Runs the test that calls it in a process of its own.
#[track_caller]
fn alone(test: &str, work: impl FnOnce()) {
    if is_child() {
        return work();
    }
    succeeded(&this(&std::env::current_exe().unwrap(), test).output().unwrap());
}

// Requests.

/// A request's bytes, which are the test's to wipe.
struct Own(Vec<u8>);

impl Own {
    fn of(before: &str, code: &str, after: &str) -> Self {
        let mut bytes = Vec::with_capacity(before.len() + code.len() + after.len());
        for part in [before, code, after] {
            bytes.extend_from_slice(part.as_bytes());
        }
        Self(bytes)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.0.fill(0);
        black_box(&self.0);
    }
}

const BEFORE: &str = r#"{"source":{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025,"security_code":""#;
const AFTER: &str = r#""}}"#;

/// Every way in which a code can come to a vault, in turn.
fn create_many(vault: &Vault, many: usize, code: &str) -> Vec<TokenId> {
    let escaped: Vec<_> = code.bytes().map(|digit| format!("\\u{digit:04x}")).collect();
    let escaped = escaped.concat();
    let (plain, escaped) = (Own::of(BEFORE, code, AFTER), Own::of(BEFORE, &escaped, AFTER));
    let one = |at: usize| match at % 5 {
        0 => token(vault.create_pci(CreatePci::from_json(&plain.0).unwrap()).unwrap()).id,
        1 => token(vault.create_pci(CreatePci::from_json(&escaped.0).unwrap()).unwrap()).id,
        2 => {
            let request = CreatePci::new(card().security_code(code).unwrap());
            token(vault.create_pci_many([Ok(request)]).next().unwrap().unwrap()).id
        }
        3 => {
            let PciCreated::Session(session) = vault.create_pci(CreatePci::session()).unwrap() else { panic!() };
            let source = &plain.0[br#"{"source":"#.len()..plain.0.len() - 1];
            let request = CompleteSession::from_json(source).unwrap();
            vault.complete_session(session.session_id, request).unwrap().id
        }
        _ => {
            let id = token(vault.create_pci(CreatePci::new(card().security_code("555").unwrap())).unwrap()).id;
            let session = vault.refresh_security_code(id).unwrap();
            vault.complete_security_code(session, SecurityCode::parse(code).unwrap()).unwrap();
            id
        }
    };
    (0..many).map(one).collect()
}

#[test]
fn the_count_has_teeth() {
    alone("the_count_has_teeth", || {
        let code = code();
        let (guarded, before) = counts(&code);
        assert!(guarded == 0 && before <= BY_CHANCE, "{before} at the start");
        let held: Vec<String> = (0..MANY).map(|_| code.clone()).collect();
        let (guarded, with) = counts(&code);
        assert!(guarded == 0 && with >= before + MANY, "{before} before, {with} with {} copies", held.len());
        watch(&code);
        drop(held);
        assert_eq!(GIVEN_BACK.load(Ordering::Relaxed), MANY);
    });
}

#[test]
fn codes_stand_in_guarded_memory_alone_and_go_with_whatever_ends_them() {
    alone("codes_stand_in_guarded_memory_alone_and_go_with_whatever_ends_them", || {
        let code = code();
        let before = counts(&code).1;
        watch(&code);
        let stands = |many: usize| {
            let (guarded, others) = counts(&code);
            assert_eq!(guarded, many);
            assert!(others <= before + BY_CHANCE, "{others} copies, {before} before");
            let given_back = GIVEN_BACK.load(Ordering::Relaxed);
            assert!(given_back <= BY_CHANCE, "{given_back} copies were given back");
        };
        let (vault, clock) = vault();
        let ids = create_many(&vault, MANY, &code);
        stands(MANY);
        for id in &ids[..100] {
            assert!(vault.use_security_code(*id, |lent| lent == code).unwrap());
        }
        stands(900);
        for id in &ids[100..200] {
            vault.delete_security_code(*id).unwrap();
        }
        stands(800);
        for id in &ids[200..300] {
            vault.delete_pci(*id).unwrap();
        }
        stands(700);
        for id in &ids[300..400] {
            // Past the hook, whose backtrace would fill memory that is counted here.
            let panics = || vault.use_security_code(*id, |lent| resume_unwind(Box::new(lent.len())));
            assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        }
        stands(600);
        for id in &ids[400..450] {
            let template = Body::Json(r#"{"code":"{{ security_code }}","again":"{{ security_code }}"}"#);
            let is_there = |filled: &[u8]| occurrences(filled, code.as_bytes()) == 2;
            assert!(vault.fill(*id, template, is_there).unwrap());
        }
        stands(550);
        for (at, id) in (0..5).zip(&ids[450..455]) {
            // While it is lent, the body is all that holds the code, and it is guarded as the code was.
            let template = format!("<a>{}</a>", "{{ security_code }},".repeat(MANY));
            vault.fill(*id, Body::Xml(&template), |_| stands(550 - 1 - at + MANY)).unwrap();
            stands(550 - 1 - at);
        }
        let panics =
            || vault.fill(ids[455], Body::Form("{{security_code}}"), |lent| resume_unwind(Box::new(lent.len())));
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        vault.fill(ids[456], Body::Form("{{security_code}}{{cardholder_name}}"), |_| ()).unwrap_err();
        stands(544);
        for id in &ids[456..460] {
            vault.use_security_code(*id, |_| ()).unwrap();
        }
        stands(540);
        for id in &ids[460..500] {
            let session = vault.refresh_security_code(*id).unwrap();
            vault.complete_security_code(session, SecurityCode::parse("555").unwrap()).unwrap();
        }
        stands(500);
        clock.advance_millis(15 * 60_000);
        for id in &ids[500..600] {
            assert!(!vault.security_code_available(*id).unwrap());
        }
        stands(400);
        for id in &ids[600..700] {
            vault.use_security_code(*id, |_| ()).unwrap_err();
        }
        stands(300);
        vault.sweep().unwrap();
        assert!(is_wiped(), "lapsed, and swept");

        create_many(&vault, MANY, &code);
        stands(MANY);
        let clone = vault.clone();
        drop(vault);
        stands(MANY);
        drop(clone);
        assert!(is_wiped(), "the last handle was dropped");
        stands(0);
    });
}

#[test]
fn codes_go_with_a_vault_that_is_closed_and_with_tokens_that_expire() {
    alone("codes_go_with_a_vault_that_is_closed_and_with_tokens_that_expire", || {
        let code = code();
        let (vault, clock) = vault();
        let brief = || CreatePci::new(card().security_code(&code).unwrap()).expires_in(60).unwrap();
        let read = token(vault.create_pci(brief()).unwrap()).id;
        clock.advance_millis(60_000);
        vault.pci(read).unwrap_err();
        assert!(is_wiped(), "the token was found expired");
        vault.create_pci_many((0..MANY).map(|_| Ok(brief()))).for_each(|made| drop(made.unwrap()));
        assert_eq!(counts(&code).0, MANY);
        clock.advance_millis(60_000);
        vault.sweep().unwrap();
        assert!(is_wiped(), "the tokens were swept");
        create_many(&vault, MANY, &code);
        vault.close().unwrap();
        assert!(is_wiped(), "the vault was closed, and its handle is still there");
        drop(vault);
    });
}

#[test]
fn codes_lapse_though_nobody_asks() {
    alone("codes_lapse_though_nobody_asks", || {
        let code = code();
        let clock = HandClock::at("2026-01-02T03:04:05.678Z");
        let options = VaultOptions::new().clock(clock).security_code_lifetime(Duration::from_secs(2));
        let vault = options.open_with(MemoryStore::new(), keys()).unwrap();
        let begun = Instant::now();
        create_many(&vault, MANY, &code);
        let (held, taken) = (counts(&code).0, begun.elapsed());
        assert!(held == MANY || taken >= Duration::from_secs(2), "{held} after {taken:?}");
        soon("wiped", is_wiped);
        assert!(begun.elapsed() >= Duration::from_secs(2));
        drop(vault);
    });
}

#[test]
fn what_is_refused_or_never_sent_leaves_no_code() {
    alone("what_is_refused_or_never_sent_leaves_no_code", || {
        let code = code();
        let before = counts(&code).1;
        watch(&code);
        let (vault, _) = vault();
        for _ in 0..MANY {
            for after in
                [r#"","cardholder_name":""}}"#, r#""},"expires_in":0}"#, r#"","security_code":"12"}}"#, "\"}", "\"}} x"]
            {
                CreatePci::from_json(&Own::of(BEFORE, &code, after).0).unwrap_err();
            }
            let session = BEFORE.replace("pan", "session");
            CreatePci::from_json(&Own::of(&session, &code, AFTER).0).unwrap_err();
            drop(CreatePci::from_json(&Own::of(BEFORE, &code, AFTER).0).unwrap());
            drop(card().security_code(&code).unwrap().security_code("12"));
            drop(SecurityCode::parse(&code).unwrap());
            let nobody = "8744c9ea-a02b-4ae6-875c-b64fc333e3ef".parse().unwrap();
            vault.complete_security_code(nobody, SecurityCode::parse(&code).unwrap()).unwrap_err();
        }
        vault.close().unwrap();
        let request = CreatePci::from_json(&Own::of(BEFORE, &code, AFTER).0).unwrap();
        vault.create_pci(request).unwrap_err();
        assert!(is_wiped());
        assert!(counts(&code).1 <= before + BY_CHANCE);
        let given_back = GIVEN_BACK.load(Ordering::Relaxed);
        assert!(given_back <= BY_CHANCE, "{given_back} copies were given back");
    });
}

#[test]
fn a_code_that_races_with_the_deletion_of_its_token_is_not_left_behind() {
    alone("a_code_that_races_with_the_deletion_of_its_token_is_not_left_behind", || {
        let (vault, _) = vault();
        for _ in 0..2000 {
            let id = token(vault.create_pci(CreatePci::new(card())).unwrap()).id;
            let session = vault.refresh_security_code(id).unwrap();
            let barrier = Barrier::new(2);
            thread::scope(|scope| {
                scope.spawn(|| {
                    barrier.wait();
                    drop(vault.complete_security_code(session, SecurityCode::parse("123").unwrap()));
                });
                barrier.wait();
                vault.delete_pci(id).unwrap();
            });
        }
        assert!(is_wiped());
    });
}

// Dumps and forks.

#[test]
fn a_core_dump_has_no_code() {
    const TEST: &str = "a_core_dump_has_no_code";
    /// Planted in ordinary memory.
    fn control() -> String {
        (6200 + black_box(4)).to_string()
    }
    if is_child() {
        let vault = vault().0;
        create_many(&vault, MANY, &code());
        let planted: Vec<String> = (0..MANY).map(|_| control()).collect();
        assert_eq!((counts(&code()).0, planted.len()), (MANY, MANY));
        std::process::abort();
    }
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let child = this(&std::env::current_exe().unwrap(), TEST);
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"ulimit -c unlimited && exec "$0" "$@""#]).arg(child.get_program()).args(child.get_args());
    let output = shell.env(CHILD, "1").current_dir(folder.path()).output().unwrap();
    assert!(!output.status.success());
    let cores: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [core] = &cores[..] else {
        // Dumps go to a program, or are forbidden; then the flags of the pages, which every other test here asks for, are all
        // that can be seen.
        assert!(pattern.starts_with('|') || pattern.contains('/') || pattern.trim().is_empty(), "{pattern}{cores:?}");
        println!("no core dump can be had here: {pattern}");
        return;
    };
    let core = fs::read(core).unwrap();
    let found = |code: &str| core.windows(4).filter(|window| *window == code.as_bytes()).count();
    assert!(found(&control()) >= MANY, "what stands in ordinary memory is in the dump");
    assert!(found(&code()) <= BY_CHANCE * 5, "{} codes in the dump", found(&code()));
}

unsafe extern "C" {
    fn fork() -> i32;
    fn waitpid(process: i32, status: *mut i32, options: i32) -> i32;
    fn _exit(code: i32) -> !;
}

/// How a forked child ended that did some work.
fn in_a_fork(work: impl FnOnce()) -> i32 {
    // SAFETY: no other thread of this process holds a lock: those of the vault sleep.
    match unsafe { fork() } {
        0 => {
            let ended = catch_unwind(AssertUnwindSafe(work));
            // SAFETY: ends the child without what the parent would do at its end.
            unsafe { _exit(i32::from(ended.is_err())) }
        }
        child => {
            let mut status = -1;
            // SAFETY: a child of this process, and a place for its status.
            assert_eq!(unsafe { waitpid(child, &raw mut status, 0) }, child);
            status
        }
    }
}

#[test]
fn a_child_of_a_fork_has_no_code_and_may_have_its_own() {
    alone("a_child_of_a_fork_has_no_code_and_may_have_its_own", || {
        let code = code();
        let (vault, _) = vault();
        let ids = create_many(&vault, MANY, &code);
        let before = counts(&code).1;
        let mut inherited = Some(vault);
        let status = in_a_fork(|| {
            let (guarded, others) = counts(&code);
            assert_eq!(guarded, 0);
            assert!(others <= before + BY_CHANCE);
            let vault = inherited.take().unwrap();
            assert!(!vault.security_code_available(ids[0]).unwrap());
            assert_eq!(vault.use_security_code(ids[0], |_| ()).unwrap_err().kind(), ErrorKind::NotFound);
            vault.delete_security_code(ids[1]).unwrap();
            let own = create_many(&vault, 10, &code);
            assert_eq!(counts(&code).0, 10, "locked here too");
            assert!(vault.use_security_code(own[0], |lent| lent == code).unwrap());
            drop(vault);
            assert!(is_wiped());
        });
        assert_eq!(status, 0);
        let vault = inherited.unwrap();
        assert!(ids.iter().all(|id| vault.use_security_code(*id, |lent| lent == code).unwrap()));
    });
}

// Where no memory can be locked.

/// Runs the test that calls it in a process that may lock so many KiB.
fn with_limit(kib: u32, test: &str) {
    let program = std::env::current_exe().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let copy = folder.path().join("test");
    if is_root {
        // The limit binds nobody with the capability of root, who may be unable to give this file to others where it is.
        fs::copy(&program, &copy).unwrap();
        for path in [folder.path(), &copy] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    let child = this(if is_root { &copy } else { &program }, test);
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!(r#"ulimit -l {kib} && exec "$0" "$@""#)]);
    shell.arg(child.get_program()).args(child.get_args()).env(CHILD, kib.to_string()).current_dir("/");
    if is_root {
        shell.uid(65_534).gid(65_534);
    }
    succeeded(&shell.output().unwrap());
}

/// How many codes were told not to be kept.
fn not_kept(events: &tokenvault::Subscription) -> usize {
    let received = std::iter::from_fn(|| events.try_next());
    let told = received.filter(|received| match received {
        Received::Event(event) => event.r#type == EventType::PciSecurityCodeNotKept,
        Received::Lost(_) => panic!("events went by"),
    });
    told.count()
}

#[test]
fn where_no_memory_can_be_locked_no_code_is_kept_and_that_is_told() {
    if !is_child() {
        return with_limit(0, "where_no_memory_can_be_locked_no_code_is_kept_and_that_is_told");
    }
    let code = code();
    let before = counts(&code).1;
    let (vault, _) = vault();
    let events = vault.subscribe().unwrap();
    let mut ids = Vec::new();
    for _ in 0..200 {
        let request = CreatePci::from_json(&Own::of(BEFORE, &code, AFTER).0).unwrap();
        let id = token(vault.create_pci(request).unwrap()).id;
        assert!(!vault.security_code_available(id).unwrap());
        assert_eq!(vault.use_security_code(id, |_| ()).unwrap_err().kind(), ErrorKind::NotFound);
        vault.pci(id).unwrap();
        ids.push(id);
    }
    assert_eq!(not_kept(&events), 200);
    let requests = (0..200).map(|_| Ok(CreatePci::new(card().security_code(&code).unwrap())));
    assert_eq!(vault.create_pci_many(requests).flatten().count(), 200);
    assert_eq!(not_kept(&events), 200);

    let session = vault.refresh_security_code(ids[0]).unwrap();
    for _ in 0..200 {
        let refusal = vault.complete_security_code(session, SecurityCode::parse(&code).unwrap()).unwrap_err();
        assert_eq!(refusal.kind(), ErrorKind::Unavailable);
        assert!(refusal.message().contains("no memory can be locked"), "{refusal}");
    }
    assert_eq!(vault.session(session).unwrap().status, SessionStatus::Open, "it can be tried again");
    assert_eq!(not_kept(&events), 200);
    let (guarded, others) = counts(&code);
    assert!(guarded == 0 && others <= before + BY_CHANCE, "there is no other place for it");
}

#[test]
fn codes_beyond_the_limit_are_not_kept_and_room_that_comes_free_is_used_again() {
    // Two pages of 4 KiB. Of larger ones the limit would let none be had.
    const ROOM: usize = 2048;
    if !fs::read_to_string("/proc/self/smaps").unwrap().contains("KernelPageSize:        4 kB") {
        return;
    }
    if !is_child() {
        return with_limit(8, "codes_beyond_the_limit_are_not_kept_and_room_that_comes_free_is_used_again");
    }
    let (vault, _) = vault();
    let code = code();
    let events = vault.subscribe().unwrap();
    let create = || token(vault.create_pci(CreatePci::new(card().security_code(&code).unwrap())).unwrap()).id;
    let ids: Vec<_> = (0..ROOM).map(|_| create()).collect();
    while events.try_next().is_some() {}
    assert!(ids.iter().all(|id| vault.security_code_available(*id).unwrap()));
    for _ in 0..10 {
        assert!(!vault.security_code_available(create()).unwrap());
    }
    assert_eq!(not_kept(&events), 10);
    let session = vault.refresh_security_code(ids[0]).unwrap();
    let refused = vault.complete_security_code(session, SecurityCode::parse("555").unwrap()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(vault.use_security_code(ids[0], |lent| lent == code).unwrap(), "the old one is still there");
    vault.complete_security_code(session, SecurityCode::parse("555").unwrap()).unwrap();
    assert!(vault.use_security_code(ids[0], |lent| lent == "555").unwrap());
    let again = create();
    assert!(vault.security_code_available(again).unwrap());
    assert!(!vault.security_code_available(create()).unwrap());
    // A body with a code stands in such memory too, or nowhere; a code is not used up for one that cannot be had.
    let refused = vault.fill(again, Body::Form("{{security_code}}"), |_| panic!("lent")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(refused.message().contains("no memory can be locked"), "{refused}");
    assert!(vault.fill(again, Body::Form("{{account_number}}"), |lent| lent == b"4111111111111111").unwrap());
    assert!(vault.security_code_available(again).unwrap());
    assert_eq!(count(&mappings().0, &code), ROOM);
}
