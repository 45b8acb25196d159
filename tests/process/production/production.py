"""kcm as it runs in production, on one machine: the tools of these tests.

`Production` starts a secure sandbox (`judging_cluster.py`), applies `deploy/overlays/ha` with an
overlay of the test's on top (which controllers run, the configuration file, where pods are placed: what
an administrator would edit), and runs each pod of the Deployment as a real process (`kubelet.py`). The
Deployment is managed by kcm itself, as on a cluster that has no other manager for Deployments; until the
first pods are ready a `kcm run` of the administrator's does it, under the same Lease, and hands over.
Everything is judged by what the server wrote down: `verdicts.py`.
"""

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import yaml
from daemons import DaemonProcess, call, environment, eventually, replica_set
from kubelet import ROLE, ROOT, Kubelet
from verdicts import NAMESPACE, Record

HERE = Path(__file__).parent
PATIENCE = 60.0
BETWEEN_CHANGES = 0.03
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/kcm"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/kcm"
SETS = "/apis/apps/v1/namespaces/default/replicasets"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
PODS = "/api/v1/namespaces/default/pods"
MAPS = "/api/v1/namespaces/default/configmaps"
MERGE = "application/merge-patch+json"
CONTROLLERS = ("replicaset", "deployment", "hpa", "eventrecorder")

# For tests in which a leader has to be given up for dead: short, and still longer than most stalls.
SHORT_LEASE = {
    "leaderElection": {"leaseDuration": "6s", "renewDeadline": "4s", "retryPeriod": "0.5s"},
    "client": {"writeTimeout": "1s"},
    "hosts": {"stopTime": "0.5s", "stopGrace": "1s"},
}
LEASE_SECONDS = 6.0
# For tests in which nothing may cost the leader its Lease: as shipped.
SHIPPED_LEASE = {}

# Controllers of odd_controllers.py that do what they are told, and what is done about it, quickly.
MISBEHAVING = {
    "controllers": {
        "odd": {"implementation": "odd_controllers:Odd"},
        "hanging": {"implementation": "odd_controllers:Hanging", "reconcileTimeout": "1s"},
    },
    "hosts": {
        "heartbeatPeriod": "0.2s",
        "restartBackoff": "0.2s",
        "hangDeadline": "6s",
        "limitsOf": {"odd": {"memory": "200Mi", "processes": 5}},
    },
}


def wait_for(condition, what=""):
    """Look until the condition gives something true; return that. Patient: machines stall."""
    return eventually(condition, PATIENCE, what)


def merged(below, above):
    """Return two nested mappings as one, the second on top."""
    both = {**below}
    for name, value in above.items():
        deeper = isinstance(value, dict) and isinstance(below.get(name), dict)
        both[name] = merged(below[name], value) if deeper else value
    return both


def configuration(more):
    """Return the shipped configuration file's content with what a test on one machine needs on top."""
    shipped = yaml.safe_load((ROOT / "deploy/overlays/ha/kcm.yaml").read_text())
    here = {
        # All pods share this machine's addresses and ports.
        "serving": {"address": "127.0.0.1", "port": 0},
        "controllers": {name: {"enabled": True} for name in CONTROLLERS},
    }
    # Slow enough that a fault finds work under way.
    here["controllers"]["replicaset"] |= {"qps": 60, "burst": 20}
    return merged(merged(shipped, here), more)


def overlay(folder, config):
    """Write a kustomization on top of the shipped one: an administrator's edits. Return its folder."""
    shutil.copytree(ROOT / "deploy", folder / "deploy", dirs_exist_ok=True)
    ours = folder / "deploy/overlays/test"
    ours.mkdir(exist_ok=True)
    (ours / "kcm.yaml").write_text(json.dumps(config))
    pod = "/spec/template/spec"
    placed = [
        {"op": "add", "path": f"{pod}/nodeSelector", "value": {ROLE: ""}},
        {"op": "add", "path": f"{pod}/tolerations", "value": [{"key": ROLE, "operator": "Exists"}]},
    ]
    whole = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": NAMESPACE,
        "resources": ["../ha", "odd.json"],
        "patches": [{"target": {"kind": "Deployment", "name": "kcm"}, "patch": json.dumps(placed)}],
        "configMapGenerator": [{"name": "kcm-config", "behavior": "replace", "files": ["kcm.yaml"]}],
    }
    (ours / "odd.json").write_text(json.dumps(odd_role()))
    (ours / "kustomization.yaml").write_text(json.dumps(whole))
    return ours


def odd_role():
    """Return the role of the test's own controllers, and who has it."""
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch", "patch"]}]
    head = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "kcm-odd"}}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "kcm-odd"}
    subject = {"kind": "ServiceAccount", "name": "kcm", "namespace": NAMESPACE}
    role = {**head, "kind": "ClusterRole", "rules": rules}
    binding = {**head, "kind": "ClusterRoleBinding", "roleRef": reference, "subjects": [subject]}
    return {"apiVersion": "v1", "kind": "List", "items": [role, binding]}


class Production:
    """A cluster with kcm on it. `close` leaves nothing behind."""

    def __init__(self, directory, kubectl, more):
        self.directory = directory
        self._binary = kubectl
        self._serial = itertools.count(1)
        self._stack = contextlib.ExitStack()
        self.config = configuration(more)
        for name, section in self.config["controllers"].items():
            if section.get("implementation", "").startswith("odd_controllers:"):
                (directory / name).mkdir()
                section["settings"] = {"directory": str(directory / name)}
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self):
        self.kubeconfig = self.directory / "kubeconfig"
        record = self.directory / "record.jsonl"
        record.touch()
        command = [sys.executable, str(HERE / "judging_cluster.py"), str(self.kubeconfig), str(record)]
        self.server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=sys.stderr)
        self._stack.callback(self.server.stdout.close)
        self._stack.callback(self.server.wait)
        self._stack.callback(self.server.kill)
        self.door = f"127.0.0.1:{int(self.server.stdout.readline().split()[1])}"
        self.record = Record(record)
        address = yaml.safe_load(self.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
        self.kubelet = Kubelet(self.directory / "pods", self.door, int(address.rpartition(":")[2]))
        self.kubelet.directory.mkdir()
        self.kubelet.join_nodes()
        self.kubelet.start()
        self._stack.callback(self.kubelet.close)
        self.overlay = overlay(self.directory, self.config)
        self.kubectl("apply", "-k", str(self.overlay))
        self._bootstrap()

    def _bootstrap(self):
        """Let an administrator's kcm make the first pods, and hand the work over to them."""
        first = Bootstrap(self.directory, self.kubeconfig, self.config)
        self._stack.callback(first.end)
        self.wait_settled(led_by_pod=False)
        assert first.stop() == 0, first.text()
        self.wait_settled()

    def close(self):
        """End every process that this has started."""
        self._stack.close()

    def at_the_end(self, act):
        """Do this when the cluster ends, before its server does."""
        self._stack.callback(act)

    def kubectl(self, *arguments, namespace=NAMESPACE):
        """Run kubectl as the administrator; return what it printed."""
        kept = {"PATH": os.environ["PATH"], "HOME": str(self.directory), "TZ": "UTC"}
        done = subprocess.run(
            [self._binary, f"--namespace={namespace}", f"--kubeconfig={self.kubeconfig}", *arguments],
            capture_output=True,
            text=True,
            timeout=100,
            env=kept,
            check=False,
        )
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def call(self, method, path, body=None, content_type="application/json"):
        """Send a request as somebody who may do everything, unseen by the record."""
        status, answer = call(self.door, method, path, body, content_type)
        assert status < 300, f"{method} {path}: {status} {answer}"
        return answer

    @contextlib.contextmanager
    def scaling(self, *targets):
        """Scale these, (name, path of the kind), up by one in turn; yield what they are to have."""
        driver = Scaling(self, targets)
        driver.start()
        try:
            yield driver.wanted
        finally:
            driver.stop.set()
            driver.join()
        assert driver.trouble is None, driver.trouble

    # The pods of kcm.

    def pods(self):
        """Return kcm's own pods that are not going away."""
        return [pod for pod in list(self.kubelet.pods.values()) if not pod.going and not pod.gone]

    def holder(self):
        """Return who holds the Lease, "" when nobody does."""
        status, lease = call(self.door, "GET", LEASE)
        return lease["spec"].get("holderIdentity") or "" if status == 200 else ""

    def leader(self):
        """Return the pod that holds the Lease, None when none does."""
        holder = self.holder()
        named = [pod for pod in self.pods() if pod.container and holder.startswith(f"{pod.name}_")]
        return next((pod for pod in named if pod.container.identity == holder), None)

    def pair(self):
        """Return the leading pod and the other one."""
        leader = wait_for(self.leader, "a pod leads")
        (other,) = (pod for pod in self.pods() if pod is not leader)
        return leader, other

    def rolled_out(self):
        """Say whether kcm's own Deployment is as it should be."""
        deployment = self.call("GET", DEPLOYMENT)
        wanted, status = deployment["spec"]["replicas"], deployment.get("status", {})
        counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
        present = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
        return present and counts == [wanted] * 3 and len(self.pods()) == wanted == len(self.kubelet.bound)

    def wait_settled(self, led_by_pod=True):
        """Return when all pods are ready, and one leads."""
        wait_for(lambda: self.rolled_out() and all(pod.ready for pod in self.pods()), "kcm is rolled out")
        if led_by_pod:
            wait_for(lambda: (pod := self.leader()) and pod.container.leads(), "a pod leads")

    # The work that kcm does.

    def name(self):
        """Return a name that no other test of this cluster uses."""
        return f"web-{next(self._serial)}-{uuid.uuid4().hex[:4]}"

    def apply_set(self, replicas):
        """Make a replica set in the namespace default; return its name."""
        name = self.name()
        self.call("POST", SETS, replica_set(name, replicas))
        return name

    def apply_deployment(self, replicas):
        """Make a Deployment in the namespace default; return its name."""
        name = self.name()
        whole = replica_set(name, replicas)
        self.call("POST", DEPLOYMENTS, {**whole, "kind": "Deployment"})
        return name

    def scale(self, name, replicas, plural=SETS):
        self.call("PATCH", f"{plural}/{name}", {"spec": {"replicas": replicas}}, MERGE)

    def count(self, name):
        """Return how many pods of that name count."""
        found = self.call("GET", f"{PODS}?labelSelector=app%3D{name}")["items"]
        return len([pod for pod in found if "deletionTimestamp" not in pod["metadata"]])

    def settled(self, name, replicas, plural=SETS):
        """Say whether it has what it wants, and says so."""
        status = self.call("GET", f"{plural}/{name}").get("status", {})
        # The pods are many: they are not asked for before the status says so.
        return status.get("readyReplicas", 0) == replicas and self.count(name) == replicas

    def wait_served(self, name, replicas, plural=SETS):
        wait_for(lambda: self.settled(name, replicas, plural), f"{replicas} pods of {name}")

    def remove(self, *names, plural=SETS):
        """Delete sets and wait until nothing is left of them."""
        for name in names:
            self.call("DELETE", f"{plural}/{name}")
        for name in names:
            selected = f"{PODS}?labelSelector=app%3D{name}"
            wait_for(lambda path=selected: not self.call("GET", path)["items"], f"{name} is gone")

    def order(self, controller, word):
        """Have one of the controllers of odd_controllers.py do something, the next time that it works."""
        (self.directory / controller / word).touch()
        name = {"generateName": "order-"}
        self.call("POST", MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": name})


class Scaling(threading.Thread):
    """Changes what is wanted again and again."""

    def __init__(self, production, targets):
        super().__init__(name="scaling")
        self.stop = threading.Event()
        self.trouble = None
        self.wanted = {
            (name, plural): production.call("GET", f"{plural}/{name}")["spec"]["replicas"]
            for name, plural in targets
        }
        self._production = production

    def run(self):
        try:
            for target in itertools.cycle(self.wanted):
                if self.stop.wait(BETWEEN_CHANGES):
                    return
                name, plural = target
                self._production.scale(name, self.wanted[target] + 1, plural)
                self.wanted[target] += 1
        except (OSError, AssertionError) as error:
            self.trouble = error


class Bootstrap(DaemonProcess):
    """An administrator's `kcm run` that takes part in the election of the pods."""

    def __init__(self, directory, kubeconfig, config):
        self.mark = uuid.uuid4().hex
        self._log = directory / "bootstrap.log"
        self._address = ""
        path = directory / "bootstrap.yaml"
        path.write_text(json.dumps(config))
        command = [sys.executable, "-m", "kcm", "run", f"--config={path}", f"--kubeconfig={kubeconfig}"]
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment(self.mark), start_new_session=True
            )


def now():
    """Return seconds since the machine was started, as the record has them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
