//! The measurements: all subjects in turn, in every round in another order, each on a disk that has come to rest.

use std::fs;
use std::hint::black_box;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;
use tempfile::TempDir;
use uuid::Uuid;

use crate::data::{Card, cards};
use crate::figures::{Figures, Series, Unit};
use crate::options::{Options, Scale};
use crate::subject::{LIMIT, Peer, Subject, View, assert_same_cipher, assert_same_rows};
use crate::timing::{changes_a_second, exact, latencies, reads_a_second, share};
use crate::workload::{MANY, Workload};

/// The longest lifetime that a token may have.
const LONG: u32 = 2_592_000;
/// So many tokens are made in one durable write where it is not timed.
const AT_ONCE: usize = 256;
/// So many answers are looked at before anything is timed.
const LOOKED_AT: usize = 64;

/// Measures what is asked for.
pub(crate) fn run(options: &Options) -> Figures {
    let bench = Bench { options, home: TempDir::new_in(&options.folder).unwrap(), cards: cards(options.scale.tokens) };
    assert_same_cipher();
    assert_same_rows(&bench.cards[0]);
    let mut figures = Figures::default();
    bench.creations(&mut figures);
    let mut loaded = bench.load(&mut figures);
    for workload in
        [Workload::Open, Workload::RevealWarm, Workload::View, Workload::Mixed, Workload::Delete, Workload::Expire]
    {
        bench.rounds(workload, &mut loaded, &mut figures);
    }
    loaded.iter_mut().for_each(Loaded::close);
    figures
}

struct Bench<'a> {
    options: &'a Options,
    home: TempDir,
    cards: Vec<Card>,
}

/// A store that is full.
struct Loaded {
    peer: &'static Peer,
    folder: PathBuf,
    /// Gone only while it is opened anew.
    subject: Option<Box<dyn Subject>>,
    ids: Vec<Uuid>,
    /// Those that are to be removed in this round.
    doomed: Vec<Uuid>,
}

impl Bench<'_> {
    fn scale(&self) -> &Scale {
        &self.options.scale
    }

    fn wants(&self, workload: Workload) -> bool {
        self.options.workloads.contains(&workload)
    }

    /// Who takes part in a workload, in the order of a round.
    fn order(&self, round: usize, workload: Workload) -> Vec<&'static Peer> {
        let mut peers: Vec<_> =
            self.options.subjects.iter().copied().filter(|peer| !peer.lacks.contains(&workload)).collect();
        if !peers.is_empty() {
            let first = round % peers.len();
            peers.rotate_left(first);
        }
        peers
    }

    /// Creations, each time in a store that was empty.
    fn creations(&self, figures: &mut Figures) {
        for workload in [Workload::CreateDurable, Workload::CreateSustained] {
            for &threads in workload.threads().iter().filter(|_| self.wants(workload)) {
                let of_few = if threads == MANY { self.scale().create_by_many } else { self.scale().create };
                let (time, rounds) = match (workload, self.scale().sustain) {
                    (Workload::CreateSustained, Some(sustained)) => sustained,
                    (Workload::CreateSustained, None) => continue,
                    _ => (of_few, self.scale().rounds),
                };
                announce(workload, threads);
                for round in 0..rounds {
                    for peer in self.order(round, workload) {
                        let rate = self.created_a_second(peer, threads, time);
                        figures.add(peer.name, Series::of(workload, threads), rate);
                    }
                    self.clear();
                }
            }
        }
    }

    fn created_a_second(&self, peer: &Peer, threads: usize, time: Duration) -> f64 {
        let subject = (peer.open)(&self.folder(peer));
        self.assert_answers(peer, &*subject, &subject.create_many(&self.cards[..LOOKED_AT], LONG));
        rest();
        let rate = changes_a_second(threads, time, |rng| {
            subject.create(self.any_card(rng), LONG);
        });
        subject.close();
        rate
    }

    /// An empty folder.
    fn folder(&self, peer: &Peer) -> PathBuf {
        let folder = self.home.path().join(peer.name);
        fs::create_dir(&folder).unwrap();
        folder
    }

    /// Removes the stores of a round, all together: that keeps the disk busy too.
    fn clear(&self) {
        for entry in fs::read_dir(self.home.path()).unwrap() {
            fs::remove_dir_all(entry.unwrap().path()).unwrap();
        }
        rest();
    }

    fn any_card(&self, rng: &mut StdRng) -> &Card {
        &self.cards[rng.random_range(0..self.cards.len())]
    }

    /// Fills a store for each subject, and weighs it.
    fn load(&self, figures: &mut Figures) -> Vec<Loaded> {
        let on_loaded = |workload: &Workload| {
            self.wants(*workload) && !matches!(workload, Workload::CreateDurable | Workload::CreateSustained)
        };
        let wanted: Vec<_> = Workload::ALL.iter().filter(|workload| on_loaded(workload)).collect();
        let takes_part = |peer: &&&'static Peer| wanted.iter().any(|workload| !peer.lacks.contains(workload));
        let peers = self.options.subjects.iter().filter(takes_part);
        let loaded: Vec<_> = peers.map(|peer| self.load_one(peer)).collect();
        rest();
        for store in loaded.iter().filter(|store| takes_part_in(store.peer, Workload::BytesPerToken)) {
            if self.wants(Workload::BytesPerToken) {
                let bytes = exact(bytes_on_disk(&store.folder)) / exact(store.ids.len());
                figures.add(store.peer.name, Series::of(Workload::BytesPerToken, 1), bytes);
            }
        }
        loaded
    }

    fn load_one(&self, peer: &'static Peer) -> Loaded {
        eprintln!("{} tokens into {}", self.cards.len(), peer.name);
        let folder = self.folder(peer);
        let subject = (peer.open)(&folder);
        let ids: Vec<_> = self.cards.chunks(AT_ONCE).flat_map(|cards| subject.create_many(cards, LONG)).collect();
        self.assert_answers(peer, &*subject, &ids);
        Loaded { peer, folder, subject: Some(subject), ids, doomed: Vec::new() }
    }

    /// Who answers wrongly is not timed.
    fn assert_answers(&self, peer: &Peer, subject: &dyn Subject, ids: &[Uuid]) {
        if peer.name == LIMIT {
            return;
        }
        for (id, card) in ids.iter().zip(&self.cards).step_by(ids.len().div_ceil(LOOKED_AT)) {
            let mut lent = None;
            subject.reveal(*id, &mut |number| lent = Some(number == card.number));
            assert_eq!(lent, Some(true), "{} reveals another number", peer.name);
            let view = View { masked: card.mask(), name: card.name.clone(), month: card.month, year: card.year };
            assert_eq!(subject.view(*id), view, "{}", peer.name);
        }
    }

    fn rounds(&self, workload: Workload, loaded: &mut [Loaded], figures: &mut Figures) {
        for &threads in workload.threads().iter().filter(|_| self.wants(workload)) {
            announce(workload, threads);
            for round in 0..self.scale().rounds {
                self.prepare(workload, loaded);
                for peer in self.order(round, workload) {
                    let store = loaded.iter_mut().find(|store| store.peer.name == peer.name).unwrap();
                    rest();
                    self.round(workload, threads, store, figures);
                }
            }
        }
    }

    /// Makes the tokens that are to be removed.
    fn prepare(&self, workload: Workload, loaded: &mut [Loaded]) {
        let seconds = match workload {
            Workload::Delete => LONG,
            Workload::Expire => 1,
            _ => return,
        };
        let cards: Vec<_> = self.cards.iter().cycle().take(self.scale().removed).cloned().collect();
        for store in loaded.iter_mut().filter(|store| takes_part_in(store.peer, workload)) {
            let create = |cards| store.subject().create_many(cards, seconds);
            store.doomed = cards.chunks(AT_ONCE).flat_map(create).collect();
        }
        if workload == Workload::Expire {
            thread::sleep(Duration::from_millis(1_100));
        }
    }

    fn round(&self, workload: Workload, threads: usize, store: &mut Loaded, figures: &mut Figures) {
        let time = self.scale().read;
        let value = match workload {
            Workload::Open => store.reopen().as_secs_f64() * 1e3,
            Workload::RevealWarm => {
                reads_a_second(threads, time / 2, |rng| store.reveal_any(rng));
                reads_a_second(threads, time, |rng| store.reveal_any(rng))
            }
            Workload::View => reads_a_second(threads, time, |rng| store.view_any(rng)),
            Workload::Mixed => return self.mixed(threads, store, figures),
            Workload::Delete => store.delete_doomed(threads),
            Workload::Expire => store.expire_doomed(),
            Workload::CreateDurable | Workload::CreateSustained | Workload::BytesPerToken => {
                unreachable!("it is measured elsewhere")
            }
        };
        figures.add(store.peer.name, Series::of(workload, threads), value);
    }

    /// Nine reveals, one creation: calls a second, and how long a call took.
    fn mixed(&self, threads: usize, store: &Loaded, figures: &mut Figures) {
        let (rate, latencies) = latencies(threads, self.scale().read, |rng| {
            if rng.random_range(0..10) == 0 {
                store.subject().create(self.any_card(rng), LONG);
            } else {
                store.reveal_any(rng);
            }
        });
        figures.add(store.peer.name, Series::of(Workload::Mixed, threads), rate);
        for (workload, percent) in [("mixed_90_10_p50", 50), ("mixed_90_10_p99", 99)] {
            let latency = latencies[(latencies.len() - 1) * percent / 100];
            figures.add(store.peer.name, Series { workload, threads, unit: Unit::Microseconds }, latency);
        }
    }
}

impl Loaded {
    fn subject(&self) -> &dyn Subject {
        self.subject.as_deref().unwrap()
    }

    fn close(&mut self) {
        self.subject.take().unwrap().close();
    }

    fn any_id(&self, rng: &mut StdRng) -> Uuid {
        self.ids[rng.random_range(0..self.ids.len())]
    }

    fn reveal_any(&self, rng: &mut StdRng) {
        self.subject().reveal(self.any_id(rng), &mut |number| {
            black_box(number);
        });
    }

    fn view_any(&self, rng: &mut StdRng) {
        black_box(self.subject().view(self.any_id(rng)));
    }

    /// Deletions a second.
    fn delete_doomed(&self, threads: usize) -> f64 {
        let time = share(threads, self.doomed.len(), |at| self.subject().delete(self.doomed[at]));
        exact(self.doomed.len()) / time.as_secs_f64()
    }

    /// Removals a second.
    fn expire_doomed(&self) -> f64 {
        let start = Instant::now();
        assert_eq!(self.subject().expire(), self.doomed.len(), "{}", self.peer.name);
        exact(self.doomed.len()) / start.elapsed().as_secs_f64()
    }

    /// From the call to the first account number.
    fn reopen(&mut self) -> Duration {
        self.close();
        rest();
        let start = Instant::now();
        self.subject = Some((self.peer.open)(&self.folder));
        self.subject().reveal(self.ids[0], &mut |number| {
            black_box(number);
        });
        start.elapsed()
    }
}

fn takes_part_in(peer: &Peer, workload: Workload) -> bool {
    !peer.lacks.contains(&workload)
}

fn announce(workload: Workload, threads: usize) {
    eprintln!("{}, {threads} threads", workload.name());
}

/// Waits until what was written is on disk.
fn rest() {
    rustix::fs::sync();
    thread::sleep(Duration::from_millis(50));
}

/// What the files of a folder take.
fn bytes_on_disk(folder: &Path) -> u64 {
    const BLOCK: u64 = 512;
    let weigh = |entry: fs::DirEntry| {
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() { bytes_on_disk(&entry.path()) } else { metadata.blocks() * BLOCK }
    };
    fs::read_dir(folder).unwrap().map(|entry| weigh(entry.unwrap())).sum()
}
