"""What a host may use: which limits hold, how use is averaged, and what counts as too much."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from kcm.base.errors import ConfigurationError
from kcm.config.loader import parse
from kcm.config.schema import Configuration
from kcm.host.limits import HostLimits
from kcm.host.loading import TWICE, load
from kcm.host.messages import ControllerTask
from kcm.host.printed import LONGEST_LINE, Printed
from kcm.manager import installed
from kcm.manager.usage import MOST_PROCESSES, Spending, Usage, excess, kill_group, read_usage
from kcm.manager.warden import limits_of

HEAD = "apiVersion: kcm.dev/v1alpha1\nkind: ManagerConfiguration\n"
MIB = 1024 * 1024


def read(text: str) -> Configuration:
    return parse((HEAD + text).encode(), "f.yaml")


def test_nothing_is_limited_unless_somebody_says_so() -> None:
    assert limits_of(Configuration().hosts, "any") == HostLimits()


def test_a_process_s_own_limits_win_one_by_one_over_those_of_all_and_zero_lifts_one() -> None:
    hosts = read(
        "hosts:\n"
        "  limits: {memory: 512Mi, cpu: 2, cpuPeriod: 30s, openFiles: 1024, restarts: 5}\n"
        "  limitsOf:\n"
        "    mine: {memory: 128Mi, cpu: 0, processes: 3}\n"
    ).hosts
    assert limits_of(hosts, "other") == HostLimits(512 * MIB, 2.0, 30.0, 1024, 0, 5)
    assert limits_of(hosts, "mine") == HostLimits(128 * MIB, 0.0, 30.0, 1024, 3, 5)


@pytest.mark.parametrize(
    ("limits", "key", "reason"),
    [
        pytest.param("{memory: 1Mi}", "limits.memory", "less than 64Mi", id="too little memory"),
        pytest.param("{memory: lots}", "limits.memory", 'such as "512Mi"', id="no amount"),
        pytest.param("{openFiles: 3}", "limits.openFiles", "less than 32", id="too few files"),
        pytest.param("{cpu: -1}", "limits.cpu", "must be at least 0", id="negative"),
        pytest.param("{cpus: 1}", "limits.cpus", "did you mean cpu?", id="unknown"),
    ],
)
def test_limits_that_cannot_work_are_refused_by_their_place(limits: str, key: str, reason: str) -> None:
    for section, place in (
        (f"limits: {limits}", f"hosts.{key}"),
        (f"limitsOf: {{a: {limits}}}", "hosts.limitsOf.a."),
    ):
        with pytest.raises(ConfigurationError) as caught:
            read(f"hosts:\n  {section}\n")
        assert caught.value.key.startswith(place)
        assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("usage", "cores", "expected"),
    [
        pytest.param(Usage(100 * MIB, 1.0, 31, 2), 0.5, "", id="at each limit"),
        pytest.param(Usage(101 * MIB, 1.0, 1, 0), None, "memory: 101 MiB of 100 MiB", id="memory"),
        pytest.param(Usage(1, 1.0, 1, 0), 0.51, "cpu: 0.51 cores of 0.5 over 60 s", id="cpu"),
        pytest.param(Usage(1, 1.0, 32, 0), None, "openFiles: 32 of 32", id="all descriptors used"),
        pytest.param(Usage(1, 1.0, 1, 3), None, "processes: 3 of 2", id="processes"),
    ],
)
def test_the_first_limit_that_is_exceeded_is_named(usage: Usage, cores: float | None, expected: str) -> None:
    found = excess(usage, cores, HostLimits(100 * MIB, 0.5, 60.0, 32, 2))
    assert (f"{found.limit}: {found.text}" if found else "") == expected
    assert excess(usage, cores, HostLimits()) is None


def test_a_burst_is_no_excess_and_an_average_needs_a_whole_period() -> None:
    spending = Spending(10.0)
    assert [spending.cores(float(now), min(now, 3) * 1.0) for now in range(12)] == [
        *[None] * 10,
        pytest.approx(0.3),
        pytest.approx(0.2),
    ]


def test_time_that_goes_back_with_a_child_begins_the_average_anew() -> None:
    spending = Spending(1.0)
    assert spending.cores(0.0, 100.0) is None
    assert spending.cores(2.0, 1.0) is None
    assert spending.cores(3.0, 1.5) == pytest.approx(0.5)


def test_what_a_process_has_started_counts_and_ends_with_its_group() -> None:
    code = "import subprocess, sys; subprocess.Popen(['sleep', '60']); print(flush=True); sys.stdin.read()"
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    parent.stdout.readline()
    usage = read_usage(parent.pid)
    assert usage is not None
    assert usage.processes == 1
    assert usage.memory > 5 * MIB
    assert usage.open_files >= 3
    kill_group(parent.pid)
    assert parent.wait(10) == -signal.SIGKILL
    # The pipe ends when the last who holds it is gone.
    assert parent.stdout.read() == b""
    assert read_usage(parent.pid) is None
    parent.stdin.close()
    parent.stdout.close()


def test_a_group_of_another_session_is_nobody_s_to_kill() -> None:
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        kill_group(stranger.pid)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_group_that_ends_by_itself_while_it_is_looked_up_is_left_in_peace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = subprocess.Popen(["true"], process_group=0)
    gone.wait()
    # What was read a moment ago, when it was still there.
    monkeypatch.setattr("kcm.manager.usage._group_of", lambda pid: (gone.pid, os.getsid(0)))
    kill_group(gone.pid)


def test_a_fork_bomb_is_not_counted_to_its_end() -> None:
    usage = read_usage(os.getpid())
    assert usage is not None
    assert usage.processes <= MOST_PROCESSES


class Lines:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def info(self, message: str, /, **fields: object) -> None:
        assert message == "printed"
        self.texts.append(str(fields["text"]))


def test_what_is_printed_is_logged_line_by_line_and_bounded() -> None:
    log = Lines()
    stream = Printed("stdout", log)  # type: ignore[arg-type]  # all that it uses of a logger
    print("one", "two", file=stream)
    print("three", end="", file=stream)
    assert log.texts == ["one two"]
    print("\n\nfour", file=stream)
    stream.write("x" * (LONGEST_LINE + 1))
    assert log.texts == ["one two", "three", "four", "x" * LONGEST_LINE]


class Point:
    """An entry point."""

    def __init__(self, name: str, value: str) -> None:
        self.name, self.value = name, value


def test_two_packages_that_claim_one_name_are_both_named_and_neither_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    points = [Point("mine", "b:B"), Point("other", "c:C"), Point("mine", "a:A"), Point("other", "c:C")]
    monkeypatch.setattr(installed, "entry_points", lambda group: points if group == installed.GROUP else [])
    found = installed.installed_controllers()
    assert found == {"mine": f"a:A{TWICE}b:B", "other": "c:C"}
    with pytest.raises(ConfigurationError, match="two packages have a controller of this name, a:A and b:B"):
        load(ControllerTask("mine", found["mine"], 1, 0.0, 1, 1.0, 1.0))


def test_what_is_installed_under_a_name_that_no_controller_can_have_is_set_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    points = [Point("My_Controller", "a:A"), Point("mine", "b:B")]
    monkeypatch.setattr(installed, "entry_points", lambda group: points if group == installed.GROUP else [])
    assert installed.installed_controllers() == {"mine": "b:B"}
    assert installed.misnamed_controllers() == {"My_Controller": "a:A"}
