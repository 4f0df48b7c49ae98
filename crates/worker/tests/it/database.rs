//! A database of the test's own on the server of `TEST_DATABASE_URL`, migrated, and dropped at its end.

use production::{Ledger, Settings};
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// The address of a server that a test needs.
#[expect(clippy::disallowed_methods, reason = "tests take the servers' addresses from the environment")]
pub(crate) fn server(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run ./scripts/test, which finds or starts the servers"))
}

pub(crate) struct Database {
    name: String,
    url: SecretString,
}

impl Database {
    pub(crate) async fn create() -> Self {
        let name = format!("son1k_worker_{:016x}", rand::random::<u64>());
        let mut admin = PgConnection::connect(&server("TEST_DATABASE_URL")).await.unwrap();
        admin.execute(AssertSqlSafe(format!("create database {name}"))).await.unwrap();
        let options = PgConnectOptions::from_str(&server("TEST_DATABASE_URL")).unwrap().database(&name);
        let url = SecretString::from(options.to_url_lossy().to_string());
        production::migrate(&url).await.unwrap();
        Self { name, url }
    }

    pub(crate) async fn ledger(&self) -> Arc<Ledger> {
        let tiers = domain::tier::Tiers::default();
        let settings = Settings { database_url: self.url.clone(), pool_min: 1, pool_max: 8, tiers };
        // What a busy machine may take to give a connection.
        Ledger::configured(settings, Duration::from_secs(8)).await.unwrap()
    }

    /// A connection beside the ledger's.
    pub(crate) async fn connection(&self) -> PgConnection {
        PgConnection::connect(self.url.expose_secret()).await.unwrap()
    }

    pub(crate) async fn drop(self) {
        let mut admin = PgConnection::connect(&server("TEST_DATABASE_URL")).await.unwrap();
        admin.execute(AssertSqlSafe(format!("drop database {} with (force)", self.name))).await.unwrap();
    }
}
