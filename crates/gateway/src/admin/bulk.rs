//! Many generations at once: canceled, or submitted anew, by a filter.
//!
//! Newest first, in pages, one transaction each generation, a bounded number a call: `more` says that there is more to do, and `next` where. What
//! calls that go on from each other submit anew is keyed alike, so that each generation is submitted anew by them once, also where an answer was
//! lost. Nothing is locked over all of it, so what ended meanwhile is passed over and not counted.

use super::change::{Change, Done};
use crate::admit::Operator;
use crate::body;
use crate::core::Core;
use crate::fields::Fields;
use crate::generations::cancel::end;
use crate::generations::list::STATUSES;
use crate::openapi::params;
use crate::openapi::schema::{self, boolean, named, nullable, time, with_default, words};
use crate::page;
use crate::problem::{ApiError, Code};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::account::Account;
use domain::generation::{CanceledBy, ErrorCode, Generation};
use domain::ids::AccountId;
use domain::page::{LARGEST, PageRequest};
use domain::ports::generations::{GenerationFilter, Scope};
use domain::state::{Stage, Status};
use domain::tier::Tier;
use futures::future::join_all;
use moka::future::Cache;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{Object, ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

const CHANGED_MOST: u16 = 1_000;
/// Submissions share commits; a cancel is a commit of its own, and those of one account would wait for each other.
const RETRIED_AT_ONCE: usize = 16;
const ACCOUNTS_KEPT: u64 = 1_000;
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
        ("limit", with_default(
            nullable(schema::integer(&(1..=i64::from(CHANGED_MOST)), "How many a call may change, or count.")), CHANGED_MOST,
        ).into()),
        ("cursor", nullable(cursor_schema()).into()),
        ("dry_run", with_default(nullable(boolean("Only count.")), false).into()),
    ]);
}

fn cursor_schema() -> Object {
    let statuses = Status::ALL.map(Status::name).join("|");
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("The `next` of a call before with the same action and filter, which this one goes on from."))
        .pattern(Some(format!(r"^({statuses})(\.[A-Za-z0-9_-]{{21}}[AQgw]){{2}}$")))
        .build()
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
    /// A call has its bounds, and may fail on the way: there is more to do.
    more: bool,
    /// The `cursor` with which the same call goes on; null where there is no more. The same call without it begins anew, and a retry with
    /// what was retried already.
    next: Option<String>,
}

/// Where a call goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursor {
    status: Status,
    /// The last one that was handled; the greatest id: none of this status yet.
    after: Uuid,
    /// What the submissions of all calls that go on from each other are keyed by.
    walk: Uuid,
}

impl Cursor {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let status = Status::parse(parts.next()?)?;
        let (after, walk) = (page::parse_cursor(parts.next()?)?, page::parse_cursor(parts.next()?)?);
        parts.next().is_none().then_some(Self { status, after, walk })
    }

    fn text(self) -> String {
        format!("{}.{}.{}", self.status.name(), page::cursor(self.after), page::cursor(self.walk))
    }
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
    let limit = fields.integer_in("limit", 1..=i64::from(CHANGED_MOST)).and_then(|limit| u64::try_from(limit).ok());
    let (account, filter) = filter(&mut fields);
    let statuses = action.map(|action| statuses(action, filter.status)).unwrap_or_default();
    let cursor = fields.string("cursor").and_then(|text| {
        let cursor = Cursor::parse(&text).filter(|cursor| action.is_none() || statuses.contains(&cursor.status));
        if cursor.is_none() {
            fields.refuse("cursor", "must be the `next` of a call before with the same action and filter");
        }
        cursor
    });
    fields.finish()?;
    let Some(action) = action else { return Err(ApiError::internal()) };
    let change = Change { core: &core, operator: &operator, request: &request, action: "generation.bulk", fingerprint };
    change
        .make(async {
            let scope = account.map_or(Scope::Everyone, Scope::Account);
            let mut run = Run {
                core: &core,
                change: &change,
                walk: match cursor {
                    Some(cursor) => cursor.walk,
                    None => change.uuid()?.unwrap_or_else(|| Uuid::from_u128(rand::random())),
                },
                goes_on: cursor.is_some(),
                accounts: Cache::new(ACCOUNTS_KEPT),
                limit: limit.unwrap_or(u64::from(CHANGED_MOST)),
                until: Instant::now() + GOES_ON_FOR,
                outcome: BulkOutcome { action, dry_run, matched: 0, changed: 0, refused: 0, more: false, next: None },
            };
            let before = cursor.map(|cursor| cursor.status);
            for status in statuses.iter().copied().skip_while(|status| before.is_some_and(|before| before != *status)) {
                let after = cursor.filter(|cursor| cursor.status == status).map_or(Uuid::max(), |cursor| cursor.after);
                run.all(scope, GenerationFilter { status: Some(status), ..filter.clone() }, status, after).await?;
                if run.outcome.more {
                    break;
                }
            }
            Done::new(StatusCode::OK, &run.outcome)
        })
        .await
}

/// What it is done to, one after the other.
fn statuses(action: Action, asked: Option<Status>) -> Vec<Status> {
    let wanted = asked.as_ref().map_or(action.usual(), std::slice::from_ref);
    wanted.iter().copied().filter(|status| action.concerns(*status)).collect()
}

struct Run<'a> {
    core: &'a Core,
    change: &'a Change<'a>,
    walk: Uuid,
    /// From a call before, which may have done more than it could tell.
    goes_on: bool,
    /// As they were when their first generation came up.
    accounts: Cache<AccountId, Account>,
    limit: u64,
    until: Instant,
    outcome: BulkOutcome,
}

impl Run<'_> {
    async fn all(
        &mut self,
        scope: Scope,
        filter: GenerationFilter,
        status: Status,
        mut after: Uuid,
    ) -> Result<(), ApiError> {
        loop {
            let page = PageRequest { limit: LARGEST, after: Some(after) };
            let found = match self.core.call(self.core.backends.generations.list(scope, &filter, page)).await {
                Ok(found) => found,
                Err(error) => return self.interrupted(error, status, after),
            };
            let mut rest = found.items.into_iter();
            while rest.len() > 0 {
                let room = self.limit - self.outcome.matched;
                if room == 0 || Instant::now() >= self.until {
                    self.ends_at(status, after);
                    return Ok(());
                }
                let most = usize::try_from(room).unwrap_or(usize::MAX).min(self.at_once());
                if let Err(error) = self.some(rest.by_ref().take(most).collect(), &mut after).await {
                    return self.interrupted(error, status, after);
                }
            }
            let Some(next) = found.next else { return Ok(()) };
            after = next;
            if Instant::now() >= self.until {
                self.ends_at(status, after);
                return Ok(());
            }
        }
    }

    const fn at_once(&self) -> usize {
        match self.outcome.action {
            _ if self.outcome.dry_run => LARGEST as usize,
            Action::Cancel => 1,
            Action::Retry => RETRIED_AT_ONCE,
        }
    }

    fn ends_at(&mut self, status: Status, after: Uuid) {
        self.outcome.more = true;
        self.outcome.next = Some(Cursor { status, after, walk: self.walk }.text());
    }

    /// What was done is done: the answer says how much, and where to go on.
    fn interrupted(&mut self, error: ApiError, status: Status, after: Uuid) -> Result<(), ApiError> {
        if self.outcome.changed + self.outcome.refused == 0 {
            return Err(error);
        }
        self.ends_at(status, after);
        Ok(())
    }

    /// A few together, each to its end. `after` becomes the last one before which nothing is left to do.
    async fn some(&mut self, generations: Vec<Generation>, after: &mut Uuid) -> Result<(), ApiError> {
        let ids: Vec<_> = generations.iter().map(|generation| generation.id.uuid()).collect();
        let done = join_all(generations.into_iter().map(|generation| self.one(generation))).await;
        let mut broken = None;
        for (id, done) in ids.into_iter().zip(done) {
            match done {
                Ok(changed) => {
                    self.outcome.matched += 1;
                    self.outcome.changed += u64::from(changed);
                }
                // It ended, or went, since it was listed.
                Err(error) if matches!(error.code(), Code::AlreadyFinal | Code::NotFound) => {}
                Err(error)
                    if matches!(
                        error.code(),
                        Code::CreditsExhausted | Code::MonthlyQuotaExhausted | Code::Forbidden
                    ) =>
                {
                    self.outcome.matched += 1;
                    self.outcome.refused += 1;
                }
                Err(error) => {
                    broken.get_or_insert(error);
                }
            }
            if broken.is_none() {
                *after = id;
            }
        }
        broken.map_or(Ok(()), Err)
    }

    /// Whether it was changed now.
    async fn one(&self, generation: Generation) -> Result<bool, ApiError> {
        match self.outcome.action {
            _ if self.outcome.dry_run => Ok(false),
            Action::Cancel => {
                let id = generation.id.to_string();
                end(self.core, Scope::Everyone, &id, CanceledBy::Operator).await.map(|_| true)
            }
            Action::Retry => {
                let account = self.account(generation.account_id).await?;
                let key = format!("operator {} {}", self.walk.simple(), generation.id);
                let (_, earlier) = super::generations::anew(self.change, generation, &account, Some(key)).await?;
                Ok(!(earlier && self.goes_on))
            }
        }
    }

    async fn account(&self, id: AccountId) -> Result<Account, ApiError> {
        let read = async {
            let shown = self.core.call(self.core.backends.accounts.show(id)).await?;
            shown.ok_or_else(ApiError::not_found)
        };
        let read = self.accounts.try_get_with(id, read).await;
        read.map_err(|error: Arc<ApiError>| error.as_ref().clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_does() {
        let cursor = Cursor { status: Status::Failed, after: Uuid::from_u128(7 << 90), walk: Uuid::from_u128(9) };
        assert_eq!(Cursor::parse(&cursor.text()), Some(cursor));
        let text = cursor.text();
        for text in ["", "failed", "gone.AA.AA", &text[1..], &text[..text.len() - 1], &format!("{text}.")] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }
}
