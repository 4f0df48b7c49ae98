//! What wants an operator now, as far as a gateway can see it, with what to do about each: the overview is judged by this.
//!
//! The thresholds are [`attention`]'s, those of the alerts in Prometheus. What takes the view over time or over every process is Prometheus's
//! alone: a slow or failing API, processes that are down or short of CPU or memory, a pool without a leader, an upstream that is down, and
//! books that nobody added up. A paused queue and the absence of workers are told here alone.

use super::words::{count, percent, span};
use domain::attention::{self, Failing, WAITING_MOST};
use domain::ports::generations::QueueStats;
use domain::ports::work::WorkerView;
use domain::token::PoolStats;

/// Something that wants an operator. `grave`: customers feel it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alert {
    pub(super) grave: bool,
    pub(super) what: String,
    pub(super) todo: &'static str,
    /// Where in the console that is done.
    pub(super) page: Option<(&'static str, &'static str)>,
}

/// What is known; what could not be loaded is absent, and nothing is said of it here.
#[derive(Default)]
pub(super) struct Seen<'a> {
    pub(super) queue: Option<&'a QueueStats>,
    pub(super) pool: Option<&'a PoolStats>,
    pub(super) workers: Option<&'a [WorkerView]>,
    /// The limiter counts by itself.
    pub(super) limiter_alone: bool,
    pub(super) discrepancies: i64,
    /// Rings that were laid aside.
    pub(super) dead: u64,
}

fn alert(grave: bool, what: String, todo: &'static str, page: Option<(&'static str, &'static str)>) -> Alert {
    Alert { grave, what, todo, page }
}

/// The gravest first.
pub(super) fn alerts(seen: &Seen<'_>) -> Vec<Alert> {
    let mut found = Vec::new();
    seen.workers.into_iter().for_each(|workers| of_workers(workers, &mut found));
    seen.pool.into_iter().for_each(|pool| of_pool(pool, &mut found));
    seen.queue.into_iter().for_each(|queue| of_queue(queue, &mut found));
    if seen.discrepancies > 0 {
        let what = format!("The books of {} accounts do not add up.", count(seen.discrepancies));
        found.push(alert(
            true,
            what,
            "See which accounts, and what is wrong with each.",
            Some(("Books", "/console/ledger")),
        ));
    }
    if seen.limiter_alone {
        let todo = "Look at Redis. Until it answers, each gateway allows its share of every limit.";
        found.push(alert(false, "The shared rate limiter does not answer.".to_owned(), todo, None));
    }
    if seen.dead > 0 {
        let what = format!("Rings that made no sense were laid aside: {}.", count(seen.dead));
        let todo = "See what they say: they tell of a sender of another version.";
        found.push(alert(false, what, todo, Some(("Dead letters", "/console/dead"))));
    }
    found.sort_by_key(|alert| !alert.grave);
    found
}

fn of_workers(workers: &[WorkerView], found: &mut Vec<Alert>) {
    let taking: Vec<&WorkerView> = workers.iter().filter(|worker| !worker.draining).collect();
    if taking.is_empty() {
        let what = if workers.is_empty() { "No worker is alive." } else { "Every worker is draining." };
        found.push(alert(true, what.to_owned(), "Start a worker: nothing is rendered without one.", None));
    } else if taking.iter().all(|worker| worker.active >= worker.slots) {
        let todo = "Add a worker replica, or find out why the upstream takes submissions so slowly.";
        found.push(alert(
            false,
            "Every worker's slots are taken.".to_owned(),
            todo,
            Some(("Scaling", "/console/scaling")),
        ));
    }
}

fn of_pool(pool: &PoolStats, found: &mut Vec<Alert>) {
    let page = Some(("Tokens", "/console/tokens"));
    if pool.usable == 0 {
        let todo = "Import tokens, or reinstate those that were set aside by mistake.";
        found.push(alert(true, "No upstream token is usable.".to_owned(), todo, page));
    } else if pool.usable < pool.min {
        let what = format!("{} usable tokens, {} wanted at least.", count(pool.usable), count(pool.min));
        found.push(alert(false, what, "Import tokens, or look why others are set aside.", page));
    }
}

fn of_queue(queue: &QueueStats, found: &mut Vec<Alert>) {
    let waiting = Some(("What waits", "/console/generations?status=queued"));
    if queue.paused {
        found.push(alert(true, "The queue is paused.".to_owned(), "Resume it, below, when the reason is gone.", None));
    }
    if attention::waiting_too_many(queue.waiting) {
        let what = format!("{} wait; {WAITING_MOST} are too many.", count(queue.waiting));
        found.push(alert(false, what, "Open one that waits: its page says what it waits for.", waiting));
    }
    if attention::waited_too_long(queue.oldest_waiting_seconds) {
        let what = format!("The oldest has waited {}.", span(queue.oldest_waiting_seconds));
        found.push(alert(false, what, "Open one that waits: its page says what it waits for.", waiting));
    }
    let failing = attention::failing(queue.failed, queue.finished);
    if failing != Failing::No {
        let share = percent(attention::failed_share(queue.failed, queue.finished));
        let what = format!("{share} of the last five minutes' generations failed.");
        let page = Some(("What failed", "/console/generations?status=failed"));
        found.push(alert(failing == Failing::Many, what, "Open one that failed: its attempts say why.", page));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(queue: &QueueStats, pool: &PoolStats, limiter_alone: bool) -> Vec<(bool, String)> {
        let seen = Seen { queue: Some(queue), pool: Some(pool), limiter_alone, ..Seen::default() };
        alerts(&seen).into_iter().map(|alert| (alert.grave, alert.what)).collect()
    }

    #[test]
    fn each_threshold_fires_beyond_it_and_not_at_it() {
        let good = PoolStats { min: 2, max: 10, usable: 2, ..PoolStats::default() };
        let calm = QueueStats {
            waiting: 100,
            oldest_waiting_seconds: 60.0,
            finished: 200,
            failed: 2,
            ..QueueStats::default()
        };
        assert_eq!(told(&calm, &good, false), []);
        let busy = QueueStats { waiting: 101, ..calm.clone() };
        assert_eq!(told(&busy, &good, false), [(false, "101 wait; 100 are too many.".to_owned())]);
        let late = QueueStats { oldest_waiting_seconds: 61.0, ..calm.clone() };
        assert_eq!(told(&late, &good, false).len(), 1);
        let failing = |failed| QueueStats { failed, ..calm.clone() };
        assert!(!told(&failing(3), &good, false)[0].0 && told(&failing(11), &good, false)[0].0);
        let few = QueueStats { finished: 3, failed: 3, ..calm.clone() };
        assert_eq!(told(&few, &good, false), []);
        let paused = QueueStats { paused: true, waiting: 500, ..calm.clone() };
        assert_eq!(
            told(&paused, &good, true).iter().map(|(grave, _)| *grave).collect::<Vec<_>>(),
            [true, false, false]
        );
        assert!(!told(&calm, &PoolStats { usable: 1, ..good }, false)[0].0);
        assert!(told(&calm, &PoolStats { usable: 0, ..good }, false)[0].0);
    }

    #[test]
    fn without_a_worker_it_is_grave_and_what_is_not_known_is_not_judged() {
        let seen = |workers| Seen { workers, ..Seen::default() };
        assert_eq!(alerts(&seen(None)), []);
        assert!(alerts(&seen(Some(&[])))[0].grave);
    }

    #[test]
    fn rings_that_were_laid_aside_lead_to_where_they_are() {
        let found = alerts(&Seen { dead: 3, ..Seen::default() });
        assert_eq!(found.len(), 1);
        assert!(!found[0].grave && found[0].what.ends_with(": 3."));
        assert_eq!(found[0].page, Some(("Dead letters", "/console/dead")));
    }
}
