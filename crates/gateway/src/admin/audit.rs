//! The audit trail: who changed what, when, from where.

use crate::admit::Operator;
use crate::core::Core;
use crate::openapi::{params, schema};
use crate::page::{self, PageView};
use crate::problem::ApiError;
use crate::query::Query;
use crate::view::At;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::ids::AuditId;
use serde::Serialize;
use utoipa::ToSchema;

/// One change by an operator.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
struct EntryForm {
    #[schema(value_type = schema::AuditId)]
    id: AuditId,
    /// `audit_entry`
    object: &'static str,
    /// The key that acted, by its first characters.
    actor: String,
    /// Such as `account.create`.
    action: String,
    /// The id of what was changed.
    subject: Option<String>,
    /// The client's.
    address: Option<String>,
    request_id: String,
    created_at: At,
}

/// Read the audit trail
///
/// A page, newest first.
#[utoipa::path(
    get,
    path = "/admin/v1/audit",
    operation_id = "listAuditEntries",
    tag = "Operations",
    params(params::Paging),
    responses(
        (status = 200, description = "A page.", body = PageView<EntryForm>),
    ),
)]
pub(crate) async fn list(
    core: web::Data<Core>,
    _operator: Operator,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut query = Query::of(&request);
    let asked = page::asked(&mut query);
    query.finish()?;
    let trail = core.call(core.backends.accounts.audit_trail(asked)).await?;
    let shown = trail.map(|entry| EntryForm {
        id: entry.id,
        object: "audit_entry",
        actor: entry.actor,
        action: entry.action,
        subject: entry.subject,
        address: entry.address,
        request_id: entry.request_id,
        created_at: At(entry.created_at),
    });
    page::answer(&request, &query, shown)
}
