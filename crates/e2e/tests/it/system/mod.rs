//! One whole system for one story: started, talked to, killed, and gone with the test.

mod customer;
mod database;
mod installation;
mod operator;
pub(crate) mod ports;
mod process;
mod proxy;
mod raw;
mod redis;
mod tap;
mod test_app;
mod upstream;

pub(crate) use customer::Customer;
pub(crate) use database::server;
pub(crate) use process::{Environment, Process, Signal, run_to_end};
pub(crate) use proxy::Proxy;
pub(crate) use raw::RawAnswer;
pub(crate) use tap::Completing;
pub(crate) use test_app::{INTERNAL_SECRET, Mode, TestApp};

use std::time::{Duration, Instant};

/// The larger of two sizes when `SON1K_STORIES=full` asks for it: the numbers that are promised. Else the one that every change can afford.
#[expect(clippy::disallowed_methods, reason = "tests take their size from the environment")]
pub(crate) fn sized(usual: usize, full: usize) -> usize {
    if std::env::var("SON1K_STORIES").is_ok_and(|asked| asked == "full") { full } else { usual }
}

/// What a story measured, for whoever reads its output.
#[expect(clippy::print_stdout, reason = "a measurement is told")]
pub(crate) fn report(measured: &str) {
    println!("{measured}");
}

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
