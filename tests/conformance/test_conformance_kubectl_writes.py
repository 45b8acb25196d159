"""reference: apiserver 1, table 'kubectl': create, replace, apply, diff, patch, label, set, edit, scale …"""

import json
import re

import pytest
from paths import configmap, workload


def cm(name, data=None, **meta):
    return {"apiVersion": "v1", "kind": "ConfigMap", **configmap(name, data, **meta)}


def lease(name, **spec):
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec}


def spec_of(kubectl, kind, name):
    return kubectl.json("get", kind, name)["spec"]


# --- create: kubectl sends most of these as protobuf (reference: apiserver 1, PROTOBUF)

CREATED = {
    "deployment": (
        ("deployment", "NAME", "--image=example/c:1", "--replicas=0", "--port=80"),
        "deployment.apps",
        lambda found: found["spec"]["template"]["spec"]["containers"][0]["ports"],
        [{"containerPort": 80, "protocol": "TCP"}],
    ),
    "configmap": (
        ("configmap", "NAME", "--from-literal=a=b", "--from-literal=empty="),
        "configmap",
        lambda found: found["data"],
        {"a": "b", "empty": ""},
    ),
    "secret": (
        ("secret", "generic", "NAME", "--from-literal=p=q"),
        "secret",
        lambda found: (found["data"], found["type"]),
        ({"p": "cQ=="}, "Opaque"),
    ),
    "docker-secret": (
        (
            "secret",
            "docker-registry",
            "NAME",
            "--docker-server=r.example",
            "--docker-username=u",
            "--docker-password=p",
        ),
        "secret",
        lambda found: found["type"],
        "kubernetes.io/dockerconfigjson",
    ),
    "serviceaccount": (
        ("serviceaccount", "NAME"),
        "serviceaccount",
        lambda found: found["kind"],
        "ServiceAccount",
    ),
    "service": (
        ("service", "clusterip", "NAME", "--tcp=80:8080"),
        "service",
        lambda found: (found["spec"]["ports"][0]["port"], found["spec"]["ports"][0]["targetPort"]),
        (80, 8080),
    ),
    "budget": (
        ("poddisruptionbudget", "NAME", "--min-available=50%", "--selector=app=w"),
        "poddisruptionbudget.policy",
        lambda found: found["spec"]["minAvailable"],
        "50%",
    ),
    "role": (
        ("role", "NAME", "--verb=get,list", "--resource=pods,deployments.apps"),
        "role.rbac.authorization.k8s.io",
        lambda found: [rule["resources"] for rule in found["rules"]],
        [["pods"], ["deployments"]],
    ),
    "rolebinding": (
        ("rolebinding", "NAME", "--role=r", "--serviceaccount=default:default"),
        "rolebinding.rbac.authorization.k8s.io",
        lambda found: found["subjects"],
        [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}],
    ),
    "job": (
        ("job", "NAME", "--image=example/c:1", "--", "true"),
        "job.batch",
        lambda found: found["spec"]["template"]["spec"]["containers"][0]["command"],
        ["true"],
    ),
}


@pytest.mark.parametrize("case", CREATED)
def test_create_makes_it_from_flags(kubectl, name, case):
    """reference: apiserver 1, PROTOBUF: kubectl create … sends protobuf; 9, trap 3"""
    arguments, said, look, wanted = CREATED[case]
    arguments = [each.replace("NAME", name) for each in arguments]
    assert kubectl("create", *arguments) == f"{said}/{name} created\n"
    assert look(kubectl.json("get", said, name)) == wanted


def test_create_namespace(kubectl, target, unique):
    """reference: apiserver 1, PROTOBUF: create namespace"""
    assert kubectl("create", "namespace", unique) == f"namespace/{unique} created\n"
    target.delete(f"/api/v1/namespaces/{unique}").ok(200)


def test_create_clusterrole(kubectl, unique):
    """reference: apiserver 1, PROTOBUF: create clusterrole, by its path too"""
    said = kubectl("create", "clusterrole", unique, "--verb=get", "--non-resource-url=/metrics")
    assert said == f"clusterrole.rbac.authorization.k8s.io/{unique} created\n"
    assert kubectl("delete", "clusterrole", unique).startswith("clusterrole")


def test_create_token(kubectl):
    """reference: apiserver 1, PROTOBUF: create token; 2, token"""
    assert len(kubectl("create", "token", "default", "--duration=10m").strip()) > 20
    assert "10 minutes" in kubectl("create", "token", "default", "--duration=1m", fails=True)


def test_create_a_file(kubectl, name):
    """reference: apiserver 1, create -f: OpenAPI, then POST with fieldValidation=Strict"""
    assert kubectl.create(cm(name)) == f"configmap/{name} created\n"
    assert "AlreadyExists" in kubectl.create(cm(name), fails=True)


def test_create_refuses_unknown_fields(kubectl, name):
    """reference: apiserver 1, create -f; 9, trap 5: no OpenAPI → fails"""
    body = workload("Deployment", name, colour="red")
    assert 'unknown field "spec.colour"' in kubectl.create(body, fails=True)
    said = kubectl("create", "--validate=false", "-f", "-", stdin=json.dumps(body))
    assert said == f"deployment.apps/{name} created\n"


def test_create_dry(kubectl, name):
    """reference: apiserver 2, dryRun=All, by kubectl"""
    said = kubectl("create", "configmap", name, "--dry-run=server")
    assert said == f"configmap/{name} created (server dry run)\n"
    made = kubectl("create", "deployment", name, "--image=i", "--dry-run=client", "-o", "yaml")
    assert kubectl("apply", "--dry-run=server", "-f", "-", stdin=made).endswith("created (server dry run)\n")
    assert "NotFound" in kubectl("get", "configmap", name, fails=True)


def test_run_makes_a_pod(kubectl, name):
    """reference: apiserver 1: kubectl run"""
    overrides = json.dumps({"spec": {"schedulerName": "conformance-nobody"}})
    assert kubectl("run", name, "--image=example/c:1", f"--overrides={overrides}") == f"pod/{name} created\n"
    assert kubectl.json("get", "pod", name)["metadata"]["labels"] == {"run": name}


def test_expose_makes_a_service(kubectl, name):
    """reference: apiserver 1: kubectl expose"""
    kubectl.create(workload("Deployment", name))
    assert (
        kubectl("expose", "deployment", name, "--port=80", "--target-port=8080")
        == f"service/{name} exposed\n"
    )
    assert spec_of(kubectl, "service", name)["selector"] == {"app": name}


def test_autoscale_makes_an_autoscaler(kubectl, name):
    """reference: apiserver 1, autoscale: GET target; POST HPA protobuf"""
    kubectl.create(workload("Deployment", name))
    said = kubectl("autoscale", "deployment", name, "--min=2", "--max=5", "--cpu-percent=60")
    assert said == f"horizontalpodautoscaler.autoscaling/{name} autoscaled\n"
    found = spec_of(kubectl, "hpa", name)
    assert (found["minReplicas"], found["maxReplicas"]) == (2, 5)
    assert found["metrics"][0]["resource"]["target"]["averageUtilization"] == 60


# --- replace, apply, diff


def test_replace_checks_the_version(kubectl, name):
    """reference: apiserver 1, replace: GET+PUT; 2, PUT"""
    kubectl.create(lease(name, holderIdentity="a"))
    stale = kubectl.json("get", "lease", name)
    kubectl("patch", "lease", name, "--type=merge", "-p", '{"spec":{"holderIdentity":"b"}}')
    assert "the object has been modified" in kubectl("replace", "-f", "-", stdin=stale, fails=True)
    fresh = kubectl.json("get", "lease", name)
    fresh["spec"]["holderIdentity"] = "c"
    assert kubectl("replace", "-f", "-", stdin=fresh) == f"lease.coordination.k8s.io/{name} replaced\n"


def test_replace_by_force_deletes_and_creates(kubectl, name):
    """reference: apiserver 1, replace --force"""
    kubectl.create(cm(name))
    uid = kubectl.json("get", "cm", name)["metadata"]["uid"]
    said = kubectl("replace", "--force", "-f", "-", stdin=cm(name, {"new": "1"}))
    assert said.endswith(f"configmap/{name} replaced\n")
    found = kubectl.json("get", "cm", name)
    assert found["data"] == {"new": "1"}
    assert found["metadata"]["uid"] != uid


def test_apply_creates_keeps_and_changes(kubectl, name):
    """reference: apiserver 1, apply: GET; strategic PATCH with last-applied annotation"""
    body = workload("Deployment", name)
    assert kubectl.apply(body) == f"deployment.apps/{name} created\n"
    assert kubectl.apply(body) == f"deployment.apps/{name} unchanged\n"
    body["spec"]["minReadySeconds"] = 3
    assert kubectl.apply(body) == f"deployment.apps/{name} configured\n"
    del body["spec"]["minReadySeconds"]
    assert kubectl.apply(body) == f"deployment.apps/{name} configured\n"
    assert "minReadySeconds" not in spec_of(kubectl, "deployment", name)


def test_apply_leaves_what_others_added(kubectl, name):
    """reference: apiserver 1, apply: three-way merge by patch markers; 9, trap 6"""
    body = workload("Deployment", name)
    kubectl.apply(body)
    side = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "s:1"}]}}}}
    kubectl("patch", "deployment", name, "-p", json.dumps(side))
    body["spec"]["template"]["spec"]["containers"][0]["image"] = "example/c:2"
    kubectl.apply(body)
    containers = spec_of(kubectl, "deployment", name)["template"]["spec"]["containers"]
    assert {each["name"]: each["image"] for each in containers} == {"side": "s:1", "c": "example/c:2"}


def test_what_get_prints_can_be_applied_again(kubectl, name):
    """reference: apiserver 1, apply of a List"""
    kubectl.apply(cm(f"{name}-a", labels={"again": name}), cm(f"{name}-b", labels={"again": name}))
    shown = kubectl("get", "cm", "-l", f"again={name}", "-o", "yaml")
    again = kubectl("apply", "-f", "-", stdin=shown.replace("k: v", "k: w"))
    assert again == f"configmap/{name}-a configured\nconfigmap/{name}-b configured\n"


def test_apply_prunes_what_is_left_out(kubectl, name):
    """reference: apiserver 1, apply --prune: fixed GVK list; a missing batch/v1 Job breaks it"""
    labels = {"prune": name}
    kubectl.apply(cm(f"{name}-a", labels=labels), cm(f"{name}-b", labels=labels))
    said = kubectl.apply(cm(f"{name}-a", labels=labels), flags=("--prune", "-l", f"prune={name}"))
    assert f"configmap/{name}-b pruned" in said
    assert kubectl("get", "cm", "-l", f"prune={name}", "-o", "name") == f"configmap/{name}-a\n"


def test_apply_prunes_only_the_kinds_allowed(kubectl, name):
    """reference: apiserver 1, apply --prune: by a list of one's own"""
    labels = {"prune": name}
    kubectl.apply(
        cm(f"{name}-a", labels=labels), {**lease(f"{name}-b"), "metadata": {"name": name, "labels": labels}}
    )
    flags = ("--prune", "-l", f"prune={name}", "--prune-allowlist=coordination.k8s.io/v1/Lease")
    said = kubectl.apply(
        {**lease(f"{name}-c"), "metadata": {"name": f"{name}-c", "labels": labels}}, flags=flags
    )
    assert f"lease.coordination.k8s.io/{name} pruned" in said
    assert kubectl("get", "cm,lease", "-l", f"prune={name}", "-o", "name").splitlines() == [
        f"configmap/{name}-a",
        f"lease.coordination.k8s.io/{name}-c",
    ]


SERVER = ("--server-side",)


def test_apply_on_the_server(kubectl, name):
    """reference: apiserver 1, apply --server-side"""
    assert kubectl.apply(cm(name), flags=SERVER) == f"configmap/{name} serverside-applied\n"
    found = json.loads(kubectl("get", "cm", name, "-o", "json", "--show-managed-fields"))
    assert [(each["manager"], each["operation"]) for each in found["metadata"]["managedFields"]] == [
        ("kubectl", "Apply")
    ]


def test_apply_on_the_server_tells_of_conflicts(kubectl, name):
    """reference: apiserver 1, apply --server-side: force=false; 4, 409"""
    kubectl.apply(cm(name), flags=SERVER)
    other = (*SERVER, "--field-manager=other")
    said = kubectl.apply(cm(name, {"k": "other"}), flags=other, fails=True)
    assert 'conflict with "kubectl": .data.k' in said
    kubectl.apply(cm(name, {"k": "other"}), flags=(*other, "--force-conflicts"))
    assert kubectl.json("get", "cm", name)["data"] == {"k": "other"}


def test_apply_on_the_server_after_apply_on_the_client(kubectl, name):
    """reference: apiserver 1, apply --server-side: plus one by `kubectl-last-applied`"""
    kubectl.apply(cm(name, {"k": "1", "gone": "1"}))
    assert kubectl.apply(cm(name, {"k": "2"}), flags=SERVER) == f"configmap/{name} serverside-applied\n"
    assert kubectl.json("get", "cm", name)["data"]["k"] == "2"


def test_diff_shows_what_would_change(kubectl, name):
    """reference: apiserver 1, diff = dryRun=All"""
    kubectl.apply(cm(name))
    assert kubectl("diff", "-f", "-", stdin=cm(name)) == ""
    shown = kubectl("diff", "-f", "-", stdin=cm(name, {"k": "other"}), fails=True)
    assert "-  k: v" in shown
    assert "+  k: other" in shown
    assert kubectl.json("get", "cm", name)["data"] == {"k": "v"}


# --- patch, label, annotate, set, edit

PATCHES = {
    "json": [{"op": "replace", "path": "/data/k", "value": "9"}],
    "merge": {"data": {"k": "9"}},
    "strategic": {"data": {"k": "9"}},
}


@pytest.mark.parametrize("kind", PATCHES)
def test_patch_changes_what_it_names(kubectl, name, kind):
    """reference: apiserver 1, patch: GET + chosen type"""
    kubectl.create(cm(name))
    arguments = ("patch", "cm", name, "--type", kind, "-p", json.dumps(PATCHES[kind]))
    assert kubectl(*arguments) == f"configmap/{name} patched\n"
    assert kubectl(*arguments) == f"configmap/{name} patched (no change)\n"
    assert kubectl.json("get", "cm", name)["data"] == {"k": "9"}


@pytest.mark.needs("quiet")
def test_patch_of_a_subresource(kubectl, name):
    """reference: apiserver 1, patch --subresource"""
    kubectl.create(workload("ReplicaSet", name))
    change = json.dumps({"status": {"replicas": 2}, "spec": {"minReadySeconds": 99}})
    kubectl("patch", "rs", name, "--subresource=status", "--type=merge", "-p", change)
    found = kubectl.json("get", "rs", name)
    assert (found["status"]["replicas"], found["spec"].get("minReadySeconds", 0)) == (2, 0)


def test_labels_and_annotations_come_and_go(kubectl, name):
    """reference: apiserver 1, label/annotate"""
    kubectl.create(cm(name))
    assert kubectl("label", "cm", name, "tier=back") == f"configmap/{name} labeled\n"
    assert "already has a value" in kubectl("label", "cm", name, "tier=front", fails=True)
    kubectl("label", "cm", name, "tier=front", "--overwrite")
    kubectl("annotate", "cm", name, "note=a text")
    meta = kubectl.json("get", "cm", "-l", "tier=front")["items"][0]["metadata"]
    assert (meta["name"], meta["annotations"]) == (name, {"note": "a text"})
    kubectl("label", "cm", name, "tier-")
    kubectl("annotate", "cm", name, "note-")
    meta = kubectl.json("get", "cm", name)["metadata"]
    assert not meta.get("labels")
    assert not meta.get("annotations")


SETS = {
    "image": (("image", "c=example/c:9"), lambda container, _: container["image"], "example/c:9"),
    "env": (("env", "A=1"), lambda container, _: container["env"], [{"name": "A", "value": "1"}]),
    "resources": (
        ("resources", "--limits=cpu=200m"),
        lambda container, _: container["resources"],
        {"limits": {"cpu": "200m"}},
    ),
    "serviceaccount": (("serviceaccount", "robot"), lambda _, spec: spec["serviceAccountName"], "robot"),
}


@pytest.mark.parametrize("case", SETS)
def test_set_changes_the_template(kubectl, name, case):
    """reference: apiserver 1, set image …: strategic with `$setElementOrder`"""
    (what, change), look, wanted = SETS[case]
    kubectl.create(workload("Deployment", name))
    kubectl("set", what, f"deployment/{name}", change)
    spec = spec_of(kubectl, "deployment", name)["template"]["spec"]
    assert look(spec["containers"][0], spec) == wanted


def test_edit_sends_a_patch(kubectl, name):
    """reference: apiserver 1: kubectl edit"""
    kubectl.create(cm(name))
    assert kubectl("edit", "cm", name, KUBE_EDITOR="sed -i s/v$/edited/") == f"configmap/{name} edited\n"
    assert kubectl.json("get", "cm", name)["data"] == {"k": "edited"}


def test_edit_of_nothing_changes_nothing(kubectl, name):
    """reference: apiserver 1: kubectl edit"""
    kubectl.create(cm(name))
    before = kubectl.json("get", "cm", name)
    kubectl("edit", "cm", name, KUBE_EDITOR="true")
    assert kubectl.json("get", "cm", name) == before


# --- scale


@pytest.mark.needs("quiet")
@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet"])
def test_scale(kubectl, name, kind):
    """reference: apiserver 1, scale: GET; merge PATCH `/scale`"""
    kubectl.create(workload(kind, name))
    full = f"{kind.lower()}.apps/{name}"
    assert kubectl("scale", full, "--replicas=1000") == f"{full} scaled\n"
    assert spec_of(kubectl, kind, name)["replicas"] == 1000
    said = kubectl("scale", full, "--replicas=2", "--current-replicas=7", fails=True)
    assert "Expected replicas to be 7, was 1000" in said


# --- one table of everything that goes through stdin at once


def test_many_objects_in_one_file(kubectl, name):
    """reference: apiserver 1, create -f: one request each"""
    said = kubectl.apply(cm(name), lease(name), workload("ReplicaSet", name))
    assert re.findall(r"(\S+)/\S+ created", said) == [
        "configmap",
        "lease.coordination.k8s.io",
        "replicaset.apps",
    ]
    assert len(kubectl("delete", f"cm/{name}", f"lease/{name}", f"rs/{name}").splitlines()) == 3
