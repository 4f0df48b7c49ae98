//! The one door to the upstream. A call starts only while this worker's lease surely stands and the breaker lets it through.

use crate::incarnation::Incarnation;
use crate::trace::{self, Telling};
use domain::ports::upstream::UpstreamError;
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanContext, SpanKind};
use std::time::{Duration, Instant, SystemTime};

/// Why a call brought nothing.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The incarnation is over: whoever asked stops.
    Lost,
    /// The breaker is open, for about this long.
    Shut(Duration),
    Upstream(UpstreamError),
}

/// Every answer of [`outcome`].
pub(crate) const OUTCOMES: [&str; 9] = [
    "ok",
    "rejected",
    "moderated",
    "unauthorized",
    "out_of_credit",
    "rate_limited",
    "unavailable",
    "timed_out",
    "unclear",
];

const fn outcome<T>(result: &Result<T, UpstreamError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(UpstreamError::Rejected(_)) => "rejected",
        Err(UpstreamError::Moderated(_)) => "moderated",
        Err(UpstreamError::Unauthorized) => "unauthorized",
        Err(UpstreamError::OutOfCredit) => "out_of_credit",
        Err(UpstreamError::RateLimited { .. }) => "rate_limited",
        Err(UpstreamError::Unavailable(_)) => "unavailable",
        Err(UpstreamError::TimedOut(_)) => "timed_out",
        Err(UpstreamError::Unclear(_)) => "unclear",
    }
}

impl Incarnation {
    /// `name`: for the metric and the span, which is below `trace`. The call itself is not begun before it may be.
    pub(crate) async fn call<T: Telling>(
        &self,
        name: &'static str,
        trace: &SpanContext,
        call: impl Future<Output = Result<T, UpstreamError>>,
    ) -> Result<T, CallError> {
        if !self.standing.stands(&self.signals.lost).await {
            return Err(CallError::Lost);
        }
        let permit = self.breaker.admit(Instant::now()).map_err(CallError::Shut)?;
        let begun = SystemTime::now();
        let result = tokio::select! {
            biased;
            () = self.signals.lost.cancelled() => return Err(CallError::Lost),
            result = call => result,
        };
        permit.record(&result);
        let outcome = outcome(&result);
        self.metrics.upstream_calls.with_label_values(&[name, outcome]).inc();
        if result.as_ref().map_or(true, Telling::tells) {
            let said = vec![KeyValue::new("call", name), KeyValue::new("outcome", outcome)];
            trace::tell("upstream", SpanKind::Client, trace, (begun, SystemTime::now()), said, result.is_err());
        }
        result.map_err(CallError::Upstream)
    }
}
