//! A request for a PCI token, and the card that it is made of.

use std::fmt;

use crate::card::{CardExpiry, CardholderName, Pan, security_code};
use crate::error::{Error, Rule};
use crate::lifetime::Lifetime;
use crate::metadata::Metadata;
use crate::request::fields::{Fields, NOT_AN_OBJECT, Present, read_json};
use crate::request::json::{Malformed, Reader};
use crate::request::metadata::Extras;
use crate::request::report::{Mark, Path, Report};
use crate::request::text::Token;

const FIELDS: Fields = Fields {
    names: &["expires_in", "source", "metadata"],
    lifetime: Some(Rule("unknown field; did you mean `expires_in`?")),
};

const SOURCE_FIELDS: Fields = Fields {
    names: &["type", "account_number", "cardholder_name", "expiry_year", "expiry_month", "security_code"],
    lifetime: None,
};

/// What a pan source must have beside its type, in the order of the publication.
const REQUIRED_OF_A_PAN: [&str; 3] = ["account_number", "expiry_year", "expiry_month"];

/// A card as it is handed in: account number and expiry, optionally a name.
pub struct PanSource {
    pub(crate) pan: Pan,
    pub(crate) expiry: CardExpiry,
    pub(crate) name: Option<CardholderName>,
}

impl PanSource {
    /// A card. A date that has passed is accepted.
    #[must_use]
    pub fn new(pan: Pan, expiry: CardExpiry) -> Self {
        Self { pan, expiry, name: None }
    }

    /// The name printed on the card: 1 to 255 characters, no control characters. Default: none.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.source.cardholder_name`.
    pub fn cardholder_name(mut self, name: &str) -> Result<Self, Error> {
        let name = CardholderName::check(name).map_err(|rule| rule.at("$.source.cardholder_name"))?;
        self.name = Some(name);
        Ok(self)
    }

    /// The security code: 3 or 4 ASCII digits. It is checked and, in this version, kept nowhere.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.source.security_code`.
    pub fn security_code(self, code: &str) -> Result<Self, Error> {
        security_code::check(code.as_bytes()).map_err(|rule| rule.at("$.source.security_code"))?;
        Ok(self)
    }
}

impl fmt::Debug for PanSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PanSource(..)")
    }
}

/// Asks for a token that stands for a card.
///
/// ```
/// use tokenvault::card::{CardExpiry, Pan};
/// use tokenvault::{CreatePci, PanSource};
///
/// let card = PanSource::new(Pan::parse("4111111111111111")?, CardExpiry::new(12, 2025)?);
/// let request = CreatePci::new(card).expires_in(3600)?;
/// let same = CreatePci::from_json(
///     br#"{"source":{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025},"expires_in":3600}"#,
/// )?;
/// # drop((request, same));
/// # Ok::<(), tokenvault::Error>(())
/// ```
pub struct CreatePci {
    pub(crate) source: PanSource,
    pub(crate) extras: Extras,
}

impl CreatePci {
    /// Asks for a token for this card.
    #[must_use]
    pub fn new(source: PanSource) -> Self {
        Self { source, extras: Extras::default() }
    }

    /// Labels the token. Default: no metadata.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`, as [`Metadata::new`].
    pub fn metadata<K: AsRef<str>, V: AsRef<str>>(
        mut self,
        metadata: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, Error> {
        self.extras.metadata = Some(Metadata::new(metadata)?);
        Ok(self)
    }

    /// Lets the token expire so many seconds after its creation, 1 to 2,592,000 (30 days). Default: it never expires.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.expires_in`.
    pub fn expires_in(mut self, seconds: u64) -> Result<Self, Error> {
        self.extras.lifetime = Some(Lifetime::from_seconds(seconds).map_err(|rule| rule.at("$.expires_in"))?);
        Ok(self)
    }

    /// Reads the published JSON: `source`, and optionally `metadata` and `expires_in`. At most 64 KiB, 32 levels deep.
    ///
    /// The bytes stay the caller's; no copy of them is left behind.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with every violation at its path, or with one at `$` if it is not well-formed JSON.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        read_json(json, Self::read)
    }

    fn read(reader: &mut Reader<'_>, report: &mut Report) -> Result<Option<Self>, Malformed> {
        let (mut source, mut extras) = (None, Extras::default());
        let Some(present) = FIELDS.read_request(reader, report, |name, path, reader, report| match name {
            "source" => {
                source = read_source(path, reader, report)?;
                Ok(())
            }
            "metadata" => extras.read_metadata(path, reader, report),
            _ => extras.read_lifetime(path, reader, report),
        })?
        else {
            return Ok(None);
        };
        if source.is_none() && !present.contains("source") {
            report.miss(&Path::Field(&Path::Root, "source"));
        }
        Ok(source.map(|source| Self { source, extras }))
    }
}

impl fmt::Debug for CreatePci {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CreatePci(..)")
    }
}

fn read_source(path: &Path<'_>, reader: &mut Reader<'_>, report: &mut Report) -> Result<Option<PanSource>, Malformed> {
    if !reader.is_at_object() {
        reader.value()?;
        report.refuse(path, NOT_AN_OBJECT);
        return Ok(None);
    }
    let mark = report.mark();
    let mut draft = Draft::default();
    let present = SOURCE_FIELDS.read(path, reader, report, |name, path, reader, report| {
        draft.read(name, path, reader.value()?, report);
        Ok(())
    })?;
    Ok(draft.finish(path, &present, mark, report))
}

/// A source under way: its type may come last.
#[derive(Default)]
struct Draft {
    is_session: bool,
    is_pan: bool,
    pan: Option<Pan>,
    name: Option<CardholderName>,
    month: Option<u8>,
    year: Option<u16>,
}

impl Draft {
    fn read(&mut self, name: &str, path: &Path<'_>, value: Token<'_>, report: &mut Report) {
        match name {
            "type" => self.read_type(path, value, report),
            "account_number" => {
                let pan = value.text().and_then(|text| Pan::check(text.as_str().as_bytes()));
                self.pan = report.keep(path, pan);
            }
            "cardholder_name" => {
                let name = value.text().and_then(|text| CardholderName::check(text.as_str()));
                self.name = report.keep(path, name);
            }
            "expiry_month" => {
                self.month = report.keep(path, value.integer(CardExpiry::MONTH).and_then(CardExpiry::check_month));
            }
            "expiry_year" => {
                self.year = report.keep(path, value.integer(CardExpiry::YEAR).and_then(CardExpiry::check_year));
            }
            _ => {
                let code = value.filled_text().and_then(|text| security_code::check(text.as_str().as_bytes()));
                report.keep(path, code);
            }
        }
    }

    fn read_type(&mut self, path: &Path<'_>, value: Token<'_>, report: &mut Report) {
        match value.filled_text() {
            Ok(text) if text.as_str() == "pan" => self.is_pan = true,
            Ok(text) if text.as_str() == "session" => self.is_session = true,
            Ok(_) => report.refuse(path, Rule("must be `pan` or `session`")),
            Err(rule) => report.refuse(path, rule),
        }
    }

    fn finish(self, path: &Path<'_>, present: &Present, mark: Mark, report: &mut Report) -> Option<PanSource> {
        if self.is_session {
            // What else stands in the source was read as a card's, which it is not.
            report.forget_since(mark);
            report.refuse(&Path::Field(path, "type"), Rule("not yet supported"));
            return None;
        }
        let expiry = self.month.zip(self.year).and_then(|(month, year)| CardExpiry::new(month, year).ok());
        if let (true, Some(pan), Some(expiry)) = (self.is_pan, self.pan, expiry) {
            return Some(PanSource { pan, expiry, name: self.name });
        }
        if !present.contains("type") {
            report.miss(&Path::Field(path, "type"));
        }
        for name in REQUIRED_OF_A_PAN {
            if self.is_pan && !present.contains(name) {
                report.miss(&Path::Field(path, name));
            }
        }
        None
    }
}
