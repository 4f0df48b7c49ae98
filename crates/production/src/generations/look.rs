//! What deciding on a batch of submissions needs, read in one snapshot; nobody is locked.

use crate::failure::Failure;
use crate::rows::word;
use domain::Timestamp;
use domain::account::{AccountStatus, Overrides};
use domain::admission::{Read, Standing, Submission, Tag, UsedKey};
use domain::credits::{Month, Purse};
use domain::ids::{AccountId, GenerationId};
use domain::tier::Tier;
use sqlx::PgConnection;
use sqlx::types::Json;
use std::collections::HashMap;
use uuid::Uuid;

/// What deciding needs, and what an answer says besides.
pub(super) struct Seen {
    pub(super) now: Timestamp,
    pub(super) paused: bool,
    pub(super) dry: bool,
    /// Which row of each account was read.
    pub(super) rows: HashMap<AccountId, String>,
    pub(super) read: Read,
}

/// Accounts, keys, tags and ids as of one moment.
pub(super) async fn look(
    connection: &mut PgConnection,
    batch: &[Submission],
    accounts: &[Uuid],
) -> Result<Seen, Failure> {
    let ids: Vec<_> = batch.iter().map(|item| item.id.uuid()).collect();
    let (key_accounts, keys): (Vec<_>, Vec<_>) = batch
        .iter()
        .filter_map(|item| item.idempotency.as_ref().map(|key| (item.account_id.uuid(), key.key.clone())))
        .unzip();
    // A key whose generation retention has removed has nothing left to replay. Each key is looked up by itself: by age there are a day's. What is not
    // of one account comes with the first.
    let rows = sqlx::query!(
        r#"with shared as materialized (
               select s.paused, coalesce(s.dry_until > now(), false) as dry,
                      greatest(s.greatest_tag,
                               coalesce((select tag from work where state = 'ready' order by tag, generation_id limit 1), 0)) as virtual_now,
                      array(select id from generations where id = any($1)) as existing, k.*
               from scheduler s
               cross join (
                   select coalesce(array_agg(i.account_id), '{}') as key_account, coalesce(array_agg(i.key), '{}') as key,
                          coalesce(array_agg(i.fingerprint), '{}') as fingerprint, coalesce(array_agg(i.generation_id), '{}') as generation
                   from unnest($2::uuid[], $3::text[]) as wanted (account_id, key)
                   cross join lateral (
                       select * from idempotency_keys where account_id = wanted.account_id and key = wanted.key limit 1) i
                   where i.created_at > now() - interval '24 hours' and exists (select from generations g where g.id = i.generation_id)) k
               where s.one
           )
           select now() as "now!", s.paused as "paused!", s.dry as "dry!", s.virtual_now as "virtual_now!",
                  case when a.first then s.existing else '{}' end as "existing!",
                  case when a.first then s.key_account else '{}' end as "key_account!", case when a.first then s.key else '{}' end as "key!",
                  case when a.first then s.fingerprint else '{}' end as "fingerprint!: Vec<Vec<u8>>",
                  case when a.first then s.generation else '{}' end as "key_generation!",
                  a.id as "id!", a.row as "row!", a.tier as "tier!", a.status as "status!", a.overrides as "overrides!: Json<Overrides>",
                  a.granted as "granted!", a.purchased as "purchased!", a.month as "month!", a.granted_in_month as "granted_in_month!",
                  a.used as "used!",
                  (select max(tag) from work where account_id = a.id and state in ('ready', 'backoff')) as last_tag
           from (select *, xmin::text as row, row_number() over () = 1 as first from accounts where id = any($4)) a
           cross join shared s"#,
        &ids,
        &key_accounts,
        &keys,
        accounts,
    )
    .fetch_all(connection)
    .await?;
    let mut seen =
        Seen { now: Timestamp::default(), paused: false, dry: false, rows: HashMap::new(), read: Read::default() };
    for row in rows {
        let id = AccountId::from_uuid(row.id);
        let purse = Purse {
            granted: row.granted,
            purchased: row.purchased,
            month: Month(row.month),
            granted_in_month: row.granted_in_month,
            used: row.used,
        };
        let standing = Standing {
            tier: word(Tier::parse, &row.tier, "tier")?,
            status: word(AccountStatus::parse, &row.status, "account status")?,
            overrides: row.overrides.0,
            purse,
            last_tag: row.last_tag.map(Tag),
        };
        seen.read.accounts.insert(id, standing);
        seen.rows.insert(id, row.row);
        (seen.now, seen.paused, seen.dry, seen.read.virtual_now) = (row.now, row.paused, row.dry, Tag(row.virtual_now));
        seen.read.existing.extend(row.existing.into_iter().map(GenerationId::from_uuid));
        for (((account, key), fingerprint), generation) in
            row.key_account.into_iter().zip(row.key).zip(row.fingerprint).zip(row.key_generation)
        {
            let fingerprint =
                fingerprint.try_into().map_err(|_| Failure::corrupt("a fingerprint that is not 32 bytes"))?;
            let used = UsedKey { fingerprint, generation_id: GenerationId::from_uuid(generation) };
            seen.read.used_keys.insert((AccountId::from_uuid(account), key), used);
        }
    }
    Ok(seen)
}
