//! Poison: a generation that was being submitted when its worker died, and again when the next one did, is suspected to be the reason.
//!
//! Of those a worker submits one at a time, so that a death is counted against the one that was there and not against its neighbours as
//! well. The others of a claim go back before that one begins; others take them, or this worker does a little later.

use crate::incarnation::Incarnation;
use crate::settle::Write;
use crate::step::STORE_LIMIT;
use domain::ports::work::{Applied, Claimed, PutBack};
use domain::retry::CRASHES_SUSPECT;
use domain::token::LeaseOutcome;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Those that go back come again spread over this.
const AGAIN: Duration = Duration::from_secs(2);

/// The one place for a suspect.
#[derive(Clone, Default)]
pub(crate) struct Place(Arc<AtomicBool>);

/// Held from the claim to the upstream's answer; free again when dropped.
pub(crate) struct Suspect(Place);

impl Place {
    fn take(&self) -> Option<Suspect> {
        (!self.0.swap(true, Ordering::Relaxed)).then(|| Suspect(self.clone()))
    }
}

impl Drop for Suspect {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Relaxed);
    }
}

/// What of a claim is begun: all that nothing is suspected of, and one suspect where there is none yet.
pub(crate) struct Sifted {
    pub(crate) begun: Vec<(Claimed, Option<Suspect>)>,
    /// Whether what is not begun has left this worker's name.
    pub(crate) certain: bool,
}

pub(crate) async fn one_at_a_time(inc: &Incarnation, claimed: Vec<Claimed>) -> Sifted {
    let (mut begun, mut back) = (Vec::with_capacity(claimed.len()), Vec::new());
    for claimed in claimed {
        if claimed.crashes < CRASHES_SUSPECT {
            begun.push((claimed, None));
        } else if let Some(place) = inc.suspect.take() {
            begun.push((claimed, Some(place)));
        } else {
            back.push(claimed);
        }
    }
    let certain = back.is_empty() || hand_back(inc, &back).await;
    if !certain {
        // They are still in this worker's name: the suspect may not begin beside them, and the next comparison puts all of them back.
        inc.doubt.store(true, Ordering::Relaxed);
        begun.retain(|(_, suspect)| suspect.is_none());
    }
    Sifted { begun, certain }
}

/// Written at once, and not by the writer: until it is, their fate is tied to the suspect's.
async fn hand_back(inc: &Incarnation, claimed: &[Claimed]) -> bool {
    let item = |claimed: &Claimed| PutBack {
        held: claimed.held,
        after: AGAIN.mul_f64(0.5 + rand::random::<f64>()),
        uses_attempt: false,
        error: None,
        in_doubt: None,
    };
    let items: Vec<_> = claimed.iter().map(item).collect();
    let written = tokio::time::timeout(STORE_LIMIT, inc.backends.work.put_back(inc.id, &items)).await;
    let Ok(Ok(applied)) = written else {
        tracing::warn!(count = claimed.len(), "suspects were not handed back; the next comparison does");
        return false;
    };
    for (claimed, applied) in claimed.iter().zip(applied) {
        if applied == Applied::Closing {
            // Canceled meanwhile, and never submitted: there is nobody to tell.
            inc.write(Write::Closed(claimed.held, LeaseOutcome::Abandoned)).await;
        }
    }
    true
}
