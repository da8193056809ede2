//! The command line of the vault: arguments in, answers or error bodies out, and an exit code that says which.
//!
//! Secrets pass only through buffers that are wiped (`input`, `output`), and nothing that was typed is echoed.
#![forbid(unsafe_code)]

mod access;
mod arguments;
mod change;
mod create;
mod credential;
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
use tokenvault::{Authority, Client, Vault};

use crate::arguments::{Arguments, Command};
use crate::failure::Failure;
use crate::output::Output;
use crate::place::Place;
use crate::rules::AgainArguments;
use crate::values::{RemovedKind, SwitchedKind};

fn main() -> ExitCode {
    match Arguments::try_parse().map_err(Failure::Usage).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { place, who, command } = arguments;
    let mut output = Output::stdout()?;
    let out = &mut output;
    match command {
        Command::Keygen { file } => maintain::keygen(&file),
        Command::Demo => demo::run(out),
        command => {
            command.check()?;
            match who.secret()? {
                None => with(&open(&place, &command)?, |vault| as_root(vault, command, out)),
                Some(secret) => with(&place.open_by(command.options())?, |vault| {
                    as_client(&secret.authenticate(vault)?, command, out)
                }),
            }
        }
    }
}

/// The vault of a command of root's, made if it is one that makes a vault.
fn open(place: &Place, command: &Command) -> Result<Vault, Failure> {
    match command {
        Command::Create { again, rules, .. } => place.open_or_create(again, *rules),
        Command::Define { .. } => place.open_or_make(),
        command => place.open_by(command.options_of_root()),
    }
}

/// Does what root alone may do, and what others may too.
fn as_root(vault: &Vault, command: Command, out: &mut Output) -> Result<(), Failure> {
    match command {
        Command::Define { kind } => access::define(vault, kind, out),
        Command::Delete { kind: RemovedKind::Account, id } => Ok(vault.delete_account(id.as_str())?),
        Command::Delete { kind: RemovedKind::Module, id } => Ok(vault.delete_module(id.as_str())?),
        Command::IndexFingerprints => maintain::index_fingerprints(vault, out),
        command => act(vault, command, out),
    }
}

/// Does what a credential may do. Fingerprints, which stay on, are not for it to turn on.
fn as_client(client: &Client, command: Command, out: &mut Output) -> Result<(), Failure> {
    match command {
        Command::Create { again: AgainArguments { fingerprints: true, .. }, .. } => Err(Failure::RootOnly),
        command => act(client, command, out),
    }
}

fn act(vault: &Vault<impl Authority>, command: Command, out: &mut Output) -> Result<(), Failure> {
    match command {
        Command::Create { kind, again, .. } => create::run(vault, kind, again, out),
        Command::Update { kind, id, .. } => change::update(vault, kind, &id, out),
        Command::ReplaceAccountNumber { id, .. } => change::replace(vault, id, out),
        Command::View { kind, ids } => read::view(vault, kind, &ids, out),
        Command::Reveal { kind, id } => read::reveal(vault, kind, id, out),
        Command::List { kind, page } => read::list(vault, kind, &page, out),
        Command::Delete { kind, id } => read::delete(vault, kind, &id, out),
        Command::Enable { kind: SwitchedKind::ApiToken, id } => access::enable(vault, &id, out),
        Command::Disable { kind: SwitchedKind::ApiToken, id } => access::disable(vault, &id, out),
        Command::Session(command) => session::run(vault, command, out),
        Command::SecurityCode(command) => session::security_code(vault, command, out),
        Command::Fill { id, body } => fill::fill(vault, id, body, out),
        Command::Inquire { .. } => search::inquire(vault, out),
        Command::Find { .. } => search::find(vault, out),
        Command::Sweep => maintain::sweep(vault, out),
        Command::Stats => maintain::stats(vault, out),
        Command::Compact => maintain::compact(vault, out),
        // Those without a vault do not come here.
        Command::Define { .. } | Command::IndexFingerprints | Command::Keygen { .. } | Command::Demo => {
            Err(Failure::RootOnly)
        }
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
