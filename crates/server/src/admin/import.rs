//! Tokens out of a file, a thousand a call. Their secrets are read into memory that is wiped, and never printed.

use crate::launch::say;
use anyhow::{Context, bail};
use client::Client;
use client::admin::{ImportResult, TokenImport};
use secrecy::{ExposeSecret, SecretString};
use std::io::Read;
use std::path::Path;

/// How many tokens one call takes.
const TOKENS_A_CALL: usize = 1000;
/// A file of tokens beyond this is a mistake.
const FILE_LARGEST: u64 = 16 * 1024 * 1024;

/// One secret a line; empty lines and those with `#` are passed over.
///
/// # Errors
/// A file that cannot be read or has no tokens; a token that was refused.
pub(super) async fn import(
    client: &Client,
    file: &Path,
    max_concurrency: Option<u32>,
    requests_per_minute: Option<u32>,
) -> anyhow::Result<()> {
    let text = read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let lines = text.expose_secret().lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let tokens: Vec<TokenImport> = lines
        .map(|line| TokenImport { max_concurrency, requests_per_minute, ..TokenImport::of(line.to_owned()) })
        .collect();
    if tokens.is_empty() {
        bail!("{} has no tokens: one a line", file.display());
    }
    let (mut imported, mut known, mut refused) = (0, 0, Vec::new());
    for (index, chunk) in tokens.chunks(TOKENS_A_CALL).enumerate() {
        for (at, outcome) in client.admin().import_tokens(chunk).await?.into_iter().enumerate() {
            match outcome.result {
                ImportResult::Imported => imported += 1,
                ImportResult::Duplicate => known += 1,
                ImportResult::Refused => {
                    refused.push((index * TOKENS_A_CALL + at + 1, outcome.reason.unwrap_or_default()));
                }
            }
        }
    }
    say(&format!("{imported} imported, {known} known already, {} refused", refused.len()));
    if let Some((number, reason)) = refused.first() {
        bail!("token {number} was refused: {reason}");
    }
    Ok(())
}

fn read(file: &Path) -> std::io::Result<SecretString> {
    let mut text = String::new();
    let input: Box<dyn Read> =
        if file == Path::new("-") { Box::new(std::io::stdin()) } else { Box::new(std::fs::File::open(file)?) };
    input.take(FILE_LARGEST).read_to_string(&mut text)?;
    Ok(text.into())
}
