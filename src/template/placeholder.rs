//! The names that may stand between two pairs of braces.

/// Which value a placeholder stands for.
#[derive(Clone, Copy)]
pub(super) enum Name {
    AccountNumber,
    Cardholder,
    ExpiryYear,
    ExpiryMonth,
    SecurityCode,
}

const NAMES: [(&str, Name); 5] = [
    ("account_number", Name::AccountNumber),
    ("cardholder_name", Name::Cardholder),
    ("expiry_year", Name::ExpiryYear),
    ("expiry_month", Name::ExpiryMonth),
    ("security_code", Name::SecurityCode),
];

impl Name {
    pub(super) fn of(word: &[u8]) -> Option<Self> {
        NAMES.iter().find(|(name, _)| name.as_bytes() == word).map(|(_, name)| *name)
    }

    /// Whether the native value is a number.
    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::ExpiryYear | Self::ExpiryMonth)
    }
}

/// A placeholder as it was read.
pub(super) struct Placeholder {
    pub(super) name: Name,
    /// Whether `| unwrap` asks for the native value.
    pub(super) unwrap: bool,
}
