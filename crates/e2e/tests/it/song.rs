//! A generation from its submission to a file that can be played, as a customer lives it. The same story in both modes.

use crate::system::{Mode, TestApp};
use client::{EventKind, Submission};
use domain::credits::EntryKind;
use domain::state::{Stage, Status};
use std::time::Duration;

async fn a_song_is_made(mode: Mode) {
    let app = TestApp::in_mode(mode).start().await;
    app.upstream.renders_in(1.5).await;
    let customer = app.operator.opens_account(domain::tier::Tier::Pro, None).await.1;
    let before = customer.client.account().await.unwrap();

    let submission = Submission::of("lofi beat to study to, rain on the window");
    let submitted = customer.client.submit(&submission).await.unwrap();
    let accepted = &submitted.generation;
    assert_eq!((accepted.status, accepted.credits.reserved), (Status::Queued, 1));
    let replayed = customer.client.submit(&submission).await.unwrap();
    assert!(replayed.replayed && replayed.generation.id == accepted.id);

    let events = customer.follows(accepted.id).await;
    let kinds: Vec<_> = events.iter().map(|event| event.kind.clone()).collect();
    assert!(kinds.contains(&EventKind::Status) && kinds.contains(&EventKind::Output), "{kinds:?}");
    let late = customer.follows(accepted.id).await;
    assert!(late.iter().any(|event| event.kind == EventKind::Output), "one that has ended tells its milestones again");

    let done = customer.client.generation(accepted.id).await.unwrap();
    assert_eq!((done.status, done.stage, done.attempts), (Status::Succeeded, None, 1));
    assert!(done.started_at.unwrap() >= done.created_at && done.finished_at.unwrap() >= done.started_at.unwrap());
    let track = &done.output.unwrap().tracks[0];
    let path = app.folder().join("song.wav");
    let bytes = customer.client.download(track, &path).await.unwrap();
    let wav = std::fs::read(&path).unwrap();
    assert_eq!((&wav[..4], &wav[8..12], wav.len() as u64), (&b"RIFF"[..], &b"WAVE"[..], bytes));
    assert!(wav[44..].iter().any(|byte| *byte != 0), "it is not silent");

    let after = customer.client.account().await.unwrap();
    assert_eq!((before.credits.balance - after.credits.balance, after.credits.reserved), (1, 0));
    let debits = customer.client.entries(&client::PageQuery::default()).await.unwrap();
    assert_eq!(debits.data.iter().filter(|entry| entry.kind == EntryKind::Debit).count(), 1);
    app.operator.proves_the_books().await;
    app.stops().await;
}

async fn a_cancel_is_told_to_the_upstream_and_refunded(mode: Mode) {
    let app = TestApp::in_mode(mode).start().await;
    app.upstream.renders_in(120.0).await;
    let customer = app.operator.opens_unlimited_account().await;
    let id = customer.submits("a long one").await.id;
    crate::system::until("it renders", Duration::from_secs(20), async || {
        let generation = customer.client.generation(id).await.unwrap();
        (generation.stage == Some(Stage::Rendering)).then_some(())
    })
    .await;
    let canceled = customer.client.cancel(id).await.unwrap();
    assert_eq!((canceled.status, canceled.credits.refunded), (Status::Canceled, 1));
    assert_eq!(customer.client.cancel(id).await.unwrap_err().code(), Some("already_final"));
    crate::system::until("the upstream is told", Duration::from_secs(10), async || {
        let calls = app.upstream.calls().await;
        calls.iter().any(|call| call.call == "cancel" && call.upstream_id.is_some()).then_some(())
    })
    .await;
    let account = customer.client.account().await.unwrap();
    assert_eq!(account.credits.balance, account.limits.credits_per_month);
    app.operator.proves_the_books().await;
    app.stops().await;
}

#[tokio::test]
async fn embedded_a_song_is_made() {
    a_song_is_made(Mode::Embedded).await;
}

#[tokio::test]
async fn production_a_song_is_made() {
    a_song_is_made(Mode::Production).await;
}

#[tokio::test]
async fn embedded_a_cancel_is_told_to_the_upstream_and_refunded() {
    a_cancel_is_told_to_the_upstream_and_refunded(Mode::Embedded).await;
}

#[tokio::test]
async fn production_a_cancel_is_told_to_the_upstream_and_refunded() {
    a_cancel_is_told_to_the_upstream_and_refunded(Mode::Production).await;
}
