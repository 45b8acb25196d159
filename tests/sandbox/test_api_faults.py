"""Faults on demand: what each does to a request, and the admin paths that order them."""

import asyncio
import json

import pytest

from kcm.base.rng import SeededRng
from kcm.sandbox.api import ApiServer
from kcm.sandbox.api.faults import (
    Compact,
    CutWatch,
    Delay,
    DelayEvents,
    DropAfter,
    DropBefore,
    FailWatch,
    Fault,
    GarbleWatch,
    HangAfter,
    HangBefore,
    Refuse,
    RepeatEvents,
    SilenceWatch,
    StaleList,
    StepClock,
)
from kcm.serving.http import ConnectionLost, Request
from kcm.testing.virtual import VirtualClock, run

MAPS = "/api/v1/namespaces/default/configmaps"


class Bench:
    """A server in virtual time, and somebody who asks."""

    def __init__(self):
        self.clock = VirtualClock()
        self.api = ApiServer(self.clock, SeededRng(1))

    async def ask(self, method, path, body=None):
        target, _, query = path.partition("?")
        pairs = tuple(tuple(part.split("=", 1)) for part in query.split("&")) if query else ()
        encoded = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        headers = {"content-type": "application/json", "user-agent": "tester"}
        answer = await self.api.handle(Request(method, target, pairs, headers, encoded))
        if not isinstance(answer.body, bytes):
            return answer.status, answer.body
        return answer.status, json.loads(answer.body)

    async def make(self, name):
        status, made = await self.ask("POST", MAPS, {"metadata": {"name": name}})
        assert status == 201
        return made["metadata"]["resourceVersion"]

    async def names(self, query=""):
        status, found = await self.ask("GET", MAPS + query)
        assert status == 200, found
        return [each["metadata"]["name"] for each in found["items"] if each["metadata"]["name"][0] != "k"]

    async def watch(self):
        version = (await self.ask("GET", MAPS))[1]["metadata"]["resourceVersion"]
        return (await self.ask("GET", f"{MAPS}?watch=true&resourceVersion={version}&timeoutSeconds=60"))[1]


def in_time(scenario):
    async def live():
        return await scenario(Bench())

    return run(live())


async def read(watch, count):
    """Return so many complete lines of a watch, without its end."""
    text = b""
    while text.count(b"\n") < count:
        text += await anext(watch)
    return text.splitlines()[:count]


async def drain(watch, chunks):
    async for chunk in watch:
        chunks.append(chunk)


@pytest.mark.parametrize(
    ("effect", "seconds", "done"),
    [
        (DropBefore(), 0, False),
        (DropAfter(), 0, True),
        (HangBefore(30), 30, False),
        (HangAfter(30), 30, True),
    ],
)
def test_an_answer_that_never_comes_may_or_may_not_stand_for_a_write(effect, seconds, done):
    async def scenario(bench):
        bench.api.faults.add(Fault(effect, "create", "configmaps"))
        began = bench.clock.monotonic()
        with pytest.raises(ConnectionLost):
            await bench.ask("POST", MAPS, {"metadata": {"name": "a"}})
        assert bench.clock.monotonic() - began == pytest.approx(seconds)
        assert await bench.names() == (["a"] if done else [])

    in_time(scenario)


@pytest.mark.parametrize("code", [409, 429, 500, 503])
def test_a_refusal_has_the_code_the_reason_and_the_delay_that_were_ordered(code):
    async def scenario(bench):
        bench.api.faults.add(Fault(Refuse(code, retry_after=7), "create", "configmaps", times=1))
        status, answer = await bench.ask("POST", MAPS, {"metadata": {"name": "a"}})
        assert (status, answer["kind"], answer["details"]["retryAfterSeconds"]) == (code, "Status", 7)
        await bench.make("a")

    in_time(scenario)


def test_a_replica_that_lags_shows_what_there_was():
    async def scenario(bench):
        await bench.make("old")
        await bench.clock.sleep(60)
        new = await bench.make("new")
        fault = bench.api.faults.add(Fault(StaleList(30), "list", "configmaps"))
        assert await bench.names("?resourceVersion=0") == ["old"]
        assert await bench.names() == ["new", "old"]
        status, answer = await bench.ask("GET", f"{MAPS}?resourceVersion={new}")
        assert (status, answer["details"]["causes"][0]["reason"]) == (504, "ResourceVersionTooLarge")
        bench.api.faults.remove(fault)
        bench.api.faults.add(Fault(StaleList(30, always=True), "list", "configmaps"))
        assert await bench.names() == ["old"]

    in_time(scenario)


def test_events_are_repeated():
    async def scenario(bench):
        bench.api.faults.add(Fault(RepeatEvents(2), "watch", "configmaps"))
        watch = await bench.watch()
        await bench.make("a")
        await bench.make("b")
        lines = [json.loads(line) for line in await read(watch, 6)]
        assert [line["object"]["metadata"]["name"] for line in lines] == ["a", "a", "a", "b", "b", "b"]
        await watch.aclose()

    in_time(scenario)


def test_events_are_late_and_in_order():
    async def scenario(bench):
        bench.api.faults.add(Fault(DelayEvents(20), "watch", "configmaps"))
        watch = await bench.watch()
        await bench.make("a")
        began = bench.clock.monotonic()
        (line,) = await read(watch, 1)
        assert json.loads(line)["object"]["metadata"]["name"] == "a"
        assert bench.clock.monotonic() - began == pytest.approx(20)
        await watch.aclose()

    in_time(scenario)


def test_a_watch_is_cut_in_the_middle_of_a_line():
    async def scenario(bench):
        bench.api.faults.add(Fault(CutWatch(1), "watch", "configmaps"))
        watch = await bench.watch()
        await bench.make("a")
        await bench.make("b")
        chunks = []
        with pytest.raises(ConnectionLost):
            await drain(watch, chunks)
        whole, part = b"".join(chunks).split(b"\n")
        assert json.loads(whole)["object"]["metadata"]["name"] == "a"
        assert part
        assert part[-1:] != b"}"

    in_time(scenario)


def test_a_watch_ends_with_an_error_event():
    async def scenario(bench):
        bench.api.faults.add(Fault(FailWatch(1), "watch", "configmaps"))
        watch = await bench.watch()
        await bench.make("a")
        lines = [json.loads(line) async for chunk in watch for line in chunk.splitlines()]
        assert [line["type"] for line in lines] == ["ADDED", "ERROR"]
        assert (lines[1]["object"]["code"], lines[1]["object"]["reason"]) == (410, "Expired")

    in_time(scenario)


def test_a_line_of_a_watch_is_no_json():
    async def scenario(bench):
        bench.api.faults.add(Fault(GarbleWatch(0), "watch", "configmaps"))
        watch = await bench.watch()
        await bench.make("a")
        bad, good = await read(watch, 2)
        with pytest.raises(ValueError, match="can't decode"):
            json.loads(bad)
        assert json.loads(good)["type"] == "ADDED"
        await watch.aclose()

    in_time(scenario)


def test_a_watch_falls_silent_and_stays_open():
    async def scenario(bench):
        bench.api.faults.add(Fault(SilenceWatch(1), "watch", "configmaps"))
        watch = await bench.watch()
        await bench.make("a")
        await bench.make("b")
        assert len(await read(watch, 1)) == 1
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await anext(watch)

    in_time(scenario)


def test_history_is_forgotten_and_the_clock_is_set():
    async def scenario(bench):
        version = await bench.make("a")
        await bench.make("b")
        bench.api.faults.add(Fault(Compact(), "watch", times=1))
        watch = (await bench.ask("GET", f"{MAPS}?watch=true&resourceVersion={version}"))[1]
        assert json.loads((await read(watch, 1))[0])["object"]["code"] == 410
        bench.api.faults.add(Fault(StepClock(86400.0), "create", times=1))
        made = (await bench.ask("POST", MAPS, {"metadata": {"name": "later"}}))[1]
        assert made["metadata"]["creationTimestamp"] == "2026-01-02T00:00:00Z"

    in_time(scenario)


def test_faults_are_ordered_seen_and_taken_back_over_http():
    async def scenario(bench):
        order = {"effect": {"type": "refuse", "code": 503}, "verb": "create", "resource": "configmaps"}
        status, made = await bench.ask("POST", "/sandbox/faults", {**order, "times": 5})
        assert (status, made["id"], made["met"]) == (201, "1", 0)
        assert (await bench.ask("POST", MAPS, {"metadata": {"name": "a"}}))[0] == 503
        await bench.ask("POST", "/sandbox/faults", {"effect": {"type": "delay", "seconds": 1}})
        listed = (await bench.ask("GET", "/sandbox/faults"))[1]["faults"]
        assert [(each["id"], each["met"], each["effect"]["type"]) for each in listed] == [
            ("1", 1, "refuse"),
            ("2", 0, "delay"),
        ]
        assert (await bench.ask("DELETE", "/sandbox/faults/1"))[0] == 200
        assert (await bench.ask("GET", "/sandbox/faults/1"))[0] == 404
        assert (await bench.ask("DELETE", "/sandbox/faults"))[0] == 200
        assert (await bench.ask("GET", "/sandbox/faults"))[1] == {"faults": []}
        await bench.make("a")

    in_time(scenario)


def test_history_and_clock_have_paths_of_their_own():
    async def scenario(bench):
        version = await bench.make("a")
        assert (await bench.ask("DELETE", "/sandbox/history"))[0] == 200
        await bench.make("b")
        status, answer = await bench.ask("POST", "/sandbox/clock", {"step": -3600})
        assert (status, answer) == (200, {"now": "2025-12-31T23:00:00Z"})
        assert (await bench.ask("GET", "/sandbox/clock"))[1] == {"now": "2025-12-31T23:00:00Z"}
        assert (await bench.ask("GET", f"{MAPS}?resourceVersion={version}&limit=1"))[0] == 200

    in_time(scenario)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "Input data was truncated"),
        (b"[]", "Expected `object`, got `array`"),
        ({}, "missing required field `effect`"),
        ({"effect": {"type": "explode"}}, "Invalid value 'explode' - at `$.effect.type`"),
        ({"effect": {"type": "delay"}}, "missing required field `seconds` - at `$.effect`"),
        ({"effect": {"type": "delay", "seconds": -1}}, ">= 0.0 - at `$.effect.seconds`"),
        ({"effect": {"type": "delay", "seconds": 1, "ms": 1}}, "unknown field `ms`"),
        ({"effect": {"type": "refuse", "code": 200}}, ">= 400 - at `$.effect.code`"),
        ({"effect": {"type": "compact"}, "verb": "post"}, "Invalid enum value 'post' - at `$.verb`"),
        ({"effect": {"type": "compact"}, "resorce": "pods"}, "unknown field `resorce`"),
        ({"effect": {"type": "compact"}, "times": 0}, ">= 1 - at `$.times`"),
        ({"effect": {"type": "compact"}, "name": "("}, "name: not a regular expression"),
        (b'{"effect":' * 5000, "/sandbox/faults: "),
    ],
)
def test_an_order_that_is_not_understood_is_refused_in_one_line(body, reason):
    async def scenario(bench):
        status, answer = await bench.ask("POST", "/sandbox/faults", body)
        assert (status, answer["reason"]) == (400, "BadRequest")
        assert answer["message"].startswith("/sandbox/faults: ")
        assert reason in answer["message"]
        assert "\n" not in answer["message"]
        assert (await bench.ask("GET", "/sandbox/faults"))[1] == {"faults": []}

    in_time(scenario)


def test_what_the_paths_do_not_know_is_not_allowed():
    async def scenario(bench):
        for method, path in (
            ("PUT", "/sandbox/faults"),
            ("POST", "/sandbox/faults/1"),
            ("GET", "/sandbox/history"),
        ):
            assert (await bench.ask(method, path))[0] == 405

    in_time(scenario)


def test_a_late_answer_is_late():
    async def scenario(bench):
        bench.api.faults.add(Fault(Delay(2.5), "list", "configmaps", agent="^tester$"))
        began = bench.clock.monotonic()
        await bench.names()
        assert bench.clock.monotonic() - began == pytest.approx(2.5)

    in_time(scenario)


def test_who_may_not_use_the_paths_is_refused():
    async def scenario(bench):
        answer = await bench.api.handle_secured(Request("GET", "/sandbox/faults"))
        assert answer.status == 403
        assert json.loads(answer.body)["message"].endswith('cannot get path "/sandbox/faults"')

    in_time(scenario)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(Refuse(200)),
        Fault(Delay(-1.0)),
        Fault(Compact(), "post"),
        Fault(Compact(), times=0),
        Fault(Compact(), name="("),
    ],
)
def test_a_fault_out_of_bounds_is_refused_in_python_too(fault):
    async def scenario(bench):
        with pytest.raises(ValueError, match=r"Expected|Invalid|regular"):
            bench.api.faults.add(fault)
        assert not bench.api.faults

    in_time(scenario)
