//! What time does to the pool: cooling that ends, tokens that expire, those over the maximum that are retired, and a word when the pool
//! becomes low or well again.

use crate::health::{Event, State as HealthState, reason};
use crate::pool::Pool;
use crate::state::State;
use domain::Timestamp;
use domain::ids::TokenId;
use domain::token::PoolStatus;
use std::time::{Duration, Instant};

/// At least so often, whatever happens.
const ROUND: Duration = Duration::from_secs(5);
/// Moments closer than this are served together.
const STEP: Duration = Duration::from_millis(5);

impl Pool {
    pub(crate) async fn keep_up(&self) {
        let mut rotated = Instant::now();
        loop {
            if rotated.elapsed() >= self.settings.rotation_interval {
                rotated = Instant::now();
                self.rotate();
            }
            let next = self.round().min(self.settings.rotation_interval);
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = tokio::time::sleep(next) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Rest for those that were leased more than their share.
    fn rotate(&self) {
        let mut state = self.state();
        if state.leading().is_ok() {
            let resting = state.book.rotate();
            if resting > 0 {
                tracing::info!(resting, "overused tokens rest until the next rotation");
            }
        }
    }

    /// Answers how long until the next.
    fn round(&self) -> Duration {
        let mut state = self.state();
        if state.leading().is_err() {
            state.was_low = None;
            return ROUND;
        }
        let now = self.now(&mut state);
        state.book.tick(now);
        self.retire_surplus(&mut state, now);
        state.serve_waiters(now);
        self.tell_size(&mut state);
        let next = state.book.next_change().map(|at| (at - now).to_std().unwrap_or_default());
        next.unwrap_or(ROUND).clamp(STEP, ROUND)
    }

    /// `MAX_TOKENS` was lowered: what is over goes, least healthy first, never while it is leased.
    fn retire_surplus(&self, state: &mut State, now: Timestamp) {
        let counted = state.book.tokens().filter(|(terms, _)| terms.health.counted()).count();
        let surplus = counted.saturating_sub(self.settings.max as usize);
        if surplus == 0 {
            return;
        }
        let badness = |health: HealthState| match health {
            HealthState::Quarantined => 0,
            HealthState::Exhausted { .. } => 1,
            HealthState::Cooling { .. } => 2,
            HealthState::HalfOpen => 3,
            HealthState::Usable | HealthState::Disabled | HealthState::Expired => 4,
        };
        let mut idle: Vec<(u8, TokenId)> = state
            .book
            .tokens()
            .filter(|(terms, leased)| terms.health.counted() && *leased == 0)
            .map(|(terms, _)| (badness(terms.health.state), terms.id))
            .collect();
        idle.sort_unstable();
        for (_, token) in idle.into_iter().take(surplus) {
            if state.book.happen(token, &Event::Disabled(reason::RETIRED), now) {
                state.owe(token);
            }
        }
        self.unsaved.notify_one();
    }

    fn tell_size(&self, state: &mut State) {
        let stats = self.count(state);
        let low = stats.status() != PoolStatus::Ok;
        if state.was_low == Some(low) {
            return;
        }
        state.was_low = Some(low);
        if low {
            tracing::warn!(
                event = "token_pool.low",
                usable = stats.usable,
                min = stats.min,
                "the token pool is low: import more, or mend what is out of use"
            );
        } else {
            tracing::info!(event = "token_pool.well", usable = stats.usable, min = stats.min, "the token pool is well");
        }
    }
}
