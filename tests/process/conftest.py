"""A sandbox as a real process, and the real kubectl on it."""

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

PATIENCE = 30.0
PROGRAM = """
import sys
from pathlib import Path
from kcm.sandbox.cluster import ClusterSettings, Pace
from kcm.sandbox.process import SandboxSettings, main
out, nodes, speed, port, secure = sys.argv[1:]
cluster = ClusterSettings(nodes=int(nodes), pace=Pace(speed=float(speed)))
settings = SandboxSettings(
    port=int(port), cluster=cluster, kubeconfig_out=Path(out) if out else None, secure=secure == "True"
)
sys.exit(main(settings))
"""


class Lines:
    """Lines of a process's output, read with a deadline."""

    def __init__(self, process):
        self.process = process
        self.seen = []
        self._rest = b""

    def until(self, *words, patience=PATIENCE):
        """Read until a line has all the words; return it."""
        for line in self.seen:
            if all(word in line for word in words):
                return line
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while True:
                assert selector.select(patience), f"{words} did not come: {self.seen}"
                piece = os.read(self.process.stdout.fileno(), 65536)
                assert piece, f"output ended before {words}: {self.seen}"
                *whole, self._rest = (self._rest + piece).split(b"\n")
                fresh = [line.decode() for line in whole]
                self.seen += fresh
                for line in fresh:
                    if all(word in line for word in words):
                        return line


@dataclass
class SandboxProcess:
    """A running sandbox."""

    process: subprocess.Popen
    lines: Lines
    kubeconfig: Path

    def stop(self, number=signal.SIGTERM):
        """Send the signal; return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=10)


@contextlib.contextmanager
def sandbox_process(kubeconfig, nodes=2, speed=5.0, port=0, secure=False):
    """Start a sandbox process, wait until it is ready, and leave none behind."""
    command = [sys.executable, "-c", PROGRAM, str(kubeconfig), str(nodes), str(speed), str(port), str(secure)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=sys.stderr)
    try:
        lines = Lines(process)
        lines.until("sandbox ready")
        yield SandboxProcess(process, lines, kubeconfig)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class Kubectl:
    """The real kubectl, in one namespace, with nobody's settings but ours."""

    def __init__(self, binary, kubeconfig, home, namespace="default"):
        self._binary, self._kubeconfig, self._home = binary, kubeconfig, home
        self.namespace = namespace

    def within(self, namespace):
        return Kubectl(self._binary, self._kubeconfig, self._home, namespace)

    def __call__(self, *arguments, stdin="", fails=False):
        """Run to the end; return what it printed (on stderr too when it is meant to fail)."""
        done = subprocess.run(
            self._command(arguments),
            input=stdin if isinstance(stdin, str) else json.dumps(stdin),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=self._environment(),
            check=False,
        )
        said = f"kubectl {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert (done.returncode != 0) == fails, said
        return done.stdout + (done.stderr if fails else "")

    def json(self, *arguments):
        return json.loads(self(*arguments, "-o", "json"))

    def apply(self, *objects, **more):
        return self("apply", "-f", "-", stdin="\n".join(map(json.dumps, objects)), **more)

    @contextlib.contextmanager
    def running(self, *arguments):
        """Start, and yield the lines it prints."""
        process = subprocess.Popen(
            self._command(arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environment(),
        )
        try:
            yield Lines(process)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def _command(self, arguments):
        return [self._binary, f"--namespace={self.namespace}", *arguments]

    def _environment(self):
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._home),
            "KUBECONFIG": str(self._kubeconfig),
            "KUBECACHEDIR": str(self._home / "cache"),
            "TZ": "UTC",
        }


@pytest.fixture(scope="session")
def kubectl_binary():
    """The path of kubectl; without it the test is skipped, but fails in CI."""
    found = shutil.which("kubectl")
    if found is None and os.environ.get("CI"):
        pytest.fail("kubectl is not on PATH; in CI these tests must run")
    if found is None:
        pytest.skip("kubectl is not on PATH")
    return found


@pytest.fixture(scope="session")
def shared_sandbox(tmp_path_factory):
    """A sandbox that all tests of this run share, each in a namespace of its own."""
    with sandbox_process(tmp_path_factory.mktemp("sandbox") / "kubeconfig") as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def shared_kubectl(kubectl_binary, shared_sandbox, tmp_path_factory):
    """kubectl on the shared sandbox."""
    return Kubectl(kubectl_binary, shared_sandbox.kubeconfig, tmp_path_factory.mktemp("kubectl"))


@pytest.fixture
def kubectl(shared_kubectl, request):
    """kubectl in a fresh namespace."""
    serial = request.node.name.replace("_", "-")[:50].rstrip("-").lower()
    namespace = "".join(letter if letter.isalnum() or letter == "-" else "-" for letter in serial).strip("-")
    shared_kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    return shared_kubectl.within(namespace)


@pytest.fixture
def kubectl_on(kubectl_binary, tmp_path):
    """Make a kubectl on another sandbox."""
    return lambda kubeconfig: Kubectl(kubectl_binary, kubeconfig, tmp_path)


@pytest.fixture
def start_sandbox(tmp_path):
    """Start sandbox processes that end with the test."""
    with contextlib.ExitStack() as stack:

        def start(**options):
            target = options.pop("kubeconfig", tmp_path / "kubeconfig")
            return stack.enter_context(sandbox_process(target, **options))

        yield start
