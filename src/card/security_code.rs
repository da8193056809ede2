//! The security code of a card (CVV2, CVC2, CID): sensitive authentication data that is never stored (PCI DSS 3.3.1.2).

use crate::error::Rule;

/// Checks three or four ASCII digits. The code is looked at where it stands and kept nowhere.
pub(crate) fn check(code: &[u8]) -> Result<(), Rule> {
    if !code.iter().all(u8::is_ascii_digit) {
        return Err(Rule("must be ASCII digits only"));
    }
    if !(3..=4).contains(&code.len()) {
        return Err(Rule("must have 3 or 4 digits"));
    }
    Ok(())
}
