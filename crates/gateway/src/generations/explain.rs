//! `GET /v1/generations/{id}/explain`: why it waits, what would unblock it, and when it may start.
//!
//! Where it stands and when it may start is found in [`place`].

use crate::admit::Customer;
use crate::core::Core;
use crate::generations::{self, place};
use crate::openapi::{params, schema};
use crate::problem::ApiError;
use crate::view::At;
use actix_web::{HttpResponse, web};
use domain::ids::GenerationId;
use domain::ports::generations::Scope;
use domain::state::{Stage, Status, WaitingOn};
use serde::Serialize;
use utoipa::ToSchema;

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
    let queue = place::of(&core, &generation).await?;
    let (reason, unblocked_by) = words(generation.status, queue.waiting_on);
    let explanation = Explanation {
        id: generation.id,
        object: "explanation",
        status: generation.status,
        stage: generation.stage,
        position: queue.position,
        waiting_on: queue.waiting_on,
        reason,
        unblocked_by,
        estimated_start_at: queue.estimated_start_at,
    };
    Ok(HttpResponse::Ok().json(explanation))
}

pub(crate) fn words(status: Status, waiting_on: Option<WaitingOn>) -> (&'static str, Option<&'static str>) {
    match (status, waiting_on) {
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
