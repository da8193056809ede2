//! The card of a request: what it is made of, and one check for each of its fields.

use std::fmt;

use crate::card::{CardExpiry, CardholderName, Pan, SecurityCode};
use crate::error::{Error, Rule};
use crate::request::fields::{Fields, NOT_AN_OBJECT, Null, Present, read_json};
use crate::request::inquiry::{Asked, InquirySource};
use crate::request::json::{Malformed, Reader};
use crate::request::report::{Path, Report};
use crate::request::text::Token;
use crate::rules::Rules;

/// A card as it is handed in: account number and expiry, optionally a name and a security code.
pub struct PanSource {
    pub(crate) pan: Pan,
    pub(crate) expiry: CardExpiry,
    pub(crate) name: Option<CardholderName>,
    pub(crate) security_code: Option<SecurityCode>,
}

impl PanSource {
    /// A card. A date that has passed is accepted.
    #[must_use]
    pub fn new(pan: Pan, expiry: CardExpiry) -> Self {
        Self { pan, expiry, name: None, security_code: None }
    }

    /// The name printed on the card: 1 to 255 characters, no control characters. Default: none.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.source.cardholder_name`, where it stands in a [`CreatePci`](crate::CreatePci).
    pub fn cardholder_name(mut self, name: &str) -> Result<Self, Error> {
        let name = CardholderName::check(name).map_err(|rule| rule.at("$.source.cardholder_name"))?;
        self.name = Some(name);
        Ok(self)
    }

    /// The security code: 3 or 4 ASCII digits. It is never stored; see
    /// [`Vault::use_security_code`](crate::Vault::use_security_code). Default: none.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.source.security_code`, where it stands in a [`CreatePci`](crate::CreatePci).
    pub fn security_code(mut self, code: &str) -> Result<Self, Error> {
        let code = SecurityCode::check(code).map_err(|rule| rule.at("$.source.security_code"))?;
        self.security_code = Some(code);
        Ok(self)
    }

    /// Reads a card alone, as it stands in the `source` of a request: `type`, which must be `pan`, `account_number`,
    /// `expiry_month`, `expiry_year`, and optionally `cardholder_name` and `security_code`. At most 64 KiB, 32 levels deep.
    ///
    /// The bytes stay the caller's; no copy of them is left behind.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with every violation at its path, for instance `$.account_number`, or with one at `$` if it is not
    /// well-formed JSON.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        Self::from_json_with(json, Rules::default())
    }

    /// As [`from_json`](Self::from_json), by other rules, for instance those of a vault.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json).
    pub fn from_json_with(json: &[u8], rules: Rules) -> Result<Self, Error> {
        read_json(json, rules, |reader, report| {
            let source = Draft::of_a_card().read(&Path::Root, reader, report)?;
            Ok(source.and_then(|source| match source {
                Source::Pan(source) => Some(source),
                Source::Session => None,
            }))
        })
    }
}

impl fmt::Debug for PanSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PanSource(..)")
    }
}

/// What a token is made of: a card in hand, or one that a session waits for.
pub(crate) enum Source {
    Pan(PanSource),
    Session,
}

impl Source {
    /// Reads either; `None`, and noted, if it is neither.
    pub(super) fn read(
        path: &Path<'_>,
        reader: &mut Reader<'_>,
        report: &mut Report,
    ) -> Result<Option<Self>, Malformed> {
        Draft::default().read(path, reader, report)
    }
}

impl Pan {
    /// Reads the account number of a card from JSON: `{"type":"pan","account_number":...}`, and what else stands in a pan source,
    /// which is checked and of no effect. At most 64 KiB, 32 levels deep.
    ///
    /// The bytes stay the caller's; no copy of them is left behind.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with every violation at its path, or with one at `$` if it is not well-formed JSON.
    ///
    /// ```
    /// use tokenvault::card::{Pan, Scheme};
    ///
    /// let pan = Pan::from_json(br#"{"type":"pan","account_number":"4111111111111111"}"#)?;
    /// assert_eq!(pan.scheme(), Some(Scheme::Visa));
    /// # Ok::<(), tokenvault::Error>(())
    /// ```
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        Self::from_json_with(json, Rules::default())
    }

    /// As [`Pan::from_json`], by other rules, for instance those of a vault.
    ///
    /// # Errors
    /// As [`Pan::from_json`].
    pub fn from_json_with(json: &[u8], rules: Rules) -> Result<Self, Error> {
        match InquirySource::from_json_with(json, rules)?.asked {
            Asked::Pan(pan) => Ok(pan),
            Asked::Token(_) => Err(Rule("must be `pan`").at("$.type")),
        }
    }
}

/// The fields of a card, each with its one check.
impl Token<'_> {
    pub(super) fn account_number(self, rules: Rules) -> Result<Pan, Rule> {
        Pan::check(self.text()?.as_str(), rules)
    }

    pub(super) fn cardholder_name(self) -> Result<CardholderName, Rule> {
        CardholderName::check(self.text()?.as_str())
    }

    pub(super) fn month(self) -> Result<u8, Rule> {
        self.integer(CardExpiry::MONTH).and_then(CardExpiry::check_month)
    }

    pub(super) fn year(self) -> Result<u16, Rule> {
        self.integer(CardExpiry::YEAR).and_then(CardExpiry::check_year)
    }

    pub(super) fn security_code(self) -> Result<SecurityCode, Rule> {
        SecurityCode::check(self.text()?.as_str())
    }
}

/// A field of a source.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum SourceField {
    Type,
    AccountNumber,
    Name,
    Year,
    Month,
    SecurityCode,
}

/// What stands in a source.
pub(super) const FIELDS: Fields<SourceField> = Fields {
    named: &[
        ("type", SourceField::Type),
        ("account_number", SourceField::AccountNumber),
        ("cardholder_name", SourceField::Name),
        ("expiry_year", SourceField::Year),
        ("expiry_month", SourceField::Month),
        ("security_code", SourceField::SecurityCode),
    ],
    lifetime: None,
    null: Null::Absent,
};

/// What a pan source must have beside its type, in the order of the publication.
const REQUIRED_OF_A_PAN: [SourceField; 3] = [SourceField::AccountNumber, SourceField::Year, SourceField::Month];

/// A source under way: its type may come last.
#[derive(Default)]
struct Draft {
    /// Only a card will do.
    wants_card: bool,
    is_session: bool,
    is_pan: bool,
    pan: Option<Pan>,
    name: Option<CardholderName>,
    month: Option<u8>,
    year: Option<u16>,
    security_code: Option<SecurityCode>,
}

impl Draft {
    fn of_a_card() -> Self {
        Self { wants_card: true, ..Self::default() }
    }

    fn read(
        mut self,
        path: &Path<'_>,
        reader: &mut Reader<'_>,
        report: &mut Report,
    ) -> Result<Option<Source>, Malformed> {
        if !reader.is_at_object() {
            reader.value()?;
            report.refuse(path, NOT_AN_OBJECT);
            return Ok(None);
        }
        let (mark, mut again) = (report.mark(), reader.clone());
        let present = FIELDS.read(path, reader, report, |field, path, reader, report| {
            self.read_field(field, path, reader.value()?, report);
            Ok(())
        })?;
        if !self.is_session {
            return Ok(self.finish(path, &present, report).map(Source::Pan));
        }
        // What else stands in the source was read as a card's, which it is not.
        report.forget_since(mark);
        FIELDS.read(path, &mut again, report, |field, path, reader, report| {
            if field != SourceField::Type {
                report.refuse(path, Rule("must be absent where the type is `session`"));
            }
            reader.value().map(drop)
        })?;
        Ok(Some(Source::Session))
    }

    fn read_field(&mut self, field: SourceField, path: &Path<'_>, value: Token<'_>, report: &mut Report) {
        match field {
            SourceField::Type => self.read_type(path, value, report),
            SourceField::AccountNumber => self.pan = report.keep(path, value.account_number(report.rules)),
            SourceField::Name => self.name = report.keep(path, value.cardholder_name()),
            SourceField::Month => self.month = report.keep(path, value.month()),
            SourceField::Year => self.year = report.keep(path, value.year()),
            SourceField::SecurityCode => self.security_code = report.keep(path, value.security_code()),
        }
    }

    fn read_type(&mut self, path: &Path<'_>, value: Token<'_>, report: &mut Report) {
        match value.filled_text() {
            Ok(text) if text.as_str() == "pan" => self.is_pan = true,
            Ok(text) if text.as_str() == "session" && !self.wants_card => self.is_session = true,
            Ok(_) if self.wants_card => report.refuse(path, Rule("must be `pan`")),
            Ok(_) => report.refuse(path, Rule("must be `pan` or `session`")),
            Err(rule) => report.refuse(path, rule),
        }
    }

    fn finish(self, path: &Path<'_>, present: &Present<SourceField>, report: &mut Report) -> Option<PanSource> {
        let expiry = self.month.zip(self.year).and_then(|(month, year)| CardExpiry::new(month, year).ok());
        if let (true, Some(pan), Some(expiry)) = (self.is_pan, self.pan, expiry) {
            return Some(PanSource { pan, expiry, name: self.name, security_code: self.security_code });
        }
        present.require(SourceField::Type, path, report);
        if self.is_pan {
            for field in REQUIRED_OF_A_PAN {
                present.require(field, path, report);
            }
        }
        None
    }
}
