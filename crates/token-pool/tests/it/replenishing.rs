//! Replenishment: a watched file, a watched folder, and a provisioner that is asked while the pool is low.

use crate::world::{Replica, a_worker, any, import, leases, ledger, of_token, release, secrets, until};
use async_trait::async_trait;
use domain::ports::token_source::SourceError;
use domain::ports::{TokenAdmin, TokenSource};
use domain::token::{LeaseOutcome, PoolStatus, TokenImport};
use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use token_pool::{Settings, Sources};
use uuid::Uuid;

fn watching(path: PathBuf, min: u32, max: u32) -> impl FnOnce(&mut Settings) {
    move |settings| {
        settings.sources = Sources { path: Some(path), provisioner: None };
        settings.source_interval = Duration::from_millis(30);
        (settings.min, settings.max) = (min, max);
    }
}

#[tokio::test]
async fn a_file_s_tokens_come_in_when_it_changes_and_stay() {
    let (ledger, folder) = (ledger().await, tempfile::tempdir().unwrap());
    let path = folder.path().join("tokens");
    let replica = Replica::start(&ledger.at, watching(path.clone(), 3, 100)).await;
    let usable =
        async |count| until(async || (replica.client.stats().await.unwrap().usable == count).then_some(())).await;
    let metric = |name: &str, label| replica.metric(name, Some(label)) as u32;
    // It may come later than the pool.
    until(async || (metric("son1k_token_source_failures_total", "file") > 0).then_some(())).await;
    assert_eq!(replica.client.stats().await.unwrap().status(), PoolStatus::Empty);

    fs::write(&path, "one\ntwo\n{\"secret\":\"three\",\"label\":\"third\",\"max_concurrency\":4}\n").unwrap();
    usable(3).await;
    assert_eq!(replica.metric("son1k_token_pool_low", None) as u32, 0);
    let listed = replica.client.list().await.unwrap();
    let third = listed.iter().find(|view| view.label.as_deref() == Some("third")).unwrap();
    assert_eq!(third.max_concurrency, 4);

    // A line that is no token costs the others nothing; one that went from the file stays in the pool.
    fs::write(&path, format!("two\n{{\"secret\":\n{}\nfour\n", "x".repeat(5_000))).unwrap();
    usable(4).await;
    assert_eq!(metric("son1k_token_source_tokens_total", "invalid"), 1);
    replica.stop().await;
}

#[tokio::test]
async fn what_found_no_room_comes_when_the_pool_is_low_and_there_is_some() {
    let (ledger, folder) = (ledger().await, tempfile::tempdir().unwrap());
    for number in 0..8 {
        fs::write(folder.path().join(format!("studio-{number}")), format!("secret-{number}\n")).unwrap();
    }
    let replica = Replica::start(&ledger.at, watching(folder.path().to_owned(), 5, 5)).await;
    until(async || (replica.metric("son1k_token_source_tokens_total", Some("pool_full")) as u32 == 3).then_some(()))
        .await;
    let listed = replica.client.list().await.unwrap();
    assert_eq!(listed.iter().filter_map(|view| view.label.as_deref()).collect::<Vec<_>>().len(), 5);
    replica.client.disable(listed[0].id).await.unwrap();
    until(async || {
        let stats = replica.client.stats().await.unwrap();
        (stats.usable == 5 && stats.disabled == 1).then_some(())
    })
    .await;
    replica.stop().await;
}

/// Answers what it was told to, in order, then nothing; and remembers what it was asked.
#[derive(Default)]
struct Told {
    answers: Mutex<VecDeque<Result<Vec<TokenImport>, SourceError>>>,
    asked: Mutex<Vec<(u32, Uuid)>>,
}

#[async_trait]
impl TokenSource for Told {
    async fn obtain(&self, count: u32, request: Uuid) -> Result<Vec<TokenImport>, SourceError> {
        self.asked.lock().unwrap().push((count, request));
        self.answers.lock().unwrap().pop_front().unwrap_or_else(|| Ok(Vec::new()))
    }
}

impl Told {
    fn asked(&self, index: usize) -> Option<(u32, Uuid)> {
        self.asked.lock().unwrap().get(index).copied()
    }

    fn answers(&self, answer: Result<Vec<TokenImport>, SourceError>) {
        self.answers.lock().unwrap().push_back(answer);
    }
}

#[tokio::test]
async fn a_provisioner_is_asked_for_what_is_wanting_and_no_more() {
    let (ledger, told) = (ledger().await, Arc::new(Told::default()));
    told.answers(Err(SourceError::Unavailable("it could not be connected to".into())));
    told.answers(Ok(secrets(0, 10)));
    let source = told.clone();
    let replica = Replica::start(&ledger.at, |settings| {
        settings.sources = Sources { path: None, provisioner: Some(source) };
        settings.source_interval = Duration::from_millis(30);
        (settings.min, settings.max) = (6, 7);
    })
    .await;
    let pool = &*replica.client;
    let (count, request) = until(async || told.asked(0)).await;
    assert_eq!(count, 6);
    // A lost answer is asked for again, not made again.
    assert_eq!(until(async || told.asked(1)).await, (6, request));
    // Ten came; six were asked for.
    until(async || (pool.stats().await.unwrap().usable == 6).then_some(())).await;
    assert_eq!(replica.metric("son1k_token_source_failures_total", Some("provisioner")) as u32, 1);
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(told.asked(2), None, "a pool that is well asks nobody");

    // Two go bad; one would be past the maximum, for the bad ones count. It may be asked from the first on.
    told.answers(Ok(secrets(100, 1)));
    let held = leases(pool, any(a_worker(), 2)).await;
    for lease in &held {
        release(pool, lease.lease_id, LeaseOutcome::Unauthorized).await;
    }
    let (count, again) = until(async || told.asked(2)).await;
    assert_eq!(count, 1);
    assert_ne!(again, request);
    until(async || (pool.stats().await.unwrap().usable == 5).then_some(())).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(told.asked(3), None, "a full pool asks nobody");
    replica.stop().await;
}

#[tokio::test]
async fn a_provisioner_that_brings_nothing_is_asked_less_and_less() {
    let (ledger, told) = (ledger().await, Arc::new(Told::default()));
    let source = told.clone();
    let replica = Replica::start(&ledger.at, |settings| {
        settings.sources = Sources { path: None, provisioner: Some(source) };
        settings.source_interval = Duration::from_millis(20);
        (settings.min, settings.max) = (3, 10);
    })
    .await;
    let id = import(&*replica.client, 1, 1).await[0];
    // Asked before, it brought nothing at all. From now on: the same that is there already, and one that is no token.
    for _ in 0..20 {
        told.answers(Ok([secrets(0, 1), vec![TokenImport { secret: " ".into(), ..secrets(1, 1).remove(0) }]].concat()));
    }
    until(async || told.asked(3)).await;
    // 20, 40, 80, 160, 320, 640 ms.
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(told.asked.lock().unwrap().len() <= 7, "{:?}", told.asked.lock().unwrap().len());
    // It serves what it has.
    assert_eq!(leases(&*replica.client, of_token(a_worker(), id)).await.len(), 1);
    replica.stop().await;
}
