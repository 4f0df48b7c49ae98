//! Upstream tokens: imported, listed without their secrets, disabled, reinstated, deleted.

use super::change::{Change, Done};
use super::id;
use crate::admit::Operator;
use crate::body;
use crate::core::Core;
use crate::fields::Fields;
use crate::page;
use crate::problem::ApiError;
use crate::query::Query;
use crate::view::At;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::ids::TokenId;
use domain::page::Page;
use domain::ports::pool::PoolError;
use domain::token::{ImportOutcome, PoolStats, TokenImport, TokenView};
use serde_json::{Value, json};
use std::future::Future;

/// The one body that may be larger: a thousand secrets.
const BODY_LARGEST: usize = 1024 * 1024;
const IMPORTED_MOST: usize = 1_000;
const SECRET_LONGEST: usize = 4_096;
const LABEL_LONGEST: usize = 200;
const CONCURRENCY_MOST: i64 = 10_000;
const RATE_MOST: i64 = 1_000_000;

fn view(token: &TokenView) -> Value {
    json!({
        "id": token.id,
        "object": "token",
        "label": token.label,
        "state": token.state.name(),
        "until": token.until.map(At),
        "reason": token.reason,
        "max_concurrency": token.max_concurrency,
        "requests_per_minute": token.requests_per_minute,
        "leased": token.leased,
        "expires_at": token.expires_at.map(At),
        "created_at": At(token.created_at),
    })
}

fn parse_one(index: usize, value: Value, broken: &mut Fields) -> Option<TokenImport> {
    let mut fields = Fields::of(value, &format!("/tokens/{index}"));
    let secret = fields.string("secret");
    let fits =
        |secret: &String| (1..=SECRET_LONGEST).contains(&secret.len()) && secret.bytes().all(|b| b.is_ascii_graphic());
    if !secret.as_ref().is_some_and(fits) {
        fields.refuse("secret", format!("must have 1 to {SECRET_LONGEST} visible ASCII characters"));
    }
    let label = fields.text("label", LABEL_LONGEST);
    let mut small = |name, most| fields.integer_in(name, 1..=most).and_then(|n| u32::try_from(n).ok());
    let max_concurrency = small("max_concurrency", CONCURRENCY_MOST);
    let requests_per_minute = small("requests_per_minute", RATE_MOST);
    let expires_at = fields.time("expires_at");
    broken.refuse_all(fields.broken());
    Some(TokenImport { secret: secret?.into(), label, max_concurrency, requests_per_minute, expires_at })
}

pub(crate) async fn import(
    core: web::Data<Core>,
    operator: Operator,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let mut fields = body::fields(&request, payload, BODY_LARGEST).await?;
    let fingerprint = fields.fingerprint();
    let listed = fields.array("tokens").unwrap_or_default();
    if listed.is_empty() || listed.len() > IMPORTED_MOST {
        fields.refuse("tokens", format!("must have 1 to {IMPORTED_MOST} tokens"));
    }
    let mut tokens = Vec::new();
    for (index, value) in listed.into_iter().take(IMPORTED_MOST).enumerate() {
        tokens.extend(parse_one(index, value, &mut fields));
    }
    fields.finish()?;
    let change = Change { core: &core, operator: &operator, request: &request, action: "token.import", fingerprint };
    change
        .make(async {
            let outcomes = core.call(core.token_admin.import(tokens)).await?;
            let data: Vec<Value> = outcomes
                .into_iter()
                .map(|outcome| match outcome {
                    ImportOutcome::Imported(id) => json!({"id": id, "result": "imported", "reason": null}),
                    ImportOutcome::Duplicate(id) => json!({"id": id, "result": "duplicate", "reason": null}),
                    ImportOutcome::PoolFull => json!({"id": null, "result": "refused", "reason": "pool_full"}),
                })
                .collect();
            Done::new(StatusCode::OK, &json!({"data": data}))
        })
        .await
}

/// The pool lists all of its few thousand; the page is cut here.
pub(crate) async fn list(
    core: web::Data<Core>,
    _operator: Operator,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut query = Query::of(&request);
    let asked = page::asked(&mut query);
    query.finish()?;
    let mut tokens = core.call(core.token_admin.list()).await?;
    tokens.sort_unstable_by_key(|token| std::cmp::Reverse(token.id));
    let older = tokens.into_iter().filter(|token| asked.after.is_none_or(|after| token.id.uuid() < after));
    let rows: Vec<TokenView> = older.take(usize::from(asked.limit) + 1).collect();
    let found = Page::from_rows(rows, asked.limit, |token| token.id.uuid());
    page::answer(&request, &query, found.map(|token| view(&token)))
}

pub(crate) async fn pool(core: web::Data<Core>, _operator: Operator) -> Result<HttpResponse, ApiError> {
    let stats = core.call(core.token_admin.stats()).await?;
    let PoolStats { min, max, usable, leased, cooling, quarantined, exhausted, disabled } = stats;
    Ok(HttpResponse::Ok().json(json!({
        "min": min, "max": max, "usable": usable, "leased": leased, "cooling": cooling,
        "quarantined": quarantined, "exhausted": exhausted, "disabled": disabled, "status": stats.status().name(),
    })))
}

async fn changed(
    core: &Core,
    call: impl Future<Output = Result<Option<TokenView>, PoolError>>,
) -> Result<Done, ApiError> {
    let token = core.call(call).await?.ok_or_else(ApiError::not_found)?;
    Ok(Done::new(StatusCode::OK, &view(&token))?.subject(&token.id))
}

pub(crate) async fn disable(
    core: web::Data<Core>,
    operator: Operator,
    token: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let token: TokenId = id(&token)?;
    body::none(&request, payload).await?;
    let fingerprint = [0; 32];
    let change = Change { core: &core, operator: &operator, request: &request, action: "token.disable", fingerprint };
    change.make(changed(&core, core.token_admin.disable(token))).await
}

pub(crate) async fn reinstate(
    core: web::Data<Core>,
    operator: Operator,
    token: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let token: TokenId = id(&token)?;
    body::none(&request, payload).await?;
    let fingerprint = [0; 32];
    let change = Change { core: &core, operator: &operator, request: &request, action: "token.reinstate", fingerprint };
    change.make(changed(&core, core.token_admin.reinstate(token))).await
}

pub(crate) async fn delete(
    core: web::Data<Core>,
    operator: Operator,
    token: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let token: TokenId = id(&token)?;
    body::none(&request, payload).await?;
    let fingerprint = [0; 32];
    let change = Change { core: &core, operator: &operator, request: &request, action: "token.delete", fingerprint };
    change
        .make(async {
            core.call(core.token_admin.delete(token)).await?.ok_or_else(ApiError::not_found)?;
            Ok(Done::empty().subject(&token))
        })
        .await
}
