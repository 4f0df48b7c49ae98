//! The controller for Railway, against an API that takes the exact requests that the real one was recorded with, and nothing else.

use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use autoscaler::{ControlError, Controller, Railway, RailwaySettings};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

const READ: &str = "query ($serviceId: String!, $environmentId: String!) { serviceInstance(serviceId: $serviceId, environmentId: $environmentId) { serviceName numReplicas } }";
const WRITE: &str = "mutation ($serviceId: String!, $environmentId: String!, $input: ServiceInstanceUpdateInput!) { serviceInstanceUpdate(serviceId: $serviceId, environmentId: $environmentId, input: $input) }";
const TOKEN: &str = "0d6f1c1e-5f0f-4c55-8a0e-project-token";
const SERVICE: &str = "5c7e2a3b-1111-4222-8333-944445555666";
const ENVIRONMENT: &str = "b1f0c9d8-aaaa-4bbb-8ccc-ddddeeeeffff";

struct World {
    replicas: Option<u32>,
    name: &'static str,
    /// Answers given before any other, with their statuses.
    instead: VecDeque<(u16, Value)>,
    /// Writes are confirmed and not done.
    forgets: bool,
    reads: u32,
    writes: Vec<Value>,
}

struct Api {
    world: Arc<Mutex<World>>,
    url: String,
    handle: actix_web::dev::ServerHandle,
}

impl Drop for Api {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

impl Api {
    fn new(replicas: Option<u32>) -> Self {
        let world =
            World { replicas, name: "worker", instead: VecDeque::new(), forgets: false, reads: 0, writes: vec![] };
        let world = Arc::new(Mutex::new(world));
        let data = Data::new(world.clone());
        let server = HttpServer::new(move || App::new().app_data(data.clone()).default_service(web::to(answer)))
            .workers(1)
            .disable_signals()
            .bind("127.0.0.1:0")
            .unwrap();
        let url = format!("http://{}/graphql/v2", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        tokio_util::task::TaskTracker::new().spawn(server);
        Self { world, url, handle }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn controller(&self, token: &str) -> Railway {
        Railway::new(RailwaySettings {
            api_url: self.url.clone(),
            token: token.to_owned().into(),
            environment_id: ENVIRONMENT.to_owned(),
            service_id: SERVICE.to_owned(),
            service_name: "worker".to_owned(),
        })
        .unwrap()
    }
}

async fn answer(request: HttpRequest, body: Bytes, world: Data<Arc<Mutex<World>>>) -> HttpResponse {
    let mut world = world.lock().unwrap();
    assert_eq!((request.method().as_str(), request.path()), ("POST", "/graphql/v2"));
    assert_eq!(request.headers().get("content-type").unwrap(), "application/json");
    assert!(!request.headers().contains_key("authorization"), "a project token is no bearer token");
    if request.headers().get("project-access-token").unwrap() != TOKEN {
        return HttpResponse::Ok().json(json!({"errors": [{"message": "Not Authorized", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}], "data": null}));
    }
    if let Some((status, body)) = world.instead.pop_front() {
        return HttpResponse::build(status.try_into().unwrap()).json(body);
    }
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let mut variables = json!({"serviceId": SERVICE, "environmentId": ENVIRONMENT});
    if asked["query"] == READ {
        assert_eq!(asked["variables"], variables);
        world.reads += 1;
        return HttpResponse::Ok()
            .json(json!({"data": {"serviceInstance": {"serviceName": world.name, "numReplicas": world.replicas}}}));
    }
    assert_eq!(asked["query"], WRITE);
    let input = asked["variables"]["input"].clone();
    variables["input"] = input.clone();
    assert_eq!(asked["variables"], variables);
    assert_eq!(input.as_object().unwrap().len(), 1, "nothing but the number is set");
    if !world.forgets {
        world.replicas = Some(u32::try_from(input["numReplicas"].as_u64().unwrap()).unwrap());
    }
    world.writes.push(input);
    HttpResponse::Ok().json(json!({"data": {"serviceInstanceUpdate": true}}))
}

#[tokio::test]
async fn replicas_are_read_and_one_is_what_a_service_without_a_number_has() {
    let api = Api::new(Some(3));
    assert_eq!(api.controller(TOKEN).current().await, Ok(Some(3)));
    api.world().replicas = None;
    assert_eq!(api.controller(TOKEN).current().await, Ok(Some(1)));
}

#[tokio::test]
async fn a_number_is_written_and_read_back() {
    let api = Api::new(Some(3));
    api.controller(TOKEN).scale(5, &|| true).await.unwrap();
    let (replicas, reads) = {
        let world = api.world();
        (world.replicas, world.reads)
    };
    assert_eq!((replicas, reads), (Some(5), 2));
    assert_eq!(api.world().writes, [json!({"numReplicas": 5})]);
    // What is so already is not written again.
    api.controller(TOKEN).scale(5, &|| true).await.unwrap();
    assert_eq!(api.world().writes.len(), 1);
    api.world().forgets = true;
    let refused = api.controller(TOKEN).scale(4, &|| true).await;
    assert_eq!(refused, Err(ControlError::Refused("4 replicas were set and 5 are told".to_owned())));
}

#[tokio::test]
async fn another_service_is_never_written() {
    let api = Api::new(Some(3));
    api.world().name = "postgres";
    let read = api.controller(TOKEN).current().await;
    assert!(matches!(read, Err(ControlError::NotTheWorkers(_))), "{read:?}");
    let written = api.controller(TOKEN).scale(5, &|| true).await;
    assert!(matches!(written, Err(ControlError::NotTheWorkers(_))), "{written:?}");
    assert!(api.world().writes.is_empty());
}

#[tokio::test]
async fn whoever_leads_no_more_writes_nothing() {
    let api = Api::new(Some(3));
    assert_eq!(api.controller(TOKEN).scale(5, &|| false).await, Err(ControlError::NotLeading));
    assert!(api.world().writes.is_empty());
}

#[tokio::test]
async fn refusals_are_told_without_the_token() {
    let api = Api::new(Some(3));
    let refused = api.controller("wrong-token").current().await.unwrap_err();
    assert_eq!(refused, ControlError::Refused("Not Authorized".to_owned()));
    for (status, body, expected) in [
        (401, json!({}), "the platform refused: the token is not accepted"),
        (400, json!({"errors": [{"message": "Problem processing request"}]}), "the platform refused: it answered 400"),
        (200, json!({"data": {"serviceInstance": null}}), "the platform answered nonsense: no service instance"),
        (200, json!([1]), "the platform answered nonsense: it is no GraphQL answer"),
        (200, json!({"data": null}), "the platform answered nonsense: it is no GraphQL answer"),
    ] {
        api.world().instead.push_back((status, body));
        let told = api.controller(TOKEN).current().await.unwrap_err().to_string();
        assert_eq!(told, expected);
        assert!(!told.contains(TOKEN));
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_not_for_ever() {
    let api = Api::new(Some(3));
    api.world().instead.extend([(503, json!({})), (502, json!({}))]);
    assert_eq!(api.controller(TOKEN).current().await, Ok(Some(3)));
    api.world().instead.extend([(503, json!({})), (503, json!({})), (503, json!({}))]);
    assert_eq!(api.controller(TOKEN).current().await, Err(ControlError::Unavailable("it answered 503".to_owned())));
    assert!(api.world().instead.is_empty(), "three tries");
}

#[tokio::test]
async fn a_write_is_sent_once_for_the_leadership_may_have_run_out_by_the_second_try() {
    let api = Api::new(Some(3));
    let read = json!({"data": {"serviceInstance": {"serviceName": "worker", "numReplicas": 3}}});
    api.world().instead.extend([(200, read), (503, json!({}))]);
    let failed = api.controller(TOKEN).scale(5, &|| true).await;
    assert_eq!(failed, Err(ControlError::Unavailable("it answered 503".to_owned())));
    assert!(api.world().writes.is_empty());
    // The next evaluation repeats it.
    api.controller(TOKEN).scale(5, &|| true).await.unwrap();
    assert_eq!(api.world().writes, [json!({"numReplicas": 5})]);
}
