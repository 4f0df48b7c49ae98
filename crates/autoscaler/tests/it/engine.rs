//! A Docker Engine on a Unix socket, as far as scaling goes: it keeps containers, refuses what the real one refuses, and records every call.

use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

#[derive(Default)]
pub(crate) struct World {
    pub(crate) containers: Vec<Value>,
    /// Method and path of every call but the reads, in order; a stop with its time.
    pub(crate) changes: Vec<String>,
    /// The bodies of creations and connections.
    pub(crate) bodies: Vec<Value>,
    /// A single container has been looked at.
    pub(crate) inspected: bool,
    /// What the next start answers instead of starting.
    pub(crate) start_fails: Option<u16>,
    made: u32,
}

pub(crate) struct Engine {
    pub(crate) world: Arc<Mutex<World>>,
    pub(crate) socket: PathBuf,
    handle: actix_web::dev::ServerHandle,
    _folder: tempfile::TempDir,
}

impl Drop for Engine {
    fn drop(&mut self) {
        // The future is the wait for the end; asking for it is done by the call.
        drop(self.handle.stop(false));
    }
}

/// As `docker inspect` tells of one: the parts that scaling looks at, and some that it must carry over.
pub(crate) fn container(project: &str, service: &str, number: u32, state: &str) -> Value {
    let id = format!("{project}{service}{number}")
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let id = format!("{id:016x}{}", "0".repeat(48));
    json!({
        "Id": id,
        "Name": format!("/{project}-{service}-{number}"),
        "Image": "sha256:51c2",
        "State": {"Status": state},
        "Config": {
            "Hostname": id[..12], "User": "65532:65532", "Image": format!("{project}-{service}"), "StopTimeout": 25,
            "Env": ["DATABASE_URL_FILE=/run/secrets/database_url"],
            "Labels": {
                "com.docker.compose.project": project, "com.docker.compose.service": service,
                "com.docker.compose.oneoff": "False", "com.docker.compose.container-number": number.to_string(),
            },
        },
        "HostConfig": {"NetworkMode": format!("{project}_back"), "NanoCpus": 2_000_000_000_u64, "ReadonlyRootfs": true},
        "NetworkSettings": {"Networks": {
            format!("{project}_back"): {"IPAddress": "172.18.0.5"}, format!("{project}_out"): {"IPAddress": "172.19.0.5"},
        }},
    })
}

impl Engine {
    pub(crate) fn with(containers: Vec<Value>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let world = Arc::new(Mutex::new(World { containers, ..World::default() }));
        let data = Data::new(world.clone());
        let server = HttpServer::new(move || App::new().app_data(data.clone()).default_service(web::to(answer)))
            .workers(1)
            .disable_signals()
            .bind_uds(&socket)
            .unwrap()
            .run();
        let handle = server.handle();
        tokio_util::task::TaskTracker::new().spawn(server);
        Self { world, socket, handle, _folder: folder }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Names with their states, in the order of their making.
    pub(crate) fn states(&self) -> Vec<String> {
        let told =
            |container: &Value| format!("{} {}", &text(&container["Name"])[1..], text(&container["State"]["Status"]));
        self.world().containers.iter().map(told).collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn refusal(status: u16, message: &str) -> HttpResponse {
    HttpResponse::build(status.try_into().unwrap()).json(json!({"message": message}))
}

async fn answer(request: HttpRequest, body: Bytes, world: Data<Arc<Mutex<World>>>) -> HttpResponse {
    let mut world = world.lock().unwrap();
    let (method, path, query) =
        (request.method().as_str().to_owned(), request.path().to_owned(), request.query_string());
    if path == "/version" {
        return HttpResponse::Ok().json(json!({"Version": "28.5.2", "ApiVersion": "1.51", "MinAPIVersion": "1.24"}));
    }
    let Some(path) = path.strip_prefix("/v1.51") else { return refusal(404, "page not found") };
    if method != "GET" {
        let with_time = if path.ends_with("/stop") { format!("?{query}") } else { String::new() };
        let named = world.containers.iter().fold(path.to_owned(), |path, container| {
            path.replace(&text(&container["Id"]), &text(&container["Name"])[1..])
        });
        world.changes.push(format!("{method} {named}{with_time}"));
    }
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let place =
        |world: &World, id: &str| world.containers.iter().position(|container| text(&container["Id"]).starts_with(id));
    match (method.as_str(), parts.as_slice()) {
        ("GET", ["containers", "json"]) => list(&world, query),
        ("POST", ["containers", "create"]) => create(&mut world, query, &body),
        ("POST", ["networks", _, "connect"]) => {
            world.bodies.push(serde_json::from_slice(&body).unwrap());
            HttpResponse::Ok().finish()
        }
        (_, ["containers", id, ..]) => {
            let Some(at) = place(&world, id) else { return refusal(404, "No such container") };
            let state = text(&world.containers[at]["State"]["Status"]);
            match (method.as_str(), parts.get(2).copied()) {
                ("GET", Some("json")) => {
                    world.inspected = true;
                    HttpResponse::Ok().json(&world.containers[at])
                }
                ("POST", Some("start")) if state == "running" => HttpResponse::NotModified().finish(),
                ("POST", Some("start")) => {
                    if let Some(status) = world.start_fails.take() {
                        return refusal(status, "driver failed programming external connectivity");
                    }
                    world.containers[at]["State"]["Status"] = "running".into();
                    HttpResponse::NoContent().finish()
                }
                ("POST", Some("stop")) => {
                    world.containers[at]["State"]["Status"] = "exited".into();
                    HttpResponse::NoContent().finish()
                }
                ("DELETE", None) if state == "running" => refusal(409, "cannot remove container: container is running"),
                ("DELETE", None) => {
                    world.containers.remove(at);
                    HttpResponse::NoContent().finish()
                }
                _ => refusal(404, "page not found"),
            }
        }
        _ => refusal(404, "page not found"),
    }
}

fn list(world: &World, query: &str) -> HttpResponse {
    let query: web::Query<std::collections::HashMap<String, String>> = web::Query::from_query(query).unwrap();
    assert_eq!(query["all"], "true");
    let filters: Value = serde_json::from_str(&query["filters"]).unwrap();
    let wanted: Vec<(String, String)> = filters["label"]
        .as_array()
        .unwrap()
        .iter()
        .map(|label| text(label).split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap())
        .collect();
    let listed = world
        .containers
        .iter()
        .filter(|container| wanted.iter().all(|(name, value)| container["Config"]["Labels"][name] == value.as_str()));
    let told = listed.map(|container| {
        json!({"Id": container["Id"], "Names": [container["Name"]], "Labels": container["Config"]["Labels"],
               "State": container["State"]["Status"], "Image": container["Config"]["Image"]})
    });
    HttpResponse::Ok().json(told.collect::<Vec<_>>())
}

fn create(world: &mut World, query: &str, body: &[u8]) -> HttpResponse {
    let query: web::Query<std::collections::HashMap<String, String>> = web::Query::from_query(query).unwrap();
    let name = format!("/{}", query["name"]);
    if world.containers.iter().any(|container| container["Name"] == name.as_str()) {
        return refusal(409, "Conflict. The container name is already in use");
    }
    let mut body: Value = serde_json::from_slice(body).unwrap();
    world.bodies.push(body.clone());
    world.made += 1;
    let id = format!("{:064x}", 0xfeed_0000_u64 + u64::from(world.made));
    let (host, networks) = (body["HostConfig"].take(), body["NetworkingConfig"].take());
    world.containers.push(json!({
        "Id": id, "Name": name, "Image": body["Image"], "State": {"Status": "created"}, "Config": body, "HostConfig": host,
        "NetworkSettings": {"Networks": networks["EndpointsConfig"]},
    }));
    HttpResponse::Created().json(json!({"Id": id, "Warnings": []}))
}
