"""examples/03_network with real processes: the service, its database file, the sandbox, the manager."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "03_network"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NETWORKS = "/apis/samplecrd.k8s.io/v1/namespaces/default/networks"
PATIENCE = 90.0


def call(address, method, path, body=None):
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status < 300, f"{method} {path}: {answer.status} {text}"
        return json.loads(text)
    finally:
        connection.close()


def eventually(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"not within {PATIENCE:g} s: {what}"
        time.sleep(0.05)


class Processes:
    """What this test has started, and ends."""

    def __init__(self, folder):
        self.folder = folder
        self.running = []

    def start(self, *command, until):
        """Start a process; return it and what its output said after `until`."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("KUBE", "KCM"))}
        process = subprocess.Popen(
            [sys.executable, *command],
            stdout=subprocess.PIPE,
            stderr=open(self.folder / f"{len(self.running)}.log", "wb"),  # noqa: SIM115 - the child's
            env={**kept, "PYTHONPATH": str(FOLDER)},
            cwd=self.folder,
        )
        self.running.append(process)
        for line in process.stdout:
            if found := re.search(until, line.decode()):
                return process, found[1]
        raise AssertionError((self.folder / f"{len(self.running) - 1}.log").read_text())

    def service(self, port=0):
        script = str(FOLDER / "network_service.py")
        database = str(self.folder / "networks.db")
        return self.start(script, "--port", str(port), "--database", database, until=r"on (127\.0\.0\.1:\d+)")

    def end(self):
        for process in reversed(self.running):
            process.send_signal(signal.SIGINT)
            process.wait(20)
            process.stdout.close()


@pytest.fixture
def processes(tmp_path):
    processes = Processes(tmp_path)
    yield processes
    processes.end()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_session_of_the_article(processes, tmp_path):
    service, address = processes.service()
    configuration = yaml.safe_load((FOLDER / "kcm.yaml").read_text())
    configuration["controllers"]["network"]["settings"] = {"service": address, "patience": 1}
    configuration["cache"]["resyncPeriod"] = "1s"
    (tmp_path / "kcm.yaml").write_text(json.dumps(configuration))
    flags = ("--config", str(tmp_path / "kcm.yaml"), "--kubeconfig-out", str(tmp_path / "kubeconfig"))
    _, api = processes.start("-m", "kcm", "sandbox", "--nodes", "0", *flags, until=r"http://(127\S+),")
    log = tmp_path / "1.log"
    eventually(lambda: "does not know this resource (yet)" in log.read_text(), "a clear message")

    def outside():
        return sorted(each["cidr"] for each in call(address, "GET", "/networks/").values())

    call(api, "POST", CRDS, yaml.safe_load((FOLDER / "crd.yaml").read_text()))
    network = yaml.safe_load((FOLDER / "network.yaml").read_text())
    eventually(lambda: "watch works again" in log.read_text(), "recovery")
    call(api, "POST", NETWORKS, network)
    eventually(lambda: outside() == ["192.168.0.0/16"], "a network outside")
    (identity,) = call(address, "GET", "/networks/")
    call(address, "DELETE", f"/networks/{identity}")
    eventually(lambda: outside() == ["192.168.0.0/16"], "it comes back on resync")
    service.kill()
    service.wait()
    call(api, "DELETE", f"{NETWORKS}/example-network")
    eventually(lambda: "the network service cannot be asked" in log.read_text(), "the trouble is told")
    assert call(api, "GET", NETWORKS)["items"], "held by its finalizer"
    processes.service(port=address.rpartition(":")[2])
    assert outside() == ["192.168.0.0/16"], "the database outlives the service"
    eventually(lambda: not call(api, "GET", NETWORKS)["items"], "it is gone inside")
    assert outside() == []
