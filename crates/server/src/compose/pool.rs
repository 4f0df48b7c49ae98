//! The token pool: within the process, or elsewhere over gRPC.

use anyhow::{Context, ensure};
use bootstrap::Settings;
use domain::ids::WorkerId;
use domain::ports::{Backends, Upstream};
use prometheus::Registry;
use secrecy::{ExposeSecret, SecretString};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use token_pool::{EncryptionKeys, Pool};
use token_pool_rpc::{MutualTls, RemotePool};
use tokio_util::sync::CancellationToken;

const STOPPED_WITHIN: Duration = Duration::from_secs(3);
/// Many certificates; no key or chain is larger.
const PEM_MAX: u64 = 256 * 1024;

/// A pool within the process. It outlives the services that lease from it.
pub struct OwnPool {
    pub pool: Arc<Pool>,
    shutdown: CancellationToken,
}

impl OwnPool {
    /// Gives up the leadership, so that another replica need not wait for it.
    pub async fn stop(self) {
        self.shutdown.cancel();
        if tokio::time::timeout(STOPPED_WITHIN, self.pool.stopped()).await.is_err() {
            tracing::warn!("the token pool did not stop in time");
        }
    }
}

/// What a pool is told, however it is reached.
///
/// # Errors
/// When a secret is missing that the role was not asked for.
pub fn pool_settings(
    settings: &Settings,
    backends: &Backends,
    address: String,
) -> anyhow::Result<token_pool::Settings> {
    let keys = settings.secrets.token_keys.as_ref().context("TOKEN_ENCRYPTION_KEYS is missing")?;
    let keys = EncryptionKeys::parse(keys.expose_secret()).context("TOKEN_ENCRYPTION_KEYS")?;
    let internal = internal(settings)?;
    let replica = WorkerId::new(backends.clock.now(), rand::random());
    let provisioner = match &settings.pool.provisioner_url {
        Some(url) => {
            let shown = settings.secrets.provisioner.clone();
            Some(upstream::provisioner(url, shown).context("TOKEN_PROVISIONER_URL")?)
        }
        None => None,
    };
    Ok(token_pool::Settings {
        min: settings.pool.min,
        max: settings.pool.max,
        default_concurrency: settings.pool.token_concurrency,
        address,
        sole: settings.is_embedded(),
        health_check_interval: settings.pool.health_check_interval,
        rotation_interval: settings.pool.rotation_interval,
        sources: token_pool::Sources { path: settings.pool.source_path.clone(), provisioner },
        ..token_pool::Settings::new(replica, keys, internal)
    })
}

/// Starts a pool within the process.
///
/// # Errors
/// Secrets that do not fit, or a store that cannot be read.
pub async fn own_pool(
    settings: &Settings,
    backends: &Backends,
    upstream: Option<Arc<dyn Upstream>>,
    registry: &Registry,
    address: String,
) -> anyhow::Result<OwnPool> {
    let shutdown = CancellationToken::new();
    let pool_settings = pool_settings(settings, backends, address)?;
    let (tokens, clock) = (backends.tokens.clone(), backends.clock.clone());
    let pool = Pool::start(pool_settings, tokens, clock, upstream, registry, shutdown.clone()).await?;
    Ok(OwnPool { pool, shutdown })
}

/// The pool at `TOKEN_POOL_URL`, where one is named.
///
/// # Errors
/// An address or a secret that cannot be used.
pub fn remote_pool(settings: &Settings) -> anyhow::Result<Option<Arc<RemotePool>>> {
    let Some(url) = &settings.pool.url else { return Ok(None) };
    Ok(Some(RemotePool::connect(url, internal(settings)?, pool_tls(settings)?).context("TOKEN_POOL_URL")?))
}

/// What the pool and its callers show each other, where the settings name it.
///
/// # Errors
/// A file that cannot be read, or one that is not what it should be.
pub fn pool_tls(settings: &Settings) -> anyhow::Result<Option<MutualTls>> {
    let Some(files) = &settings.pool.tls else { return Ok(None) };
    let authority = pem("TOKEN_POOL_TLS_CA_FILE", &files.authority)?;
    let certificate = pem("TOKEN_POOL_TLS_CERT_FILE", &files.certificate)?;
    let key = pem("TOKEN_POOL_TLS_KEY_FILE", &files.key)?;
    Ok(Some(MutualTls::from_pem(&authority, &certificate, &key).context("TOKEN_POOL_TLS_…_FILE")?))
}

fn pem(setting: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
    let named = || format!("{setting}={}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(named)?;
    file.take(PEM_MAX + 1).read_to_end(&mut bytes).with_context(named)?;
    ensure!(bytes.len() as u64 <= PEM_MAX, "{}: it is larger than {PEM_MAX} bytes", named());
    Ok(bytes)
}

fn internal(settings: &Settings) -> anyhow::Result<SecretString> {
    settings.secrets.internal.clone().context("INTERNAL_AUTH_SECRET is missing")
}
