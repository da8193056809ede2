//! The one error of the crate: stable kinds, published bodies, a real source chain.
//!
//! No error holds any part of an account number, a payload value, a security code or a key: violations name the path
//! and the rule, never the value.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeStruct, Serializer};

/// What went wrong, as a caller tells it apart in code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// 401: no credential, or one that is not good.
    Unauthorized,
    /// 403: the credential is good and may not do this, or the vault was not opened to forward there.
    Forbidden,
    /// 404: no such id, or it has expired, or it was deleted.
    NotFound,
    /// 409: the request is at odds with what the vault holds (a used session, an idempotency key of another request, a type in
    /// use), or a concurrent change won.
    Conflict,
    /// 422: the request breaks a rule; see [`Error::violations`].
    Validation,
    /// 500: the store failed.
    StoreFailure,
    /// 500: the key is wrong or cannot be had.
    KeyFailure,
    /// 500: something stored fails authentication or is not what the vault wrote.
    Corrupt,
    /// 503: the store is closed, or poisoned after a failed sync; the outcome of a write is unknown until reopened. Or no memory
    /// can be locked for a security code.
    Unavailable,
}

/// What is published of a kind.
struct Published {
    kind: ErrorKind,
    code: u16,
    classifier: &'static str,
    message: &'static str,
}

const fn row(kind: ErrorKind, code: u16, classifier: &'static str, message: &'static str) -> Published {
    Published { kind, code, classifier, message }
}

/// Codes, classifiers and messages; the messages of 401, 403, 409 and 422 are those of the published APIs, word for word.
const KINDS: [Published; 9] = [
    row(ErrorKind::Unauthorized, 401, "UNAUTHORIZED", "No valid means of authentication was provided"),
    row(ErrorKind::Forbidden, 403, "FORBIDDEN", "Not allowed to access this resource or feature"),
    row(ErrorKind::NotFound, 404, "NOT_FOUND", "Not found"),
    row(ErrorKind::Conflict, 409, "CONFLICT", "Conflict"),
    row(ErrorKind::Validation, 422, "VALIDATION_ERROR", "Validation error"),
    row(ErrorKind::StoreFailure, 500, "STORE_FAILURE", "The store failed"),
    row(ErrorKind::KeyFailure, 500, "KEY_FAILURE", "The key is wrong or unavailable"),
    row(ErrorKind::Corrupt, 500, "CORRUPT", "Stored data is damaged"),
    row(ErrorKind::Unavailable, 503, "UNAVAILABLE", "The store is unavailable"),
];

impl ErrorKind {
    /// Every kind there is, in the order of its code.
    pub fn all() -> impl Iterator<Item = Self> {
        KINDS.iter().map(|row| row.kind)
    }

    fn published(self) -> &'static Published {
        const UNLISTED: &Published = &row(ErrorKind::StoreFailure, 500, "STORE_FAILURE", "The store failed");
        KINDS.iter().find(|row| row.kind == self).unwrap_or(UNLISTED)
    }

    /// The corresponding HTTP status code.
    #[must_use]
    pub fn code(self) -> u16 {
        self.published().code
    }

    /// The technical code of the published error bodies, for instance `VALIDATION_ERROR`.
    #[must_use]
    pub fn classifier(self) -> &'static str {
        self.published().classifier
    }

    /// Whether [`Error::message`] is the published sentence whatever the cause.
    fn speaks_as_published(self) -> bool {
        self.code() < 500
    }
}

/// One broken rule of a request: where, and which.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Violation {
    path: String,
    message: Cow<'static, str>,
}

impl Violation {
    /// Names the `JSONPath` of the field (`$` is the whole request) and the rule that it breaks. Never put a value into either.
    pub fn new(path: impl Into<String>, message: impl Into<Cow<'static, str>>) -> Self {
        Self { path: path.into(), message: message.into() }
    }

    /// Where, as a `JSONPath`: `$.source.account_number`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Which rule is broken, for a human reader.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// A rule that a value breaks, as the checked types name it; whoever knows the path makes a [`Violation`] of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule(pub(crate) &'static str);

impl Rule {
    /// The error of a value that was handed in on its own, at `path`.
    pub(crate) fn at(self, path: impl Into<String>) -> Error {
        Error::validation(vec![Violation::new(path, self.0)], 0)
    }
}

/// Why a call was refused or failed. Cheap to clone: one failed sync answers everyone who waited for it.
///
/// It serialises to the error body of the published APIs:
///
/// ```
/// let error = tokenvault::CreateGeneric::from_json(b"{}").unwrap_err();
/// assert_eq!(
///     serde_json::to_string(&error).unwrap(),
///     r#"{"code":422,"classifier":"VALIDATION_ERROR","message":"Validation error","validation_errors":[{"path":"$.payload","message":"is required"}]}"#
/// );
/// ```
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
}

struct Inner {
    kind: ErrorKind,
    detail: Option<Cow<'static, str>>,
    violations: Vec<Violation>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// At most this many violations are listed; one more then says how many there were.
    pub(crate) const MOST_VIOLATIONS: usize = 100;

    fn new(kind: ErrorKind, detail: Option<Cow<'static, str>>) -> Self {
        Self { inner: Arc::new(Inner { kind, detail, violations: Vec::new(), source: None }) }
    }

    /// The store failed, for a [`Store`](crate::store::Store) to answer. `detail` says what was tried, on what, and what to do.
    pub fn store_failure(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::StoreFailure, Some(detail.into()))
    }

    /// The store is closed, poisoned or out of reach, for a [`Store`](crate::store::Store) to answer.
    pub fn unavailable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Unavailable, Some(detail.into()))
    }

    /// What is stored is damaged, for a [`Store`](crate::store::Store) to answer.
    pub fn corrupt(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Corrupt, Some(detail.into()))
    }

    /// The key is wrong or cannot be had, for a [`KeyWrapper`](crate::KeyWrapper) to answer.
    pub fn key_failure(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::KeyFailure, Some(detail.into()))
    }

    /// Says what caused it, in place of what was said before. The source must not quote a secret either.
    #[must_use]
    pub fn caused_by(self, source: impl StdError + Send + Sync + 'static) -> Self {
        let kind = self.inner.kind;
        let (detail, violations) = (self.inner.detail.clone(), self.inner.violations.clone());
        Self { inner: Arc::new(Inner { kind, detail, violations, source: Some(Box::new(source)) }) }
    }

    pub(crate) fn forbidden(detail: &'static str) -> Self {
        Self::new(ErrorKind::Forbidden, Some(detail.into()))
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(ErrorKind::Unauthorized, None)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(ErrorKind::NotFound, None)
    }

    pub(crate) fn conflict(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Conflict, Some(detail.into()))
    }

    /// Lists the first hundred violations and says how many more there were, those that were only counted included.
    pub(crate) fn validation(mut violations: Vec<Violation>, unlisted: usize) -> Self {
        let more = violations.len().saturating_sub(Self::MOST_VIOLATIONS) + unlisted;
        if more > 0 {
            violations.truncate(Self::MOST_VIOLATIONS);
            violations.push(Violation::new("$", format!("and {more} more")));
        }
        Self { inner: Arc::new(Inner { kind: ErrorKind::Validation, detail: None, violations, source: None }) }
    }

    /// What is wrong here and there, where both are violations; else whichever is not.
    pub(crate) fn and(self, other: Self) -> Self {
        match [self.kind(), other.kind()] {
            [ErrorKind::Validation, ErrorKind::Validation] => {
                let violations = [self.violations(), other.violations()].concat();
                Self::validation(violations, 0)
            }
            [ErrorKind::Validation, _] => other,
            _ => self,
        }
    }

    /// What went wrong, as a caller tells it apart in code.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The corresponding HTTP status code.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.inner.kind.code()
    }

    /// The technical code of the published error bodies, for instance `VALIDATION_ERROR`.
    #[must_use]
    pub fn classifier(&self) -> &'static str {
        self.inner.kind.classifier()
    }

    /// The sentence of the error body: the published one below 500, what happened from 500 on.
    #[must_use]
    pub fn message(&self) -> &str {
        match &self.inner.detail {
            Some(detail) if !self.inner.kind.speaks_as_published() => detail,
            _ => self.inner.kind.published().message,
        }
    }

    /// Every rule that the request breaks; empty unless the kind is [`ErrorKind::Validation`].
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.inner.violations
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.inner.kind.published().message)?;
        if let Some(detail) = &self.inner.detail {
            write!(f, ": {detail}")?;
        }
        for (at, violation) in self.inner.violations.iter().enumerate() {
            let separator = if at == 0 { ": " } else { "; " };
            write!(f, "{separator}{} {}", violation.path, violation.message)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.inner.kind)
            .field("detail", &self.inner.detail)
            .field("violations", &self.inner.violations)
            .field("source", &self.inner.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let listed = self.kind() == ErrorKind::Validation;
        let mut body = serializer.serialize_struct("Error", if listed { 4 } else { 3 })?;
        body.serialize_field("code", &self.code())?;
        body.serialize_field("classifier", self.classifier())?;
        body.serialize_field("message", self.message())?;
        if listed {
            body.serialize_field("validation_errors", self.violations())?;
        }
        body.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_published_bodies_are_word_for_word_whatever_the_cause() {
        let published = [
            (ErrorKind::Unauthorized, 401, "UNAUTHORIZED", "No valid means of authentication was provided"),
            (ErrorKind::Forbidden, 403, "FORBIDDEN", "Not allowed to access this resource or feature"),
            (ErrorKind::Conflict, 409, "CONFLICT", "Conflict"),
        ];
        for (kind, code, classifier, message) in published {
            let body = format!(r#"{{"code":{code},"classifier":"{classifier}","message":"{message}"}}"#);
            for detail in [None, Some("a detail of ours".into())] {
                assert_eq!(serde_json::to_string(&Error::new(kind, detail)).unwrap(), body);
            }
        }
        let body = serde_json::to_string(&Rule("human readable error message").at("json-path")).unwrap();
        let listed = r#""validation_errors":[{"path":"json-path","message":"human readable error message"}]"#;
        assert_eq!(
            body,
            format!(r#"{{"code":422,"classifier":"VALIDATION_ERROR","message":"Validation error",{listed}}}"#)
        );
    }
}
