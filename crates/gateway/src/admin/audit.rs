//! The audit trail: who changed what, when, from where.

use crate::admit::Operator;
use crate::core::Core;
use crate::page;
use crate::problem::ApiError;
use crate::query::Query;
use crate::view::At;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

pub(crate) async fn list(
    core: web::Data<Core>,
    _operator: Operator,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut query = Query::of(&request);
    let asked = page::asked(&mut query);
    query.finish()?;
    let trail = core.call(core.backends.accounts.audit_trail(asked)).await?;
    let shown = trail.map(|entry| {
        json!({
            "id": entry.id,
            "object": "audit_entry",
            "actor": entry.actor,
            "action": entry.action,
            "subject": entry.subject,
            "address": entry.address,
            "request_id": entry.request_id,
            "created_at": At(entry.created_at),
        })
    });
    page::answer(&request, &query, shown)
}
