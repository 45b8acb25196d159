"""The target of the conformance checks: any cluster (`--kubeconfig F`), or a sandbox started for this run.

The checks know a server only by its answers. Each module has one namespace, made with generateName and
deleted at the end; what is cluster-wide is named by `unique` and deleted by its check. Capabilities
are found by looking: a check that needs nodes, simulated kubelets or an enforcing authorizer is marked
`needs("nodes")` … and skipped, with the reason, where the target has none.
"""

import contextlib
import itertools
import json
import os
import selectors
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# The checks share modules; there is no package here to import them from.
sys.path.insert(0, str(Path(__file__).parent))

from capabilities import REASONS, found_in, namespace
from shell import Kubectl
from target import PATIENCE, from_kubeconfig


def pytest_addoption(parser):
    with contextlib.suppress(ValueError):
        parser.addoption("--kubeconfig", help="check this cluster instead of a sandbox")


def pytest_configure(config):
    config.addinivalue_line("markers", "needs(*capabilities): what a check needs of its target")


@pytest.fixture(autouse=True)
def _needs(request):
    """Skip a check whose needs the target does not meet."""
    wanted = [name for marker in request.node.iter_markers("needs") for name in marker.args]
    missing = set(wanted) - request.getfixturevalue("capabilities") if wanted else set()
    if missing:
        pytest.skip("; ".join(REASONS[name] for name in sorted(missing)))


def given(request):
    """The kubeconfig of the cluster to check; None: a sandbox is started."""
    named = request.config.getoption("kubeconfig", default=None) or os.environ.get("CONFORMANCE_KUBECONFIG")
    return Path(named).resolve() if named else None


@pytest.fixture(scope="session")
def kubeconfig(request, tmp_path_factory):
    """The file that leads to the target."""
    with contextlib.ExitStack() as stack:
        yield given(request) or stack.enter_context(_sandbox(tmp_path_factory.mktemp("target")))


@pytest.fixture(scope="session")
def secure_kubeconfig(request, tmp_path_factory):
    """The file that leads to a target with TLS and an authorizer: the same, or a sandbox of its own."""
    with contextlib.ExitStack() as stack:
        folder = tmp_path_factory.mktemp("secure")
        yield given(request) or stack.enter_context(_sandbox(folder, "--secure"))


@contextlib.contextmanager
def _sandbox(folder, *flags):
    """A sandbox as a process of its own."""
    file = folder / "kubeconfig"
    command = [sys.executable, "-m", "kcm", "sandbox", "--no-manager", "--speed", "20"]
    process = subprocess.Popen(
        [*command, "--kubeconfig-out", str(file), *flags], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    try:
        _wait_for(process, b"ready")
        yield file
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)
        process.stdout.close()


def _wait_for(process, word):
    """Read the process's output until a line has the word."""
    seen = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while word not in seen:
            assert selector.select(PATIENCE), f"the sandbox did not become ready: {seen!r}"
            piece = os.read(process.stdout.fileno(), 65536)
            assert piece, f"the sandbox ended: {seen!r}"
            seen += piece


@pytest.fixture(scope="session")
def target(kubeconfig):
    """The server, as its administrator sees it."""
    target = from_kubeconfig(kubeconfig)
    yield target
    target.close()


@pytest.fixture(scope="session")
def capabilities(target):
    """What the target has, found by looking."""
    return found_in(target)


@pytest.fixture(scope="module")
def paths(target):
    """The paths of this module's own namespace."""
    with namespace(target) as paths:
        yield paths


@pytest.fixture
def other_paths(target):
    """The paths of a namespace for this check alone."""
    with namespace(target) as paths:
        yield paths


_serial = itertools.count(1)


@pytest.fixture
def name():
    """A name that no other check of this run uses."""
    return f"n{next(_serial)}"


@pytest.fixture
def unique(paths, name):
    """A name for something cluster-wide."""
    return f"{paths.namespace}-{name}"


@pytest.fixture(scope="session")
def kubectl_binary():
    """The path of kubectl; without it the check is skipped, but fails in CI."""
    found = shutil.which("kubectl")
    if found is None and os.environ.get("CI"):
        pytest.fail("kubectl is not on PATH; in CI these checks must run")
    if found is None:
        pytest.skip("kubectl is not on PATH")
    return found


@pytest.fixture(scope="session")
def kubectl_home(tmp_path_factory):
    """Where kubectl keeps what it learns of this target, and of no other: its cache goes by host and port."""
    return tmp_path_factory.mktemp("kubectl")


@pytest.fixture(scope="module")
def kubectl(kubectl_binary, kubectl_home, kubeconfig, paths):
    """kubectl in this module's namespace."""
    return Kubectl(kubectl_binary, kubeconfig, kubectl_home, paths.namespace)


@pytest.fixture
def made(target, paths, name):
    """Create an object of this check's name in the namespace: made("configmaps", body) → (path, answer)."""

    def make(resource, body=None, **meta):
        body = json.loads(json.dumps(body or {}))
        body["metadata"] = {**body.get("metadata", {}), "name": name, **meta}
        answer = target.post(paths.of(resource), body).ok(201)
        return paths.of(resource, answer.meta["name"]), answer

    return make
