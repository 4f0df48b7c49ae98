//! What one generation came to, as spans of its own trace: claim → lease, upstream, settle.
//!
//! Its row keeps the `traceparent` of the request, so that a trace goes on over crashes and adoptions. A ring carries its own; a claim that it
//! woke belongs to it. Most spans are told when they are over, with the times they had: one claim takes many generations, one write settles
//! many, and each is told in the trace of each. Where nothing is exported a `traceparent` is still read
//! for log lines, and the spans come to nothing.
//!
//! Not here: the spans that log lines belong to (`submit`, `poll`); those are never exported.

use domain::ports::upstream::{Progress, UpstreamAnswer};
use domain::ports::work::Claimed;
use opentelemetry::global;
use opentelemetry::propagation::Extractor;
use opentelemetry::trace::{Link, Span, SpanContext, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use std::time::SystemTime;

const TRACER: &str = "son1k";

struct One<'t>(&'t str);

impl Extractor for One<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == "traceparent").then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}

/// What a `traceparent` says; an invalid context where it makes no sense.
pub(crate) fn parse(traceparent: Option<&str>) -> SpanContext {
    let Some(text) = traceparent else { return SpanContext::NONE };
    let parent = global::get_text_map_propagator(|p| p.extract_with_context(&Context::new(), &One(text)));
    parent.span().span_context().clone()
}

fn parent(context: &SpanContext) -> Context {
    Context::new().with_remote_span_context(context.clone())
}

/// One span that is over, and its context for those below it. `context` itself where it is not exported.
pub(crate) fn tell(
    name: &'static str,
    kind: SpanKind,
    context: &SpanContext,
    times: (SystemTime, SystemTime),
    said: Vec<KeyValue>,
    failed: bool,
) -> SpanContext {
    told(name, kind, context, times, said, failed, None)
}

fn told(
    name: &'static str,
    kind: SpanKind,
    context: &SpanContext,
    (begun, ended): (SystemTime, SystemTime),
    said: Vec<KeyValue>,
    failed: bool,
    cause: Option<&SpanContext>,
) -> SpanContext {
    if !context.is_sampled() {
        return context.clone();
    }
    let tracer = global::tracer(TRACER);
    let mut builder = tracer.span_builder(name).with_kind(kind).with_start_time(begun).with_attributes(said);
    if let Some(cause) = cause {
        builder = builder.with_links(vec![Link::with_context(cause.clone())]);
    }
    let mut span = builder.start_with_context(&tracer, &parent(context));
    if failed {
        span.set_status(Status::error(""));
    }
    let own = span.span_context().clone();
    span.end_with_timestamp(ended);
    if own.is_valid() { own } else { context.clone() }
}

/// One claim under way: the tokens first, then the ledger.
pub(crate) struct Claiming {
    /// Live where a ring woke it: the pool's own span is below it.
    claim: Option<Context>,
    lease: Option<Context>,
    begun: SystemTime,
    leased: SystemTime,
}

impl Claiming {
    /// `ring`: the `traceparent` of the ring that woke this claim.
    pub(crate) fn begin(ring: Option<&str>) -> Self {
        let now = SystemTime::now();
        let ring = parse(ring);
        let child = |name: &'static str, kind, parent: &Context| {
            let tracer = global::tracer(TRACER);
            let span = tracer.span_builder(name).with_kind(kind).start_with_context(&tracer, parent);
            parent.with_span(span)
        };
        let claim = ring.is_sampled().then(|| child("claim", SpanKind::Consumer, &parent(&ring)));
        let lease = claim.as_ref().map(|claim| child("lease", SpanKind::Client, claim));
        Self { claim, lease, begun: now, leased: now }
    }

    /// What the call for tokens goes out with.
    pub(crate) fn of_lease(&self) -> Context {
        self.lease.clone().unwrap_or_default()
    }

    pub(crate) fn leased(&mut self, tokens: usize) {
        self.leased = SystemTime::now();
        if let Some(lease) = &self.lease {
            lease.span().set_attribute(KeyValue::new("tokens", i64::try_from(tokens).unwrap_or(i64::MAX)));
            lease.span().end();
        }
    }

    /// The context that the rest of this generation's work is below.
    pub(crate) fn took(&self, claimed: &Claimed) -> SpanContext {
        let row = parse(claimed.trace.as_deref());
        let live = self.claim.as_ref().map(|claim| claim.span().span_context().clone());
        match live {
            Some(live) if live.trace_id() == row.trace_id() => {
                if let Some(claim) = &self.claim {
                    claim.span().set_attributes(of(claimed));
                }
                live
            }
            // Another generation's ring, or none: the same claim, told in this one's trace.
            live => {
                let times = (self.begun, SystemTime::now());
                let claim = told("claim", SpanKind::Consumer, &row, times, of(claimed), false, live.as_ref());
                tell("lease", SpanKind::Client, &claim, (self.begun, self.leased), Vec::new(), false);
                claim
            }
        }
    }
}

impl Drop for Claiming {
    fn drop(&mut self) {
        // The second end of a span changes nothing.
        for context in [&self.lease, &self.claim].into_iter().flatten() {
            context.span().end();
        }
    }
}

fn of(claimed: &Claimed) -> Vec<KeyValue> {
    vec![
        KeyValue::new("generation_id", claimed.held.id.to_string()),
        KeyValue::new("account_id", claimed.account_id.to_string()),
        KeyValue::new("attempt", i64::from(claimed.attempts)),
    ]
}

/// For log lines: the trace's id, where there is one.
pub(crate) fn id(context: &SpanContext) -> Option<String> {
    context.is_valid().then(|| context.trace_id().to_string())
}

/// Which answers of the upstream are worth a span.
pub(crate) trait Telling {
    fn tells(&self) -> bool {
        true
    }
}

impl Telling for UpstreamAnswer {}
impl Telling for bool {}

impl Telling for Progress {
    /// A render is asked after again and again: that it still renders is no news.
    fn tells(&self) -> bool {
        !matches!(self, Self::Rendering { .. })
    }
}
