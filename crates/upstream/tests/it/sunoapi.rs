//! The `sunoapi` dialect: wrapped answers, two tracks, no cancel.

use crate::raw::{job, ok, raw, secret};
use domain::ports::upstream::{Progress, UpstreamAnswer, UpstreamError};
use std::time::Duration;
use upstream::Dialect;

#[tokio::test]
async fn a_task_from_its_creation_to_its_two_tracks() {
    let done = r#"{"code":200,"data":{"taskId":"t","status":"SUCCESS","response":{"sunoData":[
        {"id":"a","audioUrl":"https://x/a.mp3","imageUrl":"https://x/a.png","title":"A","duration":198.4},
        {"id":"b","audioUrl":"https://x/b.mp3","duration":200}]}}}"#;
    let up = raw(
        Dialect::SunoApi,
        vec![
            ok(r#"{"code":200,"msg":"success","data":{"taskId":"t"}}"#),
            ok(r#"{"code":200,"msg":"success","data":{"taskId":"t","estimated_time":"30"}}"#),
            ok(r#"{"code":200,"data":{"status":"PENDING"}}"#),
            ok(r#"{"code":200,"data":{"status":"FIRST_SUCCESS"}}"#),
            ok(done),
            ok(r#"{"code":200,"data":{"status":"SENSITIVE_WORD_ERROR"}}"#),
            ok(r#"{"code":200,"data":null}"#),
        ],
    )
    .await;
    let accepted = up.upstream.submit(&secret(), &job()).await.unwrap();
    assert_eq!(accepted, UpstreamAnswer::Accepted { upstream_id: "t".into(), remaining: None });
    let accepted = up.upstream.submit(&secret(), &job()).await.unwrap();
    let remaining = Some(Duration::from_secs(30));
    assert_eq!(accepted, UpstreamAnswer::Accepted { upstream_id: "t".into(), remaining });
    assert!(up.seen.request(0).1.starts_with("POST /up/api/v1/generate HTTP"));
    let poll = || async { up.upstream.poll(&secret(), "t").await.unwrap() };
    assert_eq!(poll().await, Progress::Rendering { fraction: None, remaining: None });
    assert_eq!(poll().await, Progress::Rendering { fraction: Some(0.7), remaining: None });
    let Progress::Completed(output) = poll().await else { panic!("not done") };
    assert_eq!(output.tracks.len(), 2);
    assert_eq!(output.tracks[0].image_url.as_deref(), Some("https://x/a.png"));
    assert!(matches!(poll().await, Progress::Failed { moderated: true, .. }));
    assert_eq!(poll().await, Progress::Unknown);
    assert!(up.seen.request(2).1.starts_with("GET /up/api/v1/generate/record-info?taskId=t HTTP"));
    assert_eq!(up.upstream.cancel(&secret(), "t").await, Ok(false));
}

/// We did not hear it call back; the music is there all the same.
#[tokio::test]
async fn a_callback_that_failed_costs_no_render() {
    let with = r#"{"code":200,"data":{"status":"CALLBACK_EXCEPTION","response":{"sunoData":[{"id":"a","audioUrl":"https://x/a.mp3"}]}}}"#;
    let without = r#"{"code":200,"data":{"status":"CALLBACK_EXCEPTION","response":null}}"#;
    let up = raw(Dialect::SunoApi, vec![ok(with), ok(without)]).await;
    let Progress::Completed(output) = up.upstream.poll(&secret(), "t").await.unwrap() else { panic!("not done") };
    assert_eq!(output.tracks.len(), 1);
    assert!(matches!(up.upstream.poll(&secret(), "t").await.unwrap(), Progress::Failed { moderated: false, .. }));
}

#[tokio::test]
async fn refusals_come_inside_a_200() {
    let cases = [
        (r#"{"code":401,"msg":"no"}"#, UpstreamError::Unauthorized),
        (r#"{"code":429,"msg":"insufficient credits"}"#, UpstreamError::OutOfCredit),
        (r#"{"code":430,"msg":"too fast"}"#, UpstreamError::RateLimited { retry_after: None }),
        (r#"{"code":413,"msg":"too long"}"#, UpstreamError::Rejected("it answered 413".into())),
        (r#"{"code":455,"msg":"maintenance"}"#, UpstreamError::Unavailable("it answered 455".into())),
        (r#"{"msg":"?"}"#, UpstreamError::Unavailable("it answered 0".into())),
    ];
    let up = raw(Dialect::SunoApi, cases.iter().map(|(body, _)| ok(body)).collect()).await;
    for (body, expected) in cases {
        assert_eq!(up.upstream.submit(&secret(), &job()).await, Err(expected), "{body}");
    }
    let silent = raw(Dialect::SunoApi, vec![ok(r#"{"code":200,"data":88}"#)]).await;
    assert_eq!(silent.upstream.check(&secret()).await.unwrap().credits_left, Some(88));
}
