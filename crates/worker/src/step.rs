//! The step of about a second: wakes the claim unrung, promotes what is due, finds dead workers, adopts what they left, gives up what is
//! past its deadline, and now and then compares the hand with the ledger. Every worker does it; none leads.

use crate::incarnation::Incarnation;
use crate::{adopt, compare, expire};
use domain::admission::Tag;
use domain::ports::work::StepReport;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(1);
pub(crate) const STORE_LIMIT: Duration = Duration::from_secs(5);

pub(crate) async fn run(inc: Arc<Incarnation>) {
    let stepping = async {
        let mut comparison = compare::Comparison::default();
        loop {
            tokio::time::sleep(EVERY.mul_f64(0.5 + rand::random::<f64>())).await;
            inc.rung.notify_one();
            show(&inc);
            step(&inc).await;
            if !inc.signals.draining.is_cancelled() {
                adopt::run(&inc).await;
            }
            expire::run(&inc).await;
            comparison.run(&inc).await;
        }
    };
    tokio::select! {
        () = inc.signals.quiet.cancelled() => {}
        () = inc.signals.lost.cancelled() => {}
        () = stepping => {}
    }
}

fn show(inc: &Incarnation) {
    let held = inc.hand.counts();
    inc.metrics.active.set(i64::try_from(held.active).unwrap_or(i64::MAX));
    inc.metrics.rendering.set(i64::try_from(held.rendering).unwrap_or(i64::MAX));
}

async fn step(inc: &Incarnation) {
    let dry_until = *inc.dry_until.lock().unwrap_or_else(PoisonError::into_inner);
    let report = StepReport {
        greatest_tag: Tag(inc.greatest_tag.load(Ordering::Relaxed)),
        spares_the_silent: !inc.standing.may_bury(),
        dry_for: dry_until.map(|until| until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero()),
    };
    match tokio::time::timeout(STORE_LIMIT, inc.backends.work.step(inc.id, report)).await {
        Ok(Ok(stepped)) => {
            if stepped.died + stepped.requeued > 0 {
                tracing::info!(died = stepped.died, requeued = stepped.requeued, "found dead workers");
            }
            // What was promoted is due now: no need to wait for the next tick.
            if stepped.promoted + stepped.requeued > 0 {
                inc.rung.notify_one();
            }
        }
        Ok(Err(error)) => tracing::warn!(%error, "the step failed; the next one does its work"),
        Err(_) => tracing::warn!("the step did not end in time; the next one does its work"),
    }
}
