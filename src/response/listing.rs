//! A page of a list.

use serde::{Deserialize, Serialize};

/// Some of the tokens, in the order of their ids, and where the next ones are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Listing<T> {
    /// The tokens of this page.
    pub data: Vec<T>,
    /// Where to go on.
    pub links: Links,
}

/// Where a list goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Links {
    /// The API path of the next page, for instance `/api/generic/tokens?limit=20&after=<last id>`; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
