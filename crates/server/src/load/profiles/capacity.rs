//! `son1k load capacity`: whether so many workers keep up with a rate of long renders.
//!
//! Starts are counted by the ledger's own timestamps, second by second, after the ramp.

use super::open::rate;
use crate::load::arrivals::Arrivals;
use crate::load::bench::Bench;
use crate::load::census::Census;
use crate::load::customers::Customer;
use crate::load::open::OpenLoop;
use crate::load::queue;
use crate::load::report::Report;
use crate::load::requests::Submissions;
use anyhow::{Context, bail};
use clap::value_parser;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Of the workers' limit, where no rate is given.
const USUAL_PART: f64 = 0.95;

#[derive(Debug, clap::Args, Serialize)]
pub(in crate::load) struct Arguments {
    /// Workers that must be alive
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..=10_000))]
    workers: u32,
    /// Starts a second of each worker: its GENERATION_RATE_LIMIT
    #[arg(long, default_value_t = 100.0, value_parser = rate)]
    limit: f64,
    /// Submissions a second, evenly spaced; 95 % of the workers' limit when left out
    #[arg(long, value_parser = rate)]
    rate: Option<f64>,
    /// Measured after the ramp
    #[arg(long, default_value_t = 60, value_parser = value_parser!(u32).range(2..=86_400))]
    seconds: u32,
    /// Seconds beforehand at the same rate: longer than a render, so that as many end as begin
    #[arg(long, default_value_t = 25, value_parser = value_parser!(u32).range(0..=3_600))]
    ramp: u32,
    /// Connections at most
    #[arg(long, default_value_t = 256, value_parser = value_parser!(u16).range(1..=4096))]
    connections: u16,
    /// Customers who take turns
    #[arg(long, default_value_t = 8, value_parser = value_parser!(u16).range(1..=1_000))]
    accounts: u16,
    /// Seconds to wait for the last to end
    #[arg(long, default_value_t = 300, value_parser = value_parser!(u32).range(1..=86_400))]
    longest: u32,
}

pub(in crate::load) async fn capacity(bench: &Bench, arguments: &Arguments) -> anyhow::Result<Report> {
    queue::must_be_idle(bench).await?;
    let alive = bench.operator.admin().workers().await.context("the workers")?;
    let alive = alive.iter().filter(|worker| !worker.draining).count();
    if alive != arguments.workers as usize {
        bail!("workers that are alive: {alive}, not {}", arguments.workers);
    }
    let limit = f64::from(arguments.workers) * arguments.limit;
    let rate = arguments.rate.unwrap_or(limit * USUAL_PART);
    let customers = Customer::several(bench, arguments.accounts).await?;
    let requests = Arc::new(Submissions::new(bench, &customers, true));
    let (ramp, lasting) = (Duration::from_secs(arguments.ramp.into()), Duration::from_secs(arguments.seconds.into()));
    let open = OpenLoop { arrivals: Arrivals::even(rate), connections: arguments.connections, warmup: ramp, lasting };
    let (begun, over) = (std::time::Instant::now(), CancellationToken::new());
    let offered = async {
        let _over = over.clone().drop_guard();
        open.run(bench, "arriving", requests).await
    };
    let (measured, samples) = tokio::join!(Box::pin(offered), queue::watch(bench, over.cancelled()));
    let measured = measured?;
    let longest = Duration::from_secs(arguments.longest.into());
    let left = queue::until_ended(bench, measured.tally.succeeded, longest).await?;
    let census = Census::of_all(bench, customers.iter().map(|customer| customer.account)).await?;

    let mut report = Report::new("capacity", arguments);
    report.figure("offered a second", rate, "/s");
    report.figure("the workers' limit", limit, "/s");
    if let Some((first, _)) = census.created() {
        let from = first + i64::from(arguments.ramp) * 1_000_000;
        let to = from + i64::from(arguments.seconds) * 1_000_000;
        let starts = census.starts_by_second(from, to);
        let all: u64 = starts.iter().sum();
        report.figure("starts a second", all as f64 / starts.len().max(1) as f64, "/s");
        report.figure("… in the slowest second", starts.iter().min().copied().unwrap_or(0) as f64, "/s");
        report.figure("… in the fastest second", starts.iter().max().copied().unwrap_or(0) as f64, "/s");
        report.percentiles("accepted to started", &census.waits(from, to));
        report.series("starts a second", "/s", starts.into_iter().map(|count| count as f64));
        report.series("finished a second", "/s", census.ends_by_second(from, to).into_iter().map(|count| count as f64));
    }
    let after_ramp: Vec<_> = samples.iter().filter(|sample| sample.at >= begun + ramp).collect();
    let most = |of: fn(&queue::Sample) -> f64| after_ramp.iter().map(|sample| of(sample)).fold(0.0, f64::max);
    report.figure("most waiting at once", most(|sample| sample.waiting as f64), "");
    report.figure("most rendering at once", most(|sample| sample.rendering as f64), "");
    report.figure("oldest waiting, at most", most(|sample| sample.oldest_seconds), "s");
    report.series("waiting, ramp included", "", samples.iter().map(|sample| sample.waiting as f64));
    report.series("rendering, ramp included", "", samples.iter().map(|sample| sample.rendering as f64));
    report.requests("accepted", &measured);
    report.percentiles("sent late by", &measured.tally.lag);
    report.ends(&census);
    report.cost("accepted", measured.tally.succeeded, measured.usage);
    if left > 0 {
        report.note(format!("{left} generations had not ended after {} s", arguments.longest));
        bench.leaves(format!("{left} generations that have not ended"));
    }
    Ok(report)
}
