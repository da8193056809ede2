//! `session` and `security-code`: what waits for a card, or was said beside it.

use serde::Serialize;
use tokenvault::{CompleteSession, Error, SessionId, Vault};

use crate::arguments::{SecurityCodeCommand, SessionCommand};
use crate::failure::Failure;
use crate::input;
use crate::output::Output;
use crate::read::{print, token_id};

pub(crate) fn run(vault: &Vault, command: SessionCommand, out: &mut Output) -> Result<(), Failure> {
    match command {
        SessionCommand::View { id } => print(session_id(&id).and_then(|id| vault.session(id)), out),
        SessionCommand::Complete { id, .. } => {
            let json = input::request()?;
            // What is wrong with the request is told before what is wrong with the session.
            let request = CompleteSession::from_json_with(&json, vault.rules())?;
            print(session_id(&id).and_then(|id| vault.complete_session(id, request)), out)
        }
    }
}

pub(crate) fn security_code(vault: &Vault, command: SecurityCodeCommand, out: &mut Output) -> Result<(), Failure> {
    match command {
        SecurityCodeCommand::Check { id } => {
            let available = vault.security_code_available(token_id(&id)?);
            print(available.map(|available| Checked { available }), out)
        }
        SecurityCodeCommand::Delete { id } => Ok(vault.delete_security_code(token_id(&id)?)?),
        SecurityCodeCommand::Refresh { id } => {
            let session_id = vault.refresh_security_code(token_id(&id)?);
            print(session_id.map(|session_id| Opened { session_id }), out)
        }
    }
}

/// What is no id names nothing: the answer is that of an id that does not exist.
fn session_id(text: &str) -> Result<SessionId, Error> {
    text.parse()
}

/// As `security-code check` prints it.
#[derive(Serialize)]
struct Checked {
    available: bool,
}

/// As `security-code refresh` prints it.
#[derive(Serialize)]
struct Opened {
    session_id: SessionId,
}
