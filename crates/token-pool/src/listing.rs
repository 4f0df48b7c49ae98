//! The tokens that a file lists, or all files of a folder (mounted secrets): one a line, as the bare secret or as a JSON object.
//!
//! Empty lines and those that begin with `#` say nothing; entries of a folder that begin with a dot are passed over. A line that is no
//! token is told by its place, never by its content. Sizes are bounded; nothing here is imported.

use domain::ports::token_source::{Listed, SourceError};
use domain::token::TokenImport;
use secrecy::zeroize::Zeroizing;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Of all files together, in bytes: two thousand of the longest secrets.
const BYTES_MOST: u64 = 10 * 1024 * 1024;
const FILES_MOST: usize = 10_000;
/// Told of one by one; the rest are counted.
const FAULTS_TOLD: usize = 5;

pub(crate) struct Listing {
    /// Of everything that was read: the same for the same content.
    pub(crate) digest: [u8; 32],
    pub(crate) tokens: Vec<TokenImport>,
    /// Lines that are no tokens.
    pub(crate) faults: usize,
    /// Where the first of them are.
    pub(crate) places: Vec<String>,
}

fn unreadable(path: &Path, error: &std::io::Error) -> SourceError {
    SourceError::Unavailable(format!("{}: {error}", path.display()))
}

/// Reads all of it. Blocks on the disk.
pub(crate) fn read(path: &Path) -> Result<Listing, SourceError> {
    let folder = fs::metadata(path).map_err(|error| unreadable(path, &error))?.is_dir();
    let files = if folder { files_of(path)? } else { vec![path.to_owned()] };
    let mut left = BYTES_MOST;
    let mut digest = Sha256::new();
    let mut listing = Listing { digest: [0; 32], tokens: Vec::new(), faults: 0, places: Vec::new() };
    for file in files {
        let bytes = bounded(&file, left)?;
        left -= bytes.len() as u64;
        digest.update(file.as_os_str().as_encoded_bytes());
        digest.update((bytes.len() as u64).to_be_bytes());
        digest.update(bytes.as_slice());
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut lines = Lines { name: &name, in_folder: folder, listing: &mut listing };
        match std::str::from_utf8(&bytes) {
            Ok(text) => lines.take(text),
            Err(_) => lines.fault(0),
        }
    }
    listing.digest = digest.finalize().into();
    Ok(listing)
}

/// Its plain files in the order of their names; links are followed, as mounted secrets are links.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
        let entry = entry.map_err(|error| unreadable(folder, &error))?;
        let path = entry.path();
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !hidden && fs::metadata(&path).map_err(|error| unreadable(&path, &error))?.is_file() {
            files.push(path);
        }
        if files.len() > FILES_MOST {
            return Err(SourceError::Malformed(format!("{} has over {FILES_MOST} files", folder.display())));
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn bounded(path: &Path, most: u64) -> Result<Zeroizing<Vec<u8>>, SourceError> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    // Its whole length at once: growing would leave copies of secrets behind.
    let length = file.metadata().map_err(|error| unreadable(path, &error))?.len().min(most);
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1));
    file.take(most + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > most {
        return Err(SourceError::Malformed(format!("{} is more than {BYTES_MOST} bytes", path.display())));
    }
    Ok(bytes)
}

struct Lines<'a> {
    name: &'a str,
    in_folder: bool,
    listing: &'a mut Listing,
}

impl Lines<'_> {
    fn take(&mut self, text: &str) {
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if !line.starts_with('{') {
                self.listing.tokens.push(TokenImport {
                    secret: line.into(),
                    // A file of a folder has its name from people.
                    label: self.in_folder.then(|| self.name.to_owned()),
                    max_concurrency: None,
                    requests_per_minute: None,
                    expires_at: None,
                });
            } else if let Ok(listed) = serde_json::from_str::<Listed>(line) {
                self.listing.tokens.push(listed.into());
            } else {
                self.fault(number);
            }
        }
    }

    /// `line`: 0 for the whole file.
    fn fault(&mut self, line: usize) {
        self.listing.faults += 1;
        if self.listing.places.len() < FAULTS_TOLD {
            self.listing.places.push(if line == 0 { self.name.to_owned() } else { format!("{}:{line}", self.name) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn secrets(listing: &Listing) -> Vec<(&str, Option<&str>)> {
        listing.tokens.iter().map(|token| (token.secret.expose_secret(), token.label.as_deref())).collect()
    }

    #[test]
    fn lines_are_secrets_or_objects_and_what_is_neither_is_told_by_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let text = "# ours\r\n\r\n one \n{\"secret\":\"two\",\"label\":\"second\",\"max_concurrency\":3}\n{\"secret\":7}\n{oops\n";
        fs::write(&path, text).unwrap();
        let listing = read(&path).unwrap();
        assert_eq!(secrets(&listing), [("one", None), ("two", Some("second"))]);
        assert_eq!(listing.tokens[1].max_concurrency, Some(3));
        assert_eq!((listing.faults, listing.places), (2, vec!["tokens:5".to_owned(), "tokens:6".to_owned()]));
        assert_eq!(read(&path).unwrap().digest, listing.digest);
        fs::write(&path, text.replace("one", "own")).unwrap();
        assert_ne!(read(&path).unwrap().digest, listing.digest);
    }

    #[test]
    fn a_folder_is_all_its_plain_files_behind_links_too() {
        let folder = tempfile::tempdir().unwrap();
        // As kubelet mounts a secret.
        let data = folder.path().join("..2026_01_01");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("studio-1"), "first").unwrap();
        fs::write(data.join("studio-2"), [0xff, 0xfe]).unwrap();
        std::os::unix::fs::symlink(&data, folder.path().join("..data")).unwrap();
        for name in ["studio-1", "studio-2"] {
            std::os::unix::fs::symlink(folder.path().join("..data").join(name), folder.path().join(name)).unwrap();
        }
        fs::create_dir(folder.path().join("inner")).unwrap();
        let listing = read(folder.path()).unwrap();
        assert_eq!(secrets(&listing), [("first", Some("studio-1"))]);
        assert_eq!(listing.places, ["studio-2"]);
    }

    #[test]
    fn what_is_not_there_or_too_large_is_an_error_without_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        assert!(matches!(read(&path), Err(SourceError::Unavailable(_))));
        let large = "secret".repeat(usize::try_from(BYTES_MOST).unwrap() / 6 + 1);
        fs::write(&path, large).unwrap();
        let Err(error) = read(&path) else { panic!("read") };
        assert!(matches!(error, SourceError::Malformed(_)) && !error.to_string().contains("secretsecret"));
    }
}
