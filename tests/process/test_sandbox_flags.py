"""`kcm sandbox`: the size of nodes, and metrics from a file, on the command line."""

import http.client
import json
import subprocess
import sys
import time

import pytest
import yaml

SANDBOX = [sys.executable, "-m", "kcm", "sandbox", "--no-manager"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--node-cpu", "x"], "--node-cpu"),
        (["--node-memory=-5Gi"], "--node-memory"),
        (["--node-pods=-1"], "--node-pods"),
        (["--metrics-file", "absent.yaml"], "absent.yaml"),
        (["--metrics-file", "bad.yaml"], "$.external[0]"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(tmp_path, flags, said):
    (tmp_path / "bad.yaml").write_text("external: [{name: queue}]")
    done = subprocess.run(
        [*SANDBOX, *flags], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.strip().split("\n")
    assert said in line


class Server:
    """A sandbox that was started from the command line, over plain HTTP."""

    def __init__(self, address):
        self._address = address

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection(self._address, timeout=10)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def queue(self):
        path = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/queue"
        _, answer = self.call("GET", path)
        return [each["value"] for each in answer["items"]]


def until(holds):
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_nodes_have_the_size_and_metrics_the_values_that_were_given(tmp_path):
    values = tmp_path / "metrics.yaml"
    values.write_text("external: [{name: queue, value: 30}]")
    kubeconfig = tmp_path / "kubeconfig"
    flags = ["--node-cpu", "8", "--node-memory", "32Gi", "--node-pods", "110", "--metrics-file", str(values)]
    command = [*SANDBOX, "--kubeconfig-out", str(kubeconfig), *flags]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until(kubeconfig.exists)
            cluster = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]
            server = Server(cluster["server"].removeprefix("http://"))
            _, nodes = server.call("GET", "/api/v1/nodes")
            sizes = [each["status"]["allocatable"] for each in nodes["items"]]
            assert [(each["cpu"], each["memory"], each["pods"]) for each in sizes] == [
                ("8", "32Gi", "110")
            ] * 2
            assert server.queue() == ["30"]
            values.write_text("external: [{name: queue, value: 31}]")
            until(lambda: server.queue() == ["31"])
            assert server.call("PUT", "/sandbox/metrics/external/-/queue", '"1500m"')[0] == 200
            assert server.queue() == ["1500m"]
        finally:
            process.terminate()
            process.wait(timeout=10)
