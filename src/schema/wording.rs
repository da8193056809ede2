//! What is said of a payload that breaks its schema: the place, and a sentence of ours for the keyword.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;

use crate::error::Violation;
use crate::pairs::{self, Name};
use crate::payload::Payload;
use crate::schema::Schema;
use crate::schema::lent::{Members, Node};

const BROKEN: &str = "does not satisfy the schema of its type";
const REQUIRED: &str = "is required";
const LACKING: &str = "lacks a pair that the schema requires";
const NOT_ALLOWED: &str = "is not allowed by the schema of its type";

/// A sentence for each keyword that can be broken by a pair or by the payload as a whole.
const SENTENCES: [(&str, &str); 17] = [
    ("type", "must be of a type that the schema allows"),
    ("enum", "must be one of the values that the schema lists"),
    ("const", "must be the value that the schema states"),
    ("minimum", "is less than the schema allows"),
    ("exclusiveMinimum", "is less than the schema allows"),
    ("maximum", "is more than the schema allows"),
    ("exclusiveMaximum", "is more than the schema allows"),
    ("multipleOf", "must be a multiple of what the schema states"),
    ("minLength", "is shorter than the schema allows"),
    ("maxLength", "is longer than the schema allows"),
    ("pattern", "must match the pattern of the schema"),
    ("minProperties", "has fewer pairs than the schema allows"),
    ("maxProperties", "has more pairs than the schema allows"),
    ("anyOf", "must satisfy at least one of the schemas of `anyOf`"),
    ("oneOf", "must satisfy exactly one of the schemas of `oneOf`"),
    ("not", "must not satisfy the schema of `not`"),
    ("falseSchema", NOT_ALLOWED),
];

/// Where something is wrong.
#[derive(Clone, PartialEq, Eq)]
enum Place {
    Payload,
    /// A pair, by its position from 0.
    Pair(usize),
    /// A key that is missing.
    Missing(String),
}

impl Place {
    /// The payload first, then its pairs in their order, then what is missing in the order of the schema.
    fn rank(&self) -> usize {
        match self {
            Self::Payload => 0,
            Self::Pair(at) => at + 1,
            Self::Missing(_) => usize::MAX,
        }
    }
}

/// Everything that is wrong with a payload that is not valid: one violation a place, the first that the schema names.
pub(super) fn violations(schema: &Schema, payload: &Payload) -> Vec<Violation> {
    let stand_ins = stand_ins(schema, payload);
    let members = Members::with(payload, &stand_ins);
    let mut found: Vec<(Place, &'static str)> = Vec::new();
    let teller = schema.teller().filter(|_| stand_ins.is_empty() || !schema.judges_keys);
    for error in teller.into_iter().flat_map(|teller| teller.iter_errors(Node::Members(&members))) {
        for (place, message) in told(&error, &members) {
            if found.iter().all(|(other, _)| *other != place) {
                found.push((place, message));
            }
        }
    }
    found.sort_by_key(|(place, _)| place.rank());
    let mut violations: Vec<_> =
        found.into_iter().map(|(place, message)| Violation::new(path(&place, payload), message)).collect();
    if violations.is_empty() {
        violations.push(Violation::new("$.payload", BROKEN));
    }
    violations
}

/// Names for the keys that no path may show and the schema does not have: the validator copies keys into its errors.
fn stand_ins(schema: &Schema, payload: &Payload) -> Vec<(usize, String)> {
    let hidden = |key: &str| !pairs::may_be_shown(key) && !schema.hidden_words.contains(key);
    let keys = payload.iter().enumerate().filter(|(_, (key, _))| hidden(key));
    keys.map(|(at, _)| (at, stand_in(schema, at))).collect()
}

/// A name that is in no schema: none has a hidden word of this length.
fn stand_in(schema: &Schema, at: usize) -> String {
    let longest = schema.hidden_words.iter().map(|word| word.len()).max().unwrap_or(0);
    format!("#{at}{}", "#".repeat(longest))
}

/// The places that an error of the validator tells of, each with what is wrong there.
fn told(error: &ValidationError<'_>, members: &Members<'_>) -> Vec<(Place, &'static str)> {
    let pair = |name: &str| members.position(name).map_or(Place::Payload, Place::Pair);
    match error.kind() {
        Kind::Required { property } => vec![missing(property.as_str().unwrap_or_default())],
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            unexpected.iter().map(|name| (pair(name), NOT_ALLOWED)).collect()
        }
        Kind::PropertyNames { error } => {
            let name = error.instance().as_str().unwrap_or_default();
            vec![(pair(name), "has a key that the schema does not allow")]
        }
        // One error of the payload stands for one of each pair.
        Kind::FalseSchema if is_of_every_pair(error) => {
            members.positions().map(|at| (Place::Pair(at), NOT_ALLOWED)).collect()
        }
        kind => {
            let at = error.instance_path().as_str().strip_prefix('/');
            let place = at.map_or(Place::Payload, |name| pair(&name.replace("~1", "/").replace("~0", "~")));
            vec![(place, sentence(kind.keyword()))]
        }
    }
}

fn is_of_every_pair(error: &ValidationError<'_>) -> bool {
    let keyword = error.schema_path().as_str().rsplit('/').next();
    error.instance_path().as_str().is_empty() && matches!(keyword, Some("additionalProperties" | "propertyNames"))
}

/// A key that is missing; one that no path may show has no position to show in its place.
fn missing(key: &str) -> (Place, &'static str) {
    if pairs::may_be_shown(key) { (Place::Missing(key.to_owned()), REQUIRED) } else { (Place::Payload, LACKING) }
}

fn sentence(keyword: &str) -> &'static str {
    SENTENCES.iter().find(|(known, _)| *known == keyword).map_or(BROKEN, |(_, sentence)| sentence)
}

fn path(place: &Place, payload: &Payload) -> String {
    match place {
        Place::Payload => "$.payload".to_owned(),
        Place::Pair(at) => {
            let key = payload.iter().nth(*at).map_or("", |(key, _)| key);
            format!("$.payload{}", Name { key, position: at + 1 })
        }
        Place::Missing(key) => format!("$.payload.{key}"),
    }
}
