//! Two costs side by side: short turns of both in alternation, so that a machine that slows down slows both.

use std::time::{Duration, Instant};

/// How many turns each side gets.
const TURNS: usize = 301;
/// How long a turn takes, about.
const TURN: Duration = Duration::from_millis(2);

/// Prints the ratio of `ours` to `beside`: the median of all pairs of turns, and what nine of ten pairs lie between.
///
/// It heeds what criterion heeds: a filter on the command line, and `--test` for a single turn.
#[allow(dead_code, reason = "each bench uses some of it")]
pub(crate) fn print_ratio<A, B>(name: &str, ours: (&str, impl FnMut() -> A), beside: (&str, impl FnMut() -> B)) {
    print_each(name, ours, beside, ("/", |ours, beside| ours / beside, ""));
}

/// The same for the difference in nanoseconds.
#[allow(dead_code, reason = "each bench uses some of it")]
pub(crate) fn print_difference<A, B>(name: &str, ours: (&str, impl FnMut() -> A), beside: (&str, impl FnMut() -> B)) {
    print_each(name, ours, beside, ("-", |ours, beside| ours - beside, " ns"));
}

/// How two costs are compared: the sign, what it does, and the unit of what comes out.
type Comparison = (&'static str, fn(f64, f64) -> f64, &'static str);

fn print_each<A, B>(
    name: &str,
    (label, mut ours): (&str, impl FnMut() -> A),
    (label_beside, mut beside): (&str, impl FnMut() -> B),
    (sign, compare, unit): Comparison,
) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_filter = |argument: &&String| !argument.starts_with('-') && argument.parse::<f64>().is_err();
    let mut filters = arguments.iter().filter(is_filter).peekable();
    if filters.peek().is_some() && !filters.any(|filter| name.contains(filter.as_str())) {
        return;
    }
    let (turns, turn) =
        if arguments.iter().any(|argument| argument == "--test") { (1, Duration::ZERO) } else { (TURNS, TURN) };
    let (calls, calls_beside) = (calls_within(turn, &mut ours), calls_within(turn, &mut beside));
    let pairs: Vec<(f64, f64)> =
        (0..turns).map(|_| (a_call(calls, &mut ours), a_call(calls_beside, &mut beside))).collect();
    let [low, median, high] = quantiles(pairs.iter().map(|(ours, beside)| compare(*ours, *beside)));
    let [_, ours, _] = quantiles(pairs.iter().map(|pair| pair.0));
    let [_, beside, _] = quantiles(pairs.iter().map(|pair| pair.1));
    println!(
        "{name}: {label} {sign} {label_beside} = {median:.2}{unit} ({low:.2} to {high:.2}), {ours:.0} ns {sign} {beside:.0} ns, {turns} turns"
    );
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
fn a_call<T>(calls: u32, call: &mut impl FnMut() -> T) -> f64 {
    let start = Instant::now();
    for _ in 0..calls {
        std::hint::black_box(call());
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
}

/// The 5th, 50th and 95th of a hundred.
fn quantiles(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    [5, 50, 95].map(|percent| values[(values.len() - 1) * percent / 100])
}
