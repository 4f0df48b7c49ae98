//! The pool of upstream tokens: its numbers, its tokens without their secrets, and what can be done with each.

use super::form::Form;
use super::overview::pool_bar;
use super::session::Session;
use super::shell::{self, Press, change, heading, pill};
use super::words::{ago, count};
use crate::core::Core;
use crate::page::{cursor, parse_cursor, percent};
use actix_web::{HttpRequest, HttpResponse, web};
use domain::Timestamp;
use domain::page::Page;
use domain::token::{TokenState, TokenView};
use maud::{Markup, html};

const HERE: &str = "/console/tokens";
const ROWS: u16 = 100;

pub(super) async fn page(core: web::Data<Core>, session: Session, request: HttpRequest) -> HttpResponse {
    let asked = Form::read(request.query_string().as_bytes());
    let (wanted, after) = (TokenState::parse(asked.get("state")), parse_cursor(asked.get("cursor")));
    let (pool, tokens) = futures::join!(core.call(core.token_admin.stats()), core.call(core.token_admin.list()));
    let now = core.backends.clock.now();
    let body = html! {
        (heading("Upstream tokens", &html! {}))
        (shell::said(&request))
        section.card { @match &pool { Ok(pool) => (pool_bar(pool)), Err(error) => (shell::missing("The pool", error)) } }
        nav.tabs aria-label="States" {
            a href=(HERE) aria-current=[wanted.is_none().then_some("true")] { "all" }
            @for state in TokenState::ALL { a href=(format!("{HERE}?state={}", state.name())) aria-current=[(wanted == Some(state)).then_some("true")] { (state.name()) } }
        }
        @match tokens {
            Err(error) => (shell::missing("The tokens", &error)),
            Ok(all) => (list(&session, all, wanted, after, now)),
        }
        (import(&session))
    };
    shell::page("Tokens", HERE, &session, &body)
}

fn list(
    session: &Session,
    mut all: Vec<TokenView>,
    wanted: Option<TokenState>,
    after: Option<uuid::Uuid>,
    now: Timestamp,
) -> Markup {
    all.sort_unstable_by_key(|token| std::cmp::Reverse(token.id));
    let fits = |token: &TokenView| {
        wanted.is_none_or(|state| token.state == state) && after.is_none_or(|after| token.id.uuid() < after)
    };
    let rows: Vec<TokenView> = all.into_iter().filter(fits).take(usize::from(ROWS) + 1).collect();
    let page = Page::from_rows(rows, ROWS, |token| token.id.uuid());
    let state = wanted.map_or("", TokenState::name);
    html! {
        @if page.items.is_empty() { p.empty { "None." } } @else {
            table {
                thead { tr { th { "Token" } th { "State" } th { "Leases" } th { "Made" } th { span.hidden { "Actions" } } } }
                tbody { @for token in &page.items { (row(session, token, now)) } }
            }
        }
        (shell::more(page.next.map(|next| format!("{HERE}?state={}&cursor={}", percent(state), cursor(next))), "Older"))
    }
}

fn row(session: &Session, token: &TokenView, now: Timestamp) -> Markup {
    let kind = match token.state {
        TokenState::Usable => "good",
        TokenState::Cooling => "cool",
        TokenState::Exhausted => "warn",
        TokenState::Quarantined => "bad",
        TokenState::Disabled => "off",
    };
    let press = |what: &str, method, label, class, sure, said| {
        Press { call: format!("tokens/{}{what}", token.id), method, label, class, sure, back: HERE, said }
            .show(session, &html! {})
    };
    html! {
        tr id=(token.id) {
            td.main { (token.label.as_deref().unwrap_or("without a label")) div.quiet.mono { (token.id) } }
            td data-label="State" { (pill(kind, token.state.name())) @if let Some(until) = token.until { " until " (ago(until, now)) }
                @if let Some(reason) = &token.reason { div.quiet { (reason) } } }
            td data-label="Leases" { (count(token.leased)) " of " (count(token.max_concurrency)) @if let Some(rate) = token.requests_per_minute { div.quiet { (count(rate)) " a minute" } } }
            td data-label="Made" { (ago(token.created_at, now)) @if let Some(at) = token.expires_at { div.quiet { "expires " (ago(at, now)) } } }
            td.actions {
                @if token.state != TokenState::Usable { (press("/reinstate", "POST", "Reinstate", "small", None, "reinstated")) }
                @if token.state != TokenState::Disabled { (press("/disable", "POST", "Disable", "small", Some("Disable this token? It is leased no more; what it renders goes on."), "disabled")) }
                (press("", "DELETE", "Delete", "small danger", Some("Delete this token for good?"), "deleted"))
            }
        }
    }
}

fn import(session: &Session) -> Markup {
    html! {
        details.card {
            summary { "Import tokens" }
            form.fields method="post" action="/console/act/tokens" {
                (change(session, HERE, ""))
                label.wide { span { "Secrets, one a line, up to 1,000; kept sealed, never shown again" } textarea name="tokens:secrets" rows="5" required spellcheck="false" autocomplete="off" {} }
                button.primary type="submit" { "Import" }
            }
            p.quiet { "Only credentials that you are entitled to use. Labels and limits of their own: " code { "son1k admin tokens import" } "." }
        }
    }
}
