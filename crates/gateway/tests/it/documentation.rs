//! The documents say what the code does.

use domain::generation::ErrorCode;
use gateway::Code;
use std::path::Path;

#[test]
fn every_error_code_has_its_entry() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
    let text = std::fs::read_to_string(path).unwrap();
    let names = Code::ALL.map(Code::name).into_iter().chain(ErrorCode::ALL.map(ErrorCode::name));
    let missing: Vec<_> = names.filter(|name| !text.contains(&format!("\n### `{name}`\n"))).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn every_entry_has_a_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
    let text = std::fs::read_to_string(path).unwrap();
    let known = |name: &str| Code::ALL.iter().any(|code| code.name() == name) || ErrorCode::parse(name).is_some();
    let entries = text.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'));
    assert_eq!(entries.filter(|name| !known(name)).collect::<Vec<_>>(), [""; 0]);
}
