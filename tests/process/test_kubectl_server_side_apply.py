"""The real kubectl's server-side apply on the sandbox: creating, sharing, conflicts, diff and migration."""

import pytest


def config_map(**data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": data}


def deployment(replicas=1, image="web:1"):
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": image}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def owners(kubectl, what):
    obj = kubectl.json("get", *what, "--show-managed-fields")
    return {
        (entry["manager"], entry["operation"]): entry["fieldsV1"]
        for entry in obj["metadata"]["managedFields"]
    }


@pytest.fixture
def apply(kubectl):
    def run(obj, *options, fails=False):
        return kubectl("apply", "--server-side", *options, "-f", "-", stdin=obj, fails=fails)

    return run


def test_a_file_is_applied_changed_and_pruned(kubectl, apply):
    assert apply(config_map(a="1", b="2")) == "configmap/settings serverside-applied\n"
    assert apply(config_map(a="1", b="2")) == "configmap/settings serverside-applied\n"
    apply(config_map(a="2"))
    assert kubectl.json("get", "cm", "settings")["data"] == {"a": "2"}
    assert "managedFields" not in kubectl("get", "cm", "settings", "-o", "yaml")


def test_two_managers_conflict_until_one_forces(kubectl, apply):
    apply(deployment(replicas=2), "--field-manager=one")
    refused = apply(deployment(replicas=3), "--field-manager=two", fails=True)
    assert 'Apply failed with 1 conflict: conflict with "one": .spec.replicas' in refused
    apply(deployment(replicas=3), "--field-manager=two", "--force-conflicts")
    assert "f:replicas" not in owners(kubectl, ("deploy", "web"))["one", "Apply"]["f:spec"]


def test_scaling_takes_the_replicas(kubectl, apply):
    apply(deployment(replicas=2))
    kubectl("scale", "deployment", "web", "--replicas=4")
    refused = apply(deployment(replicas=2), fails=True)
    assert 'conflict with "kubectl" with subresource "scale" using apps/v1: .spec.replicas' in refused


def test_a_difference_is_shown(kubectl, apply):
    apply(deployment(image="web:1"))
    text = kubectl("diff", "--server-side", "-f", "-", stdin=deployment(image="web:2"), fails=True)
    assert "-      - image: web:1" in text
    assert "+      - image: web:2" in text
    assert "web:1" in kubectl("get", "deploy", "web", "-o", "yaml")


def test_what_was_applied_by_the_client_is_taken_over(kubectl, apply):
    kubectl.apply(config_map(a="1", b="2"))
    assert ("kubectl-client-side-apply", "Update") in owners(kubectl, ("cm", "settings"))
    assert apply(config_map(a="3")) == "configmap/settings serverside-applied\n"
    assert kubectl.json("get", "cm", "settings")["data"] == {"a": "3"}
    found = owners(kubectl, ("cm", "settings"))
    assert found["kubectl", "Apply"]["f:data"] == {"f:a": {}}
    assert ("kubectl-client-side-apply", "Update") not in found


def test_a_field_that_does_not_exist_is_refused(apply):
    wrong = deployment()
    wrong["spec"]["nonsense"] = 1
    refused = apply(wrong, "--validate=false", fails=True)
    assert ".spec.nonsense: field not declared in schema" in refused


def test_a_dry_run_changes_nothing(kubectl, apply):
    assert "serverside-applied (server dry run)" in apply(config_map(a="1"), "--dry-run=server")
    assert "NotFound" in kubectl("get", "cm", "settings", fails=True)
