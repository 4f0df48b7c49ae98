//! The simulator of a story, steered and read through its own `/_simulator`.

use reqwest::Client;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;

pub(crate) struct Upstream {
    pub url: String,
    http: Client,
}

/// One call as the simulator recorded it.
#[derive(Debug, Deserialize)]
pub(crate) struct Call {
    /// Milliseconds since 1970.
    pub at: u64,
    pub call: String,
    /// A hash of it.
    pub token: Option<String>,
    /// Renders of the token that run after this call.
    pub in_flight: usize,
    pub status: Option<u16>,
    pub key: Option<String>,
    pub upstream_id: Option<String>,
    pub fault: Option<String>,
}

impl Upstream {
    pub(crate) fn at(url: String) -> Self {
        // Whoever was first installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { url, http: Client::builder().no_proxy().build().unwrap() }
    }

    pub(crate) async fn behaves(&self, script: Value) {
        let answer = self.http.put(format!("{}/_simulator", self.url)).json(&script).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }

    pub(crate) async fn renders_in(&self, seconds: f64) {
        self.behaves(json!({"render_seconds": {"min": seconds, "max": seconds}})).await;
    }

    pub(crate) async fn calls(&self) -> Vec<Call> {
        #[derive(Deserialize)]
        struct Log {
            data: Vec<Call>,
        }
        let answer = self.http.get(format!("{}/_simulator/log", self.url)).send().await.unwrap();
        answer.json::<Log>().await.unwrap().data
    }

    /// How often each generation was submitted here, whatever the answer.
    pub(crate) async fn submissions(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for key in self.calls().await.into_iter().filter(|call| call.call == "generate").filter_map(|call| call.key) {
            *counts.entry(key).or_insert(0) += 1;
        }
        counts
    }
}
