//! Retention: trims history, old results and old idempotency keys, in small steps off the hot path. Every worker may do it at once.

use crate::incarnation::Incarnation;
use std::sync::Arc;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(60);
const BETWEEN_STEPS: Duration = Duration::from_millis(100);
const STEP_LIMIT: Duration = Duration::from_secs(10);
/// Steps of one round: 100,000 rows. What is left waits for the next.
const STEPS_MOST: u32 = 200;

pub(crate) async fn run(inc: Arc<Incarnation>) {
    let trimming = async {
        loop {
            tokio::time::sleep(EVERY.mul_f64(0.5 + rand::random::<f64>())).await;
            round(&inc).await;
        }
    };
    tokio::select! {
        () = inc.signals.draining.cancelled() => {}
        () = inc.signals.lost.cancelled() => {}
        () = trimming => {}
    }
}

async fn round(inc: &Incarnation) {
    let settings = &inc.settings;
    for _ in 0..STEPS_MOST {
        let step = inc.backends.generations.retain(
            settings.completed_jobs_max,
            settings.failed_jobs_max,
            settings.result_retention,
        );
        match tokio::time::timeout(STEP_LIMIT, step).await {
            Ok(Ok(0)) => return,
            Ok(Ok(_)) => tokio::time::sleep(BETWEEN_STEPS).await,
            Ok(Err(error)) => return tracing::warn!(%error, "old records were not trimmed; the next round does"),
            Err(_) => return tracing::warn!("old records were not trimmed in time; the next round does"),
        }
    }
}
