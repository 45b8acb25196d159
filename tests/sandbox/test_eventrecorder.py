"""The recorder with the whole daemon around it: who tells what, and what becomes of it when things fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import msgspec
import pytest

from kcm import Context, Controller, Done, Key, Result, emitted, primary
from kcm.config.schema import ControllerConfig
from kcm.objects import ConfigMap
from kcm.sandbox.api.faults import DropAfter, Fault, Refuse
from kcm.testing.virtual import run
from kcm.testing.world import WORKLOADS, World, deployment, quick_configuration, replica_set

MAPS = "/api/v1/namespaces/default/configmaps"
SETS = "/apis/apps/v1/namespaces/default/replicasets"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
CORE = "/api/v1/namespaces/default/events"
NEW = "/apis/events.k8s.io/v1/namespaces/default/events"
HERALD = {"herald": f"{__name__}:Herald"}

Json = dict[str, Any]


class Herald(Controller[ConfigMap, ConfigMap]):
    """Tells as many events as its config map says, all at once."""

    name = "herald"
    watches = (primary(ConfigMap),)

    def observe(self, cache: Any, key: Key) -> ConfigMap | None:
        found = cache.get(ConfigMap, key)
        # Each namespace has one of its own accord.
        return found if found is not None and "events" in found.data else None

    async def reconcile(self, ctx: Context, seen: ConfigMap) -> Result:
        for number in range(int(seen.data["events"])):
            ctx.emit(seen, "Normal", "Told", f"{seen.data['note']} {number}", action="Tell")
        return Done()


class Gossip(Controller[Any, Key]):
    """A recorder of a user's own: keeps the warnings."""

    name = "gossip"
    hears = emitted(type_="Warning")
    heard_of: ClassVar[list[str]] = []

    def observe(self, cache: Any, key: Key) -> Key:
        return key

    async def reconcile(self, ctx: Context, seen: Key) -> Result:
        for event in ctx.heard():
            self.heard_of.append(f"{seen}: {event.component}: {event.reason}")
            ctx.handled(event)
        return Done()


def story(scenario: Callable[[World], Awaitable[None]], **recorder: Any) -> None:
    """Run a scenario; `recorder` are the settings of the recorder."""
    section = ControllerConfig(settings=recorder)
    configuration = msgspec.structs.replace(quick_configuration(), controllers={"eventrecorder": section})

    async def play() -> None:
        async with World(configuration=configuration) as world:
            await scenario(world)

    run(play())


async def proclaim(world: World, name: str, events: int = 1, note: str = "note") -> None:
    """Have the herald tell so many events about a config map."""
    body = {"metadata": {"name": name}, "data": {"events": str(events), "note": note}}
    await world.call("POST", MAPS, body)


async def told(world: World, reason: str = "Told", path: str = NEW) -> list[Json]:
    """Return the events with that reason."""
    return [each for each in await world.items(path) if each["reason"] == reason]


async def tells(world: World, count: int) -> bool:
    return len(await told(world)) == count


def metrics(daemon: Any, name: str) -> float:
    """Return the sum of a metric's samples of the whole daemon."""
    lines = daemon.manager._exposition.render().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.split("{")[0].split(" ")[0] == name)


def test_a_rollout_is_told_by_the_names_that_people_know() -> None:
    async def act(world: World) -> None:
        daemon = world.start(WORKLOADS)
        await world.call("POST", DEPLOYMENTS, deployment("web", 2))
        await world.clock.sleep(20.0)
        found = await told(world, "ScalingReplicaSet") + await told(world, "SuccessfulCreate")
        assert {(each["reportingController"], each["reportingInstance"]) for each in found} == {
            ("deployment-controller", "deployment-controller-one"),
            ("replicaset-controller", "replicaset-controller-one"),
        }
        assert all(each["action"] and each["eventTime"] for each in found)
        assert len(found) == 3
        await daemon.stop()

    story(act)


def test_with_counts_on_request_old_tools_read_component_and_count() -> None:
    async def act(world: World) -> None:
        daemon = world.start(HERALD)
        await proclaim(world, "web")
        await world.clock.sleep(1.0)
        await world.patch(f"{MAPS}/web", {"data": {"more": "1"}})
        await world.clock.sleep(1.0)
        (found,) = await told(world, path=CORE)
        assert (found["count"], found["source"]["component"], found["message"]) == (2, "herald", "note 0")
        assert found["firstTimestamp"] < found["lastTimestamp"]
        assert found["involvedObject"]["name"] == "web"
        await daemon.stop()

    story(act, api="v1")


def test_the_events_of_an_object_are_written_in_their_order() -> None:
    async def act(world: World) -> None:
        daemon = world.start(HERALD)
        world.api.faults.add(Fault(DropAfter(), "create", "events", agent="eventrecorder", times=3))
        # Its role does not let it read events.
        world.api.faults.add(Fault(Refuse(403), "get", "events", agent="eventrecorder"))
        await proclaim(world, "web", 8)
        await world.until(lambda: tells(world, 8))
        found = sorted(await told(world), key=lambda each: int(each["metadata"]["resourceVersion"]))
        assert [each["note"] for each in found] == [f"note {number}" for number in range(8)]
        await daemon.stop()

    story(act)


def test_a_server_that_is_away_costs_no_event() -> None:
    async def act(world: World) -> None:
        daemon = world.start(HERALD)
        away = world.api.faults.add(Fault(Refuse(503), "create", "events", agent="eventrecorder"))
        for name in ("web", "db"):
            await proclaim(world, name, 3)
        await world.clock.sleep(40.0)
        assert not await told(world)
        world.api.faults.remove(away)
        await world.until(lambda: tells(world, 6))
        await daemon.stop()

    story(act)


def test_a_server_that_stays_away_is_asked_twelve_times() -> None:
    async def act(world: World) -> None:
        daemon = world.start(HERALD)
        away = world.api.faults.add(Fault(Refuse(500), "create", "events", "default", agent="eventrecorder"))
        await proclaim(world, "web", 1)
        await world.clock.sleep(600.0)
        assert world.api.faults.met(away) == 12
        await daemon.stop()

    story(act)


def test_a_refusal_is_not_argued_with() -> None:
    async def act(world: World) -> None:
        daemon = world.start(HERALD)
        refused = world.api.faults.add(
            Fault(Refuse(403, message="no"), "create", "events", "default", agent="eventrecorder")
        )
        await proclaim(world, "web", 3)
        await world.clock.sleep(60.0)
        assert world.api.faults.met(refused) == 3
        await daemon.stop()
        assert metrics(daemon, "kcm_events_dropped_total") == 3

    story(act)


def test_a_namespace_that_goes_away_is_not_fought() -> None:
    async def act(world: World) -> None:
        await world.call("POST", "/api/v1/namespaces", {"metadata": {"name": "doomed"}})
        daemon = world.start(HERALD)
        gone = world.api.faults.add(Fault(Refuse(404), "create", "events", "doomed", agent="eventrecorder"))
        body = {"metadata": {"name": "web"}, "data": {"events": "1", "note": "note"}}
        await world.call("POST", "/api/v1/namespaces/doomed/configmaps", body)
        await world.clock.sleep(60.0)
        assert world.api.faults.met(gone) == 1
        await daemon.stop()

    story(act)


def test_an_event_that_the_server_has_forgotten_is_told_anew_with_its_count() -> None:
    async def act(world: World) -> None:
        daemon = world.start(HERALD)
        await proclaim(world, "web")
        await world.until(lambda: tells(world, 1))
        (found,) = await told(world)
        await world.call("DELETE", f"{NEW}/{found['metadata']['name']}")
        await world.patch(f"{MAPS}/web", {"data": {"more": "1"}})
        await world.until(lambda: tells(world, 1))
        (again,) = await told(world)
        assert again["series"]["count"] == 2
        assert again["metadata"]["name"] != found["metadata"]["name"]
        await daemon.stop()

    story(act)


def test_a_burst_of_ten_thousand_costs_a_dozen_writes_and_is_counted_in_full() -> None:
    async def act(world: World) -> None:
        daemon = world.start(HERALD)
        await proclaim(world, "web", 10_000)
        await world.clock.sleep(400.0)
        found = await told(world)
        assert len(found) == 10
        assert sum(each.get("series", {"count": 1})["count"] for each in found) == 10_000
        await daemon.stop()
        assert metrics(daemon, "kcm_events_emitted_total") >= 10_000
        assert metrics(daemon, "kcm_events_written_total") <= 16

    story(act)


def test_what_is_queued_when_the_daemon_stops_is_written_first() -> None:
    async def act(world: World) -> None:
        daemon = world.start({**HERALD, "replicaset": WORKLOADS["replicaset"]})
        await world.until(lambda: leads(daemon))
        for number in range(40):
            await proclaim(world, f"web-{number}", 3)
        await world.clock.sleep(0.001)
        await daemon.stop()
        assert len(await told(world)) == 120
        lease = await world.items("/api/v1/namespaces/kube-system/events")
        assert {each["message"] for each in lease} == {"one became leader", "one stopped leading"}

    story(act)


def test_a_recorder_in_the_process_of_who_tells_has_the_last_word_too() -> None:
    async def play() -> None:
        shared = {name: ControllerConfig(process="one") for name in ("herald", "eventrecorder")}
        configuration = msgspec.structs.replace(quick_configuration(), controllers=shared)
        async with World(configuration=configuration) as world:
            daemon = world.start(HERALD)
            await world.until(lambda: leads(daemon))
            for number in range(10):
                await proclaim(world, f"web-{number}", 3)
            await world.clock.sleep(0.001)
            await daemon.stop()
            assert len(daemon.launcher.handles) == 1
            assert len(await told(world)) == 30

    run(play())


async def leads(daemon: Any) -> bool:
    return all(type(host.state).__name__ == "Leading" for host in daemon.manager.hosts)


def test_a_recorder_that_is_killed_loses_what_was_in_flight_and_no_more() -> None:
    async def act(world: World) -> None:
        daemon = world.start(HERALD)
        await world.until(lambda: leads(daemon))
        await proclaim(world, "before")
        await world.until(lambda: tells(world, 1))
        _, recorder = daemon.launcher.handles
        recorder.kill()
        for number in range(20):
            await proclaim(world, f"web-{number}")
        await world.until(lambda: tells(world, 21))
        assert [host.epoch for host in daemon.manager.hosts] == [1, 2]
        await daemon.stop()

    story(act)


def test_the_events_of_a_dead_leader_end_with_it_and_those_of_the_next_one_are_told() -> None:
    async def act(world: World) -> None:
        first = world.start(HERALD, identity="first")
        await world.until(lambda: leads(first))
        second = world.start(HERALD, identity="second")
        await world.clock.sleep(5.0)
        first.kill()
        await proclaim(world, "web")
        await world.until(lambda: tells(world, 1))
        (found,) = await told(world)
        assert found["reportingInstance"] == "herald-second"
        await second.stop()

    story(act)


def test_a_recorder_of_a_users_own_hears_what_it_asked_for() -> None:
    async def act(world: World) -> None:
        Gossip.heard_of.clear()
        own = {"gossip": f"{__name__}:Gossip", "replicaset": WORKLOADS["replicaset"]}
        daemon = world.start(own, recorder=False)
        world.api.faults.add(Fault(Refuse(403, message="quota"), "create", "pods", agent="kcm"))
        await world.call("POST", SETS, replica_set("web", 1))
        await world.clock.sleep(5.0)
        await daemon.stop()
        assert set(Gossip.heard_of) == {"default/web: replicaset-controller: FailedCreate"}

    story(act)


def test_without_a_recorder_the_controllers_work_and_what_they_tell_is_counted() -> None:
    async def act(world: World) -> None:
        daemon = world.start(HERALD, recorder=False)
        await proclaim(world, "web", 3)
        await world.clock.sleep(5.0)
        assert not await told(world)
        await daemon.stop()
        assert metrics(daemon, "kcm_events_dropped_total") == 5

    story(act)


@pytest.mark.parametrize("api", ["events.k8s.io/v1", "v1"])
def test_both_groups_see_the_same_event(api: str) -> None:
    async def act(world: World) -> None:
        daemon = world.start(HERALD)
        await proclaim(world, "web")
        await world.until(lambda: tells(world, 1))
        ((new,), (old,)) = await told(world), await told(world, path=CORE)
        assert new["note"] == old["message"] == "note 0"
        assert new["regarding"] == old["involvedObject"]
        await daemon.stop()

    story(act, api=api)
