//! What every page has around it: head, navigation, the word of what was just done, errors, small parts used everywhere.

use super::assets;
use super::form::Form;
use super::gate::policy;
use super::session::Session;
use crate::problem::{ApiError, Code};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};
use maud::{DOCTYPE, Markup, html};

/// No evaluation, no inline styles, no other host, no copies of pages in the browser's storage.
const HTMX: &str = r#"{"allowEval":false,"includeIndicatorStyles":false,"selfRequestsOnly":true,"historyCacheSize":0,"timeout":10000}"#;

const PAGES: [(&str, &str); 9] = [
    ("/console", "Overview"),
    ("/console/generations", "Generations"),
    ("/console/accounts", "Accounts"),
    ("/console/tokens", "Tokens"),
    ("/console/dead", "Dead letters"),
    ("/console/scaling", "Scaling"),
    ("/console/audit", "Audit"),
    ("/console/ledger", "Books"),
    ("/console/playground", "Playground"),
];

fn document(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="htmx-config" content=(HTMX);
                title { (title) " · Son1k" }
                link rel="icon" type="image/svg+xml" href=(assets::path("icon.svg"));
                link rel="stylesheet" href=(assets::path("console.css"));
                script src=(assets::path("htmx.min.js")) defer {}
                script src=(assets::path("console.js")) defer {}
            }
            body { (body) }
        }
    };
    page.into_string()
}

fn answer(status: StatusCode, text: String) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    response.insert_header(policy());
    // With the usual `no-referrer` a browser says of our own forms that they come from nowhere.
    response.insert_header((header::REFERRER_POLICY, "same-origin"));
    response.insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8")).body(text)
}

/// A page without navigation.
pub(super) fn bare(status: StatusCode, title: &str, body: &Markup) -> HttpResponse {
    answer(status, document(title, body))
}

/// `here`: the path of its entry in the navigation.
pub(super) fn page(title: &str, here: &str, session: &Session, body: &Markup) -> HttpResponse {
    framed(StatusCode::OK, title, here, session, body)
}

fn framed(status: StatusCode, title: &str, here: &str, session: &Session, body: &Markup) -> HttpResponse {
    let body = html! {
        a.skip href="#main" { "Skip to content" }
        header.side {
            a.brand href="/console" aria-label="Son1k" { img src=(assets::path("icon.svg")) alt="" width="26" height="26"; span { "Son1k" } }
            nav aria-label="Console" {
                @for (path, name) in PAGES {
                    a href=(path) aria-current=[(path == here).then_some("page")] { (name) }
                }
            }
            form.leave method="post" action="/console/logout" { (csrf(session)) button.plain type="submit" { "Log out" } }
        }
        main #main tabindex="-1" {
            div #lost .notice.bad role="alert" hidden {
                "The gateway does not answer. What you see is from " span #lost-since { "before" } "; trying again."
            }
            (body)
        }
    };
    answer(status, document(title, &body))
}

/// The heading of a page, with what stands beside it.
pub(super) fn heading(title: &str, beside: &Markup) -> Markup {
    html! { div.heading { h1 { (title) } div.beside { (beside) } } }
}

/// Tells what was just done, from the address that [`super::act`] sent the browser to.
pub(super) fn said(request: &HttpRequest) -> Markup {
    said_in(request.query_string())
}

pub(super) fn said_in(query: &str) -> Markup {
    let query = Form::read(query.as_bytes());
    let text = match query.get("said") {
        "canceled" => "Canceled, and its credit returned.",
        "retried" => "Submitted anew. This is the new generation.",
        "changed" => "Changed. In force on every gateway within 5 s.",
        "made" => "Made.",
        "credited" => "Credits added.",
        "revoked" => "Revoked. In force on every gateway within 5 s.",
        "disabled" => "Disabled. What it renders goes on.",
        "reinstated" => "Reinstated.",
        "deleted" => "Deleted.",
        "paused" => "Paused: nothing more is claimed; what runs goes on.",
        "resumed" => "Resumed.",
        "draining" => "Asked to drain. It hears it with its next heartbeat.",
        "requeued" => "Rung again.",
        "submitted" => "Submitted. It plays here when it is done.",
        _ => return html! {},
    };
    html! { p.notice.good role="status" { (text) } }
}

pub(super) fn csrf(session: &Session) -> Markup {
    html! { input type="hidden" name="_csrf" value=(session.csrf); }
}

/// What every form of a change carries: where from, what to say after it, and the key that lets it be pressed twice.
pub(super) fn change(session: &Session, back: &str, said: &str) -> Markup {
    html! {
        (csrf(session))
        input type="hidden" name="_key" value=(format!("{:032x}", rand::random::<u128>()));
        input type="hidden" name="_back" value=(back);
        input type="hidden" name="_said" value=(said);
    }
}

/// A change of one press. `sure`: what is asked before it.
pub(super) struct Press<'a> {
    pub(super) call: String,
    pub(super) method: &'static str,
    pub(super) label: &'a str,
    pub(super) class: &'a str,
    pub(super) sure: Option<&'a str>,
    pub(super) back: &'a str,
    pub(super) said: &'a str,
}

impl Press<'_> {
    pub(super) fn show(&self, session: &Session, more: &Markup) -> Markup {
        html! {
            form.press method="post" action=(format!("/console/act/{}", self.call)) data-sure=[self.sure] {
                (change(session, self.back, self.said))
                input type="hidden" name="_method" value=(self.method);
                (more)
                button class=(self.class) type="submit" { (self.label) }
            }
        }
    }
}

/// Where a part of a page would be.
pub(super) fn missing(what: &str, error: &ApiError) -> Markup {
    html! { p.notice.bad role="status" { strong { (what) " could not be loaded. " } (error.explanation()) } }
}

pub(super) fn pill(kind: &str, text: &str) -> Markup {
    html! { span class=(format!("pill {kind}")) { (text) } }
}

/// `to`: the page that follows.
pub(super) fn more(to: Option<String>, label: &str) -> Markup {
    html! { @if let Some(to) = to { nav.more aria-label="Pages" { a.button href=(to) { (label) } } } }
}

pub(super) fn error(error: &ApiError, session: Option<&Session>) -> HttpResponse {
    error_with_way_back(error, session, "/console")
}

pub(super) fn error_with_way_back(error: &ApiError, session: Option<&Session>, back: &str) -> HttpResponse {
    let title = if error.code() == Code::NotFound { "There is nothing here" } else { error.code().title() };
    let body = html! {
        (heading(title, &html! {}))
        p.notice.bad role="alert" { (error.explanation()) }
        p { a.button href=(back) { "Go back" } }
    };
    match session {
        Some(session) => framed(error.code().status(), title, "", session, &body),
        None => bare(error.code().status(), title, &html! { main.login { (body) } }),
    }
}
