//! Many open event streams on one gateway: little memory, and an event reaches all of them within 2 s. In both modes.
//!
//! 1,000 of them here; with `SON1K_STORIES=full` the 10,000 that are promised, each a connection and so a file descriptor on both sides.

use crate::system::{Mode, TestApp, report, sized};
use domain::ids::GenerationId;
use futures::future::join_all;
use secrecy::ExposeSecret;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

/// What is followed; each has its share of the readers.
const GENERATIONS: usize = 20;
/// Connections being opened at once.
const OPENING_MOST: usize = 64;
const REACHES_ALL_WITHIN: Duration = Duration::from_secs(2);
const RESIDENT_MOST_MIB: u64 = 300;
/// Files that a process has besides its streams.
const FILES_APART: u64 = 500;

/// The soft limit of open files of this process and those that it starts.
fn files_allowed() -> u64 {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    line.split_whitespace().nth(3).and_then(|soft| soft.parse().ok()).unwrap_or(u64::MAX)
}

/// Whether so many streams can be open here, once the limit is raised as far as it goes.
fn allows(streams: usize) -> bool {
    let needed = streams as u64 + FILES_APART;
    if files_allowed() < needed {
        let own = std::process::id().to_string();
        let raised = Command::new("prlimit").args(["--pid", &own, &format!("--nofile={needed}:")]).status();
        if raised.is_err() {
            report("prlimit cannot be run");
        }
    }
    let allowed = files_allowed();
    if allowed < needed {
        report(&format!("skipped: {streams} streams need {needed} open files, and {allowed} are allowed here"));
    }
    allowed >= needed
}

/// MiB that a process has in memory.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_024
}

/// One reader, with as little of its own as it can have.
struct Stream {
    connection: TcpStream,
    heard: Vec<u8>,
}

impl Stream {
    /// Opens it and hears of the acceptance.
    async fn open(authority: &str, key: &str, id: GenerationId) -> Self {
        let mut connection = TcpStream::connect(authority).await.unwrap();
        let request = format!(
            "GET /v1/generations/{id}/events HTTP/1.1\r\nhost: {authority}\r\nauthorization: Bearer {key}\r\n\r\n"
        );
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut stream = Self { connection, heard: Vec::new() };
        stream.hears("event: status").await;
        assert!(stream.heard.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&stream.heard));
        stream.heard = Vec::new();
        stream
    }

    async fn hears(&mut self, words: &str) {
        let mut buffer = [0; 4_096];
        while !String::from_utf8_lossy(&self.heard).contains(words) {
            let length = self.connection.read(&mut buffer).await.unwrap();
            assert!(length > 0, "it ended after {}", String::from_utf8_lossy(&self.heard));
            self.heard.extend(&buffer[..length]);
        }
    }
}

async fn an_event_reaches_all(mode: Mode) {
    let count = sized(1_000, 10_000);
    if !allows(count) {
        return;
    }
    let mut app = TestApp::in_mode(mode).gateways(2).start().await;
    app.operator.client.admin().pause().await.unwrap();
    let customer = app.operator.opens_unlimited_account().await;
    let ids: Vec<_> = customer.submits_many(GENERATIONS).await.into_iter().collect();
    let gateway = app.process(if mode == Mode::Embedded { "son1k" } else { "gateway" }).id();
    let before = resident(gateway);

    let authority: Arc<str> = app.url.trim_start_matches("http://").into();
    let (opening, (opened, mut all_opened)) = (Arc::new(Semaphore::new(OPENING_MOST)), mpsc::channel(OPENING_MOST));
    let mut readers = JoinSet::new();
    for number in 0..count {
        let (authority, key, id) = (Arc::clone(&authority), customer.key.clone(), ids[number % GENERATIONS]);
        let (opening, opened) = (Arc::clone(&opening), opened.clone());
        readers.spawn(async move {
            let turn = opening.acquire_owned().await.unwrap();
            let mut stream = Stream::open(&authority, key.expose_secret(), id).await;
            drop(turn);
            opened.send(()).await.unwrap();
            stream.hears("event: done").await;
            Instant::now()
        });
    }
    let begin = Instant::now();
    let opened_in = async {
        for _ in 0..count {
            all_opened.recv().await.unwrap();
        }
        begin.elapsed()
    };
    let opened_in = tokio::time::timeout(Duration::from_secs(120), opened_in).await.unwrap();
    let after = resident(gateway);
    report(&format!(
        "{mode:?}: {count} streams opened in {opened_in:?}; resident {before} MiB before, {after} MiB with them"
    ));
    assert!(after < RESIDENT_MOST_MIB, "{after} MiB");

    // Told at another gateway, where there is one. That it is answered at all: no stream holds a connection of the store.
    let elsewhere = customer.at(app.urls.last().unwrap());
    let canceled = join_all(ids.iter().map(|id| elsewhere.client.cancel(*id))).await;
    assert!(canceled.iter().all(Result::is_ok), "{canceled:?}");
    let told = Instant::now();
    let heard = tokio::time::timeout(Duration::from_secs(60), readers.join_all()).await.unwrap();
    let slowest = heard.into_iter().map(|at| at.duration_since(told)).max().unwrap();
    report(&format!("{mode:?}: the last of them heard after {slowest:?}; resident {} MiB", resident(gateway)));
    assert!(slowest < REACHES_ALL_WITHIN, "{slowest:?}");
    app.stops().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_an_event_reaches_all() {
    an_event_reaches_all(Mode::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn production_an_event_reaches_all() {
    an_event_reaches_all(Mode::Production).await;
}
