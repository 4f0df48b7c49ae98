//! The token pool's leader killed and frozen under load, both replicas away for a while, a token revoked in use: told by the simulator's own log.

use crate::system::{Customer, Mode, Signal, TestApp, report, until};
use domain::ids::GenerationId;
use serde_json::json;
use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Of each token, for the pool and for the upstream alike: 120 renders at once.
const CONCURRENCY: usize = 2;
/// Milliseconds without a submission. Five on a machine that is not overloaded: a leader's lease and then what it granted run out, two seconds each.
const GOES_ON_WITHIN: u64 = 10_000;

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// As many, begun when the last of them waits; until the tokens are in use.
async fn submitted_at_once(app: &TestApp, customer: &Customer, count: usize) -> HashSet<GenerationId> {
    app.operator.client.admin().pause().await.unwrap();
    let ids = customer.submits_many(count).await;
    app.operator.client.admin().resume().await.unwrap();
    until("the tokens are in use", Duration::from_secs(30), async || {
        (app.operator.queue().await.rendering >= 80).then_some(())
    })
    .await;
    ids
}

/// A system at full load: more waits than all tokens together carry.
async fn loaded(count: usize) -> (TestApp, Customer, HashSet<GenerationId>) {
    let app = TestApp::production().setting("TOKEN_MAX_CONCURRENCY", &CONCURRENCY).start().await;
    app.upstream
        .behaves(json!({
            "render_seconds": {"min": 2.0, "max": 4.0}, "latency_ms": 2, "token_concurrency": CONCURRENCY,
        }))
        .await;
    let customer = app.operator.opens_unlimited_account().await;
    let ids = submitted_at_once(&app, &customer, count).await;
    (app, customer, ids)
}

fn leader_and_heir(app: &mut TestApp) -> (&'static str, &'static str) {
    match app.leader_of_the_pool().name.as_str() {
        "token-pool" => ("token-pool", "token-pool-2"),
        _ => ("token-pool-2", "token-pool"),
    }
}

/// Moments of the submissions that the upstream took, in order.
async fn taken(app: &TestApp) -> Vec<u64> {
    let calls = app.upstream.calls().await;
    let taken = calls.iter().filter(|call| call.call == "generate" && call.status == Some(200));
    let mut moments: Vec<u64> = taken.map(|call| call.at).collect();
    moments.sort_unstable();
    moments
}

/// Each is done, submitted once, under a token with room for it; and nothing is left leased.
async fn nothing_was_doubled_or_lost(app: &TestApp, customer: &Customer, ids: &HashSet<GenerationId>) {
    app.operator.sees_the_queue_empty(Duration::from_secs(120)).await;
    customer.has_all_of(ids).await;
    let calls = app.upstream.calls().await;
    for call in calls.iter().filter(|call| call.call == "generate") {
        assert!(call.status != Some(429) && call.in_flight <= CONCURRENCY, "a lease was doubled: {call:?}");
    }
    let submissions = app.upstream.submissions().await;
    let again: Vec<_> = submissions.iter().filter(|(_, count)| **count > 1).collect();
    assert!(again.is_empty(), "submitted again: {again:?}");
    until("every lease is back", Duration::from_secs(20), async || {
        (app.operator.client.admin().pool().await.unwrap().leased == 0).then_some(())
    })
    .await;
    app.operator.proves_the_books().await;
}

#[tokio::test]
async fn a_killed_leader_doubles_and_loses_no_lease_and_workers_go_on_soon() {
    let (mut app, customer, ids) = loaded(700).await;
    let (leader, heir) = leader_and_heir(&mut app);
    app.kills(leader).await;
    let killed = now();
    nothing_was_doubled_or_lost(&app, &customer, &ids).await;
    assert_eq!(app.leader_of_the_pool().name, heir);

    let taken = taken(&app).await;
    let before = taken.iter().filter(|at| **at < killed).count();
    assert!((50..600).contains(&before), "{before} of 700 before the kill: it was not in the middle");
    let pause = taken.windows(2).filter(|pair| pair[1] > killed).map(|pair| pair[1] - pair[0]).max().unwrap();
    report(&format!("no submission for {pause} ms"));
    assert!(pause < GOES_ON_WITHIN, "no submission for {pause} ms");
    app.stops().await;
}

#[tokio::test]
async fn a_leader_that_was_frozen_wakes_as_a_follower_and_doubles_nothing() {
    let (mut app, customer, ids) = loaded(500).await;
    let (leader, heir) = leader_and_heir(&mut app);
    app.process(leader).signal(Signal::Freeze);
    until("the other one leads", Duration::from_secs(20), async || {
        (app.leader_of_the_pool().name == heir).then_some(())
    })
    .await;
    app.process(leader).signal(Signal::Thaw);
    until("it knows", Duration::from_secs(20), async || {
        app.process(leader).log().contains("no longer leading the token pool").then_some(())
    })
    .await;
    nothing_was_doubled_or_lost(&app, &customer, &ids).await;
    app.stops().await;
}

#[tokio::test]
async fn with_no_pool_at_all_work_waits_and_goes_on_soon_after_its_return() {
    let (mut app, customer, mut ids) = loaded(400).await;
    for name in ["token-pool", "token-pool-2"] {
        app.kills(name).await;
    }
    // Longer than any grant stands. What renders goes on meanwhile, and submissions are accepted.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let away = now();
    ids.extend(customer.submits_many(50).await);
    tokio::time::sleep(Duration::from_secs(7)).await;
    app.starts_pool("token-pool-2").await;
    let back = now();
    nothing_was_doubled_or_lost(&app, &customer, &ids).await;
    let taken = taken(&app).await;
    assert_eq!(taken.iter().filter(|at| (away..back - 1_000).contains(*at)).count(), 0, "submitted without a token");
    let first = taken.iter().find(|at| **at >= back).unwrap() - back;
    report(&format!("the first submission came after {first} ms"));
    assert!(first < GOES_ON_WITHIN, "the first submission came after {first} ms");
    app.stops().await;
}

#[tokio::test]
async fn over_mutual_tls_work_goes_on_through_a_failover() {
    let mut app = TestApp::production().with_certificates().start().await;
    app.upstream.behaves(json!({"render_seconds": {"min": 0.1, "max": 0.2}, "latency_ms": 2})).await;
    let customer = app.operator.opens_unlimited_account().await;
    let mut ids = customer.submits_many(20).await;
    app.operator.sees_the_queue_empty(Duration::from_secs(60)).await;
    let (leader, heir) = leader_and_heir(&mut app);
    app.kills(leader).await;
    ids.extend(customer.submits_many(20).await);
    app.operator.sees_the_queue_empty(Duration::from_secs(60)).await;
    customer.has_all_of(&ids).await;
    assert!(app.process(heir).log().contains("ready https://"));
    app.stops().await;
}

async fn a_token_revoked_at_full_load_is_called_twice_more_at_most(mode: Mode) {
    let app = TestApp::in_mode(mode).setting("TOKEN_MAX_CONCURRENCY", &CONCURRENCY).start().await;
    let speed = json!({"render_seconds": {"min": 2.0, "max": 3.0}, "latency_ms": 2});
    app.upstream.behaves(speed).await;
    let customer = app.operator.opens_unlimited_account().await;
    let ids = submitted_at_once(&app, &customer, 400).await;
    app.upstream
        .behaves(json!({"fail": [{"kind": "unauthorized", "probability": 1, "match": "sim-token-00007"}]}))
        .await;
    app.operator.sees_the_queue_empty(Duration::from_secs(90)).await;
    customer.has_all_of(&ids).await;
    // The pool's own probes are no use of it.
    let calls: Vec<_> = app.upstream.calls().await.into_iter().filter(|call| call.call != "me").collect();
    let first = calls.iter().position(|call| call.fault.as_deref() == Some("unauthorized")).unwrap();
    let after = calls[first + 1..].iter().filter(|call| call.token == calls[first].token).count();
    assert!(after <= 2, "{after} calls with it after the first that was refused");
    until("it is quarantined", Duration::from_secs(10), async || {
        (app.operator.client.admin().pool().await.unwrap().quarantined == 1).then_some(())
    })
    .await;
    app.operator.proves_the_books().await;
    app.stops().await;
}

#[tokio::test]
async fn embedded_a_token_revoked_at_full_load_is_called_twice_more_at_most() {
    a_token_revoked_at_full_load_is_called_twice_more_at_most(Mode::Embedded).await;
}

#[tokio::test]
async fn production_a_token_revoked_at_full_load_is_called_twice_more_at_most() {
    a_token_revoked_at_full_load_is_called_twice_more_at_most(Mode::Production).await;
}
