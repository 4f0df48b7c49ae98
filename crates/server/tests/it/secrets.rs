//! `son1k secrets`: complete, agreeing, for their readers alone, and left as they are by every further run.

use crate::processes::{Running, output};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Every file below `folder` by its path: content and permissions.
fn kept(folder: &Path) -> BTreeMap<String, (String, u32)> {
    let mut found = BTreeMap::new();
    for reader in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
        for file in fs::read_dir(reader.path()).unwrap().map(|entry| entry.unwrap()) {
            let name = format!("{}/{}", reader.file_name().display(), file.file_name().display());
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            found.insert(name, (fs::read_to_string(file.path()).unwrap().trim().to_owned(), mode));
        }
    }
    found
}

#[test]
fn services_and_stores_agree_and_a_further_run_changes_nothing() {
    let work = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = output("son1k", work.path(), &[], arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let said = run(&["secrets", "all", "--postgres", "db.internal:6543"]);
    let all = kept(&work.path().join("all"));
    let text = |name: &str| all[name].0.clone();
    let names: Vec<&str> = all.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "grafana/password",
            "postgres/password",
            "rabbitmq/password",
            "rabbitmq/rabbitmq.conf",
            "redis/password",
            "redis/redis.conf",
            "services/admin_api_key",
            "services/api_key_pepper",
            "services/database_url",
            "services/internal_auth_secret",
            "services/rabbitmq_url",
            "services/redis_url",
            "services/system_api_key",
            "services/token_encryption_keys",
            "services/tokens",
            "services/upstream_tokens",
        ]
    );
    for (name, (secret, mode)) in &all {
        assert_eq!(*mode, if name.starts_with("services/") { 0o600 } else { 0o444 }, "{name}");
        assert!(!said.contains(secret.as_str()), "{name} was printed");
    }
    let (postgres, rabbitmq, redis) = (text("postgres/password"), text("rabbitmq/password"), text("redis/password"));
    assert_eq!(text("services/database_url"), format!("postgres://son1k:{postgres}@db.internal:6543/son1k"));
    assert_eq!(text("services/rabbitmq_url"), format!("amqp://son1k:{rabbitmq}@rabbitmq:5672/%2f"));
    assert_eq!(text("services/redis_url"), format!("redis://:{redis}@redis:6379"));
    assert!(text("rabbitmq/rabbitmq.conf").contains(&format!("default_pass = {rabbitmq}")));
    assert!(text("redis/redis.conf").contains(&format!("requirepass {redis}")));
    assert_eq!(text("services/tokens").lines().count(), 50);

    fs::remove_file(work.path().join("all/services/redis_url")).unwrap();
    run(&["secrets", "all", "--postgres", "db.internal:6543"]);
    assert_eq!(kept(&work.path().join("all")), all, "what is missing is derived from what is kept");
}

#[test]
fn every_service_takes_them_by_file() {
    let work = tempfile::tempdir().unwrap();
    assert!(output("son1k", work.path(), &[], &["secrets", "all"]).status.success());
    let services = work.path().join("all/services");
    let path = |name: &str| services.join(name).display().to_string();
    let (database, admin, system) = (path("database_url"), path("admin_api_key"), path("system_api_key"));
    let (pepper, keys, internal) =
        (path("api_key_pepper"), path("token_encryption_keys"), path("internal_auth_secret"));
    let settings = [
        ("DATABASE_URL_FILE", database.as_str()),
        ("ADMIN_API_KEY_FILE", &admin),
        ("SYSTEM_API_KEY_FILE", &system),
        ("API_KEY_PEPPER_FILE", &pepper),
        ("TOKEN_ENCRYPTION_KEYS_FILE", &keys),
        ("INTERNAL_AUTH_SECRET_FILE", &internal),
        ("TOKEN_POOL_URL", "http://127.0.0.1:1"),
        ("SUNO_API_URL", "http://127.0.0.1:1"),
    ];
    for name in ["son1k-gateway", "son1k-worker", "son1k-token-pool"] {
        let output = output(name, work.path(), &settings, &["--print-config"]);
        let (shown, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success(), "{name}: {said}");
        assert!(shown.contains("internal_auth_secret = \"***\""), "{name}: {shown}");
        for secret in [&pepper, &keys, &internal, &admin, &system] {
            assert!(!shown.contains(fs::read_to_string(secret).unwrap().trim()), "{name}");
        }
    }
}

#[test]
fn a_service_tells_its_own_health() {
    let work = tempfile::tempdir().unwrap();
    let mut running = Running::start("son1k-simulator", work.path(), &[("HOST", "127.0.0.1"), ("PORT", "0")], &[]);
    let url = running.until("ready ");
    let port = url.rsplit(':').next().unwrap();
    let ready = output("son1k-simulator", work.path(), &[("PORT", port)], &["healthcheck"]);
    assert_eq!(String::from_utf8(ready.stdout).unwrap(), "{\"status\":\"ok\"}\n");
    assert!(ready.status.success());
    running.signal("-TERM");
    assert_eq!(running.end().0, Some(0));
    let gone = output("son1k-simulator", work.path(), &[("PORT", port)], &["healthcheck"]);
    assert_eq!(gone.status.code(), Some(1));
}
