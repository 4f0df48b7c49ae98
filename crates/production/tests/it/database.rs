//! A database of its own for each test, copied from a template that is migrated once for each version of the schema.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use futures::future::BoxFuture;
use production::{Ledger, Settings};
use secrecy::SecretString;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// What a busy machine may take to give a connection. A call as a whole has ten seconds.
pub(crate) const PATIENT: Duration = Duration::from_secs(8);
/// Whoever makes the template holds this lock on the server.
const TEMPLATE_LOCK: i64 = 0x5017_1a5d_c0de_7e57;

#[expect(clippy::disallowed_methods, reason = "tests find their servers by the environment")]
pub(crate) fn admin_url() -> String {
    std::env::var("TEST_DATABASE_URL").expect("TEST_DATABASE_URL is not set; run the tests with ./scripts/test")
}

async fn admin() -> PgConnection {
    PgConnection::connect(&admin_url()).await.expect("TEST_DATABASE_URL does not lead to a PostgreSQL server")
}

/// The admin URL with another database in its place.
fn url_of(name: &str) -> SecretString {
    let options = PgConnectOptions::from_str(&admin_url()).unwrap().database(name);
    options.to_url_lossy().to_string().into()
}

fn template() -> String {
    let mut hasher = DefaultHasher::new();
    for migration in sqlx::migrate!("../../migrations/postgres").iter() {
        migration.checksum.hash(&mut hasher);
    }
    format!("son1k_template_{:016x}", hasher.finish())
}

/// One test's database.
pub(crate) struct Database {
    name: String,
    pub(crate) url: SecretString,
}

impl Database {
    /// Migrated and empty.
    pub(crate) async fn fresh() -> Self {
        let (mut admin, template) = (admin().await, template());
        sqlx::query("select pg_advisory_lock($1)").bind(TEMPLATE_LOCK).execute(&mut admin).await.unwrap();
        let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(&template)
            .fetch_one(&mut admin)
            .await
            .unwrap();
        if !exists {
            // Under another name until it is whole: a run that was killed half way leaves nothing that looks finished.
            let half = format!("{template}_half");
            admin.execute(AssertSqlSafe(format!("drop database if exists {half} with (force)"))).await.unwrap();
            admin.execute(AssertSqlSafe(format!("create database {half}"))).await.unwrap();
            production::migrate(&url_of(&half)).await.unwrap();
            admin.execute(AssertSqlSafe(format!("alter database {half} rename to {template}"))).await.unwrap();
        }
        sqlx::query("select pg_advisory_unlock($1)").bind(TEMPLATE_LOCK).execute(&mut admin).await.unwrap();
        Self::create(admin, &format!("template {template}")).await
    }

    /// Without a table in it.
    pub(crate) async fn empty() -> Self {
        Self::create(admin().await, "").await
    }

    async fn create(mut admin: PgConnection, how: &str) -> Self {
        let name = format!("son1k_test_{:016x}", rand::random::<u64>());
        admin.execute(AssertSqlSafe(format!("create database {name} {how}"))).await.unwrap();
        admin.close().await.unwrap();
        Self { url: url_of(&name), name }
    }

    pub(crate) async fn ledger(&self) -> Arc<Ledger> {
        Ledger::configured(self.settings(), PATIENT).await.unwrap()
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings { database_url: self.url.clone(), pool_min: 0, pool_max: 8, tiers: domain::tier::Tiers::default() }
    }

    /// A connection beside the ledger's.
    pub(crate) async fn connection(&self) -> PgConnection {
        use secrecy::ExposeSecret;
        PgConnection::connect(self.url.expose_secret()).await.unwrap()
    }

    pub(crate) fn drop(self) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let drop = format!("drop database {} with (force)", self.name);
            admin().await.execute(AssertSqlSafe(drop)).await.unwrap();
        })
    }
}
