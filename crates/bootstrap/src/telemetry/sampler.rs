//! Which traces are exported: those whose caller wants them to be, and of those that begin here so many a second. What telemetry costs thereby has a
//! bound that does not grow with the load, and at an operator's everyday rate every request is there.
//!
//! A trace is exported whole or not at all: whoever continues one does as its `traceparent` says.

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use opentelemetry::trace::{Link, SpanKind, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};
use std::num::NonZeroU32;
use std::sync::Arc;

#[derive(Debug, Clone)]
struct UpTo(Arc<DefaultDirectRateLimiter>);

/// `per_second`: of the traces that begin in this process. Up to as many again at once after a rest.
pub(super) fn up_to(per_second: u32) -> Sampler {
    let per_second = NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN);
    Sampler::ParentBased(Box::new(UpTo(Arc::new(RateLimiter::direct(Quota::per_second(per_second))))))
}

impl ShouldSample for UpTo {
    fn should_sample(
        &self,
        _parent: Option<&Context>,
        _trace_id: TraceId,
        _name: &str,
        _kind: &SpanKind,
        _attributes: &[KeyValue],
        _links: &[Link],
    ) -> SamplingResult {
        let decision = if self.0.check().is_ok() { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop };
        SamplingResult { decision, attributes: Vec::new(), trace_state: TraceState::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags};
    use std::time::Instant;

    fn decides(sampler: &Sampler, parent: Option<TraceFlags>) -> bool {
        let id = TraceId::from(7);
        let parent = parent.map(|flags| {
            let span = SpanContext::new(id, SpanId::from(7), flags, true, TraceState::default());
            Context::new().with_remote_span_context(span)
        });
        let result = sampler.should_sample(parent.as_ref(), id, "request", &SpanKind::Server, &[], &[]);
        result.decision == SamplingDecision::RecordAndSample
    }

    #[test]
    fn so_many_a_second_begin_here_and_callers_have_their_say() {
        let sampler = up_to(5);
        let begun = Instant::now();
        let begin_here = (0..1_000).filter(|_| decides(&sampler, None)).count() as f64;
        let most = 5.0 + begun.elapsed().as_secs_f64() * 5.0;
        assert!((5.0..=most.ceil()).contains(&begin_here), "{begin_here} of {most}");
        let asked = (0..100).filter(|_| decides(&sampler, Some(TraceFlags::SAMPLED))).count();
        assert_eq!(asked, 100, "whoever asks for it gets it");
        let not_asked = up_to(5);
        assert!(!decides(&not_asked, Some(TraceFlags::default())), "and whoever asks for none gets none");
    }
}
