//! `session` and `security-code`: what waits for a card, or was said beside it.

use serde::Serialize;
use tokenvault::{Authority, CompleteSession, SessionId, Vault};

use crate::arguments::{SecurityCodeCommand, SessionCommand};
use crate::failure::Failure;
use crate::input;
use crate::output::Output;
use crate::read::print;

pub(crate) fn run(vault: &Vault<impl Authority>, command: SessionCommand, out: &mut Output) -> Result<(), Failure> {
    match command {
        SessionCommand::View { id } => print(vault.session(id.into()), out),
        SessionCommand::Complete { id, idempotency_key, .. } => {
            let request = CompleteSession::from_json_with(&input::request()?, vault.rules())?;
            let request = match idempotency_key {
                Some(key) => request.idempotency_key(&key)?,
                None => request,
            };
            print(vault.complete_session(id.into(), request), out)
        }
    }
}

pub(crate) fn security_code(
    vault: &Vault<impl Authority>,
    command: SecurityCodeCommand,
    out: &mut Output,
) -> Result<(), Failure> {
    match command {
        SecurityCodeCommand::Check { id } => {
            let available = vault.security_code_available(id.into());
            print(available.map(|available| Checked { available }), out)
        }
        SecurityCodeCommand::Delete { id } => Ok(vault.delete_security_code(id.into())?),
        SecurityCodeCommand::Refresh { id } => {
            let session_id = vault.refresh_security_code(id.into());
            print(session_id.map(|session_id| Opened { session_id }), out)
        }
    }
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
