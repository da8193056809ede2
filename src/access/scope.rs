//! Scopes: what a credential may do, by the names of the published APIs and a few of our own.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, SerializeSeq, Serializer};

use crate::error::{Error, Rule};

/// Makes the scopes from the one table of their names.
macro_rules! scopes {
    ($($name:ident = $text:literal, $doc:literal;)+) => {
        /// One thing that a credential may do.
        ///
        /// ```
        /// use tokenvault::Scope;
        ///
        /// assert_eq!("pci:tokens:read".parse::<Scope>()?, Scope::PciTokensRead);
        /// assert_eq!(Scope::PciTokensRead.to_string(), "pci:tokens:read");
        /// # Ok::<(), tokenvault::Error>(())
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Scope {
            $(#[doc = $doc] $name,)+
        }

        impl Scope {
            /// Every scope there is, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The name of the scope, for instance `pci:tokens:read`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

// A credential that is stored has the names, so that the order is free.
scopes! {
    AdminApiKeysCreate = "admin:api-keys:create", "Make API keys.";
    AdminApiKeysRead = "admin:api-keys:read", "View and list API keys.";
    AdminApiKeysUpdate = "admin:api-keys:update", "Replace the scopes of API keys.";
    AdminApiKeysDelete = "admin:api-keys:delete", "Remove API keys.";
    AdminApiTokensCreate = "admin:api-tokens:create", "Make API tokens.";
    AdminApiTokensRead = "admin:api-tokens:read", "View and list API tokens.";
    AdminApiTokensUpdate = "admin:api-tokens:update", "Change, enable and disable API tokens.";
    AdminApiTokensDelete = "admin:api-tokens:delete", "Delete API tokens.";
    AdminAuditRead = "admin:audit:read", "Read the audit trail.";
    AdminTypesCreate = "admin:types:create", "Make payload types.";
    AdminTypesRead = "admin:types:read", "View and list payload types.";
    AdminTypesDelete = "admin:types:delete", "Remove payload types.";
    AdminVaultBackup = "admin:vault:backup", "Back the vault up.";
    AdminVaultCompact = "admin:vault:compact", "Give the space of what was removed back to the file system.";
    AdminVaultRotate = "admin:vault:rotate", "Rotate the keys of the vault.";
    AdminVaultStats = "admin:vault:stats", "Count what the vault holds.";
    AdminVaultSweep = "admin:vault:sweep", "Remove what has expired.";
    AdminVaultVerify = "admin:vault:verify", "Verify what the vault holds.";
    GenericPayloadRead = "generic:payload:read", "Be lent payloads.";
    GenericTokensCreate = "generic:tokens:create", "Make generic tokens.";
    GenericTokensRead = "generic:tokens:read", "View and list generic tokens.";
    GenericTokensUpdate = "generic:tokens:update", "Change generic tokens.";
    GenericTokensDelete = "generic:tokens:delete", "Delete generic tokens.";
    MetadataInquiryCreate = "metadata:inquiry:create", "Inquire about the card of a token.";
    PciTokensCreate = "pci:tokens:create", "Make PCI tokens, open and complete sessions.";
    PciTokensRead = "pci:tokens:read", "View and list PCI tokens, sessions, and whether a security code is there.";
    PciTokensUpdate = "pci:tokens:update", "Change PCI tokens and their security codes.";
    PciTokensDelete = "pci:tokens:delete", "Delete PCI tokens.";
    PciTokensForward = "pci:tokens:forward", "Have cards sent to allowed destinations.";
    PciTokensReveal = "pci:tokens:reveal", "Be lent cards and security codes.";
    PciTokensFind = "pci:tokens:find", "Learn which tokens an account number has.";
}

impl Scope {
    /// The scope of a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|scope| scope.as_str() == name)
    }

    const fn bit(self) -> u64 {
        1 << self as u64
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = Error;

    /// Reads the name of a scope. Anything else is a `VALIDATION_ERROR` at `$`.
    fn from_str(name: &str) -> Result<Self, Error> {
        Self::named(name).ok_or_else(|| Rule("unknown scope").at("$"))
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(|_| D::Error::custom("no scope of the vault"))
    }
}

/// A set of scopes. In JSON a list of their names, each once.
///
/// ```
/// use tokenvault::{Scope, Scopes};
///
/// let reader: Scopes = [Scope::PciTokensRead, Scope::GenericTokensRead].into_iter().collect();
/// assert!(reader.contains(Scope::PciTokensRead) && !reader.contains(Scope::PciTokensReveal));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Scopes(u64);

impl Scopes {
    /// Whether a scope is in the set.
    #[must_use]
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Whether every scope of another set is in this one.
    #[must_use]
    pub const fn contains_all(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Every scope of the set.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.iter().copied().filter(move |scope| self.contains(*scope))
    }

    /// The set as a number, which is good in this process only.
    pub(crate) const fn as_bits(self) -> u64 {
        self.0
    }

    /// The set of a number that [`as_bits`](Self::as_bits) gave.
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

const _: () = assert!(Scope::ALL.len() < 63, "a set is a number of 64 bits, one of which stays free");

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Scope::as_str)).finish()
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        self.iter().try_for_each(|scope| list.serialize_element(&scope))?;
        list.end()
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Scope>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_scopes() -> impl Strategy<Value = Vec<Scope>> {
        proptest::sample::subsequence(Scope::ALL, 0..=Scope::ALL.len())
    }

    proptest! {
        #[test]
        fn a_set_holds_what_was_put_in_and_nothing_else(one in any_scopes(), other in any_scopes()) {
            let [set, second]: [Scopes; 2] = [&one, &other].map(|scopes| scopes.iter().copied().collect());
            for scope in Scope::ALL {
                prop_assert_eq!(set.contains(*scope), one.contains(scope));
                prop_assert_eq!(set.union(second).contains(*scope), one.contains(scope) || other.contains(scope));
            }
            prop_assert_eq!(set.contains_all(second), other.iter().all(|scope| one.contains(scope)));
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), one.clone());
            prop_assert_eq!(set.is_empty(), one.is_empty());
            prop_assert_eq!(Scopes::from_bits(set.as_bits()), set);
            let json = serde_json::to_string(&set).unwrap();
            prop_assert_eq!(serde_json::from_str::<Scopes>(&json).unwrap(), set);
            prop_assert_eq!(serde_json::from_str::<Vec<Scope>>(&json).unwrap(), one);
        }
    }

    #[test]
    fn names_are_read_as_they_are_written_and_no_others() {
        for scope in Scope::ALL {
            assert_eq!(scope.to_string().parse::<Scope>().unwrap(), *scope);
        }
        for name in ["", "pci:tokens", "pci:tokens:Read", "pci:tokens:read ", "admin:api-keys:*"] {
            assert_eq!(name.parse::<Scope>().unwrap_err().violations()[0].message(), "unknown scope");
        }
    }
}
