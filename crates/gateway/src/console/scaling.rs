//! How many workers there are, how many there should be, and why: whatever `/admin/v1/scaling` says, shown as it says it.

use super::session::Session;
use super::shell::{self, heading};
use crate::problem::ApiError;
use actix_web::HttpResponse;
use maud::{Markup, html};
use serde_json::Value;

pub(super) fn page(session: &Session, told: Result<Value, ApiError>) -> HttpResponse {
    let body = html! {
        (heading("Scaling", &html! {}))
        @match told {
            Err(error) => (shell::missing("The scaling service", &error)),
            Ok(value) => (decision(&value)),
        }
    };
    shell::page("Scaling", "/console/scaling", session, &body)
}

fn number(value: &Value) -> String {
    if value.is_null() { "–".to_owned() } else { value.to_string() }
}

fn decision(value: &Value) -> Markup {
    html! {
        div.tiles.four {
            @for name in ["current", "desired", "min", "max"] {
                div.tile { h2 { (name) } p.number { (number(&value[name])) } p.quiet { "worker replicas" } }
            }
        }
        section.card {
            h2 { "Why" }
            @if let Some(reason) = value["reason"].as_str() { p.big { (reason) } }
            dl.facts {
                @for (name, value) in value.as_object().into_iter().flatten() {
                    @if !["current", "desired", "min", "max", "reason", "inputs", "object"].contains(&name.as_str()) {
                        dt { (name.replace('_', " ")) } dd { (plain(value)) }
                    }
                }
            }
        }
        @if value["inputs"].is_object() { section.card { h2 { "What it saw" } (plain(&value["inputs"])) } }
    }
}

/// Any JSON, for people.
fn plain(value: &Value) -> Markup {
    html! {
        @match value {
            Value::Null => "–",
            Value::Bool(yes) => (if *yes { "yes" } else { "no" }),
            Value::Number(number) => (number),
            Value::String(text) => (text),
            Value::Array(list) => ul.plain-list { @for one in list { li { (plain(one)) } } },
            Value::Object(map) => dl.facts { @for (name, value) in map { dt { (name.replace('_', " ")) } dd { (plain(value)) } } },
        }
    }
}
