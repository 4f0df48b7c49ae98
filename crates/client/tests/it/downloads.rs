//! Downloads: whole or not at all, and our key is for our own host.

use crate::scripted::{Scripted, answer};
use client::{Client, ClientError};
use domain::generation::Track;

fn track(audio_url: String) -> Track {
    Track { id: "t".into(), audio_url, image_url: None, title: None, duration_seconds: 1.0 }
}

#[tokio::test]
async fn a_track_is_saved_whole_and_another_host_never_sees_the_key() {
    let server = Scripted::answering([answer("200 OK", "", "RIFF and so on")]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("song.wav");
    std::fs::write(&path, "an older song").unwrap();
    let client = Client::new("http://api.example.org", &"son1k_test_secret".to_owned().into()).unwrap();
    let bytes = client.download(&track(format!("{}/audio/a.wav", server.url)), &path).await.unwrap();
    assert_eq!((bytes, std::fs::read_to_string(&path).unwrap().as_str()), (14, "RIFF and so on"));
    let asked = server.asked().await.remove(0);
    assert!(asked.starts_with("GET /audio/a.wav HTTP/1.1\r\n"));
    assert!(!asked.to_lowercase().contains("authorization"), "{asked}");
}

#[tokio::test]
async fn a_broken_download_leaves_what_was_there() {
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nhalf".to_owned();
    let server = Scripted::answering([cut, answer("404 Not Found", "", "")]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("song.wav");
    std::fs::write(&path, "an older song").unwrap();
    for _ in 0..2 {
        assert!(server.client().download(&track("/audio/a.wav".into()), &path).await.is_err());
    }
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["song.wav"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "an older song");
    let nowhere = track("file:///etc/passwd".into());
    assert!(matches!(server.client().download(&nowhere, &path).await, Err(ClientError::BadUrl(_))));
    // A link relative to the API is the API's own, and gets the key.
    assert!(server.asked().await[0].contains("authorization: Bearer"));
}
