//! The smallest pieces of JSON (RFC 8259): each is told from bytes alone, and kept nowhere.
//!
//! Whoever walks over a text moves on by what is answered.

/// How far a piece goes, or how far it is right.
pub(crate) type Reach = Result<usize, usize>;

/// Whether a byte may stand between values.
#[inline]
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Whether a byte ends the plain part of a string: a quote, a backslash, or a control character, which JSON forbids.
#[inline]
pub(crate) fn is_special(byte: u8) -> bool {
    const SPECIAL: [bool; 256] = {
        let (mut special, mut byte) = ([false; 256], 0_u8);
        while byte < u8::MAX {
            #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, within bounds")]
            let slot = &mut special[byte as usize];
            *slot = matches!(byte, b'"' | b'\\' | ..b' ');
            byte += 1;
        }
        special
    };
    SPECIAL.get(usize::from(byte)).copied().unwrap_or(true)
}

/// An escape within a string, from its backslash on.
pub(crate) fn escape(text: &[u8]) -> Reach {
    let kind = one(text, 0, |byte| byte == b'\\')?;
    let end = one(text, kind, |byte| matches!(byte, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' | b'u'))?;
    if text.get(kind) != Some(&b'u') {
        return Ok(end);
    }
    (0..4).try_fold(end, |at, _| one(text, at, |byte| byte.is_ascii_hexdigit()))
}

/// One of the three names.
pub(crate) fn literal(text: &[u8], literal: &[u8]) -> Reach {
    literal.iter().try_fold(0, |at, meant| one(text, at, |byte| byte == *meant))
}

pub(crate) fn number(text: &[u8]) -> Reach {
    let mut at = skip(text, 0, b"-");
    at = if text.get(at) == Some(&b'0') { at + 1 } else { digits(text, at)? };
    if text.get(at) == Some(&b'.') {
        at = digits(text, at + 1)?;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        at = digits(text, skip(text, at + 1, b"+-"))?;
    }
    Ok(at)
}

/// At least one digit.
fn digits(text: &[u8], at: usize) -> Reach {
    let digits = text.iter().skip(at).take_while(|byte| byte.is_ascii_digit()).count();
    if digits > 0 { Ok(at + digits) } else { Err(at) }
}

/// A byte of a kind.
fn one(text: &[u8], at: usize, is_meant: impl Fn(u8) -> bool) -> Reach {
    if text.get(at).is_some_and(|byte| is_meant(*byte)) { Ok(at + 1) } else { Err(at) }
}

/// A byte of these, or none.
fn skip(text: &[u8], at: usize, meant: &[u8]) -> usize {
    at + usize::from(text.get(at).is_some_and(|byte| meant.contains(byte)))
}
