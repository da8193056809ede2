//! The command line of the vault: arguments in, answers or error bodies out, and an exit code that says which.
//!
//! Secrets pass only through buffers that are wiped (`input`, `output`), and nothing that was typed is echoed.
#![forbid(unsafe_code)]

mod arguments;
mod change;
mod create;
mod demo;
mod failure;
mod fill;
mod input;
mod load;
mod maintain;
mod output;
mod place;
mod progress;
mod read;
mod rules;
mod search;
mod session;
mod sheet;
mod stream;
mod usage;
mod values;

use std::process::ExitCode;

use clap::Parser;
use tokenvault::{Fingerprints, Vault, VaultOptions};

use crate::arguments::{Arguments, Command};
use crate::failure::Failure;
use crate::output::Output;

fn main() -> ExitCode {
    match Arguments::try_parse().map_err(Failure::Usage).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { place, command } = arguments;
    let mut output = Output::stdout()?;
    let out = &mut output;
    match command {
        Command::Keygen { file } => maintain::keygen(&file),
        Command::Demo => demo::run(out),
        Command::Create { kind, again, rules } => {
            let again = again.of(kind)?;
            let vault = place.open_or_create(&again, rules)?;
            with(&vault, |vault| create::run(vault, kind, again, out))
        }
        Command::Update { kind, id, rules } => {
            with(&place.open_by(rules.options())?, |vault| change::update(vault, kind, id, out))
        }
        Command::ReplaceAccountNumber { id, rules } => {
            with(&place.open_by(rules.options())?, |vault| change::replace(vault, id, out))
        }
        Command::View { kind, ids } => with(&place.open()?, |vault| read::view(vault, kind, &ids, out)),
        Command::Reveal { kind, id } => with(&place.open()?, |vault| read::reveal(vault, kind, id, out)),
        Command::List { kind, page } => with(&place.open()?, |vault| read::list(vault, kind, &page, out)),
        Command::Delete { kind, id } => with(&place.open()?, |vault| read::delete(vault, kind, id)),
        Command::Session(command) => {
            with(&place.open_by(command.options())?, |vault| session::run(vault, command, out))
        }
        Command::SecurityCode(command) => with(&place.open()?, |vault| session::security_code(vault, command, out)),
        Command::Fill { id, body } => with(&place.open()?, |vault| fill::fill(vault, id, body, out)),
        Command::Inquire { eight_digit_bin, rules } => {
            let options = rules.options();
            let options = if eight_digit_bin { options.eight_digit_bin() } else { options };
            with(&place.open_by(options)?, |vault| search::inquire(vault, out))
        }
        Command::Find { rules } => with(&place.open_by(rules.options())?, |vault| search::find(vault, out)),
        Command::IndexFingerprints => {
            let options = VaultOptions::new().fingerprints(Fingerprints::On);
            with(&place.open_by(options)?, |vault| maintain::index_fingerprints(vault, out))
        }
        Command::Sweep => with(&place.open()?, |vault| maintain::sweep(vault, out)),
        Command::Stats => with(&place.open()?, |vault| maintain::stats(vault, out)),
    }
}

/// Runs a command on an open vault, and closes it in order.
fn with(vault: &Vault, command: impl FnOnce(&Vault) -> Result<(), Failure>) -> Result<(), Failure> {
    let done = command(vault);
    match vault.close() {
        Ok(()) => done,
        Err(error) => Err(Failure::Unclosed { error, done: done.map_err(Box::new) }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokenvault::{CreateGeneric, KeyManager};

    use super::*;

    #[test]
    fn a_close_that_fails_behind_a_refusal_is_told_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::create(folder.path().join("cards.vault"), KeyManager::generate().unwrap()).unwrap();
        let ended = with(&vault, |vault| {
            vault.create_generic(CreateGeneric::from_json(br#"{"payload":{"pin":"1234"}}"#)?)?;
            fs::remove_dir_all(folder.path().join("cards.vault")).unwrap();
            Err(Failure::Answered)
        });
        let Err(Failure::Unclosed { done: Err(before), .. }) = ended else { panic!("{ended:?}") };
        assert!(matches!(*before, Failure::Answered), "{before:?}");
    }
}
