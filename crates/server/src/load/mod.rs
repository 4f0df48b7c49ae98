//! `son1k load`: what a running system carries, measured from outside.
//!
//! Closed loops find the throughput of so many connections; open loops keep to a timetable and count latency from the moment a request
//! was due, so that a slow answer does not hide those queued behind it. Percentiles are exact to three digits (HDR). Whatever lies between
//! acceptance and end is read back from the timestamps that the ledger gave, not guessed from polling.
//!
//! It speaks plain HTTP/1.1 over its own connections, because on one machine each microsecond of the generator is missing elsewhere; the
//! operators' calls go through the typed client. It makes accounts of its own, removes nothing, and says what it leaves behind. In reading
//! order: [`plan`] (what is computed and not measured), [`profiles`] (what is measured), [`closed`] and [`open`] (how requests are offered), [`tally`], [`census`], [`report`].

mod answer;
mod arrivals;
mod bench;
mod census;
mod closed;
mod customers;
mod html;
mod machine;
mod meter;
mod open;
mod percentiles;
mod plan;
mod processes;
mod profiles;
mod progress;
mod queue;
mod report;
mod requests;
mod table;
mod tally;
mod wire;

use crate::launch::say;
use anyhow::Context;
use bench::Bench;
use bootstrap::{Settings, settings};
use clap::{Args, Subcommand};
use client::Client;
use processes::Watched;
use report::Report;
use secrecy::SecretString;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use wire::Address;

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Args)]
struct Target {
    /// The gateways, as customers reach them, comma-separated: http://host:port; when left out ADMIN_URL, else this machine's PORT
    #[arg(long, global = true, value_delimiter = ',', value_name = "URL")]
    address: Vec<String>,
    /// Where /admin/v1 is served: a gateway with OPS_PORT serves it there alone; when left out ADMIN_URL, else the first address
    #[arg(long, global = true, alias = "admin-address", value_name = "URL")]
    admin_url: Option<String>,
    /// An operator's key; ADMIN_API_KEY, or the one that DATA_DIR keeps, when left out
    #[arg(long, global = true, env = "SON1K_ADMIN_KEY", hide_env_values = true, value_name = "KEY")]
    admin_key: Option<SecretString>,
    /// A process of this machine whose CPU time and memory are reported; may be repeated
    #[arg(long, global = true, value_name = "NAME=PID", value_parser = Watched::alone)]
    pid: Vec<Watched>,
    /// As --pid, with all its descendants: a PostgreSQL server, say
    #[arg(long, global = true, value_name = "NAME=PID", value_parser = Watched::tree)]
    pid_tree: Vec<Watched>,
    /// Write the report there as JSON, too
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report there as one HTML page, too
    #[arg(long, global = true, value_name = "FILE")]
    html: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum What {
    #[command(flatten)]
    Measure(Profile),
    /// What so many workers need of everything else, computed from measured costs; asks nobody
    Plan(plan::Arguments),
}

#[derive(Debug, Subcommand)]
enum Profile {
    /// Closed loop of submissions: how many a second are accepted
    Submit(profiles::submit::Arguments),
    /// Closed loop of reads of single generations
    Read(profiles::read::Arguments),
    /// Submissions at a fixed rate, whatever the answers do
    Open(profiles::open::Arguments),
    /// Fill the paused queue, resume, and see how fast it empties
    Drain(profiles::drain::Arguments),
    /// Whether the workers keep up with a rate: starts, waiting, latency, errors
    Capacity(profiles::capacity::Arguments),
    /// One account floods, another submits now and then: how long the other waits
    Fairness(profiles::fairness::Arguments),
    /// Accounts of given tiers with full backlogs: who gets which part
    Shares(profiles::shares::Arguments),
}

/// Runs one profile and reports.
///
/// # Errors
/// A gateway that does not answer or refuses the operator, a queue that others use, a report that cannot be written. Requests that fail
/// while measuring are figures, not errors.
pub async fn load(settings: Settings, arguments: Arguments, shutdown: CancellationToken) -> anyhow::Result<()> {
    let Arguments { target, what } = arguments;
    let (json, html) = (target.json.clone(), target.html.clone());
    let profile = match what {
        What::Plan(arguments) => return plan::plan(&arguments, json.as_deref(), html.as_deref()),
        What::Measure(profile) => profile,
    };
    let bench = bench(&settings, target, shutdown)?;
    // All of it on one thread with its own reactor: no hand-over between threads for each request.
    let report = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let done = run(&bench, &profile).await;
            let left = bench.left();
            let mut report = done.inspect_err(|_| table::left(&left).iter().for_each(|line| say(line)))?;
            if bench.shutdown.is_cancelled() {
                report.note("interrupted: shorter than asked");
            }
            report.left = left;
            anyhow::Ok(report)
        })
    });
    let report = report.await.context("the load")??;
    for line in table::lines(&report) {
        say(&line);
    }
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(&report).context("the report")?;
        std::fs::write(&path, text + "\n").with_context(|| format!("{} cannot be written", path.display()))?;
    }
    if let Some(path) = html {
        let page = html::page(&report);
        std::fs::write(&path, page).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

fn bench(settings: &Settings, target: Target, shutdown: CancellationToken) -> anyhow::Result<Bench> {
    let (named, here) = (settings.admin_url.clone(), || settings.listen.local_url(settings.listen.port));
    let admin = match (target.admin_url.or_else(|| named.clone()), target.address.first()) {
        (Some(url), _) => url,
        (None, Some(first)) => first.clone(),
        (None, None) => settings.operators_url(),
    };
    let given = if target.address.is_empty() { vec![named.unwrap_or_else(here)] } else { target.address };
    let addresses = given.iter().map(|url| Address::parse(url).map(Arc::new)).collect::<anyhow::Result<Vec<_>>>()?;
    let key = match (target.admin_key, &settings.secrets.admin_key) {
        (Some(key), _) => key,
        (None, Some(key)) => key.reveal().to_owned().into(),
        (None, None) => settings::kept_secret(&settings.data_dir, "admin_api_key")?
            .context("SON1K_ADMIN_KEY is missing: the key of an operator")?
            .into(),
    };
    let operator = Client::new(&admin, &key)?;
    let processes = target.pid.into_iter().chain(target.pid_tree).collect();
    Ok(Bench::new(addresses, operator, processes, shutdown))
}

async fn run(bench: &Bench, profile: &Profile) -> anyhow::Result<Report> {
    match profile {
        Profile::Submit(arguments) => Box::pin(profiles::submit::submit(bench, arguments)).await,
        Profile::Read(arguments) => Box::pin(profiles::read::read(bench, arguments)).await,
        Profile::Open(arguments) => Box::pin(profiles::open::open(bench, arguments)).await,
        Profile::Drain(arguments) => Box::pin(profiles::drain::drain(bench, arguments)).await,
        Profile::Capacity(arguments) => Box::pin(profiles::capacity::capacity(bench, arguments)).await,
        Profile::Fairness(arguments) => Box::pin(profiles::fairness::fairness(bench, arguments)).await,
        Profile::Shares(arguments) => Box::pin(profiles::shares::shares(bench, arguments)).await,
    }
}
