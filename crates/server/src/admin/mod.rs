//! `son1k admin …`: the operators' calls from a shell. Everything goes through the gateway's `/admin/v1`; nothing here opens a store.

mod calls;
mod commands;
mod import;
mod table;

pub use commands::Admin;

use crate::launch::say;
use anyhow::{Context, bail};
use bootstrap::{Settings, settings};
use calls::Show;
use client::admin::Asked;
use client::{Client, ClientError};
use commands::{Command, Tokens};
use serde_json::{Value, json};
use std::io::IsTerminal;

/// A client of the gateway at `ADMIN_URL`, with `ADMIN_API_KEY` or the key that the data folder keeps.
///
/// # Errors
/// No key, or an address that is none.
pub(crate) fn client(settings: &Settings) -> anyhow::Result<Client> {
    let key = match &settings.secrets.admin_key {
        Some(key) => key.reveal().to_owned(),
        None => settings::kept_secret(&settings.data_dir, "admin_api_key")?
            .context("ADMIN_API_KEY is missing: the key of an operator")?,
    };
    Ok(Client::new(&settings.operators_url(), &key.into())?)
}

/// Runs one command.
///
/// # Errors
/// A gateway that does not answer or refuses; books that do not add up; tokens that were refused.
pub async fn admin(settings: Settings, Admin { json, command }: Admin) -> anyhow::Result<()> {
    let client = client(&settings)?;
    if let Command::Tokens(Tokens::Import { file, max_concurrency, requests_per_minute }) = &command {
        return import::import(&client, file, *max_concurrency, *requests_per_minute, json).await;
    }
    let Some((asked, show)) = calls::of(command) else { return Ok(()) };
    let answer = match show {
        Show::Tokens(state) => all_tokens(&client, asked, state).await?,
        _ => client.admin().ask(asked).await?,
    };
    if json {
        if !answer.is_null() {
            say(&serde_json::to_string_pretty(&answer)?);
        }
    } else {
        let text = shown(show, &answer, std::io::stdout().is_terminal())?;
        if !text.is_empty() {
            say(&text);
        }
    }
    match show {
        Show::Books if answer["ok"] != true => {
            let wrong = answer["discrepancies"].as_array().map_or(0, Vec::len);
            bail!("the books of {wrong} of {} accounts do not add up", answer["accounts"])
        }
        _ => Ok(()),
    }
}

/// What a script can tell apart: 3 not found, 4 the key is refused, 5 a rule says no, 6 no answer or too busy, 1 anything else.
pub(crate) fn exit_status(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Unreachable { .. } | ClientError::TimedOut { .. }) => 6,
        Some(error) => match error.status() {
            Some(404) => 3,
            Some(401 | 403) => 4,
            Some(429 | 500..) => 6,
            Some(_) => 5,
            None => 1,
        },
        None => 1,
    }
}

/// Every page, narrowed to one state: the API lists them all.
async fn all_tokens(client: &Client, asked: Asked, state: Option<&str>) -> Result<Value, ClientError> {
    let mut all = Vec::new();
    let mut next = asked.clone();
    loop {
        let mut page = client.admin().ask(next).await?;
        let rows = page["data"].as_array_mut().map(std::mem::take).unwrap_or_default();
        all.extend(rows.into_iter().filter(|token| state.is_none_or(|state| token["state"] == state)));
        let Some(cursor) = page["next_cursor"].as_str() else { return Ok(json!({ "data": all })) };
        next = asked.clone();
        next.query.push(("cursor", cursor.to_owned()));
    }
}

/// `people`: on a terminal, with headings; elsewhere rows alone, for `cut` and `while read`.
fn shown(show: Show, answer: &Value, people: bool) -> anyhow::Result<String> {
    let rows = || answer["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    let table = |columns| if people { table::list(columns, rows()) } else { table::rows(columns, rows()) };
    Ok(match show {
        Show::Table(_) | Show::Tokens(_) if people && rows().is_empty() && answer["next_cursor"].is_null() => {
            "none".to_owned()
        }
        Show::Tokens(_) => table(calls::TOKENS),
        Show::Table(columns) => match answer["next_cursor"].as_str() {
            Some(cursor) if people => format!("{}\nmore: --cursor {cursor}", table(columns)),
            _ => table(columns),
        },
        Show::Facts => table::facts(answer),
        Show::Only(pointer) => {
            answer.pointer(pointer).and_then(Value::as_str).context("the gateway did not say it")?.to_owned()
        }
        Show::Word(word) => word.to_owned(),
        Show::Pool => pool(answer),
        Show::Queue => queue(answer),
        Show::Books => books(answer),
        Show::Bulk => bulk(answer),
        Show::Generation => generation(answer),
        Show::Scaling => scaling(answer),
    })
}

fn pool(pool: &Value) -> String {
    format!(
        "{}: {} usable ({} to {} wanted), {} leases, {} cooling, {} quarantined, {} exhausted, {} disabled",
        pool["status"].as_str().unwrap_or_default(),
        pool["usable"],
        pool["min"],
        pool["max"],
        pool["leased"],
        pool["cooling"],
        pool["quarantined"],
        pool["exhausted"],
        pool["disabled"]
    )
}

fn queue(queue: &Value) -> String {
    let number = |pointer: &str| queue.pointer(pointer).and_then(Value::as_f64).unwrap_or_default();
    let paused = if queue["paused"] == true { "; PAUSED" } else { "" };
    format!(
        "{} waiting (oldest {:.0} s), {} active, {} rendering{paused}\nover five minutes: {:.1} a minute, {:.1} % failed; wait p50 {:.1} s, p95 {:.1} s, p99 {:.1} s; upstream p95 {:.1} s",
        queue["waiting"],
        number("/oldest_waiting_seconds"),
        queue["active"],
        queue["rendering"],
        number("/throughput_per_minute"),
        number("/error_rate") * 100.0,
        number("/wait_seconds/p50"),
        number("/wait_seconds/p95"),
        number("/wait_seconds/p99"),
        number("/upstream_seconds/p95"),
    )
}

fn scaling(answer: &Value) -> String {
    let text = |name: &str| answer[name].as_str().unwrap_or_default();
    let failure = answer["failure"].as_str().map(|failure| format!("\nnot applied: {failure}")).unwrap_or_default();
    format!(
        "{} of {} workers ({} to {} allowed), by {}\n{}: {}{failure}",
        answer["current"],
        answer["desired"],
        answer["min"],
        answer["max"],
        text("controller"),
        text("rule"),
        text("reason"),
    )
}

fn books(answer: &Value) -> String {
    let wrong = answer["discrepancies"].as_array().map(Vec::as_slice).unwrap_or_default();
    if wrong.is_empty() {
        return format!("the books of {} accounts add up", answer["accounts"]);
    }
    table::table(&[("ACCOUNT", "/account_id"), ("WHAT IS WRONG", "/detail")], wrong)
}

fn bulk(answer: &Value) -> String {
    if answer["dry_run"] == true {
        let more = if answer["more"] == true { ", and there are more" } else { "" };
        return format!("{} match{more}; do it with --yes", answer["matched"]);
    }
    let more = answer["next"].as_str().map(|next| format!("; there are more: go on with --cursor {next}"));
    format!("{} changed, {} refused{}", answer["changed"], answer["refused"], more.unwrap_or_default())
}

fn generation(answer: &Value) -> String {
    let mut record = answer.clone();
    let history = record.as_object_mut().and_then(|map| map.shift_remove("history")).unwrap_or_default();
    let attempts = history.as_array().map(Vec::as_slice).unwrap_or_default();
    let columns = [
        ("OUTCOME", "/outcome"),
        ("ENDED", "/ended_at"),
        ("WORKER", "/worker_id"),
        ("TOKEN", "/token_id"),
        ("UPSTREAM ID", "/upstream_id"),
        ("ERROR", "/error"),
    ];
    let attempts =
        if attempts.is_empty() { String::new() } else { format!("\n\n{}", table::table(&columns, attempts)) };
    format!("{}{attempts}", table::facts(&record))
}
