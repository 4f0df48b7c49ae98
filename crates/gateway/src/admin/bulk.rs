//! Many generations at once: canceled, or submitted anew, by a filter.
//!
//! Newest first, in pages, one transaction each generation, a bounded number a call: `more` says that there is more to do. Nothing is locked
//! over all of it, so what ended meanwhile is passed over and not counted.

use super::change::{Change, Done};
use crate::admit::Operator;
use crate::body;
use crate::core::Core;
use crate::fields::Fields;
use crate::generations::cancel::end;
use crate::generations::list::STATUSES;
use crate::openapi::params;
use crate::openapi::schema::{self, boolean, named, nullable, time, with_default, words};
use crate::problem::{ApiError, Code};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::generation::{CanceledBy, ErrorCode, Generation};
use domain::ids::AccountId;
use domain::page::{LARGEST, PageRequest};
use domain::ports::generations::{GenerationFilter, Scope};
use domain::state::{Stage, Status};
use domain::tier::Tier;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;
use utoipa::openapi::{Object, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

const CHANGED_MOST: u64 = 1_000;
const TEXT_LONGEST: usize = 200;
const GOES_ON_FOR: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Cancel,
    Retry,
}

impl Action {
    const ALL: [Self; 2] = [Self::Cancel, Self::Retry];

    const fn name(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Retry => "retry",
        }
    }

    /// What it is done to where the filter names no status.
    const fn usual(self) -> &'static [Status] {
        match self {
            Self::Cancel => &[Status::Queued, Status::Processing],
            Self::Retry => &[Status::Failed],
        }
    }

    const fn concerns(self, status: Status) -> bool {
        status.is_final() == matches!(self, Self::Retry)
    }
}

named! {
    BulkBody = schema::body(&["action", "filter"], [
        ("action", words("`retry` submits anew, charged as one each.", Action::ALL.map(Action::name)).into()),
        ("filter", filter_schema().into()),
        ("dry_run", with_default(nullable(boolean("Only count.")), false).into()),
    ]);
}

fn filter_schema() -> Object {
    let word = |words: Object| -> RefOr<Schema> { nullable(words).into() };
    let mut filter = schema::body(
        &[],
        [
            ("account", word(schema::account_id())),
            ("status", word(words("", Status::ALL.map(Status::name)))),
            ("stage", word(words("", Stage::ALL.map(Stage::name)))),
            ("tier", word(words("", Tier::ALL.map(Tier::name)))),
            ("error_code", word(words("", ErrorCode::ALL.map(ErrorCode::name)))),
            ("created_after", word(time(""))),
            ("created_before", word(time(""))),
            ("q", word(schema::text(TEXT_LONGEST, "Part of the prompt, the title or the metadata."))),
        ],
    );
    let said = "All of it must hold. Without `status`: what is open to cancel it, what failed to retry it.";
    filter.description = Some(said.to_owned());
    filter
}

/// What came of it.
#[derive(Serialize, ToSchema)]
struct BulkOutcome {
    #[schema(value_type = String)]
    action: Action,
    dry_run: bool,
    /// Found and fit for it.
    matched: u64,
    /// Canceled, or submitted anew; 0 in a dry run.
    changed: u64,
    /// Not submitted anew: without credits, beyond the month, or suspended.
    refused: u64,
    /// A call has its bounds: the same one again goes on (a retry: with `created_before`, for what is new does not match less).
    more: bool,
}

fn filter(fields: &mut Fields) -> (Option<AccountId>, GenerationFilter) {
    let Some(map) = fields.object("filter") else {
        if !fields.holds("filter") {
            fields.refuse("filter", "is required");
        }
        return (None, GenerationFilter::default());
    };
    let mut own = Fields::of(Value::Object(map), "/filter");
    let account = own.word("account", "the ids of accounts", |text| text.parse().ok());
    let filter = GenerationFilter {
        status: own.word("status", STATUSES.trim_start_matches("must be one of "), Status::parse),
        stage: own.word("stage", "the stages", Stage::parse),
        tier: own.word("tier", "the tiers", Tier::parse),
        error_code: own.word("error_code", "the error codes of a generation", ErrorCode::parse),
        created_after: own.time("created_after"),
        created_before: own.time("created_before"),
        text: own.text("q", TEXT_LONGEST),
    };
    fields.refuse_all(own.broken());
    (account, filter)
}

/// Change many generations at once
///
/// Cancels or submits anew what a filter finds, newest first, at most 1,000 a call.
#[utoipa::path(
    post,
    path = "/admin/v1/generations/bulk",
    operation_id = "changeGenerations",
    tag = "Operations",
    params(params::IdempotencyKey),
    request_body(content = BulkBody),
    responses(
        (status = 200, description = "What came of it.", body = BulkOutcome),
    ),
)]
pub(crate) async fn change(
    core: web::Data<Core>,
    operator: Operator,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let mut fields = body::fields(&request, payload, body::LARGEST).await?;
    let fingerprint = fields.fingerprint();
    if !fields.holds("action") {
        fields.refuse("action", "is required");
    }
    let named = |text: &str| Action::ALL.into_iter().find(|action| action.name() == text);
    let action = fields.word("action", "cancel, retry", named);
    let dry_run = fields.boolean("dry_run").unwrap_or(false);
    let (account, filter) = filter(&mut fields);
    fields.finish()?;
    let Some(action) = action else { return Err(ApiError::internal()) };
    let change = Change { core: &core, operator: &operator, request: &request, action: "generation.bulk", fingerprint };
    change
        .make(async {
            let scope = account.map_or(Scope::Everyone, Scope::Account);
            let mut run = Run {
                core: &core,
                change: &change,
                until: Instant::now() + GOES_ON_FOR,
                outcome: BulkOutcome { action, dry_run, matched: 0, changed: 0, refused: 0, more: false },
            };
            let asked = filter.status;
            let statuses = asked.as_ref().map_or(action.usual(), std::slice::from_ref);
            for status in statuses.iter().copied().filter(|status| action.concerns(*status)) {
                run.all(scope, GenerationFilter { status: Some(status), ..filter.clone() }).await?;
            }
            Done::new(StatusCode::OK, &run.outcome)
        })
        .await
}

struct Run<'a> {
    core: &'a Core,
    change: &'a Change<'a>,
    until: Instant,
    outcome: BulkOutcome,
}

impl Run<'_> {
    async fn all(&mut self, scope: Scope, filter: GenerationFilter) -> Result<(), ApiError> {
        let mut after = None;
        loop {
            let page = PageRequest { limit: LARGEST, after };
            let found = self.core.call(self.core.backends.generations.list(scope, &filter, page)).await?;
            for generation in found.items {
                if self.outcome.matched >= CHANGED_MOST || Instant::now() >= self.until {
                    self.outcome.more = true;
                    return Ok(());
                }
                self.one(generation).await?;
            }
            after = found.next;
            if after.is_none() {
                return Ok(());
            }
            if Instant::now() >= self.until {
                self.outcome.more = true;
                return Ok(());
            }
        }
    }

    async fn one(&mut self, generation: Generation) -> Result<(), ApiError> {
        if !self.outcome.dry_run {
            let done = match self.outcome.action {
                Action::Cancel => {
                    let id = generation.id.to_string();
                    end(self.core, Scope::Everyone, &id, CanceledBy::Operator).await.map(|_| ())
                }
                Action::Retry => super::generations::anew(self.change, generation).await.map(|_| ()),
            };
            match done {
                Ok(()) => self.outcome.changed += 1,
                // It ended, or went, since it was listed.
                Err(error) if matches!(error.code(), Code::AlreadyFinal | Code::NotFound) => return Ok(()),
                Err(error)
                    if matches!(
                        error.code(),
                        Code::CreditsExhausted | Code::MonthlyQuotaExhausted | Code::Forbidden
                    ) =>
                {
                    self.outcome.refused += 1;
                }
                // What was done is done: the answer says how much, and that there is more.
                Err(_) if self.outcome.changed > 0 => {
                    self.outcome.more = true;
                    self.until = Instant::now();
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        self.outcome.matched += 1;
        Ok(())
    }
}
