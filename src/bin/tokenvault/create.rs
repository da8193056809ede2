//! `create`: requests in, tokens out, line by line and in order.
//!
//! One thread reads and parses what is there to read while the other keeps the requests before it and answers them. No
//! answer waits for a request that has not come yet, and no more than a few groups of requests are held at any time.

use std::io::{self, IsTerminal};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use serde::Serialize;
use tokenvault::{CreateGeneric, CreatePci, Error, Vault};

use crate::arguments::Kind;
use crate::failure::Failure;
use crate::input::{self, GROUP, Lines};
use crate::output::Output;
use crate::progress::Progress;

/// Groups of requests that have been parsed and wait to be kept, at most.
const AHEAD: usize = 4;

/// Requests that the vault puts under one sync, at most: so many are kept and answered together.
const SYNC: usize = 256;

/// Requests in the order of their lines, a refusal in the place of one that is none.
type Group<Q> = Vec<Result<Q, Error>>;

/// Creates a token for each line of standard input.
pub(crate) fn run(vault: &Vault, kind: Kind, out: &mut Output) -> Result<(), Failure> {
    match kind {
        Kind::Generic => stream(CreateGeneric::from_json, |group| vault.create_generic_many(group), out),
        Kind::Pci => stream(CreatePci::from_json, |group| vault.create_pci_many(group), out),
    }
}

fn stream<Q, T, I>(
    parse: fn(&[u8]) -> Result<Q, Error>,
    keep: impl Fn(Group<Q>) -> I,
    out: &mut Output,
) -> Result<(), Failure>
where
    Q: Send + 'static,
    T: Serialize,
    I: Iterator<Item = Result<T, Error>>,
{
    let stdin = input::stdin().map_err(Failure::Input)?;
    // Who types the requests sees the answers; a progress bar would only be in the way.
    let progress = if stdin.is_terminal() { Progress::none() } else { Progress::of("lines") };
    let (parsed, waiting) = sync_channel(AHEAD);
    let reader = thread::Builder::new().name("tokenvault-input".to_owned());
    let reader = reader.spawn(move || read(Lines::new(stdin), parse, &parsed)).map_err(Failure::Input)?;
    let mut tally = Tally::default();
    while let Some(group) = next(&waiting) {
        for result in keep(group) {
            tally.count(&result);
            answer(&result, out).map_err(Failure::Output)?;
        }
        progress.aside(|| out.send()).map_err(Failure::Output)?;
        progress.show(tally.lines, || format!("{} refused, ", tally.refused));
    }
    progress.finish();
    // It has hung up, so that it does not stay in a read.
    let ended = reader.join().unwrap_or_else(|_| Err(io::Error::other("the thread that reads it ended early")));
    ended.map_err(Failure::Input)?;
    if tally.refused == 0 { Ok(()) } else { Err(Failure::Answered) }
}

/// Parses whatever can be read, until the end or until nobody waits for it any more.
fn read<Q>(
    mut lines: Lines<impl io::Read>,
    parse: fn(&[u8]) -> Result<Q, Error>,
    parsed: &SyncSender<Group<Q>>,
) -> io::Result<()> {
    loop {
        let group = lines.take_group(parse)?;
        if group.is_empty() || parsed.send(group).is_err() {
            return Ok(());
        }
    }
}

/// What waits to be kept, as much as fits under one sync. `None` when the stream has ended.
fn next<Q>(waiting: &Receiver<Group<Q>>) -> Option<Group<Q>> {
    let mut group = waiting.recv().ok()?;
    while group.len() + GROUP <= SYNC {
        let Ok(more) = waiting.try_recv() else { break };
        group.extend(more);
    }
    Some(group)
}

fn answer<T: Serialize>(result: &Result<T, Error>, out: &mut Output) -> io::Result<()> {
    match result {
        Ok(token) => out.answer(token),
        Err(error) => out.answer(error),
    }
}

/// What has been answered so far.
#[derive(Default)]
struct Tally {
    lines: u64,
    refused: u64,
}

impl Tally {
    fn count<T>(&mut self, result: &Result<T, Error>) {
        self.lines += 1;
        self.refused += u64::from(result.is_err());
    }
}
