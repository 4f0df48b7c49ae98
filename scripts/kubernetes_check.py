"""What scripts/kubernetes-check asks of rendered manifests: each fits its schema, and what must go together does.

Speaks to no cluster. Arguments: the Kubernetes version, the schema of a ScaledObject, and rendered files.
"""

import json
import sys

import jsonschema
import kubernetes_validate
import yaml

version, keda, *rendered = sys.argv[1:]
scaled_object = json.load(open(keda))
problems = []


def labels_match(selector, labels):
    return all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())


for path in rendered:
    documents = [document for document in yaml.safe_load_all(open(path)) if document]

    def wrong(document, what):
        problems.append(f"{path}: {document['kind']} {document['metadata']['name']}: {what}")

    for document in documents:
        try:
            if document["apiVersion"].startswith("keda.sh/"):
                jsonschema.validate(document, scaled_object)
            else:
                kubernetes_validate.validate(document, version, strict=True)
        except (jsonschema.ValidationError, kubernetes_validate.ValidationError) as error:
            wrong(document, f"{'/'.join(map(str, error.path))}: {error.message}")

    def named(kind):
        return [document for document in documents if document["kind"] == kind]

    scalers = [
        (scaler, scaler["spec"]["scaleTargetRef"]["name"]) for scaler in named("HorizontalPodAutoscaler") + named("ScaledObject")
    ]
    if [target for _, target in scalers] != ["worker"]:
        problems.append(f"{path}: not exactly one scaler, of the worker: {[target for _, target in scalers]}")
    workloads = named("Deployment") + named("StatefulSet")
    stores = {"postgres", "rabbitmq", "redis"}
    for workload in workloads:
        name = workload["metadata"]["name"]
        pod = workload["spec"]["template"]
        spec, labels = pod["spec"], pod["metadata"]["labels"]
        if any(target == name for _, target in scalers) and "replicas" in workload["spec"]:
            wrong(workload, "says how many, and so does a scaler: each apply would reset it")
        if not spec.get("securityContext", {}).get("runAsNonRoot"):
            wrong(workload, "may run as root")
        if spec.get("automountServiceAccountToken") is not False:
            wrong(workload, "is given a token of the cluster")
        for container in spec["containers"] + spec.get("initContainers", []):
            closed = container.get("securityContext", {})
            if closed.get("allowPrivilegeEscalation") is not False or closed.get("capabilities") != {"drop": ["ALL"]}:
                wrong(workload, f"{container['name']} may gain privileges")
            if name not in stores and closed.get("readOnlyRootFilesystem") is not True:
                wrong(workload, f"{container['name']} may write to its root")
            resources = container.get("resources", {})
            if not {"cpu", "memory"} <= resources.get("requests", {}).keys() & resources.get("limits", {}).keys():
                wrong(workload, f"{container['name']} has no bounds")
        for container in spec["containers"]:
            for probe in ("readinessProbe", "livenessProbe"):
                if probe not in container:
                    wrong(workload, f"{container['name']} has no {probe}")
            ports = {port["name"] for port in container.get("ports", [])}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                asked = container.get(probe, {}).get("httpGet", {}).get("port")
                if asked is not None and asked not in ports:
                    wrong(workload, f"{probe} asks port {asked}, which there is not")
        spared = [budget for budget in named("PodDisruptionBudget") if labels_match(budget["spec"]["selector"], labels)]
        if name in {"gateway", "worker", "token-pool"} and len(spared) != 1:
            wrong(workload, f"has {len(spared)} disruption budgets")
        policies = [policy for policy in named("NetworkPolicy") if policy["spec"]["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/name") == name]
        if name not in {"worker", "autoscaler"} and not policies:
            wrong(workload, "nobody may speak to it")
    pods = [workload["spec"]["template"]["metadata"]["labels"] for workload in workloads]
    for service in named("Service"):
        if not any(all(labels.get(key) == value for key, value in service["spec"]["selector"].items()) for labels in pods):
            wrong(service, "selects nothing")
    configured = {document["metadata"]["name"]: document.get("data", {}) for document in named("ConfigMap")}
    for workload in workloads:
        for container in workload["spec"]["template"]["spec"]["containers"]:
            told = {}
            for source in container.get("envFrom", []):
                if source["configMapRef"]["name"] not in configured:
                    wrong(workload, f"reads a ConfigMap that is not there: {source}")
                told |= configured.get(source["configMapRef"]["name"], {})
            told |= {variable["name"]: variable.get("value") for variable in container.get("env", [])}
            items = {item["path"] for volume in workload["spec"]["template"]["spec"].get("volumes", []) for item in volume.get("secret", {}).get("items", [])}
            for name, value in told.items():
                if name.endswith("_FILE") and items and value and value.rsplit("/", 1)[-1] not in items:
                    wrong(workload, f"{name} names a file that is not mounted")

print("\n".join(problems) or f"{len(rendered)} renderings fit Kubernetes {version}")
sys.exit(bool(problems))
