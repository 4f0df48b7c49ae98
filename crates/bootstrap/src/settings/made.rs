//! Secrets that a local mode makes for itself: made once, kept in `DATA_DIR/secrets`, readable by their owner alone.
//!
//! A file appears whole or not at all, and the first to make it wins: two processes that start at once read the same secret.

use super::error::SettingError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::api_key::{ApiKey, KeyLabel};
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

pub(super) fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("secrets")
}

pub(super) fn make_or_read(data_dir: &Path, name: &str) -> Result<String, SettingError> {
    match kept(data_dir, name)? {
        Some(text) => Ok(text),
        None => keep(data_dir, name, &fresh(name)),
    }
}

fn fresh(name: &str) -> String {
    let random: [u8; 32] = rand::random();
    match name {
        "token_encryption_keys" => format!("local:{}", STANDARD.encode(random)),
        "admin_api_key" | "system_api_key" => loop {
            let bytes: [u8; 64] = rand::random();
            if let Some(key) = ApiKey::generate(KeyLabel::Live, &bytes) {
                break key.reveal().to_owned();
            }
        },
        _ => STANDARD.encode(random),
    }
}

fn unusable(data_dir: &Path, error: &io::Error) -> SettingError {
    SettingError::DataDir { folder: data_dir.display().to_string(), problem: error.to_string() }
}

pub(super) fn kept(data_dir: &Path, name: &str) -> Result<Option<String>, SettingError> {
    match fs::read_to_string(folder(data_dir).join(name)) {
        Ok(text) if !text.trim().is_empty() => Ok(Some(text.trim().to_owned())),
        Ok(_) => Err(unusable(data_dir, &io::Error::other(format!("secrets/{name} is empty")))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(data_dir, &error)),
    }
}

pub(super) fn keep(data_dir: &Path, name: &str, text: &str) -> Result<String, SettingError> {
    let write = || -> io::Result<()> {
        let folder = folder(data_dir);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
        let passing = folder.join(format!(".{name}.{:016x}", rand::random::<u64>()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&passing)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        // A link fails where the name is taken: the first wins, and nobody ever sees half a file.
        let linked = fs::hard_link(&passing, folder.join(name));
        fs::remove_file(&passing)?;
        match linked {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => fs::File::open(&folder)?.sync_all(),
        }
    };
    write().map_err(|error| unusable(data_dir, &error))?;
    kept(data_dir, name)?.ok_or_else(|| unusable(data_dir, &io::Error::other(format!("secrets/{name} went away"))))
}
