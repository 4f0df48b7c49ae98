//! The queue in numbers, paused and resumed.

use super::change::{Change, Done};
use crate::admit::Operator;
use crate::body;
use crate::core::Core;
use crate::generations::place::MEASURED_OVER;
use crate::openapi::params;
use crate::problem::ApiError;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::attention::failed_share;
use domain::ports::operators::{Order, Outcome};
use domain::tier::Tier;
use serde::Serialize;
use utoipa::ToSchema;

/// The queue now, and over the last five minutes.
#[derive(Serialize, ToSchema)]
#[schema(as = Queue)]
struct QueueView {
    /// Status `queued`, backoff included.
    waiting: u64,
    /// Holds a worker's slot.
    active: u64,
    rendering: u64,
    /// Of those that wait.
    by_tier: ByTier,
    oldest_waiting_seconds: f64,
    /// Rings that made no sense and were laid aside.
    dead: u64,
    paused: bool,
    throughput_per_minute: f64,
    /// From acceptance to the first claim.
    wait_seconds: Percentiles,
    /// From the claim to the end, of what succeeded.
    upstream_seconds: Percentiles,
    /// Of what ended, how much failed: 0 to 1.
    error_rate: f64,
}

#[derive(Serialize, ToSchema)]
struct ByTier {
    free: u64,
    pro: u64,
    premium: u64,
    enterprise: u64,
    system: u64,
}

#[derive(Serialize, ToSchema)]
struct Percentiles {
    p50: f64,
    p95: f64,
    p99: f64,
}

/// Whether the queue is paused now.
#[derive(Serialize, ToSchema)]
struct Paused {
    paused: bool,
}

/// Read the queue in numbers
///
/// Now, and over the last five minutes.
#[utoipa::path(
    get,
    path = "/admin/v1/queue",
    operation_id = "showQueue",
    tag = "Operations",
    responses(
        (status = 200, description = "The numbers.", body = QueueView),
    ),
)]
pub(crate) async fn show(core: web::Data<Core>, _operator: Operator) -> Result<HttpResponse, ApiError> {
    let stats = core.call(core.backends.generations.queue()).await?;
    let waiting = |tier: Tier| stats.waiting_by_tier.get(&tier).copied().unwrap_or(0);
    let percentiles = |[p50, p95, p99]: [f64; 3]| Percentiles { p50, p95, p99 };
    Ok(HttpResponse::Ok().json(QueueView {
        waiting: stats.waiting,
        active: stats.active,
        rendering: stats.rendering,
        by_tier: ByTier {
            free: waiting(Tier::Free),
            pro: waiting(Tier::Pro),
            premium: waiting(Tier::Premium),
            enterprise: waiting(Tier::Enterprise),
            system: waiting(Tier::System),
        },
        oldest_waiting_seconds: stats.oldest_waiting_seconds,
        dead: core.dead().await,
        paused: stats.paused,
        throughput_per_minute: stats.finished as f64 * 60.0 / MEASURED_OVER,
        wait_seconds: percentiles(stats.wait_seconds),
        upstream_seconds: percentiles(stats.upstream_seconds),
        error_rate: failed_share(stats.failed, stats.finished),
    }))
}

async fn set_paused(
    core: &Core,
    operator: &Operator,
    request: &HttpRequest,
    payload: web::Payload,
    paused: bool,
) -> Result<HttpResponse, ApiError> {
    body::none(request, payload).await?;
    let action = if paused { "queue.pause" } else { "queue.resume" };
    let change = Change { core, operator, request, action, fingerprint: [0; 32] };
    let show = |_: &Outcome| Done::new(StatusCode::OK, &Paused { paused });
    let after = |_: &Outcome| {
        core.changed();
        if !paused {
            core.ringer.work(1, None);
        }
    };
    change.order(Order::Pause(paused), None, show, after).await
}

/// Pause the queue
///
/// Nothing is started; what runs goes on.
#[utoipa::path(
    post,
    path = "/admin/v1/queue/pause",
    operation_id = "pauseQueue",
    tag = "Operations",
    params(params::IdempotencyKey),
    responses(
        (status = 200, description = "Paused.", body = Paused),
    ),
)]
pub(crate) async fn pause(
    core: web::Data<Core>,
    operator: Operator,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    set_paused(&core, &operator, &request, payload, true).await
}

/// Resume the queue
#[utoipa::path(
    post,
    path = "/admin/v1/queue/resume",
    operation_id = "resumeQueue",
    tag = "Operations",
    params(params::IdempotencyKey),
    responses(
        (status = 200, description = "Resumed.", body = Paused),
    ),
)]
pub(crate) async fn resume(
    core: web::Data<Core>,
    operator: Operator,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    set_paused(&core, &operator, &request, payload, false).await
}
