//! Calls: what is sent, what is understood, what is repeated and what is not.

use crate::scripted::{GENERATION, Scripted, answer};
use client::{Client, ClientError, NewGeneration, Retries, Submission};
use std::time::{Duration, Instant};

fn problem(status: &str, code: &str, headers: &str) -> String {
    let number = status.split(' ').next().unwrap();
    let body = format!(
        r#"{{"type":"/problems/x","title":"T","status":{number},"detail":"D","instance":"/v1/generations","code":"{code}",
        "request_id":"r-1","retryable":true,"errors":[{{"pointer":"/prompt","detail":"is required"}}],"resets_at":"later"}}"#
    );
    answer(status, &format!("Content-Type: application/problem+json\r\n{headers}"), &body)
}

#[tokio::test]
async fn a_submission_says_all_that_it_was_given() {
    let headers = "Retry-After: 2\r\nIdempotency-Replayed: true\r\n";
    let server = Scripted::answering([answer("202 Accepted", headers, GENERATION)]).await;
    let submission = Submission {
        request: NewGeneration { prompt: "p".into(), duration_seconds: Some(30), ..NewGeneration::default() },
        idempotency_key: Some("k-1".into()),
        cancel_after: Some(Duration::from_secs(600)),
        wait: Some(Duration::from_secs(5)),
    };
    let submitted = server.client().submit(&submission).await.unwrap();
    assert!(submitted.replayed && !submitted.ended);
    assert_eq!(submitted.retry_after, Some(Duration::from_secs(2)));
    assert_eq!(submitted.generation.queue.position, Some(1));
    let asked = server.asked().await.remove(0).to_lowercase();
    assert!(asked.starts_with("post /v1/generations http/1.1\r\n"));
    for line in [
        "authorization: bearer son1k_test_secret",
        "idempotency-key: k-1",
        "cancel-after: 600s",
        "prefer: wait=5",
        r#"{"prompt":"p","duration_seconds":30}"#,
    ] {
        assert!(asked.contains(line), "{line} is missing in {asked}");
    }
}

#[tokio::test]
async fn a_refusal_is_a_problem_with_all_its_members() {
    let server = Scripted::answering([problem("422 Unprocessable Entity", "validation_failed", "")]).await;
    let error = server.client().submit(&Submission::of("")).await.unwrap_err();
    let ClientError::Refused(problem) = &error else { panic!("{error}") };
    assert_eq!((problem.code.as_str(), problem.request_id.as_str()), ("validation_failed", "r-1"));
    assert_eq!(problem.errors[0].pointer.as_deref(), Some("/prompt"));
    assert_eq!(problem.members["resets_at"], "later");
    assert_eq!(error.to_string(), "T (422 validation_failed): D; /prompt is required [request r-1]");
}

#[tokio::test]
async fn what_carries_a_key_is_repeated_with_the_same_key() {
    let server = Scripted::answering([
        String::new(),
        problem("503 Service Unavailable", "unavailable", "Retry-After: 1\r\n"),
        answer("202 Accepted", "", GENERATION),
    ])
    .await;
    let begin = Instant::now();
    server.client().submit(&Submission::of("p")).await.unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(1), "Retry-After is honoured");
    let asked = server.asked().await;
    let keys: Vec<_> =
        asked.iter().map(|text| text.split("idempotency-key: ").nth(1).unwrap()[..32].to_owned()).collect();
    assert!(keys.iter().all(|key| *key == keys[0]));
}

#[tokio::test]
async fn what_carries_none_is_never_repeated() {
    let server = Scripted::answering([problem("503 Service Unavailable", "unavailable", "")]).await;
    let submission = Submission { idempotency_key: None, ..Submission::of("p") };
    let error = server.client().submit(&submission).await.unwrap_err();
    assert_eq!(error.code(), Some("unavailable"));
    assert_eq!(server.asked().await.len(), 1);
}

#[tokio::test]
async fn a_long_retry_after_is_told_and_not_waited_for() {
    let server = Scripted::answering([problem("429 Too Many Requests", "rate_limited", "Retry-After: 42\r\n")]).await;
    let error = server.client().account().await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(42)));
}

#[tokio::test]
async fn tries_are_bounded_and_a_proxy_s_page_is_a_problem_too() {
    let page = || answer("502 Bad Gateway", "Content-Type: text/html\r\n", "<html>no</html>");
    let server = Scripted::answering((0..4).map(|_| page())).await;
    let error = server.client().account().await.unwrap_err();
    assert_eq!(error.status(), Some(502));
    assert_eq!(server.asked().await.len(), 4);
}

#[tokio::test]
async fn nobody_there_is_said_plainly_and_the_key_is_in_no_error() {
    let client = Client::new("http://127.0.0.1:1", &"son1k_test_secret".to_owned().into()).unwrap();
    let error = client.with_retries(Retries::NONE).account().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("secret"));
    for url in ["127.0.0.1:8080", "ftp://x", "", "http://"] {
        let refused = Client::new(url, &"k".to_owned().into());
        assert!(matches!(refused, Err(ClientError::BadUrl(_))), "{url}");
    }
    let refused = Client::new("http://x", &"line\nbreak".to_owned().into());
    assert!(matches!(refused, Err(ClientError::BadUrl(_))));
}

#[tokio::test]
async fn a_base_path_is_kept() {
    let server =
        Scripted::answering([answer("200 OK", "", r#"{"data":[],"next_cursor":null,"has_more":false}"#)]).await;
    let client = Client::new(&format!("{}/music/", server.url), &"k".to_owned().into()).unwrap();
    let page = client::PageQuery { limit: Some(5), cursor: Some("a b".into()) };
    assert!(client.entries(&page).await.unwrap().data.is_empty());
    let asked = server.asked().await.remove(0);
    assert!(asked.starts_with("GET /music/v1/account/ledger?limit=5&cursor=a+b HTTP/1.1\r\n"), "{asked}");
}
