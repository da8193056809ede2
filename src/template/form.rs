//! Placeholders in a form, `application/x-www-form-urlencoded`, and values as it spells them.

use crate::error::Rule;
use crate::template::scanner::{Malformed, Scanner};

const NOT_ENCODED: Malformed = Malformed(Rule("character that a form must percent-encode"));
const CUT_ESCAPE: Malformed = Malformed(Rule("`%` without two hexadecimal digits"));

/// What ends a placeholder that is not closed.
const ENDS: &[u8] = b"&";

/// Reads to the end. A `%` without its digits would take them from a value behind it.
pub(super) fn read(scanner: &mut Scanner<'_>) -> Result<(), Malformed> {
    while let Some(byte) = scanner.peek() {
        match byte {
            b'{' if scanner.is_at_placeholder() => scanner.text_value(ENDS),
            b'%' if !is_escape(scanner.rest()) => return Err(CUT_ESCAPE),
            b'!'..=b'~' => scanner.at += 1,
            _ => return Err(NOT_ENCODED),
        }
    }
    Ok(())
}

fn is_escape(text: &[u8]) -> bool {
    matches!(text, [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

/// Hands out a value percent-encoded, a space as `+`.
pub(super) fn escape(value: &str, put: &mut dyn FnMut(&[u8])) {
    // The parts are of the value where it stands, or of a table: nothing is copied.
    form_urlencoded::byte_serialize(value.as_bytes()).for_each(|part| put(part.as_bytes()));
}
