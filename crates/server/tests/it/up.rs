//! `son1k up`: what it prints, and that it prints the same after a restart; how it ends.

use crate::processes::{Running, output};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const SETTINGS: [(&str, &str); 4] = [
    ("PORT", "0"),
    ("HOST", "127.0.0.1"),
    ("SIMULATOR_RENDER_SECONDS_MIN", "0.1"),
    ("SIMULATOR_RENDER_SECONDS_MAX", "0.2"),
];

/// The keys and the curl line that it greets with.
fn greeting(running: &Running) -> (Vec<String>, String) {
    let keys = running.said.iter().filter(|line| line.contains(" son1k_") && !line.contains("curl"));
    let curl = running.said.iter().find(|line| line.trim_start().starts_with("curl ")).unwrap();
    (keys.cloned().collect(), curl.clone())
}

fn paste(line: &str) -> String {
    let output = Command::new("bash").args(["-c", line]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_it_prints_works_when_pasted_and_is_the_same_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Running::start("son1k", folder.path(), &SETTINGS, &["up"]);
    let url = first.until("ready ");
    let (keys, curl) = greeting(&first);
    assert_eq!(keys.len(), 4, "{keys:?}");
    let answer = paste(&curl);
    assert!(answer.contains("\"status\":\"succeeded\"") && answer.contains("audio_url"), "{answer}");
    let song = answer.split("\"audio_url\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();

    let mut operator = SETTINGS.to_vec();
    operator.push(("ADMIN_URL", &url));
    let admin = |arguments: &[&str]| {
        let output = output("son1k", folder.path(), &operator, arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(admin(&["healthcheck"]).contains("\"ledger\":{\"status\":\"ok\"}"));
    let account = admin(&["admin", "accounts", "create", "acme", "--tier", "pro"]);
    assert!(admin(&["admin", "keys", "create", account.trim()]).starts_with("son1k_live_"));
    assert!(admin(&["admin", "ledger", "verify"]).starts_with("the books of "));
    assert!(admin(&["admin", "tokens", "pool"]).starts_with("ok: 50 usable"));
    let listed = admin(&["admin", "tokens", "list"]);
    assert_eq!(listed.lines().filter(|line| line.starts_with("tok_") && line.contains("  usable ")).count(), 50);
    assert!(!listed.contains("sim-token"), "{listed}");
    let token = listed.split_whitespace().next().unwrap();
    assert_eq!(admin(&["admin", "tokens", "disable", token]), "disabled\n");
    let disabled = admin(&["admin", "tokens", "list", "--state", "disabled"]);
    assert!(disabled.starts_with(token) && disabled.contains("by an operator") && disabled.lines().count() == 1);
    assert_eq!(admin(&["admin", "tokens", "reinstate", token]), "reinstated\n");
    assert_eq!(admin(&["admin", "tokens", "list", "--state", "disabled"]), "");
    assert_eq!(admin(&["admin", "tokens", "delete", token]), "deleted\n");
    assert!(!admin(&["admin", "tokens", "list"]).contains(token));

    first.signal("-TERM");
    let (status, took) = first.end();
    assert_eq!(status, Some(0));
    assert!(took < Duration::from_secs(20), "it took {took:?}");

    let mut second = Running::start("son1k", folder.path(), &SETTINGS, &["up"]);
    second.until("ready ");
    let (again, curl) = greeting(&second);
    assert_eq!(again, keys);
    assert!(paste(&curl).contains("\"status\":\"succeeded\""));
    // The song of before is still where it was.
    assert_eq!(paste(&format!("curl -sS -o /dev/null -w '%{{http_code}}' {song}")), "200");
}

#[test]
fn another_pepper_on_an_old_folder_is_named_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Running::start("son1k", folder.path(), &SETTINGS, &["up"]);
    first.until("ready ");
    let (keys, _) = greeting(&first);
    first.signal("-TERM");
    assert_eq!(first.end().0, Some(0));

    let mut changed = SETTINGS.to_vec();
    changed.push(("API_KEY_PEPPER", "another pepper than the one that was made here"));
    let refused = output("son1k", folder.path(), &changed, &["up"]);
    let errors = String::from_utf8(refused.stderr).unwrap();
    assert!(errors.contains("API_KEY_PEPPER") && errors.contains("secrets/customer_free"), "{errors}");
    assert_eq!(refused.status.code(), Some(1));

    let mut again = Running::start("son1k", folder.path(), &SETTINGS, &["up"]);
    again.until("ready ");
    assert_eq!(greeting(&again).0, keys);
}

#[test]
fn one_process_a_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Running::start("son1k", folder.path(), &SETTINGS, &["up"]);
    first.until("ready ");
    let second = output("son1k", folder.path(), &SETTINGS, &["up"]);
    let errors = String::from_utf8(second.stderr).unwrap();
    assert!(errors.contains("DATA_DIR") && errors.contains("in use by another process"), "{errors}");
    assert_eq!(second.status.code(), Some(1));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let slow = [("PORT", "0"), ("HOST", "127.0.0.1"), ("SIMULATOR_LATENCY_MS", "60000")];
    let mut running = Running::start("son1k", folder.path(), &slow, &["up"]);
    running.until("ready ");
    let (_, curl) = greeting(&running);
    // Its submission hangs at the upstream: the drain would wait for it.
    paste(&curl.replace("-H 'Prefer: wait' ", ""));
    running.signal("-TERM");
    until_draining(folder.path());
    running.signal("-TERM");
    let (_, took) = running.end();
    assert!(took < Duration::from_secs(10), "it took {took:?}; a drain takes 15 s");
}

/// The process has heard the first signal.
fn until_draining(folder: &Path) {
    for _ in 0..1000 {
        if std::fs::read_to_string(folder.join("errors.log")).unwrap_or_default().contains("shutting down") {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it did not hear the signal");
}
