//! What cannot be started says so in one line that names the setting, at once, without a panic.

use crate::processes::output;
use std::net::TcpListener;

/// The one line that it says, and its status.
fn refusal(name: &str, settings: &[(&str, &str)], arguments: &[&str]) -> (String, Option<i32>) {
    let folder = tempfile::tempdir().unwrap();
    let output = output(name, folder.path(), settings, arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(!errors.contains("panicked") && !errors.contains("backtrace"), "{errors}");
    assert!(output.stdout.is_empty());
    let lines: Vec<&str> = errors.lines().collect();
    assert_eq!(lines.len(), 1, "{errors}");
    (lines[0].to_owned(), output.status.code())
}

#[test]
fn a_bad_setting_is_named_with_its_value_and_what_is_allowed() {
    let (line, status) = refusal("son1k", &[("GENERATION_CONCURRENCY", "many")], &["up"]);
    assert_eq!(line, "son1k: GENERATION_CONCURRENCY=\"many\" is not allowed: a whole number from 1 to 10000");
    assert_eq!(status, Some(2));
}

#[test]
fn each_executable_names_what_it_misses() {
    for name in ["son1k-gateway", "son1k-worker", "son1k-token-pool"] {
        let (line, status) = refusal(name, &[], &[]);
        assert!(line.starts_with(&format!("{name}: DATABASE_URL is missing: {name} needs PostgreSQL")), "{line}");
        assert_eq!(status, Some(2));
    }
    let (line, _) = refusal("son1k", &[("WORKER_ONLY", "true")], &["up"]);
    assert!(line.starts_with("son1k: DATABASE_URL is missing: WORKER_ONLY needs PostgreSQL"), "{line}");
    let (line, _) = refusal("son1k", &[], &["migrate"]);
    assert!(line.starts_with("son1k: DATABASE_URL is missing"), "{line}");
}

#[test]
fn a_settings_file_with_an_unknown_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("son1k.toml"), "prot = 1\n").unwrap();
    let output = output("son1k-simulator", folder.path(), &[], &[]);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "son1k-simulator: son1k.toml: unknown settings: prot\n");
}

#[test]
fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (line, status) = refusal("son1k", &[("HOST", "127.0.0.1"), ("PORT", &port)], &["up"]);
    assert_eq!(line, format!("son1k: PORT={port} cannot be listened on at 127.0.0.1: another process has it"));
    assert_eq!(status, Some(1));
}

#[test]
fn a_database_that_is_out_of_reach_is_named_without_its_password() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://app:hunter2@127.0.0.1:{}/x", free.local_addr().unwrap().port());
    drop(free);
    let (line, status) = refusal("son1k", &[("DATABASE_URL", &url)], &["migrate"]);
    assert!(line.starts_with("son1k: ") && line.contains("PostgreSQL") && !line.contains("hunter2"), "{line}");
    assert_eq!(status, Some(1));
}

#[test]
fn what_would_be_used_is_shown_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [("API_KEY_PEPPER", "hunter2hunter2hunter2hunter2hunter2"), ("PORT", "9000")];
    let output = output("son1k", folder.path(), &settings, &["up", "--print-config"]);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && shown.contains("port = 9000\n") && shown.contains("api_key_pepper = \"***\"\n"));
    assert!(!shown.contains("hunter2"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "looking made something");
}
