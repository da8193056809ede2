//! A caller's own labels on a token: shown in every view, never secret.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::error::{Error, Rule};
use crate::pairs;

/// Up to 20 pairs of text: keys of 1 to 20 characters, values of 1 to 80, in the order in which they came.
///
/// Metadata is not secret: it is sealed at rest, and shown by every view. Put no card number into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    pairs: Vec<(Box<str>, Box<str>)>,
}

impl Metadata {
    /// Checks pairs of text.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with every pair that breaks a rule, at `$.metadata.<key>`, or at `$.metadata[#n]` if its key cannot be
    /// shown; at `$.metadata` if they are too many.
    pub fn new<K: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (K, V)>) -> Result<Self, Error> {
        let mut metadata = Self::default();
        pairs::collect("$.metadata", pairs, |key, value| metadata.insert(key, value.as_ref()))?;
        Ok(metadata)
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(own, _)| *own == key).map(|(_, value)| value)
    }

    /// Every pair, in the order in which they came.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(key, value)| (&**key, &**value))
    }

    /// How many pairs there are, 0 to 20.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there is no pair; an empty map is a value of its own and is echoed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Adds a checked pair. The caller counts them.
    pub(crate) fn insert(&mut self, key: &str, value: &str) -> Result<(), Rule> {
        let key = pairs::check_key(key)?;
        if self.get(key).is_some() {
            return Err(pairs::DUPLICATE);
        }
        self.pairs.push((key.into(), pairs::check_value(value)?.into()));
        Ok(())
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Metadata;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of text to text")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
                let mut metadata = Metadata::default();
                while let Some((key, value)) = map.next_entry::<String, String>()? {
                    if metadata.len() == pairs::MOST {
                        return Err(serde::de::Error::custom(pairs::TOO_MANY.0));
                    }
                    metadata.insert(&key, &value).map_err(|rule| serde::de::Error::custom(rule.0))?;
                }
                Ok(metadata)
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}
