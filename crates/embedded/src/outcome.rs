//! How a statement's failure becomes the port's error. Nothing here retries: whoever asked decides.

use domain::ports::StoreError;

/// A failed statement on its way to the port. It exists so that `?` works on both sides.
#[derive(Debug)]
pub(crate) struct Unwell(pub(crate) StoreError);

pub(crate) type Outcome<T> = Result<T, Unwell>;

impl Unwell {
    /// A stored word, moment or row that cannot be.
    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self(StoreError::Corrupt(what.into()))
    }
}

impl From<Unwell> for StoreError {
    fn from(unwell: Unwell) -> Self {
        unwell.0
    }
}

/// SQLite's primary result codes that no waiting cures: error, corrupt, constraint, mismatch, not a database.
const INCURABLE: [i32; 5] = [1, 11, 19, 20, 26];

impl From<sqlx::Error> for Unwell {
    fn from(error: sqlx::Error) -> Self {
        let text = error.to_string();
        Self(match &error {
            sqlx::Error::Database(database) => {
                // The extended code's last byte is the primary one.
                let code = database.code().and_then(|code| code.parse::<i32>().ok()).map_or(1, |code| code & 0xff);
                if INCURABLE.contains(&code) { StoreError::Corrupt(text) } else { StoreError::Unavailable(text) }
            }
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => StoreError::Unavailable(text),
            _ => StoreError::Corrupt(text),
        })
    }
}
