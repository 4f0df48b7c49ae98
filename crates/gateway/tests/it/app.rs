//! The harness: a gateway on a free port with an empty embedded ledger, and actors with verbs.

use crate::contract;
use crate::faults::{FaultyGenerations, FaultyLimiter, SlowBooks};
use crate::gone::{Gone, Nothing};
use crate::laying_aside::LaysAside;
use crate::pool::Pool;
use conformance::Fixture;
use conformance::fixture::{a_request, an_output};
use domain::account::Overrides;
use domain::admission::Submission;
use domain::api_key::{ApiKey, KeyLabel};
use domain::event::Change;
use domain::ids::{AccountId, GenerationId, KeyId, WorkerId};
use domain::lease::Held;
use domain::ports::accounts::{NewAccount, NewKey, TopUp};
use domain::ports::generations::Submitted;
use domain::ports::work::Applied;
use domain::ports::{Accounts, Backends, Doorbell, Generations, LedgerClock, Scaling, TokenAdmin};
use domain::scaling::{Inputs, Policy, Standing, decide};
use domain::tier::{Tier, Tiers};
use gateway::{Apart, Gateway, Settings};
use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Method, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::sync::{Arc, Once};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) const ADMIN_KEY: &str = "admin-key-of-the-tests-0123456789";
pub(crate) const SYSTEM_KEY: &str = "system-key-of-the-tests-0123456789";

/// What makes a gateway unlike the others.
#[derive(Default)]
struct Unlike {
    apart: Option<Apart>,
    gone: Option<Gone>,
}

/// One gateway and its world. Dropping it stops the gateway.
pub(crate) struct App {
    pub(crate) url: String,
    pub(crate) address: std::net::SocketAddr,
    pub(crate) ledger: Arc<embedded::Ledger>,
    pub(crate) doorbell: Arc<dyn Doorbell>,
    pub(crate) laid_aside: Arc<LaysAside>,
    pub(crate) generations: Arc<FaultyGenerations>,
    pub(crate) limiter: Arc<FaultyLimiter>,
    pub(crate) books: Arc<SlowBooks>,
    pub(crate) registry: prometheus::Registry,
    pub(crate) shutdown: CancellationToken,
    pub(crate) served: TaskTracker,
    http: reqwest::Client,
    pepper: SecretString,
    folder: Arc<tempfile::TempDir>,
}

impl Drop for App {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Answer {
    /// As it came over a connection that was closed after it.
    #[track_caller]
    pub(crate) fn parse(heard: &str) -> Self {
        let (head, text) = heard.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {heard}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let named = lines.map(|line| line.split_once(": ").unwrap());
        let headers =
            named.map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect();
        Self { status, headers, body: serde_json::from_str(text).unwrap_or(Value::Null), text: text.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// Fails unless it is this problem, in its whole form.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, code: &str) -> &Self {
        assert_eq!((self.status.as_u16(), self.code()), (status, code), "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(self.body["type"], format!("/problems/{}", code.replace('_', "-")));
        assert_eq!(self.body["status"], status);
        assert_eq!(self.body["request_id"].as_str(), self.header("x-request-id"));
        assert!(
            self.body["title"].is_string() && self.body["detail"].is_string() && self.body["retryable"].is_boolean()
        );
        self
    }

    #[track_caller]
    pub(crate) fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    /// The pointers, parameters and headers that a validation error names.
    pub(crate) fn places(&self) -> Vec<String> {
        let errors = self.body["errors"].as_array().cloned().unwrap_or_default();
        let place =
            |e: &Value| ["pointer", "parameter", "header"].iter().find_map(|k| e[*k].as_str().map(str::to_owned));
        errors.iter().map(|error| place(error).unwrap()).collect()
    }

    pub(crate) fn id(&self) -> GenerationId {
        self.body["id"].as_str().unwrap().parse().unwrap()
    }
}

/// Somebody with a key.
#[derive(Clone)]
pub(crate) struct Actor {
    http: reqwest::Client,
    url: String,
    pub(crate) key: Option<String>,
    pub(crate) account: AccountId,
}

/// One request before it is sent.
pub(crate) struct Call(pub(crate) reqwest::RequestBuilder);

impl Call {
    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        Self(self.0.header("content-type", "application/json").body(body.to_string()))
    }

    pub(crate) fn text(self, body: &'static str) -> Self {
        Self(self.0.header("content-type", "text/plain").body(body))
    }

    pub(crate) fn raw(self, body: impl Into<Vec<u8>>) -> Self {
        Self(self.0.header("content-type", "application/json").body(body.into()))
    }

    pub(crate) async fn send(self) -> Answer {
        let (http, request) = self.0.build_split();
        let request = request.unwrap();
        let (method, path) = (request.method().to_string(), request.url().path().to_owned());
        let response = http.execute(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        let answer = Answer { status, headers, body, text };
        contract::holds(&method, &path, &answer);
        answer
    }
}

impl Actor {
    pub(crate) fn call(&self, method: Method, path: &str) -> Call {
        let request = self.http.request(method, format!("{}{path}", self.url));
        Call(match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        })
    }

    pub(crate) fn post(&self, path: &str) -> Call {
        self.call(Method::POST, path)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path).send().await
    }

    pub(crate) async fn submit(&self, prompt: &str) -> Answer {
        self.post("/v1/generations").json(&json!({"prompt": prompt})).send().await
    }

    pub(crate) async fn submitted(&self, prompt: &str) -> GenerationId {
        let answer = self.submit(prompt).await;
        answer.is(202);
        answer.id()
    }
}

impl App {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        static CRYPTO: Once = Once::new();
        CRYPTO.call_once(|| rustls::crypto::ring::default_provider().install_default().unwrap());
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let opened = embedded::Settings { data_dir: folder.path().to_owned(), tiers: Tiers::default() };
        let ledger = embedded::Ledger::open(opened).await.unwrap();
        let laid_aside = LaysAside::around(embedded::channels::Channels::new());
        Self::on(folder, ledger, laid_aside, Unlike::default(), change)
    }

    /// Another gateway on the same ledger.
    pub(crate) fn another(&self) -> Self {
        self.another_with(Unlike::default())
    }

    /// Another whose ledger and pool know keys and nothing else.
    pub(crate) fn without(&self, gone: Gone) -> Self {
        self.another_with(Unlike { gone: Some(gone), ..Unlike::default() })
    }

    fn another_with(&self, unlike: Unlike) -> Self {
        Self::on(self.folder.clone(), self.ledger.clone(), self.laid_aside.clone(), unlike, |_| {})
    }

    /// The same with a listener for operators alone, and where that is.
    pub(crate) fn another_apart(&self) -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let apart = Some(Apart { listener, ops: ops("apart") });
        (self.another_with(Unlike { apart, ..Unlike::default() }), url)
    }

    fn on(
        folder: Arc<tempfile::TempDir>,
        ledger: Arc<embedded::Ledger>,
        laid_aside: Arc<LaysAside>,
        unlike: Unlike,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let doorbell: Arc<dyn Doorbell> = laid_aside.clone();
        let generations = Arc::new(FaultyGenerations::around(ledger.clone()));
        let books = Arc::new(SlowBooks::around(ledger.clone()));
        let limiter = Arc::new(FaultyLimiter::around(embedded::limiter::InProcessLimiter::new()));
        let mut backends = Backends {
            accounts: books.clone(),
            operators: ledger.clone(),
            generations: generations.clone(),
            work: ledger.clone(),
            tokens: ledger.clone(),
            gateways: ledger.clone(),
            scaling: ledger.clone(),
            doorbell: doorbell.clone(),
            limiter: limiter.clone(),
            clock: ledger.clone(),
            probes: Vec::new(),
        };
        let pepper = SecretString::from("pepper-of-the-tests-0123456789-0123456789");
        let operators = |text| ApiKey::operators(text).unwrap();
        let mut settings = Settings::new(pepper.clone(), operators(ADMIN_KEY), operators(SYSTEM_KEY));
        settings.http_workers = 1;
        change(&mut settings);
        let registry = prometheus::Registry::new();
        let mut token_admin: Arc<dyn TokenAdmin> = Arc::new(Pool::default());
        let Unlike { apart, gone } = unlike;
        if let Some(gone) = gone {
            let nothing = Arc::new(Nothing { keys: ledger.clone(), bell: doorbell.clone(), gone });
            (backends.accounts, backends.operators) = (nothing.clone(), nothing.clone());
            (backends.generations, backends.work) = (nothing.clone(), nothing.clone());
            (backends.scaling, backends.doorbell) = (nothing.clone(), nothing.clone());
            token_admin = nothing;
        }
        let ops = ops("alive");
        let gateway = Gateway { settings, backends, token_admin, ops, apart, registry: registry.clone() };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, served) = (CancellationToken::new(), TaskTracker::new());
        let stop = shutdown.clone();
        served.spawn(async move { gateway::run(gateway, listener, stop).await.unwrap() });
        served.close();
        Self {
            url: format!("http://{address}"),
            address,
            ledger,
            doorbell,
            laid_aside,
            generations,
            limiter,
            books,
            registry,
            shutdown,
            served,
            http: reqwest::Client::new(),
            pepper,
            folder,
        }
    }

    /// An autoscaler has decided.
    pub(crate) async fn autoscaled(&self) {
        let (observed, now) = self.ledger.observe().await.unwrap();
        let inputs = Inputs { current: 1, observed };
        let decision = decide(&Policy::default(), None, &inputs, now);
        let standing = Standing { controller: "docker".to_owned(), min: 1, max: 10, inputs, decision, failure: None };
        let replica = WorkerId::new(now, rand::random());
        let epoch = self.ledger.lead_scaling(replica, Duration::from_secs(60)).await.unwrap().unwrap();
        self.ledger.record(epoch, &standing).await.unwrap();
    }

    /// Somebody without a key.
    pub(crate) fn stranger(&self) -> Actor {
        let (http, url) = (self.http.clone(), self.url.clone());
        Actor { http, url, key: None, account: AccountId::from_uuid(uuid::Uuid::nil()) }
    }

    pub(crate) fn with_key(&self, key: &str) -> Actor {
        Actor { key: Some(key.to_owned()), ..self.stranger() }
    }

    /// The same somebody at another address.
    pub(crate) fn at(&self, url: &str, actor: &Actor) -> Actor {
        Actor { url: url.to_owned(), ..actor.clone() }
    }

    pub(crate) fn operator(&self) -> Actor {
        self.with_key(ADMIN_KEY)
    }

    pub(crate) async fn customer(&self, tier: Tier) -> Actor {
        self.customer_with(tier, Overrides::default()).await
    }

    /// Without a limit that a story would meet.
    pub(crate) async fn rich(&self) -> Actor {
        let overrides = Overrides { requests_per_minute: Some(100_000), ..Overrides::default() };
        self.customer_with(Tier::Enterprise, overrides).await
    }

    pub(crate) async fn customer_with(&self, tier: Tier, overrides: Overrides) -> Actor {
        let now = self.ledger.now();
        let id = AccountId::new(now, rand::random());
        let account = NewAccount { id, name: "Ada".to_owned(), email: Some("ada@example.org".into()), tier, overrides };
        self.ledger.create(account).await.unwrap();
        Actor { account: id, ..self.with_key(&self.key_of(id).await) }
    }

    pub(crate) async fn key_of(&self, account_id: AccountId) -> String {
        let random: [u8; 128] = std::array::from_fn(|_| rand::random());
        let key = ApiKey::generate(KeyLabel::Test, &random).unwrap();
        let new = NewKey {
            id: KeyId::new(self.ledger.now(), rand::random()),
            account_id,
            name: "first".to_owned(),
            prefix: key.prefix().to_owned(),
            hash: key.hash(&self.pepper),
            expires_at: None,
        };
        self.ledger.create_key(new).await.unwrap().unwrap();
        key.reveal().to_owned()
    }

    pub(crate) async fn top_up(&self, account_id: AccountId, amount: i64) {
        let id = domain::ids::EntryId::new(self.ledger.now(), rand::random());
        let top_up = TopUp { id, account_id, amount, reason: "test".to_owned() };
        self.backstage().top_up(top_up).await.unwrap();
    }

    /// Its account is there at once, not only when the gateway has come to making it.
    pub(crate) async fn with_the_system_account(&self) {
        let (key, id) = (ApiKey::operators(SYSTEM_KEY).unwrap(), AccountId::from_uuid(uuid::Uuid::nil()));
        let account = NewAccount {
            id,
            name: "system".to_owned(),
            email: None,
            tier: Tier::System,
            overrides: Overrides::default(),
        };
        let new = NewKey {
            id: KeyId::new(self.ledger.now(), rand::random()),
            account_id: id,
            name: "SYSTEM_API_KEY".to_owned(),
            prefix: key.prefix().to_owned(),
            hash: key.hash(&self.pepper),
            expires_at: None,
        };
        self.ledger.ensure_system(account, new).await.unwrap();
    }

    /// The ports as workers use them.
    pub(crate) fn backstage(&self) -> Fixture {
        Fixture {
            accounts: self.ledger.clone(),
            operators: self.ledger.clone(),
            generations: self.ledger.clone(),
            work: self.ledger.clone(),
            tokens: self.ledger.clone(),
            scaling: self.ledger.clone(),
            clock: self.ledger.clone(),
        }
    }

    pub(crate) async fn ring(&self, change: Change) {
        self.doorbell.ring_gateways(&[change]).await.unwrap();
    }

    /// A worker claims one, renders it and succeeds, ringing as it goes.
    pub(crate) async fn finish_one(&self) {
        let backstage = self.backstage();
        let worker = backstage.worker().await;
        let claimed = worker.render_one().await;
        self.ring(worker.succeed(claimed.held).await).await;
    }

    pub(crate) async fn settle(&self, worker: &conformance::Worker<'_>, held: Held) -> Change {
        match worker.try_settle(held, Ok(an_output())).await {
            Applied::Applied(change) => change,
            other => panic!("{other:?}"),
        }
    }

    /// Straight into the ledger, past all that a gateway refuses.
    pub(crate) async fn submit_past_the_gateway(&self, account_id: AccountId) -> GenerationId {
        let id = GenerationId::new(self.ledger.now(), rand::random());
        let submission = Submission {
            id,
            account_id,
            request: a_request("rain"),
            cancel_after: Duration::from_secs(3_600),
            idempotency: None,
            retry_of: None,
            trace: None,
        };
        let outcomes = self.ledger.submit(&[submission]).await.unwrap();
        assert!(matches!(outcomes.as_slice(), [Submitted::Accepted(_)]), "{outcomes:?}");
        id
    }

    /// Shuts down and waits until the gateway is gone.
    pub(crate) async fn stop(&self) {
        self.shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(20), self.served.wait()).await.unwrap();
    }
}

/// What a process answers beside the API.
fn ops(says: &'static str) -> gateway::Ops {
    Arc::new(move |service| {
        service.route("/healthz", actix_web::web::get().to(move || async move { says }));
    })
}

/// What changes with every run is replaced, so that the rest can be compared.
pub(crate) fn stable(value: Value) -> Value {
    match value {
        Value::String(text) => {
            let is_id = text.split_once('_').is_some_and(|(_, rest)| rest.len() == 26);
            let is_time = text.len() >= 20 && text.as_bytes()[4] == b'-' && text.ends_with('Z');
            if is_time {
                "[time]".into()
            } else if is_id {
                format!("{}_…", text.split_once('_').unwrap().0).into()
            } else if let Some((before, _)) = text.split_once("gen_") {
                let after = text.split_once("gen_").unwrap().1.get(26..).unwrap_or_default();
                format!("{before}gen_…{after}").into()
            } else {
                text.into()
            }
        }
        Value::Array(list) => list.into_iter().map(stable).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(name, value)| {
                let value = match name.as_str() {
                    "request_id" => "[request]".into(),
                    "next_cursor" if value.is_string() => "[cursor]".into(),
                    _ => stable(value),
                };
                (name, value)
            })
            .collect(),
        other => other,
    }
}
