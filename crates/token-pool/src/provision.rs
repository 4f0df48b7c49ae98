//! Asks the operator's provisioner for tokens while fewer than the minimum are usable: for as many as are wanting, never past the maximum,
//! and less and less often while that brings nothing.

use crate::admin::IMPORT_MAX;
use crate::intake::Origin;
use crate::pool::Pool;
use domain::ports::TokenSource;
use domain::ports::token_source::SourceError;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use uuid::Uuid;

/// Over the adapter's own deadlines.
const ASK_DEADLINE: Duration = Duration::from_secs(30);
/// Of the source's interval, doubled with each failure.
const PAUSE_MOST: u32 = 64;

/// A request whose answer has not been taken in yet: it is repeated, so that nothing that was made for it is wasted.
#[derive(Clone, Copy)]
struct Pending {
    count: u32,
    request: Uuid,
}

impl Pool {
    pub(crate) async fn keep_provisioned(&self) {
        let Some(source) = self.settings.sources.provisioner.clone() else { return };
        let (mut pending, mut pause) = (None, 1);
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = tokio::time::sleep(self.settings.source_interval * pause) => {}
            }
            let brought = tokio::select! {
                () = self.shutdown.cancelled() => return,
                brought = self.ask(&source, &mut pending) => brought,
            };
            pause = if brought { 1 } else { (pause * 2).min(PAUSE_MOST) };
        }
    }

    /// `false`: it should have brought tokens and did not.
    async fn ask(&self, source: &Arc<dyn TokenSource>, pending: &mut Option<Pending>) -> bool {
        let Some((low_by, room)) = self.wanting() else {
            *pending = None;
            return true;
        };
        let count = low_by.min(room).min(u32::try_from(IMPORT_MAX).unwrap_or(u32::MAX));
        if count == 0 {
            *pending = None;
            return true;
        }
        let Pending { count, request } = *pending.get_or_insert_with(|| Pending {
            count,
            request: uuid::Builder::from_random_bytes(rand::random()).into_uuid(),
        });
        tracing::info!(count, %request, "asking the provisioner for tokens");
        let obtained = timeout(ASK_DEADLINE, source.obtain(count, request)).await;
        let mut tokens = match obtained.unwrap_or_else(|_| Err(SourceError::Unavailable("no answer in time".into()))) {
            Ok(tokens) => tokens,
            Err(error) => {
                self.metrics.source_failed(Origin::Provisioner);
                tracing::warn!(%error, "no tokens from the provisioner; it will be asked again");
                return false;
            }
        };
        if tokens.len() > count as usize {
            tracing::warn!(
                count,
                given = tokens.len(),
                "the provisioner gave more than it was asked for; the rest is left"
            );
            tokens.truncate(count as usize);
        }
        match self.take_in_from(Origin::Provisioner, tokens).await {
            Ok(taken) => {
                *pending = None;
                taken.imported > 0
            }
            Err(refused) => {
                self.metrics.source_failed(Origin::Provisioner);
                tracing::warn!(
                    ?refused,
                    "the provisioner's tokens could not be taken in; it will be asked for the same again"
                );
                false
            }
        }
    }
}
