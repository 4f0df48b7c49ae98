//! `son1k doctor`: looks at an installation from where it is run, says what it found, and what to do about what is wrong.
//!
//! It leaves nothing behind and mends nothing. To know what may be done it does it: a file is made in `DATA_DIR` and removed, queues are
//! declared, and one worker is rung for nothing. Settings that do not parse never come this far: they stop the command with the line that
//! names them.

use crate::admin;
use crate::compose::examine::{self, Examined, Folder};
use crate::launch::say;
use anyhow::bail;
use bootstrap::Settings;
use client::admin::{PoolView, QueueView, WorkerView};
use client::{Client, ClientError, Readiness, Retries};
use domain::Timestamp;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// A wall clock may differ from the ledger's by this much before it confuses people who read logs. Nothing else depends on it.
const SKEW_MOST: f64 = 2.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    /// Works, and wants attention.
    Warn,
    Bad,
}

#[derive(Default)]
struct Report {
    bad: usize,
    warned: usize,
}

impl Report {
    /// `todo`: what to do, where there is something.
    fn tell(&mut self, verdict: Verdict, what: &str, found: &str, todo: &str) {
        let mark = match verdict {
            Verdict::Good => "ok  ",
            Verdict::Warn => "warn",
            Verdict::Bad => "BAD ",
        };
        self.bad += usize::from(verdict == Verdict::Bad);
        self.warned += usize::from(verdict == Verdict::Warn);
        // What a server said is one line here, whatever it was there.
        let found: Vec<&str> = found.split_whitespace().collect();
        say(&format!("{mark}  {what:<15} {}", found.join(" ")));
        if !todo.is_empty() {
            say(&format!("      {:<15} -> {todo}", ""));
        }
    }

    fn server(&mut self, examined: &Examined, todo: &str) {
        match &examined.result {
            Ok(found) => self.tell(Verdict::Good, examined.setting, found, ""),
            Err(found) => self.tell(Verdict::Bad, examined.setting, found, todo),
        }
    }
}

/// Looks at everything, then says how it stands.
///
/// # Errors
/// When something is bad; warnings alone are no error.
pub async fn doctor(settings: Settings) -> anyhow::Result<()> {
    let mut report = Report::default();
    let mode = if settings.database.is_some() {
        "DATABASE_URL names the ledger"
    } else {
        "embedded: the ledger is in DATA_DIR"
    };
    report.tell(Verdict::Good, "settings", &format!("son1k {VERSION}; {mode}; --print-config shows all of them"), "");
    if settings.database.is_none() {
        folder(&settings.data_dir, &mut report);
    }
    let database = examine::database(&settings).await;
    if let Some((examined, now)) = database {
        report
            .server(&examined, "is it up, is the address right, has `son1k migrate` run? 15 is the oldest PostgreSQL");
        now.into_iter().for_each(|now| clock(now, &mut report));
    }
    let todo =
        "is it up? The user needs configure, write and read on `son1k.*`; a queue declared otherwise has to be deleted";
    examine::broker(&settings).await.iter().for_each(|examined| report.server(examined, todo));
    let todo = "is it up, is the password right? Until it answers, gateways count by themselves";
    examine::limiter(&settings).await.iter().for_each(|examined| report.server(examined, todo));
    let todo = "is a replica up, and has it this INTERNAL_AUTH_SECRET?";
    examine::pool(&settings).await.iter().for_each(|examined| report.server(examined, todo));
    gateway(&settings, &mut report).await;
    match (report.bad, report.warned) {
        (0, 0) => say("all is well"),
        (0, warned) => say(&format!("it works; {warned} to look at")),
        (bad, _) => bail!("{bad} to mend"),
    }
    Ok(())
}

fn folder(path: &Path, report: &mut Report) {
    let shown = path.display();
    let (verdict, found, todo) = match examine::folder(path) {
        Folder::Missing => {
            (Verdict::Warn, format!("{shown} is not there"), "`son1k up` makes it; elsewhere, name the right one")
        }
        Folder::Other => (Verdict::Bad, format!("{shown} is no folder"), "name a folder"),
        Folder::NotOurs(why) => {
            (Verdict::Bad, format!("{shown} cannot be written: {why}"), "let this user read and write it")
        }
        Folder::Anothers => (
            Verdict::Warn,
            format!("{shown} belongs to another user, and keys are in it"),
            "run as that user, or chown it to this one",
        ),
        Folder::Open => (Verdict::Warn, format!("others can get into {shown}, and keys are in it"), "chmod 700"),
        Folder::Ours => (Verdict::Good, format!("{shown} is ours to write, and nobody else's to read"), ""),
    };
    report.tell(verdict, "DATA_DIR", &found, todo);
}

fn clock(ledgers: Timestamp, report: &mut Report) {
    let here = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64();
    let there = ledgers.timestamp_micros() as f64 / 1_000_000.0;
    let skew = here - there;
    let found =
        format!("this machine's is {:.1} s {} the ledger's", skew.abs(), if skew < 0.0 { "behind" } else { "before" });
    if skew.abs() <= SKEW_MOST {
        report.tell(Verdict::Good, "clock", &found, "");
    } else {
        report.tell(
            Verdict::Warn,
            "clock",
            &found,
            "synchronize it (chrony, say). Work is not harmed: the ledger's clock decides",
        );
    }
}

async fn gateway(settings: &Settings, report: &mut Report) {
    let url = &settings.operators_url();
    let anybody = match Client::without_key(url) {
        Ok(client) => client,
        Err(error) => return report.tell(Verdict::Bad, "gateway", &error.to_string(), "mend ADMIN_URL"),
    };
    match anybody.readiness().await {
        Ok(Readiness { status: 200, text }) if text.contains("degraded") => {
            report.tell(Verdict::Warn, "gateway", &text, "what is degraded works on without it; mend it all the same");
        }
        Ok(Readiness { status: 200, .. }) => report.tell(Verdict::Good, "gateway", &format!("{url} is ready"), ""),
        Ok(Readiness { status, text }) => {
            report.tell(Verdict::Bad, "gateway", &format!("not ready ({status}): {text}"), "mend what it names");
        }
        Err(error) => {
            let todo = "is it up? ADMIN_URL says where it is";
            return report.tell(Verdict::Bad, "gateway", &error.to_string(), todo);
        }
    }
    let client = match admin::client(settings) {
        Ok(client) => client.with_retries(Retries::NONE),
        Err(error) => {
            return report.tell(
                Verdict::Bad,
                "admin key",
                &format!("{error:#}"),
                "set ADMIN_API_KEY, or run it where DATA_DIR is",
            );
        }
    };
    // What only the gateway can tell. A key that it refuses is refused for all of it.
    let admin = client.admin();
    let queue = admin.queue().await;
    if let Err(error) = &queue
        && matches!(error.status(), Some(401 | 403))
    {
        return report.tell(Verdict::Bad, "admin key", &error.to_string(), "ADMIN_API_KEY is not this gateway's");
    }
    match queue {
        Ok(found) => {
            report.tell(Verdict::Good, "admin key", "the gateway takes it", "");
            of_queue(&found, report);
        }
        Err(error) => untold("queue", &error, "look at the gateway's log: it could not ask the ledger", report),
    }
    match admin.workers().await {
        Ok(found) => of_workers(&found, report),
        Err(error) => untold("workers", &error, "look at the gateway's log: it could not ask the ledger", report),
    }
    match admin.pool().await {
        Ok(found) => of_pool(&found, report),
        Err(error) => {
            let todo = "is a token pool up, and does the gateway's TOKEN_POOL_URL name it?";
            untold("tokens", &error, todo, report);
        }
    }
}

fn untold(what: &str, error: &ClientError, todo: &str, report: &mut Report) {
    report.tell(Verdict::Bad, what, &error.to_string(), todo);
}

fn of_queue(queue: &QueueView, report: &mut Report) {
    let found = format!("{} waiting, {} active, {} rendering", queue.waiting, queue.active, queue.rendering);
    let (verdict, todo) =
        if queue.paused { (Verdict::Warn, "it is paused: `son1k admin queue resume`") } else { (Verdict::Good, "") };
    report.tell(verdict, "queue", &found, todo);
}

fn of_workers(workers: &[WorkerView], report: &mut Report) {
    let other = workers.iter().filter(|worker| worker.version != VERSION).count();
    let found = format!("{} alive, {other} of another version than this command's {VERSION}", workers.len());
    let (verdict, todo) = match (workers.len(), other) {
        (0, _) => (Verdict::Bad, "start a worker: nothing is rendered without one"),
        (_, 0) => (Verdict::Good, ""),
        _ => (Verdict::Warn, "an upgrade under way? Else bring them to one version"),
    };
    report.tell(verdict, "workers", &found, todo);
}

fn of_pool(pool: &PoolView, report: &mut Report) {
    let found = format!("{} usable, {} wanted at least", pool.usable, pool.min);
    let (verdict, todo) = match pool.status.as_str() {
        "empty" => {
            (Verdict::Bad, "`son1k admin tokens import FILE`, or reinstate those set aside: `son1k admin tokens list`")
        }
        "low" => (Verdict::Warn, "import more, or lower MIN_TOKENS"),
        _ => (Verdict::Good, ""),
    };
    report.tell(verdict, "tokens", &found, todo);
}
