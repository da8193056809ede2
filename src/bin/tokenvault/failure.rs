//! How a command ends when it does not succeed: where the error body goes, and the exit code.

use std::io;
use std::process::ExitCode;

use serde::Serialize;
use tokenvault::{Error, ErrorKind, Violation};

use crate::output::Output;
use crate::usage::hide_what_was_typed;

/// Something was refused, or cut short.
const REFUSED: u8 = 1;
/// The vault could not be opened, or the usage is wrong.
const UNUSABLE: u8 = 2;

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The arguments are not a command, or help was asked for.
    Usage(clap::Error),
    /// There is no key, or the vault does not open with it.
    Unopened(Error),
    /// The vault refused.
    Refused(Error),
    /// Only root may do it, and the command acts by a credential.
    RootOnly,
    /// The vault cannot tell the tokens of a card, as it lacks fingerprints.
    Unindexed { error: Error, asked_at: &'static str },
    /// Something was refused, and its error body is out already.
    Answered,
    /// The vault could not be closed in order, after a command that ended as `done` says.
    Unclosed { error: Error, done: Result<(), Box<Failure>> },
    /// Standard input was not read to its end: from this line on nothing was tried.
    Untried { from_line: u64 },
    /// No thread can be had.
    NoThread(io::Error),
    /// A thread that makes tokens did not get to the end of its work.
    CutShort(io::Error),
    /// Standard input cannot be read.
    Input(io::Error),
    /// Standard output cannot be written.
    Output(io::Error),
}

/// Whatever an open vault answers is a refusal.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// What fails on its way out; the few reads say so themselves.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl Failure {
    /// Says it where it belongs.
    pub(crate) fn report(self) -> ExitCode {
        let code = match &self {
            Self::Usage(error) => u8::try_from(error.exit_code()).unwrap_or(UNUSABLE),
            Self::Unopened(_) => UNUSABLE,
            _ => REFUSED,
        };
        // Nobody is left to hear that a report could not be written.
        drop(self.tell());
        ExitCode::from(code)
    }

    fn tell(self) -> io::Result<()> {
        match self {
            Self::Usage(error) => hide_what_was_typed(error).print(),
            Self::Unopened(error) => body(Output::stderr()?, &error),
            Self::Unclosed { error, done } => {
                let told = done.or_else(|before| before.tell());
                body(Output::stderr()?, &error).and(told)
            }
            Self::Refused(error) => body(Output::stdout()?, &error),
            Self::RootOnly => body(Output::stdout()?, &forbidden()),
            Self::Unindexed { error, asked_at } => body(Output::stdout()?, &unindexed(&error, asked_at)),
            Self::Answered => Ok(()),
            Self::Untried { from_line } => {
                say(&format!("the vault is unavailable: from line {from_line} of standard input on, nothing was tried"))
            }
            Self::NoThread(error) => say(&format!("cannot start a thread: {error}")),
            Self::CutShort(error) => {
                say(&format!("ended early, and requests without an answer may have been kept: {error}"))
            }
            Self::Input(error) => say(&format!("cannot read standard input: {error}")),
            // Whoever reads has gone, and knows.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Self::Output(error) => say(&format!("cannot write to standard output: {error}")),
        }
    }
}

/// The error body of what no credential may do.
fn forbidden() -> impl Serialize {
    #[derive(Serialize)]
    struct Forbidden {
        code: u16,
        classifier: &'static str,
        message: &'static str,
    }

    let kind = ErrorKind::Forbidden;
    Forbidden {
        code: kind.code(),
        classifier: kind.classifier(),
        message: "Not allowed to access this resource or feature",
    }
}

/// The error body with the command that helps.
fn unindexed(error: &Error, asked_at: &str) -> impl Serialize {
    const ADVICE: &str = "the vault lacks fingerprints of its cards: `tokenvault index-fingerprints` makes them";

    #[derive(Serialize)]
    struct Advised {
        code: u16,
        classifier: &'static str,
        message: String,
        validation_errors: [Violation; 1],
    }

    Advised {
        code: error.code(),
        classifier: error.classifier(),
        message: error.message().to_owned(),
        validation_errors: [Violation::new(asked_at, ADVICE)],
    }
}

fn body(mut output: Output, body: &impl Serialize) -> io::Result<()> {
    output.answer(body)?;
    output.send()
}

fn say(what: &str) -> io::Result<()> {
    let mut output = Output::stderr()?;
    output.line(format_args!("tokenvault: {what}"))?;
    output.send()
}
