//! The ledger's clock as this process tracks it: the server's time at the last contact, carried on by the monotonic clock.
//!
//! For ids and display. What decides is judged by `now()` inside the statements and never by this.

use chrono::DateTime;
use domain::Timestamp;
use domain::ports::LedgerClock;
use sqlx::PgPool;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// How often the offset is taken anew: drift of a quartz (50 ppm) stays far under a millisecond.
const REFRESH: Duration = Duration::from_secs(5);
/// A measurement that took longer says too little about the moment in its middle.
const ROUND_TRIP_MOST: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    /// Microseconds since the epoch at `started`, by the ledger.
    offset: AtomicI64,
    /// The latest moment told: time never goes back, not even when the server's does.
    told: AtomicI64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), offset: AtomicI64::new(0), told: AtomicI64::new(i64::MIN) }
    }

    fn elapsed(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX)
    }

    /// Asks the server for its time and takes it as that of the middle of the round trip.
    pub(crate) async fn measure(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let mut connection = pool.acquire().await?;
        let sent = self.elapsed();
        let theirs = sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(&mut *connection).await?;
        let received = self.elapsed();
        let first = self.offset.load(Ordering::Relaxed) == 0;
        if first || Duration::from_micros(received.abs_diff(sent)) <= ROUND_TRIP_MOST {
            let middle = sent + (received - sent) / 2;
            self.offset.store(theirs.timestamp_micros() - middle, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Measures again and again until its task is aborted. A server out of reach leaves the offset as it is.
    pub(crate) async fn follow(&self, pool: PgPool) {
        loop {
            tokio::time::sleep(REFRESH).await;
            match tokio::time::timeout(REFRESH, self.measure(&pool)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "the ledger's clock could not be read"),
                Err(_) => tracing::debug!("the ledger's clock did not answer in time"),
            }
        }
    }
}

impl LedgerClock for Clock {
    fn now(&self) -> Timestamp {
        let now = self.offset.load(Ordering::Relaxed) + self.elapsed();
        let told = self.told.fetch_max(now, Ordering::Relaxed).max(now);
        DateTime::from_timestamp_micros(told).unwrap_or(DateTime::UNIX_EPOCH)
    }
}
