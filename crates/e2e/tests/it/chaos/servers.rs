//! Servers of a row's own, by `scripts/chaos-broker` and `scripts/chaos-database`. They end with it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) struct Servers {
    script: PathBuf,
    folder: PathBuf,
}

impl Servers {
    fn new(script: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("son1k-chaos-{:08x}", rand::random::<u32>()));
        std::fs::create_dir_all(&folder).unwrap();
        // The servers run as users of their own.
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        Self { script: root.join("scripts").join(script), folder }
    }

    /// One or three RabbitMQ nodes, and the URL of each.
    pub(super) async fn broker(nodes: u8) -> (Self, Vec<String>) {
        let servers = Self::new("chaos-broker");
        let urls = servers.told("start", &[&nodes.to_string()]).await;
        (servers, urls.lines().map(str::to_owned).collect())
    }

    /// A PostgreSQL server, and its URL.
    pub(super) async fn database() -> (Self, String) {
        let servers = Self::new("chaos-database");
        let url = servers.told("start", &[]).await.trim().to_owned();
        (servers, url)
    }

    /// Has one of the script's commands done and answers what it printed.
    pub(super) async fn told(&self, command: &str, arguments: &[&str]) -> String {
        let output = tokio::process::Command::new(&self.script)
            .arg(&self.folder)
            .arg(command)
            .args(arguments)
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{command} {arguments:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        said
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // Whatever is left of them is a temporary folder.
        let _ended = Command::new(&self.script).arg(&self.folder).arg("end").status();
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}
