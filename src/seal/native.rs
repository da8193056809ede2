//! XChaCha20-Poly1305 at the speed of the machine: HChaCha20 derives a key for this nonce (draft-irtf-cfrg-xchacha-03,
//! section 2), and with that `ring` does the ChaCha20-Poly1305 of RFC 8439 in assembler.
//!
//! The bytes are those of the portable implementation.

use std::hint::black_box;

use chacha20::{R20, hchacha};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, Tag, UnboundKey};
use ring::error::Unspecified;
use zeroize::Zeroizing;

use super::{NONCE, TAG};

/// A key, in one place until it is wiped.
pub(super) struct Cipher(Box<Zeroizing<[u8; 32]>>);

impl Cipher {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let mut cipher = Self(Box::default());
        cipher.0.copy_from_slice(key);
        cipher
    }

    /// Seals `body` in place and gives its tag; `None` if it is too long.
    pub(super) fn seal(&self, nonce: &[u8; NONCE], associated: &[u8], body: &mut [u8]) -> Option<[u8; TAG]> {
        let seal = |key: &LessSafeKey, nonce| key.seal_in_place_separate_tag(nonce, Aad::from(associated), body);
        self.under_derived(nonce, seal)?.as_ref().try_into().ok()
    }

    /// Opens `body` in place; `None` if anything of it was changed, and then there is nothing to be read in it.
    pub(super) fn open(&self, nonce: &[u8; NONCE], associated: &[u8], body: &mut [u8], tag: &[u8; TAG]) -> Option<()> {
        let (aad, tag) = (Aad::from(associated), Tag::from(*tag));
        self.under_derived(nonce, |key, nonce| key.open_in_place_separate_tag(nonce, aad, tag, body, 0..).map(|_| ()))
    }

    /// Lends the key of this nonce, and the rest of the nonce behind four zeros.
    fn under_derived<T>(
        &self,
        nonce: &[u8; NONCE],
        work: impl FnOnce(&LessSafeKey, Nonce) -> Result<T, Unspecified>,
    ) -> Option<T> {
        let (lead, rest) = nonce.split_first_chunk::<16>()?;
        let mut counted = [0; 12];
        counted.last_chunk_mut::<8>()?.copy_from_slice(rest);
        let derived: Zeroizing<[u8; 32]> = Zeroizing::new(hchacha::<R20>((&**self.0).into(), lead.into()).into());
        let mut key = ring_key(&derived)?;
        let done = work(&key, Nonce::assume_unique_for_key(counted));
        // `ring` wipes no key; another one in its place does.
        key = ring_key(&[0; 32])?;
        black_box(&key);
        done.ok()
    }
}

fn ring_key(key: &[u8; 32]) -> Option<LessSafeKey> {
    UnboundKey::new(&CHACHA20_POLY1305, key).ok().map(LessSafeKey::new)
}
