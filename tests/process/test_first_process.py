"""kcm as process 1: signals reach it, orphans are reaped, it ends as its child ends."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

NAMESPACE = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child"]
# As process 1 of a namespace where that is allowed, else as the one who adopts orphans.
BEGIN = """
import ctypes, os, signal, subprocess, sys, time
from pathlib import Path
from kcm.cli.init import serve_as_init
ctypes.CDLL(None).prctl(36, 1)
before = os.getpid()
serve_as_init()
assert os.getppid() == before
"""


def allowed():
    with contextlib.suppress(OSError):
        return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0
    return False


@pytest.fixture(scope="module")
def first():
    return NAMESPACE if allowed() else []


def play(first, program):
    """Run what follows BEGIN; return exit code and output."""
    command = [*first, sys.executable, "-c", BEGIN + program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def test_it_ends_as_its_child_ends(first):
    assert play(first, "sys.exit(7)") == (7, "")


def test_a_child_that_was_killed_is_told_as_a_shell_would(first):
    assert play(first, "os.kill(os.getpid(), signal.SIGKILL)")[0] == 128 + signal.SIGKILL


def test_orphans_are_reaped(first):
    program = """
def adopted():
    states = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == before and int(entry.name) != os.getpid():
                states.append(fields[0])
    return states
for _ in range(20):
    subprocess.run(["sh", "-c", "sleep 0.2 & sleep 0.2 &"], check=True)
assert len(adopted()) > 10
end = time.monotonic() + 20
while adopted():
    assert time.monotonic() < end, adopted()
    time.sleep(0.02)
"""
    assert play(first, program) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_is_passed_on(first, number):
    program = f"""
def heard(number, frame):
    print("heard", number, flush=True)
    sys.exit(3)
signal.signal({int(number)}, heard)
os.kill(before, {int(number)})
time.sleep(30)
"""
    assert play(first, program) == (3, f"heard {int(number)}\n")


def test_a_signal_before_anything_is_set_up_ends_it(first):
    assert play(first, "os.kill(before, signal.SIGTERM)\ntime.sleep(30)")[0] == 128 + signal.SIGTERM


def test_the_command_is_its_own_init_only_as_process_one(tmp_path):
    if not allowed():
        pytest.skip("this machine does not let us make namespaces")
    command = [sys.executable, "-m", "kcm", "sandbox", "--kubeconfig-out", str(tmp_path / "kubeconfig")]
    with subprocess.Popen(
        [*NAMESPACE, *command, "--no-manager"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            told = b""
            while b"KUBECONFIG" not in told:
                line = process.stdout.readline()
                assert line, told.decode()
                told += line
            (one,) = children(process.pid)
            (two,) = children(one)
            assert children(two) == []
            os.kill(one, signal.SIGTERM)
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()


def children(pid):
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
