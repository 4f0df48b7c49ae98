//! A generation's events as they happen; comes back by itself when the connection breaks, and misses no milestone.

use crate::Client;
use crate::error::ClientError;
use crate::sse::{Parser, RawEvent};
use crate::transport::Transport;
use domain::ids::GenerationId;
use reqwest::Response;
use reqwest::header::{ACCEPT, HeaderName};
use serde_json::Value;
use std::collections::VecDeque;
use std::time::Duration;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// A stream is renewed at least this often.
const STREAM_LONGEST: Duration = Duration::from_secs(24 * 3_600);
/// The API sends a comment every 15 s; three of them missing is a dead connection.
const SILENCE_LONGEST: Duration = Duration::from_secs(50);

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    Status,
    Progress,
    Output,
    Error,
    /// The last one.
    Done,
    /// One that this version does not know.
    Other(String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The generation's version.
    pub id: Option<String>,
    pub kind: EventKind,
    pub data: Value,
}

/// An open stream. Dropping it ends it.
#[derive(Debug)]
pub struct Events {
    transport: Transport,
    path: String,
    last: Option<String>,
    connection: Option<(Response, Parser)>,
    ready: VecDeque<Event>,
    /// Failures in a row.
    failed: u32,
    ended: bool,
}

impl Client {
    /// Follows a generation from `last` on (an earlier event's id), or from its beginning. Connects with the first [`Events::next`].
    pub fn events(&self, id: GenerationId, last: Option<String>) -> Events {
        Events {
            transport: self.transport.clone(),
            path: format!("v1/generations/{id}/events"),
            last,
            connection: None,
            ready: VecDeque::new(),
            failed: 0,
            ended: false,
        }
    }
}

impl Events {
    /// The next event; `None` after [`EventKind::Done`].
    ///
    /// # Errors
    /// When the API refuses, or cannot be reached as often in a row as the client's retries allow. The stream may then be asked again.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.failed = 0;
                if event.kind == EventKind::Done {
                    self.ended = true;
                    self.ready.clear();
                }
                return Ok(Some(event));
            }
            if self.ended {
                return Ok(None);
            }
            if let Err(error) = self.read().await {
                self.connection = None;
                let Some(pause) = self.transport.pause(&error, self.failed) else { return Err(error) };
                self.failed += 1;
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// Connects where needed and takes in one piece of the stream.
    async fn read(&mut self) -> Result<(), ClientError> {
        let (response, parser) = match &mut self.connection {
            Some(connection) => connection,
            None => {
                let mut call = self.transport.get(&self.path).longest(STREAM_LONGEST);
                call = call.header(ACCEPT, "text/event-stream")?;
                if let Some(last) = &self.last {
                    call = call.header(LAST_EVENT_ID, last)?;
                }
                let response = self.transport.open(&call).await?;
                self.connection.insert((response, Parser::default()))
            }
        };
        let broken = |reason: &str| ClientError::Unreachable { host: "the event stream".into(), reason: reason.into() };
        let chunk = match tokio::time::timeout(SILENCE_LONGEST, response.chunk()).await {
            Err(_) => return Err(broken("it fell silent")),
            Ok(Err(error)) => return Err(self.transport.failed(&error, STREAM_LONGEST)),
            Ok(Ok(None)) => return Err(broken("it ended early")),
            Ok(Ok(Some(chunk))) => chunk,
        };
        let events = parser.feed(&chunk).map_err(|_| ClientError::TooLarge { most: crate::sse::LARGEST as u64 })?;
        for RawEvent { id, name, data } in events {
            let data = serde_json::from_str(&data).map_err(|error| ClientError::BadAnswer(error.to_string()))?;
            if id.is_some() {
                self.last.clone_from(&id);
            }
            let kind = match name.as_str() {
                "status" => EventKind::Status,
                "progress" => EventKind::Progress,
                "output" => EventKind::Output,
                "error" => EventKind::Error,
                "done" => EventKind::Done,
                _ => EventKind::Other(name),
            };
            self.ready.push_back(Event { id, kind, data });
        }
        Ok(())
    }
}
