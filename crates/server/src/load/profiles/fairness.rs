//! `son1k load fairness`: one account has a long backlog, another submits now and then. How long does the other wait?

use super::open::rate;
use crate::load::arrivals::Arrivals;
use crate::load::bench::Bench;
use crate::load::census::Census;
use crate::load::closed::{ClosedLoop, Until};
use crate::load::customers::Customer;
use crate::load::open::OpenLoop;
use crate::load::queue::{self, Paused};
use crate::load::report::Report;
use crate::load::requests::Submissions;
use clap::value_parser;
use domain::tier::Tier;
use serde::Serialize;
use std::slice;
use std::sync::Arc;
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(500);
const FEW_CONNECTIONS: u16 = 8;

#[derive(Debug, clap::Args, Serialize)]
pub(in crate::load) struct Arguments {
    /// What the flooding account has waiting when it begins
    #[arg(long, default_value_t = 20_000, value_parser = value_parser!(u64).range(1..=1_000_000))]
    backlog: u64,
    /// Submissions a second of the other account
    #[arg(long, default_value_t = 1.0, value_parser = rate)]
    rate: f64,
    #[arg(long, default_value_t = 60, value_parser = value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Connections that flood
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u16).range(1..=4096))]
    connections: u16,
    /// Seconds to wait for the other's last start
    #[arg(long, default_value_t = 60, value_parser = value_parser!(u32).range(1..=86_400))]
    longest: u32,
}

pub(in crate::load) async fn fairness(bench: &Bench, arguments: &Arguments) -> anyhow::Result<Report> {
    queue::must_be_idle(bench).await?;
    let flooding = Customer::make(bench, Tier::Free, "that floods").await?;
    let other = Customer::make(bench, Tier::Free, "that submits now and then").await?;
    let flood = Arc::new(Submissions::new(bench, slice::from_ref(&flooding), true));
    let paused = Paused::begin(bench).await?;
    let filling = ClosedLoop { connections: arguments.connections, until: Until::Sent(arguments.backlog) };
    let filled = paused.during(filling.run(bench, "flooding", flood)).await?;
    paused.resume().await?;

    let now_and_then = OpenLoop {
        arrivals: Arrivals::even(arguments.rate),
        connections: FEW_CONNECTIONS,
        warmup: Duration::ZERO,
        lasting: Duration::from_secs(arguments.seconds.into()),
    };
    let submissions = Arc::new(Submissions::new(bench, slice::from_ref(&other), true));
    let measured = now_and_then.run(bench, "now and then", submissions).await?;
    let still_waiting = bench.operator.admin().queue().await?.waiting;
    let others = all_started(bench, &other, Duration::from_secs(arguments.longest.into())).await?;
    let floods = Census::of(bench, flooding.account).await?;

    let mut report = Report::new("fairness", arguments);
    if let Some((first, last)) = others.created() {
        let waits = others.waits(first, last + 1);
        report.figure("the other's wait, p95", waits.at(95.0) / 1_000.0, "s");
        report.figure("the other's wait, longest", waits.max() / 1_000.0, "s");
        report.percentiles("the other, accepted to started", &waits);
        let starts = floods.starts_by_second(first, last);
        let all: u64 = starts.iter().sum();
        report.figure("the flood's starts a second", all as f64 / starts.len().max(1) as f64, "/s");
        report.series("the flood's starts a second", "/s", starts.into_iter().map(|count| count as f64));
    }
    let unstarted = others.lives.iter().filter(|life| life.started.is_none()).count();
    report.figure("the other's, never started", unstarted as f64, "");
    report.figure("the flood accepted", filled.tally.succeeded as f64, "");
    report.figure("waiting at the end", still_waiting as f64, "");
    report.requests("accepted", &measured);
    if still_waiting == 0 {
        report.note("the flood had dried up before the end: the waits are too good; give it a longer backlog");
    }
    if still_waiting > 0 {
        bench.leaves(format!("the flood's rest: {still_waiting} waited at the end"));
    }
    Ok(report)
}

/// The customer's generations, once each has been started or `longest` has passed.
async fn all_started(bench: &Bench, customer: &Customer, longest: Duration) -> anyhow::Result<Census> {
    let begun = Instant::now();
    loop {
        let census = Census::of(bench, customer.account).await?;
        let done = census.lives.iter().all(|life| life.started.is_some());
        if done || begun.elapsed() > longest || bench.shutdown.is_cancelled() {
            return Ok(census);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
