//! The ledger on PostgreSQL keeps the contract.

use crate::database::Database;
use conformance::Fixture;
use domain::ports::{Accounts, Generations, LedgerClock, Tokens, Work};
use production::Ledger;
use std::sync::Arc;

/// The ports of one ledger.
pub(crate) fn ports(ledger: &Arc<Ledger>) -> Fixture {
    Fixture {
        accounts: Arc::clone(ledger) as Arc<dyn Accounts>,
        generations: Arc::clone(ledger) as Arc<dyn Generations>,
        work: Arc::clone(ledger) as Arc<dyn Work>,
        tokens: Arc::clone(ledger) as Arc<dyn Tokens>,
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
