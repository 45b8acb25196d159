"""A server that comes back on its data directory, and what may leave it before the disk has it."""

import asyncio
import json

import pytest

from kcm.base.rng import SeededRng
from kcm.sandbox.api import ApiServer
from kcm.sandbox.api.durable import Durability
from kcm.sandbox.storage.vault import StorageFailed, Vault
from kcm.serving.http import ConnectionLost, Request
from kcm.testing.leaping import LeapingClock, LeapingLoop

MAPS = "/api/v1/namespaces/default/configmaps"
EVENTS = "/api/v1/namespaces/default/events"
EVENT = {
    "metadata": {"name": "e"},
    "involvedObject": {"kind": "Pod", "namespace": "default", "name": "x"},
    "reason": "Test",
    "type": "Normal",
}


class Life:
    """One life of a server, in a process of its own as far as it can tell."""

    def __init__(self, loop, clock, directory):
        self.loop = loop
        self.clock = clock
        self.durability = Durability(directory, clock)
        self.api = ApiServer(clock, SeededRng(1), durability=self.durability)
        self.handle = self.durability.guard(self.api.handle)

    async def ask(self, method, path, body=None):
        target, _, query = path.partition("?")
        pairs = tuple(tuple(part.split("=", 1)) for part in query.split("&")) if query else ()
        encoded = b"" if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        answer = await self.handle(Request(method, target, pairs, headers, encoded))
        if isinstance(answer.body, bytes):
            return answer.status, json.loads(answer.body)
        return answer.status, answer.body


def live(directory, scenario, after=0.0):
    """Run a scenario on a server of the directory; `after` seconds have passed since the last life."""

    async def run():
        clock = LeapingClock(loop)
        clock.step_wall(after)
        life = Life(loop, clock, directory)
        built_in = loop.create_task(life.api.run())
        try:
            return await scenario(life)
        finally:
            built_in.cancel()
            await life.durability.close()

    loop = LeapingLoop()
    try:
        return loop.run_until_complete(run())
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def test_an_event_expires_when_it_would_have(tmp_path):
    async def first(life):
        assert (await life.ask("POST", EVENTS, EVENT))[0] == 201
        await life.loop.leap(3000)

    async def second(life):
        assert (await life.ask("GET", f"{EVENTS}/e"))[0] == 200
        await life.loop.leap(720)
        assert (await life.ask("GET", f"{EVENTS}/e"))[0] == 404

    live(tmp_path, first)
    live(tmp_path, second, after=3000)


def test_custom_resources_are_served_again_at_once(tmp_path):
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}},
    }
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    definition = {
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "scope": "Namespaced",
            "versions": [version],
        },
    }
    widgets = "/apis/example.com/v1/namespaces/default/widgets"
    widget = {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "w"},
        "spec": {"size": 3},
    }

    async def first(life):
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        assert (await life.ask("POST", path, definition))[0] == 201
        await life.loop.leap(5)
        assert (await life.ask("POST", widgets, widget))[0] == 201

    async def second(life):
        status, found = await life.ask("GET", f"{widgets}/w")
        assert (status, found["spec"]) == (200, {"size": 3})

    live(tmp_path, first)
    live(tmp_path, second)


def test_a_clock_that_was_set_back_does_not_take_versions_back(tmp_path):
    async def life_of(life):
        return int((await life.ask("GET", MAPS))[1]["metadata"]["resourceVersion"])

    ahead = live(tmp_path, life_of, after=86400.0)
    assert live(tmp_path, life_of) >= ahead


def test_neither_an_answer_nor_an_event_leaves_before_the_disk_has_it(tmp_path, monkeypatch):
    async def scenario(life):
        version = (await life.ask("GET", MAPS))[1]["metadata"]["resourceVersion"]
        watch = (await life.ask("GET", f"{MAPS}?watch=true&resourceVersion={version}"))[1]
        held, write = asyncio.Event(), Vault.write
        loop = asyncio.get_running_loop()

        def slow(vault, rows, gone, version):
            asyncio.run_coroutine_threadsafe(held.wait(), loop).result()
            write(vault, rows, gone, version)

        monkeypatch.setattr(Vault, "write", slow)
        answer = loop.create_task(life.ask("POST", MAPS, {"metadata": {"name": "a"}}))
        event = loop.create_task(anext(watch))
        reader = loop.create_task(life.ask("GET", f"{MAPS}/a"))
        for _ in range(50):
            await asyncio.sleep(0)
        assert "default/a" in life.api.store.collection("", "configmaps").records
        assert not any(each.done() for each in (answer, event, reader))
        held.set()
        assert (await answer)[0] == 201
        assert json.loads(await event)["object"]["metadata"]["name"] == "a"
        assert (await reader)[0] == 200
        await watch.aclose()

    live(tmp_path, scenario)


def test_when_the_disk_fails_nobody_is_answered_and_the_server_ends(tmp_path, monkeypatch):
    async def scenario(life):
        def full(vault, rows, gone, version):
            raise StorageFailed("no room")

        assert (await life.ask("POST", MAPS, {"metadata": {"name": "kept"}}))[0] == 201
        monkeypatch.setattr(Vault, "write", full)
        with pytest.raises(ConnectionLost):
            await life.ask("POST", MAPS, {"metadata": {"name": "lost"}})
        with pytest.raises(ConnectionLost):
            await life.ask("GET", f"{MAPS}/lost")
        with pytest.raises(StorageFailed, match="no room"):
            await life.durability.run()

    async def after(life):
        assert (await life.ask("GET", f"{MAPS}/kept"))[0] == 200
        assert (await life.ask("GET", f"{MAPS}/lost"))[0] == 404

    with monkeypatch.context():
        live(tmp_path, scenario)
    monkeypatch.undo()
    live(tmp_path, after)
