from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kcm.base.rng import SeededRng
from kcm.cache.freshness import ReflectorStopped
from kcm.cache.projection import projection_of
from kcm.cache.reflector import Reflector
from kcm.cache.store import Store
from kcm.cache.watchspec import WatchSpec
from kcm.client.errors import ApiError, Status, StatusCause, StatusDetails, error_of
from kcm.client.transport import NotSent, Unanswered
from kcm.objects import Pod
from kcm.telemetry.logging import logger
from kcm.telemetry.metrics import Metrics
from kcm.testing.virtual import VirtualClock, run

SPEC = WatchSpec(Pod.resource_type())


def refusal(code: int, reason: str = "", cause: str = "", retry_after: float | None = None) -> ApiError:
    causes = (StatusCause(reason=cause),) if cause else ()
    return error_of(
        "test", Status(code=code, reason=reason, details=StatusDetails(causes=causes)), retry_after
    )


EXPIRED = refusal(410, "Expired")
TOO_LARGE = refusal(504, "Timeout", "ResourceVersionTooLarge")


class Server:
    """A server of one resource in virtual time: a history, lists, watches, and faults on demand."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.version = 100
        self.objects: dict[str, dict[str, Any]] = {}
        self.history: list[tuple[int, str, dict[str, Any]]] = []
        self.news = asyncio.Event()
        self.asked: list[str] = []
        self.faults: list[tuple[str, Exception]] = []
        self.watch_list = "good"
        self.bookmarks = True
        self.silent = False
        self.cut_watches = asyncio.Event()
        self.injected: list[dict[str, Any]] = []
        self.open = 0

    def fail(self, verb: str, error: Exception, times: int = 1) -> None:
        """Let the next requests of a verb ("list", "watch", "watchlist", "any") fail."""
        self.faults += [(verb, error)] * times

    def set(self, name: str, **labels: str) -> None:
        self.version += 1
        body = {
            "metadata": {
                "name": name,
                "namespace": "ns",
                "uid": f"u-{name}",
                "resourceVersion": str(self.version),
                "labels": labels,
            }
        }
        kind = "MODIFIED" if name in self.objects else "ADDED"
        self.objects[name] = body
        self._happened(kind, body)

    def delete(self, name: str) -> None:
        self.version += 1
        body = self.objects.pop(name)
        body = {"metadata": {**body["metadata"], "resourceVersion": str(self.version)}}
        self._happened("DELETED", body)

    def elsewhere(self, changes: int = 1) -> None:
        """Let other resources change: the version goes on, no event comes."""
        self.version += changes

    def inject(self, event: dict[str, Any]) -> None:
        """Send an event into all open watches."""
        self.injected.append(event)
        self._wake()

    def cut(self) -> None:
        """End all open watches."""
        self.cut_watches.set()
        self.cut_watches = asyncio.Event()
        self._wake()

    async def list_page(self, resource: Any, namespace: str = "", **query: Any) -> bytes:
        version, limit, token = query["resource_version"], query["limit"], query["continue_token"]
        self.asked.append(f"list rv={version} limit={limit}" + (" next" if token else ""))
        assert version != "0"
        self._raise("list", "any")
        assert (query["match"] == "NotOlderThan") == (bool(version) and not token)
        if version and int(version) > self.version:
            raise TOO_LARGE
        names = sorted(self.objects)
        begin = int(token) if token else 0
        end = len(names) if not limit else begin + limit
        metadata = {"resourceVersion": str(self.version)}
        if end < len(names):
            metadata["continue"] = str(end)
        items = [self.objects[name] for name in names[begin:end]]
        return json.dumps({"metadata": metadata, "items": items}).encode()

    @asynccontextmanager
    async def watch(self, resource: Any, namespace: str = "", **query: Any) -> AsyncIterator[Any]:
        version, initial = query["resource_version"], query["send_initial_events"]
        timeout = query["timeout_seconds"]
        kind = "watchlist" if initial else "probe" if timeout < 10 else "watch"
        self.asked.append(f"{kind} rv={version}")
        assert version != "0"
        self._raise(kind, "any")
        self.open += 1
        try:
            yield _Stream(self, version, initial, timeout)
        finally:
            self.open -= 1

    def speak(self) -> None:
        """End the silence."""
        self.silent = False
        self._wake()

    def count(self, what: str) -> int:
        return sum(asked.startswith(what) for asked in self.asked)

    def _raise(self, *verbs: str) -> None:
        for number, (verb, error) in enumerate(self.faults):
            if verb in verbs:
                del self.faults[number]
                raise error

    def _happened(self, kind: str, body: dict[str, Any]) -> None:
        self.history.append((self.version, kind, body))
        self._wake()

    def _wake(self) -> None:
        self.news.set()
        self.news = asyncio.Event()


class _Stream:
    def __init__(self, server: Server, version: str, initial: bool, timeout: int) -> None:
        self.server = server
        self.ends = server.clock.monotonic() + timeout
        self.timeout = timeout
        self.sent = int(version) if version else server.version
        self.injected = len(server.injected)
        self.cut = server.cut_watches
        self.lines: list[dict[str, Any]] = []
        self.marked = server.clock.monotonic()
        self.announced = False
        if initial and server.watch_list != "silent":
            self.sent = server.version
            self.lines = [{"type": "ADDED", "object": body} for body in server.objects.values()]
            if server.watch_list == "good":
                notes = {"k8s.io/initial-events-end": "true"}
                self.lines.append(bookmark(server.version, notes))
        elif initial:
            self.ends = float("inf")

    async def batch(self) -> list[bytes]:
        while True:
            if lines := self._due():
                return [json.dumps(line).encode() for line in lines]
            now = self.server.clock.monotonic()
            if self.cut.is_set() or now + 1e-6 >= self.ends:
                return []
            await self._until(min(self.ends, self.ends - 2 if not self.announced else self.ends))

    def _due(self) -> list[dict[str, Any]]:
        server, now = self.server, self.server.clock.monotonic()
        # A timer may strike a rounding error early: without this the loop would spin on it for ever.
        now += 1e-6
        lines, self.lines = self.lines, []
        if server.silent and self.timeout > 10:
            return []
        for version, kind, body in server.history:
            if version > self.sent:
                lines.append({"type": kind, "object": body})
                self.sent = version
        lines += server.injected[self.injected :]
        self.injected = len(server.injected)
        announces = not self.announced and now >= self.ends - 2
        if server.bookmarks and (now - self.marked >= 60 or announces):
            self.marked, self.announced = now, self.announced or announces
            lines.append(bookmark(max(server.version, self.sent)))
        elif announces:
            self.announced = True
        return lines

    async def _until(self, moment: float) -> None:
        if self.server.bookmarks and not (self.server.silent and self.timeout > 10):
            moment = min(moment, self.marked + 60)
        delay = None if moment == float("inf") else max(0.0, moment - self.server.clock.monotonic())
        try:
            async with asyncio.timeout(delay):
                await self.server.news.wait()
        except TimeoutError:
            pass


def bookmark(version: int, notes: dict[str, str] | None = None) -> dict[str, Any]:
    metadata = {"resourceVersion": str(version), "annotations": notes or {}}
    return {"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": metadata}}


class Bench:
    """A reflector on a server."""

    def __init__(self, store: Store | None = None, server: Server | None = None) -> None:
        self.server = server or Server()
        self.clock = self.server.clock
        self.store = store or Store(self.clock)
        self.reflector = Reflector(
            SPEC,
            projection_of(Pod),
            self.server,  # type: ignore[arg-type]  # a fake with the two verbs that count
            self.store,
            self.clock,
            SeededRng(1),
            Metrics(),
            logger("test"),
        )

    def agrees(self) -> bool:
        held = {
            key.removeprefix("ns/"): json.loads(body)["metadata"]["resourceVersion"]
            for key, body in self.store.bodies.items()
        }
        return held == {
            name: body["metadata"]["resourceVersion"] for name, body in self.server.objects.items()
        }

    async def settle(self, seconds: float = 1.0) -> None:
        await self.clock.sleep(seconds)


def on_bench(scenario: Callable[[Bench], Awaitable[None]]) -> None:
    """Run a scenario beside a running reflector."""

    async def both() -> None:
        bench = Bench()
        bench.server.set("first")
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(bench.reflector.run())
            await scenario(bench)
            task.cancel()

    run(both())


def test_a_watch_list_fills_the_store_and_the_same_stream_goes_on() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.settle()
        assert bench.agrees()
        bench.server.set("second")
        bench.server.set("first", app="x")
        bench.server.delete("second")
        await bench.settle()
        assert bench.agrees()
        assert bench.server.asked == ["watchlist rv="]
        assert bench.reflector.health().synced
        assert bench.reflector.health().trouble == ""

    on_bench(scenario)


def test_watches_follow_each_other_from_the_last_version_for_hours() -> None:
    async def scenario(bench: Bench) -> None:
        for number in range(12):
            await bench.settle(600)
            bench.server.set(f"p{number}")
        await bench.settle()
        assert bench.agrees()
        assert bench.server.count("list") == 0
        assert bench.server.count("watchlist") == 1
        assert 8 < bench.server.count("watch rv") < 30

    on_bench(scenario)


@pytest.mark.parametrize("way", ["silent", "endless", "refused"])
def test_a_server_without_watch_lists_is_listed_page_by_page(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kcm.cache.listwatch.PAGE_LIMIT", 10)

    async def scenario(bench: Bench) -> None:
        for number in range(25):
            bench.server.set(f"p{number}")
        bench.server.watch_list = way
        if way == "refused":
            bench.server.fail("watchlist", refusal(422, "Invalid"))
        await bench.settle(1 if way == "refused" else 320)
        assert bench.agrees()
        assert len(bench.store.bodies) == 26
        assert bench.server.count("list") == 3

    on_bench(scenario)


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(refusal(401), id="401"),
        pytest.param(refusal(403), id="403"),
        pytest.param(refusal(404), id="missing resource type"),
        pytest.param(refusal(429, retry_after=5), id="429"),
        pytest.param(refusal(500), id="500"),
        pytest.param(NotSent("refused"), id="refused"),
        pytest.param(Unanswered("cut"), id="cut"),
        pytest.param(EXPIRED, id="410"),
        pytest.param(TOO_LARGE, id="too large"),
    ],
)
def test_whatever_fails_at_first_is_tried_until_it_works(error: Exception) -> None:
    async def scenario(bench: Bench) -> None:
        bench.server.fail("any", error, times=7)
        await bench.settle(0.1)
        assert not bench.store.synced
        await bench.settle(400)
        assert bench.agrees()
        assert bench.reflector.health().trouble == ""
        assert len(bench.server.asked) < 20

    on_bench(scenario)


@pytest.mark.parametrize(
    ("code", "words"),
    [(403, "not allowed to list; grant list and watch"), (401, "credentials"), (404, "does not know")],
)
def test_trouble_says_what_is_missing(code: int, words: str) -> None:
    async def scenario(bench: Bench) -> None:
        bench.server.fail("any", refusal(code), times=50)
        await bench.settle(10)
        assert words in bench.reflector.health().trouble
        assert not bench.reflector.health().synced

    on_bench(scenario)


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({"code": 410, "reason": "Expired", "message": "too old"}, id="410"),
        pytest.param({"code": 500, "reason": "InternalError"}, id="500"),
        pytest.param({"code": 429, "reason": "TooManyRequests"}, id="429"),
        pytest.param({"code": 504, "details": {"causes": [{"reason": "ResourceVersionTooLarge"}]}}, id="504"),
    ],
)
def test_an_error_inside_the_stream_is_survived(status: dict[str, Any]) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.settle(5)
        bench.server.inject({"type": "ERROR", "object": {"kind": "Status", **status}})
        bench.server.set("later")
        bench.server.cut()
        await bench.settle(120)
        assert bench.agrees()
        assert bench.server.count("watchlist") == (1 if status["code"] == 429 else 2)

    on_bench(scenario)


def test_the_store_is_kept_while_the_server_is_away() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.settle()
        bench.server.fail("any", NotSent("refused"), times=30)
        bench.server.cut()
        await bench.settle(100)
        assert len(bench.store.bodies) == 1
        assert "unreachable" in bench.reflector.health().trouble
        await bench.settle(1500)
        assert bench.reflector.health().trouble == ""
        bench.server.set("later")
        await bench.settle(1)
        assert bench.agrees()

    on_bench(scenario)


def test_a_silent_watch_is_noticed_within_ninety_seconds_where_bookmarks_come() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.settle(130)
        watches = bench.server.count("watch")
        bench.server.silent = True
        bench.server.set("unseen")
        await bench.settle(90)
        assert bench.server.count("watch") == watches + 1
        bench.server.speak()
        await bench.settle(1)
        assert bench.agrees()

    on_bench(scenario)


def test_silence_of_a_quiet_resource_costs_no_list() -> None:
    """A real server sends no bookmark while its own position stays where the watch began."""

    async def scenario(bench: Bench) -> None:
        await bench.settle(130)
        bench.server.silent = True
        for _ in range(30):
            bench.server.elsewhere()
            await bench.settle(60)
        assert bench.server.count("watchlist") == 1
        assert bench.store.version >= str(bench.server.version - 2), "proved all the same"
        bench.server.speak()
        bench.server.set("later")
        await bench.settle(1)
        assert bench.agrees()

    on_bench(scenario)


def test_what_a_silent_watch_has_missed_is_listed_within_three_minutes() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.settle(130)
        bench.server.silent = True
        bench.server.set("unseen")
        await bench.settle(180)
        assert bench.agrees()
        assert bench.server.count("watchlist") == 2

    on_bench(scenario)


def test_a_server_that_went_back_in_time_under_a_silent_watch_is_noticed() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.settle(130)
        bench.server.silent = True
        bench.server.version -= 1
        bench.server.objects.clear()
        bench.server.history.clear()
        await bench.settle(300)
        assert bench.agrees()

    on_bench(scenario)


def test_a_bad_object_harms_no_other() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.settle()
        bad = {
            "metadata": {"name": "bad", "namespace": "ns", "uid": "u", "resourceVersion": "150"},
            "status": 5,
        }
        bench.server.inject({"type": "ADDED", "object": bad})
        await bench.settle()
        bench.server.version = 160
        bench.server.set("good")
        await bench.settle()
        assert bench.agrees()
        assert list(bench.store.bad) == ["ns/bad"]
        assert bench.server.asked == ["watchlist rv="]

    on_bench(scenario)


def test_a_server_restored_from_a_backup_is_believed_in_the_end() -> None:
    async def scenario(bench: Bench) -> None:
        bench.server.set("lost")
        await bench.settle()
        del bench.server.objects["lost"]
        bench.server.history.clear()
        bench.server.version = 50
        bench.server.fail("watch", EXPIRED)
        bench.server.cut()
        bench.server.set("first")
        await bench.settle(60)
        assert bench.agrees()
        assert bench.store.epoch == 1

    on_bench(scenario)


# --- freshness


def test_a_barrier_ends_at_once_when_events_carry_the_store_there() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.settle()
        bench.server.set("second")
        begun = bench.clock.monotonic()
        await bench.reflector.barrier()
        assert bench.agrees()
        assert bench.clock.monotonic() - begun < 0.05
        assert bench.server.count("probe") == 0

    on_bench(scenario)


def test_a_barrier_on_a_quiet_resource_is_hurried_by_a_probe() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.settle()
        bench.server.elsewhere(5)
        begun = bench.clock.monotonic()
        version = await bench.reflector.barrier()
        assert version == str(bench.server.version)
        assert bench.store.version == version
        assert bench.clock.monotonic() - begun < 1.5
        assert bench.server.count("probe") == 1
        assert bench.server.count("watchlist") == 1

    on_bench(scenario)


def test_a_barrier_waits_until_the_first_fill() -> None:
    async def scenario(bench: Bench) -> None:
        bench.server.fail("watchlist", NotSent("refused"), times=3)
        await bench.reflector.barrier()
        assert bench.agrees()

    on_bench(scenario)


def test_a_probe_never_overtakes_the_main_stream() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.settle(2)
        bench.server.silent = True
        bench.server.set("unseen by the main stream")
        barrier = asyncio.create_task(bench.reflector.barrier())
        await bench.settle(0.05)

        async def probe_sees() -> None:
            while not bench.server.count("probe"):
                await bench.settle(0.01)
            await bench.settle(2)

        await probe_sees()
        assert not barrier.done()
        assert bench.store.version < str(bench.server.version)
        bench.server.speak()
        await barrier
        assert bench.agrees()

    on_bench(scenario)


def test_where_no_bookmarks_come_a_barrier_is_reached_by_a_consistent_list() -> None:
    async def scenario(bench: Bench) -> None:
        bench.server.bookmarks = False
        await bench.settle()
        bench.server.elsewhere(5)
        begun = bench.clock.monotonic()
        version = await bench.reflector.barrier()
        assert int(bench.store.version) >= int(version)
        assert bench.clock.monotonic() - begun < 15
        assert bench.server.asked[-1] == "watchlist rv="

    on_bench(scenario)


def test_barriers_share_only_lists_that_began_after_them() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.settle()
        real = bench.server.list_page

        async def slow(*args: Any, **query: Any) -> bytes:
            answer = await real(*args, **query)
            await bench.clock.sleep(1)
            return answer

        bench.server.list_page = slow  # type: ignore[method-assign]
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(bench.reflector.barrier())
            await bench.settle(0.5)
            bench.server.set("between")
            later = [tasks.create_task(bench.reflector.barrier()) for _ in range(5)]
        assert bench.server.count("list") == 2
        assert int(first.result()) < int(later[0].result()) == bench.server.version

    on_bench(scenario)


def test_a_barrier_ends_with_the_error_of_its_list() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.settle()
        bench.server.fail("list", refusal(403))
        with pytest.raises(ApiError):
            await bench.reflector.barrier()
        await bench.reflector.barrier()

    on_bench(scenario)


def test_waiting_for_a_version_ends_when_it_is_reached() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.settle()
        wanted = bench.server.version + 3
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(bench.reflector.reached(str(wanted)))
            await bench.settle(10)
            assert not task.done()
            bench.server.elsewhere(3)
        assert int(bench.store.version) >= wanted

    on_bench(scenario)


def test_whoever_waits_for_a_reflector_that_ends_is_told() -> None:
    async def scenario() -> None:
        bench = Bench()
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(bench.reflector.run())
            await bench.settle()
            waiting = tasks.create_task(_stopped(bench.reflector.reached("999")))
            await bench.settle()
            task.cancel()
            assert await waiting
        assert await _stopped(bench.reflector.barrier())

    async def _stopped(call: Awaitable[object]) -> bool:
        with pytest.raises(ReflectorStopped):
            await call
        return True

    run(scenario())


def test_whoever_waits_for_a_barrier_whose_list_is_under_way_is_told_when_the_reflector_ends() -> None:
    async def scenario() -> None:
        bench = Bench()
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(bench.reflector.run())
            await bench.settle()

            async def never(*args: Any, **query: Any) -> bytes:
                await asyncio.get_running_loop().create_future()
                raise AssertionError

            bench.server.list_page = never  # type: ignore[method-assign]
            waiting = tasks.create_task(_outcome(bench.reflector.barrier()))
            await bench.settle()
            task.cancel()
            async with asyncio.timeout(10):
                assert isinstance(await waiting, ReflectorStopped)

    async def _outcome(call: Awaitable[object]) -> object:
        try:
            return await call
        except ReflectorStopped as error:
            return error

    run(scenario())


def test_a_second_reflector_on_a_filled_store_refills_it_before_new_readers_see_it() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.server.set("first")
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(bench.reflector.run())
            await bench.settle()
            task.cancel()
            second = Bench(bench.store, bench.server)
            bench.server.set("second")
            begun = len(bench.server.asked)
            task = tasks.create_task(second.reflector.run())
            await second.reflector.reached("1")
            assert second.agrees()
            assert bench.server.asked[begun:] == ["watchlist rv="]
            task.cancel()

    run(scenario())
