"""What is shipped for a cluster is held to what kcm does: its files load, its roles are exact."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from kcm.config.loader import check_config, load
from kcm.config.schema import Configuration
from kcm.config.selection import Installed, parse_items, select
from kcm.sandbox.api.calls import read_call
from kcm.sandbox.api.faults import DropAfter, Fault, Refuse
from kcm.sandbox.api.routing import parse
from kcm.serving.http import Request, Response
from kcm.testing.virtual import run
from kcm.testing.world import (
    REPLICASET,
    WORKLOADS,
    World,
    deployment,
    pod_of,
    quick_configuration,
    replica_set,
)

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PODS = "/api/v1/namespaces/default/pods"
SETS = "/apis/apps/v1/namespaces/default/replicasets"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"

# (namespace of the Role or "" of the ClusterRole, resource with group and subresource, verb)
Right = tuple[str, str, str]


def documents(name: str) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8")) if each]


def rights(name: str, namespace: str) -> set[Right]:
    """Return what the role in that file allows."""
    (role,) = (each for each in documents(name) if each["kind"].endswith("Role"))
    return {
        (namespace, f"{resource}.{group}", verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.mark.parametrize(
    "path", ["deploy/kcm.yaml", "config/kcm.yaml", "examples/01_namespace_team/kcm.yaml"], ids=str
)
def test_a_shipped_configuration_file_is_accepted(path: str) -> None:
    check_config(ROOT / path)


def test_the_configuration_with_every_field_changes_none() -> None:
    assert load(ROOT / "config" / "kcm.yaml") == Configuration()


def test_the_pods_are_probed_where_kcm_serves_and_get_the_time_it_takes_to_stop() -> None:
    (deployment,) = documents("deployment.yaml")
    configuration = load(DEPLOY / "kcm.yaml")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["ports"][0]["containerPort"] == configuration.serving.port
    assert configuration.serving.address == "0.0.0.0"
    assert pod["terminationGracePeriodSeconds"] > configuration.hosts.stop_grace + 10
    assert (
        configuration.leader_election.resource_namespace == documents("namespace.yaml")[0]["metadata"]["name"]
    )


def test_nothing_runs_on_a_cluster_before_somebody_names_it() -> None:
    (deployment,) = documents("deployment.yaml")
    config, controllers = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    assert config == "--config=/etc/kcm/kcm.yaml"
    flag, _, items = controllers.partition("=")
    assert flag == "--controllers"
    installed = [Installed(name) for name in ("replicaset", "deployment", "yours")]
    assert select(load(DEPLOY / "kcm.yaml"), installed, parse_items(items)).enabled == ()


def asked_for(
    controllers: Mapping[str, str], day: Callable[[World], Awaitable[None]], by: str = ""
) -> set[Right]:
    """Return the rights that a daemon with these controllers takes on such a day; "" is any namespace.

    `by`: only what one of its controllers asks for; what all of them watch is asked for by the manager.
    """
    asked: set[Right] = set()

    async def play() -> None:
        plain = quick_configuration()
        election = msgspec.structs.replace(plain.leader_election, resource_namespace="kcm-system")
        configuration = msgspec.structs.replace(plain, leader_election=election)
        async with World(configuration=configuration) as world:
            answer = world.api.handle

            async def record(request: Request) -> Response:
                agent = request.headers.get("user-agent", "")
                if agent.startswith("kcm/") and agent.endswith(by):
                    asked.add(right(request, world))
                return await answer(request)

            world.api.handle = record  # type: ignore[method-assign]  # what the daemon connects to
            await world.call("POST", "/api/v1/namespaces", {"metadata": {"name": "kcm-system"}})
            daemon = world.start(controllers)
            await day(world)
            await daemon.stop()

    run(play())
    by_election = {each for each in asked if each[1] == "leases.coordination.k8s.io"}
    return by_election | {("", *each[1:]) for each in asked - by_election}


# Not for a request of ours: see the files. Events about the Lease are also in the cluster roles.
SPARE = {("kcm-system", "events.", verb) for verb in ("create", "patch")}


def test_the_roles_allow_what_is_asked_for_and_nothing_else() -> None:
    allowed = rights("clusterrole.yaml", "") | rights("role.yaml", "kcm-system")
    spare = SPARE | {("", "replicasets/finalizers.apps", "update")}
    assert asked_for(REPLICASET, a_busy_day) == allowed - spare


async def both_days(world: World) -> None:
    await a_busy_day(world)
    await a_day_of_rollouts(world)


def test_the_roles_of_both_controllers_allow_what_is_asked_for_and_nothing_else() -> None:
    of_sets = rights("clusterrole.yaml", "") | rights("role.yaml", "kcm-system")
    allowed = of_sets | rights("clusterrole-deployment.yaml", "")
    spare = SPARE | {("", f"{owner}/finalizers.apps", "update") for owner in ("replicasets", "deployments")}
    assert asked_for(WORKLOADS, both_days) == allowed - spare


def test_the_role_of_the_deployment_controller_alone_allows_all_that_it_does() -> None:
    watched = {("", resource, verb) for resource in OF_DEPLOYMENTS for verb in ("list", "watch")}
    spare = {("", "deployments/finalizers.apps", "update")}
    asked = asked_for(WORKLOADS, both_days, by="/deployment")
    assert asked == rights("clusterrole-deployment.yaml", "") - watched - spare


OF_DEPLOYMENTS = ("deployments.apps", "replicasets.apps", "pods.")


def right(request: Request, world: World) -> Right:
    """Return the right that a request takes; a watch of one Lease by field selector counts as by name."""
    route = parse(request.path, world.api.registry)
    assert route is not None
    call = read_call(request, route)
    if call.resource.plural == "leases" and call.verb != "create":
        assert call.name == "kcm" or dict(request.query)["fieldSelector"] == "metadata.name=kcm"
    resource = re.sub("/$", "", f"{call.resource.plural}/{call.subresource}")
    return call.namespace, f"{resource}.{call.resource.group}", call.verb


async def a_busy_day(world: World) -> None:
    """Bring about every kind of request: scale, adopt, release, lose answers, repeat an event, stop."""

    async def has(replicas: int) -> bool:
        status = (await world.call("GET", f"{SETS}/web"))["status"]
        return bool(status.get("readyReplicas", 0) == replicas == status.get("replicas", 0))

    world.api.faults.add(Fault(DropAfter(), "create", "pods", agent="kcm", times=1))
    orphan = {**pod_of("web", {"app": "web"}), "metadata": {"name": "orphan", "labels": {"app": "web"}}}
    await world.call("POST", PODS, orphan)
    await world.call("POST", SETS, replica_set("web", 3))
    await world.until(lambda: has(3))
    await world.patch(f"{PODS}/orphan", {"metadata": {"labels": {"app": "free"}}})
    await world.until(lambda: has(3))
    await world.patch(f"{SETS}/web", {"spec": {"replicas": 1}})
    await world.until(lambda: has(1))
    # Pods that are refused for the same reason again and again: one event, counted.
    refused = {"spec": {"containers": [{"name": "c", "image": "i"}], "serviceAccountName": "nobody"}}
    template = {"metadata": {"labels": {"app": "bad"}}, **refused}
    await world.call("POST", SETS, replica_set("bad", 1, template=template))
    await world.clock.sleep(120)


async def a_day_of_rollouts(world: World) -> None:
    """Bring about every kind of request: roll out, roll back, adopt, release, forget, lose an answer."""

    async def sets(count: int) -> bool:
        return len(await world.items(SETS)) == count

    async def image(tag: str) -> None:
        containers = [{"name": "c", "image": f"example/roll:{tag}"}]
        await world.patch(path, {"spec": {"template": {"spec": {"containers": containers}}}})

    path = f"{DEPLOYMENTS}/roll"
    before = len(await world.items(SETS))
    world.api.faults.add(Fault(DropAfter(), "create", "replicasets", agent="kcm", times=1))
    orphan = replica_set("roll", 0)
    orphan["metadata"] |= {"name": "found", "labels": {"app": "roll"}}
    await world.call("POST", SETS, orphan)
    await world.call("POST", DEPLOYMENTS, deployment("roll", 0, revisionHistoryLimit=1))
    await world.until(lambda: sets(before + 1))
    await image("2")
    await world.until(lambda: sets(before + 2))
    await world.clock.sleep(10)
    await world.patch(path, {"metadata": {"annotations": {"deprecated.deployment.rollback.to": "1"}}})
    await world.clock.sleep(10)
    await world.patch(f"{SETS}/found", {"metadata": {"labels": {"app": "free"}}})
    await world.clock.sleep(10)
    for tag in ("3", "4"):
        await image(tag)
        await world.clock.sleep(10)
    await refused_again_and_again(world)


async def refused_again_and_again(world: World) -> None:
    """The same event twice is one event, counted: what repeats it is a patch."""
    world.api.faults.add(Fault(Refuse(403, message="no more of these"), "create", "replicasets", agent="kcm"))
    await world.call("POST", DEPLOYMENTS, deployment("bad", 1))
    await world.clock.sleep(60)
