"""reference: apiserver 5, rows Deployment … Namespace and Immutable: what is filled in, what stays."""

import pytest
from paths import autoscaler, everywhere, pod, service, workload

# resource → (body, {path in the answer: value})
FILLED = {
    "deployment-replicas": ("deployments", {"replicas": None, "paused": True}, "spec.replicas", 1),
    "deployment-strategy": (
        "deployments",
        {},
        "spec.strategy",
        {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
    ),
    "deployment-half-strategy": (
        "deployments",
        {"strategy": {"rollingUpdate": {"maxSurge": 3}}},
        "spec.strategy.rollingUpdate",
        {"maxSurge": 3, "maxUnavailable": "25%"},
    ),
    "deployment-recreate": (
        "deployments",
        {"strategy": {"type": "Recreate"}},
        "spec.strategy",
        {"type": "Recreate"},
    ),
    "deployment-history": ("deployments", {}, "spec.revisionHistoryLimit", 10),
    "deployment-deadline": ("deployments", {}, "spec.progressDeadlineSeconds", 600),
    "template-restart-policy": ("deployments", {}, "spec.template.spec.restartPolicy", "Always"),
    "template-dns-policy": ("deployments", {}, "spec.template.spec.dnsPolicy", "ClusterFirst"),
    "template-grace": ("deployments", {}, "spec.template.spec.terminationGracePeriodSeconds", 30),
    "template-security": ("deployments", {}, "spec.template.spec.securityContext", {}),
    "template-pull-policy": (
        "deployments",
        {},
        "spec.template.spec.containers.0.imagePullPolicy",
        "IfNotPresent",
    ),
    "template-message-path": (
        "deployments",
        {},
        "spec.template.spec.containers.0.terminationMessagePath",
        "/dev/termination-log",
    ),
    "template-message-policy": (
        "deployments",
        {},
        "spec.template.spec.containers.0.terminationMessagePolicy",
        "File",
    ),
    "template-resources": ("deployments", {}, "spec.template.spec.containers.0.resources", {}),
    "template-has-no-service-links": ("deployments", {}, "spec.template.spec.enableServiceLinks", None),
    "template-has-no-account": ("deployments", {}, "spec.template.spec.serviceAccountName", None),
}


def at(found, path):
    for step in path.split("."):
        if found is None:
            return None
        found = found[int(step)] if isinstance(found, list) else found.get(step)
    return found


@pytest.mark.needs("quiet")
@pytest.mark.parametrize("case", FILLED)
def test_a_workload_is_filled_in(made, case):
    """reference: apiserver 5, Deployment…, PodSpec, Container; 9, trap 21"""
    resource, spec, path, value = FILLED[case]
    body = workload("Deployment", **spec)
    body["spec"] = {key: each for key, each in body["spec"].items() if each is not None}
    assert at(made(resource, body)[1].json, path) == value


def test_a_replicaset_has_one_replica(made):
    """reference: apiserver 5: RS: replicas 1"""
    body = workload("ReplicaSet")
    del body["spec"]["replicas"]
    _, answer = made("replicasets", body)
    assert answer.json["spec"]["replicas"] == 1
    assert answer.json["status"]["replicas"] == 0


def container(**fields):
    return pod(containers=[{"name": "c", "image": "example/c:1", **fields}])


def volume(**fields):
    return pod(volumes=[{"name": "v", **fields}], automountServiceAccountToken=False)


PODS = {
    "scheduler": (pod(schedulerName=None), "spec.schedulerName", "default-scheduler"),
    "service-links": (pod(), "spec.enableServiceLinks", True),
    "pull-without-tag": (container(image="example/c"), "spec.containers.0.imagePullPolicy", "Always"),
    "pull-latest": (container(image="example/c:latest"), "spec.containers.0.imagePullPolicy", "Always"),
    "pull-port-is-no-tag": (container(image="host:5000/c"), "spec.containers.0.imagePullPolicy", "Always"),
    "pull-digest": (
        container(image="example/c@sha256:" + "a" * 64),
        "spec.containers.0.imagePullPolicy",
        "IfNotPresent",
    ),
    "port-protocol": (container(ports=[{"containerPort": 80}]), "spec.containers.0.ports.0.protocol", "TCP"),
    "requests-from-limits": (
        container(resources={"limits": {"cpu": "2"}}),
        "spec.containers.0.resources.requests",
        {"cpu": "2"},
    ),
    "probe": (
        container(livenessProbe={"tcpSocket": {"port": 1}}),
        "spec.containers.0.livenessProbe",
        {
            "tcpSocket": {"port": 1},
            "timeoutSeconds": 1,
            "periodSeconds": 10,
            "successThreshold": 1,
            "failureThreshold": 3,
        },
    ),
    "http-probe": (
        container(readinessProbe={"httpGet": {"port": 80}}),
        "spec.containers.0.readinessProbe.httpGet",
        {"path": "/", "port": 80, "scheme": "HTTP"},
    ),
    "negative-grace": (pod(terminationGracePeriodSeconds=-5), "spec.terminationGracePeriodSeconds", 1),
    "volume": (volume(), "spec.volumes.0", {"name": "v", "emptyDir": {}}),
    "secret-mode": (volume(secret={"secretName": "s"}), "spec.volumes.0.secret.defaultMode", 420),
    "configmap-mode": (volume(configMap={"name": "s"}), "spec.volumes.0.configMap.defaultMode", 420),
    "host-path-type": (volume(hostPath={"path": "/x"}), "spec.volumes.0.hostPath.type", ""),
    "host-ports": (
        {
            **pod(
                hostNetwork=True, containers=[{"name": "c", "image": "i:1", "ports": [{"containerPort": 8}]}]
            )
        },
        "spec.containers.0.ports.0.hostPort",
        8,
    ),
    "field-ref-version": (
        container(env=[{"name": "E", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]),
        "spec.containers.0.env.0.valueFrom.fieldRef.apiVersion",
        "v1",
    ),
}


@pytest.mark.parametrize("case", PODS)
def test_a_pod_is_filled_in(made, case):
    """reference: apiserver 5: PodSpec, Container, Probe, Pod only, Volume, modes; 9, trap 21"""
    body, path, value = PODS[case]
    body = {**body, "spec": {key: each for key, each in body["spec"].items() if each is not None}}
    if case == "scheduler":
        body["spec"]["schedulingGates"] = [{"name": "conformance.test/gate"}]
    assert at(made("pods", body)[1].json, path) == value


QUANTITIES = {
    "milli-whole": ("1000m", "1"),
    "milli": ("1500m", "1500m"),
    "fraction": ("0.5", "500m"),
    "exponent": ("1e3", "1e3"),
    "plain": ("2000", "2k"),
    "zeros": ("1.50", "1500m"),
    "binary": ("1024Ki", "1Mi"),
    "binary-fraction": ("1.5Gi", "1536Mi"),
    "suffix": ("1000k", "1M"),
}


@pytest.mark.parametrize("case", QUANTITIES)
def test_quantities_are_canonical(made, case):
    """reference: apiserver 5: quantities canonical"""
    given, kept = QUANTITIES[case]
    body = container(resources={"limits": {"example.com/dongle": "1", "memory": given}})
    del body["spec"]["containers"][0]["resources"]["limits"]["example.com/dongle"]
    assert made("pods", body)[1].json["spec"]["containers"][0]["resources"]["limits"]["memory"] == kept


def test_a_number_may_be_a_quantity(made):
    """reference: apiserver 5: quantities canonical: JSON numbers"""
    body = container(resources={"limits": {"cpu": 2}})
    assert made("pods", body)[1].json["spec"]["containers"][0]["resources"]["limits"]["cpu"] == "2"


def test_a_bad_quantity_is_a_bad_request(target, paths, name):
    """reference: apiserver 4, 400: quantities"""
    body = {**container(resources={"limits": {"cpu": "two"}}), "metadata": {"name": name}}
    answer = target.post(paths.of("pods"), body).ok(400)
    assert "quantities must match the regular expression" in answer.message


# --- HPA

UP = {"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}
ONE = [{"type": "Pods", "value": 1, "periodSeconds": 15}]
SCALING = {
    "min": ({}, "spec.minReplicas", 1),
    "metrics": (
        {},
        "spec.metrics",
        [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
            }
        ],
    ),
    "no-behavior": ({}, "spec.behavior", None),
    "up": (
        {"behavior": {"scaleDown": {"selectPolicy": "Min"}}},
        "spec.behavior.scaleUp",
        {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": list(UP)},
    ),
    "down": (
        {"behavior": {"scaleUp": {"policies": ONE}}},
        "spec.behavior.scaleDown",
        {"selectPolicy": "Max", "policies": [UP[1]]},
    ),
    "half-up": (
        {"behavior": {"scaleUp": {"policies": ONE}}},
        "spec.behavior.scaleUp",
        {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": ONE},
    ),
}


@pytest.mark.parametrize("case", SCALING)
def test_an_autoscaler_is_filled_in(made, case):
    """reference: apiserver 5, HPA: minReplicas 1; cpu 80 %; half-given behavior is filled"""
    spec, path, value = SCALING[case]
    assert at(made("horizontalpodautoscalers", autoscaler(**spec))[1].json, path) == value


V1 = "autoscaling/v1/horizontalpodautoscalers"


def test_an_autoscaler_of_v1_is_seen_in_v2(target, paths, name):
    """reference: apiserver 5, HPA: v1/v2 one store"""
    spec = {**autoscaler()["spec"], "targetCPUUtilizationPercentage": 55}
    target.post(paths.of(V1), {"metadata": {"name": name}, "spec": spec}).ok(201)
    found = target.get(paths.of("horizontalpodautoscalers", name)).ok(200).json["spec"]["metrics"]
    assert found[0]["resource"] == {
        "name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": 55},
    }


def test_an_autoscaler_of_v2_is_seen_in_v1(target, paths, made):
    """reference: apiserver 5, HPA: v1 keeps the rest in autoscaling.alpha.kubernetes.io/* annotations"""
    memory = {
        "type": "Resource",
        "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 60}},
    }
    cpu = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 40}},
    }
    _, made_answer = made("horizontalpodautoscalers", autoscaler(metrics=[cpu, memory]))
    found = target.get(paths.of(V1, made_answer.meta["name"])).ok(200).json
    assert found["spec"]["targetCPUUtilizationPercentage"] == 40
    assert '"memory"' in found["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/metrics"]


# --- cluster kinds and others


def test_a_namespace_is_labelled_with_its_name(target, paths):
    """reference: apiserver 5, Namespace: label, spec.finalizers, Active; 9, trap 23 (finalize)"""
    found = target.get(f"/api/v1/namespaces/{paths.namespace}").ok(200).json
    assert found["metadata"]["labels"]["kubernetes.io/metadata.name"] == paths.namespace
    assert found["spec"]["finalizers"] == ["kubernetes"]
    assert found["status"]["phase"] == "Active"


def test_a_nodes_allocatable_is_its_capacity(target, unique):
    """reference: apiserver 5, Node: allocatable=capacity"""
    body = {
        "metadata": {"name": unique},
        "spec": {"unschedulable": True},
        "status": {"capacity": {"cpu": "1000m"}},
    }
    answer = target.post(everywhere("nodes"), body).ok(201)
    target.delete(f"{everywhere('nodes')}/{unique}").ok(200)
    assert answer.json["status"]["allocatable"] == {"cpu": "1"}


def test_a_new_node_is_tainted_not_ready(target, unique):
    """reference: apiserver 5, Node: taint not-ready by admission"""
    answer = target.post(everywhere("nodes"), {"metadata": {"name": unique}}).ok(201)
    target.delete(f"{everywhere('nodes')}/{unique}").ok(200)
    taint = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
    assert taint in answer.json["spec"]["taints"]


SERVICES = {
    "type": ("spec.type", "ClusterIP"),
    "affinity": ("spec.sessionAffinity", "None"),
    "protocol": ("spec.ports.0.protocol", "TCP"),
    "target-port": ("spec.ports.0.targetPort", 80),
    "traffic": ("spec.internalTrafficPolicy", "Cluster"),
}


@pytest.mark.parametrize("case", SERVICES)
def test_a_service_is_filled_in(made, case):
    """reference: apiserver 5: Service, port protocol TCP"""
    path, value = SERVICES[case]
    assert at(made("services", service())[1].json, path) == value


def test_a_service_gets_an_address(made):
    """reference: apiserver 5: Service clusterIP"""
    spec = made("services", service())[1].json["spec"]
    assert spec["clusterIP"].count(".") == 3 or ":" in spec["clusterIP"]
    assert spec["clusterIPs"] == [spec["clusterIP"]]


CONTROLLED = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}
JOBS = {"spec": {"template": {"spec": {**CONTROLLED["spec"], "restartPolicy": "Never"}}}}
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}}
SIMPLER = {
    "controller-selector": (
        "v1/replicationcontrollers",
        {"replicas": 0, "template": CONTROLLED},
        "spec.selector",
        {"a": "b"},
    ),
    "controller-labels": (
        "v1/replicationcontrollers",
        {"replicas": 0, "template": CONTROLLED},
        "metadata.labels",
        {"a": "b"},
    ),
    "cron-policy": (
        "batch/v1/cronjobs",
        {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": JOBS},
        "spec.concurrencyPolicy",
        "Allow",
    ),
    "cron-history": (
        "batch/v1/cronjobs",
        {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": JOBS},
        "spec.failedJobsHistoryLimit",
        1,
    ),
    "claim-mode": (
        "v1/persistentvolumeclaims",
        {**CLAIM, "storageClassName": "conformance-none"},
        "spec.volumeMode",
        "Filesystem",
    ),
    "claim-quantity": (
        "v1/persistentvolumeclaims",
        {**CLAIM, "storageClassName": "conformance-none"},
        "spec.resources.requests.storage",
        "1Gi",
    ),
    "ingress-status": (
        "networking.k8s.io/v1/ingresses",
        {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}},
        "status.loadBalancer",
        {},
    ),
}


@pytest.mark.parametrize("case", SIMPLER)
def test_kinds_that_are_kept_for_others_are_filled_in(target, paths, name, case):
    """reference: apiserver 5; 1, apply --prune: the kinds of its fixed list"""
    resource, spec, path, value = SIMPLER[case]
    place = paths.of(resource.removeprefix("v1/"))
    answer = target.post(place, {"metadata": {"name": name}, "spec": spec}).ok(201)
    # Who protects claims and volumes in use may not be there to let them go.
    target.patch(f"{place}/{name}", {"metadata": {"finalizers": None}}).ok(200)
    target.delete(f"{place}/{name}", {"propagationPolicy": "Background"}).ok(200)
    assert at(answer.json, path) == value


def test_a_secret_is_opaque(made):
    """reference: apiserver 5: Secret type"""
    assert made("secrets")[1].json["type"] == "Opaque"


@pytest.mark.parametrize("resource", ["leases", "serviceaccounts"])
def test_some_kinds_are_kept_as_they_are(made, resource):
    """reference: apiserver 5: Event, Lease, SA: none"""
    found = made(resource)[1].json
    assert set(found) - {"kind", "apiVersion", "metadata"} <= {"spec"}
    assert not found.get("spec")


# --- immutable


@pytest.mark.parametrize("resource", ["deployments", "replicasets"])
def test_a_selector_is_immutable(target, made, resource):
    """reference: apiserver 5, Immutable: Deployment/RS spec.selector (`field is immutable`)"""
    path, _ = made(resource, {**workload(), "kind": None})
    labels = {"app": "w", "more": "1"}
    change = {"spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}}}}
    answer = target.patch(path, change).ok(422)
    assert ("FieldValueInvalid", "spec.selector") in answer.causes
    assert answer.message.endswith("field is immutable")


@pytest.mark.parametrize("field", ["name", "namespace"])
def test_a_patch_does_not_rename(target, made, field):
    """reference: apiserver 5, Immutable: name, namespace"""
    path, _ = made("configmaps")
    answer = target.patch(path, {"metadata": {field: "other"}})
    assert answer.code in (400, 422)
    target.get(path).ok(200)


def test_an_image_of_a_pod_may_change(target, made):
    """reference: apiserver 5, Immutable: Pod spec but image"""
    path, _ = made("pods", pod())
    change = [{"op": "replace", "path": "/spec/containers/0/image", "value": "example/c:2"}]
    after = target.patch(path, change, "application/json-patch+json").ok(200)
    assert after.json["spec"]["containers"][0]["image"] == "example/c:2"


@pytest.mark.parametrize(
    "change",
    [{"dnsPolicy": "Default"}, {"hostname": "h"}, {"priority": 5}, {"nodeSelector": {"a": "b"}}],
    ids=["dnsPolicy", "hostname", "priority", "nodeSelector"],
)
def test_the_rest_of_a_pod_may_not_change(target, made, change):
    """reference: apiserver 5, Immutable: `pod updates may not change fields other than …`"""
    path, _ = made("pods", pod())
    answer = target.patch(path, {"spec": change}).ok(422)
    assert "pod updates may not change fields other than" in answer.message


def test_a_toleration_may_be_added_but_not_taken(target, made):
    """reference: apiserver 5, Immutable: tolerations (add)"""
    path, before = made("pods", pod())
    old = before.json["spec"]["tolerations"]
    added = target.patch(path, {"spec": {"tolerations": [*old, {"key": "k", "operator": "Exists"}]}}).ok(200)
    assert len(added.json["spec"]["tolerations"]) == len(old) + 1
    target.patch(path, {"spec": {"tolerations": old}}).ok(422)


def test_a_gate_may_be_taken_but_not_added(target, made):
    """reference: apiserver 5, Immutable: schedulingGates (remove)"""
    gates = [{"name": "conformance.test/a"}, {"name": "conformance.test/b"}]
    path, _ = made("pods", pod(schedulingGates=gates))
    assert (
        len(
            target.patch(path, {"spec": {"schedulingGates": gates[:1]}})
            .ok(200)
            .json["spec"]["schedulingGates"]
        )
        == 1
    )
    target.patch(path, {"spec": {"schedulingGates": gates}}).ok(422)


@pytest.mark.parametrize(
    ("given", "code"), [(500, 200), (2000, 422), (-1, 422)], ids=["down", "up", "negative"]
)
def test_a_deadline_may_only_come_nearer(target, made, given, code):
    """reference: apiserver 5, Immutable: activeDeadlineSeconds"""
    path, _ = made("pods", pod(activeDeadlineSeconds=1000))
    target.patch(path, {"spec": {"activeDeadlineSeconds": given}}).ok(code)


def test_a_secrets_type_is_immutable(target, made):
    """reference: apiserver 5, Immutable: Secret type"""
    path, _ = made("secrets")
    assert target.patch(path, {"type": "other"}).ok(422).causes == [("FieldValueInvalid", "type")]


def test_a_services_address_is_immutable(target, made):
    """reference: apiserver 5, Immutable: Service clusterIP"""
    path, _ = made("services", service())
    other = "10.0.250.250"
    answer = target.patch(path, {"spec": {"clusterIP": other, "clusterIPs": [other]}}).ok(422)
    assert "spec.clusterIPs[0]" in {field for _, field in answer.causes}
