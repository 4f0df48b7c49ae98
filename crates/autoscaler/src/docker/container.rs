//! A container as the engine lists it, and the labels by which compose knows its own.

use serde::Deserialize;
use std::collections::HashMap;

pub(super) const PROJECT: &str = "com.docker.compose.project";
pub(super) const SERVICE: &str = "com.docker.compose.service";
pub(super) const NUMBER: &str = "com.docker.compose.container-number";
/// `True` for what `docker compose run` made: no replica.
const ONE_OFF: &str = "com.docker.compose.oneoff";

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Container {
    pub(super) id: String,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    labels: HashMap<String, String>,
    state: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It runs, or the engine sees to it that it does again.
    Running,
    /// It ran, and could be started again.
    Stopped,
    /// It never ran: whoever made it did not come to the end, and which networks it lacks nobody knows.
    Made,
    /// On its way out.
    Going,
}

/// The filter of a listing.
pub(super) fn labels(project: &str, service: &str) -> Vec<String> {
    vec![format!("{PROJECT}={project}"), format!("{SERVICE}={service}"), format!("{ONE_OFF}=False")]
}

impl Container {
    /// Looked at again, whatever filter the engine was given.
    pub(super) fn is_of(&self, project: &str, service: &str) -> bool {
        let label = |name: &str| self.labels.get(name).map(String::as_str);
        label(PROJECT) == Some(project)
            && label(SERVICE) == Some(service)
            && label(ONE_OFF).is_some_and(|one_off| one_off.eq_ignore_ascii_case("false"))
    }

    /// Compose counts from 1; 0 is one without a number.
    pub(super) fn number(&self) -> u32 {
        self.labels.get(NUMBER).and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    pub(super) fn state(&self) -> State {
        match self.state.as_str() {
            "running" | "restarting" | "paused" => State::Running,
            "exited" => State::Stopped,
            "created" => State::Made,
            _ => State::Going,
        }
    }

    pub(super) fn name(&self) -> &str {
        self.names.first().map_or(self.id.as_str(), |name| name.trim_start_matches('/'))
    }
}
