//! Identifiers: one newtype a kind, so that one is never taken for another.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error as _};
use uuid::{Builder, Uuid};

use crate::error::Error;

/// The length of a UUID in its hyphenated form (RFC 9562, section 4).
const HYPHENATED: usize = 36;

/// Makes the newtype of a kind of identifier.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// A version 4 UUID (RFC 9562), printed in lower-case hyphenated form.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The identifier as a UUID.
            #[must_use]
            pub fn as_uuid(&self) -> &Uuid {
                &self.0
            }

            /// The sixteen bytes of the identifier.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(|_| D::Error::custom("not an id in hyphenated form"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            /// Reads the hyphenated form. Anything else names nothing: `NOT_FOUND`, as for an id that does not exist.
            fn from_str(text: &str) -> Result<Self, Error> {
                if text.len() != HYPHENATED {
                    return Err(Error::not_found());
                }
                Uuid::try_parse(text).map(Self).map_err(|_| Error::not_found())
            }
        }
    };
}

id! {
    /// Names a token, generic or PCI.
    TokenId
}

id! {
    /// Names a session, in which somebody else hands in the card.
    SessionId
}

id! {
    /// Names a payload type.
    TypeId
}

id! {
    /// Names an event.
    EventId
}

/// The identifier of sixteen random bytes, six bits of which say its version and variant.
pub(crate) fn from_random(bytes: [u8; 16]) -> Uuid {
    Builder::from_random_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_fresh_id_is_a_version_4_uuid_in_lower_case() {
        let id = TokenId::from(from_random([0xff; 16]));
        assert_eq!(id.as_uuid().get_version_num(), 4);
        assert_eq!(id.to_string().parse::<TokenId>().unwrap(), id);
        assert_eq!(id.to_string(), id.to_string().to_lowercase());
    }

    #[test]
    fn a_malformed_id_names_nothing() {
        let good = "8744c9ea-a02b-4ae6-875c-b64fc333e3ef";
        assert!(good.parse::<TokenId>().is_ok());
        for bad in [
            "",
            "x",
            "8744c9eaa02b4ae6875cb64fc333e3ef",
            "{8744c9ea-a02b-4ae6-875c-b64fc333e3ef}",
            "8744c9ea-a02b-4ae6-875c-b64fc333e3eg",
        ] {
            assert_eq!(bad.parse::<TokenId>().unwrap_err().kind(), ErrorKind::NotFound);
        }
    }
}
