//! `son1k load read`: how many single generations a second can be read.

use crate::load::bench::Bench;
use crate::load::closed::{ClosedLoop, Until};
use crate::load::customers::Customer;
use crate::load::report::Report;
use crate::load::requests::{Reads, Submissions};
use anyhow::bail;
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
    /// Generations that are submitted beforehand and read in turn
    #[arg(long, default_value_t = 1_000, value_parser = value_parser!(u32).range(1..=1_000_000))]
    generations: u32,
}

pub(in crate::load) async fn read(bench: &Bench, arguments: &Arguments) -> anyhow::Result<Report> {
    let customers = Customer::several(bench, arguments.accounts).await?;
    let each = u64::from(arguments.generations).div_ceil(u64::from(arguments.accounts));
    let mut paths = Vec::new();
    for customer in &customers {
        let submissions = Arc::new(Submissions::new(bench, std::slice::from_ref(customer), true).keeping());
        let filling = ClosedLoop { connections: arguments.connections, until: Until::Sent(each) };
        let filled = filling.run(bench, "submitting", submissions.clone()).await?;
        if let Some((failure, count)) = filled.tally.failures.first_key_value() {
            bail!("{count} submissions failed: {failure}");
        }
        paths.extend(submissions.kept().into_iter().map(|path| (customer, path)));
    }
    bench.leaves(format!("{} generations", paths.len()));
    let reads = Reads::new(bench, paths.into_iter());
    if reads.is_empty() {
        bail!("nothing was accepted that could be read");
    }
    let until = Until::Passed {
        warmup: Duration::from_secs(arguments.warmup.into()),
        lasting: Duration::from_secs(arguments.seconds.into()),
    };
    let measured =
        ClosedLoop { connections: arguments.connections, until }.run(bench, "reading", Arc::new(reads)).await?;
    let mut report = Report::new("read", arguments);
    report.requests("read", &measured);
    report.cost("reads", measured.tally.succeeded, measured.usage);
    Ok(report)
}
