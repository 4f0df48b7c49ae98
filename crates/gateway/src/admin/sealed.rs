//! What an operator's `Idempotency-Key` becomes in the ledger: a keyed hash to find it by, and a sealed answer.
//!
//! An answer may hold an API key that is shown once, so it is encrypted (XChaCha20-Poly1305) with a key that needs both the pepper and the operator's
//! own key: whoever has the ledger, or the ledger and the pepper, reads nothing.

use super::change::Done;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use domain::ports::operators::ChangeKey;
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha2::Sha256;
use std::fmt::Write;

const NONCE: usize = 24;

/// One key as it came with one call.
pub(crate) struct Seal {
    hash: [u8; 32],
    fingerprint: [u8; 32],
    secret: SecretBox<[u8; 32]>,
}

/// No two lists of parts make the same bytes: each is preceded by its length.
fn keyed(pepper: &SecretString, parts: [&str; 3]) -> [u8; 32] {
    // HMAC takes a key of any length, so this cannot fail.
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(pepper.expose_secret().as_bytes()) else {
        return [0; 32];
    };
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    mac.finalize().into_bytes().into()
}

impl Seal {
    /// `call`: method and path.
    pub(crate) fn new(pepper: &SecretString, call: &str, key: &str, fingerprint: [u8; 32]) -> Self {
        Self {
            hash: keyed(pepper, ["son1k/change/v1/key", call, key]),
            fingerprint,
            secret: SecretBox::new(Box::new(keyed(pepper, ["son1k/change/v1/answer", call, key]))),
        }
    }

    pub(crate) const fn key(&self) -> ChangeKey {
        ChangeKey { hash: self.hash, fingerprint: self.fingerprint }
    }

    /// A key of the submissions that this change makes. No customer can send one: it has a space.
    pub(crate) fn key_of(&self, part: &str) -> String {
        let mut key = String::from("operator ");
        for byte in self.hash {
            let _ = write!(key, "{byte:02x}");
        }
        key + " " + part
    }

    pub(crate) fn seal(&self, done: &Done) -> Option<Vec<u8>> {
        let plain = serde_json::to_vec(done).ok()?;
        let nonce: [u8; NONCE] = rand::random();
        let payload = Payload { msg: &plain, aad: &self.hash };
        let sealed = self.cipher().encrypt(&XNonce::from(nonce), payload).ok()?;
        Some([nonce.as_slice(), &sealed].concat())
    }

    pub(crate) fn open(&self, sealed: &[u8]) -> Option<Done> {
        let (nonce, message) = sealed.split_at_checked(NONCE)?;
        let nonce = <[u8; NONCE]>::try_from(nonce).ok()?;
        let payload = Payload { msg: message, aad: &self.hash };
        let plain = self.cipher().decrypt(&XNonce::from(nonce), payload).ok()?;
        serde_json::from_slice(&plain).ok()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&(*self.secret.expose_secret()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::StatusCode;

    #[test]
    fn an_answer_opens_with_its_own_key_alone() {
        let pepper = SecretString::from("pepper-of-the-tests-0123456789-0123456789");
        let seal = Seal::new(&pepper, "POST /admin/v1/accounts", "invoice-9", [1; 32]);
        let done = Done::new(StatusCode::CREATED, &"son1k_live_secret").unwrap();
        let sealed = seal.seal(&done).unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_eq!(serde_json::to_string(&seal.open(&sealed).unwrap()).unwrap(), serde_json::to_string(&done).unwrap());
        let other_pepper = SecretString::from("another-pepper-0123456789-0123456789");
        for other in [
            Seal::new(&pepper, "POST /admin/v1/accounts", "invoice-8", [1; 32]),
            Seal::new(&pepper, "POST /admin/v1/account", "sinvoice-9", [1; 32]),
            Seal::new(&other_pepper, "POST /admin/v1/accounts", "invoice-9", [1; 32]),
        ] {
            assert!(other.open(&sealed).is_none() && other.key().hash != seal.key().hash);
        }
        assert!(seal.open(&sealed[1..]).is_none() && seal.open(b"").is_none());
    }
}
