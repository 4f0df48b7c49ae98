//! `son1k top`: the overview on a terminal, drawn anew every second or two until it is stopped. Escape sequences alone, no terminal library.
//!
//! Where the output is no terminal it prints one picture and ends.

use crate::admin;
use bootstrap::Settings;
use clap::Args;
use client::admin::{PoolView, QueueView, WorkerView};
use client::{Client, ClientError, Retries};
use domain::attention;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
const HOME: &str = "\x1b[H";
const REST_OF_LINE: &str = "\x1b[K";
const REST_OF_SCREEN: &str = "\x1b[J";
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// How many pictures the little charts reach back.
const REMEMBERED: usize = 60;
const WORKERS_SHOWN: usize = 30;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Seconds between two pictures
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    interval: u64,
}

struct Picture {
    queue: QueueView,
    pool: Result<PoolView, ClientError>,
    workers: Result<Vec<WorkerView>, ClientError>,
}

/// The terminal's other screen, which is left however this ends.
struct Screen;

impl Screen {
    fn enter() -> std::io::Result<Self> {
        show(ENTER)?;
        Ok(Self)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = show(LEAVE);
    }
}

/// Draws until it is stopped by a signal, which is heard while a gateway does not answer too.
///
/// # Errors
/// On its first try: a gateway that does not answer, or refuses the key. Later it says so in the picture and goes on.
pub async fn top(settings: Settings, arguments: Arguments, shutdown: CancellationToken) -> anyhow::Result<()> {
    let client = admin::client(&settings)?.with_retries(Retries::NONE);
    let (mut waiting, mut pace) = (VecDeque::new(), VecDeque::new());
    let mut screen = None;
    let mut drawn = String::new();
    loop {
        match shutdown.run_until_cancelled(look(&client)).await {
            None => return Ok(()),
            Some(Ok(picture)) => {
                remember(&mut waiting, picture.queue.waiting as f64);
                remember(&mut pace, picture.queue.lately.throughput_per_minute);
                drawn = draw(&settings.operators_url(), &picture, &waiting, &pace);
            }
            Some(Err(error)) if drawn.is_empty() => return Err(error.into()),
            Some(Err(error)) => {
                let older = drawn.lines().filter(|line| !line.starts_with("! ")).collect::<Vec<_>>().join("\n");
                drawn = format!("! {error}; what follows is older\n{older}");
            }
        }
        if !std::io::stdout().is_terminal() {
            return Ok(show(&drawn)?);
        }
        if screen.is_none() {
            screen = Some(Screen::enter()?);
        }
        show(&framed(&drawn))?;
        let pause = tokio::time::sleep(Duration::from_secs(arguments.interval));
        if shutdown.run_until_cancelled(pause).await.is_none() {
            return Ok(());
        }
    }
}

async fn look(client: &Client) -> Result<Picture, ClientError> {
    let admin = client.admin();
    let (queue, pool, workers) = futures::join!(admin.queue(), admin.pool(), admin.workers());
    Ok(Picture { queue: queue?, pool, workers })
}

fn show(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn framed(drawn: &str) -> String {
    let lines: Vec<String> = drawn.lines().map(|line| format!("{line}{REST_OF_LINE}\r\n")).collect();
    format!("{HOME}{}{REST_OF_SCREEN}", lines.concat())
}

fn remember(values: &mut VecDeque<f64>, value: f64) {
    if values.len() == REMEMBERED {
        values.pop_front();
    }
    values.push_back(value);
}

fn spark(values: &VecDeque<f64>) -> String {
    let most = values.iter().copied().fold(0.0_f64, f64::max);
    let block = |value: &f64| {
        let height = if most > 0.0 { (value / most * 7.0).round() as usize } else { 0 };
        BLOCKS[height.min(7)]
    };
    values.iter().map(block).collect()
}

fn bar(taken: u32, of: u32) -> String {
    let filled = if of == 0 { 0 } else { (taken.min(of) as usize * 20).div_ceil(of as usize) };
    format!("{}{}", "█".repeat(filled), "·".repeat(20 - filled))
}

fn draw(url: &str, picture: &Picture, waiting: &VecDeque<f64>, pace: &VecDeque<f64>) -> String {
    let Picture { queue, pool, workers } = picture;
    let mut text = String::new();
    let late = |over| if over { "  <- too many" } else { "" };
    let _ = writeln!(text, "son1k top   {url}   {}", if queue.paused { "PAUSED" } else { "" });
    let _ = writeln!(text);
    let _ = writeln!(
        text,
        "waiting    {:>8}   {}{}",
        queue.waiting,
        spark(waiting),
        late(attention::waiting_too_many(queue.waiting))
    );
    let old = if attention::waited_too_long(queue.oldest_waiting_seconds) { "  <- too long" } else { "" };
    let _ = writeln!(text, "oldest     {:>6.0} s{old}", queue.oldest_waiting_seconds);
    let _ = writeln!(text, "active     {:>8}   rendering {}   dead {}", queue.active, queue.rendering, queue.dead);
    let lately = &queue.lately;
    let _ = writeln!(
        text,
        "finished   {:>8.1}   {} a minute, {:.1} % failed",
        lately.throughput_per_minute,
        spark(pace),
        lately.error_rate * 100.0
    );
    let wait = lately.wait_seconds;
    let _ = writeln!(text, "wait       p50 {:.1} s   p95 {:.1} s   p99 {:.1} s", wait.p50, wait.p95, wait.p99);
    let tiers: Vec<String> =
        queue.by_tier.iter().filter(|(_, n)| **n > 0).map(|(tier, n)| format!("{tier} {n}")).collect();
    let _ = writeln!(text, "by tier    {}", if tiers.is_empty() { "-".to_owned() } else { tiers.join("   ") });
    let _ = writeln!(text);
    match pool {
        Ok(pool) => {
            let _ = writeln!(
                text,
                "tokens     {}: {} usable of {} wanted, {} leases, {} cooling, {} quarantined, {} exhausted, {} disabled",
                pool.status,
                pool.usable,
                pool.min,
                pool.leased,
                pool.cooling,
                pool.quarantined,
                pool.exhausted,
                pool.disabled
            );
        }
        Err(error) => drop(writeln!(text, "tokens     {error}")),
    }
    let _ = writeln!(text);
    match workers {
        Err(error) => drop(writeln!(text, "workers    {error}")),
        Ok(workers) if workers.is_empty() => text.push_str("workers    none is alive\n"),
        Ok(workers) => {
            for worker in workers.iter().take(WORKERS_SHOWN) {
                let draining = if worker.draining { "  draining" } else { "" };
                let name: String = worker.name.chars().map(|c| if c.is_control() { ' ' } else { c }).take(30).collect();
                let (active, slots) = (worker.active, worker.slots);
                let _ = writeln!(
                    text,
                    "{name:<30} {} {active:>4} of {slots:<4} {:>5} rendering  {}{draining}",
                    bar(active, slots),
                    worker.rendering,
                    worker.version
                );
            }
            if workers.len() > WORKERS_SHOWN {
                let _ = writeln!(text, "and {} more", workers.len() - WORKERS_SHOWN);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_and_bars_stay_in_their_places() {
        assert_eq!(spark(&VecDeque::from([0.0, 1.0, 2.0])), "▁▅█");
        assert_eq!(spark(&VecDeque::from([0.0, 0.0])), "▁▁");
        for (taken, of) in [(0, 0), (0, 5), (1, 50), (5, 5), (9, 5)] {
            assert_eq!(bar(taken, of).chars().count(), 20);
        }
        assert!(bar(1, 50).starts_with('█'), "a little is not nothing");
    }
}
