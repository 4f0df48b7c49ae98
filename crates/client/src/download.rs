//! Saves a track: streamed, bounded, and never half a file under the final name.

use crate::Client;
use crate::error::ClientError;
use domain::generation::Track;
use std::path::{Path, PathBuf};
use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt;

/// The most a track may have, in bytes.
pub const LARGEST_FILE: u64 = 512 * 1024 * 1024;

impl Client {
    /// Saves a track's audio and returns how many bytes it has. Whatever was at `path` is replaced.
    ///
    /// # Errors
    /// [`ClientError::TooLarge`] past [`LARGEST_FILE`]; [`ClientError::File`] where it cannot be written.
    pub async fn download(&self, track: &Track, path: &Path) -> Result<u64, ClientError> {
        let url = self.transport.resolve(&track.audio_url)?;
        let partial = partial(path);
        let saved = self.save(url, &partial).await;
        let renamed = match saved {
            Ok(bytes) => fs::rename(&partial, path).await.map(|()| bytes).map_err(|error| at(path, error)),
            Err(error) => Err(error),
        };
        if renamed.is_err() {
            // The failure is what matters; a file that was never made cannot be removed.
            let _ = fs::remove_file(&partial).await;
        }
        renamed
    }

    async fn save(&self, url: reqwest::Url, partial: &Path) -> Result<u64, ClientError> {
        let mut answer = self.transport.fetch(url).await?;
        let mut file = File::create(partial).await.map_err(|error| at(partial, error))?;
        let mut bytes = 0;
        let waited = std::time::Duration::from_secs(300);
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.transport.failed(&error, waited))? {
            bytes += chunk.len() as u64;
            if bytes > LARGEST_FILE {
                return Err(ClientError::TooLarge { most: LARGEST_FILE });
            }
            file.write_all(&chunk).await.map_err(|error| at(partial, error))?;
        }
        file.sync_all().await.map_err(|error| at(partial, error))?;
        Ok(bytes)
    }
}

fn partial(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    path.with_file_name(name)
}

fn at(path: &Path, error: std::io::Error) -> ClientError {
    ClientError::File { path: path.display().to_string(), error }
}
