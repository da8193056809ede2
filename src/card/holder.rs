//! The name printed on a card.

use zeroize::Zeroizing;

use crate::error::Rule;

/// A cardholder's name: 1 to 255 characters, none of them a control character. Wiped when dropped: a caller may have taken
/// one field for the other, and so handed in a number.
#[derive(Clone)]
pub(crate) struct CardholderName(Zeroizing<String>);

impl CardholderName {
    const MOST_CHARACTERS: usize = 255;

    pub(crate) fn check(name: &str) -> Result<Self, Rule> {
        Self::check_text(name).map(|name| Self(Zeroizing::new(name.to_owned())))
    }

    /// The rules alone, for a name that stays where it stands.
    pub(crate) fn check_text(name: &str) -> Result<&str, Rule> {
        if name.is_empty() {
            return Err(Rule("must not be empty"));
        }
        if name.chars().nth(Self::MOST_CHARACTERS).is_some() {
            return Err(Rule("must be at most 255 characters"));
        }
        if name.chars().any(char::is_control) {
            return Err(Rule("must not contain control characters"));
        }
        Ok(name)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn into_string(mut self) -> String {
        std::mem::take(&mut *self.0)
    }
}
