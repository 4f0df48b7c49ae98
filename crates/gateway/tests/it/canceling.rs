//! Canceling: wherever it stands, once, with the credit back.

use crate::app::App;
use domain::event::Notice;
use domain::ports::Accounts;
use domain::ports::doorbell::Heard;
use futures::StreamExt;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queued_one_ends_and_is_refunded() {
    let app = App::start().await;
    let customer = app.rich().await;
    let before = app.ledger.usage(customer.account).await.unwrap().unwrap().balance;
    let path = format!("/v1/generations/{}", customer.submitted("rain").await);
    let canceled = customer.post(&format!("{path}/cancel")).send().await;
    canceled.is(202);
    assert_eq!(canceled.body["status"], "canceled");
    assert_eq!(canceled.body["error"]["code"], "canceled_by_customer");
    assert_eq!(canceled.body["credits"]["refunded"], 1);
    assert_eq!(app.ledger.usage(customer.account).await.unwrap().unwrap().balance, before);
    let again = customer.post(&format!("{path}/cancel")).send().await;
    again.is_problem(409, "already_final");
    assert_eq!(again.body["generation_status"], "canceled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rendering_one_ends_and_its_worker_is_told() {
    let app = App::start().await;
    let customer = app.rich().await;
    let id = customer.submitted("rain").await;
    let mut notices = app.doorbell.notices();
    let backstage = app.backstage();
    let worker = backstage.worker().await;
    let claimed = worker.render_one().await;
    // Any body, of any type, is fine where none is documented.
    let call = customer.post(&format!("/v1/generations/{id}/cancel")).header("content-type", "text/plain");
    crate::app::Call(call.0.body("whatever")).send().await.is(202);
    let told = async {
        while let Some(heard) = notices.next().await {
            if heard == Heard::Rang(vec![Notice::Closing(id)]) {
                return;
            }
        }
        panic!("the doorbell ended");
    };
    tokio::time::timeout(Duration::from_secs(10), told).await.unwrap();
    // The completion that comes later loses.
    let late = worker.try_settle(claimed.held, Ok(conformance::fixture::an_output())).await;
    assert_eq!(late, domain::ports::work::Applied::Closing);
    assert_eq!(customer.get(&format!("/v1/generations/{id}")).await.body["status"], "canceled");
    backstage.assert_the_books_add_up().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_that_comes_after_the_end_loses() {
    let app = App::start().await;
    let customer = app.rich().await;
    let id = customer.submitted("rain").await;
    app.finish_one().await;
    let late = customer.post(&format!("/v1/generations/{id}/cancel")).send().await;
    late.is_problem(409, "already_final");
    assert_eq!(late.body["generation_status"], "succeeded");
}
