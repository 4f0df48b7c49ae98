//! `POST /generate`: accepts a render, once for each token and idempotency key. A key whose render failed or was canceled is forgotten:
//! the next order under it is a try of its own.

use crate::callbacks::Callback;
use crate::clock::now_ms;
use crate::fault::Answer;
use crate::music::Seed;
use crate::render::{RenderId, hash64};
use crate::renders::Keyed;
use crate::script::{Call, FaultKind};
use crate::world::{Visit, World};
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use rand::RngExt;
use serde::Deserialize;
use serde_json::{Value, json};

const PROMPT_LONGEST: usize = 3_000;
const TITLE_LONGEST: usize = 200;
const URL_LONGEST: usize = 2_048;

/// The fields that matter here. Like the real one, it ignores what it does not know.
#[derive(Deserialize)]
struct Order {
    prompt: String,
    title: Option<String>,
    style: Option<String>,
    duration: Option<f64>,
    callback_url: Option<String>,
}

impl Order {
    fn parse(body: &[u8]) -> Result<Self, Answer> {
        let value: Value =
            serde_json::from_slice(body).map_err(|_| Answer::error(StatusCode::BAD_REQUEST, "the body is not JSON"))?;
        let refused = |message: &str| Answer::error(StatusCode::UNPROCESSABLE_ENTITY, message);
        let order: Self = serde_json::from_value(value).map_err(|error| refused(&error.to_string()))?;
        let length = order.prompt.trim().chars().count();
        if length == 0 || length > PROMPT_LONGEST {
            return Err(refused("prompt must have 1 to 3000 characters"));
        }
        if order.title.as_ref().is_some_and(|title| title.chars().count() > TITLE_LONGEST) {
            return Err(refused("title must have at most 200 characters"));
        }
        if order.duration.is_some_and(|seconds| !(seconds > 0.0 && seconds <= 600.0)) {
            return Err(refused("duration must be more than 0 and at most 600 seconds"));
        }
        if order.callback_url.as_ref().is_some_and(|url| url.len() > URL_LONGEST) {
            return Err(refused("callback_url must have at most 2048 characters"));
        }
        Ok(order)
    }
}

pub(super) async fn generate(world: Data<World>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let order = Order::parse(&body);
    let prompt = order.as_ref().ok().map(|order| order.prompt.as_str());
    let visit = match world.enter(Call::Generate, &request, prompt).await {
        Ok(visit) => visit,
        Err(refused) => return refused,
    };
    let order = match order {
        Ok(order) => order,
        Err(refused) => return visit.answer(None, refused).await,
    };
    // A connection that is reset may break before the upstream took the order or after.
    if visit.fault() == Some(FaultKind::Reset) && world.rng().random() {
        return visit.answer(None, Answer::ok(Value::Null)).await;
    }
    match accept(&world, &visit, &order) {
        Ok(id) => {
            let seconds = id.ends_ms().saturating_sub(now_ms()) as f64 / 1_000.0;
            let said = json!({ "id": id.to_string(), "status": "pending", "estimated_time": seconds });
            visit.answer(Some(id), Answer::ok(said)).await
        }
        Err(refused) => visit.answer(None, refused).await,
    }
}

/// One step under one lock, so that two calls with the same key cannot both begin a render.
fn accept(world: &World, visit: &Visit<'_>, order: &Order) -> Result<RenderId, Answer> {
    let now = now_ms();
    let mut renders = world.renders();
    let unique = match visit.key() {
        Some(key) => match renders.of_key(|turn| hash64(&["render", &visit.secret, key, &turn.to_string()]), now) {
            Keyed::Stands(known) => return Ok(known),
            Keyed::Next(unique) => unique,
        },
        // Not of the scripted randomness: a seeded process must not repeat the ids of the one before it.
        None => rand::random(),
    };
    let (running, first_end) = renders.in_flight(visit.token, now);
    if visit.script.token_concurrency.is_some_and(|most| running >= most as usize) {
        let seconds = first_end.map_or(1, |end| end.saturating_sub(now).div_ceil(1_000).max(1));
        return Err(Answer::rate_limited(seconds, "the token has too many renders running"));
    }
    let (length_ms, fails, unheard) = {
        let rng = &mut world.rng();
        let script = &visit.script;
        (
            script.render_ms(rng),
            script.befalls(rng, FaultKind::RenderFailed, &visit.secret, &order.prompt),
            script.befalls(rng, FaultKind::LostCallback, &visit.secret, &order.prompt),
        )
    };
    let seed = Seed::of(&order.prompt, order.style.as_deref());
    let id = RenderId { started_ms: now, length_ms, fails, seed, unique };
    renders.remember(id, visit.token, order.title.as_deref(), now);
    drop(renders);
    if let Some(url) = order.callback_url.clone().filter(|_| !unheard) {
        let status = if fails { "failed" } else { "completed" };
        let body = json!({ "id": id.to_string(), "status": status });
        world.callbacks.promise(Callback { id, token: visit.token, url, body });
    }
    Ok(id)
}
