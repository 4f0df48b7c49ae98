//! What goes wrong between us and PostgreSQL, sorted by what a caller may do about it: repeat, wait, ask again, or report a bug.
//!
//! Texts are the server's own primary message and never its detail, which may repeat a row's values.

use domain::ports::StoreError;
use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// A deadlock, a serialization failure, a lock not given in time: nothing was changed, the same again may well pass.
    Contended(String),
    /// The connection broke before anything was committed.
    Lost(String),
    /// The store does not take this now: no connection free, a statement over its time, a full disk, a read-only standby.
    Unavailable(String),
    /// A commit was sent and its answer never came.
    InDoubt(String),
    /// An answer or a row that cannot be.
    Corrupt(String),
}

impl Failure {
    pub(crate) fn corrupt(what: impl fmt::Display) -> Self {
        Self::Corrupt(what.to_string())
    }

    /// Of a commit, or of a statement that commits by itself: where the answer is lost, so is the knowledge.
    pub(crate) fn unconfirmed(error: sqlx::Error) -> Self {
        match Self::from(error) {
            Self::Lost(text) => Self::InDoubt(text),
            other => other,
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(database) => {
                let (code, text) = (database.code().unwrap_or_default(), database.message().to_owned());
                match (&*code, code.get(..2)) {
                    ("40001" | "40P01" | "55P03", _) => Self::Contended(text),
                    ("57P01" | "57P02" | "57P03" | "25P03", _) | (_, Some("08")) => Self::Lost(text),
                    ("57014" | "25006", _) | (_, Some("53" | "58")) => Self::Unavailable(text),
                    _ => Self::Corrupt(format!("{text} (SQLSTATE {code})")),
                }
            }
            sqlx::Error::Io(error) => Self::Lost(error.to_string()),
            sqlx::Error::Tls(error) => Self::Lost(error.to_string()),
            sqlx::Error::Protocol(text) => Self::Lost(text),
            sqlx::Error::PoolTimedOut => Self::Unavailable("no connection was free in time".to_owned()),
            sqlx::Error::PoolClosed => Self::Unavailable("the ledger is closed".to_owned()),
            sqlx::Error::WorkerCrashed => Self::Lost("the connection's task ended".to_owned()),
            other => Self::Corrupt(other.to_string()),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Contended(text) | Failure::Lost(text) | Failure::Unavailable(text) => Self::Unavailable(text),
            Failure::InDoubt(text) => Self::InDoubt(text),
            Failure::Corrupt(text) => Self::Corrupt(text),
        }
    }
}
