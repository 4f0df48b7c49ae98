//! How many workers there should be, as an operator reads it: in one process, and beside a fleet.

use crate::system::{TestApp, until};
use client::Submission;
use client::admin::ScalingView;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

async fn says(app: &TestApp, what: &str, holds: impl Fn(&ScalingView) -> bool) -> ScalingView {
    until(what, PATIENCE, async || {
        let scaling = app.operator.client.admin().scaling().await.unwrap();
        holds(&scaling).then_some(scaling)
    })
    .await
}

#[tokio::test]
async fn a_process_that_is_all_there_is_advises_by_itself() {
    let app = TestApp::embedded().setting("SCALING_INTERVAL", &1_000).start().await;
    let said = says(&app, "advice of its own", |scaling| scaling.controller == "advise" && scaling.inputs.workers == 1);
    let said = said.await;
    assert_eq!((said.current, said.desired, said.min, said.max), (1, 1, 1, 10));
    assert_eq!(said.failure, None);
    app.stops().await;
}

#[tokio::test]
async fn a_fleet_that_falls_behind_is_told_to_grow() {
    let starts_slowly = TestApp::production().setting("GENERATION_RATE_LIMIT", &1).setting("LEASE_SECONDS", &12);
    let mut app = starts_slowly.start().await;
    let untold = app.operator.client.admin().scaling().await.unwrap();
    assert_eq!((untold.controller.as_str(), untold.rule.as_str()), ("none", "no_data"));
    let address = app.starts_autoscaler("autoscaler", &[("SCALING_INTERVAL", "1000")]).await;
    let said =
        says(&app, "the fleet's CPU", |scaling| scaling.controller == "advise" && scaling.inputs.cpu.is_some()).await;
    assert_eq!((said.current, said.desired, said.inputs.workers), (3, 3, 3));
    assert!(said.inputs.token_free > 500, "{said:?}");

    let customer = app.operator.opens_unlimited_account().await;
    let submissions = (0..180).map(|number| Submission::of(format!("song {number}")));
    let submitting = submissions.map(async |submission| customer.client.submit(&submission).await.unwrap());
    futures::future::join_all(submitting).await;
    let said = says(&app, "more workers", |scaling| scaling.desired > 3).await;
    assert_eq!((said.current, said.desired), (3, 5));
    let shown = app.admin(&["scaling"]).await;
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.starts_with("3 of 5 workers (1 to 10 allowed), by advise\n"), "{shown}");

    let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let ready = http.get(format!("{address}/readyz")).send().await.unwrap();
    assert!(ready.status().is_success() && ready.text().await.unwrap().contains("\"controller\""));
    assert_eq!(app.process("autoscaler").counts("son1k_scaling_desired_replicas").await, 5.0);
    app.stops().await;
}
