//! Submissions: accepted once, paid once, refused with the reason.

use crate::app::{Actor, Answer, App};
use crate::faults::Fault;
use domain::account::Overrides;
use domain::ids::GenerationId;
use domain::ports::generations::Scope;
use domain::ports::{Accounts, Generations};
use domain::tier::Tier;
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

async fn of_credits(app: &App, credits: i64) -> Actor {
    let overrides = Overrides {
        credits_per_month: Some(credits),
        generations_per_month: Some(10_000),
        requests_per_minute: Some(100_000),
        ..Overrides::default()
    };
    app.customer_with(Tier::Free, overrides).await
}

async fn with_key(customer: &Actor, key: &str, prompt: &str) -> Answer {
    let call = customer.post("/v1/generations").header("idempotency-key", key);
    call.json(&json!({"prompt": prompt})).send().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_202_is_on_disk_before_it_is_sent() {
    let app = App::start().await;
    let customer = app.customer(Tier::Pro).await;
    let answer = customer.submit("rain").await;
    answer.is(202);
    let path = format!("/v1/generations/{}", answer.id());
    assert_eq!(answer.header("location"), Some(path.as_str()));
    assert!(answer.header("retry-after").is_some());
    let stored = app.generations.show(Scope::Account(customer.account), answer.id()).await.unwrap().unwrap();
    assert_eq!(stored.request.prompt, "rain");
    assert_eq!(app.ledger.usage(customer.account).await.unwrap().unwrap().reserved, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_at_once_against_a_balance_of_37() {
    let app = App::start().await;
    let customer = of_credits(&app, 37).await;
    let answers = join_all((0..50).map(|_| customer.submit("rain"))).await;
    let of = |status: u16| answers.iter().filter(|answer| answer.status.as_u16() == status).count();
    assert_eq!((of(202), of(402)), (37, 13));
    let refused = answers.iter().find(|answer| answer.status == 402).unwrap();
    refused.is_problem(402, "credits_exhausted");
    assert_eq!(refused.body["reserved"], 37);
    assert!(app.generations.largest_batch.load(Ordering::SeqCst) > 1, "submissions share commits");
    app.backstage().assert_the_books_add_up().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_month_s_quota_wins_and_says_when_it_resets() {
    let app = App::start().await;
    let customer = app.customer(Tier::Free).await;
    for _ in 0..5 {
        customer.submit("rain").await.is(202);
    }
    let answer = customer.submit("rain").await;
    answer.is_problem(402, "monthly_quota_exhausted");
    assert_eq!((&answer.body["used"], &answer.body["limit"]), (&json!(5), &json!(5)));
    assert!(answer.body["resets_at"].as_str().unwrap().ends_with("-01T00:00:00.000Z"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_replays_its_first_answer() {
    let app = App::start().await;
    let customer = of_credits(&app, 10).await;
    let first = with_key(&customer, "\"order-17\"", "rain").await;
    first.is(202);
    assert_eq!(first.header("idempotency-replayed"), None);
    app.finish_one().await;
    // Bare and quoted are one key; other spellings of the same request are the same request.
    let call = customer.post("/v1/generations").header("idempotency-key", "order-17");
    let again = call.raw(r#"{"metadata":{}, "title":null, "prompt":"  rain "}"#).send().await;
    again.is(202);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!((&again.text, again.header("location")), (&first.text, first.header("location")));
    with_key(&customer, "order-17", "snow").await.is_problem(422, "idempotency_key_reused");
    // Another account's key of the same name is another key.
    let other = of_credits(&app, 10).await;
    assert_ne!(with_key(&other, "order-17", "rain").await.id(), first.id());
    assert_eq!(customer.get("/v1/account").await.body["generations"]["used"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_request_leaves_its_key_free() {
    let app = App::start().await;
    let customer = of_credits(&app, 0).await;
    with_key(&customer, "k", "rain").await.is_problem(402, "credits_exhausted");
    app.top_up(customer.account, 1).await;
    with_key(&customer, "k", "snow").await.is(202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_at_once_is_in_progress_and_charged_once() {
    let app = App::start().await;
    let customer = of_credits(&app, 10).await;
    app.generations.fail(Fault::Held, 1);
    let first = tokio::join!(with_key(&customer, "k", "rain"), async {
        app.generations.reached.notified().await;
        with_key(&customer, "k", "rain").await.is_problem(409, "idempotency_in_progress");
        app.generations.let_go.notify_one();
    });
    first.0.is(202);
    let answers = join_all((0..20).map(|_| with_key(&customer, "k2", "rain"))).await;
    assert!(answers.iter().all(|answer| [202, 409].contains(&answer.status.as_u16())));
    assert_eq!(customer.get("/v1/account").await.body["credits"]["reserved"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_whose_commit_hangs_holds_up_no_account_of_the_other_lane() {
    let app = App::start().await;
    let first = of_credits(&app, 10).await;
    // Accounts go down two lanes, by chance: one of sixty-four others goes down the other.
    let mut others = Vec::new();
    for _ in 0..64 {
        others.push(of_credits(&app, 1).await);
    }
    app.generations.fail(Fault::Held, 1);
    let held = first.submit("rain");
    let meanwhile = async {
        app.generations.reached.notified().await;
        let waiting: FuturesUnordered<_> = others.iter().map(|other| other.submit("snow")).collect();
        let accepted: Vec<_> = waiting.take(1).collect().await;
        accepted[0].is(202);
        assert!(app.generations.holding.load(Ordering::SeqCst), "nobody had to wait until it was given up");
        app.generations.let_go.notify_one();
    };
    let (held, ()) = tokio::join!(held, meanwhile);
    held.is(202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_was_lost_is_accepted_once() {
    let app = App::start().await;
    let customer = of_credits(&app, 10).await;
    app.generations.fail(Fault::Committed, 2);
    customer.submit("rain").await.is(202);
    app.generations.fail(Fault::Lost, 2);
    customer.submit("rain").await.is(202);
    let listed = customer.get("/v1/generations").await;
    assert_eq!(listed.body["data"].as_array().unwrap().len(), 2);
    assert_eq!(app.ledger.usage(customer.account).await.unwrap().unwrap().balance, 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_in_doubt_to_the_end_names_the_generation() {
    let app = App::start().await;
    let customer = of_credits(&app, 10).await;
    app.generations.fail(Fault::Committed, usize::MAX);
    let answer = customer.submit("rain").await;
    answer.is_problem(503, "unavailable");
    assert!(answer.header("retry-after").is_some());
    app.generations.fail(Fault::Committed, 0);
    let path = answer.body["generation"].as_str().unwrap();
    assert_eq!(answer.header("location"), Some(path));
    customer.get(path).await.is(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_down_charges_nothing() {
    let app = App::start().await;
    let customer = of_credits(&app, 10).await;
    app.generations.fail(Fault::Unavailable, 1);
    let answer = customer.submit("rain").await;
    answer.is_problem(503, "unavailable");
    assert_eq!((answer.header("retry-after"), &answer.body["retryable"]), (Some("1"), &json!(true)));
    assert_eq!(app.ledger.usage(customer.account).await.unwrap().unwrap().balance, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_hangs_before_the_commit_is_a_503_in_time() {
    let app = App::start().await;
    let customer = of_credits(&app, 10).await;
    app.generations.counts_nothing.store(true, Ordering::SeqCst);
    let answered = tokio::time::timeout(Duration::from_secs(10), customer.submit("rain")).await.unwrap();
    answered.is_problem(503, "unavailable");
    app.generations.counts_nothing.store(false, Ordering::SeqCst);
    customer.submit("rain").await.is(202);
    assert_eq!(app.ledger.usage(customer.account).await.unwrap().unwrap().balance, 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_neighbour_fails_alone() {
    let app = App::start().await;
    let mut customers = Vec::new();
    for _ in 0..5 {
        customers.push(of_credits(&app, 100).await);
    }
    // A failed batch is split by its accounts, however many of them it took in. Only who fails alone is refused.
    app.generations.fail(Fault::Unavailable, 1);
    let began = Instant::now();
    let answers = join_all(customers.iter().map(|customer| customer.submit("rain"))).await;
    let accepted = answers.iter().filter(|answer| answer.status == 202).count();
    // After a second a batch's parts are refused rather than tried.
    assert!(accepted >= 4 || began.elapsed() >= Duration::from_secs(1), "{accepted} of 5");
    assert!(answers.iter().filter(|answer| answer.status != 202).all(|answer| answer.code() == "unavailable"));
    app.backstage().assert_the_books_add_up().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backlogs_are_bounded() {
    let app = App::with(|settings| settings.backlog_max_total = 3).await;
    let overrides = Overrides { backlog_max: Some(1), requests_per_minute: Some(1_000), ..Overrides::default() };
    let small = app.customer_with(Tier::Enterprise, overrides).await;
    small.submit("rain").await.is(202);
    let large = app.rich().await;
    large.submit("rain").await.is(202);
    large.submit("rain").await.is(202);
    // The counts are at most a second old.
    for customer in [small, large] {
        let began = Instant::now();
        let refused = loop {
            let answer = customer.submit("rain").await;
            if answer.status != 202 {
                break answer;
            }
            assert!(began.elapsed() < Duration::from_secs(5));
        };
        refused.is_problem(503, "overloaded");
        assert!(refused.header("retry-after").is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancel_after_sets_the_deadline() {
    let app = App::start().await;
    let customer = app.rich().await;
    let call = customer.post("/v1/generations").header("cancel-after", "10m");
    let answer = call.json(&json!({"prompt": "rain"})).send().await;
    let at = |name: &str| answer.body[name].as_str().unwrap().parse::<domain::Timestamp>().unwrap();
    assert_eq!((at("cancel_after") - at("created_at")).num_seconds(), 600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_s_trace_goes_with_the_generation() {
    let app = App::start().await;
    let customer = app.rich().await;
    let call = customer
        .post("/v1/generations")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let id: GenerationId = call.json(&json!({"prompt": "rain"})).send().await.id();
    let shown = app.operator().get(&format!("/admin/v1/generations/{id}")).await;
    assert_eq!(shown.body["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
}
