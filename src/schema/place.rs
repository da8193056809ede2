//! Where in a schema: paths that name keywords and harmless words, and positions for the rest.

use std::collections::HashMap;
use std::fmt;

use serde_json::{Map, Value};

use crate::pairs::{self, Name};

/// The keywords of JSON Schema that begin with `$`: published names, not words of a caller's.
const KEYWORDS: [&str; 9] =
    ["$schema", "$id", "$ref", "$anchor", "$dynamicRef", "$dynamicAnchor", "$vocabulary", "$comment", "$defs"];

/// The path of a schema as such.
const ROOT: &str = "$.schema";

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

/// The paths of some values within a schema.
pub(super) struct Paths(HashMap<*const Value, String>);

impl Paths {
    /// Finds the values in one walk.
    pub(super) fn of<'a>(root: &Value, wanted: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut paths = Self(wanted.into_iter().map(|value| (std::ptr::from_ref(value), String::new())).collect());
        paths.walk(ROOT, root);
        paths
    }

    /// The path of a value that was asked for, and of a keyword of it if one is named.
    pub(super) fn path(&self, of: &Value, keyword: Option<&str>) -> String {
        let mut path = self.0.get(&std::ptr::from_ref(of)).cloned().unwrap_or_default();
        if let (Some(keyword), Value::Object(members)) = (keyword, of) {
            push_member(&mut path, members, keyword);
        }
        path
    }

    fn walk(&mut self, path: &str, value: &Value) {
        if let Some(wanted) = self.0.get_mut(&std::ptr::from_ref(value)) {
            path.clone_into(wanted);
        }
        match value {
            Value::Object(members) => {
                for ((key, child), position) in members.iter().zip(1..) {
                    self.walk(&format!("{path}{}", Member { key, position }), child);
                }
            }
            Value::Array(elements) => {
                for (at, child) in elements.iter().enumerate() {
                    self.walk(&format!("{path}[{at}]"), child);
                }
            }
            _ => {}
        }
    }
}

/// The path of what a JSON pointer (RFC 6901) names in a schema; it ends where the pointer leads nowhere.
pub(super) fn path_of_pointer(root: &Value, pointer: &str) -> String {
    let (mut path, mut value) = (ROOT.to_owned(), root);
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
