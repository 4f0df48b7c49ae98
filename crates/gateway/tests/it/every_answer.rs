//! Every answer that the document declares is given once, and is a snapshot: one file for each answer of an operation, one for each problem
//! with the operations that answer it.
//!
//! A declared answer that is not given, or has no snapshot, fails; so does a snapshot of what is not declared. Other stories tell when an
//! answer is due, and what its values are.

use crate::app::{Actor, Answer, App};
use crate::contract;
use crate::declared::{OPERATIONS, Operation};
use crate::describing::World;
use crate::faults::Fault;
use crate::gone::Gone;
use crate::kept::{Given, kept};
use domain::account::Overrides;
use domain::tier::Tier;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

/// Well-formed, and nobody's.
const NOBODYS: &str = "01h455vb4pex5vsknk084sn02q";
/// Where the answers are had.
struct Stages {
    world: World,
    /// One request a minute without a key.
    strict: App,
    /// No room for streams or backlog.
    crowded: App,
    away: App,
    broken: App,
}

impl Stages {
    async fn set() -> Self {
        let world = World::new().await;
        let crowded = App::with(|settings| {
            settings.streams_max = 0;
            settings.backlog_max_total = 0;
        });
        let (away, broken) = (world.app.without(Gone::Away), world.app.without(Gone::Broken));
        let strict = App::with(|settings| settings.unauthenticated_per_minute = 1);
        Self { world, strict: strict.await, crowded: crowded.await, away, broken }
    }

    fn actor(&self, operation: &Operation) -> &Actor {
        if operation.is_operators() { &self.world.operator } else { &self.world.customer }
    }

    async fn path(&self, operation: &Operation) -> String {
        self.world.path(operation.id, operation.template).await
    }

    /// The example's request, to this path by this actor.
    async fn example(&self, operation: &Operation, actor: &Actor, path: &str) -> Answer {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let pairs = operation.example()["query"].as_object().into_iter().flatten();
        let query: Vec<String> = pairs.map(|(name, value)| format!("{name}={}", text(value))).collect();
        let mut call = actor.call(operation.method.clone(), &format!("{path}?{}", query.join("&")));
        for (name, value) in operation.example()["headers"].as_object().into_iter().flatten() {
            // Each is asked anew.
            if name != "Idempotency-Key" {
                call = call.header(name, &text(value));
            }
        }
        match operation.example().get("body") {
            Some(body) => call.json(body).send().await,
            None => call.send().await,
        }
    }

    async fn give(&self, operation: &'static Operation, status: u16, code: &str) -> Option<Answer> {
        let actor = self.actor(operation);
        let of = |app: &App| app.at(&app.url, actor);
        let call = async || actor.call(operation.method.clone(), &self.path(operation).await);
        Some(match (status, code) {
            (304, "") => {
                let path = self.path(operation).await;
                let seen = actor.get(&path).await;
                let etag = seen.header("etag").unwrap();
                actor.call(Method::GET, &path).header("if-none-match", etag).send().await
            }
            (200, "") if operation.id == "submitGeneration" => self.waited_for(actor).await,
            (200, "") if operation.id.starts_with("list") => {
                self.first_of_each_list().await;
                self.example(operation, actor, &self.path(operation).await).await
            }
            (200..300, "") => self.example(operation, actor, &self.path(operation).await).await,
            (_, "unauthenticated") => {
                let stranger = self.world.app.stranger();
                stranger.call(operation.method.clone(), &self.path(operation).await).send().await
            }
            (_, "forbidden") => {
                let other = if operation.is_operators() { &self.world.customer } else { &self.world.operator };
                other.call(operation.method.clone(), &self.path(operation).await).send().await
            }
            (_, "rate_limited") => {
                let hurried = if operation.is_operators() { self.strict.stranger() } else { self.hurried().await };
                let again = || hurried.call(operation.method.clone(), operation.template).send();
                again().await;
                again().await
            }
            (_, "not_found") => {
                let kinds =
                    [("/accounts/", "acc_"), ("/generations/", "gen_"), ("/tokens/", "tok_"), ("/workers/", "wrk_")];
                let kind = kinds.iter().find(|(part, _)| operation.template.contains(part));
                let nobodys = kind.map_or_else(|| Uuid::nil().to_string(), |(_, kind)| format!("{kind}{NOBODYS}"));
                let path = operation.template.replace("{id}", &nobodys);
                let path = path.replace("{key_id}", &format!("key_{NOBODYS}"));
                self.example(operation, actor, &path).await
            }
            (_, "malformed_json") => call().await.raw("{\"").send().await,
            (_, "unsupported_media_type") => call().await.text("x").send().await,
            (_, "validation_failed") if operation.has_body() => call().await.raw("{\"no\": 1}").send().await,
            (_, "validation_failed") if operation.takes("Idempotency-Key") => {
                call().await.header("idempotency-key", "a b").send().await
            }
            (_, "validation_failed") if operation.takes("Last-Event-ID") => {
                call().await.header("last-event-id", "x").send().await
            }
            (_, "validation_failed") => actor.get(&format!("{}?limit=0", self.path(operation).await)).await,
            (_, "idempotency_key_reused") => self.reused(operation, actor).await,
            (_, "unavailable") => self.example(operation, &of(&self.away), &self.path(operation).await).await,
            (_, "internal") => self.example(operation, &of(&self.broken), &self.path(operation).await).await,
            (_, "overloaded") => self.overloaded(operation).await,
            _ => return self.give_its_own(operation, code).await,
        })
    }

    async fn give_its_own(&self, operation: &Operation, code: &str) -> Option<Answer> {
        let (app, actor) = (&self.world.app, self.actor(operation));
        let ended = self.world.ended.to_string();
        let submit = async |actor: &Actor, body: Value| actor.post("/v1/generations").json(&body).send().await;
        let month = |credits, generations| Overrides {
            credits_per_month: Some(credits),
            generations_per_month: Some(generations),
            ..Overrides::default()
        };
        Some(match (operation.id, code) {
            ("cancelGeneration" | "cancelGenerationAsOperator", "already_final") => {
                actor.post(&operation.template.replace("{id}", &ended)).send().await
            }
            ("retryGeneration", "not_final") => {
                let waits = self.world.customer.submitted("rain").await.to_string();
                actor.post(&operation.template.replace("{id}", &waits)).send().await
            }
            ("submitGeneration", "credits_exhausted" | "monthly_quota_exhausted") => {
                let month = if code == "credits_exhausted" { month(0, 5) } else { month(5, 0) };
                submit(&app.customer_with(Tier::Free, month).await, json!({"prompt": "rain"})).await
            }
            ("retryGeneration", "credits_exhausted" | "monthly_quota_exhausted") => {
                let month = if code == "credits_exhausted" { month(1, 5) } else { month(5, 1) };
                let customer = app.customer_with(Tier::Free, month).await;
                let canceled = customer.submitted("rain").await;
                customer.post(&format!("/v1/generations/{canceled}/cancel")).send().await.is(202);
                customer.submitted("snow").await;
                actor.post(&operation.template.replace("{id}", &canceled.to_string())).send().await
            }
            ("submitGeneration", "tier_limit_exceeded") => {
                let body = json!({"prompt": "rain", "duration_seconds": 600, "quality": "high"});
                submit(&app.customer(Tier::Free).await, body).await
            }
            ("submitGeneration", "idempotency_in_progress") => {
                let send = || {
                    let call = actor.post("/v1/generations").header("idempotency-key", "held");
                    call.json(&json!({"prompt": "rain"})).send()
                };
                app.generations.fail(Fault::Held, 1);
                let (first, second) = tokio::join!(send(), async {
                    app.generations.reached.notified().await;
                    let second = send().await;
                    app.generations.let_go.notify_one();
                    second
                });
                first.is(202);
                second
            }
            _ => return None,
        })
    }

    /// Makes known rows, which come first where the newest do.
    async fn first_of_each_list(&self) {
        let World { app, customer, operator, .. } = &self.world;
        app.laid_aside.empty();
        app.laid_aside.lays("a ring", 1);
        // Ids are in the order of their milliseconds.
        tokio::time::sleep(Duration::from_millis(2)).await;
        app.key_of(customer.account).await;
        customer.submitted("rain").await;
        operator.post("/admin/v1/queue/resume").send().await.is(200);
    }

    /// An answer to `Prefer: wait` that is given because the generation has ended.
    async fn waited_for(&self, actor: &Actor) -> Answer {
        self.world.operator.post("/admin/v1/queue/resume").send().await.is(200);
        let body = json!({"prompt": "waited for"});
        let send = actor.post("/v1/generations").header("prefer", "wait=30").json(&body).send();
        let finish = async {
            let backstage = self.world.app.backstage();
            let (worker, mut done) = (backstage.worker().await, false);
            while !done {
                for claimed in worker.claim(500).await {
                    done |= claimed.request.prompt == "waited for";
                    self.world.app.ring(worker.succeed(claimed.held).await).await;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::join!(send, finish).0
    }

    /// Somebody whose limit is one request a minute.
    async fn hurried(&self) -> Actor {
        let once = Overrides { requests_per_minute: Some(1), ..Overrides::default() };
        self.world.app.customer_with(Tier::Free, once).await
    }

    async fn reused(&self, operation: &Operation, actor: &Actor) -> Answer {
        let path = self.path(operation).await;
        let send = async |body: &Value| {
            let call = actor.call(operation.method.clone(), &path).header("idempotency-key", operation.id);
            call.json(body).send().await
        };
        let mut body = operation.example().get("body").cloned().unwrap_or_else(|| json!({}));
        let first = send(&body).await;
        assert!(first.status.is_success(), "{}: {}", operation.id, first.text);
        // Another request that would do as well.
        match operation.id {
            "importTokens" => body["tokens"][0]["label"] = "another".into(),
            "changeGenerations" => body["filter"]["created_after"] = "2020-01-01T00:00:00Z".into(),
            "topUpCredits" => body["amount"] = 77.into(),
            "submitGeneration" => body["prompt"] = "another".into(),
            _ => body["name"] = "another".into(),
        }
        send(&body).await
    }

    async fn overloaded(&self, operation: &Operation) -> Answer {
        let app = &self.crowded;
        let customer = app.rich().await;
        match operation.id {
            "submitGeneration" => customer.submit("rain").await,
            "followGeneration" => {
                let id = app.submit_past_the_gateway(customer.account).await.to_string();
                customer.get(&operation.template.replace("{id}", &id)).await
            }
            _ => {
                let id = app.submit_past_the_gateway(customer.account).await.to_string();
                customer.post(&format!("/v1/generations/{id}/cancel")).send().await.is(202);
                app.operator().post(&operation.template.replace("{id}", &id)).send().await
            }
        }
    }

    /// A request whose body ends early, never comes, or is announced as too long.
    async fn cut_off(&self, operation: &'static Operation, cut: Cut) -> CutOff {
        let (app, path) = (&self.world.app, self.path(operation).await);
        let key = self.actor(operation).key.clone().unwrap();
        let mut socket = TcpStream::connect(app.address).await.unwrap();
        let length = if cut == Cut::Announced { 1 << 30 } else { 100 };
        let head = format!(
            "{} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{{",
            operation.method
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        if cut == Cut::Closed {
            socket.shutdown().await.unwrap();
        }
        CutOff { operation, path, socket }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Closed,
    Silent,
    Announced,
}

impl Cut {
    /// How a body is to arrive for this answer; `None` where all of it does.
    fn of(operation: &Operation, code: &str) -> Option<Self> {
        match code {
            "request_timeout" => Some(Self::Silent),
            "payload_too_large" => Some(Self::Announced),
            "malformed_json" if !operation.has_body() => Some(Self::Closed),
            _ => None,
        }
    }
}

struct CutOff {
    operation: &'static Operation,
    path: String,
    socket: TcpStream,
}

impl CutOff {
    async fn heard(mut self) -> Answer {
        let mut heard = Vec::new();
        self.socket.read_to_end(&mut heard).await.ok();
        let answer = Answer::parse(&String::from_utf8_lossy(&heard));
        contract::holds(self.operation.method.as_str(), &self.path, &answer);
        answer
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_declared_answer_is_given_and_kept() {
    let stages = Stages::set().await;
    let mut all: Vec<&'static Operation> = OPERATIONS.iter().collect();
    // What is listed must be there first, and a queue that is paused is resumed.
    all.sort_by_key(|o| {
        (o.method == Method::DELETE, o.method == Method::GET, o.template.contains("resume"), o.template)
    });
    let (mut given, mut late) = (Given::default(), Vec::new());
    // What is no problem first: what is read there is what such answers have made.
    for &operation in &all {
        for (status, code) in operation.answers().into_iter().filter(|(_, code)| code.is_empty()) {
            given.keep(operation, status, &code, stages.give(operation, status, &code).await);
        }
    }
    // Each takes its time: they all wait while the others are asked.
    for &operation in &all {
        for (status, code) in operation.answers() {
            if let Some(cut) = Cut::of(operation, &code) {
                late.push((stages.cut_off(operation, cut).await, status, code));
            }
        }
    }
    for &operation in &all {
        for (status, code) in operation.answers() {
            if !code.is_empty() && Cut::of(operation, &code).is_none() {
                given.keep(operation, status, &code, stages.give(operation, status, &code).await);
            }
        }
    }
    for (cut_off, status, code) in late {
        given.keep(cut_off.operation, status, &code, Some(cut_off.heard().await));
    }
    assert!(given.otherwise.is_empty(), "declared, and not given: {:#?}", given.otherwise);
    let snapshots = given.into_snapshots();
    for (name, snapshot) in &snapshots {
        insta::assert_json_snapshot!(name.as_str(), snapshot);
    }
    let stray: Vec<_> = kept("every_answer").into_iter().filter(|name| !snapshots.contains_key(name)).collect();
    assert!(stray.is_empty(), "kept, and not declared: {stray:#?}");
}
