//! The security code of a card (CVV2, CVC2, CID): sensitive authentication data that is never stored (PCI DSS 3.3.1.2).

use std::fmt;

use crate::error::{Error, Rule};
use crate::locked::{SLOT, Slot};

/// A security code: three or four ASCII digits.
///
/// From its check to its wipe it stands in one place, in memory that is locked, left out of core dumps and of forks. Where no
/// memory can be locked it is checked and not kept. It cannot be printed, cloned, compared or serialised.
///
/// ```
/// use tokenvault::card::SecurityCode;
///
/// assert!(SecurityCode::parse("123").is_ok());
/// assert!(SecurityCode::parse("12").is_err());
/// ```
pub struct SecurityCode {
    /// The digits, with zeros behind the last; `None` if no memory could be locked for them.
    digits: Option<Slot>,
}

impl SecurityCode {
    /// Checks three or four ASCII digits.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with one violation at `$`.
    pub fn parse(code: &str) -> Result<Self, Error> {
        Self::check(code).map_err(|rule| rule.at("$"))
    }

    pub(crate) fn check(code: &str) -> Result<Self, Rule> {
        Self::check_text(code)?;
        let digits = Slot::born(|slot| slot.iter_mut().zip(code.bytes()).for_each(|(to, digit)| *to = digit));
        Ok(Self { digits })
    }

    /// The rules alone, for a code that stays where it stands.
    pub(crate) fn check_text(code: &str) -> Result<(), Rule> {
        if code.is_empty() {
            return Err(Rule("must not be empty"));
        }
        if !code.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Rule("must be ASCII digits only"));
        }
        if !(3..=SLOT).contains(&code.len()) {
            return Err(Rule("must have 3 or 4 digits"));
        }
        Ok(())
    }

    /// The digits, to be lent; `None` if they are not kept here.
    pub(crate) fn expose(&self) -> Option<&str> {
        // Lent from the slot itself: nothing is copied.
        let slot = self.digits.as_ref()?.expose()?;
        let length = slot.iter().take_while(|byte| **byte != 0).count();
        std::str::from_utf8(slot.get(..length)?).ok()
    }

    /// Whether there was memory for it, and this is not a child of the process that had it.
    pub(crate) fn is_kept(&self) -> bool {
        self.digits.as_ref().is_some_and(Slot::is_here)
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
                prop_assert_eq!(checked.expose(), checked.is_kept().then_some(code.as_str()));
            }
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_code_is_kept_where_memory_can_be_locked() {
        for digits in ["000", "0000", "123", "9999"] {
            assert_eq!(SecurityCode::parse(digits).unwrap().expose(), Some(digits));
        }
    }
}
