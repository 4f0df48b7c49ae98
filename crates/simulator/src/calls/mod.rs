//! What the simulator answers: the upstream's calls, the media they point to, and `/_simulator` for whoever scripts it.

mod cancel;
mod generate;
mod me;
mod media;
mod status;
mod steer;

use actix_web::HttpResponse;
use actix_web::web::{self, ServiceConfig};

pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .route("/generate", web::post().to(generate::generate))
        .route("/status/{id}", web::get().to(status::status))
        .route("/cancel/{id}", web::post().to(cancel::cancel))
        .route("/me", web::get().to(me::me))
        .route("/audio/{id}.wav", web::get().to(media::audio))
        .route("/audio/{id}.wav", web::head().to(media::audio))
        .route("/image/{id}.svg", web::get().to(media::image))
        .route("/_simulator", web::get().to(steer::show))
        .route("/_simulator", web::put().to(steer::change))
        .route("/_simulator/log", web::get().to(steer::log))
        // No upstream has it: for the container's health, unscripted and unlogged.
        .route("/readyz", web::get().to(ready));
}

async fn ready() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "status": "ok" }))
}
