//! Identifiers: TypeIDs over UUIDv7, one Rust type each, so that two kinds cannot be mixed up.
//!
//! Source: the TypeID specification 0.3 (prefix, `_`, 26 characters of Crockford base32, lower case) and RFC 9562 (UUIDv7).
//! The time inside an id is the ledger's, passed in by the edge; no id is ever made here from a clock.

use crate::Timestamp;
use std::fmt;
use uuid::Uuid;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Why a text is not the id it should be. The text itself is never repeated: it may be somebody's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier of the form {expected}_…")]
pub struct IdError {
    /// The prefix that was expected, without the underscore.
    pub expected: &'static str,
}

fn encode(uuid: Uuid) -> [u8; 26] {
    let value = uuid.as_u128();
    let mut text = [b'0'; 26];
    for (index, slot) in text.iter_mut().enumerate() {
        let digit = (value >> (125 - 5 * index)) & 0x1f;
        *slot = ALPHABET[digit as usize];
    }
    text
}

fn decode(text: &str) -> Option<Uuid> {
    let bytes = text.as_bytes();
    // 26 digits carry 130 bits: the first may only be 0 to 7.
    if bytes.len() != 26 || bytes[0] > b'7' {
        return None;
    }
    let mut value: u128 = 0;
    for byte in bytes {
        let digit = ALPHABET.iter().position(|letter| letter == byte)?;
        value = (value << 5) | digit as u128;
    }
    Some(Uuid::from_u128(value))
}

macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// What stands before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A new id of the given moment (millisecond precision) with 80 bits of the caller's randomness.
            pub fn new(at: Timestamp, random: [u8; 10]) -> Self {
                let millis = u64::try_from(at.timestamp_millis()).unwrap_or(0);
                Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
            }

            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let text = encode(self.0);
                write!(f, "{}_{}", $prefix, std::str::from_utf8(&text).unwrap_or_default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix($prefix)
                    .and_then(|rest| rest.strip_prefix('_'))
                    .and_then(decode)
                    .map(Self)
                    .ok_or(IdError { expected: $prefix })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

typed_id!(
    /// One generation, from its acceptance to its end. Also the idempotency key towards the upstream.
    GenerationId,
    "gen"
);
typed_id!(
    /// A customer of ours.
    AccountId,
    "acc"
);
typed_id!(
    /// An API key's name; never the key.
    KeyId,
    "key"
);
typed_id!(
    /// An upstream token's name; never its secret.
    TokenId,
    "tok"
);
typed_id!(
    /// One incarnation of a worker: a new one at each start and after each lost lease.
    WorkerId,
    "wrk"
);
typed_id!(
    /// One run of a gateway.
    GatewayId,
    "gwy"
);
typed_id!(
    /// One use of an upstream token, from its grant to its release.
    LeaseId,
    "lea"
);
typed_id!(
    /// One line of an account's credit ledger.
    EntryId,
    "crd"
);
typed_id!(
    /// One line of the operators' audit trail.
    AuditId,
    "aud"
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_typeid_specification_s_example_reads_back() {
        // From the specification's list of valid ids.
        let uuid = Uuid::parse_str("01890a5d-ac96-774b-bcce-b302099a8057").unwrap();
        let id = GenerationId::from_uuid(uuid);
        assert_eq!(id.to_string(), "gen_01h455vb4pex5vsknk084sn02q");
        assert_eq!("gen_01h455vb4pex5vsknk084sn02q".parse(), Ok(id));
    }

    #[test]
    fn another_kind_s_id_and_malformed_ones_are_refused() {
        for text in [
            "acc_01h455vb4pex5vsknk084sn02q",
            "gen_81h455vb4pex5vsknk084sn02q",
            "gen_01h455vb4pex5vsknk084sn02",
            "gen_01H455VB4PEX5VSKNK084SN02Q",
            "gen01h455vb4pex5vsknk084sn02q",
            "gen_",
            "",
        ] {
            assert_eq!(text.parse::<GenerationId>(), Err(IdError { expected: "gen" }), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_id_reads_back(value: u128) {
            let id = AccountId::from_uuid(Uuid::from_u128(value));
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn text_sorts_as_the_id_does(a: u128, b: u128) {
            let (a, b) = (TokenId::from_uuid(Uuid::from_u128(a)), TokenId::from_uuid(Uuid::from_u128(b)));
            prop_assert_eq!(a.to_string().cmp(&b.to_string()), a.cmp(&b));
        }
    }
}
