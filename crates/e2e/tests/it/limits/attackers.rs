//! Somebody who asks as fast as they can, over connections that stay open, and what they were answered.

use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const WINDOW: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub(super) struct Answer {
    /// Of an account whose limit it is far from.
    pub modest: bool,
    pub sent: Instant,
    pub answered: Instant,
    pub status: u16,
    pub headers: HeaderMap,
}

impl Answer {
    pub(super) fn passed(&self) -> bool {
        self.status != 429
    }

    pub(super) fn took(&self) -> Duration {
        self.answered - self.sent
    }

    pub(super) fn number(&self, header: &str) -> u64 {
        let value = self.headers.get(header).unwrap_or_else(|| panic!("{header} is missing: {:?}", self.headers));
        value.to_str().unwrap().parse().unwrap()
    }
}

/// One connection to one gateway, with one key.
#[derive(Clone)]
pub(super) struct Connection {
    http: reqwest::Client,
    url: String,
    key: SecretString,
    modest: bool,
}

impl Connection {
    pub(super) fn new(gateway: &str, key: &SecretString) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(1)
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        Self { http, url: gateway.to_owned(), key: key.clone(), modest: false }
    }

    /// One that does not come near its limit.
    pub(super) fn modest(self) -> Self {
        Self { modest: true, ..self }
    }

    /// Many, spread over the gateways and the keys.
    pub(super) fn many(count: usize, gateways: &[String], keys: &[SecretString]) -> Vec<Self> {
        let one = |number: usize| Self::new(&gateways[number % gateways.len()], &keys[number / 2 % keys.len()]);
        (0..count).map(one).collect()
    }

    pub(super) async fn asks(&self, path: &str) -> Answer {
        let sent = Instant::now();
        let request = self.http.get(format!("{}{path}", self.url)).bearer_auth(self.key.expose_secret());
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let _body = answer.bytes().await.unwrap();
        Answer { modest: self.modest, sent, answered: Instant::now(), status, headers }
    }

    /// The cheapest request that counts: nothing is there, and the ledger is not asked.
    pub(super) async fn knocks(&self) -> Answer {
        self.asks("/v1/nothing").await
    }
}

/// Each connection does its part at once; all answers.
pub(super) async fn together<F>(connections: Vec<Connection>, part: impl Fn(usize, Connection) -> F) -> Vec<Answer>
where
    F: Future<Output = Vec<Answer>> + Send + 'static,
{
    let mut parts = JoinSet::new();
    for (number, connection) in connections.into_iter().enumerate() {
        parts.spawn(part(number, connection));
    }
    parts.join_all().await.into_iter().flatten().collect()
}

pub(super) fn passed(answers: &[Answer]) -> usize {
    answers.iter().filter(|answer| answer.passed() && !answer.modest).count()
}

/// The most that certainly passed within one window: sent after it began, answered before it ended.
pub(super) fn worst_window(answers: &[Answer]) -> usize {
    let mut passes: Vec<_> = answers.iter().filter(|answer| answer.passed() && !answer.modest).collect();
    passes.sort_by_key(|answer| answer.sent);
    let within = |start: usize| {
        let from: Instant = passes[start].sent;
        let later = passes[start..].iter().take_while(|answer| answer.sent < from + WINDOW);
        later.filter(|answer| answer.answered < from + WINDOW).count()
    };
    (0..passes.len()).map(within).max().unwrap_or(0)
}
