//! Where a queued generation stands: its position within its account, why it waits, and when it may start.
//!
//! The estimate takes what is due before it at the pace of the last five minutes; it is null where nothing was measured. It is rounded, the
//! more the further away it is, so that an entity tag lives longer than a moment.

use crate::core::Core;
use crate::problem::ApiError;
use crate::view::{At, Queue};
use domain::Timestamp;
use domain::generation::Generation;
use domain::ports::generations::{PLACES_COUNTED, Place, QueueStats};
use domain::state::{Status, WaitingOn};
use std::time::Duration;

/// Over which time the queue's numbers are taken, in seconds.
pub(crate) const MEASURED_OVER: f64 = 300.0;
/// An estimate beyond it is no information.
const ESTIMATE_LONGEST: f64 = 7.0 * 86_400.0;

/// Counted now, whatever it takes.
pub(crate) async fn of(core: &Core, generation: &Generation) -> Result<Queue, ApiError> {
    if generation.status != Status::Queued {
        return Ok(told(generation));
    }
    let Some(place) = core.call(core.backends.generations.place(generation.id)).await? else {
        // It was claimed since it was read.
        return Ok(told(generation));
    };
    let stats = core.queue().await?;
    let estimated = estimate(&place, &stats, core.backends.clock.now());
    Ok(Queue {
        position: (place.ahead_in_account < PLACES_COUNTED).then_some(place.ahead_in_account + 1),
        waiting_on: Some(reason(generation, &place)),
        estimated_start_at: estimated.map(At),
    })
}

/// Counted where few others are being counted; else as the record tells it. A read never fails for it.
pub(crate) async fn where_cheap(core: &Core, generation: &Generation) -> Queue {
    if generation.status != Status::Queued {
        return told(generation);
    }
    let counted = match core.counting.begin() {
        Some(_count) => of(core, generation).await.ok(),
        None => None,
    };
    counted.unwrap_or_else(|| told(generation))
}

fn told(generation: &Generation) -> Queue {
    Queue { position: None, waiting_on: generation.waiting_on, estimated_start_at: None }
}

/// The record knows of pauses, dry pools and backoff; whether others go first, only its place does.
fn reason(generation: &Generation, place: &Place) -> WaitingOn {
    match generation.waiting_on {
        Some(WaitingOn::Capacity) | None if place.ahead > 0 => WaitingOn::Fairness,
        Some(known) => known,
        None => WaitingOn::Capacity,
    }
}

fn estimate(place: &Place, stats: &QueueStats, now: Timestamp) -> Option<Timestamp> {
    if stats.paused || stats.finished == 0 {
        return None;
    }
    // Where more stand before it than are counted, all that waits is the better guess.
    let ahead = if place.ahead < PLACES_COUNTED { place.ahead } else { stats.waiting.max(place.ahead) };
    let turn = ahead as f64 * MEASURED_OVER / stats.finished as f64;
    let backoff = place.due_at.map_or(0.0, |at| (at - now).as_seconds_f64().max(0.0));
    let seconds = turn.max(backoff);
    if seconds > ESTIMATE_LONGEST {
        return None;
    }
    let at = now + Duration::from_secs_f64(seconds);
    let step: i64 = match seconds {
        near if near < 60.0 => 5,
        hour if hour < 3_600.0 => 60,
        _ => 600,
    };
    let rounded = (at.timestamp() + step - 1).div_euclid(step) * step;
    Timestamp::from_timestamp(rounded, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(ahead: u64, finished: u64, waiting: u64) -> Option<i64> {
        let now = Timestamp::from_timestamp(1_800_000_000, 0).unwrap();
        let place = Place { ahead_in_account: 0, ahead, due_at: None };
        let stats = QueueStats { finished, waiting, ..QueueStats::default() };
        estimate(&place, &stats, now).map(|at| at.timestamp() - now.timestamp())
    }

    #[test]
    fn the_pace_of_the_last_minutes_decides() {
        // 300 in five minutes is one a second.
        assert_eq!(after(0, 300, 1), Some(0));
        assert_eq!(after(7, 300, 8), Some(10));
        assert_eq!(after(600, 300, 601), Some(600));
        assert_eq!(after(PLACES_COUNTED, 300, 36_000), Some(36_000));
        assert_eq!(after(5, 0, 6), None);
        assert_eq!(after(9_000, 1, 9_001), None);
    }

    #[test]
    fn a_pause_has_no_end_and_a_backoff_has() {
        let now = Timestamp::from_timestamp(1_800_000_000, 0).unwrap();
        let place = Place { ahead_in_account: 0, ahead: 0, due_at: Some(now + Duration::from_secs(30)) };
        let stats = QueueStats { finished: 300, ..QueueStats::default() };
        assert_eq!(estimate(&place, &stats, now), Some(now + Duration::from_secs(30)));
        assert_eq!(estimate(&place, &QueueStats { paused: true, ..stats }, now), None);
    }
}
