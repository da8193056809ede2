//! A payload type's JSON Schema 2020-12: compiled once, bounded before it is compiled, and never reaching out of itself.
//!
//! A payload is checked where it stands, without a copy ([`lent`]). What is said of a violation is said in our words
//! ([`wording`]): the validator's own quote what they refuse.

mod compile;
mod lent;
mod place;
mod quiet;
mod reach;
mod wording;

use std::collections::HashSet;
use std::fmt;
use std::sync::OnceLock;

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
    /// What [`Schema::teller`] is built of.
    json: Value,
    patterns: compile::Patterns,
    teller: OnceLock<Option<Validator<Lent>>>,
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
        if quiet::is_valid(&self.validator, Node::Members(&members)) {
            return Ok(());
        }
        Err(wording::violations(self, payload))
    }

    /// The validator that says what is wrong; built when something is for the first time.
    fn teller(&self) -> Option<&Validator<Lent>> {
        self.teller.get_or_init(|| self.patterns.build_teller(&self.json)).as_ref()
    }

    /// Notes the words of a schema that has been compiled.
    fn of(validator: Validator<Lent>, json: Value, patterns: compile::Patterns) -> Self {
        let (teller, hidden_words) = (OnceLock::new(), HashSet::new());
        let mut schema = Self { validator, json: Value::Null, patterns, teller, hidden_words, judges_keys: false };
        schema.note(&json);
        schema.json = json;
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
