//! The queue as operators see it, while a run goes on: empty before, paused where asked, watched, and empty again.

use super::bench::Bench;
use super::progress::Progress;
use crate::launch::{complain, say};
use anyhow::{Context, bail};
use client::admin::QueueView;
use std::future::Future;
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Looking may take this part of the time at most: with a long queue each look costs the store something.
const LOOKS_PART: u32 = 20;
/// Samples that are kept: a day's.
const SAMPLES_MOST: usize = 86_400;

/// # Errors
/// When others' work would be counted with ours, or the queue is paused already.
pub(super) async fn must_be_idle(bench: &Bench) -> anyhow::Result<()> {
    let queue = bench.operator.admin().queue().await.context("the queue")?;
    if queue.paused {
        bail!("the queue is paused already: whoever paused it may need it so");
    }
    if unended(&queue) > 0 {
        bail!(
            "the queue is not empty ({} waiting, {} active, {} rendering): the figures would be others', too",
            queue.waiting,
            queue.active,
            queue.rendering
        );
    }
    Ok(())
}

pub(super) const fn unended(queue: &QueueView) -> u64 {
    queue.waiting + queue.active + queue.rendering
}

/// The queue, held while it is filled. It is resumed whatever happens, short of this process being killed.
pub(super) struct Paused<'a> {
    bench: &'a Bench,
}

impl<'a> Paused<'a> {
    pub(super) async fn begin(bench: &'a Bench) -> anyhow::Result<Self> {
        bench.operator.admin().pause().await.context("the queue cannot be paused")?;
        say("The queue is paused while it is filled. Should this be killed: POST /admin/v1/queue/resume.");
        Ok(Self { bench })
    }

    /// Does the work; when it fails or is interrupted, resumes and says so.
    pub(super) async fn during<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let done = Box::pin(work).await;
        let done =
            done.and_then(|done| if self.bench.shutdown.is_cancelled() { bail!("interrupted") } else { Ok(done) });
        if done.is_err() {
            self.resume().await?;
            say("The queue is resumed.");
        }
        done
    }

    pub(super) async fn resume(&self) -> anyhow::Result<()> {
        let resumed = self.bench.operator.admin().resume().await;
        if resumed.is_err() {
            complain("The queue is STILL PAUSED: POST /admin/v1/queue/resume.");
        }
        resumed.context("the queue cannot be resumed")
    }
}

/// Waits until nothing waits, is worked on or renders; answers what is left when `longest` has passed.
///
/// # Errors
/// When the operators' API does not answer.
pub(super) async fn until_ended(bench: &Bench, of: u64, longest: Duration) -> anyhow::Result<u64> {
    let (begun, progress) = (Instant::now(), Progress::new("ending", of));
    loop {
        let asked = Instant::now();
        let queue = bench.operator.admin().queue().await.context("the queue")?;
        let left = unended(&queue);
        if left == 0 || begun.elapsed() > longest || bench.shutdown.is_cancelled() {
            return Ok(left);
        }
        progress.at(of.saturating_sub(left), format!("{} waiting, {} rendering", queue.waiting, queue.rendering));
        tokio::time::sleep(LOOK_EVERY.max(asked.elapsed() * LOOKS_PART)).await;
    }
}

/// One look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) waiting: u64,
    pub(super) rendering: u64,
    pub(super) oldest_seconds: f64,
}

/// Looks once a second until `over`; a look that fails is left out.
pub(super) async fn watch(bench: &Bench, over: impl Future<Output = ()>) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut looks = tokio::time::interval(Duration::from_secs(1));
    let mut over = std::pin::pin!(over);
    loop {
        tokio::select! {
            () = &mut over => return samples,
            _ = looks.tick() => {}
        }
        let at = Instant::now();
        if let Ok(queue) = bench.operator.admin().queue().await
            && samples.len() < SAMPLES_MOST
        {
            let (waiting, rendering) = (queue.waiting, queue.rendering);
            samples.push(Sample { at, waiting, rendering, oldest_seconds: queue.oldest_waiting_seconds });
        }
    }
}
