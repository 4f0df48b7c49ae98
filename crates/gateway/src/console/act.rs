//! Changes: a form under `/console/act/…` becomes the `/admin/v1/…` call that it stands for, in the same process.
//!
//! The path is rewritten before routing, so that the call's own parser, audit trail and replay are what decides. The form's `_key` is its
//! idempotency key: pressed twice, done once. Afterwards the browser is sent back to the page it came from (`_back`), except where the
//! answer has something to show.

use super::form::Form;
use super::gate::foreign;
use super::session::Session;
use super::{answers, shell};
use crate::admit::Customer;
use crate::authenticate::Identity;
use crate::core::Core;
use crate::page::percent;
use crate::problem::{ApiError, Code};
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, Uri};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, BytesMut};
use actix_web::{Error, HttpMessage, HttpResponse};
use futures::StreamExt;
use std::time::Duration;

const PREFIX: &str = "/console/act/";
/// A thousand tokens with room to spare.
const FORM_LARGEST: usize = 1024 * 1024;
const FORM_ARRIVES_WITHIN: Duration = Duration::from_secs(8);

async fn read(request: &mut ServiceRequest) -> Result<Form, ApiError> {
    let mut payload = request.take_payload();
    let arrive = async {
        let mut body = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| ApiError::new(Code::MalformedJson, "The form ended before its end."))?;
            if body.len() + chunk.len() > FORM_LARGEST {
                return Err(ApiError::new(Code::PayloadTooLarge, "That is too much for one form."));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Form::read(&body))
    };
    let late = |_| Err(ApiError::new(Code::RequestTimeout, "The form did not arrive in time."));
    tokio::time::timeout(FORM_ARRIVES_WITHIN, arrive).await.unwrap_or_else(late)
}

/// A POST of the console, by somebody with a session.
pub(super) async fn act(
    core: &Core,
    session: &Session,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let form = match read(&mut request).await {
        Ok(form) => form,
        Err(error) => return Ok(request.into_response(shell::error(&error, Some(session)))),
    };
    if !session.made(form.get("_csrf")) {
        return Ok(request.into_response(foreign()));
    }
    let path = request.match_info().as_str().to_owned();
    let Some(call) = path.strip_prefix(PREFIX) else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    if let Err(error) = rewrite(core, &mut request, call, &form).await {
        return Ok(request.into_response(shell::error(&error, Some(session))));
    }
    let response = next.call(request).await?.map_into_boxed_body();
    let (request, response) = response.into_parts();
    let shown = answered(response, &form, session).await;
    Ok(ServiceResponse::new(request, shown))
}

async fn rewrite(core: &Core, request: &mut ServiceRequest, call: &str, form: &Form) -> Result<(), ApiError> {
    let target = if call == "playground" { format!("{PREFIX}{call}") } else { format!("/admin/v1/{call}") };
    let uri: Uri = target.parse().map_err(|_| ApiError::not_found())?;
    let method = match form.get("_method") {
        "DELETE" => Method::DELETE,
        "PATCH" => Method::PATCH,
        _ => Method::POST,
    };
    if call == "playground" {
        let customer = system(core).await?;
        request.extensions_mut().insert(customer);
    }
    let bodied = form.fields().next().is_some();
    let body = if bodied { Bytes::from(form.body().to_string()) } else { Bytes::new() };
    let head = request.head_mut();
    head.method = method;
    head.uri = uri.clone();
    head.headers.remove(header::TRANSFER_ENCODING);
    head.headers.remove(header::CONTENT_TYPE);
    head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    if bodied {
        head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Ok(key) = HeaderValue::from_str(form.get("_key"))
        && !key.is_empty()
    {
        head.headers.insert(header::HeaderName::from_static("idempotency-key"), key);
    }
    request.match_info_mut().get_mut().update(&uri);
    request.set_payload(body.into());
    Ok(())
}

/// The playground submits as the operator's own account, which pays nothing and has no limit.
async fn system(core: &Core) -> Result<Customer, ApiError> {
    let mut headers = HeaderMap::new();
    let bearer = format!("Bearer {}", core.settings.system_key.reveal());
    let bearer = HeaderValue::from_str(&bearer).map_err(|_| ApiError::internal())?;
    headers.insert(header::AUTHORIZATION, bearer);
    match core.authenticator.identify(&headers).await? {
        Identity::Customer(principal) => Ok(Customer { principal, rate: None }),
        Identity::Operator => Err(ApiError::internal()),
    }
}

/// Only places of our own; anything else goes to the overview.
fn back(form: &Form) -> String {
    let asked = form.get("_back");
    let ours = asked.starts_with("/console") && !asked.contains("//") && asked.bytes().all(|b| b.is_ascii_graphic());
    if ours { asked.to_owned() } else { "/console".to_owned() }
}

async fn answered(response: HttpResponse, form: &Form, session: &Session) -> HttpResponse {
    let status = response.status();
    if !status.is_success() {
        let error = response.error().and_then(|error| error.as_error::<ApiError>().cloned());
        return shell::error_with_way_back(&error.unwrap_or_else(ApiError::internal), Some(session), &back(form));
    }
    let value = answers::json(response).await;
    if let Some(page) = answers::worth_showing(&value, form, session, &back(form)) {
        return page;
    }
    let mut to = back(form);
    if form.get("_open") == "new"
        && let Some(id) = value["id"].as_str()
    {
        to = format!("{to}/{id}");
    }
    let (place, query) = to.split_once('?').unwrap_or((&to, ""));
    let rest: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("said=")).collect();
    let said = format!("said={}", percent(form.get("_said")));
    let to = format!("{place}?{}", rest.into_iter().chain([said.as_str()]).collect::<Vec<_>>().join("&"));
    HttpResponse::SeeOther().insert_header((header::LOCATION, to)).finish()
}
