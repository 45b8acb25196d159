"""Events on their way to the server: what may go wrong with one must not cost the next."""

import asyncio

import msgspec
import pytest

from kcm.client.errors import Status, error_of
from kcm.client.transport import NotSent
from kcm.objects.events import ObjectReference
from kcm.runtime.events import EventLog
from kcm.runtime.fence import Fenced
from kcm.runtime.plan import Emit
from kcm.telemetry.logging import logger
from kcm.telemetry.metrics import Metrics
from kcm.testing.virtual import VirtualClock, run

GOOD = b'{"metadata":{"name":"e.1","namespace":"default"}}'


class Server:
    """Answers creates and patches by a script; what it took is in `notes` and `counts`."""

    def __init__(self, script):
        self.script, self.notes, self.counts = list(script), [], []

    def _answer(self):
        answer = self.script.pop(0) if self.script else GOOD
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def create(self, resource, namespace, body):
        answer = self._answer()
        self.notes.append(msgspec.json.decode(body)["message"])
        return answer

    async def patch(self, resource, key, body, kind):
        answer = self._answer()
        self.counts.append(msgspec.json.decode(body)["count"])
        return answer


def emit(note, name="web"):
    return Emit(ObjectReference("apps/v1", "ReplicaSet", "default", name, uid="u"), "Normal", "Test", note)


def write(script, *notes):
    """Emit the notes and return the server and the drops by reason."""
    server = Server(script)
    metrics = Metrics()

    async def play():
        log = EventLog(server, "test", VirtualClock(), metrics, logger("test"))
        running = asyncio.create_task(log.run())
        for note in notes:
            log.emit(emit(note))
        await log.flush(600.0)
        assert not running.done()
        running.cancel()
        await asyncio.wait((running,))

    run(play())
    samples = (sample for family in metrics.read() for sample in family.samples)
    dropped = {
        dict(sample.labels)["reason"]: sample.value
        for sample in samples
        if sample.name == "kcm_events_dropped_total" and sample.value
    }
    return server, dropped


@pytest.mark.parametrize("answer", [b"<html>", b"", b"[]", b"\xff", b'{"metadata":' * 2000])
def test_an_answer_that_makes_no_sense_costs_nothing_but_its_memory(answer):
    server, dropped = write([answer], "one", "two")
    assert server.notes == ["one", "two"]
    assert not dropped


def test_an_event_that_cannot_be_written_as_json_is_dropped_and_counted():
    server, dropped = write([], "\ud800", "two")
    assert server.notes == ["two"]
    assert dropped == {"refused": 1}


@pytest.mark.parametrize(
    "refusal", [error_of("POST events", Status(code=403, message="no"), None), Fenced("late")]
)
def test_a_refusal_is_an_answer(refusal):
    server, dropped = write([refusal], "one", "two")
    assert server.notes == ["two"]
    assert dropped == {"refused": 1}


def test_a_server_that_is_away_is_tried_three_times():
    server, dropped = write([NotSent("away")] * 5, "one", "two")
    assert server.notes == ["two"]
    assert dropped == {"lost": 1}


def test_an_event_that_repeats_raises_the_count_of_the_one_that_is_there():
    server, dropped = write([], "one", "one", "one")
    assert (server.notes, server.counts) == (["one"], [2, 3])
    assert not dropped


def test_a_crowd_of_events_of_one_object_is_cut_off_and_counted():
    server, dropped = write([], *(str(number) for number in range(40)))
    assert len(server.notes) == 25
    assert dropped == {"rate": 15}
