//! What becomes of the fields of a token: one that is absent stays, one that is null is cleared.

use crate::lifetime::Lifetime;
use crate::metadata::Metadata;
use crate::request::json::{Malformed, Reader};

/// What becomes of a field.
#[derive(Debug, Default)]
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

    /// Reads what becomes of a field; a value that `read` refuses, and notes, changes nothing.
    pub(super) fn read<'de>(
        reader: &mut Reader<'de>,
        read: impl FnOnce(&mut Reader<'de>) -> Result<Option<T>, Malformed>,
    ) -> Result<Self, Malformed> {
        if reader.is_at_null() {
            return reader.value().map(|_| Self::Clear);
        }
        Ok(read(reader)?.map_or(Self::Keep, Self::Set))
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
}
