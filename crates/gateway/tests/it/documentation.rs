//! The documents say what the code does.

use crate::app::App;
use crate::contract::operations;
use domain::generation::ErrorCode;
use gateway::Code;
use std::collections::BTreeSet;
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

/// What stands between `before` and the next quotation mark, at each place.
fn quoted<'t>(text: &'t str, before: &'t str) -> impl Iterator<Item = &'t str> {
    text.split(before).skip(1).filter_map(|rest| rest.split('"').next())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_shows_every_call_without_a_script() {
    let app = App::start().await;
    let page = app.stranger().get("/docs").await;
    page.is(200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'self'") && !policy.contains("unsafe"), "{policy}");
    assert!(!page.text.contains("<script") && !page.text.contains("style=\""));
    let anchors: BTreeSet<&str> = quoted(&page.text, "id=\"").collect();
    for (.., operation) in operations() {
        assert!(anchors.contains(operation["operationId"].as_str().unwrap()), "{}", operation["operationId"]);
    }
    let links: BTreeSet<&str> = quoted(&page.text, "href=\"").collect();
    let dangling = links.iter().filter_map(|link| link.strip_prefix('#')).filter(|to| !to.is_empty());
    assert_eq!(dangling.filter(|to| !anchors.contains(to)).collect::<Vec<_>>(), [""; 0]);
    for path in links.iter().filter(|link| link.starts_with('/')) {
        app.stranger().get(path).await.is(200);
    }
    let style = app.stranger().get("/docs/style.css").await;
    assert_eq!(style.header("content-type"), Some("text/css; charset=utf-8"));
    let served = app.stranger().get("/openapi.json").await;
    assert_eq!(served.text, gateway::document());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_problem_s_type_leads_to_its_description() {
    let app = App::start().await;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
    let text = std::fs::read_to_string(path).unwrap();
    for code in Code::ALL {
        let page = app.stranger().get(&code.type_path()).await;
        page.is(200);
        let entry = text.split_once(&format!("### `{}`\n\n", code.name())).unwrap().1;
        let begins: String = entry.chars().take_while(|letter| !"`.;'<(".contains(*letter)).collect();
        assert!(page.text.contains(&begins), "{}", code.name());
    }
    app.stranger().get("/problems/nothing").await.is_problem(404, "not_found");
}
