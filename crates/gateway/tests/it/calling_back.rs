//! Upstreams that call back.

use crate::app::App;
use domain::callback::Callbacks;
use domain::event::Notice;
use domain::ids::GenerationId;
use domain::ports::LedgerClock;
use domain::ports::doorbell::Heard;
use futures::StreamExt;
use secrecy::SecretString;
use std::time::Duration;

fn callbacks() -> Callbacks {
    Callbacks::new(&SecretString::from("internal-secret-of-the-tests-0123456789")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_rings_the_workers_whatever_it_says() {
    let app = App::with(|settings| settings.callbacks = Some(callbacks())).await;
    let id = app.rich().await.submitted("rain").await;
    let mut notices = app.doorbell.notices();
    assert!(matches!(notices.next().await, Some(Heard::Missed)));
    let path = |id: GenerationId, lives: u64| {
        let expires_at = app.ledger.now() + Duration::from_secs(lives);
        callbacks().url("", id, expires_at).unwrap()
    };
    let good = path(id, 60);
    for body in [&b"{\"status\": \"completed\"}"[..], b"", b"\xff\x00 not JSON"] {
        app.stranger().post(&good).raw(body).send().await.is(204);
        let heard = tokio::time::timeout(Duration::from_secs(5), notices.next()).await.unwrap();
        assert_eq!(heard, Some(Heard::Rang(vec![Notice::CalledBack(id)])));
    }
    app.stranger().post(&good).raw(vec![b'x'; 64 * 1024 + 1]).send().await.is_problem(413, "payload_too_large");
    app.stranger().get(&good).await.is_problem(405, "method_not_allowed");
    for bad in [path(id, 0), format!("{good}0"), good.replacen("gen_0", "gen_1", 1), "/internal/upstream/x".to_owned()]
    {
        app.stranger().post(&bad).send().await.is_problem(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_are_limited_by_address_and_good_ones_are_not() {
    let app = App::with(|settings| {
        settings.callbacks = Some(callbacks());
        settings.unauthenticated_per_minute = 5;
    })
    .await;
    let id = app.rich().await.submitted("rain").await;
    for _ in 0..5 {
        app.stranger().post("/internal/upstream/guess").send().await.is_problem(404, "not_found");
    }
    let limited = app.stranger().post("/internal/upstream/guess").send().await;
    limited.is_problem(429, "rate_limited");
    let good = callbacks().url("", id, app.ledger.now() + Duration::from_secs(60)).unwrap();
    app.stranger().post(&good).send().await.is(204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_secret_every_callback_is_unknown() {
    let app = App::start().await;
    let id = app.rich().await.submitted("rain").await;
    let path = callbacks().url("", id, app.ledger.now() + Duration::from_secs(60)).unwrap();
    app.stranger().post(&path).send().await.is_problem(404, "not_found");
}
