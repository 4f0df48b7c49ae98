//! From texts to [`Settings`]: every field with its bounds, then the pairs that must agree.

use super::error::SettingError;
use super::layers::{Values, env_name};
use super::{
    Database, Dialect, Edge, Keeping, Listen, LogFormat, Pool, PoolTls, Redis, Role, Secrets, Settings, Simulator,
    Telemetry, Upstream, Worker, show,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::api_key::ApiKey;
use domain::tier::{Quality, TierLimits, Tiers, UNMETERED};
use secrecy::SecretString;
use std::path::PathBuf;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn parse(role: Role, values: &Values) -> Result<Settings, SettingError> {
    let listen = Listen {
        host: values.address("host")?,
        port: values.whole("port", 0..=65_535)?,
        ops_port: values.whole_if_set("ops_port", 0..=65_535)?,
        grpc_port: values.whole("grpc_port", 0..=65_535)?,
        public_url: values.url("public_url", &["https", "http"])?,
    };
    let settings = Settings {
        role,
        database: database(values)?,
        rabbitmq_url: values.secret_url("rabbitmq_url", &["amqp", "amqps"])?,
        redis: redis(values)?,
        data_dir: PathBuf::from(values.text("data_dir").ok_or_else(|| values.refused("data_dir", "a folder's path"))?),
        upstream: Upstream {
            url: values.url("suno_api_url", &["https", "http"])?,
            dialect: values.choice("upstream_dialect", &[("suno", Dialect::Suno), ("sunoapi", Dialect::SunoApi)])?,
            bundled_simulator: values.flag("bundled_simulator")?,
        },
        worker: Worker {
            only: values.flag("worker_only")?,
            slots: values.whole("generation_concurrency", 1..=10_000)?,
            starts_per_second: values.whole("generation_rate_limit", 1..=100_000)?,
            poll_longest: values.millis("render_poll_longest", 100..=600_000)?,
            lease: Duration::from_secs(values.whole("lease_seconds", 3..=600)?),
            drain: Duration::from_secs(values.whole("drain_seconds", 1..=15)?),
        },
        pool: pool(values)?,
        keeping: Keeping {
            completed: values.whole("completed_jobs_max", 0..=100_000_000)?,
            failed: values.whole("failed_jobs_max", 0..=100_000_000)?,
            results: DAY * values.whole::<u32>("result_retention_days", 1..=36_500)?,
        },
        scaling: super::scaling::parse(values)?,
        edge: Edge {
            backlog_account: values.whole("backlog_max_account", 1..=1_000_000_000)?,
            backlog_total: values.whole("backlog_max_total", 1..=1_000_000_000)?,
            unauthenticated_per_minute: values.whole("unauthenticated_rate_limit", 1..=1_000_000)?,
            trusted_proxies: values.networks("trusted_proxies")?,
            cors_origins: values.origins("cors_allowed_origins")?,
        },
        secrets: secrets(values)?,
        telemetry: telemetry(role, values)?,
        simulator: simulator(values)?,
        tiers: tiers(values)?,
        admin_url: values.url("admin_url", &["http", "https"])?,
        makes_secrets: values.flag("make_secrets")?,
        shown: show::show(values),
        listen,
    };
    check_ports(&settings)?;
    Ok(settings)
}

fn database(values: &Values) -> Result<Option<Database>, SettingError> {
    let (pool_min, pool_max) =
        (values.whole("database_pool_min", 0..=1000)?, values.whole("database_pool_max", 2..=1000)?);
    if pool_min > pool_max {
        return Err(above("DATABASE_POOL_MIN", pool_min, "DATABASE_POOL_MAX", pool_max));
    }
    Ok(values.secret_url("database_url", &["postgres", "postgresql"])?.map(|url| Database { url, pool_min, pool_max }))
}

fn redis(values: &Values) -> Result<Option<Redis>, SettingError> {
    let max_retries = values.whole("redis_max_retries", 0..=1000)?;
    let connect_timeout = values.millis("redis_connect_timeout", 1..=600_000)?;
    let answer_timeout = values.millis("redis_answer_timeout", 1..=1_000)?;
    let url = values.secret_url("redis_url", &["redis"])?;
    Ok(url.map(|url| Redis { url, max_retries, connect_timeout, answer_timeout }))
}

fn pool(values: &Values) -> Result<Pool, SettingError> {
    let (min, max) = (values.whole("min_tokens", 1..=100_000)?, values.whole("max_tokens", 1..=100_000)?);
    if min > max {
        return Err(above("MIN_TOKENS", min, "MAX_TOKENS", max));
    }
    Ok(Pool {
        url: values.urls("token_pool_url", &["https", "http"])?,
        min,
        max,
        token_concurrency: values.whole("token_max_concurrency", 1..=10_000)?,
        rotation_interval: values.millis("rotation_interval", 1_000..=86_400_000)?,
        health_check_interval: values.millis("health_check_interval", 1_000..=86_400_000)?,
        source_path: values.text("token_source_path").map(PathBuf::from),
        provisioner_url: values.url("token_provisioner_url", &["https", "http"])?,
        advertise_url: values.url("grpc_advertise_url", &["https", "http"])?,
        tls: pool_tls(values)?,
    })
}

/// All three or none; and then no address of the pool is a plain one.
fn pool_tls(values: &Values) -> Result<Option<PoolTls>, SettingError> {
    const FILES: [&str; 3] = ["token_pool_tls_ca_file", "token_pool_tls_cert_file", "token_pool_tls_key_file"];
    let given = FILES.map(|path| values.text(path).map(PathBuf::from));
    let missing = FILES.iter().zip(&given).find(|(_, file)| file.is_none()).map(|(path, _)| env_name(path));
    let tls = match (given, missing) {
        ([Some(authority), Some(certificate), Some(key)], _) => Some(PoolTls { authority, certificate, key }),
        ([None, None, None], _) => None,
        (_, missing) => {
            let missing = missing.unwrap_or_default();
            return Err(SettingError::Conflict(format!(
                "{missing} is not set though others of TOKEN_POOL_TLS_… are: all three or none"
            )));
        }
    };
    let (wrong, scheme) = if tls.is_some() { ("http://", "https://") } else { ("https://", "http://") };
    for path in ["token_pool_url", "grpc_advertise_url"] {
        if values.get(path).split(',').any(|url| url.trim().starts_with(wrong)) {
            let name = env_name(path);
            let files = if tls.is_some() { "are set" } else { "are not set" };
            return Err(SettingError::Conflict(format!(
                "{name} begins with {wrong} though the files of TOKEN_POOL_TLS_… {files}: it must be {scheme}"
            )));
        }
    }
    Ok(tls)
}

fn secrets(values: &Values) -> Result<Secrets, SettingError> {
    let key = |path: &str| -> Result<Option<ApiKey>, SettingError> {
        let Some(text) = values.text(path) else { return Ok(None) };
        ApiKey::operators(&text).map(Some).ok_or_else(|| values.refused(path, "32 to 255 visible ASCII characters"))
    };
    let secrets = Secrets {
        admin_key: key("admin_api_key")?,
        system_key: key("system_api_key")?,
        pepper: values.secret("api_key_pepper")?,
        token_keys: values.text("token_encryption_keys").map(Into::into),
        internal: values.secret("internal_auth_secret")?,
        provisioner: provisioner_secret(values)?,
    };
    if let (Some(admin), Some(system)) = (&secrets.admin_key, &secrets.system_key)
        && admin.reveal() == system.reveal()
    {
        return Err(SettingError::Conflict(
            "ADMIN_API_KEY and SYSTEM_API_KEY are the same: they must differ".to_owned(),
        ));
    }
    let token_keys = values.get("token_encryption_keys");
    if !token_keys.is_empty() && !are_token_keys(token_keys) {
        return Err(values.refused("token_encryption_keys", "id:base64 of 32 bytes, comma-separated, each id once"));
    }
    Ok(secrets)
}

/// Somebody else's secret: not ours to say how long it is.
fn provisioner_secret(values: &Values) -> Result<Option<SecretString>, SettingError> {
    let Some(text) = values.text("token_provisioner_secret") else { return Ok(None) };
    if text.len() > 1024 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(values.refused("token_provisioner_secret", "1 to 1024 visible ASCII characters"));
    }
    Ok(Some(text.into()))
}

fn are_token_keys(text: &str) -> bool {
    let mut ids = std::collections::HashSet::new();
    text.split(',').all(|item| {
        let Some((id, key)) = item.trim().split_once(':') else { return false };
        let named = (1..=64).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        named && ids.insert(id) && STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 32)
    })
}

fn telemetry(role: Role, values: &Values) -> Result<Telemetry, SettingError> {
    let filter = values.get("rust_log").to_owned();
    if tracing_subscriber::EnvFilter::try_new(&filter).is_err() {
        return Err(values.refused("rust_log", "a filter such as info or warn,worker=debug"));
    }
    Ok(Telemetry {
        otlp_endpoint: values.url("otel_exporter_otlp_endpoint", &["http", "https"])?,
        service: values.text("otel_service_name").unwrap_or_else(|| role.name().to_owned()),
        traces_per_second: values.whole("traces_per_second", 1..=1_000_000)?,
        filter,
        format: values
            .choice("log_format", &[("", None), ("text", Some(LogFormat::Text)), ("json", Some(LogFormat::Json))])?,
    })
}

fn simulator(values: &Values) -> Result<Simulator, SettingError> {
    let render_min = values.seconds("simulator.render_seconds_min", 0.0..=3600.0)?;
    let render_max = values.seconds("simulator.render_seconds_max", 0.0..=3600.0)?;
    if render_min > render_max {
        let (min, max) = (render_min.as_secs_f64(), render_max.as_secs_f64());
        return Err(above("SIMULATOR_RENDER_SECONDS_MIN", min, "SIMULATOR_RENDER_SECONDS_MAX", max));
    }
    Ok(Simulator {
        port: values.whole_if_set("simulator.port", 0..=65_535)?,
        public_url: values.url("simulator.public_url", &["https", "http"])?,
        render_min,
        render_max,
        latency: values.millis("simulator.latency_ms", 0..=60_000)?,
        token_concurrency: values.whole("simulator.token_concurrency", 1..=10_000)?,
    })
}

fn tiers(values: &Values) -> Result<Tiers, SettingError> {
    let qualities: Vec<(&str, Quality)> = Quality::ALL.iter().map(|quality| (quality.name(), *quality)).collect();
    let tier = |name: &str, metered: bool| -> Result<TierLimits, SettingError> {
        let path = |field: &str| format!("tiers.{name}.{field}");
        let monthly = |field: &str| if metered { values.whole(&path(field), 0..=UNMETERED) } else { Ok(UNMETERED) };
        Ok(TierLimits {
            requests_per_minute: if metered {
                Some(values.whole(&path("requests_per_minute"), 1..=1_000_000)?)
            } else {
                None
            },
            generations_per_month: monthly("generations_per_month")?,
            credits_per_month: monthly("credits_per_month")?,
            longest_seconds: values.whole(&path("longest_seconds"), 1..=600)?,
            best_quality: values.choice(&path("best_quality"), &qualities)?,
            share: values.whole(&path("share"), 1..=1000)?,
        })
    };
    Ok(Tiers {
        free: tier("free", true)?,
        pro: tier("pro", true)?,
        premium: tier("premium", true)?,
        enterprise: tier("enterprise", true)?,
        system: tier("system", false)?,
    })
}

pub(super) fn above(
    low: &str,
    low_is: impl std::fmt::Display,
    high: &str,
    high_is: impl std::fmt::Display,
) -> SettingError {
    SettingError::Conflict(format!("{low}={low_is} is above {high}={high_is}: it must not be"))
}

/// Two listeners of one process on one port would fail later, with a message about addresses.
fn check_ports(settings: &Settings) -> Result<(), SettingError> {
    let listen = &settings.listen;
    let (first, second) = match settings.role {
        Role::Gateway | Role::Up => (("PORT", listen.port), ("OPS_PORT", listen.ops_port.unwrap_or(0))),
        Role::TokenPool => (("GRPC_PORT", listen.grpc_port), ("OPS_PORT", listen.ops_port.unwrap_or(listen.port))),
        _ => return Ok(()),
    };
    if first.1 != 0 && first.1 == second.1 {
        return Err(SettingError::Conflict(format!(
            "{} and {} are both {}: they must differ",
            first.0, second.0, first.1
        )));
    }
    Ok(())
}
