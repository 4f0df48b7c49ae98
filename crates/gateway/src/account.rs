//! `GET /v1/account` and `GET /v1/account/ledger`: what an account has, used and may do.

use crate::admit::Customer;
use crate::core::Core;
use crate::limit::seconds;
use crate::page;
use crate::problem::ApiError;
use crate::query::Query;
use crate::view::{self, At};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

pub(crate) async fn show(core: web::Data<Core>, customer: Customer) -> Result<HttpResponse, ApiError> {
    let account = &customer.account;
    let usage = core.call(core.backends.accounts.usage(account.id)).await?.ok_or_else(ApiError::not_found)?;
    let limits = account.limits(&core.settings.tiers);
    let rate = customer.rate.map(|rate| {
        let remaining = rate.remaining;
        json!({"limit": rate.limit, "remaining": remaining, "window_seconds": 60, "reset_seconds": seconds(rate.reset_after)})
    });
    let backlog_max = account.overrides.backlog_max.unwrap_or(core.settings.backlog_max_account);
    let view = json!({
        "id": account.id,
        "object": "account",
        "name": account.name,
        "tier": account.tier,
        "status": account.status,
        "limits": view::limits(&limits, backlog_max),
        "credits": {"balance": usage.balance, "reserved": usage.reserved},
        "generations": {
            "used": usage.used,
            "limit": limits.generations_per_month,
            "resets_at": At(usage.resets_at),
        },
        "rate_limit": rate,
        "created_at": At(account.created_at),
    });
    Ok(HttpResponse::Ok().json(view))
}

pub(crate) async fn ledger(
    core: web::Data<Core>,
    customer: Customer,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut query = Query::of(&request);
    let asked = page::asked(&mut query);
    query.finish()?;
    let entries = core.call(core.backends.accounts.entries(customer.account.id, asked)).await?;
    page::answer(&request, &query, entries.map(view::entry))
}
