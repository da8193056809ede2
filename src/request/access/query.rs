//! Which API tokens are asked for.

use crate::access::ApiTokenStatus;
use crate::error::{Error, Rule};
use crate::request::access::check_id;
use crate::request::limits::{DEFAULT_PAGE, LONGEST_PAGE, SHORTEST_PAGE};

/// A page of the API tokens, in the order of their ids: so many of them, behind so many, of one status or account or of any.
///
/// ```
/// use tokenvault::{ApiTokenQuery, ApiTokenStatus};
///
/// let third_page = ApiTokenQuery::new().offset(40).limit(20).status(ApiTokenStatus::Active).account("ACC-9042")?;
/// # drop(third_page);
/// # Ok::<(), tokenvault::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiTokenQuery {
    offset: usize,
    limit: usize,
    pub(crate) status: Option<ApiTokenStatus>,
    pub(crate) account: Option<Box<str>>,
}

impl Default for ApiTokenQuery {
    fn default() -> Self {
        Self { offset: 0, limit: DEFAULT_PAGE, status: None, account: None }
    }
}

impl ApiTokenQuery {
    /// The first 20, whatever their status and account.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Passes over so many. Default: none.
    #[must_use]
    pub fn offset(mut self, offset: usize) -> Self {
        self.offset = offset;
        self
    }

    /// At most so many, 1 to 100. Default: 20.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Only those of a status. Default: of any that the caller may see.
    #[must_use]
    pub fn status(mut self, status: ApiTokenStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// Only those of an account. Default: of any.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` at `$.account`.
    pub fn account(mut self, id: &str) -> Result<Self, Error> {
        self.account = Some(check_id(id).map_err(|rule| rule.at("$.account"))?);
        Ok(self)
    }

    /// How many are passed over, and how many are wanted, checked.
    pub(crate) fn page(&self) -> Result<(usize, usize), Error> {
        if !(SHORTEST_PAGE..=LONGEST_PAGE).contains(&self.limit) {
            return Err(Rule("must be from 1 to 100").at("$.limit"));
        }
        Ok((self.offset, self.limit))
    }
}
