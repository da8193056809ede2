//! A request for a PCI token, and the card that it is made of.

use std::fmt;

use crate::card::{CardExpiry, CardholderName, Pan, SecurityCode};
use crate::duplicates::Duplicates;
use crate::error::{Error, Rule};
use crate::lifetime::Lifetime;
use crate::metadata::Metadata;
use crate::request::fields::{Fields, NOT_AN_OBJECT, Null, Present, read_json};
use crate::request::idempotency::IdempotencyKey;
use crate::request::json::{Malformed, Reader};
use crate::request::metadata::Extras;
use crate::request::report::{Path, Report};
use crate::request::text::Token;
use crate::rules::Rules;

#[derive(Clone, Copy, PartialEq)]
enum Field {
    Lifetime,
    Source,
    Metadata,
}

const FIELDS: Fields<Field> = Fields {
    named: &[("expires_in", Field::Lifetime), ("source", Field::Source), ("metadata", Field::Metadata)],
    lifetime: Some(Rule("unknown field; did you mean `expires_in`?")),
    null: Null::Absent,
};

#[derive(Clone, Copy, PartialEq)]
enum SourceField {
    Type,
    AccountNumber,
    Name,
    Year,
    Month,
    SecurityCode,
}

const SOURCE_FIELDS: Fields<SourceField> = Fields {
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
    /// `VALIDATION_ERROR` at `$.source.cardholder_name`.
    pub fn cardholder_name(mut self, name: &str) -> Result<Self, Error> {
        let name = CardholderName::check(name).map_err(|rule| rule.at("$.source.cardholder_name"))?;
        self.name = Some(name);
        Ok(self)
    }

    /// The security code: 3 or 4 ASCII digits. It is never stored; see
    /// [`Vault::use_security_code`](crate::Vault::use_security_code). Default: none.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.source.security_code`.
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
            let source = read_source(&Path::Root, Draft::of_a_card(), reader, report)?;
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

/// Asks for a token that stands for a card, or for a session in which somebody else hands in the card.
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
    pub(crate) source: Source,
    pub(crate) extras: Extras,
    pub(crate) duplicates: Duplicates,
}

impl CreatePci {
    /// Asks for a token for this card.
    #[must_use]
    pub fn new(source: PanSource) -> Self {
        Self { source: Source::Pan(source), extras: Extras::default(), duplicates: Duplicates::default() }
    }

    /// Asks for a session. Metadata and lifetime are those of the token to be; the lifetime counts from its creation.
    #[must_use]
    pub fn session() -> Self {
        Self { source: Source::Session, extras: Extras::default(), duplicates: Duplicates::default() }
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

    /// Names the request, so that it can be sent again and is done once: 1 to 64 characters. For 24 hours the same request
    /// under the same key gives the first answer again, made anew from the token as it stands then. Default: no key.
    ///
    /// The key is not in the JSON, which is the published one. What is compared is what the request asks for: the order of
    /// its fields does not matter, nor whether an optional one is `null` or absent, nor which security code it has.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.idempotency_key`.
    pub fn idempotency_key(mut self, key: &str) -> Result<Self, Error> {
        self.extras.idempotency = Some(IdempotencyKey::new(key)?);
        Ok(self)
    }

    /// Says what is wanted if the card has a live token already. Default: [`Duplicates::Allow`].
    #[must_use]
    pub fn duplicates(mut self, duplicates: Duplicates) -> Self {
        self.duplicates = duplicates;
        self
    }

    /// Reads the published JSON: `source`, and optionally `metadata` and `expires_in`. At most 64 KiB, 32 levels deep.
    ///
    /// The bytes stay the caller's; no copy of them is left behind.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` with every violation at its path, or with one at `$` if it is not well-formed JSON.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        Self::from_json_with(json, Rules::default())
    }

    /// As [`from_json`](Self::from_json), by other rules, for instance those of a vault.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json).
    pub fn from_json_with(json: &[u8], rules: Rules) -> Result<Self, Error> {
        read_json(json, rules, Self::read)
    }

    fn read(reader: &mut Reader<'_>, report: &mut Report) -> Result<Option<Self>, Malformed> {
        let (mut source, mut extras) = (None, Extras::default());
        let Some(present) = FIELDS.read_request(reader, report, |field, path, reader, report| match field {
            Field::Source => {
                source = read_source(path, Draft::default(), reader, report)?;
                Ok(())
            }
            Field::Metadata => extras.read_metadata(path, reader, report),
            Field::Lifetime => extras.read_lifetime(path, reader, report),
        })?
        else {
            return Ok(None);
        };
        present.require(Field::Source, &Path::Root, report);
        Ok(source.map(|source| Self { source, extras, duplicates: Duplicates::default() }))
    }
}

impl fmt::Debug for CreatePci {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CreatePci(..)")
    }
}

/// Completes a session with a card.
///
/// ```
/// use tokenvault::card::{CardExpiry, Pan};
/// use tokenvault::{CompleteSession, PanSource};
///
/// let card = PanSource::new(Pan::parse("4111111111111111")?, CardExpiry::new(12, 2025)?);
/// let request = CompleteSession::from(card);
/// let same = CompleteSession::from_json(
///     br#"{"type":"pan","account_number":"4111111111111111","expiry_month":12,"expiry_year":2025}"#,
/// )?;
/// # drop((request, same));
/// # Ok::<(), tokenvault::Error>(())
/// ```
pub struct CompleteSession {
    pub(crate) source: PanSource,
    pub(crate) idempotency: Option<IdempotencyKey>,
}

impl CompleteSession {
    /// Reads a card alone, as [`PanSource::from_json`].
    ///
    /// # Errors
    /// As [`PanSource::from_json`].
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        Self::from_json_with(json, Rules::default())
    }

    /// As [`from_json`](Self::from_json), by other rules, for instance those of a vault.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json).
    pub fn from_json_with(json: &[u8], rules: Rules) -> Result<Self, Error> {
        PanSource::from_json_with(json, rules).map(Self::from)
    }

    /// Names the request, as [`CreatePci::idempotency_key`]: the same card for the same session under the same key gives the
    /// first answer again. Default: no key.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.idempotency_key`.
    pub fn idempotency_key(mut self, key: &str) -> Result<Self, Error> {
        self.idempotency = Some(IdempotencyKey::new(key)?);
        Ok(self)
    }
}

impl From<PanSource> for CompleteSession {
    fn from(source: PanSource) -> Self {
        Self { source, idempotency: None }
    }
}

impl fmt::Debug for CompleteSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CompleteSession(..)")
    }
}

fn read_source(
    path: &Path<'_>,
    mut draft: Draft,
    reader: &mut Reader<'_>,
    report: &mut Report,
) -> Result<Option<Source>, Malformed> {
    if !reader.is_at_object() {
        reader.value()?;
        report.refuse(path, NOT_AN_OBJECT);
        return Ok(None);
    }
    let (mark, mut again) = (report.mark(), reader.clone());
    let present = SOURCE_FIELDS.read(path, reader, report, |field, path, reader, report| {
        draft.read(field, path, reader.value()?, report);
        Ok(())
    })?;
    if !draft.is_session {
        return Ok(draft.finish(path, &present, report).map(Source::Pan));
    }
    // What else stands in the source was read as a card's, which it is not.
    report.forget_since(mark);
    SOURCE_FIELDS.read(path, &mut again, report, |field, path, reader, report| {
        if field != SourceField::Type {
            report.refuse(path, Rule("must be absent where the type is `session`"));
        }
        reader.value().map(drop)
    })?;
    Ok(Some(Source::Session))
}

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

    fn read(&mut self, field: SourceField, path: &Path<'_>, value: Token<'_>, report: &mut Report) {
        match field {
            SourceField::Type => self.read_type(path, value, report),
            SourceField::AccountNumber => {
                let pan = value.text().and_then(|text| Pan::check(text.as_str(), report.rules));
                self.pan = report.keep(path, pan);
            }
            SourceField::Name => {
                let name = value.text().and_then(|text| CardholderName::check(text.as_str()));
                self.name = report.keep(path, name);
            }
            SourceField::Month => {
                self.month = report.keep(path, value.integer(CardExpiry::MONTH).and_then(CardExpiry::check_month));
            }
            SourceField::Year => {
                self.year = report.keep(path, value.integer(CardExpiry::YEAR).and_then(CardExpiry::check_year));
            }
            SourceField::SecurityCode => {
                let code = value.text().and_then(|text| SecurityCode::check(text.as_str()));
                self.security_code = report.keep(path, code);
            }
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
