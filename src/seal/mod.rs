//! Sealing: XChaCha20-Poly1305 in place, bound to associated data that says what is sealed, for whom and where.
//!
//! Nonces are random: 192 bits leave no practical bound on how many records one key may seal (draft-irtf-cfrg-xchacha-03).

mod hash;

pub(crate) use self::hash::{HASH, Hasher, same_hash, signature};

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};

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
