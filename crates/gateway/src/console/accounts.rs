//! Accounts found and made; one account with its numbers, its keys and its credits.

use super::form::Form;
use super::session::Session;
use super::shell::{self, Press, change, heading, pill};
use super::words::{ago, count, exact};
use crate::core::Core;
use crate::page::{cursor, parse_cursor, percent};
use crate::problem::ApiError;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::Timestamp;
use domain::account::{Account, AccountStatus, KeyRecord};
use domain::credits::CreditEntry;
use domain::ids::AccountId;
use domain::page::{Page, PageRequest};
use domain::ports::accounts::{AccountFilter, Usage};
use domain::tier::Tier;
use maud::{Markup, html};

const HERE: &str = "/console/accounts";
const ROWS: u16 = 50;
const GIVEN: [Tier; 4] = [Tier::Free, Tier::Pro, Tier::Premium, Tier::Enterprise];

pub(super) async fn list(core: web::Data<Core>, session: Session, request: HttpRequest) -> HttpResponse {
    let asked = Form::read(request.query_string().as_bytes());
    let search = asked.get("q").trim();
    let filter = AccountFilter {
        tier: Tier::parse(asked.get("tier")),
        text: (!search.is_empty()).then(|| search.chars().filter(|c| *c != '\0').take(200).collect()),
    };
    let page = PageRequest { limit: ROWS, after: parse_cursor(asked.get("cursor")) };
    // An id is the account itself.
    let found = match search.parse::<AccountId>() {
        Ok(id) => core
            .call(core.backends.accounts.show(id))
            .await
            .map(|found| Page { items: found.into_iter().collect(), next: None }),
        Err(_) => core.call(core.backends.accounts.list(&filter, page)).await,
    };
    let now = core.backends.clock.now();
    let body = html! {
        (heading("Accounts", &html! {}))
        (shell::said(&request))
        form.filters method="get" action=(HERE) role="search" {
            label.wide { span { "Search" } input type="search" name="q" value=(search) placeholder="name, e-mail address, or id"; }
            label { span { "Tier" } select name="tier" {
                option value="" { "any" }
                @for tier in Tier::ALL { option value=(tier.name()) selected[Some(tier) == filter.tier] { (tier.name()) } }
            } }
            button type="submit" { "Find" }
        }
        @match &found {
            Err(error) => (shell::missing("The list", error)),
            Ok(page) => {
                @if page.items.is_empty() { p.empty { "None." } } @else {
                    table {
                        thead { tr { th { "Name" } th { "Tier" } th { "Status" } th { "Made" } } }
                        tbody { @for account in &page.items { tr {
                            td.main { a href=(format!("{HERE}/{}", account.id)) { (account.name) } div.quiet { (account.email.as_deref().unwrap_or("no e-mail address")) } }
                            td data-label="Tier" { (account.tier.name()) }
                            td data-label="Status" { (status(account)) }
                            td data-label="Made" { (ago(account.created_at, now)) }
                        } } }
                    }
                }
                (shell::more(page.next.map(|next| format!("{HERE}?q={}&tier={}&cursor={}", percent(search), percent(asked.get("tier")), cursor(next))), "Older"))
            }
        }
        (make(&session))
    };
    shell::page("Accounts", HERE, &session, &body)
}

fn status(account: &Account) -> Markup {
    pill(if account.status == AccountStatus::Active { "good" } else { "bad" }, account.status.name())
}

fn tiers(chosen: Tier) -> Markup {
    html! { label { span { "Tier" } select name="tier" { @for tier in GIVEN { option value=(tier.name()) selected[tier == chosen] { (tier.name()) } } } } }
}

fn make(session: &Session) -> Markup {
    html! {
        details.card {
            summary { "Make an account" }
            form.fields method="post" action="/console/act/accounts" {
                (change(session, HERE, "made"))
                input type="hidden" name="_open" value="new";
                label { span { "Name" } input name="name" required maxlength="200"; }
                label { span { "E-mail address" } input type="email" name="email"; }
                (tiers(Tier::Free))
                button.primary type="submit" { "Make it" }
            }
        }
    }
}

pub(super) async fn one(
    core: web::Data<Core>,
    session: Session,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let id: AccountId = id.parse().map_err(|_| ApiError::not_found())?;
    let account = core.call(core.backends.accounts.show(id)).await?.ok_or_else(ApiError::not_found)?;
    let asked = Form::read(request.query_string().as_bytes());
    let entries_page = PageRequest { limit: 20, after: parse_cursor(asked.get("cursor")) };
    let (usage, keys, entries) = futures::join!(
        core.call(core.backends.accounts.usage(id)),
        core.call(core.backends.accounts.keys(id)),
        core.call(core.backends.accounts.entries(id, entries_page)),
    );
    let now = core.backends.clock.now();
    let here = format!("{HERE}/{id}");
    let body = html! {
        (heading(&account.name, &html! { (status(&account)) (pill("off", account.tier.name())) }))
        p.quiet { span.mono { (id) } " · " (account.email.as_deref().unwrap_or("no e-mail address")) " · "
            a href=(format!("/console/generations?account={id}")) { "its generations" } }
        (shell::said(&request))
        (numbers(&core, &account, &usage))
        (self::keys(&session, &account, &keys, &here, now))
        (credits(&session, &account, &entries, &here, now))
        @if account.tier != Tier::System { (settings(&session, &account, &here)) }
    };
    Ok(shell::page(&account.name, HERE, &session, &body))
}

fn tile(title: &str, number: &str, below: &str) -> Markup {
    html! { div.tile { h2 { (title) } p.number { (number) } p.quiet { (below) } } }
}

fn numbers(core: &Core, account: &Account, usage: &Result<Option<Usage>, ApiError>) -> Markup {
    let limits = account.limits(&core.settings.tiers);
    html! {
        @match usage {
            Err(error) => (shell::missing("Its numbers", error)),
            Ok(None) => {},
            Ok(Some(usage)) => div.tiles.four {
                (tile("Credits", &count(usage.balance), &format!("{} reserved", count(usage.reserved))))
                (tile("This month", &count(usage.used), &format!("of {} generations", count(limits.generations_per_month))))
                (tile("Requests a minute", &limits.requests_per_minute.map_or("none".into(), count), "its limit"))
                (tile("Share", &count(limits.share), "of a full system"))
            },
        }
    }
}

fn keys(
    session: &Session,
    account: &Account,
    keys: &Result<Vec<KeyRecord>, ApiError>,
    here: &str,
    now: Timestamp,
) -> Markup {
    html! {
        section.card {
            h2 { "Keys" }
            @match keys {
                Err(error) => (shell::missing("The keys", error)),
                Ok(keys) if keys.is_empty() => p.empty { "None: it cannot call the API." },
                Ok(keys) => table {
                    thead { tr { th { "Name" } th { "Begins with" } th { "Made" } th { "State" } th { span.hidden { "Actions" } } } }
                    tbody { @for key in keys { (key_row(session, account, key, here, now)) } }
                },
            }
            @if account.tier != Tier::System {
                form.fields method="post" action=(format!("/console/act/accounts/{}/keys", account.id)) {
                    (change(session, here, "made"))
                    label { span { "Name of a new key" } input name="name" required maxlength="200" value="default"; }
                    label { span { "Expires (UTC, may be empty)" } input type="datetime-local" name="expires_at:time"; }
                    button type="submit" { "Make a key" }
                }
            }
        }
    }
}

fn key_row(session: &Session, account: &Account, key: &KeyRecord, here: &str, now: Timestamp) -> Markup {
    let revoked = key.revoked_at.is_some_and(|at| at <= now);
    let expired = key.expires_at.is_some_and(|at| at <= now);
    let call = format!("accounts/{}/keys/{}", account.id, key.id);
    html! {
        tr {
            td.main { (key.name) div.quiet.mono { (key.id) } }
            td.mono data-label="Begins with" { (key.prefix) "…" }
            td data-label="Made" { (ago(key.created_at, now)) }
            td data-label="State" {
                @if revoked { (pill("off", "revoked")) } @else if expired { (pill("off", "expired")) }
                @else if let Some(at) = key.revoked_at.or(key.expires_at) { (pill("warn", "ends")) " " (ago(at, now)) } @else { (pill("good", "good")) }
            }
            td.actions { @if !revoked && !expired && account.tier != Tier::System {
                (Press { call: format!("{call}/rotate"), method: "POST", label: "Rotate", class: "small", back: here, said: "made",
                    sure: Some("Make a new key? The old one works for another day.") }.show(session, &html! {}))
                (Press { call, method: "DELETE", label: "Revoke", class: "small danger", back: here, said: "revoked",
                    sure: Some("Revoke this key? Whoever uses it is refused within 5 s.") }.show(session, &html! {}))
            } }
        }
    }
}

fn credits(
    session: &Session,
    account: &Account,
    entries: &Result<Page<CreditEntry>, ApiError>,
    here: &str,
    now: Timestamp,
) -> Markup {
    html! {
        section.card {
            h2 { "Credits" }
            @if account.tier != Tier::System {
                form.fields method="post" action=(format!("/console/act/accounts/{}/credits", account.id)) {
                    (change(session, here, "credited"))
                    label { span { "Credits to add" } input type="number" name="amount:number" min="1" max="1000000000" required; }
                    label { span { "Reason, shown to the customer" } input name="reason" required maxlength="500"; }
                    button type="submit" { "Add credits" }
                }
            }
            @match entries {
                Err(error) => (shell::missing("The entries", error)),
                Ok(page) if page.items.is_empty() => p.empty { "No entries." },
                Ok(page) => {
                    table {
                        thead { tr { th { "Kind" } th { "Amount" } th { "For" } th { "When" } } }
                        tbody { @for entry in &page.items { tr {
                            td data-label="Kind" { (entry.kind.name()) }
                            td data-label="Amount" { (if entry.amount > 0 { "+" } else { "" }) (count(entry.amount)) }
                            td data-label="For" {
                                @if let Some(id) = entry.generation_id { a.mono href=(format!("/console/generations/{id}")) { (super::words::short(&id.to_string())) } }
                                @else { (entry.reason.as_deref().unwrap_or("–")) }
                            }
                            td data-label="When" { (ago(entry.created_at, now)) }
                        } } }
                    }
                    (shell::more(page.next.map(|next| format!("{here}?cursor={}", cursor(next))), "Older entries"))
                }
            }
        }
    }
}

fn settings(session: &Session, account: &Account, here: &str) -> Markup {
    let own = &account.overrides;
    let number = |name: &str, label: &str, value: Option<i64>| {
        html! { label { span { (label) } input type="number" min="0" name=(format!("overrides.{name}:number")) value=[value] placeholder="as its tier"; } }
    };
    let other = if account.status == AccountStatus::Active { AccountStatus::Suspended } else { AccountStatus::Active };
    let suspends = other == AccountStatus::Suspended;
    html! {
        details.card {
            summary { "Change it" }
            form.fields method="post" action=(format!("/console/act/accounts/{}", account.id)) {
                (change(session, here, "changed"))
                input type="hidden" name="_method" value="PATCH";
                label { span { "Name" } input name="name" required maxlength="200" value=(account.name); }
                label { span { "E-mail address" } input type="email" name="email:clear" value=[account.email.as_deref()]; }
                (tiers(account.tier))
                (number("requests_per_minute", "Requests a minute", own.requests_per_minute.map(i64::from)))
                (number("generations_per_month", "Generations a month", own.generations_per_month))
                (number("credits_per_month", "Credits a month", own.credits_per_month))
                (number("share", "Share of a full system", own.share.map(i64::from)))
                (number("backlog_max", "Waiting at most", own.backlog_max.map(i64::from)))
                button.primary type="submit" { "Change" }
            }
            (Press { call: format!("accounts/{}", account.id), method: "PATCH", class: if suspends { "danger" } else { "" }, back: here, said: "changed",
                label: if suspends { "Suspend it" } else { "Make it active" },
                sure: suspends.then_some("Suspend it? Its calls are refused; what it had accepted still ends.") }
                .show(session, &html! { input type="hidden" name="status" value=(other.name()); }))
            p.quiet { "Made " (exact(account.created_at)) "." }
        }
    }
}
