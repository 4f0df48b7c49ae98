//! Submissions accepted in batches: the accounts locked, what deciding needs read in a fresh snapshot, the domain asked, everything written at
//! once. Five round trips, however many submissions.
//!
//! The port has one answer for the whole batch, so a batch with one item that cannot be decided (an account that somebody holds locked, a
//! damaged row) fails as one and changes nothing: whoever batched it halves it.

use super::show;
use crate::books::{self, Entries, Purses};
use crate::failure::Failure;
use crate::ledger::{Ledger, commit};
use crate::rows::{integer, trace_id, waiting_on};
use domain::Timestamp;
use domain::admission::{Acceptance, Decision, Read, Submission, Tag, UsedKey, decide};
use domain::generation::Generation;
use domain::ids::{AccountId, GenerationId};
use domain::ports::StoreError;
use domain::ports::generations::Submitted;
use domain::request::GenerationRequest;
use domain::state::{Stage, Status, WorkState};
use sqlx::PgConnection;
use sqlx::types::Json;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Tries of a batch of one account that somebody holds locked. One of several is rather halved than tried again: its neighbours wait meanwhile.
const TRIES: u32 = 4;

pub(super) async fn submit(ledger: &Ledger, batch: &[Submission]) -> Result<Vec<Submitted>, StoreError> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let tries = if is_of_one_account(batch) { TRIES } else { 1 };
    let answers = ledger.write_trying(tries, || accept(ledger, batch)).await?;
    answer(ledger, answers).await
}

fn is_of_one_account(batch: &[Submission]) -> bool {
    batch.iter().all(|item| item.account_id == batch[0].account_id)
}

/// What became of one item, before the records that it only points to are read.
enum Answer {
    New(Box<Generation>),
    Read { id: GenerationId, replayed: bool },
    Refused(Submitted),
}

/// One transaction: either all that is decided is written, or nothing.
async fn accept(ledger: &Ledger, batch: &[Submission]) -> Result<Vec<Answer>, Failure> {
    let mut transaction = ledger.begin().await?;
    let mut accounts: Vec<_> = batch.iter().map(|item| item.account_id.uuid()).collect();
    accounts.sort_unstable();
    accounts.dedup();
    let locked = books::lock(&mut transaction, &accounts).await?;
    let mut seen = look(&mut transaction, batch, &accounts).await?;
    let before: HashMap<_, _> = locked.accounts.iter().map(|(id, standing)| (*id, standing.purse)).collect();
    for (id, standing) in locked.accounts {
        let last_tag = seen.tags.get(&id).copied();
        seen.read.accounts.insert(id, domain::admission::Standing { last_tag, ..standing });
    }
    let decisions = decide(seen.now, &ledger.tiers, &mut seen.read, batch);
    let mut writes = Writes::default();
    for (id, standing) in &seen.read.accounts {
        if before.get(id) != Some(&standing.purse) {
            writes.purses.push(*id, &standing.purse);
        }
    }
    let answers = batch
        .iter()
        .zip(decisions)
        .map(|(item, decision)| match decision {
            Decision::Accept(acceptance) => {
                writes.push(seen.now, item, &acceptance);
                Answer::New(Box::new(accepted(&seen, item, &acceptance)))
            }
            Decision::AlreadyAccepted => Answer::Read { id: item.id, replayed: false },
            Decision::Replay(id) => Answer::Read { id, replayed: true },
            Decision::KeyReused => Answer::Refused(Submitted::KeyReused),
            Decision::CreditsExhausted => Answer::Refused(Submitted::CreditsExhausted),
            Decision::QuotaExhausted { used, limit, resets_at } => {
                Answer::Refused(Submitted::QuotaExhausted { used, limit, resets_at })
            }
            Decision::AccountSuspended => Answer::Refused(Submitted::AccountSuspended),
            Decision::AccountUnknown => Answer::Refused(Submitted::AccountUnknown),
        })
        .collect();
    if writes.ids.is_empty() {
        transaction.rollback().await?;
    } else {
        writes.run(&mut transaction).await?;
        commit(transaction).await?;
    }
    Ok(answers)
}

/// What deciding needs, and what an answer says besides.
struct Seen {
    now: Timestamp,
    paused: bool,
    dry: bool,
    tags: HashMap<AccountId, Tag>,
    read: Read,
}

/// Reads under the locks, in a statement of its own: the snapshot of the one that waited for them may be older than they are.
async fn look(connection: &mut PgConnection, batch: &[Submission], accounts: &[Uuid]) -> Result<Seen, Failure> {
    let ids: Vec<_> = batch.iter().map(|item| item.id.uuid()).collect();
    let (key_accounts, keys): (Vec<_>, Vec<_>) = batch
        .iter()
        .filter_map(|item| item.idempotency.as_ref().map(|key| (item.account_id.uuid(), key.key.clone())))
        .unzip();
    // A key whose generation retention has removed has nothing left to replay. Each key is looked up by itself: by age there are a day's.
    let row = sqlx::query!(
        r#"select now() as "now!", s.paused, coalesce(s.dry_until > now(), false) as "dry!",
                  greatest(s.greatest_tag,
                           coalesce((select tag from work where state = 'ready' order by tag, generation_id limit 1), 0)) as "virtual_now!",
                  array(select id from generations where id = any($1)) as "existing!",
                  k.account as "key_account!", k.key as "key!", k.fingerprint as "fingerprint!: Vec<Vec<u8>>", k.generation as "key_generation!",
                  t.account as "tag_account!", t.tag as "tag!"
           from scheduler s
           cross join (
               select coalesce(array_agg(i.account_id), '{}') as account, coalesce(array_agg(i.key), '{}') as key,
                      coalesce(array_agg(i.fingerprint), '{}') as fingerprint, coalesce(array_agg(i.generation_id), '{}') as generation
               from unnest($2::uuid[], $3::text[]) as wanted (account_id, key)
               cross join lateral (
                   select * from idempotency_keys where account_id = wanted.account_id and key = wanted.key limit 1) i
               where i.created_at > now() - interval '24 hours' and exists (select from generations g where g.id = i.generation_id)) k
           cross join (
               select coalesce(array_agg(a.id), '{}') as account, coalesce(array_agg(l.tag), '{}') as tag
               from unnest($4::uuid[]) as a (id)
               cross join lateral (
                   select max(tag) as tag from work where account_id = a.id and state in ('ready', 'backoff')) l
               where l.tag is not null) t
           where s.one"#,
        &ids,
        &key_accounts,
        &keys,
        accounts,
    )
    .fetch_one(connection)
    .await?;
    let mut used_keys = HashMap::with_capacity(row.key.len());
    for (((account, key), fingerprint), generation) in
        row.key_account.into_iter().zip(row.key).zip(row.fingerprint).zip(row.key_generation)
    {
        let fingerprint = fingerprint.try_into().map_err(|_| Failure::corrupt("a fingerprint that is not 32 bytes"))?;
        let used = UsedKey { fingerprint, generation_id: GenerationId::from_uuid(generation) };
        used_keys.insert((AccountId::from_uuid(account), key), used);
    }
    Ok(Seen {
        now: row.now,
        paused: row.paused,
        dry: row.dry,
        tags: row.tag_account.into_iter().map(AccountId::from_uuid).zip(row.tag.into_iter().map(Tag)).collect(),
        read: Read {
            accounts: HashMap::new(),
            used_keys,
            existing: row.existing.into_iter().map(GenerationId::from_uuid).collect::<HashSet<_>>(),
            virtual_now: Tag(row.virtual_now),
        },
    })
}

/// The record as it will be written.
fn accepted(seen: &Seen, item: &Submission, acceptance: &Acceptance) -> Generation {
    Generation {
        id: item.id,
        account_id: item.account_id,
        tier: acceptance.tier,
        request: item.request.clone(),
        status: Status::Queued,
        stage: Some(Stage::Backlog),
        waiting_on: waiting_on(WorkState::Ready, seen.paused, seen.dry),
        attempts: 0,
        cost: acceptance.cost,
        output: None,
        error: None,
        created_at: seen.now,
        started_at: None,
        rendering_at: None,
        finished_at: None,
        cancel_after: acceptance.deadline,
        version: 1,
        started_version: None,
        rendering_version: None,
        retry_of: item.retry_of,
        trace_id: trace_id(item.trace.as_deref()),
    }
}

/// All that a batch writes, a column a list.
#[derive(Default)]
struct Writes<'a> {
    ids: Vec<Uuid>,
    accounts: Vec<Uuid>,
    tiers: Vec<String>,
    requests: Vec<Json<&'a GenerationRequest>>,
    costs: Vec<i64>,
    buckets: Vec<Option<String>>,
    months: Vec<i32>,
    deadlines: Vec<Timestamp>,
    retries_of: Vec<Option<Uuid>>,
    traces: Vec<Option<String>>,
    tags: Vec<i64>,
    shares: Vec<i32>,
    purses: Purses,
    entries: Entries,
    key_accounts: Vec<Uuid>,
    keys: Vec<String>,
    fingerprints: Vec<Vec<u8>>,
    key_generations: Vec<Uuid>,
}

impl<'a> Writes<'a> {
    fn push(&mut self, now: Timestamp, item: &'a Submission, acceptance: &Acceptance) {
        self.ids.push(item.id.uuid());
        self.accounts.push(item.account_id.uuid());
        self.tiers.push(acceptance.tier.name().to_owned());
        self.requests.push(Json(&item.request));
        self.costs.push(acceptance.cost);
        self.buckets.push(acceptance.bucket.map(|bucket| bucket.name().to_owned()));
        self.months.push(acceptance.month.0);
        self.deadlines.push(acceptance.deadline);
        self.retries_of.push(item.retry_of.map(GenerationId::uuid));
        self.traces.push(item.trace.clone());
        self.tags.push(acceptance.tag.0);
        self.shares.push(integer(acceptance.share));
        for movement in &acceptance.movements {
            let of = matches!(movement.kind, domain::credits::EntryKind::Debit).then_some(item.id);
            self.entries.push(now, item.account_id, of, *movement);
        }
        if let Some(key) = &item.idempotency {
            self.key_accounts.push(item.account_id.uuid());
            self.keys.push(key.key.clone());
            self.fingerprints.push(key.fingerprint.to_vec());
            self.key_generations.push(item.id.uuid());
        }
    }

    /// One statement. A key that is there already is over 24 hours old: a younger one was replayed.
    async fn run(self, connection: &mut PgConnection) -> Result<(), Failure> {
        let (purses, entries) = (self.purses, self.entries.in_order());
        sqlx::query!(
            r#"with accepted as materialized (
                   select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::jsonb[], $5::bigint[], $6::text[], $7::int[],
                                        $8::timestamptz[], $9::uuid[], $10::text[], $11::bigint[], $12::int[])
                       as a (id, account_id, tier, request, cost, bucket, month, deadline, retry_of, trace, tag, share)
               ), records as (
                   insert into generations (id, account_id, tier, request, cost, bucket, month, created_at, cancel_after, retry_of, trace)
                   select id, account_id, tier, request, cost, bucket, month, now(), deadline, retry_of, trace from accepted
               ), live as (
                   insert into work (generation_id, account_id, tier, tag, share, run_after, deadline, created_at)
                   select id, account_id, tier, tag, share, now(), deadline, now() from accepted
               ), purses as (
                   update accounts a
                   set granted = p.granted, purchased = p.purchased, month = p.month, granted_in_month = p.granted_in_month, used = p.used
                   from unnest($13::uuid[], $14::bigint[], $15::bigint[], $16::int[], $17::bigint[], $18::bigint[])
                        as p (id, granted, purchased, month, granted_in_month, used)
                   where a.id = p.id
               ), entries as (
                   insert into credit_entries (id, account_id, kind, bucket, amount, generation_id)
                   select * from unnest($19::uuid[], $20::uuid[], $21::text[], $22::text[], $23::bigint[], $24::uuid[])
               )
               insert into idempotency_keys (account_id, key, fingerprint, generation_id, created_at)
               select account_id, key, fingerprint, generation_id, now()
               from unnest($25::uuid[], $26::text[], $27::bytea[], $28::uuid[]) as k (account_id, key, fingerprint, generation_id)
               order by account_id, key
               on conflict (account_id, key) do update
               set fingerprint = excluded.fingerprint, generation_id = excluded.generation_id, created_at = excluded.created_at"#,
            &self.ids,
            &self.accounts,
            &self.tiers,
            &self.requests as &[Json<&GenerationRequest>],
            &self.costs,
            &self.buckets as &[Option<String>],
            &self.months,
            &self.deadlines,
            &self.retries_of as &[Option<Uuid>],
            &self.traces as &[Option<String>],
            &self.tags,
            &self.shares,
            &purses.account,
            &purses.granted,
            &purses.purchased,
            &purses.month,
            &purses.granted_in_month,
            &purses.used,
            &entries.id,
            &entries.account,
            &entries.kind,
            &entries.bucket,
            &entries.amount,
            &entries.generation as &[Option<Uuid>],
            &self.key_accounts,
            &self.keys,
            &self.fingerprints,
            &self.key_generations,
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// Reads the records that replays and repeats point to, in one statement after the commit.
async fn answer(ledger: &Ledger, answers: Vec<Answer>) -> Result<Vec<Submitted>, StoreError> {
    let ids: Vec<_> = answers
        .iter()
        .filter_map(|answer| match answer {
            Answer::Read { id, .. } => Some(*id),
            _ => None,
        })
        .collect();
    let found = if ids.is_empty() { Vec::new() } else { ledger.read(|| show::many(ledger, &ids)).await? };
    let found: HashMap<_, _> = found.into_iter().map(|generation| (generation.id, generation)).collect();
    let answers = answers.into_iter().map(|answer| match answer {
        Answer::New(generation) => Ok(Submitted::Accepted(generation)),
        Answer::Refused(refusal) => Ok(refusal),
        Answer::Read { id, replayed } => {
            let generation = found
                .get(&id)
                .cloned()
                .map(Box::new)
                .ok_or_else(|| Failure::corrupt(format_args!("{id} was accepted and is not there")))?;
            Ok(if replayed { Submitted::Replayed(generation) } else { Submitted::Accepted(generation) })
        }
    });
    answers.collect::<Result<_, Failure>>().map_err(StoreError::from)
}
