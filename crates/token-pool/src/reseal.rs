//! Rotation of the encryption keys on a live system: the leader seals anew, by the first key, what another one sealed, a few rows at a
//! time.
//!
//! Each row is one write under the epoch and opens before it and after it, so this may be killed at any moment; the next leader goes on
//! with what is left. Leases do not notice: secrets in memory stay as they are. A secret that does not open stays as it is too.

use crate::pool::Pool;
use domain::ids::TokenId;
use domain::ports::StoreError;
use domain::ports::tokens::{Epoch, Guarded};
use secrecy::SecretString;
use std::time::Duration;
use tokio::time::timeout;

const STEP: usize = 20;
/// Between two looks where there is nothing to do.
const LOOK: Duration = Duration::from_secs(1);
const WRITE_DEADLINE: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_secs(5);

enum Step {
    /// Not the leader, or everything is sealed by the first key.
    Nothing,
    Some,
    /// The last of them.
    Finished,
}

impl Pool {
    pub(crate) async fn keep_resealed(&self) {
        let mut failing = self.settings.reseal_pause;
        loop {
            let pause = match self.reseal_some().await {
                Ok(step) => {
                    failing = self.settings.reseal_pause;
                    match step {
                        Step::Nothing => LOOK,
                        Step::Some => self.settings.reseal_pause,
                        Step::Finished => {
                            tracing::info!(
                                key = self.settings.keys.first_id(),
                                left = self.sealed_by_others(),
                                "every token that opens is sealed by the first encryption key"
                            );
                            LOOK
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a secret could not be sealed anew; it will be tried again");
                    failing = (failing * 2).clamp(self.settings.reseal_pause, PAUSE_MAX);
                    failing
                }
            };
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// How many rows another key than the first has sealed; those that do not open are among them.
    pub(crate) fn sealed_by_others(&self) -> usize {
        let first = self.settings.keys.first_id();
        self.state().cards.values().filter(|card| card.key_id != first).count()
    }

    async fn reseal_some(&self) -> Result<Step, StoreError> {
        let Some((epoch, some)) = self.to_reseal() else { return Ok(Step::Nothing) };
        for (token, secret) in some {
            if !self.reseal(epoch, token, &secret).await? {
                return Ok(Step::Nothing);
            }
        }
        Ok(if self.to_reseal().is_some() { Step::Some } else { Step::Finished })
    }

    fn to_reseal(&self) -> Option<(Epoch, Vec<(TokenId, SecretString)>)> {
        let first = self.settings.keys.first_id();
        let state = self.state();
        let epoch = state.leading().ok()?;
        let others = state.cards.iter().filter(|(_, card)| card.key_id != first);
        let some: Vec<_> = others.filter_map(|(id, card)| Some((*id, card.secret.clone()?))).take(STEP).collect();
        (!some.is_empty()).then_some((epoch, some))
    }

    /// `false`: no longer the leader.
    async fn reseal(&self, epoch: Epoch, token: TokenId, secret: &SecretString) -> Result<bool, StoreError> {
        let sealed = self.settings.keys.seal(token, secret);
        let sealed = sealed.map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let written = timeout(WRITE_DEADLINE, self.store.reseal(epoch, token, sealed)).await;
        match written.unwrap_or_else(|_| Err(StoreError::Unavailable("sealing anew took too long".into())))? {
            // One that is gone needs no sealing.
            Guarded::Done | Guarded::NotFound => {
                if let Some(card) = self.state().cards.get_mut(&token) {
                    card.key_id = self.settings.keys.first_id().to_owned();
                }
                Ok(true)
            }
            Guarded::StaleEpoch => {
                tracing::warn!(epoch = epoch.0, "another leader has taken over");
                self.step_down("");
                Ok(false)
            }
        }
    }
}
