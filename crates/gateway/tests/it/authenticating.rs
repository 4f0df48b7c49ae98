//! Who gets in, and who does not.

use crate::app::{ADMIN_KEY, Actor, App, SYSTEM_KEY};
use domain::account::AccountStatus;
use domain::ids::KeyId;
use domain::ports::Accounts;
use domain::ports::accounts::AccountChange;
use domain::tier::Tier;
use reqwest::Method;
use std::time::{Duration, Instant};

fn filled(pattern: &str) -> String {
    let parts =
        pattern.split('/').map(|part| if part.starts_with('{') { "gen_01h455vb4pex5vsknk084sn02q" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_is_closed_without_a_key() {
    let app = App::with(|settings| settings.unauthenticated_per_minute = 10_000).await;
    let customer = app.customer(Tier::Enterprise).await;
    let routes = gateway::routes();
    assert!(routes.len() >= 32, "{}", routes.len());
    for (method, pattern) in routes {
        let method: Method = method.parse().unwrap();
        let path = filled(pattern);
        app.stranger().call(method.clone(), &path).send().await.is_problem(401, "unauthenticated");
        let wrong = if pattern.starts_with("/admin") { &customer } else { &app.operator() };
        wrong.call(method, &path).send().await.is_problem(403, "forbidden");
    }
    // Not even a route is told from none without a key, and escaped letters open nothing.
    for path in
        ["/v1", "/v1/nothing", "/admin", "/admin/v1/nothing", "/%76%31/account", "/v1/%61ccount", "/%61dmin/v1/queue"]
    {
        app.stranger().get(path).await.is_problem(401, "unauthenticated");
    }
    for path in ["/", "/nothing", "/v2/account", "/v1x"] {
        app.stranger().get(path).await.is_problem(404, "not_found");
    }
    app.stranger().get("/healthz").await.is(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_causes_get_one_answer_in_comparable_time() {
    let app = App::start().await;
    let (revoked, expired) = (app.customer(Tier::Free).await, app.customer(Tier::Free).await);
    for actor in [&revoked, &expired] {
        let key: KeyId = app.ledger.keys(actor.account).await.unwrap()[0].id;
        app.backstage().revoke(actor.account, key).await.unwrap();
    }
    let unknown = App::start().await.customer(Tier::Free).await.key.unwrap();
    let mut malformed = unknown.clone();
    malformed.push('x');
    let causes: [Actor; 5] =
        [app.stranger(), app.with_key(&malformed), app.with_key(&unknown), revoked.clone(), expired.clone()];
    let mut bodies = Vec::new();
    for actor in causes {
        let began = Instant::now();
        let answer = actor.call(Method::GET, "/v1/account").header("x-request-id", "r").send().await;
        assert!(began.elapsed() >= Duration::from_millis(10));
        answer.is_problem(401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        bodies.push(answer.text);
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_s_keys_open_their_own_doors() {
    let app = App::start().await;
    app.with_key(ADMIN_KEY).get("/admin/v1/queue").await.is(200);
    // The system account is made in the background.
    let system = app.with_key(SYSTEM_KEY);
    let deadline = Instant::now() + Duration::from_secs(5);
    let account = loop {
        let answer = system.get("/v1/account").await;
        if answer.status == 200 || Instant::now() > deadline {
            break answer;
        }
    };
    account.is(200);
    assert_eq!(account.body["tier"], "system");
    assert_eq!(account.header("ratelimit"), None);
    system.submit("rain").await.is(202);
    assert_eq!(system.get("/v1/account").await.body["credits"]["reserved"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspension_and_a_revocation_are_in_force_within_five_seconds() {
    let app = App::start().await;
    let (suspended, revoked) = (app.customer(Tier::Enterprise).await, app.customer(Tier::Enterprise).await);
    for actor in [&suspended, &revoked] {
        actor.get("/v1/account").await.is(200);
    }
    let change = AccountChange { status: Some(AccountStatus::Suspended), ..AccountChange::default() };
    app.backstage().change(suspended.account, change).await.unwrap();
    let key = app.ledger.keys(revoked.account).await.unwrap()[0].id;
    app.backstage().revoke(revoked.account, key).await.unwrap();
    let began = Instant::now();
    for (actor, status) in [(&suspended, 403), (&revoked, 401)] {
        loop {
            let asked = began.elapsed();
            if actor.get("/v1/account").await.status.as_u16() == status {
                break;
            }
            assert!(asked < Duration::from_secs(5));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    suspended.submit("rain").await.is_problem(403, "forbidden");
}
