//! Where in a schema: paths that name keywords and harmless words, and positions for the rest.

use std::fmt;

use serde_json::{Map, Value};

use crate::pairs::{self, Name};

/// The keywords of JSON Schema that begin with `$`: published names, not words of a caller's.
const KEYWORDS: [&str; 9] =
    ["$schema", "$id", "$ref", "$anchor", "$dynamicRef", "$dynamicAnchor", "$vocabulary", "$comment", "$defs"];

/// How a member of an object in a schema stands in a path: by its key, or by its position, from 1.
pub(crate) struct Member<'a> {
    pub(crate) key: &'a str,
    pub(crate) position: usize,
}

impl fmt::Display for Member<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, position } = *self;
        if KEYWORDS.contains(&key) { write!(f, ".{key}") } else { write!(f, "{}", Name { key, position }) }
    }
}

/// The path of a value within a schema, and of a keyword of it if one is named.
pub(super) fn path(root: &Value, of: &Value, keyword: Option<&str>) -> String {
    let mut path = "$.schema".to_owned();
    if !lead_to(&mut path, root, of) {
        return path;
    }
    if let (Some(keyword), Value::Object(members)) = (keyword, of) {
        push_member(&mut path, members, keyword);
    }
    path
}

/// The path of what a JSON pointer (RFC 6901) names in a schema; it ends where the pointer leads nowhere.
pub(super) fn path_of_pointer(root: &Value, pointer: &str) -> String {
    let (mut path, mut value) = ("$.schema".to_owned(), root);
    for step in pointer.split('/').skip(1) {
        let next = match value {
            Value::Object(members) => {
                let key = step.replace("~1", "/").replace("~0", "~");
                push_member(&mut path, members, &key);
                members.get(&key)
            }
            Value::Array(elements) => {
                path = format!("{path}[{step}]");
                step.parse().ok().and_then(|at: usize| elements.get(at))
            }
            _ => None,
        };
        let Some(next) = next else { break };
        value = next;
    }
    path
}

fn push_member(path: &mut String, members: &Map<String, Value>, key: &str) {
    let search = || members.keys().position(|other| other == key).map_or(0, |at| at + 1);
    let position = if pairs::may_be_shown(key) { 0 } else { search() };
    path.push_str(&Member { key, position }.to_string());
}

/// Goes on from `value`, where the path leads, to a value within it.
fn lead_to(path: &mut String, value: &Value, of: &Value) -> bool {
    if std::ptr::eq(value, of) {
        return true;
    }
    let here = path.len();
    let mut try_at = |step: String, child| {
        path.truncate(here);
        path.push_str(&step);
        lead_to(path, child, of)
    };
    match value {
        Value::Object(members) => members
            .iter()
            .enumerate()
            .any(|(at, (key, child))| try_at(Member { key, position: at + 1 }.to_string(), child)),
        Value::Array(elements) => elements.iter().enumerate().any(|(at, child)| try_at(format!("[{at}]"), child)),
        _ => false,
    }
}
