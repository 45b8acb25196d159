"""kill -9 under load: what a sandbox with a data directory has acknowledged is there when it is back.

Recorders are threads that write and note what was answered; the server is killed at a moment that
chance picks. The seed is in the test's name, so that a failure can be had again.
"""

import contextlib
import http.client
import json
import random
import resource
import signal
import subprocess
import sys
import threading

import pytest

PROGRAM = """
import sys
from pathlib import Path
from kcm.sandbox.cluster import ClusterSettings
from kcm.sandbox.process import SandboxSettings, main
cluster = ClusterSettings(nodes=int(sys.argv[2]))
sys.exit(main(SandboxSettings(cluster=cluster, narrate=False, data_dir=Path(sys.argv[1]))))
"""
MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"


class Server:
    """One life of a sandbox on a data directory."""

    def __init__(self, directory, nodes=0, preexec=None):
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(directory), str(nodes)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=preexec,
        )
        line = self.process.stdout.readline()
        if " ready " not in line:
            raise AssertionError(self.end())
        self.port = int(line.split("http://127.0.0.1:")[1].split()[0])

    def end(self, number=None):
        """Send a signal (None: it ends by itself); return the exit code and what it said."""
        if number is not None:
            self.process.send_signal(number)
        _, said = self.process.communicate(timeout=20)
        return self.process.returncode, said

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def client(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def call(self, method, path, body=None):
        with contextlib.closing(self.client()) as client:
            return call(client, method, path, body)


def call(client, method, path, body=None):
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    encoded = None if body is None else json.dumps(body)
    client.request(method, path, encoded, {"Content-Type": kind})
    answer = client.getresponse()
    return answer.status, json.loads(answer.read())


class Recorder(threading.Thread):
    """Creates, changes and deletes objects of its own, and keeps what was acknowledged."""

    def __init__(self, server, name, seed):
        super().__init__(daemon=True)
        self.chance = random.Random(seed)
        self.client = server.client()
        self.prefix = name
        self.acknowledged = {}
        # What was asked for and not answered: it may be there or not.
        self.doubtful = {}
        self.newest = 0
        self.count = 0

    def run(self):
        try:
            while True:
                self.write()
        except (OSError, http.client.HTTPException):
            # The server is dead: what it answered is in `acknowledged`.
            return
        finally:
            self.client.close()

    def write(self):
        deed = self.chance.random()
        if deed < 0.5 or not self.acknowledged:
            self.count += 1
            name = f"{self.prefix}-{self.count}"
            self.ask("POST", MAPS, name, 0, {"metadata": {"name": name}, "data": {"n": "0"}})
        elif deed < 0.8:
            name = self.chance.choice(list(self.acknowledged))
            number = self.acknowledged[name] + 1
            self.ask("PATCH", f"{MAPS}/{name}", name, number, {"data": {"n": str(number)}})
        else:
            name = self.chance.choice(list(self.acknowledged))
            self.ask("DELETE", f"{MAPS}/{name}", name, None)

    def ask(self, method, path, name, result, body=None):
        self.doubtful = {name: result}
        status, answer = call(self.client, method, path, body)
        assert status < 300, answer
        self.doubtful = {}
        if result is None:
            del self.acknowledged[name]
            return
        self.acknowledged[name] = result
        self.newest = max(self.newest, int(answer["metadata"]["resourceVersion"]))


class Onlooker(threading.Thread):
    """Watches, and keeps the last state of every object that it was shown."""

    def __init__(self, server, version):
        super().__init__(daemon=True)
        self.client = server.client()
        self.version = version
        self.shown = {}
        self.newest = 0

    def run(self):
        try:
            self.client.request("GET", f"{MAPS}?watch=true&resourceVersion={self.version}")
            with self.client.getresponse() as answer:
                for line in answer:
                    self.note(json.loads(line))
        except (OSError, http.client.HTTPException, ValueError):
            return
        finally:
            self.client.close()

    def note(self, event):
        metadata = event["object"]["metadata"]
        self.newest = int(metadata["resourceVersion"])
        self.shown[metadata["name"]] = (event["type"], int(event["object"]["data"]["n"]))


def state_of(server):
    status, found = server.call("GET", MAPS)
    assert status == 200
    ours = {
        each["metadata"]["name"]: int(each["data"]["n"]) for each in found["items"] if "n" in each["data"]
    }
    return ours, int(found["metadata"]["resourceVersion"])


@pytest.mark.parametrize("seed", range(3))
def test_kill_9_loses_nothing_that_was_answered_or_shown(tmp_path, seed):
    chance = random.Random(seed)
    known, version = {}, 0
    for round_ in range(4):
        with Server(tmp_path / "data") as server:
            before, at = state_of(server)
            assert at >= version, "resourceVersions went back"
            assert before == known
            writers = [Recorder(server, f"r{round_}-{each}", f"{seed}/{round_}/{each}") for each in range(6)]
            onlooker = Onlooker(server, at)
            for each in (onlooker, *writers):
                each.start()
            threading.Event().wait(chance.uniform(0.02, 0.5))
            assert server.end(signal.SIGKILL)[0] == -signal.SIGKILL
            for each in (onlooker, *writers):
                each.join(20)
        with Server(tmp_path / "data") as server:
            known, version = state_of(server)
            seen = max([onlooker.newest, *(each.newest for each in writers)])
            assert version >= seen, "a version that was shown may come again"
            check(before, known, writers, onlooker)
            assert server.end(signal.SIGTERM)[0] == 0


def check(before, after, writers, onlooker):
    doubtful = {name: result for each in writers for name, result in each.doubtful.items()}
    expected = dict(before)
    for each in writers:
        expected.update(each.acknowledged)
    for name in {*expected, *after} - doubtful.keys():
        assert after.get(name) == expected.get(name), name
    for name, result in doubtful.items():
        assert after.get(name) in (expected.get(name), result), name
    for name, (kind, number) in onlooker.shown.items():
        if kind == "DELETED":
            assert name not in after, f"{name} was shown to be gone, and is back"
        elif name in after:
            assert after[name] >= number, f"{name} was shown at {number}"
        else:
            deleted = name in doubtful or not any(name in each.acknowledged for each in writers)
            assert deleted, f"{name} was shown and is not there"


def test_what_was_kept_is_what_was_there(tmp_path):
    with Server(tmp_path, nodes=2) as server:
        pod = {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "c", "image": "web:1"}]}}
        server.call("POST", PODS, pod)
        server.call("POST", "/api/v1/namespaces", {"metadata": {"name": "team"}})
        before = server.call("GET", "/api/v1/namespaces/team")[1]
        made = server.call("GET", f"{PODS}/web")[1]
        assert server.end(signal.SIGTERM)[0] == 0
    with Server(tmp_path, nodes=2) as server:
        assert server.call("GET", "/api/v1/namespaces/team")[1] == before
        assert server.call("GET", "/api/v1/namespaces/team/serviceaccounts/default")[0] == 200
        after = server.call("GET", f"{PODS}/web")[1]
        assert after["metadata"]["uid"] == made["metadata"]["uid"]
        names = [each["metadata"]["name"] for each in server.call("GET", "/api/v1/nodes")[1]["items"]]
        assert names == ["sandbox-node-1", "sandbox-node-2"]


def test_an_old_watch_is_told_to_list_again(tmp_path):
    with Server(tmp_path) as server:
        version = state_of(server)[1]
        server.call("POST", MAPS, {"metadata": {"name": "a"}, "data": {"n": "1"}})
        server.end(signal.SIGKILL)
    with Server(tmp_path) as server:
        client = server.client()
        client.request("GET", f"{MAPS}?watch=true&resourceVersion={version}&timeoutSeconds=5")
        with client.getresponse() as answer:
            event = json.loads(answer.readline())
        assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
        client.close()


def test_work_that_was_under_way_goes_on(tmp_path):
    with Server(tmp_path) as server:
        owner = {"metadata": {"name": "owner", "finalizers": ["example.com/hold"]}, "data": {"n": "1"}}
        uid = server.call("POST", MAPS, owner)[1]["metadata"]["uid"]
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
        owned = {"metadata": {"name": "owned", "ownerReferences": [reference]}, "data": {"n": "1"}}
        server.call("POST", MAPS, owned)
        server.call("DELETE", f"{MAPS}/owner")
        server.end(signal.SIGKILL)
    with Server(tmp_path) as server:
        assert server.call("GET", f"{MAPS}/owned")[0] == 200
        server.call("PATCH", f"{MAPS}/owner", {"metadata": {"finalizers": None}})
        for _ in range(200):
            if server.call("GET", f"{MAPS}/owned")[0] == 404:
                return
        raise AssertionError("the dependent of an owner that is gone was not collected")


def test_a_second_sandbox_on_the_same_directory_is_refused_in_one_line(tmp_path):
    with Server(tmp_path) as server:
        done = start_to_fail(tmp_path)
        assert done.returncode == 2
        assert done.stderr == (
            f"kcm sandbox: --data-dir: {tmp_path}: another sandbox (process {server.process.pid}) "
            "is using it; stop that one or name another directory\n"
        )


def test_a_full_disk_ends_it_with_one_line_and_loses_nothing(tmp_path):
    def little_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))

    kept = {}
    with Server(tmp_path, preexec=little_room) as server:
        client = server.client()
        with pytest.raises((OSError, http.client.HTTPException)):
            fill(client, kept)
        client.close()
        code, said = server.end()
        assert code == 1
        assert said.startswith(f"kcm sandbox: failed: {tmp_path}/state.db: cannot be written: ")
        assert said.count("\n") == 1
    assert len(kept) > 5
    with Server(tmp_path) as server:
        found = state_of(server)[0]
        assert found.items() >= kept.items()
        assert len(found) <= len(kept) + 1


def fill(client, kept):
    for number in range(1000):
        name = f"big-{number}"
        body = {"metadata": {"name": name}, "data": {"n": str(number), "x": "x" * 20_000}}
        assert call(client, "POST", MAPS, body)[0] == 201
        kept[name] = number


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"what a person wrote\n" * 100, "is damaged: file is not a database", id="text"),
        pytest.param(b"SQLite format 3\x00" + b"\xff" * 4096, "is damaged", id="broken"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_one_line_and_left_alone(tmp_path, content, reason):
    file = tmp_path / "state.db"
    file.write_bytes(content)
    done = start_to_fail(tmp_path)
    assert done.returncode == 2
    assert f"--data-dir: {tmp_path}: state.db {reason}" in done.stderr
    assert done.stderr.count("\n") == 1
    assert file.read_bytes() == content


def start_to_fail(directory):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(directory), "0"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_a_disk_that_is_full_from_the_start_is_said_in_one_line(tmp_path):
    def no_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    with pytest.raises(AssertionError) as told:
        Server(tmp_path, preexec=no_room)
    code, said = told.value.args[0]
    assert code in (1, 2)
    assert str(tmp_path) in said
    assert said.count("\n") == 1
    with Server(tmp_path) as server:
        assert state_of(server)[0] == {}


def test_the_command_line_says_what_is_kept_and_who_has_it(tmp_path):
    data, where = tmp_path / "data", str(tmp_path / "kubeconfig")
    command = [sys.executable, "-m", "kcm", "sandbox", "--no-manager", "--kubeconfig-out", where]
    command += ["--data-dir", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            process.stdout.readline()
            assert f"everything is kept in {data}" in process.stdout.readline()
            done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        finally:
            process.kill()
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"kcm: --data-dir: {data}: another sandbox (process {process.pid}) is using"
    )
    assert done.stderr.count("\n") == 1
