"""`deploy/` as an administrator uses it: built, applied, and enough for the daemon to work."""

import contextlib
import json
import shutil
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

from kcm.base.clock import SystemClock
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


def test_the_election_of_the_other_manager_can_be_shared(kubectl_binary, tmp_path):
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    overlay = tmp_path / "deploy/overlays/control-plane/kustomization.yaml"
    text = overlay.read_text()
    assert "  # - ../../components/shared-election" in text
    overlay.write_text(
        text.replace("# - ../../components/shared-election", "- ../../components/shared-election")
    )
    named = {
        each["metadata"]["name"]: each
        for each in built(kubectl_binary, overlay.parent)
        if each["kind"] == "ClusterRole"
    }
    (rule,) = named["kcm-shared-election"]["rules"]
    # What the Role for kcm's own Lease has, without the create: kube-controller-manager has made it.
    (own,) = (
        each
        for each in yaml.safe_load_all((ROOT / "deploy/base/lease.yaml").read_text())
        if each["kind"] == "Role"
    )
    assert rule == {**own["rules"][1], "resourceNames": ["kube-controller-manager"]}


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


def definition(kind, plural, group="monitoring.coreos.com"):
    """Return as much of an operator's definition as it takes to keep such an object."""
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
    kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    kubectl("apply", "-k", str(with_components(tmp_path, "ha", "monitoring")))
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
    path = account(sandbox, kubectl("create", "token", "kcm").strip(), tmp_path)
    with daemon(path, tmp_path / "log"):
        work = kubectl.within("default")
        work("create", "deployment", "web", "--image=web:1", "--replicas=3")
        work("rollout", "status", "deployment/web", "--timeout=60s")
    records = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [each for each in records if each["level"] in ("warning", "error")] == []
    holder = kubectl.json("get", "lease", "kcm")["spec"].get("holderIdentity")
    assert not holder, "the Lease is released"


SECURED = ["port", "probePort", "tlsCertFile", "tlsKeyFile", "delegatedAuth"]


def with_components(folder, overlay, *components):
    """Return an overlay in a copy of deploy/, with components and their settings no longer commented out."""
    shutil.copytree(ROOT / "deploy", folder / "deploy")
    path = folder / "deploy/overlays" / overlay
    changes = {
        path / "kustomization.yaml": [f"- ../../components/{name}" for name in components],
        path / "kcm.yaml": [f"{name}:" for name in SECURED] if "secure-serving" in components else [],
    }
    for file, lines in changes.items():
        text = file.read_text()
        for line in lines:
            assert text.count(f"  # {line}") == 1, line
            text = text.replace(f"  # {line}", f"  {line}")
        file.write_text(text)
    return path


def certificates():
    return [definition(kind, plural, "cert-manager.io") for kind, plural in CERTIFICATES.items()]


CERTIFICATES = {"Certificate": "certificates", "Issuer": "issuers"}


def test_pages_are_served_over_tls_to_those_whom_the_roles_let_in(kubectl_on, start_sandbox, tmp_path):
    pytest.importorskip("cryptography", reason="a secure sandbox needs the extra 'secure'")
    sandbox = start_sandbox(secure=True)
    kubectl = kubectl_on(sandbox.kubeconfig).within(NAMESPACE)
    kinds = {"ServiceMonitor": "servicemonitors", "PrometheusRule": "prometheusrules"}
    kubectl.apply(*(definition(kind, plural) for kind, plural in kinds.items()), *certificates())
    kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    path = with_components(tmp_path, "ha", "monitoring", "secure-serving", "certificate")
    kubectl("apply", "-k", str(path))
    fits_together(kubectl)
    tokens = {name: kubectl("create", "token", name).strip() for name in ("kcm", "kcm-metrics")}
    config = yaml.safe_load((path / "kcm.yaml").read_text())
    cert = own_certificate(tmp_path)
    config["serving"] |= {"port": 0, "probePort": 0, "tlsCertFile": cert[0], "tlsKeyFile": cert[1]}
    shipped = tmp_path / "shipped.yaml"
    shipped.write_text(json.dumps(config))
    log = tmp_path / "log"
    with daemon(account(sandbox, tokens["kcm"], tmp_path), log, shipped):
        ports = ports_of(log)
        trusted = ssl.create_default_context(cafile=cert[2])

        def status(page, token="", scheme="https"):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            port = ports["serving" if scheme == "https" else "serving probes"]
            request = urllib.request.Request(f"{scheme}://127.0.0.1:{port}{page}", headers=headers)
            end = time.monotonic() + 60
            while True:
                try:
                    with urllib.request.urlopen(request, timeout=60, context=trusted) as answer:
                        return answer.status
                except urllib.error.HTTPError as error:
                    with error:
                        # Where a machine stands still, the API server cannot be asked in time.
                        if error.code != 503 or time.monotonic() > end:
                            return error.code

        assert status("/livez", scheme="http") == 200
        assert status("/metrics", scheme="http") == 404
        assert status("/metrics") == 401
        assert status("/metrics", tokens["kcm-metrics"]) == 200
        assert status("/metrics/slis", tokens["kcm-metrics"]) == 200
        assert status("/statusz", tokens["kcm-metrics"]) == 403
        # What kcm itself may do gives nobody its pages.
        assert status("/metrics", tokens["kcm"]) == 403


def fits_together(kubectl):
    """Check that what names something else of the papers names what there is."""
    pod = kubectl.json("get", "deployment", "kcm")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": 8085, "https": 8443}
    assert {probe["httpGet"]["port"] for name, probe in container.items() if name.endswith("Probe")} == {
        "http"
    }
    serving = yaml.safe_load(kubectl.json("get", "configmap", config_of(pod))["data"]["kcm.yaml"])["serving"]
    assert (serving["port"], serving["probePort"]) == (ports["https"], ports["http"])
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert {Path(serving[key]).parent for key in ("tlsCertFile", "tlsKeyFile")} == {Path(mounts["tls"])}
    (secret,) = (volume["secret"] for volume in pod["volumes"] if volume["name"] == "tls")
    assert secret == {"secretName": "kcm-tls", "defaultMode": 0o440}
    assert kubectl.json("get", "certificate", "kcm")["spec"]["secretName"] == secret["secretName"]
    service = kubectl.json("get", "service", "kcm")["spec"]["ports"]
    assert [(port["name"], port["port"], port["targetPort"]) for port in service] == [
        ("https", 8443, "https")
    ]
    (endpoint,) = kubectl.json("get", "servicemonitor", "kcm")["spec"]["endpoints"]
    assert (endpoint["port"], endpoint["scheme"]) == ("https", "https")
    assert endpoint["tlsConfig"]["ca"]["secret"]["name"] == secret["secretName"]
    assert (
        endpoint["tlsConfig"]["serverName"] in kubectl.json("get", "certificate", "kcm")["spec"]["dnsNames"]
    )
    token = kubectl.json("get", "secret", endpoint["authorization"]["credentials"]["name"])
    assert token["metadata"]["annotations"] == {"kubernetes.io/service-account.name": "kcm-metrics"} | {
        key: text for key, text in token["metadata"]["annotations"].items() if key.startswith("kubectl")
    }
    policy = kubectl.json("get", "networkpolicy", "kcm-metrics")["spec"]["ingress"]
    assert [rule["ports"][0]["port"] for rule in policy] == [8443]


def config_of(pod):
    return next(volume["configMap"]["name"] for volume in pod["volumes"] if volume["name"] == "config")


def ports_of(log):
    """Return the ports that a daemon logs."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        lines = [line for line in log.read_text().split("\n")[:-1] if '"serving' in line]
        if len(lines) == 2:
            return {record["message"]: record["port"] for record in map(json.loads, lines)}
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def own_certificate(folder):
    """Return paths of a certificate for 127.0.0.1, its key, and the authority that signed it."""
    from kcm.sandbox.access.authority import Authority

    now = SystemClock().wall()
    authority = Authority.create(now)
    pair = authority.server(now)
    texts = {"tls.crt": pair.certificate, "tls.key": pair.key, "ca.crt": authority.pair.certificate}
    for name, text in texts.items():
        (folder / name).write_text(text)
    return [str(folder / name) for name in texts]


def account(sandbox, token, folder):
    """Return the path of a kubeconfig with which one is who has the token."""
    config = yaml.safe_load(sandbox.kubeconfig.read_text())
    config["users"] = [{"name": "kcm", "user": {"token": token}}]
    context = {**config["contexts"][0]["context"], "user": "kcm"}
    config["contexts"] = [{"name": "kcm", "context": context}]
    config["current-context"] = "kcm"
    path = folder / "daemon-kubeconfig"
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    return path


@contextlib.contextmanager
def daemon(kubeconfig, log, shipped=ROOT / "deploy/overlays/control-plane/kcm.yaml"):
    """`kcm run` with the shipped configuration, as long as the block lasts."""
    config = log.with_suffix(".yaml")
    # The shipped address is for pods; here nobody outside is to see it.
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
            assert process.wait(timeout=60) == 0, log.read_text()
        finally:
            process.kill()
