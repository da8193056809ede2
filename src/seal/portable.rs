//! XChaCha20-Poly1305 in Rust alone, by `chacha20poly1305`: for every machine, and what the other implementation is held to.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};

use super::{NONCE, TAG};

/// A key, in one place until it is wiped.
pub(super) struct Cipher(Box<XChaCha20Poly1305>);

impl Cipher {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(Box::new(XChaCha20Poly1305::new(key.into())))
    }

    /// Seals `body` in place and gives its tag; `None` if it is too long.
    pub(super) fn seal(&self, nonce: &[u8; NONCE], associated: &[u8], body: &mut [u8]) -> Option<[u8; TAG]> {
        self.0.encrypt_inout_detached(nonce.into(), associated, body.into()).ok().map(Into::into)
    }

    /// Opens `body` in place; `None` if anything of it was changed, and then there is nothing to be read in it.
    pub(super) fn open(&self, nonce: &[u8; NONCE], associated: &[u8], body: &mut [u8], tag: &[u8; TAG]) -> Option<()> {
        self.0.decrypt_inout_detached(nonce.into(), associated, body.into(), tag.into()).ok()
    }
}
