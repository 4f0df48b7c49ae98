//! The connection, kept up: one at a time, a new one after each loss, for ever.
//!
//! It knows nothing of rings. Publishers and listeners take the session of the moment and say when it troubles them.

use super::topology::Topology;
use super::{ConnectError, Counts};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What the broker may take for anything but a publish.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// A handshake that takes longer is left to itself, and another one is begun.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes under way at most: a connection in its handshake cannot be given up, only waited for.
const HANDSHAKES: usize = 3;
/// A loss that nobody reports is noticed within this.
const LOOK_EVERY: Duration = Duration::from_millis(500);

type Handshake = BoxFuture<'static, lapin::Result<Connection>>;

pub(super) struct Link {
    uri: AMQPUri,
    name: String,
    pub(super) topology: Topology,
    pub(super) counts: Counts,
    sessions: watch::Sender<Option<Arc<Session>>>,
    /// What readiness says while there is no session.
    trouble: Mutex<String>,
    pub(super) closing: CancellationToken,
    pub(super) tasks: TaskTracker,
}

/// One connection, from its handshake to its loss.
pub(super) struct Session {
    connection: Connection,
    lost: CancellationToken,
}

impl Link {
    pub(super) async fn start(uri: AMQPUri, name: &str, topology: Topology) -> Result<Arc<Self>, ConnectError> {
        let link = Arc::new(Self {
            uri,
            name: name.into(),
            topology,
            counts: Counts::default(),
            sessions: watch::Sender::new(None),
            trouble: Mutex::new("not connected yet".into()),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let mut handshakes = FuturesUnordered::from_iter([link.handshake()]);
        let first = match timeout(PATIENCE, link.connected(&mut handshakes)).await {
            Ok(Ok(session)) => Some(session),
            Ok(Err(error)) if refused(&error) => return Err(ConnectError::Refused(error.to_string())),
            Ok(Err(error)) => {
                link.troubled(&error.to_string());
                None
            }
            Err(_late) => {
                link.troubled("the broker does not answer");
                None
            }
        };
        if let Some(session) = &first {
            link.sessions.send_replace(Some(Arc::clone(session)));
        }
        let closing = link.closing.clone();
        let supervised = Arc::clone(&link);
        link.tasks.spawn(closing.run_until_cancelled_owned(async move { supervised.keep_up(first, handshakes).await }));
        Ok(link)
    }

    /// The connection of the moment, or why there is none.
    pub(super) fn session(&self) -> Result<Arc<Session>, String> {
        let session = self.sessions.borrow().clone();
        session.ok_or_else(|| self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Waits for as long as it takes.
    pub(super) async fn next_session(&self) -> Arc<Session> {
        let mut sessions = self.sessions.subscribe();
        loop {
            if let Some(session) = sessions.borrow_and_update().clone() {
                return session;
            }
            if sessions.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    pub(super) async fn waiting(&self) -> Result<(u32, u32), String> {
        let session = self.session()?;
        let counted = timeout(PATIENCE, async { self.topology.waiting(&session.channel().await?).await }).await;
        counted.map_err(|_late| "the broker does not answer".to_owned())?.map_err(|error| error.to_string())
    }

    pub(super) async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        // Everything it waits for has been told to end; a deadline all the same.
        let _late = timeout(PATIENCE, self.tasks.wait()).await;
        "closed".clone_into(&mut self.trouble.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(session) = self.sessions.send_replace(None) {
            session.close().await;
        }
    }

    /// Replaces each session that is lost. Never ends by itself.
    async fn keep_up(&self, mut session: Option<Arc<Session>>, mut handshakes: FuturesUnordered<Handshake>) {
        let mut delay = Duration::ZERO;
        loop {
            if let Some(current) = session.take() {
                current.ended().await;
                self.sessions.send_replace(None);
                self.troubled("the connection was lost");
                current.close().await;
                delay = Duration::ZERO;
            }
            sleep(delay).await;
            if handshakes.len() < HANDSHAKES {
                handshakes.push(self.handshake());
            }
            match timeout(HANDSHAKE, self.connected(&mut handshakes)).await {
                Ok(Ok(opened)) => {
                    tracing::info!("connected to RabbitMQ");
                    self.sessions.send_replace(Some(Arc::clone(&opened)));
                    session = Some(opened);
                    handshakes.clear();
                }
                Ok(Err(error)) => self.troubled(&error.to_string()),
                Err(_late) => self.troubled("the broker does not answer"),
            }
            delay = backoff(delay);
        }
    }

    /// The first handshake that ends, with everything declared.
    async fn connected(&self, handshakes: &mut FuturesUnordered<Handshake>) -> lapin::Result<Arc<Session>> {
        let connection = match handshakes.next().await {
            Some(ended) => ended?,
            None => std::future::pending().await,
        };
        let session = Session { connection, lost: CancellationToken::new() };
        self.topology.declare(&session.channel().await?).await?;
        Ok(Arc::new(session))
    }

    fn handshake(&self) -> Handshake {
        let properties = ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        Box::pin(Connection::connect_uri(self.uri.clone(), properties))
    }

    /// Says each trouble once.
    fn troubled(&self, trouble: &str) {
        let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != trouble {
            tracing::warn!(trouble, "no connection to RabbitMQ; trying on");
            trouble.clone_into(&mut known);
        }
    }
}

impl Session {
    pub(super) async fn channel(&self) -> lapin::Result<Channel> {
        self.connection.create_channel().await
    }

    /// An alarm of the broker: publishing now would hang until it is over.
    pub(super) fn blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Something failed on it: was it the connection?
    pub(super) fn look(&self) {
        if !self.connection.status().connected() {
            self.lost.cancel();
        }
    }

    async fn ended(&self) {
        while !self.lost.is_cancelled() {
            // The look after it decides.
            let _elapsed = timeout(LOOK_EVERY, self.lost.cancelled()).await;
            self.look();
        }
    }

    async fn close(&self) {
        self.lost.cancel();
        // A connection that is broken cannot say goodbye: that is no news.
        let _goodbye = timeout(Duration::from_secs(1), self.connection.close(200, "bye".into())).await;
    }
}

/// From 200 ms to 2 s, half of it by chance, so that a fleet does not come back in step.
pub(super) fn backoff(last: Duration) -> Duration {
    let next = (last * 2).clamp(Duration::from_millis(200), Duration::from_secs(2));
    next / 2 + (next / 2).mul_f64(rand::random::<f64>())
}

/// The broker is there, and will say the same next time.
fn refused(error: &lapin::Error) -> bool {
    // ACCESS_REFUSED, PRECONDITION_FAILED, NOT_ALLOWED.
    matches!(error.kind(), ErrorKind::ProtocolError(said) if [403, 406, 530].contains(&said.get_id()))
}
