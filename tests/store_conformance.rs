//! Promise: every store does what the port says, whatever it keeps its rows in.
//!
//! There is one list of promises and one list of stores; each promise is kept by each store, starting from an empty one.
//! Another store joins by a `Subject` and a test at the end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::thread;

use tokenvault::ErrorKind;
use tokenvault::store::{Batch, Committed, Maintenance, MemoryStore, Store, Table, Write};

/// The largest key and value that the port allows.
const LARGEST_KEY: usize = 64;
const LARGEST_VALUE: usize = 64 << 10;

/// A store under test, and how it is opened again.
trait Subject {
    fn store(&self) -> Arc<dyn Store>;

    /// Closes it and opens it again; `None` if it keeps nothing.
    fn reopen(&mut self) -> Option<Arc<dyn Store>>;
}

type Promise = fn(&mut dyn Subject);

const PROMISES: &[(&str, Promise)] = &[
    ("a new store holds nothing", a_new_store_holds_nothing),
    ("what was put is read back, byte for byte", what_was_put_is_read_back),
    ("the largest key and value are read back", the_largest_key_and_value_are_read_back),
    ("what was removed is gone", what_was_removed_is_gone),
    ("tables are apart", tables_are_apart),
    ("a scan is in order, within its bounds and its limit", a_scan_is_in_order),
    ("a batch is made whole", a_batch_is_made_whole),
    ("an empty batch is applied", an_empty_batch_is_applied),
    ("what was inserted is read back", what_was_inserted_is_read_back),
    ("an insert in the place of something is noticed", an_insert_in_the_place_of_something_is_noticed),
    ("an insert beside another write of its key is refused", an_insert_beside_another_write_of_its_key_is_refused),
    ("the last write of a key counts", the_last_write_of_a_key_counts),
    ("a required absence", a_required_absence),
    ("a required value", a_required_value),
    ("a required empty range", a_required_empty_range),
    ("the first condition that fails is named", the_first_condition_that_fails_is_named),
    ("conditions are judged before the writes of their batch", conditions_are_judged_before_the_writes),
    ("a refused batch leaves no trace", a_refused_batch_leaves_no_trace),
    ("commits have an order", commits_have_an_order),
    ("of many who claim a key one gets it", of_many_who_claim_a_key_one_gets_it),
    ("the anchor is the last that was written", the_anchor_is_the_last_that_was_written),
    ("any commits read as in a map, checkpointed or not", any_commits_read_as_in_a_map),
    ("stats count every table", stats_count_every_table),
    ("a closed store answers unavailable", a_closed_store_answers_unavailable),
    ("a reopened store holds the same", a_reopened_store_holds_the_same),
];

fn keep_every_promise<S: Subject>(fresh: impl Fn() -> S) {
    for (name, promise) in PROMISES {
        println!("{name}");
        promise(&mut fresh());
    }
}

fn a_new_store_holds_nothing(subject: &mut dyn Subject) {
    let store = subject.store();
    for &table in Table::ALL {
        assert_eq!(store.get(table, b"key").unwrap(), None);
        assert_eq!(all(&*store, table), []);
    }
    assert_eq!(store.read_anchor().unwrap(), None);
}

fn what_was_put_is_read_back(subject: &mut dyn Subject) {
    let store = subject.store();
    let values: [&[u8]; 4] = [b"", b"\0", b"value", &[0xff; 300]];
    for (key, value) in (0..).zip(values) {
        apply(&*store, Batch::new().put(Table::Pci, [key], value));
    }
    for (key, value) in (0..).zip(values) {
        assert_eq!(store.get(Table::Pci, &[key]).unwrap().as_deref(), Some(value));
    }
}

fn the_largest_key_and_value_are_read_back(subject: &mut dyn Subject) {
    let store = subject.store();
    let (key, value) = (vec![0xff; LARGEST_KEY], vec![7; LARGEST_VALUE]);
    apply(&*store, Batch::new().put(Table::Expiry, key.clone(), value.clone()).put(Table::Expiry, [], *b"short"));
    assert_eq!(store.get(Table::Expiry, &key).unwrap(), Some(value));
    assert_eq!(store.get(Table::Expiry, b"").unwrap(), Some(b"short".to_vec()));
}

fn what_was_removed_is_gone(subject: &mut dyn Subject) {
    let store = subject.store();
    apply(&*store, Batch::new().put(Table::Pci, *b"a", *b"1").put(Table::Pci, *b"b", *b"2"));
    apply(&*store, Batch::new().remove(Table::Pci, *b"a").remove(Table::Pci, *b"never there"));
    assert_eq!(all(&*store, Table::Pci), [entry(b"b", b"2")]);
}

fn tables_are_apart(subject: &mut dyn Subject) {
    let store = subject.store();
    for &table in Table::ALL {
        apply(&*store, Batch::new().put(table, *b"key", [table.as_byte()]));
    }
    apply(&*store, Batch::new().remove(Table::Pci, *b"key"));
    assert_eq!(store.get(Table::Generic, b"key").unwrap(), Some(vec![Table::Generic.as_byte()]));
    assert_eq!(store.get(Table::Pci, b"key").unwrap(), None);
    assert_eq!(all(&*store, Table::Expiry), [entry(b"key", &[Table::Expiry.as_byte()])]);
}

fn a_scan_is_in_order(subject: &mut dyn Subject) {
    let store = subject.store();
    for key in [*b"c\0", *b"a\xff", *b"b\0", *b"a\0", *b"d\0"] {
        apply(&*store, Batch::new().put(Table::Generic, key, *b"v"));
    }
    let scan = |from: &[u8], to: &[u8], limit| -> Vec<Vec<u8>> {
        store.scan(Table::Generic, from, to, limit).unwrap().into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(scan(b"", b"\xff", 9), [b"a\0", b"a\xff", b"b\0", b"c\0", b"d\0"]);
    assert_eq!(scan(b"a\xff", b"c\0", 9), [b"a\xff", b"b\0"], "with its start, without its end");
    assert_eq!(scan(b"b", b"z", 2), [b"b\0", b"c\0"], "no more than the limit");
    assert_eq!(scan(b"", b"\xff", 0).len(), 0);
    assert_eq!(scan(b"c", b"c", 9).len(), 0, "an empty range");
    assert_eq!(scan(b"d", b"a", 9).len(), 0, "a range that ends before it starts");
}

fn a_batch_is_made_whole(subject: &mut dyn Subject) {
    let store = subject.store();
    apply(&*store, Batch::new().put(Table::Pci, *b"old", *b"0"));
    let batch = (0..200_u8).fold(Batch::new(), |batch, key| batch.put(Table::Pci, [key], [key]));
    apply(&*store, batch.put(Table::Expiry, *b"when", []).remove(Table::Pci, *b"old"));
    assert_eq!(all(&*store, Table::Pci).len(), 200);
    assert_eq!(all(&*store, Table::Expiry), [entry(b"when", b"")]);
}

fn an_empty_batch_is_applied(subject: &mut dyn Subject) {
    assert_eq!(subject.store().commit(Batch::new()).unwrap(), Committed::Applied);
}

fn what_was_inserted_is_read_back(subject: &mut dyn Subject) {
    let store = subject.store();
    apply(&*store, Batch::new().insert(Table::Pci, *b"key", *b"value").insert(Table::Expiry, *b"key", *b""));
    assert_eq!(all(&*store, Table::Pci), [entry(b"key", b"value")]);
    apply(&*store, Batch::new().put(Table::Pci, *b"key", *b"other").remove(Table::Expiry, *b"key"));
    assert_eq!(all(&*store, Table::Pci), [entry(b"key", b"other")]);
    apply(&*store, Batch::new().insert(Table::Expiry, *b"next", *b""));
    assert_eq!(all(&*store, Table::Expiry), [entry(b"next", b"")]);
}

/// It may have to be asked for: whoever inserts vouches that the key is new.
fn an_insert_in_the_place_of_something_is_noticed(subject: &mut dyn Subject) {
    let store = subject.store();
    apply(&*store, Batch::new().put(Table::Pci, *b"key", *b""));
    store.maintain(Maintenance::Checkpoint).unwrap();
    let inserted = store.commit(Batch::new().insert(Table::Pci, *b"key", *b"value"));
    let noticed = inserted.and_then(|_| store.maintain(Maintenance::Checkpoint)).unwrap_err();
    assert_eq!(noticed.kind(), ErrorKind::Corrupt);
}

/// One of both would be lost.
fn an_insert_beside_another_write_of_its_key_is_refused(subject: &mut dyn Subject) {
    let store = subject.store();
    let insert = |batch: Batch| batch.insert(Table::Pci, *b"key", *b"one");
    let twice = [
        insert(insert(Batch::new())),
        insert(Batch::new()).insert(Table::Pci, *b"other", *b"").insert(Table::Pci, *b"key", *b"two"),
        insert(Batch::new()).put(Table::Pci, *b"key", *b"two"),
        insert(Batch::new().put(Table::Pci, *b"key", *b"two")),
        insert(Batch::new()).remove(Table::Pci, *b"key"),
    ];
    let among_others = |batch: &Batch| {
        let others = (0..20).fold(Batch::new(), |others, key| others.insert(Table::Pci, [key], *b""));
        batch.writes().iter().fold(others, |all, write| match write.clone() {
            Write::Put(table, key, value) => all.put(table, key, value),
            Write::Insert(table, key, value) => all.insert(table, key, value),
            Write::Remove(table, key) => all.remove(table, key),
        })
    };
    for batch in twice.iter().map(among_others).chain(twice.clone()) {
        assert_eq!(store.commit(batch).unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(all(&*store, Table::Pci), []);
    }
    // The same key of another table is another.
    apply(&*store, insert(Batch::new()).insert(Table::Expiry, *b"key", *b""));
    store.maintain(Maintenance::Stats).unwrap();
}

fn the_last_write_of_a_key_counts(subject: &mut dyn Subject) {
    let store = subject.store();
    let batch = Batch::new().put(Table::Pci, *b"a", *b"1").put(Table::Pci, *b"a", *b"2");
    apply(&*store, batch.put(Table::Pci, *b"b", *b"1").remove(Table::Pci, *b"b"));
    apply(&*store, Batch::new().remove(Table::Pci, *b"c").put(Table::Pci, *b"c", *b"3"));
    assert_eq!(all(&*store, Table::Pci), [entry(b"a", b"2"), entry(b"c", b"3")]);
}

fn a_required_absence(subject: &mut dyn Subject) {
    let store = subject.store();
    let claim = |value: u8| Batch::new().require_absent(Table::Pci, *b"key").put(Table::Pci, *b"key", [value]);
    assert_eq!(store.commit(claim(1)).unwrap(), Committed::Applied);
    assert_eq!(store.commit(claim(2)).unwrap(), refused(0, Some(&[1])));
    apply(&*store, Batch::new().remove(Table::Pci, *b"key"));
    assert_eq!(store.commit(claim(3)).unwrap(), Committed::Applied);
}

fn a_required_value(subject: &mut dyn Subject) {
    let store = subject.store();
    let from = |value: &[u8]| Batch::new().require_value(Table::Pci, *b"key", value).put(Table::Pci, *b"key", *b"new");
    assert_eq!(store.commit(from(b"")).unwrap(), refused(0, None), "nothing is not the empty value");
    apply(&*store, Batch::new().put(Table::Pci, *b"key", []));
    assert_eq!(store.commit(from(b"old")).unwrap(), refused(0, Some(b"")));
    assert_eq!(store.commit(from(b"")).unwrap(), Committed::Applied);
    assert_eq!(store.get(Table::Pci, b"key").unwrap(), Some(b"new".to_vec()));
}

fn a_required_empty_range(subject: &mut dyn Subject) {
    let store = subject.store();
    apply(&*store, Batch::new().put(Table::Pci, *b"b", *b"2").put(Table::Pci, *b"c", *b"3"));
    let within = |from: &[u8], to: &[u8]| {
        store.commit(Batch::new().require_empty(Table::Pci, from, to).put(Table::Expiry, *b"ok", [])).unwrap()
    };
    assert_eq!(within(b"a", b"z"), refused(0, Some(b"2")));
    assert_eq!(within(b"b\0", b"c\0"), refused(0, Some(b"3")));
    assert_eq!(all(&*store, Table::Expiry), []);
    assert_eq!(within(b"a", b"b"), Committed::Applied);
    assert_eq!(within(b"d", b"z"), Committed::Applied);
    assert_eq!(within(b"z", b"a"), Committed::Applied, "a range that ends before it starts is empty");
    apply(&*store, Batch::new().remove(Table::Pci, *b"b").remove(Table::Pci, *b"c"));
    assert_eq!(within(b"a", b"z"), Committed::Applied);
}

fn the_first_condition_that_fails_is_named(subject: &mut dyn Subject) {
    let store = subject.store();
    apply(&*store, Batch::new().put(Table::Pci, *b"a", *b"1").put(Table::Pci, *b"b", *b"2"));
    let batch = Batch::new()
        .require_value(Table::Pci, *b"a", *b"1")
        .require_empty(Table::Generic, *b"a", *b"z")
        .require_absent(Table::Pci, *b"b")
        .require_absent(Table::Pci, *b"a");
    assert_eq!(store.commit(batch).unwrap(), refused(2, Some(b"2")));
}

fn conditions_are_judged_before_the_writes(subject: &mut dyn Subject) {
    let store = subject.store();
    let batch = Batch::new().put(Table::Pci, *b"a", *b"1").require_absent(Table::Pci, *b"a");
    assert_eq!(store.commit(batch).unwrap(), Committed::Applied);
    let batch = Batch::new().remove(Table::Pci, *b"a").require_absent(Table::Pci, *b"a");
    assert_eq!(store.commit(batch).unwrap(), refused(0, Some(b"1")));
}

fn a_refused_batch_leaves_no_trace(subject: &mut dyn Subject) {
    let store = subject.store();
    apply(&*store, Batch::new().put(Table::Pci, *b"a", *b"1"));
    let batch = Batch::new().put(Table::Pci, *b"b", *b"2").remove(Table::Pci, *b"a").require_absent(Table::Pci, *b"a");
    assert_eq!(store.commit(batch).unwrap(), refused(0, Some(b"1")));
    assert_eq!(all(&*store, Table::Pci), [entry(b"a", b"1")]);
}

/// Sixteen threads count upwards, each step on the condition that nobody else took it: as many succeed as it counts.
fn commits_have_an_order(subject: &mut dyn Subject) {
    const THREADS: u64 = 16;
    const STEPS: u64 = 25;
    let store = subject.store();
    apply(&*store, Batch::new().put(Table::Generic, *b"count", 0_u64.to_be_bytes()));
    let count = |store: &dyn Store| {
        let mut known = store.get(Table::Generic, b"count").unwrap().unwrap();
        let mut steps = 0;
        while steps < STEPS {
            let next = (u64::from_be_bytes(known.clone().try_into().unwrap()) + 1).to_be_bytes();
            let step = Batch::new().require_value(Table::Generic, *b"count", known).put(Table::Pci, next, []);
            match store.commit(step.put(Table::Generic, *b"count", next)).unwrap() {
                Committed::Applied => {
                    steps += 1;
                    known = next.to_vec();
                }
                Committed::Refused { found, .. } => known = found.unwrap(),
            }
        }
    };
    thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(|| count(&*store)))));
    let last = (THREADS * STEPS).to_be_bytes();
    assert_eq!(store.get(Table::Generic, b"count").unwrap(), Some(last.to_vec()));
    let taken: Vec<_> = (1..=THREADS * STEPS).map(|step| entry(&step.to_be_bytes(), b"")).collect();
    assert_eq!(all(&*store, Table::Pci), taken);
}

fn of_many_who_claim_a_key_one_gets_it(subject: &mut dyn Subject) {
    let store = &subject.store();
    for round in 0..20_u8 {
        let claim = |claimant: u8| {
            let batch = Batch::new().require_absent(Table::Pci, [round]).put(Table::Pci, [round], [claimant]);
            (claimant, store.commit(batch).unwrap())
        };
        let outcomes: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|claimant| scope.spawn(move || claim(claimant))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let held = store.get(Table::Pci, &[round]).unwrap();
        for (claimant, outcome) in outcomes {
            let won = held == Some(vec![claimant]);
            assert_eq!(outcome, if won { Committed::Applied } else { refused(0, held.as_deref()) });
        }
    }
}

fn the_anchor_is_the_last_that_was_written(subject: &mut dyn Subject) {
    let store = subject.store();
    for anchor in [&b"first"[..], b"", &[7; 5_000], b"last"] {
        store.write_anchor(anchor).unwrap();
        assert_eq!(store.read_anchor().unwrap().as_deref(), Some(anchor));
    }
}

fn any_commits_read_as_in_a_map(subject: &mut dyn Subject) {
    let (store, mut map, mut random) =
        (subject.store(), BTreeMap::<Vec<u8>, Vec<u8>>::new(), 0x9e37_79b9_7f4a_7c15_u64);
    let mut next = |below: u8| {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        u8::try_from((random >> 33) % u64::from(below)).unwrap()
    };
    for step in 0..400_u32 {
        let mut batch = Batch::new();
        for _ in 0..next(6) {
            let key = vec![next(60)];
            batch = if next(3) == 0 {
                map.remove(&key);
                batch.remove(Table::Pci, key)
            } else {
                let value = step.to_be_bytes().to_vec();
                map.insert(key.clone(), value.clone());
                batch.put(Table::Pci, key, value)
            };
        }
        apply(&*store, batch);
        if next(20) == 0 {
            store.maintain(Maintenance::Checkpoint).unwrap();
        }
        let (from, to, limit) = (vec![next(60)], vec![next(64)], usize::from(next(12)));
        let expected = map.iter().filter(|(key, _)| **key >= from && **key < to).take(limit);
        let expected: Vec<_> = expected.map(|(key, value)| (key.clone(), value.clone())).collect();
        assert_eq!(store.scan(Table::Pci, &from, &to, limit).unwrap(), expected, "step {step}");
        let empty = store.commit(Batch::new().require_empty(Table::Pci, from.clone(), to.clone())).unwrap();
        let first = map.iter().find(|(key, _)| **key >= from && **key < to).map(|(_, value)| value.as_slice());
        assert_eq!(empty, first.map_or(Committed::Applied, |first| refused(0, Some(first))), "step {step}");
        assert_eq!(store.get(Table::Pci, &from).unwrap(), map.get(&from).cloned(), "step {step}");
    }
}

fn stats_count_every_table(subject: &mut dyn Subject) {
    let store = subject.store();
    apply(&*store, Batch::new().put(Table::Pci, *b"a", []).put(Table::Pci, *b"b", []).put(Table::Expiry, *b"c", []));
    apply(&*store, Batch::new().put(Table::Pci, *b"b", *b"again").remove(Table::Expiry, *b"never there"));
    let stats = store.maintain(Maintenance::Stats).unwrap();
    for &table in Table::ALL {
        let count = match table {
            Table::Pci => 2,
            Table::Expiry => 1,
            _ => 0,
        };
        assert_eq!(stats.count(table), count, "{table:?}");
    }
    assert_eq!(store.maintain(Maintenance::Checkpoint).unwrap().entries, []);
}

fn a_closed_store_answers_unavailable(subject: &mut dyn Subject) {
    let store = subject.store();
    apply(&*store, Batch::new().put(Table::Pci, *b"a", *b"1"));
    store.maintain(Maintenance::Close).unwrap();
    store.maintain(Maintenance::Close).expect("a second close does nothing");
    let refusals = [
        store.get(Table::Pci, b"a").unwrap_err(),
        store.scan(Table::Pci, b"", b"\xff", 1).unwrap_err(),
        store.commit(Batch::new()).unwrap_err(),
        store.commit(Batch::new().put(Table::Pci, *b"a", *b"2")).unwrap_err(),
        store.read_anchor().unwrap_err(),
        store.write_anchor(b"late").unwrap_err(),
        store.maintain(Maintenance::Stats).unwrap_err(),
        store.maintain(Maintenance::Checkpoint).unwrap_err(),
    ];
    for refusal in refusals {
        assert_eq!((refusal.kind(), refusal.message()), (ErrorKind::Unavailable, "the store is closed"));
    }
}

fn a_reopened_store_holds_the_same(subject: &mut dyn Subject) {
    let store = subject.store();
    store.write_anchor(b"anchor").unwrap();
    apply(&*store, Batch::new().put(Table::Pci, *b"a", *b"1").put(Table::Generic, *b"b", []));
    apply(&*store, Batch::new().put(Table::Pci, *b"a", *b"2").put(Table::Pci, *b"c", vec![3; LARGEST_VALUE]));
    apply(&*store, Batch::new().remove(Table::Generic, *b"b"));
    drop(store);
    let Some(store) = subject.reopen() else { return };
    assert_eq!(store.read_anchor().unwrap(), Some(b"anchor".to_vec()));
    assert_eq!(all(&*store, Table::Pci), [entry(b"a", b"2"), entry(b"c", &vec![3; LARGEST_VALUE])]);
    assert_eq!(all(&*store, Table::Generic), []);
    apply(&*store, Batch::new().require_value(Table::Pci, *b"a", *b"2").remove(Table::Pci, *b"a"));
}

fn apply(store: &dyn Store, batch: Batch) {
    assert_eq!(store.commit(batch).unwrap(), Committed::Applied);
}

fn all(store: &dyn Store, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    store.scan(table, b"", &[0xff; LARGEST_KEY + 1], usize::MAX).unwrap()
}

fn entry(key: &[u8], value: &[u8]) -> (Vec<u8>, Vec<u8>) {
    (key.to_vec(), value.to_vec())
}

fn refused(condition: usize, found: Option<&[u8]>) -> Committed {
    Committed::Refused { condition, found: found.map(<[u8]>::to_vec) }
}

/// Rows are sealed, and keys say who has what: they do not belong into a log.
fn nothing_is_shown_of_what_it_holds(store: &(impl Store + Debug)) {
    apply(store, Batch::new().put(Table::Pci, [241, 242, 243], [251, 252, 253]));
    let shown = format!("{store:?}");
    assert!(!shown.contains("241, 242") && !shown.contains("251, 252"), "{shown}");
}

struct InMemory(Arc<MemoryStore>);

impl Subject for InMemory {
    fn store(&self) -> Arc<dyn Store> {
        self.0.clone()
    }

    fn reopen(&mut self) -> Option<Arc<dyn Store>> {
        None
    }
}

#[test]
fn the_memory_store_keeps_every_promise() {
    keep_every_promise(|| InMemory(Arc::new(MemoryStore::new())));
    nothing_is_shown_of_what_it_holds(&MemoryStore::new());
}

#[cfg(feature = "sled")]
mod sled {
    use super::*;
    use tokenvault::Error;
    use tokenvault::store::{Entry, SledStore, StoreStats};

    struct InFolder {
        folder: tempfile::TempDir,
        store: Option<Arc<SledStore>>,
    }

    impl Subject for InFolder {
        fn store(&self) -> Arc<dyn Store> {
            self.store.clone().unwrap()
        }

        fn reopen(&mut self) -> Option<Arc<dyn Store>> {
            self.store = None;
            self.store = Some(Arc::new(SledStore::open(self.folder.path()).unwrap()));
            Some(self.store())
        }
    }

    /// Has every commit in the engine before it answers, which otherwise comes later.
    struct Checkpointed(Arc<dyn Store>);

    impl Store for Checkpointed {
        fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
            self.0.get(table, key)
        }

        fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Entry>, Error> {
            self.0.scan(table, from, to, limit)
        }

        fn commit(&self, batch: Batch) -> Result<Committed, Error> {
            let committed = self.0.commit(batch)?;
            self.0.maintain(Maintenance::Checkpoint)?;
            Ok(committed)
        }

        fn read_anchor(&self) -> Result<Option<Vec<u8>>, Error> {
            self.0.read_anchor()
        }

        fn write_anchor(&self, bytes: &[u8]) -> Result<(), Error> {
            self.0.write_anchor(bytes)
        }

        fn maintain(&self, task: Maintenance) -> Result<StoreStats, Error> {
            self.0.maintain(task)
        }
    }

    struct InEngine(InFolder);

    impl Subject for InEngine {
        fn store(&self) -> Arc<dyn Store> {
            Arc::new(Checkpointed(self.0.store()))
        }

        fn reopen(&mut self) -> Option<Arc<dyn Store>> {
            self.0.reopen().map(|store| Arc::new(Checkpointed(store)) as Arc<dyn Store>)
        }
    }

    #[test]
    fn the_sled_store_keeps_every_promise_in_its_engine_too() {
        keep_every_promise(|| {
            let folder = tempfile::tempdir().unwrap();
            let store = Some(Arc::new(SledStore::create(folder.path()).unwrap()));
            InEngine(InFolder { folder, store })
        });
    }

    #[test]
    fn the_sled_store_keeps_every_promise() {
        keep_every_promise(|| {
            let folder = tempfile::tempdir().unwrap();
            let store = Some(Arc::new(SledStore::create(folder.path()).unwrap()));
            InFolder { folder, store }
        });
        let folder = tempfile::tempdir().unwrap();
        nothing_is_shown_of_what_it_holds(&SledStore::create(folder.path().join("vault")).unwrap());
    }
}
