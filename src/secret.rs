//! Memory that holds a secret: one heap allocation from birth to wipe, and one greppable way to look inside.
//!
//! Neither type can be printed, cloned, compared or serialised. A move of either moves a pointer, never the bytes.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

/// A secret of fixed size, filled where it stays and wiped when dropped.
pub(crate) struct Secret<T: Zeroize>(Box<T>);

impl<T: Zeroize + Default> Secret<T> {
    /// Allocates first and lets `fill` write in place, so that no copy is left on the stack.
    pub(crate) fn born<E>(fill: impl FnOnce(&mut T) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Self(Box::default());
        fill(&mut secret.0)?;
        Ok(secret)
    }
}

impl<T: Zeroize> Secret<T> {
    /// Looks inside. Each use says why it may.
    pub(crate) fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Secret bytes of any length, wiped when dropped; growing wipes the block it leaves behind.
#[derive(Default)]
pub(crate) struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Nothing yet, with room for `capacity` bytes.
    pub(crate) fn with_room(capacity: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(capacity)))
    }

    /// Takes over bytes that become secret, for instance a sealed record that is about to be opened in place.
    pub(crate) fn adopt(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Appends bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let needed = self.0.len().saturating_add(bytes.len());
        if needed > self.0.capacity() {
            let mut wider = Vec::with_capacity(needed.saturating_mul(2));
            wider.extend_from_slice(&self.0);
            self.0 = Zeroizing::new(wider);
        }
        self.0.extend_from_slice(bytes);
    }

    /// Looks inside. Each use says why it may.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Looks inside, to seal or open in place.
    pub(crate) fn expose_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Gives the bytes away, for when they have been sealed and are no longer secret.
    pub(crate) fn into_sealed(mut self) -> Vec<u8> {
        std::mem::take(&mut *self.0)
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_bytes_keep_what_was_pushed_when_they_grow() {
        let mut bytes = SecretBytes::with_room(1);
        for part in [&b"a"[..], b"bc", b"", b"defghij"] {
            bytes.push(part);
        }
        assert_eq!(bytes.expose(), b"abcdefghij");
        assert_eq!(bytes.into_sealed(), b"abcdefghij");
    }

    #[test]
    fn a_refused_birth_leaves_no_secret() {
        let refused = Secret::<[u8; 4]>::born(|digits| {
            digits[0] = b'1';
            Err("no")
        });
        assert_eq!(refused.unwrap_err(), "no");
    }

    #[test]
    fn debug_shows_nothing() {
        let secret = Secret::<[u8; 4]>::born(|digits| {
            *digits = *b"4111";
            Ok::<_, ()>(())
        });
        assert_eq!(format!("{secret:?}"), "Ok(Secret(..))");
        assert_eq!(format!("{:?}", SecretBytes::adopt(vec![b'4'])), "SecretBytes(..)");
    }
}
