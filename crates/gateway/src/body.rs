//! Bodies in: bounded in size and in time, typed, then parsed strictly.

use crate::fields::Fields;
use crate::json::{self, JsonError};
use crate::problem::{ApiError, Code};
use actix_web::error::PayloadError;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{Bytes, BytesMut, Payload};
use actix_web::{HttpMessage, HttpRequest};
use domain::request::Violation;
use futures::StreamExt;
use std::time::Duration;

/// What a body may have, unless a route says otherwise.
pub(crate) const LARGEST: usize = 64 * 1024;
/// A body that has not arrived by then is given up, and its connection closed.
const ARRIVES_WITHIN: Duration = Duration::from_secs(8);

fn closing(error: ApiError) -> ApiError {
    error.header(header::CONNECTION, HeaderValue::from_static("close"))
}

fn too_large(largest: usize) -> ApiError {
    closing(ApiError::new(Code::PayloadTooLarge, format!("A body may have at most {largest} bytes.")))
}

/// The whole body, of any type.
async fn read(request: &HttpRequest, mut payload: Payload, largest: usize) -> Result<Bytes, ApiError> {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if announced.and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > largest as u64) {
        return Err(too_large(largest));
    }
    let arrive = async {
        let mut body = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|error| match error {
                PayloadError::Overflow => too_large(largest),
                _ => closing(ApiError::new(Code::MalformedJson, "The body ended before its end.")),
            })?;
            if body.len() + chunk.len() > largest {
                return Err(too_large(largest));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    tokio::time::timeout(ARRIVES_WITHIN, arrive).await.unwrap_or_else(|_| {
        let detail = format!("The body must arrive within {} seconds.", ARRIVES_WITHIN.as_secs());
        Err(closing(ApiError::new(Code::RequestTimeout, detail)))
    })
}

fn check_type(request: &HttpRequest) -> Result<(), ApiError> {
    let refused = || Err(ApiError::new(Code::UnsupportedMediaType, "Send `Content-Type: application/json`, in UTF-8."));
    let encoded = request.headers().get(header::CONTENT_ENCODING).is_some_and(|value| value != "identity");
    let Ok(Some(mime)) = request.mime_type() else { return refused() };
    let utf8 = mime.get_param("charset").is_none_or(|charset| charset.as_str().eq_ignore_ascii_case("utf-8"));
    if encoded || !utf8 || mime.essence_str() != "application/json" { refused() } else { Ok(()) }
}

/// A JSON body's fields.
pub(crate) async fn fields(request: &HttpRequest, payload: Payload, largest: usize) -> Result<Fields, ApiError> {
    check_type(request).map_err(closing)?;
    parse(&read(request, payload, largest).await?)
}

fn parse(body: &[u8]) -> Result<Fields, ApiError> {
    match json::parse(body) {
        Ok(value) if value.is_object() => Ok(Fields::of(value, "")),
        Ok(_) => Err(ApiError::invalid(vec![Violation::at("", "must be an object")])),
        Err(JsonError::Malformed(detail)) => Err(ApiError::new(Code::MalformedJson, detail)),
        Err(JsonError::Invalid(violation)) => Err(ApiError::invalid(vec![violation])),
    }
}

/// For calls without a documented body: whatever came is read and left aside.
pub(crate) async fn none(request: &HttpRequest, payload: Payload) -> Result<(), ApiError> {
    read(request, payload, LARGEST).await.map(|_| ())
}

/// For calls whose body may be left out, or be `null`.
pub(crate) async fn optional(request: &HttpRequest, payload: Payload) -> Result<Fields, ApiError> {
    let announced = request.headers().get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    if announced || request.headers().contains_key(header::TRANSFER_ENCODING) {
        let body = read(request, payload, LARGEST).await?;
        if body.is_empty() {
            return Ok(Fields::default());
        }
        check_type(request)?;
        return if body.trim_ascii() == b"null" { Ok(Fields::default()) } else { parse(&body) };
    }
    Ok(Fields::default())
}
