//! Metadata and lifetime: the parts that requests of both kinds share.

use crate::error::Rule;
use crate::lifetime::Lifetime;
use crate::metadata::Metadata;
use crate::request::document::Malformed;
use crate::request::fields::{Pairs, read_pairs};
use crate::request::report::{Path, Report};
use crate::request::text::{Shape, Token};

/// What to say of a value that is no object.
pub(super) const NOT_AN_OBJECT: Rule = Rule("must be an object");

/// What a request of either kind may say beside its secret.
#[derive(Default)]
pub(crate) struct Extras {
    pub(crate) metadata: Option<Metadata>,
    pub(crate) lifetime: Option<Lifetime>,
}

impl Extras {
    pub(super) fn read_metadata(
        &mut self,
        path: &Path<'_>,
        value: Token<'_>,
        report: &mut Report,
    ) -> Result<(), Malformed> {
        match value.shape() {
            Shape::Object(object) => self.metadata = Some(read_pairs(object, path, report)?),
            _ => report.refuse(path, NOT_AN_OBJECT),
        }
        Ok(())
    }

    pub(super) fn read_lifetime(&mut self, path: &Path<'_>, value: Token<'_>, report: &mut Report) {
        let lifetime = value.integer(Lifetime::RULE).and_then(Lifetime::from_seconds);
        self.lifetime = report.keep(path, lifetime);
    }
}

impl Pairs for Metadata {
    fn insert(&mut self, key: &str, value: Token<'_>) -> Result<(), Rule> {
        Self::insert(self, key, value.text()?.as_str())
    }
}
