//! Waiting for a result: held requests and event streams.

use crate::app::{Actor, App};
use domain::event::Change;
use domain::ids::GenerationId;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// One event as read.
#[derive(Debug, Clone, PartialEq)]
struct Event {
    name: String,
    id: String,
    data: Value,
}

/// An open stream.
struct Stream {
    response: reqwest::Response,
    text: String,
}

impl Stream {
    async fn open(customer: &Actor, id: GenerationId, last: Option<&str>) -> Self {
        let mut call = customer.call(Method::GET, &format!("/v1/generations/{id}/events"));
        if let Some(last) = last {
            call = call.header("last-event-id", last);
        }
        let response = call.0.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    block.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned))
                };
                if let Some(name) = field("event") {
                    let data = serde_json::from_str(&field("data").unwrap()).unwrap();
                    return Some(Event { name, id: field("id").unwrap(), data });
                }
                continue;
            }
            let chunk = tokio::time::timeout(Duration::from_secs(10), self.response.chunk()).await.unwrap();
            let chunk = chunk.ok().flatten()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn rest(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

fn names(events: &[Event]) -> Vec<String> {
    let milestone = |event: &Event| event.data["milestone"].as_str().map(str::to_owned);
    events.iter().map(|event| milestone(event).unwrap_or_else(|| event.name.clone())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_last_event_id_from_nowhere_still_hears_the_end() {
    let app = App::start().await;
    let customer = app.rich().await;
    let id = customer.submitted("rain").await;
    let mut stream = Stream::open(&customer, id, Some("4294967295")).await;
    app.finish_one().await;
    assert_eq!(names(&stream.rest().await).last().map(String::as_str), Some("done"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_tells_each_milestone_once_and_ends() {
    let app = App::start().await;
    let customer = app.rich().await;
    let id = customer.submitted("rain").await;
    let mut stream = Stream::open(&customer, id, None).await;
    let accepted = stream.next().await.unwrap();
    assert_eq!((accepted.name.as_str(), accepted.id.as_str()), ("status", "1"));
    assert_eq!(accepted.data["milestone"], "accepted");

    let backstage = app.backstage();
    let worker = backstage.worker().await;
    let claimed = worker.claim_one().await;
    let change = |version| Change { id, account_id: customer.account, version, progress: None };
    app.ring(change(claimed.version)).await;
    assert_eq!(stream.next().await.unwrap().data["milestone"], "started");
    worker.try_rendering(&claimed).await;
    app.ring(change(claimed.version + 1)).await;
    assert_eq!(stream.next().await.unwrap().data["milestone"], "rendering");
    app.ring(Change { progress: Some(0.5), ..change(0) }).await;
    let progress = stream.next().await.unwrap();
    assert_eq!((progress.name.as_str(), &progress.data["progress"]), ("progress", &json!(0.5)));
    let ended = app.settle(&worker, claimed.held).await;
    app.ring(ended).await;
    let end = stream.rest().await;
    assert_eq!(names(&end), ["ended", "output", "done"]);
    assert!(end.iter().all(|event| event.id == ended.version.to_string()));
    assert_eq!(end[1].data["tracks"].as_array().unwrap().len(), 1);
    assert_eq!(end[2].data["status"], "succeeded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_comes_back_gets_what_it_missed() {
    let app = App::start().await;
    let customer = app.rich().await;
    let id = customer.submitted("rain").await;
    app.finish_one().await;
    let all = Stream::open(&customer, id, None).await.rest().await;
    assert_eq!(names(&all), ["accepted", "started", "rendering", "ended", "output", "done"]);
    let after_started = Stream::open(&customer, id, Some(&all[1].id)).await.rest().await;
    assert_eq!(after_started, all[2..]);
    let after_all = Stream::open(&customer, id, Some(&all[5].id)).await.rest().await;
    assert_eq!(names(&after_all), ["output", "done"]);
    let call = customer.call(Method::GET, &format!("/v1/generations/{id}/events")).header("last-event-id", "x");
    let answer = call.send().await;
    answer.is_problem(422, "validation_failed");
    assert_eq!(answer.places(), ["Last-Event-ID"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_ring_costs_three_seconds() {
    let app = App::start().await;
    let customer = app.rich().await;
    let id = customer.submitted("rain").await;
    let mut stream = Stream::open(&customer, id, None).await;
    stream.next().await.unwrap();
    let backstage = app.backstage();
    let worker = backstage.worker().await;
    let claimed = worker.render_one().await;
    worker.fail(claimed.held).await;
    let began = Instant::now();
    let events = stream.rest().await;
    assert_eq!(names(&events), ["started", "rendering", "ended", "error", "done"]);
    assert_eq!(events[3].data["code"], "upstream_unavailable");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_request_answers_with_the_result() {
    let app = App::start().await;
    let customer = app.rich().await;
    let held = customer.post("/v1/generations").header("prefer", "wait=20").json(&json!({"prompt": "rain"})).send();
    let work = async {
        loop {
            let backstage = app.backstage();
            let worker = backstage.worker().await;
            if let Some(claimed) = worker.claim(1).await.pop() {
                worker.try_rendering(&claimed).await;
                break app.ring(app.settle(&worker, claimed.held).await).await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (answer, ()) = tokio::join!(held, work);
    answer.is(200);
    assert_eq!(answer.header("preference-applied"), Some("wait=20"));
    assert_eq!(answer.body["status"], "succeeded");
    assert!(answer.header("location").is_some() && answer.header("retry-after").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_request_gives_up_in_time() {
    let app = App::start().await;
    let customer = app.rich().await;
    let began = Instant::now();
    let call = customer.post("/v1/generations").header("prefer", "respond-async, wait=1");
    let answer = call.json(&json!({"prompt": "rain"})).send().await;
    answer.is(202);
    assert!((1..20).contains(&began.elapsed().as_secs()));
    assert_eq!(answer.header("preference-applied"), Some("wait=1"));
    assert_eq!(answer.body["status"], "queued");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_bounded_and_end_with_the_gateway() {
    let app = App::with(|settings| settings.streams_max = 1).await;
    let customer = app.rich().await;
    let id = customer.submitted("rain").await;
    let mut stream = Stream::open(&customer, id, None).await;
    stream.next().await.unwrap();
    customer.get(&format!("/v1/generations/{id}/events")).await.is_problem(503, "overloaded");
    let began = Instant::now();
    app.stop().await;
    assert_eq!(stream.rest().await, []);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutting_down_answers_what_is_held() {
    let app = App::start().await;
    let customer = app.rich().await;
    let held = customer.post("/v1/generations").header("prefer", "wait").json(&json!({"prompt": "rain"})).send();
    let stop = async {
        while customer.get("/v1/generations").await.body["data"] == json!([]) {}
        app.stop().await;
    };
    let (answer, ()) = tokio::join!(held, stop);
    answer.is(202);
    assert_eq!(answer.body["status"], "queued");
}
