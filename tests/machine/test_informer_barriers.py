"""Barriers of the informer factory: what they wait for, and what must not end the daemon."""

import asyncio
from types import SimpleNamespace

import msgspec
import pytest

from kcm.base.errors import KcmError
from kcm.base.rng import SeededRng
from kcm.cache.changes import SET, Change
from kcm.cache.feed import Changes, FeedData
from kcm.cache.freshness import ReflectorStopped
from kcm.cache.projection import LEAF, Fields
from kcm.cache.watchspec import WatchSpec
from kcm.client.errors import Status, error_of
from kcm.client.transport import NotSent
from kcm.manager.informers import Informers
from kcm.objects import Pod
from kcm.telemetry.metrics import Metrics
from kcm.testing.virtual import VirtualClock, run

SPEC = WatchSpec(Pod.resource_type())
TROUBLE = [
    pytest.param(NotSent("refused"), id="the server is away"),
    pytest.param(error_of("GET pods", Status(code=503, message="no"), None), id="it fails"),
    pytest.param(KcmError("pods: not a list"), id="it answers rubbish"),
    pytest.param(ReflectorStopped("replaced"), id="the reflector was replaced"),
]


class Outlet:
    """A host's end that can stop reading."""

    def __init__(self):
        self.payloads, self.congested, self._waiting = [], False, []

    def send(self, payload):
        self.payloads.append(payload)

    def when_clear(self, callback):
        self._waiting.append(callback)

    def clear(self):
        self.congested = False
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()


class Reflector:
    """Fails its barriers by a script, then passes them."""

    spec = SPEC

    def __init__(self, store, script):
        self.store, self.script = store, list(script)

    async def run(self):
        await asyncio.get_running_loop().create_future()

    async def barrier(self):
        await asyncio.sleep(1.0)
        if self.script:
            raise self.script.pop(0)

    async def reached(self, version):
        await self.barrier()


def change(version):
    body = b'{"metadata":{"name":"a","resourceVersion":"%d"}}' % version
    return Change(SET, "a", str(version), body)


def play(scenario, script=()):
    async def main():
        clock = VirtualClock()
        informers = Informers(
            lambda spec, projection, store: Reflector(store, script), clock, SeededRng(1), Metrics()
        )
        running = asyncio.create_task(informers.run())
        await asyncio.sleep(0)
        outlet = Outlet()
        subscription = informers.subscribe(SPEC, LEAF, outlet, 0)
        stage = SimpleNamespace(
            informers=informers,
            outlet=outlet,
            subscriptions=[subscription],
            store=informers.informers[SPEC].store,
        )
        try:
            async with asyncio.timeout(1000.0):
                await scenario(stage)
        finally:
            running.cancel()
            await asyncio.wait((running,))

    run(main())


@pytest.mark.parametrize("trouble", TROUBLE)
def test_a_barrier_outlasts(trouble):
    async def scenario(stage):
        await stage.informers.barrier(stage.subscriptions)
        assert asyncio.get_running_loop().time() > 3.0

    play(scenario, [trouble, trouble])


@pytest.mark.parametrize("trouble", TROUBLE)
def test_waiting_for_a_predecessors_write_outlasts(trouble):
    async def scenario(stage):
        await stage.informers.reached(stage.subscriptions, {str(SPEC.resource): "7"})
        assert asyncio.get_running_loop().time() > 3.0

    play(scenario, [trouble, trouble])


def test_a_barrier_passes_only_when_a_host_that_is_behind_was_sent_the_data():
    async def scenario(stage):
        stage.store.replace([change(3)], "5")
        stage.outlet.congested = True
        stage.store.apply([change(7)])
        passing = asyncio.create_task(stage.informers.barrier(stage.subscriptions))
        await asyncio.sleep(5.0)
        assert not passing.done()
        stage.outlet.clear()
        await passing
        newest = msgspec.json.decode(stage.outlet.payloads[-1], type=FeedData)
        assert isinstance(newest, Changes)
        assert newest.version == "7"

    play(scenario)


def test_hosts_of_one_start_share_the_first_watch_whatever_each_of_them_needs():
    async def main():
        started = []

        class Counted(Reflector):
            async def run(self):
                started.append(self.projection)
                await super().run()

        def make(spec, projection, store):
            reflector = Counted(store, ())
            reflector.projection = projection
            return reflector

        informers = Informers(make, VirtualClock(), SeededRng(1), Metrics())
        informers.expect(["first", "second", "never"])
        running = asyncio.create_task(informers.run())
        await asyncio.sleep(0)
        needs = [Fields((("metadata", LEAF),)), Fields((("metadata", LEAF), ("spec", LEAF)))]
        subscriptions = []
        for number, host in enumerate(("first", "second")):
            subscriptions.append(informers.subscribe(SPEC, needs[number], Outlet(), number))
            informers.declared(host)
            await asyncio.sleep(0.4)
            assert started == []
        await asyncio.sleep(0.3)
        assert started == [needs[1]]
        await informers.barrier(subscriptions)
        running.cancel()

    run(main())
