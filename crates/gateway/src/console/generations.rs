//! Generations found: by id, account, text, status, reason, age; and many of them changed at once.
//!
//! A page with a filter looks at the newest 10,000 rows and says so when there are more: no question is answered at any price.

use super::form::Form;
use super::session::Session;
use super::shell::{self, change, heading, pill};
use super::words::{ago, clip, count, short, span};
use crate::core::Core;
use crate::page::{cursor, parse_cursor, percent};
use crate::problem::ApiError;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::TimeDelta;
use domain::Timestamp;
use domain::generation::{ErrorCode, Generation};
use domain::ids::{AccountId, GenerationId};
use domain::page::{Page, PageRequest};
use domain::ports::generations::{GenerationFilter, LOOKED_AT_MOST, Scope};
use domain::state::{Stage, Status};
use domain::tier::Tier;
use maud::{Markup, html};

const HERE: &str = "/console/generations";
const ROWS: u16 = 50;
const AGES: [(&str, &str, i64); 4] = [
    ("hour", "last hour", 3_600),
    ("day", "last day", 86_400),
    ("week", "last week", 604_800),
    ("month", "last month", 2_592_000),
];

/// What the page was asked for: the form's own words, and what they mean.
struct Asked {
    form: Form,
    filter: GenerationFilter,
    account: Option<AccountId>,
    page: PageRequest,
}

impl Asked {
    fn of(query: &str, now: Timestamp) -> Self {
        let form = Form::read(query.as_bytes());
        let search = form.get("q").trim();
        let account = search.parse().or_else(|_| form.get("account").trim().parse()).ok();
        let text = (!search.is_empty() && search.parse::<AccountId>().is_err()).then(|| clip_to(search, 200));
        let age = AGES.into_iter().find(|(name, ..)| *name == form.get("age"));
        let filter = GenerationFilter {
            status: Status::parse(form.get("status")),
            stage: Stage::parse(form.get("stage")),
            tier: Tier::parse(form.get("tier")),
            error_code: ErrorCode::parse(form.get("error_code")),
            created_after: age.map(|(.., seconds)| now - TimeDelta::seconds(seconds)),
            created_before: None,
            text,
        };
        let page = PageRequest { limit: ROWS, after: parse_cursor(form.get("cursor")) };
        Self { form, filter, account, page }
    }

    /// This page with another cursor, or with none.
    fn address(&self, cursor: Option<&str>) -> String {
        let pairs = self.form.fields().filter(|(name, value)| !value.is_empty() && !["cursor", "said"].contains(name));
        let mut query: Vec<String> = pairs.map(|(name, value)| format!("{name}={}", percent(value))).collect();
        query.extend(cursor.map(|cursor| format!("cursor={}", percent(cursor))));
        if query.is_empty() { HERE.to_owned() } else { format!("{HERE}?{}", query.join("&")) }
    }
}

fn clip_to(text: &str, most: usize) -> String {
    text.chars().filter(|character| *character != '\0').take(most).collect()
}

pub(super) async fn page(core: web::Data<Core>, session: Session, request: HttpRequest) -> HttpResponse {
    let now = core.backends.clock.now();
    let asked = Asked::of(request.query_string(), now);
    // An id is no search: it is the page itself.
    if let Ok(id) = asked.form.get("q").trim().parse::<GenerationId>() {
        return HttpResponse::SeeOther().insert_header((header::LOCATION, format!("{HERE}/{id}"))).finish();
    }
    let scope = asked.account.map_or(Scope::Everyone, Scope::Account);
    let found = core.call(core.backends.generations.list(scope, &asked.filter, asked.page)).await;
    let body = html! {
        (heading("Generations", &html! {}))
        (shell::said(&request))
        (filters(&asked))
        (results(&session, &asked, &found, now))
    };
    shell::page("Generations", HERE, &session, &body)
}

fn choice<'a>(
    name: &str,
    label: &str,
    all: &str,
    chosen: &str,
    options: impl Iterator<Item = (&'a str, &'a str)>,
) -> Markup {
    html! {
        label { span { (label) }
            select name=(name) {
                option value="" { (all) }
                @for (value, text) in options { option value=(value) selected[value == chosen] { (text) } }
            }
        }
    }
}

fn filters(asked: &Asked) -> Markup {
    let form = &asked.form;
    let same = |name: &'static str| (name, name);
    html! {
        form.filters method="get" action=(HERE) role="search"
            hx-get=(HERE) hx-trigger="change, input changed delay:400ms from:#q" hx-target="#results" hx-select="#results" hx-swap="outerHTML" hx-push-url="true" {
            label.wide { span { "Search" }
                input #q type="search" name="q" value=(form.get("q")) placeholder="id, account, or text of prompt, title, metadata" spellcheck="false"; }
            (choice("status", "Status", "any", form.get("status"), Status::ALL.map(Status::name).into_iter().map(same)))
            (choice("error_code", "Reason", "any", form.get("error_code"), ErrorCode::ALL.map(ErrorCode::name).into_iter().map(same)))
            (choice("tier", "Tier", "any", form.get("tier"), Tier::ALL.map(Tier::name).into_iter().map(same)))
            (choice("age", "Made", "any time", form.get("age"), AGES.into_iter().map(|(value, text, _)| (value, text))))
            @if !form.get("account").is_empty() { input type="hidden" name="account" value=(form.get("account")); }
            @if !form.get("stage").is_empty() { input type="hidden" name="stage" value=(form.get("stage")); }
            button type="submit" { "Find" }
            @if asked.address(None) != HERE { a.button.plain href=(HERE) { "Clear" } }
        }
    }
}

fn results(session: &Session, asked: &Asked, found: &Result<Page<Generation>, ApiError>, now: Timestamp) -> Markup {
    // The first page of a filter lives; pages behind it stand still, so that nobody loses their place.
    let live = asked.page.after.is_none().then(|| asked.address(None));
    html! {
        div #results hx-get=[live.as_deref()] hx-trigger=[live.as_ref().map(|_| "every 5s")] hx-select="#results" hx-swap="outerHTML" {
            @if let Some(account) = asked.account { p.quiet { "Of account " a.mono href=(format!("/console/accounts/{account}")) { (account) } } }
            @match found {
                Err(error) => (shell::missing("The list", error)),
                Ok(page) => {
                    @if page.items.is_empty() {
                        p.empty { @if page.next.is_some() { "None among the newest " (count(LOOKED_AT_MOST)) "; older ones were not looked at." } @else { "None." } }
                    } @else { (table(&page.items, now)) }
                    (shell::more(page.next.map(|next| asked.address(Some(&cursor(next)))), if page.items.len() < usize::from(ROWS) { "Look further back" } else { "Older" }))
                    @if asked.filter.narrows() && page.next.is_some() && page.items.len() < usize::from(ROWS) && !page.items.is_empty() {
                        p.quiet { "Only the newest " (count(LOOKED_AT_MOST)) " were looked at." }
                    }
                    (bulk(session, asked))
                }
            }
        }
    }
}

pub(super) fn state(g: &Generation) -> Markup {
    let stage = g.stage.filter(|stage| *stage != Stage::Backlog).map(Stage::name);
    let kind = match g.status {
        Status::Queued => "wait",
        Status::Processing => "run",
        Status::Succeeded => "good",
        Status::Failed => "bad",
        Status::Canceled => "off",
    };
    pill(kind, stage.unwrap_or(g.status.name()))
}

pub(super) fn table(generations: &[Generation], now: Timestamp) -> Markup {
    html! {
        table {
            thead { tr { th { "State" } th { "Prompt" } th { "Account" } th { "Made" } th { "Waited" } th { "Took" } } }
            tbody {
                @for g in generations {
                    @let waited = g.started_at.or(g.finished_at).unwrap_or(now) - g.created_at;
                    tr {
                        td data-label="State" { (state(g)) }
                        td.main {
                            a id=(g.id) href=(format!("{HERE}/{}", g.id)) { (clip(g.request.title.as_deref().unwrap_or(&g.request.prompt), 90)) }
                            div.quiet.mono { (short(&g.id.to_string())) @if let Some(error) = &g.error { " · " (error.code.name()) } @else if let Some(on) = g.waiting_on { " · waits for " (on.name().replace('_', " ")) } }
                        }
                        td data-label="Account" { a.mono id=(format!("of-{}", g.id)) href=(format!("/console/accounts/{}", g.account_id)) { (short(&g.account_id.to_string())) } " " span.quiet { (g.tier.name()) } }
                        td data-label="Made" { (ago(g.created_at, now)) }
                        td data-label="Waited" { (span(waited.as_seconds_f64())) }
                        td data-label="Took" { @match g.started_at { Some(at) => (span((g.finished_at.unwrap_or(now) - at).as_seconds_f64())), None => "–" } }
                    }
                }
            }
        }
    }
}

/// Counted first, then done: nobody cancels a thousand by one press.
fn bulk(session: &Session, asked: &Asked) -> Markup {
    let time = asked.filter.created_after.map(super::words::exact);
    html! {
        details.card {
            summary { "Change all that match" }
            p.quiet { "You see how many it is before anything happens." }
            form.row method="post" action="/console/act/generations/bulk" {
                (change(session, &asked.address(None), ""))
                input type="hidden" name="dry_run:flag" value="true";
                input type="hidden" name="filter.account" value=[asked.account.map(|account| account.to_string())];
                input type="hidden" name="filter.status" value=[asked.filter.status.map(Status::name)];
                input type="hidden" name="filter.stage" value=[asked.filter.stage.map(Stage::name)];
                input type="hidden" name="filter.tier" value=[asked.filter.tier.map(Tier::name)];
                input type="hidden" name="filter.error_code" value=[asked.filter.error_code.map(ErrorCode::name)];
                input type="hidden" name="filter.created_after" value=[time];
                input type="hidden" name="filter.q" value=[asked.filter.text.as_deref()];
                button name="action" value="cancel" type="submit" { "Count what can be canceled" }
                button name="action" value="retry" type="submit" { "Count what can be submitted anew" }
            }
        }
    }
}
