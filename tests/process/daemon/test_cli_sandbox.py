"""`kcm sandbox`: control plane and manager together, as a new user meets them."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
import uuid

import pytest
import yaml
from daemons import call, environment, eventually, marked, replica_set


class Together:
    """`kcm sandbox` in a session of its own, as a terminal would start it."""

    def __init__(self, directory):
        self.mark = uuid.uuid4().hex
        self.kubeconfig = directory / "kubeconfig"
        self._log = directory / "out"
        command = [
            sys.executable,
            "-m",
            "kcm",
            "sandbox",
            "--speed",
            "20",
            "--kubeconfig-out",
            self.kubeconfig,
        ]
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env=environment(self.mark),
                start_new_session=True,
                cwd=directory,
            )

    def text(self):
        return self._log.read_text()

    def manager(self):
        """Return the address of the manager's pages, as the banner names it."""
        found = eventually(
            lambda: re.search(r"manager http://([0-9.:]+)/statusz", self.text()), what=self.text()
        )
        return found.group(1)

    def works(self):
        try:
            return call(self.manager(), "GET", "/readyz")[0] == 200
        except ConnectionRefusedError:
            return False

    def end(self):
        for pid in marked(self.mark):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()


def browse(address):
    """Return the page that a browser is shown."""
    request = urllib.request.Request(f"http://{address}/", headers={"Accept": "text/html,*/*;q=0.8"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


@pytest.fixture
def together(tmp_path):
    """A sandbox with its manager at work."""
    sandbox = Together(tmp_path)
    try:
        eventually(sandbox.works, what=sandbox.text())
        yield sandbox
    finally:
        sandbox.end()


def test_ctrl_c_ends_it_with_exit_code_0_and_leaves_no_process(together):
    assert "export KUBECONFIG=" in together.text()
    server = yaml.safe_load(together.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    path = "/apis/apps/v1/namespaces/default/replicasets"
    assert call(server.removeprefix("http://"), "POST", path, replica_set("web", 2))[0] == 201
    eventually(lambda: "default/web-" in together.text(), what="it tells what happens")
    assert f"In a browser: http://{together.manager()}/\n" in together.text()
    eventually(
        lambda: "create 2 pods" in browse(together.manager()), 60.0, "the status page says what was done"
    )
    # A terminal's Ctrl-C goes to the whole foreground group.
    os.killpg(together.process.pid, signal.SIGINT)
    assert together.process.wait(timeout=20) == 0
    eventually(lambda: not marked(together.mark), what="no process left")
    assert "Traceback" not in together.text()


def test_killed_it_takes_everything_along(together):
    assert len(marked(together.mark)) >= 4
    together.process.kill()
    together.process.wait()
    eventually(lambda: not marked(together.mark), what="no process left")


def test_a_manager_that_dies_ends_it_with_an_exit_code(together):
    _, status = call(together.manager(), "GET", "/statusz?format=json")
    os.kill(status["build"]["pid"], signal.SIGKILL)
    assert together.process.wait(timeout=20) != 0
    assert "kcm sandbox: the manager ended" in together.text()
    eventually(lambda: not marked(together.mark), what="no process left")


def test_kubectl_has_its_way(together, kubectl_binary, tmp_path):
    def kubectl(*arguments, stdin=None):
        kept = {**environment(together.mark), "HOME": str(tmp_path), "KUBECONFIG": str(together.kubeconfig)}
        done = subprocess.run(
            [kubectl_binary, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env=kept,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def pods():
        return kubectl("get", "pods", "-l", "app=web", "-o", "name").split()

    def ready(number):
        wanted = f"jsonpath={{.status.readyReplicas}}={number}"
        kubectl("wait", "replicaset/web", f"--for={wanted}", "--timeout=30s")

    kubectl("apply", "-f", "-", stdin=yaml.safe_dump(replica_set("web", 3)))
    ready(3)
    lost = pods()[0]
    kubectl("delete", lost, "--now")
    eventually(lambda: len(pods()) == 3 and lost not in pods(), what="it is replaced")
    # Before the crowd: an object's events are limited, as everywhere in Kubernetes.
    kubectl("scale", "replicaset/web", "--replicas=2")
    eventually(lambda: len(pods()) == 2, what="two pods")
    kubectl("scale", "replicaset/web", "--replicas=200")
    ready(200)
    assert len(pods()) == 200
    kubectl("scale", "replicaset/web", "--replicas=0")
    eventually(lambda: not pods(), what="no pods")
    described = kubectl("describe", "replicaset/web")
    assert "SuccessfulCreate" in described
    assert "SuccessfulDelete" in described
    assert "0 current / 0 desired" in described
