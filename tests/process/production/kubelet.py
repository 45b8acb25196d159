"""The nodes that run kcm's own pods: a real process for each pod of them, watched over as a kubelet does.

A pod that is bound to one of `NODES` becomes one `kcm run`: the entry point of the image and the pod's
arguments, its volumes and its token as files, its environment, its host name. Kept: startup and
readiness probes over HTTP decide what the pod's status says (periods are divided by `SPEED`), a
container that ends is started again, a deleted pod gets SIGTERM and its grace, then SIGKILL, and is
gone when its processes are. Not kept: users, memory limits, network namespaces.
"""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from daemons import DaemonProcess, call, environment

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
NODES = ("control-a", "control-b")
# What keeps all other pods off them, and is tolerated by those of kcm.
ROLE = "node-role.kubernetes.io/control-plane"
SPEED = 10.0
GLANCE = 0.05
PROBE_SECONDS = 1.0
FAILURES = 3
STRATEGIC = "application/strategic-merge-patch+json"
SERVICE_ACCOUNT = "var/run/secrets/kubernetes.io/serviceaccount"


def entry_point():
    """Return what the image puts before the arguments of the pod."""
    (words,) = re.findall(r"^ENTRYPOINT (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    program, *rest = json.loads(words)
    assert Path(program).name == "kcm"
    return rest


class Container(DaemonProcess):
    """One life of a pod's container: a `kcm run` that believes to be in a pod."""

    def __init__(self, root, mark, arguments, variables):
        self.mark = mark
        self._log = root.with_suffix(".log")
        self._address = ""
        self._identity = ""
        command = [sys.executable, str(HERE / "container.py"), str(root), *entry_point(), *arguments]
        with open(self._log, "ab") as log:
            self._begin = log.tell()
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env={**environment(mark), **variables},
                start_new_session=True,
            )

    def text(self):
        """Return what this life has logged."""
        return self._log.read_bytes()[self._begin :].decode()

    def records(self, message=None):
        whole = [line for line in self.text().split("\n")[:-1] if line.startswith("{")]
        records = [json.loads(line) for line in whole]
        return [record for record in records if message is None or record["message"] == message]

    @property
    def identity(self):
        """Return its name in the Lease."""
        if not self._identity:
            self._identity = self.status()["election"]["identity"]
        return self._identity

    def answers(self, path):
        """Say whether a probe would succeed now."""
        if not (self._address or self.records("serving")):
            return False
        connection = http.client.HTTPConnection(self.address, timeout=PROBE_SECONDS)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


class Pod(threading.Thread):
    """One pod on one of the nodes. Its status is written here and nowhere else."""

    def __init__(self, kubelet, present):
        super().__init__(name=present["metadata"]["name"])
        self.name = present["metadata"]["name"]
        self.uid = present["metadata"]["uid"]
        self.namespace = present["metadata"]["namespace"]
        self.present = present
        self.container = None
        self.restarts = 0
        self.ready = False
        self.held = False
        self.frozen = False
        # A relay to the server, for what is started from then on.
        self.way = None
        self._kubelet = kubelet
        self._root = kubelet.directory / f"{self.name}-{self.uid[:8]}"
        self._asked_at = 0.0
        self._failures = 0
        self._next_look = 0.0
        self._next_start = 0.0
        self._gone = threading.Event()

    @property
    def going(self):
        return "deletionTimestamp" in self.present["metadata"]

    @property
    def gone(self):
        return self._gone.is_set()

    @property
    def log_file(self):
        """Return where all that the lives of its container print goes."""
        return self._root.with_suffix(".log")

    def log(self):
        """Return what all lives of its container have printed."""
        return self.log_file.read_text()

    def run(self):
        try:
            self._mount()
            while not (self._kubelet.closing.is_set() or self._turn_or_wait()):
                time.sleep(GLANCE)
        finally:
            if self.container is not None:
                self.container.end()
            self._gone.set()

    def _turn_or_wait(self):
        # A server that is away is asked again in the next turn.
        with contextlib.suppress(OSError):
            return self._turn()
        return False

    def _turn(self):
        """Do what is due; say whether the pod is gone."""
        ended = self.container is None or self.container.process.poll() is not None
        if self.uid not in self._kubelet.bound:
            return True
        if self.going:
            return self._leave(ended)
        now = time.monotonic()
        if ended and self.held:
            return False
        if ended and self.container is not None and self._next_start <= 0.0:
            # What is left of it ends with its first process, as in any container.
            self.container.end()
            self.restarts += 1
            self._next_start = now + min(self.restarts - 1, 5)
            self._report(ready=False)
        if ended and now >= self._next_start:
            self.container = Container(self._root, self.uid, self._arguments(), self._variables())
            self._next_start = self._next_look = 0.0
        elif not ended and now >= self._next_look:
            self._probe(now)
        return False

    def _probe(self, now):
        ready = self.container.answers("/readyz")
        period = self._spec()["readinessProbe"]["periodSeconds"] if self.ready else 1
        self._next_look = now + period / SPEED
        self._failures = 0 if ready else self._failures + 1
        if ready != self.ready and self._failures in (0, FAILURES):
            self._report(ready)

    def _leave(self, ended):
        metadata = self.present["metadata"]
        if not ended and not self._asked_at:
            self._asked_at = time.monotonic()
            self.container.process.send_signal(signal.SIGTERM)
        if not ended and time.monotonic() < self._asked_at + metadata["deletionGracePeriodSeconds"]:
            return False
        if self.container is not None:
            self.container.end()
            code = self.container.process.returncode
            self._kubelet.exit_codes[self.name] = code
        self._report(ready=False, phase="Succeeded")
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}
        self._kubelet.call("DELETE", self._path(), body)
        return True

    def _report(self, ready, phase="Running"):
        self.ready = ready
        if self.frozen:
            return
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        conditions = [
            {"type": kind, "status": str(ready), "lastTransitionTime": at}
            for kind in ("Ready", "ContainersReady")
        ]
        state = {"name": "kcm", "image": "kcm", "imageID": "", "ready": ready, "restartCount": self.restarts}
        status = {"phase": phase, "conditions": conditions, "containerStatuses": [state]}
        body = {"metadata": {"uid": self.uid}, "status": status}
        self._kubelet.call("PATCH", f"{self._path()}/status", body, STRATEGIC)

    def _path(self):
        return f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"

    def _spec(self):
        (container,) = self.present["spec"]["containers"]
        return container

    def _mount(self):
        """Put ConfigMaps and the service account where the pod finds them."""
        volumes = {volume["name"]: volume for volume in self.present["spec"]["volumes"]}
        for mount in self._spec()["volumeMounts"]:
            folder = self._below(mount["mountPath"])
            folder.mkdir(parents=True, exist_ok=True)
            if "configMap" in volumes[mount["name"]]:
                name = volumes[mount["name"]]["configMap"]["name"]
                found = self._kubelet.call("GET", f"/api/v1/namespaces/{self.namespace}/configmaps/{name}")
                swap(folder, found["data"])
        self.give_token()

    def give_token(self):
        """Ask for a token of the pod's own, and put it in the place of the old one."""
        account = self.present["spec"]["serviceAccountName"]
        where = f"/api/v1/namespaces/{self.namespace}"
        bound = {"apiVersion": "v1", "kind": "Pod", "name": self.name, "uid": self.uid}
        request = {"spec": {"audiences": [], "boundObjectRef": bound}}
        given = self._kubelet.call("POST", f"{where}/serviceaccounts/{account}/token", request)
        authority = self._kubelet.call("GET", f"{where}/configmaps/kube-root-ca.crt")["data"]["ca.crt"]
        files = {"token": given["status"]["token"], "ca.crt": authority, "namespace": self.namespace}
        folder = self._root / SERVICE_ACCOUNT
        folder.mkdir(parents=True, exist_ok=True)
        swap(folder, files)

    @property
    def service_account(self):
        """Return the folder with its token."""
        return self._root / SERVICE_ACCOUNT

    def _below(self, path):
        return self._root / path.lstrip("/")

    def _arguments(self):
        mounts = [mount["mountPath"] for mount in self._spec()["volumeMounts"]]
        # The whole pod would have its own root; here its paths lead below a folder.
        return [
            re.sub(rf"(?<==)({'|'.join(map(re.escape, mounts))})(?=/)", rf"{self._root}\1", argument)
            for argument in self._spec()["args"]
        ]

    def _variables(self):
        given = {each["name"]: each["value"] for each in self._spec().get("env", ())}
        port = str(self.way.port if self.way else self._kubelet.secure_port)
        service = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": port}
        return {**service, "HOSTNAME": self.name, "PYTHONUNBUFFERED": "1", **given}


def swap(folder, files):
    """Put files into a folder as the kubelet does: behind a link that is replaced as a whole."""
    fresh = folder / f"..{time.monotonic_ns()}"
    fresh.mkdir()
    for name, text in files.items():
        (fresh / name).write_text(text)
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(Path("..data") / name)
    before = (folder / "..data").resolve()
    (folder / "..data_tmp").symlink_to(fresh.name)
    os.replace(folder / "..data_tmp", folder / "..data")
    if before != fresh and before.name.startswith("..") and before.name != "..data":
        shutil.rmtree(before)


class Kubelet(threading.Thread):
    """Runs the pods that are bound to `NODES`, as long as it is not closed."""

    def __init__(self, directory, door, secure_port):
        super().__init__(name="kubelet")
        self.directory = directory
        self.secure_port = secure_port
        self.closing = threading.Event()
        self.pods = {}
        self.bound = set()
        self.exit_codes = {}
        self._door = door

    def call(self, method, path, body=None, content_type="application/json"):
        """Send one request as somebody who may do everything; {} for what is not there any more."""
        status, answer = call(self._door, method, path, body, content_type)
        if status in (404, 409) and method in ("PATCH", "DELETE"):
            return {}
        assert status < 300, f"{method} {path}: {status} {answer}"
        return answer

    def join_nodes(self):
        """Make the nodes, so that the scheduler can give them pods."""
        room = {"cpu": "8", "memory": "32Gi", "pods": "110"}
        for name in NODES:
            taint = {"key": ROLE, "effect": "NoSchedule"}
            labels = {ROLE: "", "kubernetes.io/hostname": name}
            node = {"metadata": {"name": name, "labels": labels}, "spec": {"taints": [taint]}}
            self.call("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", **node})
            conditions = [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]
            status = {"capacity": room, "allocatable": room, "conditions": conditions}
            self.call("PATCH", f"/api/v1/nodes/{name}/status", {"status": status}, STRATEGIC)
            ours = {"spec": {"taints": [taint]}}
            self.call("PATCH", f"/api/v1/nodes/{name}", ours, "application/merge-patch+json")

    def run(self):
        while not self.closing.wait(GLANCE):
            with contextlib.suppress(OSError):
                self._look()

    def _look(self):
        found = self.call("GET", "/api/v1/namespaces/kcm-system/pods")["items"]
        ours = {pod["metadata"]["uid"]: pod for pod in found if pod["spec"].get("nodeName") in NODES}
        self.bound = set(ours)
        for uid, present in ours.items():
            if uid in self.pods:
                self.pods[uid].present = present
            elif "deletionTimestamp" not in present["metadata"]:
                self.pods[uid] = Pod(self, present)
                self.pods[uid].start()
            else:
                body = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
                where = f"/api/v1/namespaces/kcm-system/pods/{present['metadata']['name']}"
                self.call("DELETE", where, body)
        self.pods = {uid: pod for uid, pod in self.pods.items() if not (pod.gone and uid not in ours)}

    def close(self):
        """End everything that it has started."""
        self.closing.set()
        self.join()
        for pod in self.pods.values():
            if pod.ident is not None:
                pod.join()
