//! API keys: `son1k_<live|test>_<26 or more random base62><6 check characters>`.
//!
//! The check characters are the CRC-32 (IEEE) of everything before them in base62, so a client, a log scrubber or a secret
//! scanner can refuse a mistyped key without a database. Only a keyed hash (HMAC-SHA-256 under the pepper) is ever stored: keys
//! carry over 150 random bits, so a slow password hash would buy nothing but a way to exhaust the CPU.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_LENGTH: usize = 32;
const CHECK_LENGTH: usize = 6;
const DISPLAY_LENGTH: usize = 16;
const LONGEST: usize = 255;

/// What a key says of its use. A label alone: both kinds work alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyLabel {
    Live,
    Test,
}

impl KeyLabel {
    const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }
}

/// A key in the clear: shown once, compared by its hash, never printed by `Debug`.
#[derive(Debug, Clone)]
pub struct ApiKey(SecretString);

/// The keyed hash under which a key is stored and found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash(pub [u8; 32]);

fn checksum(text: &str) -> [u8; CHECK_LENGTH] {
    let mut value = crc32fast::hash(text.as_bytes());
    let mut check = [b'0'; CHECK_LENGTH];
    for slot in check.iter_mut().rev() {
        *slot = DIGITS[(value % 62) as usize];
        value /= 62;
    }
    check
}

impl ApiKey {
    /// A new key out of the caller's randomness; bytes of 248 and over are skipped to keep the digits uniform.
    ///
    /// `None` when the randomness ran out (64 bytes are enough but once in 10^19 times).
    pub fn generate(label: KeyLabel, random: &[u8]) -> Option<Self> {
        let digits: String = random
            .iter()
            .filter(|byte| **byte < 248)
            .take(RANDOM_LENGTH)
            .map(|byte| char::from(DIGITS[usize::from(byte % 62)]))
            .collect();
        if digits.len() < RANDOM_LENGTH {
            return None;
        }
        let mut text = format!("son1k_{}_{digits}", label.name());
        let check = checksum(&text);
        text.extend(check.iter().map(|byte| char::from(*byte)));
        Some(Self(text.into()))
    }

    /// A customer's key as presented: form and check characters, without a look-up.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("son1k_")?;
        let digits = rest.strip_prefix("live_").or_else(|| rest.strip_prefix("test_"))?;
        if text.len() > LONGEST
            || digits.len() < 26 + CHECK_LENGTH
            || !digits.bytes().all(|b| b.is_ascii_alphanumeric())
        {
            return None;
        }
        let (body, check) = text.split_at(text.len() - CHECK_LENGTH);
        (checksum(body) == check.as_bytes()).then(|| Self(text.to_owned().into()))
    }

    /// A key that the operator set: any 32 to 255 visible ASCII characters, without check characters.
    pub fn operators(text: &str) -> Option<Self> {
        let fits = (32..=LONGEST).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(text.to_owned().into()))
    }

    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// The first characters, for display in lists.
    pub fn prefix(&self) -> &str {
        let text = self.reveal();
        text.get(..DISPLAY_LENGTH).unwrap_or(text)
    }

    pub fn hash(&self, pepper: &SecretString) -> KeyHash {
        // HMAC takes a key of any length, so this cannot fail; an all-zero hash would match nothing stored.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(pepper.expose_secret().as_bytes()) else {
            return KeyHash([0; 32]);
        };
        mac.update(self.reveal().as_bytes());
        KeyHash(mac.finalize().into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn check_characters_are_the_crc_in_base62() {
        // CRC-32 of "123456789" is 0xCBF43926 (the standard check value): 3421780262 in base62.
        assert_eq!(&checksum("123456789"), b"3jZRME");
    }

    #[test]
    fn debug_never_shows_the_key() {
        let key = ApiKey::generate(KeyLabel::Test, &[7; 64]).unwrap();
        assert!(!format!("{key:?}").contains(&key.reveal()[12..]));
    }

    proptest! {
        #[test]
        fn a_generated_key_parses_and_no_neighbour_does(random in proptest::collection::vec(any::<u8>(), 128), at in 11usize..48, by in 1usize..61) {
            let key = ApiKey::generate(KeyLabel::Live, &random).unwrap();
            prop_assert!(ApiKey::parse(key.reveal()).is_some());
            let mut wrong = key.reveal().as_bytes().to_vec();
            let digit = DIGITS.iter().position(|d| *d == wrong[at]).unwrap();
            wrong[at] = DIGITS[(digit + by) % 62];
            prop_assert!(ApiKey::parse(std::str::from_utf8(&wrong).unwrap()).is_none());
        }
    }
}
