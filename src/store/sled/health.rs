//! Whether the store may still be used.
//!
//! After the first failure of a sync, or a panic in sled, every call answers that one error until the store is reopened.

use std::sync::OnceLock;

use crate::error::Error;

#[derive(Debug, Default)]
pub(super) struct Health {
    poison: OnceLock<Error>,
}

impl Health {
    pub(super) fn check(&self) -> Result<(), Error> {
        self.poison.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Refuses every later call with the first error that was given; answers that one.
    pub(super) fn poison(&self, error: Error) -> Error {
        self.poison.get_or_init(|| error).clone()
    }
}
