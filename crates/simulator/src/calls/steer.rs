//! `/_simulator`: scripts the behaviour and shows the log. For tests and operators of a local stack; nobody authenticates here.

#![expect(clippy::needless_pass_by_value, reason = "extractors hand over by value")]

use crate::fault::Answer;
use crate::world::World;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data, Query};
use futures::stream;
use serde::Deserialize;
use std::future::{Ready, ready};

/// Entries that are turned into text under one lock.
const CHUNK: usize = 1_000;

pub(super) fn show(world: Data<World>) -> Ready<HttpResponse> {
    ready(HttpResponse::Ok().json(world.script().as_ref()))
}

/// Takes over what the body names, leaves the rest, and answers with the whole.
pub(super) fn change(world: Data<World>, body: Bytes) -> Ready<HttpResponse> {
    ready(match world.script().changed_by(&body) {
        Ok(script) => {
            let answer = HttpResponse::Ok().json(&script);
            world.set_script(script);
            answer
        }
        Err(message) => Answer::error(StatusCode::UNPROCESSABLE_ENTITY, &message).send(),
    })
}

#[derive(Deserialize)]
pub(super) struct Window {
    /// The first offset to show; 0 when left out.
    #[serde(default)]
    since: u64,
    /// At most this many; all when left out.
    limit: Option<u64>,
}

/// `{"data": [entries, oldest first], "next": the offset to go on from}`, streamed so that a full log is never one text in memory.
pub(super) fn log(world: Data<World>, window: Query<Window>) -> Ready<HttpResponse> {
    let (start, end) = {
        let log = world.log();
        let start = window.since.max(log.first());
        (start, window.limit.map_or(log.next(), |limit| log.next().min(start.saturating_add(limit))))
    };
    let pages = stream::unfold(Some((start, true)), move |at| {
        let world = world.clone();
        async move {
            let (offset, first) = at?;
            let most = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX).min(CHUNK);
            let (entries, next) = world.log().read(offset, most);
            // The ring may have moved on past the end meanwhile.
            let entries: Vec<_> = if next > end.max(offset) { Vec::new() } else { entries };
            let mut text = String::from(if first { "{\"data\":[" } else { "" });
            for (index, entry) in entries.iter().enumerate() {
                if !(first && index == 0) {
                    text.push(',');
                }
                text.push_str(&serde_json::to_string(entry).unwrap_or_default());
            }
            let over = entries.is_empty() || next >= end;
            if over {
                text.push_str(&format!("],\"next\":{}}}", end.max(offset)));
            }
            let follows = (!over).then_some((next, false));
            Some((Ok::<_, std::io::Error>(Bytes::from(text)), follows))
        }
    });
    ready(HttpResponse::Ok().content_type("application/json").streaming(Box::pin(pages)))
}
