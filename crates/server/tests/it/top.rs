//! `son1k top` beside a gateway that hangs: a signal ends it at once, and the terminal is given back as it was.

use crate::processes::{PATIENCE, Running, executable};
use crate::scripted::{Said, Scripted};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

const KEY: (&str, &str) = ("ADMIN_API_KEY", "an-operators-key-for-stories-0123456789");

fn a_picture(path: &str) -> Said {
    match path {
        "/admin/v1/queue" => Some((200, r#"{"waiting":101,"active":1,"rendering":2,"oldest_waiting_seconds":60.0}"#)),
        "/admin/v1/workers" => Some((200, r#"{"data":[]}"#)),
        _ => Some((503, "")),
    }
}

#[test]
fn a_signal_is_heard_before_the_first_answer() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Scripted::plain(|path| if path.ends_with("/pool") { None } else { a_picture(path) });
    let url = format!("http://{}", gateway.address);
    let mut top = Running::start("son1k", folder.path(), &[("ADMIN_URL", &url), KEY], &["top"]);
    assert_eq!(gateway.waited_for.recv_timeout(PATIENCE).unwrap(), "/admin/v1/tokens/pool");
    top.signal("-INT");
    assert_eq!(top.end().0, Some(0), "it ended as a process that hangs");
}

/// On a terminal that `script` (of util-linux) makes; nothing is proved where that is not installed.
#[test]
fn a_signal_is_heard_between_pictures_and_the_terminal_is_given_back() {
    if Command::new("script").arg("--version").output().is_err() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let asked = AtomicUsize::new(0);
    let gateway = Scripted::plain(move |path| {
        let first = asked.fetch_add(1, Ordering::SeqCst) < 3;
        if first { a_picture(path) } else { None }
    });
    let (pid, program) = (folder.path().join("pid"), executable("son1k"));
    let run = format!("echo $$ > {}; exec {program} top --interval 1", pid.display());
    let mut terminal = Command::new("script");
    terminal.args(["-q", "-e", "-f", "-c", &run, "/dev/null"]).current_dir(folder.path());
    terminal.env_clear().envs([
        ("ADMIN_URL", format!("http://{}", gateway.address).as_str()),
        KEY,
        ("SHELL", "/bin/sh"),
    ]);
    let running = terminal.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    gateway.waited_for.recv_timeout(PATIENCE).unwrap();
    let pid = std::fs::read_to_string(pid).unwrap();
    assert!(Command::new("bash").args(["-c", &format!("kill -INT {pid}")]).status().unwrap().success());
    let done = running.wait_with_output().unwrap();
    let drawn = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{:?}: {drawn:?}", done.status);
    assert!(drawn.starts_with("\u{1b}[?1049h") && drawn.ends_with("\u{1b}[?1049l"), "{drawn:?}");
    assert!(drawn.contains("<- too many") && !drawn.contains("<- too long"), "{drawn:?}");
}
