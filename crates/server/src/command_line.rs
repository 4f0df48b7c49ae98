//! What people type. Parsing alone: each command's work is in the file of its name.

use crate::{admin, demo, doctor, healthcheck, launch, load, migrate, secrets, top, up};
use bootstrap::{Role, Settings};
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

/// What every executable understands.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// A file of settings, instead of son1k.toml in the working directory
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Print the settings that would be used, secrets masked, and end
    #[arg(long, global = true)]
    pub print_config: bool,
}

/// The executable of one service.
#[derive(Debug, Parser)]
#[command(version, about = None)]
pub struct Service {
    #[command(flatten)]
    pub common: Common,
    /// Without one: serve.
    #[command(subcommand)]
    pub command: Option<Aside>,
}

/// What a service's executable does besides serving: its image holds nothing else.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Aside {
    /// Ask this machine's service whether it is ready; for containers
    Healthcheck,
}

/// Son1k: a dependable public API over slow, rate-limited generation upstreams.
#[derive(Debug, Parser)]
#[command(name = "son1k", version, about)]
pub struct Son1k {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything in one process (with WORKER_ONLY=true, the worker alone)
    Up,
    /// Make one song from a sentence, with everything in one process
    Demo(demo::Arguments),
    /// Bring the database of DATABASE_URL up to date
    Migrate,
    /// Ask this machine's service whether it is ready; for containers
    Healthcheck,
    /// Make the secrets that the services of an installation and their stores share, each in a file; those that are there stay
    Secrets(secrets::Arguments),
    /// Operate a running gateway
    Admin(admin::Admin),
    /// Watch a running system on this terminal
    Top(top::Arguments),
    /// Check an installation: settings, servers, clock, versions, workers, tokens; says what to do
    Doctor,
    /// Print the completions of a shell: source <(son1k completions bash)
    Completions { shell: Shell },
    /// Measure what a running system carries
    Load(Box<load::Arguments>),
}

/// The executable of `role`'s service. What it does is an argument, so that nothing of the other services is linked into it.
pub fn service<S, F>(role: Role, serve: S) -> ExitCode
where
    S: FnOnce(Settings, CancellationToken) -> F,
    F: Future<Output = anyhow::Result<()>>,
{
    let Service { common: Common { config, print_config }, command } = Service::parse();
    let config = config.as_deref();
    match command {
        Some(Aside::Healthcheck) => launch::launch(Role::Operator, config, print_config, healthcheck::healthcheck),
        None => launch::launch(role, config, print_config, serve),
    }
}

/// `son1k`.
pub fn son1k() -> ExitCode {
    let Son1k { common: Common { config, print_config }, command } = Son1k::parse();
    let config = config.as_deref();
    match command {
        Command::Up => launch::launch(Role::Up, config, print_config, up::up),
        Command::Demo(arguments) => launch::launch(Role::Demo, config, print_config, |settings, shutdown| {
            demo::demo(settings, arguments, shutdown)
        }),
        Command::Migrate => launch::launch(Role::Migrate, config, print_config, migrate::migrate),
        Command::Healthcheck => launch::launch(Role::Operator, config, print_config, healthcheck::healthcheck),
        Command::Secrets(arguments) => launch::launch(Role::Operator, config, print_config, |settings, _| async move {
            secrets::secrets(&settings, &arguments)
        }),
        Command::Admin(asked) => {
            launch::launch(Role::Operator, config, print_config, |settings, _| admin::admin(settings, asked))
        }
        Command::Top(arguments) => launch::launch(Role::Operator, config, print_config, |settings, shutdown| {
            top::top(settings, arguments, shutdown)
        }),
        Command::Doctor => launch::launch(Role::Operator, config, print_config, |settings, _| doctor::doctor(settings)),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Son1k::command(), "son1k", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
        Command::Load(arguments) => launch::launch(Role::Operator, config, print_config, |settings, shutdown| {
            load::load(settings, *arguments, shutdown)
        }),
    }
}
