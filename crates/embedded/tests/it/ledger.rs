//! The stories that every ledger tells, on a folder of its own.

use conformance::Fixture;
use conformance::months::Past;
use domain::ids::AccountId;
use domain::tier::Tiers;
use embedded::{Ledger, Settings};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use std::sync::Arc;
use tempfile::TempDir;

pub(crate) async fn opened(folder: &TempDir) -> Arc<Ledger> {
    let settings = Settings { data_dir: folder.path().join("data"), tiers: Tiers::default() };
    Ledger::open(settings).await.unwrap()
}

pub(crate) fn fixture(ledger: &Arc<Ledger>) -> Fixture {
    Fixture {
        accounts: ledger.clone(),
        operators: ledger.clone(),
        generations: ledger.clone(),
        work: ledger.clone(),
        tokens: ledger.clone(),
        scaling: ledger.clone(),
        clock: ledger.clone(),
    }
}

async fn fresh() -> (Fixture, impl Future<Output = ()>) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = opened(&folder).await;
    let fixture = fixture(&ledger);
    (fixture, async move {
        ledger.close().await;
        drop(folder);
    })
}

conformance::ledger_suite!(crate::ledger::fresh());
conformance::months_suite!(crate::ledger::fresh_with_a_past());

async fn fresh_with_a_past() -> (Fixture, File, impl Future<Output = ()>) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = opened(&folder).await;
    let file = File(folder.path().join("data/ledger.sqlite"));
    (fixture(&ledger), file, async move {
        ledger.close().await;
        drop(folder);
    })
}

/// The database behind the ledger's back.
struct File(std::path::PathBuf);

#[async_trait::async_trait]
impl Past for File {
    async fn a_month_passes(&self, account: AccountId) {
        let mut connection = SqliteConnectOptions::new().filename(&self.0).connect().await.unwrap();
        for statement in [
            "update accounts set month = 202001 where id = ?",
            "update generations set month = 202001 where account_id = ? and month > 0",
        ] {
            sqlx::query(statement).bind(account.uuid()).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
    }
}
