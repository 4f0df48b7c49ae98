//! The queue in numbers, paused and resumed.

use super::change::{Change, Done};
use crate::admit::Operator;
use crate::body;
use crate::core::Core;
use crate::generations::explain::MEASURED_OVER;
use crate::problem::ApiError;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::tier::Tier;
use serde_json::{Map, Value, json};

pub(crate) async fn show(core: web::Data<Core>, _operator: Operator) -> Result<HttpResponse, ApiError> {
    let stats = core.call(core.backends.generations.queue()).await?;
    let waiting = |tier: Tier| stats.waiting_by_tier.get(&tier).copied().unwrap_or(0);
    let by_tier: Map<String, Value> =
        Tier::ALL.into_iter().map(|tier| (tier.name().to_owned(), waiting(tier).into())).collect();
    let error_rate = if stats.finished == 0 { 0.0 } else { stats.failed as f64 / stats.finished as f64 };
    let [p50, p95, p99] = stats.wait_seconds;
    Ok(HttpResponse::Ok().json(json!({
        "waiting": stats.waiting,
        "active": stats.active,
        "rendering": stats.rendering,
        "by_tier": by_tier,
        "oldest_waiting_seconds": stats.oldest_waiting_seconds,
        "dead": 0,
        "paused": stats.paused,
        "throughput_per_minute": stats.finished as f64 * 60.0 / MEASURED_OVER,
        "wait_seconds": {"p50": p50, "p95": p95, "p99": p99},
        "error_rate": error_rate,
    })))
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
    change
        .make(async {
            core.call(core.backends.generations.pause(paused)).await?;
            if !paused {
                core.ringer.work();
            }
            Done::new(StatusCode::OK, &json!({"paused": paused}))
        })
        .await
}

pub(crate) async fn pause(
    core: web::Data<Core>,
    operator: Operator,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    set_paused(&core, &operator, &request, payload, true).await
}

pub(crate) async fn resume(
    core: web::Data<Core>,
    operator: Operator,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    set_paused(&core, &operator, &request, payload, false).await
}
