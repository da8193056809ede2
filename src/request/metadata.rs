//! Metadata and lifetime: the parts that requests of both kinds share.

use crate::error::{Error, Rule};
use crate::lifetime::Lifetime;
use crate::metadata::Metadata;
use crate::request::fields::{NOT_AN_OBJECT, Pairs, read_pairs};
use crate::request::idempotency::IdempotencyKey;
use crate::request::json::{Malformed, Reader};
use crate::request::report::{Path, Report};
use crate::request::text::Token;

/// What a request of either kind may say beside its secret.
#[derive(Default)]
pub(crate) struct Extras {
    pub(crate) metadata: Option<Metadata>,
    pub(crate) lifetime: Option<Lifetime>,
    /// Not in the JSON, which is the published one.
    pub(crate) idempotency: Option<IdempotencyKey>,
}

/// The field that says how long a token lives, which each of the two publications calls by another name.
pub(super) struct LifetimeField {
    pub(super) name: &'static str,
    path: &'static str,
    /// What to say of an unknown field that looks like it.
    pub(super) hint: Rule,
}

impl LifetimeField {
    pub(super) const GENERIC: Self = Self {
        name: "expiration_time",
        path: "$.expiration_time",
        hint: Rule("unknown field; did you mean `expiration_time`?"),
    };
    pub(super) const PCI: Self =
        Self { name: "expires_in", path: "$.expires_in", hint: Rule("unknown field; did you mean `expires_in`?") };

    pub(super) fn check(&self, seconds: u64) -> Result<Lifetime, Error> {
        Lifetime::from_seconds(seconds).map_err(|rule| rule.at(self.path))
    }
}

/// A lifetime; `None`, and noted, if it is none.
pub(super) fn read_lifetime(
    path: &Path<'_>,
    reader: &mut Reader<'_>,
    report: &mut Report,
) -> Result<Option<Lifetime>, Malformed> {
    let lifetime = reader.value()?.integer(Lifetime::RULE).and_then(Lifetime::from_seconds);
    Ok(report.keep(path, lifetime))
}

/// A caller's own map; `None`, and noted, if it is no object.
pub(super) fn read_map<P: Pairs>(
    path: &Path<'_>,
    reader: &mut Reader<'_>,
    report: &mut Report,
) -> Result<Option<P>, Malformed> {
    if reader.is_at_object() {
        return read_pairs(path, reader, report).map(Some);
    }
    reader.value()?;
    report.refuse(path, NOT_AN_OBJECT);
    Ok(None)
}

impl Pairs for Metadata {
    fn insert(&mut self, key: &str, value: Token<'_>) -> Result<(), Rule> {
        Self::insert(self, key, value.text()?.as_str())
    }
}
