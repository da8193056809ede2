//! Where in a schema: paths that name keywords and harmless words, and positions for the rest.

use std::fmt;

use serde_json::Value;

use crate::pairs::Name;

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
        let position = members.keys().position(|key| key == keyword).map_or(0, |at| at + 1);
        path += &Member { key: keyword, position }.to_string();
    }
    path
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
