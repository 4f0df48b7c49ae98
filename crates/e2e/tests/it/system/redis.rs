//! A Redis of the story's own, which it may freeze, kill and start again. It keeps nothing on disk.

use super::process::{Signal, send};
use super::{ports, until};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::net::TcpStream;

pub(crate) struct Redis {
    port: u16,
    child: Child,
}

impl Redis {
    pub(super) async fn start() -> Self {
        let port = ports::free();
        let redis = Self { port, child: spawn(port) };
        redis.ready().await;
        redis
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }

    /// Gone, with all it knew.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Empty, on the same port.
    pub(crate) async fn starts_again(&mut self) {
        self.child = spawn(self.port);
        self.ready().await;
    }

    async fn ready(&self) {
        until("redis-server listens", Duration::from_secs(20), async || {
            TcpStream::connect(("127.0.0.1", self.port)).await.ok()
        })
        .await;
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // The story may have killed it already.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn spawn(port: u16) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("redis-server cannot be started ({error}); ./scripts/test installs it"))
}
