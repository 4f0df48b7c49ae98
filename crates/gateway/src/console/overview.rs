//! The first page: is all well, and if not, what to do. The queue against its thresholds, the pace, the workers, the tokens; live.

use super::alerts::{self, Alert, Seen};
use super::history::Sample;
use super::session::Session;
use super::shell::{self, Press, heading, pill};
use super::spark;
use super::words::{ago, clock, count, percent, span};
use crate::core::Core;
use crate::generations::place::MEASURED_OVER;
use crate::problem::ApiError;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::Timestamp;
use domain::attention::{self, Failing};
use domain::ports::generations::QueueStats;
use domain::ports::work::WorkerView;
use domain::token::PoolStats;
use maud::{Markup, html};

const HERE: &str = "/console";
/// More workers than this are summed up.
const WORKERS_SHOWN: usize = 50;

pub(super) async fn page(core: web::Data<Core>, session: Session, request: HttpRequest) -> HttpResponse {
    let (queue, pool, workers, dead) = futures::join!(
        core.queue(),
        core.call(core.token_admin.stats()),
        core.call(core.backends.work.workers()),
        core.dead(),
    );
    let now = core.backends.clock.now();
    let seen = Seen {
        queue: queue.as_deref().ok(),
        pool: pool.as_ref().ok(),
        workers: workers.as_deref().ok(),
        limiter_alone: core.backends.limiter.is_alone(),
        discrepancies: core.metrics.ledger_discrepancies.get(),
        dead,
    };
    let found = alerts::alerts(&seen);
    let whole = queue.is_ok() && pool.is_ok() && workers.is_ok();
    let history = core.console.history.samples();
    let body = html! {
        (shell::said(&request))
        div #live hx-get=(HERE) hx-trigger="every 2s" hx-select="#live" hx-swap="outerHTML" {
            (heading("Overview", &html! { span.quiet { "as of " (clock(now)) } }))
            (verdict(&found, whole))
            @match &queue {
                Ok(queue) => (numbers(&session, queue, &history)),
                Err(error) => (shell::missing("The queue", error)),
            }
            div.columns {
                (self::workers(&session, &workers, now))
                (tokens(&pool))
            }
        }
    };
    shell::page("Overview", HERE, &session, &body)
}

fn verdict(found: &[Alert], whole: bool) -> Markup {
    html! {
        @if found.is_empty() && whole {
            p.verdict.good { strong { "All is well." } " Nothing that is watched here wants you." }
        } @else if found.is_empty() {
            p.verdict.warn { strong { "As far as can be seen, all is well." } " Something below could not be loaded." }
        } @else {
            ul.verdicts {
                @for alert in found {
                    li class=(if alert.grave { "verdict bad" } else { "verdict warn" }) {
                        strong { (alert.what) } " " (alert.todo)
                        @if let Some((name, path)) = alert.page { " " a href=(path) { (name) } }
                    }
                }
            }
        }
    }
}

fn tile(title: &str, number: &str, state: &str, below: &Markup, chart: &Markup) -> Markup {
    html! {
        div class=(format!("tile {state}")) {
            h2 { (title) }
            p.number { (number) }
            p.quiet { (below) }
            (chart)
        }
    }
}

fn state(warn: bool) -> &'static str {
    if warn { "warn" } else { "" }
}

fn numbers(session: &Session, queue: &QueueStats, history: &[Sample]) -> Markup {
    let drawn = |of: fn(&Sample) -> f64, threshold, label: &str| {
        let values: Vec<f64> = history.iter().map(of).collect();
        spark::line(&values, threshold, &format!("{label}, the last half hour"))
    };
    let per_minute = queue.finished as f64 * 60.0 / MEASURED_OVER;
    let errors = attention::failed_share(queue.failed, queue.finished);
    let failing = attention::failing(queue.failed, queue.finished) != Failing::No;
    let [wait50, wait95, wait99] = queue.wait_seconds;
    let [took50, took95, took99] = queue.upstream_seconds;
    let none = queue.finished == 0;
    let or_none = |text: String| if none { "–".to_owned() } else { text };
    html! {
        div.tiles {
            (tile("Waiting", &count(queue.waiting), state(attention::waiting_too_many(queue.waiting)),
                &html! { "at most " (attention::WAITING_MOST) " wanted" },
                &drawn(|s| s.waiting, Some(attention::WAITING_MOST as f64), "Waiting")))
            (tile("Oldest waits", &span(queue.oldest_waiting_seconds), state(attention::waited_too_long(queue.oldest_waiting_seconds)),
                &html! { "at most " (span(attention::OLDEST_MOST_SECONDS)) " wanted" },
                &drawn(|s| s.oldest_seconds, Some(attention::OLDEST_MOST_SECONDS), "Age of the oldest")))
            (tile("Running", &count(queue.active + queue.rendering), "",
                &html! { (count(queue.active)) " submitting, " (count(queue.rendering)) " rendering" },
                &drawn(|s| s.running, None, "Running")))
            (tile("Finished", &format!("{per_minute:.0} / min"), state(failing),
                &html! { (or_none(percent(errors))) " failed, over five minutes" },
                &drawn(|s| s.per_minute, None, "Finished a minute")))
            (tile("Wait, p95", &or_none(span(wait95)), "",
                &html! { "p50 " (or_none(span(wait50))) ", p99 " (or_none(span(wait99))) },
                &drawn(|s| s.wait_p95, None, "Wait, 95th percentile")))
            (tile("Upstream, p95", &or_none(span(took95)), "",
                &html! { "p50 " (or_none(span(took50))) ", p99 " (or_none(span(took99))) },
                &drawn(|s| s.upstream_p95, None, "Upstream, 95th percentile")))
        }
        section.card.row {
            div {
                h2 { "Waiting by tier" }
                @if queue.waiting_by_tier.values().all(|count| *count == 0) { p.quiet { "Nothing waits." } } @else {
                    dl.facts.flat {
                        @for (tier, waiting) in queue.waiting_by_tier.iter().rev() { dt { (tier.name()) } dd { (count(*waiting)) } }
                    }
                }
            }
            div.beside {
                @if queue.paused {
                    (Press { call: "queue/resume".into(), method: "POST", label: "Resume the queue", class: "primary", sure: None, back: HERE, said: "resumed" }
                        .show(session, &html! {}))
                } @else {
                    (Press { call: "queue/pause".into(), method: "POST", label: "Pause the queue", class: "", back: HERE, said: "paused",
                        sure: Some("Pause the queue? Nothing more is claimed until it is resumed; what runs goes on.") }.show(session, &html! {}))
                }
            }
        }
    }
}

fn workers(session: &Session, workers: &Result<Vec<WorkerView>, ApiError>, now: Timestamp) -> Markup {
    let rows = workers.as_deref().unwrap_or_default();
    let (slots, active) = (rows.iter().map(|w| w.slots).sum::<u32>(), rows.iter().map(|w| w.active).sum::<u32>());
    html! {
        section.card {
            h2 { "Workers" @if !rows.is_empty() { span.quiet { (rows.len()) " alive, " (count(active)) " of " (count(slots)) " slots taken" } } }
            @if let Err(error) = workers { (shell::missing("The workers", error)) }
            @else if rows.is_empty() { p.empty { "None is alive. Nothing is rendered until one is started." } }
            @else {
                ul.workers {
                    @for worker in rows.iter().take(WORKERS_SHOWN) {
                        li {
                            div { strong.mono { (worker.name) } " " @if worker.draining { (pill("warn", "draining")) }
                                span.quiet { " " (worker.version) " · heard " (ago(worker.renewed_at, now)) } }
                            (spark::bar(&[("taken", f64::from(worker.active))], f64::from(worker.slots), "Slots taken"))
                            div.row { span.quiet { (count(worker.active)) " of " (count(worker.slots)) " slots, " (count(worker.rendering)) " rendering" }
                                @if !worker.draining {
                                    (Press { call: format!("workers/{}/drain", worker.id), method: "POST", label: "Drain", class: "small", back: HERE, said: "draining",
                                        sure: Some("Drain this worker? It takes nothing new, and others adopt what it renders.") }.show(session, &html! {}))
                                } }
                        }
                    }
                }
                @if rows.len() > WORKERS_SHOWN { p.quiet { "and " (rows.len() - WORKERS_SHOWN) " more" } }
            }
        }
    }
}

/// The pool as one bar, for the overview and for the tokens' own page.
pub(super) fn pool_bar(pool: &PoolStats) -> Markup {
    let states = [
        ("usable", "good", pool.usable),
        ("cooling", "cool", pool.cooling),
        ("exhausted", "warn", pool.exhausted),
        ("quarantined", "bad", pool.quarantined),
        ("disabled", "off", pool.disabled),
    ];
    let parts: Vec<(&str, f64)> = states.iter().map(|(_, class, number)| (*class, f64::from(*number))).collect();
    let whole: f64 = parts.iter().map(|(_, number)| number).sum();
    html! {
        (spark::bar(&parts, whole, "Tokens by state"))
        ul.legend { @for (name, class, number) in states { li { span class=(format!("dot {class}")) {} (count(number)) " " (name) } } }
        p.quiet { (count(pool.leased)) " leases now; " (count(pool.min)) " usable tokens wanted at least, " (count(pool.max)) " at most" }
    }
}

fn tokens(pool: &Result<PoolStats, ApiError>) -> Markup {
    html! {
        section.card {
            h2 { "Upstream tokens" a.aside href="/console/tokens" { "All tokens" } }
            @match pool { Ok(pool) => (pool_bar(pool)), Err(error) => (shell::missing("The token pool", error)) }
        }
    }
}
