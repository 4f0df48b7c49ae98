//! One HTTP exchange: deadline, size, retries. Knows no resource.

use crate::error::{ClientError, Problem};
use crate::page::PageQuery;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::net::IpAddr;
use std::time::Duration;

const CONNECT_LONGEST: Duration = Duration::from_secs(5);
const CALL_LONGEST: Duration = Duration::from_secs(30);
const ANSWER_LARGEST: u64 = 16 * 1024 * 1024;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const PAUSE_LONGEST: Duration = Duration::from_secs(2);
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How patient a client is with calls that are safe to repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// Tries after the first; 0 for none.
    pub most: u32,
    /// A `Retry-After` above this is not waited for: the refusal is returned.
    pub longest_wait: Duration,
}

impl Retries {
    pub const NONE: Self = Self { most: 0, longest_wait: Duration::ZERO };
}

impl Default for Retries {
    fn default() -> Self {
        Self { most: 4, longest_wait: Duration::from_secs(15) }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Transport {
    http: reqwest::Client,
    base: Url,
    authorization: Option<HeaderValue>,
    pub(crate) retries: Retries,
}

/// A request before it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
    longest: Duration,
}

/// An answer that is a success.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Call {
    /// # Errors
    /// [`ClientError::BadAnswer`] when the value cannot be JSON (never, for our own types).
    pub(crate) fn json(mut self, body: &impl Serialize) -> Result<Self, ClientError> {
        let text = serde_json::to_vec(body).map_err(|error| ClientError::BadAnswer(error.to_string()))?;
        self.body = Some(text);
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(self)
    }

    /// # Errors
    /// [`ClientError::BadUrl`] when the text is no header value.
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Result<Self, ClientError> {
        let value =
            HeaderValue::from_str(value).map_err(|_| ClientError::BadUrl(format!("{name} is no header value")))?;
        self.headers.insert(name, value);
        Ok(self)
    }

    /// A change that may be repeated: the server does it once.
    pub(crate) fn once(mut self) -> Self {
        // Hexadecimal digits are always a header value.
        if let Ok(key) = HeaderValue::from_str(&crate::fresh_key()) {
            self.headers.insert(IDEMPOTENCY_KEY, key);
        }
        self
    }

    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    pub(crate) fn maybe(self, name: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.query(name, &value.to_string()),
            None => self,
        }
    }

    pub(crate) fn page(self, page: &PageQuery) -> Self {
        self.maybe("limit", page.limit).maybe("cursor", page.cursor.as_deref())
    }

    pub(crate) const fn longest(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    fn is_safe_to_repeat(&self) -> bool {
        self.method == Method::GET || self.headers.contains_key(&IDEMPOTENCY_KEY)
    }
}

impl Answer {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.body).map_err(|error| ClientError::BadAnswer(error.to_string()))
    }
}

impl Transport {
    pub(crate) fn new(base_url: &str, api_key: Option<&SecretString>) -> Result<Self, ClientError> {
        // Whoever was first installed it; the same one either way.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let bad = |reason: &str| ClientError::BadUrl(reason.to_owned());
        let mut base: Url = base_url.parse().map_err(|_| bad("it does not parse as an address"))?;
        let host = base.host_str().filter(|_| matches!(base.scheme(), "http" | "https"));
        let host = host.ok_or_else(|| bad("it must begin with http:// or https://"))?.to_owned();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let authorization = api_key.map(|key| HeaderValue::from_str(&format!("Bearer {}", key.expose_secret())));
        let mut authorization =
            authorization.transpose().map_err(|_| bad("the API key has characters that no header may have"))?;
        authorization.iter_mut().for_each(|header| header.set_sensitive(true));
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_LONGEST)
            .tcp_nodelay(true)
            .pool_max_idle_per_host(256)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("son1k-client/", env!("CARGO_PKG_VERSION")));
        // A proxy of the environment cannot reach this machine's own loopback.
        let plain = host.trim_start_matches('[').trim_end_matches(']');
        if plain == "localhost" || plain.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| ClientError::BadUrl(error.to_string()))?;
        Ok(Self { http, base, authorization, retries: Retries::default() })
    }

    /// `path`: without a leading slash, of characters that need no escaping.
    pub(crate) fn call(&self, method: Method, path: &str) -> Call {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path()));
        Call { method, url, headers: HeaderMap::new(), body: None, longest: CALL_LONGEST }
    }

    pub(crate) fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> Call {
        self.call(Method::POST, path)
    }

    /// Resolves a link out of an answer, which may be another host's.
    pub(crate) fn resolve(&self, link: &str) -> Result<Url, ClientError> {
        let url = self.base.join(link).map_err(|_| ClientError::BadUrl("a link of the answer".to_owned()))?;
        match url.scheme() {
            "http" | "https" => Ok(url),
            _ => Err(ClientError::BadUrl("a link of the answer is neither http nor https".to_owned())),
        }
    }

    /// A GET without our key, unless the link is the base's own host.
    pub(crate) async fn fetch(&self, url: Url) -> Result<Response, ClientError> {
        let ours = url.origin() == self.base.origin();
        let mut request = self.http.get(url).timeout(Duration::from_secs(300));
        if let Some(authorization) = self.authorization.as_ref().filter(|_| ours) {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        self.successful(request.send().await.map_err(|error| self.failed(&error, CALL_LONGEST))?).await
    }

    pub(crate) async fn json<T: DeserializeOwned>(&self, call: Call) -> Result<T, ClientError> {
        self.send(call).await?.json()
    }

    /// Sends, and sends again where that is safe and may help.
    pub(crate) async fn send(&self, call: Call) -> Result<Answer, ClientError> {
        let mut tried = 0;
        loop {
            let error = match self.exchange(&call).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let Some(pause) = self.pause_before_another(&call, &error, tried) else { return Err(error) };
            tokio::time::sleep(pause).await;
            tried += 1;
        }
    }

    /// How long to wait before the next try; `None`: there is none.
    pub(crate) fn pause(&self, error: &ClientError, tried: u32) -> Option<Duration> {
        if tried >= self.retries.most {
            return None;
        }
        let worth_it = match error {
            ClientError::Unreachable { .. } | ClientError::TimedOut { .. } => true,
            ClientError::Refused(problem) => {
                matches!(problem.status, 429 | 502 | 503 | 504) || problem.code == "idempotency_in_progress"
            }
            _ => false,
        };
        if !worth_it {
            return None;
        }
        match error.retry_after() {
            Some(wait) => (wait <= self.retries.longest_wait).then_some(wait),
            None => Some(backoff(tried)),
        }
    }

    fn pause_before_another(&self, call: &Call, error: &ClientError, tried: u32) -> Option<Duration> {
        if call.is_safe_to_repeat() { self.pause(error, tried) } else { None }
    }

    async fn exchange(&self, call: &Call) -> Result<Answer, ClientError> {
        let mut response = self.open(call).await?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let body = self.body(response, call.longest).await?;
        Ok(Answer { status, headers, body })
    }

    /// Sends once and returns the successful answer with its body still to be read.
    pub(crate) async fn open(&self, call: &Call) -> Result<Response, ClientError> {
        self.successful(self.answered(call).await?).await
    }

    /// Sends once and returns whatever is answered, its body still to be read.
    pub(crate) async fn answered(&self, call: &Call) -> Result<Response, ClientError> {
        let mut request = self
            .http
            .request(call.method.clone(), call.url.clone())
            .timeout(call.longest)
            .headers(call.headers.clone());
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if let Some(body) = &call.body {
            request = request.body(body.clone());
        }
        request.send().await.map_err(|error| self.failed(&error, call.longest))
    }

    async fn successful(&self, response: Response) -> Result<Response, ClientError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let retry_after = seconds(response.headers(), &header::RETRY_AFTER);
        let body = self.body(response, CALL_LONGEST).await?;
        Err(ClientError::Refused(Box::new(Problem::parse(status.as_u16(), &body, retry_after))))
    }

    pub(crate) async fn body(&self, mut response: Response, longest: Duration) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(&error, longest))? {
            if (body.len() + chunk.len()) as u64 > ANSWER_LARGEST {
                return Err(ClientError::TooLarge { most: ANSWER_LARGEST });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    pub(crate) fn failed(&self, error: &reqwest::Error, waited: Duration) -> ClientError {
        let host = error.url().unwrap_or(&self.base).host_str().unwrap_or_default().to_owned();
        if error.is_timeout() {
            return ClientError::TimedOut { host, waited };
        }
        // The innermost cause is the one that says something: "connection refused".
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        ClientError::Unreachable { host, reason: cause.to_string() }
    }
}

/// Full jitter over a doubling bound.
fn backoff(tried: u32) -> Duration {
    let bound = FIRST_PAUSE.saturating_mul(1 << tried.min(10)).min(PAUSE_LONGEST);
    bound.mul_f64(rand::random::<f64>())
}

/// A header in whole seconds.
pub(crate) fn seconds(headers: &HeaderMap, name: &HeaderName) -> Option<Duration> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
