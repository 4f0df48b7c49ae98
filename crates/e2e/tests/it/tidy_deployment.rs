//! The tidy tests of the deployment: compose, Railway and Kubernetes files name the settings that there are, all of them, and hold what
//! they promise.
//!
//! They read files alone. What needs an engine, a registry or a renderer is in scripts: compose-smoke, railway-check, kubernetes-check.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Settings that a container is never told: they are for one process on one machine, the same for all where each has its own, or another
/// platform's.
const NOT_FOR_CONTAINERS: [&str; 11] = [
    "BUNDLED_SIMULATOR",
    "DATA_DIR",
    "HOST",
    "MAKE_SECRETS",
    "OTEL_SERVICE_NAME",
    // The autoscaler's on Railway alone.
    "RAILWAY_API_URL",
    "RAILWAY_ENVIRONMENT_ID",
    "RAILWAY_TOKEN",
    "RAILWAY_WORKER_SERVICE_ID",
    "SIMULATOR_PORT",
    "WORKER_ONLY",
];

/// Variables of others: images and platforms.
const OTHERS: [&str; 12] = [
    "GF_ANALYTICS_CHECK_FOR_UPDATES",
    "GF_ANALYTICS_REPORTING_ENABLED",
    "GF_SECURITY_ADMIN_PASSWORD__FILE",
    "PGDATA",
    "POD_NAME",
    "POSTGRES_DB",
    "POSTGRES_PASSWORD_FILE",
    "POSTGRES_USER",
    "RABBITMQ_CONFIG_FILE",
    "RABBITMQ_DEFAULT_PASS",
    "RABBITMQ_DEFAULT_USER",
    "RABBITMQ_NODENAME",
];

/// The keys of https://railway.com/railway.schema.json, by table.
const RAILWAY_BUILD: [&str; 5] = ["builder", "buildCommand", "dockerfilePath", "railpackVersion", "watchPatterns"];
const RAILWAY_DEPLOY: [&str; 10] = [
    "cronSchedule",
    "drainingSeconds",
    "healthcheckPath",
    "healthcheckTimeout",
    "multiRegionConfig",
    "overlapSeconds",
    "preDeployCommand",
    "restartPolicyMaxRetries",
    "restartPolicyType",
    "startCommand",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn none(what: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{what}:\n  {}", offenders.join("\n  "));
}

/// Every setting of the manual as its environment variable, and whether it is a secret.
fn settings() -> BTreeMap<String, bool> {
    let manual = read("config/default.toml");
    let (mut found, mut table, mut said) = (BTreeMap::new(), String::new(), String::new());
    for line in manual.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            table = format!("{}_", name.replace('.', "_"));
            said.clear();
        } else if line.starts_with('#') {
            said.push_str(line);
        } else if let Some((key, _)) = line.split_once(" = ") {
            found.insert(format!("{table}{key}").to_uppercase(), said.contains("Secret."));
        } else {
            said.clear();
        }
    }
    assert!(found.len() > 60 && found["DATABASE_URL"] && !found["TIERS_FREE_SHARE"]);
    found
}

/// `NAME:` and `name: NAME` of a YAML or TypeScript text, comments left out: what containers are told.
fn variables(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with(['#', '/', '*'])) {
        for (at, _) in line.match_indices(':') {
            let before = line[..at].trim_end();
            let start = before.rfind(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
            let start = start.map_or(0, |at| at + 1);
            let key = &before[start..];
            let open = &before[..start];
            let alone = !open.ends_with("${") && open.chars().next_back().is_none_or(|c| " {,".contains(c));
            if key.len() > 3 && alone && key.starts_with(|c: char| c.is_ascii_uppercase()) {
                found.insert(key.to_owned());
            }
        }
        if let Some((_, rest)) = line.split_once("name: ") {
            let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            if name.len() > 3 && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
                found.insert(name);
            }
        }
    }
    found
}

/// The YAML files below `folder`.
fn manifests(folder: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                found.push(path);
            }
        }
    }
    found
}

/// The text of each service of docker-compose.yml, comments left out.
fn composed() -> BTreeMap<String, String> {
    let text = read("docker-compose.yml");
    let services = text.split_once("\nservices:\n").unwrap().1.split_once("\nvolumes:\n").unwrap().0;
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut name = String::new();
    for line in services.lines().filter(|line| !line.trim_start().starts_with('#')) {
        if let Some(begun) = line.strip_prefix("  ").filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase())) {
            begun.strip_suffix(':').unwrap().clone_into(&mut name);
        }
        let service = found.entry(name.clone()).or_default();
        service.push_str(line);
        service.push('\n');
    }
    found
}

#[test]
fn every_setting_reaches_the_containers_and_is_listed() {
    let settings = settings();
    let (composed, listed) = (variables(&read("docker-compose.yml")), read("docs/variables.md"));
    let mut missing = Vec::new();
    for (name, secret) in &settings {
        let by_file = format!("{name}_FILE");
        let handed = composed.contains(name) || (*secret && composed.contains(&by_file));
        if !handed && !NOT_FOR_CONTAINERS.contains(&name.as_str()) {
            missing.push(format!("docker-compose.yml hands on no {name}: add it to x-settings"));
        }
        if !listed.contains(&format!("| `{name}` |")) {
            missing.push(format!("docs/variables.md has no row of {name}"));
        }
    }
    for line in listed.lines().filter_map(|line| line.strip_prefix("| `")) {
        let name = line.split('`').next().unwrap();
        if !settings.contains_key(name) && !OTHERS.contains(&name) && !["SON1K_SERVICE", "WORKERS"].contains(&name) {
            missing.push(format!("docs/variables.md lists {name}, which no service reads"));
        }
    }
    none("settings that a deployment does not know", &missing);
}

#[test]
fn no_deployment_sets_what_no_service_reads() {
    let settings = settings();
    let known = |name: &str| {
        let of_file = name.strip_suffix("_FILE").is_some_and(|secret| settings.get(secret) == Some(&true));
        settings.contains_key(name) || of_file || OTHERS.contains(&name) || name == "SON1K_SERVICE"
    };
    let mut unknown = Vec::new();
    let mut texts = vec![root().join("docker-compose.yml"), root().join(".railway/railway.ts")];
    texts.extend(manifests("deploy/kubernetes"));
    for path in texts {
        for name in variables(&fs::read_to_string(&path).unwrap()) {
            // In compose's own lists of capabilities and commands.
            if !known(&name) && name != "CMD" {
                unknown.push(format!("{}: {name}", path.display()));
            }
        }
    }
    none("variables that nothing reads", &unknown);
}

/// The `NAME` of a deployment file, as a container is told it.
fn told(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix(": \""))?;
    line.split('"').next().map(str::to_owned)
}

/// `http://host:port` after each `ADMIN_URL` of a text; without a port where none is named.
fn admin_urls(text: &str) -> Vec<String> {
    let named = text.lines().flat_map(|line| line.match_indices("ADMIN_URL").map(|(at, _)| &line[at..]));
    let urls = named.filter_map(|rest| rest.find("http").map(|at| &rest[at..]));
    urls.map(|url| url.chars().take_while(|c| !c.is_whitespace() && !"}\"`|,".contains(*c)).collect()).collect()
}

#[test]
fn operators_are_sent_where_they_are_answered() {
    let mut wrong = Vec::new();
    // A gateway with OPS_PORT answers /admin/v1 and /console there alone.
    for (of, sent_from) in [
        ("docker-compose.yml", "docker-compose.yml"),
        ("docker-compose.yml", "docs/variables.md"),
        (".railway/railway.ts", "docs/scaling.md"),
        ("deploy/kubernetes/base/settings.yaml", "docs/scaling.md"),
    ] {
        let port = told(&read(of), "OPS_PORT").unwrap_or_else(|| panic!("{of} names no OPS_PORT"));
        let urls = admin_urls(&read(sent_from));
        assert!(!urls.is_empty(), "{sent_from} sends no operator anywhere");
        for url in urls.into_iter().filter(|url| !url.ends_with(&format!(":{port}"))) {
            wrong.push(format!("{sent_from}: ADMIN_URL is {url}, and operators of {of} are answered at {port}"));
        }
    }
    let service = read("deploy/kubernetes/base/gateway.yaml");
    if !service.contains("\n    - { name: ops, port: 9100, targetPort: ops }") {
        wrong.push("deploy/kubernetes: the gateway's service has no port for operators".to_owned());
    }
    none("operators who would ask where nobody answers", &wrong);
}

#[test]
fn compose_publishes_on_loopback_alone_and_keeps_the_engine_behind_a_profile() {
    let mut wrong = Vec::new();
    for (name, service) in composed() {
        let profile = service.contains("\n    profiles: [");
        for line in service.lines().filter(|line| line.trim_start().starts_with("ports: ")) {
            let each: Vec<&str> =
                line.split('"').filter(|part| part.contains(':') && !part.contains("ports")).collect();
            if each.is_empty() || !each.iter().all(|port| port.starts_with("127.0.0.1:${") && port.contains(":-")) {
                wrong.push(format!("{name} publishes beyond loopback, or on a port that is no variable: {line}"));
            }
            if name != "gateway" && !profile {
                wrong.push(format!("{name} is published"));
            }
        }
        if service.contains("docker.sock") && !profile {
            wrong.push(format!("{name} holds the engine's socket without a profile"));
        }
        if service.contains("PASSWORD: ") || service.contains("_KEY: ") {
            wrong.push(format!("{name} is told a secret other than by file"));
        }
        let ours = service.contains("<<: *service") || service.contains("<<: *once");
        if !ours && !service.contains("healthcheck:") && !["otel-collector", "jaeger"].contains(&name.as_str()) {
            wrong.push(format!("{name} has no health check"));
        }
        if !service.contains("<<: *once") && !service.contains("resources: { limits: ") {
            wrong.push(format!("{name} has no limits"));
        }
    }
    none("docker-compose.yml", &wrong);
}

#[test]
fn every_executable_has_an_image_that_tells_its_health() {
    let dockerfile = read("deploy/docker/Dockerfile");
    let mut wrong = Vec::new();
    for entry in fs::read_dir(root().join("crates/server/src/bin")).unwrap() {
        let path = entry.unwrap().path();
        let executable = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let target = executable.strip_prefix("son1k-").unwrap_or(&executable).to_owned();
        let Some((_, stage)) = dockerfile.split_once(&format!("\nFROM base AS {target}\n")) else {
            wrong.push(format!("{executable} has no target"));
            continue;
        };
        let stage = stage.split("\nFROM ").next().unwrap();
        let copies = stage.lines().filter(|line| line.starts_with("COPY") && line.contains("/out/son1k")).count();
        if copies != 1 || !stage.contains(&format!("ENTRYPOINT [\"/usr/local/bin/{executable}\"]")) {
            wrong.push(format!("{target} is not {executable} alone"));
        }
        let asked = format!("CMD [\"/usr/local/bin/{executable}\", \"healthcheck\"]");
        if target != "son1k" && !stage.contains(&asked) {
            wrong.push(format!("{target} has no health check"));
        }
    }
    let toolchain: toml::Table = read("rust-toolchain.toml").parse().unwrap();
    let channel = toolchain["toolchain"]["channel"].as_str().unwrap();
    if !dockerfile.contains(&format!("\nARG RUST={channel}\n")) {
        wrong.push(format!("the images are not built with {channel}"));
    }
    none("deploy/docker/Dockerfile", &wrong);
}

#[test]
fn railways_legacy_files_hold_published_keys_and_say_that_they_are_legacy() {
    let mut files = vec![root().join("railway.toml")];
    files.extend(fs::read_dir(root().join("deploy/railway")).unwrap().map(|entry| entry.unwrap().path()));
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    assert!(files.len() > 3, "{files:?}");
    let mut wrong = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let shown = path.display();
        if !text.starts_with("# Legacy: ") {
            wrong.push(format!("{shown} does not say in its first line that it is legacy"));
        }
        let settings: toml::Table = text.parse().unwrap();
        for (table, value) in &settings {
            let keys: &[&str] = match table.as_str() {
                "$schema" => continue,
                "build" => &RAILWAY_BUILD,
                "deploy" => &RAILWAY_DEPLOY,
                _ => &[],
            };
            for key in value.as_table().unwrap().keys().filter(|key| !keys.contains(&key.as_str())) {
                wrong.push(format!("{shown}: {table}.{key} is not in the schema"));
            }
        }
        let regions = settings["deploy"].get("multiRegionConfig").map(|regions| regions.as_table().unwrap());
        // What the autoscaler sets, no deployment may set back.
        if regions.is_some() == path.ends_with("worker.toml") {
            wrong.push(format!("{shown}: the replicas of all but the worker are named"));
        }
        for (region, regional) in regions.into_iter().flatten() {
            if regional.as_table().unwrap().keys().any(|key| key != "numReplicas") {
                wrong.push(format!("{shown}: {region} has keys other than numReplicas"));
            }
        }
        let dockerfile = settings["build"]["dockerfilePath"].as_str().unwrap();
        if !root().join(dockerfile).is_file() {
            wrong.push(format!("{shown}: {dockerfile} is not there"));
        }
    }
    none("railway.toml and deploy/railway", &wrong);
}
