//! The tidy test of docs/variables.md: who is said to read a setting is who does.
//!
//! It reads texts alone: the field that each setting is parsed into, and the files in which the services take that field. Settings that are parsed
//! in some other shape than one line a field are not looked at, nor are those that all services share.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const SERVICES: [(&str, &str); 5] = [
    ("gateway", "gateway.rs"),
    ("worker", "worker.rs"),
    ("token pool", "token_pool.rs"),
    ("autoscaler", "autoscaler.rs"),
    ("simulator", "simulator.rs"),
];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `group.field` of the parsed settings, by the setting's environment variable.
fn fields() -> BTreeMap<String, String> {
    let (text, mut found, mut group) = (read("crates/bootstrap/src/settings/parse.rs"), BTreeMap::new(), String::new());
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("fn ") {
            rest.split('(').next().unwrap().clone_into(&mut group);
        } else if let Some(head) = line.strip_suffix(" {") {
            let head = head.strip_prefix("let ").unwrap_or(head);
            if let Some((name, _)) = head.split_once(": ").or_else(|| head.split_once(" = ")) {
                name.clone_into(&mut group);
            }
        }
        let Some((field, value)) = line.split_once(": ").filter(|(_, value)| value.contains("values.")) else {
            continue;
        };
        let Some(key) = value.split('"').nth(1) else { continue };
        found.insert(key.replace('.', "_").to_uppercase(), format!("{group}.{field}"));
    }
    assert!(found.len() > 20, "{found:?}");
    assert_eq!((found["DRAIN_SECONDS"].as_str(), found["PUBLIC_URL"].as_str()), ("worker.drain", "listen.public_url"));
    found
}

/// Whether a text takes `group.field` of the settings, by that name or as `of_group.field`.
fn takes(text: &str, place: &str) -> bool {
    let of_a_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(place).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + place.len()..]);
        (before.ends_with("of_") || !before.ends_with(of_a_name)) && !after.starts_with(of_a_name)
    })
}

#[test]
fn who_is_said_to_read_a_setting_does() {
    let shared =
        ["stores", "pool", "upstreams"].map(|module| read(&format!("crates/server/src/compose/{module}.rs"))).concat();
    let services = SERVICES.map(|(name, file)| (name, read(&format!("crates/server/src/{file}"))));
    let (fields, manual) = (fields(), read("docs/variables.md"));
    let (mut wrong, mut looked_at) = (Vec::new(), 0);
    for row in manual.lines().filter_map(|line| line.strip_prefix("| `")) {
        let (name, rest) = row.split_once('`').unwrap();
        let Some(place) = fields.get(name) else { continue };
        let readers: Vec<&str> = rest.split('|').nth(1).unwrap().trim().split(", ").collect();
        if readers[0].starts_with("all") || readers[0].contains("alone") {
            continue;
        }
        looked_at += 1;
        for (service, text) in &services {
            let (said, own) = (readers.contains(service), takes(text, place));
            if own && !said {
                wrong.push(format!("{name}: the {service} reads it, and is not named"));
            } else if said && !own && !takes(&shared, place) {
                wrong.push(format!("{name}: the {service} is named, and reads nothing of it"));
            }
        }
    }
    assert!(looked_at > 20, "{looked_at} rows were held against the sources");
    assert!(wrong.is_empty(), "docs/variables.md:\n  {}", wrong.join("\n  "));
}
