//! Running an executable with nothing but what a test gives it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Longer than any of these takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn executable(name: &str) -> &'static str {
    match name {
        "son1k" => env!("CARGO_BIN_EXE_son1k"),
        "son1k-gateway" => env!("CARGO_BIN_EXE_son1k-gateway"),
        "son1k-worker" => env!("CARGO_BIN_EXE_son1k-worker"),
        "son1k-token-pool" => env!("CARGO_BIN_EXE_son1k-token-pool"),
        "son1k-simulator" => env!("CARGO_BIN_EXE_son1k-simulator"),
        other => panic!("no executable {other}"),
    }
}

/// A command in `folder` that inherits no setting.
pub(crate) fn command(name: &str, folder: &Path, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(executable(name));
    command.env_clear().current_dir(folder).envs(settings.iter().copied()).stdin(Stdio::null());
    // A backtrace would be one if anything panicked.
    command.env("RUST_BACKTRACE", "1");
    command
}

pub(crate) fn output(name: &str, folder: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> Output {
    command(name, folder, settings).args(arguments).output().unwrap()
}

/// A process that stays until it is told to end; killed when the test is over, whatever happened.
pub(crate) struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    pub(crate) said: Vec<String>,
}

impl Running {
    pub(crate) fn start(name: &str, folder: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> Self {
        let errors = std::fs::File::create(folder.join("errors.log")).unwrap();
        let mut command = command(name, folder, settings);
        let mut child = command.args(arguments).stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines, said: Vec::new() }
    }

    /// Reads lines until one begins with `start`, and returns the rest of it.
    pub(crate) fn until(&mut self, start: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line =
                self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("no line {start:?} after {:#?}", self.said));
            self.said.push(line.clone());
            if let Some(rest) = line.strip_prefix(start) {
                return rest.to_owned();
            }
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let told = Command::new("bash").args(["-c", &format!("kill {signal} {}", self.child.id())]).status().unwrap();
        assert!(told.success());
    }

    /// The exit status, and how long it took.
    pub(crate) fn end(&mut self) -> (Option<i32>, Duration) {
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code(), asked.elapsed());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it did not end");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
