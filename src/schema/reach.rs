//! Where the references of a schema lead, and how much it is once they are followed.
//!
//! A reference leads to a schema of the same document, never back to where it stands, and all of them together stay small:
//! so a payload is checked in bounded time, with bounded stack, and without anything from elsewhere.

use std::collections::HashMap;

use jsonschema::{Draft, Registry, RegistryBuilder, Retrieve, Uri, uri};
use serde_json::{Map, Value};

use crate::error::Rule;

/// What a schema unfolds to at most, in JSON values, where references or `unevaluated…` make it more than is written.
const NODES: usize = 10_000;
/// At most so many schemas within each other, references followed: a thread with a small stack can check a payload.
const DEEPEST: usize = 100;
/// What a schema with `unevaluated…` evaluates again and again.
const UNEVALUATED: usize = 4;

/// The dialect; an empty fragment is allowed behind it.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// The base of a schema that names none.
const NO_BASE: &str = "json-schema:///";

const OTHER_DIALECT: Rule = Rule("must be `https://json-schema.org/draft/2020-12/schema`");
const NOT_A_URI: Rule = Rule("must be a URI reference");
const OUTSIDE: Rule = Rule("must lead to a schema within this one");
const RECURSIVE: Rule = Rule("must not lead back to where it stands");
const TOO_MANY: Rule = Rule("unfolds to more than 10000 nodes");
const TOO_DEEP: Rule = Rule("unfolds to more than 100 schemas within each other");

/// What a keyword holds.
#[derive(Clone, Copy)]
enum Holds {
    Schema,
    Array,
    Object,
}

/// The keywords that hold schemas (JSON Schema 2020-12, Core, sections 8.2.4 and 10 to 11; Validation, section 8.5), and
/// those that earlier versions had, which the validator still takes.
const APPLICATORS: [(&str, Holds); 22] = [
    ("$defs", Holds::Object),
    ("definitions", Holds::Object),
    ("allOf", Holds::Array),
    ("anyOf", Holds::Array),
    ("oneOf", Holds::Array),
    ("not", Holds::Schema),
    ("if", Holds::Schema),
    ("then", Holds::Schema),
    ("else", Holds::Schema),
    ("dependentSchemas", Holds::Object),
    ("prefixItems", Holds::Array),
    ("items", Holds::Schema),
    ("contains", Holds::Schema),
    ("properties", Holds::Object),
    ("patternProperties", Holds::Object),
    ("additionalProperties", Holds::Schema),
    ("propertyNames", Holds::Schema),
    ("unevaluatedItems", Holds::Schema),
    ("unevaluatedProperties", Holds::Schema),
    ("contentSchema", Holds::Schema),
    ("dependencies", Holds::Object),
    ("additionalItems", Holds::Schema),
];

/// The keywords whose schemas only wait to be referred to.
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];
const REFERENCES: [&str; 2] = ["$ref", "$dynamicRef"];

/// Why a schema is refused, and where: at a value of it, or at a keyword of that.
#[derive(Clone)]
pub(super) struct Refusal<'a> {
    pub(super) at: &'a Value,
    pub(super) keyword: Option<&'a str>,
    pub(super) rule: Rule,
}

/// Patterns, each with the places where it stands.
type Patterns<'a> = Vec<(&'a str, Vec<(&'a Value, &'a str)>)>;

/// The schemas within a schema.
pub(super) struct Reach<'a> {
    root: &'a Value,
    /// Each schema and the base of its references.
    bases: HashMap<*const Value, Uri<String>>,
    /// Each schema, in the order of the document.
    schemas: Vec<&'a Value>,
    dynamic_anchors: Vec<(&'a str, &'a Value)>,
    patterns: Patterns<'a>,
    refusals: Vec<Refusal<'a>>,
}

impl<'a> Reach<'a> {
    /// Finds every schema within a schema, and checks what each says of its dialect, its name and its references.
    pub(super) fn of(root: &'a Value) -> Result<Self, Vec<Refusal<'a>>> {
        let (bases, refusals) = (HashMap::new(), Vec::new());
        let mut reach =
            Self { root, bases, schemas: Vec::new(), dynamic_anchors: Vec::new(), patterns: Vec::new(), refusals };
        match uri::from_str(NO_BASE) {
            Ok(base) => reach.find(root, &base),
            Err(_) => reach.refuse(root, None, NOT_A_URI),
        }
        if reach.refusals.is_empty() { Ok(reach) } else { Err(reach.refusals) }
    }

    /// Every pattern there is.
    pub(super) fn patterns(&self) -> &Patterns<'a> {
        &self.patterns
    }

    fn refuse(&mut self, at: &'a Value, keyword: Option<&'a str>, rule: Rule) {
        self.refusals.push(Refusal { at, keyword, rule });
    }

    fn find(&mut self, schema: &'a Value, base: &Uri<String>) {
        let base = self.base_of(schema, base);
        if let Value::Object(keywords) = schema {
            self.check_keywords(schema, keywords, &base);
        }
        self.schemas.push(schema);
        for (_, child) in children(schema) {
            self.find(child, &base);
        }
        self.bases.insert(schema, base);
    }

    /// The base of the references in a schema: its own name, if it has one.
    fn base_of(&mut self, schema: &'a Value, base: &Uri<String>) -> Uri<String> {
        let Some(name) = schema.get("$id").and_then(Value::as_str) else { return base.clone() };
        uri::resolve_against(&base.borrow(), name).unwrap_or_else(|_| {
            self.refuse(schema, Some("$id"), NOT_A_URI);
            base.clone()
        })
    }

    fn check_keywords(&mut self, schema: &'a Value, keywords: &'a Map<String, Value>, base: &Uri<String>) {
        for (keyword, value) in keywords {
            match (keyword.as_str(), value) {
                ("$schema", Value::String(dialect)) if dialect.strip_suffix('#').unwrap_or(dialect) != DIALECT => {
                    self.refuse(schema, Some(keyword), OTHER_DIALECT);
                }
                ("$ref" | "$dynamicRef", Value::String(reference))
                    if uri::resolve_against(&base.borrow(), reference).is_err() =>
                {
                    self.refuse(schema, Some(keyword), NOT_A_URI);
                }
                ("$dynamicAnchor", Value::String(anchor)) => self.dynamic_anchors.push((anchor, schema)),
                ("pattern", Value::String(pattern)) => self.note_pattern(pattern, schema, keyword),
                ("patternProperties", Value::Object(patterns)) => {
                    patterns.keys().for_each(|pattern| self.note_pattern(pattern, value, pattern));
                }
                _ => {}
            }
        }
    }

    fn note_pattern(&mut self, pattern: &'a str, at: &'a Value, keyword: &'a str) {
        match self.patterns.iter_mut().find(|(known, _)| *known == pattern) {
            Some((_, places)) => places.push((at, keyword)),
            None => self.patterns.push((pattern, vec![(at, keyword)])),
        }
    }

    /// Follows every reference: where it leads, and what it adds.
    pub(super) fn check_size(&self) -> Result<(), Refusal<'a>> {
        let unknown = Refusal { at: self.root, keyword: None, rule: OUTSIDE };
        let base = self.bases.get(&std::ptr::from_ref(self.root)).ok_or(unknown.clone())?;
        let known = Registry::new()
            .draft(Draft::Draft202012)
            .retriever(Blank)
            .add(base.as_str(), Draft::Draft202012.create_resource_ref(self.root))
            .and_then(RegistryBuilder::prepare)
            .map_err(|_| unknown)?;
        let most = NODES.max(values_in(self.root));
        let mut follow = Follow { reach: self, known: &known, most, sizes: HashMap::new() };
        self.schemas.iter().try_for_each(|schema| follow.size(schema, 1).map(drop))
    }
}

/// Whatever a reference may name elsewhere, nothing is fetched: a blank stands there, which is no part of the schema.
struct Blank;

impl Retrieve for Blank {
    fn retrieve(&self, _: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Value::Bool(true))
    }
}

/// How much a schema is once its references are followed.
#[derive(Clone, Copy, Default)]
struct Size {
    values: usize,
    levels: usize,
}

/// Follows references.
struct Follow<'f, 'a> {
    reach: &'f Reach<'a>,
    known: &'f Registry<'f>,
    most: usize,
    /// `None` while a schema is being followed.
    sizes: HashMap<*const Value, Option<Size>>,
}

impl<'a> Follow<'_, 'a> {
    /// The size of a schema at a level below the one that was asked for first.
    fn size(&mut self, schema: &'a Value, level: usize) -> Result<Size, Refusal<'a>> {
        // Before going on: this takes stack too.
        if level > DEEPEST {
            return Err(Refusal { at: schema, keyword: None, rule: TOO_DEEP });
        }
        match self.sizes.get(&std::ptr::from_ref(schema)) {
            Some(Some(size)) => return Ok(*size),
            Some(None) => return Err(Refusal { at: schema, keyword: None, rule: RECURSIVE }),
            None => self.sizes.insert(schema, None),
        };
        let mut within = Size::default();
        for (keyword, child) in children(schema) {
            let size = self.size(child, level + 1)?;
            if !DEFINITIONS.contains(&keyword) {
                within = within.and(size);
            }
        }
        let mut last = None;
        for (keyword, target) in self.targets(schema)? {
            if matches!(self.sizes.get(&std::ptr::from_ref(target)), Some(None)) {
                return Err(Refusal { at: schema, keyword: Some(keyword), rule: RECURSIVE });
            }
            within = within.and(self.size(target, level + 1)?);
            last = Some(keyword);
        }
        let again = schema.get("unevaluatedProperties").or_else(|| schema.get("unevaluatedItems"));
        let times = if again.is_some() { UNEVALUATED } else { 1 };
        let values = own_values(schema).saturating_add(within.values.saturating_mul(times));
        let size = Size { values, levels: within.levels + 1 };
        let refused = |rule| Err(Refusal { at: schema, keyword: last, rule });
        if size.levels > DEEPEST {
            return refused(TOO_DEEP);
        }
        if size.values > self.most {
            return refused(TOO_MANY);
        }
        self.sizes.insert(schema, Some(size));
        Ok(size)
    }

    /// Where the references of a schema may lead: a dynamic one to every anchor of its name.
    fn targets(&self, schema: &'a Value) -> Result<Vec<(&'a str, &'a Value)>, Refusal<'a>> {
        let mut targets = Vec::new();
        let keywords = schema.as_object().into_iter().flatten();
        for (keyword, reference) in keywords.filter(|(keyword, _)| REFERENCES.contains(&keyword.as_str())) {
            let outside = Refusal { at: schema, keyword: Some(keyword), rule: OUTSIDE };
            let reference = reference.as_str().unwrap_or_default();
            targets.push((keyword.as_str(), self.lookup(schema, reference).ok_or(outside)?));
            let anchor = reference.rsplit_once('#').map(|(_, anchor)| anchor).filter(|_| keyword == "$dynamicRef");
            let anchors = self.reach.dynamic_anchors.iter().filter(|(name, _)| Some(*name) == anchor);
            targets.extend(anchors.map(|(_, schema)| (keyword.as_str(), *schema)));
        }
        Ok(targets)
    }

    /// The schema that a reference names, if it is one of the document.
    fn lookup(&self, schema: &'a Value, reference: &str) -> Option<&'a Value> {
        let base = self.reach.bases.get(&std::ptr::from_ref(schema))?;
        let found = std::ptr::from_ref(self.known.resolver(base.clone()).lookup(reference).ok()?.contents());
        self.reach.schemas.iter().find(|schema| std::ptr::eq(**schema, found)).copied()
    }
}

impl Size {
    fn and(self, other: Self) -> Self {
        Self { values: self.values.saturating_add(other.values), levels: self.levels.max(other.levels) }
    }
}

/// The schemas that stand in a schema, each with its keyword.
fn children(schema: &Value) -> impl Iterator<Item = (&'static str, &Value)> {
    APPLICATORS.iter().flat_map(|(keyword, holds)| {
        let held = schema.get(keyword);
        let one = held.filter(|_| matches!(holds, Holds::Schema));
        let of_array = held.and_then(Value::as_array).filter(|_| matches!(holds, Holds::Array));
        let of_object = held.and_then(Value::as_object).filter(|_| matches!(holds, Holds::Object));
        let many = of_array.into_iter().flatten().chain(of_object.into_iter().flat_map(Map::values));
        one.into_iter().chain(many).map(|child| (*keyword, child))
    })
}

/// How many JSON values are written in a schema beside the schemas in it.
fn own_values(schema: &Value) -> usize {
    let Value::Object(keywords) = schema else { return 1 };
    let is_applicator = |keyword: &str| APPLICATORS.iter().any(|(known, _)| *known == keyword);
    let own = keywords.iter().filter(|(keyword, _)| !is_applicator(keyword));
    own.map(|(_, value)| values_in(value)).sum::<usize>() + 1
}

/// How many JSON values there are in one, itself counted.
fn values_in(value: &Value) -> usize {
    1 + match value {
        Value::Object(members) => members.values().map(values_in).sum(),
        Value::Array(elements) => elements.iter().map(values_in).sum(),
        _ => 0,
    }
}
