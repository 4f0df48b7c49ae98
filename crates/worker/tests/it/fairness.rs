//! Fair share, by the order in which the upstream sees what several accounts submitted. `son1k load fairness` runs the large ones.

use crate::stage::{Stage, script, settings};
use domain::ids::{AccountId, GenerationId};
use domain::tier::Tier;
use std::collections::HashSet;
use std::time::Duration;
use tokio::time::Instant;
use worker::Settings;

/// Of the first `count` submissions that reached the upstream, how many were of `of`.
async fn among_the_first(stage: &Stage, count: usize, of: &[GenerationId]) -> usize {
    let of: HashSet<String> = of.iter().map(ToString::to_string).collect();
    let mut calls = stage.calls("generate").await;
    calls.sort_by_key(|seen| seen.at);
    assert!(calls.len() >= count, "{} calls so far", calls.len());
    calls[..count].iter().filter(|seen| of.contains(&seen.key)).count()
}

async fn begun(stage: &Stage, count: usize) {
    let end = Instant::now() + Duration::from_secs(30);
    while stage.calls("generate").await.len() < count {
        assert!(Instant::now() < end, "the worker is slower than its budget by far");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Two accounts with a backlog each, one worker of a hundred starts a second: how many of the first 300 are the first account's.
async fn of_300(first: Tier, second: Tier) -> usize {
    let stage = Stage::new(script(0.1), 20).await;
    let accounts = [stage.customer(first).await, stage.customer(second).await];
    let of_first = stage.submit_as(accounts[0], "rain", 400).await;
    stage.submit_as(accounts[1], "snow", 400).await;
    let worker = stage.worker(Settings { starts_per_second: 100, ..settings() });
    begun(&stage, 300).await;
    let counted = among_the_first(&stage, 300, &of_first).await;
    worker.stop().await;
    counted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_accounts_share_equally() {
    let counted = of_300(Tier::Pro, Tier::Pro).await;
    assert!((143..=157).contains(&counted), "{counted} of 300");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pro_has_twice_the_share_of_free() {
    let counted = of_300(Tier::Pro, Tier::Free).await;
    assert!((190..=210).contains(&counted), "{counted} of 300");
}

/// A backlog of minutes before it, and the newcomer's wait is short. Of many, `son1k load fairness` tells the p95.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_waits_for_its_share_and_not_for_a_backlog() {
    let stage = Stage::new(script(60.0), 100).await;
    let (busy, newcomer): (AccountId, AccountId) = (stage.account, stage.customer(Tier::Pro).await);
    let backlog = stage.submit_as(busy, "rain", 3_000).await;
    let worker = stage.worker(Settings { starts_per_second: 50, ..settings() });
    begun(&stage, 1).await;
    let mut ids = Vec::new();
    for _ in 0..15 {
        ids.extend(stage.submit_as(newcomer, "snow", 1).await);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let all = stage.until(&ids, Duration::from_secs(5), |generation| generation.started_at.is_some()).await;
    let mut waits: Vec<_> = all.iter().map(|g| (g.started_at.unwrap() - g.created_at).to_std().unwrap()).collect();
    waits.sort();
    // Of so few, a machine that stands still for two seconds holds up three.
    assert!(waits[waits.len() * 3 / 4] < Duration::from_secs(2), "{waits:?}");
    let waiting = stage.show(&backlog).await.iter().filter(|generation| generation.started_at.is_none()).count();
    assert!(waiting > 1_000, "{waiting}: the backlog stood before it all the time");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_an_account_has_the_whole_system() {
    let stage = Stage::new(script(60.0), 100).await;
    let alone = stage.customer(Tier::Free).await;
    stage.submit_as(alone, "rain", 300).await;
    let worker = stage.worker(Settings { starts_per_second: 50, ..settings() });
    begun(&stage, 200).await;
    let mut at: Vec<u64> = stage.calls("generate").await.iter().map(|seen| seen.at).collect();
    at.sort_unstable();
    let seconds = (at[199] - at[0]) as f64 / 1_000.0;
    // A busy machine wakes late; how much of the budget an idle one uses, the pace's own test says. A share of two would be 25.
    assert!(199.0 / seconds >= 30.0, "{} a second of 50", 199.0 / seconds);
    worker.stop().await;
}
