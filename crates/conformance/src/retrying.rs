//! Work that is put back: at once or later, with or without an attempt used.

use crate::fixture::{Fixture, an_output};
use domain::lease::{Fence, Held};
use domain::ports::work::Applied;
use domain::state::{Stage, Status, WaitingOn};
use domain::tier::Tier;
use std::time::Duration;

const NEVER: Duration = Duration::from_secs(3_000);

pub async fn what_is_put_back_without_an_attempt_costs_none(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let (worker, other) = (at.worker().await, at.worker().await);
    let id = customer.submit().await;
    let first = worker.claim_one().await;
    let change = worker.put_back(first.held, Duration::ZERO, false).await;
    assert_eq!((change.id, change.version), (id, 3));
    let seen = at.seen(id).await;
    assert_eq!((seen.status, seen.stage, seen.attempts), (Status::Queued, Some(Stage::Backlog), 0));
    // Its first claim stays the moment at which it was started.
    assert_eq!(seen.started_version, Some(2));
    assert_eq!((worker.held().await, at.tokens.leases().await.unwrap()), (vec![], vec![]));
    let second = other.claim_one().await;
    assert_eq!((second.attempts, second.tag), (1, first.tag));
    assert!(second.held.fence > first.held.fence);
    assert_eq!(at.seen(id).await.started_at, seen.started_at);
    assert_eq!(customer.credits().await, (49, 1, 1));
}

pub async fn a_retry_keeps_its_turn_and_counts_its_attempt(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let worker = at.worker().await;
    let ids = customer.submit_many(3).await;
    let first = worker.claim_one().await;
    assert_eq!(first.held.id, ids[0]);
    worker.put_back(first.held, Duration::ZERO, true).await;
    let again = worker.claim_one().await;
    assert_eq!((again.held.id, again.attempts, again.tag), (ids[0], 2, first.tag));
    assert_eq!(at.seen(ids[0]).await.attempts, 2);
}

pub async fn a_submission_whose_answer_was_lost_belongs_to_its_token(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let worker = at.worker().await;
    let id = customer.submit().await;
    let first = worker.claim_one().await;
    worker.put_back_in_doubt(first.held, first.lease.token_id).await;
    let second = worker.claim_one().await;
    assert_eq!((second.in_doubt, second.attempts), (Some(first.lease.token_id), 2));
    // Untried, it stays in doubt; lost again, by whatever token it went out with, it is that one's.
    worker.put_back(second.held, Duration::ZERO, false).await;
    let third = worker.claim_one().await;
    assert_eq!(third.in_doubt, Some(first.lease.token_id));
    worker.put_back_in_doubt(third.held, third.lease.token_id).await;
    let fourth = worker.claim_one().await;
    assert_eq!(fourth.in_doubt, Some(third.lease.token_id));
    // A try with an answer ends the doubt, and so does the upstream's yes.
    worker.put_back(fourth.held, Duration::ZERO, true).await;
    let fifth = worker.claim_one().await;
    assert_eq!((fifth.held.id, fifth.in_doubt), (id, None));
    worker.put_back_in_doubt(fifth.held, fifth.lease.token_id).await;
    let sixth = worker.render_one().await;
    worker.put_back(sixth.held, Duration::ZERO, false).await;
    assert_eq!(worker.claim_one().await.in_doubt, None);
}

pub async fn backoff_is_not_claimed_until_it_is_due(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let worker = at.worker().await;
    let id = customer.submit().await;
    let held = worker.claim_one().await.held;
    worker.put_back(held, NEVER, true).await;
    assert_eq!(worker.step().await.promoted, 0);
    assert_eq!(worker.claim(1).await, []);
    let seen = at.seen(id).await;
    assert_eq!((seen.status, seen.stage), (Status::Queued, Some(Stage::Backoff)));
    assert_eq!(seen.waiting_on, Some(WaitingOn::RetryBackoff));
    assert_eq!(at.generations.queue().await.unwrap().waiting, 1);
    assert_eq!(at.generations.backlog(customer.id).await.unwrap().account, 1);
    assert_eq!(customer.credits().await, (49, 1, 1));
}

pub async fn backoff_that_is_due_is_promoted_by_the_step(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let worker = at.worker().await;
    let ids = customer.submit_many(2).await;
    for claimed in worker.claim(2).await {
        let after = if claimed.held.id == ids[0] { Duration::from_millis(5) } else { NEVER };
        worker.put_back(claimed.held, after, true).await;
    }
    worker.step_until(|stepped| stepped.promoted == 1).await;
    let claimed = worker.claim(2).await;
    assert_eq!(claimed.iter().map(|c| c.held.id).collect::<Vec<_>>(), [ids[0]]);
}

pub async fn a_render_that_is_put_back_starts_over(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let worker = at.worker().await;
    let id = customer.submit().await;
    let first = worker.render_one().await;
    let rendered = at.seen(id).await;
    assert_eq!((rendered.stage, rendered.rendering_version), (Some(Stage::Rendering), Some(3)));
    worker.put_back(first.held, Duration::ZERO, true).await;
    let queued = at.seen(id).await;
    assert_eq!((queued.status, queued.version), (Status::Queued, 4));
    assert_eq!((queued.rendering_at, queued.rendering_version), (None, None));
    let again = worker.render_one().await;
    assert_eq!(again.attempts, 2);
    assert_eq!(at.seen(id).await.rendering_version, Some(6));
    worker.succeed(again.held).await;
    let seen = at.seen(id).await;
    assert_eq!((seen.status, seen.attempts, seen.version), (Status::Succeeded, 2, 7));
    let history = at.generations.attempts(id).await.unwrap();
    assert_eq!(history.iter().map(|a| a.outcome.as_str()).collect::<Vec<_>>(), ["retried", "succeeded"]);
}

pub async fn a_stale_put_back_changes_nothing(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let (worker, other) = (at.worker().await, at.worker().await);
    let id = customer.submit().await;
    let claimed = worker.claim_one().await;
    let old = Held { fence: Fence(claimed.held.fence.0 - 1), ..claimed.held };
    for (who, held) in [(&worker, old), (&other, claimed.held)] {
        assert_eq!(who.try_put_back(held, Duration::ZERO, true).await, Applied::Stale);
        assert_eq!(who.try_settle(held, Ok(an_output())).await, Applied::Stale);
    }
    assert_eq!(other.try_rendering(&claimed).await, [Applied::Stale]);
    assert_eq!(at.seen(id).await.stage, Some(Stage::Submitting));
    // Put back twice: the second is late.
    worker.put_back(claimed.held, Duration::ZERO, true).await;
    assert_eq!(worker.try_put_back(claimed.held, Duration::ZERO, true).await, Applied::Stale);
    assert_eq!(at.seen(id).await.attempts, 1);
}
