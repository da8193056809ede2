//! A request as JSON text: bounded before it is parsed, read member by member, never copied into a tree.
//!
//! `serde_json` checks the syntax and hands out each name and value as it stands. Its errors can quote values and are
//! dropped; its string buffer is never used, since nothing wipes it.

use std::fmt;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::Deserializer;
use serde_json::value::RawValue;

use crate::error::{Error, Violation};
use crate::request::limits;
use crate::request::text::Token;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Where JSON stops being well-formed, in bytes from the start of the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    offset: usize,
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        refused(format!("malformed JSON at byte {}", malformed.offset))
    }
}

/// The text of a request that is worth parsing: small, flat and UTF-8.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Error> {
    if bytes.len() > limits::BYTES {
        return Err(refused(format!("request is larger than 64 KiB at byte {}", limits::BYTES)));
    }
    if bytes.starts_with(BYTE_ORDER_MARK) {
        return Err(refused("byte order mark at byte 0".to_owned()));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| refused(format!("invalid UTF-8 at byte {}", error.valid_up_to())))?;
    if let Some(offset) = too_deep(bytes) {
        return Err(refused(format!("more than 32 levels deep at byte {offset}")));
    }
    if text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{') {
        return Ok(text);
    }
    // Not an object: malformed, or well-formed and something else. Only the syntax is looked at.
    serde_json::from_str::<&RawValue>(text).map_err(|error| malformed(text, &error))?;
    Err(refused("must be an object".to_owned()))
}

fn refused(message: String) -> Error {
    Error::validation(vec![Violation::new("$", message)], 0)
}

/// Where the text goes deeper than allowed, if it does.
fn too_deep(bytes: &[u8]) -> Option<usize> {
    let opens = |byte: &u8| matches!(byte, b'{' | b'[');
    if bytes.iter().filter(|byte| opens(byte)).count() <= limits::LEVELS {
        return None;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    bytes.iter().position(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > limits::LEVELS
    })
}

/// Hands out each name, still in its quotes, and value of an object, in document order.
pub(super) fn members<'de>(
    object: &'de str,
    mut each: impl FnMut(&'de str, Token<'de>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut handed_out = Ok(());
    let members = Members(|name, value| {
        if handed_out.is_ok() {
            handed_out = each(name, value);
        }
    });
    let mut deserializer = Deserializer::from_str(object);
    let read = deserializer.deserialize_map(members).and_then(|()| deserializer.end());
    read.map_err(|error| malformed(object, &error))?;
    handed_out
}

struct Members<F>(F);

impl<'de, F: FnMut(&'de str, Token<'de>)> Visitor<'de> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry::<&'de RawValue, &'de RawValue>()? {
            (self.0)(name.get(), Token(value.get()));
        }
        Ok(())
    }
}

/// From a line and a column, both counted from 1, to an offset.
fn malformed(text: &str, error: &serde_json::Error) -> Malformed {
    if error.is_eof() {
        return Malformed { offset: text.len() };
    }
    let lines_before = error.line().saturating_sub(1);
    let line_start: usize = text.split_inclusive('\n').take(lines_before).map(str::len).sum();
    Malformed { offset: (line_start + error.column().saturating_sub(1)).min(text.len()) }
}
