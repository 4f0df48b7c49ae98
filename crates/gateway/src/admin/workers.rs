//! Live worker replicas, and asking one to drain.

use super::change::{Change, Done};
use super::id;
use crate::admit::Operator;
use crate::body;
use crate::core::Core;
use crate::problem::ApiError;
use crate::view::At;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::ids::WorkerId;
use domain::ports::work::WorkerView;
use serde_json::{Value, json};

fn view(worker: &WorkerView) -> Value {
    json!({
        "id": worker.id,
        "object": "worker",
        "name": worker.name,
        "version": worker.version,
        "slots": worker.slots,
        "active": worker.active,
        "rendering": worker.rendering,
        "draining": worker.draining,
        "started_at": At(worker.started_at),
        "last_heartbeat_at": At(worker.renewed_at),
    })
}

pub(crate) async fn list(core: web::Data<Core>, _operator: Operator) -> Result<HttpResponse, ApiError> {
    let workers = core.call(core.backends.work.workers()).await?;
    let data: Vec<Value> = workers.iter().map(view).collect();
    Ok(HttpResponse::Ok().json(json!({"data": data, "next_cursor": null, "has_more": false})))
}

pub(crate) async fn drain(
    core: web::Data<Core>,
    operator: Operator,
    worker: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let worker: WorkerId = id(&worker)?;
    body::none(&request, payload).await?;
    let fingerprint = [0; 32];
    let change = Change { core: &core, operator: &operator, request: &request, action: "worker.drain", fingerprint };
    change
        .make(async {
            if !core.call(core.backends.work.ask_to_drain(worker)).await? {
                return Err(ApiError::not_found());
            }
            Ok(Done::new(StatusCode::ACCEPTED, &json!({"id": worker, "draining": true}))?.subject(&worker))
        })
        .await
}
