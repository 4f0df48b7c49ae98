//! How many workers there should be, as the autoscaler wrote it down. Decided elsewhere: here it is only shown.

use crate::admit::Operator;
use crate::core::Core;
use crate::problem::ApiError;
use crate::view::At;
use actix_web::{HttpResponse, web};
use domain::Timestamp;
use domain::scaling::{Inputs, Standing, blind};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// An autoscaler writes every minute at least. After so long without a word, none runs.
const SILENT_AFTER: Duration = Duration::from_secs(180);

/// How many workers there should be, and why.
#[derive(Serialize, ToSchema)]
#[schema(as = Scaling)]
struct ScalingView<'a> {
    /// `scaling`
    object: &'static str,
    /// Who applies it: `railway`, `docker`, `advise` (nobody: it is for others to act on), or `none` while no autoscaler runs.
    controller: &'a str,
    /// Replicas that there are.
    current: u32,
    desired: u32,
    min: u32,
    max: u32,
    /// Which rule it follows: `waiting`, `oldest_waiting`, `cpu_high`, `cpu_low`, `bounds`, `at_most`, `tokens`, `cool_down`, `paused`,
    /// `no_data` or `steady`.
    rule: &'static str,
    /// For people.
    reason: &'a str,
    inputs: InputsView,
    /// Since when `desired` has been what it is.
    since: At,
    /// When it was written down last, also where nothing was known to decide by.
    decided_at: At,
    /// Why the controller could not be asked or could not apply it. Null when it could.
    failure: Option<&'a str>,
}

/// What the decision was made from.
#[derive(Serialize, ToSchema)]
#[schema(as = ScalingInputs)]
struct InputsView {
    /// Those that live and do not drain.
    workers: u32,
    /// Their mean, each as a share of what it may use. Null: fewer than half of them told.
    cpu: Option<f64>,
    /// Queued, backoff included.
    waiting: u64,
    /// Of those, what a worker could take now.
    due: u64,
    /// How long the oldest of the due has been due.
    oldest_waiting_seconds: f64,
    paused: bool,
    /// Leases that all usable tokens allow at once, and how many of them are free.
    token_capacity: u64,
    token_free: u64,
}

fn view(standing: &Standing, written_at: Timestamp) -> ScalingView<'_> {
    let Standing { controller, min, max, inputs, decision, failure } = standing;
    let seen = &inputs.observed;
    ScalingView {
        object: "scaling",
        controller,
        current: inputs.current,
        desired: decision.desired,
        min: *min,
        max: *max,
        rule: decision.rule.name(),
        reason: &decision.reason,
        inputs: InputsView {
            workers: seen.workers,
            cpu: seen.cpu,
            waiting: seen.waiting,
            due: seen.due,
            oldest_waiting_seconds: seen.oldest_waiting_seconds,
            paused: seen.paused,
            token_capacity: seen.token_capacity,
            token_free: seen.token_free,
        },
        since: At(decision.memory.since),
        decided_at: At(written_at),
        failure: failure.as_deref(),
    }
}

/// Read how many workers there should be
///
/// The autoscaler's decision, with what it was made from. Where none runs, the number stays what it is.
#[utoipa::path(
    get,
    path = "/admin/v1/scaling",
    operation_id = "showScaling",
    tag = "Operations",
    responses(
        (status = 200, description = "The decision that stands.", body = ScalingView<'_>),
    ),
)]
pub(crate) async fn show(core: web::Data<Core>, _operator: Operator) -> Result<HttpResponse, ApiError> {
    let last = core.call(core.backends.scaling.standing()).await?;
    let silent_for = match &last {
        Some((standing, age)) if *age < SILENT_AFTER => {
            return Ok(HttpResponse::Ok().json(view(standing, core.backends.clock.now() - *age)));
        }
        Some((_, age)) => Some(age.as_secs()),
        None => None,
    };
    let (observed, now) = core.call(core.backends.scaling.observe()).await?;
    let (min, max) = (core.settings.scaling_min, core.settings.scaling_max);
    let inputs = Inputs { current: observed.workers, observed };
    let why = silent_for.map_or_else(
        || "no autoscaler has decided anything yet".to_owned(),
        |seconds| format!("no autoscaler has decided anything for {seconds} s"),
    );
    let decision = blind(None, &inputs, why, now);
    let standing = Standing { controller: "none".to_owned(), min, max, inputs, decision, failure: None };
    Ok(HttpResponse::Ok().json(view(&standing, now)))
}
