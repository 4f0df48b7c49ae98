//! Durations in HDR histograms: bounded memory, three exact digits from a microsecond to an hour.

use hdrhistogram::Histogram;
use std::time::Duration;

const LONGEST_US: u64 = 3_600_000_000;
/// Where the curve of a report is drawn.
const CURVE: [f64; 15] = [0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.75, 99.9, 99.95, 99.99, 100.0];

#[derive(Debug, Clone)]
pub(super) struct Percentiles {
    /// `None` only if the constants above were refused: then nothing is counted.
    microseconds: Option<Histogram<u64>>,
}

impl Default for Percentiles {
    fn default() -> Self {
        Self::exact_to(3)
    }
}

impl Percentiles {
    /// `digits`: 1 to 5.
    pub(super) fn exact_to(digits: u8) -> Self {
        Self { microseconds: Histogram::new_with_bounds(1, LONGEST_US, digits).ok() }
    }

    /// Durations above an hour count as an hour.
    pub(super) fn record(&mut self, duration: Duration) {
        if let Some(microseconds) = &mut self.microseconds {
            microseconds.saturating_record(u64::try_from(duration.as_micros()).unwrap_or(LONGEST_US));
        }
    }

    pub(super) fn clear(&mut self) {
        if let Some(microseconds) = &mut self.microseconds {
            microseconds.reset();
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.microseconds.as_ref().map_or(0, Histogram::len)
    }

    /// Milliseconds that `percent` of all stay within; 0 when there is none.
    pub(super) fn at(&self, percent: f64) -> f64 {
        self.microseconds.as_ref().map_or(0.0, |all| all.value_at_percentile(percent) as f64 / 1_000.0)
    }

    /// In milliseconds.
    pub(super) fn mean(&self) -> f64 {
        self.microseconds.as_ref().map_or(0.0, |all| all.mean() / 1_000.0)
    }

    /// In milliseconds.
    pub(super) fn max(&self) -> f64 {
        self.microseconds.as_ref().map_or(0.0, |all| all.max() as f64 / 1_000.0)
    }

    /// Percent and milliseconds, rising.
    pub(super) fn curve(&self) -> Vec<(f64, f64)> {
        CURVE.iter().map(|percent| (*percent, self.at(*percent))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_exact_to_three_digits() {
        let mut all = Percentiles::default();
        for milliseconds in 1..=1_000 {
            all.record(Duration::from_millis(milliseconds));
        }
        all.record(Duration::from_secs(999_999));
        let near = |got: f64, wanted: f64| assert!((got - wanted).abs() <= wanted / 1_000.0, "{got} for {wanted}");
        near(all.at(50.0), 501.0);
        near(all.at(99.0), 991.0);
        near(all.max(), 3_600_000.0);
        assert_eq!(all.count(), 1_001);
        assert!(all.curve().is_sorted_by(|left, right| left.1 <= right.1));
        all.clear();
        assert_eq!((all.count(), all.at(99.0)), (0, 0.0));
    }
}
