//! `GET /v1/generations/{id}/explain`: why it waits, what would unblock it, and when it may start.
//!
//! The position counts what its account submitted before it and still waits, up to a hundred. The start is an estimate: everything that
//! waits, at the pace of the last five minutes; it is null where nothing was measured.

use crate::admit::Customer;
use crate::core::Core;
use crate::generations;
use crate::openapi::{params, schema};
use crate::problem::ApiError;
use crate::view::At;
use actix_web::{HttpResponse, web};
use domain::Timestamp;
use domain::generation::Generation;
use domain::ids::GenerationId;
use domain::page::{LARGEST, PageRequest};
use domain::ports::generations::{GenerationFilter, QueueStats, Scope};
use domain::state::{Stage, Status, WaitingOn};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// Over which time the queue's numbers are taken, in seconds.
pub(crate) const MEASURED_OVER: f64 = 300.0;
/// An estimate beyond it is no information.
const ESTIMATE_LONGEST: f64 = 7.0 * 86_400.0;

/// Why a generation waits.
#[derive(Serialize, ToSchema)]
struct Explanation {
    #[schema(value_type = schema::GenerationId)]
    id: GenerationId,
    /// `explanation`
    object: &'static str,
    #[schema(value_type = schema::Status)]
    status: Status,
    #[schema(value_type = Option<schema::Stage>)]
    stage: Option<Stage>,
    /// 1 is next of its account.
    position: Option<u64>,
    #[schema(value_type = Option<schema::WaitingOn>)]
    waiting_on: Option<WaitingOn>,
    /// For people.
    reason: &'static str,
    unblocked_by: Option<&'static str>,
    estimated_start_at: Option<At>,
}

/// Explain a wait
///
/// Why it waits, what would unblock it, and when it may start.
#[utoipa::path(
    get,
    path = "/v1/generations/{id}/explain",
    operation_id = "explainGeneration",
    tag = "Generations",
    params(params::Generation),
    responses(
        (status = 200, description = "As far as is known now.", body = Explanation),
    ),
)]
pub(crate) async fn explain(
    core: web::Data<Core>,
    customer: Customer,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let scope = Scope::Account(customer.account.id);
    let generation = generations::find(&core, scope, &id).await?;
    let queued = generation.status == Status::Queued;
    let position = if queued { position(&core, scope, &generation).await? } else { None };
    let stats = if queued { Some(core.queue().await?) } else { None };
    let (reason, unblocked_by) = words(&generation);
    let estimate = stats.and_then(|stats| estimate(&stats, core.backends.clock.now()));
    let explanation = Explanation {
        id: generation.id,
        object: "explanation",
        status: generation.status,
        stage: generation.stage,
        position,
        waiting_on: generation.waiting_on,
        reason,
        unblocked_by,
        estimated_start_at: estimate.map(At),
    };
    Ok(HttpResponse::Ok().json(explanation))
}

/// One page of what the account submitted before it says how many stand before it, or only that they are more than a page holds.
async fn position(core: &Core, scope: Scope, generation: &Generation) -> Result<Option<u64>, ApiError> {
    let filter = GenerationFilter { status: Some(Status::Queued), ..GenerationFilter::default() };
    let page = PageRequest { limit: LARGEST, after: Some(generation.id.uuid()) };
    let before = core.call(core.backends.generations.list(scope, &filter, page)).await?;
    Ok(before.next.is_none().then_some(before.items.len() as u64 + 1))
}

fn estimate(stats: &QueueStats, now: Timestamp) -> Option<Timestamp> {
    if stats.paused || stats.finished == 0 {
        return None;
    }
    let seconds = stats.waiting as f64 * MEASURED_OVER / stats.finished as f64;
    (seconds <= ESTIMATE_LONGEST).then(|| now + Duration::from_secs_f64(seconds))
}

fn words(generation: &Generation) -> (&'static str, Option<&'static str>) {
    match (generation.status, generation.waiting_on) {
        (Status::Queued, Some(WaitingOn::Capacity) | None) => {
            ("Every worker is busy, or its turn comes with the next claim.", Some("A worker that has a free slot."))
        }
        (Status::Queued, Some(WaitingOn::Fairness)) => {
            ("Others go first: earlier ones of this account, or accounts that had less.", Some("Its turn."))
        }
        (Status::Queued, Some(WaitingOn::UpstreamTokens)) => {
            ("No upstream token is free.", Some("A token that is released, recovers or is added."))
        }
        (Status::Queued, Some(WaitingOn::RetryBackoff)) => {
            ("The last attempt failed; the next one waits a moment.", Some("The end of that wait."))
        }
        (Status::Queued, Some(WaitingOn::Paused)) => ("The operator has paused the queue.", Some("The operator.")),
        (Status::Processing, _) => ("It does not wait: a worker or the upstream works on it.", None),
        (Status::Succeeded | Status::Failed | Status::Canceled, _) => ("It does not wait: it has ended.", None),
    }
}
