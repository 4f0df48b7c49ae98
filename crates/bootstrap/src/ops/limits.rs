//! How much CPU and memory this process may use: the control group's limits (version 2, else 1), or the machine's.
//!
//! Dashboards divide `process_*` by them. They are read once: a container's limits do not change under it.

use prometheus::{Gauge, IntGauge, Registry};
use std::fs;
use std::path::Path;

pub(super) fn register(registry: &Registry) -> Result<(), prometheus::Error> {
    let cores = Gauge::new("son1k_process_cpu_limit_cores", "CPU cores that this process may use.")?;
    cores.set(cpu_cores());
    registry.register(Box::new(cores))?;
    let memory = IntGauge::new("son1k_process_memory_limit_bytes", "Memory that this process may use, in bytes.")?;
    memory.set(i64::try_from(memory_bytes()).unwrap_or(i64::MAX));
    registry.register(Box::new(memory))
}

pub(crate) fn cpu_cores() -> f64 {
    let machine = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
    let of_group = lowest(|folder| quota(&fs::read_to_string(folder.join("cpu.max")).ok()?));
    let v1 = || {
        let number = |name: &str| {
            fs::read_to_string(Path::new("/sys/fs/cgroup/cpu").join(name)).ok()?.trim().parse::<f64>().ok()
        };
        let (quota, period) = (number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?);
        (quota > 0.0 && period > 0.0).then_some(quota / period)
    };
    of_group.or_else(v1).map_or(machine, |limit| limit.min(machine))
}

/// `cpu.max`: quota and period in microseconds, or `max`.
fn quota(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok().filter(|period| *period > 0.0)?)
}

fn memory_bytes() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            text.lines()
                .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
        })
        .map_or(u64::MAX, |kilobytes| kilobytes * 1024);
    let of_group = lowest(|folder| fs::read_to_string(folder.join("memory.max")).ok()?.trim().parse::<u64>().ok());
    let v1 = || fs::read_to_string("/sys/fs/cgroup/memory/memory.limit_in_bytes").ok()?.trim().parse::<u64>().ok();
    of_group.or_else(v1).map_or(machine, |limit| limit.min(machine))
}

/// The least of what the process's own group and those above it say.
fn lowest<T: PartialOrd>(read: impl Fn(&Path) -> Option<T>) -> Option<T> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let root = Path::new("/sys/fs/cgroup");
    let folder = root.join(own);
    folder
        .ancestors()
        .take_while(|folder| folder.starts_with(root))
        .filter_map(read)
        .reduce(|least, limit| if limit < least { limit } else { least })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_without_a_quota_has_no_limit() {
        assert_eq!(quota("150000 100000\n"), Some(1.5));
        assert_eq!(quota("max 100000\n"), None);
    }

    #[test]
    fn this_machine_has_limits() {
        assert!(cpu_cores() > 0.0 && memory_bytes() > 1024 * 1024);
    }
}
