//! tokenvault beside what one would otherwise build or take: the same cards, the same durability, in turns, on this machine.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench"
)]

mod chart;
mod data;
mod figures;
mod options;
mod ratios;
mod run;
mod subject;
mod timing;
mod workload;

use std::thread;

use crate::options::Options;

fn main() {
    let options = Options::from_arguments().unwrap_or_else(|refused| {
        eprintln!("{refused}\n{}", options::USAGE);
        std::process::exit(2);
    });
    println!("What a write waits for:\n");
    for peer in &options.subjects {
        println!("* {}: {}", peer.name, peer.durability);
    }
    let cores = thread::available_parallelism().unwrap();
    println!(
        "\n{cores} cores, {}; medians, and half of the way from the lowest to the highest.\n",
        options.scale.words
    );
    let figures = run::run(&options);
    println!("{}", figures.table());
    println!("{}", ratios::table(&figures));
    if let Some(path) = &options.json {
        std::fs::write(path, figures.json_lines()).unwrap();
    }
    if let Some(path) = &options.svg {
        chart::draw(&figures, path);
    }
}
