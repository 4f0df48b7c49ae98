//! The operator's provisioner of tokens: `POST {"count": n}`, answered `{"tokens": [{"secret": …}]}`. Whether and how often it is asked
//! is the pool's business.

use crate::http::{Answer, Call, Http};
use crate::{Deadlines, SettingsError, base};
use async_trait::async_trait;
use domain::ports::TokenSource;
use domain::ports::token_source::{Listed, SourceError};
use domain::ports::upstream::UpstreamError;
use domain::token::TokenImport;
use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const CONNECT: Duration = Duration::from_secs(3);
/// Making credentials may take a while.
const DEADLINES: Deadlines = Deadlines { first_byte: Duration::from_secs(25), total: Duration::from_secs(30) };
const BODY_MOST: usize = 1024 * 1024;

struct Provisioner {
    http: Http,
    secret: Option<SecretString>,
}

#[derive(Deserialize)]
struct Tokens {
    tokens: Vec<Listed>,
}

/// A source of tokens at `url`, shown `secret` as a bearer token where there is one. Makes no call yet.
///
/// # Errors
/// An address that is no plain http or https URL.
pub fn provisioner(url: &str, secret: Option<SecretString>) -> Result<Arc<dyn TokenSource>, SettingsError> {
    let http = Http::new(base(url)?, CONNECT, BODY_MOST)?;
    Ok(Arc::new(Provisioner { http, secret }))
}

#[async_trait]
impl TokenSource for Provisioner {
    async fn obtain(&self, count: u32, request: Uuid) -> Result<Vec<TokenImport>, SourceError> {
        let call = Call {
            method: Method::POST,
            segments: &[],
            query: None,
            secret: self.secret.as_ref(),
            idempotency_key: Some(request.to_string()),
            body: Some(json!({ "count": count })),
            deadlines: DEADLINES,
        };
        let answer = match self.http.call(call).await {
            Ok(Answer::Success(answer)) => answer,
            Ok(Answer::Missing) => return Err(SourceError::Refused("there is nothing at its address".into())),
            Err(error @ (UpstreamError::Unauthorized | UpstreamError::Rejected(_))) => {
                return Err(SourceError::Refused(told(&error)));
            }
            Err(error) => return Err(SourceError::Unavailable(told(&error))),
        };
        // The parser's own words would repeat what was answered, and that has secrets in it.
        let Ok(Tokens { tokens }) = serde_json::from_value(answer) else {
            return Err(SourceError::Malformed("it is no list of tokens".into()));
        };
        Ok(tokens.into_iter().map(TokenImport::from).collect())
    }
}

/// The upstream's errors speak of an upstream; a provisioner is none.
fn told(error: &UpstreamError) -> String {
    match error {
        UpstreamError::Unauthorized => "it does not take the secret it is shown".into(),
        UpstreamError::OutOfCredit => "it answered 402".into(),
        UpstreamError::RateLimited { .. } => "it answered 429".into(),
        UpstreamError::Rejected(text)
        | UpstreamError::Moderated(text)
        | UpstreamError::Unavailable(text)
        | UpstreamError::TimedOut(text)
        | UpstreamError::Unclear(text) => text.clone(),
    }
}
