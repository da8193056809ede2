//! Requests that make a PCI token, or a session for one, or change one.

use std::fmt;

use crate::card::{CardExpiry, CardholderName};
use crate::duplicates::Duplicates;
use crate::error::{Error, Rule};
use crate::metadata::Metadata;
use crate::request::fields::{Fields, Null, read_json};
use crate::request::idempotency::IdempotencyKey;
use crate::request::json::{Malformed, Reader};
use crate::request::metadata::{Extras, LifetimeField, read_lifetime, read_map};
use crate::request::report::{Path, Report};
use crate::request::source::{PanSource, Source};
use crate::request::update::{Edit, ExtrasEdit};
use crate::rules::Rules;

#[derive(Clone, Copy, PartialEq)]
enum Field {
    Lifetime,
    Source,
    Metadata,
}

const FIELDS: Fields<Field> = Fields {
    named: &[(LifetimeField::PCI.name, Field::Lifetime), ("source", Field::Source), ("metadata", Field::Metadata)],
    lifetime: Some(LifetimeField::PCI.hint),
    null: Null::Absent,
};

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
        self.extras.lifetime = Some(LifetimeField::PCI.check(seconds)?);
        Ok(self)
    }

    /// Names the request, so that it can be sent again and is done once: 1 to 64 characters. For 24 hours the same request
    /// under the same key gives the first answer again, made anew from the token as it stands then. The same key names
    /// another request where something else is asked for: a generic token, a type, the completion of a session. Default: no
    /// key.
    ///
    /// The key is not in the JSON, which is the published one. What is compared is what the request asks for: the order of
    /// its fields does not matter, nor whether an optional one is `null` or absent, nor which security code it has.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.idempotency_key`. When the request is sent, `CONFLICT`: the key was used for another request,
    /// or what it led to is gone.
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
        let Some(present) = FIELDS.read_request(reader, report, |field, path, reader, report| {
            match field {
                Field::Source => source = Source::read(path, reader, report)?,
                Field::Metadata => extras.metadata = read_map(path, reader, report)?,
                Field::Lifetime => extras.lifetime = read_lifetime(path, reader, report)?,
            }
            Ok(())
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

#[derive(Clone, Copy, PartialEq)]
enum Change {
    Lifetime,
    Metadata,
    Name,
    Year,
    Month,
}

const CHANGES: Fields<Change> = Fields {
    named: &[
        (LifetimeField::PCI.name, Change::Lifetime),
        ("metadata", Change::Metadata),
        ("cardholder_name", Change::Name),
        ("expiry_year", Change::Year),
        ("expiry_month", Change::Month),
    ],
    lifetime: Some(LifetimeField::PCI.hint),
    null: Null::Value,
};

/// Asks for a change of a PCI token. What is not said stays; the account number always does, and
/// [`Vault::replace_account_number`](crate::Vault::replace_account_number) replaces it.
///
/// ```
/// use tokenvault::UpdatePci;
///
/// let request = UpdatePci::new().expiry_month(4)?.expiry_year(2031)?.clear_cardholder_name();
/// let same = UpdatePci::from_json(br#"{"expiry_month":4,"expiry_year":2031,"cardholder_name":null}"#)?;
/// # drop((request, same));
/// # Ok::<(), tokenvault::Error>(())
/// ```
#[derive(Default)]
pub struct UpdatePci {
    month: Option<u8>,
    year: Option<u16>,
    pub(crate) name: Edit<CardholderName>,
    pub(crate) extras: ExtrasEdit,
}

impl UpdatePci {
    /// Asks for no change yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The month that is printed on the new card, 1 to 12.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.expiry_month`.
    pub fn expiry_month(mut self, month: u8) -> Result<Self, Error> {
        let month = CardExpiry::check_month(month.into()).map_err(|rule| rule.at("$.expiry_month"))?;
        self.month = Some(month);
        Ok(self)
    }

    /// The year that is printed on the new card, 2000 to 9999.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.expiry_year`.
    pub fn expiry_year(mut self, year: u16) -> Result<Self, Error> {
        let year = CardExpiry::check_year(year.into()).map_err(|rule| rule.at("$.expiry_year"))?;
        self.year = Some(year);
        Ok(self)
    }

    /// The name printed on the card: 1 to 255 characters, no control characters.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.cardholder_name`.
    pub fn cardholder_name(mut self, name: &str) -> Result<Self, Error> {
        self.name = Edit::Set(CardholderName::check(name).map_err(|rule| rule.at("$.cardholder_name"))?);
        Ok(self)
    }

    /// Takes the name away.
    #[must_use]
    pub fn clear_cardholder_name(mut self) -> Self {
        self.name = Edit::Clear;
        self
    }

    /// Labels the token anew, in place of all labels that it has.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`, as [`Metadata::new`].
    pub fn metadata<K: AsRef<str>, V: AsRef<str>>(
        mut self,
        metadata: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, Error> {
        self.extras.metadata = Edit::Set(Metadata::new(metadata)?);
        Ok(self)
    }

    /// Takes all labels away.
    #[must_use]
    pub fn clear_metadata(mut self) -> Self {
        self.extras.metadata = Edit::Clear;
        self
    }

    /// Lets the token expire so many seconds after the change, 1 to 2,592,000 (30 days).
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.expires_in`.
    pub fn expires_in(mut self, seconds: u64) -> Result<Self, Error> {
        self.extras.lifetime = Edit::Set(LifetimeField::PCI.check(seconds)?);
        Ok(self)
    }

    /// Lets the token never expire.
    #[must_use]
    pub fn never_expires(mut self) -> Self {
        self.extras.lifetime = Edit::Clear;
        self
    }

    /// Reads JSON: `expiry_month`, `expiry_year`, `cardholder_name`, `metadata` and `expires_in`, each optional; the last three
    /// are cleared by `null`. At most 64 KiB, 32 levels deep.
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
        let mut update = Self::default();
        let present = CHANGES.read_request(reader, report, |field, path, reader, report| {
            match field {
                Change::Metadata => {
                    update.extras.metadata = Edit::read(reader, |reader| read_map(path, reader, report))?;
                }
                Change::Lifetime => {
                    update.extras.lifetime = Edit::read(reader, |reader| read_lifetime(path, reader, report))?;
                }
                Change::Name => {
                    let read = |reader: &mut Reader<'_>| Ok(report.keep(path, reader.value()?.cardholder_name()));
                    update.name = Edit::read(reader, read)?;
                }
                Change::Year | Change::Month if reader.is_at_null() => {
                    reader.value()?;
                    report.refuse(path, Rule("cannot be cleared"));
                }
                Change::Year => update.year = report.keep(path, reader.value()?.year()),
                Change::Month => update.month = report.keep(path, reader.value()?.month()),
            }
            Ok(())
        })?;
        Ok(present.map(|_| update))
    }

    /// Whether it asks for no change.
    pub(crate) fn is_empty(&self) -> bool {
        self.month.is_none() && self.year.is_none() && self.name.is_kept() && self.extras.are_kept()
    }

    /// The date of the card afterwards, where `before` stood.
    pub(crate) fn expiry(&self, before: CardExpiry) -> CardExpiry {
        let (month, year) = (self.month.unwrap_or(before.month()), self.year.unwrap_or(before.year()));
        // Both are checked already, so that there is a date.
        CardExpiry::new(month, year).unwrap_or(before)
    }
}

impl fmt::Debug for UpdatePci {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UpdatePci(..)")
    }
}
