//! A payload type's JSON Schema 2020-12: compiled once, bounded before it is compiled, and never reaching out of itself.
//!
//! A payload is checked where it stands, without a copy ([`lent`]). What is said of a violation is said in our words
//! ([`wording`]): the validator's own quote what they refuse.

mod compile;
mod lent;
mod place;
mod reach;
mod wording;

use std::collections::HashSet;
use std::fmt;

use jsonschema::Validator;
use serde_json::Value;

pub(crate) use self::place::Member;

use crate::error::Violation;
use crate::payload::Payload;
use crate::schema::lent::{Lent, Members, Node};

/// At most this many bytes of JSON.
pub(crate) const BYTES: usize = 32 * 1024;
/// At most this many objects and arrays within each other.
const LEVELS: usize = 32;

/// A compiled schema, to be shared by every thread that checks payloads.
pub(crate) struct Schema {
    validator: Validator<Lent>,
    /// Those of its words that may not stand in a path. Any other such key is the caller's own.
    hidden_words: HashSet<Box<str>>,
    /// Whether it judges keys by more than their being named: a key then cannot be stood in for.
    judges_keys: bool,
}

impl Schema {
    /// Compiles a schema whose text is well-formed JSON without duplicate keys.
    ///
    /// # Errors
    /// Every violation, one a path, which begins with `$.schema`.
    pub(crate) fn compile(json: &str) -> Result<Self, Vec<Violation>> {
        compile::compile(json)
    }

    /// Checks a payload.
    ///
    /// # Errors
    /// Every violation, one a path, which begins with `$.payload`.
    pub(crate) fn check(&self, payload: &Payload) -> Result<(), Vec<Violation>> {
        let members = Members::of(payload);
        if self.validator.is_valid(Node::Members(&members)) {
            return Ok(());
        }
        Err(wording::violations(self, payload))
    }

    /// Notes the words of a schema that has been compiled.
    fn of(validator: Validator<Lent>, json: &Value) -> Self {
        let mut schema = Self { validator, hidden_words: HashSet::new(), judges_keys: false };
        schema.note(json);
        schema
    }

    fn note(&mut self, value: &Value) {
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    self.judges_keys |= matches!(key.as_str(), "patternProperties" | "propertyNames");
                    self.note_word(key);
                    self.note(value);
                }
            }
            Value::Array(elements) => elements.iter().for_each(|element| self.note(element)),
            Value::String(word) => self.note_word(word),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn note_word(&mut self, word: &str) {
        if !crate::pairs::may_be_shown(word) {
            self.hidden_words.insert(word.into());
        }
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Schema(..)")
    }
}
