//! Every lease that live work names: the token's use, whoever holds it.

use crate::Ledger;
use crate::outcome::Outcome;
use domain::ids::{LeaseId, TokenId, WorkerId};
use domain::token::NamedLease;
use uuid::Uuid;

pub(super) async fn leases(ledger: &Ledger) -> Outcome<Vec<NamedLease>> {
    let rows = sqlx::query!(
        r#"select w.lease_id as "lease_id!: Uuid", w.token_id as "token_id!: Uuid", o.id as "owner?: Uuid"
        from work w left join workers o on o.id = w.owner and o.state = 'alive'
        where w.owner is not null"#
    )
    .fetch_all(ledger.read())
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
