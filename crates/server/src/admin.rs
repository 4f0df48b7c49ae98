//! `son1k admin …`: the operators' calls from a shell. Everything goes through the gateway's `/admin/v1`; nothing here opens a store.

use crate::launch::say;
use anyhow::{Context, bail};
use bootstrap::{Settings, settings};
use clap::Subcommand;
use client::admin::{AccountQuery, ImportResult, NewAccount, TokenImport, TokenView};
use client::{Client, PageQuery};
use domain::ids::{AccountId, KeyId, TokenId};
use domain::tier::Tier;
use secrecy::{ExposeSecret, SecretString};
use std::io::Read;
use std::path::{Path, PathBuf};

/// How many tokens one call takes.
const TOKENS_A_CALL: usize = 1000;
/// How many a page of a listing has.
const A_PAGE: u16 = 100;
const TOKEN_STATES: [&str; 5] = ["usable", "cooling", "quarantined", "exhausted", "disabled"];
/// A file of tokens beyond this is a mistake.
const FILE_LARGEST: u64 = 16 * 1024 * 1024;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Customers
    #[command(subcommand)]
    Accounts(Accounts),
    /// Their keys
    #[command(subcommand)]
    Keys(Keys),
    /// Upstream tokens
    #[command(subcommand)]
    Tokens(Tokens),
    /// The books
    #[command(subcommand)]
    Ledger(Ledger),
    /// What waits and what runs
    Queue,
    /// How many workers there should be, and why
    Scaling,
}

#[derive(Debug, Subcommand)]
pub enum Accounts {
    /// Make an account; prints its id
    Create {
        name: String,
        /// free, pro, premium or enterprise
        #[arg(long, default_value = "free", value_parser = tier)]
        tier: Tier,
        #[arg(long)]
        email: Option<String>,
    },
    /// List accounts whose name or e-mail address has this text
    List { text: Option<String> },
}

#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Make a key; prints it, this once
    Create {
        account: AccountId,
        #[arg(long, default_value = "default")]
        name: String,
    },
    /// End a key; in force everywhere within 5 s
    Revoke { account: AccountId, key: KeyId },
}

#[derive(Debug, Subcommand)]
pub enum Tokens {
    /// Import tokens from a file, one a line; - reads standard input
    Import {
        file: PathBuf,
        /// Leases at once of each, instead of TOKEN_MAX_CONCURRENCY
        #[arg(long)]
        max_concurrency: Option<u32>,
        #[arg(long)]
        requests_per_minute: Option<u32>,
    },
    /// The pool in numbers
    Pool,
    /// List tokens with their state and its reason; never their secrets
    List {
        /// Those in this state alone
        #[arg(long, value_parser = TOKEN_STATES)]
        state: Option<String>,
    },
    /// Lease it no more; what renders under it goes on
    Disable { token: TokenId },
    /// Put it back to use: through one trial lease where it was quarantined or exhausted
    Reinstate { token: TokenId },
    /// Delete it, with its secret; renders under it end at their deadline
    Delete { token: TokenId },
}

#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Recompute every balance on the live system, and name what does not add up
    Verify,
}

fn tier(text: &str) -> Result<Tier, String> {
    Tier::parse(text).ok_or_else(|| "free, pro, premium or enterprise".to_owned())
}

/// Runs one command against the gateway at `ADMIN_URL`, with `ADMIN_API_KEY` or the key that the data folder keeps.
///
/// # Errors
/// A gateway that does not answer or refuses; books that do not add up; tokens that were refused.
pub async fn admin(settings: Settings, command: Command) -> anyhow::Result<()> {
    let key = match &settings.secrets.admin_key {
        Some(key) => key.reveal().to_owned(),
        None => settings::kept_secret(&settings.data_dir, "admin_api_key")?
            .context("ADMIN_API_KEY is missing: the key of an operator")?,
    };
    let client = Client::new(&settings.admin_url, &key.into())?;
    match command {
        Command::Accounts(Accounts::Create { name, tier, email }) => {
            let account = NewAccount { name, tier, email, overrides: None };
            say(&client.admin().create_account(&account).await?.id.to_string());
        }
        Command::Accounts(Accounts::List { text }) => {
            let page = client.admin().accounts(&AccountQuery { text, ..AccountQuery::default() }).await?;
            for account in page.data {
                say(&format!(
                    "{}  {:<10}  {:<9}  {}",
                    account.id,
                    account.tier.name(),
                    account.status.name(),
                    account.name
                ));
            }
        }
        Command::Keys(Keys::Create { account, name }) => {
            let made = client.admin().create_key(account, &name, None).await?;
            say(made.key.as_ref().context("the gateway did not show the key")?.expose_secret());
        }
        Command::Keys(Keys::Revoke { account, key }) => {
            client.admin().revoke_key(account, key).await?;
            say("revoked");
        }
        Command::Tokens(command) => tokens(&client, command).await?,
        Command::Ledger(Ledger::Verify) => verify(&client).await?,
        Command::Scaling => {
            let scaling = client.admin().scaling().await?;
            let (current, desired) = (scaling.current, scaling.desired);
            say(&format!(
                "{current} of {desired} workers ({} to {} allowed), by {}",
                scaling.min, scaling.max, scaling.controller
            ));
            say(&format!("{}: {}", scaling.rule, scaling.reason));
            if let Some(failure) = &scaling.failure {
                say(&format!("not applied: {failure}"));
            }
        }
        Command::Queue => {
            let queue = client.admin().queue().await?;
            say(&format!(
                "{} waiting (oldest {:.0} s), {} active, {} rendering",
                queue.waiting, queue.oldest_waiting_seconds, queue.active, queue.rendering
            ));
        }
    }
    Ok(())
}

async fn tokens(client: &Client, command: Tokens) -> anyhow::Result<()> {
    match command {
        Tokens::Import { file, max_concurrency, requests_per_minute } => {
            import(client, &file, max_concurrency, requests_per_minute).await?;
        }
        Tokens::Pool => {
            let pool = client.admin().pool().await?;
            say(&format!(
                "{}: {} usable ({} to {} wanted), {} leases, {} cooling, {} quarantined, {} exhausted, {} disabled",
                pool.status,
                pool.usable,
                pool.min,
                pool.max,
                pool.leased,
                pool.cooling,
                pool.quarantined,
                pool.exhausted,
                pool.disabled
            ));
        }
        Tokens::List { state } => {
            let mut next = Some(PageQuery::of(A_PAGE));
            while let Some(query) = next {
                let page = client.admin().tokens(&query).await?;
                next = page.next(Some(A_PAGE));
                for token in page.data.iter().filter(|token| state.as_ref().is_none_or(|state| *state == token.state)) {
                    say(line(token).trim_end());
                }
            }
        }
        Tokens::Disable { token } => {
            client.admin().disable_token(token).await?;
            say("disabled");
        }
        Tokens::Reinstate { token } => {
            client.admin().reinstate_token(token).await?;
            say("reinstated");
        }
        Tokens::Delete { token } => {
            client.admin().delete_token(token).await?;
            say("deleted");
        }
    }
    Ok(())
}

/// Id, state, leases of how many, label, and why it is in that state and until when.
fn line(token: &TokenView) -> String {
    let leases = format!("{}/{}", token.leased, token.max_concurrency);
    let label = token.label.as_deref().unwrap_or("-");
    let until = token.until.map(|at| format!(" until {}", at.to_rfc3339())).unwrap_or_default();
    let reason = token.reason.as_deref().unwrap_or_default();
    format!("{}  {:<11}  {leases:>9}  {label}  {reason}{until}", token.id, token.state)
}

async fn import(
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
                    refused.push((index * TOKENS_A_CALL + at + 1, outcome.reason.unwrap_or_default()))
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

async fn verify(client: &Client) -> anyhow::Result<()> {
    let verification = client.admin().verify().await?;
    for discrepancy in &verification.discrepancies {
        say(&format!("{}: {}", discrepancy.account_id, discrepancy.detail));
    }
    if !verification.ok {
        bail!("the books of {} of {} accounts do not add up", verification.discrepancies.len(), verification.accounts);
    }
    say(&format!("the books of {} accounts add up", verification.accounts));
    Ok(())
}
