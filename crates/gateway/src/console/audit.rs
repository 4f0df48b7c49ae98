//! The audit trail: which operator changed what, when, from where.

use super::form::Form;
use super::session::Session;
use super::shell::{self, heading};
use super::words::ago;
use crate::core::Core;
use crate::page::{cursor, parse_cursor};
use actix_web::{HttpRequest, HttpResponse, web};
use domain::page::PageRequest;
use maud::{Markup, html};

const HERE: &str = "/console/audit";

pub(super) async fn page(core: web::Data<Core>, session: Session, request: HttpRequest) -> HttpResponse {
    let asked = Form::read(request.query_string().as_bytes());
    let page = PageRequest { limit: 100, after: parse_cursor(asked.get("cursor")) };
    let trail = core.call(core.backends.accounts.audit_trail(page)).await;
    let now = core.backends.clock.now();
    let body = html! {
        (heading("Audit", &html! {}))
        p.quiet { "Every change by an operator, from the console, the command line or the API. The newest first." }
        @match &trail {
            Err(error) => (shell::missing("The trail", error)),
            Ok(page) if page.items.is_empty() => p.empty { "Nothing has been changed yet." },
            Ok(page) => {
                table {
                    thead { tr { th { "What" } th { "Of" } th { "Who" } th { "From" } th { "When" } th { "Request" } } }
                    tbody { @for entry in &page.items { tr {
                        td.main { (entry.action) }
                        td data-label="Of" { (subject(entry.subject.as_deref())) }
                        td.mono data-label="Who" { (entry.actor) }
                        td.mono data-label="From" { (entry.address.as_deref().unwrap_or("–")) }
                        td data-label="When" { (ago(entry.created_at, now)) }
                        td.mono.quiet data-label="Request" { (super::words::clip(&entry.request_id, 13)) }
                    } } }
                }
                (shell::more(page.next.map(|next| format!("{HERE}?cursor={}", cursor(next))), "Older"))
            }
        }
    };
    shell::page("Audit", HERE, &session, &body)
}

fn subject(id: Option<&str>) -> Markup {
    let Some(id) = id else { return html! { "–" } };
    let path = match id.split_once('_').map(|(kind, _)| kind) {
        Some("gen") => format!("/console/generations/{id}"),
        Some("acc") => format!("/console/accounts/{id}"),
        Some("tok") => format!("/console/tokens#{id}"),
        _ => return html! { span.mono { (super::words::short(id)) } },
    };
    html! { a.mono href=(path) { (super::words::short(id)) } }
}
