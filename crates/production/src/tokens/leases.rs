//! The leases that live work names: the ledger keeps no other record of them.

use crate::failure::Failure;
use crate::ledger::Ledger;
use domain::ids::{LeaseId, TokenId, WorkerId};
use domain::token::NamedLease;

/// By the index of owned work, so that a backlog costs nothing. A dead worker's are nobody's until they are adopted.
pub(super) async fn leases(ledger: &Ledger) -> Result<Vec<NamedLease>, Failure> {
    let rows = sqlx::query!(
        r#"select w.lease_id as "lease_id!", w.token_id as "token_id!",
                  case when o.state = 'alive' then w.owner end as owner
           from work w left join workers o on o.id = w.owner
           where w.owner is not null"#
    )
    .fetch_all(&ledger.pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| NamedLease {
            lease_id: LeaseId::from_uuid(row.lease_id),
            token_id: TokenId::from_uuid(row.token_id),
            owner: row.owner.map(WorkerId::from_uuid),
        })
        .collect())
}
