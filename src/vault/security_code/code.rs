//! A security code that a vault keeps.

use crate::card::SecurityCode;
use crate::locked::{SLOT, Slot};

const _: () = assert!(SecurityCode::MOST_DIGITS <= SLOT, "a slot holds any code");

/// A security code in locked memory: the digits, with zeros behind the last.
pub(in crate::vault) struct LockedCode(Slot);

impl LockedCode {
    /// Takes a code over, and wipes the place where it was; `None` where no memory can be locked.
    pub(in crate::vault) fn of(code: SecurityCode) -> Option<Self> {
        let digits = code.into_digits();
        // From one place that is wiped into another.
        Slot::born(|slot| slot.iter_mut().zip(digits.expose()).for_each(|(to, digit)| *to = *digit)).map(Self)
    }

    /// The digits, to be lent; `None` in a child of the process that has them.
    pub(in crate::vault) fn expose(&self) -> Option<&str> {
        // Lent from the slot itself: nothing is copied.
        let slot = self.0.expose()?;
        let length = slot.iter().take_while(|byte| **byte != 0).count();
        std::str::from_utf8(slot.get(..length)?).ok()
    }

    /// Whether this is the process that has it.
    pub(super) fn is_here(&self) -> bool {
        self.0.is_here()
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_lent_as_it_came() {
        for digits in ["000", "0000", "123", "9999"] {
            let code = LockedCode::of(SecurityCode::parse(digits).unwrap()).expect("memory that can be locked");
            assert_eq!(code.expose(), Some(digits));
        }
    }
}
