//! The end of a generation: one result, credits captured or given back once, and nothing moves it afterwards.

use crate::fixture::{Fixture, an_error, an_output, applied};
use domain::event::MilestoneKind;
use domain::generation::CreditState;
use domain::lease::{Fence, Held};
use domain::ports::work::{Accepted, Applied, Settlement};
use domain::state::Status;
use domain::tier::Tier;
use futures::future::join_all;

pub async fn a_success_touches_no_account(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let worker = at.worker().await;
    let id = customer.submit().await;
    let entries = customer.entries().await;
    let claimed = worker.render_one().await;
    assert_eq!(customer.credits().await, (49, 1, 1));
    let change = worker.succeed(claimed.held).await;
    assert_eq!((change.id, change.account_id, change.version), (id, customer.id, 4));
    let seen = at.seen(id).await;
    assert_eq!((seen.status, seen.stage, seen.version), (Status::Succeeded, None, 4));
    assert_eq!((seen.output.clone(), seen.error.clone()), (Some(an_output()), None));
    assert_eq!(seen.credits(), CreditState { reserved: 0, captured: 1, refunded: 0 });
    assert_eq!(seen.attempts, 1);
    let kinds: Vec<_> = seen.milestones_after(0).iter().map(|m| (m.kind, m.version)).collect();
    use MilestoneKind as K;
    assert_eq!(kinds, [(K::Accepted, 1), (K::Started, 2), (K::Rendering, 3), (K::Ended, 4)]);
    assert_eq!((customer.credits().await, customer.entries().await), ((49, 0, 1), entries));
    assert_eq!(worker.held().await, []);
    at.assert_the_books_add_up().await;
}

pub async fn a_failure_is_refunded_once(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let worker = at.worker().await;
    let id = customer.submit().await;
    let claimed = worker.render_one().await;
    worker.fail(claimed.held).await;
    assert_eq!(worker.try_settle(claimed.held, Err(an_error())).await, Applied::Stale);
    let seen = at.seen(id).await;
    assert_eq!((seen.status, seen.error.clone()), (Status::Failed, Some(an_error())));
    assert_eq!(seen.credits(), CreditState { reserved: 0, captured: 0, refunded: 1 });
    assert_eq!(customer.credits().await, (50, 0, 0));
    assert_eq!(customer.entries().await.len(), 3);
    at.assert_the_books_add_up().await;
}

pub async fn what_is_settled_never_changes(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let (worker, other) = (at.worker().await, at.worker().await);
    let id = customer.submit().await;
    let claimed = worker.render_one().await;
    worker.succeed(claimed.held).await;
    let settled = at.seen(id).await;
    assert_eq!(worker.try_settle(claimed.held, Err(an_error())).await, Applied::Stale);
    assert_eq!(worker.try_put_back(claimed.held, std::time::Duration::ZERO, true).await, Applied::Stale);
    assert_eq!(worker.try_rendering(&claimed).await, [Applied::Stale]);
    worker.closed(claimed.held).await;
    let stolen = Held { id, fence: Fence(claimed.held.fence.0 + 1) };
    assert_eq!(other.try_settle(stolen, Err(an_error())).await, Applied::Stale);
    assert_eq!(at.seen(id).await, settled);
    assert_eq!(customer.credits().await, (49, 0, 1));
}

pub async fn of_many_settlements_at_once_one_holds(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let worker = at.worker().await;
    let id = customer.submit().await;
    let held = worker.render_one().await.held;
    let tries = (0..10).map(|n| worker.try_settle(held, if n % 2 == 0 { Ok(an_output()) } else { Err(an_error()) }));
    let outcomes = join_all(tries).await;
    assert_eq!(outcomes.iter().filter(|o| matches!(o, Applied::Applied(_))).count(), 1);
    assert_eq!(outcomes.iter().filter(|o| matches!(o, Applied::Stale)).count(), 9);
    assert!(at.seen(id).await.status.is_final());
    at.assert_the_books_add_up().await;
}

pub async fn a_batch_settles_each_for_itself(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let worker = at.worker().await;
    customer.submit_many(3).await;
    let claimed = worker.claim(3).await;
    let settle = |held, outcome| Settlement { held, outcome, upstream_id: None };
    let stale = Held { fence: Fence(claimed[1].held.fence.0 - 1), ..claimed[1].held };
    let batch = [
        settle(claimed[0].held, Ok(an_output())),
        settle(stale, Ok(an_output())),
        settle(claimed[2].held, Err(an_error())),
        // The same once more within the batch.
        settle(claimed[0].held, Ok(an_output())),
    ];
    let outcomes = at.work.settle(worker.id, &batch).await.unwrap();
    assert!(matches!(outcomes[0], Applied::Applied(change) if change.id == claimed[0].held.id));
    assert_eq!(outcomes[1], Applied::Stale);
    assert!(matches!(outcomes[2], Applied::Applied(change) if change.id == claimed[2].held.id));
    assert_eq!(outcomes[3], Applied::Stale);
    assert_eq!(at.seen(claimed[1].held.id).await.status, Status::Processing);
    assert_eq!(customer.credits().await, (48, 1, 2));
    at.assert_the_books_add_up().await;
}

pub async fn an_upstream_that_completes_at_once_needs_no_rendering(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let worker = at.worker().await;
    let id = customer.submit().await;
    let held = worker.claim_one().await.held;
    let settlement = Settlement { held, outcome: Ok(an_output()), upstream_id: Some("at-once".to_owned()) };
    applied(&at.work.settle(worker.id, &[settlement]).await.unwrap());
    let seen = at.seen(id).await;
    assert_eq!((seen.status, seen.rendering_at, seen.version), (Status::Succeeded, None, 3));
    let history = at.generations.attempts(id).await.unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!((history[0].upstream_id.as_deref(), history[0].outcome.as_str()), (Some("at-once"), "succeeded"));
}

pub async fn a_render_is_recorded_once(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let worker = at.worker().await;
    let id = customer.submit().await;
    let claimed = worker.claim_one().await;
    let used = at.a_lease();
    let accepted = Accepted { held: claimed.held, upstream_id: "up-1".to_owned(), lease: used };
    let change = applied(&at.work.rendering(worker.id, std::slice::from_ref(&accepted)).await.unwrap());
    assert_eq!((change.id, change.version), (id, 3));
    // The lease that was used in the end is the one on record.
    let leases = at.tokens.leases().await.unwrap();
    assert_eq!(leases.iter().map(|l| (l.lease_id, l.token_id)).collect::<Vec<_>>(), [(used.lease_id, used.token_id)]);
    let seen = at.seen(id).await;
    assert_eq!((seen.version, seen.rendering_version), (3, Some(3)));
    assert!(seen.rendering_at.is_some());
    // It renders already: the same again changes nothing.
    assert_eq!(at.work.rendering(worker.id, &[accepted]).await.unwrap(), [Applied::Stale]);
    assert_eq!(at.seen(id).await, seen);
}
