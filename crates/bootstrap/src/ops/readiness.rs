//! `/readyz`: asks every dependency at once, each for a second at most.

use super::Ops;
use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use domain::ports::Probe;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(1);

/// 200 `ok`, 200 `degraded` when something that is not vital is out, 503 `unavailable` when something vital is, or the process is shutting
/// down.
pub(super) async fn answer(ops: &Ops) -> HttpResponse {
    let mut asked = JoinSet::new();
    for probe in &ops.probes {
        asked.spawn(ask(Arc::clone(probe)));
    }
    let mut results = asked.join_all().await;
    results.sort_by_key(|(name, _, _)| *name);
    let stopping = ops.shutdown.is_cancelled();
    let vital_out = results.iter().any(|(_, vital, result)| *vital && result.is_err());
    let any_out = results.iter().any(|(_, _, result)| result.is_err());
    let (status, mut response) = match (stopping || vital_out, any_out) {
        (true, _) => ("unavailable", HttpResponse::ServiceUnavailable()),
        (false, true) => ("degraded", HttpResponse::Ok()),
        (false, false) => ("ok", HttpResponse::Ok()),
    };
    let mut checks = Map::new();
    if stopping {
        checks.insert("shutdown".to_owned(), json!({"status": "unavailable", "detail": "shutting down"}));
    }
    for (name, vital, result) in results {
        let check = match result {
            Ok(()) => json!({"status": "ok"}),
            Err(detail) => json!({"status": if vital { "unavailable" } else { "degraded" }, "detail": detail}),
        };
        checks.insert(name.to_owned(), check);
    }
    response.insert_header((CACHE_CONTROL, "no-store")).json(json!({"status": status, "checks": Value::Object(checks)}))
}

async fn ask(probe: Arc<dyn Probe>) -> (&'static str, bool, Result<(), String>) {
    let result = tokio::time::timeout(PATIENCE, probe.check()).await;
    (probe.name(), probe.vital(), result.unwrap_or_else(|_| Err("no answer within 1 s".to_owned())))
}
