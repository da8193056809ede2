//! From the text of a schema to its validator: every bound is checked before anything is built on it.

use std::collections::HashSet;
use std::sync::Arc;

use jsonschema::{Draft, PatternOptions, Retrieve, ValidationOptions, Validator};
use serde_json::{Value, json};

use crate::error::{Rule, Violation};
use crate::schema::lent::Lent;
use crate::schema::place::{Paths, path_of_pointer};
use crate::schema::reach::{Reach, Refusal};
use crate::schema::{BYTES, LEVELS, Schema, quiet};

/// The patterns of a schema compile to at most so many bytes, an equal share each: enough for any letter of Unicode, 80 times.
const PATTERN_BYTES: usize = 4 * 1024 * 1024;

const TOO_LARGE: Rule = Rule("must be at most 32 KiB");
const TOO_DEEP: Rule = Rule("must be at most 32 levels deep");
const NOT_JSON: Rule = Rule("must have no number beyond those of 64 bits");
const NOT_A_SCHEMA: Rule = Rule("is not what JSON Schema 2020-12 allows here");
const NOT_A_PATTERN: Rule =
    Rule("must be a regular expression of bounded size, without look-around and back-references");
const NOT_COMPILED: Rule = Rule("must be a schema that stands on its own");

/// Options of the validator for payloads as they are lent.
pub(super) type Options = ValidationOptions<'static, Arc<dyn Retrieve>, Lent>;

pub(super) fn compile(json: &str) -> Result<Schema, Vec<Violation>> {
    let whole = |rule: Rule| vec![Violation::new("$.schema", rule.0)];
    let schema = parse(json).map_err(whole)?;
    check_against_meta_schema(&schema)?;
    let refused = |refusals: Vec<Refusal<'_>>| {
        let paths = Paths::of(&schema, refusals.iter().map(|refusal| refusal.at));
        distinct(refusals.iter().map(|refusal| (paths.path(refusal.at, refusal.keyword), refusal.rule)))
    };
    let reach = Reach::of(&schema).map_err(refused)?;
    reach.check_size().map_err(|refusal| refused(vec![refusal]))?;
    let patterns = Patterns { share: PATTERN_BYTES / reach.patterns().len().max(1) };
    check_patterns(&reach, patterns).map_err(refused)?;
    let validator = patterns.build(&schema).ok_or_else(|| whole(NOT_COMPILED))?;
    Ok(Schema::of(validator, schema, patterns))
}

/// How large each pattern of a schema may become.
#[derive(Clone, Copy)]
pub(super) struct Patterns {
    share: usize,
}

impl Patterns {
    fn build(self, schema: &Value) -> Option<Validator<Lent>> {
        self.options().build(schema).ok()
    }

    /// The validator whose errors may be looked at.
    pub(super) fn build_teller(self, schema: &Value) -> Option<Validator<Lent>> {
        quiet::with_quiet_keywords(self.options()).build(schema).ok()
    }

    /// Without a file, without network, with patterns that take linear time, and with `format` as an annotation.
    fn options(self) -> Options {
        let patterns = PatternOptions::regex().size_limit(self.share).dfa_size_limit(self.share);
        ValidationOptions::default()
            .with_draft(Draft::Draft202012)
            .offline()
            .should_validate_formats(false)
            .with_pattern_options(patterns)
    }
}

/// Compiles a schema that has no pattern.
pub(super) fn build_plain(schema: &Value) -> Option<Validator<Lent>> {
    Patterns { share: 0 }.build(schema)
}

fn parse(json: &str) -> Result<Value, Rule> {
    if json.len() > BYTES {
        return Err(TOO_LARGE);
    }
    let schema = serde_json::from_str(json).map_err(|_| NOT_JSON)?;
    if is_deeper_than(LEVELS, &schema) { Err(TOO_DEEP) } else { Ok(schema) }
}

fn is_deeper_than(levels: usize, value: &Value) -> bool {
    let deeper = |value| levels == 0 || is_deeper_than(levels - 1, value);
    match value {
        Value::Object(members) => levels == 0 || members.values().any(deeper),
        Value::Array(elements) => levels == 0 || elements.iter().any(deeper),
        _ => false,
    }
}

fn check_against_meta_schema(schema: &Value) -> Result<(), Vec<Violation>> {
    let meta_schema = jsonschema::draft202012::meta::validator();
    let errors = meta_schema.iter_errors(schema);
    let found = distinct(errors.map(|error| (path_of_pointer(schema, error.instance_path().as_str()), NOT_A_SCHEMA)));
    if found.is_empty() { Ok(()) } else { Err(found) }
}

/// Compiles each pattern on its own, so that the one that is refused can be named.
fn check_patterns<'a>(reach: &Reach<'a>, patterns: Patterns) -> Result<(), Vec<Refusal<'a>>> {
    let compiles = |pattern: &str| patterns.build(&json!({ "pattern": pattern })).is_some();
    let refused = reach.patterns().iter().filter(|(pattern, _)| !compiles(pattern));
    let refusals: Vec<_> = refused
        .flat_map(|(_, places)| places)
        .map(|(at, keyword)| Refusal { at, keyword: Some(keyword), rule: NOT_A_PATTERN })
        .collect();
    if refusals.is_empty() { Ok(()) } else { Err(refusals) }
}

/// One violation a path: the first.
fn distinct(told: impl Iterator<Item = (String, Rule)>) -> Vec<Violation> {
    let mut paths = HashSet::new();
    let fresh = told.filter(|(path, _)| paths.insert(path.clone()));
    fresh.map(|(path, rule)| Violation::new(path, rule.0)).collect()
}
