//! Health, readiness and metrics over HTTP, as a platform asks for them.

use async_trait::async_trait;
use bootstrap::listener::bind;
use bootstrap::ops::{Ops, registry, serve};
use domain::ports::Probe;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

struct Dependency {
    name: &'static str,
    vital: bool,
    state: State,
}

enum State {
    Well,
    Out,
    Silent,
}

#[async_trait]
impl Probe for Dependency {
    fn name(&self) -> &'static str {
        self.name
    }

    fn vital(&self) -> bool {
        self.vital
    }

    async fn check(&self) -> Result<(), String> {
        match self.state {
            State::Well => Ok(()),
            State::Out => Err("connection refused".to_owned()),
            State::Silent => std::future::pending().await,
        }
    }
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

/// Runs `story` against a server with these dependencies, and ends it.
async fn with(probes: Vec<Dependency>, story: impl AsyncFnOnce(SocketAddr, CancellationToken)) {
    let listener = bind("OPS_PORT", Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), 0).unwrap();
    let address = listener.local_addr().unwrap();
    let (shutdown, until) = (CancellationToken::new(), CancellationToken::new());
    let probes = probes.into_iter().map(|probe| Arc::new(probe) as Arc<dyn Probe>).collect();
    let ops = Ops { registries: vec![registry().unwrap()], probes, shutdown: shutdown.clone() };
    let (served, ()) = tokio::join!(serve(ops, listener, until.clone()), async {
        story(address, shutdown).await;
        until.cancel();
    });
    served.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_dependency_is_named_and_only_a_vital_one_makes_it_unready() {
    let well = |name, vital| Dependency { name, vital, state: State::Well };
    with(vec![well("ledger", true), well("redis", false)], async |address, shutdown| {
        assert_eq!(get(address, "/healthz").await.0, 200);
        let (status, body) = get(address, "/readyz").await;
        assert_eq!(
            (status, body.as_str()),
            (200, r#"{"status":"ok","checks":{"ledger":{"status":"ok"},"redis":{"status":"ok"}}}"#)
        );
        shutdown.cancel();
        assert_eq!(get(address, "/readyz").await.0, 503);
        assert_eq!(get(address, "/healthz").await.0, 200);
    })
    .await;
    with(
        vec![well("ledger", true), Dependency { name: "redis", vital: false, state: State::Out }],
        async |address, _| {
            let (status, body) = get(address, "/readyz").await;
            assert_eq!(status, 200);
            assert!(body.contains(r#""status":"degraded","checks""#) && body.contains("connection refused"), "{body}");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dependency_that_says_nothing_is_out_after_a_second() {
    with(vec![Dependency { name: "ledger", vital: true, state: State::Silent }], async |address, _| {
        let asked = Instant::now();
        let (status, body) = get(address, "/readyz").await;
        assert_eq!(status, 503);
        assert!(body.contains("no answer within 1 s") && asked.elapsed() < Duration::from_secs(10), "{body}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_tell_what_the_process_uses_and_what_it_may_use() {
    with(Vec::new(), async |address, _| {
        let (status, body) = get(address, "/metrics").await;
        assert_eq!(status, 200);
        for name in [
            "process_resident_memory_bytes ",
            "process_cpu_seconds_total ",
            "son1k_process_cpu_limit_cores ",
            "son1k_process_memory_limit_bytes ",
        ] {
            assert!(body.lines().any(|line| line.starts_with(name)), "{name} is missing");
        }
        assert_eq!(get(address, "/anything").await.0, 404);
    })
    .await;
}
