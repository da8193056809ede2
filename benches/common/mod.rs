//! Two costs side by side: short turns of both in alternation, so that a machine that slows down slows both.
#![allow(dead_code, reason = "each bench uses some of it")]

use std::time::{Duration, Instant};

/// How many turns each side gets.
const TURNS: usize = 301;
/// How long a turn takes, about.
const TURN: Duration = Duration::from_millis(2);
/// How many inputs are made at once. More would leave the processor's nearest cache before they are used, as a request does not
/// that has just been read.
const WAITING: u32 = 32;

/// Prints the ratio of `ours` to `beside`: the median of all pairs of turns, and what nine of ten pairs lie between.
///
/// It heeds what criterion heeds: a filter on the command line, and `--test` for a single turn.
pub(crate) fn print_ratio<A, B>(
    name: &str,
    (label, mut ours): (&str, impl FnMut() -> A),
    (label_beside, mut beside): (&str, impl FnMut() -> B),
) {
    print_ratio_on(name, (label, || (), |()| ours()), (label_beside, || (), |()| beside()));
}

/// As [`print_ratio`], of calls on inputs that are made beside the clock.
pub(crate) fn print_ratio_on<P, A, Q, B>(
    name: &str,
    ours: (&str, impl FnMut() -> P, impl FnMut(P) -> A),
    beside: (&str, impl FnMut() -> Q, impl FnMut(Q) -> B),
) {
    print_each(name, ours, beside, ("/", |ours, beside| ours / beside, ""));
}

/// As [`print_ratio`], for the difference in nanoseconds.
pub(crate) fn print_difference<A, B>(
    name: &str,
    (label, mut ours): (&str, impl FnMut() -> A),
    (label_beside, mut beside): (&str, impl FnMut() -> B),
) {
    let (ours, beside) = ((label, || (), |()| ours()), (label_beside, || (), |()| beside()));
    print_each(name, ours, beside, ("-", |ours, beside| ours - beside, " ns"));
}

/// How two costs are compared: the sign, what it does, and the unit of what comes out.
type Comparison = (&'static str, fn(f64, f64) -> f64, &'static str);

fn print_each<P, A, Q, B>(
    name: &str,
    (label, mut input, mut ours): (&str, impl FnMut() -> P, impl FnMut(P) -> A),
    (label_beside, mut input_beside, mut beside): (&str, impl FnMut() -> Q, impl FnMut(Q) -> B),
    (sign, compare, unit): Comparison,
) {
    if is_filtered(name) {
        return;
    }
    let (turns, turn) = if is_test() { (1, Duration::ZERO) } else { (TURNS, TURN) };
    let calls = calls_within(turn, &mut || ours(input()));
    let calls_beside = calls_within(turn, &mut || beside(input_beside()));
    let pair = |_| (a_call(calls, &mut input, &mut ours), a_call(calls_beside, &mut input_beside, &mut beside));
    let pairs: Vec<(f64, f64)> = (0..turns).map(pair).collect();
    let [low, median, high] = quantiles(pairs.iter().map(|(ours, beside)| compare(*ours, *beside)));
    let [_, ours, _] = quantiles(pairs.iter().map(|pair| pair.0));
    let [_, beside, _] = quantiles(pairs.iter().map(|pair| pair.1));
    println!(
        "{name}: {label} {sign} {label_beside} = {median:.2}{unit} ({low:.2} to {high:.2}), {ours:.0} ns {sign} {beside:.0} ns, {turns} turns"
    );
}

/// Whether the command line asks for others.
pub(crate) fn is_filtered(name: &str) -> bool {
    let is_filter = |argument: &String| !argument.starts_with('-') && argument.parse::<f64>().is_err();
    let filters: Vec<String> = std::env::args().skip(1).filter(is_filter).collect();
    !filters.is_empty() && !filters.iter().any(|filter| name.contains(filter.as_str()))
}

/// Whether the command line asks for one round of everything.
pub(crate) fn is_test() -> bool {
    std::env::args().any(|argument| argument == "--test")
}

/// How many calls fill a turn.
fn calls_within<T>(turn: Duration, call: &mut impl FnMut() -> T) -> u32 {
    let (start, mut calls) = (Instant::now(), 0);
    while calls == 0 || start.elapsed() < turn {
        std::hint::black_box(call());
        calls += 1;
    }
    calls
}

/// Nanoseconds a call, over a turn.
fn a_call<Q, T>(calls: u32, input: &mut impl FnMut() -> Q, call: &mut impl FnMut(Q) -> T) -> f64 {
    let (mut left, mut taken) = (calls, Duration::ZERO);
    while left > 0 {
        let waiting = left.min(WAITING);
        let inputs: Vec<Q> = (0..waiting).map(|_| input()).collect();
        let start = Instant::now();
        for input in inputs {
            std::hint::black_box(call(input));
        }
        taken += start.elapsed();
        left -= waiting;
    }
    taken.as_secs_f64() * 1e9 / f64::from(calls)
}

/// The 5th, 50th and 95th of a hundred.
pub(crate) fn quantiles(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    [5, 50, 95].map(|percent| values[(values.len() - 1) * percent / 100])
}
