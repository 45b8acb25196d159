"""`deploy/` as an administrator uses it: built, applied, and enough for the daemon to work."""

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from kcm.cli.run import installed
from kcm.config.loader import parse
from kcm.config.selection import select

ROOT = Path(__file__).parents[2]
NAMESPACE = "kcm-system"
OVERLAYS = ["ha", "single", "control-plane"]
# What makes the pods, and how many it says there are; None: one for each node.
WORKLOADS = {"ha": ("Deployment", 2), "single": ("Deployment", 1), "control-plane": ("DaemonSet", None)}
CONTROLLERS = "replicaset,deployment,hpa,eventrecorder"


def built(binary, folder):
    """Return the objects of a kustomization."""
    done = subprocess.run(
        [binary, "kustomize", str(folder)], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def only(objects, kind):
    (found,) = (each for each in objects if each["kind"] == kind)
    return found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_is_whole(kubectl_binary, overlay):
    objects = built(kubectl_binary, ROOT / "deploy" / "overlays" / overlay)
    kind, replicas = WORKLOADS[overlay]
    workload = only(objects, kind)["spec"]
    pods = workload["template"]["spec"]
    # kustomize changes names that look like those of ConfigMaps: the Lease's must stay.
    role = only(objects, "Role")
    assert [rule["resourceNames"] for rule in role["rules"] if "resourceNames" in rule] == [["kcm"]]
    assert pods["volumes"][0]["configMap"]["name"] == only(objects, "ConfigMap")["metadata"]["name"]
    # The file decides alone which controllers run, so that one can be turned on or off while kcm runs.
    assert pods["containers"][0]["args"] == ["--config=/etc/kcm/kcm.yaml"]
    for binding in (each for each in objects if each["kind"].endswith("RoleBinding")):
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "kcm", "namespace": NAMESPACE}]
    assert workload.get("replicas") == replicas
    how = workload["strategy" if kind == "Deployment" else "updateStrategy"]
    assert how == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    assert ("PodDisruptionBudget" in {each["kind"] for each in objects}) == (overlay == "ha")


def test_an_overlay_runs_no_controller_of_the_cluster_unless_it_is_made_for_it(kubectl_binary):
    runs = {}
    for overlay in OVERLAYS:
        objects = built(kubectl_binary, ROOT / "deploy" / "overlays" / overlay)
        file = parse(only(objects, "ConfigMap")["data"]["kcm.yaml"].encode(), overlay)
        runs[overlay] = set(select(file, installed()).enabled)
        assert file.coexistence.other_manager == "refuse"
    assert runs == {"ha": set(), "single": set(), "control-plane": set(CONTROLLERS.split(","))}


def test_the_overlays_grant_what_their_folders_hold(kubectl_binary):
    folders = sorted(path.name for path in (ROOT / "deploy" / "controllers").iterdir())
    for overlay in OVERLAYS:
        objects = built(kubectl_binary, ROOT / "deploy" / "overlays" / overlay)
        roles = sorted(each["metadata"]["name"] for each in objects if each["kind"] == "ClusterRole")
        controllers = {f"kcm-{name}" for name in CONTROLLERS.split(",")}
        assert set(roles) == controllers | {"kcm-coexistence"}
        assert controllers <= {f"kcm-{name}" for name in folders}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_can_be_applied_twice_and_the_second_time_changes_nothing(shared_kubectl, overlay):
    folder = str(ROOT / "deploy" / "overlays" / overlay)
    kubectl = shared_kubectl.within(NAMESPACE)
    kubectl("apply", "-k", folder)
    again = kubectl("apply", "-k", folder)
    changed = [line for line in again.splitlines() if not line.endswith(" unchanged")]
    # kubectl always sends the selector of a budget again.
    assert [line.split("/")[0] for line in changed] == ["poddisruptionbudget.policy"] * (overlay == "ha")
    assert "networkpolicy.networking.k8s.io/kcm" in again
    kubectl("delete", "-k", folder, "--ignore-not-found")


def definition(kind, plural):
    """Return as much of the Prometheus operator's definition as it takes to keep such an object."""
    group = "monitoring.coreos.com"
    schema = {"type": "object", "properties": {"spec": {"type": "object", **FREE}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "names": names, "scope": "Namespaced", "versions": [version]},
    }


FREE = {"x-kubernetes-preserve-unknown-fields": True}


def test_the_monitoring_component_can_be_applied(kubectl_on, start_sandbox, tmp_path):
    sandbox = start_sandbox()
    kubectl = kubectl_on(sandbox.kubeconfig).within(NAMESPACE)
    kinds = {"ServiceMonitor": "servicemonitors", "PrometheusRule": "prometheusrules"}
    kubectl.apply(*(definition(kind, plural) for kind, plural in kinds.items()))
    kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=20s")
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    overlay = tmp_path / "deploy/overlays/ha/kustomization.yaml"
    text = overlay.read_text()
    assert "  # - ../../components/monitoring" in text
    overlay.write_text(text.replace("# - ../../components/monitoring", "- ../../components/monitoring"))
    kubectl("apply", "-k", str(overlay.parent))
    monitor = kubectl.json("get", "servicemonitor", "kcm")
    service = kubectl.json("get", "service", "kcm")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    # The job that all queries name.
    assert service["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "kcm"
    assert kubectl.json("get", "prometheusrule", "kcm")["spec"]["groups"][0]["rules"]
    (board,) = kubectl.json("get", "configmap", "-l", "grafana_dashboard=1")["items"]
    assert json.loads(board["data"]["kcm.json"])["uid"] == "kcm"
    assert len(kubectl.json("get", "networkpolicy")["items"]) == 2


def test_a_daemon_with_the_account_of_the_pods_works(kubectl_binary, kubectl_on, start_sandbox, tmp_path):
    pytest.importorskip("cryptography", reason="a secure sandbox needs the extra 'secure'")
    sandbox = start_sandbox(secure=True, speed=50.0)
    kubectl = kubectl_on(sandbox.kubeconfig).within(NAMESPACE)
    kubectl("apply", "-k", str(ROOT / "deploy" / "overlays" / "control-plane"))
    token = kubectl("create", "token", "kcm").strip()
    config = yaml.safe_load(sandbox.kubeconfig.read_text())
    config["users"] = [{"name": "kcm", "user": {"token": token}}]
    context = {**config["contexts"][0]["context"], "user": "kcm"}
    config["contexts"] = [{"name": "kcm", "context": context}]
    config["current-context"] = "kcm"
    path = tmp_path / "daemon-kubeconfig"
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    with daemon(path, tmp_path / "log"):
        work = kubectl.within("default")
        work("create", "deployment", "web", "--image=web:1", "--replicas=3")
        work("rollout", "status", "deployment/web", "--timeout=25s")
    records = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [each for each in records if each["level"] in ("warning", "error")] == []
    holder = kubectl.json("get", "lease", "kcm")["spec"].get("holderIdentity")
    assert not holder, "the Lease is released"


@contextlib.contextmanager
def daemon(kubeconfig, log):
    """`kcm run` with the shipped configuration, as long as the block lasts."""
    config = log.with_suffix(".yaml")
    # The shipped address is for pods; here nobody outside is to see it.
    shipped = ROOT / "deploy/overlays/control-plane/kcm.yaml"
    config.write_text(shipped.read_text().replace("0.0.0.0", "127.0.0.1"))
    command = [sys.executable, "-m", "kcm", "run", "--config", str(config), "--kubeconfig", str(kubeconfig)]
    command += ["--port", "0"]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, cwd=log.parent) as process,
    ):
        try:
            yield
            process.terminate()
            assert process.wait(timeout=20) == 0, log.read_text()
        finally:
            process.kill()
