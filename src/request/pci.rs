//! A request for a PCI token.

use std::fmt;

use crate::duplicates::Duplicates;
use crate::error::{Error, Rule};
use crate::lifetime::Lifetime;
use crate::metadata::Metadata;
use crate::request::fields::{Fields, Null, read_json};
use crate::request::idempotency::IdempotencyKey;
use crate::request::json::{Malformed, Reader};
use crate::request::metadata::Extras;
use crate::request::report::{Path, Report};
use crate::request::source::{PanSource, Source};
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
                source = Source::read(path, reader, report)?;
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
