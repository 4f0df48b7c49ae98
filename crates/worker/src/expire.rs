//! Giving up what is past its deadline: the ledger decides, refunds and ends; here only the news is passed on.

use crate::close;
use crate::incarnation::Incarnation;
use crate::step::STORE_LIMIT;
use domain::event::{Change, Notice};

const STEP_MOST: u16 = 500;

pub(crate) async fn run(inc: &Incarnation) {
    let expired = match tokio::time::timeout(STORE_LIMIT, inc.backends.generations.expire(STEP_MOST)).await {
        Ok(Ok(expired)) => expired,
        Ok(Err(error)) => return tracing::warn!(%error, "deadlines were not looked at; the next step does"),
        Err(_) => return tracing::warn!("deadlines were not looked at in time; the next step does"),
    };
    if expired.is_empty() {
        return;
    }
    let mut notices = Vec::new();
    for (change, owned) in &expired {
        inc.tell(*change);
        if *owned {
            close::asked(inc, change.id, None);
            notices.push(Notice::Closing(change.id));
        }
    }
    if !notices.is_empty() {
        let rang = tokio::time::timeout(STORE_LIMIT, inc.backends.doorbell.notify_workers(&notices)).await;
        let outcome = if matches!(rang, Ok(Ok(()))) { "sent" } else { "failed" };
        inc.metrics.rings.with_label_values(&["notices", outcome]).inc();
    }
    count(inc, &expired).await;
}

/// By tier, which the news does not carry. Counting is worth one look at the ledger, and no more; the news does not wait for it.
async fn count(inc: &Incarnation, expired: &[(Change, bool)]) {
    let ids: Vec<_> = expired.iter().map(|(change, _)| change.id).collect();
    let seen = tokio::time::timeout(STORE_LIMIT, inc.backends.generations.show_many(&ids)).await;
    let seen = seen.ok().and_then(Result::ok).unwrap_or_default();
    for generation in &seen {
        inc.metrics.finished.with_label_values(&[generation.tier.name(), "canceled"]).inc();
    }
    let unseen = ids.len().saturating_sub(seen.len());
    if unseen > 0 {
        inc.metrics.finished.with_label_values(&["unknown", "canceled"]).inc_by(unseen as u64);
    }
}
