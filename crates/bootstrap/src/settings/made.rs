//! Secrets that a local mode makes for itself: made once, kept in `DATA_DIR/secrets`, readable by their owner alone.
//!
//! A file appears whole or not at all, and the first to make it wins: two processes that start at once read the same secret.
//! `son1k secrets` keeps those of a whole installation by the same rules, in a folder of its own choice.

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

/// A new secret of the form that the setting `name` asks for.
pub(super) fn fresh(name: &str) -> String {
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
    read(&folder(data_dir).join(name)).map_err(|error| unusable(data_dir, &error))
}

pub(super) fn keep(data_dir: &Path, name: &str, text: &str) -> Result<String, SettingError> {
    keep_in(&folder(data_dir), name, text, Readers::Owner).map_err(|error| unusable(data_dir, &error))
}

/// Who may read a file that is kept, and its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// The user that made it.
    Owner,
    /// Every user that the folder is shown to: for a folder that one container alone mounts, under a user of its own.
    Everyone,
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => Ok(Some(text.trim().to_owned())),
        Ok(_) => Err(io::Error::other(format!("{} is empty", path.display()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Keeps `text` in `folder`, which is made if need be, unless there is a file `name` already: answers what is kept.
pub(super) fn keep_in(folder: &Path, name: &str, text: &str, readers: Readers) -> io::Result<String> {
    let path = folder.join(name);
    if let Some(kept) = read(&path)? {
        return Ok(kept);
    }
    let (of_folder, of_file) = match readers {
        Readers::Owner => (0o700, 0o600),
        Readers::Everyone => (0o755, 0o444),
    };
    DirBuilder::new().recursive(true).mode(of_folder).create(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(of_folder))?;
    let passing = folder.join(format!(".{name}.{:016x}", rand::random::<u64>()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&passing)?;
    file.write_all(text.trim_end().as_bytes())?;
    file.write_all(b"\n")?;
    file.set_permissions(Permissions::from_mode(of_file))?;
    file.sync_all()?;
    // A link fails where the name is taken: the first wins, and nobody ever sees half a file.
    let linked = fs::hard_link(&passing, &path);
    fs::remove_file(&passing)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => fs::File::open(folder)?.sync_all()?,
    }
    read(&path)?.ok_or_else(|| io::Error::other(format!("{} went away", path.display())))
}
