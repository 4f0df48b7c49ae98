//! Giving up what is past its deadline: the ledger decides, refunds and ends; here only the news is passed on.

use crate::close;
use crate::incarnation::Incarnation;
use crate::step::STORE_LIMIT;
use domain::event::Notice;

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
    inc.metrics.finished.with_label_values(&["canceled"]).inc_by(expired.len() as u64);
    let mut notices = Vec::new();
    for (change, owned) in expired {
        inc.tell(change);
        if owned {
            close::asked(inc, change.id, None);
            notices.push(Notice::Closing(change.id));
        }
    }
    if !notices.is_empty() {
        let rang = tokio::time::timeout(STORE_LIMIT, inc.backends.doorbell.notify_workers(&notices)).await;
        let outcome = if matches!(rang, Ok(Ok(()))) { "sent" } else { "failed" };
        inc.metrics.rings.with_label_values(&["notices", outcome]).inc();
    }
}
