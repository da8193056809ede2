//! Keyed hashes: HMAC-SHA256 (RFC 2104), for what is looked up or proved without being opened.
//!
//! Of what is hashed no copy is left.

use hmac::{Hmac, HmacReset, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::error::Error;

/// Bytes of a keyed hash.
pub(crate) const HASH: usize = 32;

/// A key for keyed hashes, with its state made ready, in one place until it is wiped. It cannot be read back.
pub(crate) struct Hasher(Box<HmacReset<Sha256>>);

impl Hasher {
    pub(crate) fn new(key: &[u8; 32]) -> Result<Self, Error> {
        let ready = HmacReset::new_from_slice(key).map_err(|_| Error::key_failure("a hash key has a wrong length"))?;
        Ok(Self(Box::new(ready)))
    }

    /// The keyed hash of what `feed` hands over, part by part. Of a part no copy is left: the state stands where it was made,
    /// and is wiped there.
    pub(crate) fn hash(&self, feed: impl FnOnce(&mut dyn FnMut(&[u8]))) -> [u8; HASH] {
        let mut state = (*self.0).clone();
        feed(&mut |part| state.update(part));
        state.finalize_reset().into_bytes().into()
    }
}

/// Whether two keyed hashes are the same, in a time that does not tell where they differ.
pub(crate) fn same_hash(one: &[u8; HASH], other: &[u8; HASH]) -> bool {
    one.ct_eq(other).into()
}

/// The HMAC-SHA256 (RFC 2104) of a message that is no secret, in lower-case hexadecimal digits.
pub(crate) fn signature(key: &[u8], message: &[u8]) -> String {
    // A key of any length is one; what does not fit is hashed first.
    let mac = Hmac::<Sha256>::new_from_slice(key).map(|mac| mac.chain_update(message).finalize().into_bytes());
    mac.map(|mac| base16ct::lower::encode_string(&mac)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2, and test case 6 with a key longer than a block.
    #[test]
    fn signatures_are_those_of_the_rfc() {
        let signed = signature(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(signed, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        let signed = signature(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(signed, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    }

    /// The same vectors as far as their keys have 32 bytes at most, which zeros fill up (RFC 2104, section 2), in any parts.
    #[test]
    fn a_keyed_hash_does_not_depend_on_how_it_was_fed() {
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let hasher = Hasher::new(&key).unwrap();
        let message = b"what do ya want for nothing?";
        let whole = hasher.hash(|to| to(message));
        assert_eq!(base16ct::lower::encode_string(&whole), signature(b"Jefe", message));
        for size in 1..message.len() {
            let fed = hasher.hash(|to| message.chunks(size).for_each(to));
            assert!(same_hash(&fed, &whole), "in parts of {size}");
        }
        for bit in 0..HASH * 8 {
            let mut other = whole;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!same_hash(&other, &whole));
        }
    }
}
