"""examples/03_network: the session of its README, and everything that can go wrong outside."""

from __future__ import annotations

import asyncio
import importlib
import io
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
import yaml

from kcm.cli.crd import definitions_of
from kcm.config.loader import load
from kcm.config.schema import Configuration
from kcm.telemetry import logging
from kcm.testing.virtual import run
from kcm.testing.world import Daemon, Json, World

FOLDER = Path(__file__).parents[2] / "examples" / "03_network"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NETWORKS = "/apis/samplecrd.k8s.io/v1/namespaces/default/networks"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
MODULES = ("network", "network_client", "network_service", "deployment_networks")

Story = Callable[["Outside", World, Daemon], Awaitable[None]]


class Outside:
    """The network service, without the wire: its own database file, and its moods."""

    def __init__(self, modules: dict[str, ModuleType], file: Path) -> None:
        self._client = modules["network_client"]
        self._refusal = modules["network_service"].Refusal
        self.database = modules["network_service"].Database(str(file))
        self.delay = 0.0
        self.down = False
        self.asked = 0

    def ranges(self) -> list[str]:
        return sorted(each["cidr"] for each in self.database.everything().values())

    async def find(self, identity: str) -> Any:
        await self._be_moody()
        found = self.database.find(identity)
        return msgspec.convert(found, self._client.External) if found else None

    async def put(self, identity: str, network: Any) -> None:
        await self._be_moody()
        try:
            self.database.put(identity, msgspec.to_builtins(network))
        except self._refusal as error:
            raise self._client.Refused(str(error)) from None

    async def remove(self, identity: str) -> None:
        await self._be_moody()
        self.database.remove(identity)

    async def _be_moody(self) -> None:
        self.asked += 1
        await asyncio.sleep(self.delay)
        if self.down:
            raise ConnectionRefusedError("nobody listens")


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    monkeypatch.syspath_prepend(str(FOLDER))
    yield {name: importlib.import_module(name) for name in MODULES}
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logging.configure("info", "json", "test", stream=stream)
    yield stream
    logging.shutdown()


@pytest.fixture
def play(
    modules: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., None]]:
    outside = Outside(modules, tmp_path / "networks.db")
    # The one thing that is exchanged: what connects to the service.
    monkeypatch.setattr(modules["network"].NetworkController, "connect", staticmethod(lambda _: outside))

    def play(story: Story, *, defined: bool = True, nodes: int = 0) -> None:
        async def main() -> None:
            async with World(nodes=nodes, configuration=configuration()) as world:
                if defined:
                    await world.call("POST", CRDS, document("crd.yaml"))
                    await world.clock.sleep(1)
                daemon = start(world)
                await story(outside, world, daemon)
                await daemon.stop()

        run(main())

    yield play
    outside.database.close()


def configuration() -> Configuration:
    """Return the example's configuration, without rate limit and pages."""
    own = load(str(FOLDER / "kcm.yaml"))
    replace = msgspec.structs.replace
    return replace(own, client=replace(own.client, qps=0.0), serving=replace(own.serving, enabled=False))


def start(world: World) -> Daemon:
    sections = load(str(FOLDER / "kcm.yaml")).controllers
    return world.start({name: str(section.implementation) for name, section in sections.items()})


def document(name: str) -> Json:
    found: Json = yaml.safe_load((FOLDER / name).read_text())
    return found


async def ready(world: World, name: str = "example-network") -> tuple[str, str]:
    """Return status and reason of a Network's condition."""
    conditions = (await world.call("GET", f"{NETWORKS}/{name}")).get("status", {}).get("conditions", [])
    return next(((each["status"], each["reason"]) for each in conditions), ("", ""))


async def created(outside: Outside, world: World) -> None:
    await world.call("POST", NETWORKS, document("network.yaml"))
    await world.until(lambda: is_ready(world))
    assert outside.ranges() == ["192.168.0.0/16"]


async def is_ready(world: World) -> bool:
    return await ready(world) == ("True", "Made")


async def gone(world: World) -> bool:
    return await world.items(NETWORKS) == []


def test_the_definition_beside_it_is_what_kcm_prints(modules: dict[str, ModuleType]) -> None:
    (printed,) = definitions_of(f"{FOLDER}/network.py:Network")
    assert printed == document("crd.yaml")


def test_it_starts_before_its_type_exists_says_so_and_recovers(play: Any, log: io.StringIO) -> None:
    async def story(outside: Outside, world: World, daemon: Daemon) -> None:
        await world.clock.sleep(60)
        await world.call("POST", CRDS, document("crd.yaml"))
        await world.clock.sleep(30)
        await created(outside, world)

    play(story, defined=False)
    logging.shutdown()
    told = [json.loads(line) for line in log.getvalue().splitlines()]
    reasons = [str(each.get("reason")) for each in told if each["message"] == "watch in trouble"]
    assert any(
        "networks.samplecrd.k8s.io: the server does not know this resource" in each for each in reasons
    )
    assert any(each["message"] == "watch works again" for each in told)
    waits = [each for each in told if each["message"] == "controllers wait for their watches"]
    whom = {each["controllers"][0]: each["watches"] for each in waits}
    assert whom["network"] == ["networks.samplecrd.k8s.io"]


def test_what_is_outside_follows_what_is_inside(play: Any) -> None:
    async def story(outside: Outside, world: World, daemon: Daemon) -> None:
        await created(outside, world)
        held = await world.call("GET", f"{NETWORKS}/example-network")
        assert held["metadata"]["finalizers"] == ["samplecrd.k8s.io/network"]
        assert held["status"]["externalId"] == held["metadata"]["uid"]
        changed = {"spec": {"cidr": "172.16.0.0/16", "gateway": "172.16.0.1"}}
        await world.patch(f"{NETWORKS}/example-network", changed)
        await world.clock.sleep(2)
        assert outside.ranges() == ["172.16.0.0/16"]
        await world.call("DELETE", f"{NETWORKS}/example-network")
        await world.until(lambda: gone(world))
        assert outside.ranges() == []

    play(story)


def test_what_was_removed_or_changed_by_hand_outside_is_put_right_at_a_resync(play: Any) -> None:
    async def story(outside: Outside, world: World, daemon: Daemon) -> None:
        await created(outside, world)
        ((identity, _),) = outside.database.everything().items()
        outside.database.remove(identity)
        await world.clock.sleep(61)
        assert outside.ranges() == ["192.168.0.0/16"]
        outside.database.put(identity, {"cidr": "10.9.0.0/16"})
        await world.clock.sleep(61)
        assert outside.ranges() == ["192.168.0.0/16"]

    play(story)


def test_once_all_is_right_it_asks_outside_and_writes_nothing(play: Any) -> None:
    async def story(outside: Outside, world: World, daemon: Daemon) -> None:
        await created(outside, world)
        await world.clock.sleep(5)
        asked, written = outside.asked, world.writes
        await world.clock.sleep(600)
        # One look per resync, each 30 to 60 s.
        assert 9 <= outside.asked - asked <= 21
        assert world.writes == written

    play(story)


def test_a_service_that_is_down_is_told_of_and_tried_again(play: Any, log: io.StringIO) -> None:
    async def story(outside: Outside, world: World, daemon: Daemon) -> None:
        outside.down = True
        await world.call("POST", NETWORKS, document("network.yaml"))
        await world.clock.sleep(5)
        assert await ready(world) == ("Unknown", "Unreachable")
        await world.clock.sleep(60)
        # Every ten seconds, as the controller says; not as fast as it can.
        assert outside.asked <= 12
        outside.down = False
        await world.until(lambda: is_ready(world), within=11)
        assert outside.ranges() == ["192.168.0.0/16"]

    play(story)
    assert "the network service cannot be asked: nobody listens" in log.getvalue()


def test_a_slow_service_is_given_up_and_keeps_nobody_waiting(play: Any) -> None:
    async def story(outside: Outside, world: World, daemon: Daemon) -> None:
        await created(outside, world)
        outside.delay = 30.0
        await world.patch(f"{NETWORKS}/example-network", {"spec": {"cidr": "172.16.0.0/16", "gateway": ""}})
        await world.call("POST", DEPLOYMENTS, document("deployment.yaml"))
        await world.clock.sleep(2)
        # The other controller has done its part meanwhile.
        assert [each["metadata"]["name"] for each in await world.items(NETWORKS)] == [
            "example-network",
            "web",
        ]
        await world.clock.sleep(5)
        condition = (await world.call("GET", f"{NETWORKS}/example-network"))["status"]["conditions"][0]
        assert condition["message"] == "the network service did not answer within 5 s"
        outside.delay = 0.5
        await world.clock.sleep(60)
        assert outside.ranges() == ["10.1.0.0/24", "172.16.0.0/16"]

    play(story)


def test_what_the_service_refuses_is_told_and_not_asked_again_until_it_changes(play: Any) -> None:
    async def story(outside: Outside, world: World, daemon: Daemon) -> None:
        await created(outside, world)
        other = {**document("network.yaml"), "metadata": {"name": "other"}}
        other["spec"] = {"cidr": "192.168.7.0/24"}
        await world.call("POST", NETWORKS, other)
        await world.clock.sleep(5)
        assert await ready(world, "other") == ("False", "Refused")
        told = await world.items("/api/v1/namespaces/default/events")
        assert any("192.168.7.0/24 overlaps 192.168.0.0/16" in each["message"] for each in told)
        asked = outside.asked
        await world.clock.sleep(20)
        assert outside.asked == asked
        await world.patch(f"{NETWORKS}/other", {"spec": {"cidr": "10.0.0.0/24"}})
        await world.clock.sleep(2)
        assert await ready(world, "other") == ("True", "Made")
        assert outside.ranges() == ["10.0.0.0/24", "192.168.0.0/16"]

    play(story)


def test_a_deletion_while_nothing_of_ours_runs_is_not_lost(play: Any) -> None:
    async def story(outside: Outside, world: World, daemon: Daemon) -> None:
        await created(outside, world)
        await daemon.stop()
        await world.call("DELETE", f"{NETWORKS}/example-network")
        await world.clock.sleep(3600)
        assert outside.ranges() == ["192.168.0.0/16"]
        outside.down = True
        start(world)
        await world.clock.sleep(60)
        assert not await gone(world)
        outside.down = False
        await world.until(lambda: gone(world))
        assert outside.ranges() == []

    play(story)


@pytest.mark.parametrize("crash_after", [1, 2, 3, 4])
def test_a_crash_behind_any_write_makes_no_second_network_and_loses_none(
    play: Any, modules: dict[str, ModuleType], crash_after: int
) -> None:
    async def story(outside: Outside, world: World, daemon: Daemon) -> None:
        await daemon.stop()
        crashing = world.start({"network": "network:NetworkController"}, crash_after=crash_after)
        await created(outside, world)
        await world.call("DELETE", f"{NETWORKS}/example-network")
        await world.until(lambda: gone(world))
        assert outside.ranges() == []
        await crashing.stop()

    play(story)


def test_a_dry_run_asks_nothing_outside(play: Any) -> None:
    async def story(outside: Outside, world: World, daemon: Daemon) -> None:
        await created(outside, world)
        await daemon.stop()
        await world.patch(f"{NETWORKS}/example-network", {"spec": {"cidr": "172.16.0.0/16", "gateway": ""}})
        await world.call("POST", NETWORKS, {**document("network.yaml"), "metadata": {"name": "other"}})
        asked = outside.asked
        rehearsal = world.start({"network": "network:NetworkController"}, identity="two", dry_run=True)
        await world.clock.sleep(120)
        assert outside.asked == asked
        other = await world.call("GET", f"{NETWORKS}/other")
        assert "finalizers" not in other["metadata"]
        await rehearsal.stop()

    play(story)


def test_a_deployment_that_asks_for_a_network_has_one_while_it_lives(play: Any) -> None:
    async def story(outside: Outside, world: World, daemon: Daemon) -> None:
        await world.call("POST", DEPLOYMENTS, document("deployment.yaml"))
        await world.clock.sleep(2)
        assert outside.ranges() == ["10.1.0.0/24"]
        (network,) = await world.items(NETWORKS)
        assert network["metadata"]["ownerReferences"][0]["name"] == "web"
        cidr = {"metadata": {"annotations": {"samplecrd.k8s.io/cidr": "10.2.0.0/24"}}}
        await world.patch(f"{DEPLOYMENTS}/web", cidr)
        await world.clock.sleep(2)
        assert outside.ranges() == ["10.2.0.0/24"]
        await world.call("DELETE", f"{NETWORKS}/web")
        await world.clock.sleep(5)
        assert outside.ranges() == ["10.2.0.0/24"], "a Network deleted by hand comes back"
        await world.call("DELETE", f"{DEPLOYMENTS}/web")
        await world.until(lambda: gone(world))
        assert outside.ranges() == []

    play(story)


def test_a_deployment_that_asks_no_more_loses_its_network(play: Any) -> None:
    async def story(outside: Outside, world: World, daemon: Daemon) -> None:
        await world.call("POST", DEPLOYMENTS, document("deployment.yaml"))
        await world.clock.sleep(2)
        await world.patch(
            f"{DEPLOYMENTS}/web", {"metadata": {"annotations": {"samplecrd.k8s.io/cidr": None}}}
        )
        await world.until(lambda: gone(world))
        assert outside.ranges() == []

    play(story)
