//! A payload as the validator sees it: lent where it stands in its wiped block, and blank in every error.

use std::borrow::Cow;
use std::ops::Range;

use jsonschema::JsonType;
use jsonschema::json::{Array, Json, JsonNumber, Node as AnyNode, NodeIdentity, Object, cmp};
use serde_json::{Number, Value};

use crate::payload::{Payload, PayloadValue};

/// The representation, as the validator names one.
pub(super) struct Lent;

/// What the validator walks over.
#[derive(Clone, Copy)]
pub(super) enum Node<'a> {
    Members(&'a Members<'a>),
    /// A key of the payload.
    Key(&'a str),
    Text(&'a str),
    Bool(bool),
    Number(Literal<'a>),
}

/// The pairs of a payload.
pub(super) struct Members<'a> {
    payload: &'a Payload,
    /// Positions, from 0, and what is said there instead of the key.
    stand_ins: &'a [(usize, String)],
}

impl<'a> Members<'a> {
    pub(super) fn of(payload: &'a Payload) -> Self {
        Self { payload, stand_ins: &[] }
    }

    /// Some keys are known to occur nowhere in the schema, and must not be copied into errors: others stand in for them.
    pub(super) fn with(payload: &'a Payload, stand_ins: &'a [(usize, String)]) -> Self {
        Self { payload, stand_ins }
    }

    /// The position of the pair that is called so.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.names().position(|own| own == name)
    }

    /// The positions of all pairs.
    pub(super) fn positions(&self) -> Range<usize> {
        0..self.payload.len()
    }

    fn names(&self) -> impl Iterator<Item = &'a str> {
        let (payload, stand_ins) = (self.payload, self.stand_ins);
        payload.iter().enumerate().map(move |(at, (key, _))| {
            stand_ins.iter().find(|(position, _)| *position == at).map_or(key, |(_, stand_in)| stand_in)
        })
    }

    fn nodes(&self) -> impl Iterator<Item = Node<'a>> {
        self.payload.iter().map(|(_, value)| Node::of(&value))
    }
}

/// A number as its literal.
#[derive(Clone, Copy)]
pub(super) struct Literal<'a>(&'a str);

impl<'a> Node<'a> {
    /// A value in a payload, where every number has its literal.
    fn of(value: &PayloadValue<'a>) -> Self {
        if let Some(text) = value.as_str() {
            return Self::Text(text);
        }
        match value.as_number() {
            Some(number) => Self::Number(Literal(number.as_literal().unwrap_or_default())),
            None => Self::Bool(value.as_bool().unwrap_or_default()),
        }
    }
}

impl Json for Lent {
    type Node<'a> = Node<'a>;
    type PreparedKey = Box<str>;
    type StringBuffer = ();

    // A lookup walks the pairs, as a pass over all of them does.
    const KEYS_PER_LOOKUP: usize = 20;

    fn prepare_key(key: &str) -> Box<str> {
        key.into()
    }

    fn with_string_node<T>((): &mut (), string: &str, f: impl FnOnce(Node<'_>) -> T) -> T {
        f(Node::Key(string))
    }
}

impl<'a> AnyNode<'a, Lent> for Node<'a> {
    type Object = &'a Members<'a>;
    type Array = NoArray;
    type Number = Literal<'a>;

    fn as_object(&self) -> Option<&'a Members<'a>> {
        match self {
            Self::Members(members) => Some(members),
            _ => None,
        }
    }

    fn as_array(&self) -> Option<NoArray> {
        None
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) | Self::Key(text) => Some(Cow::Borrowed(text)),
            _ => None,
        }
    }

    fn as_number(&self) -> Option<Literal<'a>> {
        match self {
            Self::Number(literal) => Some(*literal),
            _ => None,
        }
    }

    fn as_boolean(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        false
    }

    fn json_type(&self) -> JsonType {
        match self {
            Self::Members(_) => JsonType::Object,
            Self::Key(_) | Self::Text(_) => JsonType::String,
            Self::Bool(_) => JsonType::Boolean,
            Self::Number(_) => JsonType::Number,
        }
    }

    fn equals_value(&self, expected: &Value) -> bool {
        match (self, expected) {
            (Self::Text(text) | Self::Key(text), Value::String(expected)) => text == expected,
            (Self::Bool(value), Value::Bool(expected)) => value == expected,
            (Self::Number(literal), Value::Number(_)) => cmp::equal(&Value::Number(literal.number()), expected),
            (Self::Members(members), Value::Object(expected)) => {
                let mut pairs = members.names().zip(members.nodes());
                members.payload.len() == expected.len()
                    && pairs.all(|(name, node)| expected.get(name).is_some_and(|value| node.equals_value(value)))
            }
            _ => false,
        }
    }

    /// What an error holds of the payload: nothing, but for a key whose being told is safe or settled before.
    fn to_value(&self) -> Cow<'a, Value> {
        match self {
            Self::Key(key) => Cow::Owned(Value::String((*key).to_owned())),
            _ => Cow::Owned(Value::Null),
        }
    }

    fn identity(&self) -> Option<NodeIdentity> {
        // Recursion is refused before a schema is compiled, so that nothing needs to be told apart.
        None
    }
}

impl<'a> Object<'a, Lent> for &'a Members<'a> {
    type Node = Node<'a>;
    type MemberName = &'a str;
    type MembersIter = Box<dyn Iterator<Item = (&'a str, Node<'a>)> + 'a>;

    fn len(&self) -> usize {
        self.payload.len()
    }

    fn get(&self, key: &Box<str>) -> Option<Node<'a>> {
        let mut pairs = self.names().zip(self.nodes());
        pairs.find(|(name, _)| *name == &**key).map(|(_, node)| node)
    }

    fn members(&self) -> Self::MembersIter {
        Box::new(self.names().zip(self.nodes()))
    }
}

/// A payload has no array.
pub(super) enum NoArray {}

impl<'a> Array<'a, Lent> for NoArray {
    type Node = Node<'a>;
    type ElementsIter = std::iter::Empty<Node<'a>>;

    fn len(&self) -> usize {
        match *self {}
    }

    fn elements(&self) -> Self::ElementsIter {
        match *self {}
    }
}

impl Literal<'_> {
    fn number(self) -> Number {
        let integer = self.0.parse::<i64>().map(Number::from).or_else(|_| self.0.parse::<u64>().map(Number::from));
        integer.ok().or_else(|| Number::from_f64(self.as_f64()?)).unwrap_or_else(|| Number::from(0))
    }
}

impl JsonNumber for Literal<'_> {
    fn as_u64(&self) -> Option<u64> {
        self.0.parse().ok()
    }

    fn as_i64(&self) -> Option<i64> {
        self.0.parse().ok()
    }

    fn as_f64(&self) -> Option<f64> {
        self.0.parse().ok()
    }

    fn as_str(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.0)
    }

    fn to_number(&self) -> Cow<'_, Number> {
        Cow::Owned(self.number())
    }
}
