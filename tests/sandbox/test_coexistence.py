"""kcm beside kube-controller-manager: it looks, refuses with the flags to set, waits, or takes over."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from kcm.base.errors import ConfigurationError
from kcm.base.timestamps import format_micro_time
from kcm.config.schema import Configuration
from kcm.manager.coexistence import counterparts
from kcm.sandbox.api import Delay, Fault, Refuse
from kcm.serving.http import Request
from kcm.testing.virtual import run
from kcm.testing.world import WORKLOADS, Daemon, World, deployment, quick_configuration

APPS = "/apis/apps/v1/namespaces/default"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
OTHER = "kube-controller-manager"
PODS = "/api/v1/namespaces/default/pods"


def configured(other: str = "refuse", lease: str = "kcm") -> Configuration:
    plain = quick_configuration()
    replace = msgspec.structs.replace
    return replace(
        plain,
        coexistence=replace(plain.coexistence, other_manager=other),
        leader_election=replace(plain.leader_election, resource_name=lease),
    )


async def hold(world: World, *, ago: float = 0.0) -> None:
    """Let the other manager hold its Lease, renewed so many seconds ago by our clock."""
    moment = format_micro_time(world.clock.wall())
    world.clock.step_wall(ago)
    spec = {
        "holderIdentity": "node_1",
        "leaseDurationSeconds": 15,
        "renewTime": moment,
        "acquireTime": moment,
    }
    await world.call("POST", LEASES, {"metadata": {"name": OTHER}, "spec": spec})


async def renew(world: World) -> None:
    """Renew the other manager's Lease every two seconds, for ever."""
    while True:
        await world.clock.sleep(2.0)
        moment = format_micro_time(world.clock.wall())
        await world.patch(f"{LEASES}/{OTHER}", {"spec": {"renewTime": moment}})


async def write_status(world: World, name: str, agent: str = OTHER) -> None:
    """Write a Deployment's status as the other manager does."""
    headers = {"content-type": "application/merge-patch+json", "user-agent": f"{agent}/v1.36.0 (linux/amd64)"}
    body = msgspec.json.encode({"status": {"observedGeneration": 1}})
    answer = await world.api.handle(Request("PATCH", f"{APPS}/deployments/{name}/status", (), headers, body))
    assert answer.status == 200


async def refusal(world: World, controllers: Any = WORKLOADS) -> str:
    """Start a daemon that has to refuse; return what it says."""
    daemon = world.start(controllers, may_fail=True)
    await daemon.ended.wait()
    return first(daemon.error)


def first(error: BaseException | None) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, ConfigurationError), error
    return str(error)


def works(world: World, count: int) -> Callable[[], Any]:
    async def pods() -> bool:
        return len(await world.items(PODS)) == count

    return pods


def play(scene: Callable[[World], Any], configuration: Configuration | None = None) -> None:
    async def whole() -> None:
        async with World(configuration=configuration or configured()) as world:
            await scene(world)

    run(whole())


def test_a_held_lease_is_refused_with_the_flags_for_exactly_what_is_enabled() -> None:
    async def scene(world: World) -> None:
        await hold(world)
        said = await refusal(world)
        assert "held by node_1, renewed 0 s ago" in said
        assert "--controllers=*,-deployment-controller,-replicaset-controller " in said
        assert "--takeover" in said
        assert await world.items(PODS) == []

    play(scene)


def test_only_controllers_that_the_other_has_are_looked_for() -> None:
    assert counterparts(("replicaset", "eventrecorder", "hpa", "mine")) == (
        "replicaset-controller",
        "horizontal-pod-autoscaler-controller",
    )

    async def scene(world: World) -> None:
        await hold(world)
        daemon = world.start({"eventrecorder": "controllers.eventrecorder:EventRecorder"})
        await world.clock.sleep(5.0)
        assert daemon.manager.status().election.leading
        await daemon.stop()

    play(scene)


def test_told_to_take_over_it_works_and_without_such_a_lease_too() -> None:
    async def scene(world: World) -> None:
        await hold(world)
        daemon = world.start(WORKLOADS)
        await world.call("POST", f"{APPS}/deployments", deployment("web", 3))
        await world.until(works(world, 3))
        await daemon.stop()

    play(scene, configured("ignore"))


def test_a_status_that_the_other_wrote_lately_is_refused_and_one_of_long_ago_is_not() -> None:
    async def scene(world: World) -> None:
        await world.call("POST", f"{APPS}/deployments", deployment("web", 3))
        await write_status(world, "web")
        assert "it wrote the status of Deployment default/web 0 s ago" in await refusal(world)
        await world.clock.sleep(130.0)
        daemon = world.start(WORKLOADS)
        await world.until(works(world, 3))
        await daemon.stop()

    play(scene)


def test_statuses_that_kcm_itself_wrote_are_no_obstacle() -> None:
    async def scene(world: World) -> None:
        await world.call("POST", f"{APPS}/deployments", deployment("web", 3))
        first_one = world.start(WORKLOADS)
        await world.until(works(world, 3))
        await first_one.stop()
        second = world.start(WORKLOADS, identity="second")
        await world.clock.sleep(5.0)
        assert second.manager.status().election.leading
        await second.stop()

    play(scene)


@pytest.mark.parametrize(("ago", "renewed"), [(3600.0, False), (3600.0, True), (-3600.0, True)])
def test_a_lease_that_looks_old_is_only_alive_if_it_is_renewed_whatever_the_clocks_say(
    ago: float, renewed: bool
) -> None:
    async def scene(world: World) -> None:
        await hold(world, ago=ago)

        async def renews() -> None:
            while True:
                await world.clock.sleep(2.0)
                moment = format_micro_time(world.clock.wall() - timedelta(seconds=ago))
                await world.patch(f"{LEASES}/{OTHER}", {"spec": {"renewTime": moment}})

        if renewed:
            world._background.append(world._group.create_task(renews()))
            assert "held by node_1" in await refusal(world)
            return
        daemon = world.start(WORKLOADS)
        await world.call("POST", f"{APPS}/deployments", deployment("web", 3))
        await world.until(works(world, 3))
        await daemon.stop()

    play(scene)


def test_it_waits_if_it_is_to_and_goes_on_when_the_other_lets_go() -> None:
    async def scene(world: World) -> None:
        await hold(world)
        renewing = world._group.create_task(renew(world))
        daemon = world.start(WORKLOADS)
        await world.call("POST", f"{APPS}/deployments", deployment("web", 3))
        await world.clock.sleep(60.0)
        assert await world.items(PODS) == []
        assert "node_1" in daemon.manager.status().failing["readyz/coexistence"]
        renewing.cancel()
        await world.patch(f"{LEASES}/{OTHER}", {"spec": {"holderIdentity": ""}})
        await world.until(works(world, 3), 30.0)
        await world.clock.sleep(1.0)
        assert "readyz/coexistence" not in daemon.manager.status().failing
        await daemon.stop()

    play(scene, configured("wait"))


def test_one_that_comes_back_while_kcm_stands_by_is_met_before_leading() -> None:
    async def scene(world: World) -> None:
        leader = world.start(WORKLOADS, identity="leader")
        await world.clock.sleep(5.0)
        standby = world.start(WORKLOADS, identity="standby", may_fail=True)
        await world.clock.sleep(5.0)
        await hold(world)
        await world.call("POST", f"{APPS}/deployments", deployment("web", 0))
        leader.kill()
        renewing = world._group.create_task(renew(world))
        await standby.ended.wait()
        renewing.cancel()
        assert "--takeover" in first(standby.error)
        lease = await world.call("GET", f"{LEASES}/kcm")
        assert not lease["spec"].get("holderIdentity"), "it gave the Lease back"

    play(scene)


def test_in_the_others_own_election_it_stands_by_and_hands_over_both_ways() -> None:
    async def scene(world: World) -> None:
        await hold(world)
        renewing = world._group.create_task(renew(world))
        daemon = world.start(WORKLOADS, identity="kcm-1")
        await world.call("POST", f"{APPS}/deployments", deployment("web", 3))
        await world.clock.sleep(60.0)
        assert {host.state for host in daemon.manager.status().hosts} == {"standby"}
        assert daemon.manager.status().election.leader == "node_1"
        assert await world.items(PODS) == []
        renewing.cancel()
        await world.until(works(world, 3), 40.0)
        lease = await world.call("GET", f"{LEASES}/{OTHER}")
        assert lease["spec"]["holderIdentity"] == "kcm-1"
        await daemon.stop()
        lease = await world.call("GET", f"{LEASES}/{OTHER}")
        assert not lease["spec"].get("holderIdentity"), "the other can take it at once"

    play(scene, configured(lease=OTHER))


def test_where_the_lease_may_not_be_read_it_says_so_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    async def scene(world: World) -> None:
        refuse = Refuse(403, message="not yours")
        world.api.faults.add(Fault(refuse, "get", "leases", name=f"^{OTHER}$", agent="coexistence"))
        await world.call("POST", f"{APPS}/deployments", deployment("web", 3))
        daemon: Daemon = world.start(WORKLOADS)
        await world.until(works(world, 3))
        await daemon.stop()

    play(scene)
    told = [
        record.getMessage() for record in caplog.records if "may not read the Lease" in record.getMessage()
    ]
    assert len(told) == 1


def test_a_server_that_is_away_at_the_start_only_delays() -> None:
    async def scene(world: World) -> None:
        fault = world.api.faults.add(Fault(Refuse(500, message="away"), agent="kcm"))
        daemon = world.start(WORKLOADS)
        await world.clock.sleep(20.0)
        world.api.faults.remove(fault)
        await world.call("POST", f"{APPS}/deployments", deployment("web", 3))
        await world.until(works(world, 3))
        await daemon.stop()

    play(scene)


def test_a_server_that_does_not_answer_the_question_delays_the_lead_by_seconds_only() -> None:
    async def scene(world: World) -> None:
        world.api.faults.add(Fault(Delay(3600.0), agent="coexistence"))
        daemon = world.start(WORKLOADS)
        await world.call("POST", f"{APPS}/deployments", deployment("web", 3))
        await world.until(works(world, 3), 30.0)
        await daemon.stop()

    play(scene)
