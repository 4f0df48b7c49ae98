//! The one writer of token states: takes what changed off the hot path and writes it under the epoch, in the order of ids, as often as
//! it takes. A token that changes again before it is written is written once.

use crate::pool::Pool;
use crate::refused::Refused;
use crate::state::Unsaved;
use domain::ids::TokenId;
use domain::ports::StoreError;
use domain::ports::tokens::{Epoch, Guarded};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

const WRITE_DEADLINE: Duration = Duration::from_secs(2);
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long an operator's call waits for its change to be stored.
const SAVED_WAIT: Duration = Duration::from_millis(1_500);

impl Pool {
    pub(crate) async fn keep_saved(&self) {
        let mut pause = PAUSE_MIN;
        loop {
            match self.save_next().await {
                Ok(true) => pause = PAUSE_MIN,
                Ok(false) => tokio::select! {
                    () = self.shutdown.cancelled() => return,
                    () = self.unsaved.notified() => {}
                },
                Err(error) => {
                    tracing::warn!(%error, "a token's state could not be stored; it will be tried again");
                    tokio::select! {
                        () = self.shutdown.cancelled() => return,
                        () = tokio::time::sleep(pause) => {}
                    }
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// `false`: nothing to write, or not the leader.
    async fn save_next(&self) -> Result<bool, StoreError> {
        let (epoch, token, what) = {
            let mut state = self.state();
            let Ok(epoch) = state.leading() else { return Ok(false) };
            let Some((token, what)) = state.unsaved.pop_first() else { return Ok(false) };
            (epoch, token, what)
        };
        let written = timeout(WRITE_DEADLINE, self.save(epoch, token, what))
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("storing a token's state took too long".into())));
        match written {
            Ok(Guarded::Done | Guarded::NotFound) => {
                let mut state = self.state();
                // What changed meanwhile is written next; its waiters wait for that.
                if !state.unsaved.contains_key(&token) {
                    for waiter in state.saved.remove(&token).unwrap_or_default() {
                        let _gone = waiter.send(());
                    }
                }
                Ok(true)
            }
            Ok(Guarded::StaleEpoch) => {
                tracing::warn!(epoch = epoch.0, "another leader has taken over");
                self.step_down("");
                Ok(false)
            }
            Err(error) => {
                self.state().unsaved.entry(token).or_insert(what);
                Err(error)
            }
        }
    }

    async fn save(&self, epoch: Epoch, token: TokenId, what: Unsaved) -> Result<Guarded, StoreError> {
        match what {
            Unsaved::Deletion => self.store.delete(epoch, token).await,
            Unsaved::State => {
                let row = self.state().book.health(token).map(|health| health.row());
                let Some((state, until, reason)) = row else { return Ok(Guarded::NotFound) };
                self.store.set_state(epoch, token, state, until, reason).await
            }
        }
    }

    /// Has `what` written, and waits for it.
    pub(crate) async fn saved(&self, token: TokenId, what: Unsaved) -> Result<(), Refused> {
        let stored = {
            let mut state = self.state();
            state.unsaved.insert(token, what);
            let (sender, stored) = oneshot::channel();
            state.saved.entry(token).or_default().push(sender);
            stored
        };
        self.unsaved.notify_one();
        match timeout(SAVED_WAIT, stored).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Refused::Unwritten),
        }
    }
}
