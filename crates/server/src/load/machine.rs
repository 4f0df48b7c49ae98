//! The machine that a report is about.

use serde::Serialize;
use std::fs;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Machine {
    pub(super) processor: String,
    pub(super) cores: usize,
    /// GiB; 0 where it is not known.
    pub(super) memory: f64,
    pub(super) kernel: String,
    /// How the load itself was built: `release` or `debug`.
    pub(super) build: &'static str,
}

impl Machine {
    pub(super) fn this() -> Self {
        let of = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
        };
        let kib = field(&of("/proc/meminfo"), "MemTotal").and_then(|text| text.strip_suffix("kB")?.trim().parse().ok());
        Self {
            processor: field(&of("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory: kib.map_or(0.0, |kib: f64| kib / 1_048_576.0),
            kernel: format!("{} {}", std::env::consts::OS, of("/proc/sys/kernel/osrelease").trim()),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
        }
    }
}
