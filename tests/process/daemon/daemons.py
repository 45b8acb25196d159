"""Daemons as real processes, and a sandbox that writes down what it was asked: the tools of these tests."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

HERE = Path(__file__).parent
PATIENCE = 60.0
GLANCE = 0.02
PODS = "/api/v1/namespaces/default/pods"
SETS = "/apis/apps/v1/namespaces/default/replicasets"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kcm"
# A busy machine may stand still for seconds: nobody loses the Lease or is killed as hung for that.
QUICK = {
    "leaderElection": {"leaseDuration": "15s", "renewDeadline": "10s", "retryPeriod": "0.5s"},
    "client": {"writeTimeout": "2s", "qps": 0},
    "hosts": {"stopTime": "0.3s", "heartbeatPeriod": "0.2s", "restartBackoff": "0.2s", "hangDeadline": "10s"},
}
# For those who wait until a Lease runs out.
EXPIRING = {
    **QUICK,
    "leaderElection": {"leaseDuration": "4s", "renewDeadline": "2s", "retryPeriod": "0.5s"},
    "client": {"writeTimeout": "0.5s", "qps": 0},
}


def eventually(condition, within=PATIENCE, what=""):
    """Look until the condition gives something true; return that."""
    end = time.monotonic() + within
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"not within {within:g} s: {what or condition}"
        time.sleep(GLANCE)


def call(address, method, path, body=None, content_type="application/json"):
    """Send one request; return status and body, decoded if it is JSON."""
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        headers = {"Content-Type": content_type, "User-Agent": "test"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        is_json = "json" in answer.headers.get("Content-Type", "")
        return answer.status, json.loads(text) if is_json else text
    finally:
        connection.close()


def marked(mark):
    """Return the ids of the living processes that inherited the mark."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                if mark.encode() in Path("/proc", entry, "environ").read_bytes():
                    found.append(int(entry))
    return found


def environment(mark):
    """Return an environment with nobody's kubeconfig, our test controllers, and a mark."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KUBE", "KCM"))}
    return {**kept, "PYTHONPATH": str(HERE), "KCM_TEST_MARK": mark}


def free_port():
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def replica_set(name, replicas):
    """Return a ReplicaSet that selects app=<name>."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "web:1"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name}, "spec": spec}


class Server:
    """An observed sandbox process."""

    def __init__(self, directory, port=0):
        self._record = directory / f"requests-{uuid.uuid4().hex}.jsonl"
        self._record.touch()
        command = [sys.executable, str(HERE / "observed_sandbox.py"), str(port), str(self._record)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=sys.stderr)
        self.port = int(self.process.stdout.readline().split()[1])
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.address}"

    def call(self, method, path, body=None, content_type="application/json"):
        status, answer = call(self.address, method, path, body, content_type)
        assert status < 300, f"{method} {path}: {status} {answer}"
        return answer

    def apply(self, name, replicas):
        return self.call("POST", SETS, replica_set(name, replicas))

    def scale(self, name, replicas):
        merge = "application/merge-patch+json"
        self.call("PATCH", f"{SETS}/{name}", {"spec": {"replicas": replicas}}, merge)

    def pods(self):
        """Return the pods that count."""
        pods = self.call("GET", PODS)["items"]
        return [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def settled(self, name, replicas):
        """Say whether the set has what it wants, and says so."""
        status = self.call("GET", f"{SETS}/{name}")["status"]
        pods = [pod for pod in self.pods() if pod.startswith(f"{name}-")]
        return status.get("readyReplicas", 0) == replicas == len(pods)

    def holder(self):
        """Return who holds the Lease, "" when nobody does."""
        status, lease = call(self.address, "GET", LEASE)
        return lease["spec"].get("holderIdentity") or "" if status == 200 else ""

    def requests(self, agent="kcm", **wanted):
        """Return what was asked by agents whose name has `agent` in it."""
        lines = [json.loads(line) for line in self._record.read_text().splitlines()]
        return [
            line
            for line in lines
            if agent in line.get("agent", "") and all(line[name] == value for name, value in wanted.items())
        ]

    def fetches(self, resource):
        """Return how often the whole of a resource was fetched, as a list or as a stream."""
        asked = [line for line in self.requests("informers", method="GET") if line["path"].endswith(resource)]
        whole = [a for a in asked if "sendInitialEvents" in a["query"] or "watch" not in a["query"]]
        # A list of one object is how a barrier asks for the server's version.
        return len([a for a in whole if a["query"].get("limit") != "1"])

    def writes(self, agent):
        """Return the writes that succeeded, but for those of the Lease."""
        return [
            line
            for line in self.requests(agent)
            if line["method"] != "GET" and line["status"] < 300 and "/leases" not in line["path"]
        ]

    def surplus(self):
        """Return the moments at which there were too many pods."""
        return [line for line in self._record.read_text().splitlines() if '"surplus"' in line]

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class DaemonProcess:
    """`kcm run` as a process in a session of its own."""

    def __init__(self, directory, url, *flags, config=None, output=None):
        """`output`: a descriptor for what it says, which then nobody reads here."""
        self.mark = uuid.uuid4().hex
        self._log = directory / f"log-{self.mark}.jsonl"
        self.config = directory / f"config-{self.mark}.yaml"
        sections = (config or {}).get("controllers", {})
        named = [name for name, section in sections.items() if section.get("enabled", True)]
        # Whatever else is installed: these tests count the processes and the watches of what they name.
        wanted = ",".join(dict.fromkeys(["replicaset", *named]))
        command = [sys.executable, "-m", "kcm", "run", "--master", url, "--port", "0"]
        command += ["--controllers", wanted, *flags]
        if config is not None:
            head = {"apiVersion": "kcm.dev/v1alpha1", "kind": "ManagerConfiguration"}
            self.config.write_text(json.dumps({**head, **config}))
            command += ["--config", str(self.config)]
        with open(self._log, "wb") as log:
            told = log if output is None else output
            self.process = subprocess.Popen(
                command, stdout=told, stderr=told, env=environment(self.mark), start_new_session=True
            )
        self._address = ""

    @property
    def address(self):
        """Return where its pages are, as its log says."""
        if not self._address:
            served = eventually(lambda: self.records("serving"), what=f"serving: {self.text()}")
            self._address = f"127.0.0.1:{served[0]['port']}"
        return self._address

    def text(self):
        return self._log.read_text()

    def records(self, message=None):
        """Return the log's records, of this message if one is given."""
        whole = [line for line in self._log.read_text().split("\n")[:-1] if line]
        records = [json.loads(line) for line in whole]
        return [record for record in records if message is None or record["message"] == message]

    def page(self, path):
        return call(self.address, "GET", path)

    def status(self):
        return self.page("/statusz?format=json")[1]

    def host(self, name="replicaset"):
        return next(host for host in self.status()["hosts"] if host["name"] == name)

    def leads(self):
        hosts = self.status()["hosts"]
        return all(host["state"] == "leading" for host in hosts)

    def ready(self):
        return self.page("/readyz")[0] == 200

    def metric(self, name, **labels):
        """Return the sum of a metric's samples that have these labels."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        lines = [line for line in self.page("/metrics")[1].splitlines() if not line.startswith("#")]
        return sum(
            float(line.rpartition(" ")[2])
            for line in lines
            if line.split("{")[0].split(" ")[0] == name and all(label in line for label in wanted)
        )

    def signal_all(self, number):
        """Signal the manager, its fork server and its hosts together."""
        # Not by group: hosts lead groups of their own.
        for pid in self.left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self, number=signal.SIGTERM):
        """Signal the manager; return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=20)

    def left(self):
        """Return the processes that are still there."""
        return marked(self.mark)

    def end(self):
        """Leave nothing behind, whatever happened."""
        self.signal_all(signal.SIGKILL)
        self.process.wait()
