//! This gateway's heartbeat in the ledger. What comes back is by how many gateways a limit is shared while the shared limiter is silent.
//!
//! A ledger that does not answer changes nothing: the last number stands.

use crate::core::Core;
use domain::ids::GatewayId;
use domain::rate::WINDOW;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(3);
/// Two beats may be lost.
const LEASE: Duration = Duration::from_secs(10);
const LEAVES_WITHIN: Duration = Duration::from_secs(1);

/// Beats until `stopped`, then leaves.
pub(crate) async fn heartbeat(core: Arc<Core>, stopped: CancellationToken) {
    let gateways = core.backends.gateways.clone();
    let id = GatewayId::new(core.backends.clock.now(), rand::random());
    stopped.run_until_cancelled_owned(beats(core, id)).await;
    // Where this fails, the lease ends by itself.
    if !matches!(timeout(LEAVES_WITHIN, gateways.leave(id)).await, Ok(Ok(()))) {
        tracing::debug!("the ledger was not told that this gateway leaves");
    }
}

async fn beats(core: Arc<Core>, id: GatewayId) {
    let mut due = interval(EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut fleet = Fleet::default();
    loop {
        due.tick().await;
        match core.backends.gateways.beat(id, LEASE).await {
            Ok(live) => core.limits.shared_by(fleet.saw(live, Instant::now())),
            Err(error) => tracing::debug!(%error, "the ledger did not take this gateway's heartbeat"),
        }
        core.limits.show();
    }
}

/// The most gateways that lived at once within the last window. One that died has let requests through that still count, so its share is
/// not given to the others before they no longer do.
#[derive(Default)]
struct Fleet {
    /// Falling: each entry is the greatest since its moment.
    seen: VecDeque<(Instant, u32)>,
}

impl Fleet {
    fn saw(&mut self, live: u32, now: Instant) -> u32 {
        while self.seen.back().is_some_and(|(_, before)| *before <= live) {
            self.seen.pop_back();
        }
        self.seen.push_back((now, live));
        while self.seen.front().is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW) {
            self.seen.pop_front();
        }
        self.seen.front().map_or(live, |(_, most)| *most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_died_keeps_its_share_for_a_window() {
        let (mut fleet, start) = (Fleet::default(), Instant::now());
        let mut at = |second: u64, live| fleet.saw(live, start + Duration::from_secs(second));
        assert_eq!(at(0, 2), 2);
        assert_eq!(at(3, 5), 5, "a newcomer counts at once");
        assert_eq!(at(6, 3), 5);
        assert_eq!(at(9, 4), 5);
        assert_eq!(at(62, 1), 5);
        assert_eq!(at(63, 1), 4);
        assert_eq!(at(69, 1), 1);
    }
}
