//! Generations of all accounts: found, shown with their history, canceled, submitted anew.

use super::change::{Change, Done};
use crate::admit::Operator;
use crate::core::Core;
use crate::generations::cancel::ring;
use crate::generations::find;
use crate::generations::list::STATUSES;
use crate::generations::submit::accept;
use crate::openapi::params;
use crate::page::PageView;
use crate::problem::{ApiError, Code};
use crate::query::Query;
use crate::trace::Trace;
use crate::view::OperatorsGeneration;
use crate::{body, idempotency, page, view};
use actix_web::http::StatusCode;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use domain::account::Account;
use domain::admission::Submission;
use domain::generation::{ErrorCode, Generation};
use domain::ids::{AccountId, GenerationId};
use domain::page::Page;
use domain::ports::generations::{GenerationFilter, Scope};
use domain::ports::operators::{Order, Outcome};
use domain::request::CancelAfter;
use domain::state::{Stage, Status};
use domain::tier::Tier;

/// List generations of all accounts
///
/// A page, newest first.
#[utoipa::path(
    get,
    path = "/admin/v1/generations",
    operation_id = "listAllGenerations",
    tag = "Operations",
    params(params::OperatorsFilter, params::Paging),
    responses(
        (status = 200, description = "A page.", body = PageView<OperatorsGeneration<'_>>),
    ),
)]
pub(crate) async fn list(
    core: web::Data<Core>,
    _operator: Operator,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut query = Query::of(&request);
    let account = query.id::<AccountId>("account");
    let filter = GenerationFilter {
        status: query.parsed("status", STATUSES, Status::parse),
        stage: query.parsed("stage", "must be a stage", Stage::parse),
        tier: query.parsed("tier", "must be a tier", Tier::parse),
        error_code: query.parsed("error_code", "must be an error code of a generation", ErrorCode::parse),
        created_after: query.time("created_after"),
        created_before: query.time("created_before"),
        text: query.text("q"),
    };
    let asked = page::asked(&mut query);
    query.finish()?;
    let scope = account.map_or(Scope::Everyone, Scope::Account);
    let found = core.call(core.backends.generations.list(scope, &filter, asked)).await?;
    let items = found.items.iter().map(|generation| view::operators(generation, None)).collect();
    page::answer(&request, &query, Page { items, next: found.next })
}

/// Inspect a generation
///
/// With each try, its worker and its token.
#[utoipa::path(
    get,
    path = "/admin/v1/generations/{id}",
    operation_id = "inspectGeneration",
    tag = "Operations",
    params(params::Generation),
    responses(
        (status = 200, description = "With its history.", body = OperatorsGeneration<'_>),
    ),
)]
pub(crate) async fn show(
    core: web::Data<Core>,
    _operator: Operator,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let generation = find(&core, Scope::Everyone, &id).await?;
    let attempts = core.call(core.backends.generations.attempts(generation.id)).await?;
    Ok(HttpResponse::Ok().json(view::operators(&generation, Some(attempts))))
}

/// Cancel a generation
#[utoipa::path(
    post,
    path = "/admin/v1/generations/{id}/cancel",
    operation_id = "cancelGenerationAsOperator",
    tag = "Operations",
    params(params::Generation, params::IdempotencyKey),
    responses(
        (status = 202, description = "Canceled.", body = OperatorsGeneration<'_>),
        (status = 409, description = "already_final"),
    ),
)]
pub(crate) async fn cancel(
    core: web::Data<Core>,
    operator: Operator,
    id: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    body::none(&request, payload).await?;
    let fingerprint = [0; 32];
    let action = "generation.cancel";
    let change = Change { core: &core, operator: &operator, request: &request, action, fingerprint };
    let id: GenerationId = super::id(&id)?;
    let show = |outcome: &Outcome| {
        let Outcome::Canceled { generation, .. } = outcome else { return Err(ApiError::internal()) };
        Done::new(StatusCode::ACCEPTED, &view::operators(generation, None))
    };
    let after = |outcome: &Outcome| {
        if let Outcome::Canceled { generation, tell_workers } = outcome {
            ring(&core, generation, *tell_workers);
        }
    };
    change.order(Order::Cancel(id), Some(id.to_string()), show, after).await
}

/// Submit a generation anew
///
/// A new generation of the same account and request, charged as one. What has not ended is not retried.
#[utoipa::path(
    post,
    path = "/admin/v1/generations/{id}/retry",
    operation_id = "retryGeneration",
    tag = "Operations",
    params(params::Generation, params::IdempotencyKey),
    responses(
        (status = 202, description = "Submitted.", body = OperatorsGeneration<'_>, headers(("Location"))),
        (status = 402, description = "credits_exhausted, monthly_quota_exhausted"),
        (status = 409, description = "not_final"),
        (status = 503, description = "overloaded", headers(("Location"))),
    ),
)]
pub(crate) async fn retry(
    core: web::Data<Core>,
    operator: Operator,
    id: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    body::none(&request, payload).await?;
    let fingerprint = [0; 32];
    let change =
        Change { core: &core, operator: &operator, request: &request, action: "generation.retry", fingerprint };
    change
        .make(async {
            let old = find(&core, Scope::Everyone, &id).await?;
            let id = old.id;
            let account = core.call(core.backends.accounts.show(old.account_id)).await?;
            let account = account.ok_or_else(ApiError::not_found)?;
            let key = change.key_of(&id)?;
            let (new, _) = anew(&change, old, &account, key).await?;
            let done = Done::new(StatusCode::ACCEPTED, &view::operators(&new, None))?;
            Ok(done.subject(&id).location(format!("/admin/v1/generations/{}", new.id)))
        })
        .await
}

/// Submits what has ended once more, as a generation of its own. Answers it, and whether it was submitted under `key` before.
pub(super) async fn anew(
    change: &Change<'_>,
    old: Generation,
    account: &Account,
    key: Option<String>,
) -> Result<(Generation, bool), ApiError> {
    let Change { core, request, .. } = *change;
    if !old.status.is_final() {
        return Err(ApiError::new(Code::NotFinal, "Only what has ended can be submitted anew."));
    }
    core.backlogs.check(account).await?;
    let idempotency = key.map(|key| idempotency::key_for(key, &old.request)).transpose()?;
    let submission = Submission {
        id: GenerationId::new(core.backends.clock.now(), rand::random()),
        account_id: old.account_id,
        request: old.request,
        cancel_after: CancelAfter::USUAL.duration(),
        idempotency,
        retry_of: Some(old.id),
        trace: request.extensions().get::<Trace>().cloned().map(Trace::into_text),
    };
    accept(core, submission).await
}
