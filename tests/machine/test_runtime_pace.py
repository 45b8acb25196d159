"""At what pace a plan is carried out: what is sent at a time, and what a failure ends."""

import asyncio
from types import SimpleNamespace

import msgspec
import pytest

from kcm.client.errors import Status, error_of
from kcm.objects import NewPod, NewPodMeta
from kcm.runtime.applier import Applier
from kcm.runtime.plan import Pace, Plan
from kcm.testing.virtual import run

WIDTH = 32


class Server:
    """Takes one second for a create; refuses all after the first `limit`. `most` were under way at once."""

    def __init__(self, limit):
        self.limit, self.calls, self.under_way, self.most = limit, 0, 0, 0

    async def create(self, resource, namespace, body):
        self.calls += 1
        accepted = self.calls <= self.limit
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(1.0)
        self.under_way -= 1
        if not accepted:
            raise error_of("POST pods", Status(code=403, reason="Forbidden", message="quota"), None)
        return b"{}"


def apply(count, pace, limit):
    """Return the server, the outcome and the seconds it took."""
    server = Server(limit)
    replicas = SimpleNamespace(wrote=lambda resource, answer: None)
    pods = (
        NewPod(metadata=NewPodMeta(name=f"p{number}", namespace="default"), spec=msgspec.Raw(b"{}"))
        for number in range(count)
    )
    actions = tuple(action for pod in pods for action in Plan.create(pod, because="").actions)

    async def scenario():
        began = asyncio.get_running_loop().time()
        outcome = await Applier(server, replicas, None, WIDTH).apply(Plan(actions, pace))
        return outcome, asyncio.get_running_loop().time() - began

    outcome, took = run(scenario())
    assert len(outcome.done) + len(outcome.failed) + len(outcome.skipped) == count
    return server, outcome, round(took)


@pytest.mark.parametrize(("limit", "calls"), [(0, 1), (10, 10), (5, 7)])
def test_a_slow_start_is_ended_by_the_batch_that_fails(limit, calls):
    server, outcome, _ = apply(10, Pace.SLOW_START, limit)
    assert server.calls == calls
    assert len(outcome.done) == min(limit, 10)


def test_a_slow_start_that_goes_well_sends_the_rest_at_full_width_without_a_break():
    server, outcome, took = apply(500, Pace.SLOW_START, 500)
    assert len(outcome.done) == 500
    assert server.most == WIDTH
    assert took == 5 + -(-(500 - 31) // WIDTH)


def test_a_quota_met_at_full_width_costs_no_more_refusals_than_are_under_way():
    server, outcome, _ = apply(500, Pace.SLOW_START, 100)
    assert len(outcome.done) == 100
    assert server.calls <= 100 + WIDTH
    assert len(outcome.failed) == server.calls - 100


def test_in_order_means_one_at_a_time_until_one_fails():
    server, outcome, took = apply(10, Pace.IN_ORDER, 3)
    assert (server.most, server.calls, took) == (1, 4, 4)
    assert len(outcome.skipped) == 6


def test_together_all_are_tried_whatever_fails():
    server, outcome, took = apply(100, Pace.TOGETHER, 50)
    assert (server.calls, len(outcome.done), len(outcome.failed)) == (100, 50, 50)
    assert took == 4
