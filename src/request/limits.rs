//! The limits of a request as a whole, held before it is parsed.

/// At most this many bytes of JSON.
pub(super) const BYTES: usize = 64 * 1024;
/// At most this many objects and arrays within each other, the request itself counted.
pub(super) const LEVELS: usize = 32;
/// The shortest page of a list.
pub(super) const SHORTEST_PAGE: usize = 1;
/// The longest page of a list.
pub(super) const LONGEST_PAGE: usize = 100;
/// The page of a list where nothing is said.
pub(super) const DEFAULT_PAGE: usize = 20;
