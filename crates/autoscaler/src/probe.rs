//! `/readyz`: what the controller said last, to the leader: whoever follows asks it nothing. Asking the platform for each probe would spend its rate limit.

use async_trait::async_trait;
use domain::ports::Probe;
use std::sync::{Mutex, PoisonError};

/// Degrades the autoscaler and never stops it: while its platform is away, the number of workers stays.
#[derive(Debug, Default)]
pub struct ControllerProbe {
    failure: Mutex<Option<String>>,
}

impl ControllerProbe {
    pub(crate) fn tell(&self, failure: Option<String>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }
}

#[async_trait]
impl Probe for ControllerProbe {
    fn name(&self) -> &'static str {
        "controller"
    }

    fn vital(&self) -> bool {
        false
    }

    async fn check(&self) -> Result<(), String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }
}
