//! Scripted faults as a client meets them on the wire.

use crate::script::FaultKind;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpResponse, body::SizedStream};
use futures::stream;
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What nobody waits for in vain longer than this.
const HANG_LONGEST: Duration = Duration::from_secs(300);
const DRIP_EVERY: Duration = Duration::from_secs(1);

/// An answer before it is sent, so that a fault can still spoil it.
pub(crate) struct Answer {
    pub status: StatusCode,
    pub body: Value,
    /// Seconds.
    pub retry_after: Option<u64>,
}

impl Answer {
    pub(crate) fn ok(body: Value) -> Self {
        Self { status: StatusCode::OK, body, retry_after: None }
    }

    pub(crate) fn error(status: StatusCode, message: &str) -> Self {
        Self { status, body: json!({ "error": message }), retry_after: None }
    }

    pub(crate) fn rate_limited(seconds: u64, message: &str) -> Self {
        Self { retry_after: Some(seconds), ..Self::error(StatusCode::TOO_MANY_REQUESTS, message) }
    }

    pub(crate) fn send(self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        response.json(self.body)
    }
}

/// The plain refusal that a kind stands for; `None` for those that spoil the wire instead.
pub(crate) fn refusal(kind: FaultKind) -> Option<Answer> {
    match kind {
        FaultKind::Rejected => Some(Answer::error(StatusCode::UNPROCESSABLE_ENTITY, "the request was rejected")),
        FaultKind::Unauthorized => Some(Answer::error(StatusCode::UNAUTHORIZED, "the token is not valid")),
        FaultKind::OutOfCredit => Some(Answer::error(StatusCode::PAYMENT_REQUIRED, "the token is out of credit")),
        FaultKind::RateLimited => Some(Answer::rate_limited(1, "too many requests")),
        FaultKind::ServerError => Some(Answer::error(StatusCode::INTERNAL_SERVER_ERROR, "something went wrong")),
        FaultKind::Reset
        | FaultKind::Hang
        | FaultKind::SlowDrip
        | FaultKind::RenderFailed
        | FaultKind::LostCallback => None,
    }
}

/// Spoils an answer on the wire.
pub(crate) async fn spoil(kind: FaultKind, answer: Answer, shutdown: &CancellationToken) -> HttpResponse {
    match kind {
        FaultKind::Reset => reset(),
        FaultKind::Hang => {
            // Whether the wait ends by time or by shutdown, the client gets nothing.
            let _ = tokio::time::timeout(HANG_LONGEST, shutdown.cancelled()).await;
            reset()
        }
        FaultKind::SlowDrip => drip(&answer),
        _ => answer.send(),
    }
}

/// A body that fails before its first byte: the server drops the connection with nothing sent.
fn reset() -> HttpResponse {
    let broken = stream::once(async { Err::<Bytes, _>(std::io::Error::from(std::io::ErrorKind::ConnectionReset)) });
    HttpResponse::Ok().body(SizedStream::new(1, broken))
}

fn drip(answer: &Answer) -> HttpResponse {
    let text = answer.body.to_string().into_bytes();
    let length = text.len() as u64;
    let bytes = stream::unfold((text, 0), |(text, at)| async move {
        let byte = *text.get(at)?;
        tokio::time::sleep(DRIP_EVERY).await;
        Some((Ok::<_, std::io::Error>(Bytes::copy_from_slice(&[byte])), (text, at + 1)))
    });
    HttpResponse::build(answer.status).content_type("application/json").body(SizedStream::new(length, Box::pin(bytes)))
}
