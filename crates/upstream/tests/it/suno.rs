//! The `suno` dialect, as api.md words it and as upstreams stray from it.

use crate::raw::{answer, job, ok, raw, secret};
use domain::ports::upstream::{Progress, UpstreamAnswer, UpstreamError};
use std::time::Duration;
use upstream::Dialect;

#[tokio::test]
async fn a_submission_carries_its_key_and_token_and_names_the_job_either_way() {
    let up = raw(Dialect::Suno, vec![ok(r#"{"id":"u1"}"#), ok(r#"{"task_id":42,"estimated_time":12.5}"#)]).await;
    let first = up.upstream.submit(&secret(), &job()).await.unwrap();
    assert_eq!(first, UpstreamAnswer::Accepted { upstream_id: "u1".into(), remaining: None });
    let second = up.upstream.submit(&secret(), &job()).await.unwrap();
    assert_eq!(
        second,
        UpstreamAnswer::Accepted { upstream_id: "42".into(), remaining: Some(Duration::from_millis(12_500)) }
    );
    let (connection, text) = up.seen.request(0);
    assert!(text.starts_with("POST /up/generate HTTP/1.1\r\n"), "{text}");
    assert!(text.contains("authorization: Bearer very-secret-token\r\n"), "{text}");
    assert!(text.contains(&format!("idempotency-key: {}\r\n", job().id)), "{text}");
    assert!(text.contains(r#""prompt":"rain""#) && text.contains(r#""duration":60"#), "{text}");
    assert!(!text.contains("callback_url"), "{text}");
    assert_eq!(up.seen.request(1).0, connection, "an answer that was read leaves its connection usable");
}

#[tokio::test]
async fn done_at_once_is_done() {
    let body = r#"{"id":"u1","status":"completed","tracks":[{"id":"t1","audio_url":"http://x/1.mp3","duration":60}]}"#;
    let up = raw(Dialect::Suno, vec![ok(body)]).await;
    match up.upstream.submit(&secret(), &job()).await.unwrap() {
        UpstreamAnswer::Completed { upstream_id, output } => {
            assert_eq!((upstream_id.as_str(), output.tracks[0].id.as_str()), ("u1", "t1"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_status_is_read_with_or_without_its_fields() {
    let up = raw(
        Dialect::Suno,
        vec![
            ok(r#"{"status":"processing","progress":0.5,"estimated_time":12.5}"#),
            ok(r#"{"status":"PENDING","progress":"80","tracks":7,"estimated_time":-3}"#),
            ok("{}"),
            ok(r#"{"status":"completed","audio_url":"https://x/a.mp3","duration":61.5}"#),
            ok(r#"{"tracks":[{"audio_url":"https://x/a.mp3"},{"nothing":1},{"id":"b","audio_url":"https://x/b.mp3"}]}"#),
            ok(r#"{"status":"completed","audio_url":"file:///etc/passwd"}"#),
            ok(r#"{"status":"failed","error":"internal"}"#),
            ok(r#"{"status":"failed","error":{"code":"moderation_blocked"}}"#),
            answer("404 Not Found", "", "{}"),
        ],
    )
    .await;
    let mut seen = Vec::new();
    for _ in 0..9 {
        seen.push(up.upstream.poll(&secret(), "u/1").await.unwrap());
    }
    let rendering = |fraction, remaining| Progress::Rendering { fraction, remaining };
    assert_eq!(seen[0], rendering(Some(0.5), Some(Duration::from_millis(12_500))));
    assert_eq!(seen[1], rendering(Some(0.8), Some(Duration::ZERO)));
    assert_eq!(seen[2], rendering(None, None));
    let tracks = |progress: &Progress| match progress {
        Progress::Completed(output) => output.tracks.iter().map(|t| t.id.clone()).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(tracks(&seen[3]), ["u/1"]);
    assert_eq!(tracks(&seen[4]), ["u/1-1", "b"]);
    assert!(matches!(seen[5], Progress::Failed { moderated: false, .. }));
    assert!(matches!(seen[6], Progress::Failed { moderated: false, .. }));
    assert!(matches!(seen[7], Progress::Failed { moderated: true, .. }));
    assert_eq!(seen[8], Progress::Unknown);
    assert!(up.seen.request(0).1.starts_with("GET /up/status/u%2F1 "), "an id is one segment");
}

#[tokio::test]
async fn each_status_has_its_meaning() {
    let cases = [
        ("400 Bad Request", "", "{}", UpstreamError::Rejected("it answered 400".into())),
        ("422 Unprocessable", "", "nonsense", UpstreamError::Rejected("it answered 422".into())),
        ("422 Unprocessable", "", r#"{"error":"moderated"}"#, UpstreamError::Moderated("it answered 422".into())),
        ("401 Unauthorized", "", "", UpstreamError::Unauthorized),
        ("403 Forbidden", "", "", UpstreamError::Unauthorized),
        ("402 Payment Required", "", "", UpstreamError::OutOfCredit),
        (
            "429 Slow",
            "retry-after: 3\r\n",
            "",
            UpstreamError::RateLimited { retry_after: Some(Duration::from_secs(3)) },
        ),
        ("429 Slow", "retry-after: soon\r\n", "", UpstreamError::RateLimited { retry_after: None }),
        ("500 Oops", "", "", UpstreamError::Unavailable("it answered 500".into())),
        ("503 Oops", "", "", UpstreamError::Unavailable("it answered 503".into())),
        ("404 Not Found", "", "", UpstreamError::Unavailable("it has no way to submit at this address".into())),
        ("405 No", "", "", UpstreamError::Unavailable("it answered 405".into())),
    ];
    let scripts = cases.iter().map(|(status, headers, body, _)| answer(status, headers, body)).collect();
    let up = raw(Dialect::Suno, scripts).await;
    for (status, _, _, expected) in cases {
        assert_eq!(up.upstream.submit(&secret(), &job()).await, Err(expected), "{status}");
    }
}

#[tokio::test]
async fn cancel_and_check() {
    let scripts = vec![ok("{}"), answer("404 Not Found", "", ""), ok(r#"{"credits_left":17}"#), ok("[]")];
    let up = raw(Dialect::Suno, scripts).await;
    assert_eq!(up.upstream.cancel(&secret(), "u1").await, Ok(true));
    assert_eq!(up.upstream.cancel(&secret(), "u1").await, Ok(false));
    assert_eq!(up.upstream.check(&secret()).await.unwrap().credits_left, Some(17));
    assert_eq!(up.upstream.check(&secret()).await.unwrap().credits_left, None);
}
