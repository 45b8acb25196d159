"""reference: apiserver 5, row 'Usual 422': what is refused, where, and in which words."""

import copy

import pytest
from paths import autoscaler, configmap, lease, pod, service, workload

TOO_LONG = {"a": "x" * (256 * 1024)}


def refused(target, path, body, name):
    body = copy.deepcopy(body)
    body.setdefault("metadata", {})["name"] = name
    return target.post(path, body).ok(422)


def said(answer):
    """(field, reason, message) of each cause."""
    return [(each["field"], each["reason"], each["message"]) for each in answer.json["details"]["causes"]]


def deployment(selector=None, labels=None, template=None, **spec):
    body = workload("Deployment", **spec)
    if selector is not None:
        body["spec"]["selector"] = selector
    if labels is not None:
        body["spec"]["template"]["metadata"]["labels"] = labels
    body["spec"]["template"]["spec"].update(template or {})
    return body


def rolling(**parameters):
    return {"strategy": {"type": "RollingUpdate", "rollingUpdate": parameters}}


WORKLOADS = {
    "no-selector": (deployment({}), "spec.selector", "empty selector is invalid for deployment"),
    "other-labels": (
        deployment(labels={"app": "x"}),
        "spec.template.metadata.labels",
        "`selector` does not match template `labels`",
    ),
    "bad-operator": (
        deployment({"matchExpressions": [{"key": "app", "operator": "Like", "values": ["w"]}]}),
        "spec.selector.matchExpressions[0].operator",
        "not a valid selector operator",
    ),
    "in-without-values": (
        deployment({"matchExpressions": [{"key": "app", "operator": "In"}]}),
        "spec.selector.matchExpressions[0].values",
        "must be specified when `operator` is 'In' or 'NotIn'",
    ),
    "exists-with-values": (
        deployment({"matchExpressions": [{"key": "app", "operator": "Exists", "values": ["w"]}]}),
        "spec.selector.matchExpressions[0].values",
        "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
    ),
    "both-zero": (
        deployment(**rolling(maxSurge=0, maxUnavailable=0)),
        "spec.strategy.rollingUpdate.maxUnavailable",
        "may not be 0 when `maxSurge` is 0",
    ),
    "percent": (
        deployment(**rolling(maxSurge="lots")),
        "spec.strategy.rollingUpdate.maxSurge",
        "a valid percent string must be",
    ),
    "over-hundred": (
        deployment(**rolling(maxUnavailable="200%")),
        "spec.strategy.rollingUpdate.maxUnavailable",
        "must not be greater than 100%",
    ),
    "recreate-with-parameters": (
        deployment(strategy={"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}),
        "spec.strategy.rollingUpdate",
        "may not be specified when strategy `type` is 'Recreate'",
    ),
    "unknown-strategy": (deployment(strategy={"type": "Sudden"}), "spec.strategy", "Unsupported value"),
    "deadline": (
        deployment(progressDeadlineSeconds=5, minReadySeconds=5),
        "spec.progressDeadlineSeconds",
        "must be greater than minReadySeconds",
    ),
    "negative-replicas": (deployment(replicas=-1), "spec.replicas", "must be greater than or equal to 0"),
    "negative-ready": (
        deployment(minReadySeconds=-1),
        "spec.minReadySeconds",
        "must be greater than or equal to 0",
    ),
    "negative-history": (
        deployment(revisionHistoryLimit=-1),
        "spec.revisionHistoryLimit",
        "must be greater than or equal to 0",
    ),
    "restart-policy": (
        deployment(template={"restartPolicy": "Never"}),
        "spec.template.spec.restartPolicy",
        'Unsupported value: "Never": supported values: "Always"',
    ),
    "template-deadline": (
        deployment(template={"activeDeadlineSeconds": 5}),
        "spec.template.spec.activeDeadlineSeconds",
        "activeDeadlineSeconds in ReplicaSet is not Supported",
    ),
    "no-containers": (
        deployment(template={"containers": []}),
        "spec.template.spec.containers",
        "Required value",
    ),
    "bad-label": (
        deployment({"matchLabels": {"app": "a b"}}, {"app": "a b"}),
        "spec.selector.matchLabels",
        "a valid label must be",
    ),
}


@pytest.mark.parametrize("case", WORKLOADS)
def test_an_impossible_deployment_is_refused(target, paths, name, case):
    """reference: apiserver 5, Usual 422: selector, strategy, deadlines, template"""
    body, field, words = WORKLOADS[case]
    found = said(refused(target, paths.of("deployments"), body, name))
    assert [True for where, _, text in found if where == field and words in text], found


def test_a_deployment_without_a_selector_is_told_so(target, paths, name):
    """reference: apiserver 4, 422: `spec.selector: Required value`"""
    body = deployment()
    del body["spec"]["selector"]
    answer = refused(target, paths.of("deployments"), body, name)
    assert "spec.selector: Required value" in answer.message


def test_a_replicaset_has_its_own_words(target, paths, name):
    """reference: apiserver 5, Usual 422: ReplicaSet"""
    body = workload("ReplicaSet", name)
    body["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    answer = target.post(paths.of("replicasets"), body).ok(422)
    assert answer.message == (
        f'ReplicaSet.apps "{name}" is invalid: spec.template.metadata.labels: '
        'Invalid value: {"app":"other"}: `selector` does not match template `labels`'
    )


def with_container(**fields):
    return pod(containers=[{"name": "c", "image": "i", **fields}])


def port(**fields):
    return with_container(ports=[{"containerPort": 80, **fields}])


FIRST = "spec.containers[0]"
PODS = {
    "no-containers": (pod(containers=[]), "spec.containers", "FieldValueRequired"),
    "no-image": (pod(containers=[{"name": "c"}]), f"{FIRST}.image", "FieldValueRequired"),
    "no-container-name": (pod(containers=[{"image": "i"}]), f"{FIRST}.name", "FieldValueRequired"),
    "bad-container-name": (
        pod(containers=[{"name": "C_", "image": "i"}]),
        f"{FIRST}.name",
        "FieldValueInvalid",
    ),
    "twice-the-name": (
        pod(containers=[{"name": "c", "image": "i"}] * 2),
        "spec.containers[1].name",
        "FieldValueDuplicate",
    ),
    "restart-policy": (pod(restartPolicy="Sometimes"), "spec.restartPolicy", "FieldValueNotSupported"),
    "dns-policy": (pod(dnsPolicy="Wild"), "spec.dnsPolicy", "FieldValueNotSupported"),
    "pull-policy": (
        with_container(imagePullPolicy="Maybe"),
        f"{FIRST}.imagePullPolicy",
        "FieldValueNotSupported",
    ),
    "port-zero": (
        with_container(ports=[{"containerPort": 0}]),
        f"{FIRST}.ports[0].containerPort",
        "FieldValueRequired",
    ),
    "port-high": (
        with_container(ports=[{"containerPort": 70000}]),
        f"{FIRST}.ports[0].containerPort",
        "FieldValueInvalid",
    ),
    "port-protocol": (port(protocol="AVIAN"), f"{FIRST}.ports[0].protocol", "FieldValueNotSupported"),
    "port-name": (port(name="THIS_IS_NO_PORT_NAME"), f"{FIRST}.ports[0].name", "FieldValueInvalid"),
    "env-name": (
        with_container(env=[{"name": "", "value": "v"}]),
        f"{FIRST}.env[0].name",
        "FieldValueRequired",
    ),
    "env-two-sources": (
        with_container(
            env=[{"name": "A", "value": "v", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
        ),
        f"{FIRST}.env[0].valueFrom",
        "FieldValueInvalid",
    ),
    "mount-of-nothing": (
        with_container(volumeMounts=[{"name": "none", "mountPath": "/x"}]),
        f"{FIRST}.volumeMounts[0].name",
        "FieldValueNotFound",
    ),
    "request-over-limit": (
        with_container(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
        f"{FIRST}.resources.requests",
        "FieldValueInvalid",
    ),
    "unknown-resource": (
        with_container(resources={"limits": {"colour": "1"}}),
        f"{FIRST}.resources.limits[colour]",
        "FieldValueInvalid",
    ),
    "probe-of-nothing": (with_container(livenessProbe={}), f"{FIRST}.livenessProbe", "FieldValueRequired"),
    "probe-of-two": (
        with_container(livenessProbe={"tcpSocket": {"port": 1}, "exec": {"command": ["x"]}}),
        f"{FIRST}.livenessProbe.tcpSocket",
        "FieldValueForbidden",
    ),
    "success-threshold": (
        with_container(livenessProbe={"tcpSocket": {"port": 1}, "successThreshold": 2}),
        f"{FIRST}.livenessProbe.successThreshold",
        "FieldValueInvalid",
    ),
    "two-volumes-of-a-name": (
        pod(volumes=[{"name": "v"}, {"name": "v"}]),
        "spec.volumes[1].name",
        "FieldValueDuplicate",
    ),
    "node-selector": (pod(nodeSelector={"a b": "c"}), "spec.nodeSelector", "FieldValueInvalid"),
    "toleration": (
        pod(tolerations=[{"operator": "Equal"}]),
        "spec.tolerations[0].operator",
        "FieldValueInvalid",
    ),
    "deadline": (pod(activeDeadlineSeconds=0), "spec.activeDeadlineSeconds", "FieldValueInvalid"),
    "init-name": (
        pod(initContainers=[{"name": "c", "image": "i"}]),
        "spec.initContainers[0].name",
        "FieldValueDuplicate",
    ),
    "hostname": (pod(hostname="not a host"), "spec.hostname", "FieldValueInvalid"),
    "gate-name": (pod(schedulingGates=[{"name": ""}]), "spec.schedulingGates[0]", "FieldValueInvalid"),
}


@pytest.mark.parametrize("case", PODS)
def test_an_impossible_pod_is_refused(target, paths, name, case):
    """reference: apiserver 5, Usual 422: containers, names, ports, probes, resources, volumes"""
    body, field, reason = PODS[case]
    found = said(refused(target, paths.of("pods"), body, name))
    assert [True for where, why, _ in found if (where, why) == (field, reason)], found


NAMES = {
    "upper-case": ("configmaps", "Upper", "a lowercase RFC 1123 subdomain must consist of"),
    "underscore": ("configmaps", "a_b", "a lowercase RFC 1123 subdomain must consist of"),
    "edge": ("configmaps", "-a", "must start and end with an alphanumeric character"),
    "too-long": ("configmaps", "a" * 254, "must be no more than 253"),
    "service-dot": ("services", "a.b", "must not contain dots"),
    "service-underscore": ("services", "a_b", "must consist of"),
    "service-long": ("services", "a" * 64, "must be no more than 63"),
}


@pytest.mark.parametrize("case", NAMES)
def test_a_name_has_its_form(target, paths, case):
    """reference: apiserver 5, Usual 422: DNS names"""
    resource, given, words = NAMES[case]
    answer = refused(target, paths.of(resource), service() if resource == "services" else {}, given)
    assert [True for field, _, text in said(answer) if field == "metadata.name" and words in text]


def test_a_namespaces_name_has_no_dots(target):
    """reference: apiserver 5, Usual 422: DNS names"""
    answer = target.post("/api/v1/namespaces", {"metadata": {"name": "a.b"}}).ok(422)
    assert (
        answer.message
        == 'Namespace "a.b" is invalid: metadata.name: Invalid value: "a.b": must not contain dots'
    )


METADATA = {
    "label-key": ({"labels": {"a b": "c"}}, "metadata.labels", "name part must consist of"),
    "label-prefix": (
        {"labels": {"A_B/c": "d"}},
        "metadata.labels",
        "prefix part a lowercase RFC 1123 subdomain",
    ),
    "label-value": (
        {"labels": {"a": "b c"}},
        "metadata.labels",
        "a valid label must be an empty string or consist of",
    ),
    "label-long": ({"labels": {"a": "b" * 64}}, "metadata.labels", "must be no more than 63 bytes"),
    "annotation-key": ({"annotations": {"a b": "c"}}, "metadata.annotations", "name part must consist of"),
    "annotations-long": (
        {"annotations": TOO_LONG},
        "metadata.annotations",
        "may not be more than 262144 bytes",
    ),
    "generate-name": (
        {"name": None, "generateName": "A_"},
        "metadata.generateName",
        "a lowercase RFC 1123 subdomain",
    ),
}


@pytest.mark.parametrize("case", METADATA)
def test_metadata_has_its_form(target, paths, name, case):
    """reference: apiserver 5, Usual 422: labels; annotations >256 KiB"""
    meta, field, words = METADATA[case]
    answer = target.post(paths.of("configmaps"), {"metadata": {"name": name, **meta}}).ok(422)
    assert [True for where, _, text in said(answer) if where == field and words in text], answer.message


OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u-1"}
OWNERS = {
    "no-uid": ([{**OWNER, "uid": ""}], "metadata.ownerReferences.uid", "must not be empty"),
    "no-name": ([{**OWNER, "name": ""}], "metadata.ownerReferences.name", "must not be empty"),
    "no-kind": ([{**OWNER, "kind": ""}], "metadata.ownerReferences.kind", "must not be empty"),
    "no-version": (
        [{**OWNER, "apiVersion": ""}],
        "metadata.ownerReferences.apiVersion",
        "version must not be empty",
    ),
    "two-controllers": (
        [{**OWNER, "controller": True}, {**OWNER, "uid": "u-2", "controller": True}],
        "metadata.ownerReferences",
        "Only one reference can have Controller set to true",
    ),
    "event": (
        [{**OWNER, "kind": "Event"}],
        "metadata.ownerReferences",
        "is disallowed from being an owner",
    ),
}


@pytest.mark.parametrize("case", OWNERS)
def test_owners_are_complete(target, paths, name, case):
    """reference: apiserver 5, Usual 422: ownerReferences complete, one controller"""
    owners, field, words = OWNERS[case]
    answer = target.post(paths.of("configmaps"), configmap(name, ownerReferences=owners)).ok(422)
    assert [True for where, _, text in said(answer) if where == field and words in text], answer.message


def scaling(**spec):
    return autoscaler(**spec)


def metric(**fields):
    return autoscaler(metrics=[fields])


CPU = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}
AUTOSCALERS = {
    "max-below-min": (
        scaling(minReplicas=5),
        "spec.maxReplicas",
        "must be greater than or equal to `minReplicas`",
    ),
    "min-zero": (scaling(minReplicas=0), "spec.minReplicas", "must be greater than or equal to 1"),
    "no-max": (scaling(maxReplicas=0), "spec.maxReplicas", "must be set and greater than 0"),
    "no-name": (
        scaling(scaleTargetRef={"kind": "Deployment", "name": "", "apiVersion": "apps/v1"}),
        "spec.scaleTargetRef.name",
        "Required value",
    ),
    "no-kind": (
        scaling(scaleTargetRef={"kind": "", "name": "x", "apiVersion": "apps/v1"}),
        "spec.scaleTargetRef.kind",
        "Required value",
    ),
    "metric-type": (metric(type="Magic"), "spec.metrics[0].type", "Unsupported value"),
    "metric-without-source": (
        metric(type="Resource"),
        "spec.metrics[0].resource",
        "must populate information for the given metric source",
    ),
    "metric-two-sources": (
        metric(
            type="Resource",
            resource=CPU,
            pods={"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "1"}},
        ),
        "spec.metrics[0].pods",
        "must populate the given metric source only",
    ),
    "no-target": (
        metric(type="Resource", resource={"name": "cpu", "target": {"type": "Utilization"}}),
        "spec.metrics[0].resource.target.averageUtilization",
        "must set either a target raw value or a target utilization",
    ),
    "zero-utilization": (
        metric(
            type="Resource",
            resource={"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 0}},
        ),
        "spec.metrics[0].resource.target.averageUtilization",
        "must be greater than 0",
    ),
    "window": (
        scaling(behavior={"scaleDown": {"stabilizationWindowSeconds": 4000}}),
        "spec.behavior.scaleDown.stabilizationWindowSeconds",
        "must be less than or equal to 3600",
    ),
    "no-policies": (
        scaling(behavior={"scaleUp": {"policies": []}}),
        "spec.behavior.scaleUp.policies",
        "must specify at least one Policy",
    ),
    "policy-period": (
        scaling(behavior={"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 3600}]}}),
        "spec.behavior.scaleUp.policies[0].periodSeconds",
        "must be less than or equal to 1800",
    ),
    "select-policy": (
        scaling(behavior={"scaleUp": {"selectPolicy": "Mean"}}),
        "spec.behavior.scaleUp.selectPolicy",
        "Unsupported value",
    ),
}


@pytest.mark.parametrize("case", AUTOSCALERS)
def test_an_impossible_autoscaler_is_refused(target, paths, name, case):
    """reference: apiserver 5, Usual 422: HPA maxReplicas ≥ minReplicas ≥ 1, metrics, behavior"""
    body, field, words = AUTOSCALERS[case]
    found = said(refused(target, paths.of("horizontalpodautoscalers"), body, name))
    assert [True for where, _, text in found if where == field and words in text], found


STATUSES = {
    "ready": ({"replicas": 1, "readyReplicas": 2}, "status.readyReplicas"),
    "available": ({"replicas": 2, "readyReplicas": 1, "availableReplicas": 2}, "status.availableReplicas"),
    "labelled": ({"replicas": 1, "fullyLabeledReplicas": 2}, "status.fullyLabeledReplicas"),
    "negative": ({"replicas": -1}, "status.replicas"),
}


@pytest.mark.needs("quiet")
@pytest.mark.parametrize("case", STATUSES)
def test_counts_of_a_status_fit_together(target, made, case):
    """reference: apiserver 5, Usual 422: status counts "cannot be greater than status.replicas\""""
    status, field = STATUSES[case]
    path, _ = made("replicasets", workload("ReplicaSet"))
    answer = target.patch(f"{path}/status", {"status": status}).ok(422)
    assert field in {where for where, _, _ in said(answer)}


OTHERS = {
    "lease-duration": (
        "leases",
        lease(leaseDurationSeconds=0),
        "spec.leaseDurationSeconds",
        "must be greater than 0",
    ),
    "lease-transitions": (
        "leases",
        lease(leaseTransitions=-1),
        "spec.leaseTransitions",
        "must be greater than or equal to 0",
    ),
    "service-without-port": ("services", {"spec": {}}, "spec.ports", "Required value"),
    "service-port": (
        "services",
        service(ports=[{"port": 0}]),
        "spec.ports[0].port",
        "must be between 1 and 65535",
    ),
    "service-two-ports": (
        "services",
        service(ports=[{"port": 1}, {"port": 2}]),
        "spec.ports[0].name",
        "Required value",
    ),
    "service-selector": (
        "services",
        service(selector={"a": "b c"}),
        "spec.selector",
        "a valid label must be",
    ),
    "configmap-key": (
        "configmaps",
        {"data": {"a b": "c"}},
        "data[a b]",
        "a valid config key must consist of",
    ),
    "configmap-both": (
        "configmaps",
        {"data": {"a": "b"}, "binaryData": {"a": "Yg=="}},
        "data[a]",
        "duplicate of key present in binaryData",
    ),
    "secret-key": ("secrets", {"data": {"a b": "Yg=="}}, "data[a b]", "a valid config key must consist of"),
    "budget-both": (
        "poddisruptionbudgets",
        {"spec": {"minAvailable": 1, "maxUnavailable": 1}},
        "spec",
        "minAvailable and maxUnavailable cannot be both set",
    ),
    "budget-negative": (
        "poddisruptionbudgets",
        {"spec": {"minAvailable": -1}},
        "spec.minAvailable",
        "must be greater than or equal to 0",
    ),
    "role-without-verbs": (
        "roles",
        {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": []}]},
        "rules[0].verbs",
        "verbs must contain at least one value",
    ),
    "binding-without-role": (
        "rolebindings",
        {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ""}},
        "roleRef.name",
        "Required value",
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_an_impossible_object_is_refused(target, paths, name, case):
    """reference: apiserver 5, Usual 422: leases, services, configmaps, secrets, budgets, roles"""
    resource, body, field, words = OTHERS[case]
    found = said(refused(target, paths.of(resource), body, name))
    assert [True for where, _, text in found if where == field and words in text], found


def test_an_update_is_validated_as_a_creation_is(target, made):
    """reference: apiserver 5, Usual 422: on PATCH"""
    path, _ = made("deployments", workload("Deployment"))
    answer = target.patch(path, {"spec": {"replicas": -1}}).ok(422)
    assert answer.causes == [("FieldValueInvalid", "spec.replicas")]


def test_a_value_is_shown_as_json(target, paths, name):
    """reference: apiserver 4, 422 Invalid: the message quotes the value"""
    answer = target.post(paths.of("configmaps"), configmap(name, labels={"a": "b c"})).ok(422)
    assert answer.message.startswith(
        f'ConfigMap "{name}" is invalid: metadata.labels: Invalid value: "b c": '
    )
