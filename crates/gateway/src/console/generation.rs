//! One generation: why it waits and what to do, its way so far, its attempts, its sound; canceled and submitted anew from here.

use super::generations::state;
use super::session::Session;
use super::shell::{self, Press, heading, pill};
use super::why::{self, Known, Why};
use super::words::{ago, clip, clock, count, exact, short, span};
use crate::core::Core;
use crate::generations::place;
use crate::problem::ApiError;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::Timestamp;
use domain::event::MilestoneKind;
use domain::generation::Generation;
use domain::ids::GenerationId;
use domain::ports::generations::{Attempt, Scope};
use domain::state::Status;
use maud::{Markup, html};

pub(super) async fn page(
    core: web::Data<Core>,
    session: Session,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let g = crate::generations::find(&core, Scope::Everyone, &id).await?;
    let now = core.backends.clock.now();
    let attempts = core.call(core.backends.generations.attempts(g.id)).await;
    let waiting = if g.status == Status::Queued {
        Some(waits(&core, &g, attempts.as_deref().unwrap_or_default(), now).await)
    } else {
        None
    };
    let here = format!("/console/generations/{}", g.id);
    let live = !g.status.is_final();
    let body = html! {
        // Above what is replaced every two seconds: this page alone was told what was just done.
        (shell::said(&request))
        div #live hx-get=[live.then_some(&here)] hx-trigger=[live.then_some("every 2s")] hx-select="#live" hx-swap="outerHTML" {
            (heading(&clip(g.request.title.as_deref().unwrap_or(&g.request.prompt), 80), &html! { (state(&g)) }))
            p.quiet.mono { (g.id) }
            @if let Some(waiting) = &waiting { (waiting) }
            @if let Some(error) = &g.error {
                p.notice class=(if g.status == Status::Failed { "bad" } else { "" }) { strong { (error.code.name().replace('_', " ")) ". " } (error.message) }
            }
            (tracks(&g))
            (way(&g, now))
            (actions(&session, &g, &here))
            div.columns { (facts(&g, now)) (asked_for(&g)) }
            section.card {
                h2 { "Attempts" span.quiet { (g.attempts) " counted" } }
                @match &attempts {
                    Err(error) => (shell::missing("The attempts", error)),
                    Ok(attempts) if attempts.is_empty() => p.empty { "None has ended" @if g.started_at.is_some() { "; the first is under way" } "." },
                    Ok(attempts) => (tries(attempts, now)),
                }
            }
        }
    };
    Ok(shell::page(&format!("Generation {}", short(&g.id.to_string())), "/console/generations", &session, &body))
}

async fn waits(core: &Core, g: &Generation, attempts: &[Attempt], now: Timestamp) -> Markup {
    let (queue, pool, workers, place, told) = futures::join!(
        core.queue(),
        core.call(core.token_admin.stats()),
        core.call(core.backends.work.workers()),
        core.call(core.backends.generations.place(g.id)),
        place::of(core, g),
    );
    let place = place.ok().flatten();
    let known = Known {
        generation: g,
        place: place.as_ref(),
        queue: queue.as_deref().ok(),
        pool: pool.as_ref().ok(),
        workers: workers.as_deref().ok(),
        attempts,
        now,
    };
    let Some(Why { because, todo, page }) = why::explain(&known) else { return html! {} };
    html! {
        section.why aria-label="Why it waits" {
            h2 { "Why it waits" }
            p.big { (because) }
            p { strong { "What to do: " } (todo) @if let Some((name, path)) = page { " " a #todo href=(path) { (name) } } }
            dl.facts.flat {
                @if let Ok(told) = &told {
                    dt { "Place within its account" } dd { @match told.position { Some(position) => (count(position)), None => "unknown" } }
                    dt { "May start" } dd { @match told.estimated_start_at { Some(at) => (ago(at.0, now)), None => "not known" } }
                }
                @if let Some(place) = &place { dt { "Before it, of all" } dd { (count(place.ahead)) } }
            }
        }
    }
}

fn tracks(g: &Generation) -> Markup {
    html! {
        @for track in g.output.iter().flat_map(|output| &output.tracks) {
            section.card.track {
                @if let Some(image) = &track.image_url { img src=(image) alt="" width="96" height="96" loading="lazy" referrerpolicy="no-referrer"; }
                div {
                    strong { (track.title.as_deref().unwrap_or("Untitled")) } span.quiet { " " (span(track.duration_seconds)) }
                    audio controls preload="none" src=(track.audio_url) { a href=(track.audio_url) { "Download" } }
                }
            }
        }
    }
}

/// The way so far, each leg as long as it took.
fn way(g: &Generation, now: Timestamp) -> Markup {
    let milestones = g.milestones_after(0);
    let end = g.finished_at.unwrap_or(now);
    let whole = (end - g.created_at).as_seconds_f64().max(0.001);
    let leg = |kind| match kind {
        MilestoneKind::Accepted => ("waiting", "wait"),
        MilestoneKind::Started => ("submitting", "cool"),
        MilestoneKind::Rendering => ("rendering", "run"),
        MilestoneKind::Ended => ("ended", "good"),
    };
    let legs: Vec<(&str, &str, f64)> = milestones
        .iter()
        .enumerate()
        .filter(|(_, milestone)| milestone.kind != MilestoneKind::Ended)
        .map(|(index, milestone)| {
            let until = milestones.get(index + 1).map_or(end, |next| next.at);
            let (name, class) = leg(milestone.kind);
            (name, class, (until - milestone.at).as_seconds_f64().max(0.0))
        })
        .collect();
    let parts: Vec<(&str, f64)> = legs.iter().map(|(_, class, seconds)| (*class, *seconds)).collect();
    html! {
        section.card {
            h2 { "Its way" span.quiet { (span(whole)) @if g.finished_at.is_none() { " so far" } } }
            (super::spark::bar(&parts, whole, "How long each leg took"))
            ul.legend { @for (name, class, seconds) in &legs { li { span class=(format!("dot {class}")) {} (name) " " (span(*seconds)) } } }
            ol.timeline {
                @for milestone in &milestones {
                    li { time datetime=(exact(milestone.at)) { (clock(milestone.at)) } " "
                        @match milestone.kind {
                            MilestoneKind::Accepted => "accepted",
                            MilestoneKind::Started => "claimed by a worker",
                            MilestoneKind::Rendering => "accepted by the upstream, rendering",
                            MilestoneKind::Ended => (g.status.name()),
                        }
                    }
                }
            }
        }
    }
}

fn actions(session: &Session, g: &Generation, here: &str) -> Markup {
    html! {
        div.row.actions {
            @if g.status.is_final() {
                (Press { call: format!("generations/{}/retry", g.id), method: "POST", label: "Submit anew", class: "", back: "/console/generations", said: "retried",
                    sure: Some("Submit it anew? It is charged to its account as a new one.") }
                    .show(session, &html! { input type="hidden" name="_open" value="new"; }))
            } @else {
                (Press { call: format!("generations/{}/cancel", g.id), method: "POST", label: "Cancel", class: "danger", back: here, said: "canceled",
                    sure: Some("Cancel it? Its credit is returned, and the upstream is told.") }.show(session, &html! {}))
            }
        }
    }
}

fn linked<T: ToString>(id: Option<T>, path: &str) -> Markup {
    html! { @match id.map(|id| id.to_string()) { Some(id) => a.mono href=(if path.ends_with('#') { format!("{path}{id}") } else { format!("{path}/{id}") }) { (short(&id)) }, None => "–" } }
}

fn facts(g: &Generation, now: Timestamp) -> Markup {
    let credits = g.credits();
    html! {
        section.card {
            h2 { "Facts" }
            dl.facts {
                dt { "Account" } dd { a.mono href=(format!("/console/accounts/{}", g.account_id)) { (g.account_id) } " " (pill("off", g.tier.name())) }
                dt { "Others of it" } dd { a href=(format!("/console/generations?account={}", g.account_id)) { "its generations" } }
                dt { "Made" } dd { (ago(g.created_at, now)) }
                dt { "Given up" } dd { @if g.status.is_final() { "–" } @else { (ago(g.cancel_after, now)) } }
                dt { "Credit" } dd { @if g.cost == 0 { "free" } @else if credits.reserved > 0 { "reserved" } @else if credits.captured > 0 { "captured" } @else { "refunded" } }
                dt { "Anew of" } dd { (linked::<GenerationId>(g.retry_of, "/console/generations")) }
                dt { "Trace" } dd { @match &g.trace_id { Some(trace) => span.mono { (trace) }, None => "none" } }
                dt { "Version" } dd { (g.version) }
            }
        }
    }
}

fn asked_for(g: &Generation) -> Markup {
    let r = &g.request;
    html! {
        section.card {
            h2 { "Asked for" }
            p.prompt { (r.prompt) }
            dl.facts {
                @for (name, text) in [("Title", &r.title), ("Style", &r.style)] { @if let Some(text) = text { dt { (name) } dd { (text) } } }
                dt { "Length" } dd { (r.duration_seconds) " s, " (r.quality.name()) @if r.instrumental { ", instrumental" } }
                @for (name, value) in &r.metadata { dt.mono { (name) } dd { (value.as_str().unwrap_or_default()) } }
            }
            @if let Some(lyrics) = &r.lyrics { details { summary { "Lyrics" } pre { (lyrics) } } }
        }
    }
}

fn tries(attempts: &[Attempt], now: Timestamp) -> Markup {
    html! {
        table {
            thead { tr { th { "Outcome" } th { "Why" } th { "Ended" } th { "Took" } th { "Worker" } th { "Token" } th { "Upstream id" } } }
            tbody {
                @for attempt in attempts {
                    @let kind = match attempt.outcome.as_str() { "succeeded" => "good", "failed" => "bad", "retried" => "warn", _ => "off" };
                    tr {
                        td data-label="Outcome" { (pill(kind, &attempt.outcome)) }
                        td data-label="Why" { (attempt.error.as_deref().unwrap_or("–")) }
                        td data-label="Ended" { (ago(attempt.ended_at, now)) }
                        td data-label="Took" { @match attempt.started_at { Some(at) => (span((attempt.ended_at - at).as_seconds_f64())), None => "–" } }
                        td.mono data-label="Worker" { (attempt.worker_id.map_or_else(|| "–".to_owned(), |id| short(&id.to_string()))) }
                        td data-label="Token" { (linked(attempt.token_id, "/console/tokens#")) }
                        td.mono data-label="Upstream id" { (attempt.upstream_id.as_deref().unwrap_or("–")) }
                    }
                }
            }
        }
    }
}
