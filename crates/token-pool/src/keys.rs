//! Secrets at rest: a data key for each token seals its secret and is itself wrapped by an encryption key (XChaCha20-Poly1305 both).
//!
//! Both layers are bound to the token's id and to their purpose, so a row that was swapped, copied or edited does not open. Nothing here
//! stores or logs; opened secrets live in [`SecretString`].

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use domain::ids::TokenId;
use domain::token::SealedSecret;
use hmac::{Hmac, KeyInit as _, Mac};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha2::Sha256;
use std::fmt;

const NONCE: usize = 24;
const KEY: usize = 32;

/// Why the setting is refused. Never repeats it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    #[error("no encryption key is given: write id:base64 of 32 bytes, comma-separated")]
    Empty,
    #[error("encryption key {0} of the list is not id:base64")]
    Form(usize),
    #[error("the id of encryption key {0} of the list is not 1 to 32 letters, digits, - or _")]
    Id(usize),
    #[error("encryption key {0:?} is not base64")]
    Base64(String),
    #[error("encryption key {0:?} has {1} bytes instead of 32")]
    Length(String, usize),
    #[error("encryption key id {0:?} is given twice")]
    Twice(String),
}

/// A sealed secret does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("the encryption key that sealed it is not among the configured ones")]
    UnknownKey,
    /// Changed, moved to another row, or sealed by another key of the same id.
    #[error("it is damaged or belongs to another token")]
    Damaged,
}

/// The encryption cannot fail on inputs of this size; the library's signature says it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret could not be sealed")]
pub struct SealError;

struct NamedKey {
    id: String,
    key: SecretBox<[u8; KEY]>,
}

/// `TOKEN_ENCRYPTION_KEYS`: the first seals, all open.
pub struct EncryptionKeys(Vec<NamedKey>);

impl fmt::Debug for EncryptionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|named| &named.id)).finish()
    }
}

#[derive(Clone, Copy)]
enum Purpose {
    DataKey,
    Secret,
}

fn bound_to(token: TokenId, purpose: Purpose, key_id: &str) -> Vec<u8> {
    let name = match purpose {
        Purpose::DataKey => "son1k/token-pool/v1/data-key",
        Purpose::Secret => "son1k/token-pool/v1/secret",
    };
    // Fixed lengths but for the last part: no two inputs make the same bytes.
    [name.as_bytes(), &[0], token.uuid().as_bytes().as_slice(), key_id.as_bytes()].concat()
}

fn seal_with(key: &[u8; KEY], plain: &[u8], aad: &[u8]) -> Result<Vec<u8>, SealError> {
    let nonce: [u8; NONCE] = rand::random();
    let cipher = XChaCha20Poly1305::new(&(*key).into());
    let sealed = cipher.encrypt(&XNonce::from(nonce), Payload { msg: plain, aad }).map_err(|_| SealError)?;
    Ok([nonce.as_slice(), &sealed].concat())
}

fn open_with(key: &[u8; KEY], sealed: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (nonce, message) = sealed.split_at_checked(NONCE).ok_or(OpenError::Damaged)?;
    let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| OpenError::Damaged)?;
    let cipher = XChaCha20Poly1305::new(&(*key).into());
    let plain = cipher.decrypt(&XNonce::from(nonce), Payload { msg: message, aad }).map_err(|_| OpenError::Damaged)?;
    Ok(Zeroizing::new(plain))
}

fn parse_one(position: usize, item: &str) -> Result<NamedKey, KeysError> {
    let (id, encoded) = item.trim().split_once(':').ok_or(KeysError::Form(position))?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if id.is_empty() || id.len() > 32 || !id.bytes().all(plain) {
        return Err(KeysError::Id(position));
    }
    let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| KeysError::Base64(id.to_owned()))?);
    let key: [u8; KEY] = bytes.as_slice().try_into().map_err(|_| KeysError::Length(id.to_owned(), bytes.len()))?;
    Ok(NamedKey { id: id.to_owned(), key: SecretBox::new(Box::new(key)) })
}

impl EncryptionKeys {
    /// `id:base64,id2:base64`, each 32 bytes.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        let mut keys: Vec<NamedKey> = Vec::new();
        for (index, item) in text.split(',').enumerate().filter(|(_, item)| !item.trim().is_empty()) {
            let named = parse_one(index + 1, item)?;
            if keys.iter().any(|other| other.id == named.id) {
                return Err(KeysError::Twice(named.id));
            }
            keys.push(named);
        }
        if keys.is_empty() { Err(KeysError::Empty) } else { Ok(Self(keys)) }
    }

    /// The id of the key that seals. Empty never: there is one at least.
    pub(crate) fn first_id(&self) -> &str {
        self.0.first().map_or("", |named| &named.id)
    }

    /// Seals under a fresh data key, wrapped by the first of the keys.
    pub fn seal(&self, token: TokenId, secret: &SecretString) -> Result<SealedSecret, SealError> {
        let first = self.0.first().ok_or(SealError)?;
        let data_key: Zeroizing<[u8; KEY]> = Zeroizing::new(rand::random());
        let wrapped_key =
            seal_with(first.key.expose_secret(), data_key.as_slice(), &bound_to(token, Purpose::DataKey, &first.id))?;
        let plain = secret.expose_secret().as_bytes();
        let ciphertext = seal_with(&data_key, plain, &bound_to(token, Purpose::Secret, ""))?;
        Ok(SealedSecret { key_id: first.id.clone(), wrapped_key, ciphertext })
    }

    fn data_key(&self, token: TokenId, sealed: &SealedSecret) -> Result<Zeroizing<[u8; KEY]>, OpenError> {
        let named = self.0.iter().find(|named| named.id == sealed.key_id).ok_or(OpenError::UnknownKey)?;
        let aad = bound_to(token, Purpose::DataKey, &named.id);
        let unwrapped = open_with(named.key.expose_secret(), &sealed.wrapped_key, &aad)?;
        unwrapped.as_slice().try_into().map(Zeroizing::new).map_err(|_| OpenError::Damaged)
    }

    pub fn open(&self, token: TokenId, sealed: &SealedSecret) -> Result<SecretString, OpenError> {
        let data_key = self.data_key(token, sealed)?;
        let plain = open_with(&data_key, &sealed.ciphertext, &bound_to(token, Purpose::Secret, ""))?;
        let text = std::str::from_utf8(&plain).map_err(|_| OpenError::Damaged)?;
        Ok(SecretString::from(text))
    }
}

/// A keyed hash that finds a duplicate without opening anything. Its key is no encryption key, so rotation leaves it alone.
pub(crate) fn fingerprint(key: &SecretString, secret: &SecretString) -> [u8; 32] {
    // HMAC takes keys of any length; the empty fallback is never reached.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes()) else { return [0; 32] };
    mac.update(b"son1k/token-pool/v1/fingerprint\0");
    mac.update(secret.expose_secret().as_bytes());
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Timestamp;
    use proptest::prelude::*;

    fn key(id: &str, byte: u8) -> String {
        format!("{id}:{}", STANDARD.encode([byte; 32]))
    }

    fn keys(text: &str) -> EncryptionKeys {
        EncryptionKeys::parse(text).unwrap()
    }

    fn token(byte: u8) -> TokenId {
        TokenId::new(Timestamp::UNIX_EPOCH, [byte; 10])
    }

    #[test]
    fn the_setting_is_parsed_with_reasons() {
        let parse = |text: &str| EncryptionKeys::parse(text).err();
        assert_eq!(parse(&format!("{}, {}", key("a", 1), key("b", 2))), None);
        assert_eq!(parse(" "), Some(KeysError::Empty));
        assert_eq!(parse("nonsense"), Some(KeysError::Form(1)));
        assert_eq!(parse(&format!("{},:x", key("a", 1))), Some(KeysError::Id(2)));
        assert_eq!(parse("a:%%%"), Some(KeysError::Base64("a".into())));
        assert_eq!(parse("a:c2hvcnQ="), Some(KeysError::Length("a".into(), 5)));
        assert_eq!(parse(&format!("{},{}", key("a", 1), key("a", 2))), Some(KeysError::Twice("a".into())));
    }

    #[test]
    fn an_old_key_still_opens_and_the_first_seals() {
        let secret = SecretString::from("the secret");
        let old = keys(&key("old", 1)).seal(token(1), &secret).unwrap();
        let both = keys(&format!("{},{}", key("new", 2), key("old", 1)));
        assert_eq!(both.open(token(1), &old).unwrap().expose_secret(), "the secret");
        assert_eq!(both.seal(token(1), &secret).unwrap().key_id, "new");
        assert_eq!(keys(&key("new", 2)).open(token(1), &old).err(), Some(OpenError::UnknownKey));
        assert_eq!(keys(&key("old", 3)).open(token(1), &old).err(), Some(OpenError::Damaged));
    }

    #[test]
    fn another_row_s_secret_is_refused() {
        let keys = keys(&key("a", 1));
        let one = keys.seal(token(1), &SecretString::from("one")).unwrap();
        let two = keys.seal(token(2), &SecretString::from("two")).unwrap();
        assert_eq!(keys.open(token(2), &one).err(), Some(OpenError::Damaged));
        let mixed = SealedSecret { ciphertext: two.ciphertext, ..one };
        assert_eq!(keys.open(token(1), &mixed).err(), Some(OpenError::Damaged));
    }

    #[test]
    fn nothing_secret_is_in_debug_output() {
        let keys = keys(&key("a", 7));
        let sealed = keys.seal(token(1), &SecretString::from("hush-hush")).unwrap();
        let text = format!("{keys:?} {sealed:?}");
        assert!(!text.contains("hush") && !text.contains(&STANDARD.encode([7; 32])), "{text}");
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_and_a_flipped_bit_does_not(secret in ".{1,200}", place: prop::sample::Index, bit in 0u8..8) {
            let keys = keys(&key("a", 1));
            let sealed = keys.seal(token(1), &SecretString::from(secret.clone())).unwrap();
            let opened = keys.open(token(1), &sealed).unwrap();
            prop_assert_eq!(opened.expose_secret(), secret.as_str());
            let mut damaged = sealed;
            let whole = damaged.wrapped_key.len() + damaged.ciphertext.len();
            let index = place.index(whole);
            let split = damaged.wrapped_key.len();
            let byte = if index < split { &mut damaged.wrapped_key[index] } else { &mut damaged.ciphertext[index - split] };
            *byte ^= 1 << bit;
            prop_assert_eq!(keys.open(token(1), &damaged).err(), Some(OpenError::Damaged));
        }
    }
}
