//! Reading: one, many, the account and its ledger; never somebody else's.

use crate::app::App;
use domain::tier::Tier;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::HashSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entity_tag_changes_with_what_is_seen() {
    let app = App::start().await;
    let customer = app.rich().await;
    let path = format!("/v1/generations/{}", customer.submitted("rain").await);
    // In work: what waits is told its place, where counting is cheap.
    let backstage = app.backstage();
    let worker = backstage.worker().await;
    let claimed = worker.render_one().await;
    let first = customer.get(&path).await;
    let tag = first.header("etag").unwrap().to_owned();
    for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let answer = customer.call(Method::GET, &path).header("if-none-match", &known).send().await;
        answer.is(304);
        assert_eq!((answer.text.as_str(), answer.header("etag")), ("", Some(tag.as_str())));
    }
    worker.succeed(claimed.held).await;
    let answer = customer.call(Method::GET, &path).header("if-none-match", &tag).send().await;
    answer.is(200);
    assert_ne!(answer.header("etag"), Some(tag.as_str()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_else_s_unknown_and_malformed_are_one_answer() {
    let app = App::start().await;
    let (owner, other) = (app.rich().await, app.rich().await);
    let id = owner.submitted("rain").await.to_string();
    let mut bodies = HashSet::new();
    for id in [id.as_str(), "gen_01h455vb4pex5vsknk084sn02q", "gen_x", "acc_01h455vb4pex5vsknk084sn02q", "%00", "x"] {
        for (method, end) in
            [(Method::GET, ""), (Method::POST, "/cancel"), (Method::GET, "/events"), (Method::GET, "/explain")]
        {
            let mut answer = other.call(method, &format!("/v1/generations/{id}{end}")).send().await;
            answer.is_problem(404, "not_found");
            for own in ["instance", "request_id"] {
                answer.body.as_object_mut().unwrap().remove(own);
            }
            bodies.insert(answer.body.to_string());
        }
    }
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!(other.get("/v1/generations").await.body["data"], Value::Array(vec![]));
    owner.get(&format!("/v1/generations/{id}")).await.is(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_neither_skip_nor_repeat_while_rows_arrive() {
    let app = App::start().await;
    let customer = app.rich().await;
    let mut expected = Vec::new();
    for n in 0..7 {
        expected.push(customer.submitted(&format!("song {n}")).await.to_string());
    }
    // Of two in one millisecond the ids say which comes first.
    expected.sort_unstable_by(|one, other| other.cmp(one));
    let (mut path, mut seen) = ("/v1/generations?limit=3&status=queued".to_owned(), Vec::new());
    loop {
        let page = customer.get(&path).await;
        page.is(200);
        let ids = page.body["data"].as_array().unwrap().iter().map(|g| g["id"].as_str().unwrap().to_owned());
        seen.extend(ids);
        customer.submitted("between").await;
        assert_eq!(page.body["has_more"], !page.body["next_cursor"].is_null());
        let Some(link) = page.header("link") else { break };
        let target = link.strip_prefix('<').unwrap().split_once('>').unwrap();
        assert_eq!(target.1, "; rel=\"next\"");
        path = target.0.to_owned();
    }
    assert_eq!(seen, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_filtered() {
    let app = App::start().await;
    let customer = app.rich().await;
    let done = customer.submitted("first").await;
    app.finish_one().await;
    customer.submitted("second").await;
    let listed = customer.get("/v1/generations?status=succeeded").await;
    assert_eq!(listed.body["data"].as_array().unwrap().len(), 1);
    assert_eq!(listed.body["data"][0]["id"], done.to_string());
    assert_eq!(
        customer.get("/v1/generations?created_before=2020-01-01T00:00:00Z").await.body["data"],
        Value::Array(vec![])
    );
    assert_eq!(
        customer.get("/v1/generations?created_after=2020-01-01T00:00:00Z").await.body["data"].as_array().unwrap().len(),
        2
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_call_asks_for_is_left_aside() {
    let app = App::start().await;
    let customer = app.rich().await;
    for _ in 0..2 {
        customer.submitted("rain").await;
    }
    let page = customer.get("/v1/generations?limit=1&colour=blue&Limit=7&colour=red").await;
    assert_eq!(page.is(200).body["data"].as_array().unwrap().len(), 1);
    let next = page.header("link").unwrap().split_once("; rel=\"next\"").unwrap().0.trim_matches(['<', '>']).to_owned();
    assert_eq!(customer.get(&next).await.is(200).body["has_more"], false);
    customer.get("/v1/account?x=y").await.is(200);
    app.operator().get("/admin/v1/accounts?tiers=pro").await.is(200);
    // What a call asks for is asked for once.
    customer.get("/v1/generations?limit=1&limit=2").await.is_problem(422, "validation_failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_adds_up_to_the_balance() {
    let app = App::start().await;
    let customer = app.customer(Tier::Pro).await;
    let id = customer.submitted("rain").await;
    customer.submitted("snow").await;
    customer.post(&format!("/v1/generations/{id}/cancel")).send().await.is(202);
    app.top_up(customer.account, 3).await;
    let entries = customer.get("/v1/account/ledger?limit=100").await;
    let entries = entries.body["data"].as_array().unwrap();
    let sum: i64 = entries.iter().map(|entry| entry["amount"].as_i64().unwrap()).sum();
    let account = customer.get("/v1/account").await;
    assert_eq!(account.body["credits"]["balance"], sum);
    assert_eq!(sum, 52);
    let kinds: HashSet<_> = entries.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, HashSet::from(["grant", "debit", "refund", "top_up"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_it_waits_is_explained() {
    let app = App::start().await;
    let customer = app.rich().await;
    customer.submitted("first").await;
    let second = customer.submitted("second").await;
    let answer = customer.get(&format!("/v1/generations/{second}/explain")).await;
    answer.is(200);
    assert_eq!(answer.body["position"], 2);
    assert!(answer.body["reason"].is_string() && answer.body["unblocked_by"].is_string());
    app.operator().post("/admin/v1/queue/pause").send().await.is(200);
    let paused = customer.get(&format!("/v1/generations/{second}/explain")).await;
    assert_eq!(paused.body["waiting_on"], "paused");
    assert_eq!(paused.body["estimated_start_at"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_generation_shows_its_place() {
    let app = App::start().await;
    let customer = app.rich().await;
    let first = customer.submitted("first").await;
    // Something was measured.
    app.finish_one().await;
    let (second, third) = (customer.submitted("second").await, customer.submitted("third").await);
    // Each time at a gateway that has counted nothing yet: a count may be old, and one that took long is not made again soon.
    let queue = async |id| {
        let fresh = app.another();
        fresh.at(&fresh.url, &customer).get(&format!("/v1/generations/{id}")).await.body["queue"].clone()
    };
    assert_eq!(queue(first).await, json!({"position": null, "waiting_on": null, "estimated_start_at": null}));
    let (of_second, of_third) = (queue(second).await, queue(third).await);
    assert_eq!((&of_second["position"], &of_second["waiting_on"]), (&json!(1), &json!("capacity")));
    assert_eq!((&of_third["position"], &of_third["waiting_on"]), (&json!(2), &json!("fairness")));
    assert!(of_third["estimated_start_at"].as_str() > of_second["estimated_start_at"].as_str());
    let backstage = app.backstage();
    let worker = backstage.worker().await;
    let claimed = worker.claim_one().await;
    assert_eq!((claimed.held.id, &queue(third).await["position"]), (second, &json!(1)));
    worker.put_back(claimed.held, std::time::Duration::from_secs(600), true).await;
    assert_eq!(queue(second).await["waiting_on"], "retry_backoff");
}
