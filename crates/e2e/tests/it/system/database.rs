//! A database of the test's own on the server of `TEST_DATABASE_URL`, dropped with it.

use sqlx::{Connection, PgConnection};
use std::time::Duration;

/// The address of a server that a test needs.
#[expect(clippy::disallowed_methods, reason = "tests take the servers' addresses from the environment")]
pub(crate) fn server(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run ./scripts/test, which finds or starts the servers"))
}

pub(crate) struct Database {
    pub url: String,
    name: String,
}

impl Database {
    pub(crate) async fn create() -> Self {
        let name = format!("son1k_e2e_{:016x}", rand::random::<u64>());
        let server = server("TEST_DATABASE_URL");
        execute(&server, format!("create database {name}")).await;
        let (address, query) = match server.split_once('?') {
            Some((address, query)) => (address, format!("?{query}")),
            None => (server.as_str(), String::new()),
        };
        let authority = address.find("://").map_or(0, |at| at + 3);
        let base = address[authority..].find('/').map_or(address, |at| &address[..authority + at]);
        Self { url: format!("{base}/{name}{query}"), name }
    }

    pub(crate) async fn drop(self) {
        execute(&server("TEST_DATABASE_URL"), format!("drop database if exists {} with (force)", self.name)).await;
    }
}

async fn execute(url: &str, statement: String) {
    let work = async {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    };
    tokio::time::timeout(Duration::from_secs(60), work).await.unwrap();
}
