//! Who is logged in: a cookie that any gateway can check, because all derive its key from the secrets they share.
//!
//! The cookie holds no key, only times, a random name and their HMAC. It ends after half an hour without a page, and after twelve hours
//! in any case; another `ADMIN_API_KEY` or pepper ends all of them at once. Nothing is stored, so logging out forgets the cookie in the
//! browser alone.

use actix_web::http::header::{self, HeaderMap};
use domain::api_key::ApiKey;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use std::fmt::Write;
use subtle::ConstantTimeEq;

const COOKIE: &str = "son1k_console";
const PATH: &str = "/console";
/// Keeps this use of the pepper apart from every other.
const PURPOSE: &[u8] = b"son1k console session 1";
/// Without a page for this long it ends, in seconds.
const IDLE: i64 = 30 * 60;
/// It ends after this, in seconds.
const LONGEST: i64 = 12 * 3_600;

/// Makes and checks sessions. Its key is never printed.
pub(crate) struct Sessions {
    key: [u8; 32],
}

/// One browser that has shown the admin key.
#[derive(Clone)]
pub(super) struct Session {
    started: i64,
    expires: i64,
    /// What its forms must carry: no other site can read it.
    pub(super) csrf: String,
    name: String,
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Option<Hmac<Sha256>> {
    // HMAC takes a key of any length, so there always is one.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    for part in parts {
        mac.update(part);
    }
    Some(mac)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl Sessions {
    pub(crate) fn new(pepper: &SecretString, admin_key: &ApiKey) -> Self {
        let parts = [PURPOSE, &[0], admin_key.reveal().as_bytes()];
        let key = mac(pepper.expose_secret().as_bytes(), &parts).map(|mac| mac.finalize().into_bytes().into());
        // Without a key nobody could log in; a random one is never worse.
        Self { key: key.unwrap_or_else(|| std::array::from_fn(|_| rand::random())) }
    }

    fn signed(&self, purpose: &[u8], text: &str) -> String {
        let made = mac(&self.key, &[purpose, &[0], text.as_bytes()]);
        made.map(|mac| hex(&mac.finalize().into_bytes())).unwrap_or_default()
    }

    fn of(&self, started: i64, expires: i64, name: String) -> Session {
        Session { started, expires, csrf: self.signed(b"form", &name), name }
    }

    /// A new one, from `now` in Unix seconds.
    pub(super) fn begin(&self, now: i64) -> Session {
        self.of(now, now + IDLE, hex(&rand::random::<[u8; 16]>()))
    }

    /// The same one for another while, when half of its time is over; its forms stay good.
    pub(super) fn renewed(&self, session: &Session, now: i64) -> Option<Session> {
        let expires = (now + IDLE).min(session.started + LONGEST);
        let due = session.expires - now < IDLE / 2 && expires > session.expires;
        due.then(|| self.of(session.started, expires, session.name.clone()))
    }

    /// `None`: not ours, altered, or over.
    pub(super) fn read(&self, value: &str, now: i64) -> Option<Session> {
        let (said, signature) = value.rsplit_once('.')?;
        if !bool::from(self.signed(b"session", said).as_bytes().ct_eq(signature.as_bytes())) {
            return None;
        }
        let mut parts = said.split('.');
        let (started, expires, name) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?);
        (expires > now).then(|| self.of(started, expires, name.to_owned()))
    }

    /// The value of its `Set-Cookie`. `secure`: the browser came by TLS.
    pub(super) fn cookie(&self, session: &Session, now: i64, secure: bool) -> String {
        let said = format!("{}.{}.{}", session.started, session.expires, session.name);
        let signature = self.signed(b"session", &said);
        strict(&format!("{said}.{signature}"), secure, session.expires - now)
    }
}

/// Takes the cookie back.
pub(super) fn forgotten(secure: bool) -> String {
    strict("", secure, 0)
}

fn strict(value: &str, secure: bool, seconds: i64) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path={PATH}; Max-Age={}; HttpOnly; SameSite=Strict{secure}", seconds.max(0))
}

/// What the browser sent back of it.
pub(super) fn presented(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(header::COOKIE).filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(';')).find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

impl Session {
    /// Whether a form came from a page of this session.
    pub(super) fn made(&self, csrf: &str) -> bool {
        !csrf.is_empty() && bool::from(self.csrf.as_bytes().ct_eq(csrf.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(pepper: &str, key: &str) -> Sessions {
        Sessions::new(&SecretString::from(pepper), &ApiKey::operators(key).unwrap())
    }

    const KEY: &str = "an-admin-key-of-thirty-two-characters";

    #[test]
    fn any_gateway_with_the_same_secrets_knows_it_and_no_other_does() {
        let (one, two) = (sessions("pepper", KEY), sessions("pepper", KEY));
        let begun = one.begin(1_000);
        let cookie = one.cookie(&begun, 1_000, true);
        assert!(cookie.ends_with("; Path=/console; Max-Age=1800; HttpOnly; SameSite=Strict; Secure"), "{cookie}");
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, format!("a=b; {}", cookie.split(';').next().unwrap()).parse().unwrap());
        let value = presented(&headers).unwrap().to_owned();
        assert!(two.read(&value, 1_000).unwrap().made(&begun.csrf));
        assert!(two.read(&value, 1_000 + IDLE).is_none(), "it is over");
        assert!(sessions("other", KEY).read(&value, 1_000).is_none());
        assert!(sessions("pepper", &KEY.replace("an-", "no-")).read(&value, 1_000).is_none());
        for forged in [value.replace("1000.", "1001."), value[1..].to_owned(), String::new(), "1.2.3".to_owned()] {
            assert!(two.read(&forged, 1_000).is_none(), "{forged}");
        }
    }

    #[test]
    fn it_is_renewed_while_it_is_used_and_ends_all_the_same() {
        let all = sessions("pepper", KEY);
        let mut session = all.begin(0);
        assert!(all.renewed(&session, 60).is_none(), "too early");
        let mut now = 0;
        while let Some(next) = all.renewed(&session, now + IDLE / 2 + 1) {
            now += IDLE / 2 + 1;
            assert!(next.made(&session.csrf) && next.expires > now);
            session = next;
        }
        assert_eq!(session.expires, LONGEST);
        assert!(!session.made("") && !session.made("0"));
    }
}
