//! Between the services and the simulator: passes everything on, and tells of each render's completion before its worker learns of it.
//!
//! It knows as much HTTP as that takes: a client asks, waits for the answer and asks again, so what was asked last on a connection is
//! what is being answered.

use domain::ids::GenerationId;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// A story that has stopped listening holds nobody up for longer.
const HELD_LONGEST: Duration = Duration::from_secs(2);

/// The upstream has said "completed", and the worker has not heard it yet.
pub(crate) struct Completing {
    pub id: GenerationId,
    /// Lets the answer go.
    pub go: oneshot::Sender<()>,
}

pub(crate) struct Tap {
    pub url: String,
    pub completions: Option<mpsc::Receiver<Completing>>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    /// By upstream id.
    generations: HashMap<String, GenerationId>,
    told: HashSet<GenerationId>,
}

struct Shared {
    seen: Mutex<Seen>,
    completions: mpsc::Sender<Completing>,
}

/// What was asked last on one connection, and whether its answer has begun.
#[derive(Default)]
struct Asked {
    bytes: Vec<u8>,
    answered: bool,
}

impl Tap {
    #[expect(clippy::disallowed_methods, reason = "the tap's own tasks; they end with their connections")]
    pub(crate) async fn before(url: &str) -> Self {
        let target = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, completions) = mpsc::channel(1_024);
        let shared = Arc::new(Shared { seen: Mutex::default(), completions: sender });
        let serving = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (shared, target) = (Arc::clone(&shared), target.clone());
                tokio::spawn(async move {
                    let Ok(far) = TcpStream::connect(target).await else { return };
                    // Whatever is held back here is measured: no packet waits for another.
                    let _ = (near.set_nodelay(true), far.set_nodelay(true));
                    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                    let asked = Mutex::default();
                    tokio::select! {
                        () = ask(near_in, far_out, &asked) => {}
                        () = answer(far_in, near_out, &asked, &shared) => {}
                    }
                });
            }
        });
        Self { url, completions: Some(completions), serving }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

async fn ask(mut near: OwnedReadHalf, mut far: OwnedWriteHalf, asked: &Mutex<Asked>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = near.read(&mut buffer).await {
        {
            let mut asked = lock(asked);
            if std::mem::take(&mut asked.answered) {
                asked.bytes.clear();
            }
            asked.bytes.extend(&buffer[..length]);
        }
        if far.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

async fn answer(mut far: OwnedReadHalf, mut near: OwnedWriteHalf, asked: &Mutex<Asked>, shared: &Shared) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = far.read(&mut buffer).await {
        let question = {
            let mut asked = lock(asked);
            asked.answered = true;
            String::from_utf8_lossy(&asked.bytes).into_owned()
        };
        if let Some(id) = shared.completed(&question, &String::from_utf8_lossy(&buffer[..length])) {
            let (go, gone) = oneshot::channel();
            if shared.completions.send(Completing { id, go }).await.is_ok() {
                let _ = tokio::time::timeout(HELD_LONGEST, gone).await;
            }
        }
        if near.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

impl Shared {
    /// The generation whose completion this answer tells, the first time it does.
    fn completed(&self, question: &str, answer: &str) -> Option<GenerationId> {
        let mut seen = lock(&self.seen);
        if question.starts_with("POST") && question.contains("/generate ") {
            let key =
                question.split_once("gen_").map(|(_, rest)| format!("gen_{}", rest.get(..26).unwrap_or_default()));
            let upstream_id = quoted_after(answer, "\"id\":\"");
            if let (Some(key), Some(upstream_id)) = (key.and_then(|key| key.parse().ok()), upstream_id) {
                seen.generations.insert(upstream_id.to_owned(), key);
            }
            return None;
        }
        let upstream_id = question.strip_prefix("GET /status/")?.split(' ').next()?;
        let id = *seen.generations.get(upstream_id).filter(|_| answer.contains("\"status\":\"completed\""))?;
        seen.told.insert(id).then_some(id)
    }
}

fn quoted_after<'t>(text: &'t str, mark: &str) -> Option<&'t str> {
    text.split_once(mark)?.1.split('"').next()
}
