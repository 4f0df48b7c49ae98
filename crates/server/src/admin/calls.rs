//! What each command means to `/admin/v1`: one call, and how its answer is shown.

use super::commands::{
    AccountState, Accounts, Action, Command, Dead, Filter, Generations, Keys, Ledger, Own, Paging, Queue, Tokens,
    Workers,
};
use super::table::Column;
use client::admin::{Asked, Method};
use domain::generation::ErrorCode;
use domain::state::{Stage, Status};
use domain::tier::Tier;
use domain::token::TokenState;
use serde_json::{Map, Value, json};

/// How an answer is shown to people.
#[derive(Debug, Clone, Copy)]
pub(super) enum Show {
    /// The members of `data`.
    Table(&'static [Column]),
    /// As a table, all pages of it, those in one state alone.
    Tokens(Option<&'static str>),
    /// Every member, one a line.
    Facts,
    /// One member alone, for `$( )` in a shell.
    Only(&'static str),
    /// A sentence.
    Word(&'static str),
    Pool,
    Queue,
    Books,
    Bulk,
    Generation,
    Scaling,
}

const ACCOUNTS: &[Column] =
    &[("ID", "/id"), ("TIER", "/tier"), ("STATUS", "/status"), ("NAME", "/name"), ("E-MAIL", "/email")];
const KEYS: &[Column] = &[
    ("ID", "/id"),
    ("BEGINS WITH", "/prefix"),
    ("MADE", "/created_at"),
    ("EXPIRES", "/expires_at"),
    ("REVOKED", "/revoked_at"),
    ("NAME", "/name"),
];
const GENERATIONS: &[Column] = &[
    ("ID", "/id"),
    ("STATUS", "/status"),
    ("STAGE", "/stage"),
    ("WAITS FOR", "/queue/waiting_on"),
    ("ERROR", "/error/code"),
    ("ACCOUNT", "/account_id"),
    ("MADE", "/created_at"),
    ("PROMPT", "/prompt"),
];
const DEAD: &[Column] =
    &[("ID", "/id"), ("REASON", "/reason"), ("COUNT", "/count"), ("LAID ASIDE", "/died_at"), ("SAYS", "/preview")];
pub(super) const TOKENS: &[Column] = &[
    ("ID", "/id"),
    ("STATE", "/state"),
    ("LEASES", "/leased"),
    ("AT MOST", "/max_concurrency"),
    ("UNTIL", "/until"),
    ("REASON", "/reason"),
    ("LABEL", "/label"),
];
const WORKERS: &[Column] = &[
    ("ID", "/id"),
    ("NAME", "/name"),
    ("VERSION", "/version"),
    ("SLOTS", "/slots"),
    ("ACTIVE", "/active"),
    ("RENDERING", "/rendering"),
    ("DRAINING", "/draining"),
    ("HEARD", "/last_heartbeat_at"),
];
const AUDIT: &[Column] = &[
    ("WHEN", "/created_at"),
    ("WHO", "/actor"),
    ("FROM", "/address"),
    ("ACTION", "/action"),
    ("OF", "/subject"),
    ("REQUEST", "/request_id"),
];

fn asked(method: Method, path: impl Into<String>) -> Asked {
    Asked { method, path: path.into(), query: Vec::new(), body: None }
}

fn get(path: impl Into<String>) -> Asked {
    asked(Method::GET, path)
}

fn post(path: impl Into<String>) -> Asked {
    asked(Method::POST, path)
}

fn with_body(mut asked: Asked, members: impl IntoIterator<Item = (&'static str, Value)>) -> Asked {
    let members = members.into_iter().filter(|(_, value)| !value.is_null());
    asked.body = Some(members.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>().into());
    asked
}

fn with_query(mut asked: Asked, pairs: impl IntoIterator<Item = (&'static str, Option<String>)>) -> Asked {
    asked.query.extend(pairs.into_iter().filter_map(|(name, value)| Some((name, value?))));
    asked
}

fn page(asked: Asked, Paging { limit, cursor }: Paging) -> Asked {
    with_query(asked, [("limit", limit.map(|limit| limit.to_string())), ("cursor", cursor)])
}

fn own(own: &Own) -> Value {
    let numbers = [
        ("requests_per_minute", own.requests_per_minute.map(u64::from)),
        ("generations_per_month", own.generations_per_month),
        ("credits_per_month", own.credits_per_month),
        ("share", own.share.map(u64::from)),
        ("backlog_max", own.backlog_max.map(u64::from)),
    ];
    let named: Map<_, _> =
        numbers.into_iter().filter_map(|(name, number)| Some((name.to_owned(), number?.into()))).collect();
    if named.is_empty() { Value::Null } else { named.into() }
}

fn filter(filter: Filter) -> [(&'static str, Option<String>); 8] {
    [
        ("account", filter.account.map(|id| id.to_string())),
        ("status", filter.status.map(|status| Status::name(status).to_owned())),
        ("stage", filter.stage.map(|stage| Stage::name(stage).to_owned())),
        ("tier", filter.tier.map(|tier| Tier::name(tier).to_owned())),
        ("error_code", filter.error_code.map(|code| ErrorCode::name(code).to_owned())),
        ("created_after", filter.created_after),
        ("created_before", filter.created_before),
        ("q", filter.text),
    ]
}

/// `None`: an import, which is more than one call.
pub(super) fn of(command: Command) -> Option<(Asked, Show)> {
    Some(match command {
        Command::Accounts(command) => accounts(command),
        Command::Keys(command) => keys(command),
        Command::Generations(command) => generations(command),
        Command::Queue { command: None } => (get("queue"), Show::Queue),
        Command::Queue { command: Some(Queue::Pause) } => (post("queue/pause"), Show::Word("paused")),
        Command::Queue { command: Some(Queue::Resume) } => (post("queue/resume"), Show::Word("resumed")),
        Command::Dead(Dead::List(paging)) => (page(get("queue/dead"), paging), Show::Table(DEAD)),
        Command::Dead(Dead::Requeue { id }) => (post(format!("queue/dead/{id}/requeue")), Show::Word("rung again")),
        Command::Dead(Dead::Delete { id }) => {
            (asked(Method::DELETE, format!("queue/dead/{id}")), Show::Word("dropped"))
        }
        Command::Tokens(Tokens::Import { .. }) => return None,
        Command::Tokens(Tokens::List { state }) => {
            (with_query(get("tokens"), [("limit", Some("100".to_owned()))]), Show::Tokens(state.map(TokenState::name)))
        }
        Command::Tokens(Tokens::Pool) => (get("tokens/pool"), Show::Pool),
        Command::Tokens(Tokens::Disable { token }) => (post(format!("tokens/{token}/disable")), Show::Word("disabled")),
        Command::Tokens(Tokens::Reinstate { token }) => {
            (post(format!("tokens/{token}/reinstate")), Show::Word("reinstated"))
        }
        Command::Tokens(Tokens::Delete { token }) => {
            (asked(Method::DELETE, format!("tokens/{token}")), Show::Word("deleted"))
        }
        Command::Workers(Workers::List) => (get("workers"), Show::Table(WORKERS)),
        Command::Workers(Workers::Drain { worker }) => {
            (post(format!("workers/{worker}/drain")), Show::Word("asked to drain"))
        }
        Command::Scaling => (get("scaling"), Show::Scaling),
        Command::Audit(paging) => (page(get("audit"), paging), Show::Table(AUDIT)),
        Command::Ledger(Ledger::Verify) => (get("ledger/verify"), Show::Books),
    })
}

fn accounts(command: Accounts) -> (Asked, Show) {
    match command {
        Accounts::Create { name, tier, email, own: numbers } => {
            let members = [
                ("name", name.into()),
                ("tier", tier.name().into()),
                ("email", email.into()),
                ("overrides", own(&numbers)),
            ];
            (with_body(post("accounts"), members), Show::Only("/id"))
        }
        Accounts::List { text, tier, paging } => {
            let pairs = [("q", text), ("tier", tier.map(|tier| tier.name().to_owned()))];
            (page(with_query(get("accounts"), pairs), paging), Show::Table(ACCOUNTS))
        }
        Accounts::Show { account } => (get(format!("accounts/{account}")), Show::Facts),
        Accounts::Change { account, name, tier, email, status, own: numbers } => {
            let status = status.map(|status| match status {
                AccountState::Active => "active",
                AccountState::Suspended => "suspended",
            });
            let members = [
                ("name", name.into()),
                ("tier", tier.map(Tier::name).into()),
                ("email", email.into()),
                ("status", status.into()),
                ("overrides", own(&numbers)),
            ];
            (with_body(asked(Method::PATCH, format!("accounts/{account}")), members), Show::Facts)
        }
        Accounts::Credit { account, amount, reason } => {
            let members = [("amount", amount.into()), ("reason", reason.into())];
            (with_body(post(format!("accounts/{account}/credits")), members), Show::Facts)
        }
    }
}

fn keys(command: Keys) -> (Asked, Show) {
    match command {
        Keys::Create { account, name, expires_at } => {
            let members = [("name", name.into()), ("expires_at", expires_at.into())];
            (with_body(post(format!("accounts/{account}/keys")), members), Show::Only("/key"))
        }
        Keys::List { account } => (get(format!("accounts/{account}/keys")), Show::Table(KEYS)),
        Keys::Rotate { account, key, overlap_seconds } => {
            let call = post(format!("accounts/{account}/keys/{key}/rotate"));
            (with_body(call, [("overlap_seconds", overlap_seconds.into())]), Show::Only("/key"))
        }
        Keys::Revoke { account, key } => {
            (asked(Method::DELETE, format!("accounts/{account}/keys/{key}")), Show::Word("revoked"))
        }
    }
}

fn generations(command: Generations) -> (Asked, Show) {
    match command {
        Generations::List { filter: wanted, paging } => {
            (page(with_query(get("generations"), filter(wanted)), paging), Show::Table(GENERATIONS))
        }
        Generations::Show { generation } => (get(format!("generations/{generation}")), Show::Generation),
        Generations::Cancel { generation } => {
            (post(format!("generations/{generation}/cancel")), Show::Word("canceled"))
        }
        Generations::Retry { generation } => (post(format!("generations/{generation}/retry")), Show::Only("/id")),
        Generations::Bulk { action, filter: wanted, yes, cursor } => {
            let named: Map<String, Value> =
                filter(wanted).into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect();
            let action = if action == Action::Cancel { "cancel" } else { "retry" };
            let members = [
                ("action", json!(action)),
                ("filter", named.into()),
                ("dry_run", json!(!yes)),
                ("cursor", json!(cursor)),
            ];
            (with_body(post("generations/bulk"), members), Show::Bulk)
        }
    }
}
