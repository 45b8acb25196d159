"""`kcm run my_controller.py`: from a file to a controller at work, with nothing installed."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import yaml

EXAMPLE = Path(__file__).parents[2] / "examples" / "04_backup_policy"
PATIENCE = 40.0


def environment():
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("KUBE", "KCM", "PYTHON"))
    }


def kcm(*arguments, folder):
    return subprocess.Popen(
        [sys.executable, "-m", "kcm", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(),
        cwd=folder,
    )


@pytest.fixture
def started(tmp_path):
    processes = []

    def start(*arguments):
        processes.append(kcm(*arguments, folder=tmp_path))
        return processes[-1]

    yield start
    for process in reversed(processes):
        process.terminate()
        process.wait(20)
        process.stdout.close()


def call(url, path, body=None):
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_a_file_is_all_it_takes(started, tmp_path):
    sandbox = started(
        "sandbox", "--no-manager", "--nodes", "0", "--kubeconfig-out", str(tmp_path / "kubeconfig")
    )
    banner = sandbox.stdout.readline().decode()
    url = re.search(r"http://[\d.:]+", banner)[0]
    file = str(EXAMPLE / "backup_policy.py")
    started("run", file, "--kubeconfig", str(tmp_path / "kubeconfig"), "--port", "0")
    crd = yaml.safe_load((EXAMPLE / "crd.yaml").read_text())
    call(url, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
    policy = yaml.safe_load((EXAMPLE / "policy.yaml").read_text())
    end = time.monotonic() + PATIENCE
    while True:
        try:
            call(url, "/apis/demo.dev/v1/namespaces/default/backuppolicies", policy)
            break
        except urllib.error.HTTPError as error:
            error.close()
            assert time.monotonic() < end, "the type is not served"
            time.sleep(0.05)
    data = {}
    while data.get("nightly") != {"schedule": "0 3 * * *", "keep": "7"}:
        assert time.monotonic() < end, f"not rendered: {data}"
        found = call(url, "/api/v1/namespaces/default/configmaps")["items"]
        data = {each["metadata"]["name"]: each.get("data") for each in found}
        time.sleep(0.05)
    leases = call(url, "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases")["items"]
    assert "kcm-backup-policy" in [each["metadata"]["name"] for each in leases]


def test_a_file_without_a_controller_is_refused_with_exit_code_2(tmp_path):
    (tmp_path / "nothing_here.py").write_text("x = 1\n")
    process = kcm("run", "nothing_here.py", folder=tmp_path)
    said, _ = process.communicate(timeout=20)
    assert process.returncode == 2
    assert said.decode() == "kcm: nothing_here.py: has no class derived from kcm.Controller\n"


def test_a_file_that_cannot_work_ends_it_with_a_line_that_says_why(started, tmp_path):
    out = ("--kubeconfig-out", str(tmp_path / "kubeconfig"))
    sandbox = started("sandbox", "--no-manager", "--nodes", "0", *out)
    sandbox.stdout.readline()
    (tmp_path / "half_done.py").write_text(
        "from kcm import Controller, primary\n"
        "from kcm.objects import Pod\n"
        "class Half(Controller[Pod, Pod]):\n"
        "    watches = primary(Pod)\n"
        "    def observe(self, cache, key): ...\n"
        "    async def reconcile(self, ctx, seen): ...\n"
    )
    process = kcm("run", "half_done.py", "--kubeconfig", "kubeconfig", "--port", "0", folder=tmp_path)
    said, _ = process.communicate(timeout=40)
    assert process.returncode == 2
    assert "half_done:Half: watches is a single watch: put it into a tuple" in said.decode()


def test_the_sandbox_takes_a_file_too_and_runs_it_beside_the_others(started, tmp_path):
    file = str(EXAMPLE.parent / "08_pods_by_index" / "pods_per_node.py")
    sandbox = started("sandbox", file, "--nodes", "1", "--kubeconfig-out", str(tmp_path / "kubeconfig"))
    url = re.search(r"http://[\d.:]+", sandbox.stdout.readline().decode())[0]
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "web:1"}]}}
    spec = {"replicas": 3, "selector": {"matchLabels": labels}, "template": template}
    call(url, "/apis/apps/v1/namespaces/default/replicasets", {"metadata": {"name": "web"}, "spec": spec})
    end = time.monotonic() + PATIENCE
    counts = []
    while counts != ["3"]:
        assert time.monotonic() < end, f"not counted: {counts}"
        nodes = call(url, "/api/v1/nodes")["items"]
        counts = [each["metadata"].get("annotations", {}).get("example.kcm.dev/pods") for each in nodes]
        time.sleep(0.05)


def test_the_sandbox_refuses_a_file_before_anything_has_started(tmp_path):
    process = kcm("sandbox", "nobody.py", folder=tmp_path)
    said, _ = process.communicate(timeout=20)
    assert (process.returncode, said.decode()) == (2, "kcm: nobody.py: there is no file nobody.py\n")
