//! The processes of one story, with their settings, their folder and their database; they end with it, and leave their logs if it fails.

use super::database::Database;
use super::process::{Environment, Process, Signal, run_to_end};
use super::proxy::Proxy;
use super::redis::Redis;
use super::tap::Tap;
use super::test_app::{Mode, SECRETS};
use super::{ports, until};
use std::path::{Path, PathBuf};
use std::time::Duration;

const WORKERS: usize = 3;
/// From SIGTERM to the end of the slowest process.
const STOPPED_WITHIN: Duration = Duration::from_secs(20);

pub(super) struct Installation {
    pub mode: Mode,
    pub folder: PathBuf,
    /// By name: `son1k`, or `gateway`, `token-pool`, `worker-1`…; and `simulator`.
    pub processes: Vec<Process>,
    pub database: Option<Database>,
    pub broker: Option<Proxy>,
    pub tap: Option<Tap>,
    pub redis: Option<Redis>,
    /// The replicas of the token pool, each with its port.
    pools: [(&'static str, String); 2],
    environment: Environment,
}

impl Installation {
    pub(super) fn new(mode: Mode) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("story-{:08x}", rand::random::<u32>()));
        std::fs::create_dir_all(&folder).unwrap();
        Self {
            mode,
            folder,
            processes: Vec::new(),
            database: None,
            broker: None,
            tap: None,
            redis: None,
            pools: Default::default(),
            environment: Environment::new(),
        }
    }

    /// Settings for all processes that start from now on.
    pub(super) fn set<const N: usize>(&mut self, settings: [(&'static str, &str); N]) {
        self.environment.extend(settings.map(|(name, value)| (name, value.to_owned())));
    }

    /// Starts one, and returns its address once it is ready.
    pub(super) async fn runs(&mut self, name: &str, arguments: &[&str], settings: &[(&'static str, &str)]) -> String {
        let mut environment = self.environment.clone();
        environment.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
        self.processes.push(Process::start(name, arguments, &environment, &self.folder));
        self.process(name).ready().await
    }

    /// Starts all but the simulator and returns the gateway's address, once it says that it can do its work.
    pub(super) async fn runs_services(&mut self, port: &str) -> String {
        let url = match self.mode {
            Mode::Embedded => self.runs("son1k", &["son1k", "up"], &[("PORT", port)]).await,
            Mode::Production => {
                let longest = Duration::from_secs(60);
                let migrated = run_to_end(&["son1k", "migrate"], &self.environment, &self.folder, longest).await;
                assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
                self.pools = ["token-pool", "token-pool-2"].map(|name| (name, ports::free().to_string()));
                let scheme = if self.environment.contains_key("TOKEN_POOL_TLS_KEY_FILE") { "https" } else { "http" };
                let urls = self.pools.each_ref().map(|(_, port)| format!("{scheme}://127.0.0.1:{port}"));
                for (name, _) in self.pools.clone() {
                    self.runs_pool(name).await;
                }
                self.set([("TOKEN_POOL_URL", &urls.join(","))]);
                for number in 1..=WORKERS {
                    self.runs(&format!("worker-{number}"), &["son1k-worker"], &[]).await;
                }
                self.runs("gateway", &["son1k-gateway"], &[("PORT", port)]).await
            }
        };
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
        until("/readyz says so", Duration::from_secs(30), async || {
            let answer = http.get(format!("{url}/readyz")).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        url
    }

    /// Starts one of the two replicas of the token pool, at its port.
    pub(super) async fn runs_pool(&mut self, name: &str) {
        let (_, port) = self.pools.iter().find(|(known, _)| *known == name).unwrap().clone();
        // What it says of itself is where it leases; what it counts is told elsewhere.
        let ops = ports::free().to_string();
        self.runs(name, &["son1k-token-pool"], &[("GRPC_PORT", &port), ("OPS_PORT", &ops)]).await;
        self.process(name).address = format!("http://127.0.0.1:{ops}");
    }

    pub(super) fn process(&mut self, name: &str) -> &mut Process {
        let found = self.processes.iter_mut().find(|process| process.name == name);
        found.unwrap_or_else(|| panic!("there is no {name}"))
    }

    pub(super) async fn stops(mut self) {
        for process in &self.processes {
            process.signal(Signal::Terminate);
        }
        for process in &mut self.processes {
            let status = process.ended(STOPPED_WITHIN).await;
            assert!(status.success(), "{} ended with {status}:\n{}", process.name, process.log());
        }
        for process in &self.processes {
            let log = process.log();
            assert!(!log.contains("panicked at"), "{} panicked:\n{log}", process.name);
            for secret in SECRETS {
                assert!(!log.contains(secret), "{} logged a secret:\n{log}", process.name);
            }
        }
        if let Some(database) = self.database.take() {
            database.drop().await;
        }
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "a failed test says where its logs are")]
            let () = eprintln!("the logs and data of this story are kept in {}", self.folder.display());
        } else {
            // Whether the folder goes is not the story's business.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}
