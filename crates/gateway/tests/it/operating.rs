//! The operators' calls.

use crate::app::{Actor, Answer, App};
use domain::tier::Tier;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

async fn make_account(operator: &Actor) -> Answer {
    let body = json!({"name": "Grace", "tier": "pro", "email": "grace@example.org", "overrides": {"share": 3}});
    let answer = operator.post("/admin/v1/accounts").json(&body).send().await;
    answer.is(201);
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_made_given_a_key_and_works() {
    let app = App::start().await;
    let operator = app.operator();
    let account = make_account(&operator).await;
    let path = account.header("location").unwrap().to_owned();
    assert_eq!(account.body["limits"]["share"], 3);
    let key = operator.post(&format!("{path}/keys")).json(&json!({"name": "laptop"})).send().await;
    key.is(201);
    let secret = key.body["key"].as_str().unwrap();
    let customer = app.with_key(secret);
    customer.submit("rain").await.is(202);
    // Never again.
    let listed = operator.get(&format!("{path}/keys")).await;
    assert!(!listed.text.contains(secret) && listed.text.contains(key.body["prefix"].as_str().unwrap()));
    let shown = operator.get(&path).await;
    assert_eq!((&shown.body["credits"]["balance"], &shown.body["credits"]["reserved"]), (&json!(49), &json!(1)));
    let found = operator.get("/admin/v1/accounts?q=GRACE&tier=pro").await;
    assert_eq!(found.body["data"].as_array().unwrap().len(), 1);
    assert_eq!(operator.get("/admin/v1/accounts?q=nobody").await.body["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_account_is_in_force_within_five_seconds() {
    let app = App::start().await;
    let (operator, customer) = (app.operator(), app.customer(Tier::Free).await);
    customer.get("/v1/account").await.is(200);
    let path = format!("/admin/v1/accounts/{}", customer.account);
    let body = json!({"tier": "enterprise", "email": null, "overrides": {"requests_per_minute": 7000}});
    let changed = operator.call(Method::PATCH, &path).json(&body).send().await;
    changed.is(200);
    assert_eq!((&changed.body["tier"], &changed.body["email"]), (&json!("enterprise"), &Value::Null));
    let began = Instant::now();
    loop {
        let asked = began.elapsed();
        if customer.get("/v1/account").await.body["limits"]["requests_per_minute"] == 7000 {
            break;
        }
        assert!(asked < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    for (body, place) in [
        (json!({"tier": "system"}), "/tier"),
        (json!({"status": "gone"}), "/status"),
        (json!({"overrides": {"share": 0, "more": 1}}), "/overrides/share"),
        (json!({"email": "nowhere"}), "/email"),
        (json!({"credits": 5}), "/credits"),
    ] {
        let answer = operator.call(Method::PATCH, &path).json(&body).send().await;
        answer.is_problem(422, "validation_failed");
        assert_eq!(answer.places()[0], place);
    }
    let unknown = operator.call(Method::PATCH, "/admin/v1/accounts/acc_01h455vb4pex5vsknk084sn02q");
    unknown.json(&json!({"tier": "pro"})).send().await.is_problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_key_overlaps_and_a_revoked_one_ends() {
    let app = App::start().await;
    let (operator, customer) = (app.operator(), app.customer(Tier::Enterprise).await);
    let keys = format!("/admin/v1/accounts/{}/keys", customer.account);
    let old = operator.get(&keys).await.body["data"][0]["id"].as_str().unwrap().to_owned();
    let rotated = operator.post(&format!("{keys}/{old}/rotate")).json(&json!({"overlap_seconds": 3600})).send().await;
    rotated.is(201);
    assert_eq!(rotated.body["replaces"]["id"], old);
    let fresh = app.with_key(rotated.body["key"].as_str().unwrap());
    customer.get("/v1/account").await.is(200);
    fresh.get("/v1/account").await.is(200);
    let new = rotated.body["id"].as_str().unwrap();
    operator.call(Method::DELETE, &format!("{keys}/{new}")).send().await.is(200);
    let began = Instant::now();
    loop {
        let asked = began.elapsed();
        if fresh.get("/v1/account").await.status == 401 {
            break;
        }
        assert!(asked < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Without a body the overlap is a day; a revoked key is not rotated.
    operator.post(&format!("{keys}/{new}/rotate")).send().await.is_problem(404, "not_found");
    let answer = operator.post(&format!("{keys}/{old}/rotate")).json(&json!({"overlap_seconds": -1})).send().await;
    assert_eq!(answer.places(), ["/overlap_seconds"]);
    let past = operator.post(&keys).json(&json!({"name": "x", "expires_at": "2020-01-01T00:00:00Z"})).send().await;
    assert_eq!(past.places(), ["/expires_at"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_made_once_for_its_key_and_audited_once() {
    let app = App::start().await;
    let (operator, customer) = (app.operator(), app.customer(Tier::Free).await);
    let path = format!("/admin/v1/accounts/{}/credits", customer.account);
    let top_up = |amount: i64| {
        let call = operator.post(&path).header("idempotency-key", "invoice-9");
        call.json(&json!({"amount": amount, "reason": "invoice 9"})).send()
    };
    let (first, second) = tokio::join!(top_up(10), top_up(10));
    first.is(201);
    assert_eq!(first.text, second.text);
    let third = top_up(10).await;
    assert_eq!(third.header("idempotency-replayed"), Some("true"));
    top_up(11).await.is_problem(422, "idempotency_key_reused");
    assert_eq!(customer.get("/v1/account").await.body["credits"]["balance"], 15);
    let trail = operator.get("/admin/v1/audit").await;
    let trail = trail.body["data"].as_array().unwrap();
    assert_eq!(trail.len(), 1, "{trail:?}");
    assert_eq!(trail[0]["action"], "credits.top_up");
    assert_eq!(trail[0]["subject"], customer.account.to_string());
    assert_eq!(trail[0]["address"], "127.0.0.1");
    assert!(!trail[0].to_string().contains(crate::app::ADMIN_KEY));
    for (body, places) in [
        (json!({}), vec!["/amount", "/reason"]),
        (json!({"amount": 0, "reason": "x"}), vec!["/amount"]),
        (json!({"amount": 1.5, "reason": " "}), vec!["/amount", "/reason"]),
    ] {
        assert_eq!(operator.post(&path).json(&body).send().await.places(), places);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_with_a_port_of_their_own_are_answered_there_alone() {
    let app = App::start().await;
    let (here, url) = app.another_apart();
    let (operator, customer) = (here.operator(), here.customer(Tier::Pro).await);
    let apart = here.at(&url, &operator);
    apart.get("/admin/v1/accounts").await.is(200);
    assert_eq!(apart.get("/healthz").await.text, "apart");
    let made = apart.post("/admin/v1/accounts").json(&json!({"name": "Grace", "tier": "free"})).send().await;
    let at = made.is(201).header("location").unwrap().to_owned();
    apart.get(&at).await.is(200);
    // Neither side answers what is the other's, and both ask for a key first.
    assert_eq!(here.stranger().get("/healthz").await.text, "alive");
    operator.get(&at).await.is_problem(404, "not_found");
    here.stranger().get("/admin/v1/accounts").await.is_problem(401, "unauthenticated");
    here.at(&url, &here.stranger()).get("/admin/v1/accounts").await.is_problem(401, "unauthenticated");
    here.at(&url, &customer).get("/admin/v1/accounts").await.is_problem(403, "forbidden");
    let generation = format!("/v1/generations/{}", customer.submitted("rain").await);
    here.at(&url, &customer).get(&generation).await.is_problem(404, "not_found");
    here.at(&url, &here.stranger()).get("/openapi.json").await.is_problem(404, "not_found");
    customer.get(&generation).await.is(200);
    here.stop().await;
}

/// One call of each kind, sent twice with one key to two gateways, and once more after the first is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_made_once_over_gateways_and_restarts() {
    let app = App::start().await;
    let customer = app.rich().await;
    let account = format!("/admin/v1/accounts/{}", customer.account);
    let first = app.operator().get(&format!("{account}/keys")).await.body["data"][0]["id"].as_str().unwrap().to_owned();
    let ended = customer.submitted("rain").await;
    app.finish_one().await;
    let waiting = customer.submitted("snow").await;
    let calls = [
        (Method::POST, "/admin/v1/accounts".to_owned(), Some(json!({"name": "Grace", "tier": "pro"})), 201),
        (Method::PATCH, account.clone(), Some(json!({"name": "Ada L."})), 200),
        (Method::POST, format!("{account}/credits"), Some(json!({"amount": 7, "reason": "invoice"})), 201),
        (Method::POST, format!("{account}/keys"), Some(json!({"name": "laptop"})), 201),
        (Method::POST, format!("{account}/keys/{first}/rotate"), Some(json!({"overlap_seconds": 60})), 201),
        (Method::DELETE, format!("{account}/keys/{first}"), None, 200),
        (Method::POST, format!("/admin/v1/generations/{waiting}/cancel"), None, 202),
        (Method::POST, format!("/admin/v1/generations/{ended}/retry"), None, 202),
        (Method::POST, "/admin/v1/queue/pause".to_owned(), None, 200),
        (Method::POST, "/admin/v1/tokens".to_owned(), Some(json!({"tokens": [{"secret": "a"}]})), 200),
    ];
    let send = async |to: &App, (method, path, body, _): &(Method, String, Option<Value>, u16)| {
        let call = to.operator().call(method.clone(), path).header("idempotency-key", "\"once\"");
        match body {
            Some(body) => call.json(body).send().await,
            None => call.send().await,
        }
    };
    let other = app.another();
    let mut answers = Vec::new();
    for call in &calls {
        let answer = send(&app, call).await;
        answer.is(call.3);
        assert_eq!(answer.header("idempotency-replayed"), None, "{call:?}");
        answers.push(answer);
    }
    let told = other.operator().get("/admin/v1/audit?limit=100").await;
    assert_eq!(told.body["data"].as_array().unwrap().len(), calls.len(), "{told:?}");
    app.stop().await;
    for (call, first) in calls.iter().zip(&answers) {
        let again = send(&other, call).await;
        assert_eq!((again.status, &again.text), (first.status, &first.text), "{call:?}");
        assert_eq!(again.header("location"), first.header("location"));
        assert_eq!(again.header("idempotency-replayed"), Some("true"), "{call:?}");
        if call.2.is_some() {
            let (method, path, _, status) = call.clone();
            send(&other, &(method, path, Some(json!({"name": "else"})), status)).await.is(422);
        }
    }
    let after = other.operator().get("/admin/v1/audit?limit=100").await;
    assert_eq!(after.body, told.body);
    let seen = other.operator().get(&account).await;
    assert_eq!(seen.body["name"], "Ada L.");
    other.backstage().assert_the_books_add_up().await;
    // The key that was made is the one that was shown, both times.
    other.with_key(answers[3].body["key"].as_str().unwrap()).get("/v1/account").await.is(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_is_not_in_the_trail_and_frees_its_key() {
    let app = App::start().await;
    let (operator, customer) = (app.operator(), app.customer(Tier::Free).await);
    let id = customer.submitted("rain").await;
    let retry = || operator.post(&format!("/admin/v1/generations/{id}/retry")).header("idempotency-key", "k").send();
    retry().await.is_problem(409, "not_final");
    let cancel = || operator.post(&format!("/admin/v1/generations/{id}/cancel")).send();
    cancel().await.is(202);
    cancel().await.is_problem(409, "already_final");
    let nobody = "/admin/v1/accounts/acc_01h455vb4pex5vsknk084sn02q/credits";
    let top_up = json!({"amount": 1, "reason": "x"});
    operator.post(nobody).json(&top_up).send().await.is_problem(404, "not_found");
    let trail = operator.get("/admin/v1/audit").await;
    let actions: Vec<_> = trail.body["data"].as_array().unwrap().iter().map(|e| e["action"].clone()).collect();
    assert_eq!(actions, ["generation.cancel"]);
    assert_eq!(trail.body["data"][0]["subject"], id.to_string());
    retry().await.is(202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_go_in_and_their_secrets_never_come_out() {
    let app = App::start().await;
    let operator = app.operator();
    let import = |secrets: &[&str]| {
        let tokens: Vec<Value> = secrets.iter().map(|secret| json!({"secret": secret, "label": "l"})).collect();
        operator.post("/admin/v1/tokens").json(&json!({"tokens": tokens})).send()
    };
    let answer = import(&["secret-a", "secret-b", "secret-a", "secret-c", "secret-d"]).await;
    answer.is(200);
    let results: Vec<_> =
        answer.body["data"].as_array().unwrap().iter().map(|r| r["result"].as_str().unwrap()).collect();
    assert_eq!(results, ["imported", "imported", "duplicate", "imported", "refused"]);
    assert_eq!(answer.body["data"][4]["reason"], "pool_full");
    let page = operator.get("/admin/v1/tokens?limit=2").await;
    assert_eq!((page.body["data"].as_array().unwrap().len(), &page.body["has_more"]), (2, &json!(true)));
    let rest = operator.get(&format!("/admin/v1/tokens?cursor={}", page.body["next_cursor"].as_str().unwrap())).await;
    assert_eq!(rest.body["data"].as_array().unwrap().len(), 1);
    assert!(!page.text.contains("secret"));
    let id = page.body["data"][0]["id"].as_str().unwrap();
    let disabled = operator.post(&format!("/admin/v1/tokens/{id}/disable")).send().await;
    assert_eq!(disabled.is(200).body["state"], "disabled");
    assert_eq!(operator.post(&format!("/admin/v1/tokens/{id}/reinstate")).send().await.body["state"], "usable");
    operator.call(Method::DELETE, &format!("/admin/v1/tokens/{id}")).send().await.is(204);
    operator.call(Method::DELETE, &format!("/admin/v1/tokens/{id}")).send().await.is_problem(404, "not_found");
    let pool = operator.get("/admin/v1/tokens/pool").await;
    assert_eq!((&pool.body["usable"], &pool.body["status"]), (&json!(2), &json!("ok")));
    let wrong = json!({"tokens": [{"secret": "a b"}, 7, {"secret": "x", "max_concurrency": 0, "no": 1}]});
    let answer = operator.post("/admin/v1/tokens").json(&wrong).send().await;
    let places = answer.is_problem(422, "validation_failed").places();
    assert!(places.contains(&"/tokens/0/secret".into()) && places.contains(&"/tokens/2/no".into()), "{places:?}");
    // A thousand secrets are more than 64 KiB.
    let many: Vec<Value> = (0..1000).map(|n| json!({"secret": format!("{n:0>100}")})).collect();
    operator.post("/admin/v1/tokens").json(&json!({"tokens": many})).send().await.is(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generations_are_found_canceled_and_submitted_anew() {
    let app = App::start().await;
    let (operator, customer) = (app.operator(), app.customer(Tier::Pro).await);
    let id = customer.submitted("rain").await;
    let path = format!("/admin/v1/generations/{id}");
    operator.post(&format!("{path}/retry")).send().await.is_problem(409, "not_final");
    let canceled = operator.post(&format!("{path}/cancel")).send().await;
    assert_eq!(canceled.is(202).body["error"]["code"], "canceled_by_operator");
    operator.post(&format!("{path}/cancel")).send().await.is_problem(409, "already_final");
    let retried = operator.post(&format!("{path}/retry")).send().await;
    assert_eq!(retried.is(202).body["retry_of"], id.to_string());
    let new = retried.body["id"].as_str().unwrap();
    customer.get(&format!("/v1/generations/{new}")).await.is(200);
    app.finish_one().await;
    let shown = operator.get(&format!("/admin/v1/generations/{new}")).await;
    assert_eq!(shown.is(200).body["history"].as_array().unwrap().len(), 1);
    assert_eq!(shown.body["timeline"].as_array().unwrap().len(), 4);
    let account = customer.account;
    for (query, count) in [
        (format!("account={account}"), 2),
        ("status=succeeded".to_owned(), 1),
        ("error_code=canceled_by_operator".to_owned(), 1),
        ("tier=free".to_owned(), 0),
        ("stage=rendering".to_owned(), 0),
    ] {
        let listed = operator.get(&format!("/admin/v1/generations?{query}")).await;
        assert_eq!(listed.body["data"].as_array().unwrap().len(), count, "{query}");
    }
    let answer = operator.get("/admin/v1/generations?account=x&stage=x&tier=x&error_code=x").await;
    assert_eq!(answer.places(), ["account", "stage", "tier", "error_code"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_is_counted_paused_and_resumed() {
    let app = App::start().await;
    let (operator, customer) = (app.operator(), app.customer(Tier::Pro).await);
    customer.submitted("rain").await;
    operator.post("/admin/v1/queue/pause").send().await.is(200);
    let queue = operator.get("/admin/v1/queue").await;
    assert_eq!((&queue.body["waiting"], &queue.body["paused"]), (&json!(1), &json!(true)));
    assert_eq!(queue.body["by_tier"]["pro"], 1);
    let backstage = app.backstage();
    let worker = backstage.worker().await;
    assert_eq!(worker.claim(1).await.len(), 0);
    operator.post("/admin/v1/queue/resume").send().await.is(200);
    assert_eq!(worker.claim(1).await.len(), 1);
    let workers = operator.get("/admin/v1/workers").await;
    let id = workers.body["data"][0]["id"].as_str().unwrap().to_owned();
    operator.post(&format!("/admin/v1/workers/{id}/drain")).send().await.is(202);
    operator.post("/admin/v1/workers/wrk_01h455vb4pex5vsknk084sn02q/drain").send().await.is_problem(404, "not_found");
    let books = operator.get("/admin/v1/ledger/verify").await;
    assert_eq!(books.is(200).body["ok"], true);
    assert!(books.body["accounts"].as_i64().unwrap() >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_panics_is_an_internal_error() {
    let app = App::start().await;
    let customer = app.rich().await;
    let id = customer.submitted("rain").await;
    app.generations.fail(crate::faults::Fault::Panics, 1);
    let answer = customer.get("/v1/generations").await;
    answer.is_problem(500, "internal");
    assert_eq!(answer.body["instance"], "/v1/generations");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    customer.get("/v1/generations").await.is(200);
    // Where reads are shared, whoever shared the one that panicked is told to come again.
    app.generations.fail(crate::faults::Fault::Panics, 1);
    let answer = customer.get(&format!("/v1/generations/{id}")).await;
    assert_eq!(answer.status.as_u16(), 503, "{}", answer.text);
    customer.get(&format!("/v1/generations/{id}")).await.is(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_are_canceled_and_submitted_anew_at_once() {
    let app = App::start().await;
    let (operator, one, two) = (app.operator(), app.rich().await, app.rich().await);
    for _ in 0..3 {
        one.submitted("rain").await;
    }
    two.submitted("snow").await;
    app.finish_one().await;
    let bulk = async |body: Value| operator.post("/admin/v1/generations/bulk").json(&body).send().await;
    let counts = |answer: &Answer| {
        answer.is(200);
        let number = |name: &str| answer.body[name].as_u64().unwrap();
        (number("matched"), number("changed"), number("refused"))
    };
    let open = json!({"action": "cancel", "filter": {}, "dry_run": true});
    assert_eq!(counts(&bulk(open).await), (3, 0, 0));
    let of_one = operator.get(&format!("/admin/v1/generations?account={}&status=queued", one.account)).await;
    let waiting = of_one.body["data"].as_array().unwrap().len() as u64;
    let of_one = json!({"action": "cancel", "filter": {"account": one.account, "status": "queued"}});
    assert_eq!(counts(&bulk(of_one.clone()).await), (waiting, waiting, 0));
    assert_eq!(counts(&bulk(of_one).await), (0, 0, 0));
    // What cannot be done to a status is done to nothing.
    assert_eq!(counts(&bulk(json!({"action": "retry", "filter": {"status": "queued"}})).await), (0, 0, 0));
    let canceled = json!({"action": "retry", "filter": {"account": one.account, "status": "canceled"}});
    let anew = bulk(canceled).await;
    assert_eq!(counts(&anew), (waiting, waiting, 0));
    assert_eq!(anew.body["more"], false);
    app.backstage().assert_the_books_add_up().await;
    assert_eq!(operator.get("/admin/v1/audit?limit=1").await.body["data"][0]["action"], "generation.bulk");
    for (body, places) in [
        (json!({}), vec!["/action", "/filter"]),
        (json!({"action": "delete", "filter": []}), vec!["/action", "/filter"]),
        (json!({"action": "cancel", "filter": {"status": "gone", "x": 1}}), vec!["/filter/status", "/filter/x"]),
    ] {
        let answer = bulk(body).await;
        answer.is_problem(422, "validation_failed");
        let mut named = answer.places();
        named.sort();
        named.dedup();
        assert_eq!(named, places);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_change_goes_on_where_it_ended_and_submits_each_anew_once() {
    let app = App::start().await;
    let (operator, customer) = (app.operator(), app.rich().await);
    let mut old = Vec::new();
    for _ in 0..5 {
        old.push(customer.submitted("rain").await.to_string());
    }
    let bulk = async |body: &Value| operator.post("/admin/v1/generations/bulk").json(body).send().await;
    let account = customer.account;
    bulk(&json!({"action": "cancel", "filter": {"account": account}})).await.is(200);
    let mut body = json!({"action": "retry", "filter": {"account": account, "status": "canceled"}, "limit": 2});
    let mut changed = Vec::new();
    loop {
        let answer = bulk(&body).await;
        changed.push(answer.is(200).body["changed"].as_u64().unwrap());
        assert_eq!(answer.body["more"], answer.body["next"].is_string());
        if answer.body["next"].is_null() {
            break;
        }
        assert!(changed.len() < 3, "{changed:?}");
        body["cursor"] = answer.body["next"].clone();
    }
    assert_eq!(changed, [2, 2, 1]);
    // The last call again, as by somebody who did not hear its answer.
    let again = bulk(&body).await;
    assert_eq!((&again.is(200).body["matched"], &again.body["changed"]), (&json!(1), &json!(0)));
    let open = operator.get(&format!("/admin/v1/generations?account={account}&status=queued")).await;
    let mut retried: Vec<_> =
        open.body["data"].as_array().unwrap().iter().map(|one| one["retry_of"].as_str().unwrap()).collect();
    retried.sort_unstable();
    old.sort_unstable();
    assert_eq!(retried, old, "each once");
    app.backstage().assert_the_books_add_up().await;

    body["filter"]["status"] = "failed".into();
    let elsewhere = bulk(&body).await;
    assert_eq!(elsewhere.is_problem(422, "validation_failed").places(), ["/cursor"]);
    for (limit, cursor) in [(0, json!("x")), (1_001, json!("canceled.x.y"))] {
        let wrong = json!({"action": "retry", "filter": {}, "limit": limit, "cursor": cursor});
        assert_eq!(bulk(&wrong).await.is_problem(422, "validation_failed").places(), ["/limit", "/cursor"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_change_that_fails_on_the_way_tells_what_it_did() {
    let app = App::start().await;
    let (operator, customer) = (app.operator(), app.rich().await);
    for _ in 0..3 {
        customer.submitted("rain").await;
    }
    let bulk = async |body: &Value| operator.post("/admin/v1/generations/bulk").json(body).send().await;
    let mut body = json!({"action": "cancel", "filter": {}});
    // What is queued is found; what is in work is not.
    app.generations.fail_after(1, crate::faults::Fault::Unavailable, 1);
    let told = bulk(&body).await;
    assert_eq!((&told.is(200).body["changed"], &told.body["more"]), (&json!(3), &json!(true)));
    let trail = async || operator.get("/admin/v1/audit?limit=100").await.text.matches("generation.bulk").count();
    assert_eq!(trail().await, 1);
    body["cursor"] = told.body["next"].clone();
    let rest = bulk(&body).await;
    assert_eq!((&rest.is(200).body["changed"], &rest.body["next"]), (&json!(0), &Value::Null));
    // Where nothing was done, it failed.
    app.generations.fail(crate::faults::Fault::Unavailable, 1);
    bulk(&body).await.is_problem(503, "unavailable");
    assert_eq!(trail().await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_changes_with_one_key_on_two_gateways_are_both_in_the_trail() {
    let app = App::start().await;
    let other = app.another();
    let (here, there) = (app.operator(), other.operator());
    let (one, two) = (app.rich().await, app.rich().await);
    for customer in [&one, &two] {
        let id = customer.submitted("rain").await;
        here.post(&format!("/admin/v1/generations/{id}/cancel")).send().await.is(202);
    }
    let bulk = async |operator: &Actor, customer: &Actor| {
        let body = json!({"action": "retry", "filter": {"account": customer.account, "status": "canceled"}});
        operator.post("/admin/v1/generations/bulk").header("Idempotency-Key", "incident-7").json(&body).send().await
    };
    // The list, then the submission.
    app.generations.fail_after(1, crate::faults::Fault::Held, 1);
    let (first, second) = tokio::join!(bulk(&here, &one), async {
        app.generations.reached.notified().await;
        let second = bulk(&there, &two).await;
        app.generations.let_go.notify_one();
        second
    });
    assert_eq!(second.is(200).body["changed"], 1);
    first.is_problem(422, "idempotency_key_reused");
    let waiting = here.get("/admin/v1/generations?status=queued").await;
    assert_eq!(waiting.body["data"].as_array().unwrap().len(), 2, "both were made");
    let trail = here.get("/admin/v1/audit?limit=100").await;
    assert_eq!(trail.text.matches("generation.bulk").count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn books_that_take_long_are_added_up_all_the_same() {
    let app = App::start().await;
    for _ in 0..15 {
        app.customer(Tier::Free).await;
    }
    // Together they take longer than one call of the ledger may.
    app.books.each_takes.store(400, std::sync::atomic::Ordering::SeqCst);
    let books = app.operator().get("/admin/v1/ledger/verify").await;
    assert_eq!(books.is(200).body["ok"], true);
    assert!(books.body["accounts"].as_u64().unwrap() >= 15);
}
