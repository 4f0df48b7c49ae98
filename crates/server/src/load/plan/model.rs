//! The model: every need grows with the workers in a straight line, and every part carries as many workers as its limit allows.

use super::costs::Costs;
use serde::Serialize;

/// Redis runs its scripts on one core.
const REDIS_CORES: f64 = 1.0;
/// One pool leads, whatever stands by.
const POOLS: f64 = 1.0;
/// Resident memory of a render that a worker watches, in MiB.
const RENDER_MIB: f64 = 2.0 / 1024.0;

/// How the system is used and set.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct System {
    /// Generations that a worker starts a second.
    pub(super) starts: f64,
    pub(super) render_seconds: f64,
    pub(super) reads: f64,
    pub(super) token_concurrency: u32,
    pub(super) service_cores: f64,
    pub(super) connections_each: u32,
    /// The share of a CPU that may be used, 0 to 1.
    pub(super) usable: f64,
}

/// What there is of each that cannot simply be started once more.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Limits {
    pub(super) tokens: u32,
    pub(super) postgresql_cores: f64,
    pub(super) postgresql_connections: u32,
    pub(super) rabbitmq_cores: f64,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Plan {
    pub(super) system: System,
    pub(super) limits: Limits,
    /// CPU seconds of one generation.
    pub(super) costs: Costs,
    /// What grows with the workers, one number a size.
    pub(super) needs: Vec<Need>,
    pub(super) sizes: Vec<Size>,
    /// What binds before all else, and how many workers it carries.
    pub(super) first_bottleneck: String,
    pub(super) carries: u32,
    pub(super) way_past: &'static str,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Need {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) of: Vec<f64>,
    /// `None`: more of it is started.
    pub(super) limit: Option<f64>,
    /// Workers that the limit carries; `None`: any number.
    pub(super) carries: Option<u32>,
    pub(super) way_past: &'static str,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Size {
    pub(super) workers: u32,
    pub(super) generations_a_second: f64,
    /// What is over its limit, what binds first at the head.
    pub(super) over: Vec<String>,
}

/// One line of the model before it is filled in.
struct Line {
    name: &'static str,
    unit: &'static str,
    each: f64,
    /// With the workers; what does not is the same at every size.
    grows: bool,
    limit: Option<f64>,
    way_past: &'static str,
}

impl Plan {
    pub(super) fn of(workers: &[u32], system: &System, limits: &Limits, costs: Costs) -> Self {
        let needs: Vec<Need> = lines(system, limits, &costs).into_iter().map(|line| line.for_all(workers)).collect();
        let sizes = workers.iter().enumerate().map(|(at, count)| size(*count, at, system, &needs)).collect();
        let first = needs.iter().filter(|need| need.carries.is_some()).min_by_key(|need| need.carries);
        Self {
            system: *system,
            limits: *limits,
            costs,
            sizes,
            first_bottleneck: first.map_or_else(String::new, |need| need.name.to_owned()),
            carries: first.and_then(|need| need.carries).unwrap_or(u32::MAX),
            way_past: first.map_or("", |need| need.way_past),
            needs,
        }
    }
}

fn lines(system: &System, limits: &Limits, costs: &Costs) -> Vec<Line> {
    let starts = system.starts;
    let service = system.service_cores * system.usable;
    let gateways = starts * (costs.gateway + system.reads * costs.gateway_read) / service;
    vec![
        Line {
            name: "upstream leases",
            unit: "",
            each: starts * system.render_seconds,
            grows: true,
            limit: Some(f64::from(limits.tokens) * f64::from(system.token_concurrency)),
            way_past: "more tokens, or more leases of each, as far as the upstream allows; MAX_TOKENS, TOKEN_MAX_CONCURRENCY",
        },
        // The same for one worker and for a thousand: it binds at the first or never.
        Line {
            name: "a worker's own CPU",
            unit: "%",
            each: starts * costs.worker / system.service_cores * 100.0,
            grows: false,
            limit: Some(system.usable * 100.0),
            way_past: "fewer starts of each worker (GENERATION_RATE_LIMIT) and more workers, or more cores for each",
        },
        Line { name: "gateways", unit: "", each: gateways, grows: true, limit: None, way_past: "" },
        Line {
            name: "renders in memory",
            unit: "MiB",
            each: starts * system.render_seconds * RENDER_MIB,
            grows: true,
            limit: None,
            way_past: "",
        },
        Line {
            name: "PostgreSQL's CPU",
            unit: "cores",
            each: starts * (costs.postgresql + system.reads * costs.postgresql_read),
            grows: true,
            limit: Some(limits.postgresql_cores * system.usable),
            way_past: "a larger machine, then a partitioned ledger: accounts spread over several databases, each with its own workers",
        },
        Line {
            name: "PostgreSQL's connections",
            unit: "",
            each: (1.0 + gateways) * f64::from(system.connections_each),
            grows: true,
            limit: Some(f64::from(limits.postgresql_connections)),
            way_past: "a transaction pooler before the database, or a smaller DATABASE_POOL_MAX",
        },
        Line {
            name: "RabbitMQ's CPU",
            unit: "cores",
            each: starts * costs.rabbitmq,
            grows: true,
            limit: Some(limits.rabbitmq_cores * system.usable),
            way_past: "a cluster with a queue for each ledger partition; or none at all: workers look by themselves once a second",
        },
        Line {
            name: "Redis's one core",
            unit: "cores",
            each: starts * (costs.redis + system.reads * costs.redis_read),
            grows: true,
            limit: Some(REDIS_CORES * system.usable),
            way_past: "a cluster: a limit is one account's, so accounts spread over shards",
        },
        Line {
            name: "the pool's leader",
            unit: "cores",
            each: starts * costs.pool,
            grows: true,
            limit: Some(POOLS * service),
            way_past: "more cores for the leader, then a pool for each ledger partition",
        },
    ]
}

impl Line {
    fn for_all(self, workers: &[u32]) -> Need {
        let of = workers.iter().map(|count| self.each * if self.grows { f64::from(*count) } else { 1.0 }).collect();
        let carries = match self.limit {
            Some(limit) if self.grows => Some(if self.each > 0.0 { (limit / self.each) as u32 } else { u32::MAX }),
            Some(limit) if self.each > limit => Some(0),
            _ => None,
        };
        let Self { name, unit, limit, way_past, .. } = self;
        Need { name, unit, of, limit, carries, way_past }
    }
}

fn size(workers: u32, at: usize, system: &System, needs: &[Need]) -> Size {
    let mut over: Vec<&Need> = needs
        .iter()
        .filter(|need| need.limit.is_some_and(|limit| need.of.get(at).is_some_and(|need| *need > limit)))
        .collect();
    over.sort_by_key(|need| need.carries);
    Size {
        workers,
        generations_a_second: f64::from(workers) * system.starts,
        over: over.iter().map(|need| need.name.to_owned()).collect(),
    }
}
