//! `GET /v1/generations`: a page, newest first.

use crate::admit::Customer;
use crate::core::Core;
use crate::openapi::params;
use crate::page::PageView;
use crate::problem::ApiError;
use crate::query::Query;
use crate::view::GenerationView;
use crate::{page, view};
use actix_web::{HttpRequest, HttpResponse, web};
use domain::ports::generations::{GenerationFilter, Scope};
use domain::state::Status;

pub(crate) const STATUSES: &str = "must be one of queued, processing, succeeded, failed, canceled";

/// List generations
///
/// A page, newest first.
#[utoipa::path(
    get,
    path = "/v1/generations",
    operation_id = "listGenerations",
    tag = "Generations",
    params(params::Filter, params::Paging),
    responses(
        (status = 200, description = "A page.", body = PageView<GenerationView<'_>>),
    ),
)]
pub(crate) async fn list(
    core: web::Data<Core>,
    customer: Customer,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut query = Query::of(&request);
    let filter = GenerationFilter {
        status: query.parsed("status", STATUSES, Status::parse),
        created_after: query.time("created_after"),
        created_before: query.time("created_before"),
        ..GenerationFilter::default()
    };
    let asked = page::asked(&mut query);
    query.finish()?;
    let scope = Scope::Account(customer.account.id);
    let found = core.call(core.backends.generations.list(scope, &filter, asked)).await?;
    let next = found.next;
    let items = found.items.iter().map(view::generation).collect();
    page::answer(&request, &query, domain::page::Page { items, next })
}
