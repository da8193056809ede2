//! `keygen`, `index-fingerprints`, `sweep`, `stats`, `compact`: what keeps a vault going.

use std::path::Path;

use tokenvault::{Authority, IndexReport, KeyManager, SweepReport, Vault};

use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress;
use crate::read::print;
use crate::usage::hide_path;

/// Writes a new key to a new file.
pub(crate) fn keygen(file: &Path) -> Result<(), Failure> {
    KeyManager::create_key_file(file).map_err(|error| hide_path(error, file))?;
    Ok(())
}

pub(crate) fn sweep(vault: &Vault<impl Authority>, out: &mut Output) -> Result<(), Failure> {
    let progress = Progress::of("expired tokens");
    let removed = |report: &SweepReport| {
        report.expired_generic + report.expired_pci + report.expired_sessions + report.expired_other
    };
    let report = vault.sweep_with(|report| progress.show(removed(report), String::new));
    progress.finish();
    print(report, out)
}

pub(crate) fn index_fingerprints(vault: &Vault, out: &mut Output) -> Result<(), Failure> {
    let progress = Progress::of("tokens");
    let seen = |report: &IndexReport| report.indexed + report.already + report.remaining;
    let report = vault.index_fingerprints_with(|report| progress.show(seen(report), String::new));
    progress.finish();
    print(report, out)
}

pub(crate) fn compact(vault: &Vault<impl Authority>, out: &mut Output) -> Result<(), Failure> {
    let (progress, mut most) = (Progress::of("entries"), 0);
    let report = vault.compact_with(|report| {
        most = most.max(report.remaining);
        progress.show(most - report.remaining, || format!("{} left, ", report.remaining));
    });
    progress.finish();
    print(report, out)
}

pub(crate) fn stats(vault: &Vault<impl Authority>, out: &mut Output) -> Result<(), Failure> {
    print(vault.stats(), out)
}
