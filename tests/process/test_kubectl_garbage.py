"""kubectl delete in its three modes on `kcm sandbox` as a new user starts it: kcm collects the garbage."""

import subprocess
import sys
import time

import pytest

from kcm.testing.waiting import PATIENCE

READY_SECONDS = 30.0


@pytest.fixture
def kubectl(kubectl_on, tmp_path):
    """kubectl on a default `kcm sandbox`, with its manager."""
    kubeconfig = tmp_path / "kubeconfig"
    command = [sys.executable, "-m", "kcm", "sandbox", "--kubeconfig-out", str(kubeconfig), "--speed", "20"]
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        try:
            for line in process.stdout:
                if b"is ready" in line:
                    break
            yield kubectl_on(kubeconfig)
        finally:
            process.terminate()
            process.wait(timeout=READY_SECONDS)
            process.stdout.close()


def names(kubectl, kinds):
    return kubectl("get", kinds, "-o", "name").split()


def until_nothing_is_left(kubectl, kinds):
    end = time.monotonic() + PATIENCE
    while left := names(kubectl, kinds):
        assert time.monotonic() < end, left
        time.sleep(0.1)


def deployed(kubectl):
    kubectl("create", "deployment", "web", "--image=example/web:1", "--replicas=3")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")


def test_deleting_a_deployment_cascades_as_asked(kubectl):
    deployed(kubectl)
    kubectl("delete", "deployment", "web")
    until_nothing_is_left(kubectl, "deployments,replicasets,pods")

    deployed(kubectl)
    kubectl("delete", "deployment", "web", "--cascade=foreground", "--timeout=60s")
    # kubectl has waited for the end of the deployment, and that has waited for the rest.
    assert names(kubectl, "deployments,replicasets,pods") == []

    deployed(kubectl)
    kubectl("delete", "deployment", "web", "--cascade=orphan", "--timeout=60s")
    left = names(kubectl, "deployments,replicasets,pods")
    assert len(left) == 4
    (orphan,) = kubectl.json("get", "replicasets")["items"]
    assert "ownerReferences" not in orphan["metadata"]
    kubectl("delete", "replicasets", "--all")
    until_nothing_is_left(kubectl, "replicasets,pods")
