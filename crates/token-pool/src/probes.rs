//! Asks the upstream about tokens (`GET /me`): all that are out of use for their own sake, and a rolling tenth of the others, a few at a
//! time. What it says goes through the same transition function as everything else.

use crate::health::{Event, State as HealthState};
use crate::pool::Pool;
use domain::ids::TokenId;
use domain::ports::Upstream;
use domain::ports::upstream::UpstreamError;
use futures::StreamExt;
use rand::seq::SliceRandom;
use secrecy::SecretString;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Of the tokens in use, in each round.
const SHARE: usize = 10;
const AT_ONCE: usize = 8;
/// In one round, so that it ends before the next.
const ROUND_MAX: usize = 500;
const DEADLINE: Duration = Duration::from_secs(5);

impl Pool {
    pub(crate) async fn keep_probing(&self) {
        let Some(upstream) = self.upstream.clone() else { return };
        let mut after = None;
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = tokio::time::sleep(self.settings.health_check_interval) => {}
            }
            let round = self.to_probe(&mut after);
            let probes = futures::stream::iter(round)
                .for_each_concurrent(AT_ONCE, |(token, secret)| self.probe(Arc::clone(&upstream), token, secret));
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = probes => {}
            }
        }
    }

    /// `after`: the last of the rolling share.
    fn to_probe(&self, after: &mut Option<TokenId>) -> Vec<(TokenId, SecretString)> {
        let state = self.state();
        if state.leading().is_err() {
            return Vec::new();
        }
        let (mut out, mut used) = (Vec::new(), Vec::new());
        for (terms, _) in state.book.tokens() {
            match terms.health.state {
                HealthState::Quarantined | HealthState::Exhausted { .. } => out.push(terms.id),
                HealthState::Usable | HealthState::HalfOpen => used.push(terms.id),
                HealthState::Cooling { .. } | HealthState::Disabled | HealthState::Expired => {}
            }
        }
        used.sort_unstable();
        let share = used.len().div_ceil(SHARE).min(ROUND_MAX / 2);
        let from = after.map_or(0, |last| used.partition_point(|id| *id <= last));
        let rolling: Vec<TokenId> = used.iter().cycle().skip(from).take(share).copied().collect();
        *after = rolling.last().copied();
        // Where they are too many for one round, chance gives each its turn.
        out.shuffle(&mut rand::rng());
        rolling
            .into_iter()
            .chain(out)
            .take(ROUND_MAX)
            .filter_map(|id| Some((id, state.cards.get(&id)?.secret.clone()?)))
            .collect()
    }

    async fn probe(&self, upstream: Arc<dyn Upstream>, token: TokenId, secret: SecretString) {
        let answer = timeout(DEADLINE, upstream.check(&secret)).await;
        let answer = answer.unwrap_or_else(|_| Err(UpstreamError::TimedOut("no answer to the probe".into())));
        {
            let mut state = self.state();
            if state.leading().is_err() {
                return;
            }
            let now = self.now(&mut state);
            let event = Event::Probed(answer);
            if !state.book.happen(token, &event, now) {
                return;
            }
            state.owe(token);
            tracing::info!(%token, ?event, "a probe changed a token's state");
            state.serve_waiters(now);
        }
        self.unsaved.notify_one();
        self.changed.notify_one();
    }
}
