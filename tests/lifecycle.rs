//! Promise: the life of a token, of either kind: made, seen, lent, listed, deleted; by many hands at once, in memory and on
//! disk, until the vault is closed and after it is opened again.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use static_assertions::assert_impl_all;
use tokenvault::card::{CardExpiry, Pan};
use tokenvault::{CreateGeneric, CreatePci, Error, ErrorKind, Page, PanSource, Sweeper, TokenId, Vault, VaultOptions};

use common::counts;
use common::kinds::{GENERIC, KINDS, Kind, PCI};
use common::meddled::Meddled;
use common::shared::Shared;
use common::threads::block_on;
use common::{PAN_REQUEST, keys, token, vault, violations};

assert_impl_all!(Vault: Clone, Send, Sync);
assert_impl_all!(Error: Clone, Send, Sync, std::error::Error);
assert_impl_all!(CreateGeneric: Send);
assert_impl_all!(CreatePci: Send);
assert_impl_all!(Sweeper: Send, Sync);

fn is_gone<T: std::fmt::Debug>(outcome: Result<T, Error>) -> bool {
    outcome.unwrap_err().kind() == ErrorKind::NotFound
}

// One token.

#[test]
fn a_token_is_made_seen_lent_listed_and_deleted_once() {
    for kind in KINDS {
        let (vault, _) = vault();
        let id = (kind.create)(&vault, None).unwrap();
        let seen = (kind.view)(&vault, id).unwrap();
        assert!(seen.contains(&id.to_string()) && !seen.contains(kind.secret), "{seen}");
        assert_eq!((kind.view)(&vault, id).unwrap(), seen, "seeing it changes nothing");
        assert_eq!((kind.reveal)(&vault, id).unwrap(), kind.secret);
        assert_eq!((kind.reveal)(&vault, id).unwrap(), kind.secret, "nor does lending it");
        assert_eq!((kind.list)(&vault, Page::default()).unwrap(), (vec![id], None));
        (kind.delete)(&vault, id).unwrap();
        assert!(is_gone((kind.view)(&vault, id)) && is_gone((kind.reveal)(&vault, id)));
        assert_eq!((kind.list)(&vault, Page::default()).unwrap(), (vec![], None));
        assert!(is_gone((kind.delete)(&vault, id)), "a second delete");
        assert_eq!(counts(&vault), (0, 0, 0));
    }
}

#[test]
fn a_deleted_token_leaves_no_trace_in_the_expiry_index() {
    for kind in KINDS {
        let (vault, _) = vault();
        let id = (kind.create)(&vault, Some(60)).unwrap();
        assert_eq!(vault.stats().unwrap().expiring_tokens, 1);
        (kind.delete)(&vault, id).unwrap();
        assert_eq!(counts(&vault), (0, 0, 0));
    }
}

#[test]
fn the_kinds_do_not_mix() {
    let (vault, _) = vault();
    let ids = KINDS.map(|kind| (kind.create)(&vault, Some(60)).unwrap());
    for (kind, other) in [(0, 1), (1, 0)] {
        let (kind, id) = (&KINDS[kind], ids[other]);
        assert!(is_gone((kind.view)(&vault, id)) && is_gone((kind.reveal)(&vault, id)));
        assert!(is_gone((kind.delete)(&vault, id)));
        assert!(!(kind.list)(&vault, Page::default()).unwrap().0.contains(&id));
    }
    assert_eq!(counts(&vault), (1, 1, 2), "both are still there");
}

#[test]
fn what_is_lent_is_what_was_handed_in() {
    let (vault, _) = vault();
    let name = "Zoë \"Z\" O'Hara 😀";
    let card = PanSource::new(Pan::parse("378282246310005").unwrap(), CardExpiry::new(1, 9999).unwrap());
    let card = card.cardholder_name(name).unwrap().security_code("1234").unwrap();
    let created = token(vault.create_pci(CreatePci::new(card)).unwrap());
    let same = vault.reveal_pci(created.id, |card| {
        let expiry = (card.expiry().month(), card.expiry().year());
        assert_eq!(format!("{card:?}"), "Card(..)");
        card.account_number() == "378282246310005" && expiry == (1, 9999) && card.cardholder_name() == Some(name)
    });
    assert!(same.unwrap());
    let created = token(vault.create_pci(CreatePci::from_json(PAN_REQUEST.as_bytes()).unwrap()).unwrap());
    assert!(vault.reveal_pci(created.id, |card| card.cardholder_name().is_none()).unwrap());

    let json = br#"{"payload":{"z":"1","a":true,"m":-1.50,"b":false,"":null}}"#;
    assert!(CreateGeneric::from_json(json).is_err());
    let json = br#"{"payload":{"z":"1","a":true,"m":-1.50,"b":false}}"#;
    let created = vault.create_generic(CreateGeneric::from_json(json).unwrap()).unwrap();
    let (keys, values) = vault
        .generic_payload(created.id, |payload| {
            assert_eq!((payload.len(), payload.is_empty()), (4, false));
            assert!(payload.get("Z").is_none());
            let keys: Vec<String> = payload.iter().map(|(key, _)| key.to_owned()).collect();
            let number = payload.get("m").unwrap().as_number().unwrap().as_literal().map(str::to_owned);
            (keys, (payload.get("a").unwrap().as_bool(), payload.get("b").unwrap().as_bool(), number))
        })
        .unwrap();
    assert_eq!(keys, ["z", "a", "m", "b"], "in the order in which they came");
    assert_eq!(values, (Some(true), Some(false), Some("-1.50".to_owned())));
}

#[test]
fn a_borrower_that_panics_harms_nobody() {
    let (vault, _) = vault();
    for kind in KINDS {
        let id = (kind.create)(&vault, None).unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| match kind.name {
            "pci" => vault.reveal_pci(id, |_| panic!("a borrower")),
            _ => vault.generic_payload(id, |_| panic!("a borrower")),
        }));
        assert!(panicked.is_err());
        assert_eq!((kind.reveal)(&vault, id).unwrap(), kind.secret);
        (kind.delete)(&vault, id).unwrap();
    }
}

#[test]
fn a_borrower_may_use_the_vault() {
    let (vault, _) = vault();
    let id = (PCI.create)(&vault, None).unwrap();
    let outcome = vault.reveal_pci(id, |card| {
        (PCI.delete)(&vault, id).unwrap();
        (GENERIC.create)(&vault, None).unwrap();
        card.account_number().to_owned()
    });
    assert_eq!(outcome.unwrap(), PCI.secret, "what is lent stays until it is given back");
    assert!(is_gone((PCI.view)(&vault, id)));
}

#[test]
fn nothing_is_lent_of_a_token_that_is_not_there() {
    let (vault, _) = vault();
    let nobody: TokenId = "8744c9ea-a02b-4ae6-875c-b64fc333e3ef".parse().unwrap();
    let lent = Cell::new(false);
    assert!(is_gone(vault.reveal_pci(nobody, |_| lent.set(true))));
    assert!(is_gone(vault.generic_payload(nobody, |_| lent.set(true))));
    assert!(is_gone(block_on(vault.reveal_pci_async(nobody, async |_| lent.set(true)))));
    assert!(is_gone(block_on(vault.generic_payload_async(nobody, async |_| lent.set(true)))));
    assert!(!lent.get());
}

// Lending to code that awaits.

/// Gives way once.
async fn pause() {
    let mut paused = false;
    poll_fn(|_| if std::mem::replace(&mut paused, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

#[test]
fn a_borrower_may_await() {
    let (vault, _) = vault();
    let id = (PCI.create)(&vault, None).unwrap();
    let number = block_on(vault.reveal_pci_async(id, async |card| {
        pause().await;
        card.account_number().to_owned()
    }));
    assert_eq!(number.unwrap(), PCI.secret);
    let id = (GENERIC.create)(&vault, None).unwrap();
    let iban = block_on(vault.generic_payload_async(id, async |payload| {
        pause().await;
        payload.get("iban").unwrap().as_str().unwrap().to_owned()
    }));
    assert_eq!(iban.unwrap(), GENERIC.secret);
}

#[test]
fn a_borrower_that_is_dropped_while_it_awaits_harms_nobody() {
    let (vault, _) = vault();
    let id = (PCI.create)(&vault, None).unwrap();
    {
        let mut lent = pin!(vault.reveal_pci_async(id, async |_| std::future::pending::<()>().await));
        assert!(lent.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    assert_eq!((PCI.reveal)(&vault, id).unwrap(), PCI.secret);
}

// Many at once.

/// A request whose payload tells its number; one in ten is refused.
fn numbered(at: usize) -> Result<CreateGeneric, Error> {
    let text = if at % 10 == 3 { String::new() } else { format!("number {at}") };
    CreateGeneric::new([("text", &text)])
}

#[test]
fn many_are_created_in_order_and_a_refusal_harms_no_other() {
    // More than two groups of 256.
    const MANY: usize = 600;
    let (vault, _) = vault();
    let results: Vec<_> = vault.create_generic_many((0..MANY).map(numbered)).collect();
    assert_eq!(results.len(), MANY);
    for (at, result) in results.into_iter().enumerate() {
        if at % 10 == 3 {
            assert_eq!(violations(&result.unwrap_err()), [("$.payload.text", "must not be empty")]);
        } else {
            let expected = format!("number {at}");
            let is_it = |payload: &tokenvault::Payload| payload.get("text").unwrap().as_str() == Some(&expected);
            assert!(vault.generic_payload(result.unwrap().id, is_it).unwrap(), "{at}");
        }
    }
    assert_eq!(counts(&vault), (540, 0, 0));

    let cards = (0..MANY).map(|at| {
        let month = u8::try_from(at % 14).unwrap();
        CreatePci::new(PanSource::new(Pan::parse(PCI.secret)?, CardExpiry::new(month, 2030)?)).expires_in(60)
    });
    for (at, result) in vault.create_pci_many(cards).enumerate() {
        match (at % 14, result) {
            (0 | 13, result) => assert_eq!(result.unwrap_err().kind(), ErrorKind::Validation),
            (month, result) => assert_eq!(usize::from(token(result.unwrap()).card.expiry_month), month),
        }
    }
    let kept = (0..MANY).filter(|at| !matches!(at % 14, 0 | 13)).count();
    let kept = u64::try_from(kept).unwrap();
    assert_eq!(counts(&vault), (540, kept, kept));
}

#[test]
fn nothing_is_created_before_the_first_result_is_asked_for() {
    let (vault, _) = vault();
    let pulled = Cell::new(0);
    let requests = (0..1_000).map(|at| {
        pulled.set(pulled.get() + 1);
        numbered(at)
    });
    let mut results = vault.create_generic_many(requests);
    assert_eq!((pulled.get(), counts(&vault)), (0, (0, 0, 0)));
    assert!(results.next().unwrap().is_ok());
    assert_eq!(pulled.get(), 256, "one group");
    let created = vault.stats().unwrap().generic_tokens;
    assert_eq!(created, (0..256).filter(|at| at % 10 != 3).count() as u64);
    drop(results);
    assert_eq!(vault.stats().unwrap().generic_tokens, created, "what is not asked for is not created");
}

#[test]
fn the_results_end_where_the_requests_end() {
    let (vault, _) = vault();
    for count in [0, 1, 255, 256, 257, 512] {
        let mut results = vault.create_generic_many((0..count).map(numbered));
        assert_eq!(results.by_ref().count(), count);
        assert!(results.next().is_none());
    }
}

#[test]
fn many_of_a_closed_vault_are_unavailable_and_refusals_stay_what_they_are() {
    let (vault, _) = vault();
    vault.close().unwrap();
    let kinds: Vec<_> =
        vault.create_generic_many((2..5).map(numbered)).map(|result| result.unwrap_err().kind()).collect();
    assert_eq!(kinds, [ErrorKind::Unavailable, ErrorKind::Validation, ErrorKind::Unavailable]);
}

// Lists.

/// Walks over all pages; after each, something may happen.
fn walk(vault: &Vault, kind: &Kind, limit: usize, mut between: impl FnMut()) -> Vec<TokenId> {
    let (mut seen, mut page) = (Vec::new(), Page::first(limit));
    loop {
        let (ids, next) = (kind.list)(vault, page).unwrap();
        assert!(ids.len() <= limit);
        assert!(next.is_none() || ids.len() == limit, "a page is full but for the last");
        seen.extend(&ids);
        let Some(next) = next else { return seen };
        let last: TokenId = next.split_once("after=").unwrap().1.parse().unwrap();
        assert_eq!(Some(&last), ids.last());
        page = Page::first(limit).after(last);
        between();
    }
}

#[test]
fn a_walk_over_all_pages_meets_every_token_once_in_the_order_of_ids() {
    for kind in KINDS {
        let (vault, _) = vault();
        let mut ids: Vec<_> = (0..57).map(|_| (kind.create)(&vault, None).unwrap()).collect();
        ids.sort();
        for limit in [1, 2, 19, 56, 57, 58, 100] {
            assert_eq!(walk(&vault, &kind, limit, || {}), ids, "{limit} at a time");
        }
    }
}

#[test]
fn a_page_may_begin_behind_a_token_that_is_gone() {
    for kind in KINDS {
        let (vault, _) = vault();
        let mut ids: Vec<_> = (0..9).map(|_| (kind.create)(&vault, None).unwrap()).collect();
        ids.sort();
        (kind.delete)(&vault, ids[4]).unwrap();
        assert_eq!((kind.list)(&vault, Page::first(2).after(ids[4])).unwrap().0, ids[5..7]);
        let none: TokenId = "ffffffff-ffff-ffff-ffff-ffffffffffff".parse().unwrap();
        assert_eq!((kind.list)(&vault, Page::first(2).after(none)).unwrap(), (vec![], None));
        let before_all: TokenId = "00000000-0000-0000-0000-000000000000".parse().unwrap();
        assert_eq!((kind.list)(&vault, Page::first(2).after(before_all)).unwrap().0, ids[..2]);
    }
}

#[test]
fn a_walk_misses_nothing_while_others_create_and_delete() {
    for kind in KINDS {
        let (vault, _) = vault();
        let lasting: HashSet<_> = (0..200).map(|_| (kind.create)(&vault, None).unwrap()).collect();
        let stop = AtomicBool::new(false);
        let busy = |vault: Vault| {
            while !stop.load(Ordering::Relaxed) {
                let ids: Vec<_> = (0..5).map(|_| (kind.create)(&vault, Some(60)).unwrap()).collect();
                for id in ids {
                    (kind.delete)(&vault, id).unwrap();
                }
            }
        };
        thread::scope(|scope| {
            (0..2).for_each(|_| drop(scope.spawn(|| busy(vault.clone()))));
            for limit in [3, 7, 50] {
                let seen = walk(&vault, &kind, limit, thread::yield_now);
                assert!(seen.is_sorted());
                let different: HashSet<_> = seen.iter().copied().collect();
                assert_eq!(different.len(), seen.len(), "none is met twice");
                assert!(different.is_superset(&lasting), "none is missed");
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert_eq!(walk(&vault, &kind, 100, || {}).len(), 200);
    }
}

// Many hands.

#[test]
fn a_clone_is_another_handle_on_the_same_vault() {
    let (vault, _) = vault();
    let other = vault.clone();
    for kind in KINDS {
        let id = (kind.create)(&vault, None).unwrap();
        assert_eq!((kind.reveal)(&other, id).unwrap(), kind.secret);
        (kind.delete)(&other, id).unwrap();
        assert!(is_gone((kind.view)(&vault, id)));
    }
    let id = (PCI.create)(&other, None).unwrap();
    drop(vault);
    assert_eq!((PCI.reveal)(&other, id).unwrap(), PCI.secret, "a handle that is dropped closes nothing");
}

#[test]
fn of_many_who_delete_a_token_one_succeeds() {
    for kind in KINDS {
        let (vault, _) = vault();
        for _ in 0..20 {
            let id = (kind.create)(&vault, Some(60)).unwrap();
            let delete = || (kind.delete)(&vault, id).map_err(|error| error.kind());
            let outcomes: Vec<_> = thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(delete)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
            assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(ErrorKind::NotFound)).count(), 3);
        }
        assert_eq!(counts(&vault), (0, 0, 0));
    }
}

// The end of a vault.

/// Every verb on a vault, and how it ends.
fn outcomes(vault: &Vault, ids: [TokenId; 2]) -> Vec<Result<(), ErrorKind>> {
    let mut outcomes = vec![
        vault.sweep().map(drop),
        vault.stats().map(drop),
        vault.start_sweeper(std::time::Duration::from_hours(1)).map(drop),
        block_on(vault.reveal_pci_async(ids[1], async |_| ())),
        block_on(vault.generic_payload_async(ids[0], async |_| ())),
        vault.create_generic_many([numbered(1)]).next().unwrap().map(drop),
        vault.create_pci_many([CreatePci::from_json(PAN_REQUEST.as_bytes())]).next().unwrap().map(drop),
    ];
    for (kind, id) in KINDS.iter().zip(ids) {
        outcomes.push((kind.view)(vault, id).map(drop));
        outcomes.push((kind.reveal)(vault, id).map(drop));
        outcomes.push((kind.list)(vault, Page::default()).map(drop));
        outcomes.push((kind.create)(vault, Some(60)).map(drop));
        outcomes.push((kind.delete)(vault, id).map(drop));
    }
    outcomes.into_iter().map(|outcome| outcome.map_err(|error| error.kind())).collect()
}

#[test]
fn a_vault_that_ends_with_its_thread_is_closed_in_order() {
    thread_local! {
        static LAST: std::cell::RefCell<Option<Vault>> = const { std::cell::RefCell::new(None) };
    }
    let store = Shared::default();
    let shared = store.clone();
    let id = thread::spawn(move || {
        // Before the generator of the thread, and so dropped after it.
        LAST.with_borrow_mut(|_| {});
        let vault = VaultOptions::new().open_with(shared, keys()).unwrap();
        let id = (GENERIC.create)(&vault, None).unwrap();
        LAST.set(Some(vault));
        id
    });
    let id = id.join().unwrap();
    let vault = VaultOptions::new().open_with(store, keys()).unwrap();
    (GENERIC.view)(&vault, id).unwrap();
    assert_eq!(vault.stats().unwrap().key_epochs[0].sealed_records, 1);
}

#[test]
fn whoever_closes_second_waits_for_the_first_and_hears_the_same() {
    let ((closing, is_closing), (let_go, go)) = (mpsc::channel(), mpsc::channel());
    let (store, go) = (Meddled::default(), std::sync::Mutex::new(go));
    let vault = VaultOptions::new().open_with(store.clone(), keys()).unwrap();
    // It takes its time to close, until it is let go.
    let closed = store.on_close(move || {
        closing.send(()).unwrap();
        go.lock().unwrap().recv().unwrap();
        Err(Error::store_failure("it did not close"))
    });
    let (answer, answers) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..2 {
            let (vault, answer) = (vault.clone(), answer.clone());
            scope.spawn(move || answer.send(vault.close().map_err(|error| error.kind())).unwrap());
        }
        is_closing.recv().unwrap();
        assert!(answers.recv_timeout(Duration::from_millis(50)).is_err(), "an answer before the store has closed");
        let_go.send(()).unwrap();
        for _ in 0..2 {
            assert_eq!(answers.recv().unwrap(), Err(ErrorKind::StoreFailure));
        }
    });
    assert!(is_closing.try_recv().is_err(), "closed twice");
    closed.take();
}

#[test]
fn a_closed_vault_makes_no_token_even_where_its_store_would() {
    let store = Shared::default();
    let vault = VaultOptions::new().open_with(store.clone(), keys()).unwrap();
    let ids = KINDS.map(|kind| (kind.create)(&vault, None).unwrap());
    vault.close().unwrap();
    let closed = outcomes(&vault, ids);
    assert_eq!(closed, vec![Err(ErrorKind::Unavailable); closed.len()]);
}

#[test]
fn every_verb_on_every_handle_is_unavailable_once_the_vault_is_closed() {
    let (vault, _) = vault();
    let other = vault.clone();
    let ids = KINDS.map(|kind| (kind.create)(&vault, None).unwrap());
    let live = outcomes(&vault, ids);
    assert!(live.iter().all(Result::is_ok), "{live:?}");
    let ids = KINDS.map(|kind| (kind.create)(&vault, None).unwrap());
    vault.close().unwrap();
    for handle in [&vault, &other] {
        let closed = outcomes(handle, ids);
        assert_eq!(closed, vec![Err(ErrorKind::Unavailable); closed.len()]);
        handle.close().unwrap();
    }
    assert_eq!(vault.sweep().unwrap_err().code(), 503);
}

#[test]
fn whoever_is_at_work_while_the_vault_is_closed_hears_unavailable_and_nothing_else() {
    let (vault, _) = vault();
    let id = (PCI.create)(&vault, None).unwrap();
    let (started, starts) = mpsc::channel();
    let work = |vault: Vault, started: mpsc::Sender<()>| {
        let mut rounds = 0_u32;
        loop {
            let round = (PCI.create)(&vault, Some(60)).and_then(|own| {
                assert_eq!((PCI.reveal)(&vault, id)?, PCI.secret);
                (PCI.list)(&vault, Page::default())?;
                (PCI.delete)(&vault, own)
            });
            if let Err(error) = round {
                return (rounds, error.kind());
            }
            rounds += 1;
            if rounds == 3 {
                started.send(()).unwrap();
            }
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(|| work(vault.clone(), started.clone()))).collect();
        for _ in &threads {
            starts.recv().unwrap();
        }
        vault.close().unwrap();
        for thread in threads {
            let (rounds, kind) = thread.join().unwrap();
            assert!(rounds >= 3);
            assert_eq!(kind, ErrorKind::Unavailable);
        }
    });
}

// A vault that is opened again. The same holds for every store.

/// Opens the vault of a test, anew each time.
type Open<'a> = &'a dyn Fn() -> Vault;

fn everything_is_there_again(open: Open<'_>, end: fn(Vault)) {
    let vault = open();
    let mut views = HashMap::new();
    for kind in &KINDS {
        for lifetime in [None, Some(60), None] {
            let id = (kind.create)(&vault, lifetime).unwrap();
            views.insert(id, (kind, (kind.view)(&vault, id).unwrap()));
        }
        let deleted = (kind.create)(&vault, Some(60)).unwrap();
        (kind.delete)(&vault, deleted).unwrap();
    }
    let before = counts(&vault);
    assert_eq!(before, (3, 3, 2));
    end(vault);
    for _ in 0..3 {
        let vault = open();
        assert_eq!(counts(&vault), before);
        for (id, (kind, view)) in &views {
            assert_eq!((kind.view)(&vault, *id).unwrap(), *view);
            assert_eq!((kind.reveal)(&vault, *id).unwrap(), kind.secret);
        }
        for kind in &KINDS {
            let ids: HashSet<_> = walk(&vault, kind, 2, || {}).into_iter().collect();
            let expected = views.iter().filter(|(_, (of, _))| of.name == kind.name).map(|(id, _)| *id).collect();
            assert_eq!(ids, expected);
        }
        end(vault);
    }
}

fn another_key_is_told_as_such(open: Open<'_>, open_with_another: &dyn Fn() -> Result<Vault, Error>) {
    open().close().unwrap();
    let error = open_with_another().unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::KeyFailure, 500));
    assert!((GENERIC.create)(&open(), None).is_ok(), "and has done no harm");
}

fn another_key() -> tokenvault::KeyManager {
    tokenvault::KeyManager::from_key(&mut [8; 32])
}

#[test]
fn a_memory_that_is_kept_holds_the_vault() {
    let shared = Shared::default();
    let open = || VaultOptions::new().open_with(shared.clone(), keys()).unwrap();
    everything_is_there_again(&open, |vault| vault.close().unwrap());
    let shared = Shared::default();
    let open = || VaultOptions::new().open_with(shared.clone(), keys()).unwrap();
    everything_is_there_again(&open, drop);
    another_key_is_told_as_such(&open, &|| VaultOptions::new().open_with(shared.clone(), another_key()));
}

#[cfg(feature = "sled")]
mod on_disk {
    use super::*;

    #[test]
    fn a_folder_holds_the_vault() {
        for end in [|vault: Vault| vault.close().unwrap(), drop] {
            let folder = tempfile::tempdir().unwrap();
            let open = || Vault::open_or_create(folder.path().join("vault"), keys()).unwrap();
            everything_is_there_again(&open, end);
        }
    }

    #[test]
    fn the_wrong_key_opens_no_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault");
        another_key_is_told_as_such(&|| Vault::open_or_create(&path, keys()).unwrap(), &|| {
            Vault::open(&path, another_key())
        });
    }

    #[test]
    fn a_vault_is_made_once_and_opened_only_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault");
        let missing = Vault::open(&path, keys()).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::StoreFailure);
        assert!(missing.message().contains(path.to_str().unwrap()), "{missing}");
        assert!(!path.exists(), "a mistyped path leaves nothing behind");
        let vault = Vault::create(&path, keys()).unwrap();
        let twice = Vault::open(&path, keys()).unwrap_err();
        assert_eq!(twice.kind(), ErrorKind::StoreFailure, "{twice}");
        vault.close().unwrap();
        let again = Vault::create(&path, keys()).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::StoreFailure, "{again}");
        Vault::open(&path, keys()).unwrap();
    }

    #[test]
    fn a_walk_misses_nothing_while_others_create_and_delete_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::create(folder.path().join("vault"), keys()).unwrap();
        let requests = (0..60).filter(|at| at % 10 != 3).map(numbered);
        let lasting: HashSet<_> = vault.create_generic_many(requests).map(|result| result.unwrap().id).collect();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let id = (GENERIC.create)(&vault, Some(60)).unwrap();
                    (GENERIC.delete)(&vault, id).unwrap();
                }
            });
            for limit in [1, 5] {
                let seen = walk(&vault, &GENERIC, limit, thread::yield_now);
                assert!(seen.is_sorted_by(|one, other| one < other));
                assert!(seen.into_iter().collect::<HashSet<_>>().is_superset(&lasting));
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}
