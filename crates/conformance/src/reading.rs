//! What customers and operators read: pages, filters, milestones, reasons to wait, the queue in numbers, each try.

use crate::fixture::{Fixture, an_error};
use chrono::TimeDelta;
use domain::event::MilestoneKind;
use domain::generation::ErrorCode;
use domain::ids::GenerationId;
use domain::page::PageRequest;
use domain::ports::generations::{GenerationFilter, Scope};
use domain::ports::work::StepReport;
use domain::state::{Stage, Status, WaitingOn};
use domain::tier::Tier;
use std::time::Duration;

async fn ids(at: &Fixture, scope: Scope, filter: GenerationFilter) -> Vec<GenerationId> {
    let page = at.generations.list(scope, &filter, PageRequest { limit: 100, after: None }).await.unwrap();
    assert_eq!(page.next, None);
    page.items.into_iter().map(|generation| generation.id).collect()
}

pub async fn pages_neither_skip_nor_repeat(at: &Fixture) {
    let (customer, other) = (at.customer_of(100).await, at.customer_of(100).await);
    let mut expected = customer.submit_many(11).await;
    other.submit_many(5).await;
    expected.sort();
    expected.reverse();
    let (mut after, mut seen, mut pages) = (None, Vec::new(), 0);
    loop {
        let page = PageRequest { limit: 4, after };
        let page = at.generations.list(customer.scope(), &GenerationFilter::default(), page).await.unwrap();
        seen.extend(page.items.iter().map(|generation| generation.id));
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
        // Rows that arrive meanwhile are newer than the page: in a new millisecond, for that is what ids tell apart.
        tokio::time::sleep(Duration::from_millis(2)).await;
        customer.submit().await;
    }
    assert_eq!((seen, pages), (expected, 3));
    assert_eq!(ids(at, Scope::Everyone, GenerationFilter::default()).await.len(), 18);
    // A page that is exactly full is the last one.
    let page = PageRequest { limit: 5, after: None };
    let page = at.generations.list(other.scope(), &GenerationFilter::default(), page).await.unwrap();
    assert_eq!((page.items.len(), page.next), (5, None));
}

pub async fn filters_narrow_and_scopes_hold(at: &Fixture) {
    let (customer, other) = (at.customer(Tier::Pro).await, at.customer(Tier::Premium).await);
    let worker = at.worker().await;
    let submitted = customer.submit_many(6).await;
    let claimed = worker.claim(4).await;
    worker.succeed(claimed[0].held).await;
    worker.fail(claimed[1].held).await;
    worker.try_rendering(&claimed[2]).await;
    let backoff = worker.put_back(claimed[3].held, Duration::from_secs(600), true).await.id;
    customer.cancel(submitted[4]).await;
    let theirs = other.submit().await;
    let status = |status| GenerationFilter { status: Some(status), ..GenerationFilter::default() };
    let stage = |stage| GenerationFilter { stage: Some(stage), ..GenerationFilter::default() };
    let mut queued = vec![submitted[5], backoff];
    queued.sort();
    queued.reverse();
    for (filter, expected) in [
        (status(Status::Queued), queued.clone()),
        (status(Status::Processing), vec![claimed[2].held.id]),
        (status(Status::Succeeded), vec![claimed[0].held.id]),
        (status(Status::Failed), vec![claimed[1].held.id]),
        (status(Status::Canceled), vec![submitted[4]]),
        (stage(Stage::Backlog), vec![submitted[5]]),
        (stage(Stage::Backoff), vec![backoff]),
        (stage(Stage::Submitting), vec![]),
        (stage(Stage::Rendering), vec![claimed[2].held.id]),
        (stage(Stage::Finalizing), vec![]),
        (GenerationFilter { stage: Some(Stage::Backoff), ..status(Status::Queued) }, vec![backoff]),
        (GenerationFilter { stage: Some(Stage::Backoff), ..status(Status::Succeeded) }, vec![]),
        (
            GenerationFilter { error_code: Some(ErrorCode::UpstreamUnavailable), ..status(Status::Failed) },
            vec![claimed[1].held.id],
        ),
        (GenerationFilter { error_code: Some(ErrorCode::Internal), ..GenerationFilter::default() }, vec![]),
        (GenerationFilter { tier: Some(Tier::Premium), ..GenerationFilter::default() }, vec![]),
    ] {
        let asked = format!("{filter:?}");
        assert_eq!(ids(at, customer.scope(), filter).await, expected, "{asked}");
    }
    let premium = GenerationFilter { tier: Some(Tier::Premium), ..GenerationFilter::default() };
    assert_eq!(ids(at, Scope::Everyone, premium).await, [theirs]);
    let hour = TimeDelta::hours(1);
    let after = |created_after| GenerationFilter { created_after: Some(created_after), ..GenerationFilter::default() };
    let before =
        |created_before| GenerationFilter { created_before: Some(created_before), ..GenerationFilter::default() };
    assert_eq!(ids(at, customer.scope(), after(at.now() - hour)).await.len(), 6);
    assert_eq!(ids(at, customer.scope(), after(at.now() + hour)).await, []);
    assert_eq!(ids(at, customer.scope(), before(at.now() + hour)).await.len(), 6);
    assert_eq!(ids(at, customer.scope(), before(at.now() - hour)).await, []);
    let many = at.generations.show_many(&[theirs, customer.submission().id, submitted[5]]).await.unwrap();
    let mut many: Vec<_> = many.into_iter().map(|generation| generation.id).collect();
    many.sort();
    let mut expected = vec![theirs, submitted[5]];
    expected.sort();
    assert_eq!(many, expected);
}

pub async fn milestones_are_kept_for_those_who_come_back(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let worker = at.worker().await;
    let id = customer.submit().await;
    let first = worker.claim_one().await;
    worker.put_back(first.held, Duration::ZERO, true).await;
    let second = worker.render_one().await;
    worker.fail(second.held).await;
    let seen = at.seen(id).await;
    use MilestoneKind as K;
    let told: Vec<_> = seen.milestones_after(0).iter().map(|m| (m.kind, m.version)).collect();
    assert_eq!(told, [(K::Accepted, 1), (K::Started, 2), (K::Rendering, 5), (K::Ended, 6)]);
    let missed: Vec<_> = seen.milestones_after(4).iter().map(|m| m.kind).collect();
    assert_eq!(missed, [K::Rendering, K::Ended]);
    let moments = [Some(seen.created_at), seen.started_at, seen.rendering_at, seen.finished_at];
    assert!(moments.iter().all(Option::is_some) && moments.is_sorted(), "{moments:?}");
}

pub async fn waiting_says_on_what(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let worker = at.worker().await;
    let id = customer.submit().await;
    assert_eq!(at.seen(id).await.waiting_on, Some(WaitingOn::Capacity));
    let dry = StepReport { dry_for: Some(Duration::from_secs(60)), ..StepReport::default() };
    at.work.step(worker.id, dry).await.unwrap();
    assert_eq!(at.seen(id).await.waiting_on, Some(WaitingOn::UpstreamTokens));
    // Another worker that is not dry does not know better.
    worker.step().await;
    assert_eq!(at.seen(id).await.waiting_on, Some(WaitingOn::UpstreamTokens));
    at.pause(true).await;
    assert_eq!(at.seen(id).await.waiting_on, Some(WaitingOn::Paused));
    at.pause(false).await;
    worker.claim_one().await;
    assert_eq!(at.seen(id).await.waiting_on, None);
}

pub async fn the_queue_is_counted(at: &Fixture) {
    let empty = at.generations.queue().await.unwrap();
    assert_eq!((empty.waiting, empty.active, empty.rendering, empty.finished), (0, 0, 0, 0));
    assert_eq!((empty.oldest_waiting_seconds, empty.paused), (0.0, false));
    let (pro, free) = (at.customer(Tier::Pro).await, at.customer(Tier::Free).await);
    let worker = at.worker().await;
    pro.submit_many(6).await;
    let claimed = worker.claim(6).await;
    worker.try_rendering(&claimed[0]).await;
    worker.succeed(claimed[1].held).await;
    worker.succeed(claimed[2].held).await;
    worker.fail(claimed[3].held).await;
    worker.put_back(claimed[4].held, Duration::from_secs(600), true).await;
    free.submit_many(2).await;
    let queue = at.generations.queue().await.unwrap();
    assert_eq!((queue.waiting, queue.active, queue.rendering), (3, 1, 1));
    let by_tier: Vec<_> = queue.waiting_by_tier.iter().map(|(tier, count)| (*tier, *count)).collect();
    assert_eq!(by_tier, [(Tier::Free, 2), (Tier::Pro, 1)]);
    assert_eq!((queue.finished, queue.failed), (3, 1));
    assert!(queue.oldest_waiting_seconds >= 0.0 && queue.oldest_waiting_seconds < 60.0);
    assert!(queue.wait_seconds.is_sorted() && queue.wait_seconds[0] >= 0.0 && queue.wait_seconds[2] < 60.0);
    // What is being closed has ended.
    pro.cancel(claimed[0].held.id).await;
    let queue = at.generations.queue().await.unwrap();
    assert_eq!((queue.rendering, queue.finished, queue.failed), (0, 4, 1));
}

pub async fn the_backlog_is_counted_by_account(at: &Fixture) {
    let (one, two) = (at.customer_of(10).await, at.customer_of(10).await);
    let worker = at.worker().await;
    one.submit_many(3).await;
    two.submit_many(2).await;
    worker.claim_one().await;
    let (of_one, of_two) =
        (at.generations.backlog(one.id).await.unwrap(), at.generations.backlog(two.id).await.unwrap());
    assert_eq!((of_one.account + of_two.account, of_one.total, of_two.total), (4, 4, 4));
}

pub async fn a_place_counts_what_goes_before(at: &Fixture) {
    let (one, two) = (at.customer_of(10).await, at.customer_of(10).await);
    let worker = at.worker().await;
    let place = async |id| at.generations.place(id).await.unwrap();
    let of_one = one.submit_many(3).await;
    let of_two = two.submit().await;
    // Its second and third wait behind the other's first: of each account in turn.
    let stands = async |id| place(id).await.map(|place| (place.ahead_in_account, place.due_at));
    assert_eq!(stands(of_one[0]).await, Some((0, None)));
    assert_eq!(stands(of_one[2]).await, Some((2, None)));
    assert_eq!(stands(of_two).await, Some((0, None)));
    let mut ahead = Vec::new();
    for id in of_one.iter().chain([&of_two]) {
        ahead.push(place(*id).await.unwrap().ahead);
    }
    ahead.sort_unstable();
    assert_eq!(ahead, [0, 1, 2, 3]);
    // What is claimed first stood before all others.
    let first = worker.claim_one().await;
    assert_eq!(place(first.held.id).await, None);
    // Backoff keeps its place in the account and stands before nobody else's.
    let back = worker.put_back(first.held, Duration::from_secs(600), true).await.id;
    let waits = place(back).await.unwrap();
    assert_eq!((waits.ahead_in_account, waits.ahead), (0, 0));
    assert!(waits.due_at.is_some_and(|at_least| at_least > at.now()));
    assert_eq!(place(of_one[2]).await.map(|place| place.ahead), Some(2));
    assert_eq!(place(one.submission().id).await, None);
}

pub async fn history_tells_each_try(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let worker = at.worker().await;
    let id = customer.submit().await;
    let first = worker.claim_one().await;
    worker.put_back(first.held, Duration::ZERO, false).await;
    let second = worker.claim_one().await;
    worker.put_back(second.held, Duration::ZERO, true).await;
    let third = worker.render_one().await;
    worker.fail(third.held).await;
    let history = at.generations.attempts(id).await.unwrap();
    let told: Vec<_> = history.iter().map(|a| (a.fence, a.outcome.as_str(), a.error.as_deref())).collect();
    assert_eq!(
        told,
        [
            (first.held.fence.0, "returned", None),
            (second.held.fence.0, "retried", Some("upstream down")),
            (third.held.fence.0, "failed", Some(an_error().message.as_str())),
        ]
    );
    for (attempt, claimed) in history.iter().zip([&first, &second, &third]) {
        assert_eq!((attempt.worker_id, attempt.token_id), (Some(worker.id), Some(claimed.lease.token_id)));
        assert!(attempt.started_at.is_some_and(|started| started <= attempt.ended_at));
    }
    assert_eq!(history[2].upstream_id, Some(format!("up-{id}")));
    assert_eq!(at.generations.attempts(customer.submission().id).await.unwrap(), []);
}
