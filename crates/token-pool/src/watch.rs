//! Watches the file or folder at `TOKEN_SOURCE_PATH`: the leader reads it every few seconds and takes in what it lists whenever that has
//! changed; and, while the pool is low, once more what found no room before.
//!
//! It only adds. A token that goes from the file stays in the pool until an operator deletes it.

use crate::intake::Origin;
use crate::listing::{self, Listing};
use crate::pool::Pool;
use domain::ports::token_source::SourceError;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A disk that takes longer is left to itself until the next look; it is never read twice at once.
const READ_DEADLINE: Duration = Duration::from_secs(5);

/// What is remembered between two looks.
#[derive(Default)]
struct Seen {
    /// Taken in already.
    digest: Option<[u8; 32]>,
    found_no_room: bool,
    reading: Option<JoinHandle<Result<Listing, SourceError>>>,
    /// The last complaint, so that each is made once.
    complaint: Option<SourceError>,
}

impl Pool {
    pub(crate) async fn keep_watching(&self) {
        let Some(path) = self.settings.sources.path.clone() else { return };
        let mut seen = Seen::default();
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = self.look(&path, &mut seen) => {}
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = tokio::time::sleep(self.settings.source_interval) => {}
            }
        }
    }

    async fn look(&self, path: &Path, seen: &mut Seen) {
        let Some((low_by, room)) = self.wanting() else {
            // Another leader may have read another state of it.
            seen.digest = None;
            return;
        };
        let listing = match read(path.to_owned(), seen).await {
            Ok(listing) => listing,
            Err(error) => {
                self.metrics.source_failed(Origin::File);
                if seen.complaint.as_ref() != Some(&error) {
                    tracing::warn!(%error, "TOKEN_SOURCE_PATH could not be read");
                    seen.complaint = Some(error);
                }
                return;
            }
        };
        seen.complaint = None;
        let changed = seen.digest != Some(listing.digest);
        let again = low_by > 0 && room > 0 && seen.found_no_room;
        if !changed && !again {
            return;
        }
        if changed && listing.faults > 0 {
            let (count, first) = (listing.faults, listing.places.join(", "));
            tracing::warn!(count, first, "lines of TOKEN_SOURCE_PATH are no tokens");
        }
        match self.take_in_from(Origin::File, listing.tokens).await {
            Ok(taken) => {
                seen.digest = Some(listing.digest);
                seen.found_no_room = taken.pool_full > 0;
            }
            Err(refused) => {
                self.metrics.source_failed(Origin::File);
                tracing::warn!(
                    ?refused,
                    "the tokens of TOKEN_SOURCE_PATH could not be taken in; they will be tried again"
                );
            }
        }
    }
}

async fn read(path: PathBuf, seen: &mut Seen) -> Result<Listing, SourceError> {
    let reading = seen.reading.get_or_insert_with(|| tokio::task::spawn_blocking(move || listing::read(&path)));
    let Ok(read) = timeout(READ_DEADLINE, reading).await else {
        return Err(SourceError::Unavailable("reading takes too long".into()));
    };
    seen.reading = None;
    read.unwrap_or_else(|_| Err(SourceError::Unavailable("reading broke off".into())))
}
