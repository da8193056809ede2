//! Placeholders in JSON (RFC 8259), and values as JSON spells them.
//!
//! The levels that are open are the bits of one word, so that no template is too deep for the stack.

use crate::error::Rule;
use crate::lexer::{self, Reach};
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
        scanner.take_while(lexer::is_space);
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
        b't' => piece(scanner, |text| lexer::literal(text, b"true"))?,
        b'f' => piece(scanner, |text| lexer::literal(text, b"false"))?,
        b'n' => piece(scanner, |text| lexer::literal(text, b"null"))?,
        _ => piece(scanner, lexer::number)?,
    }
    Ok(Next::CommaOrEnd)
}

/// Takes a string, and each placeholder in it by `each`, which is told where the string begins.
fn string(scanner: &mut Scanner<'_>, each: fn(&mut Scanner<'_>, usize)) -> Result<(), Malformed> {
    let quote = scanner.at;
    scanner.at += 1;
    loop {
        scanner.take_while(|byte| byte != b'{' && !lexer::is_special(byte));
        match scanner.peek() {
            Some(b'"') => break,
            Some(b'\\') => piece(scanner, lexer::escape)?,
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

/// Takes a piece of the grammar, or as much of it as is right.
fn piece(scanner: &mut Scanner<'_>, read: impl Fn(&[u8]) -> Reach) -> Result<(), Malformed> {
    let reach = read(scanner.rest());
    let (Ok(taken) | Err(taken)) = reach;
    scanner.at += taken;
    reach.map(drop).map_err(|_| MALFORMED)
}

/// Hands out a value as it stands within a JSON string.
pub(super) fn escape(value: &str, put: &mut dyn FnMut(&[u8])) {
    for run in value.as_bytes().chunk_by(|one, other| !lexer::is_special(*one) && !lexer::is_special(*other)) {
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
