//! `create`: requests in, tokens out, line by line and in order.
//!
//! One thread parses what is there to read and deals it in groups to two lanes, each a thread that keeps a group and words
//! its answers: while one group is synced, the other is sealed. The answers are taken from the lanes in the same turn. So no
//! answer waits for a request that has not come yet, and no more than a few groups are held at any time.

use std::io::{self, IsTerminal};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use serde::Serialize;
use tokenvault::{CreateGeneric, CreatePci, Error, GenericToken, PciCreated, Vault};

use crate::arguments::Kind;
use crate::failure::Failure;
use crate::input::{self, Lines};
use crate::output::{Output, WipedBuffer};
use crate::progress::Progress;

/// Groups that are kept at the same time.
const LANES: usize = 2;

/// Requests in the order of their lines, a refusal in the place of one that is none.
type Group<Q> = Vec<Result<Q, Error>>;

/// Makes a request of a line.
type Parse<Q> = fn(&[u8]) -> Result<Q, Error>;

/// Keeps a group: a result for each request, in order.
type Keep<Q, T> = fn(&Vault, Group<Q>) -> Vec<Result<T, Error>>;

/// Creates a token for each line of standard input.
pub(crate) fn run(vault: &Vault, kind: Kind, out: &mut Output) -> Result<(), Failure> {
    let generic: Keep<CreateGeneric, GenericToken> = |vault, group| vault.create_generic_many(group).collect();
    let pci: Keep<CreatePci, PciCreated> = |vault, group| vault.create_pci_many(group).collect();
    match kind {
        Kind::Generic => stream(vault, CreateGeneric::from_json, generic, out),
        Kind::Pci => stream(vault, CreatePci::from_json, pci, out),
    }
}

fn stream<Q: Send + 'static, T: Serialize + 'static>(
    vault: &Vault,
    parse: Parse<Q>,
    keep: Keep<Q, T>,
    out: &mut Output,
) -> Result<(), Failure> {
    let stdin = input::stdin().map_err(Failure::Input)?;
    // Who types the requests sees the answers; a progress bar would only be in the way.
    let progress = if stdin.is_terminal() { Progress::none() } else { Progress::of("lines") };
    let (mut groups, mut lanes) = (Vec::new(), Vec::new());
    for _ in 0..LANES {
        let (group, lane) = Lane::start(vault.clone(), keep).map_err(Failure::Input)?;
        groups.push(group);
        lanes.push(lane);
    }
    let reader = spawn("tokenvault-input", move || deal(Lines::new(stdin), parse, &groups)).map_err(Failure::Input)?;
    let (mut answered, mut refused) = (0, 0);
    for lane in lanes.iter().cycle() {
        // Where the next group would be is nothing: the stream has ended.
        let Ok(answers) = lane.answers.recv() else { break };
        progress.aside(|| out.write(&answers.text))?;
        answered += answers.lines;
        refused += answers.refused;
        progress.show(answered, || format!("{refused} refused, "));
    }
    progress.finish();
    lanes.into_iter().map(|lane| lane.thread).chain([reader]).try_for_each(join).map_err(Failure::Input)?;
    if refused == 0 { Ok(()) } else { Err(Failure::Answered) }
}

/// Deals whatever can be read to the lanes in turn, until the end or until nobody takes it any more.
fn deal<Q>(mut input: Lines<impl io::Read>, parse: Parse<Q>, lanes: &[SyncSender<Group<Q>>]) -> io::Result<()> {
    for lane in lanes.iter().cycle() {
        let group = input.take_group(parse)?;
        if group.is_empty() || lane.send(group).is_err() {
            break;
        }
    }
    Ok(())
}

/// A thread that keeps groups, one after the other.
struct Lane {
    answers: Receiver<Answers>,
    thread: JoinHandle<io::Result<()>>,
}

/// The answers to a group, one a line.
struct Answers {
    text: WipedBuffer,
    lines: u64,
    refused: u64,
}

impl Lane {
    /// Also gives the way in. When that is dropped and all is answered, the lane ends.
    fn start<Q: Send + 'static, T: Serialize + 'static>(
        vault: Vault,
        keep: Keep<Q, T>,
    ) -> io::Result<(SyncSender<Group<Q>>, Self)> {
        let (group, groups) = sync_channel::<Group<Q>>(1);
        let (answer, answers) = sync_channel(1);
        let thread = spawn("tokenvault-create", move || {
            for group in groups {
                if answer.send(Answers::of(&keep(&vault, group))?).is_err() {
                    break;
                }
            }
            Ok(())
        })?;
        Ok((group, Self { answers, thread }))
    }
}

impl Answers {
    fn of<T: Serialize>(results: &[Result<T, Error>]) -> io::Result<Self> {
        let mut answers = Self { text: WipedBuffer::default(), lines: 0, refused: 0 };
        for result in results {
            match result {
                Ok(token) => answers.text.push_json(token)?,
                Err(error) => answers.text.push_json(error)?,
            }
            answers.lines += 1;
            answers.refused += u64::from(result.is_err());
        }
        Ok(answers)
    }
}

fn spawn<R: Send + 'static>(name: &str, run: impl FnOnce() -> R + Send + 'static) -> io::Result<JoinHandle<R>> {
    thread::Builder::new().name(name.to_owned()).spawn(run)
}

/// How a thread ended that has hung up already.
fn join(thread: JoinHandle<io::Result<()>>) -> io::Result<()> {
    thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread that serves it ended early")))
}
