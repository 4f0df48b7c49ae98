//! `POST /cancel/{id}`: stops a render that runs and frees its place; one that has ended stays as it is.

use crate::clock::now_ms;
use crate::fault::Answer;
use crate::render::{Phase, RenderId};
use crate::script::Call;
use crate::world::World;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

pub(super) async fn cancel(world: Data<World>, request: HttpRequest, id: Path<String>) -> HttpResponse {
    let visit = match world.enter(Call::Cancel, &request, None).await {
        Ok(visit) => visit,
        Err(refused) => return refused,
    };
    let now = now_ms();
    let Some(id) = RenderId::parse(&id).filter(|id| id.phase(now) != Phase::Forgotten) else {
        return visit.answer(None, Answer::error(StatusCode::NOT_FOUND, "no such render")).await;
    };
    {
        let mut renders = world.renders();
        renders.remember(id, visit.token, None, now);
        renders.cancel(&id, now);
    }
    visit.answer(Some(id), Answer::ok(json!({ "id": id.to_string() }))).await
}
