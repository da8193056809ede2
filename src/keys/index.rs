//! An index key ready for use: keyed hashes, one key a purpose, of what must be found again and may not be read.

use crate::error::Error;
use crate::keys::{Key, purpose_key};
use crate::seal::{HASH, Hasher, same_hash};

/// Finds cards by their account number and requests by their idempotency key, and proves what stands there.
pub(crate) struct IndexKey {
    number: u32,
    fingerprint: Hasher,
    idempotency: Hasher,
    state: Hasher,
}

/// What a keyed hash under the key for idempotency is of, as its first byte.
#[derive(Clone, Copy)]
enum Of {
    Entry = 1,
    Request = 2,
    Proof = 3,
}

impl IndexKey {
    pub(super) fn new(number: u32, key: &Key, vault: &[u8; 16]) -> Result<Self, Error> {
        // Handed to the hashers, which keep what they make of it in wiped memory of their own.
        let hasher = |purpose| Hasher::new(purpose_key(key, vault, purpose)?.expose());
        Ok(Self {
            number,
            fingerprint: hasher("tokenvault/1/fingerprint")?,
            idempotency: hasher("tokenvault/1/idempotency")?,
            state: hasher("tokenvault/1/state")?,
        })
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// The fingerprint of an account number (PCI DSS 3.5.1.1: a keyed hash of the entire number).
    pub(crate) fn fingerprint(&self, digits: &[u8]) -> [u8; HASH] {
        self.fingerprint.hash(|to| to(digits))
    }

    /// Where the entry of an idempotency key stands: within what the caller is and an operation.
    pub(crate) fn entry_id(&self, caller: &[u8; 16], operation: u8, key: &str) -> [u8; 16] {
        let hash = self.idempotency(Of::Entry, |to| name(caller, operation, key, to));
        let (id, _) = hash.split_first_chunk().unwrap_or((&[0; 16], &[]));
        *id
    }

    /// The keyed hash by which a request under such a key is known again.
    pub(crate) fn request(
        &self,
        caller: &[u8; 16],
        operation: u8,
        key: &str,
        feed: impl FnOnce(&mut dyn FnMut(&[u8])),
    ) -> [u8; HASH] {
        self.idempotency(Of::Request, |to| {
            name(caller, operation, key, to);
            // No text has this byte, so that the key ends here.
            to(&[0xff]);
            feed(to);
        })
    }

    /// What proves an entry: a keyed hash of where it stands and what it says.
    pub(crate) fn proof(&self, associated: &[u8; 64], body: &[u8]) -> [u8; HASH] {
        self.idempotency(Of::Proof, |to| {
            to(associated);
            to(body);
        })
    }

    /// Whether an entry is as the vault wrote it.
    pub(crate) fn proves(&self, associated: &[u8; 64], body: &[u8], proof: &[u8; HASH]) -> bool {
        same_hash(&self.proof(associated, body), proof)
    }

    /// What proves a row of the vault's state: a keyed hash of its name, a zero, and what it says.
    pub(crate) fn state_proof(&self, name: &[u8], says: &[u8]) -> [u8; HASH] {
        self.state.hash(|to| {
            to(name);
            to(&[0]);
            to(says);
        })
    }

    fn idempotency(&self, of: Of, feed: impl FnOnce(&mut dyn FnMut(&[u8]))) -> [u8; HASH] {
        self.idempotency.hash(|to| {
            to(&[of as u8]);
            feed(to);
        })
    }
}

/// What an idempotency key is within.
fn name(caller: &[u8; 16], operation: u8, key: &str, to: &mut dyn FnMut(&[u8])) {
    to(caller);
    to(&[operation]);
    to(key.as_bytes());
}
