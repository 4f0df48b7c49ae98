//! What the pages load: one style sheet, htmx, and a few lines of our own. Embedded, so that no build and no internet is needed.

use crate::problem::ApiError;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::sync::LazyLock;

struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

const ASSETS: [Asset; 4] = [
    Asset { name: "console.css", kind: "text/css; charset=utf-8", text: include_str!("assets/console.css") },
    Asset { name: "console.js", kind: "text/javascript; charset=utf-8", text: include_str!("assets/console.js") },
    Asset { name: "htmx.min.js", kind: "text/javascript; charset=utf-8", text: include_str!("assets/htmx.min.js") },
    Asset { name: "icon.svg", kind: "image/svg+xml", text: include_str!("assets/icon.svg") },
];

/// Changes when an asset does, so that browsers may keep them for as long as they like.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut all = Sha256::new();
    for asset in &ASSETS {
        all.update(asset.text);
    }
    all.finalize().iter().take(6).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
});

pub(super) fn path(name: &str) -> String {
    format!("/console/assets/{name}?{}", *VERSION)
}

pub(super) async fn serve(request: HttpRequest, name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let asset = ASSETS.iter().find(|asset| asset.name == name.as_str()).ok_or_else(ApiError::not_found)?;
    let kept =
        if request.query_string() == VERSION.as_str() { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, HeaderValue::from_static(kept)));
    Ok(response.content_type(asset.kind).body(asset.text))
}
