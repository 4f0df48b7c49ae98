//! What goes wrong, as RFC 9457 problems: one stable code each, explained in `docs/errors.md`.
//!
//! An [`ApiError`] is made where the rule is known and rendered once, by [`crate::observe`], which adds the request's id and path. Details
//! state the rule and never repeat what was sent.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use domain::ports::StoreError;
use domain::ports::doorbell::DoorbellError;
use domain::ports::pool::PoolError;
use domain::request::{Place, Violation};
use domain::state::Status;
use serde_json::{Map, Value, json};
use std::fmt;

/// Every code that this API answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    MalformedJson,
    Unauthenticated,
    CreditsExhausted,
    MonthlyQuotaExhausted,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    AlreadyFinal,
    NotFinal,
    IdempotencyInProgress,
    PayloadTooLarge,
    UnsupportedMediaType,
    ValidationFailed,
    TierLimitExceeded,
    IdempotencyKeyReused,
    RateLimited,
    Internal,
    Overloaded,
    Unavailable,
}

impl Code {
    pub const ALL: [Self; 20] = [
        Self::MalformedJson,
        Self::Unauthenticated,
        Self::CreditsExhausted,
        Self::MonthlyQuotaExhausted,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::AlreadyFinal,
        Self::NotFinal,
        Self::IdempotencyInProgress,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::ValidationFailed,
        Self::TierLimitExceeded,
        Self::IdempotencyKeyReused,
        Self::RateLimited,
        Self::Internal,
        Self::Overloaded,
        Self::Unavailable,
    ];

    /// Name, status, title, and whether the same request may succeed later.
    const fn facts(self) -> (&'static str, StatusCode, &'static str, bool) {
        use StatusCode as S;
        match self {
            Self::MalformedJson => ("malformed_json", S::BAD_REQUEST, "The body is not JSON", false),
            Self::Unauthenticated => ("unauthenticated", S::UNAUTHORIZED, "A valid API key is required", false),
            Self::CreditsExhausted => ("credits_exhausted", S::PAYMENT_REQUIRED, "No credits left", false),
            Self::MonthlyQuotaExhausted => {
                ("monthly_quota_exhausted", S::PAYMENT_REQUIRED, "This month's generations are used up", false)
            }
            Self::Forbidden => ("forbidden", S::FORBIDDEN, "This key may not do that", false),
            Self::NotFound => ("not_found", S::NOT_FOUND, "Not found", false),
            Self::MethodNotAllowed => {
                ("method_not_allowed", S::METHOD_NOT_ALLOWED, "This resource has no such method", false)
            }
            Self::RequestTimeout => ("request_timeout", S::REQUEST_TIMEOUT, "The body did not arrive in time", true),
            Self::AlreadyFinal => ("already_final", S::CONFLICT, "The generation has ended", false),
            Self::NotFinal => ("not_final", S::CONFLICT, "The generation has not ended", true),
            Self::IdempotencyInProgress => {
                ("idempotency_in_progress", S::CONFLICT, "The first request with this key is under way", true)
            }
            Self::PayloadTooLarge => ("payload_too_large", S::PAYLOAD_TOO_LARGE, "The body is too large", false),
            Self::UnsupportedMediaType => {
                ("unsupported_media_type", S::UNSUPPORTED_MEDIA_TYPE, "The body's type is not supported", false)
            }
            Self::ValidationFailed => {
                ("validation_failed", S::UNPROCESSABLE_ENTITY, "The request breaks a rule", false)
            }
            Self::TierLimitExceeded => {
                ("tier_limit_exceeded", S::UNPROCESSABLE_ENTITY, "More than the account's tier allows", false)
            }
            Self::IdempotencyKeyReused => (
                "idempotency_key_reused",
                S::UNPROCESSABLE_ENTITY,
                "The idempotency key was used for another request",
                false,
            ),
            Self::RateLimited => ("rate_limited", S::TOO_MANY_REQUESTS, "Too many requests", true),
            Self::Internal => ("internal", S::INTERNAL_SERVER_ERROR, "An error of ours", true),
            Self::Overloaded => ("overloaded", S::SERVICE_UNAVAILABLE, "Too much is waiting", true),
            Self::Unavailable => ("unavailable", S::SERVICE_UNAVAILABLE, "Unavailable for the moment", true),
        }
    }

    pub const fn name(self) -> &'static str {
        self.facts().0
    }

    pub const fn status(self) -> StatusCode {
        self.facts().1
    }

    pub(crate) const fn title(self) -> &'static str {
        self.facts().2
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.name() == name)
    }

    /// Whether its answers carry `Retry-After`.
    pub(crate) const fn retry_after(self) -> bool {
        matches!(self, Self::IdempotencyInProgress | Self::RateLimited | Self::Overloaded | Self::Unavailable)
    }

    /// Where this problem is described: a stable path.
    pub fn type_path(self) -> String {
        format!("/problems/{}", self.name().replace('_', "-"))
    }
}

/// At most this many violations are named in one answer.
const VIOLATIONS_MOST: usize = 50;

/// One refused or failed request.
#[derive(Debug, Clone)]
pub(crate) struct ApiError(Box<Problem>);

#[derive(Debug, Clone)]
struct Problem {
    code: Code,
    detail: String,
    members: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Of the request, where the observer is passed by.
    request: Option<(String, String)>,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code.name(), self.0.detail)
    }
}

impl ApiError {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        let (members, headers) = (Map::new(), Vec::new());
        Self(Box::new(Problem { code, detail: detail.into(), members, headers, request: None }))
    }

    /// Adds a member to the problem.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Seconds, at least 1.
    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// Whole by itself: with the request's id and path.
    pub(crate) fn for_request(mut self, id: &str, instance: String) -> Self {
        self.0.request = Some((id.to_owned(), instance));
        self
    }

    /// For people: the rule, and each place that breaks it.
    pub(crate) fn explanation(&self) -> String {
        let errors = self.0.members.get("errors").and_then(Value::as_array).into_iter().flatten();
        let mut text = self.0.detail.clone();
        for error in errors {
            let place =
                ["pointer", "parameter", "header"].iter().find_map(|kind| error[*kind].as_str()).unwrap_or_default();
            text.push_str(&format!(
                " {} {}.",
                place.trim_start_matches('/'),
                error["detail"].as_str().unwrap_or_default()
            ));
        }
        text
    }

    pub(crate) const fn code(&self) -> Code {
        self.0.code
    }

    pub(crate) fn not_found() -> Self {
        Self::new(Code::NotFound, "There is nothing here that this key may see.")
    }

    pub(crate) fn unauthenticated() -> Self {
        Self::new(Code::Unauthenticated, "Send a valid key as `Authorization: Bearer <api key>`.")
            .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        Self::new(Code::MethodNotAllowed, "See the Allow header for what this resource takes.")
            .header(header::ALLOW, HeaderValue::from_static(allow))
    }

    pub(crate) fn internal() -> Self {
        Self::new(Code::Internal, "Something went wrong on our side; it has been logged under this request's id.")
    }

    pub(crate) fn unavailable(detail: &str) -> Self {
        Self::new(Code::Unavailable, detail).retry_after(1)
    }

    pub(crate) fn overloaded(detail: &str, seconds: u64) -> Self {
        Self::new(Code::Overloaded, detail).retry_after(seconds)
    }

    pub(crate) fn already_final(status: Status) -> Self {
        let status = status.name();
        Self::new(Code::AlreadyFinal, format!("It has ended already: {status}.")).with("generation_status", status)
    }

    pub(crate) fn invalid(violations: Vec<Violation>) -> Self {
        Self::new(Code::ValidationFailed, "Each broken rule is named in `errors`.").violations(violations)
    }

    pub(crate) fn violations(self, violations: Vec<Violation>) -> Self {
        let errors: Vec<Value> = violations
            .into_iter()
            .take(VIOLATIONS_MOST)
            .map(|Violation { place, detail }| match place {
                Place::Pointer(pointer) => json!({"pointer": pointer, "detail": detail}),
                Place::Parameter(name) => json!({"parameter": name, "detail": detail}),
                Place::Header(name) => json!({"header": name, "detail": detail}),
            })
            .collect();
        self.with("errors", errors)
    }

    pub(crate) fn bad_header(name: &'static str, detail: impl Into<String>) -> Self {
        Self::invalid(vec![Violation { place: Place::Header(name), detail: detail.into() }])
    }

    /// The problem's JSON. `instance`: the request's path.
    pub(crate) fn render(&self, request_id: &str, instance: &str) -> String {
        let (name, status, title, retryable) = self.0.code.facts();
        let mut problem = Map::new();
        problem.insert("type".into(), self.0.code.type_path().into());
        problem.insert("title".into(), title.into());
        problem.insert("status".into(), status.as_u16().into());
        problem.insert("detail".into(), self.0.detail.clone().into());
        problem.insert("instance".into(), instance.into());
        problem.insert("code".into(), name.into());
        problem.insert("request_id".into(), request_id.into());
        problem.insert("retryable".into(), retryable.into());
        problem.extend(self.0.members.clone());
        Value::Object(problem).to_string()
    }
}

pub(crate) fn set_problem_type(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.0.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::new(self.status_code());
        set_problem_type(response.headers_mut());
        for (name, value) in &self.0.headers {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        // The observer renders the body anew with the path; this one is for errors that pass it by.
        let (id, instance) = self.0.request.as_ref().map_or(("", ""), |(id, instance)| (id, instance));
        response.set_body(actix_web::body::BoxBody::new(self.render(id, instance)))
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unavailable(_) | StoreError::InDoubt(_) => {
                tracing::warn!(%error, "a store call failed");
                Self::unavailable("The ledger does not answer for the moment.")
            }
            StoreError::Corrupt(_) => {
                tracing::error!(%error, "a store call failed");
                Self::internal()
            }
        }
    }
}

impl From<DoorbellError> for ApiError {
    fn from(error: DoorbellError) -> Self {
        tracing::warn!(%error, "a call of the doorbell failed");
        Self::unavailable("The message broker does not answer for the moment.")
    }
}

impl From<PoolError> for ApiError {
    fn from(error: PoolError) -> Self {
        match &error {
            PoolError::Unavailable(_) => {
                tracing::warn!(%error, "a call of the token pool failed");
                Self::unavailable("The token pool does not answer for the moment.")
            }
            PoolError::Denied(_) | PoolError::Internal(_) => {
                tracing::error!(%error, "a call of the token pool failed");
                Self::internal()
            }
        }
    }
}
