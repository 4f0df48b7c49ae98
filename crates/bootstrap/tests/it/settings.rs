//! Settings as an operator meets them: layers, bounds, one line that names what is wrong. The environment is a map: nothing global is touched.

use bootstrap::settings::{SettingError, Sources};
use bootstrap::{Role, Settings};
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";

pub(crate) fn load(role: Role, pairs: &[(&str, &str)], file: Option<PathBuf>) -> Result<Settings, SettingError> {
    let environment = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
    let may_embed = matches!(role, Role::Up | Role::Demo);
    let sources = Sources { file, environment: &environment, may_embed, local: role == Role::Demo };
    Settings::load(role, &sources, false)
}

fn refusal(role: Role, pairs: &[(&str, &str)]) -> String {
    let line = load(role, pairs, None).expect_err("was accepted").to_string();
    assert!(!line.contains('\n'), "more than one line: {line}");
    line
}

fn folder() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data").display().to_string();
    (folder, path)
}

#[test]
fn nothing_configured_is_the_embedded_mode_with_the_manuals_numbers() {
    let (_folder, data) = folder();
    let settings = load(Role::Up, &[("DATA_DIR", &data)], None).unwrap();
    assert!(settings.is_embedded() && settings.upstream.bundled_simulator);
    assert_eq!(settings.listen.port, 8080);
    assert_eq!((settings.worker.slots, settings.worker.starts_per_second), (50, 100));
    assert_eq!((settings.pool.min, settings.pool.max), (50, 2000));
    assert_eq!(settings.tiers, domain::tier::Tiers::default());
    assert!(settings.secrets.admin_key.is_some() && settings.secrets.token_keys.is_some());
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_manual() {
    let (folder, data) = folder();
    let file = folder.path().join("mine.toml");
    std::fs::write(
        &file,
        "port = 9000\nmin_tokens = 7\n[tiers.free]\nrequests_per_minute = 11\nbest_quality = \"high\"\n",
    )
    .unwrap();
    let pairs =
        [("DATA_DIR", data.as_str()), ("PORT", "9001"), ("TIERS_FREE_REQUESTS_PER_MINUTE", "12"), ("MIN_TOKENS", "")];
    let settings = load(Role::Up, &pairs, Some(file)).unwrap();
    assert_eq!((settings.listen.port, settings.pool.min), (9001, 7));
    assert_eq!(settings.tiers.free.requests_per_minute, Some(12));
    assert_eq!(settings.tiers.free.best_quality, domain::tier::Quality::High);
}

#[test]
fn unknown_keys_of_a_file_are_refused_by_name() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "portt = 1\n[tiers.gold]\nshare = 2").unwrap();
    let line = load(Role::Up, &[], Some(file.path().to_path_buf())).unwrap_err().to_string();
    assert!(line.ends_with("unknown settings: portt, tiers.gold.share"), "{line}");
}

#[test]
fn a_file_that_is_not_toml_is_refused_with_its_line_and_without_its_text() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "port = 1\nadmin_api_key = hunter2hunter2").unwrap();
    let line = load(Role::Up, &[], Some(file.path().to_path_buf())).unwrap_err().to_string();
    assert!(line.contains("line 2") && !line.contains("hunter2") && !line.contains('\n'), "{line}");
}

#[test]
fn a_bad_value_is_named_with_what_is_allowed() {
    for (name, value, allowed) in [
        ("PORT", "http", "0 to 65535"),
        ("PORT", "70000", "0 to 65535"),
        ("GENERATION_CONCURRENCY", "0", "1 to 10000"),
        ("GENERATION_CONCURRENCY", "-1", "1 to 10000"),
        ("GENERATION_CONCURRENCY", "5.5", "a whole number"),
        ("GENERATION_RATE_LIMIT", "99999999999999999999", "1 to 100000"),
        ("WORKER_ONLY", "yes", "true or false"),
        ("HOST", "localhost", "an IP address"),
        ("DATABASE_URL", "mysql://host", "(secret) is not allowed: a URL such as postgres://"),
        ("RABBITMQ_URL", "host:5672", "amqp://"),
        ("REDIS_URL", "redis://", "redis://"),
        ("SUNO_API_URL", "ftp://x", "https://"),
        ("TOKEN_POOL_URL", "http://a:1,b:2", "http://host:port"),
        ("UPSTREAM_DIALECT", "klingon", "suno"),
        ("LOG_FORMAT", "xml", "text, json"),
        ("RUST_LOG", "a=b=c", "a filter"),
        ("TIERS_PRO_BEST_QUALITY", "best", "standard, high, premium, enterprise"),
        ("TIERS_PRO_SHARE", "0", "1 to 1000"),
        ("TRUSTED_PROXIES", "10.0.0.0/33", "networks"),
        ("CORS_ALLOWED_ORIGINS", "example.org", "origins"),
        ("SIMULATOR_RENDER_SECONDS_MIN", "NaN", "a number"),
        ("ADMIN_API_KEY", "short", "32 to 255"),
        ("API_KEY_PEPPER", "short", "32 to 1024"),
        ("TOKEN_ENCRYPTION_KEYS", "a:AAAA", "base64 of 32 bytes"),
    ] {
        let line = refusal(Role::Simulator, &[(name, value)]);
        assert!(line.starts_with(name) && line.contains(allowed), "{name}={value}: {line}");
    }
}

#[test]
fn a_secrets_value_is_never_shown() {
    let line = refusal(Role::Up, &[("API_KEY_PEPPER", "hunter2")]);
    assert_eq!(line, "API_KEY_PEPPER=(secret) is not allowed: 32 to 1024 characters");
    let line = refusal(Role::Up, &[("DATABASE_URL", "mysql://root:hunter2@host/db")]);
    assert!(!line.contains("hunter2"), "{line}");
    let line = refusal(Role::Up, &[("PORT", "1\u{1b}[31m\n2")]);
    assert!(line.contains("\\u{1b}[31m\\n2"), "{line}");
}

#[test]
fn the_command_line_asks_where_operators_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().display().to_string();
    let asked = |more: &[(&str, &str)]| {
        let here = [("DATA_DIR", data.as_str()), ("HOST", "127.0.0.1"), ("PORT", "9000")];
        load(Role::Up, &[&here, more].concat(), None).unwrap().operators_url()
    };
    assert_eq!(asked(&[]), "http://127.0.0.1:9000");
    assert_eq!(asked(&[("OPS_PORT", "9001")]), "http://127.0.0.1:9001");
    assert_eq!(asked(&[("OPS_PORT", "9001"), ("ADMIN_URL", "https://son1k.example")]), "https://son1k.example");
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let line = refusal(Role::Up, &[("DATABASE_POOL_MIN", "9"), ("DATABASE_POOL_MAX", "3")]);
    assert_eq!(line, "DATABASE_POOL_MIN=9 is above DATABASE_POOL_MAX=3: it must not be");
    assert!(refusal(Role::Up, &[("MIN_TOKENS", "9"), ("MAX_TOKENS", "3")]).starts_with("MIN_TOKENS=9 is above"));
    assert!(
        refusal(Role::Up, &[("PORT", "9000"), ("OPS_PORT", "9000")]).starts_with("PORT and OPS_PORT are both 9000")
    );
    assert!(refusal(Role::Up, &[("ADMIN_API_KEY", SECRET), ("SYSTEM_API_KEY", SECRET)]).contains("must differ"));
    assert!(refusal(Role::Up, &[("ADMIN_API_KEY", SECRET), ("ADMIN_API_KEY_FILE", "/x")]).contains("only one"));
}

#[test]
fn the_token_pools_certificates_come_all_or_none_and_with_https() {
    let files = [
        ("TOKEN_POOL_TLS_CA_FILE", "/x/ca.pem"),
        ("TOKEN_POOL_TLS_CERT_FILE", "/x/cert.pem"),
        ("TOKEN_POOL_TLS_KEY_FILE", "/x/key.pem"),
    ];
    for left_out in files {
        let two: Vec<_> = files.into_iter().filter(|file| *file != left_out).collect();
        let line = refusal(Role::Simulator, &two);
        assert!(line.starts_with(left_out.0) && line.contains("all three or none"), "{line}");
    }
    let with = |url| [&files[..], &[("TOKEN_POOL_URL", url)]].concat();
    let line = refusal(Role::Simulator, &with("https://a:1,http://b:2"));
    assert!(line.starts_with("TOKEN_POOL_URL begins with http://") && line.ends_with("it must be https://"), "{line}");
    let line = refusal(Role::Simulator, &[("TOKEN_POOL_URL", "https://a:1")]);
    assert!(line.starts_with("TOKEN_POOL_URL begins with https://") && line.ends_with("it must be http://"), "{line}");
    let line = refusal(Role::Simulator, &[("GRPC_ADVERTISE_URL", "https://a:1")]);
    assert!(line.starts_with("GRPC_ADVERTISE_URL begins with https://"), "{line}");
    let settings = load(Role::Simulator, &with("https://a:1,https://b:2"), None).unwrap();
    assert_eq!(settings.pool.tls.unwrap().key, PathBuf::from("/x/key.pem"));
}

#[test]
fn each_executable_asks_for_what_it_uses_and_for_nothing_else() {
    let database = ("DATABASE_URL", "postgres://app@127.0.0.1/x");
    let pool = ("TOKEN_POOL_URL", "http://127.0.0.1:50051");
    let keys = [("ADMIN_API_KEY", SECRET), ("SYSTEM_API_KEY", OTHER), ("API_KEY_PEPPER", SECRET)];
    let internal = ("INTERNAL_AUTH_SECRET", SECRET);
    let token_keys = ("TOKEN_ENCRYPTION_KEYS", "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let upstream = ("SUNO_API_URL", "http://127.0.0.1:1");
    let table = [
        (Role::Gateway, vec![database, pool, keys[0], keys[1], keys[2], internal]),
        (Role::Worker, vec![database, pool, upstream, internal]),
        (Role::TokenPool, vec![database, token_keys, internal]),
        (Role::Migrate, vec![database]),
        (Role::Simulator, vec![]),
        (Role::Up, vec![database, upstream, keys[0], keys[1], keys[2], token_keys, internal]),
        (Role::Up, vec![database, upstream, token_keys, internal, ("WORKER_ONLY", "true")]),
        (Role::Up, vec![database, pool, upstream, internal, ("WORKER_ONLY", "true")]),
    ];
    for (role, needed) in table {
        load(role, &needed, None).unwrap_or_else(|error| panic!("{role:?}: {error}"));
        for (name, _) in &needed {
            let less: Vec<_> = needed.iter().copied().filter(|(other, _)| other != name).collect();
            // Leaving these out is another, complete configuration, or needs another one first.
            if ["WORKER_ONLY"].contains(name) || (role == Role::Up && ["DATABASE_URL", "TOKEN_POOL_URL"].contains(name))
            {
                continue;
            }
            let line = refusal(role, &less);
            assert!(line.starts_with(&format!("{name} is missing: ")), "{role:?} without {name}: {line}");
        }
    }
    let line = refusal(Role::Up, &[("WORKER_ONLY", "true")]);
    assert!(line.starts_with("DATABASE_URL is missing: WORKER_ONLY needs PostgreSQL"), "{line}");
}

#[test]
fn the_demo_uses_nobodys_servers() {
    let (_folder, data) = folder();
    let pairs = [
        ("DATA_DIR", data.as_str()),
        ("DATABASE_URL", "postgres://app@127.0.0.1/x"),
        ("SUNO_API_URL", "http://127.0.0.1:1"),
    ];
    let settings = load(Role::Demo, &pairs, None).unwrap();
    assert!(settings.is_embedded() && settings.upstream.url.is_none());
}

#[test]
fn what_is_shown_is_a_settings_file_without_secrets() {
    let (folder, data) = folder();
    let pairs = [
        ("DATA_DIR", data.as_str()),
        ("API_KEY_PEPPER", SECRET),
        ("RABBITMQ_URL", "amqp://guest:hunter2@127.0.0.1:5672/v?password=hunter2"),
        ("PORT", "9000"),
    ];
    let settings = load(Role::Up, &pairs, None).unwrap();
    let shown = settings.show();
    assert!(shown.contains("port = 9000\n") && shown.contains("api_key_pepper = \"***\"\n"), "{shown}");
    assert!(shown.contains("rabbitmq_url = \"amqp://guest:***@127.0.0.1:5672/v\"\n"), "{shown}");
    assert!(!shown.contains("hunter2") && !shown.contains(SECRET), "{shown}");
    assert!(!format!("{settings:?}").contains("hunter2"));
    let file = folder.path().join("shown.toml");
    std::fs::write(&file, shown.replace("***", SECRET).replace(&format!("admin_api_key = \"{SECRET}\""), "")).unwrap();
    // Every line of it is a known key; the masked keys are not usable, and are not asked to be.
    let again = load(
        Role::Simulator,
        &[("TOKEN_ENCRYPTION_KEYS", "k:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")],
        Some(file),
    );
    assert!(again.is_ok(), "{again:?}");
}

#[test]
fn the_autoscaler_needs_what_its_controller_needs_and_nothing_more() {
    use bootstrap::settings::{Controller, EngineHost};
    let database = ("DATABASE_URL", "postgres://u:p@h/d");
    let advised =
        load(Role::Autoscaler, &[database, ("DOCKER_HOST", "ssh://elsewhere"), ("RAILWAY_TOKEN", "a b")], None)
            .unwrap();
    assert!(matches!(advised.scaling.controller, Controller::Advise), "what is not chosen is not looked at");
    assert_eq!(advised.scaling.policy, domain::scaling::Policy::default());
    let docker = load(Role::Autoscaler, &[database, ("SCALING_CONTROLLER", "docker")], None).unwrap();
    let Controller::Docker(docker) = docker.scaling.controller else { panic!("not docker") };
    assert_eq!((docker.host, docker.project), (EngineHost::Socket("/var/run/docker.sock".into()), None));
    let railway = [
        database,
        ("SCALING_CONTROLLER", "railway"),
        ("RAILWAY_TOKEN", SECRET),
        ("RAILWAY_ENVIRONMENT_ID", "b1f0"),
        ("RAILWAY_WORKER_SERVICE_ID", "5c7e"),
    ];
    for missing in 2..railway.len() {
        let mut pairs = railway.to_vec();
        let (name, _) = pairs.remove(missing);
        assert!(refusal(Role::Autoscaler, &pairs).contains(name), "{name}");
    }
    let settings = load(Role::Autoscaler, &railway, None).unwrap();
    assert!(!settings.show().contains(SECRET) && !format!("{settings:?}").contains(SECRET));
    for (name, text) in [
        ("SCALING_DOWN_CPU_PERCENT", "70"),
        ("SCALING_MAX", "0"),
        ("SCALING_INTERVAL", "500"),
        ("SCALING_WORKER_SERVICE", "worker; rm"),
    ] {
        let said = refusal(Role::Autoscaler, &[database, (name, text)]);
        assert!(said.contains(name), "{said}");
    }
    let said = refusal(Role::Autoscaler, &[database, ("SCALING_CONTROLLER", "docker"), ("DOCKER_HOST", "unix://here")]);
    assert!(said.contains("DOCKER_HOST"), "{said}");
}
