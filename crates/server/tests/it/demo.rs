//! `son1k demo`: ends with the path of a song that can be played.

use crate::processes::output;
use std::path::Path;
use std::time::{Duration, Instant};

#[test]
fn a_sentence_becomes_a_song_within_ten_seconds() {
    let folder = tempfile::tempdir().unwrap();
    // Whatever is configured, the demo uses nobody's servers.
    let settings = [("DATABASE_URL", "postgres://app@127.0.0.1:1/x"), ("SUNO_API_URL", "http://127.0.0.1:1")];
    let asked = Instant::now();
    let output = output("son1k", folder.path(), &settings, &["demo", "lofi beat to study to"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(asked.elapsed() < Duration::from_secs(10), "it took {:?}", asked.elapsed());
    for word in ["202 gen_", "submitting", "rendering", "succeeded"] {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
    let path = Path::new(said.lines().last().unwrap());
    assert!(path.is_absolute(), "{said}");
    let song = std::fs::read(path).unwrap();
    assert!(song.len() > 10_000 && song.starts_with(b"RIFF") && &song[8..12] == b"WAVE");
}
