"""The sandbox with `--secure`: TLS, certificates, tokens and roles, by unmodified clients."""

import base64
import json
import os
import ssl
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime

import pytest
import yaml
from kubernetes import client, config

from kcm.base.errors import ConfigurationError
from kcm.sandbox.secure import prepare

NAME = "kcm-sandbox"


@pytest.fixture
def sandbox(start_sandbox):
    return start_sandbox(secure=True)


def server_of(sandbox):
    return yaml.safe_load(sandbox.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]


def fetch(sandbox, path, token=""):
    """GET without a certificate of one's own; return status and body."""
    content = yaml.safe_load(sandbox.kubeconfig.read_text())
    ca = base64.b64decode(content["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=ca)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(server_of(sandbox) + path, headers=headers)
    try:
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.loads(refused.read())


def test_kubectl_comes_in_by_certificate_or_token_and_others_do_not(sandbox, kubectl_on):
    kubectl = kubectl_on(sandbox.kubeconfig)
    assert server_of(sandbox).startswith("https://127.0.0.1:")
    assert "sandbox-node-1" in kubectl("get", "nodes")
    for user in (NAME, f"{NAME}-token"):
        who = kubectl("auth", "whoami", "-o", "json", f"--user={user}")
        assert json.loads(who)["status"]["userInfo"]["groups"] == ["system:masters", "system:authenticated"]
    assert kubectl("auth", "can-i", "create", "pods") == "yes\n"
    assert fetch(sandbox, "/version")[0] == 200
    status, refused = fetch(sandbox, "/api/v1/pods")
    assert (status, refused["reason"]) == (403, "Forbidden")
    assert fetch(sandbox, "/api/v1/pods", token="nonsense")[0] == 401
    plain = server_of(sandbox).replace("https", "http") + "/version"
    with pytest.raises(OSError):  # noqa: PT011 - whatever a client makes of TLS where it expects none
        urllib.request.urlopen(plain, timeout=10)
    assert kubectl("get", "nodes").count(" Ready ") == 2


def test_kubectl_makes_roles_and_is_held_to_them(sandbox, kubectl_on):
    kubectl = kubectl_on(sandbox.kubeconfig)
    kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods,deployments.apps/scale")
    kubectl(
        "create", "rolebinding", "reader", "--role=reader", "--user=bob", "--serviceaccount=default:default"
    )
    kubectl("create", "clusterrole", "watcher", "--verb=watch", "--resource=nodes", "--resource-name=n")
    kubectl("create", "clusterrolebinding", "watcher", "--clusterrole=watcher", "--group=devs")
    rules = kubectl.json("get", "role", "reader")["rules"]
    assert rules == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
        {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get", "list"]},
    ]
    assert "Role/reader" in kubectl("get", "rolebindings", "-o", "wide")
    assert "[get list]" in kubectl("describe", "role", "reader")
    assert "devs" in kubectl("describe", "clusterrolebinding", "watcher")
    assert "No resources found" not in kubectl("get", "pods", "--as=bob")
    assert "Forbidden" in kubectl("get", "secrets", "--as=bob", fails=True)
    assert kubectl("auth", "can-i", "list", "pods", "--as=bob") == "yes\n"
    assert "no" in kubectl("auth", "can-i", "delete", "pods", "--as=bob", fails=True)
    assert "deployments.apps/scale" in kubectl("auth", "can-i", "--list", "--as=bob")
    token = kubectl("create", "token", "default", "--duration=20m").strip()
    assert fetch(sandbox, "/api/v1/namespaces/default/pods", token)[0] == 200
    assert fetch(sandbox, "/api/v1/namespaces/default/secrets", token)[0] == 403
    refused = kubectl("create", "role", "more", "--verb=get", "--resource=secrets", "--as=bob", fails=True)
    assert 'User "bob" cannot create resource "roles"' in refused
    kubectl("delete", "rolebinding", "reader")
    assert fetch(sandbox, "/api/v1/namespaces/default/pods", token)[0] == 403


def test_the_official_client_comes_in_by_the_kubeconfig(sandbox):
    with config.new_client_from_config(str(sandbox.kubeconfig)) as connection:
        assert len(client.CoreV1Api(connection).list_node().items) == 2
        review = client.V1SelfSubjectAccessReview(
            spec=client.V1SelfSubjectAccessReviewSpec(
                resource_attributes=client.V1ResourceAttributes(verb="get", resource="pods")
            )
        )
        answer = client.AuthorizationV1Api(connection).create_self_subject_access_review(review)
        assert answer.status.allowed is True


def test_pods_know_the_authority(sandbox, kubectl_on):
    kubectl = kubectl_on(sandbox.kubeconfig)
    kubectl("create", "namespace", "fresh")
    for namespace in ("default", "fresh"):
        found = kubectl.within(namespace).json("get", "configmap", "kube-root-ca.crt")
        assert found["data"]["ca.crt"].startswith("-----BEGIN CERTIFICATE-----")


def test_an_autoscaler_is_made_by_kubectl(sandbox, kubectl_on):
    kubectl = kubectl_on(sandbox.kubeconfig)
    kubectl("create", "deployment", "web", "--image=web:1")
    kubectl("autoscale", "deployment", "web", "--min=2", "--max=5", "--cpu-percent=70")
    spec = kubectl.json("get", "hpa", "web")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 5)
    assert spec["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 70}
    old = kubectl.json("get", "horizontalpodautoscalers.v1.autoscaling", "web")
    assert (old["apiVersion"], old["spec"]["targetCPUUtilizationPercentage"]) == ("autoscaling/v1", 70)
    assert "<unknown>/70%" in kubectl("get", "hpa")


def test_the_manager_beside_it_works(tmp_path, kubectl_on):
    kubeconfig = tmp_path / "kubeconfig"
    command = [sys.executable, "-m", "kcm", "sandbox", "--secure", "--speed=10"]
    command += [f"--kubeconfig-out={kubeconfig}"]
    environment = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True
    )
    try:
        assert "https://127.0.0.1:" in process.stdout.readline()
        kubectl = kubectl_on(kubeconfig)
        template = {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "web:1"}]},
        }
        spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template}
        kubectl.apply(
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web"}, "spec": spec}
        )
        kubectl("wait", "rs/web", "--for=jsonpath={.status.readyReplicas}=2", "--timeout=25s")
        process.terminate()
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_without_the_package_it_says_what_to_install(tmp_path):
    program = (
        "import sys\nsys.modules['cryptography'] = None\n"
        "from kcm.cli.main import main\n"
        "sys.argv = ['kcm', 'sandbox', '--secure', '--no-manager', '--kubeconfig-out', sys.argv[1]]\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "k")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "pip install 'kcm[secure]'" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "k").exists()


def test_keys_stay_good_in_a_data_directory(tmp_path):
    now = datetime.now(UTC)
    first, again = prepare(now, tmp_path), prepare(now, tmp_path)
    assert first.access == again.access
    assert stat.S_IMODE((tmp_path / "access.json").stat().st_mode) == 0o600
    assert prepare(now, None).admin_token != first.admin_token
    assert first.admin_token not in repr(first)
    (tmp_path / "access.json").write_text("{}")
    with pytest.raises(ConfigurationError, match=r"access\.json"):
        prepare(now, tmp_path)
