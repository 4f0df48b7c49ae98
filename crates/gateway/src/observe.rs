//! The outermost layer: every request gets an id, a span, a measurement and the standard headers; every error becomes a problem.
//!
//! A handler that panics is answered as `internal`; the connection and the other requests go on.

use crate::core::Core;
use crate::cors;
use crate::problem::{ApiError, Code, set_problem_type};
use crate::request_id::{self, RequestId};
use crate::trace::Trace;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, web};
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};
use tracing::{Instrument, field};

const STANDARD_HEADERS: [(&str, &str); 6] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ("cache-control", "no-store"),
];
/// Whatever a client calls an id is not logged beyond this.
const ID_LONGEST: usize = 40;
/// A path that is longer is cut where a problem names it.
const INSTANCE_LONGEST: usize = 200;

/// How long an answer was held because the client asked for that. Time that was asked for is no slowness, so it is not measured.
#[derive(Clone, Copy)]
pub(crate) struct Held(pub(crate) Duration);

pub(crate) async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let began = Instant::now();
    let Some(core) = request.app_data::<web::Data<Core>>().cloned() else {
        return Err(ApiError::internal().into());
    };
    let id = RequestId::of(request.headers());
    let method = bounded(request.method());
    let instance = instance(request.path());
    let span = tracing::info_span!(
        "request",
        otel.kind = "server",
        request_id = %id.0,
        trace_id = field::Empty,
        account_id = field::Empty,
        generation_id = field::Empty,
        http.request.method = method,
        http.route = field::Empty,
        http.response.status_code = field::Empty,
    );
    let trace = Trace::begin(&span, request.headers());
    request.extensions_mut().insert(trace);
    let origin = cors::allowed(&core.settings.cors_allowed_origins, request.headers());
    request.extensions_mut().insert(id.clone());

    let preflight = origin.as_ref().and_then(|_| cors::preflight(request.method(), request.headers()));
    let mut response = match preflight {
        Some(answer) => request.into_response(answer),
        None => match AssertUnwindSafe(next.call(request).instrument(span.clone())).catch_unwind().await {
            Ok(answer) => answer?.map_into_boxed_body(),
            Err(_) => {
                let _within = span.enter();
                tracing::error!("a handler panicked");
                core.metrics
                    .requests
                    .with_label_values(&["unmatched", method, "500"])
                    .observe(began.elapsed().as_secs_f64());
                return Err(panicked(&id, instance, origin).into());
            }
        },
    };
    response = render_problem(response, &id);
    standard_headers(response.headers_mut(), &id);
    if let Some(origin) = origin {
        cors::allow(origin, response.headers_mut());
    }

    let route = response.request().match_pattern().unwrap_or_else(|| "unmatched".to_owned());
    if let Some(named) = response.request().match_info().get("id").filter(|id| id.starts_with("gen_")) {
        span.record("generation_id", named.chars().take(ID_LONGEST).collect::<String>());
    }
    let status = response.status();
    let held = response.response().extensions().get::<Held>().map_or(Duration::ZERO, |held| held.0);
    let took = began.elapsed().saturating_sub(held).as_secs_f64();
    core.metrics.requests.with_label_values(&[route.as_str(), method, status.as_str()]).observe(took);
    span.record("http.route", route.as_str());
    span.record("http.response.status_code", status.as_u16());
    let _within = span.enter();
    if status.is_server_error() {
        tracing::warn!(status = status.as_u16(), "answered");
    } else {
        tracing::debug!(status = status.as_u16(), "answered");
    }
    Ok(response)
}

/// What a handler that panicked is answered with. Its request is gone, so nothing is left to do for it later.
fn panicked(id: &RequestId, instance: String, origin: Option<HeaderValue>) -> ApiError {
    let mut headers = HeaderMap::new();
    standard_headers(&mut headers, id);
    if let Some(origin) = origin {
        cors::allow(origin, &mut headers);
    }
    let error = ApiError::internal().for_request(&id.0, instance);
    headers.into_iter().fold(error, |error, (name, value)| error.header(name, value))
}

fn instance(path: &str) -> String {
    path.chars().take(INSTANCE_LONGEST).collect()
}

/// Errors of ours are rendered with their path; those of the framework are translated by their status.
fn render_problem(response: ServiceResponse<BoxBody>, id: &RequestId) -> ServiceResponse<BoxBody> {
    let Some(error) = response.response().error() else { return response };
    let problem = error.as_error::<ApiError>().cloned().unwrap_or_else(|| translate(response.status()));
    let instance = instance(response.request().path());
    let closes = response.headers().get(header::CONNECTION).is_some_and(|value| value == "close");
    let body = problem.render(&id.0, &instance);
    response.map_body(|head, _| {
        head.status = problem.code().status();
        set_problem_type(&mut head.headers);
        if closes {
            head.set_connection_type(actix_web::http::ConnectionType::Close);
        }
        BoxBody::new(body)
    })
}

fn translate(status: StatusCode) -> ApiError {
    match status {
        StatusCode::NOT_FOUND => ApiError::not_found(),
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(Code::PayloadTooLarge, "The body is too large."),
        status if status.is_client_error() => ApiError::new(Code::MalformedJson, "The request could not be read."),
        _ => ApiError::internal(),
    }
}

fn standard_headers(headers: &mut HeaderMap, id: &RequestId) {
    for (name, value) in STANDARD_HEADERS {
        if !headers.contains_key(name) {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
    }
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        headers.insert(request_id::HEADER, value);
    }
}

/// A client can name any method; a metric cannot.
fn bounded(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "OTHER",
    }
}
