//! Adds up the books, one account a statement: its snapshot is of one moment, and no lock is held over many.

use crate::Ledger;
use crate::outcome::Outcome;
use domain::ids::AccountId;
use domain::ports::accounts::{Discrepancy, Verified};
use uuid::Uuid;

pub(super) async fn verify(ledger: &Ledger, after: Option<AccountId>, limit: u16) -> Outcome<Verified> {
    // The empty blob is less than any id.
    let after = after.map_or_else(Vec::new, |id| id.uuid().as_bytes().to_vec());
    let (limit, more) = (usize::from(limit), i64::from(limit) + 1);
    let mut ids =
        sqlx::query_scalar!(r#"select id as "id: Uuid" from accounts where id > ? order by id limit ?"#, after, more)
            .fetch_all(ledger.read())
            .await?;
    let rest = ids.len() > limit;
    ids.truncate(limit);
    let mut discrepancies = Vec::new();
    for id in &ids {
        let account_id = AccountId::from_uuid(*id);
        let found = add_up(ledger, *id).await?;
        discrepancies.extend(found.into_iter().map(|detail| Discrepancy { account_id, detail }));
    }
    let next = ids.last().filter(|_| rest).map(|id| AccountId::from_uuid(*id));
    Ok(Verified { accounts: ids.len() as u64, discrepancies, next })
}

async fn add_up(ledger: &Ledger, id: Uuid) -> Outcome<Vec<String>> {
    let books = sqlx::query!(
        r#"select a.granted, a.purchased,
            (select coalesce(sum(amount), 0) from credit_entries e where e.account_id = a.id and e.bucket = 'granted')
                as "granted_entries!: i64",
            (select coalesce(sum(amount), 0) from credit_entries e where e.account_id = a.id and e.bucket = 'purchased')
                as "purchased_entries!: i64",
            (select coalesce(sum(g.cost), 0) from generations g where g.account_id = a.id and g.status = 'open')
                as "reserved!: i64",
            (select coalesce(sum(g.cost), 0) from generations g join work w on w.generation_id = g.id
                where g.account_id = a.id and w.state <> 'closing') as "live!: i64",
            (select count(*) from generations g where g.account_id = a.id and (g.cost > 0) <> exists (
                select 1 from credit_entries e where e.generation_id = g.id and e.kind = 'debit')) as "debits!: i64",
            (select count(*) from generations g where g.account_id = a.id
                and (g.cost > 0 and g.status in ('failed', 'canceled')) <> exists (
                select 1 from credit_entries e where e.generation_id = g.id and e.kind = 'refund')) as "refunds!: i64"
        from accounts a where a.id = ?"#,
        id
    )
    .fetch_optional(ledger.read())
    .await?;
    let Some(books) = books else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    if books.granted != books.granted_entries {
        found.push(format!("{} granted credits, but entries of {}", books.granted, books.granted_entries));
    }
    if books.purchased != books.purchased_entries {
        found.push(format!("{} purchased credits, but entries of {}", books.purchased, books.purchased_entries));
    }
    if books.reserved != books.live {
        found.push(format!("{} credits reserved, but live work of {}", books.reserved, books.live));
    }
    if books.debits != 0 {
        found.push(format!("{} generations whose debit is missing or too many", books.debits));
    }
    if books.refunds != 0 {
        found.push(format!("{} generations whose refund is missing or too many", books.refunds));
    }
    Ok(found)
}
