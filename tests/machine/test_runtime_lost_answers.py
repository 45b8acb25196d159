"""Writes of which nobody knows whether they were done: how that is remembered until it can be seen."""

import asyncio
from types import SimpleNamespace

import msgspec
import pytest

from kcm.cache.replica import Cache
from kcm.client.errors import Status, error_of
from kcm.client.transport import NotSent, Unanswered
from kcm.host.replicas import Replicas
from kcm.objects import Key, NewPod, NewPodMeta, Pod
from kcm.objects.pods import PodMeta
from kcm.runtime.applier import Applier
from kcm.runtime.context import Context
from kcm.runtime.fence import Fenced
from kcm.runtime.plan import Pace, Plan
from kcm.runtime.watches import owns
from kcm.telemetry.logging import logger
from kcm.telemetry.metrics import Metrics
from kcm.testing.virtual import VirtualClock, run

PODS = Pod.resource_type()


def refusal(code, reason=""):
    return error_of("POST pods", Status(code=code, reason=reason, message="no"), None)


class Server:
    """Answers creates and gets by scripts: an error is raised, bytes are the answer, after `seconds`."""

    def __init__(self, creates=(), gets=(), deletes=(), seconds=0.0):
        self.creates, self.gets, self.deletes = list(creates), list(gets), list(deletes)
        self.seconds = seconds

    async def delete(self, resource, key, *, uid, resource_version, propagation):
        return said(self.deletes)

    async def create(self, resource, namespace, body):
        await asyncio.sleep(self.seconds)
        return said(self.creates)

    async def get(self, resource, key):
        return said(self.gets)


def said(script):
    answer = script.pop(0) if script else b"{}"
    if isinstance(answer, Exception):
        raise answer
    return answer


def context_on(server, replicas=None):
    replicas = replicas or SimpleNamespace(wrote=lambda resource, answer: None)
    applier = Applier(server, replicas, None)
    return Context(
        Key("default", "web"), VirtualClock(), Cache({}), applier, server, Metrics(), logger("test")
    )


def creates(count):
    actions = []
    for number in range(count):
        meta = NewPodMeta(name=f"p{number}", namespace="default")
        actions += Plan.create(NewPod(metadata=meta, spec=msgspec.Raw(b"{}")), because="").actions
    return Plan(tuple(actions), Pace.TOGETHER)


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(Unanswered("cut"), id="never answered again"),
        pytest.param(NotSent("refused"), id="not even sent"),
        pytest.param(Fenced("late"), id="fenced"),
        pytest.param(refusal(403, "Forbidden"), id="refused: perhaps the first one filled the quota"),
        pytest.param(refusal(429, "TooManyRequests"), id="throttled"),
    ],
)
def test_a_create_that_was_once_not_answered_stays_in_doubt_however_its_repeat_ends(second):
    context = context_on(Server([Unanswered("cut"), second]))
    outcome = run(context.apply(creates(1)))
    assert [failed.error for failed in outcome.failed] == [second], "the newest error says how to go on"
    assert context.unsettled == {PODS}


def test_a_create_that_was_refused_at_once_is_not_in_doubt():
    context = context_on(Server([refusal(403, "Forbidden")]))
    assert run(context.apply(creates(1))).failed
    assert not context.unsettled


@pytest.mark.parametrize("failure", [NotSent("refused"), Unanswered("cut"), refusal(503), refusal(429)])
def test_a_taken_name_whose_owner_cannot_be_seen_is_in_doubt(failure):
    context = context_on(Server([refusal(409, "AlreadyExists")], [failure]))
    assert run(context.apply(creates(1))).failed
    assert context.unsettled == {PODS}


RUBBISH = [b"<html>", b"", b"\xff", b"[]", b'{"metadata":' * 2000]


@pytest.mark.parametrize("answer", RUBBISH)
def test_an_answer_to_a_create_that_makes_no_sense_leaves_it_in_doubt(answer):
    context = context_on(Server([answer]), Replicas((owns(Pod),)))
    outcome = run(context.apply(creates(1)))
    assert [type(failed.error) for failed in outcome.failed] == [Unanswered]
    assert context.unsettled == {PODS}


@pytest.mark.parametrize("answer", RUBBISH)
def test_an_answer_about_a_taken_name_that_makes_no_sense_leaves_it_in_doubt(answer):
    context = context_on(Server([refusal(409, "AlreadyExists")], [answer]))
    outcome = run(context.apply(creates(1)))
    assert [type(failed.error) for failed in outcome.failed] == [Unanswered]
    assert context.unsettled == {PODS}


@pytest.mark.parametrize("answer", RUBBISH)
def test_an_answer_to_a_delete_that_makes_no_sense_leaves_it_in_doubt(answer):
    context = context_on(Server(deletes=[answer]))
    seen = Pod(metadata=PodMeta(name="p", namespace="default", uid="u", resource_version="5"))
    outcome = run(context.apply(Plan.delete(seen, because="")))
    assert [type(failed.error) for failed in outcome.failed] == [Unanswered]
    assert context.unsettled == {PODS}


def test_writes_that_a_time_out_cut_off_are_in_doubt():
    context = context_on(Server(seconds=60.0))

    async def play():
        async with asyncio.timeout(1.0):
            await context.apply(creates(3))

    with pytest.raises(TimeoutError):
        run(play())
    assert context.unsettled == {PODS}


def test_writes_that_are_cut_off_by_a_mistake_in_another_are_in_doubt():
    def wrote(resource, answer):
        raise ZeroDivisionError

    context = context_on(Server(seconds=1.0), SimpleNamespace(wrote=wrote))
    with pytest.raises(ExceptionGroup):
        run(context.apply(creates(3)))
    assert context.unsettled == {PODS}
