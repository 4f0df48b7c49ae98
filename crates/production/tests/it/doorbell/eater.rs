//! A proxy before the broker that eats its confirms: everything goes through but `basic.ack` and `basic.nack` from the broker.

use lapin::uri::AMQPUri;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

const BASIC_ACK: (u16, u16) = (60, 80);
const BASIC_NACK: (u16, u16) = (60, 120);
const CHANNEL_OPEN: (u16, u16) = (20, 10);
const CHANNEL_CLOSE: (u16, u16) = (20, 40);

#[derive(Default)]
struct Seen {
    eats: AtomicBool,
    eaten: AtomicUsize,
    opened: AtomicUsize,
    closed: AtomicUsize,
}

pub(super) struct Eater {
    pub(super) url: String,
    seen: Arc<Seen>,
    _accepting: AbortOnDropHandle<()>,
}

impl Eater {
    pub(super) async fn before(broker: &str) -> Self {
        let uri: AMQPUri = broker.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (user, password) = (uri.authority.userinfo.username, uri.authority.userinfo.password);
        let (seen, far) = (Arc::new(Seen::default()), (uri.authority.host, uri.authority.port));
        let watched = Arc::clone(&seen);
        let accepting = TaskTracker::new().spawn(async move {
            let mut tasks = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(far.clone()).await.unwrap();
                tasks.spawn(between(near, far, Arc::clone(&watched)));
            }
        });
        let url = format!("amqp://{user}:{password}@127.0.0.1:{port}");
        Self { url, seen, _accepting: AbortOnDropHandle::new(accepting) }
    }

    pub(super) fn eats(&self, eats: bool) {
        self.seen.eats.store(eats, Ordering::SeqCst);
    }

    pub(super) fn eaten(&self) -> usize {
        self.seen.eaten.load(Ordering::SeqCst)
    }

    /// Channels that were opened and not closed.
    pub(super) fn channels(&self) -> usize {
        self.seen.opened.load(Ordering::SeqCst) - self.seen.closed.load(Ordering::SeqCst)
    }
}

async fn between(near: TcpStream, far: TcpStream, seen: Arc<Seen>) {
    let (mut near_in, mut near_out) = near.into_split();
    let (mut far_in, mut far_out) = far.into_split();
    let up = async {
        let mut greeting = [0; 8];
        near_in.read_exact(&mut greeting).await?;
        far_out.write_all(&greeting).await?;
        loop {
            let frame = frame(&mut near_in).await?;
            match method(&frame) {
                Some(CHANNEL_OPEN) => _ = seen.opened.fetch_add(1, Ordering::SeqCst),
                Some(CHANNEL_CLOSE) => _ = seen.closed.fetch_add(1, Ordering::SeqCst),
                _ => {}
            }
            far_out.write_all(&frame).await?;
        }
    };
    let down = async {
        loop {
            let frame = frame(&mut far_in).await?;
            let confirm = matches!(method(&frame), Some(BASIC_ACK | BASIC_NACK));
            if confirm && seen.eats.load(Ordering::SeqCst) {
                seen.eaten.fetch_add(1, Ordering::SeqCst);
            } else {
                near_out.write_all(&frame).await?;
            }
        }
    };
    let _broken: std::io::Result<()> = tokio::select! {
        broken = up => broken,
        broken = down => broken,
    };
}

/// Type, channel, length, as many bytes, and the end mark.
async fn frame(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut frame = vec![0; 7];
    from.read_exact(&mut frame).await?;
    let length = u32::from_be_bytes([frame[3], frame[4], frame[5], frame[6]]) as usize;
    frame.resize(7 + length + 1, 0);
    from.read_exact(&mut frame[7..]).await?;
    Ok(frame)
}

fn method(frame: &[u8]) -> Option<(u16, u16)> {
    (frame[0] == 1 && frame.len() > 11)
        .then(|| (u16::from_be_bytes([frame[7], frame[8]]), u16::from_be_bytes([frame[9], frame[10]])))
}
