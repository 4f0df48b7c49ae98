//! Another container like one that runs: what `docker inspect` tells of it, as the body of a creation.
//!
//! Everything is taken over but what is one container's own: its number and name, its made-up host name, its addresses in its networks. The
//! image is taken by its id, so that the new one runs the same program, wherever a tag points by now.

use super::container::NUMBER;
use crate::controller::ControlError;
use serde_json::{Map, Value, json};

pub(super) struct Another {
    pub(super) name: String,
    pub(super) body: Value,
    /// A creation names one network; it is connected to these before it starts.
    pub(super) further_networks: Vec<(String, Value)>,
}

pub(super) fn another(model: &Value, project: &str, service: &str, number: u32) -> Result<Another, ControlError> {
    let lacks = |what: &str| ControlError::Malformed(format!("a container without {what}"));
    let name = format!("{project}-{service}-{number}");
    let mut config = model["Config"].as_object().cloned().ok_or_else(|| lacks("a configuration"))?;
    let id = model["Id"].as_str().ok_or_else(|| lacks("an id"))?;
    let image = model["Image"].as_str().ok_or_else(|| lacks("an image"))?;
    // A host name that was made up is the beginning of the id.
    if config.get("Hostname").and_then(Value::as_str).is_some_and(|hostname| id.starts_with(hostname)) {
        config.remove("Hostname");
    }
    config.remove("MacAddress");
    config.insert("Image".to_owned(), image.into());
    let labels = config.get_mut("Labels").and_then(Value::as_object_mut).ok_or_else(|| lacks("labels"))?;
    labels.insert(NUMBER.to_owned(), number.to_string().into());
    let host = model["HostConfig"].as_object().cloned().ok_or_else(|| lacks("a host configuration"))?;

    let mut networks = networks(model, &name, service);
    let mode = host.get("NetworkMode").and_then(Value::as_str).unwrap_or_default();
    let first =
        networks.iter().position(|(network, _)| network == mode).or(if networks.is_empty() { None } else { Some(0) });
    let mut endpoints = Map::new();
    if let Some(first) = first {
        let (network, endpoint) = networks.remove(first);
        endpoints.insert(network, endpoint);
    }
    let mut body = Value::Object(config);
    body["HostConfig"] = Value::Object(host);
    body["NetworkingConfig"] = json!({"EndpointsConfig": endpoints});
    Ok(Another { name, body, further_networks: networks })
}

/// Its networks, where the new one answers to its own name and to the service's. A host's or another container's network has no names.
fn networks(model: &Value, name: &str, service: &str) -> Vec<(String, Value)> {
    let of_the_model = model["NetworkSettings"]["Networks"].as_object();
    let named = of_the_model
        .into_iter()
        .flatten()
        .filter(|(network, _)| !["host", "none", "bridge"].contains(&network.as_str()));
    named.map(|(network, _)| (network.clone(), json!({"Aliases": [name, service]}))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Value {
        json!({
            "Id": "3f1c5d2a9b7e4f60aa11bb22cc33dd44ee55ff6600112233445566778899aabb",
            "Image": "sha256:7d1f",
            "Name": "/shop-worker-1",
            "State": {"Status": "running"},
            "Config": {
                "Hostname": "3f1c5d2a9b7e", "User": "65532:65532", "Env": ["A=b"], "Image": "shop-worker", "StopTimeout": 30,
                "MacAddress": "02:42:ac:12:00:05",
                "Labels": {"com.docker.compose.project": "shop", "com.docker.compose.service": "worker",
                           "com.docker.compose.container-number": "1", "com.docker.compose.config-hash": "ab12"},
            },
            "HostConfig": {"NetworkMode": "shop_back", "NanoCpus": 2_000_000_000_u64, "ReadonlyRootfs": true,
                           "Binds": ["shop_secrets:/run/secrets:ro"]},
            "NetworkSettings": {"Networks": {
                "shop_back": {"Aliases": ["shop-worker-1", "worker", "3f1c5d2a9b7e"], "IPAddress": "172.18.0.5", "NetworkID": "n1"},
                "shop_front": {"Aliases": ["shop-worker-1", "worker"], "IPAddress": "172.19.0.2", "NetworkID": "n2"},
            }},
        })
    }

    #[test]
    fn all_is_taken_over_but_what_is_its_own() {
        let made = another(&model(), "shop", "worker", 3).unwrap();
        assert_eq!(made.name, "shop-worker-3");
        let expected = json!({
            "User": "65532:65532", "Env": ["A=b"], "Image": "sha256:7d1f", "StopTimeout": 30,
            "Labels": {"com.docker.compose.project": "shop", "com.docker.compose.service": "worker",
                       "com.docker.compose.container-number": "3", "com.docker.compose.config-hash": "ab12"},
            "HostConfig": {"NetworkMode": "shop_back", "NanoCpus": 2_000_000_000_u64, "ReadonlyRootfs": true,
                           "Binds": ["shop_secrets:/run/secrets:ro"]},
            "NetworkingConfig": {"EndpointsConfig": {"shop_back": {"Aliases": ["shop-worker-3", "worker"]}}},
        });
        assert_eq!(made.body, expected);
        assert_eq!(made.further_networks, [("shop_front".to_owned(), json!({"Aliases": ["shop-worker-3", "worker"]}))]);
    }

    #[test]
    fn a_host_name_that_was_chosen_stays() {
        let mut model = model();
        model["Config"]["Hostname"] = "render-box".into();
        let made = another(&model, "shop", "worker", 2).unwrap();
        assert_eq!(made.body["Hostname"], "render-box");
    }

    #[test]
    fn what_is_no_container_makes_none() {
        for missing in ["Config", "Id", "Image", "HostConfig"] {
            let mut model = model();
            model.as_object_mut().unwrap().remove(missing);
            assert!(another(&model, "shop", "worker", 2).is_err(), "{missing}");
        }
    }
}
