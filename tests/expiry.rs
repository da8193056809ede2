//! Promise: a token is gone at the instant of its expiry, whoever asks first, and leaves no trace once somebody has.
//!
//! Time is moved by hand. Where threads race, what they removed is counted, and the counts add up.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use tokenvault::store::{Batch, Committed, MemoryStore, Table, Write};
use tokenvault::{Clock, CreateGeneric, Error, ErrorKind, Page, SweepReport, Sweeper, TokenId, Vault, VaultOptions};

use common::clock::HandClock;
use common::counts;
use common::kinds::{GENERIC, KINDS, Kind, PCI};
use common::meddled::Meddled;
use common::shared::Shared;
use common::threads::at_once;
use common::{keys, vault, violations};

/// What a sweep has removed: generic, PCI, other; and what remains.
fn swept(report: &SweepReport) -> (u64, u64, u64, u64) {
    assert_eq!(report.expired_sessions, 0, "there are none");
    (report.expired_generic, report.expired_pci, report.expired_other, report.remaining)
}

/// Makes so many tokens that live as many seconds.
fn create(kind: &Kind, vault: &Vault, lifetime: u64, count: u64) {
    for _ in 0..count {
        (kind.create)(vault, Some(lifetime)).unwrap();
    }
}

/// Every way to ask for one token.
type Ask = (&'static str, fn(&Kind, &Vault, TokenId) -> Result<(), Error>);
const ASKS: [Ask; 3] = [
    ("view", |kind, vault, id| (kind.view)(vault, id).map(drop)),
    ("reveal", |kind, vault, id| (kind.reveal)(vault, id).map(drop)),
    ("delete", |kind, vault, id| (kind.delete)(vault, id)),
];

// Who asks for one token.

#[test]
fn a_token_lives_until_the_millisecond_before_its_expiry() {
    for kind in KINDS {
        for (name, ask) in ASKS {
            let (vault, clock) = vault();
            let id = (kind.create)(&vault, Some(60)).unwrap();
            clock.advance_millis(59_999);
            assert!((kind.view)(&vault, id).is_ok() && (kind.reveal)(&vault, id).is_ok());
            assert_eq!((kind.list)(&vault, Page::default()).unwrap().0, [id]);
            assert_eq!(swept(&vault.sweep().unwrap()), (0, 0, 0, 0));
            clock.advance_millis(1);
            assert_eq!(ask(&kind, &vault, id).unwrap_err().kind(), ErrorKind::NotFound, "{name}");
        }
    }
}

#[test]
fn a_delete_in_the_last_millisecond_is_a_delete() {
    for kind in KINDS {
        let (vault, clock) = vault();
        let id = (kind.create)(&vault, Some(1)).unwrap();
        clock.advance_millis(999);
        (kind.delete)(&vault, id).unwrap();
        assert_eq!(counts(&vault), (0, 0, 0));
    }
}

#[test]
fn whoever_asks_for_an_expired_token_removes_it_with_its_row_of_the_index() {
    for kind in KINDS {
        for (name, ask) in ASKS {
            let (vault, clock) = vault();
            let lasting = KINDS.map(|kind| (kind.create)(&vault, Some(600)).unwrap());
            let id = (kind.create)(&vault, Some(60)).unwrap();
            assert_eq!(counts(&vault).2, 3);
            clock.advance_millis(60_000);
            assert_eq!(counts(&vault).2, 3, "time alone removes nothing");
            assert!(ask(&kind, &vault, id).is_err());
            assert_eq!(counts(&vault), (1, 1, 2), "{name} of a {} token", kind.name);
            assert!(KINDS.iter().zip(lasting).all(|(kind, id)| (kind.view)(&vault, id).is_ok()));
            clock.advance_millis(-60_000);
            assert!(ask(&kind, &vault, id).is_err(), "what was removed does not come back with the time");
        }
    }
}

#[test]
fn asking_as_the_other_kind_removes_nothing() {
    let (vault, clock) = vault();
    let ids = KINDS.map(|kind| (kind.create)(&vault, Some(60)).unwrap());
    clock.advance_millis(60_000);
    for (_, ask) in ASKS {
        assert!(ask(&GENERIC, &vault, ids[1]).is_err() && ask(&PCI, &vault, ids[0]).is_err());
    }
    assert_eq!(counts(&vault), (1, 1, 2));
}

#[test]
fn a_token_without_a_lifetime_never_expires() {
    let (vault, clock) = vault();
    let ids = KINDS.map(|kind| (kind.create)(&vault, None).unwrap());
    assert_eq!(counts(&vault), (1, 1, 0));
    clock.advance_millis(1_000 * 60 * 60 * 24 * 365 * 1_000);
    assert_eq!(swept(&vault.sweep().unwrap()), (0, 0, 0, 0));
    assert!(KINDS.iter().zip(ids).all(|(kind, id)| (kind.reveal)(&vault, id).is_ok()));
}

#[test]
fn an_expired_token_is_gone_also_after_the_vault_was_opened_again() {
    let (shared, clock) = (Shared::default(), HandClock::at("2026-01-02T03:04:05.678Z"));
    let open = || VaultOptions::new().clock(clock.clone()).open_with(shared.clone(), keys()).unwrap();
    let vault = open();
    let ids = KINDS.map(|kind| (kind.create)(&vault, Some(60)).unwrap());
    drop(vault);
    clock.advance_millis(59_999);
    assert!((PCI.reveal)(&open(), ids[1]).is_ok());
    clock.advance_millis(1);
    let vault = open();
    assert_eq!((GENERIC.view)(&vault, ids[0]).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(swept(&vault.sweep().unwrap()), (0, 1, 0, 0));
    assert_eq!(counts(&vault), (0, 0, 0));
}

// Lists.

#[test]
fn a_list_passes_over_what_has_expired_and_fills_the_page() {
    for kind in KINDS {
        let (vault, clock) = vault();
        // One in four lasts, so that a page of ten meets many that have expired.
        let mut lasting: Vec<_> = (0..100)
            .filter_map(|at| {
                let lifetime = (at % 4 != 0).then_some(60);
                let id = (kind.create)(&vault, lifetime).unwrap();
                lifetime.is_none().then_some(id)
            })
            .collect();
        lasting.sort();
        let before = counts(&vault);
        clock.advance_millis(60_000);
        let (first, next) = (kind.list)(&vault, Page::first(10)).unwrap();
        assert_eq!(first, lasting[..10]);
        assert!(next.unwrap().ends_with(&format!("?limit=10&after={}", lasting[9])));
        let (second, next) = (kind.list)(&vault, Page::first(15).after(lasting[9])).unwrap();
        assert_eq!((second.as_slice(), next), (&lasting[10..], None), "nothing but expired ones behind: no next page");
        assert_eq!(counts(&vault), before, "a list only skips");
    }
}

#[test]
fn a_list_of_nothing_but_expired_tokens_is_empty() {
    for kind in KINDS {
        let (vault, clock) = vault();
        create(&kind, &vault, 1, 30);
        clock.advance_millis(1_000);
        assert_eq!((kind.list)(&vault, Page::first(1)).unwrap(), (vec![], None));
    }
}

// Sweeps.

#[test]
fn a_sweep_of_nothing_removes_nothing_and_has_no_progress() {
    let (vault, clock) = vault();
    let progress = |_: &SweepReport| panic!("no batch");
    assert_eq!(vault.sweep_with(progress).unwrap(), SweepReport::default());
    create(&GENERIC, &vault, 60, 1);
    create(&PCI, &vault, 60, 1);
    clock.advance_millis(59_999);
    assert_eq!(vault.sweep_with(progress).unwrap(), SweepReport::default());
}

#[test]
fn a_sweep_removes_what_has_expired_and_nothing_else_and_counts_it() {
    let (vault, clock) = vault();
    for lifetime in [None, Some(1), Some(60), Some(61)] {
        (GENERIC.create)(&vault, lifetime).unwrap();
        (PCI.create)(&vault, lifetime).unwrap();
        (PCI.create)(&vault, lifetime).unwrap();
    }
    clock.advance_millis(60_000);
    assert_eq!(swept(&vault.sweep().unwrap()), (2, 4, 0, 0));
    assert_eq!(counts(&vault), (2, 4, 3));
    assert_eq!(swept(&vault.sweep().unwrap()), (0, 0, 0, 0));
    clock.advance_millis(1_000);
    assert_eq!(swept(&vault.sweep().unwrap()), (1, 2, 0, 0));
    assert_eq!(counts(&vault), (1, 2, 0));
}

#[test]
fn a_long_sweep_goes_in_batches_and_tells_its_progress() {
    let (vault, clock) = vault();
    let request = |_| CreateGeneric::new([("pin", "1234")])?.expires_in(60);
    assert!(vault.create_generic_many((0..600).map(request)).all(|result| result.is_ok()));
    create(&PCI, &vault, 30, 40);
    clock.advance_millis(60_000);
    let mut told = Vec::new();
    let report = vault.sweep_with(|progress| told.push(*progress)).unwrap();
    assert_eq!(swept(&report), (600, 40, 0, 0));
    assert_eq!(told.last(), Some(&report));
    let totals: Vec<_> = told.iter().map(|report| report.expired_generic + report.expired_pci).collect();
    assert_eq!(totals, [256, 512, 640], "at most 256 a batch, the earliest expiry first");
    assert_eq!(told[0].expired_pci, 40);
    assert_eq!(counts(&vault), (0, 0, 0));
}

#[test]
fn a_progress_that_panics_leaves_a_vault_that_works() {
    let (vault, clock) = vault();
    create(&GENERIC, &vault, 60, 300);
    clock.advance_millis(60_000);
    let sweep = std::panic::AssertUnwindSafe(|| vault.sweep_with(|_| panic!("progress")));
    assert!(std::panic::catch_unwind(sweep).is_err());
    assert_eq!(counts(&vault), (44, 0, 44), "what was removed stays removed");
    assert_eq!(swept(&vault.sweep().unwrap()), (44, 0, 0, 0));
}

// Races.

#[test]
fn sweeps_that_race_share_the_work_and_their_counts_add_up() {
    for round in 0..6 {
        let (vault, clock) = vault();
        let count = 150 + round * 100;
        for kind in KINDS {
            create(&kind, &vault, 60, count);
        }
        clock.advance_millis(60_000);
        let reports = at_once(4, |_| vault.sweep().unwrap());
        let sum = |of: fn(&SweepReport) -> u64| reports.iter().map(of).sum::<u64>();
        assert_eq!(sum(|report| report.expired_generic), count);
        assert_eq!(sum(|report| report.expired_pci), count);
        assert_eq!(sum(|report| report.expired_other + report.remaining), 0);
        assert_eq!(counts(&vault), (0, 0, 0));
    }
}

/// None finds what another one has removed just before, or is refused for it.
#[test]
fn sweeps_that_race_are_not_in_each_others_way() {
    let (store, clock) = (Meddled::default(), HandClock::at("2026-01-02T03:04:05.678Z"));
    let vault = VaultOptions::new().clock(clock.clone()).open_with(store.clone(), keys()).unwrap();
    create(&GENERIC, &vault, 60, 3_000);
    clock.advance_millis(60_000);
    store.judged();
    let reports = at_once(4, |_| vault.sweep().unwrap());
    assert_eq!(reports.iter().map(|report| report.expired_generic).sum::<u64>(), 3_000);
    let judged = store.judged();
    let refused = judged.iter().filter(|judged| **judged != Committed::Applied).count();
    assert_eq!((judged.len(), refused), (3_000_usize.div_ceil(256), 0));
}

/// Whoever hears of the progress may sweep too.
#[test]
fn a_sweep_may_be_asked_for_in_the_middle_of_another() {
    let (vault, clock) = vault();
    create(&GENERIC, &vault, 60, 600);
    clock.advance_millis(60_000);
    let mut within = 0;
    let report = vault.sweep_with(|_| within += vault.sweep().unwrap().expired_generic).unwrap();
    assert_eq!((report.expired_generic, within), (256, 344));
}

fn is_of_a_sweep(batch: &Batch) -> bool {
    batch.writes().iter().any(|write| matches!(write, Write::Remove(Table::Expiry, _)))
}

#[test]
fn a_sweep_rests_while_callers_wait_for_commits() {
    const BATCHES: u64 = 8;
    const TAKES: Duration = Duration::from_millis(20);
    let (store, clock) = (Meddled::default(), HandClock::at("2026-01-02T03:04:05.678Z"));
    let vault = VaultOptions::new().clock(clock.clone()).open_with(store.clone(), keys()).unwrap();
    create(&GENERIC, &vault, 60, BATCHES * 256);
    clock.advance_millis(60_000);
    // When each commit of the sweep began, and ended.
    let [starts, ends] = [Arc::<Mutex<Vec<Instant>>>::default(), Arc::default()];
    let (begun, ended, caller) = (Arc::clone(&starts), Arc::clone(&ends), vault.clone());
    let slowly = move |batch: &Batch| {
        if is_of_a_sweep(batch) {
            begun.lock().unwrap().push(Instant::now());
            (GENERIC.create)(&caller, None).unwrap();
            thread::sleep(TAKES);
        }
    };
    store.around_commits(slowly, move |batch| {
        if is_of_a_sweep(batch) {
            ended.lock().unwrap().push(Instant::now());
        }
    });
    assert_eq!(vault.sweep().unwrap().expired_generic, BATCHES * 256);
    store.around_commits(|_| (), |_| ());
    let (starts, ends) = (starts.lock().unwrap(), ends.lock().unwrap());
    let rests: Vec<_> = starts.iter().skip(1).zip(&*ends).map(|(start, end)| *start - *end).collect();
    assert_eq!(rests.len() as u64, BATCHES - 1);
    assert!(rests.iter().all(|rest| *rest >= TAKES / 2), "{rests:?}");
}

/// Every token is removed by exactly one: a delete that succeeds, a sweep that counts it, or a read that finds it expired,
/// which nobody counts. So deletes and sweeps race before expiry and at it, and reads are kept out.
#[test]
fn deletes_and_sweeps_that_race_remove_each_token_once() {
    for _ in 0..8 {
        let (vault, clock) = vault();
        let ids: Vec<_> = (0..400).map(|_| (PCI.create)(&vault, Some(60)).unwrap()).collect();
        clock.advance_millis(59_999);
        let outcomes = at_once(3, |thread| match thread {
            0 => {
                let deleted = ids.iter().map(|id| (PCI.delete)(&vault, *id));
                let (done, late): (Vec<_>, Vec<_>) = deleted.partition(Result::is_ok);
                let all_gone = late.iter().all(|late| late.as_ref().unwrap_err().kind() == ErrorKind::NotFound);
                assert!(all_gone, "a delete that lost says not found");
                (done.len() as u64, late.len() as u64)
            }
            1 => {
                clock.advance_millis(1);
                (vault.sweep().unwrap().expired_pci, 0)
            }
            _ => {
                let report = vault.sweep().unwrap();
                assert_eq!((report.expired_other, report.remaining), (0, 0));
                (report.expired_pci, 0)
            }
        });
        let removed: u64 = outcomes.iter().map(|outcome| outcome.0).sum();
        let uncounted = outcomes[0].1;
        assert!(removed <= 400 && removed + uncounted >= 400, "{outcomes:?}");
        assert_eq!(counts(&vault), (0, 0, 0));
    }
}

#[test]
fn reads_that_race_with_a_sweep_answer_not_found_and_leave_nothing() {
    for kind in KINDS {
        let (vault, clock) = vault();
        let ids: Vec<_> = (0..300).map(|_| (kind.create)(&vault, Some(60)).unwrap()).collect();
        clock.advance_millis(60_000);
        at_once(3, |thread| match thread {
            0 => assert_eq!(vault.sweep().unwrap().remaining, 0),
            1 => ids.iter().for_each(|id| assert_not_found((kind.view)(&vault, *id))),
            _ => ids.iter().rev().for_each(|id| assert_not_found((kind.reveal)(&vault, *id))),
        });
        assert_eq!(counts(&vault), (0, 0, 0));
    }
}

fn assert_not_found(outcome: Result<String, Error>) {
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::NotFound);
}

// The thread that sweeps.

/// Waits until something is so; it fails if that takes half a minute.
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}");
        thread::yield_now();
    }
}

/// A clock that hears when the thread of a sweeper reads it and when that thread ends.
struct Listening {
    clock: HandClock,
    ended: Sender<()>,
    readings: Arc<AtomicUsize>,
}

impl Clock for Listening {
    fn now(&self) -> DateTime<Utc> {
        thread_local! {
            static FAREWELL: RefCell<Option<Farewell>> = const { RefCell::new(None) };
        }
        if thread::current().name() == Some("tokenvault-sweeper") {
            self.readings.fetch_add(1, Ordering::SeqCst);
            FAREWELL.set(Some(Farewell(self.ended.clone())));
        }
        self.clock.now()
    }
}

/// Said when the thread reads the clock once more, or ends.
struct Farewell(Sender<()>);

impl Drop for Farewell {
    fn drop(&mut self) {
        // Nobody listens any more at the end of some tests.
        let _unheard = self.0.send(());
    }
}

fn listening_vault() -> (Vault, HandClock, Receiver<()>) {
    let (vault, clock, ends, _) = counting_vault();
    (vault, clock, ends)
}

fn counting_vault() -> (Vault, HandClock, Receiver<()>, Arc<AtomicUsize>) {
    let (ended, ends) = channel();
    let clock = HandClock::at("2026-01-02T03:04:05.678Z");
    let readings = Arc::default();
    let listening = Listening { clock: clock.clone(), ended, readings: Arc::clone(&readings) };
    let vault = VaultOptions::new().clock(listening).open_with(MemoryStore::new(), keys()).unwrap();
    (vault, clock, ends, readings)
}

/// How many farewells were heard since the last time.
fn farewells(ends: &Receiver<()>) -> usize {
    ends.try_iter().count()
}

const OFTEN: Duration = Duration::from_millis(1);
const NEVER_AGAIN: Duration = Duration::from_hours(1);

#[test]
fn a_sweeper_sweeps_at_once_and_again() {
    let (vault, clock) = vault();
    create(&GENERIC, &vault, 60, 1);
    create(&PCI, &vault, 60, 1);
    clock.advance_millis(60_000);
    let sweeper = vault.start_sweeper(NEVER_AGAIN).unwrap();
    wait_until("the first sweep", || sweeper.last().is_some());
    assert_eq!(swept(&sweeper.last().unwrap().unwrap()), (1, 1, 0, 0), "long before the interval is over");
    assert_eq!(counts(&vault), (0, 0, 0));
    drop(sweeper);

    let sweeper = vault.start_sweeper(OFTEN).unwrap();
    for _ in 0..3 {
        (PCI.create)(&vault, Some(60)).unwrap();
        clock.advance_millis(60_000);
        wait_until("another sweep", || counts(&vault) == (0, 0, 0));
    }
    assert!(sweeper.last().unwrap().is_ok());
}

#[test]
fn a_sweeper_that_is_dropped_finishes_its_batch_and_not_its_sweep() {
    let (vault, clock) = vault();
    let requests = (0..20_000).map(|_| CreateGeneric::new([("pin", "1234")]).and_then(|request| request.expires_in(1)));
    assert!(vault.create_generic_many(requests).all(|created| created.is_ok()));
    clock.advance_millis(1_000);
    let sweeper = vault.start_sweeper(Duration::from_hours(1)).unwrap();
    wait_until("the sweep has begun", || vault.stats().unwrap().generic_tokens < 20_000);
    drop(sweeper);
    let left = vault.stats().unwrap().generic_tokens;
    assert!(left > 0, "the whole sweep was waited for");
    assert_eq!(vault.sweep().unwrap().expired_generic, left);
}

#[test]
fn a_sweeper_that_is_dropped_has_stopped() {
    let (vault, clock, ends) = listening_vault();
    let sweeper = vault.start_sweeper(OFTEN).unwrap();
    wait_until("a sweep", || sweeper.last().is_some());
    drop(sweeper);
    assert!(farewells(&ends) > 0, "its thread has ended");
    (PCI.create)(&vault, Some(60)).unwrap();
    clock.advance_millis(60_000);
    assert_eq!((farewells(&ends), counts(&vault)), (0, (0, 1, 1)), "nobody sweeps any more");
    assert_eq!(swept(&vault.sweep().unwrap()), (0, 1, 0, 0), "the vault lives on");
}

#[test]
fn a_sweeper_with_a_long_interval_stops_without_waiting_for_it() {
    let (vault, _, ends) = listening_vault();
    let sweeper = vault.start_sweeper(NEVER_AGAIN).unwrap();
    wait_until("a sweep", || sweeper.last().is_some());
    assert_eq!(farewells(&ends), 0, "it sleeps");
    drop(sweeper);
    assert_eq!(farewells(&ends), 1);
}

#[test]
fn closing_the_vault_stops_its_sweepers() {
    let (vault, _, ends) = listening_vault();
    let sweepers: Vec<Sweeper> = (0..3).map(|_| vault.start_sweeper(NEVER_AGAIN).unwrap()).collect();
    wait_until("a sweep of each", || sweepers.iter().all(|sweeper| sweeper.last().is_some()));
    vault.close().unwrap();
    assert_eq!(farewells(&ends), 3);
    assert!(sweepers.iter().all(|sweeper| sweeper.last().unwrap().is_ok()));
    assert_eq!(vault.start_sweeper(OFTEN).unwrap_err().kind(), ErrorKind::Unavailable);
}

#[test]
fn a_sweeper_that_is_started_while_the_vault_is_closed_stops_too() {
    for _ in 0..150 {
        let (vault, _, ends, readings) = counting_vault();
        let sweepers = at_once(2, |thread| match thread {
            0 => vault.start_sweeper(NEVER_AGAIN).ok(),
            _ => vault.close().map(|()| None).unwrap(),
        });
        // Each reading of the clock is followed by another or by the end of the thread: so none is left without.
        assert_eq!(farewells(&ends), readings.load(Ordering::SeqCst));
        drop(sweepers);
    }
}

#[test]
fn a_sweeper_keeps_no_vault_open() {
    let (vault, _, ends) = listening_vault();
    let sweeper = vault.start_sweeper(NEVER_AGAIN).unwrap();
    wait_until("a sweep", || sweeper.last().is_some());
    drop(vault);
    assert_eq!(farewells(&ends), 1, "the last handle closes the vault, and so stops it");
    drop(sweeper);
}

#[test]
fn an_interval_of_zero_is_refused() {
    let (vault, _) = vault();
    let error = vault.start_sweeper(Duration::ZERO).unwrap_err();
    assert_eq!(violations(&error), [("$.interval", "must be longer than zero")]);
}

// The index.

/// Something that may happen to a vault.
#[derive(Clone, Debug)]
enum Step {
    Create { pci: bool, lifetime: Option<u64> },
    Delete(prop::sample::Index),
    View(prop::sample::Index),
    Advance(i64),
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (any::<bool>(), prop::option::weighted(0.7, 1_u64..20)).prop_map(|(pci, lifetime)| Step::Create { pci, lifetime }),
        2 => any::<prop::sample::Index>().prop_map(Step::Delete),
        1 => any::<prop::sample::Index>().prop_map(Step::View),
        2 => (0_i64..8_000).prop_map(Step::Advance),
        1 => Just(Step::Sweep),
    ]
}

/// A token that the vault should still hold, expired or not: its kind, and when it expires.
#[derive(Clone, Copy, Debug)]
struct Held {
    pci: bool,
    id: TokenId,
    expires_at: Option<i64>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// The expiry index has one row for each token with an expiry that is still there, and none else.
    #[test]
    fn the_index_is_exact_after_any_steps(steps in prop::collection::vec(step(), 1..60)) {
        let (vault, clock) = vault();
        let (mut now, mut held) = (0_i64, Vec::<Held>::new());
        for step in steps {
            match step {
                Step::Create { pci, lifetime } => {
                    let id = (KINDS[usize::from(pci)].create)(&vault, lifetime).unwrap();
                    let expires_at = lifetime.map(|seconds| now + 1_000 * i64::try_from(seconds).unwrap());
                    held.push(Held { pci, id, expires_at });
                }
                Step::Delete(_) | Step::View(_) if held.is_empty() => {}
                Step::Delete(index) => {
                    let Held { pci, id, expires_at } = held.swap_remove(index.index(held.len()));
                    let outcome = (KINDS[usize::from(pci)].delete)(&vault, id);
                    prop_assert_eq!(outcome.is_ok(), expires_at.is_none_or(|at| now < at));
                }
                Step::View(index) => {
                    let at = index.index(held.len());
                    let Held { pci, id, expires_at } = held[at];
                    let lives = expires_at.is_none_or(|at| now < at);
                    prop_assert_eq!((KINDS[usize::from(pci)].view)(&vault, id).is_ok(), lives);
                    if !lives {
                        held.swap_remove(at);
                    }
                }
                Step::Advance(millis) => {
                    clock.advance_millis(millis);
                    now += millis;
                }
                Step::Sweep => {
                    let report = vault.sweep().unwrap();
                    let expired = |pci| held.iter().filter(|own| own.pci == pci && own.expires_at.is_some_and(|at| now >= at)).count() as u64;
                    prop_assert_eq!(swept(&report), (expired(false), expired(true), 0, 0));
                    held.retain(|own| own.expires_at.is_none_or(|at| now < at));
                }
            }
            let count = |which: fn(&Held) -> bool| held.iter().filter(|own| which(own)).count() as u64;
            let expected = (count(|own| !own.pci), count(|own| own.pci), count(|own| own.expires_at.is_some()));
            prop_assert_eq!(counts(&vault), expected);
        }
    }
}
