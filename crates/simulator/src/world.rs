//! What all calls share: the script, the renders, the log, the random numbers. No lock is held across an await.

use crate::Settings;
use crate::callbacks::{self, Callbacks};
use crate::clock::now_ms;
use crate::fault::{Answer, refusal, spoil};
use crate::log::{Entry, Log};
use crate::music::Studio;
use crate::render::{Phase, RenderId, hash64};
use crate::renders::{Renders, TokenTag};
use crate::script::{Call, FaultKind, Script};
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) struct World {
    pub public_url: String,
    pub studio: Studio,
    pub callbacks: Callbacks,
    pub shutdown: CancellationToken,
    known_tokens: Option<HashSet<TokenTag>>,
    script: Mutex<Arc<Script>>,
    renders: Mutex<Renders>,
    log: Arc<Mutex<Log>>,
    rng: Mutex<StdRng>,
}

/// A call that is being answered: who calls, and what goes wrong.
pub(crate) struct Visit<'a> {
    world: &'a World,
    pub script: Arc<Script>,
    pub token: TokenTag,
    pub secret: String,
    entry: Entry,
    fault: Option<FaultKind>,
}

/// A panic while a lock was held leaves the data as it was; the simulator goes on.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn tag(secret: &str) -> TokenTag {
    hash64(&["token", secret])
}

impl World {
    pub(crate) fn new(settings: Settings, shutdown: CancellationToken, tasks: &TaskTracker) -> Self {
        let log = Arc::new(Mutex::new(Log::default()));
        Self {
            public_url: settings.public_url.trim_end_matches('/').to_owned(),
            studio: Studio::default(),
            callbacks: callbacks::start(Arc::clone(&log), shutdown.clone(), tasks),
            shutdown,
            known_tokens: settings.known_tokens.map(|known| known.iter().map(|secret| tag(secret)).collect()),
            script: Mutex::new(Arc::new(settings.script)),
            renders: Mutex::default(),
            log,
            rng: Mutex::new(StdRng::seed_from_u64(settings.seed.unwrap_or_else(rand::random))),
        }
    }

    pub(crate) fn script(&self) -> Arc<Script> {
        Arc::clone(&lock(&self.script))
    }

    pub(crate) fn set_script(&self, script: Script) {
        *lock(&self.script) = Arc::new(script);
    }

    pub(crate) fn renders(&self) -> MutexGuard<'_, Renders> {
        lock(&self.renders)
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }

    pub(crate) fn rng(&self) -> MutexGuard<'_, StdRng> {
        lock(&self.rng)
    }

    /// Lets a call in: waits the latency, checks the token, draws what goes wrong. `Err` is the finished refusal.
    pub(crate) async fn enter(
        &self,
        call: Call,
        request: &HttpRequest,
        prompt: Option<&str>,
    ) -> Result<Visit<'_>, HttpResponse> {
        let at = now_ms();
        let script = self.script();
        if script.latency_ms > 0 {
            tokio::time::sleep(Duration::from_millis(script.latency_ms)).await;
        }
        let key = request.headers().get("idempotency-key").and_then(|value| value.to_str().ok());
        let entry = Entry {
            at,
            call,
            token: None,
            key: key.map(Into::into),
            upstream_id: None,
            status: None,
            fault: None,
            in_flight: 0,
        };
        let Some(secret) = bearer(request) else {
            return Err(self.refuse(entry, Answer::error(StatusCode::UNAUTHORIZED, "a bearer token is needed")));
        };
        let token = tag(secret);
        let entry = Entry { token: Some(token), ..entry };
        if self.known_tokens.as_ref().is_some_and(|known| !known.contains(&token)) {
            return Err(self.refuse(entry, Answer::error(StatusCode::UNAUTHORIZED, "the token is not valid")));
        }
        let fault = script.fault(&mut self.rng(), call, secret, prompt);
        let entry = Entry { fault, ..entry };
        if let Some(answer) = fault.and_then(refusal) {
            return Err(self.refuse(entry, answer));
        }
        Ok(Visit { world: self, script, token, secret: secret.to_owned(), entry, fault })
    }

    /// Answers a call that never got as far as a visit.
    fn refuse(&self, mut entry: Entry, answer: Answer) -> HttpResponse {
        entry.status = Some(answer.status.as_u16());
        if let Some(token) = entry.token {
            entry.in_flight = self.renders().in_flight(token, now_ms()).0;
        }
        self.log().append(entry);
        answer.send()
    }

    /// What `GET /status/{id}` says; `None` when the upstream does not know it.
    pub(crate) fn describe(&self, id: &RenderId) -> Option<Value> {
        let phase = id.phase(now_ms());
        let (canceled, title) = {
            let renders = self.renders();
            (renders.is_canceled(id), renders.title(id).map(str::to_owned))
        };
        let text = id.to_string();
        Some(match phase {
            Phase::Forgotten => return None,
            _ if canceled => json!({ "id": text, "status": "failed", "error": "canceled" }),
            Phase::Pending => json!({
                "id": text, "status": "pending", "progress": 0.0, "estimated_time": f64::from(id.length_ms) / 1_000.0,
            }),
            Phase::Processing { fraction, remaining_ms } => json!({
                "id": text, "status": "processing",
                "progress": (fraction * 1_000.0).round() / 1_000.0,
                "estimated_time": remaining_ms as f64 / 1_000.0,
            }),
            Phase::Failed => json!({ "id": text, "status": "failed", "error": "the render failed" }),
            Phase::Completed => {
                let piece = id.seed.compose();
                let audio_url = format!("{}/audio/{text}.wav", self.public_url);
                let track = json!({
                    "id": format!("{text}-1"),
                    "audio_url": audio_url,
                    "image_url": format!("{}/image/{text}.svg", self.public_url),
                    "title": title.unwrap_or_else(|| piece.title()),
                    "duration": (f64::from(piece.seconds()) * 1_000.0).round() / 1_000.0,
                });
                json!({ "id": text, "status": "completed", "progress": 1.0, "tracks": [track], "audio_url": audio_url })
            }
        })
    }
}

impl Visit<'_> {
    /// The idempotency key, for its render's unique number.
    pub(crate) fn key(&self) -> Option<&str> {
        self.entry.key.as_deref()
    }

    /// What spoils the answer, for calls that behave otherwise when it is lost.
    pub(crate) fn fault(&self) -> Option<FaultKind> {
        self.fault
    }

    /// Records the call and sends its answer, spoiled where a fault says so.
    pub(crate) async fn answer(mut self, id: Option<RenderId>, answer: Answer) -> HttpResponse {
        self.entry.upstream_id = id;
        let lost = matches!(self.fault, Some(FaultKind::Reset | FaultKind::Hang));
        self.entry.status = (!lost).then(|| answer.status.as_u16());
        self.entry.in_flight = self.world.renders().in_flight(self.token, now_ms()).0;
        self.world.log().append(self.entry);
        match self.fault {
            Some(kind) => spoil(kind, answer, &self.world.shutdown).await,
            None => answer.send(),
        }
    }
}

fn bearer(request: &HttpRequest) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    let secret = secret.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !secret.is_empty()).then_some(secret)
}
