//! The `suno` dialect: `POST /generate`, `GET /status/{id}`, `POST /cancel/{id}`, `GET /me`. The simulator speaks it too.

use crate::body;
use crate::http::{Answer, Call, Http};
use crate::{Deadlines, Settings};
use async_trait::async_trait;
use domain::ports::Upstream;
use domain::ports::upstream::{Progress, TokenCheck, UpstreamAnswer, UpstreamError, UpstreamJob};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};

const TRACKS: &[&str] = &["tracks", "clips"];
const ID: &[&str] = &["id", "task_id", "taskId"];

pub(crate) struct Suno {
    http: Http,
    submit: Deadlines,
    poll: Deadlines,
    other: Deadlines,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Running,
    Completed,
    Failed,
    Nothing,
}

fn said(value: &Value) -> Said {
    match body::text(value, &["status", "state"]).map(|status| status.to_ascii_lowercase()).as_deref() {
        Some("completed" | "complete" | "succeeded" | "success") => Said::Completed,
        Some("failed" | "failure" | "error" | "canceled" | "cancelled") => Said::Failed,
        Some(_) => Said::Running,
        None => Said::Nothing,
    }
}

fn progress(value: &Value, upstream_id: &str) -> Progress {
    let output = || body::output(value, TRACKS, upstream_id);
    match said(value) {
        // An upstream that names no status but hands over the music is done.
        Said::Nothing => output().map_or_else(|| rendering(value), Progress::Completed),
        Said::Running => rendering(value),
        Said::Completed => output().map_or_else(
            || Progress::Failed { message: "the upstream completed it without audio".into(), moderated: false },
            Progress::Completed,
        ),
        Said::Failed => {
            let moderated = value.get("error").is_some_and(body::is_moderation);
            let message = if moderated { "the upstream's moderation stopped the render" } else { "the render failed" };
            Progress::Failed { message: message.into(), moderated }
        }
    }
}

fn rendering(value: &Value) -> Progress {
    Progress::Rendering { fraction: body::fraction(value, &["progress"]), remaining: body::remaining(value) }
}

impl Suno {
    pub(crate) fn new(http: Http, settings: &Settings) -> Self {
        Self { http, submit: settings.submit, poll: settings.poll, other: settings.other }
    }

    fn call<'a>(method: Method, segments: &'a [&'a str], secret: &'a SecretString, deadlines: Deadlines) -> Call<'a> {
        Call { method, segments, query: None, secret: Some(secret), idempotency_key: None, body: None, deadlines }
    }
}

#[async_trait]
impl Upstream for Suno {
    async fn submit(&self, secret: &SecretString, job: &UpstreamJob) -> Result<UpstreamAnswer, UpstreamError> {
        let request = &job.request;
        let mut asked = json!({
            "prompt": request.prompt,
            "title": request.title,
            "style": request.style,
            "lyrics": request.lyrics,
            "instrumental": request.instrumental,
            "duration": request.duration_seconds,
            "quality": request.quality,
            "tags": request.style,
        });
        if let (Some(url), Some(fields)) = (&job.callback_url, asked.as_object_mut()) {
            fields.insert("callback_url".into(), Value::String(url.clone()));
        }
        let call = Call {
            idempotency_key: Some(job.id.to_string()),
            body: Some(asked),
            ..Self::call(Method::POST, &["generate"], secret, self.submit)
        };
        let Answer::Success(answer) = self.http.call(call).await? else {
            // Its front door is gone: a wrong base address, or an upstream half up. Not this request's fault.
            return Err(UpstreamError::Unavailable("it has no way to submit at this address".into()));
        };
        let Some(upstream_id) = body::job_id(&answer, ID) else {
            return Err(UpstreamError::Unclear("it names no job".into()));
        };
        if said(&answer) == Said::Completed
            && let Some(output) = body::output(&answer, TRACKS, &upstream_id)
        {
            return Ok(UpstreamAnswer::Completed { upstream_id, output });
        }
        Ok(UpstreamAnswer::Accepted { upstream_id, remaining: body::remaining(&answer) })
    }

    async fn poll(&self, secret: &SecretString, upstream_id: &str) -> Result<Progress, UpstreamError> {
        let segments = ["status", upstream_id];
        match self.http.call(Self::call(Method::GET, &segments, secret, self.poll)).await? {
            Answer::Success(answer) if answer.is_object() => Ok(progress(&answer, upstream_id)),
            Answer::Success(_) => Err(UpstreamError::Unclear("it is no status".into())),
            Answer::Missing => Ok(Progress::Unknown),
        }
    }

    async fn cancel(&self, secret: &SecretString, upstream_id: &str) -> Result<bool, UpstreamError> {
        let segments = ["cancel", upstream_id];
        match self.http.call(Self::call(Method::POST, &segments, secret, self.other)).await? {
            Answer::Success(_) => Ok(true),
            Answer::Missing => Ok(false),
        }
    }

    async fn check(&self, secret: &SecretString) -> Result<TokenCheck, UpstreamError> {
        match self.http.call(Self::call(Method::GET, &["me"], secret, self.other)).await? {
            Answer::Success(answer) => {
                #[expect(clippy::cast_possible_truncation, reason = "a saturating cast of a count of credits")]
                let credits_left = body::number(&answer, &["credits_left"]).map(|n| n as i64);
                Ok(TokenCheck { credits_left })
            }
            Answer::Missing => Err(UpstreamError::Unavailable("it has no account at this address".into())),
        }
    }
}
