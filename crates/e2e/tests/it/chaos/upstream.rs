//! An upstream that fails half of all calls, and one that is down for a minute.

use super::load::offers;
use super::tell;
use crate::system::TestApp;
use domain::state::Status;
use serde_json::json;
use std::time::{Duration, Instant, SystemTime};

const COUNT: usize = 2_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "scripts/chaos runs it"]
async fn g1_half_of_all_calls_go_wrong() {
    let app = TestApp::production().start().await;
    let customer = app.operator.opens_unlimited_account().await;
    app.upstream
        .behaves(json!({"render_seconds": {"min": 0.2, "max": 1}, "fail": [
            {"kind": "rate_limited", "probability": 0.3},
            {"kind": "server_error", "probability": 0.1},
            {"kind": "reset", "probability": 0.05},
            {"kind": "hang", "probability": 0.03},
            {"kind": "slow_drip", "probability": 0.02},
        ]}))
        .await;
    let begun = Instant::now();
    let ids = customer.submits_many(COUNT).await;
    app.operator.sees_the_queue_empty(Duration::from_secs(900)).await;
    let took = begun.elapsed();
    let all = customer.lists(None).await;
    assert_eq!(all.len(), ids.len());
    let succeeded = all.iter().filter(|generation| generation.status == Status::Succeeded).count();
    let refunded: i64 = all.iter().map(|generation| generation.credits.refunded).sum();
    let account = customer.client.account().await.unwrap();
    let spent = account.limits.credits_per_month - account.credits.balance;
    let calls: usize = app.upstream.submissions().await.values().sum();
    let each = calls as f64 / COUNT as f64;
    let share = succeeded as f64 / COUNT as f64 * 100.0;
    tell(
        "G1",
        &format!(
            "{share:.2} % of {COUNT} succeeded, {each:.2} submissions each, {refunded} refunded, within {:.0} s",
            took.as_secs_f64()
        ),
    );
    assert!(share >= 99.5 && each <= 2.2);
    assert_eq!((refunded as usize, spent as usize), (COUNT - succeeded, succeeded), "every failure is refunded once");
    app.operator.proves_the_books().await;
    app.stops().await;
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "scripts/chaos runs it"]
async fn g2_the_upstream_is_down_for_a_minute() {
    const NORMAL: Duration = Duration::from_secs(20);
    const DOWN: Duration = Duration::from_secs(60);
    let app = TestApp::production().start().await;
    app.upstream.renders_in(2.0).await;
    let customer = app.operator.opens_unlimited_account().await;
    let (mut down, mut up) = (0, 0);
    let fault = async {
        tokio::time::sleep(NORMAL).await;
        app.upstream.behaves(json!({"fail": [{"kind": "server_error", "probability": 1}]})).await;
        down = now();
        tokio::time::sleep(DOWN).await;
        up = now();
        app.upstream.behaves(json!({"fail": []})).await;
    };
    let (offered, ()) = tokio::join!(offers(&customer, 20, NORMAL + DOWN + Duration::from_secs(15)), fault);
    offered.all_accepted();
    app.operator.sees_the_queue_empty(Duration::from_secs(120)).await;
    let calls = app.upstream.calls().await;
    let within = |from: u64, to: u64| calls.iter().filter(|call| (from..to).contains(&call.at)).count() as f64;
    // The first seconds of the run fill the system, and are not normal yet.
    let normal = within(down - 15_000, down) / 15.0;
    let all = within(down, up) / 60.0 / normal * 100.0;
    let open = within(down + 5_000, up) / 55.0 / normal * 100.0;
    let first = calls.iter().find(|call| call.at >= up && call.call == "generate" && call.status == Some(200)).unwrap();
    let recovery = (first.at - up) as f64 / 1_000.0;
    let succeeded = customer.lists(Some(Status::Succeeded)).await.len();
    let numbers = format!(
        "{normal:.0} calls a second as usual, {all:.2} % of that over the minute ({open:.2} % once it was noticed), accepted again after {recovery:.1} s, {succeeded} of {} succeeded",
        offered.ids.len()
    );
    tell("G2", &numbers);
    assert!(all < 5.0 && recovery < 10.0);
    customer.has_all_of(&offered.ids).await;
    app.operator.proves_the_books().await;
    app.stops().await;
}
