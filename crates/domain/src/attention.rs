//! What of the queue's numbers wants an operator, wherever it is told: the console's overview, `son1k top`. The alerts in Prometheus have
//! the same thresholds, in their own language; whom to tell and what to do is not decided here.

/// More waiting generations than this are too many.
pub const WAITING_MOST: u64 = 100;
/// The oldest should not have waited longer, in seconds.
pub const OLDEST_MOST_SECONDS: f64 = 60.0;
/// A share of failures above this wants a look; above the other, customers feel it.
const FAILED_WARN: f64 = 0.01;
const FAILED_GRAVE: f64 = 0.05;
/// A share says nothing about fewer endings than this.
const ENDINGS_TO_JUDGE: u64 = 20;

/// How bad it is that generations fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failing {
    /// Within what is usual, or too few to say.
    No,
    Some,
    Many,
}

pub const fn waiting_too_many(waiting: u64) -> bool {
    waiting > WAITING_MOST
}

pub fn waited_too_long(oldest_seconds: f64) -> bool {
    oldest_seconds > OLDEST_MOST_SECONDS
}

/// Of those that ended lately, the share that failed, 0 to 1; 0 where none ended.
pub fn failed_share(failed: u64, finished: u64) -> f64 {
    if finished == 0 { 0.0 } else { failed as f64 / finished as f64 }
}

pub fn failing(failed: u64, finished: u64) -> Failing {
    let share = failed_share(failed, finished);
    if finished < ENDINGS_TO_JUDGE || share <= FAILED_WARN {
        Failing::No
    } else if share <= FAILED_GRAVE {
        Failing::Some
    } else {
        Failing::Many
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_threshold_is_crossed_beyond_it_and_not_at_it() {
        assert!(!waiting_too_many(100) && waiting_too_many(101));
        assert!(!waited_too_long(60.0) && waited_too_long(60.1));
        let judged = [(2, 200), (3, 200), (10, 200), (11, 200), (19, 19), (1, 20), (0, 0)];
        let found = judged.map(|(failed, finished)| failing(failed, finished));
        use Failing::{Many, No, Some};
        assert_eq!(found, [No, Some, Some, Many, No, Some, No]);
        assert_eq!(failed_share(0, 0), 0.0);
    }
}
