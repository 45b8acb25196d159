"""Electors on an in-memory Lease with faults, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random

import pytest

from kcm.base.errors import KcmError
from kcm.base.rng import SeededRng
from kcm.client.errors import Status, error_of
from kcm.election import ElectionMetrics, ElectionSettings, Elector, Outdated, Term
from kcm.election.record import Found, Record
from kcm.election.states import Saw
from kcm.telemetry.logging import logger
from kcm.telemetry.metrics import Metrics
from kcm.testing.virtual import VirtualClock, run

SETTINGS = ElectionSettings()


class Server:
    """One Lease, as an API server keeps it: exact versions, watches in order."""

    def __init__(self) -> None:
        self.lease: Found | None = None
        self.version = 100
        self.watchers: list[asyncio.Queue[Saw | None]] = []
        self.log: list[tuple[float, Record | None]] = []

    def put(self, record: Record, handover: str = "") -> Found:
        self.version += 1
        uid = self.lease.uid if self.lease else f"uid-{self.version}"
        self.lease = Found(record, str(self.version), uid, handover)
        self.tell(Saw(self.lease, self.lease.version))
        return self.lease

    def delete(self) -> None:
        self.version += 1
        self.lease = None
        self.tell(Saw(None, str(self.version)))

    def tell(self, saw: Saw) -> None:
        self.log.append((asyncio.get_running_loop().time(), saw.found.record if saw.found else None))
        for watcher in self.watchers:
            watcher.put_nowait(saw)

    def write(self, base: Found | None, record: Record, handover: str) -> Found:
        if (base.version if base else None) != (self.lease.version if self.lease else None):
            raise Outdated("the Lease is another")
        return self.put(record, handover)


class Link:
    """One elector's way to the server. `fault` is drawn before each request."""

    def __init__(self, server: Server, rng: Random | None = None, rate: float = 0.0) -> None:
        self.server = server
        self.rng = rng or Random(0)
        self.rate = rate
        self.down = False
        self.blind = False
        self.deaf = False
        self.forgetful = False
        self.clock = VirtualClock()

    async def request(self, act, write: bool):  # type: ignore[no-untyped-def]
        await self.clock.sleep(self.rng.uniform(0.001, 0.02))
        if self.down:
            await self.clock.sleep(3600)
        fault = self.rng.choice(["lost", "late", "error", "slow"]) if self.rng.random() < self.rate else ""
        if fault == "lost":
            await self.clock.sleep(3600)
        if fault == "error":
            raise KcmError("500")
        if fault == "slow":
            await self.clock.sleep(self.rng.uniform(0.5, 8.0))
        result = act()
        if fault == "late":
            await self.clock.sleep(3600)
        await self.clock.sleep(self.rng.uniform(0.001, 0.02))
        return result

    async def get(self) -> Found | None:
        return await self.request(lambda: self.server.lease, False)  # type: ignore[no-any-return]

    async def create(self, record: Record, handover: str) -> Found:
        return await self.request(lambda: self.server.write(None, record, handover), True)  # type: ignore[no-any-return]

    async def write(self, base: Found, record: Record, handover: str) -> Found:
        return await self.request(lambda: self.server.write(base, record, handover), True)  # type: ignore[no-any-return]

    @asynccontextmanager
    async def watch(self, version: str) -> AsyncIterator[AsyncIterator[Saw]]:
        if self.deaf or self.down:
            raise KcmError("403: watch is forbidden")
        if self.forgetful:
            raise error_of("watch", Status(code=410, reason="Expired", message="too old resource version"))
        events: asyncio.Queue[Saw | None] = asyncio.Queue()
        self.server.watchers.append(events)
        try:
            yield self._events(events, version)
        finally:
            self.server.watchers.remove(events)

    async def _events(self, events: asyncio.Queue[Saw | None], version: str) -> AsyncIterator[Saw]:
        lease = self.server.lease
        if lease is not None and lease.version != version:
            yield Saw(lease, lease.version)
        while True:
            saw = await events.get()
            if self.down or self.blind:
                continue
            if self.rng.random() < self.rate:
                raise KcmError("connection reset")
            await self.clock.sleep(self.rng.uniform(0.0, 0.02))
            if saw is not None:
                yield saw


class Node:
    """A follower that says what it believes."""

    def __init__(
        self,
        name: str,
        server: Server,
        *,
        link: Link | None = None,
        stop_time: float = 0.2,
        clock: VirtualClock | None = None,
    ) -> None:
        self.name = name
        self.clock = clock or VirtualClock()
        self.link = link or Link(server)
        self.stop_time = stop_time
        self.deadline = -1.0
        self.terms: list[Term] = []
        self.story: list[tuple[float, str]] = []
        self.writes: dict[str, str] | None = {}
        self.working = False
        self.metrics = Metrics()
        self.elector = Elector(
            self.link, SETTINGS, name, self.clock, SeededRng(1),
            ElectionMetrics(self.metrics, "kcm"), logger("election"),
        )  # fmt: skip

    def tell(self, what: str) -> None:
        self.story.append((round(asyncio.get_running_loop().time(), 3), what))

    def elected(self, term: Term) -> None:
        self.terms.append(term)
        self.deadline = term.deadline
        self.working = True
        self.tell("elected")

    def renewed(self, deadline: float) -> None:
        self.deadline = deadline

    async def deposed(self, reason: str) -> None:
        self.tell(f"deposed: {reason}")
        await self.clock.sleep(self.stop_time)
        self.working = False
        self.tell("idle")

    def last_writes(self) -> Mapping[str, str] | None:
        return self.writes

    def believes(self) -> bool:
        return self.working and self.clock.boottime() < self.deadline


async def until(condition, limit: float) -> float:  # type: ignore[no-untyped-def]
    """Wait in steps of 10 ms; return how long it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not condition():
        assert loop.time() - began < limit, f"not within {limit} s"
        await VirtualClock().sleep(0.01)
    return loop.time() - began


def status(node: Node) -> float:
    (family,) = [family for family in node.metrics.read() if family.name == "leader_election_master_status"]
    return family.samples[0].value


def test_the_first_elector_creates_the_lease_and_leads_at_once() -> None:
    async def scenario() -> None:
        server = Server()
        a = Node("a", server)
        async with asyncio.TaskGroup() as group:
            group.create_task(a.elector.run(a))
            assert await until(a.believes, 1.0) < 0.2
            assert status(a) == 1
            assert (a.terms[0].previous, a.terms[0].graceful, a.terms[0].transitions) == ("", False, 0)
            await a.clock.sleep(600)
            assert a.believes()
            assert len(a.terms) == 1
            await a.elector.resign()
        assert status(a) == 0
        assert server.lease is not None
        assert server.lease.record.holder == ""
        assert server.lease.record.duration == 1

    run(scenario())


def test_a_standby_leads_at_once_when_the_leader_resigns_and_inherits_its_writes() -> None:
    async def scenario() -> None:
        server = Server()
        a, b = Node("a", server), Node("b", server)
        a.writes = {"pods": "1234", "replicasets.apps": "99"}
        async with asyncio.TaskGroup() as group:
            group.create_task(a.elector.run(a))
            await until(a.believes, 1.0)
            group.create_task(b.elector.run(b))
            await a.clock.sleep(30)
            group.create_task(a.elector.resign())
            took = await until(b.believes, 5.0)
            assert took < a.stop_time + 0.2
            assert not a.working
            term = b.terms[0]
            assert (term.previous, term.graceful, term.transitions) == ("", True, 1)
            assert term.last_writes.versions == {"pods": "1234", "replicasets.apps": "99"}
            await b.elector.resign()

    run(scenario())


def test_the_lease_is_not_released_before_work_has_ended_and_is_renewed_meanwhile() -> None:
    async def scenario() -> None:
        server = Server()
        a, b = Node("a", server, stop_time=60.0), Node("b", server)
        async with asyncio.TaskGroup() as group:
            group.create_task(a.elector.run(a))
            await until(a.believes, 1.0)
            group.create_task(b.elector.run(b))
            await a.clock.sleep(5)
            group.create_task(a.elector.resign())
            for _ in range(590):
                await a.clock.sleep(0.1)
                assert a.believes()
                assert not b.terms
            assert await until(b.believes, 2.0) < 1.5
            await b.elector.resign()

    run(scenario())


def test_cancelling_run_deposes_releases_and_ends() -> None:
    async def scenario() -> None:
        server = Server()
        a = Node("a", server)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(a.elector.run(a))
            await until(a.believes, 1.0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
        assert server.lease is not None
        assert server.lease.record.holder == ""
        assert [what for _, what in a.story] == ["elected", "deposed: asked to stop", "idle"]
        assert len(asyncio.all_tasks()) == 1

    run(scenario())


def test_a_killed_leader_is_succeeded_when_its_lease_expires() -> None:
    async def scenario() -> None:
        server = Server()
        a, b = Node("a", server), Node("b", server)
        a.writes = {"pods": "7"}
        async with asyncio.TaskGroup() as group:
            dying = group.create_task(a.elector.run(a))
            await until(a.believes, 1.0)
            group.create_task(b.elector.run(b))
            await a.clock.sleep(30.7)
            a.link.down = True
            dying.cancel()
            dying.cancel()
            killed = asyncio.get_running_loop().time()
            await until(lambda: bool(b.terms), 20.0)
            assert asyncio.get_running_loop().time() - killed <= SETTINGS.lease_duration + 0.5
            assert (b.terms[0].previous, b.terms[0].graceful) == ("a", False)
            assert b.terms[0].last_writes.versions == {"pods": "7"}
            assert server.lease is not None
            assert server.lease.record.transitions == 1
            await b.elector.resign()

    run(scenario())


def test_a_leader_cut_off_stops_by_its_deadline_and_before_its_successor_starts() -> None:
    async def scenario() -> None:
        server = Server()
        a, b = Node("a", server), Node("b", server)
        async with asyncio.TaskGroup() as group:
            group.create_task(a.elector.run(a))
            await until(a.believes, 1.0)
            group.create_task(b.elector.run(b))
            await a.clock.sleep(30)
            a.link.down = True
            lost = await until(lambda: len(a.story) > 1, 11.0)
            assert lost <= SETTINGS.renew_deadline
            assert await until(b.believes, 10.0) >= SETTINGS.lease_duration - SETTINGS.renew_deadline - 0.1
            a.link.down = False
            await a.clock.sleep(30)
            assert not a.believes()
            await b.elector.resign()
            await until(a.believes, 2.0)
            await a.elector.resign()

    run(scenario())


def test_the_first_thing_after_a_suspension_is_to_stop_leading() -> None:
    async def scenario() -> None:
        server = Server()
        a = Node("a", server)
        async with asyncio.TaskGroup() as group:
            group.create_task(a.elector.run(a))
            await until(a.believes, 1.0)
            await a.clock.sleep(20.5)
            a.clock.suspend(60.0)
            assert not a.believes()
            assert await until(lambda: len(a.story) > 1, 1.0) <= 0.5
            assert a.story[1][1] == "deposed: no renewal succeeded before the deadline"
            # Its own record needs no waiting for.
            assert await until(a.believes, 2.0) < 1.0
            await a.elector.resign()

    run(scenario())


def test_steps_of_the_wall_clock_change_nothing() -> None:
    async def scenario() -> None:
        server = Server()
        a, b = Node("a", server), Node("b", server)
        async with asyncio.TaskGroup() as group:
            group.create_task(a.elector.run(a))
            await until(a.believes, 1.0)
            group.create_task(b.elector.run(b))
            for seconds in (3600, -7200, 86400, -90000):
                a.clock.step_wall(seconds)
                b.clock.step_wall(-seconds)
                await a.clock.sleep(60)
                assert a.believes()
            assert not b.terms
            await a.elector.resign()
            await b.elector.resign()

    run(scenario())


class Drifting(VirtualClock):
    """A clock that runs at another rate than the world's."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self._rate = rate

    def monotonic(self) -> float:
        return super().monotonic() * self._rate

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds / self._rate)


@pytest.mark.parametrize("rates", [(1.0, 1.4), (1 / 1.4, 1.0), (1.4, 1.0)], ids=["hasty", "slow", "early"])
def test_clocks_that_run_at_rates_of_7_to_5_never_make_two_leaders(rates: tuple[float, float]) -> None:
    """Fault 35: a lease is half as long again as its deadline. Twice the rate is beyond what is promised."""

    async def scenario() -> None:
        server = Server()
        a, b = (Node(name, server, clock=Drifting(rate)) for name, rate in zip("ab", rates, strict=True))
        together = 0
        async with asyncio.TaskGroup() as group:
            for node in (a, b):
                group.create_task(node.elector.run(node))
                await until(lambda: a.believes() or b.believes(), 1.0)
            for cut in (None, a, b, a, b):
                if cut is not None:
                    cut.link.down = True
                for _ in range(4000):
                    await VirtualClock().sleep(0.01)
                    together += a.believes() and b.believes()
                if cut is not None:
                    assert not cut.believes()
                    cut.link.down = False
                    await until(lambda: a.believes() or b.believes(), 40.0)
            await a.elector.resign()
            await b.elector.resign()
        assert together == 0
        assert a.terms
        assert b.terms

    run(scenario())


@pytest.mark.parametrize("what", ["blind", "deaf"])
def test_without_a_working_watch_polling_still_notices_a_release(what: str) -> None:
    async def scenario() -> None:
        server = Server()
        a, b = Node("a", server), Node("b", server)
        setattr(b.link, what, True)
        async with asyncio.TaskGroup() as group:
            group.create_task(a.elector.run(a))
            await until(a.believes, 1.0)
            group.create_task(b.elector.run(b))
            await a.clock.sleep(31)
            group.create_task(a.elector.resign())
            took = await until(b.believes, 10.0)
            assert took < (1.7 if what == "deaf" else 2 * SETTINGS.retry_period + 1)
            await b.elector.resign()

    run(scenario())


def test_a_lease_that_rested_for_longer_than_the_server_remembers_is_no_trouble() -> None:
    async def scenario() -> None:
        server = Server()
        a, b = Node("a", server), Node("b", server)
        b.link.forgetful = True
        async with asyncio.TaskGroup() as group:
            group.create_task(a.elector.run(a))
            await until(a.believes, 1.0)
            group.create_task(b.elector.run(b))
            await a.clock.sleep(31)
            assert b.elector.standing().errors == ()
            group.create_task(a.elector.resign())
            assert await until(b.believes, 10.0) < 1.7
            await b.elector.resign()

    run(scenario())


def test_a_leader_whose_lease_is_deleted_puts_it_back_and_leads_on() -> None:
    async def scenario() -> None:
        server = Server()
        a, b = Node("a", server), Node("b", server)
        async with asyncio.TaskGroup() as group:
            group.create_task(a.elector.run(a))
            await until(a.believes, 1.0)
            group.create_task(b.elector.run(b))
            await a.clock.sleep(30)
            server.delete()
            await until(lambda: server.lease is not None, 1.0)
            await a.clock.sleep(60)
            assert a.believes()
            assert len(a.terms) == 1
            assert not b.terms
            await a.elector.resign()
            await b.elector.resign()

    run(scenario())


def test_a_forged_holder_stops_the_leader_and_is_outlived() -> None:
    async def scenario() -> None:
        server = Server()
        a, b = Node("a", server), Node("b", server)
        async with asyncio.TaskGroup() as group:
            group.create_task(a.elector.run(a))
            await until(a.believes, 1.0)
            group.create_task(b.elector.run(b))
            await a.clock.sleep(30)
            assert server.lease is not None
            server.put(replace(server.lease.record, holder="mallory", renewed="", acquired=""))
            assert await until(lambda: not a.believes(), 1.0) < 0.5
            assert a.story[1][1] == "deposed: the Lease is held by mallory"
            assert await until(lambda: a.believes() or b.believes(), 17.0) > 14.0
            await a.elector.resign()
            await b.elector.resign()

    run(scenario())


def test_what_a_follower_raises_ends_the_election_without_a_release() -> None:
    class Broken(Node):
        async def deposed(self, reason: str) -> None:
            raise RuntimeError("workers do not end")

    async def scenario() -> None:
        server = Server()
        a = Broken("a", server)

        async def lead() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(a.elector.run(a))
                await until(a.believes, 1.0)
                await a.elector.resign()

        with pytest.raises(ExceptionGroup):
            await lead()
        assert server.lease is not None
        assert server.lease.record.holder == "a"

    run(scenario())


@pytest.mark.parametrize("seed", range(8))
def test_electors_under_random_faults_never_lead_together_and_one_always_leads_again(seed: int) -> None:
    async def scenario() -> None:
        rng = Random(seed)
        server = Server()
        rate = rng.choice([0.0, 0.05, 0.2, 0.4])
        nodes = [
            Node(name, server, link=Link(server, Random(seed * 10 + number), rate))
            for number, name in enumerate("abc"[: rng.choice([2, 3])])
        ]
        clock = VirtualClock()

        async def trouble() -> None:
            for _ in range(20):
                await clock.sleep(rng.uniform(1, 60))
                link = rng.choice(nodes).link
                kind = rng.choice(["down", "blind", "deaf"])
                setattr(link, kind, True)
                rng.choice(nodes).clock.step_wall(rng.uniform(-5000, 5000))
                await clock.sleep(rng.uniform(0.5, 40))
                setattr(link, kind, False)

        async def judge() -> None:
            while True:
                believers = [node.name for node in nodes if node.believes()]
                assert len(believers) <= 1, (clock.monotonic(), believers)
                await clock.sleep(0.05)

        async with asyncio.TaskGroup() as group:
            judging = group.create_task(judge())
            for node in nodes:
                group.create_task(node.elector.run(node))
            await trouble()
            for node in nodes:
                node.link.rate = 0.0
                node.link.down = node.link.blind = node.link.deaf = False
            await until(lambda: any(node.believes() for node in nodes), SETTINGS.lease_duration + 2)
            for node in nodes:
                await node.elector.resign()
            judging.cancel()
        assert server.lease is not None
        assert server.lease.record.holder == ""

    run(scenario())
