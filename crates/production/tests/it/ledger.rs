//! The ledger on PostgreSQL keeps the contract.

use crate::database::Database;
use conformance::Fixture;
use conformance::months::Past;
use domain::ids::AccountId;
use domain::ports::{Accounts, Generations, LedgerClock, Operators, Scaling, Tokens, Work};
use production::Ledger;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{Connection, PgConnection};
use std::sync::Arc;

/// The ports of one ledger.
pub(crate) fn ports(ledger: &Arc<Ledger>) -> Fixture {
    Fixture {
        accounts: Arc::clone(ledger) as Arc<dyn Accounts>,
        operators: Arc::clone(ledger) as Arc<dyn Operators>,
        generations: Arc::clone(ledger) as Arc<dyn Generations>,
        work: Arc::clone(ledger) as Arc<dyn Work>,
        tokens: Arc::clone(ledger) as Arc<dyn Tokens>,
        scaling: Arc::clone(ledger) as Arc<dyn Scaling>,
        clock: Arc::clone(ledger) as Arc<dyn LedgerClock>,
    }
}

async fn fresh() -> (Fixture, impl Future<Output = ()>) {
    let database = Database::fresh().await;
    let ledger = database.ledger().await;
    let fixture = ports(&ledger);
    let cleanup = async move {
        ledger.close().await;
        database.drop().await;
    };
    (fixture, cleanup)
}

conformance::ledger_suite!(crate::ledger::fresh());
conformance::months_suite!(crate::ledger::fresh_with_a_past());

async fn fresh_with_a_past() -> (Fixture, Server, impl Future<Output = ()>) {
    let database = Database::fresh().await;
    let ledger = database.ledger().await;
    let server = Server(database.url.clone());
    let fixture = ports(&ledger);
    let cleanup = async move {
        ledger.close().await;
        database.drop().await;
    };
    (fixture, server, cleanup)
}

/// The database behind the ledger's back.
struct Server(SecretString);

#[async_trait::async_trait]
#[expect(clippy::unwrap_used, reason = "a story that cannot go on fails its test")]
impl Past for Server {
    async fn a_month_passes(&self, account: AccountId) {
        let mut connection = PgConnection::connect(self.0.expose_secret()).await.unwrap();
        for statement in [
            "update accounts set month = 202001 where id = $1",
            "update generations set month = 202001 where account_id = $1 and month > 0",
        ] {
            sqlx::query(statement).bind(account.uuid()).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
    }
}
