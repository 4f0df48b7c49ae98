//! The heartbeats of gateways, on a folder of its own.

use domain::ports::Gateways;
use std::sync::Arc;

async fn fresh() -> (Arc<dyn Gateways>, impl Future<Output = ()>) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = crate::ledger::opened(&folder).await;
    (ledger.clone(), async move {
        ledger.close().await;
        drop(folder);
    })
}

conformance::gateways_suite!(fresh());
