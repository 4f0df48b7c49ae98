//! A real Prometheus on loopback that scrapes one story's processes every second. Debian's package `prometheus` has it.

use super::documented::root;
use crate::system::{ports, until};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

pub(crate) struct Prometheus {
    url: String,
    http: reqwest::Client,
    _process: Child,
}

/// The executable, where this machine has one.
#[expect(clippy::disallowed_methods, reason = "whether a program is installed is asked of the environment")]
pub(crate) fn installed() -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join("prometheus")).find(|candidate| candidate.is_file())
}

impl Prometheus {
    /// `targets`: each process's job and address. It judges by our own alerts.
    pub(crate) async fn start(executable: &Path, folder: &Path, targets: &[(String, String)]) -> Self {
        let mut config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 900ms, evaluation_interval: 1s}}\nrule_files: ['{}']\nscrape_configs:\n",
            root().join("deploy/prometheus/rules/alerts.yml").display()
        );
        let mut jobs: Vec<&str> = targets.iter().map(|(job, _)| job.as_str()).collect();
        jobs.dedup();
        for job in jobs {
            let of_it = targets.iter().filter(|(of, _)| of == job);
            let addresses: Vec<&str> = of_it.map(|(_, url)| url.trim_start_matches("http://")).collect();
            config += &format!("- {{job_name: {job}, static_configs: [{{targets: {addresses:?}}}]}}\n");
        }
        let file = folder.join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let address = format!("127.0.0.1:{}", ports::free());
        let log = std::fs::File::create(folder.join("prometheus.log")).unwrap();
        let process = Command::new(executable)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("prometheus").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        let prometheus = Self { url: format!("http://{address}"), http, _process: process };
        until("Prometheus is ready", Duration::from_secs(60), async || {
            let answer = prometheus.http.get(format!("{}/-/ready", prometheus.url)).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        prometheus
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let url = reqwest::Url::parse_with_params(&format!("{}{path}", self.url), query).unwrap();
        let answer = self.http.get(url).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["status"], "success", "{query:?}: {answer}");
        answer["data"].clone()
    }

    /// The samples that an expression has now.
    pub(crate) async fn ask(&self, expression: &str) -> Vec<Value> {
        let data = self.get("/api/v1/query", &[("query", expression)]).await;
        data["result"].as_array().unwrap_or_else(|| panic!("{expression} is no vector: {data}")).clone()
    }

    /// Our alerts as it judges them: name, health, state.
    pub(crate) async fn alerts(&self) -> Vec<(String, String, String)> {
        let data = self.get("/api/v1/rules", &[("type", "alert")]).await;
        let rules =
            data["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap().clone());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        rules.map(|rule| (text(&rule["name"]), text(&rule["health"]), text(&rule["state"]))).collect()
    }
}
