//! Requests that make or change a generic token.

use std::fmt;

use crate::error::{Error, Rule};
use crate::id::TypeId;
use crate::metadata::Metadata;
use crate::payload::{Payload, PayloadValue};
use crate::request::fields::{Fields, Null, Pairs, read_json};
use crate::request::idempotency::IdempotencyKey;
use crate::request::json::{Malformed, Reader};
use crate::request::metadata::{Extras, LifetimeField, read_lifetime, read_map};
use crate::request::report::{Path, Report};
use crate::request::text::{Shape, Token};
use crate::request::update::{Edit, ExtrasEdit};
use crate::rules::Rules;

#[derive(Clone, Copy, PartialEq)]
enum Field {
    Lifetime,
    Payload,
    Metadata,
    Type,
}

const FIELDS: Fields<Field> = Fields {
    named: &[
        (LifetimeField::GENERIC.name, Field::Lifetime),
        ("payload", Field::Payload),
        ("metadata", Field::Metadata),
        ("type_id", Field::Type),
    ],
    lifetime: Some(LifetimeField::GENERIC.hint),
    null: Null::Absent,
};

/// Asks for a token that stands for a small map of secrets.
///
/// ```
/// use tokenvault::CreateGeneric;
///
/// let request = CreateGeneric::new([("iban", "DE89370400440532013000")])?.expires_in(3600)?;
/// let same = CreateGeneric::from_json(br#"{"payload":{"iban":"DE89370400440532013000"},"expiration_time":3600}"#)?;
/// # drop((request, same));
/// # Ok::<(), tokenvault::Error>(())
/// ```
pub struct CreateGeneric {
    pub(crate) payload: Payload,
    pub(crate) type_id: Option<TypeId>,
    pub(crate) extras: Extras,
}

impl CreateGeneric {
    /// Asks for a token for these pairs: at most 20; keys of 1 to 20 characters; text of 1 to 80 characters, booleans, numbers.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`, as [`Payload::new`].
    pub fn new<'a, K: AsRef<str>, V: Into<PayloadValue<'a>>>(
        payload: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, Error> {
        Ok(Self { payload: Payload::new(payload)?, type_id: None, extras: Extras::default() })
    }

    /// Holds the payload against the schema of a type, which the vault must have. Default: no type.
    #[must_use]
    pub fn type_id(mut self, type_id: TypeId) -> Self {
        self.type_id = Some(type_id);
        self
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
    /// `VALIDATION_ERROR` at `$.expiration_time`.
    pub fn expires_in(mut self, seconds: u64) -> Result<Self, Error> {
        self.extras.lifetime = Some(LifetimeField::GENERIC.check(seconds)?);
        Ok(self)
    }

    /// Names the request, so that it can be sent again and is done once, as
    /// [`CreatePci::idempotency_key`](crate::CreatePci::idempotency_key). Default: no key.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.idempotency_key`. When the request is sent, as there.
    pub fn idempotency_key(mut self, key: &str) -> Result<Self, Error> {
        self.extras.idempotency = Some(IdempotencyKey::new(key)?);
        Ok(self)
    }

    /// Reads the published JSON: `payload`, and optionally `metadata`, `expiration_time` and `type_id`. At most 64 KiB, 32 levels
    /// deep.
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
        let (mut payload, mut type_id, mut extras) = (None, None, Extras::default());
        let Some(present) = FIELDS.read_request(reader, report, |field, path, reader, report| {
            match field {
                Field::Payload => payload = read_map(path, reader, report)?,
                Field::Metadata => extras.metadata = read_map(path, reader, report)?,
                Field::Lifetime => extras.lifetime = read_lifetime(path, reader, report)?,
                Field::Type => type_id = read_type(path, reader, report)?,
            }
            Ok(())
        })?
        else {
            return Ok(None);
        };
        present.require(Field::Payload, &Path::Root, report);
        Ok(payload.map(|payload| Self { payload, type_id, extras }))
    }
}

impl fmt::Debug for CreateGeneric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CreateGeneric(..)")
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Change {
    Lifetime,
    Metadata,
}

const CHANGES: Fields<Change> = Fields {
    named: &[(LifetimeField::GENERIC.name, Change::Lifetime), ("metadata", Change::Metadata)],
    lifetime: Some(LifetimeField::GENERIC.hint),
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
        self.extras.lifetime = Edit::Set(LifetimeField::GENERIC.check(seconds)?);
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
        let present = CHANGES.read_request(reader, report, |field, path, reader, report| {
            match field {
                Change::Metadata => {
                    extras.metadata = Edit::read(reader, |reader| read_map(path, reader, report))?;
                }
                Change::Lifetime => {
                    extras.lifetime = Edit::read(reader, |reader| read_lifetime(path, reader, report))?;
                }
            }
            Ok(())
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

/// The id of a type; whether there is such a type, the vault knows.
fn read_type(path: &Path<'_>, reader: &mut Reader<'_>, report: &mut Report) -> Result<Option<TypeId>, Malformed> {
    let parse = |text: &str| text.parse().map_err(|_| Rule("must be a UUID in hyphenated form"));
    let type_id = reader.value()?.filled_text().and_then(|text| parse(text.as_str()));
    Ok(report.keep(path, type_id))
}

impl Pairs for Payload {
    fn insert(&mut self, key: &str, value: Token<'_>) -> Result<(), Rule> {
        match value.shape() {
            Shape::Text(_) => Self::insert(self, key, &value.text()?.as_str().into()),
            Shape::Bool(value) => Self::insert(self, key, &value.into()),
            Shape::Number(literal) => Self::insert(self, key, &PayloadValue::literal(literal)?),
            Shape::Null | Shape::Object | Shape::Array => Err(Rule("must be a string, a number or a boolean")),
        }
    }
}
