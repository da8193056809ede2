//! Where a filled body may go: a URL whose origin was parsed, so that what is compared is what is called.

use std::fmt;

use url::Url;

use crate::error::Rule;

/// A destination that a vault forwards to: https, without user name and password, at the default port.
///
/// It was parsed as the URL standard has it and is handed on as parsed, never as it was written: no second parser can read
/// another host out of it.
pub struct Destination(Url);

impl Destination {
    /// Parses a URL of the only form there is a way to.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        let is_plain = url.scheme() == "https"
            && url.username().is_empty()
            && url.password().is_none()
            && url.port().is_none()
            && url.has_host();
        is_plain.then_some(Self(url))
    }

    /// Parses a URL that has no more than an origin.
    pub(crate) fn parse_origin(url: &str) -> Result<Self, Rule> {
        let is_origin = |url: &Url| url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let parsed = Self::parse(url).filter(|destination| is_origin(&destination.0));
        parsed.ok_or(Rule("must be an origin with https and the default port, as in `https://psp.example`"))
    }

    /// Whether scheme, host and port are the same.
    pub(crate) fn has_origin_of(&self, other: &Self) -> bool {
        self.0.origin() == other.0.origin()
    }

    /// The URL, in its normal form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The host in lower case, a domain in its ASCII form.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }
}

impl fmt::Debug for Destination {
    /// The origin alone: path and query can hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Destination({}, ..)", self.0.origin().ascii_serialization())
    }
}
