//! `son1k migrate`: brings the database up to date. One migrator at a time; the others wait and find nothing to do.

use crate::launch::say;
use anyhow::Context;
use bootstrap::Settings;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

/// Migrates, or stops without harm when it is told to.
///
/// # Errors
/// A database that is out of reach, or a migration that fails.
pub async fn migrate(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    let database = settings.database.context("DATABASE_URL is missing")?;
    let migrated = shutdown.run_until_cancelled(production::migrate(&database.url)).await;
    let migrated = migrated.context("interrupted: run it again")??;
    if migrated.from == migrated.to {
        say(&format!("the database is up to date (version {})", migrated.to));
    } else {
        say(&format!("migrated from version {} to {}", migrated.from, migrated.to));
    }
    Ok(())
}

/// For the all-in-one process, which has nobody else to do it.
pub(crate) async fn bring_up_to_date(database_url: &SecretString) -> anyhow::Result<()> {
    let migrated = production::migrate(database_url).await.context("DATABASE_URL")?;
    if migrated.from != migrated.to {
        tracing::info!(from = migrated.from, to = migrated.to, "the database was migrated");
    }
    Ok(())
}
