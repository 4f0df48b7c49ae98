//! A TCP proxy between a caller and a replica that can swallow answers, swallow everything, and break connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mode {
    Pass,
    /// Requests arrive, answers do not.
    EatAnswers,
    /// Nothing arrives, and nobody is told.
    Partition,
}

pub(crate) struct Proxy {
    pub(crate) address: String,
    mode: Arc<AtomicU8>,
    broken: Arc<std::sync::Mutex<CancellationToken>>,
    _tasks: TaskTracker,
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mode: Arc<AtomicU8>, lost_in: &[Mode]) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let lost = lost_in.iter().any(|lost| *lost as u8 == mode.load(Ordering::SeqCst));
        if !lost && to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

impl Proxy {
    /// In front of `http://host:port`.
    pub(crate) async fn before(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let target = target.trim_start_matches("http://").to_owned();
        let mode = Arc::new(AtomicU8::new(Mode::Pass as u8));
        let broken = Arc::new(std::sync::Mutex::new(CancellationToken::new()));
        let tasks = TaskTracker::new();
        let (inner, told, cut) = (tasks.clone(), mode.clone(), broken.clone());
        tasks.spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&target).await else { continue };
                let (told, cut) = (told.clone(), cut.lock().unwrap().clone());
                inner.spawn(async move {
                    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                    let there = pump(near_in, far_out, told.clone(), &[Mode::Partition]);
                    let back = pump(far_in, near_out, told, &[Mode::Partition, Mode::EatAnswers]);
                    tokio::select! {
                        () = cut.cancelled() => {}
                        () = there => {}
                        () = back => {}
                    }
                });
            }
        });
        Self { address, mode, broken, _tasks: tasks }
    }

    pub(crate) fn now(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::SeqCst);
    }

    /// Breaks every connection that there is.
    pub(crate) fn breaks(&self) {
        std::mem::take(&mut *self.broken.lock().unwrap()).cancel();
    }
}
