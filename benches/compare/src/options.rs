//! What the command line asks for.

use std::path::PathBuf;
use std::time::Duration;

use crate::subject::{PEERS, Peer};
use crate::workload::Workload;

pub(crate) const USAGE: &str = "
Usage: cargo run --release -- [--quick | --test] [--subjects A,B] [--workloads A,B] [--json FILE] [--svg FILE] [--folder DIR]

  --quick           less than three minutes instead of some twenty
  --test            one tiny round of everything: its figures mean nothing
  --subjects A,B    tokenvault, sled, redb, fjall, sqlcipher, askar, limit; all of them unless told otherwise
  --workloads A,B   create_durable, create_durable_sustained, reveal_warm, view, delete, expire, mixed_90_10,
                    bytes_per_token, open; all of them unless told otherwise
  --json FILE       writes one JSON object a line
  --svg FILE        draws the bars
  --folder DIR      where the stores are made, on the disk that is to be measured; the system's temporary folder
                    unless told otherwise";

/// How much is measured.
#[derive(Debug)]
pub(crate) struct Scale {
    pub(crate) words: &'static str,
    /// How often each figure is taken.
    pub(crate) rounds: usize,
    /// Tokens in the store that is read from.
    pub(crate) tokens: usize,
    /// How long a round of reads or of a mixture takes.
    pub(crate) read: Duration,
    /// How long a round of creations by a few threads takes, and one by many.
    pub(crate) create: Duration,
    pub(crate) create_by_many: Duration,
    /// How long creations are sustained, and how often.
    pub(crate) sustain: Option<(Duration, usize)>,
    /// Tokens that a round deletes, or lets expire.
    pub(crate) removed: usize,
}

const FULL: Scale = Scale {
    words: "200,000 tokens, five rounds in turn",
    rounds: 5,
    tokens: 200_000,
    read: Duration::from_secs(1),
    create: Duration::from_secs(2),
    create_by_many: Duration::from_secs(3),
    sustain: Some((Duration::from_secs(20), 3)),
    removed: 10_000,
};

const QUICK: Scale = Scale {
    words: "20,000 tokens, three rounds in turn",
    rounds: 3,
    tokens: 20_000,
    read: Duration::from_millis(250),
    create: Duration::from_millis(500),
    create_by_many: Duration::from_secs(3),
    sustain: None,
    removed: 1_000,
};

const TEST: Scale = Scale {
    words: "one tiny round",
    rounds: 1,
    tokens: 300,
    read: Duration::from_millis(10),
    create: Duration::from_millis(10),
    create_by_many: Duration::from_millis(20),
    sustain: Some((Duration::from_millis(20), 1)),
    removed: 16,
};

/// What is measured, and where it goes.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) scale: Scale,
    pub(crate) subjects: Vec<&'static Peer>,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) svg: Option<PathBuf>,
    pub(crate) folder: PathBuf,
}

impl Options {
    pub(crate) fn from_arguments() -> Result<Self, String> {
        let mut options = Self {
            scale: FULL,
            subjects: PEERS.iter().collect(),
            workloads: Workload::ALL.to_vec(),
            json: None,
            svg: None,
            folder: std::env::temp_dir(),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} wants a value"));
            match argument.as_str() {
                "--quick" => options.scale = QUICK,
                "--test" => options.scale = TEST,
                "--subjects" => {
                    let find = |name: &str| PEERS.iter().find(|peer| peer.name == name);
                    options.subjects = each(&value()?, find)?;
                }
                "--workloads" => {
                    let find = |name: &str| Workload::ALL.iter().copied().find(|workload| workload.name() == name);
                    options.workloads = each(&value()?, find)?;
                }
                "--json" => options.json = Some(value()?.into()),
                "--svg" => options.svg = Some(value()?.into()),
                "--folder" => options.folder = value()?.into(),
                _ => return Err(format!("{argument} is unknown")),
            }
        }
        Ok(options)
    }
}

fn each<T>(names: &str, find: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, String> {
    names.split(',').map(|name| find(name).ok_or_else(|| format!("{name} is unknown"))).collect()
}
