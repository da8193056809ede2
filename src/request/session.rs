//! Requests that complete a session.

use std::fmt;

use crate::card::SecurityCode;
use crate::error::Error;
use crate::request::idempotency::IdempotencyKey;
use crate::request::source::PanSource;
use crate::rules::Rules;

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

    /// Names the request, as [`CreatePci::idempotency_key`](crate::CreatePci::idempotency_key): the same card for the same
    /// session under the same key gives the first answer again. Default: no key.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.idempotency_key`. When the request is sent, as there.
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

/// Completes a session with a security code.
///
/// ```
/// use tokenvault::CompleteSecurityCode;
/// use tokenvault::card::SecurityCode;
///
/// let request = CompleteSecurityCode::from(SecurityCode::parse("123")?).idempotency_key("order 77")?;
/// # drop(request);
/// # Ok::<(), tokenvault::Error>(())
/// ```
pub struct CompleteSecurityCode {
    pub(crate) code: SecurityCode,
    pub(crate) idempotency: Option<IdempotencyKey>,
}

impl CompleteSecurityCode {
    /// Names the request, as [`CreatePci::idempotency_key`](crate::CreatePci::idempotency_key): a code for the same session
    /// under the same key gives the first answer again, and takes the place of the one that the token may have. Default: no
    /// key.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.idempotency_key`. When the request is sent, as there.
    pub fn idempotency_key(mut self, key: &str) -> Result<Self, Error> {
        self.idempotency = Some(IdempotencyKey::new(key)?);
        Ok(self)
    }
}

impl From<SecurityCode> for CompleteSecurityCode {
    fn from(code: SecurityCode) -> Self {
        Self { code, idempotency: None }
    }
}

impl fmt::Debug for CompleteSecurityCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CompleteSecurityCode(..)")
    }
}
