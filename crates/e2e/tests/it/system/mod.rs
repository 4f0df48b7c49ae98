//! One whole system for one story: started, talked to, killed, and gone with the test.

mod customer;
mod database;
mod installation;
mod operator;
mod ports;
mod process;
mod proxy;
mod test_app;
mod upstream;

pub(crate) use customer::Customer;
pub(crate) use process::{Environment, Process, Signal, run_to_end};
pub(crate) use test_app::{Mode, TestApp};

use std::time::{Duration, Instant};

/// Looks until `seen` answers something. Panics, with what was waited for, when `longest` passes first.
pub(crate) async fn until<T>(what: &str, longest: Duration, mut seen: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = seen().await {
            return found;
        }
        assert!(begin.elapsed() < longest, "not within {} s: {what}", longest.as_secs());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
