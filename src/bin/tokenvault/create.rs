//! `create`: requests in, tokens, types or credentials out, line by line and in order.
//!
//! One thread parses what is there to read and deals it in groups to two lanes, each a thread that keeps a group and words
//! its answers: while one group is synced, the other is sealed. The answers are taken from the lanes in the same turn. So no
//! answer waits for a request that has not come yet, and no more than a few groups are held at any time.
//!
//! Input may stay open without a word for ever, so nobody waits for a reader that has not ended: when a lane fails or the
//! vault is unavailable, the reader is left where it is.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use serde::Serialize;
use tokenvault::{
    ApiToken, Authority, CreateApiKey, CreateApiToken, CreateGeneric, CreatePci, CreateType, CreatedApiKey, Error,
    ErrorKind, GenericToken, PayloadType, PciCreated, Rules, Vault,
};

use crate::failure::Failure;
use crate::input::{self, Lines};
use crate::output::{Output, WipedBuffer};
use crate::progress::Progress;
use crate::rules::AgainArguments;
use crate::values::RecordKind;

/// Groups that are kept at the same time.
const LANES: usize = 2;

/// Requests in the order of their lines, a refusal in the place of one that is none.
type Group<Q> = Vec<Result<Q, Error>>;

/// Gives a request an idempotency key.
type Name<Q> = fn(Q, &str) -> Result<Q, Error>;

/// Keeps a group: a result for each request, in order.
type Keep<A, Q, T> = fn(&Vault<A>, Group<Q>) -> Vec<Result<T, Error>>;

/// Creates a token, type or credential for each line of standard input.
pub(crate) fn run<A: Authority>(
    vault: &Vault<A>,
    kind: RecordKind,
    again: AgainArguments,
    out: &mut Output,
) -> Result<(), Failure> {
    let generic: Keep<A, CreateGeneric, GenericToken> = |vault, group| vault.create_generic_many(group).collect();
    let pci: Keep<A, CreatePci, PciCreated> = |vault, group| vault.create_pci_many(group).collect();
    let types: Keep<A, CreateType, PayloadType> =
        |vault, group| group.into_iter().map(|request| vault.create_type(request?)).collect();
    let keys: Keep<A, CreateApiKey, CreatedApiKey> =
        |vault, group| group.into_iter().map(|request| vault.create_api_key(request?)).collect();
    let tokens: Keep<A, CreateApiToken, ApiToken> =
        |vault, group| group.into_iter().map(|request| vault.create_api_token(request?)).collect();
    let AgainArguments { duplicates, idempotency_prefix: prefix, .. } = again;
    let input = input::lines()?;
    match kind {
        RecordKind::Generic => {
            let parse = named(CreateGeneric::from_json_with, CreateGeneric::idempotency_key, prefix);
            stream(vault, (parse, generic), input, out)
        }
        RecordKind::Pci => {
            let parse = move |line: &[u8], rules| {
                CreatePci::from_json_with(line, rules).map(|request| request.duplicates(duplicates))
            };
            stream(vault, (named(parse, CreatePci::idempotency_key, prefix), pci), input, out)
        }
        RecordKind::Type => {
            let parse = named(CreateType::from_json_with, CreateType::idempotency_key, prefix);
            stream(vault, (parse, types), input, out)
        }
        RecordKind::ApiKey => {
            let parse = named(CreateApiKey::from_json_with, CreateApiKey::idempotency_key, prefix);
            stream(vault, (parse, keys), input, out)
        }
        RecordKind::ApiToken => {
            let parse = named(CreateApiToken::from_json_with, CreateApiToken::idempotency_key, prefix);
            stream(vault, (parse, tokens), input, out)
        }
    }
}

/// Makes a request of a line and its number, by the rules of the vault; with a prefix, that and the number are its key. The
/// colon keeps the keys of two prefixes apart, since behind the last one stands nothing but the number.
fn named<Q>(
    parse: impl Fn(&[u8], Rules) -> Result<Q, Error>,
    name: Name<Q>,
    prefix: Option<String>,
) -> impl Fn(u64, &[u8], Rules) -> Result<Q, Error> {
    move |number, line, rules| {
        let request = parse(line, rules)?;
        match &prefix {
            Some(prefix) => name(request, &format!("{prefix}:{number}")),
            None => Ok(request),
        }
    }
}

fn stream<A: Authority, Q: Send + 'static, T: Serialize + 'static>(
    vault: &Vault<A>,
    (parse, keep): (impl Fn(u64, &[u8], Rules) -> Result<Q, Error> + Send + 'static, Keep<A, Q, T>),
    input: Lines<File>,
    out: &mut Output,
) -> Result<(), Failure> {
    // Who types the requests sees the answers; a progress bar would only be in the way.
    let progress = if input.are_typed() { Progress::none() } else { Progress::of("lines") };
    let (mut groups, mut lanes) = (Vec::new(), VecDeque::new());
    for _ in 0..LANES {
        let (group, lane) = Lane::start(vault.clone(), keep)?;
        groups.push(group);
        lanes.push_back(lane);
    }
    let dealt = Arc::new(Dealt::default());
    let dealing = Arc::clone(&dealt);
    let rules = vault.rules();
    let parse = move |number, line: &[u8]| parse(number, line, rules);
    let reader = spawn("tokenvault-input", move || deal(input, parse, &groups, &dealing))?;
    let answered = answer(lanes, &dealt, &progress, out);
    progress.finish();
    let refused = answered?;
    // The lanes have ended, so the reader has let go of them.
    join(reader).map_err(Failure::Input)?;
    if refused == 0 { Ok(()) } else { Err(Failure::Answered) }
}

/// Deals whatever can be read to the lanes in turn, until the end or until nobody takes it any more.
fn deal<Q>(
    mut input: Lines<impl io::Read>,
    parse: impl Fn(u64, &[u8]) -> Result<Q, Error>,
    lanes: &[SyncSender<Group<Q>>],
    dealt: &Dealt,
) -> io::Result<()> {
    for lane in lanes.iter().cycle() {
        let group = input.take_group(&parse)?;
        if group.is_empty() {
            dealt.end();
            break;
        }
        if !dealt.may_go_on(input.passed()) || lane.send(group).is_err() {
            break;
        }
    }
    Ok(())
}

/// Writes the answers of the lanes in turn until the last has ended, and counts the refusals among them.
fn answer(mut lanes: VecDeque<Lane>, dealt: &Dealt, progress: &Progress, out: &mut Output) -> Result<u64, Failure> {
    let (mut groups, mut answered, mut refused) = (0, 0, 0);
    let mut stopped = None;
    while let Some(lane) = lanes.pop_front() {
        if let Some(Extent { lines, .. }) = stopped.filter(|stopped: &Extent| stopped.groups == groups) {
            return Err(Failure::Untried { from_line: lines + 1 });
        }
        let Ok(answers) = lane.answers.recv() else {
            // Where its next group would be is nothing: the stream has ended, or else the lane has failed.
            join(lane.thread).map_err(Failure::CutShort)?;
            continue;
        };
        lanes.push_back(lane);
        progress.aside(|| out.write(answers.text.bytes()))?;
        groups += 1;
        answered += answers.lines;
        refused += answers.refused;
        progress.show(answered, || format!("{refused} refused, "));
        if answers.unavailable && stopped.is_none() {
            stopped = dealt.stop();
        }
    }
    Ok(refused)
}

/// How much was dealt. Whoever takes the answers can stop the dealing here while the reader waits for input.
#[derive(Default)]
struct Dealt(Mutex<Extent>);

#[derive(Clone, Copy, Default)]
struct Extent {
    /// Groups that a lane has, or is about to get.
    groups: u64,
    /// Lines up to the end of the last of them.
    lines: u64,
    /// Nothing more is dealt.
    ended: bool,
}

impl Dealt {
    /// Counts one more group, which reaches up to this line; not if the dealing was stopped.
    fn may_go_on(&self, lines: u64) -> bool {
        let mut extent = self.extent();
        if !extent.ended {
            (extent.groups, extent.lines) = (extent.groups + 1, lines);
        }
        !extent.ended
    }

    /// All there is was dealt.
    fn end(&self) {
        self.extent().ended = true;
    }

    /// Lets no further group through, and says how far it came; nothing if all there is was dealt.
    fn stop(&self) -> Option<Extent> {
        let mut extent = self.extent();
        let stopped = (!extent.ended).then_some(*extent);
        extent.ended = true;
        stopped
    }

    fn extent(&self) -> MutexGuard<'_, Extent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    /// The vault takes nothing any more.
    unavailable: bool,
}

impl Lane {
    /// Also gives the way in. When that is dropped and all is answered, the lane ends.
    fn start<A: Authority, Q: Send + 'static, T: Serialize + 'static>(
        vault: Vault<A>,
        keep: Keep<A, Q, T>,
    ) -> Result<(SyncSender<Group<Q>>, Self), Failure> {
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
        let mut answers = Self { text: WipedBuffer::default(), lines: 0, refused: 0, unavailable: false };
        for result in results {
            answers.lines += 1;
            match result {
                Ok(token) => answers.text.push_json(token)?,
                Err(error) => {
                    answers.text.push_json(error)?;
                    answers.refused += 1;
                    answers.unavailable |= error.kind() == ErrorKind::Unavailable;
                }
            }
        }
        Ok(answers)
    }
}

fn spawn<R: Send + 'static>(name: &str, run: impl FnOnce() -> R + Send + 'static) -> Result<JoinHandle<R>, Failure> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map_err(Failure::NoThread)
}

/// How a thread ended that has hung up already.
fn join(thread: JoinHandle<io::Result<()>>) -> io::Result<()> {
    thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread has failed")))
}

#[cfg(test)]
mod tests {
    use std::io::{PipeWriter, Read, Seek, Write};
    use std::sync::mpsc;
    use std::time::Duration;

    use tokenvault::store::MemoryStore;
    use tokenvault::{KeyManager, Root, VaultOptions};

    use super::*;
    use crate::stream::unbuffered;

    /// Runs on an input that stays open, and gives how it ended and what was answered.
    fn run_on_open_input(text: &str, keep: Keep<Root, String, String>) -> (Result<(), Failure>, String) {
        let (from, mut to): (_, PipeWriter) = io::pipe().unwrap();
        to.write_all(text.as_bytes()).unwrap();
        let input = Lines::new(unbuffered(&from).unwrap());
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let vault = VaultOptions::new().open_with(MemoryStore::new(), KeyManager::generate().unwrap()).unwrap();
            let parse = |_, line: &[u8], _| Ok(String::from_utf8_lossy(line).into_owned());
            let mut file = tempfile::tempfile().unwrap();
            let ended = stream(&vault, (parse, keep), input, &mut Output::new(file.try_clone().unwrap()));
            let mut answers = String::new();
            file.rewind().unwrap();
            file.read_to_string(&mut answers).unwrap();
            tell.send((ended, answers)).unwrap();
        });
        let ran = told.recv_timeout(Duration::from_secs(10)).unwrap();
        // It has ended with more to come.
        drop(to);
        ran
    }

    #[test]
    fn a_lane_that_fails_ends_it_while_input_is_open() {
        let (ended, answers) = run_on_open_input("one\n", |_, _| panic!("on purpose"));
        assert!(matches!(ended, Err(Failure::CutShort(_))), "{ended:?}");
        assert_eq!(answers, "");
    }

    #[test]
    fn a_vault_that_is_unavailable_ends_it_while_input_is_open() {
        let keep: Keep<Root, String, String> = |_, group| {
            let kept = |line: String| if line == "bad" { Err(Error::unavailable("gone")) } else { Ok(line) };
            group.into_iter().map(|line| line.and_then(kept)).collect()
        };
        let (ended, answers) = run_on_open_input("one\n\nbad\nlast\nhalf a", keep);
        assert!(matches!(ended, Err(Failure::Untried { from_line: 5 })), "{ended:?}");
        let gone = r#"{"code":503,"classifier":"UNAVAILABLE","message":"gone"}"#;
        assert_eq!(answers, format!("\"one\"\n{gone}\n\"last\"\n"), "every line that was tried has its answer");
    }
}
