//! One generation's trace as a collector gets it: from the request over the ring, the claim, the lease and the upstream's calls to the
//! settlement, over processes and over the death of one. And what happens to work when no collector is there: nothing.

use super::collector::{Collector, Span};
use crate::system::{Customer, Mode, TestApp, until};
use client::Generation;
use domain::state::Status;
use serde_json::json;
use std::time::Duration;
use tokio::net::TcpListener;

/// A client's own span.
struct Caller {
    trace: String,
    span: String,
}

impl Caller {
    fn new() -> Self {
        let (trace, span): (u128, u64) = (rand::random(), rand::random());
        Self { trace: format!("{:032x}", trace | 1), span: format!("{:016x}", span | 1) }
    }

    async fn submits(&self, customer: &Customer) -> Generation {
        let traceparent = format!("00-{}-{}-01", self.trace, self.span);
        let request = customer.raw(reqwest::Method::POST, "/v1/generations").header("traceparent", traceparent);
        let answer = request.json(&json!({"prompt": "a traced one"})).send().await.unwrap();
        assert_eq!(answer.status(), 202);
        answer.json().await.unwrap()
    }
}

fn all<'s>(spans: &'s [Span], name: &str) -> Vec<&'s Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

fn one<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    let found = all(spans, name);
    assert_eq!(found.len(), 1, "{name} in {spans:#?}");
    found[0]
}

/// The spans of one trace once its settlement has come, and with it, a batch later, all others.
async fn settled(collector: &Collector, trace: &str) -> Vec<Span> {
    until("the settlement's span", Duration::from_secs(20), async || {
        let spans = collector.trace(trace);
        let (request, settle) = (all(&spans, "request"), all(&spans, "settle"));
        (!request.is_empty() && !settle.is_empty()).then_some(())
    })
    .await;
    // Each process sends once a second: the others' last batches are on their way. Nothing that has come names what the pool did for a claim that the
    // ring woke.
    until("every span's parent, the ring, and what the pool tells", Duration::from_secs(20), async || {
        let spans = collector.trace(trace);
        let (requests, rings) = (all(&spans, "request"), all(&spans, "ring"));
        let (leases, acquires) = (all(&spans, "lease"), all(&spans, "acquire"));
        let mut below = spans.iter().filter(|span| requests.iter().all(|root| root.id != span.id));
        let rooted = below.all(|span| spans.iter().any(|parent| parent.id == span.parent));
        let woken = |lease: &Span| {
            let claim = spans.iter().find(|span| span.id == lease.parent && span.said.contains_key("generation_id"));
            claim.is_some_and(|claim| rings.iter().any(|ring| ring.id == claim.parent))
        };
        let told = |lease: &Span| acquires.iter().any(|acquire| acquire.parent == lease.id);
        let whole = rooted && !rings.is_empty() && !leases.is_empty();
        (whole && leases.iter().all(|lease| !woken(lease) || told(lease))).then_some(spans)
    })
    .await
}

/// Whether the ring that this generation's submission sent woke its claim; the rest must hold either way.
fn is_whole(mode: Mode, spans: &[Span], caller: &Caller, generation: &Generation) -> bool {
    let request = one(spans, "request");
    assert_eq!(request.parent, caller.span);
    let ring = one(spans, "ring");
    assert_eq!(ring.parent, request.id);
    // A worker that the ring woke may find that another one was faster: its claim took nothing, and is told as well.
    let (took, empty): (Vec<&Span>, Vec<&Span>) =
        all(spans, "claim").into_iter().partition(|claim| claim.said.contains_key("generation_id"));
    assert_eq!(took.len(), 1, "{spans:#?}");
    let claim = took[0];
    assert_eq!(claim.said["generation_id"], generation.id.to_string());
    assert!(empty.iter().all(|claim| claim.parent == ring.id), "{spans:#?}");
    let below: Vec<&Span> = all(spans, "lease").into_iter().filter(|lease| lease.parent == claim.id).collect();
    assert_eq!(below.len(), 1, "{spans:#?}");
    let lease = below[0];
    let calls = all(spans, "upstream");
    let names: Vec<&str> = calls.iter().map(|call| call.said["call"].as_str()).collect();
    assert_eq!(names, ["submit", "poll"], "the submission, and the answer that it is done");
    assert!(calls.iter().all(|call| call.parent == claim.id && !call.failed));
    let settle = one(spans, "settle");
    assert_eq!(settle.parent, claim.id);
    for (before, after) in
        [(request, ring), (claim, lease), (lease, calls[0]), (calls[0], calls[1]), (calls[1], settle)]
    {
        assert!(before.begun <= after.begun, "{} begins before {}", before.name, after.name);
    }
    for span in spans {
        assert!(span.begun <= span.ended, "{span:?}");
        for secret in ["a traced one", "sim-token", "Bearer"] {
            assert!(!format!("{span:?}").contains(secret), "{span:?}");
        }
    }
    let (gateway, worker) = match mode {
        Mode::Production => ("son1k-gateway", "son1k-worker"),
        Mode::Embedded => ("son1k", "son1k"),
    };
    assert_eq!([request, ring].map(|span| span.service.as_str()), [gateway; 2]);
    assert_eq!([claim, lease, settle].map(|span| span.service.as_str()), [worker; 3]);
    if claim.parent != ring.id {
        assert_eq!(claim.parent, request.id, "a claim that no ring woke goes on from the row");
        return false;
    }
    let acquired: Vec<&Span> = all(spans, "acquire").into_iter().filter(|span| span.parent == lease.id).collect();
    assert_eq!(acquired.len(), 1, "{spans:#?}");
    let acquire = acquired[0];
    if mode == Mode::Production {
        assert_eq!(acquire.service, "son1k-token-pool");
    }
    true
}

async fn one_trace_tells_it_all(mode: Mode) {
    let collector = Collector::start().await;
    let app = TestApp::in_mode(mode).setting("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url).start().await;
    app.upstream.renders_in(0.4).await;
    let customer = app.operator.opens_unlimited_account().await;
    let mut woken = 0;
    // A worker also claims unrung about once a second, and may be first.
    for _ in 0..10 {
        let caller = Caller::new();
        let generation = caller.submits(&customer).await;
        customer.follows(generation.id).await;
        let shown = app.operator.client.admin().generation(generation.id).await.unwrap();
        assert_eq!(shown.trace_id.as_deref(), Some(caller.trace.as_str()));
        let spans = settled(&collector, &caller.trace).await;
        woken += usize::from(is_whole(mode, &spans, &caller, &generation));
        if woken == 2 {
            break;
        }
    }
    assert_eq!(woken, 2, "no ring ever woke a worker");
    app.stops().await;
}

#[tokio::test]
async fn embedded_one_trace_tells_it_all() {
    one_trace_tells_it_all(Mode::Embedded).await;
}

#[tokio::test]
async fn production_one_trace_tells_it_all() {
    one_trace_tells_it_all(Mode::Production).await;
}

#[tokio::test]
async fn production_a_trace_goes_on_after_its_worker_has_died() {
    let collector = Collector::start().await;
    let settings = TestApp::production().setting("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url);
    let mut app = settings.setting("LEASE_SECONDS", &10).start().await;
    app.upstream.renders_in(6.0).await;
    let customer = app.operator.opens_unlimited_account().await;
    let caller = Caller::new();
    let generation = caller.submits(&customer).await;
    let name = until("a worker renders it, and has told so far", Duration::from_secs(20), async || {
        let told = !all(&collector.trace(&caller.trace), "upstream").is_empty();
        for name in ["worker-1", "worker-2", "worker-3"] {
            if told && app.process(name).counts("son1k_generations_rendering").await > 0.0 {
                return Some(name);
            }
        }
        None
    })
    .await;
    app.kills(name).await;
    customer.follows(generation.id).await;
    let spans = settled(&collector, &caller.trace).await;
    let adopt = one(&spans, "adopt");
    assert_eq!(adopt.parent, one(&spans, "request").id, "the row remembers the request, whoever dies");
    assert_eq!(one(&spans, "settle").parent, adopt.id);
    let polled = all(&spans, "upstream").into_iter().find(|call| call.said["call"] == "poll");
    assert_eq!(polled.unwrap().parent, adopt.id);
    app.stops().await;
}

/// Nobody listens there, or somebody who never answers: work goes on as ever, and the process ends in time.
#[tokio::test]
async fn embedded_no_collector_holds_anybody_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = crate::system::ports::free();
    for port in [nobody, silent.local_addr().unwrap().port()] {
        let endpoint = format!("http://127.0.0.1:{port}");
        let app = TestApp::embedded().setting("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint).start().await;
        app.upstream.renders_in(0.1).await;
        let customer = app.operator.opens_unlimited_account().await;
        let ids = customer.submits_many(100).await;
        app.operator.sees_the_queue_empty(Duration::from_secs(60)).await;
        assert_eq!(customer.lists(Some(Status::Succeeded)).await.len(), ids.len());
        app.stops().await;
    }
}
