//! Accounts: make, list, show, change.

use super::change::{Change, Done};
use super::id;
use crate::admit::Operator;
use crate::core::Core;
use crate::fields::Fields;
use crate::openapi::params;
use crate::openapi::schema::{self, named, nullable, text, words};
use crate::page::PageView;
use crate::problem::ApiError;
use crate::query::Query;
use crate::view::account::OperatorsAccount;
use crate::{body, page, view};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::account::{Account, AccountStatus, Overrides};
use domain::ids::AccountId;
use domain::page::Page;
use domain::ports::accounts::{AccountChange, AccountFilter, NewAccount, Usage};
use domain::ports::operators::{Order, Outcome};
use domain::tier::Tier;
use serde_json::Value;
use utoipa::openapi::{Object, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

const NAME_LONGEST: usize = 200;
const EMAIL_LONGEST: usize = 254;
const TIERS: &str = "free, pro, premium, enterprise";
const GIVEN_TIERS: [&str; 4] = ["free", "pro", "premium", "enterprise"];
/// The most an override of a month's numbers may say, and of the others.
pub(crate) const OVERRIDE_MOST: i64 = 1_000_000_000;
pub(crate) const OVERRIDE_LARGEST: i64 = u32::MAX as i64;

named! {
    NewAccountBody = schema::body(&["name", "tier"], [
        ("name", text(NAME_LONGEST, "").into()),
        ("tier", words("", GIVEN_TIERS).into()),
        ("email", nullable(email_schema()).into()),
        ("overrides", nullable(schema::overrides()).into()),
    ]);
    AccountChangeBody = schema::body(&[], [
        ("name", nullable(text(NAME_LONGEST, "")).into()),
        ("tier", nullable(words("", GIVEN_TIERS)).into()),
        ("status", nullable(words("", ["active", "suspended"])).into()),
        ("email", nullable(email_schema()).into()),
        ("overrides", nullable(schema::overrides()).into()),
    ]);
}

fn email_schema() -> Object {
    let mut schema = text(EMAIL_LONGEST, "An e-mail address.");
    schema.pattern = Some(schema::EMAIL.to_owned());
    schema
}

/// Those that an operator can give; the system account's is not one.
fn tier(text: &str) -> Option<Tier> {
    Tier::parse(text).filter(|tier| *tier != Tier::System)
}

fn email(fields: &mut Fields) -> Option<String> {
    let email = fields.text("email", EMAIL_LONGEST)?;
    let fits = email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    if fits && !email.contains(char::is_whitespace) {
        return Some(email);
    }
    fields.refuse("email", "must be an e-mail address");
    None
}

fn overrides(fields: &mut Fields) -> Option<Overrides> {
    let map = fields.object("overrides")?;
    let mut own = Fields::of(Value::Object(map), "/overrides");
    let mut small = |name, least| own.integer_in(name, least..=OVERRIDE_LARGEST).and_then(|n| u32::try_from(n).ok());
    let (requests_per_minute, share) = (small("requests_per_minute", 0), small("share", 1));
    let backlog_max = small("backlog_max", 0);
    let overrides = Overrides {
        requests_per_minute,
        share: share.map(|share| share.min(1_000)),
        backlog_max,
        generations_per_month: own.integer_in("generations_per_month", 0..=OVERRIDE_MOST),
        credits_per_month: own.integer_in("credits_per_month", 0..=OVERRIDE_MOST),
    };
    fields.refuse_all(own.broken());
    Some(overrides)
}

fn show_account<'a>(core: &Core, account: &'a Account, usage: Option<&Usage>) -> OperatorsAccount<'a> {
    view::account::operators(account, &core.settings.tiers, core.settings.backlog_max_account, usage)
}

/// Create an account
#[utoipa::path(
    post,
    path = "/admin/v1/accounts",
    operation_id = "createAccount",
    tag = "Accounts",
    params(params::IdempotencyKey),
    request_body(content = NewAccountBody),
    responses(
        (status = 201, description = "Made.", body = OperatorsAccount<'_>, headers(("Location"))),
    ),
)]
pub(crate) async fn create(
    core: web::Data<Core>,
    operator: Operator,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let mut fields = body::fields(&request, payload, body::LARGEST).await?;
    let fingerprint = fields.fingerprint();
    for required in ["name", "tier"] {
        if !fields.holds(required) {
            fields.refuse(required, "is required");
        }
    }
    let (name, tier) = (fields.text("name", NAME_LONGEST), fields.word("tier", TIERS, tier));
    let (email, overrides) = (email(&mut fields), overrides(&mut fields).unwrap_or_default());
    fields.finish()?;
    let (Some(name), Some(tier)) = (name, tier) else { return Err(ApiError::internal()) };
    let id = AccountId::new(core.backends.clock.now(), rand::random());
    let show = |outcome: &Outcome| {
        let Outcome::Account(account) = outcome else { return Err(ApiError::internal()) };
        let done = Done::new(StatusCode::CREATED, &show_account(&core, account, None))?;
        Ok(done.location(format!("/admin/v1/accounts/{}", account.id)))
    };
    let change = Change { core: &core, operator: &operator, request: &request, action: "account.create", fingerprint };
    change
        .order(
            Order::CreateAccount(NewAccount { id, name, email, tier, overrides }),
            Some(id.to_string()),
            show,
            |_| (),
        )
        .await
}

/// List accounts
///
/// A page, newest first.
#[utoipa::path(
    get,
    path = "/admin/v1/accounts",
    operation_id = "listAccounts",
    tag = "Accounts",
    params(params::AccountsFilter, params::Paging),
    responses(
        (status = 200, description = "A page.", body = PageView<OperatorsAccount<'_>>),
    ),
)]
pub(crate) async fn list(
    core: web::Data<Core>,
    _operator: Operator,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut query = Query::of(&request);
    let filter = AccountFilter {
        tier: query.parsed("tier", "must be one of free, pro, premium, enterprise, system", Tier::parse),
        text: query.text("q"),
    };
    let asked = page::asked(&mut query);
    query.finish()?;
    let accounts = core.call(core.backends.accounts.list(&filter, asked)).await?;
    let next = accounts.next;
    let items = accounts.items.iter().map(|account| show_account(&core, account, None)).collect();
    page::answer(&request, &query, Page { items, next })
}

/// Read an account
#[utoipa::path(
    get,
    path = "/admin/v1/accounts/{id}",
    operation_id = "showAccountAsOperator",
    tag = "Accounts",
    params(params::Account),
    responses(
        (status = 200, description = "With its credits and its month.", body = OperatorsAccount<'_>),
    ),
)]
pub(crate) async fn show(
    core: web::Data<Core>,
    _operator: Operator,
    account: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id: AccountId = id(&account)?;
    let account = core.call(core.backends.accounts.show(id)).await?.ok_or_else(ApiError::not_found)?;
    let usage = core.call(core.backends.accounts.usage(id)).await?;
    let shown = show_account(&core, &account, usage.as_ref());
    Ok(HttpResponse::Ok().json(shown))
}

/// Change an account
///
/// What is left out or null stays as it is; a null `email` takes the address away. In force on every gateway within 5 s.
#[utoipa::path(
    patch,
    path = "/admin/v1/accounts/{id}",
    operation_id = "changeAccount",
    tag = "Accounts",
    params(params::Account, params::IdempotencyKey),
    request_body(content = AccountChangeBody),
    responses(
        (status = 200, description = "Changed.", body = OperatorsAccount<'_>),
    ),
)]
pub(crate) async fn change(
    core: web::Data<Core>,
    operator: Operator,
    account: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let id: AccountId = id(&account)?;
    let mut fields = body::fields(&request, payload, body::LARGEST).await?;
    let fingerprint = fields.fingerprint();
    let names_email = fields.has("email");
    let asked = AccountChange {
        name: fields.text("name", NAME_LONGEST),
        tier: fields.word("tier", TIERS, tier),
        status: fields.word("status", "active, suspended", AccountStatus::parse),
        overrides: overrides(&mut fields),
        // `null` takes the address away.
        email: Some(email(&mut fields)).filter(|_| names_email),
    };
    fields.finish()?;
    let show = |outcome: &Outcome| {
        let Outcome::Account(account) = outcome else { return Err(ApiError::internal()) };
        Done::new(StatusCode::OK, &show_account(&core, account, None))
    };
    let change = Change { core: &core, operator: &operator, request: &request, action: "account.change", fingerprint };
    change.order(Order::ChangeAccount(id, asked), Some(id.to_string()), show, |_| ()).await
}
