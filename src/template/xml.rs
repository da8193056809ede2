//! Placeholders in XML 1.0, and values as XML spells them.
//!
//! A placeholder may stand where characters are a value and nothing else: in the text of an element, in the value of an
//! attribute. Only as much is read as it takes to know these places; the rest is for whoever parses the body.

use crate::error::Rule;
use crate::template::scanner::{Malformed, Scanner};

const MALFORMED: Malformed = Malformed(Rule("malformed XML"));
const DECLARATION: Malformed = Malformed(Rule("document type declaration"));
const MISPLACED: Rule = Rule("placeholder outside the text of an element and the value of an attribute");

/// What ends a placeholder that is not closed: markup, and in the value of an attribute its quote.
const IN_TEXT: &[u8] = b"<>&";
const IN_MARKUP: &[u8] = b"<>&\"'";

/// Reads to the end of the root element and what may follow it.
pub(super) fn read(scanner: &mut Scanner<'_>) -> Result<(), Malformed> {
    let mut open = 0_usize;
    while let Some(byte) = scanner.peek() {
        match byte {
            b'<' => open = markup(scanner, open)?,
            b'&' => reference(scanner)?,
            b'{' if scanner.is_at_placeholder() && open == 0 => scanner.misplaced(IN_TEXT, MISPLACED),
            b'{' if scanner.is_at_placeholder() => scanner.text_value(IN_TEXT),
            _ => scanner.at += 1,
        }
    }
    if open == 0 { Ok(()) } else { Err(MALFORMED) }
}

/// Takes what begins with `<`; answers how many elements are open behind it.
fn markup(scanner: &mut Scanner<'_>, open: usize) -> Result<usize, Malformed> {
    let rest = scanner.rest();
    if rest.starts_with(b"<!--") {
        scanner.at += 4;
        pass(scanner, b"-->")?;
    } else if rest.starts_with(b"<![CDATA[") {
        pass(scanner, b"]]>")?;
    } else if rest.starts_with(b"<?") {
        pass(scanner, b"?>")?;
    } else if rest.starts_with(b"</") {
        pass(scanner, b">")?;
        return open.checked_sub(1).ok_or(MALFORMED);
    } else if rest.starts_with(b"<!") {
        return Err(DECLARATION);
    } else {
        let is_empty = start_tag(scanner)?;
        return Ok(if is_empty { open } else { open + 1 });
    }
    Ok(open)
}

/// Takes everything up to and with `end`.
fn pass(scanner: &mut Scanner<'_>, end: &[u8]) -> Result<(), Malformed> {
    while !scanner.rest().starts_with(end) {
        if scanner.is_at_placeholder() {
            scanner.misplaced(IN_MARKUP, MISPLACED);
        } else if scanner.peek().is_some() {
            scanner.at += 1;
        } else {
            return Err(MALFORMED);
        }
    }
    scanner.at += end.len();
    Ok(())
}

/// Takes the tag that opens an element, with its attributes; answers whether it closes it as well.
fn start_tag(scanner: &mut Scanner<'_>) -> Result<bool, Malformed> {
    scanner.at += 1;
    loop {
        match scanner.peek() {
            Some(b'>') => {
                scanner.at += 1;
                return Ok(false);
            }
            Some(b'/') if scanner.rest().starts_with(b"/>") => {
                scanner.at += 2;
                return Ok(true);
            }
            Some(quote @ (b'"' | b'\'')) => attribute_value(scanner, quote)?,
            Some(b'{') if scanner.is_at_placeholder() => scanner.misplaced(IN_MARKUP, MISPLACED),
            Some(b'<') | None => return Err(MALFORMED),
            Some(_) => scanner.at += 1,
        }
    }
}

fn attribute_value(scanner: &mut Scanner<'_>, quote: u8) -> Result<(), Malformed> {
    scanner.at += 1;
    loop {
        match scanner.peek() {
            Some(byte) if byte == quote => break,
            Some(b'{') if scanner.is_at_placeholder() => scanner.text_value(IN_MARKUP),
            Some(b'&') => reference(scanner)?,
            Some(b'<') | None => return Err(MALFORMED),
            Some(_) => scanner.at += 1,
        }
    }
    scanner.at += 1;
    Ok(())
}

/// Takes a reference to a character or entity: a bare `&` would make one of the value behind it.
fn reference(scanner: &mut Scanner<'_>) -> Result<(), Malformed> {
    scanner.at += 1;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'#' | b'_' | b':' | b'.' | b'-' | 0x80..);
    if scanner.take_while(is_name) > 0 && scanner.take_if(b';') { Ok(()) } else { Err(MALFORMED) }
}

/// Whether XML 1.0 has all characters of a value (section 2.2).
pub(super) fn can_hold(value: &str) -> bool {
    value.chars().all(
        |c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}'),
    )
}

/// Hands out a value as it stands in text and in attributes alike. What a parser would turn into a space is a reference.
pub(super) fn escape(value: &str, put: &mut dyn FnMut(&[u8])) {
    let is_special = |byte: u8| matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\'' | b'\t' | b'\n' | b'\r');
    for run in value.as_bytes().chunk_by(|one, other| !is_special(*one) && !is_special(*other)) {
        put(match run {
            [b'&'] => b"&amp;",
            [b'<'] => b"&lt;",
            [b'>'] => b"&gt;",
            [b'"'] => b"&quot;",
            [b'\''] => b"&apos;",
            [b'\t'] => b"&#9;",
            [b'\n'] => b"&#10;",
            [b'\r'] => b"&#13;",
            plain => plain,
        });
    }
}
