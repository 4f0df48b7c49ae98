//! The audio and the picture of a finished render. Both follow from the id alone, so links outlive the process.

use crate::clock::now_ms;
use crate::cover;
use crate::render::RenderId;
use crate::world::World;
use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{Data, Path};
use std::future::{Ready, ready};

const FOREVER: (header::HeaderName, &str) = (header::CACHE_CONTROL, "public, max-age=31536000, immutable");

fn finished(id: &str) -> Option<RenderId> {
    RenderId::parse(id).filter(|id| !id.fails && id.ends_ms() <= now_ms())
}

pub(super) async fn audio(world: Data<World>, id: Path<String>) -> HttpResponse {
    let Some(id) = finished(&id) else { return HttpResponse::NotFound().finish() };
    match world.studio.record(id.seed).await {
        Some(wav) => HttpResponse::Ok().content_type("audio/wav").insert_header(FOREVER).body(wav),
        None => HttpResponse::ServiceUnavailable().finish(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "extractors hand over by value")]
pub(super) fn image(id: Path<String>) -> Ready<HttpResponse> {
    ready(match finished(&id) {
        Some(id) => HttpResponse::Ok().content_type("image/svg+xml").insert_header(FOREVER).body(cover::paint(id.seed)),
        None => HttpResponse::NotFound().finish(),
    })
}
