//! A simulator on a free port, and a customer's hands for it.

use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) struct Upstream {
    pub url: String,
    pub http: Client,
    shutdown: CancellationToken,
    served: JoinHandle<std::io::Result<()>>,
}

impl Upstream {
    /// Renders take no time and calls have no latency, until told otherwise.
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    pub(crate) fn start_with(adjust: impl FnOnce(&mut simulator::Settings)) -> Self {
        Self::serve(TcpListener::bind("127.0.0.1:0").unwrap(), adjust)
    }

    #[expect(clippy::disallowed_methods, reason = "a test's own task; the guard cancels it")]
    pub(crate) fn serve(listener: TcpListener, adjust: impl FnOnce(&mut simulator::Settings)) -> Self {
        // A second test in this process finds it installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut settings = simulator::Settings::new(&url);
        settings.script.render_seconds = simulator::RenderSeconds { min: 0.0, max: 0.0 };
        settings.script.latency_ms = 0;
        settings.seed = Some(1);
        adjust(&mut settings);
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(simulator::run(settings, listener, shutdown.clone()));
        let http = Client::builder().timeout(Duration::from_secs(10)).no_proxy().build().unwrap();
        Self { url, http, shutdown, served }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        drop(self.http);
        self.served.await.unwrap().unwrap();
    }

    pub(crate) async fn script(&self, body: Value) -> Response {
        self.http.put(format!("{}/_simulator", self.url)).json(&body).send().await.unwrap()
    }

    pub(crate) async fn log(&self) -> Vec<Value> {
        let answer = self.http.get(format!("{}/_simulator/log", self.url)).send().await.unwrap();
        let mut body: Value = answer.json().await.unwrap();
        body["data"].as_array_mut().unwrap().drain(..).collect()
    }

    pub(crate) async fn order(&self, token: &str, key: Option<&str>, body: Value) -> reqwest::Result<Response> {
        let mut request = self.http.post(format!("{}/generate", self.url)).bearer_auth(token).json(&body);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        request.send().await
    }

    /// Orders a prompt that must be accepted, and returns the upstream's id.
    pub(crate) async fn generate(&self, token: &str, prompt: &str) -> String {
        let answer = self.order(token, None, json!({ "prompt": prompt })).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> reqwest::Result<Response> {
        self.http.get(format!("{}{path}", self.url)).bearer_auth(token).send().await
    }

    pub(crate) async fn status(&self, id: &str) -> Value {
        self.get("any", &format!("/status/{id}")).await.unwrap().json().await.unwrap()
    }
}
