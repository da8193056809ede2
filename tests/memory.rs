//! Promise: once a call has returned, no memory that it took holds a copy of what was secret.
//!
//! The allocator of this program looks into every block that is given back, and into every block that is still held when all is
//! over, for eight characters in a row of a number, a payload or a key: as text in one, two or four bytes a character, as
//! digits, as a number of the machine. A block that grows or shrinks counts as given back: whether it moved is luck.
//! The stack is not looked into.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]
#![allow(clippy::cast_possible_truncation, reason = "digits and characters that fit")]
#![allow(clippy::large_stack_arrays, reason = "what is looked for must not stand in the heap")]
#![cfg(unix)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use common::clock::HandClock;
use common::forge::{self, BY_KEY, FIRST_SIX_LAST_FOUR, Forger};
use common::threads::block_on;
use common::token;
use tokenvault::card::{CardExpiry, MaskStyle, Pan};
use tokenvault::store::{MemoryStore, Store};
use tokenvault::{
    Body, CardDataGuard, CompleteSession, CreateGeneric, CreatePci, CreateType, Destination, Duplicates, Error,
    ErrorKind, Fingerprints, ForwardResponse, Forwarder, InquirySource, KeyManager, Page, PanSource, Payload,
    PayloadNumber, PciCreated, Rules, UnknownFields, UpdateGeneric, UpdatePci, Vault, VaultOptions,
};

/// Visa, right by Luhn, and without a zero: memory is full of those.
const PAN: &str = "4539184724659184";
const TEXT: &str = "K7#quartz-Ostrich!42~vellum";
const SIGNED: i64 = -7_315_418_862_931_471;
const UNSIGNED: u64 = 17_315_418_862_931_471_157;
const DOUBLE: f64 = 7.315_418_862_931_471e-17;
const ROOT: [u8; 32] = *b"\x9e\x37\x79\xb9\x7f\x4a\x7c\x15\xf3\x9c\xc0\x60\x5c\xed\xc8\x34\x10\x82\x27\x6b\xf3\xa2\x72\x51\xf8\x6c\x6a\x11\xd0\xc1\x8e\x95";
const DATA: [u8; 32] = *b"\x27\x18\x28\x18\x28\x45\x90\x45\x23\x53\x60\x28\x74\x71\x35\x26\x62\x49\x77\x57\x24\x70\x93\x69\x99\x59\x57\x49\x66\x96\x76\x27";
const INDEX: [u8; 32] = *b"\x31\x41\x59\x26\x53\x58\x97\x93\x23\x84\x62\x64\x33\x83\x27\x95\x02\x88\x41\x97\x16\x93\x99\x37\x51\x05\x82\x09\x74\x94\x45\x92";
const PHRASE: &str = "umbrella Xylophone 93 kestrel";

/// Whoever knows every key of the vaults here.
fn forger() -> Forger {
    Forger { data: DATA, ..Forger::new(ROOT) }
}

/// So many characters or bytes in a row are a copy.
const RUN: usize = 8;
const LONGEST: usize = RUN * 4;

/// What is looked for.
#[derive(Clone, Copy)]
struct Needle {
    name: &'static str,
    bytes: [u8; LONGEST],
    length: usize,
}

/// Every needle, and a bit for the hash of its first eight bytes; none of it is in a block of the heap.
struct Needles {
    list: [Needle; Self::MOST],
    count: usize,
    bits: [u64; 1024],
}

static NEEDLES: OnceLock<Needles> = OnceLock::new();

impl Needles {
    const MOST: usize = 1024;

    fn all() -> Self {
        let nothing = Needle { name: "", bytes: [0; LONGEST], length: 0 };
        let mut needles = Self { list: [nothing; Self::MOST], count: 0, bits: [0; 1024] };
        needles.text("the account number", PAN);
        needles.digits("the digits of the account number", PAN.bytes());
        needles.digits("the digits of the account number, backwards", PAN.bytes().rev());
        needles.text("the payload's text", TEXT);
        needles.text("the payload's signed number", "-7315418862931471");
        needles.text("the payload's unsigned number", "17315418862931471157");
        needles.text("the payload's double", "7.315418862931471e-17");
        needles.bytes("the payload's signed number", &SIGNED.to_le_bytes());
        needles.bytes("the payload's unsigned number", &UNSIGNED.to_le_bytes());
        needles.bytes("the payload's double", &DOUBLE.to_le_bytes());
        needles.text("the pass phrase", PHRASE);
        let forger = forger();
        needles.bytes("the root key", &ROOT);
        needles.bytes("the data key", &DATA);
        needles.bytes("the index key", &INDEX);
        for (name, key, purpose) in [
            ("the key of the ring", ROOT, "tokenvault/1/key-ring"),
            ("the key of views", DATA, "tokenvault/1/view"),
            ("the key of secrets", DATA, "tokenvault/1/secret"),
            ("the key of fingerprints", INDEX, "tokenvault/1/fingerprint"),
            ("the key of idempotency", INDEX, "tokenvault/1/idempotency"),
            ("the key of the state", INDEX, "tokenvault/1/state"),
        ] {
            needles.bytes(name, &forger.derive(&key, purpose));
        }
        let hex = common::text::hex(&ROOT);
        needles.text("the root key in hexadecimal digits", &hex);
        needles.text("the root key in base64", &common::text::base64(&ROOT));
        needles
    }

    fn text(&mut self, name: &'static str, text: &str) {
        assert!(text.is_ascii());
        for run in text.as_bytes().windows(RUN) {
            self.add(name, run.iter().copied());
            self.add(name, run.iter().flat_map(|byte| [*byte, 0]));
            self.add(name, run.iter().flat_map(|byte| [*byte, 0, 0, 0]));
        }
    }

    fn digits(&mut self, name: &'static str, digits: impl Iterator<Item = u8>) {
        let digits: Vec<u8> = digits.map(|digit| digit - b'0').collect();
        for run in digits.windows(RUN) {
            self.add(name, run.iter().copied());
            self.add(name, run.iter().flat_map(|byte| [*byte, 0, 0, 0]));
        }
    }

    fn bytes(&mut self, name: &'static str, bytes: &[u8]) {
        // One that begins with a zero has a neighbour that does not.
        bytes.windows(RUN).filter(|run| run[0] != 0).for_each(|run| self.add(name, run.iter().copied()));
    }

    fn add(&mut self, name: &'static str, bytes: impl Iterator<Item = u8>) {
        let needle = &mut self.list[self.count];
        needle.name = name;
        for byte in bytes {
            needle.bytes[needle.length] = byte;
            needle.length += 1;
        }
        assert_ne!(needle.bytes[0], 0, "runs of zeros are passed over");
        let (word, bit) = Self::place(u64::from_le_bytes(needle.bytes[..RUN].try_into().unwrap()));
        self.bits[word] |= bit;
        self.count += 1;
    }

    fn place(first: u64) -> (usize, u64) {
        let hash = first.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
        ((hash >> 6) as usize, 1 << (hash & 63))
    }

    /// The first needle in a block of memory.
    ///
    /// # Safety
    /// The block is allocated and nobody writes to it.
    unsafe fn find(&self, block: *const u8, size: usize) -> Option<&Needle> {
        let mut at = 0;
        while at + RUN <= size {
            // SAFETY: within the block; what was never written holds some byte or other.
            let first = u64::from_le(unsafe { block.add(at).cast::<u64>().read_unaligned() });
            if first == 0 {
                at += RUN;
                continue;
            }
            let (word, bit) = Self::place(first);
            if self.bits[word] & bit != 0 {
                let found = self.list[..self.count].iter().find(|needle| {
                    // SAFETY: as above, once the length is known to fit.
                    let byte = |offset: usize| unsafe { block.add(at + offset).read() };
                    at + needle.length <= size && (0..needle.length).all(|offset| byte(offset) == needle.bytes[offset])
                });
                if found.is_some() {
                    return found;
                }
            }
            at += 1;
        }
        None
    }
}

/// The allocator of this program.
struct Watching;

#[global_allocator]
static HEAP: Watching = Watching;

/// Whether blocks that are given back are looked into.
static ARMED: AtomicBool = AtomicBool::new(false);
/// While the blocks still held are looked into, none is given back.
static HOLD: AtomicBool = AtomicBool::new(false);
/// What was found, with where it was given back.
static FOUND: Mutex<Vec<String>> = Mutex::new(Vec::new());

thread_local! {
    /// Whether this thread is busy with a report, which takes and gives back blocks of its own.
    static REPORTING: Cell<bool> = const { Cell::new(false) };
}

/// A block from this size on is the work area of a pass phrase, and is given back as nothing but zeros.
const WORK_AREA: usize = 32 << 20;

// SAFETY: every call goes on to the system's allocator; the rest only reads.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises. In a fresh block nothing is found but what its owner wrote.
        unsafe { self.alloc_zeroed(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        let block = unsafe { System.alloc_zeroed(layout) };
        Held::insert(block as usize, layout.size());
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        while HOLD.load(Ordering::Acquire) {
            std::hint::spin_loop();
        }
        if ARMED.load(Ordering::Acquire) {
            // SAFETY: the block is its owner's until it is given back below.
            unsafe { look(block, layout.size(), "given back") };
        }
        Held::remove(block as usize);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promises; the old block lives until it has been copied and looked into.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(block, size.min(layout.size()));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

/// Reports what is found in a block.
///
/// # Safety
/// The block is allocated and nobody writes to it.
unsafe fn look(block: *const u8, size: usize, how: &str) {
    if REPORTING.try_with(Cell::get).unwrap_or(true) {
        return;
    }
    let Some(needles) = NEEDLES.get() else { return };
    // SAFETY: as the caller promises.
    let found = unsafe { needles.find(block, size) }.map(|needle| needle.name);
    // SAFETY: as the caller promises.
    let unwiped = size >= WORK_AREA && unsafe { std::slice::from_raw_parts(block, size) }.iter().any(|byte| *byte != 0);
    let Some(what) = found.or(unwiped.then_some("the work area of a pass phrase")) else { return };
    REPORTING.set(true);
    // With `TOKENVAULT_TRACE` set, where; that takes a second each.
    let place =
        std::env::var_os("TOKENVAULT_TRACE").map_or(String::new(), |_| format!(" at\n{}", Backtrace::force_capture()));
    let report = format!("{what}, in {size} bytes {how}{place}");
    FOUND.lock().unwrap_or_else(PoisonError::into_inner).push(report);
    REPORTING.set(false);
}

/// The blocks that are held: address and size, in a table that is itself no block.
struct Held {
    address: AtomicUsize,
    size: AtomicUsize,
}

/// Nothing was ever here, nothing is here any more.
const NEVER: usize = 0;
const NO_MORE: usize = 1;
const PLACES: usize = 1 << 19;

static HELD: [Held; PLACES] = [const { Held { address: AtomicUsize::new(NEVER), size: AtomicUsize::new(0) } }; PLACES];

impl Held {
    fn places(address: usize) -> impl Iterator<Item = &'static Self> {
        let first = (address >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        (first..first + PLACES).map(|at| &HELD[at % PLACES])
    }

    fn insert(address: usize, size: usize) {
        if address == 0 {
            return;
        }
        for place in Self::places(address) {
            let free = place.address.load(Ordering::Acquire);
            if free <= NO_MORE
                && place.address.compare_exchange(free, address, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            {
                place.size.store(size, Ordering::Release);
                return;
            }
        }
    }

    fn remove(address: usize) {
        for place in Self::places(address) {
            match place.address.load(Ordering::Acquire) {
                held if held == address => {
                    place.size.store(0, Ordering::Release);
                    place.address.store(NO_MORE, Ordering::Release);
                    return;
                }
                NEVER => return,
                _ => {}
            }
        }
    }

    /// Looks into every block that is held.
    fn look_into_all() {
        HOLD.store(true, Ordering::Release);
        let mut found = [(0, 0); 8];
        let mut count = 0;
        for place in &HELD {
            let (address, size) = (place.address.load(Ordering::Acquire), place.size.load(Ordering::Acquire));
            let needles = NEEDLES.get().unwrap();
            // SAFETY: the block is held, and stays while none is given back.
            if address > NO_MORE && unsafe { needles.find(address as *const u8, size) }.is_some() && count < found.len()
            {
                found[count] = (address, size);
                count += 1;
            }
        }
        HOLD.store(false, Ordering::Release);
        for (address, size) in &found[..count] {
            // SAFETY: as above; nothing else runs in this program that would give it back.
            unsafe { look(*address as *const u8, *size, "still held") };
        }
    }
}

/// One test at a time: they share the heap.
static TURN: Mutex<()> = Mutex::new(());

type Turn = MutexGuard<'static, ()>;

/// To be held from before a test touches what must not be found.
fn turn() -> Turn {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What copies a piece of work leaves behind.
fn copies(_: &Turn, work: impl FnOnce()) -> Vec<String> {
    // On a stack of its own: what is left of the keys there is no business of the work.
    std::thread::spawn(|| NEEDLES.get_or_init(Needles::all)).join().unwrap();
    FOUND.lock().unwrap().clear();
    ARMED.store(true, Ordering::Release);
    let result = catch_unwind(AssertUnwindSafe(work));
    ARMED.store(false, Ordering::Release);
    Held::look_into_all();
    let found = std::mem::take(&mut *FOUND.lock().unwrap());
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
    found
}

fn leaves_no_copy(turn: &Turn, work: impl FnOnce()) {
    let found = copies(turn, work);
    assert!(found.is_empty(), "{} copies:\n{}", found.len(), found.join("\n"));
}

/// Bytes of the test's own, wiped when it is done with them; they never move.
struct Own(Vec<u8>);

impl Own {
    fn of(parts: &[&str]) -> Self {
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
        for part in parts {
            bytes.extend_from_slice(part.as_bytes());
        }
        Self(bytes)
    }

    /// A text of JSON with every character of the strings between bars escaped.
    fn escaped(json: &Own) -> Self {
        let mut bytes = Vec::with_capacity(6 * json.0.len());
        let mut escape = false;
        for byte in &json.0 {
            match byte {
                b'|' => escape = !escape,
                byte if escape => {
                    let digit = |half: u8| b"0123456789abcdef"[usize::from(half)];
                    bytes.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
                }
                byte => bytes.push(*byte),
            }
        }
        Self(bytes)
    }

    /// The same without the marks.
    fn plain(json: &Own) -> Self {
        let mut bytes = Vec::with_capacity(json.0.len());
        bytes.extend(json.0.iter().filter(|byte| **byte != b'|'));
        Self(bytes)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        for byte in &mut self.0 {
            // SAFETY: a byte of our own.
            unsafe { std::ptr::from_mut(byte).write_volatile(0) };
        }
    }
}

#[test]
fn a_planted_copy_is_found() {
    let turn = turn();
    let plant = |what: &'static str, work: fn()| {
        let found = copies(&turn, work);
        assert!(found.iter().any(|found| found.starts_with(what)), "{what} was not found");
    };
    plant("the account number", || drop(PAN.to_owned()));
    plant("the account number", || drop(format!("xyz{}", PAN.split_at(9).0)));
    plant("the account number", || drop(PAN.encode_utf16().collect::<Vec<_>>()));
    plant("the account number", || drop(PAN.chars().collect::<Vec<_>>()));
    plant("the digits of the account number", || {
        drop(PAN.chars().map(|c| c.to_digit(10)).collect::<Option<Vec<u32>>>());
    });
    plant("the digits of the account number, backwards", || {
        drop(PAN.bytes().rev().map(|byte| byte - b'0').collect::<Vec<_>>());
    });
    plant("the payload's text", || drop(Box::<str>::from(TEXT)));
    plant("the payload's signed number", || drop(SIGNED.to_string()));
    plant("the payload's double", || drop(Box::new([0.0, DOUBLE])));
    plant("the root key", || drop(Box::new(ROOT)));
    // A block that grew, and one that is wiped only up to its length.
    plant("the account number", || {
        let mut grown = PAN.to_owned();
        grown.reserve_exact(1000);
        let mut grown = Own(grown.into_bytes());
        grown.0.reserve_exact(1);
    });
    plant("the account number", || {
        let mut cut = Own::of(&[PAN]);
        cut.0.truncate(0);
    });
    // What is still held when all is over.
    let held = Own::of(&[PAN]);
    let found = copies(&turn, || ());
    assert!(found.iter().any(|found| found.contains("still held")), "what is held was not found");
    drop(held);
    leaves_no_copy(&turn, || drop(Own::of(&[PAN, TEXT])));
}

/// Vaults to try things on.
fn on_each_store(work: impl Fn(&Vault)) {
    let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate().unwrap()).unwrap();
    work(&vault);
    drop(vault);
    #[cfg(feature = "sled")]
    {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::create(folder.path().join("vault"), KeyManager::generate().unwrap()).unwrap();
        work(&vault);
        vault.close().unwrap();
    }
}

/// A request for a card. What stands between bars can be escaped.
fn card_json(more: &str) -> Own {
    Own::of(&[
        r#"{"source":{"type":"|pan|","account_number":"|"#,
        PAN,
        r#"|","expiry_month":12,"expiry_year":2031,"cardholder_name":"|Zo \"Q\" Jo|"},"metadata":{"|order|":"|77|"}"#,
        more,
        "}",
    ])
}

/// A request for a payload of every kind.
fn payload_json(more: &str) -> Own {
    Own::of(&[
        r#"{"payload":{"|text|":"|"#,
        TEXT,
        r#"|","yes":true,"signed":-7315418862931471,"unsigned":17315418862931471157,"double":7.315418862931471e-17,"|number|":"|"#,
        PAN,
        r#"|"}"#,
        more,
        "}",
    ])
}

/// A request as it is and with everything escaped.
fn both_ways(json: &Own) -> [Own; 2] {
    [Own::plain(json), Own::escaped(json)]
}

fn is_the_payload(payload: &Payload) {
    let value = |key: &str| payload.get(key).unwrap();
    assert!(value("text").as_str() == Some(TEXT));
    assert!(value("signed").as_number().unwrap().as_i64() == Some(SIGNED));
    assert!(value("unsigned").as_number().unwrap().as_u64() == Some(UNSIGNED));
    assert!(value("double").as_number().unwrap().as_f64().map(f64::to_bits) == Some(DOUBLE.to_bits()));
}

#[test]
fn cards_from_json() {
    let turn = turn();
    leaves_no_copy(&turn, || {
        on_each_store(|vault| {
            for json in both_ways(&card_json(r#","expires_in":3600"#)) {
                let created = token(vault.create_pci(CreatePci::from_json(&json.0).unwrap()).unwrap());
                assert!(vault.reveal_pci(created.id, |card| card.account_number() == PAN).unwrap());
            }
        });
    });
}

#[test]
fn cards_from_values() {
    let turn = turn();
    leaves_no_copy(&turn, || {
        on_each_store(|vault| {
            let card = PanSource::new(Pan::parse(PAN).unwrap(), CardExpiry::new(12, 2031).unwrap());
            let card = card.cardholder_name("Jo").unwrap().security_code("123").unwrap();
            let request = CreatePci::new(card).metadata([("order", "77")]).unwrap().expires_in(60).unwrap();
            token(vault.create_pci(request).unwrap());
            // Made and not used.
            drop(CreatePci::new(PanSource::new(Pan::parse(PAN).unwrap(), CardExpiry::new(12, 2031).unwrap())));
            let card = PanSource::new(Pan::parse(PAN).unwrap(), CardExpiry::new(12, 2031).unwrap());
            card.cardholder_name("").unwrap_err();
            for near in
                ["4539184724659183", "45391847246591841", "4539184724659184 ", "94539184724659184", "453918472465918"]
            {
                Pan::parse(near).unwrap_err();
            }
        });
    });
}

#[test]
fn payloads_from_json() {
    let turn = turn();
    leaves_no_copy(&turn, || {
        on_each_store(|vault| {
            for json in both_ways(&payload_json(r#","metadata":{"order":"77"},"expiration_time":60"#)) {
                let created = vault.create_generic(CreateGeneric::from_json(&json.0).unwrap()).unwrap();
                vault.generic_payload(created.id, is_the_payload).unwrap();
            }
        });
    });
}

#[test]
fn payloads_from_values() {
    let turn = turn();
    leaves_no_copy(&turn, || {
        on_each_store(|vault| {
            let created = vault.create_generic(CreateGeneric::new([("text", TEXT), ("number", PAN)]).unwrap()).unwrap();
            let all_text = |payload: &Payload| payload.iter().all(|(_, value)| value.as_str().is_some());
            assert!(vault.generic_payload(created.id, all_text).unwrap());
            let numbers: [PayloadNumber<'_>; 3] = [SIGNED.into(), UNSIGNED.into(), DOUBLE.into()];
            for number in numbers {
                let request = CreateGeneric::new([("n", number)]).unwrap();
                let created = vault.create_generic(request).unwrap();
                let is_number = |payload: &Payload| payload.get("n").unwrap().as_number().unwrap().as_f64().is_some();
                assert!(vault.generic_payload(created.id, is_number).unwrap());
            }
            let keys =
                ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t"];
            drop(Payload::new(keys.map(|key| (key, TEXT))).unwrap());
            Payload::new(keys.iter().chain(&["u"]).map(|key| (*key, TEXT))).unwrap_err();
            Payload::new([("a", TEXT), ("a", TEXT)]).unwrap_err();
            Payload::new([("a", TEXT), ("b", "")]).unwrap_err();
            Payload::new([("a", TEXT), (TEXT, "b")]).unwrap_err();
        });
    });
}

/// What stands before and behind an account number in a request that is refused.
const REFUSED_CARDS: &[(&str, &str)] = &[
    // A card that is wrong beside its number, or whose number is wrong.
    (r#"{"source":{"type":"pan","account_number":"|"#, r#"1|","expiry_month":12,"expiry_year":2031}}"#),
    (r#"{"source":{"type":"pan","account_number":"|"#, r#" |","expiry_month":12,"expiry_year":2031}}"#),
    (r#"{"source":{"type":"pan","account_number":"|9"#, r#"|","expiry_month":12,"expiry_year":2031}}"#),
    (r#"{"source":{"type":"pan","account_number":"|"#, r#"|","expiry_month":13,"expiry_year":2031}}"#),
    (r#"{"source":{"type":"pan","account_number":"|"#, r#"|"}}"#),
    (r#"{"source":{"type":"pan","account_number":"|"#, r#"|","account_number":"1"}}"#),
    (r#"{"source":{"account_number":"|"#, r#"|","expiry_month":12,"expiry_year":2031}}"#),
    (r#"{"source":{"type":"session","account_number":"|"#, r#"|"}}"#),
    (r#"{"source":{"type":"pan","account_number":"|"#, r#"|","expiry_month":12,"expiry_year":2031},"expire_in":7}"#),
    (r#"{"source":{"type":"pan","account_number":"|"#, r#"|","expiry_month":12,"expiry_year":2031},"metadata":[]}"#),
    (r#"{"source":{"type":"pan","account_number":"\ud83d|"#, r#"|","expiry_month":12,"expiry_year":2031}}"#),
    (r#"{"source":{"type":"pan","account_number":"|"#, r#"|\ud83d","expiry_month":12,"expiry_year":2031}}"#),
    // The number as the name of a field.
    (r#"{"|"#, r#"|":1}"#),
    (r#"{"source":{"|"#, r#"|":1}}"#),
    (r#"{"|expires_in_"#, r#"|":1}"#),
    (r#"{"|"#, r#"expires|":1}"#),
    // The number where something else should be.
    (r#"{"source":"|"#, r#"|"}"#),
    (r#"{"source":["|"#, r#"|"]}"#),
    (r#"{"source":{"type":"|"#, r#"|"}}"#),
    (r#"{"source":{"type":"pan","security_code":"|"#, r#"|"}}"#),
    (r#"{"source":{"type":"pan","expiry_month":"|"#, r#"|"}}"#),
    (r#"{"source":{"type":"pan","expiry_year":"|"#, r#"|"}}"#),
    (r#"{"source":{"type":"pan","account_number":"Jo","cardholder_name":"|"#, r#"|"}}"#),
    (r#"{"source":{"type":"pan","account_number":["|"#, r#"|"]}}"#),
    (r#"{"source":{"type":"pan","account_number":{"|"#, r#"|":1}}}"#),
    (r#"{"source":{"type":"pan","account_number":"#, "}}"),
    (r#"{"source":{"type":"pan","expiry_month":"#, "}}"),
    (r#"{"expires_in":"#, "}"),
    (r#"{"expires_in":"|"#, r#"|"}"#),
    (r#"{"expires_in":"#, ".5}"),
    (r#"{"metadata":"|"#, r#"|"}"#),
    // Not JSON, or not an object.
    (r#"{"source":{"type":"pan","account_number":"|"#, r#"|","expiry_month":12,"#),
    (r#"{"source":{"type":"pan","account_number":"|"#, "|"),
    (r#"{"source":{"type":"pan","account_number":"|"#, r#"|"}}x"#),
    (r#"{"source":{"type":"pan","account_number":"|"#, r#"|" "a"}}"#),
    (r#"{"|"#, r#"|" 1}"#),
    (r#"{"a":"#, "x}"),
    (r#"{"a":tru"#, "}"),
    (r#""|"#, r#"|""#),
    (r#"["|"#, r#"|"]"#),
    ("", ""),
    ("-", ""),
    ("{", "}"),
    ("\u{feff}{", "}"),
];

/// The same for a secret in a payload.
const REFUSED_PAYLOADS: &[(&str, &str)] = &[
    (r#"{"payload":{"|a|":"|"#, r#"|","b":null}}"#),
    (r#"{"payload":{"|a|":"|"#, r#"|","|a|":1}}"#),
    (r#"{"payload":{"|a|":"|"#, r#"|"},"expiration_time":0}"#),
    (r#"{"payload":{"|a|":"|"#, r#"|"},"type_id":"x"}"#),
    (r#"{"payload":{"a":1},"type_id":"|"#, r#"|"}"#),
    (r#"{"payload":{"a":["|"#, r#"|"]}}"#),
    (r#"{"payload":{"|a very long name of a key |"#, r#"|":1}}"#),
    (r#"{"payload":"|"#, r#"|"}"#),
    (r#"{"payload":["|"#, r#"|"]}"#),
    (r#"{"|"#, r#"|":1}"#),
    (r#"{"payload":{"a":"|"#, r#"|""#),
    (r#"{"payload":{"a":"#, "99999999}}"),
    (r#"{"payload":{"a":"#, ".00000000000000000000000001}}"),
    (r#"{"payload":{"a":"#, "e999}}"),
    (r#"{"payload":{"a":"#, ".}}"),
    (r#"{"payload":{"a":"#, "}} x"),
    (r#"{"payload":{"a":"#, ""),
];

#[test]
fn refused_requests() {
    let turn = turn();
    leaves_no_copy(&turn, || {
        for (before, after) in REFUSED_CARDS {
            for json in both_ways(&Own::of(&[before, PAN, after])) {
                let refused = CreatePci::from_json(&json.0).unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::Validation);
                drop(format!("{refused} {refused:?} {}", serde_json::to_string(&refused).unwrap()));
                CreateGeneric::from_json(&json.0).unwrap_err();
            }
        }
        for (before, after) in REFUSED_PAYLOADS {
            for secret in [TEXT, PAN, "-7315418862931471", "17315418862931471157", "7.315418862931471e-17"] {
                for json in both_ways(&Own::of(&[before, secret, after])) {
                    CreateGeneric::from_json(&json.0).unwrap_err();
                }
            }
        }
        // More pairs than a map may have, so that what was read is thrown away half way.
        let mut parts = vec![r#"{"payload":{"#];
        let keys: Vec<String> = (0..50).map(|at| format!(r#""k{at}":""#)).collect();
        for key in &keys {
            parts.extend([key.as_str(), TEXT, r#"","#]);
        }
        parts.push(r#""z":1}}"#);
        CreateGeneric::from_json(&Own::of(&parts).0).unwrap_err();
    });
}

/// Schemas of every keyword that looks at a payload; under some of them what follows is refused, for this reason or that.
const SCHEMAS: &[&str] = &[
    "{}",
    "false",
    r#"{"type":"array"}"#,
    r#"{"additionalProperties":false}"#,
    r#"{"properties":{"t":false,"s":false},"additionalProperties":false}"#,
    r#"{"properties":{"t":true},"additionalProperties":{"type":"boolean"}}"#,
    r#"{"unevaluatedProperties":false}"#,
    r#"{"properties":{"t":true},"unevaluatedProperties":{"type":"boolean"}}"#,
    r#"{"additionalProperties":{"type":["null","array"]}}"#,
    r#"{"additionalProperties":{"enum":["x",1,2.5,true,{"a":1}]}}"#,
    r#"{"additionalProperties":{"enum":["x","y"]}}"#,
    r#"{"additionalProperties":{"const":1.5}}"#,
    r#"{"const":{"t":"x","s":1,"u":1,"d":1}}"#,
    r#"{"enum":[{"t":"x"}]}"#,
    r#"{"additionalProperties":{"minLength":99,"minimum":1e300}}"#,
    r#"{"additionalProperties":{"maxLength":1,"maximum":-1e300}}"#,
    r#"{"additionalProperties":{"exclusiveMinimum":9e18,"exclusiveMaximum":-9e18}}"#,
    r#"{"additionalProperties":{"multipleOf":7}}"#,
    r#"{"additionalProperties":{"multipleOf":0.1}}"#,
    r#"{"additionalProperties":{"multipleOf":1e-300}}"#,
    r#"{"additionalProperties":{"multipleOf":1e300}}"#,
    r#"{"additionalProperties":{"multipleOf":18446744073709551615}}"#,
    r#"{"additionalProperties":{"type":"integer"}}"#,
    r#"{"additionalProperties":{"pattern":"^[a-z]+$"}}"#,
    r#"{"additionalProperties":{"pattern":"^x"}}"#,
    r#"{"additionalProperties":{"pattern":"(?:quartz|[0-9]{3})x|\\p{Lu}{9}"}}"#,
    r#"{"patternProperties":{"^[0-9]+$":{"type":"boolean"},"^t":{"maxLength":2}}}"#,
    r#"{"patternProperties":{"^[0-9]{16}$":false}}"#,
    r#"{"propertyNames":{"maxLength":2}}"#,
    r#"{"propertyNames":{"pattern":"^[a-z]+$"}}"#,
    r#"{"propertyNames":{"enum":["a"]}}"#,
    r#"{"propertyNames":false}"#,
    r#"{"required":["x"],"minProperties":9}"#,
    r#"{"maxProperties":1}"#,
    r#"{"anyOf":[{"required":["x"]},{"additionalProperties":{"type":"null"}}]}"#,
    r#"{"oneOf":[true,{"additionalProperties":true}]}"#,
    r#"{"not":{"additionalProperties":true}}"#,
    r#"{"if":{"properties":{"t":{"minLength":1}}},"then":{"properties":{"t":{"maxLength":1}}},"unevaluatedProperties":false}"#,
    r#"{"dependentSchemas":{"t":{"properties":{"s":false}}},"dependentRequired":{"s":["x"]}}"#,
];

#[test]
fn typed_payloads() {
    let turn = turn();
    leaves_no_copy(&turn, || {
        let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate().unwrap()).unwrap();
        let (signed, unsigned, double) = ("-7315418862931471", "17315418862931471157", "7.315418862931471e-17");
        let numbers = [r#","s":"#, signed, r#","u":"#, unsigned, r#","d":"#, double, "}}"];
        let text = [r#"{"payload":{"t":"|"#, TEXT, r#"|""#];
        let key = [r#","|"#, PAN, r#"|":"|"#, PAN, r#"|""#];
        let plain = Own::of(&[&text[..], &numbers].concat());
        let with_a_key = Own::of(&[&text[..], &key, &numbers].concat());
        let (mut kept, mut refused) = (0, 0);
        for schema in SCHEMAS {
            let id = vault.create_type(CreateType::new("a type", schema).unwrap()).unwrap().id;
            for json in both_ways(&plain).into_iter().chain(both_ways(&with_a_key)) {
                match vault.create_generic(CreateGeneric::from_json(&json.0).unwrap().type_id(id)) {
                    Ok(_) => kept += 1,
                    Err(error) => {
                        drop(format!("{error} {error:?} {}", serde_json::to_string(&error).unwrap()));
                        refused += 1;
                    }
                }
            }
        }
        assert!(kept >= 8 && refused >= 60, "{kept} {refused}");
    });
}

#[test]
fn requests_that_come_again_and_cards_that_are_found() {
    let turn = turn();
    leaves_no_copy(&turn, || {
        let store = common::shared::Shared::default();
        let open = |options: VaultOptions| options.open_with(store.clone(), common::keys()).unwrap();
        let card = Own::plain(&card_json(""));
        let made = open(VaultOptions::new()).create_pci(CreatePci::from_json(&card.0).unwrap()).unwrap();
        let vault = open(VaultOptions::new().fingerprints(Fingerprints::On));
        assert_eq!(vault.index_fingerprints().unwrap().indexed, 1);
        let pan = Pan::parse(PAN).unwrap();
        assert_eq!(vault.find_by_account_number(&pan).unwrap(), [token(made).id]);
        let duplicates = [Duplicates::Allow, Duplicates::ReturnExisting, Duplicates::UpdateExisting];
        for (key, duplicates) in ["a", "b", "c"].into_iter().zip(duplicates) {
            // A key that was chosen badly.
            for key in [key, PAN, TEXT] {
                for json in both_ways(&card_json("")) {
                    let request = CreatePci::from_json(&json.0).unwrap().duplicates(duplicates);
                    drop(vault.create_pci(request.idempotency_key(key).unwrap()));
                }
                for json in both_ways(&payload_json("")) {
                    let request = CreateGeneric::from_json(&json.0).unwrap();
                    vault.create_generic(request.idempotency_key(key).unwrap()).unwrap();
                }
            }
        }
        let too_long = Own::of(&[PAN; 5]);
        let too_long = std::str::from_utf8(&too_long.0).unwrap();
        let refused = CreateGeneric::new([("text", TEXT)]).unwrap().idempotency_key(too_long);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Validation);
    });
}

#[test]
fn many_at_once() {
    let turn = turn();
    leaves_no_copy(&turn, || {
        on_each_store(|vault| {
            let (card, payload) = (Own::plain(&card_json("")), Own::escaped(&payload_json("")));
            let bad = Own::of(&[r#"{"source":{"account_number":""#, PAN, r#""}}"#]);
            let cards = (0..300).map(|at| CreatePci::from_json(if at % 7 == 3 { &bad.0 } else { &card.0 }));
            assert_eq!(vault.create_pci_many(cards).filter(Result::is_err).count(), 43);
            let payloads = (0..300).map(|_| CreateGeneric::from_json(&payload.0));
            assert_eq!(vault.create_generic_many(payloads).flatten().count(), 300);
            // Left half way: what was read is wiped though nobody asks for its result.
            let mut cards = vault.create_pci_many((0..300).map(|_| CreatePci::from_json(&card.0)));
            cards.next().unwrap().unwrap();
        });
    });
}

/// What stands before and behind an account number where a session is completed, and refuses it.
const REFUSED_SOURCES: &[(&str, &str)] = &[
    (r#"{"type":"session","account_number":"|"#, r#"|","expiry_month":12,"expiry_year":2031}"#),
    (r#"{"type":"pan","account_number":"|"#, r#"|","expiry_month":12,"expiry_year":2031,"expires_in":9}"#),
    (r#"{"type":"pan","account_number":"|"#, r#"|","expiry_month":12}"#),
    (r#"{"type":"|"#, r#"|"}"#),
    (r#"{"source":{"type":"pan","account_number":"|"#, r#"|","expiry_month":12,"expiry_year":2031}}"#),
];

#[test]
fn sessions() {
    let turn = turn();
    leaves_no_copy(&turn, || {
        on_each_store(|vault| {
            let session = || match vault.create_pci(CreatePci::session()).unwrap() {
                PciCreated::Session(session) => session.session_id,
                PciCreated::Token(_) => panic!("a token"),
            };
            let source = Own::of(&[
                r#"{"type":"|pan|","account_number":"|"#,
                PAN,
                r#"|","expiry_month":12,"expiry_year":2031,"cardholder_name":"|Zo|"}"#,
            ]);
            for json in both_ways(&source) {
                let open = session();
                let made = vault.complete_session(open, CompleteSession::from_json(&json.0).unwrap()).unwrap();
                assert!(vault.reveal_pci(made.id, |card| card.account_number() == PAN).unwrap());
                let again = CompleteSession::from_json(&json.0).unwrap();
                assert_eq!(vault.complete_session(open, again).unwrap_err().kind(), ErrorKind::Conflict);
                let refresh = vault.refresh_security_code(made.id).unwrap();
                let other = CompleteSession::from_json(&json.0).unwrap();
                assert_eq!(vault.complete_session(refresh, other).unwrap_err().kind(), ErrorKind::Validation);
                drop(CompleteSession::from_json(&json.0).unwrap());
            }
            for (before, after) in REFUSED_SOURCES {
                for json in both_ways(&Own::of(&[before, PAN, after])) {
                    let refused = CompleteSession::from_json(&json.0).unwrap_err();
                    drop(format!("{refused} {refused:?}"));
                }
            }
        });
    });
}

#[test]
fn reveal_list_delete_and_sweep() {
    let turn = turn();
    leaves_no_copy(&turn, || {
        let clock = HandClock::at("2026-01-02T03:04:05.678Z");
        let vault = VaultOptions::new().clock(clock.clone());
        let vault = vault.open_with(MemoryStore::new(), KeyManager::generate().unwrap()).unwrap();
        let card = Own::plain(&card_json(r#","expires_in":9"#));
        let payload = Own::plain(&payload_json(r#","expiration_time":9"#));
        let make = || {
            let pci = token(vault.create_pci(CreatePci::from_json(&card.0).unwrap()).unwrap());
            (pci.id, vault.create_generic(CreateGeneric::from_json(&payload.0).unwrap()).unwrap().id)
        };
        let ((pci, generic), _, (gone, _)) = (make(), make(), make());
        assert!(format!("{:?}", vault.pci(pci).unwrap()).contains("453918******9184"));
        vault.generic(generic).unwrap();
        drop(serde_json::to_string(&vault.list_pci(Page::default()).unwrap()).unwrap());
        vault.list_generic(Page::first(1)).unwrap();
        assert!(
            vault.reveal_pci(pci, |card| card.account_number() == PAN && card.cardholder_name().is_some()).unwrap()
        );
        vault.generic_payload(generic, is_the_payload).unwrap();
        vault.stats().unwrap();
        vault.delete_pci(pci).unwrap();
        vault.delete_generic(generic).unwrap();
        vault.reveal_pci(pci, |_| ()).unwrap_err();
        clock.advance_millis(9_000);
        vault.reveal_pci(gone, |_| ()).unwrap_err();
        let report = vault.sweep().unwrap();
        assert_eq!((report.expired_pci, report.expired_generic), (1, 2));
    });
}

#[test]
fn changes() {
    let turn = turn();
    leaves_no_copy(&turn, || {
        on_each_store(|vault| {
            let pci = token(vault.create_pci(CreatePci::from_json(&Own::plain(&card_json("")).0).unwrap()).unwrap()).id;
            let payload = CreateGeneric::from_json(&Own::plain(&payload_json("")).0).unwrap();
            let generic = vault.create_generic(payload).unwrap().id;
            vault.update_pci(pci, UpdatePci::from_json(br#"{"expiry_year":2040,"expires_in":60}"#).unwrap()).unwrap();
            vault.update_pci(pci, UpdatePci::new().clear_cardholder_name().never_expires()).unwrap();
            assert!(vault.reveal_pci(pci, |card| card.account_number() == PAN).unwrap());
            vault.update_generic(generic, UpdateGeneric::new().expires_in(60).unwrap()).unwrap();
            vault.generic_payload(generic, is_the_payload).unwrap();
            assert_eq!(vault.pci_many([pci, generic]).flatten().count(), 1);
            // The number goes into a token that had another one, from JSON and from values.
            let other = PanSource::new(Pan::parse("4111111111111111").unwrap(), CardExpiry::new(1, 2030).unwrap());
            vault.replace_account_number(pci, other).unwrap();
            let source =
                Own::of(&[r#"{"type":"pan","expiry_month":1,"expiry_year":2030,"account_number":"|"#, PAN, r#"|"}"#]);
            for json in both_ways(&source) {
                vault.replace_account_number(pci, PanSource::from_json(&json.0).unwrap()).unwrap();
            }
            let source = PanSource::from_json(&Own::escaped(&source).0).unwrap();
            vault.replace_account_number(generic, source).unwrap_err();
        });
    });
}

#[test]
fn what_a_vault_refuses_itself() {
    let turn = turn();
    leaves_no_copy(&turn, || {
        let vault = VaultOptions::new().card_data_guard(CardDataGuard::On);
        let vault = vault.open_with(MemoryStore::new(), KeyManager::generate().unwrap()).unwrap();
        let id = vault.create_generic(CreateGeneric::new([("pin", "1")]).unwrap()).unwrap().id;
        // Metadata are no secret, and not wiped; a name and a payload are.
        for (before, after) in [
            (
                r#"{"source":{"type":"pan","account_number":"4111111111111111","expiry_month":1,"expiry_year":2030,"cardholder_name":"|"#,
                r#"|"}}"#,
            ),
            (
                r#"{"source":{"type":"pan","account_number":"4111111111111111","expiry_month":1,"expiry_year":2030,"cardholder_name":"|a "#,
                r#" 7|"}}"#,
            ),
        ] {
            for json in both_ways(&Own::of(&[before, PAN, after])) {
                let refused = vault.create_pci(CreatePci::from_json(&json.0).unwrap()).unwrap_err();
                drop(format!("{refused} {refused:?}"));
            }
        }
        for json in both_ways(&Own::of(&[r#"{"payload":{"a":"|"#, PAN, r#"|","b":"|%B"#, PAN, r#"^AB^1|"}}"#])) {
            let refused = vault.create_generic(CreateGeneric::from_json(&json.0).unwrap()).unwrap_err();
            assert_eq!(refused.violations().len(), 2);
        }
        for json in both_ways(&Own::of(&[r#"{"cardholder_name":"|"#, PAN, r#"|"}"#])) {
            vault.update_pci(id, UpdatePci::from_json(&json.0).unwrap()).unwrap_err();
        }
        // A field that is passed over may hold anything.
        let rules = Rules::new().unknown_fields(UnknownFields::Ignore);
        for json in both_ways(&Own::of(&[r#"{"number":"|"#, PAN, r#"|","payload":{"a":"b"},"|"#, PAN, r#"|":1}"#])) {
            vault.create_generic(CreateGeneric::from_json_with(&json.0, rules).unwrap()).unwrap();
        }
    });
}

#[test]
fn a_closure_that_panics() {
    let turn = turn();
    leaves_no_copy(&turn, || {
        on_each_store(|vault| {
            let pci = token(vault.create_pci(CreatePci::from_json(&Own::plain(&card_json("")).0).unwrap()).unwrap());
            let payload = CreateGeneric::from_json(&Own::plain(&payload_json("")).0).unwrap();
            let generic = vault.create_generic(payload).unwrap();
            // Unwinds as a panic does, past the hook, which would look up a backtrace in memory that is searched here.
            let unwind = |seen: bool| {
                if seen {
                    resume_unwind(Box::new(()))
                }
            };
            let panics = || vault.reveal_pci(pci.id, |card| unwind(card.account_number() == PAN));
            assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
            let panics = || vault.generic_payload(generic.id, |payload| unwind(!payload.is_empty()));
            assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        });
    });
}

/// Whether a body holds the account number.
fn holds_the_number(body: &[u8]) -> bool {
    body.windows(PAN.len()).any(|window| window == PAN.as_bytes())
}

#[test]
fn filled_templates() {
    let turn = turn();
    leaves_no_copy(&turn, || {
        on_each_store(|vault| {
            let pci = token(vault.create_pci(CreatePci::from_json(&Own::plain(&card_json("")).0).unwrap()).unwrap());
            let long = "a".repeat(100_000);
            let form = format!("{long}={{{{account_number}}}}&{long}={{{{account_number}}}}{{{{cardholder_name}}}}");
            for body in [
                Body::Json(
                    r#"{"n":"{{ account_number }}","h":"{{ cardholder_name | unwrap }}","y":"{{expiry_year|unwrap}}"}"#,
                ),
                Body::Xml("<n a='{{ account_number }}'>{{ account_number }}{{ cardholder_name }}</n>"),
                Body::Form(&form),
            ] {
                assert!(vault.fill(pci.id, body, holds_the_number).unwrap());
            }
            for body in
                [Body::Json(r#"["{{account_number}}","{{a}}"]"#), Body::Form("{{account_number}}{{security_code}}")]
            {
                vault.fill(pci.id, body, |_| ()).unwrap_err();
            }
            let unwind = |seen: bool| {
                if seen {
                    resume_unwind(Box::new(()))
                }
            };
            let panics =
                || vault.fill(pci.id, Body::Form("{{account_number}}"), |filled| unwind(holds_the_number(filled)));
            assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        });
    });
}

/// Looks at what it is to send; panics for one status, as the test asks it to.
struct Sender;

impl Forwarder for Sender {
    fn forward(&self, destination: &Destination, _: &str, body: &[u8]) -> Result<ForwardResponse, Error> {
        assert!(holds_the_number(body));
        match destination.as_str() {
            "https://psp.example/panic" => resume_unwind(Box::new(())),
            "https://psp.example/fail" => Err(Error::unavailable("the destination cannot be reached")),
            _ => Ok(ForwardResponse::new(200, Vec::new())),
        }
    }
}

#[test]
fn forwarded_templates_and_inquiries() {
    let turn = turn();
    leaves_no_copy(&turn, || {
        for style in [MaskStyle::FirstSixLastFour, MaskStyle::LastFour] {
            let options =
                VaultOptions::new().mask(style).forwarder(Sender).allow_destination("https://psp.example").unwrap();
            let vault = options.open_with(MemoryStore::new(), KeyManager::generate().unwrap()).unwrap();
            let pci = token(vault.create_pci(CreatePci::from_json(&Own::plain(&card_json("")).0).unwrap()).unwrap());
            let forward = |path: &str| {
                let url = format!("https://psp.example/{path}");
                vault.forward(pci.id, &url, Body::Json(r#"["{{ account_number }}"]"#))
            };
            assert_eq!(forward("").unwrap().status, 200);
            forward("fail").unwrap_err();
            assert!(catch_unwind(AssertUnwindSafe(|| forward("panic"))).is_err());

            vault.inquire(InquirySource::token(pci.id)).unwrap();
            vault.inquire(InquirySource::pan(Pan::parse(PAN).unwrap())).unwrap();
            let source = Own::of(&[r#"{"type":"pan","account_number":"|"#, PAN, r#"|","cardholder_name":"|Zo|"}"#]);
            for json in both_ways(&source) {
                assert_eq!(vault.inquire(InquirySource::from_json(&json.0).unwrap()).unwrap().bin, "453918");
            }
            let wrong = Own::of(&[r#"{"account_number":"|"#, PAN, r#"|","id":"|"#, PAN, r#"|","|"#, PAN, r#"|":1}"#]);
            for json in both_ways(&wrong) {
                InquirySource::from_json(&json.0).unwrap_err();
            }
        }
    });
}

/// Is ready at the second look.
struct OnceAsked(bool);

impl Future for OnceAsked {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[test]
fn what_is_lent_across_an_await() {
    let turn = turn();
    leaves_no_copy(&turn, || {
        on_each_store(|vault| {
            let pci = token(vault.create_pci(CreatePci::from_json(&Own::plain(&card_json("")).0).unwrap()).unwrap());
            let payload = CreateGeneric::from_json(&Own::plain(&payload_json("")).0).unwrap();
            let generic = vault.create_generic(payload).unwrap();
            let right = vault.reveal_pci_async(pci.id, async |card| {
                OnceAsked(false).await;
                card.account_number() == PAN
            });
            assert!(block_on(right).unwrap());
            let lent = vault.generic_payload_async(generic.id, async |payload| {
                OnceAsked(false).await;
                is_the_payload(payload);
            });
            block_on(lent).unwrap();
            // Given up in the middle.
            let mut given_up = Box::pin(vault.reveal_pci_async(pci.id, async |card| {
                OnceAsked(false).await;
                card.account_number().len()
            }));
            assert!(given_up.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            drop(given_up);
        });
    });
}

/// A store of a forged vault, with so many data keys.
fn forged(data_keys: u8) -> MemoryStore {
    let forger = forger();
    let first = forge::ring_row(1, 1, 1, DATA);
    let older = (2..=data_keys).map(|number| forge::ring_row(1, number.into(), 2, [number; 32]));
    let others = [forge::ring_row(2, 1, 1, INDEX), forge::ring_row(3, 1, 1, [3; 32])];
    let rows: Vec<u8> = [first].into_iter().chain(older).chain(others).flatten().collect();
    let ring = [&u16::from(data_keys + 2).to_le_bytes()[..], &rows].concat();
    let store = MemoryStore::new();
    store.write_anchor(&forger.anchor_of(1, &forger.settings(FIRST_SIX_LAST_FOUR, BY_KEY), &ring)).unwrap();
    drop([rows, ring].map(Own));
    store
}

#[test]
fn keys() {
    let turn = turn();
    for data_keys in [1, 9] {
        let (store, same) = (forged(data_keys), forged(data_keys));
        leaves_no_copy(&turn, || {
            let options = VaultOptions::new().fingerprints(Fingerprints::On);
            let vault = options.open_with(store, KeyManager::from_key(&mut ROOT.clone())).unwrap();
            let request = CreateGeneric::new([("pin", "1234")]).unwrap().idempotency_key("k").unwrap();
            vault.create_generic(request).unwrap();
            vault.find_by_account_number(&Pan::parse("4111111111111111").unwrap()).unwrap();
            vault.stats().unwrap();
            vault.close().unwrap();
        });
        leaves_no_copy(&turn, || {
            let mut wrong = ROOT;
            wrong[0] ^= 1;
            let refused = VaultOptions::new().open_with(same, KeyManager::from_key(&mut wrong)).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::KeyFailure);
        });
    }
}

#[test]
fn keys_from_files() {
    let turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let (hex, base64) = (common::text::hex(&ROOT), common::text::base64(&ROOT));
    // Three that are keys, and three that are none.
    let texts = [
        ROOT.to_vec(),
        format!("{hex}\n").into_bytes(),
        format!("{base64}=").into_bytes(),
        format!("{hex}0").into_bytes(),
        format!("{base64}!").into_bytes(),
        hex.replacen('3', "g", 1).into_bytes(),
    ];
    drop([hex, base64].map(|text| Own(text.into_bytes())));
    let mut names = ["raw", "hex", "base64", "hex and more", "base64 and more", "no hex"].into_iter();
    let paths = texts.map(|text| {
        let text = Own(text);
        let path = folder.path().join(names.next().unwrap());
        std::fs::write(&path, &text.0).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    });
    for path in paths {
        leaves_no_copy(&turn, || drop(KeyManager::from_key_file(&path)));
    }
}

#[test]
fn a_pass_phrase_and_its_work_area() {
    let turn = turn();
    let store = common::shared::Shared::default();
    leaves_no_copy(&turn, || {
        for _ in 0..2 {
            let phrase = String::from_utf8(PHRASE.as_bytes().to_vec()).unwrap();
            let keys = KeyManager::from_passphrase(phrase).unwrap();
            VaultOptions::new().open_with(store.clone(), keys).unwrap().close().unwrap();
        }
    });
}

/// A key service that gives a key it has never been asked to wrap.
struct Foreign;

impl tokenvault::KeyWrapper for Foreign {
    fn wrap_key(&self, _: &[u8; 32]) -> Result<Vec<u8>, Error> {
        Ok(b"the service keeps it".to_vec())
    }

    fn unwrap_key(&self, _: &[u8], key: &mut [u8; 32]) -> Result<(), Error> {
        *key = ROOT;
        Ok(())
    }
}

#[test]
fn a_key_from_a_service() {
    let turn = turn();
    let store = common::shared::Shared::default();
    leaves_no_copy(&turn, || {
        let refused = VaultOptions::new().open_with(store, KeyManager::from_wrapper(Foreign)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::KeyFailure);
    });
}
