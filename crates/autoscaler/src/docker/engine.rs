//! The engine's API over its socket or an address: the few calls that scaling takes, in the version that the engine itself names.

use super::container::Container;
use super::done;
use crate::controller::ControlError;
use crate::http;
use reqwest::{Client, Method, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::OnceCell;

const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Creating, starting and removing touch disks and networks.
const CHANGE_WITHIN: Duration = Duration::from_secs(30);

/// Where the engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineHost {
    Socket(PathBuf),
    /// `http://host:port`.
    Address(String),
}

pub(super) struct Engine {
    client: Client,
    base: String,
    /// `/v1.51`: as the engine says.
    version: OnceCell<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    api_version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: String,
}

impl Engine {
    pub(super) fn new(host: &EngineHost) -> Result<Self, ControlError> {
        let (client, base) = match host {
            EngineHost::Socket(path) => {
                (http::client(|builder| builder.unix_socket(path.as_path()))?, "http://docker".to_owned())
            }
            EngineHost::Address(url) => (http::client(|builder| builder)?, url.trim_end_matches('/').to_owned()),
        };
        Ok(Self { client, base, version: OnceCell::new() })
    }

    async fn url(&self, path: &str, query: &[(&str, &str)]) -> Result<Url, ControlError> {
        let version = self.version.get_or_try_init(|| self.ask_version()).await?;
        let address = || ControlError::Unavailable("its address is no URL".to_owned());
        let mut url: Url = format!("{}/v{version}{path}", self.base).parse().map_err(|_| address())?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    async fn ask_version(&self) -> Result<String, ControlError> {
        let build = || self.client.get(format!("{}/version", self.base));
        let answer = http::patiently(build, ANSWER_WITHIN).await?;
        done(answer.status, &answer.body, &[])?;
        let Version { api_version } = parsed(&answer.body)?;
        let plain = api_version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && !api_version.is_empty();
        if plain { Ok(api_version) } else { Err(ControlError::Malformed("its version is none".to_owned())) }
    }

    async fn read(&self, path: &str, query: &[(&str, &str)]) -> Result<http::Answer, ControlError> {
        let url = self.url(path, query).await?;
        http::patiently(|| self.client.get(url.clone()), ANSWER_WITHIN).await
    }

    /// Once: a change whose answer was lost is seen by the next evaluation.
    async fn change(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
        within: Duration,
    ) -> Result<http::Answer, ControlError> {
        let request = self.client.request(method, self.url(path, query).await?);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        http::once(request, within).await
    }

    pub(super) async fn list(&self, labels: &[String]) -> Result<Vec<Container>, ControlError> {
        let filters = json!({"label": labels}).to_string();
        let answer = self.read("/containers/json", &[("all", "true"), ("filters", &filters)]).await?;
        done(answer.status, &answer.body, &[])?;
        parsed(&answer.body)
    }

    /// `None`: there is no such container.
    pub(super) async fn inspect(&self, id: &str) -> Result<Option<Value>, ControlError> {
        let answer = self.read(&format!("/containers/{id}/json"), &[]).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        done(answer.status, &answer.body, &[])?;
        parsed(&answer.body).map(Some)
    }

    /// A name that is taken is refused: nothing is made twice.
    pub(super) async fn create(&self, name: &str, body: &Value) -> Result<String, ControlError> {
        let query = [("name", name)];
        let answer = self.change(Method::POST, "/containers/create", &query, Some(body), CHANGE_WITHIN).await?;
        done(answer.status, &answer.body, &[])?;
        parsed::<Created>(&answer.body).map(|created| created.id)
    }

    pub(super) async fn connect(&self, network: &str, body: &Value) -> Result<(), ControlError> {
        let path = format!("/networks/{network}/connect");
        let answer = self.change(Method::POST, &path, &[], Some(body), CHANGE_WITHIN).await?;
        done(answer.status, &answer.body, &[])
    }

    /// One that runs already is started.
    pub(super) async fn start(&self, id: &str) -> Result<(), ControlError> {
        let answer = self.change(Method::POST, &format!("/containers/{id}/start"), &[], None, CHANGE_WITHIN).await?;
        done(answer.status, &answer.body, &[StatusCode::NOT_MODIFIED])
    }

    /// Its signal, and after `within` the end. One that is stopped or gone is stopped.
    pub(super) async fn stop(&self, id: &str, within: Duration) -> Result<(), ControlError> {
        let (path, seconds) = (format!("/containers/{id}/stop"), within.as_secs().to_string());
        let answer = self.change(Method::POST, &path, &[("t", &seconds)], None, within + CHANGE_WITHIN).await?;
        done(answer.status, &answer.body, &[StatusCode::NOT_MODIFIED, StatusCode::NOT_FOUND])
    }

    /// With the volumes that have no name. One that is gone is removed; one that runs is refused.
    pub(super) async fn remove(&self, id: &str) -> Result<(), ControlError> {
        let path = format!("/containers/{id}");
        let answer = self.change(Method::DELETE, &path, &[("v", "true")], None, CHANGE_WITHIN).await?;
        done(answer.status, &answer.body, &[StatusCode::NOT_FOUND])
    }
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, ControlError> {
    serde_json::from_slice(body).map_err(|_| ControlError::Malformed("it is not the engine's JSON".to_owned()))
}
