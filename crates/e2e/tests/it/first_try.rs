//! Somebody's first minutes: `son1k demo` makes a song out of nothing, and what `son1k up` prints works when it is pasted.

use crate::system::{Environment, Process, run_to_end};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A port that is free, and nothing else configured.
fn nothing_configured() -> Environment {
    Environment::from([("PORT", "0".to_owned()), ("RUST_LOG", "warn".to_owned())])
}

fn is_a_song(path: &Path) {
    let wav = std::fs::read(path).unwrap();
    assert_eq!((&wav[..4], &wav[8..12]), (&b"RIFF"[..], &b"WAVE"[..]));
    assert!(wav.len() > 3 * 2 * 22_050, "more than three seconds of it");
}

#[tokio::test]
async fn the_demo_ends_with_the_path_of_a_song() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["son1k", "demo", "lofi beat to study to"];
    let output = run_to_end(&arguments, &nothing_configured(), folder.path(), Duration::from_secs(60)).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let path = Path::new(said.lines().last().unwrap());
    assert!(path.is_absolute(), "{said}");
    is_a_song(path);
}

#[tokio::test]
async fn what_up_prints_works_when_pasted_and_is_there_again_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut up = Process::start("up", &["son1k", "up"], &nothing_configured(), folder.path());
    up.ready().await;
    let printed = up.log();
    let curl = printed.lines().find(|line| line.trim_start().starts_with("curl ")).unwrap();
    for tier in ["free", "pro", "premium", "enterprise"] {
        assert!(printed.lines().any(|line| line.trim_start().starts_with(tier) && line.contains("son1k_")), "{tier}");
    }
    // A proxy of the environment cannot reach this machine's own loopback.
    let pasted = Command::new("sh").args(["-c", curl]).env("NO_PROXY", "*").output().unwrap();
    assert_ne!(pasted.status.code(), Some(127), "this story needs curl");
    let answer = String::from_utf8(pasted.stdout).unwrap();
    let generation: serde_json::Value = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{curl}\n{answer}"));
    assert_eq!(generation["status"], "succeeded", "{answer}");
    let audio = generation["output"]["tracks"][0]["audio_url"].as_str().unwrap();

    // Killed and started again: the same keys, and the song's address still has the song.
    up.kill().await;
    let mut again = Process::start("again", &["son1k", "up"], &nothing_configured(), folder.path());
    again.ready().await;
    let key = curl.split("Bearer ").nth(1).unwrap().split('\'').next().unwrap();
    assert!(again.log().contains(key));
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let wav = http.get(audio).send().await.unwrap().error_for_status().unwrap().bytes().await.unwrap();
    let path = folder.path().join("song.wav");
    std::fs::write(&path, wav).unwrap();
    is_a_song(&path);
}
