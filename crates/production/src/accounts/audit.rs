//! The operators' trail: appended, dated by the ledger, read newest first. Nothing ever changes in it.

use crate::failure::Failure;
use crate::ledger::Ledger;
use domain::ids::AuditId;
use domain::page::{Page, PageRequest};
use domain::ports::accounts::AuditEntry;
use sqlx::PgConnection;
use uuid::Uuid;

pub(super) async fn append(connection: &mut PgConnection, entry: &AuditEntry) -> Result<(), Failure> {
    sqlx::query!(
        "insert into audit (id, actor, action, subject, address, request_id) values ($1, $2, $3, $4, $5, $6)
         on conflict (id) do nothing",
        entry.id.uuid(),
        entry.actor,
        entry.action,
        entry.subject,
        entry.address,
        entry.request_id,
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn trail(ledger: &Ledger, page: PageRequest) -> Result<Page<AuditEntry>, Failure> {
    let rows = sqlx::query!(
        "select id, actor, action, subject, address, request_id, created_at from audit where id < $1 order by id desc limit $2",
        page.after.unwrap_or(Uuid::max()),
        i64::from(page.limit) + 1,
    )
    .fetch_all(&ledger.pool)
    .await?;
    let entries = rows
        .into_iter()
        .map(|row| AuditEntry {
            id: AuditId::from_uuid(row.id),
            actor: row.actor,
            action: row.action,
            subject: row.subject,
            address: row.address,
            request_id: row.request_id,
            created_at: row.created_at,
        })
        .collect();
    Ok(Page::from_rows(entries, page.limit, |entry: &AuditEntry| entry.id.uuid()))
}
