//! `son1k load submit`: how many submissions a second are accepted, and how fast.
//!
//! What was accepted is worked on meanwhile, unless the queue is paused or there is no worker: say which in the figure.

use crate::load::bench::Bench;
use crate::load::closed::{ClosedLoop, Until};
use crate::load::customers::Customer;
use crate::load::report::Report;
use crate::load::requests::Submissions;
use clap::value_parser;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, clap::Args, Serialize)]
pub(in crate::load) struct Arguments {
    /// Connections, each with one request under way
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u16).range(1..=4096))]
    connections: u16,
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Seconds beforehand that do not count
    #[arg(long, default_value_t = 2, value_parser = value_parser!(u32).range(0..=3_600))]
    warmup: u32,
    /// Customers who take turns
    #[arg(long, default_value_t = 8, value_parser = value_parser!(u16).range(1..=1_000))]
    accounts: u16,
    /// Submit without idempotency keys
    #[arg(long)]
    without_keys: bool,
}

pub(in crate::load) async fn submit(bench: &Bench, arguments: &Arguments) -> anyhow::Result<Report> {
    let customers = Customer::several(bench, arguments.accounts).await?;
    let requests = Arc::new(Submissions::new(bench, &customers, !arguments.without_keys));
    let until = Until::Passed {
        warmup: Duration::from_secs(arguments.warmup.into()),
        lasting: Duration::from_secs(arguments.seconds.into()),
    };
    let measured = ClosedLoop { connections: arguments.connections, until }.run(bench, "submitting", requests).await?;
    let mut report = Report::new("submit", arguments);
    report.requests("accepted", &measured);
    report.cost("accepted", measured.tally.succeeded, measured.usage);
    bench.leaves("what was accepted, to be worked on or to pass its deadline".to_owned());
    Ok(report)
}
