//! Submissions accepted in batches: what deciding needs is read in one snapshot, the domain asked, and everything written at once. Two round
//! trips and one short transaction, however many submissions.
//!
//! Nobody is locked while it is decided. The statement that writes locks the accounts, and writes only where each of them is the row that was
//! read: every acceptance writes its account's row anew, so whatever was accepted, refunded or changed meanwhile shows. A batch that met somebody
//! is decided again under locks, and so are those of the next second: several gateways that serve the same accounts then wait for
//! each other instead of repeating themselves.
//!
//! The port has one answer for the whole batch, so a batch with one item that cannot be decided (an account that somebody holds locked, a
//! damaged row) fails as one and changes nothing: whoever batched it halves it.

use super::look::{Seen, look};
use super::show;
use crate::books::{self, Entries, Purses};
use crate::failure::Failure;
use crate::ledger::{Ledger, commit, inside};
use crate::rows::{integer, trace_id, waiting_on};
use domain::Timestamp;
use domain::admission::{Acceptance, Decision, Submission, decide};
use domain::generation::Generation;
use domain::ids::GenerationId;
use domain::ports::StoreError;
use domain::ports::generations::Submitted;
use domain::request::GenerationRequest;
use domain::state::{Stage, Status, WorkState};
use domain::tier::Tiers;
use sqlx::PgConnection;
use sqlx::types::Json;
use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Tries of a batch of one account that somebody holds locked. One of several is rather halved than tried again: its neighbours wait meanwhile.
const TRIES: u32 = 4;
/// How long batches are decided under locks after one had met somebody.
const CROWDED_FOR: Duration = Duration::from_secs(1);

pub(super) async fn submit(ledger: &Ledger, batch: &[Submission]) -> Result<Vec<Submitted>, StoreError> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let mut accounts: Vec<_> = batch.iter().map(|item| item.account_id.uuid()).collect();
    accounts.sort_unstable();
    accounts.dedup();
    let tries = if accounts.len() == 1 { TRIES } else { 1 };
    let answers = ledger.write_trying(tries, || accept(ledger, batch, &accounts)).await?;
    let written =
        answers.iter().any(|answer| !matches!(answer, Answer::Refused(_) | Answer::Read { replayed: true, .. }));
    answer(ledger, answers).await.map_err(|error| match error {
        // Something is in the ledger: nobody may be told that nothing is.
        StoreError::Unavailable(text) if written => StoreError::InDoubt(text),
        other => other,
    })
}

/// Whether others accept submissions of the same accounts: when a batch last met one that did.
#[derive(Default)]
pub(crate) struct Crowd(Mutex<Option<Instant>>);

impl Crowd {
    fn is_near(&self) -> bool {
        inside(&self.0).is_some_and(|met| met.elapsed() < CROWDED_FOR)
    }

    fn met(&self) {
        *inside(&self.0) = Some(Instant::now());
    }
}

/// What became of one item, before the records that it only points to are read.
enum Answer {
    New(Box<Generation>),
    Read { id: GenerationId, replayed: bool },
    Refused(Submitted),
}

/// Either all that is decided is written, or nothing.
async fn accept(ledger: &Ledger, batch: &[Submission], accounts: &[Uuid]) -> Result<Vec<Answer>, Failure> {
    if !ledger.crowd.is_near() {
        let mut connection = ledger.connection().await?;
        let seen = look(&mut connection, batch, accounts).await?;
        let (answers, writes) = decided(seen, &ledger.tiers, batch);
        if writes.run(&mut connection, Failure::unconfirmed).await? {
            return Ok(answers);
        }
        ledger.crowd.met();
    }
    let mut transaction = ledger.begin().await?;
    books::lock(&mut transaction, accounts).await?;
    // A statement of its own: the snapshot of the one that waited for the locks may be older than they are.
    let seen = look(&mut transaction, batch, accounts).await?;
    let (answers, writes) = decided(seen, &ledger.tiers, batch);
    if !writes.run(&mut transaction, Failure::from).await? {
        return Err(Failure::corrupt("an account changed under its lock"));
    }
    commit(transaction).await?;
    Ok(answers)
}

/// Asks the domain. What an acceptance leaves of its account's purse is written even where it is the same: the row is a new one then.
fn decided<'a>(mut seen: Seen, tiers: &Tiers, batch: &'a [Submission]) -> (Vec<Answer>, Writes<'a>) {
    let decisions = decide(seen.now, tiers, &mut seen.read, batch);
    let mut writes = Writes { now: seen.now, ..Writes::default() };
    let mut touched = BTreeSet::new();
    let answers = batch
        .iter()
        .zip(decisions)
        .map(|(item, decision)| match decision {
            Decision::Accept(acceptance) => {
                writes.push(item, &acceptance);
                touched.insert(item.account_id);
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
    for id in touched {
        if let (Some(standing), Some(row)) = (seen.read.accounts.get(&id), seen.rows.remove(&id)) {
            writes.purses.push(id, &standing.purse);
            writes.rows.push(row);
        }
    }
    (answers, writes)
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
    /// The moment of acceptance: that of the snapshot in which it was decided.
    now: Timestamp,
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
    /// Beside each purse: which row of its account was read.
    rows: Vec<String>,
    entries: Entries,
    key_accounts: Vec<Uuid>,
    keys: Vec<String>,
    fingerprints: Vec<Vec<u8>>,
    key_generations: Vec<Uuid>,
}

impl<'a> Writes<'a> {
    fn push(&mut self, item: &'a Submission, acceptance: &Acceptance) {
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
            self.entries.push(self.now, item.account_id, of, *movement);
        }
        if let Some(key) = &item.idempotency {
            self.key_accounts.push(item.account_id.uuid());
            self.keys.push(key.key.clone());
            self.fingerprints.push(key.fingerprint.to_vec());
            self.key_generations.push(item.id.uuid());
        }
    }

    /// One statement. `false`: an account is not the row that was read any more, and nothing was written. A key that is there already is over
    /// 24 hours old: a younger one was replayed.
    async fn run(self, connection: &mut PgConnection, failed: fn(sqlx::Error) -> Failure) -> Result<bool, Failure> {
        if self.ids.is_empty() {
            return Ok(true);
        }
        let (purses, entries) = (self.purses, self.entries.in_order());
        let unchanged = sqlx::query_scalar!(
            r#"with purses as materialized (
                   select * from unnest($13::uuid[], $14::text[], $15::bigint[], $16::bigint[], $17::int[], $18::bigint[], $19::bigint[])
                       as p (id, row, granted, purchased, month, granted_in_month, used)
               ), locked as materialized (
                   select a.id from accounts a join purses p on p.id = a.id
                   where a.xmin::text = p.row order by a.id for no key update of a
               ), unchanged as materialized (
                   select from locked having count(*) = cardinality($13::uuid[])
               ), accepted as materialized (
                   select a.* from unchanged
                   cross join unnest($1::uuid[], $2::uuid[], $3::text[], $4::jsonb[], $5::bigint[], $6::text[], $7::int[],
                                     $8::timestamptz[], $9::uuid[], $10::text[], $11::bigint[], $12::int[])
                       as a (id, account_id, tier, request, cost, bucket, month, deadline, retry_of, trace, tag, share)
               ), records as (
                   insert into generations (id, account_id, tier, request, cost, bucket, month, created_at, cancel_after, retry_of, trace)
                   select id, account_id, tier, request, cost, bucket, month, $20, deadline, retry_of, trace from accepted
               ), live as (
                   insert into work (generation_id, account_id, tier, tag, share, run_after, deadline, created_at)
                   select id, account_id, tier, tag, share, $20, deadline, $20 from accepted
               ), paid as (
                   update accounts a
                   set granted = p.granted, purchased = p.purchased, month = p.month, granted_in_month = p.granted_in_month, used = p.used
                   from unchanged cross join purses p
                   where a.id = p.id
               ), entries as (
                   insert into credit_entries (id, account_id, kind, bucket, amount, generation_id)
                   select e.* from unchanged cross join unnest($21::uuid[], $22::uuid[], $23::text[], $24::text[], $25::bigint[], $26::uuid[]) as e
               ), keys as (
                   insert into idempotency_keys (account_id, key, fingerprint, generation_id, created_at)
                   select k.account_id, k.key, k.fingerprint, k.generation_id, $20
                   from unchanged
                   cross join unnest($27::uuid[], $28::text[], $29::bytea[], $30::uuid[]) as k (account_id, key, fingerprint, generation_id)
                   order by k.account_id, k.key
                   on conflict (account_id, key) do update
                   set fingerprint = excluded.fingerprint, generation_id = excluded.generation_id, created_at = excluded.created_at
               )
               select exists (select from unchanged) as "unchanged!""#,
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
            &self.rows,
            &purses.granted,
            &purses.purchased,
            &purses.month,
            &purses.granted_in_month,
            &purses.used,
            self.now,
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
        .fetch_one(connection)
        .await
        .map_err(failed)?;
        Ok(unchanged)
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
