//! What becomes of the fields of a token: one that is absent stays, one that is null is cleared.

use crate::lifetime::Lifetime;
use crate::metadata::Metadata;
use crate::request::json::{Malformed, Reader};
use crate::request::metadata::Extras;
use crate::request::report::{Path, Report};

/// What becomes of a field.
#[derive(Default)]
pub(crate) enum Edit<T> {
    #[default]
    Keep,
    Clear,
    Set(T),
}

impl<T> Edit<T> {
    /// What it is set to, if it is.
    pub(crate) fn set(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }

    pub(crate) fn is_kept(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// What stands there afterwards, where `before` stood.
    pub(crate) fn of(&self, before: Option<T>) -> Option<T>
    where
        T: Clone,
    {
        match self {
            Self::Keep => before,
            Self::Clear => None,
            Self::Set(value) => Some(value.clone()),
        }
    }

    /// Reads a null, if it is one, as the wish to clear the field.
    pub(super) fn read_null(&mut self, reader: &mut Reader<'_>) -> Result<bool, Malformed> {
        let is_null = reader.is_at_null();
        if is_null {
            reader.value()?;
            *self = Self::Clear;
        }
        Ok(is_null)
    }

    pub(super) fn to(value: Option<T>) -> Self {
        value.map_or(Self::Keep, Self::Set)
    }
}

/// What an update of either kind may say.
#[derive(Default)]
pub(crate) struct ExtrasEdit {
    pub(crate) metadata: Edit<Metadata>,
    pub(crate) lifetime: Edit<Lifetime>,
}

impl ExtrasEdit {
    pub(super) fn are_kept(&self) -> bool {
        self.metadata.is_kept() && self.lifetime.is_kept()
    }

    pub(super) fn read_metadata(
        &mut self,
        path: &Path<'_>,
        reader: &mut Reader<'_>,
        report: &mut Report,
    ) -> Result<(), Malformed> {
        if !self.metadata.read_null(reader)? {
            let mut extras = Extras::default();
            extras.read_metadata(path, reader, report)?;
            self.metadata = Edit::to(extras.metadata);
        }
        Ok(())
    }

    pub(super) fn read_lifetime(
        &mut self,
        path: &Path<'_>,
        reader: &mut Reader<'_>,
        report: &mut Report,
    ) -> Result<(), Malformed> {
        if !self.lifetime.read_null(reader)? {
            let mut extras = Extras::default();
            extras.read_lifetime(path, reader, report)?;
            self.lifetime = Edit::to(extras.lifetime);
        }
        Ok(())
    }
}
