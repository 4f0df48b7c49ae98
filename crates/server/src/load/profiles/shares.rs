//! `son1k load shares`: accounts that all have a full backlog; which part of the starts does each get?

use crate::load::bench::Bench;
use crate::load::census::Census;
use crate::load::closed::{ClosedLoop, Until};
use crate::load::customers::Customer;
use crate::load::queue::{self, Paused};
use crate::load::report::Report;
use crate::load::requests::Submissions;
use anyhow::bail;
use clap::value_parser;
use domain::tier::{Tier, Tiers};
use serde::Serialize;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

/// From the first start until the claims of all workers follow one order.
const SETTLING: i64 = 1_000_000;

#[derive(Debug, clap::Args, Serialize)]
pub(in crate::load) struct Arguments {
    /// An account of each, comma-separated: free, pro, premium or enterprise
    #[arg(long, value_delimiter = ',', default_value = "free,free", value_parser = tier)]
    tiers: Vec<Tier>,
    /// What each has waiting when it begins: more than is started meanwhile
    #[arg(long, default_value_t = 5_000, value_parser = value_parser!(u64).range(1..=1_000_000))]
    backlog: u64,
    #[arg(long, default_value_t = 30, value_parser = value_parser!(u32).range(2..=86_400))]
    seconds: u32,
    /// Connections that fill the backlogs
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u16).range(1..=4096))]
    connections: u16,
}

fn tier(text: &str) -> Result<Tier, String> {
    let tier = Tier::parse(text).filter(|tier| *tier != Tier::System);
    tier.ok_or_else(|| "must be free, pro, premium or enterprise".to_owned())
}

pub(in crate::load) async fn shares(bench: &Bench, arguments: &Arguments) -> anyhow::Result<Report> {
    if arguments.tiers.len() < 2 {
        bail!("--tiers: shares are between two accounts at least");
    }
    queue::must_be_idle(bench).await?;
    let mut customers = Vec::new();
    for (index, tier) in arguments.tiers.iter().enumerate() {
        customers.push(Customer::make(bench, *tier, &format!("{} {}", tier.name(), index + 1)).await?);
    }
    let paused = Paused::begin(bench).await?;
    let fill = async {
        for customer in &customers {
            let requests = Arc::new(Submissions::new(bench, slice::from_ref(customer), true));
            let filling = ClosedLoop { connections: arguments.connections, until: Until::Sent(arguments.backlog) };
            let filled = filling.run(bench, "filling", requests).await?;
            if let Some((failure, count)) = filled.tally.failures.first_key_value() {
                bail!("{count} submissions failed: {failure}");
            }
        }
        Ok(())
    };
    paused.during(fill).await?;
    paused.resume().await?;
    let measured = Duration::from_secs(u64::from(arguments.seconds) + 2);
    bench.shutdown.run_until_cancelled(tokio::time::sleep(measured)).await;

    let mut censuses = Vec::new();
    for customer in &customers {
        censuses.push(Census::of(bench, customer.account).await?);
    }
    let mut report = Report::new("shares", arguments);
    let first = censuses.iter().filter_map(|census| census.started()).map(|(first, _)| first).min();
    let Some(first) = first else { bail!("nothing was started: is there a worker, and are there tokens?") };
    let from = first + SETTLING;
    let to = from + i64::from(arguments.seconds) * 1_000_000;
    let starts: Vec<Vec<u64>> = censuses.iter().map(|census| census.starts_by_second(from, to)).collect();
    let counts: Vec<u64> = starts.iter().map(|starts| starts.iter().sum()).collect();
    let all = counts.iter().sum::<u64>() as f64;
    let weights: Vec<f64> = customers.iter().map(|customer| f64::from(weight(customer.tier))).collect();
    let whole: f64 = weights.iter().sum();
    report.figure("starts a second", all / f64::from(arguments.seconds), "/s");
    for (index, customer) in customers.iter().enumerate() {
        let name = format!("{} {}", customer.tier.name(), index + 1);
        let got = counts.get(index).copied().unwrap_or(0) as f64 * 100.0 / all.max(1.0);
        let due = weights.get(index).copied().unwrap_or(0.0) * 100.0 / whole;
        report.figure(&format!("{name}: part of the starts"), got, "%");
        report.figure(&format!("{name}: due, by the tiers' usual shares"), due, "%");
    }
    for ((starts, customer), index) in starts.into_iter().zip(&customers).zip(1..) {
        let name = format!("{} {index}, starts a second", customer.tier.name());
        report.series(&name, "/s", starts.into_iter().map(|count| count as f64));
    }
    let dry = censuses
        .iter()
        .any(|census| census.started().is_some() && census.lives.iter().all(|life| life.started.is_some()));
    if dry {
        report.note("a backlog dried up meanwhile: give them longer ones");
    }
    let unstarted: usize =
        censuses.iter().map(|census| census.lives.iter().filter(|life| life.started.is_none()).count()).sum();
    if unstarted > 0 {
        bench.leaves(format!("{unstarted} generations that had not been started"));
    }
    Ok(report)
}

fn weight(tier: Tier) -> u32 {
    Tiers::default().of(tier).share
}
