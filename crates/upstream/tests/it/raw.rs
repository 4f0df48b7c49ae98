//! A TCP server that reads one HTTP request after another and answers with scripted bytes, one script a request.

use domain::ids::GenerationId;
use domain::ports::Upstream;
use domain::ports::upstream::UpstreamJob;
use domain::request::{Draft, GenerationRequest};
use secrecy::SecretString;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;
use upstream::{Deadlines, Dialect, Settings};

/// What to do with one request.
pub(crate) enum Script {
    Say(String),
    /// Raw bytes, and the connection stays open without more.
    Stall(String),
    /// One byte every so often, for ever.
    Drip(String, Duration),
    Reset,
    /// These bytes, then this filler until the client goes.
    Flood(String),
}

pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Script {
    Script::Say(format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()))
}

pub(crate) fn ok(body: &str) -> Script {
    answer("200 OK", "content-type: application/json\r\n", body)
}

#[derive(Clone, Default)]
pub(crate) struct Seen {
    /// Each request's text, with the number of its connection.
    pub(crate) requests: Arc<Mutex<Vec<(usize, String)>>>,
}

impl Seen {
    pub(crate) fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    pub(crate) fn request(&self, index: usize) -> (usize, String) {
        self.requests.lock().unwrap()[index].clone()
    }
}

pub(crate) struct Raw {
    pub(crate) upstream: Arc<dyn Upstream>,
    pub(crate) seen: Seen,
    _tasks: TaskTracker,
}

async fn read_request(socket: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_string();
            let length = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").map(|v| v.trim().to_owned()))
                .and_then(|v| v.parse::<usize>().ok())
                .unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                return Some(String::from_utf8_lossy(&bytes).to_string());
            }
        }
        match socket.read(&mut byte).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&byte[..n]),
        }
    }
}

async fn serve(mut socket: TcpStream, number: usize, scripts: Arc<Mutex<VecDeque<Script>>>, seen: Seen) {
    while let Some(request) = read_request(&mut socket).await {
        seen.requests.lock().unwrap().push((number, request));
        let Some(script) = scripts.lock().unwrap().pop_front() else { return };
        match script {
            Script::Say(bytes) => {
                if socket.write_all(bytes.as_bytes()).await.is_err() {
                    return;
                }
            }
            Script::Stall(bytes) => {
                let _gone = socket.write_all(bytes.as_bytes()).await;
                // Until the client hangs up.
                let _end = socket.read(&mut [0; 16]).await;
                return;
            }
            Script::Drip(bytes, every) => {
                for byte in bytes.bytes().chain(std::iter::repeat(b' ')) {
                    if socket.write_all(&[byte]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(every).await;
                }
            }
            Script::Reset => {
                socket.set_zero_linger().unwrap();
                return;
            }
            Script::Flood(bytes) => {
                let _gone = socket.write_all(bytes.as_bytes()).await;
                while socket.write_all(&[b'x'; 8192]).await.is_ok() {}
                return;
            }
        }
    }
}

/// A server of its own for these scripts: its address, what it sees, and its tasks.
async fn serving(scripts: Vec<Script>) -> (String, Seen, TaskTracker) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = TaskTracker::new();
    let seen = Seen::default();
    let scripts = Arc::new(Mutex::new(VecDeque::from(scripts)));
    let (inner, log) = (tasks.clone(), seen.clone());
    tasks.spawn(async move {
        let mut number = 0;
        while let Ok((socket, _)) = listener.accept().await {
            inner.spawn(serve(socket, number, scripts.clone(), log.clone()));
            number += 1;
        }
    });
    (format!("http://{address}"), seen, tasks)
}

/// As [`raw`], for who brings a client along.
pub(crate) async fn listening(scripts: Vec<Script>) -> (String, Seen) {
    let (url, seen, _tasks) = serving(scripts).await;
    (url, seen)
}

/// An answer that comes is waited for, however busy the machine is.
pub(crate) async fn raw(dialect: Dialect, scripts: Vec<Script>) -> Raw {
    within(Duration::from_secs(20), dialect, scripts).await
}

/// As [`raw`], for answers that do not come: nobody waits longer than this.
pub(crate) async fn within(most: Duration, dialect: Dialect, scripts: Vec<Script>) -> Raw {
    let (url, seen, tasks) = serving(scripts).await;
    let quick = Deadlines { first_byte: most * 2 / 3, total: most };
    let settings = Settings { submit: quick, poll: quick, other: quick, ..Settings::new(dialect, format!("{url}/up")) };
    Raw { upstream: upstream::connect(settings).unwrap(), seen, _tasks: tasks }
}

pub(crate) fn secret() -> SecretString {
    SecretString::from("very-secret-token")
}

pub(crate) fn job() -> UpstreamJob {
    let draft = Draft { prompt: Some("rain".into()), style: Some("lofi".into()), ..Draft::default() };
    UpstreamJob {
        id: GenerationId::from_uuid(uuid::Uuid::from_u128(7)),
        request: GenerationRequest::parse(draft).unwrap(),
        callback_url: None,
    }
}
