//! Workers that die: what they were submitting is put back in doubt, what renders is adopted, and their own late writes change nothing.

use crate::fixture::{Fixture, LONG_LEASE, an_error, an_output};
use domain::generation::ErrorCode;
use domain::ids::{GenerationId, WorkerId};
use domain::ports::work::{Applied, Load, Renewal};
use domain::retry::CRASHES_MOST;
use domain::state::{Stage, Status, WorkState};
use domain::tier::Tier;
use futures::future::join_all;
use std::collections::BTreeSet;
use std::time::Duration;

pub async fn a_dead_workers_submission_is_put_back_in_doubt(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let (dying, other) = (at.worker().await, at.worker().await);
    let id = customer.submit().await;
    let first = dying.claim_one().await;
    assert_eq!((other.step().await.died, other.claim(1).await.len()), (0, 0));
    dying.lapse().await;
    let stepped = other.step().await;
    assert_eq!((stepped.died, stepped.requeued), (1, 1));
    let seen = at.seen(id).await;
    assert_eq!((seen.status, seen.stage), (Status::Queued, Some(Stage::Backlog)));
    assert_eq!(at.tokens.leases().await.unwrap(), []);
    let second = other.claim_one().await;
    // A crash is counted for itself: it costs no attempt.
    assert_eq!((second.held.id, second.crashes, second.attempts), (id, 1, 1));
    assert_eq!(second.in_doubt, Some(first.lease.token_id));
    assert!(second.held.fence > first.held.fence);
    // The dead one wakes: nothing it writes is heard.
    assert_eq!(dying.try_settle(first.held, Ok(an_output())).await, Applied::Stale);
    assert_eq!(dying.try_put_back(first.held, Duration::ZERO, true).await, Applied::Stale);
    assert_eq!(dying.try_rendering(&first).await, [Applied::Stale]);
    // Put back without having been tried: the doubt stays. Tried: it is over.
    other.put_back(second.held, Duration::ZERO, false).await;
    let third = other.claim_one().await;
    assert_eq!(third.in_doubt, Some(first.lease.token_id));
    // Nor does a second death before the repeat: the doubt is still about the first token.
    other.lapse().await;
    let last = at.worker().await;
    assert_eq!(last.step().await.requeued, 1);
    let fourth = last.claim_one().await;
    assert_eq!((fourth.in_doubt, fourth.crashes), (Some(first.lease.token_id), 2));
    last.put_back(fourth.held, Duration::ZERO, true).await;
    assert_eq!(last.claim_one().await.in_doubt, None);
    assert_eq!(customer.credits().await, (49, 1, 1));
}

pub async fn a_worker_that_was_out_of_touch_itself_finds_nobody_dead(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let (silent, other) = (at.worker().await, at.worker().await);
    customer.submit().await;
    silent.claim_one().await;
    silent.lapse().await;
    let spared = other.step_sparing_the_silent().await;
    assert_eq!((spared.died, spared.requeued), (0, 0));
    // It comes back with what it had.
    assert!(matches!(silent.renew().await, Renewal::Renewed { .. }));
    assert_eq!((other.step().await.died, silent.held().await.len()), (0, 1));
    silent.lapse().await;
    let found = other.step().await;
    assert_eq!((found.died, found.requeued), (1, 1));
}

pub async fn a_dead_workers_render_is_adopted_and_its_own_writes_are_stale(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let (dying, other) = (at.worker().await, at.worker().await);
    let id = customer.submit().await;
    let claimed = dying.render_one().await;
    let rendering = at.seen(id).await;
    assert_eq!(other.adopt().await, []);
    dying.lapse().await;
    let stepped = other.step().await;
    assert_eq!((stepped.died, stepped.requeued), (1, 0));
    let adopted = other.adopt().await;
    assert_eq!(adopted.len(), 1);
    let adopted = &adopted[0];
    assert_eq!((adopted.held.id, adopted.account_id, adopted.state), (id, customer.id, WorkState::Rendering));
    assert!(adopted.held.fence > claimed.held.fence);
    assert_eq!((adopted.lease, adopted.upstream_id.clone()), (claimed.lease, Some(format!("up-{id}"))));
    assert_eq!((adopted.attempts, adopted.rendering_at), (1, rendering.rendering_at));
    assert_eq!((adopted.deadline, adopted.duration_seconds), (rendering.cancel_after, 60));
    // The customer sees no difference, and the old owner can make none.
    assert_eq!(at.seen(id).await, rendering);
    assert_eq!(dying.try_settle(claimed.held, Err(an_error())).await, Applied::Stale);
    assert_eq!(dying.try_put_back(claimed.held, Duration::ZERO, true).await, Applied::Stale);
    assert_eq!(dying.try_rendering(&claimed).await, [Applied::Stale]);
    dying.closed(claimed.held).await;
    assert_eq!(at.seen(id).await, rendering);
    assert_eq!(customer.credits().await, (49, 1, 1));
    other.succeed(adopted.held).await;
    assert_eq!(at.seen(id).await.status, Status::Succeeded);
    let outcomes: Vec<_> = at.generations.attempts(id).await.unwrap().into_iter().map(|a| a.outcome).collect();
    assert_eq!(outcomes, ["adopted", "succeeded"]);
    at.assert_the_books_add_up().await;
}

pub async fn a_retired_workers_renders_are_adopted_at_once(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let (leaving, other) = (at.worker().await, at.worker().await);
    customer.submit_many(2).await;
    let rendering = leaving.render_one().await;
    let submitting = leaving.claim_one().await;
    // It drains: hands back what has not been submitted, leaves what renders.
    leaving.put_back(submitting.held, Duration::ZERO, false).await;
    leaving.retire().await;
    assert!(!leaving.is_listed().await);
    let adopted: Vec<_> = other.adopt().await.iter().map(|a| a.held.id).collect();
    assert_eq!(adopted, [rendering.held.id]);
    let claimed = other.claim_one().await;
    assert_eq!((claimed.held.id, claimed.crashes, claimed.in_doubt), (submitting.held.id, 0, None));
    // Retiring once more, or as nobody, is no error.
    leaving.retire().await;
    at.work.retire(WorkerId::new(at.now(), rand::random())).await.unwrap();
}

pub async fn adopters_at_once_take_each_render_once(at: &Fixture) {
    let customer = at.customer_of(100).await;
    let dying = at.worker().await;
    let ids: BTreeSet<_> = customer.submit_many(30).await.into_iter().collect();
    for _ in 0..30 {
        dying.render_one().await;
    }
    dying.lapse().await;
    let adopters = [at.worker().await, at.worker().await, at.worker().await];
    let steps = join_all(adopters.iter().map(|worker| worker.step())).await;
    assert_eq!(steps.iter().map(|stepped| stepped.died).sum::<u64>(), 1);
    let mut all: Vec<GenerationId> = Vec::new();
    // Rows that a neighbour had locked are taken by the next round.
    for _ in 0..3 {
        let round = join_all(adopters.iter().map(|worker| worker.adopt())).await;
        all.extend(round.iter().flatten().map(|adopted| adopted.held.id));
    }
    assert_eq!((all.len(), all.into_iter().collect::<BTreeSet<_>>()), (30, ids));
}

pub async fn closing_work_is_adopted_too(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let (dying, other) = (at.worker().await, at.worker().await);
    let ids = customer.submit_many(2).await;
    let rendering = dying.render_one().await;
    dying.claim_one().await;
    for id in &ids {
        customer.cancel(*id).await;
    }
    dying.lapse().await;
    other.step().await;
    let mut adopted = other.adopt().await;
    adopted.sort_by_key(|a| a.held.id != rendering.held.id);
    assert_eq!(adopted.iter().map(|a| a.state).collect::<Vec<_>>(), [WorkState::Closing; 2]);
    assert_eq!(adopted.iter().map(|a| a.upstream_id.is_some()).collect::<Vec<_>>(), [true, false]);
    for adopted in adopted {
        assert_eq!(other.try_settle(adopted.held, Ok(an_output())).await, Applied::Closing);
        other.closed(adopted.held).await;
    }
    assert_eq!(other.held().await, []);
    assert_eq!(customer.credits().await, (50, 0, 0));
    at.assert_the_books_add_up().await;
}

pub async fn a_generation_that_kills_its_workers_fails(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let watcher = at.worker().await;
    let id = customer.submit().await;
    for crash in 1..=CRASHES_MOST {
        let dying = at.worker().await;
        assert_eq!(dying.claim_one().await.crashes, crash - 1);
        dying.lapse().await;
        assert_eq!(watcher.step().await.died, 1);
    }
    assert_eq!(watcher.claim(1).await, []);
    let seen = at.seen(id).await;
    assert_eq!((seen.status, seen.error.map(|e| e.code)), (Status::Failed, Some(ErrorCode::Internal)));
    assert_eq!(customer.credits().await, (50, 0, 0));
    assert_eq!(at.tokens.leases().await.unwrap(), []);
    assert_eq!(at.generations.attempts(id).await.unwrap().last().map(|a| a.outcome.clone()), Some("failed".into()));
    at.assert_the_books_add_up().await;
}

pub async fn a_dead_worker_never_revives(at: &Fixture) {
    let (dying, other) = (at.worker().await, at.worker().await);
    // Late, but nobody has found it dead yet.
    dying.lapse().await;
    assert!(matches!(dying.renew().await, Renewal::Renewed { .. }));
    assert!(dying.is_listed().await);
    dying.lapse().await;
    assert_eq!(other.step().await.died, 1);
    assert_eq!(dying.renew().await, Renewal::Lost);
    assert_eq!(other.step().await.died, 0);
    let nobody = WorkerId::new(at.now(), rand::random());
    assert_eq!(at.work.renew(nobody, LONG_LEASE, Load::default()).await.unwrap(), Renewal::Lost);
}

pub async fn what_its_owner_does_not_know_of_is_taken_over_anew(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let (worker, other) = (at.worker().await, at.worker().await);
    customer.submit_many(2).await;
    let (rendering, submitting) = (worker.render_one().await, worker.claim_one().await);
    let both = [rendering.held, submitting.held];
    assert_eq!(at.work.resume(other.id, &both).await.unwrap(), []);
    let resumed = at.work.resume(worker.id, &both).await.unwrap();
    assert_eq!(
        resumed.iter().map(|one| (one.held.id, one.state)).collect::<Vec<_>>(),
        [(rendering.held.id, WorkState::Rendering)]
    );
    assert!(resumed[0].held.fence > rendering.held.fence);
    assert_eq!(resumed[0].upstream_id, Some(format!("up-{}", rendering.held.id)));
    // Asked again with what it was, it finds nothing; and what is still sent for that is stale.
    assert_eq!(at.work.resume(worker.id, &both).await.unwrap(), []);
    assert_eq!(worker.try_settle(rendering.held, Ok(an_output())).await, Applied::Stale);
    worker.succeed(resumed[0].held).await;
    worker.succeed(submitting.held).await;
    at.assert_the_books_add_up().await;
}

pub async fn adoption_takes_no_more_than_asked(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let (dying, other) = (at.worker().await, at.worker().await);
    customer.submit_many(5).await;
    for _ in 0..5 {
        dying.render_one().await;
    }
    dying.retire().await;
    assert_eq!(at.work.adopt(other.id, 0).await.unwrap(), []);
    let mut sizes = Vec::new();
    for _ in 0..3 {
        sizes.push(at.work.adopt(other.id, 2).await.unwrap().len());
    }
    assert_eq!(sizes, [2, 2, 1]);
}

pub async fn a_lapsed_worker_adopts_nothing(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let (dying, late, other) = (at.worker().await, at.worker().await, at.worker().await);
    customer.submit().await;
    dying.render_one().await;
    dying.retire().await;
    late.lapse().await;
    assert_eq!(late.adopt().await, []);
    assert_eq!(other.adopt().await.len(), 1);
}

pub async fn a_worker_sees_what_the_ledger_says_it_holds(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let (one, two) = (at.worker().await, at.worker().await);
    customer.submit_many(4).await;
    let mut expected: Vec<_> = one.claim(2).await.iter().map(|c| (c.held.id, c.held.fence)).collect();
    two.claim(1).await;
    expected.sort();
    let mut held = at.work.held(one.id).await.unwrap();
    held.sort();
    assert_eq!(held, expected);
    assert_eq!(two.held().await.len(), 1);
}

pub async fn a_worker_that_was_asked_to_drain_hears_it(at: &Fixture) {
    let worker = at.worker().await;
    assert_eq!(worker.renew().await, Renewal::Renewed { drain: false, closing: vec![] });
    assert!(at.work.ask_to_drain(worker.id).await.unwrap());
    assert_eq!(worker.renew().await, Renewal::Renewed { drain: true, closing: vec![] });
    worker.retire().await;
    assert!(!at.work.ask_to_drain(worker.id).await.unwrap());
    assert!(!at.work.ask_to_drain(WorkerId::new(at.now(), rand::random())).await.unwrap());
}
