//! In, with an admin key, and out again.

use super::form::Form;
use super::gate::{comes_from_us, foreign, is_secure};
use super::session::forgotten;
use super::shell;
use crate::address::ClientAddress;
use crate::authenticate::Identity;
use crate::core::Core;
use crate::limit::seconds;
use crate::problem::{ApiError, Code};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use maud::html;

/// A page was asked for without a session: log in, then go on to it.
pub(super) fn first(path: &str, partial: bool) -> HttpResponse {
    let to = format!("/console/login?next={}", crate::page::percent(path));
    if partial {
        return HttpResponse::Ok().insert_header(("hx-redirect", to)).finish();
    }
    HttpResponse::SeeOther().insert_header((header::LOCATION, to)).finish()
}

fn asked_for(text: &str) -> &str {
    let ours = text.starts_with("/console") && !text.contains("//") && text.bytes().all(|b| b.is_ascii_graphic());
    if ours { text } else { "/console" }
}

fn form(status: StatusCode, next: &str, wrong: Option<&str>) -> HttpResponse {
    let body = html! {
        main.login {
            img.mark src=(super::assets::path("icon.svg")) alt="" width="44" height="44";
            h1 { "Son1k console" }
            p.quiet { "For operators. Log in with the admin key of this installation." }
            form method="post" action="/console/login" {
                input type="hidden" name="next" value=(next);
                label for="key" { "Admin key" }
                input #key type="password" name="key" required autocomplete="current-password" spellcheck="false"
                    aria-invalid=[wrong.map(|_| "true")] aria-describedby=[wrong.map(|_| "wrong")];
                @if let Some(wrong) = wrong { p #wrong .wrong role="alert" { (wrong) } }
                button.primary type="submit" { "Log in" }
            }
            p.quiet.small { "It is in " code { "ADMIN_API_KEY" } ", or with " code { "son1k up" } " in the file "
                code { "secrets/admin_api_key" } " of the data folder." }
        }
    };
    shell::bare(status, "Log in", &body)
}

pub(super) async fn page(request: HttpRequest) -> HttpResponse {
    let query = Form::read(request.query_string().as_bytes());
    form(StatusCode::OK, asked_for(query.get("next")), None)
}

/// The key is checked as for `/admin/v1`; wrong ones count against the client's address.
pub(super) async fn enter(
    core: web::Data<Core>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse, ApiError> {
    if !comes_from_us(request.headers()) {
        return Ok(foreign());
    }
    let sent = Form::read(&body);
    let next = asked_for(sent.get("next"));
    let mut headers = HeaderMap::new();
    if let Ok(bearer) = HeaderValue::from_str(&format!("Bearer {}", sent.get("key").trim())) {
        headers.insert(header::AUTHORIZATION, bearer);
    }
    match core.authenticator.identify(&headers).await {
        Ok(Identity::Operator) => {}
        Ok(Identity::Customer(_)) => {
            return Ok(form(
                StatusCode::FORBIDDEN,
                next,
                Some("This is a customer's key. The console takes an admin key."),
            ));
        }
        Err(error) if error.code() == Code::Unauthenticated => {
            let address = request.extensions().get::<ClientAddress>().copied();
            if let Some(Err(wait)) = address.map(|address| core.strangers.count(address)) {
                let wait = format!("Too many tries from this address. Try again in {} s.", seconds(wait));
                return Ok(form(StatusCode::TOO_MANY_REQUESTS, next, Some(&wait)));
            }
            return Ok(form(StatusCode::UNAUTHORIZED, next, Some("No operator has this key.")));
        }
        Err(error) => return Err(error),
    }
    let now = core.backends.clock.now().timestamp();
    let session = core.console.sessions.begin(now);
    let cookie = core.console.sessions.cookie(&session, now, is_secure(request.headers()));
    Ok(HttpResponse::SeeOther()
        .insert_header((header::LOCATION, next))
        .insert_header((header::SET_COOKIE, cookie))
        .finish())
}

pub(super) async fn leave(request: HttpRequest) -> HttpResponse {
    let cookie = forgotten(is_secure(request.headers()));
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, "/console/login"))
        .insert_header((header::SET_COOKIE, cookie))
        .finish()
}
