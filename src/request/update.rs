//! Requests to change a token: a field that is absent stays, a field that is null is cleared.

use std::fmt;

use crate::card::{CardExpiry, CardholderName};
use crate::error::{Error, Rule};
use crate::lifetime::Lifetime;
use crate::metadata::Metadata;
use crate::request::fields::{Fields, Null, read_json};
use crate::request::json::{Malformed, Reader};
use crate::request::metadata::Extras;
use crate::request::report::{Path, Report};
use crate::rules::Rules;

/// What becomes of a field.
#[derive(Default)]
pub(crate) enum Edit<T> {
    #[default]
    Keep,
    Clear,
    Set(T),
}

impl<T> Edit<T> {
    /// What it is set to, if it is.
    pub(crate) fn set(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }

    pub(crate) fn is_kept(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// What stands there afterwards, where `before` stood.
    pub(crate) fn of(&self, before: Option<T>) -> Option<T>
    where
        T: Clone,
    {
        match self {
            Self::Keep => before,
            Self::Clear => None,
            Self::Set(value) => Some(value.clone()),
        }
    }

    /// Reads a null, if it is one, as the wish to clear the field.
    fn read_null(&mut self, reader: &mut Reader<'_>) -> Result<bool, Malformed> {
        let is_null = reader.is_at_null();
        if is_null {
            reader.value()?;
            *self = Self::Clear;
        }
        Ok(is_null)
    }

    fn to(value: Option<T>) -> Self {
        value.map_or(Self::Keep, Self::Set)
    }
}

/// What an update of either kind may say.
#[derive(Default)]
pub(crate) struct ExtrasEdit {
    pub(crate) metadata: Edit<Metadata>,
    pub(crate) lifetime: Edit<Lifetime>,
}

impl ExtrasEdit {
    fn are_kept(&self) -> bool {
        self.metadata.is_kept() && self.lifetime.is_kept()
    }

    fn read_metadata(
        &mut self,
        path: &Path<'_>,
        reader: &mut Reader<'_>,
        report: &mut Report,
    ) -> Result<(), Malformed> {
        if !self.metadata.read_null(reader)? {
            let mut extras = Extras::default();
            extras.read_metadata(path, reader, report)?;
            self.metadata = Edit::to(extras.metadata);
        }
        Ok(())
    }

    fn read_lifetime(
        &mut self,
        path: &Path<'_>,
        reader: &mut Reader<'_>,
        report: &mut Report,
    ) -> Result<(), Malformed> {
        if !self.lifetime.read_null(reader)? {
            let mut extras = Extras::default();
            extras.read_lifetime(path, reader, report)?;
            self.lifetime = Edit::to(extras.lifetime);
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq)]
enum GenericField {
    Lifetime,
    Metadata,
}

const GENERIC_FIELDS: Fields<GenericField> = Fields {
    named: &[("expiration_time", GenericField::Lifetime), ("metadata", GenericField::Metadata)],
    lifetime: Some(Rule("unknown field; did you mean `expiration_time`?")),
    null: Null::Value,
};

/// Asks for a change of a generic token. What is not said stays; the payload always does.
///
/// ```
/// use tokenvault::UpdateGeneric;
///
/// let request = UpdateGeneric::new().metadata([("order", "78")])?.never_expires();
/// let same = UpdateGeneric::from_json(br#"{"metadata":{"order":"78"},"expiration_time":null}"#)?;
/// # drop((request, same));
/// # Ok::<(), tokenvault::Error>(())
/// ```
#[derive(Default)]
pub struct UpdateGeneric {
    pub(crate) extras: ExtrasEdit,
}

impl UpdateGeneric {
    /// Asks for no change yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
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
    /// `VALIDATION_ERROR` at `$.expiration_time`.
    pub fn expires_in(mut self, seconds: u64) -> Result<Self, Error> {
        let lifetime = Lifetime::from_seconds(seconds).map_err(|rule| rule.at("$.expiration_time"))?;
        self.extras.lifetime = Edit::Set(lifetime);
        Ok(self)
    }

    /// Lets the token never expire.
    #[must_use]
    pub fn never_expires(mut self) -> Self {
        self.extras.lifetime = Edit::Clear;
        self
    }

    /// Reads JSON: `metadata` and `expiration_time`, each optional, each cleared by `null`. At most 64 KiB, 32 levels deep.
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
        let mut extras = ExtrasEdit::default();
        let present = GENERIC_FIELDS.read_request(reader, report, |field, path, reader, report| match field {
            GenericField::Metadata => extras.read_metadata(path, reader, report),
            GenericField::Lifetime => extras.read_lifetime(path, reader, report),
        })?;
        Ok(present.map(|_| Self { extras }))
    }

    /// Whether it asks for no change.
    pub(crate) fn is_empty(&self) -> bool {
        self.extras.are_kept()
    }
}

impl fmt::Debug for UpdateGeneric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UpdateGeneric(..)")
    }
}

#[derive(Clone, Copy, PartialEq)]
enum PciField {
    Lifetime,
    Metadata,
    Name,
    Year,
    Month,
}

const PCI_FIELDS: Fields<PciField> = Fields {
    named: &[
        ("expires_in", PciField::Lifetime),
        ("metadata", PciField::Metadata),
        ("cardholder_name", PciField::Name),
        ("expiry_year", PciField::Year),
        ("expiry_month", PciField::Month),
    ],
    lifetime: Some(Rule("unknown field; did you mean `expires_in`?")),
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
        self.extras.lifetime = Edit::Set(Lifetime::from_seconds(seconds).map_err(|rule| rule.at("$.expires_in"))?);
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
        let present = PCI_FIELDS.read_request(reader, report, |field, path, reader, report| match field {
            PciField::Metadata => update.extras.read_metadata(path, reader, report),
            PciField::Lifetime => update.extras.read_lifetime(path, reader, report),
            PciField::Name if update.name.read_null(reader)? => Ok(()),
            PciField::Name => {
                update.name = Edit::to(report.keep(path, reader.value()?.cardholder_name()));
                Ok(())
            }
            PciField::Year | PciField::Month if reader.is_at_null() => {
                reader.value()?;
                report.refuse(path, Rule("cannot be cleared"));
                Ok(())
            }
            PciField::Year => {
                update.year = report.keep(path, reader.value()?.year());
                Ok(())
            }
            PciField::Month => {
                update.month = report.keep(path, reader.value()?.month());
                Ok(())
            }
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
