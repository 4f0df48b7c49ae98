//! What operators type after `son1k admin`. Parsing alone; what each means to the API is in [`super::calls`].

use clap::{Args, Subcommand, ValueEnum};
use domain::generation::ErrorCode;
use domain::ids::{AccountId, GenerationId, KeyId, TokenId, WorkerId};
use domain::state::{Stage, Status};
use domain::tier::Tier;
use domain::token::TokenState;
use std::path::PathBuf;
use uuid::Uuid;

const EXITS: &str = "Exit codes: 0 done, 1 failed (or the books do not add up), 2 misused, 3 not found, 4 the key is refused, \
                     5 a rule says no, 6 no answer or too busy.";

#[derive(Debug, Args)]
#[command(after_help = EXITS)]
pub struct Admin {
    /// Print the API's own JSON answer instead of a table
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Customers
    #[command(subcommand)]
    Accounts(Accounts),
    /// Their keys
    #[command(subcommand)]
    Keys(Keys),
    /// What was asked for and what became of it
    #[command(subcommand)]
    Generations(Generations),
    /// What waits and what runs, in numbers
    Queue {
        #[command(subcommand)]
        command: Option<Queue>,
    },
    /// Rings that nobody understood
    #[command(subcommand)]
    Dead(Dead),
    /// Upstream tokens
    #[command(subcommand)]
    Tokens(Tokens),
    /// Live worker replicas
    #[command(subcommand)]
    Workers(Workers),
    /// How many workers there should be, and why
    Scaling,
    /// Who changed what, when, from where
    Audit(Paging),
    /// The books
    #[command(subcommand)]
    Ledger(Ledger),
}

#[derive(Debug, Clone, Args)]
pub struct Paging {
    /// Rows at most, 1 to 100
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub limit: Option<u16>,
    /// The next_cursor of the page before
    #[arg(long)]
    pub cursor: Option<String>,
}

#[derive(Debug, Args)]
pub struct Own {
    /// Requests a minute, instead of the tier's
    #[arg(long)]
    pub requests_per_minute: Option<u32>,
    #[arg(long)]
    pub generations_per_month: Option<u64>,
    #[arg(long)]
    pub credits_per_month: Option<u64>,
    /// Share of a full system
    #[arg(long)]
    pub share: Option<u32>,
    /// Waiting generations before 503
    #[arg(long)]
    pub backlog_max: Option<u32>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum AccountState {
    Active,
    Suspended,
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
        #[command(flatten)]
        own: Own,
    },
    /// List accounts whose name or e-mail address has this text
    List {
        text: Option<String>,
        #[arg(long, value_parser = tier)]
        tier: Option<Tier>,
        #[command(flatten)]
        paging: Paging,
    },
    /// One account with its credits and its month
    Show { account: AccountId },
    /// Change what is named; the rest stays. Numbers named replace all of the account's own numbers
    Change {
        account: AccountId,
        #[arg(long)]
        name: Option<String>,
        #[arg(long, value_parser = tier)]
        tier: Option<Tier>,
        #[arg(long)]
        email: Option<String>,
        /// Suspended: its calls are refused, what it had accepted still ends
        #[arg(long)]
        status: Option<AccountState>,
        #[command(flatten)]
        own: Own,
    },
    /// Add purchased credits; they never lapse
    Credit {
        account: AccountId,
        amount: u64,
        /// Shown in the account's ledger
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Make a key; prints it, this once
    Create {
        account: AccountId,
        #[arg(long, default_value = "default")]
        name: String,
        /// RFC 3339
        #[arg(long)]
        expires_at: Option<String>,
    },
    /// All keys of an account
    List { account: AccountId },
    /// Make a new key for an old one, which works a while longer; prints the new one, this once
    Rotate {
        account: AccountId,
        key: KeyId,
        /// How long the old one still works; a day when left out
        #[arg(long)]
        overlap_seconds: Option<u64>,
    },
    /// End a key; in force everywhere within 5 s
    Revoke { account: AccountId, key: KeyId },
}

#[derive(Debug, Args)]
pub struct Filter {
    #[arg(long)]
    pub account: Option<AccountId>,
    /// queued, processing, succeeded, failed or canceled
    #[arg(long, value_parser = status)]
    pub status: Option<Status>,
    /// backlog, backoff, submitting, rendering or finalizing
    #[arg(long, value_parser = stage)]
    pub stage: Option<Stage>,
    #[arg(long, value_parser = tier)]
    pub tier: Option<Tier>,
    /// Why it ended without a result
    #[arg(long, value_parser = error_code)]
    pub error_code: Option<ErrorCode>,
    /// RFC 3339
    #[arg(long)]
    pub created_after: Option<String>,
    /// RFC 3339
    #[arg(long)]
    pub created_before: Option<String>,
    /// Part of the prompt, the title or the metadata
    #[arg(long)]
    pub text: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Action {
    Cancel,
    /// Submit anew, charged as one each
    Retry,
}

#[derive(Debug, Subcommand)]
pub enum Generations {
    /// List them, newest first
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        paging: Paging,
    },
    /// One with its timeline and its attempts
    Show { generation: GenerationId },
    /// End it and refund it
    Cancel { generation: GenerationId },
    /// Submit it anew; prints the new id
    Retry { generation: GenerationId },
    /// Do it to all that match; without --yes only count them
    Bulk {
        action: Action,
        #[command(flatten)]
        filter: Filter,
        /// Do it, instead of only counting
        #[arg(long)]
        yes: bool,
        /// Go on from where a call before with the same action and filter ended
        #[arg(long)]
        cursor: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Queue {
    /// Claim nothing more; what runs goes on
    Pause,
    Resume,
}

#[derive(Debug, Subcommand)]
pub enum Dead {
    List(Paging),
    /// Ring it again
    Requeue {
        id: Uuid,
    },
    /// Drop it
    Delete {
        id: Uuid,
    },
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
    /// All of them with their state and its reason; never their secrets
    List {
        /// Those in this state alone: usable, cooling, quarantined, exhausted or disabled
        #[arg(long, value_parser = token_state)]
        state: Option<TokenState>,
    },
    /// The pool in numbers
    Pool,
    /// Lease it no more; what renders under it goes on
    Disable { token: TokenId },
    /// Put it back to use: through one trial lease where it was quarantined or exhausted
    Reinstate { token: TokenId },
    /// Delete it, with its secret; renders under it end at their deadline
    Delete { token: TokenId },
}

#[derive(Debug, Subcommand)]
pub enum Workers {
    List,
    /// Let it take nothing new; others adopt what it renders
    Drain {
        worker: WorkerId,
    },
}

#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Recompute every balance on the live system, and name what does not add up
    Verify,
}

fn tier(text: &str) -> Result<Tier, String> {
    Tier::parse(text).ok_or_else(|| "free, pro, premium or enterprise".to_owned())
}

fn status(text: &str) -> Result<Status, String> {
    Status::parse(text).ok_or_else(|| Status::ALL.map(Status::name).join(", "))
}

fn token_state(text: &str) -> Result<TokenState, String> {
    TokenState::parse(text).ok_or_else(|| TokenState::ALL.map(TokenState::name).join(", "))
}

fn stage(text: &str) -> Result<Stage, String> {
    Stage::parse(text).ok_or_else(|| Stage::ALL.map(Stage::name).join(", "))
}

fn error_code(text: &str) -> Result<ErrorCode, String> {
    ErrorCode::parse(text).ok_or_else(|| ErrorCode::ALL.map(ErrorCode::name).join(", "))
}
