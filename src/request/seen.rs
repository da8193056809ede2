//! The names that an object has had so far, each of them perhaps a secret: none is copied.

use std::collections::HashSet;
use std::hash::BuildHasher;

/// Tells a name that comes again by its hash, under keys that no caller knows.
#[derive(Default)]
pub(super) struct Seen(HashSet<u64>);

impl Seen {
    /// Whether a name comes for the first time.
    pub(super) fn is_new(&mut self, name: &str) -> bool {
        let hash = self.0.hasher().hash_one(name);
        self.0.insert(hash)
    }
}
