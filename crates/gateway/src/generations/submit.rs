//! `POST /v1/generations`: parse everything, then accept it or say why not. A 202 is a promise: it is sent after the commit.

use crate::admit::Customer;
use crate::body;
use crate::core::Core;
use crate::fields::Fields;
use crate::generations::prefer;
use crate::idempotency;
use crate::intake::Refused;
use crate::observe::Held;
use crate::openapi::params;
use crate::openapi::schema::{self, boolean, integer, named, nullable, text, with_default};
use crate::problem::{ApiError, Code};
use crate::trace::Trace;
use crate::view::{self, At, GenerationView};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use domain::account::Account;
use domain::admission::Submission;
use domain::generation::Generation;
use domain::ids::GenerationId;
use domain::ports::generations::Submitted;
use domain::request::{
    CancelAfter, DURATION_LONGEST, DURATION_USUAL, Draft, GenerationRequest, LYRICS_LONGEST, PROMPT_LONGEST, Place,
    STYLE_LONGEST, TITLE_LONGEST, Violation,
};
use domain::tier::{BeyondTier, Quality};
use std::time::Duration;
use tokio::time::Instant;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// What a client is told to wait before it looks for the first time.
const FIRST_POLL_AFTER: &str = "2";
/// What a submission takes besides its texts, about.
const BYTES_APART: usize = 512;

named! {
    /// What [`parse`] takes.
    SubmitBody = schema::body(&["prompt"], [
        ("prompt", text(PROMPT_LONGEST, "What it shall be.").into()),
        ("title", nullable(text(TITLE_LONGEST, "")).into()),
        ("style", nullable(text(STYLE_LONGEST, "")).into()),
        ("lyrics", nullable(text(LYRICS_LONGEST, "")).into()),
        ("instrumental", with_default(nullable(boolean("")), false).into()),
        ("duration_seconds", with_default(
            nullable(integer(&(1..=DURATION_LONGEST), "The tier may allow less: `tier_limit_exceeded`.")), DURATION_USUAL,
        ).into()),
        ("quality", with_default(
            nullable(schema::words("The tier may allow less: `tier_limit_exceeded`.", Quality::ALL.map(Quality::name))),
            Quality::Standard.name(),
        ).into()),
        ("metadata", nullable(schema::metadata()).into()),
    ]);
}

struct Parsed {
    request: GenerationRequest,
    cancel_after: Duration,
    key: Option<String>,
    wait: Option<Duration>,
}

/// Submit a generation
///
/// The 202 is sent after the commit: the generation is on disk, its credit is reserved, and it will reach exactly one final state. With
/// `Prefer: wait` the answer is 200 when it ended in time.
#[utoipa::path(
    post,
    path = "/v1/generations",
    operation_id = "submitGeneration",
    tag = "Generations",
    params(params::IdempotencyKey, params::Prefer, params::CancelAfter),
    request_body(content = SubmitBody),
    responses(
        (status = 202, description = "Accepted.", body = GenerationView<'_>, headers(("Location"), ("Retry-After"))),
        (status = 200, description = "With `Prefer: wait`: it has ended.", body = GenerationView<'_>, headers(("Location"))),
        (status = 402, description = "credits_exhausted, monthly_quota_exhausted"),
        (status = 409, description = "idempotency_in_progress"),
        (status = 422, description = "tier_limit_exceeded"),
        (status = 503, description = "overloaded", headers(("Location"))),
    ),
)]
pub(crate) async fn submit(
    core: web::Data<Core>,
    customer: Customer,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let fields = body::fields(&request, payload, body::LARGEST).await?;
    let parsed = parse(fields, request.headers())?;
    check_tier(&core, &customer.account, &parsed.request)?;
    core.backlogs.check(&customer.account).await?;
    let idempotency = parsed.key.map(|key| idempotency::key_for(key, &parsed.request)).transpose()?;
    let held = idempotency.as_ref().map(|key| core.in_progress.hold(customer.account.id, &key.key)).transpose()?;
    let submission = Submission {
        id: GenerationId::new(core.backends.clock.now(), rand::random()),
        account_id: customer.account.id,
        request: parsed.request,
        cancel_after: parsed.cancel_after,
        idempotency,
        retry_of: None,
        trace: request.extensions().get::<Trace>().cloned().map(Trace::into_text),
    };
    tracing::Span::current().record("generation_id", tracing::field::display(&submission.id));
    let (generation, replayed) = accept(&core, submission).await?;
    drop(held);
    let mut response = match parsed.wait {
        None => answer(HttpResponse::Accepted().json(view::accepted(&generation)), generation.id)?,
        Some(wait) => held_answer(&core, &generation, wait).await?,
    };
    if replayed {
        response
            .headers_mut()
            .insert(header::HeaderName::from_static("idempotency-replayed"), HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Body and headers are judged together, so that one answer names all that is wrong.
fn parse(mut fields: Fields, headers: &HeaderMap) -> Result<Parsed, ApiError> {
    let draft = Draft {
        prompt: fields.string("prompt"),
        title: fields.string("title"),
        style: fields.string("style"),
        lyrics: fields.string("lyrics"),
        instrumental: fields.boolean("instrumental"),
        duration_seconds: fields.integer("duration_seconds"),
        quality: fields.string("quality"),
        metadata: fields.object("metadata"),
    };
    let mut broken = fields.broken();
    let request = GenerationRequest::parse(draft).map_err(|more| broken.extend(more)).ok();
    let cancel_after = cancel_after(headers).map_err(|violation| broken.push(violation)).ok();
    let key = idempotency::header(headers).map_err(|violation| broken.push(violation)).ok();
    let wait = prefer::wait(headers).map_err(|violation| broken.push(violation)).ok();
    match (request, cancel_after, key, wait) {
        (Some(request), Some(cancel_after), Some(key), Some(wait)) if broken.is_empty() => {
            Ok(Parsed { request, cancel_after, key, wait })
        }
        _ => Err(ApiError::invalid(first_of_each_place(broken))),
    }
}

fn cancel_after(headers: &HeaderMap) -> Result<Duration, Violation> {
    let mut values = headers.get_all("cancel-after");
    let Some(value) = values.next() else { return Ok(CancelAfter::USUAL.duration()) };
    let parsed = value.to_str().ok().and_then(CancelAfter::parse).filter(|_| values.next().is_none());
    parsed.map(CancelAfter::duration).ok_or_else(|| Violation {
        place: Place::Header("Cancel-After"),
        detail: "must be 5 s to 24 h, such as 90s, 10m or 2h, given once".to_owned(),
    })
}

/// A field of the wrong type is not missing as well.
fn first_of_each_place(broken: Vec<Violation>) -> Vec<Violation> {
    let mut kept: Vec<Violation> = Vec::new();
    for violation in broken {
        if !kept.iter().any(|known| known.place == violation.place) {
            kept.push(violation);
        }
    }
    kept
}

fn check_tier(core: &Core, account: &Account, request: &GenerationRequest) -> Result<(), ApiError> {
    account.limits(&core.settings.tiers).check(request).map_err(|beyond| {
        let violations = beyond.into_iter().map(|BeyondTier { pointer, detail }| Violation::at(pointer, detail));
        let detail = format!("The tier {} does not allow this much.", account.tier.name());
        ApiError::new(Code::TierLimitExceeded, detail).violations(violations.collect())
    })
}

/// Has it committed. Answers the generation, and whether an earlier request with its key had made it.
pub(crate) async fn accept(core: &Core, submission: Submission) -> Result<(Generation, bool), ApiError> {
    let (id, account) = (submission.id, submission.account_id);
    let r = &submission.request;
    let texts = [Some(&r.prompt), r.title.as_ref(), r.style.as_ref(), r.lyrics.as_ref()];
    let bytes = BYTES_APART + texts.into_iter().flatten().map(String::len).sum::<usize>();
    match core.intake.submit(submission, bytes).await {
        Ok(Submitted::Accepted(generation)) => Ok((*generation, false)),
        Ok(Submitted::Replayed(generation)) => Ok((*generation, true)),
        Ok(Submitted::KeyReused) => {
            Err(ApiError::new(Code::IdempotencyKeyReused, "Take a new key for a new request. Nothing was charged."))
        }
        Ok(Submitted::CreditsExhausted) => {
            let usage = core.call(core.backends.accounts.usage(account)).await?;
            let reserved = usage.map_or(0, |usage| usage.reserved);
            let detail = format!(
                "The balance is 0; {reserved} credits are reserved by generations that have not ended and return if they fail."
            );
            Err(ApiError::new(Code::CreditsExhausted, detail).with("reserved", reserved))
        }
        Ok(Submitted::QuotaExhausted { used, limit, resets_at }) => {
            let resets_at = serde_json::to_value(At(resets_at)).map_err(|_| ApiError::internal())?;
            let detail = format!("All {limit} generations of this month are used.");
            let problem = ApiError::new(Code::MonthlyQuotaExhausted, detail);
            Err(problem.with("used", used).with("limit", limit).with("resets_at", resets_at))
        }
        Ok(Submitted::AccountSuspended) => Err(ApiError::new(Code::Forbidden, "The account is suspended.")),
        // Its key was known a moment ago.
        Ok(Submitted::AccountUnknown) => Err(ApiError::unauthenticated()),
        Err(Refused::Full) => Err(ApiError::overloaded("Too many submissions at once. Nothing was charged.", 1)),
        Err(Refused::Unavailable) => {
            Err(ApiError::unavailable("The ledger does not answer for the moment. Nothing was charged."))
        }
        Err(Refused::Broken) => Err(ApiError::internal()),
        Err(Refused::InDoubt) => {
            let path = view::path_of(id);
            let detail = format!("The ledger did not confirm in time. The generation may exist: look at {path}.");
            let problem = ApiError::unavailable(&detail).with("generation", path.as_str());
            let location = HeaderValue::from_str(&path).map_err(|_| ApiError::internal())?;
            Err(problem.header(header::LOCATION, location))
        }
    }
}

fn answer(mut response: HttpResponse, id: GenerationId) -> Result<HttpResponse, ApiError> {
    let location = HeaderValue::from_str(&view::path_of(id)).map_err(|_| ApiError::internal())?;
    response.headers_mut().insert(header::LOCATION, location);
    if response.status() == actix_web::http::StatusCode::ACCEPTED {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(FIRST_POLL_AFTER));
    }
    Ok(response)
}

/// 200 when it ends in time, else 202 with the state it is in.
async fn held_answer(core: &Core, generation: &Generation, wait: Duration) -> Result<HttpResponse, ApiError> {
    let begun = Instant::now();
    let deadline = begun + wait;
    let _place = core.stream()?;
    let mut watching = core.hub.watch(generation.id);
    // Accepted it is; a read that fails now must not say otherwise.
    let read = core.call(core.reader.read(generation.id)).await.ok().flatten();
    let read = read.unwrap_or_else(|| generation.clone());
    let newest = watching.until_final(read, deadline, &core.closing).await;
    let mut response = if newest.status.is_final() { HttpResponse::Ok() } else { HttpResponse::Accepted() };
    response.insert_header(("Preference-Applied", format!("wait={}", wait.as_secs())));
    let mut response = answer(response.json(view::generation(&newest)), generation.id)?;
    response.extensions_mut().insert(Held(begun.elapsed()));
    Ok(response)
}
