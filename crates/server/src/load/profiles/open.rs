//! `son1k load open`: latency at a fixed rate, and from acceptance to the end.

use crate::load::arrivals::Arrivals;
use crate::load::bench::Bench;
use crate::load::census::Census;
use crate::load::customers::Customer;
use crate::load::meter::Meter;
use crate::load::open::OpenLoop;
use crate::load::queue;
use crate::load::report::Report;
use crate::load::requests::Submissions;
use clap::value_parser;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// A mean distance of arrivals, told from text: 0.01 to 100,000 a second.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "must be a number".to_owned())?;
    if (0.01..=100_000.0).contains(&rate) { Ok(rate) } else { Err("must be 0.01 to 100000 a second".to_owned()) }
}

#[derive(Debug, clap::Args, Serialize)]
pub(in crate::load) struct Arguments {
    /// Submissions a second
    #[arg(long, default_value_t = 500.0, value_parser = rate)]
    rate: f64,
    #[arg(long, default_value_t = 30, value_parser = value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Seconds beforehand that do not count
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(0..=3_600))]
    warmup: u32,
    /// Arrive at random moments (Poisson) instead of evenly
    #[arg(long)]
    random: bool,
    /// Connections at most; a request that finds none free waits, and its wait counts
    #[arg(long, default_value_t = 256, value_parser = value_parser!(u16).range(1..=4096))]
    connections: u16,
    /// Customers who take turns
    #[arg(long, default_value_t = 8, value_parser = value_parser!(u16).range(1..=1_000))]
    accounts: u16,
    /// Wait until all has ended, and report from acceptance to the end, too; the queue must be empty before
    #[arg(long)]
    to_the_end: bool,
    /// Seconds to wait for that
    #[arg(long, default_value_t = 300, value_parser = value_parser!(u32).range(1..=86_400))]
    longest: u32,
}

pub(in crate::load) async fn open(bench: &Bench, arguments: &Arguments) -> anyhow::Result<Report> {
    if arguments.to_the_end {
        queue::must_be_idle(bench).await?;
    }
    let customers = Customer::several(bench, arguments.accounts).await?;
    let requests = Arc::new(Submissions::new(bench, &customers, true));
    let arrivals = if arguments.random { Arrivals::poisson(arguments.rate) } else { Arrivals::even(arguments.rate) };
    let open = OpenLoop {
        arrivals,
        connections: arguments.connections,
        warmup: Duration::from_secs(arguments.warmup.into()),
        lasting: Duration::from_secs(arguments.seconds.into()),
    };
    let whole = Meter::begin(bench);
    let measured = open.run(bench, "arriving", requests).await?;
    let mut report = Report::new("open", arguments);
    report.requests("accepted", &measured);
    report.percentiles("sent late by", &measured.tally.lag);
    if !arguments.to_the_end {
        report.cost("accepted", measured.tally.succeeded, measured.usage);
        bench.leaves("what was accepted, to be worked on or to pass its deadline".to_owned());
        return Ok(report);
    }
    let all = measured.tally.succeeded;
    let left = queue::until_ended(bench, all, Duration::from_secs(arguments.longest.into())).await?;
    let usage = whole.end();
    let census = Census::of_all(bench, customers.iter().map(|customer| customer.account)).await?;
    report.cost("ended, warm-up included", census.ended(), usage);
    if let Some((first, last)) = census.created() {
        report.percentiles("accepted to started", &census.waits(first, last + 1));
    }
    report.percentiles("accepted to ended", &census.spans());
    report.ends(&census);
    if left > 0 {
        report.note(format!("{left} generations had not ended after {} s", arguments.longest));
    }
    Ok(report)
}
