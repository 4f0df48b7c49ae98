//! One guarded HTTP call: deadlines, a capped body, and what each status means. Knows no dialect.

use crate::retry_after;
use crate::{Deadlines, SettingsError};
use domain::ports::upstream::UpstreamError;
use futures::StreamExt;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Client, Method, Request, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// An error's body is only read to keep the connection and to look for a moderation code: not worth waiting for.
const ERROR_BODY_WAIT: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(30);
const IDLE_MOST: usize = 128;

/// What came back with a status that is an answer.
pub(crate) enum Answer {
    Success(Value),
    /// The upstream does not know what was asked for (404, 410).
    Missing,
}

pub(crate) struct Http {
    client: Client,
    base: Url,
    body_most: usize,
}

pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    /// Below the base, each escaped as one segment.
    pub(crate) segments: &'a [&'a str],
    pub(crate) query: Option<(&'static str, &'a str)>,
    /// Shown as a bearer token.
    pub(crate) secret: Option<&'a SecretString>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) body: Option<Value>,
    pub(crate) deadlines: Deadlines,
}

impl Http {
    pub(crate) fn new(base: Url, connect: Duration, body_most: usize) -> Result<Self, SettingsError> {
        // Idempotent: the second caller in a process finds it installed.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .connect_timeout(connect)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .http1_only()
            .tcp_nodelay(true)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_MOST)
            .user_agent(concat!("son1k/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|_| SettingsError::Client("TLS could not be set up".into()))?;
        Ok(Self { client, base, body_most })
    }

    fn request(&self, call: &Call<'_>) -> Result<Request, UpstreamError> {
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            Ok(mut path) => {
                path.pop_if_empty().extend(call.segments);
            }
            Err(()) => return Err(UpstreamError::Unavailable("its address takes no path".into())),
        }
        if let Some((name, value)) = call.query {
            url.query_pairs_mut().append_pair(name, value);
        }
        let mut request = self.client.request(call.method.clone(), url);
        if let Some(secret) = call.secret {
            // A secret that no header can carry is no good token.
            let mut bearer = HeaderValue::from_str(&format!("Bearer {}", secret.expose_secret()))
                .map_err(|_| UpstreamError::Unauthorized)?;
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
        }
        if let Some(key) = &call.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        request.build().map_err(|_| UpstreamError::Unavailable("the request could not be built".into()))
    }

    pub(crate) async fn call(&self, call: Call<'_>) -> Result<Answer, UpstreamError> {
        let request = self.request(&call)?;
        let begun = Instant::now();
        let end = begun + call.deadlines.total;
        let first_byte = end.min(begun + call.deadlines.first_byte);
        let response = match timeout_at(first_byte, self.client.execute(request)).await {
            Err(_) => return Err(UpstreamError::TimedOut("no answer within its deadline".into())),
            Ok(Err(error)) => return Err(failed(&error)),
            Ok(Ok(response)) => response,
        };
        let status = response.status();
        if status.is_success() {
            let bytes = match timeout_at(end, self.read(response)).await {
                Err(_) => return Err(UpstreamError::TimedOut("the answer did not end within its deadline".into())),
                Ok(read) => read?,
            };
            return serde_json::from_slice(&bytes)
                .map(Answer::Success)
                .map_err(|_| UpstreamError::Unclear("it is not JSON".into()));
        }
        let retry_after = retry_after::of(response.headers());
        let body = timeout_at(end.min(Instant::now() + ERROR_BODY_WAIT), self.read(response)).await;
        let body = body.ok().and_then(Result::ok).and_then(|bytes| serde_json::from_slice(&bytes).ok());
        refused(status, retry_after, body.as_ref())
    }

    async fn read(&self, response: Response) -> Result<Vec<u8>, UpstreamError> {
        let too_large = || UpstreamError::Unclear(format!("it is larger than {} bytes", self.body_most));
        let announced = response.content_length().unwrap_or(0);
        if announced > self.body_most as u64 {
            return Err(too_large());
        }
        let mut bytes = Vec::with_capacity(announced as usize);
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| failed(&error))?;
            if bytes.len() + chunk.len() > self.body_most {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}

/// What a transport error says, in our words: its own text may name addresses.
fn failed(error: &reqwest::Error) -> UpstreamError {
    // Of the client's own deadlines only the one for connecting is set.
    if error.is_timeout() {
        return UpstreamError::Unavailable("no connection within its deadline".into());
    }
    if error.is_connect() {
        return UpstreamError::Unavailable("it could not be connected to".into());
    }
    let answered = error.is_body() || error.is_decode();
    UpstreamError::Unclear(if answered { "it broke off" } else { "the connection broke before it" }.into())
}

fn refused(status: StatusCode, retry_after: Option<Duration>, body: Option<&Value>) -> Result<Answer, UpstreamError> {
    let code = status.as_u16();
    Err(match code {
        404 | 410 => return Ok(Answer::Missing),
        401 | 403 => UpstreamError::Unauthorized,
        402 => UpstreamError::OutOfCredit,
        429 => UpstreamError::RateLimited { retry_after },
        408 | 504 => UpstreamError::TimedOut(format!("it answered {code}")),
        // Of a proxy: what stands behind it may have heard the request.
        502 => UpstreamError::Unclear("it answered 502".into()),
        400 | 409 | 413 | 415 | 422 | 451 if body.is_some_and(crate::body::is_moderation) || code == 451 => {
            UpstreamError::Moderated(format!("it answered {code}"))
        }
        400 | 409 | 413 | 415 | 422 => UpstreamError::Rejected(format!("it answered {code}")),
        300..400 => UpstreamError::Unavailable("it answered with a redirect, which is not followed".into()),
        // 405 and its like speak of a wrong base address, not of this request: nothing may fail for good by it.
        _ => UpstreamError::Unavailable(format!("it answered {code}")),
    })
}
