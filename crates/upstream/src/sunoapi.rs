//! The `sunoapi` dialect: create a task, ask for its record; two tracks a task; answers are wrapped in `{code, msg, data}`.
//!
//! It has no way to cancel: [`Upstream::cancel`] says so by `false`. It has no idempotency key either, so a submission in doubt may be
//! rendered twice there.

use crate::body;
use crate::http::{Answer, Call, Http};
use crate::{Deadlines, Settings};
use async_trait::async_trait;
use domain::ports::Upstream;
use domain::ports::upstream::{Progress, TokenCheck, UpstreamAnswer, UpstreamError, UpstreamJob};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};

const GENERATE: &[&str] = &["api", "v1", "generate"];
const RECORD: &[&str] = &["api", "v1", "generate", "record-info"];
const CREDIT: &[&str] = &["api", "v1", "generate", "credit"];
const MODEL: &str = "V4_5";

pub(crate) struct SunoApi {
    http: Http,
    submit: Deadlines,
    poll: Deadlines,
    other: Deadlines,
}

/// The dialect answers 200 to nearly everything and puts the status it means into the body.
fn unwrap(answer: &Value) -> Result<&Value, UpstreamError> {
    let code = body::number(answer, &["code"]).unwrap_or(0.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a saturating cast of a status")]
    let code = code as u16;
    match code {
        200 => answer.get("data").ok_or_else(|| UpstreamError::Unclear("it has no data".into())),
        401 | 403 => Err(UpstreamError::Unauthorized),
        402 | 429 if speaks_of_credit(answer) => Err(UpstreamError::OutOfCredit),
        402 => Err(UpstreamError::OutOfCredit),
        405 | 429 | 430 => Err(UpstreamError::RateLimited { retry_after: None }),
        400 | 409 | 413 | 422 if body::is_moderation(answer) => {
            Err(UpstreamError::Moderated(format!("it answered {code}")))
        }
        400 | 409 | 413 | 422 => Err(UpstreamError::Rejected(format!("it answered {code}"))),
        _ => Err(UpstreamError::Unavailable(format!("it answered {code}"))),
    }
}

fn speaks_of_credit(answer: &Value) -> bool {
    body::text(answer, &["msg"]).is_some_and(|text| text.to_ascii_lowercase().contains("credit"))
}

fn progress(record: &Value, upstream_id: &str) -> Progress {
    let response = record.get("response").unwrap_or(record);
    let failed = |message: &str, moderated| Progress::Failed { message: message.into(), moderated };
    match body::text(record, &["status"]).unwrap_or_default().to_ascii_uppercase().as_str() {
        "SUCCESS" => body::output(response, &["sunoData", "data"], upstream_id)
            .map_or_else(|| failed("the upstream completed it without audio", false), Progress::Completed),
        // It could not call back, which says nothing of the music.
        "CALLBACK_EXCEPTION" => body::output(response, &["sunoData", "data"], upstream_id)
            .map_or_else(|| failed("the render failed", false), Progress::Completed),
        "SENSITIVE_WORD_ERROR" => failed("the upstream's moderation stopped the render", true),
        "CREATE_TASK_FAILED" | "GENERATE_AUDIO_FAILED" | "FAILED" => {
            failed("the render failed", body::is_moderation(record))
        }
        "TEXT_SUCCESS" => Progress::Rendering { fraction: Some(0.3), remaining: None },
        "FIRST_SUCCESS" => Progress::Rendering { fraction: Some(0.7), remaining: None },
        _ => Progress::Rendering { fraction: None, remaining: None },
    }
}

impl SunoApi {
    pub(crate) fn new(http: Http, settings: &Settings) -> Self {
        Self { http, submit: settings.submit, poll: settings.poll, other: settings.other }
    }
}

#[async_trait]
impl Upstream for SunoApi {
    async fn submit(&self, secret: &SecretString, job: &UpstreamJob) -> Result<UpstreamAnswer, UpstreamError> {
        let request = &job.request;
        let custom = request.title.is_some() || request.style.is_some() || request.lyrics.is_some();
        // In custom mode the prompt is sung: lyrics go there, and what was asked for becomes part of the style.
        let prompt = request.lyrics.as_deref().unwrap_or(&request.prompt);
        let style = match (&request.style, &request.lyrics) {
            (Some(style), Some(_)) => format!("{style}, {}", request.prompt),
            (Some(style), None) => style.clone(),
            (None, _) => request.prompt.clone(),
        };
        let mut asked = json!({
            "prompt": prompt,
            "customMode": custom,
            "instrumental": request.instrumental,
            "model": MODEL,
        });
        if let Some(fields) = asked.as_object_mut() {
            if custom {
                fields.insert("style".into(), Value::String(style));
                let title = request.title.clone().unwrap_or_else(|| request.prompt.chars().take(60).collect());
                fields.insert("title".into(), Value::String(title));
            }
            if let Some(url) = &job.callback_url {
                fields.insert("callBackUrl".into(), Value::String(url.clone()));
            }
        }
        let call = Call {
            method: Method::POST,
            segments: GENERATE,
            query: None,
            secret: Some(secret),
            idempotency_key: Some(job.id.to_string()),
            body: Some(asked),
            deadlines: self.submit,
        };
        let Answer::Success(answer) = self.http.call(call).await? else {
            return Err(UpstreamError::Unavailable("it has no way to submit at this address".into()));
        };
        let task = unwrap(&answer)?;
        body::job_id(task, &["taskId", "task_id"])
            .map(|upstream_id| UpstreamAnswer::Accepted { upstream_id, remaining: body::remaining(task) })
            .ok_or_else(|| UpstreamError::Unclear("it names no task".into()))
    }

    async fn poll(&self, secret: &SecretString, upstream_id: &str) -> Result<Progress, UpstreamError> {
        let call = Call {
            method: Method::GET,
            segments: RECORD,
            query: Some(("taskId", upstream_id)),
            secret: Some(secret),
            idempotency_key: None,
            body: None,
            deadlines: self.poll,
        };
        let answer = match self.http.call(call).await? {
            Answer::Success(answer) => answer,
            Answer::Missing => return Ok(Progress::Unknown),
        };
        match unwrap(&answer) {
            Ok(Value::Null) => Ok(Progress::Unknown),
            Ok(record) => Ok(progress(record, upstream_id)),
            // About a record, "not valid" means that there is none.
            Err(UpstreamError::Rejected(_)) => Ok(Progress::Unknown),
            Err(error) => Err(error),
        }
    }

    async fn cancel(&self, _secret: &SecretString, _upstream_id: &str) -> Result<bool, UpstreamError> {
        Ok(false)
    }

    async fn check(&self, secret: &SecretString) -> Result<TokenCheck, UpstreamError> {
        let call = Call {
            method: Method::GET,
            segments: CREDIT,
            query: None,
            secret: Some(secret),
            idempotency_key: None,
            body: None,
            deadlines: self.other,
        };
        let Answer::Success(answer) = self.http.call(call).await? else {
            return Err(UpstreamError::Unavailable("it has no account at this address".into()));
        };
        #[expect(clippy::cast_possible_truncation, reason = "a saturating cast of a count of credits")]
        let credits_left = unwrap(&answer)?.as_f64().map(|n| n as i64);
        Ok(TokenCheck { credits_left })
    }
}
