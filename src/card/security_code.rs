//! The security code of a card (CVV2, CVC2, CID): sensitive authentication data that is never stored (PCI DSS 3.3.1.2).

use std::fmt;

use crate::error::{Error, Rule};
use crate::secret::SecretBytes;

/// A security code: three or four ASCII digits.
///
/// It stands in one place, in memory that is wiped when it is dropped. A vault that takes it keeps it in locked memory, or not at
/// all. It cannot be printed, cloned, compared or serialised.
///
/// ```
/// use tokenvault::card::SecurityCode;
///
/// assert!(SecurityCode::parse("123").is_ok());
/// assert!(SecurityCode::parse("12").is_err());
/// ```
pub struct SecurityCode(SecretBytes);

impl SecurityCode {
    /// How many digits there can be.
    pub(crate) const MOST_DIGITS: usize = 4;

    /// Checks three or four ASCII digits.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with one violation at `$`.
    pub fn parse(code: &str) -> Result<Self, Error> {
        Self::check(code).map_err(|rule| rule.at("$"))
    }

    pub(crate) fn check(code: &str) -> Result<Self, Rule> {
        if code.is_empty() {
            return Err(Rule("must not be empty"));
        }
        if !code.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Rule("must be ASCII digits only"));
        }
        if !(3..=Self::MOST_DIGITS).contains(&code.len()) {
            return Err(Rule("must have 3 or 4 digits"));
        }
        let mut digits = SecretBytes::with_room(Self::MOST_DIGITS);
        digits.push(code.as_bytes());
        Ok(Self(digits))
    }

    /// The digits, in ASCII.
    pub(crate) fn into_digits(self) -> SecretBytes {
        self.0
    }
}

impl fmt::Debug for SecurityCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecurityCode(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn three_or_four_ascii_digits_and_nothing_else(code in "[0-9]{0,6}|\\PC{0,5}|[0-9٣]{3,4}") {
            let is_code = (3..=4).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_digit());
            let checked = SecurityCode::parse(&code);
            prop_assert_eq!(checked.is_ok(), is_code);
            if let Ok(checked) = checked {
                let digits = checked.into_digits();
                prop_assert_eq!(digits.expose(), code.as_bytes());
            }
        }
    }
}
