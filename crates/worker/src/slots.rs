//! Slots: how many submissions are in work at once. A slot is held from the claim to the upstream's answer, never by a render.

use prometheus::IntGaugeVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

pub(crate) struct Slots {
    total: usize,
    busy: AtomicUsize,
    freed: Arc<Notify>,
    gauge: IntGaugeVec,
}

/// One held slot; free again when dropped.
pub(crate) struct Slot(Arc<Slots>);

impl Slots {
    pub(crate) fn new(total: u32, freed: Arc<Notify>, gauge: IntGaugeVec) -> Self {
        let slots = Self { total: total as usize, busy: AtomicUsize::new(0), freed, gauge };
        slots.show(0);
        slots
    }

    pub(crate) fn total(&self) -> usize {
        self.total
    }

    pub(crate) fn busy(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    pub(crate) fn free(&self) -> usize {
        self.total.saturating_sub(self.busy())
    }

    /// Only the claim loop takes slots, after asking how many are free: so this needs no refusal.
    pub(crate) fn take(self: &Arc<Self>) -> Slot {
        self.show(self.busy.fetch_add(1, Ordering::Relaxed) + 1);
        Slot(self.clone())
    }

    fn show(&self, busy: usize) {
        let set = |state: &str, value: usize| {
            self.gauge.with_label_values(&[state]).set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set("busy", busy);
        set("free", self.total.saturating_sub(busy));
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.show(self.0.busy.fetch_sub(1, Ordering::Relaxed).saturating_sub(1));
        self.0.freed.notify_one();
    }
}
