//! What every process does around its service: settings, runtime, telemetry, signals, and an end that comes in time.

use bootstrap::{Role, Settings, install_tls_provider, panics, signals, telemetry};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The status of a process whose settings are wrong.
const MISCONFIGURED: u8 = 2;
/// From the first signal to the end, whatever hangs.
const END_WITHIN: Duration = Duration::from_secs(19);
/// SQLite's and the resolver's threads come and go; more than these at once are never needed.
const BLOCKING_THREADS_MOST: usize = 16;

/// Reads the settings of `role` and runs `service` until it ends or is told to. A failure is one line on standard error.
pub fn launch<S, F>(role: Role, config: Option<&Path>, print_config: bool, service: S) -> ExitCode
where
    S: FnOnce(Settings, CancellationToken) -> F,
    F: Future<Output = anyhow::Result<()>>,
{
    panics::install_hook();
    let settings = match Settings::from_process(role, config, print_config) {
        // The demo tells a story of its own; what the services say of themselves would only interrupt it.
        Ok(mut settings) if role == Role::Demo && settings.telemetry.filter == "info" => {
            "error".clone_into(&mut settings.telemetry.filter);
            settings
        }
        Ok(settings) => settings,
        Err(error) => return failed(role, &error.to_string(), MISCONFIGURED),
    };
    if print_config {
        say(settings.show().trim_end());
        return ExitCode::SUCCESS;
    }
    install_tls_provider();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(BLOCKING_THREADS_MOST).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(role, &format!("no runtime could be made: {error}"), 1),
    };
    let outcome = runtime.block_on(run(settings, service));
    // What is left on threads of its own must not hold up the end.
    runtime.shutdown_timeout(Duration::from_millis(200));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(role, &format!("{error:#}"), crate::admin::exit_status(&error)),
    }
}

async fn run<S, F>(settings: Settings, service: S) -> anyhow::Result<()>
where
    S: FnOnce(Settings, CancellationToken) -> F,
    F: Future<Output = anyhow::Result<()>>,
{
    let telemetry = telemetry::init(&settings.telemetry)?;
    let shutdown = signals::shutdown_on_signals()?;
    let late = async {
        shutdown.cancelled().await;
        tokio::time::sleep(END_WITHIN).await;
    };
    let outcome = tokio::select! {
        outcome = Box::pin(service(settings, shutdown.clone())) => outcome,
        () = late => Err(anyhow::anyhow!("not everything ended within {} s of the signal", END_WITHIN.as_secs())),
    };
    telemetry.shutdown().await;
    outcome
}

fn failed(role: Role, problem: &str, status: u8) -> ExitCode {
    let line: Vec<&str> = problem.split_whitespace().collect();
    complain(&format!("{}: {}", role.name(), line.join(" ")));
    ExitCode::from(status)
}

/// One line for people on standard output. Nobody listening is no failure.
pub fn say(line: &str) {
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}

/// One line for people on standard error.
pub fn complain(line: &str) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}
