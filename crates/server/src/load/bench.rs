//! What all profiles measure with: the gateways, the operator, the processes whose cost is asked for.

use super::processes::Watched;
use super::wire::Address;
use client::Client;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

pub(super) struct Bench {
    pub(super) addresses: Vec<Arc<Address>>,
    pub(super) operator: Client,
    pub(super) processes: Vec<Watched>,
    pub(super) shutdown: CancellationToken,
    left: Mutex<Vec<String>>,
}

impl Bench {
    /// `addresses`: one at least.
    pub(super) fn new(
        addresses: Vec<Arc<Address>>,
        operator: Client,
        processes: Vec<Watched>,
        shutdown: CancellationToken,
    ) -> Self {
        Self { addresses, operator, processes, shutdown, left: Mutex::default() }
    }

    /// The gateway that connection `number` goes to.
    pub(super) fn address(&self, number: usize) -> Option<Arc<Address>> {
        self.addresses.get(number % self.addresses.len().max(1)).cloned()
    }

    /// Something that stays when the load has gone.
    pub(super) fn leaves(&self, what: String) {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    pub(super) fn left(&self) -> Vec<String> {
        std::mem::take(&mut *self.left.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
