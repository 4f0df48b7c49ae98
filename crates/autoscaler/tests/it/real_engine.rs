//! The controller for the Docker Engine on a real one: `scripts/scale-containers` makes the project that it scales and runs this.

use autoscaler::{Controller, Docker, DockerSettings, EngineHost};
use std::process::Command;

#[expect(clippy::disallowed_methods, reason = "a test is told its project by its script")]
fn told(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run scripts/scale-containers"))
}

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Those that run of one service, by name.
fn running(project: &str, service: &str) -> Vec<String> {
    let project = format!("label=com.docker.compose.project={project}");
    let service = format!("label=com.docker.compose.service={service}");
    let listed = docker(&["ps", "--filter", &project, "--filter", &service, "--format", "{{.Names}}"]);
    let mut names: Vec<String> = listed.lines().map(str::to_owned).collect();
    names.sort();
    names
}

#[tokio::test]
#[ignore = "needs a Docker Engine and a project: scripts/scale-containers"]
async fn real_containers_come_and_go() {
    let project = told("TEST_DOCKER_PROJECT");
    let host = EngineHost::Socket(told("TEST_DOCKER_SOCKET").into());
    let settings =
        DockerSettings { host, project: Some(project.clone()), service: "worker".to_owned(), hostname: String::new() };
    let controller = Docker::new(settings).unwrap();
    let names = |count: u32| (1..=count).map(|number| format!("{project}-worker-{number}")).collect::<Vec<_>>();
    let others = running(&project, "other");
    assert_eq!((controller.current().await.unwrap(), others.len()), (Some(1), 1));

    controller.scale(3, &|| true).await.unwrap();
    assert_eq!(running(&project, "worker"), names(3));
    let shape = "{{.HostConfig.NanoCpus}} {{.HostConfig.Memory}} {{.HostConfig.ReadonlyRootfs}} {{.Config.StopTimeout}} {{.Image}} \
                 {{range .Mounts}}{{.Name}}:{{.Destination}} {{end}}{{range $n, $_ := .NetworkSettings.Networks}}{{$n}} {{end}}";
    let shapes: Vec<String> =
        names(3).iter().map(|name| docker(&["inspect", "--format", shape, name]).trim().to_owned()).collect();
    assert!(
        shapes[0].contains(&format!("{project}_kept:/kept")) && shapes[0].contains(&format!("{project}_out")),
        "{shapes:?}"
    );
    assert!(shapes.iter().all(|shape| *shape == shapes[0]), "{shapes:?}");
    // By the service's name the new ones are found as the first is.
    let found = docker(&["exec", &format!("{project}-other-1"), "nslookup", "worker"]);
    assert_eq!(
        found.lines().filter(|line| line.starts_with("Address") && !line.contains("127.0.0.11")).count(),
        3,
        "{found}"
    );

    controller.scale(1, &|| true).await.unwrap();
    assert_eq!(running(&project, "worker"), names(1));
    assert_eq!(running(&project, "other"), others);
    let left = docker(&[
        "ps",
        "-a",
        "--filter",
        &format!("label=com.docker.compose.project={project}"),
        "--format",
        "{{.Names}}",
    ]);
    assert_eq!(left.lines().count(), 2, "nothing stopped is left: {left}");
}
