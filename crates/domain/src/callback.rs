//! Where an upstream may call back: a token that names one generation for a while and that only we can make.
//!
//! The token is all that the caller shows, so it is signed (HMAC-SHA-256, under a key of its own derived from the internal secret) and it
//! expires. It proves nothing but that we once gave it out: what is called back about is looked up, never believed.

use crate::Timestamp;
use crate::ids::GenerationId;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use std::fmt::Write;

/// Keeps this use of the internal secret apart from every other.
const PURPOSE: &[u8] = b"son1k upstream callback 1";
/// Where the gateway listens for them; the token follows.
pub const PATH: &str = "/internal/upstream/";

/// Makes and checks callback tokens. Its key is never printed.
#[derive(Clone)]
pub struct Callbacks {
    key: [u8; 32],
}

impl std::fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Callbacks")
    }
}

fn mac(key: &[u8], text: &[u8]) -> Option<Hmac<Sha256>> {
    // HMAC takes a key of any length, so there always is one.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(text);
    Some(mac)
}

impl Callbacks {
    pub fn new(internal_secret: &SecretString) -> Option<Self> {
        let key = mac(internal_secret.expose_secret().as_bytes(), PURPOSE)?.finalize().into_bytes().into();
        Some(Self { key })
    }

    /// `<generation>.<Unix seconds>.<64 hexadecimal digits>`; `None` cannot be.
    pub fn token(&self, id: GenerationId, expires_at: Timestamp) -> Option<String> {
        let mut token = format!("{id}.{}", expires_at.timestamp());
        let signature = mac(&self.key, token.as_bytes())?.finalize().into_bytes();
        token.push('.');
        for byte in signature {
            let _ = write!(token, "{byte:02x}");
        }
        Some(token)
    }

    /// The address that is given to the upstream. `public_url`: where callbacks reach us.
    pub fn url(&self, public_url: &str, id: GenerationId, expires_at: Timestamp) -> Option<String> {
        Some(format!("{}{PATH}{}", public_url.trim_end_matches('/'), self.token(id, expires_at)?))
    }

    /// Whose token this is, compared in constant time; `None` when it is not ours or has expired.
    pub fn verify(&self, token: &str, now: Timestamp) -> Option<GenerationId> {
        let (said, signature) = token.rsplit_once('.')?;
        let mut bytes = [0; 32];
        if signature.len() != 64 || !signature.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        for (byte, digits) in bytes.iter_mut().zip(signature.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        mac(&self.key, said.as_bytes())?.verify_slice(&bytes).ok()?;
        let (id, expires_at) = said.split_once('.')?;
        (expires_at.parse::<i64>().ok()? > now.timestamp()).then(|| id.parse().ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn ours() -> (Callbacks, GenerationId, Timestamp) {
        let callbacks = Callbacks::new(&SecretString::from("an internal secret of the tests")).unwrap();
        let now = Timestamp::from_timestamp(1_800_000_000, 0).unwrap();
        (callbacks, "gen_01h455vb4pex5vsknk084sn02q".parse().unwrap(), now)
    }

    #[test]
    fn a_token_names_its_generation_until_it_expires() {
        let (callbacks, id, now) = ours();
        let token = callbacks.token(id, now + Duration::from_secs(60)).unwrap();
        assert_eq!(callbacks.verify(&token, now), Some(id));
        assert_eq!(callbacks.verify(&token, now + Duration::from_secs(60)), None);
        let others = Callbacks::new(&SecretString::from("another secret")).unwrap();
        assert_eq!(others.verify(&token, now), None);
        let url = callbacks.url("https://api.example/", id, now).unwrap();
        assert!(url.starts_with("https://api.example/internal/upstream/gen_"));
    }

    proptest! {
        #[test]
        fn no_neighbour_of_a_token_is_one(at in 0usize..107, by in 1u8..255) {
            let (callbacks, id, now) = ours();
            let mut token = callbacks.token(id, now + Duration::from_secs(60)).unwrap().into_bytes();
            let at = at % token.len();
            token[at] = token[at].wrapping_add(by) & 0x7f;
            let changed = String::from_utf8(token).unwrap();
            if changed != callbacks.token(id, now + Duration::from_secs(60)).unwrap() {
                prop_assert_eq!(callbacks.verify(&changed, now), None);
            }
        }

        #[test]
        fn anything_else_is_none(text in ".{0,200}") {
            let (callbacks, _, now) = ours();
            prop_assert_eq!(callbacks.verify(&text, now), None);
        }
    }
}
