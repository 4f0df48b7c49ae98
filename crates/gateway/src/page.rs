//! Pages out: an opaque cursor keyed to the last id, and the link to the next page.

use crate::problem::ApiError;
use crate::query::Query;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::page::{LARGEST, Page, PageRequest, USUAL};
use serde::Serialize;
use std::fmt::Write;
use utoipa::ToSchema;
use uuid::Uuid;

pub(crate) fn cursor(id: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(id.as_bytes())
}

pub(crate) fn parse_cursor(text: &str) -> Option<Uuid> {
    URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| Uuid::from_slice(&bytes).ok())
}

/// `limit` and `cursor`.
pub(crate) fn asked(query: &mut Query) -> PageRequest {
    let rule = format!("must be 1 to {LARGEST}");
    let limit = query.parsed("limit", &rule, |text| {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u16>().ok().filter(|limit| digits && (1..=LARGEST).contains(limit))
    });
    let after = query.parsed("cursor", "must be the next_cursor of a page before", parse_cursor);
    PageRequest { limit: limit.unwrap_or(USUAL), after }
}

/// A page of rows, newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = Page<T>)]
pub(crate) struct PageView<T> {
    data: Vec<T>,
    /// The `cursor` of the next page; null on the last.
    next_cursor: Option<String>,
    has_more: bool,
}

impl<T> PageView<T> {
    /// The one page of a list that is always shown whole.
    pub(crate) const fn whole(data: Vec<T>) -> Self {
        Self { data, next_cursor: None, has_more: false }
    }
}

/// The page, with its `Link` to the next one: the same query with the new cursor.
pub(crate) fn answer<T: Serialize>(
    request: &HttpRequest,
    query: &Query,
    page: Page<T>,
) -> Result<HttpResponse, ApiError> {
    let next_cursor = page.next.map(cursor);
    let mut response = HttpResponse::Ok();
    if let Some(cursor) = &next_cursor {
        let mut link = format!("<{}?", request.path());
        for (name, value) in query.pairs().iter().filter(|(name, _)| name != "cursor") {
            let _ = write!(link, "{}={}&", percent(name), percent(value));
        }
        let _ = write!(link, "cursor={cursor}>; rel=\"next\"");
        response.insert_header((header::LINK, link));
    }
    Ok(response.json(PageView { has_more: next_cursor.is_some(), next_cursor, data: page.items }))
}

/// RFC 3986: everything but the unreserved characters is escaped.
pub(crate) fn percent(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_does() {
        let id = Uuid::from_u128(7 << 90);
        assert_eq!(parse_cursor(&cursor(id)), Some(id));
        for text in ["", "x", "AAAA", "!!!!", &cursor(id)[1..]] {
            assert_eq!(parse_cursor(text), None, "{text}");
        }
    }
}
