//! An account's keys: made and shown once, listed by prefix, rotated with an overlap, revoked.

use super::change::{Change, Done};
use super::id;
use crate::admit::Operator;
use crate::body;
use crate::core::Core;
use crate::fields::Fields;
use crate::openapi::params;
use crate::openapi::schema::{self, integer, named, nullable, text, time, with_default};
use crate::page::PageView;
use crate::problem::ApiError;
use crate::view::account::{KeyView, key as view};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::Timestamp;
use domain::api_key::{ApiKey, KeyLabel};
use domain::ids::{AccountId, KeyId};
use domain::ports::accounts::NewKey;
use domain::ports::operators::{Order, Outcome};
use serde::Serialize;
use std::time::Duration;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

const NAME_LONGEST: usize = 200;
/// How long a rotated key still works when nobody says.
const OVERLAP_USUAL: i64 = 86_400;
const OVERLAP_LONGEST: i64 = 30 * 86_400;

named! {
    NewKeyBody = schema::body(&["name"], [
        ("name", text(NAME_LONGEST, "For people.").into()),
        ("expires_at", nullable(time("A moment that lies ahead; left out: it does not expire.")).into()),
    ]);
    RotateBody = schema::body(&[], [
        ("name", nullable(text(NAME_LONGEST, "Left out: the old key's.")).into()),
        ("overlap_seconds", with_default(nullable(integer(&(0..=OVERLAP_LONGEST), "How long the old key still works.")), OVERLAP_USUAL).into()),
        ("expires_at", nullable(time("When the new key expires; left out: never.")).into()),
    ]);
}

/// A key that was made in place of another.
#[derive(Serialize, ToSchema)]
struct RotatedKey<'a> {
    #[serde(flatten)]
    new: KeyView<'a>,
    replaces: KeyView<'a>,
}

/// A moment that lies ahead.
fn expiry(core: &Core, fields: &mut Fields) -> Option<Timestamp> {
    let at = fields.time("expires_at")?;
    if at <= core.backends.clock.now() {
        fields.refuse("expires_at", "must lie in the future");
    }
    Some(at)
}

/// A new key of the account: what is kept of it, and the key itself for the one time it is shown.
fn make(
    core: &Core,
    account_id: AccountId,
    name: String,
    expires_at: Option<Timestamp>,
) -> Result<(NewKey, ApiKey), ApiError> {
    let random: [u8; 128] = std::array::from_fn(|_| rand::random());
    let key = ApiKey::generate(KeyLabel::Live, &random).ok_or_else(ApiError::internal)?;
    let new = NewKey {
        id: KeyId::new(core.backends.clock.now(), rand::random()),
        account_id,
        name,
        prefix: key.prefix().to_owned(),
        hash: key.hash(&core.settings.pepper),
        expires_at,
    };
    Ok((new, key))
}

/// Create an API key
///
/// The key is shown in this answer alone.
#[utoipa::path(
    post,
    path = "/admin/v1/accounts/{id}/keys",
    operation_id = "createKey",
    tag = "Accounts",
    params(params::Account, params::IdempotencyKey),
    request_body(content = NewKeyBody),
    responses(
        (status = 201, description = "Made.", body = KeyView<'_>),
    ),
)]
pub(crate) async fn create(
    core: web::Data<Core>,
    operator: Operator,
    account: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let account_id: AccountId = id(&account)?;
    let mut fields = body::fields(&request, payload, body::LARGEST).await?;
    let fingerprint = fields.fingerprint();
    if !fields.holds("name") {
        fields.refuse("name", "is required");
    }
    let name = fields.text("name", NAME_LONGEST).unwrap_or_default();
    let expires_at = expiry(&core, &mut fields);
    fields.finish()?;
    let change = Change { core: &core, operator: &operator, request: &request, action: "key.create", fingerprint };
    let (new, key) = make(&core, account_id, name, expires_at)?;
    let subject = new.id.to_string();
    let show = |outcome: &Outcome| {
        let Outcome::Key(record) = outcome else { return Err(ApiError::internal()) };
        Done::new(StatusCode::CREATED, &view(record, Some(key.reveal())))
    };
    change.order(Order::CreateKey(new), Some(subject), show, |_| ()).await
}

/// List an account's keys
#[utoipa::path(
    get,
    path = "/admin/v1/accounts/{id}/keys",
    operation_id = "listKeys",
    tag = "Accounts",
    params(params::Account),
    responses(
        (status = 200, description = "All of them.", body = PageView<KeyView<'_>>),
    ),
)]
pub(crate) async fn list(
    core: web::Data<Core>,
    _operator: Operator,
    account: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let account_id: AccountId = id(&account)?;
    core.call(core.backends.accounts.show(account_id)).await?.ok_or_else(ApiError::not_found)?;
    let keys = core.call(core.backends.accounts.keys(account_id)).await?;
    let data = keys.iter().map(|record| view(record, None)).collect();
    Ok(HttpResponse::Ok().json(PageView::<KeyView<'_>>::whole(data)))
}

/// Revoke a key
///
/// In force within 5 s everywhere.
#[utoipa::path(
    delete,
    path = "/admin/v1/accounts/{id}/keys/{key_id}",
    operation_id = "revokeKey",
    tag = "Accounts",
    params(params::KeyOfAccount, params::IdempotencyKey),
    responses(
        (status = 200, description = "Revoked.", body = KeyView<'_>),
    ),
)]
pub(crate) async fn revoke(
    core: web::Data<Core>,
    operator: Operator,
    path: web::Path<(String, String)>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (account_id, key_id): (AccountId, KeyId) = (id(&path.0)?, id(&path.1)?);
    body::none(&request, payload).await?;
    let fingerprint = [0; 32];
    let change = Change { core: &core, operator: &operator, request: &request, action: "key.revoke", fingerprint };
    let show = |outcome: &Outcome| {
        let Outcome::Key(record) = outcome else { return Err(ApiError::internal()) };
        Done::new(StatusCode::OK, &view(record, None))
    };
    change.order(Order::RevokeKey(account_id, key_id), Some(key_id.to_string()), show, |_| ()).await
}

/// Rotate a key
///
/// A new key beside the old one, which works until the overlap is over. A key that has ended is not rotated.
#[utoipa::path(
    post,
    path = "/admin/v1/accounts/{id}/keys/{key_id}/rotate",
    operation_id = "rotateKey",
    tag = "Accounts",
    params(params::KeyOfAccount, params::IdempotencyKey),
    request_body(content = Option<RotateBody>),
    responses(
        (status = 201, description = "Made; the key is shown in this answer alone.", body = RotatedKey<'_>),
    ),
)]
pub(crate) async fn rotate(
    core: web::Data<Core>,
    operator: Operator,
    path: web::Path<(String, String)>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (account_id, key_id): (AccountId, KeyId) = (id(&path.0)?, id(&path.1)?);
    let mut fields = body::optional(&request, payload).await?;
    let fingerprint = fields.fingerprint();
    let name = fields.text("name", NAME_LONGEST);
    let overlap = fields.integer_in("overlap_seconds", 0..=OVERLAP_LONGEST).unwrap_or(OVERLAP_USUAL);
    let expires_at = expiry(&core, &mut fields);
    fields.finish()?;
    let change = Change { core: &core, operator: &operator, request: &request, action: "key.rotate", fingerprint };
    // The name, where none is given, is the old one's: it never changes, so it may be read before the order.
    let keys = core.call(core.backends.accounts.keys(account_id)).await?;
    let old = keys.into_iter().find(|key| key.id == key_id).ok_or_else(ApiError::not_found)?;
    let (new, key) = make(&core, account_id, name.unwrap_or(old.name), expires_at)?;
    let overlap = Duration::from_secs(u64::try_from(overlap).unwrap_or(0));
    let show = |outcome: &Outcome| {
        let Outcome::Rotated { new, old } = outcome else { return Err(ApiError::internal()) };
        let shown = RotatedKey { new: view(new, Some(key.reveal())), replaces: view(old, None) };
        Done::new(StatusCode::CREATED, &shown)
    };
    change.order(Order::RotateKey { old: key_id, overlap, new }, Some(key_id.to_string()), show, |_| ()).await
}
