"""kubectl autoscale on a sandbox with the manager beside it, as a new user would try it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "examples" / "02_autoscale" / "kcm.yaml"


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory):
    """Return what runs kubectl on a sandbox in which time is short."""
    folder = tmp_path_factory.mktemp("autoscale")
    command = [sys.executable, "-m", "kcm", "sandbox", "--config", str(CONFIG), "--speed", "10"]
    command += ["--kubeconfig-out", str(folder / "kubeconfig")]
    with (folder / "log").open("wb") as log:
        sandbox = subprocess.Popen(command, stdout=log, stderr=log)

    def call(*arguments: str, fails: bool = False) -> str:
        named = ["kubectl", "--kubeconfig", str(folder / "kubeconfig"), "--cache-dir", str(folder / "cache")]
        done = subprocess.run([*named, *arguments], capture_output=True, text=True, timeout=60, check=False)
        assert fails or done.returncode == 0, done.stderr
        return done.stdout

    try:
        within(lambda: (folder / "kubeconfig").exists(), 60)
        yield call
    finally:
        sandbox.terminate()
        sandbox.wait(20)


def within(holds, seconds: float) -> None:
    """Wait for something; the time is for busy machines."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.3)


def test_a_deployment_grows_with_its_load_and_says_why(kubectl) -> None:
    kubectl("create", "deployment", "web", "--image=example/web:1", "--replicas=1")
    kubectl("set", "resources", "deployment", "web", "--requests=cpu=500m")
    kubectl("autoscale", "deployment", "web", "--min=1", "--max=6", "--cpu-percent=80")
    kubectl("annotate", "deployment", "web", "sandbox.kcm.dev/load=cpu=4")

    def size() -> str:
        return kubectl("get", "deployment", "web", "-o", "jsonpath={.spec.replicas}")

    within(lambda: size() == "6", 120)
    kubectl("wait", "deployment/web", "--for=jsonpath={.status.readyReplicas}=6", "--timeout=60s")
    told = kubectl("describe", "hpa", "web")
    assert "SuccessfulRescale" in told
    assert "cpu resource utilization (percentage of request) above target" in told
    assert "ValidMetricFound" in told

    def row() -> list[str]:
        return kubectl("get", "hpa", "web", "--no-headers").split()

    assert row()[1] == "Deployment/web"
    # The number of replicas is that of before the last evaluation.
    within(lambda: row()[-2] == "6", 60)
    assert "SuccessfulRescale" in kubectl("get", "events")


def test_an_autoscaler_without_a_target_says_so(kubectl) -> None:
    kubectl("apply", "-f", str(ROOT / "examples" / "02_autoscale" / "web.yaml"))
    kubectl("delete", "deployment", "web")

    def told() -> str:
        return kubectl("describe", "hpa", "web")

    within(lambda: "FailedGetScale" in told() and 'deployments.apps "web" not found' in told(), 60)
