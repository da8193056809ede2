//! The account number (PAN) of a card: checked when made, held in wiped memory, shown only as a mask.

use std::fmt;
use std::ops::RangeInclusive;

use crate::card::{BinStyle, MaskStyle, Scheme};
use crate::error::{Error, Rule};
use crate::rules::{Rules, UnlistedSchemes};
use crate::secret::SecretBytes;

/// The shortest number of a listed scheme.
const SHORTEST: usize = 13;
/// The longest number there is (ISO/IEC 7812-1).
const LONGEST: usize = 19;
/// How many digits a number has.
pub(super) const LENGTHS: RangeInclusive<usize> = SHORTEST..=LONGEST;

/// A primary account number: 13 to 19 ASCII digits that pass the Luhn check, of a listed scheme unless the rules take others.
///
/// There is no way to have an unchecked one, nor to print, clone or serialise it. It is wiped when dropped.
///
/// ```
/// use tokenvault::card::{MaskStyle, Pan, Scheme};
///
/// let pan = Pan::parse("4111111111111111")?;
/// assert_eq!(pan.scheme(), Some(Scheme::Visa));
/// assert_eq!(pan.mask(MaskStyle::FirstSixLastFour), "411111******1111");
/// # Ok::<(), tokenvault::Error>(())
/// ```
pub struct Pan {
    digits: SecretBytes,
    scheme: Option<Scheme>,
}

impl Pan {
    /// Checks, in this order: bytes, digits only, length, Luhn (ISO/IEC 7812-1, annex B), scheme.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with one violation at `$`, the first rule that fails.
    pub fn parse(number: &str) -> Result<Self, Error> {
        Self::parse_with(number, Rules::default())
    }

    /// As [`Pan::parse`], by other rules, for instance those of a vault.
    ///
    /// # Errors
    /// As [`Pan::parse`].
    ///
    /// ```
    /// use tokenvault::card::Pan;
    /// use tokenvault::{Rules, UnlistedSchemes};
    ///
    /// let rules = Rules::new().unlisted_schemes(UnlistedSchemes::Accept);
    /// assert!(Pan::parse("9111111111111110").is_err());
    /// assert_eq!(Pan::parse_with("9111111111111110", rules)?.scheme(), None);
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn parse_with(number: &str, rules: Rules) -> Result<Self, Error> {
        Self::check(number, rules).map_err(|rule| rule.at("$"))
    }

    pub(crate) fn check(number: &str, rules: Rules) -> Result<Self, Rule> {
        if number.is_empty() {
            return Err(Rule("must not be empty"));
        }
        if number.len() > LONGEST {
            return Err(Rule("must be at most 19 ASCII digits"));
        }
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Rule("must be ASCII digits only, without separators"));
        }
        if number.len() < SHORTEST {
            return Err(Rule("must have 13 to 19 digits"));
        }
        if !luhn::valid(number) {
            return Err(Rule("fails the Luhn check"));
        }
        let scheme = Scheme::of(number.as_bytes());
        check_scheme(scheme, rules.schemes())?;
        if number.starts_with('0') {
            return Err(Rule("must not begin with 0"));
        }
        let mut digits = SecretBytes::with_room(LONGEST);
        digits.push(number.as_bytes());
        Ok(Self { digits, scheme })
    }

    /// Whether its scheme is good enough, for a number that was read by other rules.
    pub(crate) fn check_scheme(&self, schemes: UnlistedSchemes) -> Result<(), Rule> {
        check_scheme(self.scheme, schemes)
    }

    /// Whether a text has the form of an account number: 13 to 19 ASCII digits.
    pub(crate) fn is_number(text: &str) -> bool {
        LENGTHS.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    }

    /// The scheme that issued it; `None` if it is none of the seven, which only [`UnlistedSchemes::Accept`] lets in.
    #[must_use]
    pub fn scheme(&self) -> Option<Scheme> {
        self.scheme
    }

    /// The number with all digits but a few replaced by `*`, in its own length (PCI DSS 3.4.1).
    #[must_use]
    pub fn mask(&self, style: MaskStyle) -> String {
        // A mask shows at most the ten digits that PCI DSS lets be seen.
        style.mask(self.expose())
    }

    /// The leading digits that a vault tells.
    pub(crate) fn lead(&self, style: BinStyle) -> String {
        // Six or eight digits, which may be seen beside the last four.
        let digits = self.expose();
        digits.iter().take(style.digits(digits.len())).map(|digit| char::from(*digit)).collect()
    }

    /// The digits, for sealing.
    pub(crate) fn expose(&self) -> &[u8] {
        self.digits.expose()
    }
}

impl fmt::Debug for Pan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pan(..)")
    }
}

fn check_scheme(scheme: Option<Scheme>, schemes: UnlistedSchemes) -> Result<(), Rule> {
    match (scheme, schemes) {
        (None, UnlistedSchemes::Refuse) => Err(Rule("no supported scheme")),
        _ => Ok(()),
    }
}
