"""What a controller's mistakes cost the others: nothing. Counted while they happen.

Beside the controller that misbehaves there is one that answers questions, in a host of its own. While
the fault lasts it is asked again and again: each question is answered once, its process is the same as
before, nothing is listed again, and the Lease is renewed in time, by the same holder.
"""

import copy
import itertools
import json
import os
import statistics
import time

import pytest
from daemons import LEASE, QUICK, call, eventually

MAPS = "/api/v1/namespaces/default/configmaps"
RENEW_DEADLINE = 10.0
QUESTIONS = 10


class Neighbourhood:
    """A daemon with an odd controller, `echo` and the replica set controller."""

    def __init__(self, server, daemon, orders):
        self.server, self.daemon, self.orders = server, daemon, orders
        self.numbers = itertools.count(1)
        self.asked = 0
        body = {"metadata": {"name": "beacon", "labels": {"beacon": ""}}, "data": {"asked": "0"}}
        server.call("POST", MAPS, body)
        eventually(lambda: self._answer() == "0", what="echo answers")

    def order(self, word):
        (self.orders / word).touch()
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "order-"}}
        self.server.call("POST", MAPS, body)

    def ask(self):
        """Ask once; return for how long the answer took, in seconds."""
        self.asked += 1
        question = str(next(self.numbers))
        begun = time.monotonic()
        merge = "application/merge-patch+json"
        self.server.call("PATCH", f"{MAPS}/beacon", {"data": {"asked": question}}, merge)
        eventually(lambda: self._answer() == question, what=f"question {question} is answered")
        return time.monotonic() - begun

    def ask_until(self, holds, within=60.0):
        """Ask at least so many times, and on until something holds; return what the answers took."""
        end = time.monotonic() + within
        took = [self.ask() for _ in range(QUESTIONS)]
        while not holds():
            assert time.monotonic() < end, self.daemon.text()[-3000:]
            took.append(self.ask())
        return took

    def others(self):
        """Return what must not change: the processes of the others, who leads, what was fetched."""
        hosts = self.daemon.status()["hosts"]
        lives = {host["name"]: (host["pid"], host["epoch"]) for host in hosts if host["name"] != "odd"}
        lease = call(self.server.address, "GET", LEASE)[1]["spec"]
        fetched = [self.server.fetches(name) for name in ("/configmaps", "/replicasets", "/pods")]
        return lives, lease["holderIdentity"], lease.get("leaseTransitions", 0), fetched

    def longest_without_renewal(self):
        """Return the longest time between two renewals of the Lease, in seconds."""
        renewed = [line["at"] for line in self.server.requests() if "/leases/" in line["path"]]
        return max(later - earlier for earlier, later in itertools.pairwise(renewed))

    def answers(self):
        """Return how many times `echo` has written."""
        return len([line for line in self.server.writes("/echo") if line["path"].endswith("/beacon")])

    def _answer(self):
        return self.server.call("GET", f"{MAPS}/beacon")["metadata"].get("annotations", {}).get("answer")


@pytest.fixture
def neighbourhood(server, start_daemon, tmp_path):
    """Make a neighbourhood: neighbourhood(implementation, limits of the odd host, more of its section).

    `deadlines` replace those of all hosts.
    """

    def make(implementation="odd_controllers:Odd", limits=None, settled=True, deadlines=None, **section):
        orders = tmp_path / "orders"
        orders.mkdir()
        whole = copy.deepcopy(QUICK)
        whole["hosts"] |= {"startTimeout": "60s", "limitsOf": {"odd": limits or {}}, **(deadlines or {})}
        odd = {"implementation": implementation, **section}
        if settled:
            odd["settings"] = {"directory": str(orders)}
        whole["controllers"] = {"odd": odd, "echo": {"implementation": "odd_controllers:Echo"}}
        daemon = start_daemon(server.url, config=whole)
        others = ("echo", "replicaset")
        eventually(lambda: all(daemon.host(name)["state"] == "leading" for name in others), what="leading")
        if settled:
            eventually(daemon.leads, what="the odd one leads too")
        return Neighbourhood(server, daemon, orders)

    return make


def undisturbed(place, disturb, holds):
    """Disturb, and see that nobody else has noticed when it is over."""
    calm = [place.ask() for _ in range(QUESTIONS)]
    before = place.others()
    disturb()
    busy = place.ask_until(holds)
    assert place.others() == before
    assert place.longest_without_renewal() < RENEW_DEADLINE
    # The first question is that of the beacon's making.
    assert place.answers() == place.asked + 1
    print(
        f"answers: median {statistics.median(calm) * 1000:.0f} ms before, "
        f"{statistics.median(busy) * 1000:.0f} ms meanwhile, {max(busy) * 1000:.0f} ms at most, "
        f"{len(busy)} in all; {place.longest_without_renewal() * 1000:.0f} ms between renewals at most"
    )


@pytest.mark.parametrize(
    ("word", "limits", "reason"),
    [
        pytest.param("block", {}, "killed: silent", id="blocks its loop"),
        pytest.param("exit", {}, "exit code 3", id="exits"),
        pytest.param("segfault", {}, "signal SIGSEGV", id="crashes in C"),
        pytest.param("rubbish", {}, "killed: sent what makes no sense", id="talks rubbish"),
        pytest.param("leak", {"memory": "200Mi"}, "hosts.limits.memory: ", id="leaks memory"),
        pytest.param("spin", {"cpu": 0.2, "cpuPeriod": "2s"}, "hosts.limits.cpu: ", id="burns CPU"),
        pytest.param("files", {"openFiles": 64}, "hosts.limits.openFiles: ", id="leaks descriptors"),
        pytest.param("bomb", {"processes": 5}, "hosts.limits.processes: ", id="starts processes"),
    ],
)
def test_a_host_that_goes_down_takes_nobody_along(neighbourhood, word, limits, reason):
    place = neighbourhood(limits=limits, deadlines={"hangDeadline": "3s"} if word == "block" else None)
    daemon = place.daemon
    processes = len(daemon.left())

    def is_back():
        odd = daemon.host("odd")
        return odd["epoch"] >= 2 and odd["state"] == "leading" and reason in odd["reason"]

    undisturbed(place, lambda: place.order(word), is_back)
    assert daemon.host("odd")["restarts"] == 1
    if word == "segfault":
        last_words = [record.get("text", "") for record in daemon.records("printed")]
        assert any("Segmentation fault" in text for text in last_words)
        assert any("in obey" in text for text in last_words)
    eventually(lambda: len(daemon.left()) == processes, what="what it had started is gone")
    if limits:
        (limit,) = [name for name in limits if name != "cpuPeriod"]
        assert daemon.metric("kcm_host_limit_exceeded_total", host="odd", limit=limit) == 1
        assert limit in daemon.host("odd")["limits"]
    assert daemon.stop() == 0


def test_a_copy_of_a_host_that_a_controller_forks_ends_by_itself(neighbourhood):
    place = neighbourhood()
    daemon = place.daemon
    before = daemon.host("odd")["pid"], sorted(daemon.left())
    undisturbed(place, lambda: place.order("fork"), lambda: not os.listdir(place.orders))
    eventually(lambda: sorted(daemon.left()) == before[1], what="the copy is gone")
    assert daemon.host("odd")["pid"] == before[0]
    assert daemon.stop() == 0


def test_what_a_controller_prints_is_logged_and_breaks_no_record(neighbourhood):
    place = neighbourhood()

    def printed():
        return [record.get("text", "") for record in place.daemon.records("printed")]

    undisturbed(
        place, lambda: place.order("print"), lambda: any("from a child" in text for text in printed())
    )
    for text in ("{not a record", "two", "{past", "x" * 1000):
        assert any(text in line for line in printed()), text
    for line in place.daemon.text().splitlines():
        json.loads(line)
    assert place.daemon.host("odd")["epoch"] == 1


def test_sys_exit_in_a_reconcile_is_one_key_s_failure(neighbourhood):
    place = neighbourhood()
    raised = lambda: place.daemon.records("reconcile raised")  # noqa: E731 - asked twice
    undisturbed(place, lambda: place.order("sys-exit"), raised)
    assert "SystemExit(5)" in raised()[0]["error"]
    assert place.daemon.host("odd")["epoch"] == 1


def test_one_allocation_far_beyond_the_limit_of_memory_fails_alone(neighbourhood):
    place = neighbourhood(limits={"memory": "200Mi"})
    raised = lambda: place.daemon.records("reconcile raised")  # noqa: E731 - asked twice
    undisturbed(place, lambda: place.order("huge"), raised)
    assert raised()[0]["error"] == "MemoryError()"
    assert place.daemon.host("odd")["epoch"] == 1


def test_settings_that_do_not_fit_are_reported_and_the_others_go_on(neighbourhood):
    place = neighbourhood(settled=False, settings={"directori": "/tmp"})
    eventually(lambda: place.daemon.host("odd")["state"] == "refused", what="refused")
    for _ in range(QUESTIONS):
        place.ask()
    (record,) = place.daemon.records("host refuses its configuration")
    assert record["where"] == "controllers.odd.settings.directori"
    assert record["reason"] == "is unknown; did you mean directory?"
    assert place.daemon.stop() == 0


def test_a_reconcile_that_hangs_is_cut_off_and_holds_only_its_key(neighbourhood):
    place = neighbourhood("odd_controllers:Hanging", reconcileTimeout="1s")
    cut_off = lambda: place.daemon.records("reconcile timed out")  # noqa: E731 - asked twice
    undisturbed(place, lambda: place.order("hang"), cut_off)
    assert place.daemon.host("odd")["epoch"] == 1


@pytest.mark.parametrize(
    ("implementation", "says"),
    [
        pytest.param("odd_imports:Mine", "cannot import odd_imports:Mine: SystemExit", id="exits"),
        pytest.param("not_there:Mine", "on PYTHONPATH", id="is not there"),
        pytest.param("odd_controllers:Nobody", "the module has no such class", id="has no such class"),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_reported_and_the_others_go_on(
    neighbourhood, implementation, says
):
    place = neighbourhood(implementation, settled=False)
    eventually(lambda: place.daemon.host("odd")["state"] == "refused", what="refused")
    for _ in range(QUESTIONS):
        place.ask()
    assert says in place.daemon.status()["failing"]["readyz/controller.odd"]
    (record,) = place.daemon.records("host refuses its configuration")
    assert record["where"] == "controllers.odd"
    assert place.daemon.page("/readyz")[0] == 500
    assert place.daemon.page("/livez")[0] == 200
    assert place.daemon.stop() == 0


def test_an_import_that_does_not_end_is_ended_and_given_up_after_so_many_restarts(neighbourhood):
    place = neighbourhood(
        "odd_slow_import:Mine", limits={"restarts": 1}, settled=False, deadlines={"startTimeout": "4s"}
    )
    given_up = lambda: place.daemon.host("odd")["state"] == "given up"  # noqa: E731 - short
    undisturbed(place, lambda: None, given_up)
    trouble = place.daemon.status()["failing"]["readyz/controller.odd"]
    assert trouble == "host odd is given up: ended 2 times in a row, at last: killed: not ready in time"
    assert place.daemon.stop() == 0
