//! A token's health: one pure transition function and the policy it follows. The picture is in `docs/tokens.md`.
//!
//! It knows nothing of leases: which of them is the trial of a half-open token is the lease book's business.

use domain::Timestamp;
use domain::ports::upstream::{TokenCheck, UpstreamError};
use domain::token::{LeaseOutcome, TokenState};
use std::time::Duration;

/// Why a token is where it is, as operators read it.
pub mod reason {
    pub const RATE_LIMITED: &str = "the upstream limits it";
    pub const UNAUTHORIZED: &str = "the upstream refused it (401 or 403)";
    pub const OUT_OF_CREDIT: &str = "out of credit (402)";
    pub const UPSTREAM_ERRORS: &str = "too many upstream errors";
    pub const HALF_OPEN: &str = "half-open: one trial lease decides";
    pub const OPERATOR: &str = "by an operator";
    pub const EXPIRED: &str = "expired";
    pub const RETIRED: &str = "retired: over MAX_TOKENS";
    pub const RESTS: &str = "rests: leased more than twice its share; used where no other is free";
    pub const DAMAGED: &str = "its sealed secret does not open: damaged, swapped, or its encryption key is missing";
}

/// The numbers of the error policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How long a rate limit cools where the upstream names no time.
    pub cooling_default: Duration,
    /// What an upstream's `Retry-After` is clamped to.
    pub cooling_min: Duration,
    pub cooling_max: Duration,
    /// This many failures …
    pub errors: u32,
    /// … of so many last outcomes (at most 32) cool a token …
    pub errors_of: u32,
    /// … for this long, doubled with each time in a row, up to `cooling_max`.
    pub error_cooling: Duration,
    /// After how long an exhausted token gets a trial though the upstream does not tell its credit.
    pub exhausted_retry: Duration,
    /// A trial lease that the ledger has named for so long, without bad news, has passed: the upstream took the submission.
    pub trial: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            cooling_default: Duration::from_secs(30),
            cooling_min: Duration::from_secs(1),
            cooling_max: Duration::from_secs(300),
            errors: 5,
            errors_of: 10,
            error_cooling: Duration::from_secs(15),
            exhausted_retry: Duration::from_secs(3_600),
            trial: Duration::from_secs(15),
        }
    }
}

/// The seven states. The ledger keeps five: half-open is usable with a reason, expired follows from the row's own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Usable,
    Cooling { until: Timestamp },
    HalfOpen,
    Quarantined,
    Exhausted { since: Timestamp },
    Disabled,
    Expired,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    pub state: State,
    pub reason: Option<String>,
    /// The last outcomes, newest lowest; a failure is a one.
    recent: u32,
    /// Times it was cooled for errors in a row.
    strikes: u32,
}

/// What happens to a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A lease came back.
    Outcome(LeaseOutcome),
    /// The trial of a half-open token went well.
    TrialPassed,
    /// The time it cools for is over.
    Cooled,
    /// The upstream was asked about it.
    Probed(Result<TokenCheck, UpstreamError>),
    Expired,
    /// By an operator, or because it is over the pool's maximum.
    Disabled(&'static str),
    Reinstated,
    Damaged,
}

impl Health {
    pub fn usable() -> Self {
        Self { state: State::Usable, reason: None, recent: 0, strikes: 0 }
    }

    /// As the ledger's row says. `loaded` stands in for the moment of exhaustion, which no row keeps.
    pub fn of_row(state: TokenState, until: Option<Timestamp>, reason: Option<String>, loaded: Timestamp) -> Self {
        let state = match state {
            TokenState::Usable if reason.as_deref() == Some(reason::HALF_OPEN) => State::HalfOpen,
            TokenState::Usable => State::Usable,
            TokenState::Cooling => State::Cooling { until: until.unwrap_or(loaded) },
            TokenState::Quarantined => State::Quarantined,
            TokenState::Exhausted => State::Exhausted { since: loaded },
            TokenState::Disabled => State::Disabled,
        };
        Self { state, reason, ..Self::usable() }
    }

    /// As the row and the listings show it.
    pub fn row(&self) -> (TokenState, Option<Timestamp>, Option<String>) {
        let (state, until) = match self.state {
            State::Usable | State::HalfOpen => (TokenState::Usable, None),
            State::Cooling { until } => (TokenState::Cooling, Some(until)),
            State::Quarantined => (TokenState::Quarantined, None),
            State::Exhausted { .. } => (TokenState::Exhausted, None),
            State::Disabled | State::Expired => (TokenState::Disabled, None),
        };
        (state, until, self.reason.clone())
    }

    /// Whether it counts towards the pool's maximum.
    pub fn counted(&self) -> bool {
        !matches!(self.state, State::Disabled | State::Expired)
    }

    fn goes(&self, state: State, reason: &str) -> Self {
        Self { state, reason: Some(reason.to_owned()), ..self.clone() }
    }

    /// Never shortened by a later limit.
    fn cools(&self, retry_after: Option<Duration>, now: Timestamp, policy: &Policy) -> Self {
        let rest = retry_after.unwrap_or(policy.cooling_default).clamp(policy.cooling_min, policy.cooling_max);
        let until = match self.state {
            State::Cooling { until } => until.max(now + rest),
            _ => now + rest,
        };
        self.goes(State::Cooling { until }, reason::RATE_LIMITED)
    }

    fn fails(&self, now: Timestamp, policy: &Policy) -> Self {
        let span = policy.errors_of.clamp(1, 32);
        let recent = ((self.recent << 1) | 1) & (u32::MAX >> (32 - span));
        let on_trial = self.state == State::HalfOpen;
        if !on_trial && recent.count_ones() < policy.errors {
            return Self { recent, ..self.clone() };
        }
        let rest = policy.error_cooling.saturating_mul(1 << self.strikes.min(16)).min(policy.cooling_max);
        let cooled = self.goes(State::Cooling { until: now + rest }, reason::UPSTREAM_ERRORS);
        Self { recent: 0, strikes: self.strikes.saturating_add(1), ..cooled }
    }

    fn refused(&self) -> Self {
        self.goes(State::Quarantined, reason::UNAUTHORIZED)
    }

    /// Where it stands after `event` at `now`.
    pub fn after(&self, event: &Event, now: Timestamp, policy: &Policy) -> Self {
        use State::{Cooling, Disabled, Exhausted, Expired, HalfOpen, Quarantined, Usable};
        let half_open = || self.goes(HalfOpen, reason::HALF_OPEN);
        match (self.state, event) {
            // Final, but for an operator and for time.
            (Expired, _) => self.clone(),
            (_, Event::Expired) => self.goes(Expired, reason::EXPIRED),
            (_, Event::Disabled(why)) => self.goes(Disabled, why),
            (Disabled, Event::Reinstated) => Self::usable(),
            (Disabled, _) => self.clone(),
            (_, Event::Damaged) => self.goes(Quarantined, reason::DAMAGED),
            // Doubtful ones go through a trial even when an operator vouches for them.
            (Quarantined | Exhausted { .. }, Event::Reinstated) => Self { recent: 0, strikes: 0, ..half_open() },
            (Usable | Cooling { .. } | HalfOpen, Event::Reinstated) => Self::usable(),

            (Cooling { until }, Event::Cooled) if until <= now => half_open(),
            (_, Event::Cooled) => self.clone(),
            (HalfOpen, Event::TrialPassed) => Self::usable(),
            (_, Event::TrialPassed) => self.clone(),

            (Quarantined, Event::Probed(Ok(check))) if check.credits_left.is_none_or(|left| left > 0) => half_open(),
            (Exhausted { .. }, Event::Probed(Ok(TokenCheck { credits_left: Some(left) }))) if *left > 0 => half_open(),
            (Exhausted { since }, Event::Probed(Ok(TokenCheck { credits_left: None })))
                if since + policy.exhausted_retry <= now =>
            {
                half_open()
            }
            (Usable | Cooling { .. } | HalfOpen, Event::Probed(Ok(TokenCheck { credits_left: Some(left) })))
                if *left <= 0 =>
            {
                self.goes(Exhausted { since: now }, reason::OUT_OF_CREDIT)
            }
            (_, Event::Outcome(LeaseOutcome::Unauthorized) | Event::Probed(Err(UpstreamError::Unauthorized))) => {
                self.refused()
            }
            // What is quarantined waits for a probe or an operator; late news of its old leases changes nothing.
            (Quarantined, _) => self.clone(),
            (Exhausted { .. }, _) => self.clone(),
            (_, Event::Outcome(LeaseOutcome::OutOfCredit) | Event::Probed(Err(UpstreamError::OutOfCredit))) => {
                self.goes(Exhausted { since: now }, reason::OUT_OF_CREDIT)
            }
            (_, Event::Outcome(LeaseOutcome::RateLimited { retry_after }))
            | (_, Event::Probed(Err(UpstreamError::RateLimited { retry_after }))) => {
                self.cools(*retry_after, now, policy)
            }
            (Cooling { .. }, Event::Outcome(LeaseOutcome::UpstreamError)) => self.clone(),
            (_, Event::Outcome(LeaseOutcome::UpstreamError)) => self.fails(now, policy),
            (_, Event::Outcome(LeaseOutcome::Ok)) => Self { recent: self.recent << 1, ..self.clone() },
            // Never used, or a probe that says nothing about the token itself.
            (_, Event::Outcome(LeaseOutcome::Abandoned) | Event::Probed(_)) => self.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_timestamp(seconds, 0).unwrap()
    }

    fn limited(seconds: u64) -> Event {
        Event::Outcome(LeaseOutcome::RateLimited { retry_after: Some(Duration::from_secs(seconds)) })
    }

    fn follow(events: &[(i64, Event)]) -> Health {
        let policy = Policy::default();
        events.iter().fold(Health::usable(), |health, (second, event)| health.after(event, at(*second), &policy))
    }

    #[test]
    fn a_rate_limit_cools_and_a_later_one_never_shortens_it() {
        let cooled = follow(&[(0, limited(60)), (1, limited(2))]);
        assert_eq!(cooled.state, State::Cooling { until: at(60) });
        let longer = follow(&[(0, limited(60)), (1, limited(90))]);
        assert_eq!(longer.state, State::Cooling { until: at(91) });
    }

    #[test]
    fn nonsense_for_a_retry_after_is_clamped() {
        assert_eq!(follow(&[(0, limited(0))]).state, State::Cooling { until: at(1) });
        assert_eq!(follow(&[(0, limited(99_999_999_999))]).state, State::Cooling { until: at(300) });
        let unnamed = Event::Outcome(LeaseOutcome::RateLimited { retry_after: None });
        assert_eq!(follow(&[(0, unnamed)]).state, State::Cooling { until: at(30) });
    }

    #[test]
    fn cooling_ends_in_a_trial_and_only_the_trial_brings_full_use() {
        let early = follow(&[(0, limited(10)), (9, Event::Cooled)]);
        assert_eq!(early.state, State::Cooling { until: at(10) });
        let open = [(0, limited(10)), (10, Event::Cooled), (11, Event::Outcome(LeaseOutcome::Ok))];
        assert_eq!(follow(&open).state, State::HalfOpen);
        let passed = follow(&[open.as_slice(), &[(12, Event::TrialPassed)]].concat());
        assert_eq!(passed, Health::usable());
    }

    #[test]
    fn five_failures_of_the_last_ten_cool_and_each_time_longer() {
        let fail = Event::Outcome(LeaseOutcome::UpstreamError);
        let ok = Event::Outcome(LeaseOutcome::Ok);
        let four = vec![(0, fail.clone()); 4];
        assert_eq!(follow(&four).state, State::Usable);
        let with_successes = [four.clone(), vec![(0, ok.clone()); 5], vec![(0, fail.clone())]].concat();
        assert_eq!(follow(&with_successes).state, State::Cooling { until: at(15) });
        let forgotten = [four, vec![(0, ok); 6], vec![(0, fail.clone())]].concat();
        assert_eq!(follow(&forgotten).state, State::Usable);
        let again = [vec![(0, fail.clone()); 5], vec![(15, Event::Cooled), (20, fail)]].concat();
        assert_eq!(follow(&again).state, State::Cooling { until: at(50) });
    }

    #[test]
    fn a_refused_token_returns_by_probe_and_trial_alone() {
        let refused =
            [(0, Event::Outcome(LeaseOutcome::Unauthorized)), (1, Event::Outcome(LeaseOutcome::Ok)), (2, limited(5))];
        assert_eq!(follow(&refused).state, State::Quarantined);
        let good = (3, Event::Probed(Ok(TokenCheck { credits_left: Some(7) })));
        let probed = follow(&[refused.as_slice(), &[good]].concat());
        assert_eq!(probed.state, State::HalfOpen);
        assert_eq!(probed.row().0, TokenState::Usable);
    }

    #[test]
    fn an_exhausted_token_returns_with_its_credit() {
        let spent = (0, Event::Outcome(LeaseOutcome::OutOfCredit));
        let with = |second, credits_left| {
            follow(&[spent.clone(), (second, Event::Probed(Ok(TokenCheck { credits_left })))]).state
        };
        assert_eq!(with(30, Some(0)), State::Exhausted { since: at(0) });
        assert_eq!(with(30, None), State::Exhausted { since: at(0) });
        assert_eq!(with(3_600, None), State::HalfOpen);
        assert_eq!(with(30, Some(5)), State::HalfOpen);
    }

    #[test]
    fn an_operator_s_word_stands_and_can_be_taken_back() {
        let disabled = [(0, Event::Disabled(reason::OPERATOR)), (1, Event::Outcome(LeaseOutcome::Unauthorized))];
        assert_eq!(follow(&disabled).state, State::Disabled);
        assert_eq!(follow(&[disabled.as_slice(), &[(2, Event::Reinstated)]].concat()), Health::usable());
        let doubtful = [(0, Event::Outcome(LeaseOutcome::Unauthorized)), (1, Event::Reinstated)];
        assert_eq!(follow(&doubtful).state, State::HalfOpen);
        assert_eq!(follow(&[(0, Event::Expired), (1, Event::Reinstated)]).state, State::Expired);
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let check =
            prop_oneof![Just(None), (-1i64..3).prop_map(Some)].prop_map(|credits_left| TokenCheck { credits_left });
        prop_oneof![
            prop_oneof![
                Just(LeaseOutcome::Ok),
                Just(LeaseOutcome::Unauthorized),
                Just(LeaseOutcome::OutOfCredit),
                Just(LeaseOutcome::UpstreamError),
                Just(LeaseOutcome::Abandoned),
                any::<Option<u32>>().prop_map(|after| LeaseOutcome::RateLimited {
                    retry_after: after.map(|seconds| Duration::from_secs(seconds.into()))
                }),
            ]
            .prop_map(Event::Outcome),
            check.prop_map(|check| Event::Probed(Ok(check))),
            Just(Event::Probed(Err(UpstreamError::Unauthorized))),
            Just(Event::Cooled),
            Just(Event::Reinstated),
            Just(Event::Damaged),
        ]
    }

    proptest! {
        /// Whatever happens: cooling only lengthens until it is over, and no bad state leads to full use without a trial.
        #[test]
        fn no_recovery_by_hope(events in proptest::collection::vec((0i64..400, any_event()), 1..60)) {
            let policy = Policy::default();
            let mut health = Health::usable();
            let mut now = 0;
            for (step, event) in events {
                now += step;
                let next = health.after(&event, at(now), &policy);
                if let (State::Cooling { until: before }, State::Cooling { until: after }) = (health.state, next.state) {
                    prop_assert!(after >= before);
                }
                if next.state == State::Usable && event != Event::Reinstated {
                    prop_assert_eq!(health.state, State::Usable);
                }
                health = next;
            }
        }
    }
}
