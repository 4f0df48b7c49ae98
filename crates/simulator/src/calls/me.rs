//! `GET /me`: whether a token is good. Simulated tokens never run out by use, only by script.

use crate::fault::Answer;
use crate::script::Call;
use crate::world::World;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

const CREDITS_LEFT: u64 = 1_000_000;

pub(super) async fn me(world: Data<World>, request: HttpRequest) -> HttpResponse {
    match world.enter(Call::Me, &request, None).await {
        Ok(visit) => {
            let said = json!({ "id": format!("user-{:016x}", visit.token), "credits_left": CREDITS_LEFT });
            visit.answer(None, Answer::ok(said)).await
        }
        Err(refused) => refused,
    }
}
