//! Tokens out of a file, a thousand a call. Their secrets are never printed.

use crate::launch::say;
use anyhow::{Context, bail};
use client::Client;
use client::admin::{ImportResult, TokenImport};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use std::io::{Error, ErrorKind, Read};
use std::path::Path;

/// How many tokens one call takes.
const TOKENS_A_CALL: usize = 1000;
/// A file of tokens beyond this is a mistake, and none of it is imported.
const FILE_LARGEST: u64 = 16 * 1024 * 1024;

/// One secret a line; empty lines and those with `#` are passed over. `json`: what became of each, in the file's order, as the API says it.
///
/// # Errors
/// A file that cannot be read, is too large or has no tokens; a token that was refused.
pub(super) async fn import(
    client: &Client,
    file: &Path,
    max_concurrency: Option<u32>,
    requests_per_minute: Option<u32>,
    json: bool,
) -> anyhow::Result<()> {
    let text = read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let lines = text.expose_secret().lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let tokens: Vec<TokenImport> = lines
        .map(|line| TokenImport { max_concurrency, requests_per_minute, ..TokenImport::of(line.to_owned()) })
        .collect();
    if tokens.is_empty() {
        bail!("{} has no tokens: one a line", file.display());
    }
    let mut outcomes = Vec::with_capacity(tokens.len());
    for chunk in tokens.chunks(TOKENS_A_CALL) {
        outcomes.extend(client.admin().import_tokens(chunk).await?);
    }
    if json {
        say(&serde_json::to_string_pretty(&json!({ "data": outcomes }))?);
    } else {
        let of = |result| outcomes.iter().filter(|outcome| outcome.result == result).count();
        let (imported, known) = (of(ImportResult::Imported), of(ImportResult::Duplicate));
        say(&format!("{imported} imported, {known} known already, {} refused", of(ImportResult::Refused)));
    }
    let refused = outcomes.iter().zip(1..).find(|(outcome, _)| outcome.result == ImportResult::Refused);
    if let Some((outcome, number)) = refused {
        bail!("token {number} was refused: {}", outcome.reason.as_deref().unwrap_or_default());
    }
    Ok(())
}

fn read(file: &Path) -> std::io::Result<SecretString> {
    let input: Box<dyn Read> =
        if file == Path::new("-") { Box::new(std::io::stdin()) } else { Box::new(std::fs::File::open(file)?) };
    let mut bytes = Vec::new();
    input.take(FILE_LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_LARGEST {
        let most = FILE_LARGEST / (1024 * 1024);
        return Err(Error::new(ErrorKind::FileTooLarge, format!("it is larger than {most} MiB; split it")));
    }
    // The bytes themselves must not be in the error.
    let text = String::from_utf8(bytes).map_err(|_| Error::new(ErrorKind::InvalidData, "it is no UTF-8 text"))?;
    Ok(text.into())
}
