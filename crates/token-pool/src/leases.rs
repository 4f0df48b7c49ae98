//! Acquire, renew and release, as the leader answers them.

use crate::lease_book::Released;
use crate::pool::Pool;
use crate::refused::Refused;
use crate::state::{State, WAITERS_MAX, Waiter};
use async_trait::async_trait;
use domain::Timestamp;
use domain::ids::{LeaseId, TokenId, WorkerId};
use domain::ports::pool::{PoolError, TokenLeases};
use domain::token::{AcquireRequest, Acquired, LeaseOutcome, TokenLease, Wanted};
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The most that one call may ask for, keep or give back.
const AT_ONCE_MAX: usize = 10_000;
/// Longer waits are for the caller to repeat.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How long an adopter waits for the ledger to be read.
const READ_WAIT: Duration = Duration::from_secs(1);

/// A place in the queue. Whoever goes away while leases are on their way gives them back.
struct Waiting<'pool> {
    pool: &'pool Pool,
    answer: oneshot::Receiver<Vec<TokenLease>>,
}

impl Waiting<'_> {
    fn leave(&mut self) -> Vec<TokenLease> {
        self.answer.close();
        self.answer.try_recv().unwrap_or_default()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let unwanted = self.leave();
        let mut state = self.pool.state();
        if !unwanted.is_empty() {
            let now = self.pool.now(&mut state);
            state.take_back(&unwanted, now);
            state.serve_waiters(now);
        }
        state.waiters.retain(|waiter| !waiter.answer.is_closed());
    }
}

/// A span of the caller's trace; none where the caller has none.
fn span_below(caller: &Context) -> Span {
    if !caller.has_active_span() {
        return Span::none();
    }
    let trace_id = caller.span().span_context().trace_id();
    let span = tracing::info_span!("acquire", otel.kind = "server", %trace_id);
    // It fails only where no tracer is installed, and then there is no span to be a child.
    let _ = span.set_parent(caller.clone());
    span
}

impl Pool {
    pub(crate) async fn lease(&self, request: AcquireRequest) -> Result<Acquired, Refused> {
        if let Wanted::Count(count) = request.wanted
            && (count == 0 || count as usize > AT_ONCE_MAX)
        {
            return Err(Refused::Invalid("count must be 1 to 10,000"));
        }
        let begun = Instant::now();
        let acquired = self.lease_within(&request).instrument(span_below(&Context::current())).await;
        self.metrics.wait_seconds.observe(begun.elapsed().as_secs_f64());
        acquired
    }

    async fn lease_within(&self, request: &AcquireRequest) -> Result<Acquired, Refused> {
        if let Wanted::Token(token) = request.wanted
            && let Some(lease) = self.adopted(request.owner, token).await?
        {
            return Ok(Acquired::Leases(vec![lease]));
        }
        let wait = request.wait_up_to.min(WAIT_MAX);
        let mut waiting = {
            let mut state = self.state();
            state.leading()?;
            let now = self.now(&mut state);
            // Nobody passes those who wait already.
            let in_turn = state.waiters.is_empty() || matches!(request.wanted, Wanted::Token(_));
            let leases = if in_turn { state.give(request.owner, &request.wanted, now) } else { Vec::new() };
            if !leases.is_empty() {
                return Ok(Acquired::Leases(leases));
            }
            if wait.is_zero() || state.waiters.len() >= WAITERS_MAX {
                return Ok(dry(&state, &request.wanted, now));
            }
            let (sender, answer) = oneshot::channel();
            state.waiters.push_back(Waiter { owner: request.owner, wanted: request.wanted.clone(), answer: sender });
            Waiting { pool: self, answer }
        };
        self.changed.notify_one();
        match timeout(wait, &mut waiting.answer).await {
            Ok(Ok(leases)) => Ok(Acquired::Leases(leases)),
            // The leadership went, and with it the queue.
            Ok(Err(_)) => Err(self.state().leading().err().unwrap_or(Refused::NotLeader { leader: String::new() })),
            Err(_) => {
                let leases = waiting.leave();
                if !leases.is_empty() {
                    return Ok(Acquired::Leases(leases));
                }
                let mut state = self.state();
                state.leading()?;
                let now = self.now(&mut state);
                Ok(dry(&state, &request.wanted, now))
            }
        }
    }

    /// The lease of work that the caller has adopted. The book may not know of the adoption yet: then the ledger is read first.
    async fn adopted(&self, owner: WorkerId, token: TokenId) -> Result<Option<TokenLease>, Refused> {
        let mut reads = self.reads.subscribe();
        let asked = Instant::now();
        for known in [false, true] {
            {
                let mut state = self.state();
                state.leading()?;
                if state.settling().is_none()
                    && let Some(grant) = state.book.attach(owner, token, false)
                {
                    return Ok(state.lease(grant));
                }
                if known || state.settling().is_some() {
                    return Ok(None);
                }
            }
            self.read_now.notify_one();
            // Without a reading in time the caller is answered from what is known.
            let _in_time = timeout(READ_WAIT, reads.wait_for(|begun| begun.is_some_and(|at| at >= asked))).await;
        }
        Ok(None)
    }

    pub(crate) fn keep(&self, leases: &[LeaseId]) -> Result<Vec<LeaseId>, Refused> {
        if leases.len() > AT_ONCE_MAX {
            return Err(Refused::Invalid("at most 10,000 leases at once"));
        }
        let mut state = self.state();
        state.leading()?;
        let now = self.now(&mut state);
        Ok(state.book.renew(leases, now))
    }

    /// Answers those that were not held any more: their releases changed nothing.
    pub(crate) fn free(&self, leases: &[(LeaseId, LeaseOutcome)]) -> Result<Vec<LeaseId>, Refused> {
        if leases.len() > AT_ONCE_MAX {
            return Err(Refused::Invalid("at most 10,000 leases at once"));
        }
        let (mut changed_any, mut refused) = (false, Vec::new());
        {
            let mut state = self.state();
            state.leading()?;
            let now = self.now(&mut state);
            for (lease, outcome) in leases {
                match state.book.release(*lease, *outcome, now) {
                    Released::Unknown => refused.push(*lease),
                    Released::Freed { token, changed } => {
                        if changed {
                            changed_any = true;
                            state.owe(token);
                            let health = state.book.health(token).map(|health| health.row());
                            tracing::info!(%token, ?outcome, ?health, "a token's state changed");
                        }
                    }
                }
            }
            state.serve_waiters(now);
        }
        self.metrics.released_unknown.inc_by(refused.len() as u64);
        if changed_any {
            self.unsaved.notify_one();
            self.changed.notify_one();
        }
        Ok(refused)
    }
}

/// When a token frees, as far as time alone tells.
fn dry(state: &State, wanted: &Wanted, now: Timestamp) -> Acquired {
    if let Some(left) = state.settling() {
        return Acquired::Dry { earliest: Some(left) };
    }
    let earliest = match wanted {
        Wanted::Count(_) => state.book.earliest(),
        Wanted::Token(token) => state.book.recovery(*token),
    };
    Acquired::Dry { earliest: earliest.map(|at| (at - now).to_std().unwrap_or_default()) }
}

#[async_trait]
impl TokenLeases for Pool {
    async fn acquire(&self, request: AcquireRequest) -> Result<Acquired, PoolError> {
        Ok(self.lease(request).await?)
    }

    async fn renew(&self, leases: &[LeaseId]) -> Result<Vec<LeaseId>, PoolError> {
        Ok(self.keep(leases)?)
    }

    async fn release(&self, leases: &[(LeaseId, LeaseOutcome)]) -> Result<(), PoolError> {
        self.free(leases)?;
        Ok(())
    }
}
