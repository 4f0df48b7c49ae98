//! The open loop: requests are sent when they are due, however long answers take.
//!
//! When all connections are busy a request waits for one, and that wait is part of its latency: nothing is left out because the system
//! was slow (coordinated omission).

use super::arrivals::{self, Arrivals};
use super::bench::Bench;
use super::closed::{self, Measured};
use super::progress::Progress;
use super::requests::Requests;
use super::tally::{Tally, Window};
use anyhow::Context;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::task::TaskTracker;

/// What is due and unsent this long after the last arrival is given up, so that a run against a stuck gateway ends.
const LATE_MOST: Duration = Duration::from_secs(35);

#[derive(Debug, Clone)]
pub(super) struct OpenLoop {
    pub(super) arrivals: Arrivals,
    pub(super) connections: u16,
    /// Offered like the rest, and not counted.
    pub(super) warmup: Duration,
    pub(super) lasting: Duration,
}

impl OpenLoop {
    /// # Errors
    /// When the gateway cannot be reached at the beginning.
    pub(super) async fn run(self, bench: &Bench, what: &str, requests: Arc<dyn Requests>) -> anyhow::Result<Measured> {
        let connections = closed::opened(bench, self.connections).await?;
        let window = Window::after(self.warmup, self.lasting);
        let begin = window.begin - self.warmup;
        let stop = bench.shutdown.child_token();
        let due =
            arrivals::keep(self.arrivals, begin, self.warmup + self.lasting, stop.clone()).context("the timetable")?;
        let due = Arc::new(tokio::sync::Mutex::new(due));
        let tally = Arc::new(Mutex::new(Tally::new(window)));
        let tasks = TaskTracker::new();
        for mut connection in connections {
            let (tally, requests, due, stop) = (tally.clone(), requests.clone(), due.clone(), stop.clone());
            tasks.spawn(async move {
                let mut request = Vec::with_capacity(1_024);
                let next = || async { due.lock().await.recv().await };
                while let Some(Some(at)) = stop.run_until_cancelled(next()).await {
                    closed::exchange(&mut connection, &*requests, &mut request, at, &tally, Some(at)).await;
                }
            });
        }
        tasks.close();
        let progress = Progress::new(what, window.length().as_secs());
        let work = async {
            let late = tokio::time::sleep_until((window.end + LATE_MOST).into());
            tokio::select! {
                () = tasks.wait() => {
                    // The last answer may come before the window ends.
                    stop.run_until_cancelled(tokio::time::sleep_until(window.end.into())).await;
                    return;
                }
                () = late => stop.cancel(),
            }
            // Requests under way have their own deadline.
            tasks.wait().await;
            let mut unsent = 0;
            while let Ok(at) = due.lock().await.try_recv() {
                unsent += u64::from(window.has(at));
            }
            if unsent > 0 {
                tally
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .fail("never sent: no connection was free".to_owned(), unsent);
            }
        };
        let mut measured = closed::measured(bench, window, tally.clone(), false, progress, work).await;
        if bench.shutdown.is_cancelled() {
            measured.seconds =
                measured.seconds.min(Instant::now().saturating_duration_since(window.begin).as_secs_f64());
        }
        Ok(measured)
    }
}
