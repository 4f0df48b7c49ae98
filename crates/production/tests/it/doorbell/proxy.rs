//! A proxy before the broker: the network that fails on demand.

use lapin::uri::{AMQPUri, AMQPUserInfo};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, Weak};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// Connections go through.
pub(super) const OPEN: u8 = 0;
/// They are closed at once.
pub(super) const CLOSED: u8 = 1;
/// They are taken, and nothing is ever said.
pub(super) const STALLED: u8 = 2;

/// Stands before the broker and can be cut, closed, stalled and frozen.
pub(super) struct Proxy {
    port: u16,
    credentials: AMQPUserInfo,
    mode: Arc<AtomicU8>,
    cut: Mutex<CancellationToken>,
    frozen: watch::Sender<bool>,
    _accepting: AbortOnDropHandle<()>,
}

impl Proxy {
    /// Before the broker of this URL.
    pub(super) async fn start(broker: &str, mode: u8) -> Arc<Self> {
        let uri: AMQPUri = broker.parse().unwrap();
        let (broker, credentials) = ((uri.authority.host, uri.authority.port), uri.authority.userinfo);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (mode, cut) = (Arc::new(AtomicU8::new(mode)), CancellationToken::new());
        Arc::new_cyclic(|this: &Weak<Self>| {
            let this = this.clone();
            let accepting = TaskTracker::new().spawn(async move {
                let mut tasks = JoinSet::new();
                while let Ok((near, _)) = listener.accept().await {
                    let Some(proxy) = this.upgrade() else { return };
                    let cut = proxy.cut.lock().unwrap().clone();
                    match proxy.mode.load(Ordering::Relaxed) {
                        OPEN => {
                            let (far_in, far_out) = TcpStream::connect(broker.clone()).await.unwrap().into_split();
                            let (near_in, near_out) = near.into_split();
                            let frozen = proxy.frozen.subscribe();
                            tasks.spawn(cut.run_until_cancelled_owned(async move {
                                tokio::select! {
                                    () = forward(near_in, far_out, frozen.clone()) => {}
                                    () = forward(far_in, near_out, frozen) => {}
                                }
                            }));
                        }
                        CLOSED => drop(near),
                        _ => {
                            tasks.spawn(cut.run_until_cancelled_owned(async move {
                                let _held = near;
                                std::future::pending::<()>().await;
                            }));
                        }
                    }
                }
            });
            Self {
                port,
                credentials,
                mode,
                cut: Mutex::new(cut),
                frozen: watch::Sender::new(false),
                _accepting: AbortOnDropHandle::new(accepting),
            }
        })
    }

    /// For connections from now on.
    pub(super) fn set(&self, mode: u8) {
        self.mode.store(mode, Ordering::Relaxed);
    }

    /// Breaks all connections that are.
    pub(super) fn cut(&self) {
        std::mem::take(&mut *self.cut.lock().unwrap()).cancel();
    }

    /// Nothing more goes through the connections that are, until it is thawed.
    pub(super) fn freeze(&self, frozen: bool) {
        self.frozen.send_replace(frozen);
    }

    pub(super) fn url(&self) -> String {
        let AMQPUserInfo { username: user, password } = &self.credentials;
        format!("amqp://{user}:{password}@127.0.0.1:{}", self.port)
    }
}

/// Ends when either side does.
async fn forward(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut frozen: watch::Receiver<bool>) {
    let mut buffer = vec![0; 16_384];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if frozen.wait_for(|frozen| !frozen).await.is_err() || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
