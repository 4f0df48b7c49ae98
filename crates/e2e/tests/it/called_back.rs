//! Upstreams that call back: the ring reaches the worker that has the render, a forger reaches nobody, and whoever comes late changes nothing.
//! The same in both modes.

use crate::system::{INTERNAL_SECRET, Mode, TestApp, until};
use domain::callback::{Callbacks, PATH};
use reqwest::StatusCode;
use secrecy::SecretString;
use serde_json::json;
use std::time::{Duration, SystemTime};

/// Each that was looked at because somebody called back, over all workers.
async fn heard(app: &mut TestApp, mode: Mode) -> f64 {
    let names: &[&str] = if mode == Mode::Embedded { &["son1k"] } else { &["worker-1", "worker-2", "worker-3"] };
    let mut sum = 0.0;
    for name in names {
        let metric = "son1k_rings_total{direction=\"called_back\",outcome=\"ours\"}";
        sum += app.process(name).counts(metric).await;
    }
    sum
}

async fn callbacks_ring_the_worker_and_forgers_nobody(mode: Mode) {
    // Nobody looks before a render's end: a callback is up to a second sooner than the look.
    let app = TestApp::in_mode(mode).with_shared_secrets().called_back().setting("RENDER_POLL_LONGEST", &10_000);
    let mut app = app.start().await;
    app.upstream
        .behaves(json!({"render_seconds": {"min": 5, "max": 5}, "fail": [
            {"kind": "lost_callback", "probability": 1, "match": "unheard"},
        ]}))
        .await;
    let customer = app.operator.opens_unlimited_account().await;
    let mut ids = customer.submits_many(12).await;
    let unheard = customer.submits("unheard").await.id;
    ids.insert(unheard);
    // The one that is never called back is found by a poll.
    app.operator.sees_the_queue_empty(Duration::from_secs(60)).await;
    customer.has_all_of(&ids).await;
    until("all callbacks are answered", Duration::from_secs(20), async || {
        let calls = app.upstream.calls().await;
        let answers: Vec<_> = calls.iter().filter(|call| call.call == "callback").map(|call| call.status).collect();
        (answers == vec![Some(204); 12]).then_some(())
    })
    .await;
    assert!(heard(&mut app, mode).await >= 1.0, "no worker was rung");

    let ended = customer.client.generation(unheard).await.unwrap();
    let before = app.upstream.calls().await.len();
    let in_a_minute = (SystemTime::now() + Duration::from_secs(60)).into();
    let ours = Callbacks::new(&SecretString::from(INTERNAL_SECRET)).unwrap();
    let others = Callbacks::new(&SecretString::from("what somebody else takes for our secret")).unwrap();
    let good = ours.token(unheard, in_a_minute).unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let call = async |token: &str| {
        let url = format!("{}{PATH}{token}", app.url);
        http.post(url).json(&json!({"status": "failed"})).send().await.unwrap().status()
    };
    let another = ids.iter().find(|id| **id != unheard).unwrap().to_string();
    for bad in [
        others.token(unheard, in_a_minute).unwrap(),
        ours.token(unheard, (SystemTime::now() - Duration::from_secs(1)).into()).unwrap(),
        good.replace(&unheard.to_string(), &another),
        good.replacen('.', ".9", 1),
    ] {
        assert_eq!(call(&bad).await, StatusCode::NOT_FOUND, "{bad}");
    }
    // A token of ours, again and again, for what has long ended.
    for _ in 0..3 {
        assert_eq!(call(&good).await, StatusCode::NO_CONTENT);
    }
    // Enough of a wait for a ring to be heard: one that is submitted now ends after them.
    ids.insert(customer.submits("and one more").await.id);
    app.operator.sees_the_queue_empty(Duration::from_secs(60)).await;
    assert_eq!(customer.client.generation(unheard).await.unwrap(), ended);
    let mut all = app.upstream.calls().await;
    let since = all.split_off(before);
    let of_it = all.iter().find(|call| call.key == Some(unheard.to_string())).unwrap().upstream_id.as_ref();
    assert!(of_it.is_some() && since.iter().all(|call| call.upstream_id.as_ref() != of_it), "it was asked about again");
    customer.has_all_of(&ids).await;
    app.operator.proves_the_books().await;
    app.stops().await;
}

#[tokio::test]
async fn embedded_callbacks_ring_the_worker_and_forgers_nobody() {
    callbacks_ring_the_worker_and_forgers_nobody(Mode::Embedded).await;
}

#[tokio::test]
async fn production_callbacks_ring_the_worker_and_forgers_nobody() {
    callbacks_ring_the_worker_and_forgers_nobody(Mode::Production).await;
}
