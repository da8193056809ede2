//! What an API token may be.

use serde::{Deserialize, Serialize};

/// Whether an API token is good. From `Active` to `Disabled` and back, and from both to `Deleted`, which is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ApiTokenStatus {
    /// It is good.
    Active,
    /// It is refused until it is enabled.
    Disabled,
    /// It is refused for ever, and only root sees it.
    Deleted,
}

/// Every status with the byte that stands for it in a record.
const STATUSES: [(ApiTokenStatus, u8); 3] =
    [(ApiTokenStatus::Active, 1), (ApiTokenStatus::Disabled, 2), (ApiTokenStatus::Deleted, 3)];

impl ApiTokenStatus {
    /// The byte that stands for it in a record.
    pub(crate) fn as_byte(self) -> u8 {
        STATUSES.iter().find(|row| row.0 == self).map_or(0, |row| row.1)
    }

    /// The status of a byte in a record.
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        STATUSES.iter().find(|row| row.1 == byte).map(|row| row.0)
    }
}
