//! Promise: a clock that misbehaves costs no data. What was seen as expired stays gone when the clock goes back; what expires by
//! a leap of wall time alone is not found and stays.
//!
//! Both hands of the clock are moved by the test: the wall clock can be set, monotonic time only passes.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use tokenvault::card::{CardExpiry, Pan};
use tokenvault::store::Table;
use tokenvault::{
    Clock, CreateGeneric, CreatePci, Duplicates, Error, ErrorKind, Fingerprints, Page, PanSource, SweepReport,
    SystemClock, TokenId, UpdateGeneric, UpdatePci, Vault, VaultOptions,
};

use common::clock::{HandClock, TwoHandClock};
use common::counts;
use common::forge::{Forger, Header};
use common::kinds::{GENERIC, KINDS, Kind, PCI};
use common::meddled::Meddled;
use common::shared::Shared;
use common::{keys, token};

const BEGIN: &str = "2026-01-02T03:04:05.678Z";
const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;
/// Where the vault remembers its mark.
const MARK: &[u8; 16] = b"clock.high-water";

fn open(store: &Shared, clock: impl Clock) -> Result<Vault, Error> {
    VaultOptions::new().clock(clock).open_with(store.clone(), keys())
}

fn begin() -> (Shared, TwoHandClock, Vault) {
    let (store, clock) = (Shared::default(), TwoHandClock::at(BEGIN));
    let vault = open(&store, clock.clone()).unwrap();
    (store, clock, vault)
}

/// Generic, PCI, other; remaining.
fn swept(report: &SweepReport) -> (u64, u64, u64, u64) {
    (report.expired_generic, report.expired_pci, report.expired_other, report.remaining)
}

fn is_gone(kind: &Kind, vault: &Vault, id: TokenId) -> bool {
    let outcomes = [(kind.view)(vault, id).map(drop), (kind.reveal)(vault, id).map(drop)];
    let gone = outcomes.map(|outcome| outcome.map_err(|error| assert_eq!(error.kind(), ErrorKind::NotFound)).is_err());
    assert_eq!(gone[0], gone[1]);
    gone[0]
}

fn listed(kind: &Kind, vault: &Vault) -> Vec<TokenId> {
    (kind.list)(vault, Page::first(100)).unwrap().0
}

/// What can be changed of a token of either kind.
fn prolong(kind: &Kind, vault: &Vault, id: TokenId, seconds: u64) -> Result<(), Error> {
    if kind.name == "pci" {
        return vault.update_pci(id, UpdatePci::new().expires_in(seconds)?).map(drop);
    }
    vault.update_generic(id, UpdateGeneric::new().expires_in(seconds)?).map(drop)
}

// A clock that goes back.

#[test]
fn what_a_list_passed_over_stays_gone_when_the_clock_goes_back() {
    for kind in KINDS {
        let (store, clock, vault) = begin();
        let (short, long) = ((kind.create)(&vault, Some(60)).unwrap(), (kind.create)(&vault, Some(7_200)).unwrap());
        clock.advance_millis(60 * SECOND);
        assert_eq!(listed(&kind, &vault), [long]);
        assert_eq!(counts(&vault).2, 2, "a list removes nothing");
        clock.leap_millis(-30 * SECOND);
        assert_eq!(listed(&kind, &vault), [long]);
        assert!(is_gone(&kind, &vault, short) && !is_gone(&kind, &vault, long));
        assert_eq!(counts(&vault).2, 1, "and whoever asks for it removes it");
        assert_eq!(prolong(&kind, &vault, short, 60).unwrap_err().kind(), ErrorKind::NotFound);
        drop((store, vault));
    }
}

#[test]
fn what_nobody_saw_as_expired_is_there_again_with_the_time() {
    for kind in KINDS {
        let (_, clock, vault) = begin();
        let (seen, unseen) = ((kind.create)(&vault, Some(60)).unwrap(), (kind.create)(&vault, Some(61)).unwrap());
        clock.advance_millis(60 * SECOND);
        listed(&kind, &vault);
        clock.advance_millis(SECOND);
        clock.leap_millis(-50 * SECOND);
        assert!(is_gone(&kind, &vault, seen) && !is_gone(&kind, &vault, unseen), "nobody has asked since it expired");
    }
}

#[test]
fn a_mark_is_kept_when_the_vault_is_closed_in_order() {
    for kind in KINDS {
        let (store, clock, vault) = begin();
        let id = (kind.create)(&vault, Some(60)).unwrap();
        clock.advance_millis(60 * SECOND);
        assert!(listed(&kind, &vault).is_empty());
        assert!(store.rows(Table::State).is_empty(), "a read writes nothing");
        vault.close().unwrap();
        clock.leap_millis(-DAY);
        let vault = open(&store, clock.clone()).unwrap();
        assert_eq!(listed(&kind, &vault), [], "as before");
        assert!(is_gone(&kind, &vault, id));
        assert_eq!(counts(&vault), (0, 0, 0));
    }
}

#[test]
fn a_mark_is_kept_with_the_next_removal_and_not_only_at_the_end() {
    for by_sweep in [false, true] {
        let (store, clock, vault) = begin();
        let (other, seen) = ((GENERIC.create)(&vault, Some(30)).unwrap(), (PCI.create)(&vault, Some(60)).unwrap());
        clock.advance_millis(30 * SECOND);
        let copy = store.copy();
        // The clock is ahead for a moment, in which somebody lists.
        clock.leap_millis(40 * SECOND);
        assert!(listed(&PCI, &vault).is_empty());
        clock.leap_millis(-40 * SECOND);
        if by_sweep {
            // What the mark has ended goes with what the clock has.
            assert_eq!(swept(&vault.sweep().unwrap()), (1, 1, 0, 0));
        } else {
            assert!(is_gone(&GENERIC, &vault, other));
            let crashed = open(&store.copy(), clock.clone()).unwrap();
            assert!(is_gone(&PCI, &crashed, seen), "the mark was written with the removal");
            let crashed = open(&copy, clock.clone()).unwrap();
            assert!(!is_gone(&PCI, &crashed, seen), "and not before");
        }
    }
}

#[test]
fn a_mark_grows_and_never_shrinks_by_itself() {
    let (store, clock, vault) = begin();
    let ids: Vec<_> = (1..=5).map(|minutes| (PCI.create)(&vault, Some(60 * minutes)).unwrap()).collect();
    for passed in 1..=5 {
        clock.advance_millis(60 * SECOND);
        let left = listed(&PCI, &vault);
        assert_eq!(left.len(), 5 - passed);
        clock.leap_millis(-HOUR);
        let mut expected = ids[passed..].to_vec();
        expected.sort();
        assert_eq!(listed(&PCI, &vault), expected);
        clock.leap_millis(HOUR);
    }
    vault.close().unwrap();
    clock.leap_millis(-HOUR);
    let vault = open(&store, clock.clone()).unwrap();
    assert!(listed(&PCI, &vault).is_empty());
    assert_eq!(swept(&vault.sweep().unwrap()), (0, 5, 0, 0));
}

#[test]
fn what_was_told_as_expired_and_could_not_be_removed_stays_gone() {
    for kind in KINDS {
        let clock = TwoHandClock::at(BEGIN);
        let store = Meddled::default();
        let vault = VaultOptions::new().clock(clock.clone()).open_with(store.clone(), keys()).unwrap();
        let id = (kind.create)(&vault, Some(60)).unwrap();
        clock.advance_millis(60 * SECOND);
        let refused = store.answer_commits_with(|| Err(Error::store_failure("on purpose")));
        assert!(is_gone(&kind, &vault, id), "a removal that cannot be written is no failure");
        assert_eq!(counts(&vault).2, 1);
        clock.leap_millis(-50 * SECOND);
        assert!(is_gone(&kind, &vault, id));
        // A token that would be born under the mark cannot be made while what is under it cannot be removed.
        assert_eq!((kind.create)(&vault, Some(5)).unwrap_err().kind(), ErrorKind::StoreFailure);
        assert_eq!(vault.sweep().unwrap_err().kind(), ErrorKind::StoreFailure);
        refused.take();
        store.make_commits();
        let id = (kind.create)(&vault, Some(5)).unwrap();
        assert!(!is_gone(&kind, &vault, id));
        assert_eq!(counts(&vault).2, 1);
    }
}

#[test]
fn a_token_that_is_made_while_the_clock_is_behind_lives_its_lifetime() {
    for kind in KINDS {
        for lifetime in [1, 59, 60, 3_000, 3_600, 3_601] {
            let (store, clock, vault) = begin();
            let old = (kind.create)(&vault, Some(3_600)).unwrap();
            clock.advance_millis(HOUR);
            assert!(listed(&kind, &vault).is_empty());
            clock.leap_millis(-HOUR);
            let id = (kind.create)(&vault, Some(lifetime)).unwrap();
            let view: serde_json::Value = serde_json::from_str(&(kind.view)(&vault, id).unwrap()).unwrap();
            let [created_at, expires_at] = ["created_at", "expires_at"]
                .map(|field| view[field].as_str().unwrap().parse::<DateTime<Utc>>().unwrap());
            assert_eq!(created_at, BEGIN.parse::<DateTime<Utc>>().unwrap(), "creation is what the clock says");
            assert_eq!(expires_at - created_at, TimeDelta::seconds(lifetime.try_into().unwrap()));
            assert!(is_gone(&kind, &vault, old), "what was seen as expired is gone all the same");
            assert_eq!(listed(&kind, &vault), [id]);
            clock.advance_millis(i64::try_from(lifetime).unwrap() * SECOND - 1);
            assert!(!is_gone(&kind, &vault, id), "{lifetime}");
            // Also for a vault that was opened since.
            vault.close().unwrap();
            let vault = open(&store, clock.clone()).unwrap();
            assert!(!is_gone(&kind, &vault, id), "{lifetime}");
            clock.advance_millis(1);
            assert!(is_gone(&kind, &vault, id), "{lifetime}");
            assert_eq!(counts(&vault), (0, 0, 0));
        }
    }
}

#[test]
fn a_token_that_is_made_under_a_mark_of_a_crashed_vault_lives_too() {
    let (store, clock, vault) = begin();
    (PCI.create)(&vault, Some(60)).unwrap();
    clock.advance_millis(60 * SECOND);
    listed(&PCI, &vault);
    vault.close().unwrap();
    clock.leap_millis(-60 * SECOND);
    let vault = open(&store, clock.clone()).unwrap();
    let id = (PCI.create)(&vault, Some(10)).unwrap();
    let crashed = open(&store.copy(), clock.clone()).unwrap();
    assert!(!is_gone(&PCI, &crashed, id), "the mark was lifted in the store before the token was written");
}

#[test]
fn a_change_under_the_mark_gives_its_lifetime_too() {
    for kind in KINDS {
        let (_, clock, vault) = begin();
        let lasting = (kind.create)(&vault, None).unwrap();
        let old = (kind.create)(&vault, Some(3_600)).unwrap();
        clock.advance_millis(HOUR);
        assert_eq!(listed(&kind, &vault), [lasting]);
        clock.leap_millis(-HOUR);
        prolong(&kind, &vault, lasting, 60).unwrap();
        assert!(!is_gone(&kind, &vault, lasting) && is_gone(&kind, &vault, old));
        clock.advance_millis(60 * SECOND);
        assert!(is_gone(&kind, &vault, lasting));
    }
}

#[test]
fn a_bulk_of_tokens_under_the_mark_is_made_as_any_other() {
    let (_, clock, vault) = begin();
    let old: Vec<_> = (0..300).map(|_| (GENERIC.create)(&vault, Some(60)).unwrap()).collect();
    clock.advance_millis(60 * SECOND);
    assert!(listed(&GENERIC, &vault).is_empty());
    clock.leap_millis(-60 * SECOND);
    let request = |_| tokenvault::CreateGeneric::new([("pin", "1234")])?.expires_in(30);
    let made: Vec<_> = vault.create_generic_many((0..300).map(request)).map(|token| token.unwrap().id).collect();
    assert!(made.iter().all(|id| vault.generic(*id).is_ok()));
    assert!(old.iter().all(|id| is_gone(&GENERIC, &vault, *id)));
    assert_eq!(counts(&vault), (300, 0, 300));
}

#[test]
fn a_damaged_token_under_the_mark_stays_and_hinders_nobody() {
    let (store, clock, vault) = begin();
    let id = (PCI.create)(&vault, Some(60)).unwrap();
    let other = (GENERIC.create)(&vault, Some(60)).unwrap();
    let mut record = store.value(Table::Pci, id.as_bytes()).unwrap();
    record[40] ^= 1;
    store.put(Table::Pci, id.as_bytes(), &record);
    clock.advance_millis(60 * SECOND);
    assert!(listed(&GENERIC, &vault).is_empty());
    clock.leap_millis(-60 * SECOND);
    assert!(!is_gone(&GENERIC, &vault, (GENERIC.create)(&vault, Some(30)).unwrap()));
    assert!(is_gone(&GENERIC, &vault, other));
    assert_eq!(vault.pci(id).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(store.value(Table::Pci, id.as_bytes()), Some(record));
}

#[test]
fn makers_and_lists_that_race_under_the_mark_lose_no_token() {
    for _ in 0..30 {
        let (store, clock, vault) = begin();
        for _ in 0..50 {
            (PCI.create)(&vault, Some(60)).unwrap();
        }
        clock.advance_millis(60 * SECOND);
        assert!(listed(&PCI, &vault).is_empty());
        clock.leap_millis(-50 * SECOND);
        let start = Barrier::new(4);
        thread::scope(|scope| {
            for thread in 0..4 {
                let (vault, start) = (&vault, &start);
                scope.spawn(move || {
                    start.wait();
                    for _ in 0..20 {
                        if thread == 3 {
                            listed(&PCI, vault);
                        } else {
                            let id = (PCI.create)(vault, Some(10)).unwrap();
                            assert!(!is_gone(&PCI, vault, id));
                        }
                    }
                });
            }
        });
        assert_eq!(counts(&vault), (0, 60, 60));
        assert_eq!(listed(&PCI, &vault).len(), 60);
        drop(store);
    }
}

// Keys of requests and searches for a card.

fn create_by_key(vault: &Vault) -> Result<TokenId, Error> {
    let request = CreateGeneric::new([("pin", "1234")])?.idempotency_key("once")?;
    vault.create_generic(request).map(|token| token.id)
}

#[test]
fn a_request_is_done_once_under_its_key_also_under_the_mark() {
    let (store, clock, vault) = begin();
    (PCI.create)(&vault, Some(2 * 86_400)).unwrap();
    clock.advance_millis(2 * DAY);
    assert!(listed(&PCI, &vault).is_empty());
    clock.leap_millis(-2 * DAY);
    let made = create_by_key(&vault).unwrap();
    assert_eq!(create_by_key(&vault).unwrap(), made);
    vault.close().unwrap();
    let vault = open(&store, clock.clone()).unwrap();
    assert_eq!(create_by_key(&vault).unwrap(), made);
    clock.advance_millis(DAY);
    assert_ne!(create_by_key(&vault).unwrap(), made, "its day is over");
}

#[test]
fn a_request_is_done_once_under_its_key_also_after_a_leap() {
    let (_, clock, vault) = begin();
    let made = create_by_key(&vault).unwrap();
    clock.leap_millis(DAY);
    assert_eq!(create_by_key(&vault).unwrap(), made, "what only a leap has ended is remembered");
    assert_eq!(vault.sweep().unwrap().remaining, 1);
    clock.leap_millis(-DAY);
    assert_eq!(create_by_key(&vault).unwrap(), made);
    clock.leap_millis(DAY);
    vault.confirm_clock().unwrap();
    assert_ne!(create_by_key(&vault).unwrap(), made);
}

#[test]
fn what_a_search_passed_over_stays_gone_and_a_leap_makes_no_second_token_of_a_card() {
    let clock = TwoHandClock::at(BEGIN);
    let options = VaultOptions::new().clock(clock.clone()).fingerprints(Fingerprints::On);
    let vault = options.open_with(Shared::default(), keys()).unwrap();
    let number = Pan::parse(PCI.secret).unwrap();
    let id = (PCI.create)(&vault, Some(60)).unwrap();
    let again = || {
        let card = PanSource::new(Pan::parse(PCI.secret).unwrap(), CardExpiry::new(12, 2031).unwrap());
        vault.create_pci(CreatePci::new(card).duplicates(Duplicates::ReturnExisting)).map(|created| token(created).id)
    };
    clock.leap_millis(DAY);
    assert_eq!(vault.find_by_account_number(&number).unwrap(), []);
    assert_eq!(again().unwrap_err().kind(), ErrorKind::Conflict, "neither is it there nor may it be removed");
    clock.leap_millis(-DAY);
    assert_eq!(vault.find_by_account_number(&number).unwrap(), [id]);
    assert_eq!(again().unwrap(), id);
    clock.advance_millis(60 * SECOND);
    assert_eq!(vault.find_by_account_number(&number).unwrap(), []);
    clock.leap_millis(-30 * SECOND);
    assert_eq!(vault.find_by_account_number(&number).unwrap(), [], "it was told as gone");
    let other = again().unwrap();
    assert_ne!(other, id);
    assert_eq!(vault.find_by_account_number(&number).unwrap(), [other]);
}

// What stands in the store for the mark.

/// A store whose vault has kept a mark, and the clock as it was then.
fn marked() -> (Shared, TwoHandClock, TokenId) {
    let (store, clock, vault) = begin();
    let id = (PCI.create)(&vault, Some(60)).unwrap();
    clock.advance_millis(60 * SECOND);
    listed(&PCI, &vault);
    vault.close().unwrap();
    (store, clock, id)
}

#[test]
fn every_bit_of_the_mark_counts_and_a_changed_one_is_not_believed() {
    let (store, clock, _) = marked();
    let record = store.value(Table::State, MARK).unwrap();
    for bit in 0..record.len() * 8 {
        let mut changed = record.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        store.put(Table::State, MARK, &changed);
        let error = open(&store, clock.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "bit {bit}");
        assert!(error.message().contains("clock"), "{error}");
        assert_eq!(store.value(Table::State, MARK), Some(changed), "and nothing is written over it");
    }
    for length in [0, 1, record.len() - 1] {
        store.put(Table::State, MARK, &record[..length]);
        assert_eq!(open(&store, clock.clone()).unwrap_err().kind(), ErrorKind::Corrupt);
    }
    store.put(Table::State, MARK, &[&record[..], &[0]].concat());
    assert_eq!(open(&store, clock.clone()).unwrap_err().kind(), ErrorKind::Corrupt);
    store.put(Table::State, MARK, &record);
    open(&store, clock.clone()).unwrap();
}

#[test]
fn a_record_in_the_place_of_the_mark_is_not_believed() {
    let (store, clock, vault) = begin();
    let id = (PCI.create)(&vault, Some(60)).unwrap();
    vault.close().unwrap();
    let record = store.value(Table::Pci, id.as_bytes()).unwrap();
    store.put(Table::State, MARK, &record);
    assert_eq!(open(&store, clock.clone()).unwrap_err().kind(), ErrorKind::Corrupt);
    // Nor is a mark of another vault.
    let (other, ..) = marked();
    store.put(Table::State, MARK, &other.value(Table::State, MARK).unwrap());
    assert_eq!(open(&store, clock).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn a_mark_that_is_sealed_rightly_and_no_instant_is_damage() {
    let (store, clock, _) = marked();
    let forger = Forger::of(&store.anchor(), [7; 32]);
    let header = Header::of(6);
    let forged_mark = |view: &[u8]| {
        let record = forger.record(MARK, &header, view, &[]);
        // A record of this kind has one part only.
        record[..32 + 24 + view.len() + 16].to_vec()
    };
    for millis in [-1, i64::MIN, 253_402_300_800_000, i64::MAX] {
        store.put(Table::State, MARK, &forged_mark(&millis.to_le_bytes()));
        assert_eq!(open(&store, clock.clone()).unwrap_err().kind(), ErrorKind::Corrupt, "{millis}");
    }
    for view in [&[0; 7][..], &[0; 9], &[]] {
        store.put(Table::State, MARK, &forged_mark(view));
        assert_eq!(open(&store, clock.clone()).unwrap_err().kind(), ErrorKind::Corrupt);
    }
    for good in [0, 1, 253_402_300_799_999_i64] {
        store.put(Table::State, MARK, &forged_mark(&good.to_le_bytes()));
        open(&store, clock.clone()).unwrap();
    }
}

// A clock that leaps.

#[test]
fn what_only_a_leap_has_ended_is_not_found_and_stays() {
    for kind in KINDS {
        let (store, clock, vault) = begin();
        let (short, long) = ((kind.create)(&vault, Some(60)).unwrap(), (kind.create)(&vault, Some(2_592_000)).unwrap());
        clock.leap_millis(HOUR + 1);
        let before = counts(&vault);
        assert!(is_gone(&kind, &vault, short) && !is_gone(&kind, &vault, long));
        assert_eq!(listed(&kind, &vault), [long]);
        assert_eq!((kind.delete)(&vault, short).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(prolong(&kind, &vault, short, 60).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(swept(&vault.sweep().unwrap()), (0, 0, 0, 1));
        assert_eq!(counts(&vault), before, "nothing was removed");
        clock.leap_millis(-HOUR - 1);
        assert!(!is_gone(&kind, &vault, short), "the clock has come back");
        assert_eq!(listed(&kind, &vault).len(), 2);
        assert_eq!(swept(&vault.sweep().unwrap()), (0, 0, 0, 0));
        vault.close().unwrap();
        assert!(store.rows(Table::State).is_empty(), "no mark was made of it");
    }
}

#[test]
fn a_leap_is_believed_once_somebody_has_confirmed_the_clock() {
    for kind in KINDS {
        let (_, clock, vault) = begin();
        let ids = [60, 120].map(|lifetime| (kind.create)(&vault, Some(lifetime)).unwrap());
        clock.leap_millis(DAY);
        assert!(is_gone(&kind, &vault, ids[0]));
        assert_eq!(vault.sweep().unwrap().remaining, 2);
        vault.confirm_clock().unwrap();
        assert!(is_gone(&kind, &vault, ids[0]));
        assert_eq!(counts(&vault).2, 1, "a read removes again");
        let report = vault.sweep().unwrap();
        assert_eq!((report.expired_generic + report.expired_pci, report.remaining), (1, 0));
        // The next leap is held against what was confirmed.
        let id = (kind.create)(&vault, Some(60)).unwrap();
        clock.leap_millis(HOUR + 1);
        assert!(is_gone(&kind, &vault, id));
        assert_eq!(vault.sweep().unwrap().remaining, 1);
    }
}

#[test]
fn an_hour_is_no_leap_and_a_millisecond_more_is_one() {
    for (leap, is_one) in [(HOUR - 1, false), (HOUR, false), (HOUR + 1, true)] {
        for passed in [0, 5 * SECOND] {
            let (_, clock, vault) = begin();
            (PCI.create)(&vault, Some(60)).unwrap();
            clock.advance_millis(passed);
            clock.leap_millis(leap);
            let report = vault.sweep().unwrap();
            assert_eq!(swept(&report), if is_one { (0, 0, 0, 1) } else { (0, 1, 0, 0) }, "{leap} after {passed}");
        }
    }
}

#[test]
fn time_that_passes_is_no_leap_however_long_nobody_looks() {
    let (_, clock, vault) = begin();
    (PCI.create)(&vault, Some(60)).unwrap();
    clock.advance_millis(400 * DAY);
    assert_eq!(swept(&vault.sweep().unwrap()), (0, 1, 0, 0));
}

#[test]
fn each_reading_is_held_against_the_last_that_was_believed() {
    let (_, clock, vault) = begin();
    (PCI.create)(&vault, Some(2_592_000)).unwrap();
    // A clock that is slewed by less than an hour between two readings is followed, however far it goes.
    for _ in 0..48 {
        clock.leap_millis(HOUR / 2);
        assert_eq!(listed(&PCI, &vault).len(), 1);
    }
    clock.leap_millis(HOUR);
    let short = (PCI.create)(&vault, Some(1)).unwrap();
    clock.advance_millis(SECOND);
    assert!(is_gone(&PCI, &vault, short));
    assert_eq!(counts(&vault).1, 1, "it was removed");
    // What was refused does not become what is believed, however often it is seen.
    clock.leap_millis(2 * HOUR);
    let short = (PCI.create)(&vault, Some(1)).unwrap();
    for _ in 0..10 {
        clock.advance_millis(SECOND);
        assert!(is_gone(&PCI, &vault, short));
    }
    assert_eq!(counts(&vault).1, 2, "it stays");
}

#[test]
fn what_the_time_has_ended_that_has_truly_passed_is_removed_also_after_a_leap() {
    let (_, clock, vault) = begin();
    let short = (PCI.create)(&vault, Some(60)).unwrap();
    let long = (PCI.create)(&vault, Some(7_200)).unwrap();
    clock.leap_millis(DAY);
    assert_eq!(swept(&vault.sweep().unwrap()), (0, 0, 0, 2));
    clock.advance_millis(60 * SECOND);
    assert_eq!(swept(&vault.sweep().unwrap()), (0, 1, 0, 1), "a minute has passed, leap or not");
    assert!(is_gone(&PCI, &vault, short) && is_gone(&PCI, &vault, long));
    assert_eq!(counts(&vault).1, 1);
    clock.leap_millis(-DAY);
    assert!(!is_gone(&PCI, &vault, long) && is_gone(&PCI, &vault, short));
}

#[test]
fn tokens_that_are_made_during_a_leap_live_by_the_clock_as_it_is() {
    let (_, clock, vault) = begin();
    clock.leap_millis(DAY);
    let id = (PCI.create)(&vault, Some(60)).unwrap();
    assert_eq!(vault.pci(id).unwrap().created_at, BEGIN.parse::<DateTime<Utc>>().unwrap() + TimeDelta::days(1));
    clock.advance_millis(60 * SECOND - 1);
    assert!(!is_gone(&PCI, &vault, id));
    clock.advance_millis(1);
    assert!(is_gone(&PCI, &vault, id));
    assert_eq!(swept(&vault.sweep().unwrap()), (0, 0, 0, 1));
    vault.confirm_clock().unwrap();
    assert_eq!(swept(&vault.sweep().unwrap()), (0, 1, 0, 0));
}

#[test]
fn a_clock_that_goes_back_and_leaps_to_where_it_was_leaps() {
    let (_, clock, vault) = begin();
    (PCI.create)(&vault, Some(60)).unwrap();
    clock.leap_millis(-2 * HOUR);
    assert_eq!(listed(&PCI, &vault).len(), 1);
    clock.advance_millis(60 * SECOND);
    clock.leap_millis(2 * HOUR);
    assert_eq!(swept(&vault.sweep().unwrap()), (0, 0, 0, 1));
    vault.confirm_clock().unwrap();
    assert_eq!(swept(&vault.sweep().unwrap()), (0, 1, 0, 0));
}

#[test]
fn a_vault_that_is_opened_anew_takes_the_clock_as_it_is() {
    let (store, clock, vault) = begin();
    (PCI.create)(&vault, Some(60)).unwrap();
    clock.leap_millis(DAY);
    assert_eq!(vault.sweep().unwrap().remaining, 1);
    vault.close().unwrap();
    let vault = open(&store, clock.clone()).unwrap();
    assert_eq!(swept(&vault.sweep().unwrap()), (0, 1, 0, 0), "nothing is known of before");
}

#[test]
fn a_clock_without_monotonic_time_is_believed() {
    let (store, clock) = (Shared::default(), HandClock::at(BEGIN));
    let vault = open(&store, clock.clone()).unwrap();
    (PCI.create)(&vault, Some(60)).unwrap();
    clock.advance_millis(400 * DAY);
    assert_eq!(swept(&vault.sweep().unwrap()), (0, 1, 0, 0));
    vault.confirm_clock().unwrap();
    assert_eq!(clock.monotonic(), None);
    let behind_a_pointer: Arc<dyn Clock> = Arc::new(TwoHandClock::at(BEGIN));
    assert!(behind_a_pointer.monotonic().is_some() && SystemClock.monotonic().is_some());
}

#[test]
fn a_look_for_what_is_not_there_is_no_look_at_the_clock() {
    for kind in KINDS {
        let (_, clock, vault) = begin();
        let gone = (kind.create)(&vault, None).unwrap();
        (kind.delete)(&vault, gone).unwrap();
        (kind.create)(&vault, Some(60)).unwrap();
        clock.leap_millis(SECOND);
        assert!(is_gone(&kind, &vault, gone));
        clock.leap_millis(HOUR);
        assert_eq!(swept(&vault.sweep().unwrap()), (0, 0, 0, 1), "together they are more than an hour");
    }
}

#[test]
fn a_closed_vault_confirms_nothing() {
    let (_, _, vault) = begin();
    vault.close().unwrap();
    assert_eq!(vault.confirm_clock().unwrap_err().kind(), ErrorKind::Unavailable);
}

#[test]
fn a_sweeper_waits_for_a_leap_to_be_confirmed() {
    let (_, clock, vault) = begin();
    for kind in KINDS {
        (kind.create)(&vault, Some(60)).unwrap();
    }
    clock.leap_millis(DAY);
    let sweeper = vault.start_sweeper(Duration::from_millis(1)).unwrap();
    let wait_for = |wanted: (u64, u64, u64)| {
        let start = Instant::now();
        while counts(&vault) != wanted {
            assert!(start.elapsed() < Duration::from_secs(30));
            thread::yield_now();
        }
    };
    let start = Instant::now();
    while sweeper.last().is_none() {
        assert!(start.elapsed() < Duration::from_secs(30));
        thread::yield_now();
    }
    assert_eq!(swept(&sweeper.last().unwrap().unwrap()), (0, 0, 0, 2));
    wait_for((1, 1, 2));
    vault.confirm_clock().unwrap();
    wait_for((0, 0, 0));
}

#[test]
fn more_than_a_batch_remains_after_a_leap_and_is_counted() {
    let (_, clock, vault) = begin();
    let request = |_| tokenvault::CreateGeneric::new([("pin", "1234")])?.expires_in(60);
    assert!(vault.create_generic_many((0..600).map(request)).all(|token| token.is_ok()));
    clock.leap_millis(DAY);
    assert_eq!(swept(&vault.sweep().unwrap()), (0, 0, 0, 600));
    let stopped = vault.sweep_with(|_| panic!("nothing is removed")).unwrap();
    assert_eq!(stopped.remaining, 600);
}

// Any clock.

#[derive(Clone, Debug)]
enum Step {
    Create(u64),
    Ask(prop::sample::Index),
    List,
    Sweep,
    Pass(i64),
    Leap(i64),
    Confirm,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let leap = prop_oneof![-90_i64..90, -3 * HOUR / SECOND..3 * HOUR / SECOND].prop_map(|seconds| seconds * SECOND);
    prop_oneof![
        4 => (1_u64..300).prop_map(Step::Create),
        3 => any::<prop::sample::Index>().prop_map(Step::Ask),
        2 => Just(Step::List),
        2 => Just(Step::Sweep),
        2 => (0_i64..100).prop_map(|seconds| Step::Pass(seconds * SECOND)),
        3 => leap.prop_map(Step::Leap),
        1 => Just(Step::Confirm),
        1 => Just(Step::Reopen),
    ]
}

/// A token of the model.
struct Held {
    id: TokenId,
    expires_at: i64,
    /// Since it was made, a clock that was believed has shown its expiry to somebody who was at work.
    ended: bool,
    /// And somebody was told so.
    told: bool,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the clock does: a token that was told as gone by a clock that was believed never comes back; one that no such
    /// clock has ever ended stands; none is born expired, and none is found beyond its time.
    #[test]
    fn no_clock_brings_anything_back_or_loses_it(steps in prop::collection::vec(step(), 1..60)) {
        let (store, clock, mut vault) = begin();
        let mut wall = BEGIN.parse::<DateTime<Utc>>().unwrap().timestamp_millis();
        // Time that has truly passed, and by how much the clock was ahead of it when it was last believed.
        let (mut passed, mut ahead) = (0_i64, wall);
        let mut tokens: Vec<Held> = Vec::new();
        let mut has_leapt = false;
        for step in steps {
            match step {
                Step::Pass(millis) => {
                    clock.advance_millis(millis);
                    (wall, passed) = (wall + millis, passed + millis);
                    continue;
                }
                Step::Leap(millis) => {
                    clock.leap_millis(millis);
                    wall += millis;
                    continue;
                }
                Step::Confirm => {
                    vault.confirm_clock().unwrap();
                    ahead = wall - passed;
                    continue;
                }
                Step::Reopen => {
                    vault.close().unwrap();
                    vault = open(&store, clock.clone()).unwrap();
                    ahead = wall - passed;
                    continue;
                }
                Step::Create(_) | Step::Ask(_) | Step::List | Step::Sweep => {}
            }
            // Nobody looks at the clock for what is not there.
            let stands = |which: &prop::sample::Index| {
                !tokens.is_empty() && store.value(Table::Pci, which.get(&tokens).id.as_bytes()).is_some()
            };
            if !matches!(&step, Step::Ask(which) if !stands(which)) {
                has_leapt = wall - passed - ahead > HOUR;
                if !has_leapt {
                    ahead = wall - passed;
                }
                for token in &mut tokens {
                    token.ended |= passed + ahead >= token.expires_at;
                }
            }
            let believed = passed + ahead;
            match step {
                Step::Create(lifetime) => {
                    let id = (PCI.create)(&vault, Some(lifetime)).unwrap();
                    let expires_at = wall + i64::try_from(lifetime).unwrap() * SECOND;
                    tokens.push(Held { id, expires_at, ended: false, told: false });
                    prop_assert!(!is_gone(&PCI, &vault, id), "born expired");
                }
                Step::Ask(which) if !tokens.is_empty() => {
                    let at = which.index(tokens.len());
                    let gone = is_gone(&PCI, &vault, tokens[at].id);
                    judge(&mut tokens[at], gone, wall, believed)?;
                }
                Step::List => {
                    let seen = listed(&PCI, &vault);
                    for token in &mut tokens {
                        let gone = !seen.contains(&token.id);
                        judge(token, gone, wall, believed)?;
                    }
                }
                Step::Sweep => {
                    let report = vault.sweep().unwrap();
                    prop_assert_eq!(report.expired_other, 0);
                    let remaining = tokens.iter().filter(|token| wall >= token.expires_at && store.value(Table::Pci, token.id.as_bytes()).is_some());
                    prop_assert_eq!(report.remaining, remaining.count() as u64);
                    prop_assert!(has_leapt || report.remaining == 0);
                }
                _ => {}
            }
            for token in tokens.iter().filter(|token| !token.ended) {
                prop_assert!(store.value(Table::Pci, token.id.as_bytes()).is_some(), "lost");
            }
            // No row without its token, no token without its row.
            let records: Vec<_> = store.rows(Table::Pci).into_iter().map(|(id, _)| id).collect();
            let mut rows: Vec<_> = store.rows(Table::Expiry).into_iter().map(|(row, _)| row[9..].to_vec()).collect();
            rows.sort();
            prop_assert_eq!(rows, records);
        }
    }
}

/// Holds what was told of a token to what may be.
fn judge(token: &mut Held, gone: bool, wall: i64, believed: i64) -> Result<(), TestCaseError> {
    prop_assert!(gone || !token.told, "it came back");
    prop_assert!(gone || wall < token.expires_at, "it lives beyond its time");
    prop_assert!(!gone || token.ended || wall >= token.expires_at, "it is gone before its time");
    token.told |= gone && believed >= token.expires_at;
    Ok(())
}
