//! The closed loop: each connection sends its next request as soon as it has its answer.

use super::bench::Bench;
use super::meter::{Meter, Usage};
use super::progress::Progress;
use super::requests::Requests;
use super::tally::{Moments, Tally, Window};
use super::wire::Connection;
use anyhow::{Context, bail};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::task::TaskTracker;

/// After a request that brought no answer, so that a dead gateway is not hammered.
const BREATH: Duration = Duration::from_millis(50);
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A count has no time of its own, but ends all the same.
const COUNT_LONGEST: Duration = Duration::from_secs(3_600);

/// How long a loop goes on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until {
    Passed { warmup: Duration, lasting: Duration },
    Sent(u64),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct ClosedLoop {
    pub(super) connections: u16,
    pub(super) until: Until,
}

/// A run and its cost.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) tally: Tally,
    pub(super) usage: Vec<Usage>,
    /// Of the window, or until the last answer where that was sooner.
    pub(super) seconds: f64,
}

impl ClosedLoop {
    /// # Errors
    /// When the gateway cannot be reached at the beginning.
    pub(super) async fn run(self, bench: &Bench, what: &str, requests: Arc<dyn Requests>) -> anyhow::Result<Measured> {
        let mut connections = opened(bench, self.connections).await?;
        let (window, most) = match self.until {
            Until::Passed { warmup, lasting } => (Window::after(warmup, lasting), u64::MAX),
            Until::Sent(count) => (Window::after(Duration::ZERO, COUNT_LONGEST), count),
        };
        let tally = Arc::new(Mutex::new(Tally::new(window)));
        let (tasks, sent) = (TaskTracker::new(), Arc::new(AtomicU64::new(0)));
        for mut connection in connections.drain(..) {
            let (tally, sent, requests, stop) = (tally.clone(), sent.clone(), requests.clone(), bench.shutdown.clone());
            tasks.spawn(async move {
                let mut request = Vec::with_capacity(1_024);
                while !stop.is_cancelled() && Instant::now() < window.end && sent.fetch_add(1, Ordering::Relaxed) < most
                {
                    let due = Instant::now();
                    let done = exchange(&mut connection, &*requests, &mut request, due, &tally, None).await;
                    if !done {
                        tokio::time::sleep(BREATH).await;
                    }
                }
            });
        }
        tasks.close();
        let length = if most == u64::MAX { window.length().as_secs() } else { most };
        let progress = Progress::new(what, length);
        Ok(measured(bench, window, tally, most != u64::MAX, progress, tasks.wait()).await)
    }
}

/// All connected beforehand, spread over the gateways.
pub(super) async fn opened(bench: &Bench, count: u16) -> anyhow::Result<Vec<Connection>> {
    let mut connections = Vec::new();
    for number in 0..usize::from(count) {
        let mut connection = Connection::new(bench.address(number).context("no address")?);
        if let Err(error) = connection.open().await {
            bail!("connection {} of {count}: {error}", number + 1);
        }
        connections.push(connection);
    }
    Ok(connections)
}

/// One request and what came of it. `counts_at`: in the window or not by that moment; by its end where there is none. Answers whether
/// there was an answer at all.
pub(super) async fn exchange(
    connection: &mut Connection,
    requests: &dyn Requests,
    request: &mut Vec<u8>,
    due: Instant,
    tally: &Mutex<Tally>,
    counts_at: Option<Instant>,
) -> bool {
    request.clear();
    requests.write(request);
    let sent = Instant::now();
    let answer = connection.call(request).await;
    let done = Instant::now();
    let answered = answer.is_ok();
    let failure = match answer {
        Ok(answer) if answer.is_success() => {
            if let Some(location) = answer.location {
                requests.accepted(location);
            }
            None
        }
        Ok(answer) => Some(answer.name()),
        Err(error) => Some(error.to_string()),
    };
    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    tally.record(counts_at.unwrap_or(done), Moments { due, sent, done }, failure);
    answered
}

/// Meters the window while `work` goes on, and shows how far it is.
pub(super) async fn measured(
    bench: &Bench,
    window: Window,
    tally: Arc<Mutex<Tally>>,
    counted: bool,
    progress: Progress,
    work: impl Future<Output = ()>,
) -> Measured {
    let mut work = pin!(work);
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let (mut meter, mut begun, mut over) = (Meter::begin(bench), Instant::now() >= window.begin, false);
    let mut metered = None;
    while !over {
        tokio::select! {
            () = &mut work => over = true,
            () = tokio::time::sleep_until(window.begin.into()), if !begun => {
                (meter, begun) = (Meter::begin(bench), true);
            }
            () = tokio::time::sleep_until(window.end.into()), if metered.is_none() => {
                let ended = std::mem::replace(&mut meter, Meter::begin(bench));
                metered = Some((ended.seconds(), ended.end()));
            }
            _ = looks.tick() => {
                meter.look();
                let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                let (done, failed, seconds) = (tally.succeeded, tally.failed(), meter.seconds());
                let rate = if seconds > 0.0 { done as f64 / seconds } else { 0.0 };
                let at = if counted { done + failed } else { window.begin.elapsed().as_secs() };
                progress.at(at, format!("{rate:.0}/s, p99 {:.1} ms, {failed} failed", tally.latency.at(99.0)));
            }
        }
    }
    let (seconds, usage) = metered.unwrap_or_else(|| (meter.seconds(), meter.end()));
    let mut tally = std::mem::replace(&mut *tally.lock().unwrap_or_else(PoisonError::into_inner), Tally::new(window));
    tally.turn_to(Instant::now().min(window.end));
    Measured { tally, usage, seconds }
}
