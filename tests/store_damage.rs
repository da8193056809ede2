//! Promise: damage is noticed. A vault that opens holds everything that was acknowledged; any other is an error.
//!
//! A vault with a history of several openings is damaged in one place at a time: its log cut short, a bit flipped, a
//! sector zeroed, a file lost. Whatever comes of it must come soon, and must not be a panic, nor a vault with fewer rows.

#![cfg(feature = "sled")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use common::journal::{Crashed, copy_folder};
use tokenvault::store::{Batch, Maintenance, SledOptions, SledStore, Store, Table};
use tokenvault::{Error, ErrorKind};

/// Damages of one kind that are tried.
const TRIALS: usize = 60;

/// Longer than the store itself would wait for a dead thread of its engine.
const SOON: Duration = Duration::from_secs(90);

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// A vault that was closed, and what it holds.
struct Sound {
    temporary: tempfile::TempDir,
    rows: Rows,
}

/// What came of a damage.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// Everything that was acknowledged is there.
    Whole,
    Noticed(ErrorKind),
}

impl Sound {
    fn new() -> Self {
        let mut sound = Self { temporary: tempfile::tempdir().unwrap(), rows: Rows::new() };
        for life in 0..3_u64 {
            let store = SledOptions::new().open_or_create(sound.path()).unwrap();
            store.write_anchor(b"anchor").unwrap();
            for step in 0..100_u64 {
                // A key in a scattered order, some of them again and again.
                let key = ((life * 70 + step) * 0x9e37_79b9 % 251).to_be_bytes().to_vec();
                let value =
                    vec![u8::try_from(step).unwrap(); [0, 25, 500, 500, 3_000][usize::try_from(step % 5).unwrap()]];
                let removed = step % 7 == 6;
                let batch = if removed {
                    Batch::new().remove(Table::Pci, key.clone())
                } else {
                    Batch::new().put(Table::Pci, key.clone(), value.clone())
                };
                store.commit(batch).unwrap();
                if removed {
                    sound.rows.remove(&key)
                } else {
                    sound.rows.insert(key, value)
                };
            }
        }
        sound
    }

    fn path(&self) -> PathBuf {
        self.temporary.path().join("vault")
    }

    /// Damages a copy, opens it and reads everything.
    fn after(&self, damage: impl FnOnce(&Path)) -> Outcome {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(&self.path(), copy.path());
        damage(copy.path());
        let (path, rows) = (copy.path().to_path_buf(), self.rows.clone());
        let (done, outcome) = channel();
        thread::spawn(move || done.send(panic::catch_unwind(|| visit(&path, &rows))));
        let outcome = outcome.recv_timeout(SOON).expect("no hang").expect("no panic");
        match outcome {
            Ok(()) => Outcome::Whole,
            Err(error) => Outcome::Noticed(error.kind()),
        }
    }

    fn log(&self) -> Vec<u8> {
        fs::read(self.path().join("sled/db")).unwrap()
    }

    /// Positions spread over that part of the log which was written, a prime distance apart.
    fn positions(&self) -> impl Iterator<Item = usize> {
        let written = self.log().iter().rposition(|byte| *byte != 0).unwrap();
        (0..TRIALS).map(move |trial| trial * 7_919 * 13 % written)
    }
}

/// Opens a vault, reads every row in both ways, writes to it and closes it.
fn visit(path: &Path, rows: &Rows) -> Result<(), Error> {
    let store = SledStore::open(path)?;
    for (key, value) in rows {
        assert_eq!(store.get(Table::Pci, key)?.as_ref(), Some(value), "a row is lost");
    }
    let found: Rows = store.scan(Table::Pci, &[], &[0xff; 65], usize::MAX)?.into_iter().collect();
    assert_eq!(found.len(), rows.len(), "a row has come back");
    assert_eq!(store.read_anchor()?.as_deref(), Some(&b"anchor"[..]));
    for row in 0..20 {
        store.commit(Batch::new().put(Table::Generic, [row], [row]))?;
    }
    store.maintain(Maintenance::Close).map(drop)
}

/// That these damages do damage: else a test of them says nothing.
fn assert_some_corrupt(outcomes: &[Outcome]) {
    let corrupt = outcomes.iter().filter(|outcome| **outcome == Outcome::Noticed(ErrorKind::Corrupt)).count();
    assert!(corrupt >= 5, "{corrupt} of {} were noticed", outcomes.len());
}

#[test]
fn an_undamaged_copy_is_whole() {
    assert_eq!(Sound::new().after(|_| ()), Outcome::Whole);
}

#[test]
fn a_flipped_bit_of_the_log_is_noticed() {
    let sound = Sound::new();
    let log = sound.log();
    let mut outcomes = Vec::new();
    for position in sound.positions() {
        let outcome = sound.after(|copy| {
            let mut log = log.clone();
            log[position] ^= 1 << (position % 8);
            fs::write(copy.join("sled/db"), log).unwrap();
        });
        assert!([Outcome::Whole, Outcome::Noticed(ErrorKind::Corrupt)].contains(&outcome), "{outcome:?} at {position}");
        outcomes.push(outcome);
    }
    assert_some_corrupt(&outcomes);
}

#[test]
fn a_zeroed_sector_of_the_log_is_noticed() {
    let sound = Sound::new();
    let log = sound.log();
    let mut outcomes = Vec::new();
    for position in sound.positions() {
        let outcome = sound.after(|copy| {
            let mut log = log.clone();
            log[position & !511..][..512].fill(0);
            fs::write(copy.join("sled/db"), log).unwrap();
        });
        assert!([Outcome::Whole, Outcome::Noticed(ErrorKind::Corrupt)].contains(&outcome), "{outcome:?} at {position}");
        outcomes.push(outcome);
    }
    assert_some_corrupt(&outcomes);
}

#[test]
fn a_log_that_was_cut_short_is_noticed() {
    let sound = Sound::new();
    let log = sound.log();
    for length in sound.positions() {
        let outcome = sound.after(|copy| fs::write(copy.join("sled/db"), &log[..length]).unwrap());
        assert_eq!(outcome, Outcome::Noticed(ErrorKind::Corrupt), "cut to {length}");
    }
}

/// A cache that is far too small makes sled read pages again, and meet what happened to them in the meantime.
#[test]
fn a_log_that_is_damaged_while_it_is_open_is_noticed() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("vault");
    let row = |row: u32| (row.to_be_bytes(), vec![7; 200]);
    for fill in [0x00, 0x5a, 0xff] {
        let store = SledOptions::new().cache_bytes(1 << 10).open_or_create(&path).unwrap();
        store.write_anchor(b"anchor").unwrap();
        for rows in (0..10_000).collect::<Vec<_>>().chunks(500) {
            let batch = rows
                .iter()
                .map(|at| row(*at))
                .fold(Batch::new(), |batch, (key, value)| batch.put(Table::Pci, key, value));
            store.commit(batch).unwrap();
        }
        store.maintain(Maintenance::Checkpoint).unwrap();
        let log = fs::read(path.join("sled/db")).unwrap();
        fs::write(path.join("sled/db"), vec![fill; log.len()]).unwrap();
        let mut noticed = 0;
        for (key, value) in (0..10_000).map(row) {
            match store.get(Table::Pci, &key) {
                Ok(found) => assert_eq!(found, Some(value)),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                    noticed += 1;
                }
            }
        }
        assert!(noticed > 0);
        let error = store.commit(Batch::new().put(Table::Pci, 5_000_u32.to_be_bytes(), [])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        drop(store);
        fs::remove_dir_all(&path).unwrap();
    }
}

#[test]
fn a_log_that_was_rolled_back_is_noticed() {
    let sound = Sound::new();
    let older = tempfile::tempdir().unwrap();
    copy_folder(&sound.path(), older.path());
    let store = SledStore::open(sound.path()).unwrap();
    store.commit(Batch::new().put(Table::Generic, *b"one more", [])).unwrap();
    drop(store);
    let outcome = sound.after(|copy| {
        fs::remove_dir_all(copy.join("sled")).unwrap();
        copy_folder(&older.path().join("sled"), &copy.join("sled"));
    });
    assert_eq!(outcome, Outcome::Noticed(ErrorKind::Corrupt));
}

#[test]
fn a_lost_or_empty_file_is_made_again_or_noticed() {
    let sound = Sound::new();
    let corrupt = Outcome::Noticed(ErrorKind::Corrupt);
    for (file, expected) in [
        ("sled/db", &corrupt),
        ("sled/conf", &corrupt),
        ("anchor.0", &Outcome::Whole),
        ("anchor.1", &Outcome::Whole),
        ("mark", &Outcome::Whole),
        ("lock", &Outcome::Whole),
        ("vault", &Outcome::Whole),
        ("journal/segment.0", &Outcome::Whole),
    ] {
        assert_eq!(&sound.after(|copy| fs::remove_file(copy.join(file)).unwrap()), expected, "without {file}");
        assert_eq!(&sound.after(|copy| fs::write(copy.join(file), []).unwrap()), expected, "with an empty {file}");
    }
    assert_eq!(sound.after(|copy| fs::remove_dir_all(copy.join("journal")).unwrap()), Outcome::Whole);
    assert_eq!(sound.after(|copy| fs::remove_dir_all(copy.join("sled")).unwrap()), corrupt);
}

/// sled writes a snapshot under another name first; a full disk or a crash leaves that file empty or cut short.
#[test]
fn an_unfinished_snapshot_is_no_damage() {
    let sound = Sound::new();
    let snapshot = fs::read_dir(sound.path().join("sled")).unwrap().map(|entry| entry.unwrap().path());
    let snapshot = fs::read(snapshot.filter(|path| path.to_string_lossy().contains("snap.")).max().unwrap()).unwrap();
    for length in [0, 5, snapshot.len() / 2, snapshot.len() - 1] {
        let outcome = sound.after(|copy| {
            fs::write(copy.join("sled/snap.00000000FFFFFFFF.generating"), &snapshot[..length]).unwrap();
        });
        assert_eq!(outcome, Outcome::Whole, "{length} bytes");
    }
}

/// Such a folder is not mistaken for a creation that did not finish, which is begun anew.
#[test]
fn records_without_title_and_anchor_are_no_fresh_vault() {
    let sound = Sound::new();
    for lost in [&["mark"][..], &["mark", "sled/conf"], &["sled/conf"], &[]] {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(&sound.path(), copy.path());
        for file in ["vault", "anchor.0", "anchor.1"].iter().chain(lost) {
            fs::remove_file(copy.path().join(file)).unwrap();
        }
        let error = SledOptions::new().open_or_create(copy.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}, without {lost:?}");
        for file in ["vault", "anchor.0", "anchor.1"].iter().chain(lost) {
            fs::copy(sound.path().join(file), copy.path().join(file)).unwrap();
        }
        visit(copy.path(), &sound.rows).expect("nothing was removed");
    }
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&sound.path(), copy.path());
    for file in ["vault", "anchor.0", "anchor.1"] {
        fs::remove_file(copy.path().join(file)).unwrap();
    }
    assert_eq!(SledStore::open(copy.path()).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(SledStore::create(copy.path()).unwrap_err().kind(), ErrorKind::Corrupt);
}

/// Else the next rollback would pass.
#[test]
fn a_lost_mark_is_made_again() {
    let sound = Sound::new();
    let mark = fs::read(sound.path().join("mark")).unwrap();
    for lost in [&[][..], b"tvmk"] {
        fs::write(sound.path().join("mark"), lost).unwrap();
        drop(SledStore::open(sound.path()).unwrap());
        assert_eq!(fs::read(sound.path().join("mark")).unwrap(), mark);
    }
}

#[test]
fn a_damaged_anchor_is_repaired_from_the_other_copy() {
    let sound = Sound::new();
    let anchor = fs::read(sound.path().join("anchor.0")).unwrap();
    for position in 0..anchor.len() {
        let mut damaged = anchor.clone();
        damaged[position] ^= 0x10;
        for name in ["anchor.0", "anchor.1"] {
            let outcome = sound.after(|copy| fs::write(copy.join(name), &damaged).unwrap());
            assert_eq!(outcome, Outcome::Whole, "{name} at {position}");
        }
    }
    let both = |bytes: &[u8]| {
        sound.after(|copy| ["anchor.0", "anchor.1"].iter().for_each(|name| fs::write(copy.join(name), bytes).unwrap()))
    };
    assert_eq!(both(b"tvanchor"), Outcome::Noticed(ErrorKind::Corrupt));
    let missing = sound.after(|copy| {
        fs::remove_file(copy.join("anchor.0")).unwrap();
        fs::remove_file(copy.join("anchor.1")).unwrap();
    });
    assert_eq!(missing, Outcome::Noticed(ErrorKind::Corrupt), "records without an anchor are no fresh vault");
}

#[test]
fn a_damaged_snapshot_or_configuration_is_noticed() {
    let sound = Sound::new();
    let files =
        fs::read_dir(sound.path().join("sled")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let (mut outcomes, mut snapshots) = (Vec::new(), 0);
    for file in files.filter(|file| file.starts_with("snap.") || file == "conf") {
        snapshots += usize::from(file != "conf");
        let file = PathBuf::from("sled").join(file);
        let content = fs::read(sound.path().join(&file)).unwrap();
        for position in (0..content.len()).step_by(content.len() / TRIALS + 1) {
            let outcome = sound.after(|copy| {
                let mut content = content.clone();
                content[position] ^= 0x10;
                fs::write(copy.join(&file), content).unwrap();
            });
            let noticed = matches!(outcome, Outcome::Noticed(ErrorKind::Corrupt | ErrorKind::StoreFailure));
            assert!(noticed || outcome == Outcome::Whole, "{outcome:?} at {position} of {}", file.display());
            outcomes.push(outcome);
        }
    }
    assert!(snapshots > 0);
    assert_some_corrupt(&outcomes);
}

/// What was acknowledged and is not yet in the engine stands in the journal alone.
#[test]
fn a_journal_that_is_needed_is_missed() {
    let crashed = Crashed::new();
    let whole = crashed.segment();
    assert!(crashed.opens_with(&whole));
    let mut noticed = 0;
    for trial in 0..TRIALS {
        let position = trial * 7_919 * 13 % whole.len();
        let mut changed = whole.clone();
        changed[position] ^= 1 << (position % 8);
        noticed += usize::from(!crashed.opens_with(&changed));
    }
    assert!(noticed > TRIALS / 4, "{noticed} of {TRIALS} were noticed");
    let damages: [fn(&Path); 5] = [
        |journal| fs::remove_dir_all(journal).unwrap(),
        |journal| fs::remove_file(journal.join("segment.0")).unwrap(),
        |journal| fs::write(journal.join("segment.0"), []).unwrap(),
        |journal| fs::write(journal.join("segment.0"), vec![0; 4 << 20]).unwrap(),
        |journal| fs::rename(journal.join("segment.0"), journal.join("renamed")).unwrap(),
    ];
    for damage in damages {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(crashed.path(), copy.path());
        damage(&copy.path().join("journal"));
        assert!(!crashed.is_whole(copy.path()));
    }
    // Which segment a group stands in does not matter, nor what else lies there.
    let copy = tempfile::tempdir().unwrap();
    copy_folder(crashed.path(), copy.path());
    fs::rename(copy.path().join("journal/segment.0"), copy.path().join("journal/segment.7")).unwrap();
    fs::write(copy.path().join("journal/notes"), b"text").unwrap();
    fs::write(copy.path().join("journal/segment.8"), b"cut short when it was made").unwrap();
    assert!(crashed.is_whole(copy.path()));
}

/// A folder that lost its title and anchor is no fresh vault, even if all that it holds stands in the journal.
#[test]
fn a_journal_without_title_and_anchor_is_no_fresh_vault() {
    let crashed = Crashed::new();
    let copy = tempfile::tempdir().unwrap();
    copy_folder(crashed.path(), copy.path());
    for file in ["vault", "anchor.0", "anchor.1", "mark"] {
        fs::remove_file(copy.path().join(file)).unwrap();
    }
    let error = SledOptions::new().open_or_create(copy.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    for file in ["vault", "anchor.0", "anchor.1", "mark"] {
        fs::copy(crashed.path().join(file), copy.path().join(file)).unwrap();
    }
    assert!(crashed.is_whole(copy.path()), "nothing was removed");
}
