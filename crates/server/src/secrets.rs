//! `son1k secrets FOLDER`: what the services of an installation and its stores must agree on, made once and kept in files.
//!
//! A folder for each reader, so that each container is shown its own alone: `services`, `postgres`, `rabbitmq`, `redis`, `grafana`.
//! Nothing that is there is changed: it may be run at every start, and a file of yours stands. It reaches no server and prints no secret.

use crate::launch::say;
use anyhow::Context;
use bootstrap::Settings;
use bootstrap::settings::{Readers, fresh_secret, keep_file};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};

/// What our own services show each other and their customers.
const OWN: [&str; 5] =
    ["admin_api_key", "system_api_key", "api_key_pepper", "token_encryption_keys", "internal_auth_secret"];
/// The user, and the database, that the services have in the stores.
const USER: &str = "son1k";

#[derive(Debug, Args)]
pub struct Arguments {
    /// The folder; made if need be
    folder: PathBuf,
    /// Where the services find PostgreSQL
    #[arg(long, value_name = "HOST:PORT", default_value = "postgres:5432")]
    postgres: String,
    /// Where they find RabbitMQ
    #[arg(long, value_name = "HOST:PORT", default_value = "rabbitmq:5672")]
    rabbitmq: String,
    /// Where they find Redis
    #[arg(long, value_name = "HOST:PORT", default_value = "redis:6379")]
    redis: String,
}

/// Makes what is missing.
///
/// # Errors
/// A folder that cannot be written or read.
pub fn secrets(settings: &Settings, arguments: &Arguments) -> anyhow::Result<()> {
    let of = |reader: &str| arguments.folder.join(reader);
    let services = of("services");
    for name in OWN {
        keep(&services, name, &fresh_secret(name), Readers::Owner)?;
    }
    // What is derived is derived from what is kept: an interrupted run ends with the same when it is run again.
    let password = |store: &str| keep(&of(store), "password", &fresh_password(), Readers::Everyone);
    let (postgres, rabbitmq, redis) = (password("postgres")?, password("rabbitmq")?, password("redis")?);
    password("grafana")?;
    let broker = format!("default_user = {USER}\ndefault_pass = {rabbitmq}\n");
    keep(&of("rabbitmq"), "rabbitmq.conf", &broker, Readers::Everyone)?;
    // What it holds is short-lived, but a restart must not forget the minute that is being counted.
    let limiter =
        format!("requirepass {redis}\ndir /data\nappendonly yes\nappendfsync everysec\nmaxmemory-policy noeviction\n");
    keep(&of("redis"), "redis.conf", &limiter, Readers::Everyone)?;
    for (name, url) in [
        ("database_url", format!("postgres://{USER}:{postgres}@{}/{USER}", arguments.postgres)),
        ("rabbitmq_url", format!("amqp://{USER}:{rabbitmq}@{}/%2f", arguments.rabbitmq)),
        ("redis_url", format!("redis://:{redis}@{}", arguments.redis)),
    ] {
        keep(&services, name, &url, Readers::Owner)?;
    }
    keep(&services, "tokens", &simulators_tokens(settings), Readers::Owner)?;
    keep(&services, "upstream_tokens", "# Tokens of your upstream, one a line: docs/tokens.md\n", Readers::Owner)?;
    say(&format!("the secrets are in {}", arguments.folder.display()));
    Ok(())
}

fn keep(folder: &Path, name: &str, text: &str, readers: Readers) -> anyhow::Result<String> {
    keep_file(folder, name, text, readers).with_context(|| format!("{} cannot keep {name}", folder.display()))
}

/// Letters and digits alone: it stands in URLs and in files of three forms.
fn fresh_password() -> String {
    format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>())
}

/// As many as the pool wants, for a stack without an upstream of its own.
fn simulators_tokens(settings: &Settings) -> String {
    let line = |number| {
        let concurrency = settings.simulator.token_concurrency;
        let label = format!("simulator {number}");
        json!({ "secret": simulator::token(number), "label": label, "max_concurrency": concurrency }).to_string() + "\n"
    };
    (1..=settings.pool.min).map(line).collect()
}
