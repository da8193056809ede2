//! Keywords that look at numbers and leave no copy behind.
//!
//! The validator takes numbers onto the stack, and builds its errors there: with what lies between their fields, a number would
//! get into memory that nobody wipes. Where errors are built, these keywords stand in for its own: each lets the validator
//! judge, and overwrites the stack before anything else happens.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::paths::Location;
use jsonschema::{Keyword, ValidationError, Validator};
use serde_json::{Map, Value, json};

use crate::schema::compile::{Options, build_plain};
use crate::schema::lent::{Lent, Node};

/// Every keyword that looks at a number.
const KEYWORDS: [&str; 8] =
    ["type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];

/// How far a single keyword reaches into the stack, amply.
const SHALLOW: usize = 8 * 1024;
/// How far a whole schema does, but for the most deeply nested.
const DEEP: usize = 64 * 1024;

/// The same options with quiet keywords.
pub(super) fn with_quiet_keywords(options: Options) -> Options {
    let known = Arc::new(Mutex::new(HashMap::new()));
    KEYWORDS.into_iter().fold(options, |options, keyword| {
        let known = Arc::clone(&known);
        options.with_keyword(keyword, move |_: &Map<String, Value>, value: &Value, _: Location| {
            let schema = json!({ keyword: value });
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            let judge = known.entry(schema.to_string()).or_insert_with(|| build_plain(&schema).map(Arc::new));
            let judge = judge.clone().ok_or_else(|| ValidationError::schema("no keyword"))?;
            Ok(Box::new(Quiet(judge)) as Box<dyn for<'i> Keyword<'i, Lent>>)
        })
    })
}

/// One keyword, judged by a schema that has no other.
struct Quiet(Arc<Validator<Lent>>);

impl<'i> Keyword<'i, Lent> for Quiet {
    fn validate(&self, instance: Node<'i>) -> Result<(), ValidationError<'i>> {
        if self.is_valid(instance) { Ok(()) } else { Err(ValidationError::custom("")) }
    }

    fn is_valid(&self, instance: Node<'i>) -> bool {
        let is_valid = self.0.is_valid(instance);
        overwrite_stack::<SHALLOW>();
        is_valid
    }
}

/// Judges a payload, and leaves nothing of it on the stack if it is refused.
pub(super) fn is_valid(validator: &Validator<Lent>, payload: Node<'_>) -> bool {
    let is_valid = validator.is_valid(payload);
    if !is_valid {
        overwrite_stack::<DEEP>();
    }
    is_valid
}

/// Overwrites what functions that have returned have left behind.
#[inline(never)]
fn overwrite_stack<const BYTES: usize>() {
    black_box(&mut [0_u8; BYTES]);
}
