//! An open load: so many submissions a second, each of which goes on with its key until it is accepted, as a careful client's does.

use crate::system::Customer;
use client::{ClientError, Retries, Submission};
use domain::ids::GenerationId;
use futures::future::join_all;
use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

const AGAIN: Duration = Duration::from_millis(250);
/// A client that gives up.
const PATIENCE: Duration = Duration::from_secs(90);

#[derive(Debug, Default)]
pub(super) struct Offered {
    pub ids: HashSet<GenerationId>,
    pub offered: usize,
    /// Accepted by the first call.
    pub at_once: usize,
    /// The longest that any one call took.
    pub slowest: Duration,
    pub refusals: BTreeMap<u16, usize>,
    /// Calls without an answer.
    pub unanswered: usize,
    /// When each was accepted, since the load began.
    pub accepted_at: Vec<Duration>,
}

struct One {
    id: Option<GenerationId>,
    calls: Vec<(Duration, Option<u16>)>,
    accepted_at: Duration,
}

pub(super) async fn offers(customer: &Customer, per_second: u32, longest: Duration) -> Offered {
    let begun = Instant::now();
    let every = Duration::from_secs(1) / per_second;
    let count = (longest.as_secs_f64() * f64::from(per_second)) as u32;
    let all = join_all((0..count).map(|number| async move {
        tokio::time::sleep(every * number).await;
        one(customer, &format!("song {number}"), begun).await
    }))
    .await;
    let mut offered = Offered { offered: all.len(), ..Offered::default() };
    for one in all {
        offered.at_once += usize::from(one.id.is_some() && one.calls.len() == 1);
        for (took, refusal) in one.calls {
            offered.slowest = offered.slowest.max(took);
            match refusal {
                Some(0) => offered.unanswered += 1,
                Some(status) => *offered.refusals.entry(status).or_default() += 1,
                None => {}
            }
        }
        if let Some(id) = one.id {
            offered.accepted_at.push(one.accepted_at);
            assert!(offered.ids.insert(id), "one id for two submissions");
        }
    }
    offered.accepted_at.sort();
    offered
}

async fn one(customer: &Customer, prompt: &str, begun: Instant) -> One {
    let client = customer.client.clone().with_retries(Retries::NONE);
    let (submission, mut calls, first) = (Submission::of(prompt), Vec::new(), Instant::now());
    while first.elapsed() < PATIENCE {
        let asked = Instant::now();
        let answer = client.submit(&submission).await;
        let took = asked.elapsed();
        match answer {
            Ok(submitted) => {
                calls.push((took, None));
                return One { id: Some(submitted.generation.id), calls, accepted_at: begun.elapsed() };
            }
            Err(ClientError::Refused(problem)) => calls.push((took, Some(problem.status))),
            Err(_) => calls.push((took, Some(0))),
        }
        tokio::time::sleep(AGAIN).await;
    }
    One { id: None, calls, accepted_at: Duration::ZERO }
}

impl Offered {
    /// Each is accepted in the end, and nothing was refused but for a while.
    pub(super) fn all_accepted(&self) {
        assert_eq!(self.ids.len(), self.offered, "{self:?}");
        assert!(self.refusals.keys().all(|status| *status == 503), "{:?}", self.refusals);
    }

    /// The longest stretch, within the load, without an acceptance.
    pub(super) fn longest_gap(&self) -> Duration {
        let gaps = self.accepted_at.windows(2).map(|pair| pair[1] - pair[0]);
        gaps.max().unwrap_or_default()
    }
}

/// From acceptance to the first claim, of those that waited longest.
pub(super) async fn longest_wait(customer: &Customer) -> f64 {
    let waits = customer.lists(None).await.into_iter().filter_map(|generation| {
        let waited = generation.started_at? - generation.created_at;
        Some(waited.num_milliseconds() as f64 / 1_000.0)
    });
    waits.fold(0.0, f64::max)
}
