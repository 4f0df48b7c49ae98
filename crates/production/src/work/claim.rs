//! The claim: the fairest due generations, one a lease, in one statement and one round trip. It waits for nobody: rows that others are
//! claiming are passed over.

use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::rows::{natural, word};
use domain::admission::Tag;
use domain::ids::{AccountId, GenerationId, LeaseId, TokenId, WorkerId};
use domain::lease::{Fence, Held, LeaseRef};
use domain::ports::work::Claimed;
use domain::request::GenerationRequest;
use domain::tier::Tier;
use sqlx::types::Json;
use std::collections::HashMap;
use uuid::Uuid;

/// The newest form of work that this binary knows.
const FORMAT: i16 = 1;

pub(super) async fn claim(ledger: &Ledger, worker: WorkerId, leases: &[LeaseRef]) -> Result<Vec<Claimed>, Failure> {
    let lease_ids: Vec<_> = leases.iter().map(|lease| lease.lease_id.uuid()).collect();
    let token_ids: Vec<_> = leases.iter().map(|lease| lease.token_id.uuid()).collect();
    let mut connection = ledger.connection().await?;
    // The record is fetched by a lateral probe with a limit, so that no estimate ever makes the planner read the whole table of records.
    let rows = sqlx::query!(
        r#"with due as materialized (
               select generation_id, tag from work
               where state = 'ready' and format <= $4 and deadline > now()
                 and exists (select from workers me join scheduler s on s.one
                             where me.id = $1 and me.state = 'alive' and me.expires_at > now() and not me.draining and not s.paused)
               order by tag, generation_id limit cardinality($2::uuid[]) for update skip locked
           ), paired as materialized (
               select p.generation_id, p.lease_id, p.token_id
               from (select array_agg(generation_id order by tag, generation_id) as ids from due) d
               cross join lateral unnest(d.ids, $2::uuid[], $3::uuid[]) as p (generation_id, lease_id, token_id)
               where p.generation_id is not null
               limit cardinality($2::uuid[])
           )
           update work w
           set state = 'submitting', owner = $1, fence = w.fence + 1, attempts = w.attempts + 1, version = w.version + 1,
               lease_id = p.lease_id, token_id = p.token_id, claimed_at = now(), started_at = coalesce(w.started_at, now()),
               started_version = coalesce(w.started_version, w.version + 1)
           from paired p
           cross join lateral (select request, trace from generations where id = p.generation_id limit 1) g
           where w.generation_id = p.generation_id
           returning w.generation_id, w.fence, w.account_id, w.tier, w.version, w.tag, w.lease_id as "lease_id!", w.token_id as "token_id!",
                     g.request as "request!: Json<GenerationRequest>", w.attempts, w.crashes, w.in_doubt, w.created_at, w.deadline, g.trace"#,
        worker.uuid(),
        &lease_ids,
        &token_ids,
        FORMAT,
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(Failure::unconfirmed)?;
    // `returning` has no order; the leases do.
    let place: HashMap<Uuid, usize> = lease_ids.iter().enumerate().map(|(place, id)| (*id, place)).collect();
    let mut claimed: Vec<_> = rows
        .into_iter()
        .map(|row| {
            Ok(Claimed {
                held: Held { id: GenerationId::from_uuid(row.generation_id), fence: Fence(row.fence) },
                account_id: AccountId::from_uuid(row.account_id),
                tier: word(Tier::parse, &row.tier, "tier")?,
                version: natural(row.version),
                tag: Tag(row.tag),
                lease: LeaseRef {
                    lease_id: LeaseId::from_uuid(row.lease_id),
                    token_id: TokenId::from_uuid(row.token_id),
                },
                request: row.request.0,
                attempts: natural(row.attempts),
                crashes: natural(row.crashes),
                in_doubt: row.in_doubt.map(TokenId::from_uuid),
                created_at: row.created_at,
                deadline: row.deadline,
                trace: row.trace,
            })
        })
        .collect::<Result<_, Failure>>()?;
    claimed.sort_by_key(|claimed| place.get(&claimed.lease.lease_id.uuid()).copied());
    Ok(claimed)
}
