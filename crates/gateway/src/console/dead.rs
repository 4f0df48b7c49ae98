//! Dead letters: rings that nobody understood, rung again or dropped from here. What failed for good is among the generations.

use super::session::Session;
use super::shell::{self, Press, heading, missing};
use super::words::{clip, count};
use crate::page::percent;
use crate::problem::ApiError;
use actix_web::HttpResponse;
use maud::{Markup, html};
use serde_json::Value;

const HERE: &str = "/console/dead";

pub(super) fn page(session: &Session, told: Result<Value, ApiError>, said: &Markup) -> HttpResponse {
    let body = html! {
        (heading("Dead letters", &html! {}))
        (said)
        p.quiet { "Rings that made no sense to anybody, laid aside by the broker. They are no work: what they spoke of was found without them. "
            "They tell of a sender of another version. Generations that failed for good are "
            a href="/console/generations?status=failed" { "among the generations" } "." }
        @match told {
            Err(error) => (missing("The list", &error)),
            Ok(value) => (table(session, &value)),
        }
    };
    shell::page("Dead letters", HERE, session, &body)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn table(session: &Session, value: &Value) -> Markup {
    let letters = value["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    html! {
        @if letters.is_empty() { p.empty { "None." } } @else {
            table {
                thead { tr { th { "What it says" } th { "Why" } th { "How many" } th { "Laid aside" } th { span.hidden { "Actions" } } } }
                tbody { @for one in letters { (row(session, one)) } }
            }
        }
        (shell::more(value["next_cursor"].as_str().map(|cursor| format!("{HERE}?cursor={}", percent(cursor))), "More"))
    }
}

fn row(session: &Session, one: &Value) -> Markup {
    let id = text(one, "id");
    let press = |call: String, method, label, class, sure, said| {
        Press { call, method, label, class, sure, back: HERE, said }.show(session, &html! {})
    };
    html! {
        tr {
            td.main { span.mono { (clip(text(one, "preview"), 120)) } div.quiet { (count(one["bytes"].as_u64().unwrap_or_default())) " bytes" } }
            td data-label="Why" { (text(one, "reason").replace('_', " ")) }
            td data-label="How many" { (count(one["count"].as_u64().unwrap_or_default())) }
            td data-label="Laid aside" { (one["died_at"].as_str().unwrap_or("–")) }
            td.actions {
                (press(format!("queue/dead/{id}/requeue"), "POST", "Ring again", "small", None, "requeued"))
                (press(format!("queue/dead/{id}"), "DELETE", "Drop", "small danger", Some("Drop this dead letter?"), "deleted"))
            }
        }
    }
}
