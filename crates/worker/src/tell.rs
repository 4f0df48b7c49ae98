//! Telling gateways: what changed, batched into rings of at most 500, a hundred rings a second at most. A ring that fails is counted; gateways
//! re-read by themselves.

use crate::incarnation::Incarnation;
use domain::event::Change;
use domain::ids::GenerationId;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;

const RING_MOST: usize = 500;
const RING_LIMIT: Duration = Duration::from_secs(5);

impl Incarnation {
    /// Never waits: with the queue full this ring is one that did not come.
    pub(crate) fn tell(&self, change: Change) {
        if self.tells.try_send(change).is_err() {
            self.metrics.rings.with_label_values(&["to_gateways", "dropped"]).inc();
        }
    }
}

pub(crate) async fn run(inc: Arc<Incarnation>, mut queue: Receiver<Change>) {
    let mut gathered = Vec::with_capacity(RING_MOST);
    loop {
        tokio::select! {
            biased;
            () = inc.signals.lost.cancelled() => return,
            _count = queue.recv_many(&mut gathered, RING_MOST) => {}
            () = inc.signals.last.cancelled() => return,
        }
        let changes = newest(gathered.drain(..));
        let ring = tokio::time::timeout(RING_LIMIT, inc.backends.doorbell.ring_gateways(&changes));
        let outcome = tokio::select! {
            () = inc.signals.lost.cancelled() => return,
            ring = ring => if matches!(ring, Ok(Ok(()))) { "sent" } else { "failed" },
        };
        inc.metrics.rings.with_label_values(&["to_gateways", outcome]).inc();
        inc.rests().await;
    }
}

/// One change a generation: its highest version, and of that the latest progress.
fn newest(changes: impl Iterator<Item = Change>) -> Vec<Change> {
    let mut kept: Vec<Change> = Vec::new();
    let mut places: HashMap<GenerationId, usize> = HashMap::new();
    for change in changes {
        match places.get(&change.id).and_then(|place| kept.get_mut(*place)) {
            Some(known) if change.version < known.version => {}
            Some(known) => *known = change,
            None => {
                places.insert(change.id, kept.len());
                kept.push(change);
            }
        }
    }
    kept
}
