//! Threads that do the same thing for a while, and how often they did it.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;

use crate::data::seeded;

/// How many reads are made between two looks at the clock.
const READS_A_LOOK: u32 = 16;

/// A number that a float holds as it is.
pub(crate) fn exact(number: impl TryInto<u32>) -> f64 {
    f64::from(number.try_into().unwrap_or(u32::MAX))
}

/// Calls a second, of changes.
pub(crate) fn changes_a_second(threads: usize, time: Duration, call: impl Fn(&mut StdRng) + Sync) -> f64 {
    calls_a_second(threads, time, 1, call)
}

/// Calls a second, of reads.
pub(crate) fn reads_a_second(threads: usize, time: Duration, call: impl Fn(&mut StdRng) + Sync) -> f64 {
    calls_a_second(threads, time, READS_A_LOOK, call)
}

fn calls_a_second(threads: usize, time: Duration, at_once: u32, call: impl Fn(&mut StdRng) + Sync) -> f64 {
    let (counts, taken) = together(threads, |rng| {
        let (start, mut calls) = (Instant::now(), 0_u32);
        while start.elapsed() < time {
            (0..at_once).for_each(|_| call(rng));
            calls += at_once;
        }
        calls
    });
    exact(counts.iter().sum::<u32>()) / taken.as_secs_f64()
}

/// Calls a second, and the latencies of all calls in order, in microseconds.
pub(crate) fn latencies(threads: usize, time: Duration, call: impl Fn(&mut StdRng) + Sync) -> (f64, Vec<f64>) {
    let (latencies, taken) = together(threads, |rng| {
        let (start, mut latencies) = (Instant::now(), Vec::with_capacity(1 << 16));
        let mut before = start;
        while before - start < time {
            call(rng);
            let now = Instant::now();
            latencies.push((now - before).as_secs_f64() * 1e6);
            before = now;
        }
        latencies
    });
    let mut all = latencies.concat();
    all.sort_by(f64::total_cmp);
    (exact(all.len()) / taken.as_secs_f64(), all)
}

/// How long it takes until each thread has made its share of `calls` calls, which are numbered.
pub(crate) fn share(threads: usize, calls: usize, call: impl Fn(usize) + Sync) -> Duration {
    let start = Instant::now();
    thread::scope(|scope| {
        for thread in 0..threads {
            let call = &call;
            scope.spawn(move || (thread..calls).step_by(threads).for_each(call));
        }
    });
    start.elapsed()
}

/// What each thread answers, and how long it took from the first start to the last end.
fn together<T: Send>(threads: usize, work: impl Fn(&mut StdRng) -> T + Sync) -> (Vec<T>, Duration) {
    let barrier = Barrier::new(threads);
    let run = |thread: usize| {
        let mut rng = seeded(u64::try_from(thread).unwrap() + 1);
        barrier.wait();
        let start = Instant::now();
        (start, work(&mut rng), Instant::now())
    };
    let ran: Vec<_> = thread::scope(|scope| {
        let run = &run;
        let handles: Vec<_> = (0..threads).map(|thread| scope.spawn(move || run(thread))).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    });
    let start = ran.iter().map(|(start, ..)| *start).min().unwrap();
    let end = ran.iter().map(|(.., end)| *end).max().unwrap();
    (ran.into_iter().map(|(_, answer, _)| answer).collect(), end - start)
}
