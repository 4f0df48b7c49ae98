//! `son1k load drain`: how fast a full queue empties, or how fast generations pass while they are still being submitted.

use crate::load::bench::Bench;
use crate::load::census::Census;
use crate::load::closed::{ClosedLoop, Until};
use crate::load::customers::Customer;
use crate::load::meter::Meter;
use crate::load::queue::{self, Paused};
use crate::load::report::Report;
use crate::load::requests::Submissions;
use clap::value_parser;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, clap::Args, Serialize)]
pub(in crate::load) struct Arguments {
    #[arg(long, default_value_t = 20_000, value_parser = value_parser!(u64).range(1..=1_000_000))]
    generations: u64,
    /// Do not pause: submit and finish at once
    #[arg(long)]
    while_submitting: bool,
    /// Connections that submit
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u16).range(1..=4096))]
    connections: u16,
    /// Customers who take turns
    #[arg(long, default_value_t = 8, value_parser = value_parser!(u16).range(1..=1_000))]
    accounts: u16,
    /// Seconds to wait for the last to end
    #[arg(long, default_value_t = 600, value_parser = value_parser!(u32).range(1..=86_400))]
    longest: u32,
}

pub(in crate::load) async fn drain(bench: &Bench, arguments: &Arguments) -> anyhow::Result<Report> {
    queue::must_be_idle(bench).await?;
    let customers = Customer::several(bench, arguments.accounts).await?;
    let requests = Arc::new(Submissions::new(bench, &customers, true));
    let filling = ClosedLoop { connections: arguments.connections, until: Until::Sent(arguments.generations) };
    let longest = Duration::from_secs(arguments.longest.into());
    let fill = filling.run(bench, "submitting", requests);
    let mut meter;
    let filled = if arguments.while_submitting {
        meter = Meter::begin(bench);
        meter.during(fill).await?
    } else {
        let paused = Paused::begin(bench).await?;
        let filled = paused.during(fill).await?;
        meter = Meter::begin(bench);
        paused.resume().await?;
        filled
    };
    let left = meter.during(queue::until_ended(bench, filled.tally.succeeded, longest)).await?;
    let usage = meter.end();

    let census = Census::of_all(bench, customers.iter().map(|customer| customer.account)).await?;
    let mut report = Report::new("drain", arguments);
    let first = if arguments.while_submitting { census.created() } else { census.started() };
    if let (Some((first, _)), Some((_, last))) = (first, census.finished()) {
        let seconds = (last - first) as f64 / 1_000_000.0;
        let from = if arguments.while_submitting { "first acceptance" } else { "first claim" };
        report.figure("finished a second", census.ended() as f64 / seconds.max(0.001), "/s");
        report.figure(&format!("{from} to last end"), seconds, "s");
        report.series(
            "finished a second",
            "/s",
            census.ends_by_second(first, last).into_iter().map(|count| count as f64),
        );
    }
    if let Some(rate) = census.middle_rate() {
        report.figure("finished a second, middle eight tenths", rate, "/s");
    }
    report.cost("finished", census.ended(), usage);
    report.ends(&census);
    report.percentiles("accepted, latency", &filled.tally.latency);
    report.percentiles("accepted to ended", &census.spans());
    report.answers.insert("accepted".to_owned(), filled.tally.succeeded);
    report.answers.extend(filled.tally.failures.clone());
    if left > 0 {
        report.note(format!("{left} generations had not ended after {} s", arguments.longest));
        bench.leaves(format!("{left} generations that have not ended"));
    }
    if census.lives.len() as u64 != filled.tally.succeeded {
        let (there, accepted) = (census.lives.len(), filled.tally.succeeded);
        report.note(format!("{accepted} were answered with 202 and {there} are in the ledger"));
    }
    Ok(report)
}
