//! The rules that every map of a caller obeys, whatever it holds: published as 20 pairs, 20 characters a key, 80 a value.

use std::fmt;

use crate::error::{Error, Rule, Violation};

/// The longest key of a caller that stands in a path.
const LONGEST_SHOWN: usize = 40;
/// So many digits in a row, and a key could hold what no message may show.
const DIGITS_IN_A_ROW: usize = 6;
/// So many digits in all, and a key could be an account number with separators.
const DIGITS_IN_ALL: usize = 13;

/// At most this many pairs.
pub(crate) const MOST: usize = 20;
/// At most this many characters (Unicode scalar values) in a key.
const KEY_CHARACTERS: usize = 20;
/// At most this many characters in a value, or in the JSON literal of a number.
pub(crate) const VALUE_CHARACTERS: usize = 80;

pub(crate) const TOO_MANY: Rule = Rule("must have at most 20 pairs");
pub(crate) const TOO_LONG: Rule = Rule("must be at most 80 characters");
pub(crate) const DUPLICATE: Rule = Rule("duplicate key");

/// Checks a key: 1 to 20 characters.
pub(crate) fn check_key(key: &str) -> Result<&str, Rule> {
    if key.is_empty() {
        return Err(Rule("key must not be empty"));
    }
    if longer_than(key, KEY_CHARACTERS) {
        return Err(Rule("key must be at most 20 characters"));
    }
    Ok(key)
}

/// Checks a text value: 1 to 80 characters.
pub(crate) fn check_value(value: &str) -> Result<&str, Rule> {
    if value.is_empty() {
        return Err(Rule("must not be empty"));
    }
    if longer_than(value, VALUE_CHARACTERS) {
        return Err(TOO_LONG);
    }
    Ok(value)
}

/// Counts characters only where the bytes leave a doubt.
fn longer_than(text: &str, most: usize) -> bool {
    text.len() > most && text.chars().nth(most).is_some()
}

/// Takes in every pair, and tells every one that breaks a rule. Of pairs beyond the limit one is enough.
pub(crate) fn collect<K: AsRef<str>, V>(
    path: &str,
    pairs: impl IntoIterator<Item = (K, V)>,
    mut insert: impl FnMut(&str, V) -> Result<(), Rule>,
) -> Result<(), Error> {
    let mut violations: Vec<Violation> = Vec::new();
    for (at, (key, value)) in pairs.into_iter().enumerate() {
        if at == MOST {
            violations.insert(0, Violation::new(path, TOO_MANY.0));
            break;
        }
        let key = key.as_ref();
        let refused = insert(key, value).err().map(|rule| (format!("{path}{}", Name { key, position: at + 1 }), rule));
        if let Some((path, rule)) = refused.filter(|(path, _)| violations.iter().all(|other| other.path() != path)) {
            violations.push(Violation::new(path, rule.0));
        }
    }
    if violations.is_empty() { Ok(()) } else { Err(Error::validation(violations, 0)) }
}

/// How a member that a caller named stands in a path: by its key, or by its position, from 1.
pub(crate) struct Name<'a> {
    pub(crate) key: &'a str,
    pub(crate) position: usize,
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if may_be_shown(self.key) { write!(f, ".{}", self.key) } else { write!(f, "[#{}]", self.position) }
    }
}

/// Whether a caller's key is certain to hold no account number; otherwise its position stands for it.
pub(crate) fn may_be_shown(key: &str) -> bool {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let in_a_row = key.as_bytes().split(|byte| !byte.is_ascii_digit()).map(<[u8]>::len).max().unwrap_or(0);
    let in_all = key.bytes().filter(u8::is_ascii_digit).count();
    (1..=LONGEST_SHOWN).contains(&key.len())
        && key.bytes().all(harmless)
        && in_a_row < DIGITS_IN_A_ROW
        && in_all < DIGITS_IN_ALL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_could_hold_an_account_number_is_shown_by_its_position() {
        let at = |key| format!("${}", Name { key, position: 3 });
        let (longest, too_long) = ("k".repeat(40), "k".repeat(41));
        for shown in ["iban", "a.b-c_D9", "order_2026-11-21", "12345", &longest] {
            assert_eq!(at(shown), format!("$.{shown}"));
        }
        for hidden in ["", "4111111111111111", "x123456", "4111-1111-1111-1111", "a b", "é", "a$", &too_long] {
            assert_eq!(at(hidden), "$[#3]");
        }
    }
}
