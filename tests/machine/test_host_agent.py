"""The life of a host from inside: when its workers work, what they may write, and how it ends."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace

import msgspec

from kcm import Controller, Done, Plan, RequeueAfter, owns, primary, writes
from kcm.base.rng import SeededRng
from kcm.cache.feed import ReplaceBegin, ReplaceEnd, ReplaceItems
from kcm.client.credentials import Credentials
from kcm.client.transport import Response
from kcm.host import messages
from kcm.host.agent import HostAgent
from kcm.objects import Pod, ReplicaSet
from kcm.testing.virtual import VirtualClock, run


def web(number):
    return msgspec.Raw(
        b'{"metadata":{"name":"web-%d","namespace":"default","uid":"u%d","resourceVersion":"5"},'
        b'"spec":{"template":{"metadata":{},"spec":{}}}}' % (number, number)
    )


class Scribbler(Controller[ReplicaSet, ReplicaSet]):
    """Deletes something each second, and never ends by itself."""

    name = "scribbler"
    watches = (primary(ReplicaSet),)
    writes = writes(ReplicaSet, "delete")

    def observe(self, cache, key):
        return cache.get(ReplicaSet, key)

    async def reconcile(self, ctx, seen):
        for _ in range(10_000):
            await asyncio.sleep(1.0)
            await ctx.apply(Plan.delete(seen, because="test"))
        return RequeueAfter(1.0)


class Stubborn(Scribbler):
    """A scribbler that does not let itself be cancelled for a while."""

    name = "stubborn"

    async def reconcile(self, ctx, seen):
        for _ in range(20):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(1.0)
            await ctx.apply(Plan.delete(seen, because="test"))
        return RequeueAfter(1.0)


class Patient(Scribbler):
    """Takes ten seconds for a key."""

    name = "patient"

    async def reconcile(self, ctx, seen):
        for _ in range(10):
            await asyncio.sleep(1.0)
            await ctx.apply(Plan.delete(seen, because="test"))
        return Done()


class Twofold(Scribbler):
    """Watches pods too."""

    name = "twofold"
    watches = (primary(ReplicaSet), owns(Pod))


class Stage:
    """A host and the manager's end of its channel."""

    def __init__(self):
        self.clock = VirtualClock()
        self.writes, self.frames = [], []
        transport = SimpleNamespace(host="test", send=self._send)
        self.agent = HostAgent(self._hear, lambda source, count: transport, self.clock, SeededRng(1))

    async def _send(self, request):
        if request.guard is not None:
            request.guard()
        self.writes.append(self.clock.boottime())
        return Response(200, {}, b"{}")

    def _hear(self, payload):
        self.frames.append(msgspec.json.decode(payload))

    @property
    def said(self):
        return [frame["type"] for frame in self.frames]

    def tell(self, *frames):
        for frame in frames:
            self.agent.receive(msgspec.json.encode(frame))

    def fill(self, controller):
        task = messages.ControllerTask("scribbler", f"{__name__}:{controller}", 1, 0.0, 1, 60.0, 1e6)
        credentials = Credentials(server="http://x")
        self.tell(
            messages.Configure(*("h", 1, "test", (task,), credentials, 1.0, 1.0, 1, 0.0, "info", "json", 1.0))
        )

    def feed(self, count):
        items = tuple(web(number) for number in range(count))
        self.tell(ReplaceBegin(0), ReplaceItems(0, items), ReplaceEnd(0, "5"))


def play(scenario, controller="Scribbler", keys=1):
    """Run `scenario(stage, living)` on a host that is filled; `living` ends when the host may end."""

    async def main():
        stage = Stage()
        living = asyncio.create_task(stage.agent.run())
        try:
            stage.fill(controller)
            await asyncio.sleep(0.01)
            stage.feed(keys)
            async with asyncio.timeout(10_000):
                await scenario(stage, living)
        finally:
            living.cancel()
            await asyncio.wait((living,))

    run(main())


def test_a_standby_is_filled_and_does_not_work():
    async def scenario(stage, living):
        await asyncio.sleep(10.0)
        assert stage.said[:2] == ["declare", "synced"]
        stage.tell(messages.Renew(100.0))
        await asyncio.sleep(10.0)
        assert not stage.writes

    play(scenario)


def test_a_host_is_filled_when_all_its_watches_are():
    async def scenario(stage, living):
        assert "synced" not in stage.said
        stage.tell(ReplaceBegin(1), ReplaceEnd(1, "7"))
        assert stage.said[-1] == "synced"

    play(scenario, "Twofold")


def test_a_host_that_hears_of_no_renewal_writes_until_the_deadline_and_not_after():
    async def scenario(stage, living):
        stage.tell(messages.Lead(20.0))
        await asyncio.sleep(60.0)
        assert 15 <= len(stage.writes) <= 20
        assert max(stage.writes) < 20.0
        stage.tell(messages.Renew(70.0))
        await asyncio.sleep(60.0)
        assert 60.0 < max(stage.writes) < 70.0

    play(scenario)


def test_a_host_that_slept_past_the_deadline_writes_nothing_when_it_wakes():
    async def scenario(stage, living):
        stage.tell(messages.Lead(20.0))
        await asyncio.sleep(5.5)
        written = len(stage.writes)
        assert written
        stage.clock.suspend(60.0)
        await asyncio.sleep(10.0)
        assert len(stage.writes) == written

    play(scenario)


def test_a_host_that_loses_its_manager_writes_nothing_more_and_ends_at_once():
    async def scenario(stage, living):
        stage.tell(messages.Lead(1000.0))
        await asyncio.sleep(5.5)
        written = len(stage.writes)
        assert written
        lost_at = stage.clock.monotonic()
        stage.agent.lost()
        stage.tell(messages.Renew(2000.0))
        await living
        assert stage.clock.monotonic() - lost_at < 0.1
        await asyncio.sleep(10.0)
        assert len(stage.writes) == written

    play(scenario)


def test_a_host_that_is_asked_to_stop_finishes_what_is_under_way_and_begins_nothing_more():
    async def scenario(stage, living):
        stage.tell(messages.Lead(1000.0))
        await asyncio.sleep(1.5)
        begun = len(stage.writes)
        stage.tell(messages.Stop(60.0))
        async with asyncio.timeout(15.0):
            await living
        assert begun < len(stage.writes) <= 10, "a hundred keys wait, and are the successor's"

    play(scenario, "Patient", 100)


def test_deletions_that_the_feed_has_not_confirmed_are_not_vouched_for():
    async def scenario(stage, living):
        stage.tell(messages.Lead(1000.0))
        await asyncio.sleep(1.5)
        stage.tell(messages.Stop(0.0))
        await living
        assert stage.frames[-1] == {"type": "stopped", "last_writes": {}, "complete": False}

    play(scenario)


def test_a_controller_that_will_not_be_ended_writes_nothing_once_the_manager_is_lost():
    async def scenario(stage, living):
        stage.tell(messages.Lead(1000.0))
        await asyncio.sleep(5.5)
        written = len(stage.writes)
        assert written
        stage.agent.lost()
        stage.tell(messages.Renew(2000.0))
        await living
        assert len(stage.writes) == written

    play(scenario, "Stubborn")


def test_workers_that_outlast_the_grace_are_ended_before_the_host_says_that_it_has_stopped():
    async def scenario(stage, living):
        stage.tell(messages.Lead(1000.0))
        await asyncio.sleep(5.5)
        stage.tell(messages.Stop(3.0))
        async with asyncio.timeout(5.0):
            await living
        assert stage.said[-1] == "stopped"
        ended_at = stage.clock.boottime()
        await asyncio.sleep(10.0)
        assert ended_at - 2.0 < max(stage.writes) <= ended_at, "it worked on within its grace, not after"

    play(scenario)
