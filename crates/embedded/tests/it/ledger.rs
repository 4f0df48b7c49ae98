//! The stories that every ledger tells, on a folder of its own.

use conformance::Fixture;
use conformance::months::Past;
use domain::Timestamp;
use domain::ids::AccountId;
use domain::page::{Page, PageRequest};
use domain::ports::generations::{GenerationFilter, LOOKED_AT_MOST, Scope};
use domain::tier::{Tier, Tiers};
use embedded::{Ledger, Settings};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use std::sync::Arc;
use std::time::Duration;
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

/// What is older than the filter's bound is not looked at, and so is no reason to go on below it.
#[tokio::test]
async fn a_page_by_time_ends_with_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = opened(&folder).await;
    let at = fixture(&ledger);
    let customer = at.customer(Tier::Pro).await;
    customer.submit().await;
    let file = folder.path().join("data/ledger.sqlite");
    let mut connection = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    let old = "insert into generations (id, account_id, tier, request, status, cost, month, output, created_at, finished_at, cancel_after)
        with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n <= ?2)
        select unhex(printf('%032x', n)), ?1, 'free', '{}', 'succeeded', 0, 202001, '{}', n, n, n from numbers";
    let old = sqlx::query(old).bind(customer.id.uuid()).bind(i64::from(LOOKED_AT_MOST));
    old.execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let list = async |scope, tier, created_after: Option<Timestamp>| {
        let filter = GenerationFilter { tier: Some(tier), created_after, ..GenerationFilter::default() };
        at.generations.list(scope, &filter, PageRequest { limit: 10, after: None }).await.unwrap()
    };
    let yesterday = Some(at.now() - Duration::from_secs(86_400));
    for scope in [Scope::Everyone, Scope::Account(customer.id)] {
        assert_eq!(list(scope, Tier::Enterprise, yesterday).await, Page { items: Vec::new(), next: None });
        let found = list(scope, Tier::Pro, yesterday).await;
        assert_eq!((found.items.len(), found.next), (1, None));
        assert!(list(scope, Tier::Enterprise, None).await.next.is_some(), "without a bound there is more to look at");
    }
    ledger.close().await;
}
