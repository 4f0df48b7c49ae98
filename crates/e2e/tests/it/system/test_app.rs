//! The system under test: `TestApp::embedded()` or `TestApp::production()`, settings, then `start`.

use super::database::{Database, server};
use super::installation::Installation;
use super::operator::Operator;
use super::ports;
use super::process::{Environment, Process, run_to_end};
use super::proxy::Proxy;
use super::redis::Redis;
use super::tap::{Completing, Tap};
use super::upstream::Upstream;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::path::Path;
use std::process::Output;
use std::time::Duration;
use tokio::sync::mpsc;

pub(super) const ADMIN_KEY: &str = "an-operators-key-for-stories-0123456789";
const SYSTEM_KEY: &str = "the-system-accounts-key-for-stories-012345";
const PEPPER: &str = "a pepper of 32 characters at least, for stories";
pub(crate) const INTERNAL_SECRET: &str = "a secret of 32 characters at least, for stories";
/// What no log may have.
pub(super) const SECRETS: [&str; 5] = [ADMIN_KEY, SYSTEM_KEY, PEPPER, INTERNAL_SECRET, "sim-token-00001"];
const PRODUCTION_SECRETS: [(&str, &str); 4] = [
    ("SYSTEM_API_KEY", SYSTEM_KEY),
    ("API_KEY_PEPPER", PEPPER),
    ("TOKEN_ENCRYPTION_KEYS", "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
    ("INTERNAL_AUTH_SECRET", INTERNAL_SECRET),
];
const TOKENS: u32 = 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// `son1k up` beside a simulator of its own process, so that the simulator's log outlives a kill.
    Embedded,
    /// A gateway, workers, a token pool and a simulator, on PostgreSQL, RabbitMQ and Redis.
    Production,
}

pub(crate) struct Builder {
    mode: Mode,
    settings: Environment,
    through_proxy: bool,
    gateways: usize,
    tapped: bool,
    own_redis: bool,
    certified: bool,
    called_back: bool,
}

pub(crate) struct TestApp {
    pub url: String,
    /// Of all gateways; the first is `url`.
    pub urls: Vec<String>,
    pub operator: Operator,
    pub upstream: Upstream,
    installation: Installation,
}

impl TestApp {
    pub(crate) const fn in_mode(mode: Mode) -> Builder {
        Builder {
            mode,
            settings: Environment::new(),
            through_proxy: false,
            gateways: 1,
            tapped: false,
            own_redis: false,
            certified: false,
            called_back: false,
        }
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

    /// With the secrets that a shared database asks for.
    pub(crate) fn with_shared_secrets(self) -> Builder {
        PRODUCTION_SECRETS.iter().fold(self, |builder, (name, value)| builder.setting(name, *value))
    }

    /// The services reach RabbitMQ through a proxy that the story can cut.
    pub(crate) const fn with_a_broker_that_can_be_cut(mut self) -> Self {
        self.through_proxy = true;
        self
    }

    /// The services reach the upstream through a tap that tells of each completion: see [`TestApp::completions`].
    pub(crate) const fn with_an_upstream_that_tells(mut self) -> Self {
        self.tapped = true;
        self
    }

    /// So many gateways, `gateway`, `gateway-2`…; embedded mode has its one.
    pub(crate) const fn gateways(mut self, count: usize) -> Self {
        self.gateways = count;
        self
    }

    /// The gateways limit by a Redis that the story can freeze and kill.
    pub(crate) const fn with_a_redis_of_its_own(mut self) -> Self {
        self.own_redis = true;
        self
    }

    /// The token pool and its callers show each other certificates.
    pub(crate) const fn with_certificates(mut self) -> Self {
        self.certified = true;
        self
    }

    /// The upstream is asked to call back, at the first gateway.
    pub(crate) const fn called_back(mut self) -> Self {
        self.called_back = true;
        self
    }

    /// Starts everything and waits until it is ready, with tokens in the pool.
    pub(crate) async fn start(self) -> TestApp {
        let mut installation = Installation::new(self.mode);
        installation.set([
            ("HOST", "127.0.0.1"),
            ("PORT", "0"),
            ("RUST_LOG", "info"),
            ("LOG_FORMAT", "text"),
            ("RUST_BACKTRACE", "1"),
            ("ADMIN_API_KEY", ADMIN_KEY),
            ("UNAUTHENTICATED_RATE_LIMIT", "100000"),
        ]);
        match self.mode {
            Mode::Embedded => {
                let data = installation.folder.join("data").display().to_string();
                installation.set([("DATA_DIR", data.as_str())]);
            }
            Mode::Production => {
                let mut rabbitmq = server("TEST_RABBITMQ_URL");
                if self.through_proxy {
                    let (url, proxy) = Proxy::before_url(&rabbitmq).await;
                    (rabbitmq, installation.broker) = (url, Some(proxy));
                }
                let database = installation.database.insert(Database::create().await).url.clone();
                installation.set([
                    ("DATABASE_URL", database.as_str()),
                    ("DATABASE_POOL_MIN", "1"),
                    ("DATABASE_POOL_MAX", "10"),
                    ("RABBITMQ_URL", rabbitmq.as_str()),
                    ("REDIS_URL", server("TEST_REDIS_URL").as_str()),
                    // A busy machine is not to be taken for a slow Redis.
                    ("REDIS_ANSWER_TIMEOUT", "1000"),
                ]);
                installation.set(PRODUCTION_SECRETS);
            }
        }
        for (name, value) in &self.settings {
            installation.set([(*name, value.as_str())]);
        }
        if self.certified {
            let [ca, certificate, key] = certificates(&installation.folder);
            installation.set([
                ("TOKEN_POOL_TLS_CA_FILE", ca.as_str()),
                ("TOKEN_POOL_TLS_CERT_FILE", certificate.as_str()),
                ("TOKEN_POOL_TLS_KEY_FILE", key.as_str()),
            ]);
        }
        if self.own_redis {
            let redis = installation.redis.insert(Redis::start().await).url();
            installation.set([("REDIS_URL", redis.as_str())]);
        }
        let upstream = Upstream::at(installation.runs("simulator", &["son1k-simulator"], &[]).await);
        let mut reached_at = upstream.url.clone();
        if self.tapped {
            let tap = installation.tap.insert(Tap::before(&upstream.url).await);
            reached_at.clone_from(&tap.url);
        }
        installation.set([("SUNO_API_URL", reached_at.as_str())]);
        let mut port = "0".to_owned();
        if self.called_back {
            port = ports::free().to_string();
            installation.set([("PUBLIC_URL", &format!("http://127.0.0.1:{port}"))]);
        }
        let url = installation.runs_services(&port).await;
        let operator = Operator::at(&url, ADMIN_KEY);
        operator.imports_tokens(TOKENS).await;
        let mut urls = vec![url.clone()];
        if self.mode == Mode::Production {
            for number in 2..=self.gateways {
                urls.push(installation.runs(&format!("gateway-{number}"), &["son1k-gateway"], &[]).await);
            }
        }
        TestApp { url, urls, operator, upstream, installation }
    }
}

/// An authority's certificate, one that it signed for this machine, and its key; as files.
fn certificates(folder: &Path) -> [String; 3] {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    [("ca", authority.pem()), ("certificate", certificate.pem()), ("key", key.serialize_pem())].map(|(name, pem)| {
        let path = folder.join(format!("{name}.pem"));
        std::fs::write(&path, pem).unwrap();
        path.display().to_string()
    })
}

impl TestApp {
    pub(crate) fn process(&mut self, name: &str) -> &mut Process {
        self.installation.process(name)
    }

    /// The process that leads the pool, as the logs say. Who leads may change at any moment; the greatest epoch is the last.
    pub(crate) fn leader_of_the_pool(&mut self) -> &mut Process {
        let names: &[&str] = match self.installation.mode {
            Mode::Embedded => &["son1k"],
            Mode::Production => &["token-pool", "token-pool-2"],
        };
        let led = |process: &Process| {
            let log = process.log();
            let (_, rest) = log.lines().rev().find_map(|line| line.split_once("leading the token pool epoch="))?;
            rest.split(' ').next()?.parse::<u64>().ok()
        };
        let replicas = self.installation.processes.iter().filter(|process| names.contains(&process.name.as_str()));
        let last = replicas.filter_map(|process| Some((led(process)?, process.name.clone()))).max();
        let (_, name) = last.unwrap_or_else(|| panic!("nobody leads"));
        self.process(&name)
    }

    /// `kill -9`, and gone.
    pub(crate) async fn kills(&mut self, name: &str) {
        self.installation.process(name).kill().await;
        self.installation.processes.retain(|process| process.name != name);
    }

    /// Starts a replica of the token pool again, at its port: `token-pool` or `token-pool-2`.
    pub(crate) async fn starts_pool(&mut self, name: &str) {
        self.installation.runs_pool(name).await;
    }

    /// It has ended, as it was told to.
    pub(crate) fn forgets(&mut self, name: &str) {
        self.installation.processes.retain(|process| process.name != name);
    }

    /// Starts `son1k up` again, on the same port and data.
    pub(crate) async fn starts_again(&mut self) {
        assert_eq!(self.installation.mode, Mode::Embedded);
        let port = self.url.rsplit(':').next().unwrap().to_owned();
        assert_eq!(self.installation.runs_services(&port).await, self.url);
    }

    /// SIGTERM: every process must end with success within 20 s. Then what the story made is removed.
    pub(crate) async fn stops(self) {
        self.installation.stops().await;
    }

    /// Starts one more gateway, with settings of its own, and returns its address.
    pub(crate) async fn starts_gateway(&mut self, name: &str, settings: &[(&'static str, &str)]) -> String {
        self.installation.runs(name, &["son1k-gateway"], settings).await
    }

    /// Starts an autoscaler, with settings of its own, and returns its address.
    pub(crate) async fn starts_autoscaler(&mut self, name: &str, settings: &[(&'static str, &str)]) -> String {
        self.installation.runs(name, &["son1k-autoscaler"], settings).await
    }

    pub(crate) fn redis(&mut self) -> &mut Redis {
        self.installation.redis.as_mut().unwrap_or_else(|| panic!("start it with_a_redis_of_its_own"))
    }

    pub(crate) fn broker(&self) -> &Proxy {
        self.installation.broker.as_ref().unwrap_or_else(|| panic!("start it with_a_broker_that_can_be_cut"))
    }

    /// Each generation's completion, told while the upstream's answer is still held. To be taken once.
    pub(crate) fn completions(&mut self) -> mpsc::Receiver<Completing> {
        let told = self.installation.tap.as_mut().and_then(|tap| tap.completions.take());
        told.unwrap_or_else(|| panic!("start it with_an_upstream_that_tells"))
    }

    /// `son1k admin …`, as an operator's shell runs it.
    pub(crate) async fn admin(&self, arguments: &[&str]) -> Output {
        let settings = [("ADMIN_URL", self.url.clone()), ("ADMIN_API_KEY", ADMIN_KEY.to_owned())];
        let command: Vec<&str> = ["son1k", "admin"].iter().chain(arguments).copied().collect();
        run_to_end(&command, &Environment::from(settings), self.folder(), Duration::from_secs(20)).await
    }

    /// The story's own database, for a hand beside the system.
    pub(crate) fn database_url(&self) -> &str {
        &self.installation.database.as_ref().unwrap_or_else(|| panic!("embedded stories have none")).url
    }

    /// Where each process tells how it is, by its name; the simulator has nothing to tell.
    pub(crate) fn addresses(&self) -> Vec<(String, String)> {
        let ours = self.installation.processes.iter().filter(|process| process.name != "simulator");
        ours.map(|process| (process.name.clone(), process.address.clone())).collect()
    }

    /// What each process has written, by its name; the simulator's is nobody's.
    pub(crate) fn logs(&self) -> Vec<(String, String)> {
        let ours = self.installation.processes.iter().filter(|process| process.name != "simulator");
        ours.map(|process| (process.name.clone(), process.log())).collect()
    }

    /// What each process shows at `/metrics`, by its name.
    pub(crate) async fn metrics(&self) -> Vec<(String, String)> {
        let mut pages = Vec::new();
        for (name, address) in self.addresses() {
            let page = reqwest::get(format!("{address}/metrics")).await.unwrap().error_for_status().unwrap();
            pages.push((name, page.text().await.unwrap()));
        }
        pages
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.installation.folder
    }
}
