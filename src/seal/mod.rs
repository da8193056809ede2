//! Sealing: XChaCha20-Poly1305 in place, bound to associated data that says what is sealed, for whom and where.
//!
//! Nonces are random: 192 bits leave no practical bound on how many records one key may seal (draft-irtf-cfrg-xchacha-03).

mod hash;
#[cfg(feature = "ring-cipher")]
mod native;
#[cfg(any(test, not(feature = "ring-cipher")))]
mod portable;

pub(crate) use self::hash::{HASH, Hasher, same_hash, signature};

#[cfg(feature = "ring-cipher")]
use self::native::Cipher;
#[cfg(not(feature = "ring-cipher"))]
use self::portable::Cipher;
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
pub(crate) struct Sealer(Cipher);

/// The bytes do not open under this key and these associated data: somebody or something has changed one of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tampered;

impl Sealer {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(Cipher::new(key))
    }

    /// Seals a part that is laid out as room for a nonce, the plain bytes, room for a tag.
    pub(crate) fn seal(&self, Nonce(fresh): Nonce, associated: &[u8], part: &mut [u8]) -> Result<(), Error> {
        let (nonce, body, tag) = split(part).ok_or_else(mislaid)?;
        *nonce = fresh;
        *tag =
            self.0.seal(nonce, associated, body).ok_or_else(|| Error::store_failure("a part to seal is too long"))?;
        Ok(())
    }

    /// Opens a part in place and gives its plain bytes.
    pub(crate) fn open<'a>(&self, associated: &[u8], part: &'a mut [u8]) -> Result<&'a [u8], Tampered> {
        let (nonce, body, tag) = split(part).ok_or(Tampered)?;
        self.0.open(nonce, associated, body, tag).ok_or(Tampered)?;
        Ok(body)
    }
}

/// Nonce, body and tag of a part.
fn split(part: &mut [u8]) -> Option<(&mut [u8; NONCE], &mut [u8], &mut [u8; TAG])> {
    let (nonce, rest) = part.split_first_chunk_mut::<NONCE>()?;
    let (body, tag) = rest.split_last_chunk_mut::<TAG>()?;
    Some((nonce, body, tag))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A part of these three.
    fn laid_out(nonce: &[u8], body: &[u8], tag: &[u8]) -> Vec<u8> {
        [nonce, body, tag].concat()
    }

    /// draft-irtf-cfrg-xchacha-03, appendix A.3.1.
    #[test]
    fn the_vector_of_the_draft_seals_and_opens() {
        let unhex = |text: &str| {
            let mut bytes = vec![0; text.len() / 2];
            base16ct::lower::decode(text, &mut bytes).unwrap();
            bytes
        };
        let key: Vec<u8> = (0x80..0xa0).collect();
        let sealer = Sealer::new(&key.try_into().unwrap());
        let nonce: [u8; NONCE] = std::array::from_fn(|at| 0x40 + u8::try_from(at).unwrap());
        let associated = unhex("50515253c0c1c2c3c4c5c6c7");
        let plain = concat!(
            "Ladies and Gentlemen of the class of '99: ",
            "If I could offer you only one tip for the future, sunscreen would be it.",
        );
        let ciphertext = unhex(concat!(
            "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39",
            "ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9",
            "21f9664c97637da9768812f615c68b13b52e",
        ));
        let tag = unhex("c0875924c1c7987947deafd8780acf49");
        let mut part = laid_out(&[0; NONCE], plain.as_bytes(), &[0; TAG]);
        sealer.seal(Nonce(nonce), &associated, &mut part).unwrap();
        assert_eq!(part, laid_out(&nonce, &ciphertext, &tag));
        assert_eq!(sealer.open(&associated, &mut part), Ok(plain.as_bytes()));
    }

    /// The vectors of project Wycheproof: what is valid seals and opens, what is not does not open.
    #[test]
    fn every_vector_of_wycheproof_comes_out_as_it_says() {
        use wycheproof::aead::{TestName, TestSet};

        let set = TestSet::load(TestName::XChaCha20Poly1305).unwrap();
        let groups = set.test_groups.iter().filter(|group| (group.nonce_size, group.tag_size) == (8 * NONCE, 8 * TAG));
        let (mut valid, mut invalid) = (0, 0);
        for test in groups.flat_map(|group| &group.tests) {
            let sealer = Sealer::new(test.key.as_ref().try_into().unwrap());
            let mut part = laid_out(&test.nonce, &test.ct, &test.tag);
            let (whole, opened) = (part.clone(), sealer.open(&test.aad, &mut part));
            if test.result.must_fail() {
                assert_eq!(opened, Err(Tampered), "test {}", test.tc_id);
                invalid += 1;
                continue;
            }
            assert_eq!(opened, Ok(test.pt.as_ref()), "test {}", test.tc_id);
            let mut part = laid_out(&[0; NONCE], &test.pt, &[0; TAG]);
            sealer.seal(Nonce(test.nonce.as_ref().try_into().unwrap()), &test.aad, &mut part).unwrap();
            assert_eq!(part, whole, "test {}", test.tc_id);
            valid += 1;
        }
        assert!(valid > 200 && invalid > 50, "{valid} valid, {invalid} invalid");
    }

    proptest! {
        /// The sealer of this build and the implementation in Rust alone, whichever of them the sealer is.
        #[test]
        fn both_implementations_open_what_either_has_sealed(
            key: [u8; 32],
            nonce: [u8; NONCE],
            associated in vec(any::<u8>(), 0..96),
            plain in vec(any::<u8>(), 0..1200),
            flip: prop::sample::Index,
        ) {
            let (ours, portable) = (Sealer::new(&key), portable::Cipher::new(&key));
            let mut part = laid_out(&[0; NONCE], &plain, &[0; TAG]);
            ours.seal(Nonce(nonce), &associated, &mut part).unwrap();
            let mut body = plain.clone();
            let tag = portable.seal(&nonce, &associated, &mut body).unwrap();
            prop_assert_eq!(&part, &laid_out(&nonce, &body, &tag));

            prop_assert_eq!(portable.open(&nonce, &associated, &mut body, &tag), Some(()));
            prop_assert_eq!(&body, &plain);
            let mut whole = part.clone();
            prop_assert_eq!(ours.open(&associated, &mut whole), Ok(&plain[..]));

            let bit = flip.index(part.len() * 8);
            part[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(ours.open(&associated, &mut part), Err(Tampered));
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
