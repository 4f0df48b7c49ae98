//! `X-Request-Id`: taken from the client where it is sane, made where it is not.

use actix_web::http::header::{HeaderMap, HeaderName};

pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST: usize = 128;

/// A request's id, for logs, answers and audit entries.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

impl RequestId {
    /// Letters, digits and `-_.:` only, so that a log line cannot be forged with it.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        headers
            .get(HEADER)
            .and_then(|value| value.to_str().ok())
            .filter(|text| (1..=LONGEST).contains(&text.len()))
            .filter(|text| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b)))
            .map_or_else(Self::random, |text| Self(text.to_owned()))
    }

    fn random() -> Self {
        Self(uuid::Builder::from_random_bytes(rand::random()).into_uuid().simple().to_string())
    }
}
