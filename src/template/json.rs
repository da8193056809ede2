//! Placeholders in JSON (RFC 8259), and values as JSON spells them.
//!
//! The levels that are open are the bits of one word, so that no template is too deep for the stack.

use crate::error::Rule;
use crate::template::scanner::{Malformed, Scanner, UNWRAP_MISPLACED};

/// At most so many objects and arrays within each other: as many as [`Levels`] has bits.
const MOST_LEVELS: u32 = u64::BITS;

const MALFORMED: Malformed = Malformed(Rule("malformed JSON"));
const TOO_DEEP: Malformed = Malformed(Rule("more than 64 levels deep"));
const MISPLACED: Rule = Rule("placeholder outside a string value");

/// What ends a placeholder that is not closed.
const ENDS: &[u8] = b"\"\\";

/// What may come.
#[derive(Clone, Copy)]
enum Next {
    Value,
    /// Behind the bracket that opens an array.
    ValueOrEnd,
    Name,
    /// Behind the brace that opens an object.
    NameOrEnd,
    Colon,
    /// Behind a value.
    CommaOrEnd,
}

/// The objects and arrays that are open.
#[derive(Default)]
struct Levels {
    open: u32,
    /// The innermost is the lowest bit: set for an object.
    objects: u64,
}

impl Levels {
    fn enter(&mut self, is_object: bool) -> Result<(), Malformed> {
        if self.open == MOST_LEVELS {
            return Err(TOO_DEEP);
        }
        self.open += 1;
        self.objects = self.objects << 1 | u64::from(is_object);
        Ok(())
    }

    fn leave(&mut self) -> Next {
        self.open -= 1;
        self.objects >>= 1;
        Next::CommaOrEnd
    }

    fn is_in_object(&self) -> bool {
        self.open > 0 && self.objects & 1 == 1
    }

    fn is_in_array(&self) -> bool {
        self.open > 0 && self.objects & 1 == 0
    }
}

/// Reads one value and the space around it.
pub(super) fn read(scanner: &mut Scanner<'_>) -> Result<(), Malformed> {
    let (mut next, mut levels) = (Next::Value, Levels::default());
    loop {
        scanner.take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
        next = match (next, scanner.peek()) {
            (Next::CommaOrEnd, None) if levels.open == 0 => return Ok(()),
            (Next::CommaOrEnd, Some(b',')) if levels.open > 0 => {
                scanner.at += 1;
                if levels.is_in_object() { Next::Name } else { Next::Value }
            }
            (Next::CommaOrEnd | Next::NameOrEnd, Some(b'}')) if levels.is_in_object() => {
                scanner.at += 1;
                levels.leave()
            }
            (Next::CommaOrEnd | Next::ValueOrEnd, Some(b']')) if levels.is_in_array() => {
                scanner.at += 1;
                levels.leave()
            }
            (Next::Colon, Some(b':')) => {
                scanner.at += 1;
                Next::Value
            }
            (Next::Name | Next::NameOrEnd, Some(b'"')) => {
                string(scanner, |scanner, _| scanner.misplaced(ENDS, MISPLACED))?;
                Next::Colon
            }
            (Next::Name | Next::NameOrEnd, Some(b'{')) if scanner.is_at_placeholder() => {
                scanner.misplaced(ENDS, MISPLACED);
                Next::Colon
            }
            (Next::Value | Next::ValueOrEnd, Some(byte)) => value(byte, scanner, &mut levels)?,
            _ => return Err(MALFORMED),
        };
    }
}

/// Takes a value, or as much of it as opens a level.
fn value(first: u8, scanner: &mut Scanner<'_>, levels: &mut Levels) -> Result<Next, Malformed> {
    match first {
        b'"' => string(scanner, value_in_string)?,
        b'{' if scanner.is_at_placeholder() => scanner.misplaced(ENDS, MISPLACED),
        b'{' => {
            levels.enter(true)?;
            scanner.at += 1;
            return Ok(Next::NameOrEnd);
        }
        b'[' => {
            levels.enter(false)?;
            scanner.at += 1;
            return Ok(Next::ValueOrEnd);
        }
        b't' => literal(scanner, b"true")?,
        b'f' => literal(scanner, b"false")?,
        b'n' => literal(scanner, b"null")?,
        _ => number(scanner)?,
    }
    Ok(Next::CommaOrEnd)
}

/// Takes a string, and each placeholder in it by `each`, which is told where the string begins.
fn string(scanner: &mut Scanner<'_>, each: fn(&mut Scanner<'_>, usize)) -> Result<(), Malformed> {
    let quote = scanner.at;
    scanner.at += 1;
    loop {
        scanner.take_while(|byte| !matches!(byte, b'"' | b'\\' | b'{' | ..b' '));
        match scanner.peek() {
            Some(b'"') => break,
            Some(b'\\') => escape_sequence(scanner)?,
            Some(b'{') if scanner.is_at_placeholder() => each(scanner, quote),
            Some(b'{') => scanner.at += 1,
            _ => return Err(MALFORMED),
        }
    }
    scanner.at += 1;
    Ok(())
}

/// Takes a placeholder in the string value that begins at `quote`.
fn value_in_string(scanner: &mut Scanner<'_>, quote: usize) {
    let start = scanner.at;
    let Some(placeholder) = scanner.placeholder(ENDS) else { return };
    let stands_alone = start == quote + 1 && scanner.peek() == Some(b'"');
    match (placeholder.unwrap, stands_alone) {
        (true, false) => scanner.flaw(start, UNWRAP_MISPLACED),
        (true, true) if placeholder.name.is_number() => scanner.slot(quote..scanner.at + 1, placeholder.name, true),
        // The native value of text is the string.
        _ => scanner.slot(start..scanner.at, placeholder.name, false),
    }
}

fn escape_sequence(scanner: &mut Scanner<'_>) -> Result<(), Malformed> {
    scanner.at += 1;
    match scanner.peek() {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => scanner.at += 1,
        Some(b'u') => {
            scanner.at += 1;
            for _ in 0..4 {
                if !scanner.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                    return Err(MALFORMED);
                }
                scanner.at += 1;
            }
        }
        _ => return Err(MALFORMED),
    }
    Ok(())
}

fn literal(scanner: &mut Scanner<'_>, literal: &[u8]) -> Result<(), Malformed> {
    literal.iter().try_for_each(|byte| if scanner.take_if(*byte) { Ok(()) } else { Err(MALFORMED) })
}

fn number(scanner: &mut Scanner<'_>) -> Result<(), Malformed> {
    scanner.take_if(b'-');
    if !scanner.take_if(b'0') {
        digits(scanner)?;
    }
    if scanner.take_if(b'.') {
        digits(scanner)?;
    }
    if scanner.take_if(b'e') || scanner.take_if(b'E') {
        let _signed = scanner.take_if(b'+') || scanner.take_if(b'-');
        digits(scanner)?;
    }
    Ok(())
}

/// Takes at least one digit.
fn digits(scanner: &mut Scanner<'_>) -> Result<(), Malformed> {
    if scanner.take_while(|byte| byte.is_ascii_digit()) > 0 { Ok(()) } else { Err(MALFORMED) }
}

/// Hands out a value as it stands within a JSON string.
pub(super) fn escape(value: &str, put: &mut dyn FnMut(&[u8])) {
    let is_special = |byte: u8| matches!(byte, b'"' | b'\\' | ..b' ');
    for run in value.as_bytes().chunk_by(|one, other| !is_special(*one) && !is_special(*other)) {
        match run {
            [b'"'] => put(b"\\\""),
            [b'\\'] => put(b"\\\\"),
            [byte @ ..b' '] => put(&[b'\\', b'u', b'0', b'0', hexadecimal(byte >> 4), hexadecimal(byte & 15)]),
            plain => put(plain),
        }
    }
}

fn hexadecimal(half: u8) -> u8 {
    if half < 10 { b'0' + half } else { b'a' + (half - 10) }
}
