//! The books added up on a live system: no lock, one account a statement and a snapshot, which takes as long as its history is. Told, never mended.

use crate::failure::Failure;
use crate::ledger::Ledger;
use domain::ids::AccountId;
use domain::ports::StoreError;
use domain::ports::accounts::{Discrepancy, Verified};
use uuid::Uuid;

pub(super) async fn verify(ledger: &Ledger, after: Option<AccountId>, limit: u16) -> Result<Verified, StoreError> {
    let after = after.map_or(Uuid::nil(), AccountId::uuid);
    let mut ids = ledger.read(|| page(ledger, after, limit)).await?;
    let more = ids.len() > usize::from(limit);
    ids.truncate(usize::from(limit));
    let mut verified = Verified {
        accounts: ids.len() as u64,
        discrepancies: Vec::new(),
        next: ids.last().filter(|_| more).map(|id| AccountId::from_uuid(*id)),
    };
    for id in ids {
        let found = ledger.read(|| discrepancies(ledger, id)).await?;
        let account_id = AccountId::from_uuid(id);
        verified.discrepancies.extend(found.into_iter().map(|detail| Discrepancy { account_id, detail }));
    }
    Ok(verified)
}

async fn page(ledger: &Ledger, after: Uuid, limit: u16) -> Result<Vec<Uuid>, Failure> {
    let limit = i64::from(limit) + 1;
    let ids = sqlx::query_scalar!("select id from accounts where id > $1 order by id limit $2", after, limit)
        .fetch_all(&ledger.pool)
        .await?;
    Ok(ids)
}

async fn discrepancies(ledger: &Ledger, id: Uuid) -> Result<Vec<String>, Failure> {
    let books = sqlx::query!(
        r#"select a.granted, a.purchased, e.granted as "granted_entries!", e.purchased as "purchased_entries!",
                  w.live as "live!", g.reserved as "reserved!", g.lost as "lost!", g.undebited as "undebited!",
                  g.unrefunded as "unrefunded!", g.overrefunded as "overrefunded!"
           from accounts a
           cross join lateral (
               select coalesce(sum(amount) filter (where bucket = 'granted'), 0)::bigint as granted,
                      coalesce(sum(amount) filter (where bucket = 'purchased'), 0)::bigint as purchased
               from credit_entries where account_id = a.id) e
           cross join lateral (
               select (select count(*) from work where account_id = a.id and state in ('ready', 'backoff') and tier <> 'system')
                    + (select count(*) from work where account_id = a.id and state in ('submitting', 'rendering') and tier <> 'system')
                    as live) w
           cross join lateral (
               select coalesce(sum(g.cost) filter (where g.status = 'open'), 0)::bigint as reserved,
                      count(*) filter (where g.status = 'open' and w.generation_id is null) as lost,
                      count(*) filter (where g.cost > 0 and not debited) as undebited,
                      count(*) filter (where g.cost > 0 and g.status in ('failed', 'canceled') and not refunded) as unrefunded,
                      count(*) filter (where g.status in ('open', 'succeeded') and refunded) as overrefunded
               from generations g
               left join work w on w.generation_id = g.id and w.state <> 'closing'
               cross join lateral (
                   select exists (select from credit_entries where generation_id = g.id and kind = 'debit' limit 1) as debited,
                          exists (select from credit_entries where generation_id = g.id and kind = 'refund' limit 1) as refunded) paid
               where g.account_id = a.id) g
           where a.id = $1"#,
        id
    )
    .fetch_optional(&ledger.pool)
    .await?;
    let Some(books) = books else { return Ok(Vec::new()) };
    let pairs = [
        ("granted credits", books.granted, "their entries", books.granted_entries),
        ("purchased credits", books.purchased, "their entries", books.purchased_entries),
        ("reserved by open generations", books.reserved, "by live work", books.live * domain::credits::COST),
    ];
    let counts = [
        ("open generations without live work", books.lost),
        ("generations that cost and have no debit", books.undebited),
        ("generations that ended without a result and have no refund", books.unrefunded),
        ("generations that were refunded and did not fail", books.overrefunded),
    ];
    let unequal = pairs
        .into_iter()
        .filter(|(_, left, _, right)| left != right)
        .map(|(left, is, right, but)| format!("{left}: {is}, {right}: {but}"));
    let wrong = counts.into_iter().filter(|(_, count)| *count != 0).map(|(what, count)| format!("{what}: {count}"));
    Ok(unequal.chain(wrong).collect())
}
