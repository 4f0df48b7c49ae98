//! `GET /status/{id}`: how far a render is, of this process or of one before it.

use crate::clock::now_ms;
use crate::fault::Answer;
use crate::render::RenderId;
use crate::script::Call;
use crate::world::World;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};

pub(super) async fn status(world: Data<World>, request: HttpRequest, id: Path<String>) -> HttpResponse {
    let visit = match world.enter(Call::Status, &request, None).await {
        Ok(visit) => visit,
        Err(refused) => return refused,
    };
    let known = RenderId::parse(&id).and_then(|id| Some((id, world.describe(&id)?)));
    let Some((id, said)) = known else {
        return visit.answer(None, Answer::error(StatusCode::NOT_FOUND, "no such render")).await;
    };
    // A render that an earlier process accepted counts for its token again from its first poll on.
    if id.ends_ms() > now_ms() {
        world.renders().remember(id, visit.token, None, now_ms());
    }
    visit.answer(Some(id), Answer::ok(said)).await
}
