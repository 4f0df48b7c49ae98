//! Claims: each generation once, in fair order, by live workers only, and not while paused.

use crate::fixture::{Fixture, LONG_LEASE, Worker, an_output};
use domain::admission::{Submission, TAG_UNIT, Tag};
use domain::ids::{GenerationId, WorkerId};
use domain::ports::work::{Load, Renewal, StepReport};
use domain::state::{Stage, Status, WaitingOn};
use domain::tier::Tier;
use futures::future::join_all;
use std::collections::BTreeSet;

pub async fn a_claim_carries_all_that_submitting_takes(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let worker = at.worker().await;
    let submission = Submission { trace: Some("00-trace-span-01".to_owned()), ..customer.submission() };
    customer.try_submit(&submission).await;
    let lease = at.a_lease();
    let claimed = at.work.claim(worker.id, &[lease, at.a_lease()]).await.unwrap();
    assert_eq!(claimed.len(), 1);
    let claimed = &claimed[0];
    assert_eq!((claimed.held.id, claimed.account_id), (submission.id, customer.id));
    assert_eq!((&claimed.request, claimed.trace.as_deref()), (&submission.request, Some("00-trace-span-01")));
    assert_eq!((claimed.attempts, claimed.crashes, claimed.in_doubt, claimed.version), (1, 0, None, 2));
    assert_eq!((claimed.lease, claimed.tier), (lease, Tier::Pro));
    let seen = at.seen(submission.id).await;
    assert_eq!((seen.status, seen.stage), (Status::Processing, Some(Stage::Submitting)));
    assert_eq!((seen.attempts, seen.version, seen.started_version), (1, 2, Some(2)));
    assert_eq!((seen.created_at, seen.cancel_after), (claimed.created_at, claimed.deadline));
    assert!(seen.started_at.is_some_and(|started| started >= seen.created_at));
    assert_eq!((seen.waiting_on, seen.finished_at), (None, None));
    assert_eq!(worker.held().await, [submission.id]);
}

pub async fn two_workers_never_claim_the_same(at: &Fixture) {
    let customer = at.customer_of(100).await;
    let ids: BTreeSet<_> = customer.submit_many(60).await.into_iter().collect();
    let mut workers = Vec::new();
    for _ in 0..5 {
        workers.push(at.worker().await);
    }
    let claim_all = async |worker: &Worker<'_>| {
        let mut mine = Vec::new();
        loop {
            let claimed = worker.claim(4).await;
            if claimed.is_empty() {
                return mine;
            }
            mine.extend(claimed.into_iter().map(|c| c.held.id));
        }
    };
    let mut all: Vec<GenerationId> = join_all(workers.iter().map(claim_all)).await.concat();
    // Rows that a neighbour had locked are claimed by the next.
    all.extend(claim_all(&workers[0]).await);
    assert_eq!(all.len(), 60);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), ids);
}

pub async fn a_newcomer_stands_before_a_backlog(at: &Fixture) {
    let (busy, newcomer) = (at.customer_of(100).await, at.customer(Tier::Free).await);
    busy.submit_many(60).await;
    let worker = at.worker().await;
    worker.claim(10).await;
    let id = newcomer.submit().await;
    // One of the others was next already, and one has the same turn.
    assert!(worker.claim(3).await.iter().any(|c| c.held.id == id));
}

pub async fn turns_are_taken_by_share(at: &Fixture) {
    let (free, pro) = (at.customer_of(100).await, at.customer(Tier::Pro).await);
    let batch: Vec<_> = (0..60).map(|n| if n % 2 == 0 { free.submission() } else { pro.submission() }).collect();
    at.generations.submit(&batch).await.unwrap();
    let worker = at.worker().await;
    let claimed = worker.claim(30).await;
    assert_eq!(claimed.iter().filter(|c| c.account_id == pro.id).count(), 20);
    assert!(claimed.is_sorted_by_key(|c| c.tag));
}

pub async fn virtual_time_is_moved_by_the_step_and_never_back(at: &Fixture) {
    let (one, two) = (at.customer_of(100).await, at.customer_of(100).await);
    let worker = at.worker().await;
    one.submit_many(5).await;
    let greatest = worker.claim(5).await.iter().map(|c| c.tag).max().unwrap();
    assert_eq!(greatest, Tag(5 * TAG_UNIT));
    worker.step_having_claimed(greatest).await;
    worker.step_having_claimed(Tag(1)).await;
    // A newcomer starts at virtual now, not at the beginning of time.
    two.submit().await;
    assert_eq!(worker.claim_one().await.tag, Tag(6 * TAG_UNIT));
}

pub async fn nothing_is_claimed_while_paused(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let worker = at.worker().await;
    customer.submit_many(2).await;
    let running = worker.claim_one().await;
    at.pause(true).await;
    assert_eq!(worker.claim(5).await, []);
    assert!(worker.step().await.paused);
    assert!(at.generations.queue().await.unwrap().paused);
    // What is accepted waits, what runs goes on.
    let waiting = customer.submit().await;
    assert_eq!(at.seen(waiting).await.waiting_on, Some(WaitingOn::Paused));
    worker.succeed(running.held).await;
    at.pause(false).await;
    assert_eq!(worker.claim(5).await.len(), 2);
    assert!(!worker.step().await.paused);
}

pub async fn a_worker_without_a_standing_lease_claims_nothing(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    customer.submit().await;
    let nobody = WorkerId::new(at.now(), rand::random());
    assert_eq!(at.work.claim(nobody, &[at.a_lease()]).await.unwrap(), []);
    let lapsed = at.worker().await;
    lapsed.lapse().await;
    assert_eq!(lapsed.claim(1).await, []);
    let retired = at.worker().await;
    retired.retire().await;
    assert_eq!(retired.claim(1).await, []);
    assert_eq!(at.worker().await.claim(1).await.len(), 1);
}

pub async fn a_draining_worker_claims_nothing(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let worker = at.worker().await;
    customer.submit_many(2).await;
    let held = worker.claim_one().await.held;
    let load = Load { active: 1, rendering: 0, draining: true, cpu: None };
    let renewal = at.work.renew(worker.id, LONG_LEASE, load).await.unwrap();
    assert_eq!(renewal, Renewal::Renewed { drain: false, closing: vec![] });
    assert_eq!(worker.claim(1).await, []);
    // What it holds it may still finish.
    assert!(matches!(worker.try_settle(held, Ok(an_output())).await, domain::ports::work::Applied::Applied(_)));
}

pub async fn workers_are_listed_while_their_lease_stands(at: &Fixture) {
    let worker = at.worker().await;
    let load = Load { active: 3, rendering: 40, draining: false, cpu: Some(0.25) };
    at.work.renew(worker.id, LONG_LEASE, load).await.unwrap();
    let views = at.work.workers().await.unwrap();
    assert_eq!(views.len(), 1);
    let view = &views[0];
    assert_eq!((view.id, view.name.as_str(), view.version.as_str()), (worker.id, "host:1", "0.1.0"));
    assert_eq!((view.slots, view.active, view.rendering, view.draining), (50, 3, 40, false));
    assert_eq!(view.cpu, Some(0.25));
    assert!(view.renewed_at >= view.started_at);
    worker.lapse().await;
    assert!(!worker.is_listed().await);
    // A step with nothing to do is no error.
    let report = StepReport { greatest_tag: Tag(0), ..StepReport::default() };
    at.work.step(at.worker().await.id, report).await.unwrap();
}
