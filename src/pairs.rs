//! The rules that every map of a caller obeys, whatever it holds: published as 20 pairs, 20 characters a key, 80 a value.

use crate::error::Rule;

/// At most this many pairs.
pub(crate) const MOST: usize = 20;
/// At most this many characters (Unicode scalar values) in a key.
const KEY_CHARACTERS: usize = 20;
/// At most this many characters in a value, or in the JSON literal of a number.
const VALUE_CHARACTERS: usize = 80;

pub(crate) const TOO_MANY: Rule = Rule("must have at most 20 pairs");
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
        return Err(Rule("must be at most 80 characters"));
    }
    Ok(value)
}

/// Counts characters only where the bytes leave a doubt.
fn longer_than(text: &str, most: usize) -> bool {
    text.len() > most && text.chars().nth(most).is_some()
}
