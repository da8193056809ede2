//! Identifiers: one newtype a kind, so that one is never taken for another.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};
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
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
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

id! {
    /// Names an API key.
    ApiKeyId
}

/// Names an API token of an account: eight digits, printed as `TKN-1671-0642`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiTokenId(u32);

impl ApiTokenId {
    /// All are less. Nor is there one of zeros: that is nobody's.
    const COUNT: u32 = 100_000_000;

    /// The identifier of eight random bytes.
    pub(crate) fn from_random(bytes: [u8; 8]) -> Self {
        // The remainder of so large a number favours no identifier by more than one part in 10^11.
        let number = 1 + u64::from_le_bytes(bytes) % u64::from(Self::COUNT - 1);
        Self(u32::try_from(number).unwrap_or(1))
    }

    /// The identifier that [`Uuid`] stands for in the store.
    pub(crate) fn of(uuid: Uuid) -> Option<Self> {
        u32::try_from(uuid.as_u128()).ok().filter(|number| (1..Self::COUNT).contains(number)).map(Self)
    }
}

impl From<ApiTokenId> for Uuid {
    /// Sixteen bytes that sort as the identifiers do.
    fn from(id: ApiTokenId) -> Self {
        Self::from_u128(id.0.into())
    }
}

impl fmt::Display for ApiTokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TKN-{:04}-{:04}", self.0 / 10_000, self.0 % 10_000)
    }
}

impl FromStr for ApiTokenId {
    type Err = Error;

    /// Reads `TKN-`, four digits, `-` and four digits, not all of them zeros. Anything else names nothing: `NOT_FOUND`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let digits = |half: &str| -> Option<u32> {
            let is_half = half.len() == 4 && half.bytes().all(|byte| byte.is_ascii_digit());
            if is_half { half.parse().ok() } else { None }
        };
        let halves = text.strip_prefix("TKN-").and_then(|text| text.split_once('-'));
        let number = halves.and_then(|(high, low)| Some(digits(high)? * 10_000 + digits(low)?));
        number.filter(|number| *number != 0).map(Self).ok_or_else(Error::not_found)
    }
}

impl Serialize for ApiTokenId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ApiTokenId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| D::Error::custom("not the id of an API token"))
    }
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
    fn the_id_of_an_api_token_is_eight_digits() {
        for (number, text) in [(1, "TKN-0000-0001"), (16_710_642, "TKN-1671-0642"), (99_999_999, "TKN-9999-9999")] {
            let id = ApiTokenId(number);
            assert_eq!(id.to_string(), text);
            assert_eq!(text.parse::<ApiTokenId>().unwrap(), id);
            assert_eq!(ApiTokenId::of(id.into()), Some(id));
            assert_eq!(serde_json::from_str::<ApiTokenId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
        }
        assert_eq!(ApiTokenId::of(Uuid::from_u128(100_000_000)), None);
        assert_eq!(ApiTokenId::of(Uuid::nil()), None);
        assert_eq!(ApiTokenId::of(Uuid::max()), None);
        assert_eq!(ApiTokenId::from_random([0xff; 8]).to_string(), "TKN-7699-4197");
        for bad in [
            "",
            "TKN-0000-0000",
            "TKN-1671-064",
            "TKN-1671-06421",
            "tkn-1671-0642",
            "TKN-16710642",
            "TKN-1671-+642",
            "TKN-1671-0642 ",
        ] {
            assert_eq!(bad.parse::<ApiTokenId>().unwrap_err().kind(), ErrorKind::NotFound, "{bad}");
        }
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
