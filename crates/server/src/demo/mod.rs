//! `son1k demo`: one song from one sentence, through the same gateway, worker and pool as everything else; only its upstream is simulated.

mod show;

use crate::all_in_one::{Ready, all_in_one};
use crate::launch::say;
use crate::tier_keys::tier_keys;
use anyhow::{Context, bail};
use bootstrap::Settings;
use clap::Args;
use client::{Client, EventKind, Submission};
use domain::generation::Track;
use domain::ids::GenerationId;
use domain::state::Status;
use show::Show;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const LOOK_EVERY: Duration = Duration::from_millis(300);
const LONGEST: Duration = Duration::from_secs(120);

#[derive(Debug, Args)]
pub struct Arguments {
    /// What the song should be like
    #[arg(default_value = "lofi beat to study to")]
    pub prompt: Vec<String>,
    /// Where to save it, instead of the songs of DATA_DIR
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Makes the song, saves it, and prints its path as the last line.
///
/// # Errors
/// A part that cannot start, or a song that was not made.
pub async fn demo(mut settings: Settings, arguments: Arguments, shutdown: CancellationToken) -> anyhow::Result<()> {
    // Beside whatever else runs on this machine, and for this machine alone.
    settings.listen.port = 0;
    settings.listen.ops_port = None;
    settings.listen.host = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    // Somebody is watching.
    settings.worker.poll_longest = LOOK_EVERY;
    let prompt = arguments.prompt.join(" ");
    say(&format!("Making a song of \"{prompt}\", with everything in this one process."));
    let mut saved = None;
    all_in_one(settings, shutdown, async |ready, _| {
        let song = make(&ready, &prompt, arguments.out.as_deref());
        saved = Some(tokio::time::timeout(LONGEST, Box::pin(song)).await.context("the song took too long")??);
        Ok(())
    })
    .await?;
    let Some(path) = saved else { bail!("interrupted before the song was made") };
    say("");
    say("To go on: `son1k up` keeps all of this running, and prints a key and a curl line of your own.");
    say("The song:");
    say(&path.display().to_string());
    Ok(())
}

async fn make(ready: &Ready, prompt: &str, out: Option<&Path>) -> anyhow::Result<PathBuf> {
    let begun = Instant::now();
    let keys = tier_keys(&ready.settings, &ready.backends).await?;
    let key = keys.last().context("no tier has a key")?.key.reveal().to_owned();
    let client = Client::new(&ready.url, &key.into())?;
    let submitted = client.submit(&Submission::of(prompt)).await?;
    let id = submitted.generation.id;
    say(&format!("accepted: POST {}/v1/generations -> 202 {id}", ready.url));
    follow(&client, id).await?;
    let generation = client.generation(id).await?;
    if generation.status != Status::Succeeded {
        let why = generation.error.map_or_else(|| "it did not say why".to_owned(), |error| error.message);
        bail!("the song was not made: {why}");
    }
    let track =
        generation.output.and_then(|output| output.tracks.into_iter().next()).context("the song has no track")?;
    let path = place(ready, prompt, id, &track, out)?;
    let bytes = client.download(&track, &path).await?;
    say(&format!("saved {} KB, {:.1} s after it was asked for", bytes / 1024, begun.elapsed().as_secs_f32()));
    std::path::absolute(&path).context("the song's path")
}

/// Shows what happens as the API tells it.
async fn follow(client: &Client, id: GenerationId) -> anyhow::Result<()> {
    let mut show = Show::new();
    let mut events = client.events(id, None);
    while let Some(event) = events.next().await? {
        let word = |name: &str| event.data.get(name).and_then(|value| value.as_str());
        match event.kind {
            EventKind::Status => show.stage(word("stage").or(word("status")).unwrap_or_default()),
            EventKind::Progress => {
                show.progress(event.data.get("progress").and_then(serde_json::Value::as_f64).unwrap_or(0.0))
            }
            _ => {}
        }
    }
    show.end();
    Ok(())
}

/// Where the song goes: a readable name, told apart by its id.
fn place(ready: &Ready, prompt: &str, id: GenerationId, track: &Track, out: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(out) = out {
        return Ok(out.to_path_buf());
    }
    let folder = ready.settings.data_dir.join("songs");
    std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let words: Vec<String> = prompt
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(8)
        .map(str::to_lowercase)
        .collect();
    let id = id.to_string();
    let extension =
        track.audio_url.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map_or("wav", |(_, end)| end);
    let extension: String = extension.chars().take_while(char::is_ascii_alphanumeric).take(4).collect();
    let name: String = words.join("-").chars().take(60).collect();
    Ok(folder.join(format!("{name}-{}.{extension}", id.get(id.len() - 6..).unwrap_or(&id))))
}
