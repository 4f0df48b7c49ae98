//! Secrets that are made, and secrets that come from files.

use crate::settings::load;
use bootstrap::Role;
use std::os::unix::fs::PermissionsExt;

#[test]
fn made_secrets_are_kept_for_their_owner_alone_and_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let pairs = [("DATA_DIR", data.to_str().unwrap())];
    let first = load(Role::Up, &pairs, None).unwrap();
    let again = load(Role::Up, &pairs, None).unwrap();
    let admin = |settings: &bootstrap::Settings| settings.secrets.admin_key.as_ref().unwrap().reveal().to_owned();
    assert_eq!(admin(&first), admin(&again));
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&first.secrets_dir()), 0o700);
    let mut names: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(first.secrets_dir()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(mode(&entry.path()), 0o600);
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(
        names,
        ["admin_api_key", "api_key_pepper", "internal_auth_secret", "system_api_key", "token_encryption_keys"]
    );
}

#[test]
fn processes_that_start_at_once_make_one_secret() {
    let folder = tempfile::tempdir().unwrap();
    let keep = |text: String| bootstrap::settings::keep_secret(folder.path(), "one", &text).unwrap();
    let kept: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|n| scope.spawn(move || keep(format!("secret {n}")))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(kept.iter().all(|text| *text == kept[0]), "{kept:?}");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let line = load(Role::Up, &[("DATA_DIR", file.to_str().unwrap())], None).unwrap_err().to_string();
    assert!(line.starts_with("DATA_DIR=") && !line.contains('\n'), "{line}");
}

#[test]
fn a_secret_may_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    std::fs::write(&file, "postgres://app@127.0.0.1/x\n").unwrap();
    let settings = load(Role::Migrate, &[("DATABASE_URL_FILE", file.to_str().unwrap())], None).unwrap();
    assert!(settings.database.is_some());
    let line = load(Role::Migrate, &[("DATABASE_URL_FILE", "/nowhere")], None).unwrap_err().to_string();
    assert!(line.starts_with("DATABASE_URL_FILE=\"/nowhere\" is not allowed: a readable file"), "{line}");
}
