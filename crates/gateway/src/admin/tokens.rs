//! Upstream tokens: imported, listed without their secrets, disabled, reinstated, deleted.

use super::change::{Change, Done};
use super::id;
use crate::admit::Operator;
use crate::body;
use crate::core::Core;
use crate::fields::Fields;
use crate::openapi::params;
use crate::openapi::schema::{self, integer, named, nullable, text, time};
use crate::page::{self, PageView};
use crate::problem::ApiError;
use crate::query::Query;
use crate::view::At;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::ids::TokenId;
use domain::page::Page;
use domain::ports::pool::PoolError;
use domain::token::{ImportOutcome, PoolStats, TokenImport, TokenView};
use serde::Serialize;
use serde_json::Value;
use std::future::Future;
use utoipa::openapi::schema::{ArrayBuilder, Type};
use utoipa::openapi::{Object, ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// The one body that may be larger: a thousand secrets.
const BODY_LARGEST: usize = 1024 * 1024;
const IMPORTED_MOST: usize = 1_000;
const SECRET_LONGEST: usize = 4_096;
const LABEL_LONGEST: usize = 200;
const CONCURRENCY_MOST: i64 = 10_000;
const RATE_MOST: i64 = 1_000_000;

named! {
    ImportBody = schema::body(&["tokens"], [
        ("tokens", ArrayBuilder::new().items(imported_schema()).min_items(Some(1)).max_items(Some(IMPORTED_MOST)).build().into()),
    ]);
}

fn imported_schema() -> Object {
    let secret = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("Visible ASCII characters; kept sealed, never shown."))
        .pattern(Some(format!("^[!-~]{{1,{SECRET_LONGEST}}}$")))
        .build();
    schema::body(
        &["secret"],
        [
            ("secret", secret.into()),
            ("label", nullable(text(LABEL_LONGEST, "For people.")).into()),
            (
                "max_concurrency",
                nullable(integer(&(1..=CONCURRENCY_MOST), "Leases at once; left out: the setting's.")).into(),
            ),
            ("requests_per_minute", nullable(integer(&(1..=RATE_MOST), "Left out: without a limit.")).into()),
            ("expires_at", nullable(time("")).into()),
        ],
    )
}

/// What became of one imported token.
#[derive(Serialize, ToSchema)]
struct ImportedToken {
    #[schema(value_type = Option<schema::TokenId>)]
    id: Option<TokenId>,
    /// `imported`, `duplicate` or `refused`
    result: &'static str,
    /// `pool_full` where it was refused.
    reason: Option<&'static str>,
}

/// One outcome a token, in order.
#[derive(Serialize, ToSchema)]
struct Imported {
    data: Vec<ImportedToken>,
}

/// An upstream token; never its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
struct TokenForm {
    #[schema(value_type = schema::TokenId)]
    id: TokenId,
    /// `token`
    object: &'static str,
    label: Option<String>,
    #[schema(value_type = schema::TokenState)]
    state: &'static str,
    /// Until when it cools.
    until: Option<At>,
    /// Why it is in this state.
    reason: Option<String>,
    max_concurrency: u32,
    requests_per_minute: Option<u32>,
    leased: u32,
    expires_at: Option<At>,
    created_at: At,
}

/// The pool in numbers.
#[derive(Serialize, ToSchema)]
#[schema(as = Pool)]
struct PoolForm {
    min: u32,
    max: u32,
    usable: u32,
    /// Leases, not tokens.
    leased: u32,
    cooling: u32,
    quarantined: u32,
    exhausted: u32,
    disabled: u32,
    #[schema(value_type = schema::StatusOfPool)]
    status: &'static str,
}

fn view(token: TokenView) -> TokenForm {
    TokenForm {
        id: token.id,
        object: "token",
        label: token.label,
        state: token.state.name(),
        until: token.until.map(At),
        reason: token.reason,
        max_concurrency: token.max_concurrency,
        requests_per_minute: token.requests_per_minute,
        leased: token.leased,
        expires_at: token.expires_at.map(At),
        created_at: At(token.created_at),
    }
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

/// Import upstream tokens
///
/// Up to 1,000 at once, a body of up to 1 MiB. One outcome a token, in order.
#[utoipa::path(
    post,
    path = "/admin/v1/tokens",
    operation_id = "importTokens",
    tag = "Tokens",
    params(params::IdempotencyKey),
    request_body(content = ImportBody),
    responses(
        (status = 200, description = "One outcome a token.", body = Imported),
    ),
)]
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
            let told = |outcome| match outcome {
                ImportOutcome::Imported(id) => ImportedToken { id: Some(id), result: "imported", reason: None },
                ImportOutcome::Duplicate(id) => ImportedToken { id: Some(id), result: "duplicate", reason: None },
                ImportOutcome::PoolFull => ImportedToken { id: None, result: "refused", reason: Some("pool_full") },
            };
            Done::new(StatusCode::OK, &Imported { data: outcomes.into_iter().map(told).collect() })
        })
        .await
}

/// List upstream tokens
///
/// A page, newest first; never a secret.
#[utoipa::path(
    get,
    path = "/admin/v1/tokens",
    operation_id = "listTokens",
    tag = "Tokens",
    params(params::Paging),
    responses(
        (status = 200, description = "A page.", body = PageView<TokenForm>),
    ),
)]
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
    page::answer(&request, &query, found.map(view))
}

/// Read the pool in numbers
#[utoipa::path(
    get,
    path = "/admin/v1/tokens/pool",
    operation_id = "showPool",
    tag = "Tokens",
    responses(
        (status = 200, description = "The numbers.", body = PoolForm),
    ),
)]
pub(crate) async fn pool(core: web::Data<Core>, _operator: Operator) -> Result<HttpResponse, ApiError> {
    let stats = core.call(core.token_admin.stats()).await?;
    let PoolStats { min, max, usable, leased, cooling, quarantined, exhausted, disabled } = stats;
    let status = stats.status().name();
    let form = PoolForm { min, max, usable, leased, cooling, quarantined, exhausted, disabled, status };
    Ok(HttpResponse::Ok().json(form))
}

async fn changed(
    core: &Core,
    call: impl Future<Output = Result<Option<TokenView>, PoolError>>,
) -> Result<Done, ApiError> {
    let token = core.call(call).await?.ok_or_else(ApiError::not_found)?;
    let id = token.id;
    Ok(Done::new(StatusCode::OK, &view(token))?.subject(&id))
}

/// Disable a token
#[utoipa::path(
    post,
    path = "/admin/v1/tokens/{id}/disable",
    operation_id = "disableToken",
    tag = "Tokens",
    params(params::Token, params::IdempotencyKey),
    responses(
        (status = 200, description = "Disabled.", body = TokenForm),
    ),
)]
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

/// Reinstate a token
#[utoipa::path(
    post,
    path = "/admin/v1/tokens/{id}/reinstate",
    operation_id = "reinstateToken",
    tag = "Tokens",
    params(params::Token, params::IdempotencyKey),
    responses(
        (status = 200, description = "Usable again.", body = TokenForm),
    ),
)]
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

/// Delete a token
#[utoipa::path(
    delete,
    path = "/admin/v1/tokens/{id}",
    operation_id = "deleteToken",
    tag = "Tokens",
    params(params::Token, params::IdempotencyKey),
    responses(
        (status = 204, description = "Gone."),
    ),
)]
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
