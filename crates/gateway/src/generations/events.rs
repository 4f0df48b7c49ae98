//! `GET /v1/generations/{id}/events`: what happens to a generation, as server-sent events.
//!
//! A reader gets each milestone once, in order, whenever it comes: `status` for what happened, `output` or `error` and `done` at the
//! end, `progress` in between as the upstream tells it. Every event's `id` is the generation's version. The end is written as one: a
//! reader that comes back with the last version gets the result again rather than never. A stream holds a channel, no connection.

use crate::admit::Customer;
use crate::core::Core;
use crate::generations;
use crate::hub::Watching;
use crate::openapi::params;
use crate::openapi::schema::{self, named};
use crate::problem::ApiError;
use crate::view::{self, At, ErrorView};
use actix_web::http::header::HeaderMap;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::event::{Milestone, MilestoneKind};
use domain::generation::Generation;
use domain::ids::GenerationId;
use domain::ports::generations::Scope;
use domain::state::{Stage, Status};
use futures::stream;
use serde::Serialize;
use std::convert::Infallible;
use std::fmt::Write;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{Object, ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A comment keeps proxies from closing a silent stream.
const COMMENT_EVERY: Duration = Duration::from_secs(15);
/// Milliseconds a browser waits before it comes back.
const COME_BACK_AFTER: u32 = 2_000;

/// Follow a generation
///
/// Server-sent events: `status` for each milestone, `progress` in between, `output` or `error` and `done` at the end, which ends the stream. The
/// `id` of an event is the generation's version. A comment comes every 15 s.
#[utoipa::path(
    get,
    path = "/v1/generations/{id}/events",
    operation_id = "followGeneration",
    tag = "Generations",
    params(params::Generation, params::LastEventId),
    responses(
        (status = 200, description = "The stream.", body = StreamEvent, content_type = "text/event-stream"),
        (status = 503, description = "overloaded"),
    ),
)]
pub(crate) async fn events(
    core: web::Data<Core>,
    customer: Customer,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let seen = last_event_id(request.headers())?;
    let id: GenerationId = id.parse().map_err(|_| ApiError::not_found())?;
    let place = core.stream()?;
    // Register, then read.
    let watching = core.hub.watch(id);
    let generation = generations::find(&core, Scope::Account(customer.account.id), &id.to_string()).await?;
    let mut reader = Reader {
        watching,
        stop: core.closing.clone(),
        // A version that was never told means no more than the newest: what comes is told all the same.
        seen: seen.min(generation.version),
        progress: None,
        comment_at: Instant::now() + COMMENT_EVERY,
        ended: false,
        _place: place,
    };
    let mut first = format!("retry: {COME_BACK_AFTER}\n\n");
    reader.write(&generation, &mut first);
    let rest = stream::unfold((reader, Some(first)), |(mut reader, first)| async move {
        let text = match first {
            Some(first) => first,
            None => reader.next().await?,
        };
        Some((Ok::<_, Infallible>(Bytes::from(text)), (reader, None)))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header(("Cache-Control", "no-cache, no-store"))
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(rest))
}

/// The version a returning reader saw last; 0 for a new one.
fn last_event_id(headers: &HeaderMap) -> Result<u32, ApiError> {
    let Some(value) = headers.get("last-event-id") else { return Ok(0) };
    match value.to_str().map(str::trim) {
        Ok("") => Ok(0),
        Ok(text) => text.parse().map_err(|_| ApiError::bad_header("Last-Event-ID", "must be the id of an event")),
        Err(_) => Err(ApiError::bad_header("Last-Event-ID", "must be the id of an event")),
    }
}

named! {
    /// One event as [`write_event`] writes it.
    StreamEvent = stream_event();
}

fn stream_event() -> Object {
    let text = |description: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(description));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("One event of a stream."))
        .property("event", schema::words("What kind of news.", ["status", "progress", "output", "error", "done"]))
        .property("id", text("The generation's version.").pattern(Some("^[0-9]+$")))
        .property(
            "data",
            text("JSON in one line; for `done` the whole generation.").content_media_type("application/json"),
        )
        .required("event")
        .required("id")
        .required("data")
        .build()
}

struct Reader {
    watching: Watching,
    stop: CancellationToken,
    /// The version up to which everything was written.
    seen: u32,
    progress: Option<f32>,
    comment_at: Instant,
    ended: bool,
    _place: OwnedSemaphorePermit,
}

#[derive(Serialize)]
struct StatusEvent {
    id: GenerationId,
    status: Status,
    stage: Option<Stage>,
    /// `accepted`, `started`, `rendering` or `ended`; null for what happens in between.
    milestone: Option<MilestoneKind>,
    at: Option<At>,
}

#[derive(Serialize)]
struct ProgressEvent {
    id: GenerationId,
    progress: f32,
}

impl Reader {
    /// The next piece of text; `None` ends the stream.
    async fn next(&mut self) -> Option<String> {
        loop {
            if self.ended {
                return None;
            }
            let mut text = String::new();
            let news = self.watching.news.borrow_and_update().clone();
            if let Some(generation) = news.generation.filter(|generation| generation.version > self.seen) {
                self.write(&generation, &mut text);
            }
            if !self.ended && news.progress != self.progress {
                self.progress = news.progress;
                if let Some(progress) = news.progress {
                    let event = ProgressEvent { id: self.watching.id(), progress };
                    write_event(&mut text, "progress", self.seen, &event);
                }
            }
            if !text.is_empty() {
                self.comment_at = Instant::now() + COMMENT_EVERY;
                return Some(text);
            }
            tokio::select! {
                changed = self.watching.news.changed() => {
                    if changed.is_err() {
                        return None;
                    }
                }
                () = sleep_until(self.comment_at) => {
                    self.comment_at += COMMENT_EVERY;
                    return Some(": still here\n\n".to_owned());
                }
                () = self.stop.cancelled() => return None,
            }
        }
    }

    /// Writes what happened since the version seen last.
    fn write(&mut self, g: &Generation, text: &mut String) {
        let is_final = g.status.is_final();
        for Milestone { kind, version, at } in g.milestones_after(self.seen) {
            let (status, stage) = match kind {
                MilestoneKind::Accepted => (Status::Queued, Some(Stage::Backlog)),
                MilestoneKind::Started => (Status::Processing, Some(Stage::Submitting)),
                MilestoneKind::Rendering => (Status::Processing, Some(Stage::Rendering)),
                MilestoneKind::Ended => (g.status, None),
            };
            let event = StatusEvent { id: g.id, status, stage, milestone: Some(kind), at: Some(At(at)) };
            write_event(text, "status", version, &event);
            self.seen = self.seen.max(version);
        }
        if g.version > self.seen && !is_final {
            // A retry, say: no milestone, but the state changed.
            let event = StatusEvent { id: g.id, status: g.status, stage: g.stage, milestone: None, at: None };
            write_event(text, "status", g.version, &event);
        }
        self.seen = self.seen.max(g.version);
        if is_final {
            if let Some(output) = &g.output {
                write_event(text, "output", g.version, output);
            }
            if let Some(error) = &g.error {
                write_event(text, "error", g.version, &ErrorView::from(error));
            }
            write_event(text, "done", g.version, &view::generation(g));
            self.ended = true;
        }
    }
}

/// One event. JSON has no line breaks, so one `data:` line holds it.
fn write_event(text: &mut String, name: &str, id: u32, data: &impl Serialize) {
    let Ok(data) = serde_json::to_string(data) else { return };
    let _ = write!(text, "event: {name}\nid: {id}\ndata: {data}\n\n");
}
