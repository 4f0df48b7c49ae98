//! The audio is a real, playable file; the same prompt sounds the same, another one does not.

use crate::upstream::Upstream;
use serde_json::json;

async fn wav_of(upstream: &Upstream, prompt: &str) -> Vec<u8> {
    let id = upstream.generate("t", prompt).await;
    let status = upstream.status(&id).await;
    let url = status["tracks"][0]["audio_url"].as_str().unwrap();
    let answer = upstream.http.get(url).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "audio/wav");
    let wav = answer.bytes().await.unwrap().to_vec();
    let seconds = (wav.len() - 44) as f64 / 2.0 / 22_050.0;
    assert!((status["tracks"][0]["duration"].as_f64().unwrap() - seconds).abs() < 0.01);
    wav
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().rev().fold(0, |value, byte| (value << 8) | usize::from(*byte))
}

fn samples(wav: &[u8]) -> Vec<f64> {
    wav[44..].chunks_exact(2).map(|pair| f64::from(i16::from_le_bytes([pair[0], pair[1]]))).collect()
}

fn loudness(samples: &[f64]) -> f64 {
    (samples.iter().map(|sample| sample * sample).sum::<f64>() / samples.len() as f64).sqrt()
}

#[tokio::test]
async fn every_mood_is_a_valid_wav_of_three_to_eight_seconds_that_is_not_silent() {
    let upstream = Upstream::start();
    for prompt in ["lofi beat to study to", "a happy folk tune", "slow piano", "techno for driving", "名前", "x"] {
        let wav = wav_of(&upstream, prompt).await;
        assert_eq!((&wav[0..4], &wav[8..16], &wav[36..40]), (&b"RIFF"[..], &b"WAVEfmt "[..], &b"data"[..]));
        assert_eq!(number(&wav[4..8]), wav.len() - 8);
        assert_eq!(number(&wav[40..44]), wav.len() - 44);
        // PCM, mono, 22,050 Hz, 16 bits.
        assert_eq!((number(&wav[20..22]), number(&wav[22..24])), (1, 1));
        assert_eq!((number(&wav[24..28]), number(&wav[34..36])), (22_050, 16));
        let samples = samples(&wav);
        let seconds = samples.len() as f64 / 22_050.0;
        assert!((3.0..=8.0).contains(&seconds), "{prompt}: {seconds} s");
        // Loud enough everywhere but in the last second, never clipped flat, and without an offset.
        for (second, part) in samples[..samples.len() - 22_050].chunks(22_050).enumerate() {
            assert!(loudness(part) > 500.0, "{prompt}: second {second} has {}", loudness(part));
        }
        assert!(samples.iter().filter(|sample| sample.abs() > 32_000.0).count() == 0);
        assert!((samples.iter().sum::<f64>() / samples.len() as f64).abs() < 300.0);
        // It starts and ends at rest: no clicks.
        assert!(samples[0].abs() < 50.0 && samples[samples.len() - 1].abs() < 50.0);
    }
}

#[tokio::test]
async fn the_same_prompt_is_the_same_file_and_another_is_not() {
    let (one, two) = (Upstream::start(), Upstream::start());
    let first = wav_of(&one, "lofi beat, rain on the window").await;
    assert!(first == wav_of(&two, "lofi beat, rain on the window").await);
    assert!(first != wav_of(&one, "lofi beat, rain on the roof").await);
    // Many listeners at once all get the whole of it.
    let id = one.generate("t", "lofi beat, rain on the window").await;
    let url = format!("{}/audio/{id}.wav", one.url);
    let all = futures::future::join_all((0..16).map(|_| async { one.http.get(&url).send().await?.bytes().await }));
    assert!(all.await.into_iter().all(|wav| wav.unwrap().as_ref() == first.as_slice()));
}

#[tokio::test]
async fn the_cover_is_an_svg_and_nothing_is_served_before_the_end() {
    let upstream = Upstream::start();
    let id = upstream.generate("t", "p").await;
    let cover = upstream.http.get(format!("{}/image/{id}.svg", upstream.url)).send().await.unwrap();
    assert_eq!(cover.headers()["content-type"], "image/svg+xml");
    assert!(cover.text().await.unwrap().starts_with("<svg "));
    upstream.script(json!({"render_seconds": {"min": 60, "max": 60}})).await;
    let id = upstream.generate("t", "p").await;
    for path in [format!("/audio/{id}.wav"), format!("/image/{id}.svg")] {
        assert_eq!(upstream.get("t", &path).await.unwrap().status(), reqwest::StatusCode::NOT_FOUND);
    }
}
