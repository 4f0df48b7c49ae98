//! One executable of ours as a process: its log is kept when the test fails, and it never outlives the test.

use super::until;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command as Spawn};

const READY_LONGEST: Duration = Duration::from_secs(60);

pub(crate) type Environment = BTreeMap<&'static str, String>;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal {
    /// SIGKILL: no goodbye.
    Kill,
    /// SIGTERM: please drain.
    Terminate,
    /// SIGSTOP: freeze, as a long pause of the machine would.
    Freeze,
    /// SIGCONT.
    Thaw,
}

/// Where `cargo build` puts executables: beside the folder of this test.
pub(crate) fn executable(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(Path::parent).unwrap().join(name);
    assert!(path.exists(), "{} has not been built: run ./scripts/test, or cargo build --bins", path.display());
    path
}

pub(crate) struct Process {
    pub name: String,
    child: Child,
    log: PathBuf,
    /// Once it is ready: where it answers, metrics included.
    pub address: String,
    /// Lines of earlier starts.
    before: usize,
}

impl Process {
    /// Starts `arguments[0]` with these settings and no others. `name` names its log, which each start appends to.
    pub(crate) fn start(name: &str, arguments: &[&str], environment: &Environment, folder: &Path) -> Self {
        let log = folder.join(format!("{name}.log"));
        let before = std::fs::read_to_string(&log).map_or(0, |text| text.lines().count());
        let out = File::options().create(true).append(true).open(&log).unwrap();
        let child = Spawn::new(executable(arguments[0]))
            .args(&arguments[1..])
            .env_clear()
            .envs(environment)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { name: name.to_owned(), child, log, address: String::new(), before }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits for its line `ready <address>` and returns the address. Panics when it ends instead.
    pub(crate) async fn ready(&mut self) -> String {
        let address = until(&format!("{} is ready", self.name), READY_LONGEST, async || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("{} ended by itself with {status}:\n{}", self.name, self.log());
            }
            let log = self.log();
            // The last start's line: a log is appended to. A line that is half written has no end yet.
            let mut lines = log.split_inclusive('\n').skip(self.before).filter(|line| line.ends_with('\n'));
            lines.find_map(|line| line.trim_end().strip_prefix("ready ")).map(str::to_owned)
        })
        .await;
        self.address.clone_from(&address);
        address
    }

    /// What it counts under this name, all labels added up.
    pub(crate) async fn counts(&self, metric: &str) -> f64 {
        let page = reqwest::get(format!("{}/metrics", self.address)).await.unwrap().text().await.unwrap();
        let of_it =
            |line: &&str| line.strip_prefix(metric).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '));
        page.lines().filter(of_it).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Its id for the operating system. Panics when it has ended.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap_or_else(|| panic!("{} has ended already", self.name))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.id(), signal);
    }

    /// Kills it as `kill -9` does and waits until it is gone.
    pub(crate) async fn kill(&mut self) {
        self.signal(Signal::Kill);
        self.child.wait().await.unwrap();
    }

    /// Waits for its end; panics past `longest`.
    pub(crate) async fn ended(&mut self, longest: Duration) -> std::process::ExitStatus {
        match tokio::time::timeout(longest, self.child.wait()).await {
            Ok(status) => status.unwrap(),
            Err(_) => panic!("{} had not ended after {} s:\n{}", self.name, longest.as_secs(), self.log()),
        }
    }
}

/// To a process that this story started, by its id.
pub(super) fn send(process: u32, signal: Signal) {
    let name = match signal {
        Signal::Kill => "-KILL",
        Signal::Terminate => "-TERM",
        Signal::Freeze => "-STOP",
        Signal::Thaw => "-CONT",
    };
    assert!(Command::new("kill").args([name, &process.to_string()]).status().unwrap().success());
}

/// Runs an executable that should end by itself and returns what it said. Panics past `longest`.
pub(crate) async fn run_to_end(
    arguments: &[&str],
    environment: &Environment,
    folder: &Path,
    longest: Duration,
) -> Output {
    let running = Spawn::new(executable(arguments[0]))
        .args(&arguments[1..])
        .env_clear()
        .envs(environment)
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(longest, running).await {
        Ok(output) => output.unwrap(),
        Err(_) => panic!("{arguments:?} had not ended after {} s", longest.as_secs()),
    }
}
