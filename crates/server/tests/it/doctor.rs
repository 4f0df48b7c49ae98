//! `son1k doctor`: what it says of a gateway behind TLS, of a part that the gateway cannot reach, and of the data folder.

use crate::processes::output;
use crate::scripted::Scripted;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

const KEY: (&str, &str) = ("ADMIN_API_KEY", "an-operators-key-for-stories-0123456789");

fn says(folder: &Path, settings: &[(&str, &str)]) -> (Option<i32>, String) {
    let done = output("son1k", folder, settings, &["doctor"]);
    (done.status.code(), String::from_utf8([done.stdout, done.stderr].concat()).unwrap())
}

#[test]
fn a_gateway_behind_tls_is_asked_and_a_pool_that_is_out_is_not_blamed_on_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let answers = |path: &str| match path {
        "/readyz" => Some((200, r#"{"status":"ready"}"#)),
        "/admin/v1/queue" => Some((200, r#"{"waiting":7,"active":1,"rendering":2}"#)),
        "/admin/v1/workers" => Some((200, r#"{"data":[]}"#)),
        "/admin/v1/tokens/pool" => Some((503, r#"{"status":503,"detail":"The token pool does not answer."}"#)),
        other => panic!("{other}"),
    };
    let (gateway, authority) = Scripted::tls(answers, folder.path());
    let url = format!("https://{}", gateway.address);
    let settings = [("ADMIN_URL", url.as_str()), ("SSL_CERT_FILE", authority.to_str().unwrap()), KEY];
    let (status, said) = says(folder.path(), &settings);
    assert_eq!(status, Some(1), "{said}");
    let ready = format!("ok    gateway         {url} is ready");
    for line in [&ready, "ok    admin key", "ok    queue           7 waiting", "BAD   workers", "BAD   tokens"] {
        assert!(said.contains(line), "{line:?} is missing: {said}");
    }
    assert!(said.contains("TOKEN_POOL_URL") && said.contains("The token pool does not answer."), "{said}");
    assert!(said.contains("2 to mend"), "{said}");
    // Nobody vouches for it here, which is not the same as being down.
    let (status, said) = says(folder.path(), &[("ADMIN_URL", &url), KEY]);
    assert!(status == Some(1) && said.contains("BAD   gateway") && said.contains("ertificate"), "{said}");
}

#[test]
fn a_gateway_that_is_not_ready_says_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Scripted::plain(|path| match path {
        "/readyz" => Some((503, r#"{"ledger":{"status":"down"}}"#)),
        _ => Some((401, r#"{"code":"unauthenticated","detail":"No key."}"#)),
    });
    let (status, said) = says(folder.path(), &[("ADMIN_URL", &format!("http://{}", gateway.address)), KEY]);
    assert_eq!(status, Some(1), "{said}");
    for line in
        ["BAD   gateway         not ready (503): {\"ledger\"", "BAD   admin key", "ADMIN_API_KEY is not this gateway's"]
    {
        assert!(said.contains(line), "{line:?} is missing: {said}");
    }
}

#[test]
fn a_data_folder_is_ours_alone_or_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("kept");
    let settings = [("DATA_DIR", data.to_str().unwrap()), ("ADMIN_URL", "http://127.0.0.1:9"), KEY];
    let line = || {
        let said = says(folder.path(), &settings).1;
        said.lines().find(|line| line.contains(" DATA_DIR ")).unwrap().to_owned()
    };
    assert!(line().starts_with("warn") && line().contains("is not there"), "{}", line());
    fs::write(&data, "").unwrap();
    assert!(line().starts_with("BAD") && line().contains("is no folder"), "{}", line());
    fs::remove_file(&data).unwrap();
    fs::create_dir(&data).unwrap();
    for mode in [0o750, 0o770, 0o710, 0o701, 0o755] {
        fs::set_permissions(&data, Permissions::from_mode(mode)).unwrap();
        assert!(line().starts_with("warn") && line().contains("others can get into"), "{mode:o}: {}", line());
    }
    fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
    assert!(line().starts_with("ok"), "{}", line());
    assert_eq!(fs::read_dir(&data).unwrap().count(), 0, "nothing is left behind");
    // Only a superuser can give a folder away, and only they can then write it.
    if chown(&data, Some(12_345), None).is_ok() {
        assert!(line().starts_with("warn") && line().contains("belongs to another user"), "{}", line());
        return;
    }
    fs::set_permissions(&data, Permissions::from_mode(0o500)).unwrap();
    assert!(line().starts_with("BAD") && line().contains("cannot be written"), "{}", line());
    fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
}
