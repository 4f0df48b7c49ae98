//! What is wrong with the settings, in one line each: which one, what it says, what is allowed. Never a secret's value.

/// A process that meets one of these stops at its start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// `shown` is the value as a quoted text, or a word in its place when the setting is secret.
    #[error("{name}={shown} is not allowed: {allowed}")]
    Invalid { name: String, shown: String, allowed: String },
    #[error("{name} is missing: {needed}")]
    Missing { name: String, needed: String },
    /// Two settings that do not go together.
    #[error("{0}")]
    Conflict(String),
    /// A settings file that cannot be used.
    #[error("{file}: {problem}")]
    File { file: String, problem: String },
    /// The folder of made secrets cannot be used.
    #[error("DATA_DIR={folder:?} cannot keep the secrets: {problem}")]
    DataDir { folder: String, problem: String },
}

/// A text made fit for one line: quoted, control characters escaped, cut after 80 characters.
pub(super) fn shown(text: &str) -> String {
    let mut cut: String = text.chars().take(80).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    format!("{cut:?}")
}
