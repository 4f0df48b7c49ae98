//! `GET /v1/account` and `GET /v1/account/ledger`: what an account has, used and may do.

use crate::admit::Customer;
use crate::core::Core;
use crate::openapi::params;
use crate::page::{self, PageView};
use crate::problem::ApiError;
use crate::query::Query;
use crate::view;
use crate::view::account::{AccountView, EntryView};
use actix_web::{HttpRequest, HttpResponse, web};

/// Read the account
#[utoipa::path(
    get,
    path = "/v1/account",
    operation_id = "showAccount",
    tag = "Account",
    responses(
        (status = 200, description = "The account of the key.", body = AccountView<'_>),
    ),
)]
pub(crate) async fn show(core: web::Data<Core>, customer: Customer) -> Result<HttpResponse, ApiError> {
    let account = &customer.account;
    let usage = core.call(core.backends.accounts.usage(account.id)).await?.ok_or_else(ApiError::not_found)?;
    let settings = &core.settings;
    let view = view::account::customers(account, &settings.tiers, settings.backlog_max_account, &usage, customer.rate);
    Ok(HttpResponse::Ok().json(view))
}

/// List credit entries
///
/// A page, newest first.
#[utoipa::path(
    get,
    path = "/v1/account/ledger",
    operation_id = "listCreditEntries",
    tag = "Account",
    params(params::Paging),
    responses(
        (status = 200, description = "A page.", body = PageView<EntryView>),
    ),
)]
pub(crate) async fn ledger(
    core: web::Data<Core>,
    customer: Customer,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut query = Query::of(&request);
    let asked = page::asked(&mut query);
    query.finish()?;
    let entries = core.call(core.backends.accounts.entries(customer.account.id, asked)).await?;
    page::answer(&request, &query, entries.map(view::account::entry))
}
