//! Numbers in a payload: kept as the literal that came, if a 64-bit number can hold exactly what it says.

use std::fmt::{self, Write as _};

use zeroize::Zeroize;

use crate::error::Rule;
use crate::pairs::{self, VALUE_CHARACTERS};
use crate::payload::PayloadValue;

const NOT_JSON: Rule = Rule("must be a number");
const INEXACT: Rule =
    Rule("must be exactly a 64-bit integer or a double that gives back the same digits; send any other number as text");

/// A number of a payload: an `i64`, a `u64`, or a double whose shortest form says the same as the literal.
pub struct PayloadNumber<'a>(Form<'a>);

enum Form<'a> {
    Literal(&'a str),
    Signed(i64),
    Unsigned(u64),
    Double(f64),
}

impl<'a> PayloadNumber<'a> {
    /// Checks a literal.
    pub(crate) fn check(literal: &'a str) -> Result<Self, Rule> {
        if literal.len() > VALUE_CHARACTERS {
            return Err(pairs::TOO_LONG);
        }
        if !is_json(literal) {
            return Err(NOT_JSON);
        }
        let exact = literal.parse::<i64>().is_ok() || literal.parse::<u64>().is_ok() || is_double(literal);
        if exact { Ok(Self(Form::Literal(literal))) } else { Err(INEXACT) }
    }

    /// A literal that was checked when it came into its block.
    pub(super) fn of_block(literal: &'a str) -> Self {
        Self(Form::Literal(literal))
    }

    /// The literal of a number that stands in a vault, exactly as it came; `None` for one made from a Rust number.
    #[must_use]
    pub fn as_literal(&self) -> Option<&'a str> {
        match self.0 {
            Form::Literal(literal) => Some(literal),
            _ => None,
        }
    }

    /// The number, if it is an `i64`.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self.0 {
            Form::Literal(literal) => literal.parse().ok(),
            Form::Signed(number) => Some(number),
            Form::Unsigned(number) => number.try_into().ok(),
            Form::Double(_) => None,
        }
    }

    /// The number, if it is a `u64`.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self.0 {
            Form::Literal(literal) => literal.parse().ok(),
            Form::Signed(number) => number.try_into().ok(),
            Form::Unsigned(number) => Some(number),
            Form::Double(_) => None,
        }
    }

    /// The number as a double; of an integer beyond 2^53, the nearest one.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self.0 {
            Form::Literal(literal) => literal.parse().ok(),
            Form::Double(number) => Some(number),
            _ => self.with_literal(|literal| literal.ok()?.parse().ok()),
        }
    }

    /// Lends the literal; of a double that is no number, the rule that it breaks.
    pub(crate) fn with_literal<R>(&self, lend: impl FnOnce(Result<&str, Rule>) -> R) -> R {
        let mut text = Scratch::default();
        let written = match self.0 {
            Form::Literal(literal) => return lend(Ok(literal)),
            Form::Signed(number) => write!(text, "{number}"),
            Form::Unsigned(number) => write!(text, "{number}"),
            Form::Double(number) if number.is_finite() => write!(text, "{number:?}"),
            Form::Double(_) => Err(fmt::Error),
        };
        lend(written.map_err(|fmt::Error| INEXACT).map(|()| text.as_str()))
    }
}

/// Makes a number, and so a value, of a Rust number.
macro_rules! from_number {
    ($($number:ty => $form:ident),+) => {$(
        impl From<$number> for PayloadNumber<'_> {
            fn from(number: $number) -> Self {
                Self(Form::$form(number.into()))
            }
        }

        impl From<$number> for PayloadValue<'_> {
            fn from(number: $number) -> Self {
                PayloadNumber::from(number).into()
            }
        }
    )+};
}

from_number!(i32 => Signed, i64 => Signed, u32 => Unsigned, u64 => Unsigned, f64 => Double);

impl fmt::Debug for PayloadNumber<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PayloadNumber(..)")
    }
}

/// Whether a literal is of JSON's grammar (RFC 8259, section 6), which Rust's own is wider than.
fn is_json(literal: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = literal.split_once(['e', 'E']).unwrap_or((literal, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let whole = whole.strip_prefix('-').unwrap_or(whole);
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    digits(whole) && (whole == "0" || !whole.starts_with('0')) && digits(fraction) && digits(exponent)
}

/// Whether the double nearest to a literal, in its shortest form, says exactly what the literal says.
fn is_double(literal: &str) -> bool {
    let Some(nearest) = literal.parse::<f64>().ok().filter(|nearest| nearest.is_finite()) else { return false };
    let mut shortest = Scratch::default();
    if write!(shortest, "{nearest:e}").is_err() {
        return false;
    }
    let said = Decimal::of(literal);
    said.is_some() && said == Decimal::of(shortest.as_str())
}

/// A decimal number apart from how it is written: its digits without zeros at either end, and the power of ten of the last.
#[derive(PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: Scratch,
    power: i64,
}

impl Decimal {
    fn of(literal: &str) -> Option<Self> {
        let (negative, unsigned) = literal.strip_prefix('-').map_or((false, literal), |rest| (true, rest));
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let power = exponent.strip_prefix('+').unwrap_or(exponent).parse::<i64>().ok()?;
        let mut power = power.checked_sub(i64::try_from(fraction.len()).ok()?)?;
        let mut digits = Scratch::default();
        for digit in whole.chars().chain(fraction.chars()).skip_while(|digit| *digit == '0') {
            digits.write_char(digit).ok()?;
        }
        while digits.drop_last('0') {
            power = power.checked_add(1)?;
        }
        let power = if digits.as_str().is_empty() { 0 } else { power };
        Some(Self { negative, digits, power })
    }
}

/// Room for one literal, in one place until it is wiped.
struct Scratch {
    bytes: Box<[u8; VALUE_CHARACTERS]>,
    length: usize,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { bytes: Box::new([0; VALUE_CHARACTERS]), length: 0 }
    }
}

impl Scratch {
    fn as_str(&self) -> &str {
        self.bytes.get(..self.length).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    /// Takes the last character away if it is this one.
    fn drop_last(&mut self, character: char) -> bool {
        let is_last = self.as_str().ends_with(character);
        if is_last {
            self.length -= 1;
        }
        is_last
    }
}

impl fmt::Write for Scratch {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.length..self.length + text.len()).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length += text.len();
        Ok(())
    }
}

impl PartialEq for Scratch {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Scratch {}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_64_bit_number_holds_is_kept_and_nothing_else() {
        let kept = [
            "0",
            "-0",
            "7",
            "-9223372036854775808",
            "18446744073709551615",
            "0.1",
            "1.50",
            "1e3",
            "1E+3",
            "1.7976931348623157e308",
            "5e-324",
            "0.0",
            "0e5",
            "100e-2",
        ];
        let refused = [
            "18446744073709551616",
            "-9223372036854775809",
            "0.1000000000000000055511151231257827",
            "1e400",
            "-1e400",
            "1e-400",
            "9007199254740993.0",
            "1e99999999999999999999",
        ];
        for literal in kept {
            assert!(PayloadNumber::check(literal).is_ok(), "{literal}");
        }
        for literal in refused {
            assert!(PayloadNumber::check(literal).is_err(), "{literal}");
        }
        for literal in [
            "", "-", "+5", "007", "-01", "1.", ".5", "1e", "1e+", "inf", "NaN", "infinity", "1_000", " 1", "1 ", "0x1",
            "--1",
        ] {
            assert!(PayloadNumber::check(literal).is_err(), "{literal}");
        }
        assert!(PayloadNumber::check(&format!("1{}", "0".repeat(79))).is_ok());
        assert!(PayloadNumber::check(&format!("1{}", "0".repeat(80))).is_err());
    }

    proptest! {
        #[test]
        fn every_finite_double_is_kept_in_its_shortest_form(number in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO) {
            PayloadNumber::from(number).with_literal(|literal| {
                let literal = literal.unwrap();
                prop_assert!(PayloadNumber::check(literal).is_ok(), "{}", literal);
                prop_assert_eq!(literal.parse::<f64>().unwrap().to_bits(), number.to_bits());
                Ok(())
            })?;
        }

        #[test]
        fn a_double_with_digits_that_it_cannot_give_back_is_refused(number in 0.1f64..1.0, digits in "[1-9]{20}") {
            let literal = format!("{number}{digits}");
            prop_assert!(PayloadNumber::check(&literal).is_err(), "{}", literal);
        }

        #[test]
        fn every_integer_of_64_bits_is_kept(signed: i64, unsigned: u64) {
            prop_assert!(PayloadNumber::check(&signed.to_string()).is_ok());
            prop_assert!(PayloadNumber::check(&unsigned.to_string()).is_ok());
        }
    }
}
