//! A server that answers one scripted text a connection and keeps what it was asked.

use client::{Client, Retries};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) struct Scripted {
    pub url: String,
    asked: JoinHandle<Vec<String>>,
}

impl Scripted {
    /// Answers as many connections as there are texts, one after the other.
    #[expect(clippy::disallowed_methods, reason = "a test's own task; the test joins it")]
    pub(crate) async fn answering(answers: impl IntoIterator<Item = String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers: Vec<String> = answers.into_iter().collect();
        let asked = tokio::spawn(async move {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut text = Vec::new();
                while !is_whole(&text) {
                    let mut buffer = [0; 4_096];
                    let read = stream.read(&mut buffer).await.unwrap();
                    assert!(read > 0);
                    text.extend_from_slice(&buffer[..read]);
                }
                asked.push(String::from_utf8(text).unwrap());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            asked
        });
        Self { url, asked }
    }

    pub(crate) fn client(&self) -> Client {
        let retries = Retries { most: 3, longest_wait: Duration::from_secs(2) };
        Client::new(&self.url, &"son1k_test_secret".to_owned().into()).unwrap().with_retries(retries)
    }

    /// What it was asked, once all its answers are given.
    pub(crate) async fn asked(self) -> Vec<String> {
        self.asked.await.unwrap()
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

/// An answer with a body, after which the connection closes.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}")
}

pub(crate) const GENERATION: &str = r#"{"id":"gen_01h455vb4pex5vsknk084sn02q","object":"generation","status":"queued",
    "stage":"backlog","prompt":"p","title":null,"style":null,"lyrics":null,"instrumental":false,"duration_seconds":60,
    "quality":"standard","metadata":{},"credits":{"reserved":1,"captured":0,"refunded":0},"attempts":0,
    "queue":{"position":1,"waiting_on":"capacity","estimated_start_at":null},"output":null,"error":null,
    "created_at":"2026-11-24T00:00:00.000Z","started_at":null,"finished_at":null,"cancel_after":"2026-11-24T01:00:00.000Z",
    "urls":{"get":"/v1/generations/g","cancel":"/v1/generations/g/cancel","events":"/v1/generations/g/events"},"new":1}"#;
