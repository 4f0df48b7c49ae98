//! What all calls of the API have in common, written into each: problems with their codes, headers, and the recorded examples.
//!
//! A handler names the answers that are its own; for a problem it names the codes, as in `(status = 409, description = "already_final")`.
//! Which problems follow from a call's form alone (a body can be too large, an id unknown) is said here, once.

use super::examples;
use crate::idempotency;
use crate::problem::Code;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use utoipa::Modify;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::schema::{AllOfBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, Object, ObjectBuilder, OpenApi, PathItem, Ref, RefOr, Response, ResponseBuilder};

pub(crate) struct Complete;

impl Modify for Complete {
    fn modify(&self, api: &mut OpenApi) {
        let components = api.components.get_or_insert_default();
        components.headers.extend(headers().map(|(name, header)| (name.to_owned(), RefOr::T(header))));
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("son1k_live_…")
            .description(Some("A customer's API key for `/v1`, an operator's for `/admin/v1`."));
        components.security_schemes.insert("bearer".into(), RefOr::T(SecurityScheme::Http(bearer.build())));
        api.security = Some(vec![SecurityRequirement::new::<_, [&str; 0], &str>("bearer", [])]);
        for (path, item) in &mut api.paths.paths {
            for (method, operation) in operations(item) {
                answer(path, method, operation, &mut components.responses);
                examples::show(operation);
            }
        }
    }
}

/// The operations of a path, with their methods.
pub(crate) fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let PathItem { get, post, patch, delete, .. } = item;
    let all = [("GET", get), ("POST", post), ("PATCH", patch), ("DELETE", delete)];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Every answer of one call, whole. Problems are `shared`: each is written down once.
fn answer(path: &str, method: &str, operation: &mut Operation, shared: &mut BTreeMap<String, RefOr<Response>>) {
    let mut problems = problems_by_form(path, method, operation);
    let for_customers = path.starts_with("/v1");
    let by_form: Vec<&str> = headers_by_form(operation).collect();
    let mut named_headers = BTreeMap::new();
    let mut responses = std::mem::take(&mut operation.responses.responses);
    responses.retain(|status, response| {
        let RefOr::T(response) = response else { return true };
        let own: Vec<String> = response.headers.keys().cloned().collect();
        if !status.starts_with(['4', '5']) {
            own.iter().for_each(|name| refer(response, name));
            shared_headers(for_customers).chain(by_form.iter().copied()).for_each(|name| refer(response, name));
            return true;
        }
        let codes = problems.entry(status.clone()).or_default();
        // A name that is none stands out as `internal` where it has no place: a test looks for it.
        let named = response.description.split(", ").map(|name| Code::parse(name).unwrap_or(Code::Internal));
        codes.extend(named);
        named_headers.insert(status.clone(), own);
        false
    });
    for (status, mut codes) in problems {
        codes.sort_by_key(|code| code.name());
        codes.dedup();
        let mut problem = problem(&codes, for_customers);
        let own = named_headers.remove(&status).unwrap_or_default();
        own.iter().for_each(|name| refer(&mut problem, name));
        let names: Vec<&str> = codes.iter().map(|code| code.name()).chain(own.iter().map(String::as_str)).collect();
        let name = format!("{}{}", names.join("."), if for_customers { "" } else { ".operators" });
        responses.insert(status, RefOr::Ref(Ref::from_response_name(&name)));
        shared.insert(name, RefOr::T(problem));
    }
    operation.responses.responses = responses;
}

fn problems_by_form(path: &str, method: &str, operation: &Operation) -> BTreeMap<String, Vec<Code>> {
    let mut codes = vec![Code::Unauthenticated, Code::Forbidden, Code::RateLimited, Code::Internal, Code::Unavailable];
    if path.contains('{') {
        codes.push(Code::NotFound);
    }
    if method != "GET" {
        codes.extend([Code::MalformedJson, Code::RequestTimeout, Code::PayloadTooLarge]);
    }
    if operation.request_body.is_some() {
        codes.extend([Code::UnsupportedMediaType, Code::ValidationFailed]);
    }
    for parameter in parameters(operation) {
        if parameter.parameter_in != ParameterIn::Path && parameter.name != "If-None-Match" {
            codes.push(Code::ValidationFailed);
        }
        // Without a body, two requests with one key are the same request.
        if parameter.name == idempotency::HEADER && operation.request_body.is_some() {
            codes.push(Code::IdempotencyKeyReused);
        }
    }
    let mut by_status = BTreeMap::<String, Vec<Code>>::new();
    for code in codes {
        by_status.entry(code.status().as_str().to_owned()).or_default().push(code);
    }
    by_status
}

fn problem(codes: &[Code], for_customers: bool) -> Response {
    let names: Vec<&str> = codes.iter().map(|code| code.name()).collect();
    let told = codes.iter().map(|code| format!("`{}`: {}.", code.name(), code.title()));
    let one_of = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("code", ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)));
    let schema = AllOfBuilder::new().item(Ref::from_schema_name("Problem")).item(one_of);
    let mut response = ResponseBuilder::new()
        .description(told.collect::<Vec<_>>().join(" "))
        .content("application/problem+json", Content::new(Some(utoipa::openapi::Schema::from(schema.build()))))
        .build();
    let unauthenticated = codes.contains(&Code::Unauthenticated);
    for name in shared_headers(for_customers && !unauthenticated) {
        refer(&mut response, name);
    }
    if unauthenticated {
        refer(&mut response, "WWW-Authenticate");
    }
    if codes.iter().any(|code| code.retry_after()) {
        refer(&mut response, "Retry-After");
    }
    response
}

fn refer(response: &mut Response, name: &str) {
    let header = RefOr::Ref(Ref::new(format!("#/components/headers/{name}")));
    response.headers.insert(name.to_owned(), header);
}

fn shared_headers(limited: bool) -> impl Iterator<Item = &'static str> {
    let rate = ["RateLimit", "RateLimit-Policy", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"];
    ["X-Request-Id"].into_iter().chain(rate.into_iter().filter(move |_| limited))
}

fn headers() -> impl Iterator<Item = (&'static str, Header)> {
    let text = || Object::with_type(Type::String);
    let whole = || ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).build();
    let pattern = |pattern: &str| ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).build();
    [
        ("X-Request-Id", text(), "The request's id: the client's own where it sent a sane one."),
        (
            "RateLimit-Policy",
            pattern(r#"^"tier";q=[0-9]+;w=60$"#),
            "`q` requests in any `w` seconds. Absent where there is no limit.",
        ),
        (
            "RateLimit",
            pattern(r#"^"tier";r=[0-9]+;t=[0-9]+$"#),
            "`r` more pass now; one more than that in `t` seconds.",
        ),
        ("X-RateLimit-Limit", whole(), "The `q` of `RateLimit-Policy`, in the older form."),
        ("X-RateLimit-Remaining", whole(), "The `r` of `RateLimit`, in the older form."),
        ("X-RateLimit-Reset", whole(), "When one more passes, as a Unix time."),
        (
            "Retry-After",
            whole(),
            "Seconds. After a 429: with nothing else sent meanwhile, the next request is accepted.",
        ),
        ("WWW-Authenticate", text(), "`Bearer`"),
        ("Location", text(), "Where what was made is."),
        ("Link", text(), "`rel=\"next\"`: the next page, where there is one."),
        ("ETag", text(), "Changes with whatever a reader can see."),
        ("Preference-Applied", text(), "The `wait` that was granted."),
        ("Idempotency-Replayed", text(), "`true` where this answer is the first one's again."),
    ]
    .into_iter()
    .map(|(name, schema, description)| {
        (name, HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build())
    })
}

/// The headers with which an answer says what became of a parameter.
fn headers_by_form(operation: &Operation) -> impl Iterator<Item = &'static str> {
    parameters(operation).filter_map(|parameter| match parameter.name.as_str() {
        "cursor" => Some("Link"),
        "If-None-Match" => Some("ETag"),
        "Prefer" => Some("Preference-Applied"),
        idempotency::HEADER => Some("Idempotency-Replayed"),
        _ => None,
    })
}

fn parameters(operation: &Operation) -> impl Iterator<Item = &Parameter> {
    operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    })
}

/// The schema of every problem.
pub(crate) fn problem_schema() -> Object {
    let text =
        |description: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(description)).build();
    let whole =
        |description: &str| ObjectBuilder::new().schema_type(Type::Integer).description(Some(description)).build();
    let codes = Code::ALL.map(Code::name);
    let place = ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("One broken rule, by one of `pointer`, `parameter` and `header`."))
        .property("pointer", text("A JSON Pointer into the body."))
        .property("parameter", text("A query parameter."))
        .property("header", text("A request header."))
        .property("detail", text("The rule."))
        .required("detail");
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("An RFC 9457 problem. Write programs against `status` and `code`."))
        .property("type", text("Where this problem is described."))
        .property("title", text("For people."))
        .property("status", ObjectBuilder::new().schema_type(Type::Integer))
        .property("detail", text("For people: the rule, never what was sent."))
        .property("instance", text("The request's path."))
        .property("code", ObjectBuilder::new().schema_type(Type::String).enum_values(Some(codes)))
        .property("request_id", text("For support."))
        .property("retryable", ObjectBuilder::new().schema_type(Type::Boolean).description(Some("Whether the same request may succeed later.")))
        .property("errors", utoipa::openapi::ArrayBuilder::new().items(place))
        .property("used", whole("This month's generations (`monthly_quota_exhausted`)."))
        .property("limit", whole("How many the month allows (`monthly_quota_exhausted`)."))
        .property("resets_at", text("When the next month begins (`monthly_quota_exhausted`)."))
        .property("reserved", whole("Credits that return if their generations fail (`credits_exhausted`)."))
        .property("generation_status", text("How it ended (`already_final`)."))
        .property("generation", text("The path of a generation that may exist (`unavailable`)."))
        .required("type").required("title").required("status").required("detail").required("instance")
        .required("code").required("request_id").required("retryable")
        .examples([json!({
            "type": Code::NotFound.type_path(), "title": Code::NotFound.title(), "status": 404,
            "detail": "There is nothing here that this key may see.", "instance": "/v1/generations/gen_01h455vb4pex5vsknk084sn02q",
            "code": "not_found", "request_id": "5f3c1c7d0b8e4f6a9c2d1e0f3a4b5c6d", "retryable": false,
        })] as [Value; 1])
        .build()
}
