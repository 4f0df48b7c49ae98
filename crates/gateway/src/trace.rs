//! W3C trace context: taken from the client, made where it sent none, carried to the ledger with a submission and on to workers with a ring.
//!
//! Every request has a trace, collector or not: its id is what logs of several processes have in common. Exporting spans is bootstrap's
//! business.

use actix_web::http::header::HeaderMap;
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::TraceContextExt;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

const TRACEPARENT: &str = "traceparent";

/// A request's `traceparent`, its own span the parent of what follows.
#[derive(Debug, Clone)]
pub(crate) struct Trace(String);

impl Trace {
    /// Makes the client's span the parent of `span`, and answers how to go on: from `span` where it is exported, else from the client's,
    /// else from nothing.
    pub(crate) fn begin(span: &Span, headers: &HeaderMap) -> Self {
        let sent = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()).filter(|text| is_well_formed(text));
        if let Some(sent) = sent {
            // It fails only where no tracer is installed, and then there is no span to be a child.
            let _ = span.set_parent(context(sent));
        }
        let trace = of(span).unwrap_or_else(|| Self(sent.map_or_else(fresh, str::to_owned)));
        span.record("trace_id", trace.id());
        trace
    }

    pub(crate) fn id(&self) -> &str {
        self.0.split('-').nth(1).unwrap_or_default()
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

/// The trace that `span` belongs to; `None` where it is not exported.
pub(crate) fn of(span: &Span) -> Option<Trace> {
    let mut carrier = One(None);
    let context = span.context();
    context.has_active_span().then(|| {
        opentelemetry::global::get_text_map_propagator(|p| p.inject_context(&context, &mut carrier));
        carrier.0.map(Trace)
    })?
}

/// What a `traceparent` of ours says.
pub(crate) fn context(traceparent: &str) -> Context {
    let carrier = One(Some(traceparent.to_owned()));
    opentelemetry::global::get_text_map_propagator(|p| p.extract_with_context(&Context::new(), &carrier))
}

fn fresh() -> String {
    let (trace, span): (u128, u64) = (rand::random(), rand::random());
    // Neither may be nothing but zeros.
    format!("00-{:032x}-{:016x}-01", trace | 1, span | 1)
}

/// One header.
struct One(Option<String>);

impl Extractor for One {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.as_deref().filter(|_| key == TRACEPARENT)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

impl Injector for One {
    fn set(&mut self, key: &str, value: String) {
        if key == TRACEPARENT {
            self.0 = Some(value);
        }
    }
}

fn is_well_formed(text: &str) -> bool {
    let hex = |part: &str, length: usize| {
        let digits = part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        part.len() == length && digits
    };
    let some = |part: &str| part.bytes().any(|b| b != b'0');
    let parts: Vec<&str> = text.split('-').collect();
    match parts.as_slice() {
        ["00", trace, span, flags] => hex(trace, 32) && hex(span, 16) && hex(flags, 2) && some(trace) && some(span),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_well_formed_and_what_makes_no_sense_is_not() {
        assert!(is_well_formed(&fresh()));
        assert_eq!(Trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()).id().len(), 32);
        for text in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        ] {
            assert!(!is_well_formed(text), "{text}");
        }
    }
}
