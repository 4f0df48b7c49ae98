//! Entity tags: a hash of the answer itself, so that whatever a reader can see changes it.

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderValue};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt::Write;

use crate::problem::ApiError;

/// The answer as JSON with its `ETag`, or 304 when the reader has it already.
pub(crate) fn answer(request: &HttpRequest, view: &impl Serialize) -> Result<HttpResponse, ApiError> {
    let body = serde_json::to_vec(view).map_err(|_| ApiError::internal())?;
    let mut tag = String::with_capacity(34);
    tag.push('"');
    for byte in &Sha256::digest(&body)[..16] {
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    let known = request.headers().get_all(header::IF_NONE_MATCH).any(|value| has(value, &tag));
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((header::ETAG, tag)).insert_header((header::CACHE_CONTROL, "private, no-cache"));
    Ok(if known { response.finish() } else { response.content_type("application/json").body(body) })
}

/// RFC 9110 §13.1.2: `*`, or a list compared weakly.
fn has(value: &HeaderValue, tag: &str) -> bool {
    value.to_str().is_ok_and(|list| {
        list.split(',').map(str::trim).any(|item| item == "*" || item.strip_prefix("W/").unwrap_or(item) == tag)
    })
}
