//! The operators' trail: appended, dated by the ledger, read newest first.

use crate::Ledger;
use crate::outcome::Outcome;
use crate::stored::{below, micros, moment};
use domain::Timestamp;
use domain::ids::AuditId;
use domain::page::{Page, PageRequest};
use domain::ports::accounts::AuditEntry;
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

pub(super) async fn append(connection: &mut SqliteConnection, now: Timestamp, entry: &AuditEntry) -> Outcome<()> {
    let (id, now) = (entry.id.uuid(), micros(now));
    sqlx::query!(
        "insert into audit (id, actor, action, subject, address, request_id, created_at) values (?, ?, ?, ?, ?, ?, ?)",
        id,
        entry.actor,
        entry.action,
        entry.subject,
        entry.address,
        entry.request_id,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn trail(ledger: &Ledger, page: PageRequest) -> Outcome<Page<AuditEntry>> {
    let (below, limit) = (below(page), i64::from(page.limit) + 1);
    let rows = sqlx::query!(
        r#"select id as "id: Uuid", actor, action, subject, address, request_id, created_at
        from audit where id < ? order by id desc limit ?"#,
        below,
        limit
    )
    .fetch_all(ledger.read())
    .await?;
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows {
        entries.push(AuditEntry {
            id: AuditId::from_uuid(row.id),
            actor: row.actor,
            action: row.action,
            subject: row.subject,
            address: row.address,
            request_id: row.request_id,
            created_at: moment(row.created_at)?,
        });
    }
    Ok(Page::from_rows(entries, page.limit, |entry| entry.id.uuid()))
}
