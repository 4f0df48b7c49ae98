//! A render from its order to its end, its idempotency, its cancel, and its life over a restart.

use crate::upstream::Upstream;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::net::TcpListener;

#[tokio::test]
async fn an_order_renders_and_completes_with_a_track() {
    let upstream = Upstream::start();
    upstream.script(json!({"render_seconds": {"min": 2.0, "max": 2.0}})).await;
    let answer = upstream.order("t", None, json!({"prompt": "lofi rain", "title": "Night shift"})).await.unwrap();
    let order = answer.json::<Value>().await.unwrap();
    assert!((0.0..=2.0).contains(&order["estimated_time"].as_f64().unwrap()), "{order}");
    let id = order["id"].as_str().unwrap().to_owned();
    let mut seen = Vec::new();
    let track = loop {
        let status = upstream.status(&id).await;
        let word = status["status"].as_str().unwrap().to_owned();
        if word == "processing" {
            assert!((0.0..1.0).contains(&status["progress"].as_f64().unwrap()));
            assert!((0.0..=2.0).contains(&status["estimated_time"].as_f64().unwrap()));
        }
        if word == "completed" {
            break status["tracks"][0].clone();
        }
        seen.push(word);
    };
    assert!(seen.contains(&"processing".to_owned()));
    assert_eq!(track["title"], "Night shift");
    assert!(track["duration"].as_f64().unwrap() > 3.0);
    upstream.stop().await;
}

#[tokio::test]
async fn a_token_s_key_stands_for_one_render() {
    let upstream = Upstream::start();
    let order = async |token: &str, key: &str| {
        let answer = upstream.order(token, Some(key), json!({"prompt": "p"})).await.unwrap();
        answer.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
    };
    let first = order("a", "gen_1").await;
    assert_eq!(order("a", "gen_1").await, first);
    assert_ne!(order("a", "gen_2").await, first);
    assert_ne!(order("b", "gen_1").await, first);
    let at_once: Vec<String> = futures::future::join_all((0..20).map(|_| order("c", "gen_3"))).await;
    assert!(at_once.iter().all(|id| *id == at_once[0]));
}

#[tokio::test]
async fn a_key_whose_render_failed_or_was_canceled_is_forgotten() {
    let upstream = Upstream::start();
    let order = async || {
        let answer = upstream.order("t", Some("gen_1"), json!({"prompt": "p"})).await.unwrap();
        answer.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
    };
    let fails = json!([{"kind": "render_failed", "probability": 1}]);
    upstream.script(json!({"render_seconds": {"min": 60, "max": 60}, "fail": fails})).await;
    let running = order().await;
    assert_eq!(order().await, running, "what runs stands for its key, whatever becomes of it");
    let cancel = upstream.http.post(format!("{}/cancel/{running}", upstream.url)).bearer_auth("t");
    assert_eq!(cancel.send().await.unwrap().status(), StatusCode::OK);

    upstream.script(json!({"render_seconds": {"min": 0, "max": 0}})).await;
    let failed = order().await;
    assert_ne!(failed, running);
    assert_eq!(upstream.status(&failed).await["status"], "failed");

    upstream.script(json!({"fail": []})).await;
    let done = order().await;
    assert!(done != failed && done != running);
    assert_eq!(upstream.status(&done).await["status"], "completed");
    assert_eq!(order().await, done, "a render that succeeded keeps its key");
    assert_eq!(upstream.status(&failed).await["status"], "failed", "what failed stays so");
    assert_eq!(upstream.status(&running).await["error"], "canceled");
}

#[tokio::test]
async fn renders_are_known_after_a_restart() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // The port stays ours between the two.
    let again = listener.try_clone().unwrap();
    let long = |settings: &mut simulator::Settings| settings.script.render_seconds.min = 60.0;
    let first = Upstream::serve(listener, |settings| {
        long(settings);
        settings.script.render_seconds.max = 60.0;
    });
    let running = first.generate("t", "a long one").await;
    first.script(json!({"render_seconds": {"min": 0, "max": 0}})).await;
    let ended = first.generate("t", "a short one").await;
    first.stop().await;

    let second = Upstream::serve(again, |_| {});
    assert_ne!(second.status(&running).await["status"], "completed");
    let status = second.status(&ended).await;
    assert_eq!(status["status"], "completed");
    let audio = second.http.get(status["audio_url"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(audio.status(), StatusCode::OK);
    // The one that still runs counts for its token again.
    second.script(json!({"token_concurrency": 1})).await;
    let refused = second.order("any", None, json!({"prompt": "p"})).await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_cancel_stops_a_render_and_frees_its_place() {
    let upstream = Upstream::start();
    upstream.script(json!({"render_seconds": {"min": 60, "max": 60}, "token_concurrency": 1})).await;
    let id = upstream.generate("t", "p").await;
    let refused = upstream.order("t", None, json!({"prompt": "p"})).await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((58..=60).contains(&wait));
    assert_ne!(upstream.generate("another token", "p").await, id);

    let cancel = upstream.http.post(format!("{}/cancel/{id}", upstream.url)).bearer_auth("t");
    assert_eq!(cancel.send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(upstream.status(&id).await["status"], "failed");
    upstream.generate("t", "p").await;
    let log = upstream.log().await;
    let in_flight: Vec<u64> = log.iter().map(|entry| entry["in_flight"].as_u64().unwrap()).collect();
    assert_eq!(in_flight, [1, 1, 1, 0, 0, 1]);
}

#[tokio::test]
async fn what_is_nobody_s_is_not_found_and_what_is_wrong_is_refused() {
    let upstream = Upstream::start_with(|settings| {
        settings.known_tokens = Some(vec![simulator::token(1), simulator::token(2)]);
    });
    let good = simulator::token(1);
    assert_eq!(upstream.get(&good, "/me").await.unwrap().status(), StatusCode::OK);
    assert_eq!(upstream.get("stranger", "/me").await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let bare = upstream.http.get(format!("{}/me", upstream.url)).send().await.unwrap();
    assert_eq!(bare.status(), StatusCode::UNAUTHORIZED);
    for id in ["sim_unknown", "gen_01h455vb4pex5vsknk084sn02q"] {
        assert_eq!(upstream.get(&good, &format!("/status/{id}")).await.unwrap().status(), StatusCode::NOT_FOUND);
        assert_eq!(upstream.get(&good, &format!("/audio/{id}.wav")).await.unwrap().status(), StatusCode::NOT_FOUND);
    }
    for wrong in [json!({}), json!({"prompt": "  "}), json!({"prompt": 7}), json!({"prompt": "p", "duration": 601})] {
        let answer = upstream.order(&good, None, wrong).await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.json::<Value>().await.unwrap()["error"].is_string());
    }
    let malformed =
        upstream.http.post(format!("{}/generate", upstream.url)).bearer_auth(&good).body("{").send().await.unwrap();
    assert_eq!(malformed.status(), StatusCode::BAD_REQUEST);
    // Secrets are in no line of the log.
    assert!(!serde_json::to_string(&upstream.log().await).unwrap().contains(&good));
}
