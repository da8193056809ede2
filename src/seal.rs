//! Sealing: XChaCha20-Poly1305 in place, bound to associated data that says what is sealed, for whom and where. And keyed
//! hashes, for what is looked up without being opened.
//!
//! Nonces are random: 192 bits leave no practical bound on how many records one key may seal (draft-irtf-cfrg-xchacha-03).

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, HmacReset, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::error::Error;
use crate::random;

/// Bytes of a nonce.
pub(crate) const NONCE: usize = 24;

/// A random number that seals once: whoever has one can only use it up.
pub(crate) struct Nonce([u8; NONCE]);

impl Nonce {
    /// One nonce.
    pub(crate) fn fresh() -> Result<Self, Error> {
        let mut nonce = [0; NONCE];
        random::fill(&mut nonce)?;
        Ok(Self(nonce))
    }

    /// Two nonces, and beside them as many random bytes as `id` takes: all that a token needs, in one draw.
    pub(crate) fn fresh_pair(id: &mut [u8; 16]) -> Result<[Self; 2], Error> {
        let mut drawn = [0; 16 + 2 * NONCE];
        random::fill(&mut drawn)?;
        let (first, rest) = drawn.split_first_chunk::<16>().ok_or_else(mislaid)?;
        *id = *first;
        let nonces = rest.as_chunks::<NONCE>().0;
        let [one, other] = nonces else { return Err(mislaid()) };
        Ok([Self(*one), Self(*other)])
    }
}

fn mislaid() -> Error {
    Error::store_failure("a part to seal is shorter than its nonce and tag")
}
/// Bytes of a tag.
pub(crate) const TAG: usize = 16;

/// A key in use, in one place until it is wiped. It seals and opens; it cannot be read back.
pub(crate) struct Sealer(Box<XChaCha20Poly1305>);

/// The bytes do not open under this key and these associated data: somebody or something has changed one of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tampered;

impl Sealer {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(Box::new(XChaCha20Poly1305::new(key.into())))
    }

    /// Seals a part that is laid out as room for a nonce, the plain bytes, room for a tag.
    pub(crate) fn seal(&self, Nonce(fresh): Nonce, associated: &[u8], part: &mut [u8]) -> Result<(), Error> {
        let (nonce, body, tag) = split(part).ok_or_else(mislaid)?;
        *nonce = fresh.into();
        let sealed = self.0.encrypt_inout_detached(nonce, associated, body.into());
        *tag = sealed.map_err(|_| Error::store_failure("a part to seal is too long"))?;
        Ok(())
    }

    /// Opens a part in place and gives its plain bytes.
    pub(crate) fn open<'a>(&self, associated: &[u8], part: &'a mut [u8]) -> Result<&'a [u8], Tampered> {
        let (nonce, body, tag) = split(part).ok_or(Tampered)?;
        self.0.decrypt_inout_detached(nonce, associated, (&mut *body).into(), tag).map_err(|_| Tampered)?;
        Ok(body)
    }
}

/// Bytes of a keyed hash.
pub(crate) const HASH: usize = 32;

/// A key for keyed hashes, HMAC-SHA256 (RFC 2104), with its state made ready, in one place until it is wiped. It cannot be read
/// back.
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

/// Nonce, body and tag of a part.
fn split(part: &mut [u8]) -> Option<(&mut XNonce, &mut [u8], &mut Tag)> {
    let (nonce, rest) = part.split_first_chunk_mut::<NONCE>()?;
    let (body, tag) = rest.split_last_chunk_mut::<TAG>()?;
    Some((nonce.into(), body, tag.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// draft-irtf-cfrg-xchacha-03, appendix A.3.1.
    #[test]
    fn the_vector_of_the_draft_opens() {
        let unhex = |text: &str| {
            let mut bytes = vec![0; text.len() / 2];
            base16ct::lower::decode(text, &mut bytes).unwrap();
            bytes
        };
        let key: Vec<u8> = (0x80..0xa0).collect();
        let associated = unhex("50515253c0c1c2c3c4c5c6c7");
        let mut part: Vec<u8> = (0x40..0x58).collect();
        part.extend(unhex(concat!(
            "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39",
            "ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9",
            "21f9664c97637da9768812f615c68b13b52e",
            "c0875924c1c7987947deafd8780acf49",
        )));
        let sealer = Sealer::new(&key.try_into().unwrap());
        let plain = sealer.open(&associated, &mut part).unwrap();
        assert!(plain.starts_with(b"Ladies and Gentlemen of the class of '99"));
    }

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

    #[test]
    fn what_was_sealed_opens_once_and_only_as_it_was() {
        let sealer = Sealer::new(&[7; 32]);
        let mut part = [&[0; NONCE][..], b"secret", &[0; TAG]].concat();
        sealer.seal(Nonce::fresh().unwrap(), b"where", &mut part).unwrap();
        assert_eq!(sealer.open(b"where", &mut part.clone()), Ok(&b"secret"[..]));
        assert_eq!(sealer.open(b"elsewhere", &mut part.clone()), Err(Tampered));
        assert_eq!(Sealer::new(&[8; 32]).open(b"where", &mut part.clone()), Err(Tampered));
        assert_eq!(sealer.open(b"where", &mut [0; NONCE + TAG - 1]), Err(Tampered));
        for bit in 0..part.len() * 8 {
            part[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(sealer.open(b"where", &mut part.clone()), Err(Tampered));
            part[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
