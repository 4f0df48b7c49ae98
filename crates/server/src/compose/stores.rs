//! The ledger, the doorbell and the limiter: each URL chooses its adapter by itself.

use anyhow::Context;
use bootstrap::{Role, Settings};
use domain::ports::{
    Accounts, Backends, Doorbell, Gateways, Generations, LedgerClock, Operators, Probe, RateLimiter, Scaling, Tokens,
    Work,
};
use production::rabbitmq::RabbitDoorbell;
use production::redis::{FallbackLimiter, RedisLimiter};
use std::sync::Arc;
use std::time::Duration;

const CLOSE_WITHIN: Duration = Duration::from_secs(3);

/// The opened stores, and how to close them.
pub struct Stores {
    pub backends: Backends,
    ledger: Ledger,
    doorbell: Option<Arc<RabbitDoorbell>>,
}

enum Ledger {
    Embedded(Arc<embedded::Ledger>),
    Production(Arc<production::Ledger>),
}

/// Opens what the settings name, and what stands in for what they do not.
///
/// # Errors
/// A ledger that cannot be used; a broker or limiter that refuses us. One that is out of reach is waited for behind the port.
pub async fn stores(settings: &Settings) -> anyhow::Result<Stores> {
    let mut probes: Vec<Arc<dyn Probe>> = Vec::new();
    // The token pool and the autoscaler neither ring nor listen.
    let doorbell = match &settings.rabbitmq_url {
        Some(url) if !matches!(settings.role, Role::TokenPool | Role::Autoscaler) => {
            let name = format!("{} {}", settings.role.name(), super::process_name());
            let doorbell = RabbitDoorbell::connect(url, &name).await.context("RABBITMQ_URL")?;
            probes.push(doorbell.probe());
            Some(doorbell)
        }
        _ => None,
    };
    let rings: Arc<dyn Doorbell> = match &doorbell {
        Some(doorbell) => doorbell.clone(),
        None => embedded::channels::Channels::new(),
    };
    let limiter = limiter(settings, &mut probes).await?;
    let tiers = settings.tiers.clone();
    let (backends, ledger) = match &settings.database {
        Some(database) => {
            let settings = production::Settings {
                database_url: database.url.clone(),
                pool_min: database.pool_min,
                pool_max: database.pool_max,
                tiers,
            };
            let ledger = production::Ledger::connect(settings).await.context("DATABASE_URL")?;
            (backends(&ledger, rings, limiter, probes), Ledger::Production(ledger))
        }
        None => {
            let settings = embedded::Settings { data_dir: settings.data_dir.clone(), tiers };
            let ledger = embedded::Ledger::open(settings).await.context("DATA_DIR")?;
            (backends(&ledger, rings, limiter, probes), Ledger::Embedded(ledger))
        }
    };
    Ok(Stores { backends, ledger, doorbell })
}

async fn limiter(settings: &Settings, probes: &mut Vec<Arc<dyn Probe>>) -> anyhow::Result<Arc<dyn RateLimiter>> {
    // Only who serves customers limits them.
    let limits = matches!(settings.role, Role::Gateway | Role::Up) && !settings.is_worker_alone();
    match &settings.redis {
        Some(redis) if limits => {
            let retries = usize::try_from(redis.max_retries).unwrap_or(usize::MAX);
            let limiter = RedisLimiter::connect(&redis.url, redis.connect_timeout, retries, redis.answer_timeout)
                .await
                .context("REDIS_URL")?;
            probes.push(limiter.probe());
            // Until the ledger has counted them, this gateway is the only one.
            Ok(FallbackLimiter::new(limiter, 1))
        }
        _ => Ok(embedded::limiter::InProcessLimiter::new()),
    }
}

fn backends<L>(
    ledger: &Arc<L>,
    doorbell: Arc<dyn Doorbell>,
    limiter: Arc<dyn RateLimiter>,
    others: Vec<Arc<dyn Probe>>,
) -> Backends
where
    L: Accounts + Operators + Generations + Work + Tokens + Gateways + Scaling + LedgerClock + Probe + 'static,
{
    let mut probes: Vec<Arc<dyn Probe>> = vec![ledger.clone()];
    probes.extend(others);
    Backends {
        accounts: ledger.clone(),
        operators: ledger.clone(),
        generations: ledger.clone(),
        work: ledger.clone(),
        tokens: ledger.clone(),
        gateways: ledger.clone(),
        scaling: ledger.clone(),
        doorbell,
        limiter,
        clock: ledger.clone(),
        probes,
    }
}

impl Stores {
    /// Closes the doorbell, then the ledger, within a few seconds each.
    pub async fn close(self) {
        if let Some(doorbell) = self.doorbell
            && tokio::time::timeout(CLOSE_WITHIN, doorbell.close()).await.is_err()
        {
            tracing::warn!("RabbitMQ's connection did not close in time");
        }
        let closed = async {
            match &self.ledger {
                Ledger::Embedded(ledger) => ledger.close().await,
                Ledger::Production(ledger) => ledger.close().await,
            }
        };
        if tokio::time::timeout(CLOSE_WITHIN, closed).await.is_err() {
            tracing::warn!("the ledger did not close in time");
        }
    }
}
