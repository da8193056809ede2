//! A payload type as it is given back.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::TypeId;
use crate::response::instant;

/// A payload type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PayloadType {
    /// Names the type.
    pub id: TypeId,
    /// When it was made.
    #[serde(with = "instant")]
    pub created_at: DateTime<Utc>,
    /// Its name for people, 1 to 80 characters.
    pub name: String,
    /// The schema as it came, in the order in which it came; numbers as 64-bit integers or the nearest doubles.
    pub schema: Value,
}

impl PayloadType {
    /// A type with a schema as JSON; `None` if that is none.
    pub(crate) fn of(id: TypeId, created_at: DateTime<Utc>, name: &str, schema: &str) -> Option<Self> {
        Some(Self { id, created_at, name: name.to_owned(), schema: serde_json::from_str(schema).ok()? })
    }
}
