//! `fill`: one template from standard input, the filled body out.

use tokenvault::{Authority, Body, Vault};
use uuid::Uuid;

use crate::failure::Failure;
use crate::input;
use crate::output::Output;
use crate::values::BodyKind;

/// Writes the body from the block in which it was filled and is wiped.
pub(crate) fn fill(vault: &Vault<impl Authority>, id: Uuid, kind: BodyKind, out: &mut Output) -> Result<(), Failure> {
    let template = input::template()?;
    let body = match kind {
        BodyKind::Json => Body::from_utf8(&template, Body::Json),
        BodyKind::Form => Body::from_utf8(without_line_ending(&template), Body::Form),
        BodyKind::Xml => Body::from_utf8(&template, Body::Xml),
    };
    Ok(vault.fill(id.into(), body?, |filled| out.write(filled))??)
}

/// A form has no lines: the end of the last one is what an editor or `echo` has left.
fn without_line_ending(template: &[u8]) -> &[u8] {
    let line = template.strip_suffix(b"\n").unwrap_or(template);
    line.strip_suffix(b"\r").unwrap_or(line)
}
