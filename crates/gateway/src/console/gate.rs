//! The console's own gate: who may see a page, which forms are believed, and what an error looks like to people.
//!
//! Every page but the login needs a session; a form must come from our own pages (same origin by what the browser says, and the session's
//! own token), so that no other site can act for an operator.

use super::session::{Session, presented};
use super::{act, answers, login, shell};
use crate::address::ClientAddress;
use crate::admit::Operator;
use crate::core::Core;
use crate::problem::{ApiError, Code};
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, web};
use std::future::{Ready, ready};

const OPEN: [&str; 2] = ["/console/login", "/console/assets/"];

/// A path of ours on a listener that has us. On one for customers alone it is a path like any other that leads nowhere.
pub(crate) fn concerns(request: &ServiceRequest) -> bool {
    let path = request.match_info().as_str();
    let ours = path.strip_prefix("/console").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    ours && request.resource_map().match_pattern("/console").is_some()
}

impl FromRequest for Session {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(request.extensions().get::<Self>().cloned().ok_or_else(ApiError::unauthenticated))
    }
}

/// Whether the browser came by TLS, as far as is known. A false yes does no harm: the cookie is then not sent back without TLS.
pub(super) fn is_secure(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"https"))
}

/// What the browser says of where a form comes from; browsers that say nothing still need the token.
pub(super) fn comes_from_us(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let site = text("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    let origin = text("origin").is_none_or(|origin| {
        let host = origin.split_once("://").map(|(_, host)| host);
        host.is_some() && (host == text("host") || host == text("x-forwarded-host"))
    });
    site && origin
}

/// htmx asks for a page to put a part of it in place.
pub(super) fn is_partial(headers: &HeaderMap) -> bool {
    headers.contains_key("hx-request")
}

pub(crate) async fn gate(
    core: web::Data<Core>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let address = ClientAddress::of(&request, &core.settings.trusted_proxies);
    request.extensions_mut().insert(address);
    let path = request.match_info().as_str().to_owned();
    if OPEN.iter().any(|open| path == *open || (open.ends_with('/') && path.starts_with(open))) {
        return Ok(readable(next.call(request).await?.map_into_boxed_body(), None));
    }
    let now = core.backends.clock.now().timestamp();
    let session = presented(request.headers()).and_then(|value| core.console.sessions.read(value, now));
    let Some(session) = session else {
        let partial = is_partial(request.headers());
        return Ok(request.into_response(login::first(&path, partial)));
    };
    request.extensions_mut().insert(session.clone());
    request.extensions_mut().insert(Operator { address });
    let headers = request.headers();
    // A page that refreshes itself is nobody at the keyboard.
    let renewed = (!is_partial(headers)).then(|| core.console.sessions.renewed(&session, now)).flatten();
    let secure = is_secure(headers);

    let mut response = if request.method() == Method::POST {
        if comes_from_us(headers) {
            act::act(&core, &session, request, next).await?
        } else {
            request.into_response(foreign())
        }
    } else if let Some(answer) = answers::concerns(&path) {
        answers::answer(answer, &session, request, next).await?
    } else {
        next.call(request).await?.map_into_boxed_body()
    };
    response = readable(response, Some(&session));
    if let Some(renewed) = renewed.filter(|_| !response.headers().contains_key(header::SET_COOKIE)) {
        let cookie = core.console.sessions.cookie(&renewed, now, secure);
        if let Ok(value) = HeaderValue::from_str(&cookie) {
            response.headers_mut().insert(header::SET_COOKIE, value);
        }
    }
    Ok(response)
}

pub(super) fn foreign() -> HttpResponse {
    let error = ApiError::new(
        Code::Forbidden,
        "This form did not come from a page of this console, or the page is too old. Go back, reload, try again.",
    );
    shell::error(&error, None)
}

/// An error as a page instead of a problem.
fn readable(response: ServiceResponse<BoxBody>, session: Option<&Session>) -> ServiceResponse<BoxBody> {
    let Some(error) = response.response().error() else { return response };
    let error = error.as_error::<ApiError>().cloned().unwrap_or_else(ApiError::not_found);
    let (request, _) = response.into_parts();
    ServiceResponse::new(request, shell::error(&error, session))
}

/// What a page may load and where its forms may go. Audio and images come from the upstream's addresses, whatever those are.
pub(super) fn policy() -> (HeaderName, HeaderValue) {
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' http: https:; \
                  media-src 'self' http: https:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy))
}
