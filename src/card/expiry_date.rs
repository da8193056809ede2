//! The month and year printed on a card.

use crate::error::{Error, Rule, Violation};

/// The month after which a card is no longer honoured. A month that has passed is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CardExpiry {
    month: u8,
    year: u16,
}

impl CardExpiry {
    pub(crate) const MONTH: Rule = Rule("must be from 1 to 12");
    pub(crate) const YEAR: Rule = Rule("must be from 2000 to 9999");

    /// Checks a month, 1 to 12, and a year, 2000 to 9999.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.expiry_month` and `$.expiry_year`.
    pub fn new(month: u8, year: u16) -> Result<Self, Error> {
        match (Self::check_month(month.into()), Self::check_year(year.into())) {
            (Ok(month), Ok(year)) => Ok(Self { month, year }),
            (month, year) => {
                let at = |path, rule: Rule| Violation::new(path, rule.0);
                let month = month.err().map(|rule| at("$.expiry_month", rule));
                let year = year.err().map(|rule| at("$.expiry_year", rule));
                Err(Error::validation(month.into_iter().chain(year).collect(), 0))
            }
        }
    }

    pub(crate) fn check_month(month: u64) -> Result<u8, Rule> {
        u8::try_from(month).ok().filter(|month| (1..=12).contains(month)).ok_or(Self::MONTH)
    }

    pub(crate) fn check_year(year: u64) -> Result<u16, Rule> {
        u16::try_from(year).ok().filter(|year| (2000..=9999).contains(year)).ok_or(Self::YEAR)
    }

    /// The month, 1 to 12.
    #[must_use]
    pub fn month(self) -> u8 {
        self.month
    }

    /// The year, in four digits.
    #[must_use]
    pub fn year(self) -> u16 {
        self.year
    }
}
