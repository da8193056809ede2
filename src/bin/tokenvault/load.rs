//! The figures at the end of the demonstration: a short load on a vault of its own, measured there and then.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use indicatif::HumanCount;
use tokenvault::card::{CardExpiry, Pan};
use tokenvault::{CreatePci, Error, KeyManager, PanSource, PciCreated, TokenId, Vault};

use crate::failure::Failure;
use crate::sheet::Sheet;

/// How long each load lasts.
const LASTS: Duration = Duration::from_millis(500);

/// Threads that create at the same time.
const THREADS: usize = 8;

/// The cards that are read.
const READ: usize = 1_000;

/// Published test numbers, one a scheme.
const TEST_NUMBERS: [&str; 7] = [
    "4111111111111111",
    "5555555555554444",
    "378282246310005",
    "6011111111111117",
    "30569309025904",
    "3530111333300000",
    "6200000000000005",
];

/// Measures, and prints one line a load.
pub(crate) fn run(folder: &Path, sheet: &mut Sheet<'_>) -> Result<(), Failure> {
    let vault = Vault::create(folder.join("load.vault"), KeyManager::generate()?)?;
    let mut show = |what: &str, rate: Result<u64, Error>| -> Result<(), Failure> {
        Ok(sheet.say(format_args!("  {what:<58}{:>9}", HumanCount(rate?).to_string()))?)
    };
    show("create_pci        1 thread, each card synced on its own", create(&vault))?;
    show("create_pci        8 threads, which share syncs", create_on_threads(&vault))?;
    show("create_pci_many   1 thread, up to 256 cards a sync", create_many(&vault))?;
    let ids = some_ids(&vault)?;
    show("pci               1 thread, the view of a card", each(&ids, |id| vault.pci(id).map(drop)))?;
    show("reveal_pci        1 thread, the card itself", each(&ids, |id| vault.reveal_pci(id, |_| ())))?;
    Ok(vault.close()?)
}

fn create(vault: &Vault) -> Result<u64, Error> {
    let mut requests = requests();
    rate(|| requests.next().map_or(Ok(()), |request| vault.create_pci(request?).map(drop)))
}

fn create_on_threads(vault: &Vault) -> Result<u64, Error> {
    let ended_early = |_| Err(Error::unavailable("a thread of the load ended early"));
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| create(vault))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(ended_early)).sum()
    })
}

fn create_many(vault: &Vault) -> Result<u64, Error> {
    let start = Instant::now();
    let requests = requests().take_while(|_| start.elapsed() < LASTS);
    let done = vault.create_pci_many(requests).try_fold(0, |done, created| created.map(|_| done + 1))?;
    Ok(per_second(done, start))
}

/// Does something with every id in turn.
fn each<R>(ids: &[TokenId], work: impl Fn(TokenId) -> Result<R, Error>) -> Result<u64, Error> {
    let mut ids = ids.iter().cycle();
    rate(|| ids.next().map_or(Ok(()), |id| work(*id).map(drop)))
}

fn some_ids(vault: &Vault) -> Result<Vec<TokenId>, Error> {
    let created = vault.create_pci_many(requests().take(READ));
    let tokens = created.filter_map(|created| match created {
        Ok(PciCreated::Token(token)) => Some(Ok(token.id)),
        Ok(PciCreated::Session(_)) => None,
        Err(error) => Some(Err(error)),
    });
    tokens.collect()
}

/// Requests without end.
fn requests() -> impl Iterator<Item = Result<CreatePci, Error>> {
    TEST_NUMBERS.iter().cycle().map(|number| {
        let source = PanSource::new(Pan::parse(number)?, CardExpiry::new(12, 2030)?);
        Ok(CreatePci::new(source.cardholder_name("Bob Holder")?))
    })
}

/// How often a second `work` gets done.
fn rate(mut work: impl FnMut() -> Result<(), Error>) -> Result<u64, Error> {
    let start = Instant::now();
    let mut done = 0;
    while start.elapsed() < LASTS {
        work()?;
        done += 1;
    }
    Ok(per_second(done, start))
}

fn per_second(done: u64, start: Instant) -> u64 {
    let millis = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
    done.saturating_mul(1_000) / millis
}
