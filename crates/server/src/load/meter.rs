//! What a stretch of time cost the watched processes.

use super::bench::Bench;
use super::processes::Watched;
use serde::Serialize;
use std::future::Future;
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// One process over the measured time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Usage {
    pub(super) name: String,
    /// `None`: it ended meanwhile.
    pub(super) cpu_seconds: Option<f64>,
    /// MiB; `None` for trees.
    pub(super) resident_before: Option<f64>,
    /// MiB, the largest that was seen once a second.
    pub(super) resident_most: Option<f64>,
    /// The load's own, which the sums leave out.
    pub(super) own: bool,
}

/// Runs from [`Meter::begin`].
#[derive(Debug)]
pub(super) struct Meter {
    begun: Instant,
    watched: Vec<(Watched, Option<f64>, Usage)>,
}

impl Meter {
    pub(super) fn begin(bench: &Bench) -> Self {
        let all = std::iter::once(Watched::own()).chain(bench.processes.iter().cloned());
        let watched = all.enumerate().map(|(index, process)| {
            let resident = process.resident();
            let usage = Usage {
                name: process.name.clone(),
                cpu_seconds: None,
                resident_before: resident,
                resident_most: resident,
                own: index == 0,
            };
            (process.cpu_seconds(), process, usage)
        });
        let watched = watched.map(|(cpu, process, usage)| (process, cpu, usage)).collect();
        Self { begun: Instant::now(), watched }
    }

    /// Looks at memory; once a second is enough.
    pub(super) fn look(&mut self) {
        for (process, _, usage) in &mut self.watched {
            if let Some(now) = process.resident() {
                usage.resident_most = Some(usage.resident_most.map_or(now, |most| most.max(now)));
            }
        }
    }

    /// Looks at memory while `work` goes on.
    pub(super) async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let mut looks = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = looks.tick() => self.look(),
            }
        }
    }

    pub(super) fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    pub(super) fn end(mut self) -> Vec<Usage> {
        self.look();
        let used = self.watched.into_iter().map(|(process, before, usage)| {
            let cpu_seconds = before.zip(process.cpu_seconds()).map(|(before, after)| after - before);
            Usage { cpu_seconds, ..usage }
        });
        used.collect()
    }
}

/// CPU seconds of all but the load itself; `None` when nothing else was watched, or one of them ended.
pub(super) fn cpu_of_the_system(usage: &[Usage]) -> Option<f64> {
    let mut others = usage.iter().filter(|usage| !usage.own).peekable();
    others.peek()?;
    others.map(|usage| usage.cpu_seconds).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_leaves_out_the_load_and_admits_what_it_does_not_know() {
        let of = |own, cpu_seconds| Usage {
            name: String::new(),
            cpu_seconds,
            resident_before: None,
            resident_most: None,
            own,
        };
        assert_eq!(cpu_of_the_system(&[of(true, Some(9.0))]), None);
        assert_eq!(cpu_of_the_system(&[of(true, Some(9.0)), of(false, Some(1.0)), of(false, Some(2.0))]), Some(3.0));
        assert_eq!(cpu_of_the_system(&[of(false, Some(1.0)), of(false, None)]), None);
    }
}
