//! Cancels and deadlines: the customer's record ends at once, the worker's part when the upstream has been told.

use crate::fixture::{Customer, Fixture, an_error, an_output};
use domain::generation::{CanceledBy, ErrorCode};
use domain::ids::GenerationId;
use domain::ports::generations::{Canceled, Scope};
use domain::ports::work::{Applied, Claimed, Renewal};
use domain::state::Status;
use domain::tier::Tier;
use futures::{StreamExt, stream};
use std::time::Duration;

async fn cancel(customer: &Customer<'_>, id: GenerationId) -> bool {
    match customer.cancel(id).await {
        Canceled::Canceled { generation, tell_workers } => {
            assert_eq!((generation.id, generation.status), (id, Status::Canceled));
            assert_eq!(generation.error.map(|e| e.code), Some(ErrorCode::CanceledByCustomer));
            tell_workers
        }
        other => panic!("not canceled: {other:?}"),
    }
}

pub async fn waiting_work_is_canceled_and_gone(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let worker = at.worker().await;
    let id = customer.submit().await;
    assert!(!cancel(&customer, id).await);
    assert_eq!((customer.credits().await, at.seen(id).await.version), ((50, 0, 0), 2));
    assert_eq!(worker.claim(5).await, []);
    assert_eq!(at.generations.backlog(customer.id).await.unwrap().total, 0);
    at.assert_the_books_add_up().await;
}

pub async fn work_in_backoff_is_canceled_and_gone(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let worker = at.worker().await;
    let id = customer.submit().await;
    let held = worker.claim_one().await.held;
    worker.put_back(held, Duration::from_millis(1), true).await;
    assert!(!cancel(&customer, id).await);
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(worker.step().await.promoted, 0);
    assert_eq!((customer.credits().await, at.seen(id).await.attempts), ((50, 0, 0), 1));
    at.assert_the_books_add_up().await;
}

pub async fn owned_work_is_closed_by_its_worker(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let worker = at.worker().await;
    let id = customer.submit().await;
    let claimed = worker.claim_one().await;
    assert!(cancel(&customer, id).await);
    let canceled = at.seen(id).await;
    assert_eq!((customer.credits().await, canceled.attempts), ((50, 0, 0), 1));
    // Its token still counts, its owner hears of it, and whatever the owner writes is told so.
    assert_eq!(at.tokens.leases().await.unwrap().len(), 1);
    assert_eq!(worker.renew().await, Renewal::Renewed { drain: false, closing: vec![claimed.held] });
    assert_eq!(worker.try_settle(claimed.held, Ok(an_output())).await, Applied::Closing);
    assert_eq!(worker.try_settle(claimed.held, Err(an_error())).await, Applied::Closing);
    assert_eq!(worker.try_put_back(claimed.held, Duration::ZERO, true).await, Applied::Closing);
    assert_eq!(at.seen(id).await, canceled);
    assert_eq!(worker.held().await, [id]);
    worker.closed(claimed.held).await;
    assert_eq!((worker.held().await, at.tokens.leases().await.unwrap()), (vec![], vec![]));
    assert_eq!(at.seen(id).await, canceled);
    at.assert_the_books_add_up().await;
}

pub async fn a_render_is_closed_by_its_worker(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let worker = at.worker().await;
    let id = customer.submit().await;
    let claimed = worker.render_one().await;
    // What is not being closed cannot be.
    worker.closed(claimed.held).await;
    assert_eq!(worker.held().await, [id]);
    assert!(cancel(&customer, id).await);
    assert_eq!(customer.credits().await, (50, 0, 0));
    let seen = at.seen(id).await;
    assert_eq!((seen.version, seen.rendering_version), (4, Some(3)));
    worker.closed(claimed.held).await;
    assert_eq!(worker.held().await, []);
}

pub async fn a_cancel_between_the_upstreams_answer_and_its_record_keeps_the_upstreams_id(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let (worker, adopter) = (at.worker().await, at.worker().await);
    let id = customer.submit().await;
    let claimed = worker.claim_one().await;
    assert!(cancel(&customer, id).await);
    assert_eq!(worker.try_rendering(&claimed).await, [Applied::Closing]);
    // The worker dies before it has told the upstream: whoever adopts knows what to cancel there.
    worker.retire().await;
    let adopted = adopter.adopt().await;
    assert_eq!(adopted.len(), 1);
    assert_eq!(adopted[0].upstream_id, Some(format!("up-{id}")));
    assert_eq!(at.seen(id).await.status, Status::Canceled);
}

pub async fn a_final_generation_is_not_canceled(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let worker = at.worker().await;
    let id = customer.submit().await;
    let held = worker.claim_one().await.held;
    worker.succeed(held).await;
    let settled = at.seen(id).await;
    assert_eq!(customer.cancel(id).await, Canceled::AlreadyFinal(Box::new(settled.clone())));
    assert_eq!((at.seen(id).await, customer.credits().await), (settled, (49, 0, 1)));
    let canceled = customer.submit().await;
    cancel(&customer, canceled).await;
    let first = at.seen(canceled).await;
    assert_eq!(customer.cancel(canceled).await, Canceled::AlreadyFinal(Box::new(first)));
    assert_eq!(customer.credits().await, (49, 0, 1));
}

pub async fn somebody_elses_is_not_found(at: &Fixture) {
    let (one, two) = (at.customer(Tier::Pro).await, at.customer(Tier::Pro).await);
    let id = one.submit().await;
    assert_eq!(two.cancel(id).await, Canceled::NotFound);
    assert_eq!(two.cancel(two.submission().id).await, Canceled::NotFound);
    assert_eq!(at.generations.show(two.scope(), id).await.unwrap(), None);
    let by = at.generations.cancel(Scope::Everyone, id, CanceledBy::Operator).await.unwrap();
    let Canceled::Canceled { generation, .. } = by else { panic!("not canceled") };
    assert_eq!(generation.error.map(|e| e.code), Some(ErrorCode::CanceledByOperator));
}

pub async fn a_deadline_gives_up_and_refunds(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let worker = at.worker().await;
    let alive = customer.submit().await;
    let owned = worker.claim_one().await;
    assert_eq!(owned.held.id, alive);
    let late: Vec<_> = [customer.submit_past_its_deadline().await, customer.submit_past_its_deadline().await].into();
    let mut expired = at.generations.expire(1).await.unwrap();
    assert_eq!(expired.len(), 1);
    expired.extend(at.generations.expire(100).await.unwrap());
    let mut ids: Vec<_> = expired.iter().map(|(change, told)| (change.id, change.version, *told)).collect();
    ids.sort();
    let mut expected: Vec<_> = late.iter().map(|id| (*id, 2, false)).collect();
    expected.sort();
    assert_eq!(ids, expected);
    for id in late {
        let seen = at.seen(id).await;
        assert_eq!(seen.status, Status::Canceled);
        assert_eq!(seen.error.map(|e| e.code), Some(ErrorCode::DeadlineExceeded));
    }
    assert_eq!(customer.credits().await, (49, 1, 1));
    assert_eq!(at.generations.expire(100).await.unwrap(), []);
    assert_eq!(at.seen(alive).await.status, Status::Processing);
    at.assert_the_books_add_up().await;
}

pub async fn of_cancel_and_settle_exactly_one_wins(at: &Fixture) {
    let customer = at.customer_of(100).await;
    let worker = at.worker().await;
    customer.submit_many(40).await;
    let claimed = worker.claim(40).await;
    assert_eq!(claimed.len(), 40);
    // Four pairs at a time: more would wait for a connection, not for each other's rows.
    let races = stream::iter(claimed.iter().enumerate()).map(async |(n, Claimed { held, .. })| {
        let outcome = if n % 3 == 0 { Err(an_error()) } else { Ok(an_output()) };
        futures::join!(customer.cancel(held.id), worker.try_settle(*held, outcome))
    });
    let races: Vec<_> = races.buffered(4).collect().await;
    let mut left = 100;
    for (Claimed { held, .. }, (canceled, settled)) in claimed.iter().zip(&races) {
        let seen = at.seen(held.id).await;
        match (canceled, settled) {
            (Canceled::Canceled { .. }, Applied::Closing) => assert_eq!(seen.status, Status::Canceled),
            (Canceled::AlreadyFinal(was), Applied::Applied(_)) => assert_eq!(**was, seen),
            other => panic!("both or neither won: {other:?}"),
        }
        left -= i64::from(seen.status == Status::Succeeded);
        worker.closed(*held).await;
    }
    assert_eq!(customer.credits().await, (left, 0, 100 - left));
    assert_eq!(worker.held().await, []);
    at.assert_the_books_add_up().await;
}
