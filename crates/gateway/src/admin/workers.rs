//! Live worker replicas, and asking one to drain.

use super::change::{Change, Done};
use super::id;
use crate::admit::Operator;
use crate::body;
use crate::core::Core;
use crate::openapi::{params, schema};
use crate::page::PageView;
use crate::problem::ApiError;
use crate::view::At;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::ids::WorkerId;
use domain::ports::operators::{Order, Outcome};
use domain::ports::work::WorkerView;
use serde::Serialize;
use utoipa::ToSchema;

/// A live worker replica.
#[derive(Serialize, ToSchema)]
#[schema(as = Worker)]
struct WorkerForm<'a> {
    #[schema(value_type = schema::WorkerId)]
    id: WorkerId,
    /// `worker`
    object: &'static str,
    /// Its host and process.
    name: &'a str,
    version: &'a str,
    /// How many it works on at once.
    slots: u32,
    active: u32,
    rendering: u32,
    draining: bool,
    /// Its share of the CPU that it may use, as it told last: 1 is all of it. Null: not known yet.
    cpu: Option<f64>,
    started_at: At,
    last_heartbeat_at: At,
}

/// A worker that was asked to drain.
#[derive(Serialize, ToSchema)]
struct Draining {
    #[schema(value_type = schema::WorkerId)]
    id: WorkerId,
    draining: bool,
}

fn view(worker: &WorkerView) -> WorkerForm<'_> {
    WorkerForm {
        id: worker.id,
        object: "worker",
        name: &worker.name,
        version: &worker.version,
        slots: worker.slots,
        active: worker.active,
        rendering: worker.rendering,
        draining: worker.draining,
        cpu: worker.cpu,
        started_at: At(worker.started_at),
        last_heartbeat_at: At(worker.renewed_at),
    }
}

/// List live workers
#[utoipa::path(
    get,
    path = "/admin/v1/workers",
    operation_id = "listWorkers",
    tag = "Operations",
    responses(
        (status = 200, description = "All of them.", body = PageView<WorkerForm<'_>>),
    ),
)]
pub(crate) async fn list(core: web::Data<Core>, _operator: Operator) -> Result<HttpResponse, ApiError> {
    let workers = core.call(core.backends.work.workers()).await?;
    Ok(HttpResponse::Ok().json(PageView::<WorkerForm<'_>>::whole(workers.iter().map(view).collect())))
}

/// Ask a worker to drain
///
/// It takes nothing new; what it renders is adopted by others.
#[utoipa::path(
    post,
    path = "/admin/v1/workers/{id}/drain",
    operation_id = "drainWorker",
    tag = "Operations",
    params(params::Worker, params::IdempotencyKey),
    responses(
        (status = 202, description = "Asked; it hears it with its next renewal.", body = Draining),
    ),
)]
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
    let show = |_: &Outcome| Done::new(StatusCode::ACCEPTED, &Draining { id: worker, draining: true });
    change.order(Order::Drain(worker), Some(worker.to_string()), show, |_| ()).await
}
