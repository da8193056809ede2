//! Metadata and lifetime: the parts that requests of both kinds share.

use crate::error::Rule;
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

impl Extras {
    pub(super) fn read_metadata(
        &mut self,
        path: &Path<'_>,
        reader: &mut Reader<'_>,
        report: &mut Report,
    ) -> Result<(), Malformed> {
        self.metadata = read_map(path, reader, report)?;
        Ok(())
    }

    pub(super) fn read_lifetime(
        &mut self,
        path: &Path<'_>,
        reader: &mut Reader<'_>,
        report: &mut Report,
    ) -> Result<(), Malformed> {
        let lifetime = reader.value()?.integer(Lifetime::RULE).and_then(Lifetime::from_seconds);
        self.lifetime = report.keep(path, lifetime);
        Ok(())
    }
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
