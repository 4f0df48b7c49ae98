//! The tidy tests: what ARCHITECTURE.md and CONTRIBUTING.md say of this repository, compared with it.
//!
//! They read files and `cargo metadata` alone; no server and no executable is needed.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The arrows: which of our packages each may depend on. Whoever is missing here may depend on none.
const ARROWS: [(&str, &[&str]); 14] = [
    ("client", &["domain"]),
    ("conformance", &["domain"]),
    ("token-pool-rpc", &["domain"]),
    ("bootstrap", &["domain"]),
    ("simulator", &["domain"]),
    ("production", &["domain"]),
    ("embedded", &["domain"]),
    ("upstream", &["domain"]),
    ("gateway", &["domain"]),
    ("worker", &["domain"]),
    ("autoscaler", &["domain"]),
    ("token-pool", &["domain", "token-pool-rpc"]),
    (
        "server",
        &[
            "autoscaler",
            "bootstrap",
            "client",
            "domain",
            "embedded",
            "gateway",
            "production",
            "simulator",
            "token-pool",
            "token-pool-rpc",
            "upstream",
            "worker",
        ],
    ),
    (
        "e2e",
        &[
            "bootstrap",
            "client",
            "domain",
            "embedded",
            "gateway",
            "production",
            "server",
            "simulator",
            "token-pool",
            "token-pool-rpc",
            "upstream",
            "worker",
        ],
    ),
];

/// What tests may use besides: both stores, the simulator and what speaks to it, and the suites.
const FOR_TESTS: [&str; 5] = ["conformance", "embedded", "production", "simulator", "upstream"];

/// Crates of others that only some of ours may name, with all that begins like them. Tests speak to the world as they like.
const RESERVED: [(&str, &[&str]); 6] = [
    ("sqlx", &["production", "embedded"]),
    ("lapin", &["production"]),
    ("redis", &["production"]),
    ("reqwest", &["autoscaler", "client", "upstream"]),
    ("tonic", &["token-pool", "token-pool-rpc", "server"]),
    ("actix-web", &["bootstrap", "gateway", "simulator"]),
];

/// Files that may be longer than 400 lines, and why.
const LONG: [(&str, &str); 0] = [];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

fn packages() -> Vec<Value> {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Every file below `folder` with one of the extensions, build output left out.
fn files(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with("target") && !path.ends_with("son1k-data") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn none(what: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{what}:\n  {}", offenders.join("\n  "));
}

#[test]
fn a_package_is_named_as_its_folder() {
    for package in packages() {
        let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap());
        let folder = manifest.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(package["name"], folder.as_str());
    }
}

#[test]
fn arrows_point_down_only() {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let packages = packages();
    let ours: BTreeSet<&str> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    let mut wrong = Vec::new();
    for package in &packages {
        let name = package["name"].as_str().unwrap();
        let allowed = arrows.get(name).copied().unwrap_or_default();
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = dependency["name"].as_str().unwrap();
            let for_tests = dependency["kind"] == "dev" && FOR_TESTS.contains(&to);
            if ours.contains(to) && !allowed.contains(&to) && !for_tests {
                wrong.push(format!("{name} -> {to} ({})", dependency["kind"].as_str().unwrap_or("normal")));
            }
        }
    }
    none("arrows that are not in ARCHITECTURE.md", &wrong);
}

#[test]
fn crates_that_speak_to_the_world_stay_in_their_places() {
    let mut wrong = Vec::new();
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = dependency["name"].as_str().unwrap();
            for (reserved, places) in RESERVED {
                let same = to == reserved || to.starts_with(&format!("{reserved}-"));
                if same && dependency["kind"] != "dev" && !places.contains(&name) {
                    wrong.push(format!("{name} names {to}"));
                }
            }
        }
    }
    none("crates of others where they do not belong", &wrong);
}

#[test]
fn every_package_keeps_the_workspaces_lints() {
    let without: Vec<String> = files(&root().join("crates"), &["toml"])
        .iter()
        .filter(|path| path.ends_with("Cargo.toml"))
        .filter(|path| {
            let manifest: toml::Table = fs::read_to_string(path).unwrap().parse().unwrap();
            manifest.get("lints").and_then(|lints| lints.get("workspace")) != Some(&toml::Value::Boolean(true))
        })
        .map(|path| path.display().to_string())
        .collect();
    none("manifests without `lints.workspace = true`", &without);
}

#[test]
fn every_file_opens_by_saying_what_it_is() {
    let silent: Vec<String> = files(&root().join("crates"), &["rs"])
        .iter()
        .filter(|path| {
            let text = fs::read_to_string(path).unwrap();
            !text.lines().next().is_some_and(|line| line.starts_with("//! ") && line.len() > 20)
        })
        .map(|path| path.display().to_string())
        .collect();
    none("files that do not open with //!", &silent);
}

#[test]
fn files_are_short_enough_to_be_read() {
    let root = root();
    let mut long = Vec::new();
    for path in files(&root.join("crates"), &["rs"]) {
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        if name.contains("/tests/") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
        if lines > 400 && !LONG.iter().any(|(excepted, _)| *excepted == name) {
            long.push(format!("{name}: {lines} lines"));
        }
    }
    none("files of more than 400 lines", &long);
}

#[test]
fn no_file_is_named_for_nothing() {
    const EMPTY: [&str; 10] =
        ["utils", "util", "common", "helpers", "helper", "manager", "managers", "misc", "shared", "stuff"];
    let root = root();
    let nothing: Vec<String> = files(&root.join("crates"), &["rs", "toml"])
        .iter()
        .map(|path| path.strip_prefix(&root).unwrap())
        .filter(|path| {
            path.iter()
                .any(|part| EMPTY.contains(&part.to_string_lossy().trim_end_matches(".rs").trim_end_matches(".toml")))
        })
        .map(|path| path.display().to_string())
        .collect();
    none("names that say nothing", &nothing);
}

#[test]
fn every_setting_is_explained_where_it_is_set() {
    let root = root();
    for file in ["config/default.toml", "config/embedded.toml"] {
        let text = fs::read_to_string(root.join(file)).unwrap();
        let _: toml::Table = text.parse().unwrap();
        let mut explained = false;
        let mut bare = Vec::new();
        for line in text.lines() {
            // Neighbours may share a comment; a blank line or a table ends what it speaks of.
            match line.chars().next() {
                Some('#') => explained = !line.starts_with("# ---"),
                None | Some('[') => explained = false,
                Some(_) if !explained => bare.push(line.to_owned()),
                Some(_) => {}
            }
        }
        none(&format!("settings of {file} without a comment"), &bare);
    }
}

#[test]
fn migrations_are_twins() {
    let names = |side: &str| -> Vec<String> {
        files(&root().join("migrations").join(side), &["sql"])
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect()
    };
    assert_eq!(names("postgres"), names("sqlite"));
    assert!(!names("postgres").is_empty());
}

#[test]
fn every_script_says_what_it_needs() {
    let root = root();
    let mut silent = Vec::new();
    // What has an extension is read by a script, and is none.
    let all = fs::read_dir(root.join("scripts")).unwrap().map(|entry| entry.unwrap().path());
    let scripts = all.filter(|path| path.extension().is_none());
    for path in scripts.chain([root.join(".ci/run")]) {
        let text = fs::read_to_string(&path).unwrap();
        let head: Vec<&str> = text.lines().take_while(|line| line.starts_with('#')).collect();
        if !head.iter().any(|line| line.starts_with("# Needs: ")) || !text.contains("\nset -euo pipefail\n") {
            silent.push(path.display().to_string());
        }
    }
    none("scripts that do not say what they need, or go on after a failure", &silent);
}

#[test]
fn the_map_fits_on_a_few_screens() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let lines = text.lines().count();
    assert!(lines <= 150, "ARCHITECTURE.md has {lines} lines");
    let missing: Vec<String> = packages()
        .iter()
        .map(|package| format!("{}/", package["name"].as_str().unwrap()))
        .filter(|name| !text.contains(name.as_str()))
        .collect();
    none("packages that are not on the map", &missing);
}
