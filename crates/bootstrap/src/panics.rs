//! A panic is a bug: it is logged as one line, and no user ever sees a backtrace.

use std::panic::PanicHookInfo;

/// Replaces the default hook. Before telemetry is set up the line goes nowhere; afterwards it is an ordinary error event.
pub fn install_hook() {
    std::panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        let place = info.location().map_or_else(|| "unknown".to_owned(), |at| format!("{}:{}", at.file(), at.line()));
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        // The payload may hold anything, a customer's text included: where it happened is what a reader needs.
        tracing::error!(place, thread, "a task panicked; this is a bug");
    }));
}
