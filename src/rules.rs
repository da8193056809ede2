//! Rules of the vault that an application may relax or add. Without a word about them the strictest for requests holds.

/// What becomes of an account number that belongs to none of the seven listed schemes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UnlistedSchemes {
    /// It is refused, the default: the published answer names a scheme.
    #[default]
    Refuse,
    /// It is kept if it has 13 to 19 digits, passes the Luhn check and does not begin with 0. Its token names no scheme.
    Accept,
}

/// What becomes of a field that a request should not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UnknownFields {
    /// It is refused, the default: a misspelt lifetime must not let a token live for ever.
    #[default]
    Refuse,
    /// It is passed over, unless its name looks like a lifetime.
    Ignore,
}

/// Whether card data are kept from where they do not belong (PCI DSS 3.3.1, 3.5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CardDataGuard {
    /// Nobody looks, the default: of the numbers that an application counts in, one in ten passes the Luhn check.
    #[default]
    Off,
    /// Metadata, cardholders' names and payloads in which a card number or track data stand are refused.
    On,
}

/// The rules by which a request is read. [`Vault::rules`](crate::Vault::rules) gives those of a vault.
///
/// ```
/// use tokenvault::{CreateGeneric, Rules, UnknownFields};
///
/// let rules = Rules::new().unknown_fields(UnknownFields::Ignore);
/// assert!(CreateGeneric::from_json_with(br#"{"payload":{"pin":"1234"},"colour":"red"}"#, rules).is_ok());
/// assert!(CreateGeneric::from_json_with(br#"{"payload":{"pin":"1234"},"expires_in":60}"#, rules).is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[must_use]
pub struct Rules {
    schemes: UnlistedSchemes,
    fields: UnknownFields,
}

impl Rules {
    /// Every default: the strictest.
    pub fn new() -> Self {
        Self::default()
    }

    /// Account numbers of no listed scheme. Default: [`UnlistedSchemes::Refuse`].
    pub fn unlisted_schemes(mut self, schemes: UnlistedSchemes) -> Self {
        self.schemes = schemes;
        self
    }

    /// Fields that a request should not have. Default: [`UnknownFields::Refuse`].
    pub fn unknown_fields(mut self, fields: UnknownFields) -> Self {
        self.fields = fields;
        self
    }

    pub(crate) fn schemes(self) -> UnlistedSchemes {
        self.schemes
    }

    pub(crate) fn fields(self) -> UnknownFields {
        self.fields
    }
}
