//! `Idempotency-Key`: its form, the fingerprint of what it stands for, and who holds one right now.
//!
//! That a key was used is recorded by the ledger, in the submission's own transaction; here is only what happens before.

use crate::problem::{ApiError, Code};
use actix_web::http::header::HeaderMap;
use domain::admission::IdempotencyKey;
use domain::ids::AccountId;
use domain::request::{GenerationRequest, Place, Violation};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) const HEADER: &str = "Idempotency-Key";
const LONGEST: usize = 255;

/// The header's key, quoted (as in the draft standard) or bare.
pub(crate) fn header(headers: &HeaderMap) -> Result<Option<String>, Violation> {
    let broken = |detail: &str| Violation { place: Place::Header(HEADER), detail: detail.to_owned() };
    let mut values = headers.get_all("idempotency-key");
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(broken("must be given once"));
    }
    let text = value.to_str().unwrap_or_default().trim();
    let key = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let fits = (1..=LONGEST).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    if fits { Ok(Some(key.to_owned())) } else { Err(broken("must have 1 to 255 visible characters, quoted or bare")) }
}

/// SHA-256 over the request as parsed, names of its metadata sorted.
pub(crate) fn key_for(key: String, request: &GenerationRequest) -> Result<IdempotencyKey, ApiError> {
    let mut value = serde_json::to_value(request).map_err(|_| ApiError::internal())?;
    value.sort_all_objects();
    Ok(IdempotencyKey { key, fingerprint: Sha256::digest(value.to_string()).into() })
}

/// Keys whose first request is being accepted by this gateway.
#[derive(Default)]
pub(crate) struct InProgress {
    held: Mutex<HashSet<(AccountId, String)>>,
}

pub(crate) struct Holding {
    key: (AccountId, String),
    all: Arc<InProgress>,
}

impl InProgress {
    pub(crate) fn hold(self: &Arc<Self>, account: AccountId, key: &str) -> Result<Holding, ApiError> {
        let key = (account, key.to_owned());
        if self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone()) {
            return Ok(Holding { key, all: self.clone() });
        }
        let detail = "The first request with this key is still being accepted; send it again in a moment.";
        Err(ApiError::new(Code::IdempotencyInProgress, detail).retry_after(1))
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.all.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn parsed(values: &[&str]) -> Option<Option<String>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HeaderName::from_static("idempotency-key"), HeaderValue::from_str(value).unwrap());
        }
        header(&headers).ok()
    }

    #[test]
    fn keys_are_quoted_or_bare() {
        assert_eq!(parsed(&[]), Some(None));
        assert_eq!(parsed(&["\"a-1\""]), Some(Some("a-1".into())));
        assert_eq!(parsed(&["a-1"]), Some(Some("a-1".into())));
        let longest = "k".repeat(255);
        assert_eq!(parsed(&[longest.as_str()]), Some(Some(longest.clone())));
        for wrong in ["", "\"\"", "a b", "k".repeat(256).as_str()] {
            assert_eq!(parsed(&[wrong]), None, "{wrong}");
        }
        assert_eq!(parsed(&["a", "b"]), None);
    }
}
