"""A Deployment's life through the real kubectl, with the manager as a process beside the sandbox."""

import subprocess
import sys

import pytest

WEB = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "example/web:1"}]},
        },
    },
}


@pytest.fixture
def kubectl(kubectl_on, start_sandbox):
    """kubectl on a sandbox of its own, with the workload controllers running."""
    sandbox = start_sandbox()
    command = [sys.executable, "-m", "kcm", "run", "--kubeconfig", str(sandbox.kubeconfig), "--port", "0"]
    command += ["--kube-api-qps", "0", "--controllers", "replicaset,deployment"]
    manager = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield kubectl_on(sandbox.kubeconfig)
    finally:
        manager.kill()
        manager.wait()


def done(kubectl):
    said = kubectl("rollout", "status", "deployment/web", "--timeout=25s")
    assert said.endswith('deployment "web" successfully rolled out\n')


def image(kubectl):
    template = kubectl.json("get", "deployment", "web")["spec"]["template"]
    return template["spec"]["containers"][0]["image"]


def revisions(kubectl):
    lines = kubectl("rollout", "history", "deployment/web").splitlines()
    return [line.split()[0] for line in lines if line[:1].isdigit()]


def test_a_deployment_lives_as_kubectl_expects(kubectl):
    assert kubectl("create", "-f", "-", stdin=WEB) == "deployment.apps/web created\n"
    done(kubectl)
    assert kubectl("get", "deployment", "web", "--no-headers").split()[:4] == ["web", "3/3", "3", "3"]

    kubectl("set", "image", "deployment/web", "c=example/web:2")
    done(kubectl)
    assert revisions(kubectl) == ["1", "2"]
    assert "example/web:1" in kubectl("rollout", "history", "deployment/web", "--revision=1")

    kubectl("rollout", "undo", "deployment/web")
    done(kubectl)
    assert (image(kubectl), revisions(kubectl)) == ("example/web:1", ["2", "3"])
    kubectl("rollout", "undo", "deployment/web", "--to-revision=2")
    done(kubectl)
    assert (image(kubectl), revisions(kubectl)) == ("example/web:2", ["3", "4"])

    kubectl("rollout", "pause", "deployment/web")
    kubectl("set", "image", "deployment/web", "c=example/web:3")
    assert len(kubectl.json("get", "replicasets")["items"]) == 2
    kubectl("rollout", "resume", "deployment/web")
    done(kubectl)
    kubectl("rollout", "restart", "deployment/web")
    done(kubectl)
    assert revisions(kubectl) == ["3", "4", "5", "6"]

    kubectl("scale", "deployment/web", "--replicas=5")
    done(kubectl)
    kubectl("wait", "deployment/web", "--for=condition=Available", "--timeout=25s")
    described = kubectl("describe", "deployment", "web")
    assert "5 desired | 5 updated | 5 total | 5 available | 0 unavailable" in described
    assert "NewReplicaSetAvailable" in described
    assert "(5/5 replicas created)" in described

    kubectl("delete", "deployment", "web")
    kubectl("wait", "pods", "--all", "--for=delete", "--timeout=25s")
    assert kubectl.json("get", "replicasets")["items"] == []
