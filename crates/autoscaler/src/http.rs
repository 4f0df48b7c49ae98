//! One guarded exchange with a platform: a deadline, a capped body, and few retries where a repeat does no harm. Knows no platform.

use crate::controller::ControlError;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, ClientBuilder, RequestBuilder, StatusCode};
use std::time::Duration;
use tokio::time::{sleep, timeout};

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const ANSWER_LARGEST: usize = 4 * 1024 * 1024;
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(250);
/// A `Retry-After` beyond it is for the next evaluation.
const PAUSE_LONGEST: Duration = Duration::from_secs(3);

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
    retry_after: Option<Duration>,
}

pub(crate) fn client(change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Result<Client, ControlError> {
    // Idempotent: the second caller in a process finds it installed.
    let _already = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .connect_timeout(CONNECT_WITHIN)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .http1_only()
        .pool_max_idle_per_host(1)
        .pool_idle_timeout(Duration::from_secs(20))
        .user_agent(concat!("son1k-autoscaler/", env!("CARGO_PKG_VERSION")));
    change(builder).build().map_err(|_| ControlError::Unavailable("no client could be made".to_owned()))
}

/// Sends it once.
pub(crate) async fn once(request: RequestBuilder, deadline: Duration) -> Result<Answer, ControlError> {
    let exchange = async {
        let mut response = request.send().await.map_err(|error| failed(&error))?;
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
            if body.len() + chunk.len() > ANSWER_LARGEST {
                return Err(ControlError::Malformed(format!("more than {ANSWER_LARGEST} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, body, retry_after })
    };
    let late = || ControlError::Unavailable(format!("no answer within {} s", deadline.as_secs()));
    timeout(deadline, exchange).await.unwrap_or_else(|_| Err(late()))
}

/// Sends it up to three times: for what may be repeated.
pub(crate) async fn patiently(build: impl Fn() -> RequestBuilder, deadline: Duration) -> Result<Answer, ControlError> {
    let mut tried = 1;
    loop {
        let outcome = once(build(), deadline).await;
        let wait = match &outcome {
            Err(ControlError::Unavailable(_)) => None,
            Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS || answer.status.is_server_error() => {
                answer.retry_after
            }
            _ => return outcome,
        };
        if tried == TRIES || wait.is_some_and(|wait| wait > PAUSE_LONGEST) {
            return outcome;
        }
        let jittered = (PAUSE * 2u32.pow(tried)).mul_f64(0.5 + 0.5 * rand::random::<f64>());
        sleep(wait.unwrap_or(jittered)).await;
        tried += 1;
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// In our words: its own text may name addresses.
fn failed(error: &reqwest::Error) -> ControlError {
    let what = if error.is_connect() { "it could not be connected to" } else { "the connection broke" };
    ControlError::Unavailable(what.to_owned())
}

/// A platform's own text, where it is fit to be repeated.
pub(crate) fn quoted(text: &str) -> String {
    let plain: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(160).collect();
    plain.trim().to_owned()
}
