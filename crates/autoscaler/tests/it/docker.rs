//! The controller for the Docker Engine: what it makes, what it lets go, and what it never touches.

use crate::engine::{Engine, container};
use autoscaler::{ControlError, Controller, Docker, DockerSettings, EngineHost};
use serde_json::json;

fn others() -> Vec<serde_json::Value> {
    let mut one_off = container("shop", "worker", 77, "running");
    one_off["Config"]["Labels"]["com.docker.compose.oneoff"] = "True".into();
    vec![
        container("shop", "postgres", 1, "running"),
        container("shop", "autoscaler", 1, "running"),
        container("other", "worker", 1, "running"),
        one_off,
    ]
}

fn engine(workers: &[(u32, &str)]) -> Engine {
    let workers = workers.iter().map(|(number, state)| container("shop", "worker", *number, state));
    Engine::with(others().into_iter().chain(workers).collect())
}

fn controller(engine: &Engine) -> Docker {
    let host = EngineHost::Socket(engine.socket.clone());
    let (project, service) = (Some("shop".to_owned()), "worker".to_owned());
    Docker::new(DockerSettings { host, project, service, hostname: "nobody".to_owned() }).unwrap()
}

/// What is left after those that no scaling concerns, which are as they were.
fn workers(engine: &Engine) -> Vec<String> {
    let states = engine.states();
    let before =
        ["shop-postgres-1 running", "shop-autoscaler-1 running", "other-worker-1 running", "shop-worker-77 running"];
    assert_eq!(states[..4], before);
    states[4..].to_vec()
}

#[tokio::test]
async fn replicas_are_the_containers_of_one_service_of_one_project() {
    let engine = engine(&[(1, "running"), (2, "restarting"), (3, "exited"), (4, "dead"), (5, "paused")]);
    assert_eq!(controller(&engine).current().await.unwrap(), Some(3));
    assert!(engine.world().changes.is_empty());
}

#[tokio::test]
async fn more_are_made_like_the_one_that_runs() {
    let engine = engine(&[(1, "running")]);
    controller(&engine).scale(3, &|| true).await.unwrap();
    assert_eq!(workers(&engine), ["shop-worker-1 running", "shop-worker-2 running", "shop-worker-3 running"]);
    let bodies = engine.world().bodies.clone();
    let expected = json!({
        "User": "65532:65532", "Image": "sha256:51c2", "StopTimeout": 25, "Env": ["DATABASE_URL_FILE=/run/secrets/database_url"],
        "Labels": {
            "com.docker.compose.project": "shop", "com.docker.compose.service": "worker",
            "com.docker.compose.oneoff": "False", "com.docker.compose.container-number": "2",
        },
        "HostConfig": {"NetworkMode": "shop_back", "NanoCpus": 2_000_000_000_u64, "ReadonlyRootfs": true},
        "NetworkingConfig": {"EndpointsConfig": {"shop_back": {"Aliases": ["shop-worker-2", "worker"]}}},
    });
    assert_eq!(bodies[0], expected);
    assert_eq!(bodies[1]["EndpointConfig"], json!({"Aliases": ["shop-worker-2", "worker"]}));
    let changes = engine.world().changes.clone();
    assert_eq!(
        changes[..3],
        ["POST /containers/create", "POST /networks/shop_out/connect", "POST /containers/shop-worker-2/start"]
    );
    // The same again changes nothing.
    controller(&engine).scale(3, &|| true).await.unwrap();
    assert_eq!(engine.world().changes.len(), changes.len());
}

#[tokio::test]
async fn a_number_that_is_free_is_taken_and_what_is_stopped_is_started_first() {
    let engine = engine(&[(1, "running"), (3, "exited")]);
    controller(&engine).scale(3, &|| true).await.unwrap();
    assert_eq!(workers(&engine), ["shop-worker-1 running", "shop-worker-3 running", "shop-worker-2 running"]);
}

#[tokio::test]
async fn the_newest_goes_first_with_the_time_that_it_was_given() {
    let engine = engine(&[(2, "running"), (10, "running"), (1, "running")]);
    controller(&engine).scale(1, &|| true).await.unwrap();
    assert_eq!(workers(&engine), ["shop-worker-1 running"]);
    let expected = [
        "POST /containers/shop-worker-10/stop?t=25",
        "DELETE /containers/shop-worker-10",
        "POST /containers/shop-worker-2/stop?t=25",
        "DELETE /containers/shop-worker-2",
    ];
    assert_eq!(engine.world().changes, expected);
}

#[tokio::test]
async fn one_that_does_not_start_is_taken_away_again() {
    let engine = engine(&[(1, "running")]);
    engine.world().start_fails = Some(500);
    let failed = controller(&engine).scale(2, &|| true).await.unwrap_err();
    assert_eq!(failed, ControlError::Unavailable("500 driver failed programming external connectivity".to_owned()));
    assert_eq!(workers(&engine), ["shop-worker-1 running"]);
}

#[tokio::test]
async fn with_none_running_there_is_no_model() {
    let engine = engine(&[]);
    let refused = controller(&engine).scale(1, &|| true).await.unwrap_err();
    assert!(matches!(refused, ControlError::NotTheWorkers(_)), "{refused}");
    assert!(workers(&engine).is_empty());
}

#[tokio::test]
async fn a_leader_that_is_no_more_stops_where_it_is() {
    let engine = engine(&[(1, "running")]);
    let until_two = || !engine.states().contains(&"shop-worker-2 running".to_owned());
    assert_eq!(controller(&engine).scale(5, &until_two).await, Err(ControlError::NotLeading));
    assert_eq!(workers(&engine), ["shop-worker-1 running", "shop-worker-2 running"]);
}

#[tokio::test]
async fn the_leadership_is_asked_for_after_the_reads_and_before_each_change() {
    // It runs out while the model is looked at, and while the one that is to go is.
    for to in [1, 3] {
        let engine = engine(&[(1, "running"), (2, "running")]);
        let until_inspected = || !engine.world().inspected;
        assert_eq!(controller(&engine).scale(to, &until_inspected).await, Err(ControlError::NotLeading));
        assert_eq!(engine.world().changes, Vec::<String>::new(), "to {to}");
    }
    // And between making one and starting it: what was made goes again.
    let engine = engine(&[(1, "running")]);
    let until_made = || engine.world().bodies.is_empty();
    assert_eq!(controller(&engine).scale(2, &until_made).await, Err(ControlError::NotLeading));
    assert_eq!(workers(&engine), ["shop-worker-1 running"]);
    let changes = engine.world().changes.clone();
    assert!(!changes.iter().any(|change| change.ends_with("/start")), "{changes:?}");
}

#[tokio::test]
async fn one_that_was_made_and_never_ran_is_made_anew_with_all_its_networks() {
    let engine = engine(&[(1, "running"), (2, "created")]);
    controller(&engine).scale(2, &|| true).await.unwrap();
    assert_eq!(workers(&engine), ["shop-worker-1 running", "shop-worker-2 running"]);
    let expected = [
        "DELETE /containers/shop-worker-2",
        "POST /containers/create",
        "POST /networks/shop_out/connect",
        "POST /containers/shop-worker-2/start",
    ];
    assert_eq!(engine.world().changes, expected);
}

#[tokio::test]
async fn its_project_is_that_of_its_own_container() {
    let engine = engine(&[(1, "running")]);
    let own = engine.world().containers[1]["Config"]["Hostname"].as_str().unwrap().to_owned();
    let settings = |hostname: &str| DockerSettings {
        host: EngineHost::Socket(engine.socket.clone()),
        project: None,
        service: "worker".to_owned(),
        hostname: hostname.to_owned(),
    };
    let inside = Docker::new(settings(&own)).unwrap();
    assert_eq!(inside.current().await.unwrap(), Some(1));
    let outside = Docker::new(settings("ffffffffffff")).unwrap();
    assert!(matches!(outside.current().await, Err(ControlError::NotTheWorkers(_))));
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_out_of_reach() {
    let folder = tempfile::tempdir().unwrap();
    let socket = EngineHost::Socket(folder.path().join("none.sock"));
    let nowhere = EngineHost::Address("http://127.0.0.1:1".to_owned());
    for host in [socket, nowhere] {
        let (project, service, hostname) = (Some("shop".to_owned()), "worker".to_owned(), String::new());
        let docker = Docker::new(DockerSettings { host, project, service, hostname }).unwrap();
        assert!(matches!(docker.current().await, Err(ControlError::Unavailable(_))));
    }
}
