//! Callbacks: made at a render's end, tried again, and lost when scripted.

use crate::upstream::Upstream;
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers one request with a status and returns its text.
async fn receive(listener: &TcpListener, status: &str) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut text = String::new();
    let mut buffer = [0; 4_096];
    while !text.ends_with('}') {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "the request ended early: {text}");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.unwrap();
    text
}

#[tokio::test]
async fn the_end_is_called_back_until_it_is_heard() {
    let upstream = Upstream::start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/internal/upstream/signed?x=1", listener.local_addr().unwrap());
    upstream.script(json!({"fail": [{"kind": "lost_callback", "probability": 1, "match": "unheard"}]})).await;
    upstream.order("t", None, json!({"prompt": "unheard", "callback_url": url})).await.unwrap();
    upstream.order("t", None, json!({"prompt": "heard", "callback_url": url})).await.unwrap();

    let first = receive(&listener, "503 Service Unavailable").await;
    assert!(first.starts_with("POST /internal/upstream/signed?x=1 HTTP/1.1\r\n"), "{first}");
    assert!(first.contains("\"status\":\"completed\""), "{first}");
    let second = receive(&listener, "204 No Content").await;
    assert_eq!(first, second);
    // The lost one never comes: both were due before the second try.
    assert!(tokio::time::timeout(Duration::from_millis(200), listener.accept()).await.is_err());
    let log = upstream.log().await;
    let statuses: Vec<_> = log.iter().filter(|e| e["call"] == "callback").map(|e| e["status"].clone()).collect();
    assert_eq!(statuses, [json!(503), json!(204)]);
}
