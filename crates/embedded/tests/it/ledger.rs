//! The stories that every ledger tells, on a folder of its own.

use conformance::Fixture;
use domain::tier::Tiers;
use embedded::{Ledger, Settings};
use std::sync::Arc;
use tempfile::TempDir;

pub(crate) async fn opened(folder: &TempDir) -> Arc<Ledger> {
    let settings = Settings { data_dir: folder.path().join("data"), tiers: Tiers::default() };
    Ledger::open(settings).await.unwrap()
}

pub(crate) fn fixture(ledger: &Arc<Ledger>) -> Fixture {
    Fixture {
        accounts: ledger.clone(),
        generations: ledger.clone(),
        work: ledger.clone(),
        tokens: ledger.clone(),
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
