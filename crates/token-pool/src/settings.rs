//! What a pool is started with. Read and validated by the composition root; nothing here reads the environment.

use crate::health::Policy;
use crate::keys::EncryptionKeys;
use domain::ids::WorkerId;
use domain::ports::TokenSource;
use secrecy::SecretString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub struct Settings {
    /// `MIN_TOKENS`: fewer usable ones are a low pool.
    pub min: u32,
    /// `MAX_TOKENS`: how many may be neither disabled, expired nor deleted.
    pub max: u32,
    /// `TOKEN_MAX_CONCURRENCY`: where an import names none.
    pub default_concurrency: u32,
    /// Where callers reach this replica, `http://host:port`; followers tell it. Empty where the pool is called in process alone.
    pub address: String,
    /// This incarnation: a new one at each start.
    pub replica: WorkerId,
    /// `TOKEN_ENCRYPTION_KEYS`.
    pub keys: EncryptionKeys,
    /// Keys the hash by which duplicates are found. With another one, a secret imported before is known again where its row opens.
    pub fingerprint_key: SecretString,
    /// No worker outlives this process (embedded mode). A new leader then need not wait out grants of the last one, and the start waits
    /// until it leads.
    pub sole: bool,
    /// How long a leadership stands without renewal; renewed every quarter of it. A failover takes this, plus `grant`, plus an eighth.
    pub lead_lease: Duration,
    /// Within which a grant is to be named by the ledger or renewed.
    pub grant: Duration,
    /// How long a grant that no reading of the ledger names counts all the same. Longer than `grant`, for claims under way.
    pub grant_hold: Duration,
    /// Between two readings of the ledger's leases.
    pub reconcile_interval: Duration,
    /// `HEALTH_CHECK_INTERVAL`: between two rounds of probes, where there is an upstream to ask.
    pub health_check_interval: Duration,
    /// `ROTATION_INTERVAL`: how long overused tokens rest.
    pub rotation_interval: Duration,
    pub sources: Sources,
    /// Between two looks at the sources.
    pub source_interval: Duration,
    /// Between two steps of sealing anew, twenty rows each.
    pub reseal_pause: Duration,
    pub policy: Policy,
}

/// Where tokens come from besides imports.
#[derive(Default)]
pub struct Sources {
    /// `TOKEN_SOURCE_PATH`: a file, or a folder of files. What it lists is imported whenever it changes.
    pub path: Option<PathBuf>,
    /// `TOKEN_PROVISIONER_URL`: asked while fewer than `min` are usable.
    pub provisioner: Option<Arc<dyn TokenSource>>,
}

impl Settings {
    /// With the defaults of the design for everything that is about time.
    pub fn new(replica: WorkerId, keys: EncryptionKeys, fingerprint_key: SecretString) -> Self {
        Self {
            min: 50,
            max: 2_000,
            default_concurrency: 10,
            address: String::new(),
            replica,
            keys,
            fingerprint_key,
            sole: false,
            lead_lease: Duration::from_secs(2),
            grant: Duration::from_secs(2),
            grant_hold: Duration::from_secs(10),
            reconcile_interval: Duration::from_secs(5),
            health_check_interval: Duration::from_secs(30),
            rotation_interval: Duration::from_secs(180),
            sources: Sources::default(),
            source_interval: Duration::from_secs(5),
            reseal_pause: Duration::from_millis(50),
            policy: Policy::default(),
        }
    }
}
