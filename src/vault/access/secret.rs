//! What credentials authenticate with: 256 random bits, of which only a keyed hash is stored.

use base64ct::{Base64UrlUnpadded, Encoding};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::keys::Keys;
use crate::random;
use crate::record::SecretHash;

/// The longest secret there is, of any kind: what is longer is none.
pub(super) const LONGEST: usize = 128;

/// Characters of 256 bits in base64.
const CHARACTERS: usize = 43;

/// A new secret behind its prefix, and what is stored of it.
pub(super) fn fresh(keys: &Keys, prefix: &str) -> Result<(Zeroizing<String>, SecretHash), Error> {
    let mut bits = Zeroizing::new([0; 32]);
    random::fill_key(&mut *bits)?;
    let mut text = Zeroizing::new([0; CHARACTERS]);
    let text = Base64UrlUnpadded::encode(&*bits, &mut *text).map_err(|_| Error::key_failure("a secret has no text"))?;
    // In one block, which does not grow.
    let mut secret = Zeroizing::new(String::with_capacity(prefix.len() + CHARACTERS));
    secret.push_str(prefix);
    secret.push_str(text);
    let key =
        keys.credential().first().ok_or_else(|| Error::key_failure("the key ring has no active credential key"))?;
    let hash = SecretHash { key: key.number(), hash: key.secret(secret.as_bytes()) };
    Ok((secret, hash))
}
