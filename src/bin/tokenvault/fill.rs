//! `fill`, `inquire`: one request from standard input as a whole, one answer.

use tokenvault::{Body, InquirySource, Vault};

use crate::arguments::BodyKind;
use crate::failure::Failure;
use crate::input::{stdin, whole};
use crate::output::Output;
use crate::read::{print, token_id};

/// As much of a template as the vault needs to see that it is too large.
const MOST_OF_A_TEMPLATE: usize = 1024 * 1024 + 1;
/// As much of a source.
const MOST_OF_A_SOURCE: usize = 64 * 1024 + 1;

/// Writes the body from the block in which it was filled and is wiped.
pub(crate) fn fill(vault: &Vault, id: &str, kind: BodyKind, out: &mut Output) -> Result<(), Failure> {
    let id = token_id(id)?;
    let template = stdin().and_then(|input| whole(input, MOST_OF_A_TEMPLATE)).map_err(Failure::Input)?;
    let body = match kind {
        BodyKind::Json => Body::from_utf8(&template, Body::Json),
        BodyKind::Form => Body::from_utf8(without_line_ending(&template), Body::Form),
        BodyKind::Xml => Body::from_utf8(&template, Body::Xml),
    };
    Ok(vault.fill(id, body?, |filled| out.write(filled))??)
}

pub(crate) fn inquire(vault: &Vault, out: &mut Output) -> Result<(), Failure> {
    let source = stdin().and_then(|input| whole(input, MOST_OF_A_SOURCE)).map_err(Failure::Input)?;
    print(InquirySource::from_json_with(&source, vault.rules()).and_then(|source| vault.inquire(source)), out)
}

/// A form has no lines: the end of the last one is what an editor or `echo` has left.
fn without_line_ending(template: &[u8]) -> &[u8] {
    let line = template.strip_suffix(b"\n").unwrap_or(template);
    line.strip_suffix(b"\r").unwrap_or(line)
}
