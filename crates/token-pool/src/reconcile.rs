//! The ledger's work rows are the leases. The leader reads them every few seconds, and when somebody needs to know more exactly, and
//! brings its book in line.

use crate::pool::Pool;
use crate::state::Role;
use domain::ports::StoreError;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Fifty thousand rows of three ids; a ledger that takes longer is unwell.
const READ_DEADLINE: Duration = Duration::from_secs(5);
/// Between two readings that somebody asked for.
const READ_PAUSE: Duration = Duration::from_millis(100);

impl Pool {
    pub(crate) async fn keep_reconciled(&self) {
        loop {
            let due = self.state().settling().unwrap_or(self.settings.reconcile_interval);
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = tokio::time::sleep(due) => {}
                () = self.read_now.notified() => tokio::time::sleep(READ_PAUSE).await,
            }
            // Until the wait is over, counting is too early; a leadership that begins has set it anew.
            if self.state().settling().is_some_and(|left| !left.is_zero()) {
                continue;
            }
            if let Err(error) = self.reconcile().await {
                tracing::warn!(%error, "the leases could not be read from the ledger");
                tokio::time::sleep(READ_PAUSE).await;
            }
        }
    }

    /// Reads the tokens that an import in doubt may have left.
    async fn catch_up(&self) -> Result<(), StoreError> {
        let epoch = {
            let state = self.state();
            if !state.behind {
                return Ok(());
            }
            state.book_epoch
        };
        let read = timeout(READ_DEADLINE, self.store.load()).await;
        let records =
            read.unwrap_or_else(|_| Err(StoreError::Unavailable("reading the tokens took too long".into())))?;
        let mut state = self.state();
        if state.book_epoch == epoch {
            let now = self.now(&mut state);
            self.admit_unknown(&mut state, records, now);
        }
        Ok(())
    }

    /// One reading. A leader that was settling grants from then on.
    pub(crate) async fn reconcile(&self) -> Result<(), StoreError> {
        self.catch_up().await?;
        let begun = Instant::now();
        let (epoch, ticket) = {
            let mut state = self.state();
            let Ok(epoch) = state.leading() else { return Ok(()) };
            let now = self.now(&mut state);
            (epoch, state.book.reading_begins(now))
        };
        let read = timeout(READ_DEADLINE, self.store.leases()).await;
        let named = read.unwrap_or_else(|_| Err(StoreError::Unavailable("reading the leases took too long".into())))?;
        {
            let mut state = self.state();
            if state.leading().ok() != Some(epoch) {
                return Ok(());
            }
            let now = self.now(&mut state);
            let Some(done) = state.book.reading_ends(ticket, &named, now) else { return Ok(()) };
            for token in &done.changed {
                state.owe(*token);
            }
            if done.lapsed > 0 || done.added > 0 {
                tracing::debug!(added = done.added, gone = done.gone, lapsed = done.lapsed, "leases reconciled");
            }
            if let Role::Leader { settles, .. } = &mut state.role {
                *settles = None;
            }
            state.serve_waiters(now);
        }
        self.unsaved.notify_one();
        self.changed.notify_one();
        self.reads.send_replace(Some(begun));
        self.serving.send_replace(true);
        Ok(())
    }
}
