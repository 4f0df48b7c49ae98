//! An account's keys: made and shown once, listed by prefix, rotated with an overlap, revoked.

use super::change::{Change, Done};
use super::id;
use crate::admit::Operator;
use crate::core::Core;
use crate::fields::Fields;
use crate::problem::ApiError;
use crate::{body, view};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::Timestamp;
use domain::account::KeyRecord;
use domain::api_key::{ApiKey, KeyLabel};
use domain::ids::{AccountId, KeyId};
use domain::ports::accounts::NewKey;
use serde_json::{Value, json};
use std::time::Duration;

const NAME_LONGEST: usize = 200;
/// How long a rotated key still works when nobody says.
const OVERLAP_USUAL: i64 = 86_400;
const OVERLAP_LONGEST: i64 = 30 * 86_400;

/// A moment that lies ahead.
fn expiry(core: &Core, fields: &mut Fields) -> Option<Timestamp> {
    let at = fields.time("expires_at")?;
    if at <= core.backends.clock.now() {
        fields.refuse("expires_at", "must lie in the future");
    }
    Some(at)
}

/// A new key of the account: its record, and the key itself for the one time it is shown.
async fn make(
    core: &Core,
    account_id: AccountId,
    name: String,
    expires_at: Option<Timestamp>,
) -> Result<(KeyRecord, ApiKey), ApiError> {
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
    let record = core.call(core.backends.accounts.create_key(new)).await?.ok_or_else(ApiError::not_found)?;
    Ok((record, key))
}

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
    change
        .make(async {
            let (record, key) = make(&core, account_id, name, expires_at).await?;
            Ok(Done::new(StatusCode::CREATED, &view::key(&record, Some(key.reveal())))?.subject(&record.id))
        })
        .await
}

pub(crate) async fn list(
    core: web::Data<Core>,
    _operator: Operator,
    account: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let account_id: AccountId = id(&account)?;
    core.call(core.backends.accounts.show(account_id)).await?.ok_or_else(ApiError::not_found)?;
    let keys = core.call(core.backends.accounts.keys(account_id)).await?;
    let data: Vec<_> = keys.iter().map(|record| view::key(record, None)).collect();
    Ok(HttpResponse::Ok().json(json!({"data": data, "next_cursor": null, "has_more": false})))
}

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
    change
        .make(async {
            let ended = core.backends.accounts.end_key(account_id, key_id, Duration::ZERO);
            let record = core.call(ended).await?.ok_or_else(ApiError::not_found)?;
            Ok(Done::new(StatusCode::OK, &view::key(&record, None))?.subject(&key_id))
        })
        .await
}

/// A new key of the same name; the old one works until the overlap is over.
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
    let overlap = fields.integer_in("overlap_seconds", 0..=OVERLAP_LONGEST).unwrap_or(OVERLAP_USUAL);
    let expires_at = expiry(&core, &mut fields);
    fields.finish()?;
    let change = Change { core: &core, operator: &operator, request: &request, action: "key.rotate", fingerprint };
    change
        .make(async {
            let now = core.backends.clock.now();
            let keys = core.call(core.backends.accounts.keys(account_id)).await?;
            let usable = |key: &KeyRecord| {
                key.id == key_id && key.revoked_at.is_none_or(|at| at > now) && key.expires_at.is_none_or(|at| at > now)
            };
            let old = keys.into_iter().find(usable).ok_or_else(ApiError::not_found)?;
            // The new one first: whatever fails after it, the account is never without a key.
            let (record, key) = make(&core, account_id, old.name, expires_at).await?;
            let after = Duration::from_secs(u64::try_from(overlap).unwrap_or(0));
            let ended = core.call(core.backends.accounts.end_key(account_id, key_id, after)).await?;
            let mut shown =
                serde_json::to_value(view::key(&record, Some(key.reveal()))).map_err(|_| ApiError::internal())?;
            if let (Value::Object(shown), Some(ended)) = (&mut shown, &ended) {
                shown.insert("replaces".into(), json!(view::key(ended, None)));
            }
            Ok(Done::new(StatusCode::CREATED, &shown)?.subject(&key_id))
        })
        .await
}
