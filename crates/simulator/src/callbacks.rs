//! Calls customers back when a render ends: a bounded queue, three tries, and no promise (polling is the safe way).
//!
//! Speaks HTTP/1.1 over plain TCP by hand, for one POST is all it needs; `https://` addresses are never called.

use crate::clock::now_ms;
use crate::log::{Entry, Log};
use crate::render::RenderId;
use crate::renders::TokenTag;
use crate::script::Call;
use crate::world::lock;
use actix_web::http::Uri;
use futures::stream::{FuturesUnordered, StreamExt};
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const WAITING_MOST: usize = 100_000;
const AT_ONCE: usize = 32;
const TRIES: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(5)];
const TRY_LONGEST: Duration = Duration::from_secs(5);

/// A callback to make.
#[derive(Debug)]
pub(crate) struct Callback {
    pub id: RenderId,
    pub token: TokenTag,
    pub url: String,
    /// The status as it will be at the render's end.
    pub body: Value,
}

/// The way in.
pub(crate) struct Callbacks(mpsc::Sender<Callback>);

impl Callbacks {
    /// Queues it, or drops it when too many wait: the customer's poll finds the render anyway.
    pub(crate) fn promise(&self, callback: Callback) {
        if self.0.try_send(callback).is_err() {
            tracing::warn!("too many callbacks wait; one is dropped");
        }
    }
}

pub(crate) fn start(log: Arc<Mutex<Log>>, shutdown: CancellationToken, tasks: &TaskTracker) -> Callbacks {
    let (sender, receiver) = mpsc::channel(1_024);
    tasks.spawn(async move {
        // What waits dies with the process, as it would with a crash.
        let _ = shutdown.run_until_cancelled(deliver(receiver, &log)).await;
    });
    Callbacks(sender)
}

async fn deliver(mut receiver: mpsc::Receiver<Callback>, log: &Mutex<Log>) {
    let mut waiting: BinaryHeap<Reverse<(u64, u64)>> = BinaryHeap::new();
    let mut jobs = std::collections::HashMap::new();
    let mut calling = FuturesUnordered::new();
    loop {
        let due = waiting.peek().map(|Reverse((due, _))| Duration::from_millis(due.saturating_sub(now_ms())));
        tokio::select! {
            job = receiver.recv(), if waiting.len() < WAITING_MOST => {
                let Some(job) = job else { return };
                waiting.push(Reverse((job.id.ends_ms(), job.id.unique)));
                jobs.insert(job.id.unique, job);
            }
            () = tokio::time::sleep(due.unwrap_or_default()), if due.is_some() && calling.len() < AT_ONCE => {
                if let Some(Reverse((_, unique))) = waiting.pop()
                    && let Some(job) = jobs.remove(&unique)
                {
                    calling.push(call(job, log));
                }
            }
            Some(()) = calling.next(), if !calling.is_empty() => {}
        }
    }
}

async fn call(job: Callback, log: &Mutex<Log>) {
    let body = job.body.to_string();
    for wait in TRIES {
        tokio::time::sleep(wait).await;
        let at = now_ms();
        let status = tokio::time::timeout(TRY_LONGEST, post(&job.url, &body)).await.ok().and_then(Result::ok);
        lock(log).append(Entry {
            at,
            call: Call::Callback,
            token: Some(job.token),
            key: None,
            upstream_id: Some(job.id),
            status,
            fault: None,
            in_flight: 0,
        });
        if status.is_some_and(|status| status < 500) {
            return;
        }
    }
}

/// Posts JSON and returns the answer's status.
async fn post(url: &str, body: &str) -> std::io::Result<u16> {
    let bad = || std::io::Error::from(std::io::ErrorKind::InvalidInput);
    let uri: Uri = url.parse().map_err(|_| bad())?;
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(bad)?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let mut stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80))).await?;
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    // "HTTP/1.1 204" is all of the answer that matters.
    let mut line = [0; 12];
    stream.read_exact(&mut line).await?;
    std::str::from_utf8(&line[9..]).ok().and_then(|status| status.parse().ok()).ok_or_else(bad)
}
