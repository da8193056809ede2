//! Promise: however a life of a vault ends, the next one finds the first of its commits, whole, and all that were sure.
//!
//! A vault of these tests has several lives. Each ends at a moment that nobody chose with a kill, with the loss of power,
//! in a sync of the journal or before any other, in the open after a kill too, or with a sync that fails. Every commit has a
//! number, so that what is found can be held against what the commits up to that number lead to.

use std::collections::BTreeMap;
use std::fs;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::ErrorKind;
use crate::store::journal::Sizes;
use crate::store::sled::platter::{Kind, Platter, next};
use crate::store::sled::{SledOptions, SledStore};
use crate::store::{Batch, Durability, Maintenance, Store, Table};

/// So small that segments are used again all the time, and that some commits need one of their own.
const SIZES: Sizes = Sizes { segment: 128 << 10, journal: 512 << 10 };

const LIVES: usize = 8;

type Row = (Vec<u8>, Option<Vec<u8>>);

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Kill,
    PowerLoss,
    PowerLossInSync,
    PowerLossBeforeSync(u64),
    FailedSync(Kind),
}

/// A vault, and what is known of it.
struct Vault {
    home: tempfile::TempDir,
    path: PathBuf,
    platter: Arc<Platter>,
    durability: Durability,
    random: AtomicU64,
    /// How many keys were drawn, each of them once.
    drawn: u32,
    /// The rows of each commit.
    commits: Vec<Vec<Row>>,
    /// How many of them may not be lost, whatever happens, and how many as long as the power stays.
    sure: usize,
    written: usize,
    lives: Vec<End>,
}

impl Vault {
    fn new(durability: Durability, seed: u64) -> Self {
        let (home, platter) = (tempfile::tempdir().unwrap(), Platter::new());
        let path = home.path().join("vault");
        let options = SledOptions::new().durability(durability).disk(platter.clone()).journal(SIZES);
        options.create(&path).unwrap().write_anchor(b"anchor").unwrap();
        let random = AtomicU64::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let (drawn, commits, lives) = (0, Vec::new(), Vec::new());
        Self { home, path, platter, durability, random, drawn, commits, sure: 0, written: 0, lives }
    }

    fn any(&self, below: u64) -> u64 {
        next(&self.random) % below
    }

    /// One life, and how it ends.
    fn live(&mut self) {
        let Some(store) = self.open() else { return };
        let end = match self.any(6) {
            0 => End::PowerLoss,
            1 => End::PowerLossInSync,
            2 => End::PowerLossBeforeSync(1 + self.any(20)),
            3 => End::FailedSync(if self.any(2) == 0 { Kind::Log } else { Kind::Journal }),
            _ => End::Kill,
        };
        let start = Instant::now();
        let commits = 5 + self.any(60);
        for commit in 0.. {
            if commit == commits {
                match end {
                    End::Kill => break,
                    End::PowerLoss => self.platter.cut_power(),
                    End::PowerLossInSync => self.platter.cut_power_in_sync(Kind::Journal),
                    End::PowerLossBeforeSync(sync) => self.platter.kept.lock().unwrap().left = Some(sync),
                    End::FailedSync(kind) => self.platter.kept.lock().unwrap().failing_once = Some(kind),
                }
            }
            if !self.commit(&store, commit >= commits && matches!(end, End::FailedSync(_))) || !self.platter.has_power()
            {
                break;
            }
            assert!(start.elapsed() < Duration::from_mins(1), "{end:?} does not come");
        }
        self.lives.push(end);
        match end {
            End::Kill => self.kill(store),
            End::FailedSync(_) => drop(store),
            _ => {
                drop(store);
                self.restore(end == End::PowerLossInSync);
            }
        }
    }

    /// Opens the vault, and looks at what it holds. The power may go in that, or a sync fail.
    fn open(&mut self) -> Option<SledStore> {
        let options = SledOptions::new().durability(self.durability).disk(self.platter.clone()).journal(SIZES);
        let options = options.company(Duration::ZERO);
        if self.any(4) == 0 {
            let kind = if self.any(2) == 0 { Kind::Log } else { Kind::Journal };
            self.platter.kept.lock().unwrap().failing_once = Some(kind);
            // Not every open syncs such a file.
            if let Err(error) = options.open(&self.path) {
                assert_eq!(error.kind(), ErrorKind::StoreFailure, "{:?}: {error}", self.lives);
                self.lives.push(End::FailedSync(kind));
            }
            self.platter.kept.lock().unwrap().failing_once = None;
        }
        let last_sync = (self.any(3) == 0).then(|| 1 + self.any(14));
        self.platter.kept.lock().unwrap().left = last_sync;
        let store = options.open(&self.path).unwrap_or_else(|error| panic!("{:?}: {error}", self.lives));
        self.platter.kept.lock().unwrap().left = None;
        let number = store.get(Table::State, b"last").unwrap();
        let found = number.map_or(0, |number| usize::from_be_bytes(number.try_into().unwrap()));
        let least = if self.platter.has_power() { self.written } else { self.sure };
        let most = self.commits.len();
        assert!((least..=most).contains(&found), "{:?}: {found} of {least} to {most} commits", self.lives);
        self.commits.truncate(found);
        let mut rows = BTreeMap::new();
        for (key, value) in self.commits.iter().flatten() {
            match value {
                Some(value) => drop(rows.insert(key.clone(), value.clone())),
                None => drop(rows.remove(key)),
            }
        }
        let there = store.scan(Table::Pci, &[], &[0xff; 3], usize::MAX).unwrap();
        assert!(there.into_iter().eq(rows), "{:?}: not what {found} commits lead to", self.lives);
        if !self.platter.has_power() {
            self.lives.push(End::PowerLossBeforeSync(last_sync.unwrap_or_default()));
            drop(store);
            self.restore(false);
            return None;
        }
        // An open makes durable what it has found.
        (self.sure, self.written) = (found, found);
        Some(store)
    }

    /// Makes a commit of some rows, which may fail; `false` if it has.
    fn commit(&mut self, store: &SledStore, may_fail: bool) -> bool {
        let rows = match self.any(12) {
            0 => 300,
            1 => 60,
            _ => 1 + self.any(4),
        };
        let (number, drawn) = (self.commits.len() + 1, self.drawn);
        let mut batch = Batch::new().put(Table::State, *b"last", number.to_be_bytes());
        let mut all = Vec::new();
        for _ in 0..rows {
            let size = [0, 10, 300, 900, 3_000][usize::try_from(self.any(5)).unwrap()];
            let value = [&number.to_be_bytes()[..], &vec![7; size]].concat();
            let value = (self.any(10) > 2).then_some(value);
            let key = self.key(drawn);
            batch = match value.clone() {
                Some(value) if self.drawn > drawn && key == drawn_key(self.drawn) => {
                    batch.insert(Table::Pci, key.clone(), value)
                }
                Some(value) => batch.put(Table::Pci, key.clone(), value),
                None => batch.remove(Table::Pci, key.clone()),
            };
            all.push((key, value));
        }
        self.commits.push(all);
        let is_checkpoint = self.any(60) == 0;
        let made = store
            .commit(batch)
            .and_then(|_| if is_checkpoint { store.maintain(Maintenance::Checkpoint).map(drop) } else { Ok(()) });
        if let Err(error) = made {
            assert!(may_fail && error.kind() == ErrorKind::Unavailable, "{:?}: {error}", self.lives);
            return false;
        }
        self.written = number;
        if self.platter.has_power() && (self.durability == Durability::Power || is_checkpoint) {
            self.sure = number;
        }
        true
    }

    /// One of a few that are written again and again, one that was drawn by an earlier commit, or a new one.
    fn key(&mut self, drawn: u32) -> Vec<u8> {
        match self.any(3) {
            0 => {
                self.drawn += 1;
                drawn_key(self.drawn)
            }
            1 if drawn > 0 => drawn_key(drawn - u32::try_from(self.any(u64::from(drawn.min(100)))).unwrap()),
            _ => u16::try_from(self.any(400)).unwrap().to_be_bytes().to_vec(),
        }
    }

    /// The process ends: what it wrote is in the system's memory, whatever of it the disk has.
    fn kill(&mut self, store: SledStore) {
        let to = self.next_path();
        let platter = Arc::clone(&self.platter);
        let held = platter.kept.lock().unwrap();
        // Syncs wait, and before long whoever writes waits for one.
        loop {
            let before = content(&self.path);
            copy(&self.path, &to);
            if content(&self.path) == before {
                break;
            }
            fs::remove_dir_all(&to).unwrap();
            thread::sleep(Duration::from_millis(10));
        }
        self.platter = held.follow(&self.path, &to);
        drop(held);
        platter.cut_power();
        drop(store);
        self.path = to;
    }

    /// The power is back: what was synced is there, or any part of what was to be synced then.
    fn restore(&mut self, is_torn: bool) {
        self.written = self.sure;
        let to = self.next_path();
        self.platter.restore(&self.path, &to);
        if is_torn {
            self.platter.add_unsynced(&to, &self.random);
        }
        self.platter = Platter::new();
        self.platter.take(&to);
        fs::remove_dir_all(mem::replace(&mut self.path, to)).unwrap();
    }

    fn next_path(&self) -> PathBuf {
        self.home.path().join(format!("life-{}", self.lives.len()))
    }
}

/// A key behind all others.
fn drawn_key(number: u32) -> Vec<u8> {
    [&[0x80], &number.to_be_bytes()[..]].concat()
}

/// What journal, log and mark hold.
fn content(vault: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let names = fs::read_dir(vault.join("journal")).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = names.chain([vault.join("sled/db"), vault.join("mark")]).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap_or_default())).collect()
}

pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn the_next_life_finds_what_was_committed() {
    for seed in 0..4 {
        for durability in [Durability::Power, Durability::Process] {
            let mut vault = Vault::new(durability, seed);
            (0..LIVES).for_each(|_| vault.live());
        }
    }
}
