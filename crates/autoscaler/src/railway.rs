//! Railway's public API (GraphQL): the replicas of one service in one environment, in that service's one region.
//!
//! A project token opens one environment, so it goes in the header that is for such tokens. The service must not be spread over regions, which
//! nothing here would notice: `numReplicas` speaks of one region alone. A write is sent once and read back, for another hand may have written
//! meanwhile.

use crate::controller::{ControlError, Controller, StillLeads};
use crate::http::{self, Answer, quoted};
use async_trait::async_trait;
use reqwest::header::HeaderValue;
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

const TOKEN_HEADER: &str = "Project-Access-Token";
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const READ: &str = "query ($serviceId: String!, $environmentId: String!) { serviceInstance(serviceId: $serviceId, environmentId: \
                    $environmentId) { serviceName numReplicas } }";
const WRITE: &str = "mutation ($serviceId: String!, $environmentId: String!, $input: ServiceInstanceUpdateInput!) { \
                     serviceInstanceUpdate(serviceId: $serviceId, environmentId: $environmentId, input: $input) }";

#[derive(Debug, Clone)]
pub struct RailwaySettings {
    pub api_url: String,
    /// A project token.
    pub token: SecretString,
    pub environment_id: String,
    pub service_id: String,
    /// The name that the service must have, or nothing is touched.
    pub service_name: String,
}

pub struct Railway {
    client: Client,
    url: Url,
    token: HeaderValue,
    environment_id: String,
    service_id: String,
    service_name: String,
}

#[derive(Deserialize)]
struct Reply {
    data: Option<Value>,
    errors: Option<Vec<GraphError>>,
}

#[derive(Deserialize)]
struct GraphError {
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServiceInstance {
    service_name: String,
    num_replicas: Option<u32>,
}

impl Railway {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// An address that is none, or a token that no header can carry.
    pub fn new(settings: RailwaySettings) -> Result<Self, ControlError> {
        let url = settings.api_url.parse().map_err(|_| ControlError::Refused("its address is no URL".to_owned()))?;
        let mut token = HeaderValue::from_str(settings.token.expose_secret())
            .map_err(|_| ControlError::Refused("the token has characters that no header may have".to_owned()))?;
        token.set_sensitive(true);
        let RailwaySettings { environment_id, service_id, service_name, .. } = settings;
        Ok(Self { client: http::client(|builder| builder)?, url, token, environment_id, service_id, service_name })
    }

    fn request(&self, query: &str, variables: &Value) -> RequestBuilder {
        let body = json!({"query": query, "variables": variables});
        self.client.post(self.url.clone()).header(TOKEN_HEADER, self.token.clone()).json(&body)
    }

    /// Once: by its second try the leadership may have run out, and the next evaluation repeats it.
    async fn set(&self, replicas: u32) -> Result<(), ControlError> {
        let mut variables = self.instance();
        variables["input"] = json!({"numReplicas": replicas});
        let data = understood(&http::once(self.request(WRITE, &variables), ANSWER_WITHIN).await?)?;
        if data["serviceInstanceUpdate"] == true {
            return Ok(());
        }
        Err(ControlError::Malformed("the update was not confirmed".to_owned()))
    }

    fn instance(&self) -> Value {
        json!({"serviceId": self.service_id, "environmentId": self.environment_id})
    }

    async fn replicas(&self) -> Result<u32, ControlError> {
        let variables = self.instance();
        let read = http::patiently(|| self.request(READ, &variables), ANSWER_WITHIN).await?;
        let mut data = understood(&read)?;
        let instance: ServiceInstance = serde_json::from_value(data["serviceInstance"].take())
            .map_err(|_| ControlError::Malformed("no service instance".to_owned()))?;
        if instance.service_name != self.service_name {
            let (found, wanted) = (quoted(&instance.service_name), &self.service_name);
            return Err(ControlError::NotTheWorkers(format!("the id's service is named {found:?}, not {wanted:?}")));
        }
        Ok(instance.num_replicas.unwrap_or(1))
    }
}

fn understood(answer: &Answer) -> Result<Value, ControlError> {
    match answer.status {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return Err(ControlError::Refused("the token is not accepted".to_owned()));
        }
        StatusCode::TOO_MANY_REQUESTS => return Err(ControlError::Refused("too many requests".to_owned())),
        status if status.is_server_error() => {
            return Err(ControlError::Unavailable(format!("it answered {}", status.as_u16())));
        }
        status => return Err(ControlError::Refused(format!("it answered {}", status.as_u16()))),
    }
    let nonsense = || ControlError::Malformed("it is no GraphQL answer".to_owned());
    let reply: Reply = serde_json::from_slice(&answer.body).map_err(|_| nonsense())?;
    if let Some(error) = reply.errors.iter().flatten().next() {
        return Err(ControlError::Refused(quoted(&error.message)));
    }
    reply.data.ok_or_else(nonsense)
}

#[async_trait]
impl Controller for Railway {
    fn name(&self) -> &'static str {
        "railway"
    }

    async fn current(&self) -> Result<Option<u32>, ControlError> {
        self.replicas().await.map(Some)
    }

    async fn scale(&self, to: u32, leads: StillLeads<'_>) -> Result<(), ControlError> {
        // Its name is looked at again: the id may mean another service by now.
        if self.replicas().await? == to {
            return Ok(());
        }
        if !leads() {
            return Err(ControlError::NotLeading);
        }
        self.set(to).await?;
        match self.replicas().await? {
            replicas if replicas == to => Ok(()),
            other => Err(ControlError::Refused(format!("{to} replicas were set and {other} are told"))),
        }
    }
}
