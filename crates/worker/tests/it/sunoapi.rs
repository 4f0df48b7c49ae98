//! A worker on an upstream of the `sunoapi` dialect: tasks of two tracks, answers wrapped in a 200, three callbacks a task, no cancel.
//!
//! The upstream here keeps tasks, tokens and stages as the real one documents them, and insists on a callback address as it does. Nothing is
//! polled by itself within the test: what gets on does so because it was called back.

use crate::stage::{Stage, script, settings};
use domain::callback::{Callbacks, PATH};
use domain::event::Notice;
use domain::ports::Doorbell;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use worker::{CalledBackAt, Settings};

const NEVER: Duration = Duration::from_secs(600);
const STAGES: [(&str, &str); 3] = [("text", "TEXT_SUCCESS"), ("first", "FIRST_SUCCESS"), ("complete", "SUCCESS")];
const EACH: Duration = Duration::from_millis(150);

/// A request's first line, the token it shows and its body.
async fn read(stream: &mut TcpStream) -> Option<(String, String, Value)> {
    let (mut text, mut buffer) = (String::new(), [0; 8_192]);
    loop {
        let read = stream.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        text.push_str(std::str::from_utf8(&buffer[..read]).ok()?);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let header = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
        };
        let length: usize = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        if body.len() >= length {
            let token = header("authorization").unwrap_or_default().trim_start_matches("Bearer ").to_owned();
            return Some((head.lines().next()?.to_owned(), token, serde_json::from_str(body).unwrap_or(Value::Null)));
        }
    }
}

async fn answer(stream: &mut TcpStream, body: &Value) {
    let body = body.to_string();
    let text =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).await.unwrap();
}

#[derive(Default)]
struct Tasks {
    begun: HashMap<String, Instant>,
    refused: HashMap<String, usize>,
    orders: Vec<Value>,
}

struct Fake {
    tasks: Mutex<Tasks>,
    calls: TaskTracker,
}

impl Fake {
    async fn serve(self: Arc<Self>, listener: TcpListener) {
        while let Ok((mut stream, _)) = listener.accept().await {
            let fake = self.clone();
            self.calls.spawn(async move {
                while let Some((line, token, body)) = read(&mut stream).await {
                    let said = if line.starts_with("POST /api/v1/generate HTTP") {
                        fake.create(&token, body)
                    } else if let Some((_, rest)) = line.split_once("/api/v1/generate/record-info?taskId=") {
                        fake.record(rest.split(' ').next().unwrap())
                    } else {
                        json!({"code": 404, "msg": "not found"})
                    };
                    answer(&mut stream, &said).await;
                }
            });
        }
    }

    fn create(self: &Arc<Self>, token: &str, order: Value) -> Value {
        let mut tasks = self.tasks.lock().unwrap();
        let mut refuse = |code: u16, msg: &str| {
            *tasks.refused.entry(token.to_owned()).or_default() += 1;
            json!({"code": code, "msg": msg, "data": null})
        };
        match token {
            "sim-token-00001" => return refuse(401, "You do not have access permissions"),
            "sim-token-00002" => return refuse(429, "The current credits are insufficient. Please top up."),
            _ => {}
        }
        let Some(url) = order["callBackUrl"].as_str().map(str::to_owned) else {
            return refuse(400, "Please enter callBackUrl.");
        };
        if order["prompt"].as_str().is_none_or(str::is_empty)
            || !order["customMode"].is_boolean()
            || !order["model"].is_string()
        {
            return refuse(400, "invalid parameters");
        }
        let id = format!("{:032x}", rand::random::<u128>());
        tasks.begun.insert(id.clone(), Instant::now());
        tasks.orders.push(order);
        let task = id.clone();
        self.calls.spawn(async move {
            for (stage, _) in STAGES {
                tokio::time::sleep(EACH).await;
                let body =
                    json!({"code": 200, "msg": "ok", "data": {"callbackType": stage, "task_id": task, "data": []}});
                let called = reqwest::Client::new().post(&url).json(&body).send().await;
                assert!(called.unwrap().status().is_success());
            }
        });
        json!({"code": 200, "msg": "success", "data": {"taskId": id}})
    }

    fn record(&self, id: &str) -> Value {
        let Some(begun) = self.tasks.lock().unwrap().begun.get(id).copied() else {
            return json!({"code": 400, "msg": "taskId is not valid", "data": null});
        };
        let stages = (begun.elapsed().as_millis() / EACH.as_millis()) as usize;
        let status = if stages == 0 { "PENDING" } else { STAGES[stages.min(3) - 1].1 };
        let track = |n: u8| json!({"id": format!("{id}-{n}"), "audioUrl": format!("https://cdn.example/{id}-{n}.mp3"), "title": "T", "duration": 120.5});
        let tracks = if status == "SUCCESS" { json!([track(1), track(2)]) } else { json!([]) };
        json!({"code": 200, "msg": "success", "data": {
            "taskId": id, "status": status, "response": {"taskId": id, "sunoData": tracks}, "errorCode": null, "errorMessage": null,
        }})
    }
}

/// As the gateway does: the token says whose it is, and the workers are rung.
async fn ring(
    listener: TcpListener,
    callbacks: Callbacks,
    doorbell: Arc<dyn Doorbell>,
    now: impl Fn() -> domain::Timestamp,
) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let (line, ..) = read(&mut stream).await.unwrap();
        let path = line.split(' ').nth(1).unwrap();
        let id = callbacks.verify(path.strip_prefix(PATH).unwrap(), now()).unwrap();
        doorbell.notify_workers(&[Notice::CalledBack(id)]).await.unwrap();
        answer(&mut stream, &json!({})).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_of_two_tracks_get_on_by_their_callbacks() {
    let mut stage = Stage::new(script(1.0), 6).await;
    let (upstream, gateway) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let url = format!("http://{}", upstream.local_addr().unwrap());
    let public_url = format!("http://{}", gateway.local_addr().unwrap());
    let callbacks = Callbacks::new(&SecretString::from("an internal secret of the tests")).unwrap();
    let fake = Arc::new(Fake { tasks: Mutex::default(), calls: TaskTracker::new() });
    let dialect = upstream::Settings::new(upstream::Dialect::SunoApi, &url);
    stage.instead = Some(upstream::connect(dialect).unwrap());
    let clock = stage.backends.clock.clone();
    fake.calls.spawn(fake.clone().serve(upstream));
    fake.calls.spawn(ring(gateway, callbacks.clone(), stage.backends.doorbell.clone(), move || clock.now()));
    let before = stage.usage().await.balance;
    let called_back_at = Some(CalledBackAt { public_url, callbacks });
    let worker = stage.worker(Settings { poll_first: NEVER, poll_longest: NEVER, called_back_at, ..settings() });

    let ids = stage.submit(24).await;
    let all = stage.succeeded(&ids, Duration::from_secs(60)).await;
    assert!(all.iter().all(|generation| generation.output.as_ref().unwrap().tracks.len() == 2));
    assert!(all.iter().all(|generation| generation.attempts == 1), "a bad token and a dry one are nobody's failure");
    assert_eq!(stage.usage().await.balance, before - 24);
    {
        let tasks = fake.tasks.lock().unwrap();
        assert_eq!((tasks.begun.len(), tasks.orders.len()), (24, 24));
        assert!(tasks.refused.contains_key("sim-token-00001") && tasks.refused.contains_key("sim-token-00002"));
        assert!(tasks.refused.keys().all(|token| token < &"sim-token-00003".to_owned()), "{:?}", tasks.refused);
    }
    stage.assert_all_is_over().await;
    worker.stop().await;
}
