"""What kcm says, and how it ends, when it is started with something that cannot work."""

import json
import os
import resource
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from daemons import HERE, eventually, marked

ROOT = HERE.parents[2]
ABSENT = "http://127.0.0.1:9"
CLUSTER = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "there",
    "contexts": [{"name": "there", "context": {"cluster": "c", "user": "u"}}],
    "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
    "users": [{"name": "u", "user": {}}],
}
# Interpreters, imports and a file: about 0.3 s here.
MOST_CPU_SECONDS = 2.0
EXEC = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": sys.executable}}


def cpu_of_children():
    """Return the CPU seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture
def kcm(tmp_path):
    """Run kcm to its end; return code and what it said, and see that it cost little and left nothing."""

    def run(*arguments, **variables):
        mark = uuid.uuid4().hex
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KUBE")}
        environment = {**kept, "PYTHONPATH": f"{HERE}", "KCM_TEST_MARK": mark, **variables}
        before = cpu_of_children()
        done = subprocess.run(
            [sys.executable, "-m", "kcm", *map(str, arguments)],
            capture_output=True,
            text=True,
            env=environment,
            cwd=tmp_path,
            timeout=60,
            check=False,
        )
        # CPU, not time: a busy machine may let it wait.
        assert cpu_of_children() - before < MOST_CPU_SECONDS, done.stderr
        eventually(lambda: not marked(mark), what="every process gone")
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def refused(kcm):
    """Run kcm, which must refuse; return the one line that it says, without log records."""

    def run(*arguments, **variables):
        code, _, said = kcm(*arguments, **variables)
        lines = [line for line in said.splitlines() if not line.startswith("{")]
        assert (code, len(lines)) == (2, 1), said
        assert "Traceback" not in said, said
        return lines[0]

    return run


@pytest.fixture
def write(tmp_path):
    """Write a file; a mapping becomes a configuration."""

    def write(content, name="kcm.yaml"):
        head = {"apiVersion": "kcm.dev/v1alpha1", "kind": "ManagerConfiguration"}
        target = tmp_path / name
        text = content if isinstance(content, str) else json.dumps({**head, **content}, indent=1)
        target.write_text(text)
        return target

    return write


@pytest.mark.parametrize(
    ("content", "key", "reason"),
    [
        pytest.param(
            {"leaderElections": {}}, "leaderElections", "did you mean leaderElection?", id="unknown"
        ),
        pytest.param(
            {"controllers": {"replicaset": {"workers": "five"}}},
            "controllers.replicaset.workers",
            "expected a whole number",
            id="mistyped",
        ),
        pytest.param(
            {"leaderElection": {"renewDeadline": "12s"}},
            "leaderElection.leaseDuration",
            "is 15s but must be longer than 16s",
            id="fence",
        ),
        pytest.param(
            {"controllers": {"replicasets": {}}},
            "controllers.replicasets",
            "did you mean replicaset?",
            id="no such controller",
        ),
        pytest.param(
            {"hosts": {"limitsOf": {"replicasets": {"memory": "1Gi"}}}},
            "hosts.limitsOf.replicasets",
            "did you mean replicaset?",
            id="no such host",
        ),
        pytest.param(
            {"controllers": {"mine": {"implementation": "mine.py"}}},
            "controllers.mine.implementation",
            'expected "module:Class"',
            id="implementation",
        ),
    ],
)
def test_a_configuration_that_cannot_work_is_refused_with_file_key_and_reason(
    refused, write, content, key, reason
):
    file = write(content)
    for command in (("run", "--master", ABSENT, "--config", file), ("check-config", file)):
        said = refused(*command)
        assert said.startswith(f"kcm: {file}:")
        assert f" {key}: " in said
        assert reason in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(("--port", "web"), "kcm run: --port: invalid int value: 'web'", id="no number"),
        pytest.param(("--port", "70000"), "kcm: --port: must be between 0 and 65535", id="no port"),
        pytest.param(
            ("--controllers", "*,nope"), "kcm: --controllers: there is no controller 'nope'", id="name"
        ),
        pytest.param(("--master", "server"), "kcm: --master: 'server' is no http", id="no URL"),
        pytest.param(("--prot", "1"), "kcm: unrecognized arguments: --prot ", id="no flag"),
        pytest.param(("--config", "gone.yaml"), "kcm: gone.yaml: cannot be read: No such file", id="no file"),
        pytest.param(("--log-level", "loud"), "kcm run: --log-level: invalid choice: 'loud'", id="level"),
    ],
)
def test_a_flag_that_cannot_work_is_refused_by_name(refused, arguments, says):
    assert refused("run", "--master", ABSENT, *arguments).startswith(says)


@pytest.mark.parametrize(
    ("content", "key", "reason"),
    [
        pytest.param({"current-context": ""}, "current-context: ", "not set", id="no context"),
        pytest.param({"current-context": "here"}, "contexts: ", "no context 'here'", id="no such context"),
        pytest.param(
            {"users": [{"name": "u", "user": EXEC}]},
            "exec.command: ",
            "add it to client.execPlugins",
            id="exec",
        ),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_refused_with_key_and_reason(
    refused, write, content, key, reason
):
    file = write(json.dumps({**CLUSTER, **content}), "kubeconfig")
    said = refused("run", "--port", "0", "--kubeconfig", file)
    assert said.startswith(f"kcm: {file}: {key}")
    assert reason in said


def test_a_kubeconfig_that_cannot_be_read_is_named(refused, write, tmp_path):
    assert refused("run", "--kubeconfig", tmp_path / "gone").startswith(
        f"kcm: {tmp_path}/gone: cannot be read"
    )
    torn = write("{", "torn")
    assert refused("run", "--kubeconfig", torn).startswith(f"kcm: {torn}: ")
    assert "torn" in refused("run", KUBECONFIG=str(torn))


def test_outside_a_cluster_somebody_has_to_say_where_the_server_is(refused):
    assert "give --kubeconfig or --master" in refused("run", "--port", "0")


def test_a_port_that_is_taken_is_refused_naming_where_it_was_given(refused, write):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refused("run", "--master", ABSENT, "--port", port)
        assert said.startswith(f"kcm: --port: cannot listen on 127.0.0.1:{port}: ")
        file = write({"serving": {"port": port}})
        assert refused("run", "--master", ABSENT, "--config", file).startswith(f"kcm: {file}: serving.port: ")


@pytest.mark.parametrize(
    ("section", "says"),
    [
        pytest.param(
            {"implementation": "odd_controllers:Odd", "settings": {"dir": "/tmp"}},
            "controllers.mine.settings.dir: is unknown; known: directory",
            id="unknown setting",
        ),
        pytest.param(
            {"implementation": "odd_controllers:Quiet", "settings": {"x": 1}},
            "controllers.mine.settings: this controller has no settings",
            id="no settings",
        ),
        pytest.param(
            {"implementation": "odd_controllers:Settings"},
            "controllers.mine: odd_controllers:Settings is not a kcm.Controller",
            id="no controller",
        ),
        pytest.param(
            {"implementation": "not_there:Mine"},
            "controllers.mine: cannot import not_there:Mine",
            id="no module",
        ),
    ],
)
def test_a_controller_that_refuses_its_section_stops_the_start(refused, write, section, says):
    file = write({"controllers": {"mine": section}, "serving": {"port": 0}})
    # Two more processes have to start before it can say so: on a busy machine that takes its time.
    said = refused("run", "--master", ABSENT, "--config", file, "--controllers", "mine")
    assert said.startswith(f"kcm: {file}: {says}")


def test_a_good_configuration_the_version_and_the_help_are_said(kcm, write):
    shipped = Path(ROOT, "config", "kcm.yaml")
    assert kcm("check-config", shipped) == (0, f"{shipped}: ok\n", "")
    code, said, _ = kcm("version")
    assert code == 0
    assert said.startswith("kcm 0.")
    code, said, _ = kcm("run", "--help")
    assert code == 0
    assert {"--config", "--kubeconfig", "--controllers", "--port"} <= set(said.replace("[", " ").split())
    code, _, said = kcm()
    assert code == 2
    assert said.count("\n") == 1
