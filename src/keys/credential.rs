//! A credential key ready for use: keyed hashes of what credentials authenticate with, and of the names of accounts and modules.

use base64ct::{Base64UrlUnpadded, Encoding};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::keys::{Key, purpose_key};
use crate::random;
use crate::seal::{HASH, Hasher};

/// Characters of 256 bits in base64.
const CHARACTERS: usize = 43;

/// Knows the secret of a credential again, which is stored as its hash only.
pub(crate) struct CredentialKey {
    number: u32,
    secret: Hasher,
    name: Hasher,
}

impl CredentialKey {
    pub(super) fn new(number: u32, key: &Key, vault: &[u8; 16]) -> Result<Self, Error> {
        // Handed to the hashers, which keep what they make of it in wiped memory of their own.
        let hasher = |purpose| Hasher::new(purpose_key(key, vault, purpose)?.expose());
        Ok(Self { number, secret: hasher("tokenvault/1/credential")?, name: hasher("tokenvault/1/name")? })
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// A new secret of 256 random bits behind a prefix, and its keyed hash, which is all that is stored of it.
    pub(crate) fn fresh(&self, prefix: &str) -> Result<(Zeroizing<String>, [u8; HASH]), Error> {
        let mut bits = Zeroizing::new([0; 32]);
        random::fill_key(&mut *bits)?;
        let mut text = Zeroizing::new([0; CHARACTERS]);
        let text = Base64UrlUnpadded::encode(&*bits, &mut *text);
        let text = text.map_err(|_| Error::key_failure("a secret cannot be written"))?;
        // In one block, which does not grow.
        let mut secret = Zeroizing::new(String::with_capacity(prefix.len() + CHARACTERS));
        secret.push_str(prefix);
        secret.push_str(text);
        let hash = self.secret(secret.as_bytes());
        Ok((secret, hash))
    }

    /// The keyed hash of a credential's secret.
    pub(crate) fn secret(&self, secret: &[u8]) -> [u8; HASH] {
        self.secret.hash(|to| to(secret))
    }

    /// Where what has a name of the caller's choice stands, within its kind.
    pub(crate) fn place(&self, kind: u8, name: &str) -> [u8; 16] {
        let hash = self.name.hash(|to| {
            to(&[kind]);
            to(name.as_bytes());
        });
        let (place, _) = hash.split_first_chunk().unwrap_or((&[0; 16], &[]));
        *place
    }
}
