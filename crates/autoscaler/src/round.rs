//! One evaluation: lead, read, decide, write it down, apply. It holds nothing between two of them but its own view of the leadership: what was
//! decided before stands in the ledger.

use crate::Settings;
use crate::controller::{ControlError, Controller};
use crate::lead::Lead;
use crate::metrics::Metrics;
use crate::probe::ControllerProbe;
use domain::ports::tokens::{Epoch, Guarded};
use domain::ports::{Scaling, StoreError};
use domain::scaling::{Decision, Inputs, Memory, Standing, blind, decide};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// One call of the ledger.
const LEDGER_WITHIN: Duration = Duration::from_secs(5);
/// Reading the platform, with its retries.
const READ_WITHIN: Duration = Duration::from_secs(20);

pub(crate) struct Scaler {
    pub(crate) settings: Settings,
    pub(crate) scaling: Arc<dyn Scaling>,
    pub(crate) controller: Arc<dyn Controller>,
    pub(crate) probe: Arc<ControllerProbe>,
    pub(crate) metrics: Metrics,
    pub(crate) lead: Lead,
}

async fn within<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    timeout(LEDGER_WITHIN, call).await.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer in time".to_owned())))
}

impl Scaler {
    /// Until the next evaluation, spread a little so that replicas do not ask in step.
    pub(crate) fn pause(&self) -> Duration {
        self.settings.interval.mul_f64(0.95 + 0.1 * rand::random::<f64>())
    }

    pub(crate) async fn round(&self) {
        if let Err(error) = self.try_round().await {
            self.metrics.ledger_failures.inc();
            tracing::warn!(%error, "the ledger does not answer: the number of workers stays");
        }
        self.metrics.leading.set(i64::from(self.lead.stands()));
    }

    async fn try_round(&self) -> Result<(), StoreError> {
        let sent = Instant::now();
        let Some(epoch) = within(self.scaling.lead_scaling(self.lead.replica, self.lead.lease)).await? else {
            if self.lead.lost() {
                tracing::warn!("another replica leads the scaling");
            }
            self.probe.tell(None);
            if let Some((standing, _)) = within(self.scaling.standing()).await? {
                self.metrics.show(&standing);
            }
            return Ok(());
        };
        if self.lead.won(sent) {
            tracing::info!(epoch = epoch.0, controller = self.controller.name(), "leading the scaling");
        }
        self.evaluate(epoch).await
    }

    async fn evaluate(&self, epoch: Epoch) -> Result<(), StoreError> {
        let last = match within(self.scaling.standing()).await {
            Ok(last) => last.map(|(standing, _)| standing),
            // Of a version that knows more, or damaged: begin anew rather than never again.
            Err(StoreError::Corrupt(problem)) => {
                tracing::warn!(problem, "the last decision does not read: beginning anew");
                None
            }
            Err(error) => return Err(error),
        };
        let memory = last.as_ref().map(|standing| standing.decision.memory);
        let read = timeout(READ_WITHIN, self.controller.current()).await;
        let read = read.unwrap_or_else(|_| Err(ControlError::Unavailable("no answer in time".to_owned())));
        self.heard(&read);
        let (observed, now) = within(self.scaling.observe()).await?;
        let policy = &self.settings.policy;
        let (inputs, decision, failure) = match read {
            Ok(current) => {
                let inputs = Inputs { current: current.unwrap_or(observed.workers), observed };
                (inputs, decide(policy, memory.as_ref(), &inputs, now), None)
            }
            Err(error) => {
                let current = memory.map_or(observed.workers, |memory: Memory| memory.current);
                let inputs = Inputs { current, observed };
                let failure = error.to_string();
                (inputs, blind(memory.as_ref(), &inputs, failure.clone(), now), Some(failure))
            }
        };
        self.metrics.evaluated(decision.rule);
        tell(last.as_ref(), &decision, inputs.current);
        let holds = failure.is_some();
        let standing = Standing {
            controller: self.controller.name().to_owned(),
            min: policy.min,
            max: policy.max,
            inputs,
            decision,
            failure,
        };
        self.metrics.show(&standing);
        // Written down before it is done: a leader that was overtaken hears so here and touches nothing.
        if !self.write_down(epoch, &standing).await? || holds {
            return Ok(());
        }
        self.apply(epoch, standing).await
    }

    async fn apply(&self, epoch: Epoch, standing: Standing) -> Result<(), StoreError> {
        let (from, to) = (standing.inputs.current, standing.decision.desired);
        if from == to || !self.lead.stands() {
            return Ok(());
        }
        // The platform's own deadlines bound this, and the leadership: whatever is left is the next evaluation's.
        let applied = timeout(self.lead.lease, self.controller.scale(to, &|| self.lead.stands())).await;
        let applied = applied.unwrap_or_else(|_| Err(ControlError::Unavailable("it took too long".to_owned())));
        self.heard(&applied);
        match applied {
            Ok(()) => {
                if self.controller.name() != "advise" {
                    tracing::info!(from, to, rule = standing.decision.rule.name(), "scaled the workers");
                }
                Ok(())
            }
            Err(error) => {
                let standing = Standing { failure: Some(error.to_string()), ..standing };
                self.write_down(epoch, &standing).await.map(|_| ())
            }
        }
    }

    /// `false`: another replica has taken over.
    async fn write_down(&self, epoch: Epoch, standing: &Standing) -> Result<bool, StoreError> {
        let written = within(self.scaling.record(epoch, standing)).await?;
        let leads = written == Guarded::Done;
        if !leads {
            if self.lead.lost() {
                tracing::warn!("another replica has taken over the scaling");
            }
            self.probe.tell(None);
        }
        Ok(leads)
    }

    fn heard<T>(&self, answer: &Result<T, ControlError>) {
        self.metrics.called(answer.is_ok());
        let failure = answer.as_ref().err().map(ToString::to_string);
        if let Some(error) = &failure {
            tracing::warn!(
                error,
                controller = self.controller.name(),
                "the controller failed: the number of workers stays"
            );
        }
        self.probe.tell(failure);
    }

    pub(crate) async fn resign(&self) {
        if self.lead.lost()
            && let Err(error) = within(self.scaling.resign_scaling(self.lead.replica)).await
        {
            tracing::warn!(%error, "the leadership was not given up; it ends by itself");
        }
    }
}

/// One line when the number or the rule changes.
fn tell(last: Option<&Standing>, decision: &Decision, current: u32) {
    let before = last.map(|standing| (standing.decision.desired, standing.decision.rule));
    if before != Some((decision.desired, decision.rule)) {
        let (rule, desired) = (decision.rule.name(), decision.desired);
        tracing::info!(current, desired, rule, reason = decision.reason, "decided");
    }
}
