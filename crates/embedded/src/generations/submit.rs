//! Accepting a batch: read what deciding takes, let `domain::admission` decide, write the outcome, all in one transaction.

use crate::Ledger;
use crate::accounts::purse;
use crate::generations::show;
use crate::open::commit;
use crate::outcome::{Outcome, Unwell};
use crate::stored::{bytes, earlier, id_list, micros, to_json};
use domain::Timestamp;
use domain::admission::{Acceptance, Decision, Read, Submission, Tag, UsedKey, decide};
use domain::credits::Bucket;
use domain::generation::Generation;
use domain::ids::{AccountId, GenerationId};
use domain::ports::generations::Submitted;
use sqlx::sqlite::SqliteConnection;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use uuid::Uuid;

/// How long an idempotency key is kept.
const KEYS_HOLD: Duration = Duration::from_secs(24 * 3_600);

pub(super) async fn submit(ledger: &Ledger, batch: &[Submission]) -> Outcome<Vec<Submitted>> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let (mut transaction, now) = ledger.write().await?;
    let mut read = read(&mut transaction, now, batch).await?;
    let decisions = decide(now, &ledger.tiers, &mut read, batch);
    let mut charged = BTreeSet::new();
    for (item, decision) in batch.iter().zip(&decisions) {
        if let Decision::Accept(acceptance) = decision {
            write(&mut transaction, now, item, acceptance).await?;
            charged.insert(item.account_id);
        }
    }
    for id in charged {
        if let Some(standing) = read.accounts.get(&id) {
            purse::store(&mut transaction, id, &standing.purse).await?;
        }
    }
    let told: Vec<_> = batch.iter().zip(&decisions).filter_map(|(item, decision)| told(item, decision)).collect();
    let seen = show::find_many(ledger, &mut transaction, &told).await?;
    commit(transaction).await?;
    let seen: HashMap<_, _> = seen.into_iter().map(|generation| (generation.id, generation)).collect();
    batch.iter().zip(&decisions).map(|(item, decision)| answer(item, decision, &seen)).collect()
}

async fn read(connection: &mut SqliteConnection, now: Timestamp, batch: &[Submission]) -> Outcome<Read> {
    let mut read = Read::default();
    let ids = id_list(batch.iter().map(|item| item.id.uuid()))?;
    let existing = sqlx::query_scalar!(
        r#"select id as "id: Uuid" from generations where id in (select unhex(value) from json_each(?))"#,
        ids
    )
    .fetch_all(&mut *connection)
    .await?;
    read.existing = existing.into_iter().map(GenerationId::from_uuid).collect();
    let virtual_now = sqlx::query_scalar!(
        r#"select max(greatest_tag, coalesce((select min(tag) from work where state = 'ready'), 0)) as "now!: i64"
        from scheduler"#
    )
    .fetch_one(&mut *connection)
    .await?;
    read.virtual_now = Tag(virtual_now);
    for id in batch.iter().map(|item| item.account_id).collect::<BTreeSet<_>>() {
        let Some(mut standing) = purse::load(connection, id).await? else { continue };
        standing.last_tag = last_tag(connection, id).await?;
        read.accounts.insert(id, standing);
    }
    let since = earlier(now, KEYS_HOLD);
    for item in batch {
        let Some(key) = &item.idempotency else { continue };
        let account = item.account_id.uuid();
        let used = sqlx::query!(
            r#"select fingerprint, generation_id as "generation_id: Uuid" from idempotency_keys k
            where account_id = ? and key = ? and created_at > ?
                and exists (select 1 from generations g where g.id = k.generation_id)"#,
            account,
            key.key,
            since
        )
        .fetch_optional(&mut *connection)
        .await?;
        if let Some(used) = used {
            let generation_id = GenerationId::from_uuid(used.generation_id);
            let used = UsedKey { fingerprint: bytes(&used.fingerprint)?, generation_id };
            read.used_keys.insert((item.account_id, key.key.clone()), used);
        }
    }
    Ok(read)
}

/// The greatest tag among the account's waiting work.
async fn last_tag(connection: &mut SqliteConnection, id: AccountId) -> Outcome<Option<Tag>> {
    let id = id.uuid();
    let tag = sqlx::query_scalar!(
        "select tag from work where account_id = ? and state in ('ready', 'backoff') order by tag desc limit 1",
        id
    )
    .fetch_optional(connection)
    .await?;
    Ok(tag.map(Tag))
}

async fn write(
    connection: &mut SqliteConnection,
    now: Timestamp,
    item: &Submission,
    acceptance: &Acceptance,
) -> Outcome<()> {
    let (id, account, tier) = (item.id.uuid(), item.account_id.uuid(), acceptance.tier.name());
    let (request, bucket) = (to_json(&item.request)?, acceptance.bucket.map(Bucket::name));
    let (at, deadline) = (micros(now), micros(acceptance.deadline));
    let retry_of = item.retry_of.map(GenerationId::uuid);
    sqlx::query!(
        "insert into generations
            (id, account_id, tier, request, cost, bucket, month, created_at, cancel_after, retry_of, trace)
        values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        id,
        account,
        tier,
        request,
        acceptance.cost,
        bucket,
        acceptance.month.0,
        at,
        deadline,
        retry_of,
        item.trace
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into work (generation_id, account_id, tier, tag, share, run_after, deadline, created_at)
        values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6)",
        id,
        account,
        tier,
        acceptance.tag.0,
        acceptance.share,
        at,
        deadline
    )
    .execute(&mut *connection)
    .await?;
    purse::record(connection, now, item.account_id, Some(item.id), &acceptance.movements).await?;
    if let Some(key) = &item.idempotency {
        // A key that is older than its 24 hours, or whose result is gone, is used anew.
        let fingerprint = key.fingerprint.as_slice();
        sqlx::query!(
            "insert into idempotency_keys (account_id, key, fingerprint, generation_id, created_at) values (?, ?, ?, ?, ?)
            on conflict (account_id, key) do update set
                fingerprint = excluded.fingerprint,
                generation_id = excluded.generation_id,
                created_at = excluded.created_at",
            account,
            key.key,
            fingerprint,
            id,
            at
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// The generation that the answer shows.
const fn told(item: &Submission, decision: &Decision) -> Option<GenerationId> {
    match decision {
        Decision::Accept(_) | Decision::AlreadyAccepted => Some(item.id),
        Decision::Replay(id) => Some(*id),
        _ => None,
    }
}

fn answer(item: &Submission, decision: &Decision, seen: &HashMap<GenerationId, Generation>) -> Outcome<Submitted> {
    let show = |id: GenerationId| {
        let generation = seen.get(&id).ok_or_else(|| Unwell::corrupt("an accepted generation is not on record"))?;
        Ok::<_, Unwell>(Box::new(generation.clone()))
    };
    Ok(match decision {
        Decision::Accept(_) | Decision::AlreadyAccepted => Submitted::Accepted(show(item.id)?),
        Decision::Replay(id) => Submitted::Replayed(show(*id)?),
        Decision::KeyReused => Submitted::KeyReused,
        Decision::CreditsExhausted => Submitted::CreditsExhausted,
        Decision::QuotaExhausted { used, limit, resets_at } => {
            Submitted::QuotaExhausted { used: *used, limit: *limit, resets_at: *resets_at }
        }
        Decision::AccountSuspended => Submitted::AccountSuspended,
        Decision::AccountUnknown => Submitted::AccountUnknown,
    })
}
