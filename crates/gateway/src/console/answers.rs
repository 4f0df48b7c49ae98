//! Answers of `/admin/v1` as pages: those that are one call, and what a change has to show.

use super::form::Form;
use super::session::Session;
use super::shell::{self, Press, heading};
use super::words::count;
use super::{dead, scaling};
use crate::problem::ApiError;
use actix_web::body::{BoxBody, MessageBody, to_bytes_limited};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Uri;
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse};
use maud::{Markup, html};
use serde_json::Value;

/// An answer beyond this is not shown.
const ANSWER_LARGEST: usize = 4 * 1024 * 1024;

/// A page that is one call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Scaling,
    Dead,
    Books,
}

pub(super) fn concerns(path: &str) -> Option<Answer> {
    match path {
        "/console/scaling" => Some(Answer::Scaling),
        "/console/dead" => Some(Answer::Dead),
        "/console/ledger" => Some(Answer::Books),
        _ => None,
    }
}

pub(super) async fn answer(
    answer: Answer,
    session: &Session,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let query = request.query_string().to_owned();
    let target = match answer {
        Answer::Scaling => "/admin/v1/scaling".to_owned(),
        Answer::Books => "/admin/v1/ledger/verify".to_owned(),
        Answer::Dead => {
            let form = Form::read(query.as_bytes());
            let cursor = form.get("cursor");
            if cursor.is_empty() {
                "/admin/v1/queue/dead".to_owned()
            } else {
                format!("/admin/v1/queue/dead?cursor={}", crate::page::percent(cursor))
            }
        }
    };
    if let Ok(uri) = target.parse::<Uri>() {
        request.head_mut().uri = uri.clone();
        request.match_info_mut().get_mut().update(&uri);
    }
    let response = next.call(request).await?.map_into_boxed_body();
    let (request, response) = response.into_parts();
    let error = response.error().map(|error| error.as_error::<ApiError>().cloned().unwrap_or_else(ApiError::internal));
    let told = match error {
        Some(error) => Err(error),
        None => Ok(json(response).await),
    };
    let said = shell::said_in(&query);
    let page = match answer {
        Answer::Scaling => scaling::page(session, told),
        Answer::Dead => dead::page(session, told, &said),
        Answer::Books => books(session, told),
    };
    Ok(ServiceResponse::new(request, page))
}

pub(super) async fn json(response: HttpResponse) -> Value {
    let body = to_bytes_limited(response.into_body(), ANSWER_LARGEST).await.ok().and_then(Result::ok);
    body.and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or_default()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// A page for an answer with something that is not seen elsewhere: a key that is shown once, what became of tokens, a bulk's numbers.
pub(super) fn worth_showing(value: &Value, form: &Form, session: &Session, back: &str) -> Option<HttpResponse> {
    let (title, body) = if value["key"].is_string() {
        ("A new key", key(value))
    } else if value["matched"].is_u64() {
        ("Many at once", bulk(value, form, session, back))
    } else if value["data"][0]["result"].is_string() {
        ("Imported", imported(value))
    } else {
        return None;
    };
    let body = html! { (heading(title, &html! {})) (body) p { a.button href=(back) { "Go back" } } };
    Some(shell::page(title, "", session, &body))
}

fn key(value: &Value) -> Markup {
    html! {
        p.notice.warn { strong { "Copy it now. " } "It is shown here alone; only a hash of it is kept." }
        label for="made" { "The key “" (text(value, "name")) "”" }
        div.copy { input #made.mono readonly value=(text(value, "key")); button type="button" data-copy="made" { "Copy" } }
        @if let Some(ends) = value["replaces"]["revoked_at"].as_str() { p.quiet { "The old one works until " (ends) "." } }
    }
}

fn imported(value: &Value) -> Markup {
    let outcomes = value["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of = |result: &str| outcomes.iter().filter(|one| one["result"] == result).count() as u64;
    html! {
        ul.plain-list {
            li { strong { (count(of("imported"))) } " imported" }
            li { strong { (count(of("duplicate"))) } " were known already" }
            li { strong { (count(of("refused"))) } " refused" @if of("refused") > 0 { ": the pool is full (" code { "MAX_TOKENS" } ")" } }
        }
    }
}

fn bulk(value: &Value, form: &Form, session: &Session, back: &str) -> Markup {
    let number = |name: &str| count(value[name].as_u64().unwrap_or_default());
    let retry = text(value, "action") == "retry";
    let more = value["more"].as_bool().unwrap_or_default();
    let said: Vec<(&str, &str)> =
        form.fields().filter(|(name, _)| !["dry_run:flag", "cursor"].contains(name)).collect();
    let filters = said.iter().filter(|(name, value)| name.starts_with("filter.") && !value.is_empty());
    let filters: Vec<String> = filters
        .map(|(name, value)| format!("{} {value}", name.trim_start_matches("filter.").replace('_', " ")))
        .collect();
    html! {
        p { "Of: " strong { @if filters.is_empty() { "all generations" } @else { (filters.join(", ")) } } }
        @if value["dry_run"] == true {
            p.big { strong { (number("matched")) } @if more { " or more" } @if retry { " would be submitted anew, charged as one each." } @else { " would be canceled and refunded." } }
            @if more { p.quiet { "One press takes at most 1,000, the newest first, and then offers the rest." } }
            @if value["matched"].as_u64().unwrap_or_default() > 0 {
                (Press {
                    call: "generations/bulk".to_owned(), method: "POST", class: "danger", back, said: "",
                    label: if retry { "Submit them anew" } else { "Cancel them" }, sure: None,
                }.show(session, &html! { @for (name, value) in &said { input type="hidden" name=(name) value=(value); } }))
            }
        } @else {
            p.big { strong { (number("changed")) } @if retry { " submitted anew." } @else { " canceled." } }
            @if value["refused"].as_u64().unwrap_or_default() > 0 {
                p.notice.warn { (number("refused")) " could not be: no credits, the month is used up, or the account is suspended." }
            }
            @if more {
                p.notice.warn { "There are more." }
                (Press {
                    call: "generations/bulk".to_owned(), method: "POST", class: "danger", back, said: "",
                    label: "Go on with the rest", sure: None,
                }.show(session, &html! {
                    @for (name, value) in &said { input type="hidden" name=(name) value=(value); }
                    input type="hidden" name="cursor" value=(text(value, "next"));
                }))
            }
        }
    }
}

fn books(session: &Session, told: Result<Value, ApiError>) -> HttpResponse {
    let body = html! {
        (heading("Books", &html! {}))
        p.quiet { "Every balance against its entries, what is reserved against what runs, every debit and refund, added up just now." }
        @match told {
            Err(error) => (shell::missing("The verification", &error)),
            Ok(value) => {
                @if value["ok"] == true {
                    p.notice.good { "The books of " strong { (count(value["accounts"].as_u64().unwrap_or_default())) } " accounts add up." }
                } @else {
                    p.notice.bad { strong { "They do not add up. " } "Stop changing credits by hand, keep the logs, and look at each account's entries." }
                    table {
                        thead { tr { th { "Account" } th { "What is wrong" } } }
                        tbody {
                            @for one in value["discrepancies"].as_array().into_iter().flatten() {
                                tr {
                                    td data-label="Account" { a.mono href=(format!("/console/accounts/{}", text(one, "account_id"))) { (text(one, "account_id")) } }
                                    td data-label="Wrong" { (text(one, "detail")) }
                                }
                            }
                        }
                    }
                }
            }
        }
    };
    shell::page("Books", "/console/ledger", session, &body)
}
