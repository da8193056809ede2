//! What tokenvault aims at, beside what it reached.

use std::fmt::Write;

use crate::figures::{Figures, Series, number};
use crate::subject::{LIMIT, OURS, PEERS};
use crate::workload::{MANY, SEVERAL, Workload};

/// Who the other side of a ratio is.
enum Beside {
    Subject(&'static str),
    /// Whoever is best at it but for the limit, by name.
    BestPeer,
}

/// At least so much where more is better; at most so much where less is.
struct Aim(Workload, usize, Beside, f64);

const AIMS: &[Aim] = &[
    Aim(Workload::CreateDurable, 1, Beside::Subject(LIMIT), 0.85),
    Aim(Workload::CreateDurable, 1, Beside::BestPeer, 1.2),
    Aim(Workload::CreateDurable, SEVERAL, Beside::Subject(LIMIT), 0.75),
    Aim(Workload::CreateDurable, SEVERAL, Beside::BestPeer, 1.4),
    Aim(Workload::CreateDurable, MANY, Beside::BestPeer, 1.1),
    Aim(Workload::CreateSustained, MANY, Beside::BestPeer, 1.0),
    // By hand, sled's record is opened by the fastest cipher.
    Aim(Workload::RevealWarm, 1, Beside::Subject("sled"), 0.8),
    Aim(Workload::RevealWarm, 1, Beside::Subject("askar"), 10.0),
    Aim(Workload::Mixed, SEVERAL, Beside::BestPeer, 1.3),
    Aim(Workload::BytesPerToken, 1, Beside::Subject("sled"), 1.2),
];

/// A table in Markdown.
pub(crate) fn table(figures: &Figures) -> String {
    let mut table = "| workload | threads | beside | ratio | aim | reached |\n|---|--:|---|--:|--:|---|\n".to_owned();
    for Aim(workload, threads, beside, aim) in AIMS {
        let series = Series::of(*workload, *threads);
        let median = |subject| figures.figure(subject, series).map(|figure| figure.median);
        let is_rate = series.unit.is_rate();
        let beside = match beside {
            Beside::Subject(subject) => Some((*subject, "")),
            Beside::BestPeer => best_peer(is_rate, median).map(|subject| (subject, " (best peer)")),
        };
        let Some((beside, why)) = beside else { continue };
        let (Some(ours), Some(theirs)) = (median(OURS), median(beside)) else { continue };
        let ratio = ours / theirs;
        let (is_reached, bound) = if is_rate { (ratio >= *aim, ">=") } else { (ratio <= *aim, "<=") };
        let (name, ratio, reached) = (workload.name(), number(ratio), if is_reached { "yes" } else { "no" });
        writeln!(table, "| {name} | {threads} | {beside}{why} | {ratio} | {bound} {aim} | {reached} |").unwrap();
    }
    table
}

fn best_peer(is_rate: bool, median: impl Fn(&'static str) -> Option<f64>) -> Option<&'static str> {
    let peers = PEERS.iter().map(|peer| peer.name).filter(|name| ![OURS, LIMIT].contains(name));
    let measured = peers.filter_map(|name| median(name).map(|median| (name, median)));
    let better = |median: f64| if is_rate { median } else { -median };
    let best = measured.max_by(|(_, one), (_, other)| better(*one).total_cmp(&better(*other)));
    best.map(|(name, _)| name)
}
