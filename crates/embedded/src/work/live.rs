//! A row of live work, and the two questions that every fenced write asks first: is it still this worker's, and may this happen now?

use crate::outcome::Outcome;
use crate::stored::{number, word};
use domain::ids::{AccountId, GenerationId, LeaseId, TokenId, WorkerId};
use domain::lease::{Held, LeaseRef};
use domain::ports::work::Applied;
use domain::state::{Happening, Next, WorkState, transition};
use domain::tier::Tier;
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

/// As stored. See [`Live`].
pub(crate) struct LiveRow {
    pub(crate) generation_id: Uuid,
    pub(crate) account_id: Uuid,
    pub(crate) tier: String,
    pub(crate) state: String,
    pub(crate) attempts: i64,
    pub(crate) crashes: i64,
    pub(crate) fence: i64,
    pub(crate) owner: Option<Uuid>,
    pub(crate) lease_id: Option<Uuid>,
    pub(crate) token_id: Option<Uuid>,
    pub(crate) upstream_id: Option<String>,
    pub(crate) deadline: i64,
    pub(crate) claimed_at: Option<i64>,
    pub(crate) created_at: i64,
    pub(crate) started_at: Option<i64>,
    pub(crate) rendering_at: Option<i64>,
    pub(crate) version: i64,
    pub(crate) started_version: Option<i64>,
    pub(crate) rendering_version: Option<i64>,
}

/// Live work. Moments stay as stored: they are only copied.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub(crate) id: GenerationId,
    pub(crate) account_id: AccountId,
    pub(crate) tier: Tier,
    pub(crate) state: WorkState,
    pub(crate) attempts: u32,
    pub(crate) crashes: u32,
    pub(crate) fence: i64,
    pub(crate) owner: Option<WorkerId>,
    pub(crate) lease: Option<LeaseRef>,
    pub(crate) upstream_id: Option<String>,
    pub(crate) deadline: i64,
    pub(crate) claimed_at: Option<i64>,
    pub(crate) created_at: i64,
    pub(crate) started_at: Option<i64>,
    pub(crate) rendering_at: Option<i64>,
    pub(crate) version: u32,
    pub(crate) started_version: Option<i64>,
    pub(crate) rendering_version: Option<i64>,
}

impl LiveRow {
    pub(crate) fn live(self) -> Outcome<Live> {
        let lease = self.lease_id.zip(self.token_id).map(|(lease, token)| LeaseRef {
            lease_id: LeaseId::from_uuid(lease),
            token_id: TokenId::from_uuid(token),
        });
        Ok(Live {
            id: GenerationId::from_uuid(self.generation_id),
            account_id: AccountId::from_uuid(self.account_id),
            tier: word(Tier::parse, &self.tier)?,
            state: word(WorkState::parse, &self.state)?,
            attempts: number(self.attempts)?,
            crashes: number(self.crashes)?,
            fence: self.fence,
            owner: self.owner.map(WorkerId::from_uuid),
            lease,
            upstream_id: self.upstream_id,
            deadline: self.deadline,
            claimed_at: self.claimed_at,
            created_at: self.created_at,
            started_at: self.started_at,
            rendering_at: self.rendering_at,
            version: number(self.version)?,
            started_version: self.started_version,
            rendering_version: self.rendering_version,
        })
    }
}

/// A checked query of [`LiveRow`]s with the given rest, from its `where` on.
macro_rules! live {
    ($rest:tt $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            crate::work::live::LiveRow,
            r#"select generation_id as "generation_id: Uuid", account_id as "account_id: Uuid", tier, state, attempts, crashes,
                fence, owner as "owner: Uuid", lease_id as "lease_id: Uuid", token_id as "token_id: Uuid", upstream_id, deadline,
                claimed_at, created_at, started_at, rendering_at, version, started_version, rendering_version
            from work "# + $rest
            $(, $argument)*
        )
    };
}
pub(crate) use live;

/// The live work of a generation, whoever owns it.
pub(crate) async fn of(connection: &mut SqliteConnection, id: GenerationId) -> Outcome<Option<Live>> {
    let id = id.uuid();
    let row = live!("where generation_id = ?", id).fetch_optional(connection).await?;
    row.map(LiveRow::live).transpose()
}

/// What this worker holds under this fence and what becomes of it, or why nothing does.
pub(crate) async fn owned(
    connection: &mut SqliteConnection,
    worker: WorkerId,
    held: Held,
    happening: Happening,
) -> Outcome<Result<(Live, Next), Applied>> {
    let (id, owner, fence) = (held.id.uuid(), worker.uuid(), held.fence.0);
    let row = live!("where generation_id = ? and owner = ? and fence = ?", id, owner, fence)
        .fetch_optional(connection)
        .await?;
    let Some(live) = row.map(LiveRow::live).transpose()? else { return Ok(Err(Applied::Stale)) };
    if live.state == WorkState::Closing {
        return Ok(Err(Applied::Closing));
    }
    Ok(transition(live.state, happening).map(|next| (live, next)).ok_or(Applied::Stale))
}

/// Whether this worker's own lease stands: alive and not over, by the ledger's clock.
pub(crate) async fn is_alive(connection: &mut SqliteConnection, worker: WorkerId, now: i64) -> Outcome<bool> {
    let worker = worker.uuid();
    let row = sqlx::query_scalar!(
        r#"select 1 as "one!: i64" from workers where id = ? and state = 'alive' and expires_at > ?"#,
        worker,
        now
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.is_some())
}
