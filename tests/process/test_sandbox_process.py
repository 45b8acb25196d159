"""The sandbox as a process: start, kubeconfig, signals, refusals."""

import http.client
import json
import signal
import stat
import subprocess
import sys

import pytest
import yaml

from kcm.base.errors import ConfigurationError
from kcm.sandbox.kubeconfig import check_target


def server_of(kubeconfig):
    return yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"].removeprefix("http://")


def call(server, method, path, body=None):
    connection = http.client.HTTPConnection(server, timeout=10)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def pod(name, **meta):
    spec = {"containers": [{"name": "c", "image": "web:1"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **meta}, "spec": spec}


def test_it_writes_a_kubeconfig_for_its_owner_only(start_sandbox):
    sandbox = start_sandbox()
    assert stat.S_IMODE(sandbox.kubeconfig.stat().st_mode) == 0o600
    config = yaml.safe_load(sandbox.kubeconfig.read_text())
    assert config["current-context"] == "kcm-sandbox"
    names = [config[part][0]["name"] for part in ("clusters", "users", "contexts")]
    assert names == ["kcm-sandbox"] * 3
    status, nodes = call(server_of(sandbox.kubeconfig), "GET", "/api/v1/nodes")
    assert (status, len(nodes["items"])) == (200, 2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly_when_asked(start_sandbox, number):
    sandbox = start_sandbox()
    server = server_of(sandbox.kubeconfig)
    watch = http.client.HTTPConnection(server, timeout=10)
    watch.request("GET", "/api/v1/pods?watch=true")
    assert watch.getresponse().status == 200
    assert sandbox.stop(number) == 0
    watch.close()


def test_it_tells_what_happens(start_sandbox):
    sandbox = start_sandbox()
    pods = "/api/v1/namespaces/default/pods"
    server = server_of(sandbox.kubeconfig)
    call(server, "POST", pods, pod("web"))
    for what in ("created", "scheduled", "ready"):
        assert "\x1b" not in sandbox.lines.until(what, "pod default/web")
    call(server, "DELETE", f"{pods}/web")
    sandbox.lines.until("terminating", "pod default/web")
    sandbox.lines.until("deleted", "pod default/web")


def test_many_pods_are_told_in_few_lines(start_sandbox):
    sandbox = start_sandbox()
    server = server_of(sandbox.kubeconfig)
    for number in range(300):
        call(server, "POST", "/api/v1/namespaces/default/pods", pod(f"web-{number}"))
    call(server, "POST", "/api/v1/namespaces/default/pods", pod("last"))
    call(server, "DELETE", "/api/v1/namespaces/default/pods/last?gracePeriodSeconds=0")
    sandbox.lines.until("deleted")
    assert len(sandbox.lines.seen) < 200


def test_without_nodes_nothing_runs(start_sandbox):
    sandbox = start_sandbox(nodes=0)
    server = server_of(sandbox.kubeconfig)
    call(server, "POST", "/api/v1/namespaces/default/pods", pod("web"))
    sandbox.lines.until("created", "pod default/web")
    assert call(server, "GET", "/api/v1/namespaces/default/pods/web")[1]["status"]["phase"] == "Pending"


def test_a_port_that_is_taken_is_said_in_one_line(start_sandbox):
    sandbox = start_sandbox()
    port = server_of(sandbox.kubeconfig).rpartition(":")[2]
    text = (
        "import sys; from kcm.sandbox.process import *;sys.exit(main(SandboxSettings(port=int(sys.argv[1]))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", text, port], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"kcm sandbox: --port: cannot listen on 127.0.0.1:{port}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param("contexts: [{name: production}]", "holds other contexts", id="somebody else's"),
        pytest.param("just text", "holds other contexts", id="no kubeconfig"),
        pytest.param("{", "cannot be replaced", id="broken"),
    ],
)
def test_a_file_of_somebody_else_is_not_overwritten(tmp_path, content, reason):
    target = tmp_path / "config"
    target.write_text(content)
    with pytest.raises(ConfigurationError, match=reason):
        check_target(target)
    assert target.read_text() == content


def test_its_own_kubeconfig_is_replaced(start_sandbox, tmp_path):
    target = tmp_path / "config"
    first = start_sandbox(kubeconfig=target)
    first.stop()
    before = target.read_text()
    start_sandbox(kubeconfig=target)
    assert target.read_text() != before
