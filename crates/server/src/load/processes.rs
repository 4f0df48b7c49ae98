//! CPU time and memory of processes of this machine, out of Linux's `/proc`.
//!
//! Of a tree the CPU time is conserved: what a child used is its parent's to report once it has been waited for. Memory is told of single
//! processes alone, since the pages of a tree are shared.

use std::collections::BTreeMap;
use std::fs;

/// `/proc` counts in hundredths of a second on every Linux that there is (`USER_HZ`).
const TICKS_A_SECOND: f64 = 100.0;

/// A process to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Watched {
    pub(super) name: String,
    pub(super) pid: u32,
    pub(super) descendants: bool,
}

/// The counters of one line of `/proc/PID/stat`, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: u32,
    own: u64,
    /// Of children that ended and were waited for.
    waited: u64,
}

impl Watched {
    /// `NAME=PID`, or a PID whose own name is taken.
    pub(super) fn alone(text: &str) -> Result<Self, String> {
        Self::parse(text, false)
    }

    /// As [`Watched::alone`], with all its descendants.
    pub(super) fn tree(text: &str) -> Result<Self, String> {
        Self::parse(text, true)
    }

    /// This process.
    pub(super) fn own() -> Self {
        Self { name: "son1k load".to_owned(), pid: std::process::id(), descendants: false }
    }

    fn parse(text: &str, descendants: bool) -> Result<Self, String> {
        let (name, pid) = text.split_once('=').map_or((None, text), |(name, pid)| (Some(name), pid));
        let pid: u32 = pid.parse().map_err(|_| "must be NAME=PID".to_owned())?;
        let own = fs::read_to_string(format!("/proc/{pid}/comm")).map_err(|_| format!("there is no process {pid}"))?;
        let name = name.filter(|name| !name.is_empty()).unwrap_or(own.trim()).to_owned();
        Ok(Self { name, pid, descendants })
    }

    /// Seconds of CPU time since it began; `None` when it has ended.
    pub(super) fn cpu_seconds(&self) -> Option<f64> {
        let ticks = if self.descendants { of_tree(self.pid, &all()?)? } else { stat(self.pid)?.own };
        Some(ticks as f64 / TICKS_A_SECOND)
    }

    /// Resident MiB now; `None` for a tree, or when it has ended.
    pub(super) fn resident(&self) -> Option<f64> {
        if self.descendants {
            return None;
        }
        resident(&fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?)
    }
}

fn resident(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1_024.0)
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name in parentheses may hold anything, so fields count from its end.
fn parse_stat(line: &str) -> Option<Stat> {
    let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(number(1)?).ok()?,
        own: number(11)? + number(12)?,
        waited: number(13)? + number(14)?,
    })
}

fn all() -> Option<BTreeMap<u32, Stat>> {
    let entries = fs::read_dir("/proc").ok()?;
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    Some(pids.filter_map(|pid| stat(pid).map(|stat| (pid, stat))).collect())
}

fn of_tree(root: u32, all: &BTreeMap<u32, Stat>) -> Option<u64> {
    all.get(&root)?;
    let (mut ticks, mut seen, mut next) = (0, 0, vec![root]);
    while let Some(pid) = next.pop() {
        seen += 1;
        // Pids that were used again while the table was read could make a ring.
        if seen > all.len() {
            return None;
        }
        ticks += all.get(&pid).map_or(0, |stat| stat.own + stat.waited);
        next.extend(all.iter().filter(|(_, stat)| stat.parent == pid).map(|(child, _)| *child));
    }
    Some(ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_be_named_anything() {
        let line = "42 (a) b (c) S 7 42 42 0 -1 4194560 100 0 0 0 11 22 33 44 20 0 1 0 5 0 0";
        assert_eq!(parse_stat(line), Some(Stat { parent: 7, own: 33, waited: 77 }));
        assert_eq!(parse_stat("42 (cut S"), None);
        assert_eq!(resident("Name:\tx\nVmRSS:\t   2048 kB\nThreads:\t1\n"), Some(2.0));
    }

    #[test]
    fn a_trees_time_does_not_shrink_when_a_child_ends() {
        let leaf = |parent, own, waited| Stat { parent, own, waited };
        let before =
            BTreeMap::from([(1, leaf(0, 5, 0)), (2, leaf(1, 10, 0)), (3, leaf(2, 20, 0)), (9, leaf(0, 99, 0))]);
        let after = BTreeMap::from([(1, leaf(0, 5, 30)), (9, leaf(0, 99, 0))]);
        assert_eq!(of_tree(1, &before), Some(35));
        assert_eq!(of_tree(1, &after), Some(35));
        assert_eq!(of_tree(7, &after), None);
    }

    #[test]
    fn this_process_can_be_watched_and_a_missing_one_is_named() {
        let own = Watched::own();
        assert!(own.cpu_seconds().is_some() && own.resident().is_some_and(|mib| mib > 0.1));
        let named = Watched::tree(&format!("gateway={}", own.pid)).unwrap();
        assert_eq!((named.name.as_str(), named.descendants), ("gateway", true));
        assert!(named.cpu_seconds().is_some());
        assert_eq!(Watched::alone("x=y"), Err("must be NAME=PID".to_owned()));
        assert_eq!(Watched::alone("x=4294967295"), Err("there is no process 4294967295".to_owned()));
    }
}
