//! `son1k load plan`: what so many workers need of everything else, computed from what one generation costs, and what binds first.
//!
//! Nothing is measured and nobody is asked: the costs come from an earlier run's report, from options, or are those of docs/benchmarks.md. A
//! model of straight lines: it says where to look first, and past which number a measurement on such machines has to take its place.

mod costs;
mod model;
mod shown;

use crate::launch::say;
use anyhow::{Context, bail};
use clap::Args;
use costs::Costs;
use model::{Limits, Plan, System};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Numbers of workers, comma-separated
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    workers: Vec<u32>,
    /// Generations that each worker starts a second (GENERATION_RATE_LIMIT)
    #[arg(long, default_value_t = 100.0, value_parser = positive)]
    starts: f64,
    /// How long a render takes upstream, in seconds
    #[arg(long, default_value_t = 20.0, value_parser = positive)]
    render_seconds: f64,
    /// Reads that a customer makes for each generation, which are checked against its limit, too
    #[arg(long, default_value_t = 4.0, value_parser = not_negative)]
    reads: f64,
    /// Leases at once of each token (TOKEN_MAX_CONCURRENCY)
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    token_concurrency: u32,
    /// Tokens that the pool takes (MAX_TOKENS)
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    max_tokens: u32,
    /// CPU cores of one gateway, one worker, one token pool
    #[arg(long, default_value_t = 2.0, value_parser = positive)]
    service_cores: f64,
    /// CPU cores of the database's machine
    #[arg(long, default_value_t = 32.0, value_parser = positive)]
    postgresql_cores: f64,
    /// Connections that the database takes (max_connections)
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    postgresql_connections: u32,
    /// Connections that each process holds when it is busy (at most DATABASE_POOL_MAX)
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    connections_each: u32,
    /// CPU cores of the broker's machine
    #[arg(long, default_value_t = 8.0, value_parser = positive)]
    rabbitmq_cores: f64,
    /// The share of a machine's CPU that may be used, in percent
    #[arg(long, default_value_t = 70.0, value_parser = positive)]
    cpu_percent: f64,
    /// A report that `son1k load … --json` wrote of `read`, or of a run to the end, with the processes named gateway, worker, pool, postgresql,
    /// rabbitmq, redis; may be repeated
    #[arg(long, value_name = "FILE")]
    costs_from: Vec<PathBuf>,
    /// CPU seconds of one generation in one of those, or of one read in gateway-read, postgresql-read, redis-read; may be repeated
    #[arg(long, value_name = "NAME=SECONDS", value_parser = costs::given)]
    cost: Vec<(costs::Part, f64)>,
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|number: &f64| number.is_finite() && *number > 0.0)
        .ok_or_else(|| "a number above 0".to_owned())
}

fn not_negative(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|number: &f64| number.is_finite() && *number >= 0.0)
        .ok_or_else(|| "a number, 0 or more".to_owned())
}

/// Computes, prints, and writes to `json` where that is asked for. A page it has none: `html` is refused.
///
/// # Errors
/// A report that cannot be read or says nothing of its generations; a file that cannot be written; a page that is asked for.
pub(super) fn plan(arguments: &Arguments, json: Option<&Path>, html: Option<&Path>) -> anyhow::Result<()> {
    if html.is_some() {
        bail!("--html: a plan has no page; --json writes it to a file");
    }
    let plan = computed(arguments)?;
    for line in shown::lines(&plan) {
        say(&line);
    }
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(&plan).context("the plan")?;
        std::fs::write(path, text + "\n").with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

fn computed(arguments: &Arguments) -> anyhow::Result<Plan> {
    let mut costs = Costs::default();
    for path in &arguments.costs_from {
        costs.take(path).with_context(|| path.display().to_string())?;
    }
    for (part, seconds) in &arguments.cost {
        costs.set(part, *seconds);
    }
    let system = System {
        starts: arguments.starts,
        render_seconds: arguments.render_seconds,
        reads: arguments.reads,
        token_concurrency: arguments.token_concurrency,
        service_cores: arguments.service_cores,
        connections_each: arguments.connections_each,
        usable: arguments.cpu_percent / 100.0,
    };
    let limits = Limits {
        tokens: arguments.max_tokens,
        postgresql_cores: arguments.postgresql_cores,
        postgresql_connections: arguments.postgresql_connections,
        rabbitmq_cores: arguments.rabbitmq_cores,
    };
    Ok(Plan::of(&arguments.workers, &system, &limits, costs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn plan_of(options: &[&str]) -> Plan {
        let typed = Typed::try_parse_from(std::iter::once("plan").chain(options.iter().copied())).unwrap();
        computed(&typed.arguments).unwrap()
    }

    fn shown(options: &[&str]) -> String {
        shown::lines(&plan_of(options)).join("\n")
    }

    #[test]
    fn ten_a_hundred_a_thousand() {
        insta::assert_snapshot!(shown(&[]));
    }

    #[test]
    fn with_tokens_enough_something_else_binds() {
        insta::assert_snapshot!(shown(&["--token-concurrency", "1000", "--max-tokens", "100000"]));
    }

    #[test]
    fn a_worker_s_own_cpu_binds_at_the_first_or_never() {
        let busy = ["--workers", "1", "--token-concurrency", "1000", "--starts"];
        let plan = plan_of(&[&busy[..], &["2000"]].concat());
        assert_eq!(plan.sizes[0].over, ["a worker's own CPU"]);
        assert_eq!((plan.first_bottleneck.as_str(), plan.carries), ("a worker's own CPU", 0));
        let said = shown::lines(&plan).join("\n");
        assert!(said.contains("a worker's own CPU is over its limit") && said.contains("not even one"), "{said}");
        let plan = plan_of(&[&busy[..], &["500"]].concat());
        assert_eq!(plan.sizes[0].over, Vec::<String>::new());
        assert_ne!(plan.first_bottleneck, "a worker's own CPU");
        // A thousand of them need no more of it than one.
        let plan = plan_of(&["--workers", "1000", "--starts", "500"]);
        assert!(!plan.sizes[0].over.contains(&"a worker's own CPU".to_owned()));
    }

    #[test]
    fn a_page_is_refused_and_not_left_out() {
        let typed = Typed::try_parse_from(["plan"]).unwrap();
        let page = tempfile::NamedTempFile::new().unwrap();
        let refused = plan(&typed.arguments, None, Some(page.path())).unwrap_err().to_string();
        assert!(refused.starts_with("--html") && refused.contains("--json"), "{refused}");
    }

    #[test]
    fn a_small_system_is_bound_by_nothing() {
        let plan = plan_of(&["--workers", "1", "--token-concurrency", "200"]);
        assert_eq!(plan.sizes[0].over, Vec::<String>::new());
    }

    #[test]
    fn as_json() {
        insta::assert_json_snapshot!(plan_of(&["--workers", "10"]));
    }

    #[test]
    fn a_run_s_report_gives_the_costs_and_options_go_first() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let process =
            |name: &str, cpu: f64, own: bool| serde_json::json!({"name": name, "cpu_seconds": cpu, "own": own});
        let figure = |status: &str, count: f64| serde_json::json!({"name": format!("generations {status}"), "value": count, "unit": ""});
        let report = serde_json::json!({
            "profile": "open",
            "figures": [figure("succeeded", 1_500.0), figure("failed", 300.0), figure("canceled", 200.0)],
            "processes": [process("load", 9.0, true), process("gateway", 1.0, false), process("worker", 2.0, false),
                          process("postgresql", 4.0, false)],
        });
        std::fs::write(file.path(), report.to_string()).unwrap();
        let path = file.path().to_str().unwrap();
        let costs = plan_of(&["--costs-from", path, "--cost", "worker=0.004"]).costs;
        assert_eq!((costs.gateway, costs.worker, costs.postgresql), (0.0005, 0.004, 0.002));
        // What the run did not watch is as the manual says.
        assert_eq!(costs.redis, Costs::default().redis);
        let reads = tempfile::NamedTempFile::new().unwrap();
        let report = serde_json::json!({"profile": "read", "answers": {"read": 10_000}, "processes": [process("redis", 0.2, false)]});
        std::fs::write(reads.path(), report.to_string()).unwrap();
        let costs = plan_of(&["--costs-from", path, "--costs-from", reads.path().to_str().unwrap()]).costs;
        assert_eq!((costs.worker, costs.redis_read), (0.001, 0.000_02));
    }

    fn costs_of(report: &serde_json::Value) -> anyhow::Result<Costs> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), report.to_string()).unwrap();
        let mut costs = Costs::default();
        costs.take(file.path()).map(|()| costs)
    }

    #[test]
    fn what_several_of_one_name_used_is_shared_among_what_ended_or_was_read() {
        let figures = serde_json::json!([
            {"name": "generations succeeded", "value": 1_000.0}, {"name": "generations queued", "value": 4_000.0},
            {"name": "generations rendering", "value": 3_000.0},
        ]);
        let processes = serde_json::json!([
            {"name": "worker", "cpu_seconds": 2.0}, {"name": "worker", "cpu_seconds": 1.0}, {"name": "worker", "cpu_seconds": 1.0},
            {"name": "postgresql", "cpu_seconds": 3.0},
        ]);
        let report = serde_json::json!({"profile": "drain", "figures": figures, "processes": processes});
        let costs = costs_of(&report).unwrap();
        assert_eq!((costs.worker, costs.postgresql), (0.004, 0.003));
        // Nothing has ended: nothing can be said of one generation.
        let unended = serde_json::json!([{"name": "generations queued", "value": 4_000.0}]);
        assert!(costs_of(&serde_json::json!({"profile": "open", "figures": unended, "processes": processes})).is_err());
        // Reads that failed are none.
        let answers = serde_json::json!({"read": 1_000, "429 rate_limit_exceeded": 9_000});
        let gateways =
            serde_json::json!([{"name": "gateway", "cpu_seconds": 0.5}, {"name": "gateway", "cpu_seconds": 0.5}]);
        let report = serde_json::json!({"profile": "read", "answers": answers, "processes": gateways});
        assert_eq!(costs_of(&report).unwrap().gateway_read, 0.001);
        // One of them ended half-way: its part is missing.
        let ended =
            serde_json::json!([{"name": "gateway", "cpu_seconds": 0.5}, {"name": "gateway", "cpu_seconds": null}]);
        let report = serde_json::json!({"profile": "read", "answers": answers, "processes": ended});
        assert!(costs_of(&report).unwrap_err().to_string().contains("gateway ended"));
    }

    #[test]
    fn a_report_that_says_nothing_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for text in ["", "{}", "[1]", r#"{"figures": [], "processes": []}"#] {
            std::fs::write(file.path(), text).unwrap();
            assert!(Costs::default().take(file.path()).is_err(), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for options in [
            ["--workers", "0"],
            ["--starts", "0"],
            ["--render-seconds", "nan"],
            ["--cost", "mainframe=1"],
            ["--cost", "worker=-1"],
        ] {
            assert!(Typed::try_parse_from(std::iter::once("plan").chain(options)).is_err(), "{options:?}");
        }
    }
}
