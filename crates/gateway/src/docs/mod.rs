//! The API's pages for people: `/docs`, made from the OpenAPI document, and `/problems/…`, made from `docs/errors.md`.
//!
//! Plain HTML and one style sheet, all of it in the executable: no script, nothing from elsewhere, so the strictest policy holds. The pages
//! know the document's own form of OpenAPI, not all of it.

mod html;
mod operation;
mod schema;

use crate::openapi;
use crate::problem::{ApiError, Code};
use actix_web::{HttpResponse, web};
use html::{escape, prose, shell};
use serde_json::Value;
use std::fmt::Write;
use std::sync::LazyLock;

const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const ERRORS: &str = include_str!("../../../../docs/errors.md");

static PAGE: LazyLock<String> = LazyLock::new(|| {
    let document: Value = serde_json::from_str(openapi::document()).unwrap_or_default();
    render(&document)
});

fn answer(page: String) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header(("Content-Security-Policy", POLICY))
        .insert_header(("Cache-Control", "no-cache"))
        .body(page)
}

pub(crate) async fn page() -> HttpResponse {
    answer(PAGE.clone())
}

pub(crate) async fn style() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/css; charset=utf-8")
        .insert_header(("Cache-Control", "no-cache"))
        .body(include_str!("style.css"))
}

/// What a problem's `type` leads to.
pub(crate) async fn problem(name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let named = |code: &Code| code.type_path().strip_prefix("/problems/") == Some(name.as_str());
    let code = Code::ALL.into_iter().find(named).ok_or_else(ApiError::not_found)?;
    let heading = format!("### `{}`", code.name());
    let after = ERRORS.split_once(&heading).map_or("", |(_, rest)| rest);
    let text = after.split("\n#").next().unwrap_or_default();
    let body = format!(
        "<main><p><a href=\"/docs\">Son1k's API</a></p><h1><code>{}</code></h1><p class=\"lead\">{} {}.</p>{}</main>",
        code.name(),
        code.status().as_u16(),
        escape(code.title()),
        prose(text),
    );
    Ok(answer(shell(code.title(), &body)))
}

/// The operations of each tag, in the document's order.
fn by_tag(document: &Value) -> Vec<(&Value, Vec<operation::Operation<'_>>)> {
    let tags = document["tags"].as_array().into_iter().flatten();
    let of = |tag: &Value| operation::all(document).filter(|one| *one.tag() == tag["name"]).collect();
    tags.map(|tag| (tag, of(tag))).collect()
}

fn render(document: &Value) -> String {
    let (mut menu, mut main) = (String::new(), String::new());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let info = &document["info"];
    let _ = write!(
        main,
        "<h1>{} <small>{}</small></h1>{}<p>The same for programs: <a href=\"/openapi.json\">openapi.json</a> (OpenAPI {}).</p>",
        escape(&text(&info["title"])),
        escape(&text(&info["version"])),
        prose(&text(&info["description"])),
        escape(&text(&document["openapi"])),
    );
    let bearer = &document["components"]["securitySchemes"]["bearer"];
    let _ = write!(
        main,
        "<h2 id=\"authentication\">Authentication</h2><pre>Authorization: Bearer son1k_live_…</pre>{}",
        prose(&text(&bearer["description"]))
    );
    menu.push_str("<a href=\"#authentication\">Authentication</a>");
    for (tag, operations) in by_tag(document) {
        let name = escape(&text(&tag["name"]));
        let _ = write!(menu, "<h2><a href=\"#{name}\">{name}</a></h2>");
        let _ = write!(main, "<h2 id=\"{name}\">{name}</h2>{}", prose(&text(&tag["description"])));
        for one in operations {
            one.entry(&mut menu);
            one.article(document, &mut main);
        }
    }
    menu.push_str("<h2><a href=\"#schemas\">Schemas</a></h2>");
    main.push_str("<h2 id=\"schemas\">Schemas</h2>");
    for (name, one) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let _ = write!(menu, "<a href=\"#schema-{name}\">{name}</a>");
        let _ = write!(main, "<article id=\"schema-{name}\"><h3>{name}</h3>{}</article>", schema::describe(one));
    }
    let title = text(&info["title"]);
    shell(&title, &format!("<nav><a class=\"home\" href=\"#\">{}</a>{menu}</nav><main>{main}</main>", escape(&title)))
}
