//! The system under test: `TestApp::embedded()` or `TestApp::production()`, settings, then `start`.

use super::database::{Database, server};
use super::operator::Operator;
use super::process::{Environment, Process, Signal, run_to_end};
use super::proxy::Proxy;
use super::upstream::Upstream;
use super::{ports, until};
use std::path::{Path, PathBuf};
use std::time::Duration;

const ADMIN_KEY: &str = "an-operators-key-for-stories-0123456789";
const SYSTEM_KEY: &str = "the-system-accounts-key-for-stories-012345";
const TOKENS: u32 = 60;
const READY_LONGEST: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// `son1k up` beside a simulator of its own process, so that the simulator's log outlives a kill.
    Embedded,
    /// A gateway, workers, a token pool and a simulator, on PostgreSQL, RabbitMQ and Redis.
    Production,
}

pub(crate) struct Builder {
    mode: Mode,
    workers: usize,
    settings: Environment,
    through_proxy: bool,
}

pub(crate) struct TestApp {
    pub url: String,
    pub operator: Operator,
    pub upstream: Upstream,
    mode: Mode,
    folder: PathBuf,
    environment: Environment,
    /// By name: `son1k`, or `gateway`, `token-pool`, `worker-1`…; and `simulator`.
    processes: Vec<Process>,
    database: Option<Database>,
    broker: Option<Proxy>,
}

impl TestApp {
    pub(crate) const fn in_mode(mode: Mode) -> Builder {
        Builder { mode, workers: 3, settings: Environment::new(), through_proxy: false }
    }

    pub(crate) const fn embedded() -> Builder {
        Self::in_mode(Mode::Embedded)
    }

    pub(crate) const fn production() -> Builder {
        Self::in_mode(Mode::Production)
    }
}

impl Builder {
    /// A setting, by its environment variable, for all processes.
    pub(crate) fn setting(mut self, name: &'static str, value: &(impl ToString + ?Sized)) -> Self {
        self.settings.insert(name, value.to_string());
        self
    }

    /// The services reach RabbitMQ through a proxy that the story can cut.
    pub(crate) const fn with_a_broker_that_can_be_cut(mut self) -> Self {
        self.through_proxy = true;
        self
    }

    /// Starts everything and waits until it is ready, with tokens in the pool.
    pub(crate) async fn start(self) -> TestApp {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("story-{:08x}", rand::random::<u32>()));
        std::fs::create_dir_all(&folder).unwrap();
        let simulator_port = ports::free();
        let simulator_url = format!("http://127.0.0.1:{simulator_port}");
        let mut environment = Environment::from([
            ("HOST", "127.0.0.1".to_owned()),
            ("RUST_LOG", "info".to_owned()),
            ("LOG_FORMAT", "text".to_owned()),
            ("RUST_BACKTRACE", "1".to_owned()),
            ("SUNO_API_URL", simulator_url.clone()),
            ("ADMIN_API_KEY", ADMIN_KEY.to_owned()),
            ("UNAUTHENTICATED_RATE_LIMIT", "100000".to_owned()),
        ]);
        let (mut database, mut broker) = (None, None);
        match self.mode {
            Mode::Embedded => {
                environment.insert("DATA_DIR", folder.join("data").display().to_string());
            }
            Mode::Production => {
                let made = Database::create().await;
                let mut rabbitmq = server("TEST_RABBITMQ_URL");
                if self.through_proxy {
                    let (url, proxy) = proxied(&rabbitmq).await;
                    (rabbitmq, broker) = (url, Some(proxy));
                }
                environment.extend([
                    ("DATABASE_URL", made.url.clone()),
                    ("DATABASE_POOL_MIN", "1".to_owned()),
                    ("DATABASE_POOL_MAX", "10".to_owned()),
                    ("RABBITMQ_URL", rabbitmq),
                    ("REDIS_URL", server("TEST_REDIS_URL")),
                    ("SYSTEM_API_KEY", SYSTEM_KEY.to_owned()),
                    ("API_KEY_PEPPER", "a pepper of 32 characters at least, for stories".to_owned()),
                    ("TOKEN_ENCRYPTION_KEYS", "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=".to_owned()),
                    ("INTERNAL_AUTH_SECRET", "a secret of 32 characters at least, for stories".to_owned()),
                ]);
                database = Some(made);
            }
        }
        environment.extend(self.settings);
        let port = ports::free();
        let url = format!("http://127.0.0.1:{port}");
        let mut app = TestApp {
            operator: Operator::at(&url, ADMIN_KEY),
            upstream: Upstream::at(simulator_url.clone()),
            url,
            mode: self.mode,
            folder,
            environment,
            processes: Vec::new(),
            database,
            broker,
        };
        app.start_process("simulator", &["son1k-simulator"], &[("PORT", simulator_port)]);
        app.is_ready(&format!("{simulator_url}/_simulator"), "simulator").await;
        app.start_services(port, self.workers).await;
        app.operator.imports_tokens(TOKENS).await;
        app
    }
}

/// The same AMQP address, through a new proxy.
async fn proxied(url: &str) -> (String, Proxy) {
    let start = url.find('@').map_or_else(|| url.find("://").map_or(0, |at| at + 3), |at| at + 1);
    let end = url[start..].find('/').map_or(url.len(), |at| start + at);
    let mut target = url[start..end].to_owned();
    if !target.contains(':') {
        target.push_str(":5672");
    }
    let proxy = Proxy::before(target).await;
    (format!("{}{}{}", &url[..start], proxy.address, &url[end..]), proxy)
}

impl TestApp {
    async fn start_services(&mut self, port: u16, workers: usize) {
        match self.mode {
            Mode::Embedded => self.start_process("son1k", &["son1k", "up"], &[("PORT", port)]),
            Mode::Production => {
                let longest = Duration::from_secs(60);
                let migrated = run_to_end(&["son1k", "migrate"], &self.environment, &self.folder, longest).await;
                assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
                let (grpc, ops) = (ports::free(), ports::free());
                self.environment.insert("TOKEN_POOL_URL", format!("http://127.0.0.1:{grpc}"));
                self.start_process("token-pool", &["son1k-token-pool"], &[("GRPC_PORT", grpc), ("OPS_PORT", ops)]);
                self.is_ready(&format!("http://127.0.0.1:{ops}/readyz"), "token-pool").await;
                self.start_process("gateway", &["son1k-gateway"], &[("PORT", port)]);
                for number in 1..=workers {
                    let name = format!("worker-{number}");
                    self.start_process(&name, &["son1k-worker"], &[("OPS_PORT", ports::free())]);
                }
            }
        }
        let front = if self.mode == Mode::Embedded { "son1k" } else { "gateway" };
        self.is_ready(&format!("{}/readyz", self.url), front).await;
    }

    fn start_process(&mut self, name: &str, arguments: &[&str], ports: &[(&'static str, u16)]) {
        let mut environment = self.environment.clone();
        environment.extend(ports.iter().map(|(name, port)| (*name, port.to_string())));
        self.processes.push(Process::start(name, arguments, &environment, &self.folder));
    }

    async fn is_ready(&mut self, url: &str, name: &str) {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
        until(&format!("{name} is ready"), READY_LONGEST, async || {
            self.process(name).must_be_alive();
            let answer = http.get(url).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    pub(crate) fn process(&mut self, name: &str) -> &mut Process {
        let found = self.processes.iter_mut().find(|process| process.name == name);
        found.unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// `kill -9`, and gone.
    pub(crate) async fn kills(&mut self, name: &str) {
        self.process(name).kill().await;
        self.processes.retain(|process| process.name != name);
    }

    /// Starts `son1k up` again, on the same port and data.
    pub(crate) async fn starts_again(&mut self) {
        assert_eq!(self.mode, Mode::Embedded);
        let port = self.url.rsplit(':').next().unwrap().parse().unwrap();
        self.start_services(port, 0).await;
    }

    /// SIGTERM: every process must end with success within 20 s. Then what the story made is removed.
    pub(crate) async fn stops(mut self) {
        for process in &self.processes {
            process.signal(Signal::Terminate);
        }
        for process in &mut self.processes {
            let status = process.ended(Duration::from_secs(20)).await;
            assert!(status.success(), "{} ended with {status}:\n{}", process.name, process.log());
        }
        self.must_have_kept_quiet();
        self.processes.clear();
        if let Some(database) = self.database.take() {
            database.drop().await;
        }
    }

    pub(crate) fn broker(&self) -> &Proxy {
        self.broker.as_ref().unwrap_or_else(|| panic!("start it with_a_broker_that_can_be_cut"))
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// No process panicked, and none wrote a secret.
    fn must_have_kept_quiet(&self) {
        for process in &self.processes {
            let log = process.log();
            assert!(!log.contains("panicked at"), "{} panicked:\n{log}", process.name);
            for secret in [ADMIN_KEY, SYSTEM_KEY, "sim-token-00001", "a pepper of 32", "a secret of 32"] {
                assert!(!log.contains(secret), "{} logged a secret:\n{log}", process.name);
            }
        }
    }
}

impl Drop for TestApp {
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
