//! Event streams: read to the end, resumed where they broke, given up when nobody answers.

use crate::scripted::{Scripted, answer};
use client::{Event, EventKind};
use domain::ids::GenerationId;

fn id() -> GenerationId {
    "gen_01h455vb4pex5vsknk084sn02q".parse().unwrap()
}

fn stream(text: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n{text}")
}

#[tokio::test]
async fn a_broken_stream_is_resumed_after_the_last_event() {
    let server = Scripted::answering([
        stream(
            ": hello\n\nevent: status\nid: 1\ndata: {\"status\":\"queued\"}\n\nevent: progress\ndata: {\"progress\":0.",
        ),
        stream("event: status\nid: 2\ndata: {\"status\":\"processing\"}\n\n"),
        answer("503 Service Unavailable", "", "{}"),
        stream("event: output\nid: 4\ndata: {}\n\nevent: done\nid: 4\ndata: {}\n\nevent: never\ndata: {}\n\n"),
    ])
    .await;
    let mut events = server.client().events(id(), None);
    let mut seen = Vec::new();
    while let Some(Event { id, kind, .. }) = events.next().await.unwrap() {
        seen.push((id.unwrap(), kind));
    }
    let seen: Vec<_> = seen.iter().map(|(id, kind)| (id.as_str(), kind)).collect();
    assert_eq!(
        seen,
        [("1", &EventKind::Status), ("2", &EventKind::Status), ("4", &EventKind::Output), ("4", &EventKind::Done)]
    );
    assert_eq!(events.next().await.unwrap(), None);
    let asked = server.asked().await;
    let resumed: Vec<_> =
        asked.iter().map(|text| text.split("last-event-id: ").nth(1).map(|rest| &rest[..1])).collect();
    assert_eq!(resumed, [None, Some("1"), Some("2"), Some("2")]);
}

#[tokio::test]
async fn a_refusal_ends_the_attempt() {
    let server = Scripted::answering([answer("404 Not Found", "", r#"{"status":404,"code":"not_found"}"#)]).await;
    let error = server.client().events(id(), Some("7".into())).next().await.unwrap_err();
    assert_eq!(error.code(), Some("not_found"));
}

#[tokio::test]
async fn a_stream_that_never_brings_anything_is_given_up() {
    let server = Scripted::answering((0..4).map(|_| stream(": nothing\n\n"))).await;
    assert!(server.client().events(id(), None).next().await.is_err());
    assert_eq!(server.asked().await.len(), 4);
}
