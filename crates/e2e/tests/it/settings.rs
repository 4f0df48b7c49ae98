//! A bad or missing setting stops the process at once, with one line that names it.

use crate::system::{Environment, run_to_end};
use std::time::Duration;

/// Executable and arguments, settings, and what the line must name.
type Row = (&'static [&'static str], &'static [(&'static str, &'static str)], &'static str);

const ROWS: [Row; 19] = [
    (&["son1k", "up"], &[("PORT", "eighty")], "PORT"),
    (&["son1k", "up"], &[("PORT", "70000")], "PORT"),
    (&["son1k", "up"], &[("HOST", "nowhere")], "HOST"),
    (&["son1k", "up"], &[("GENERATION_CONCURRENCY", "0")], "GENERATION_CONCURRENCY"),
    (&["son1k", "up"], &[("GENERATION_RATE_LIMIT", "-1")], "GENERATION_RATE_LIMIT"),
    (&["son1k", "up"], &[("MIN_TOKENS", "10"), ("MAX_TOKENS", "5")], "MAX_TOKENS"),
    (&["son1k", "up"], &[("SUNO_API_URL", "ftp://upstream")], "SUNO_API_URL"),
    (&["son1k", "up"], &[("UPSTREAM_DIALECT", "klingon")], "UPSTREAM_DIALECT"),
    (&["son1k", "up"], &[("ADMIN_API_KEY", "too short")], "ADMIN_API_KEY"),
    (&["son1k", "up"], &[("DATABASE_URL", "mysql://x/y")], "DATABASE_URL"),
    (&["son1k", "up"], &[("WORKER_ONLY", "true")], "DATABASE_URL"),
    (&["son1k-gateway"], &[], "DATABASE_URL"),
    (&["son1k-worker"], &[], "DATABASE_URL"),
    (&["son1k-token-pool"], &[], "DATABASE_URL"),
    (&["son1k-autoscaler"], &[], "DATABASE_URL"),
    (&["son1k-autoscaler"], &[("SCALING_MIN", "11")], "SCALING_MAX"),
    (&["son1k-autoscaler"], &[("SCALING_CONTROLLER", "kubernetes")], "SCALING_CONTROLLER"),
    (&["son1k-autoscaler"], &[("DATABASE_URL", "postgres://x/y"), ("SCALING_CONTROLLER", "railway")], "RAILWAY_TOKEN"),
    (&["son1k-autoscaler"], &[("SCALING_CONTROLLER", "docker"), ("DOCKER_HOST", "ssh://machine")], "DOCKER_HOST"),
];

#[tokio::test]
async fn each_stops_the_process_with_one_line_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, settings, named) in ROWS {
        let environment: Environment = settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let output = run_to_end(arguments, &environment, folder.path(), Duration::from_secs(20)).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{arguments:?} {settings:?}");
        assert_eq!(said.trim_end().lines().count(), 1, "{arguments:?} {settings:?} said:\n{said}");
        assert!(said.contains(named), "{arguments:?} {settings:?} must name {named}, and said: {said}");
        assert!(output.stdout.is_empty(), "{arguments:?} {settings:?}");
    }
}

#[tokio::test]
async fn a_secret_that_is_wrong_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["ADMIN_API_KEY", "API_KEY_PEPPER", "INTERNAL_AUTH_SECRET", "TOKEN_ENCRYPTION_KEYS"] {
        let environment = Environment::from([(name, "hunter2".to_owned())]);
        let output = run_to_end(&["son1k", "up"], &environment, folder.path(), Duration::from_secs(20)).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(name) && !said.contains("hunter2"), "{name}: {said}");
    }
}
