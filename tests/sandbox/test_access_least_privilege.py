"""Every controller with nothing but its role of deploy/: nothing is refused, and nothing granted is idle.

Each controller is an account of its own here, told by its User-Agent, and bound to its own role alone;
the manager, which watches for all of them, is bound to all. So a right that one controller has, and
only another one uses, is found. A new folder in deploy/controllers/ needs a day in `DAYS`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Set
from dataclasses import replace
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from kcm.sandbox.access.users import account_name
from kcm.sandbox.api import DropAfter, Fault, Refuse
from kcm.sandbox.api.gate import Decision
from kcm.serving.http import Request, Response
from kcm.testing.virtual import run
from kcm.testing.world import World, deployment, pod_of, quick_configuration, replica_set

DEPLOY = Path(__file__).parents[2] / "deploy"
ROLES = sorted(path.parent.name for path in (DEPLOY / "controllers").glob("*/role.yaml"))
NAMESPACE = "kcm-system"
MANAGER = "manager"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
PODS = "/api/v1/namespaces/default/pods"
SETS = "/apis/apps/v1/namespaces/default/replicasets"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
AUTOSCALERS = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"

# Group, resource with subresource, verb.
Right = tuple[str, str, str]
# For an admission plugin, not for a request: see the files.
SPARE: dict[str, set[Right]] = {
    "replicaset": {("apps", "replicasets/finalizers", "update")},
    "deployment": {("apps", "deployments/finalizers", "update")},
}
# Where the role names all resources, what has to be asked for is one of them.
ANY = "*"


def documents(path: Path) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each]


def rights(path: Path) -> set[Right]:
    """Return what the role in that file allows."""
    (role,) = (each for each in documents(path) if each["kind"].endswith("Role"))
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def rights_of(controller: str) -> set[Right]:
    return rights(DEPLOY / "controllers" / controller / "role.yaml")


def implementations() -> dict[str, str]:
    """Return "module:Class" of the controllers that have a role in deploy/."""
    found = {
        point.name: point.value
        for group in ("kcm.controllers", "kcm.controllers.optional")
        for point in entry_points(group=group)
    }
    return {name: found[name] for name in ROLES if name in found}


def watched_by(controller: str) -> set[Right]:
    """Return the rights that a controller's declared watches take; of one that discovers, none by name."""
    module, _, name = implementations()[controller].partition(":")
    watches = getattr(getattr(import_module(module), name), "watches", ())
    types = [watch.type.resource_type() for watch in watches if watch.discovers is None]
    return {(each.group, each.plural, verb) for each in types for verb in ("list", "watch")}


# Who is who.


async def account(world: World, name: str, roles: list[str]) -> str:
    """Create a service account that is bound to these controllers' roles; return a token of it."""
    accounts = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
    await world.call("POST", accounts, {"metadata": {"name": name}})
    for role in roles:
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": f"kcm-{role}"}
        subject = {"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}
        binding = {"metadata": {"name": f"{name}-{role}"}, "roleRef": reference, "subjects": [subject]}
        await world.call("POST", f"{RBAC}/clusterrolebindings", binding)
    answer = await world.call("POST", f"{accounts}/{name}/token", {"spec": {"expirationSeconds": 2**31}})
    token: str = answer["status"]["token"]
    return token


async def install(world: World) -> dict[str, str]:
    """Create the roles of deploy/, and an account for each controller and for the manager; return tokens."""
    await world.call("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    for controller in ROLES:
        for obj in documents(DEPLOY / "controllers" / controller / "role.yaml"):
            if obj["kind"] == "ClusterRole":
                await world.call("POST", f"{RBAC}/clusterroles", obj)
    tokens = {name: await account(world, name, [name]) for name in ROLES}
    tokens[MANAGER] = await account(world, MANAGER, ROLES)
    for obj in documents(DEPLOY / "base" / "lease.yaml"):
        for subject in obj.get("subjects", ()):
            subject |= {"name": MANAGER, "namespace": NAMESPACE}
        await world.call("POST", f"{RBAC}/namespaces/{NAMESPACE}/{obj['kind'].lower()}s", obj)
    for obj in documents(DEPLOY / "base" / "coexistence.yaml"):
        for subject in obj.get("subjects", ()):
            subject |= {"name": MANAGER, "namespace": NAMESPACE}
        await world.call("POST", f"{RBAC}/{obj['kind'].lower()}s", obj)
    return tokens


def ask_who_is_there(world: World, tokens: dict[str, str]) -> None:
    """Let each part of the daemon, which connects from now on, be its account; the test stays trusted."""
    trusted, secured = world.api.handle, world.api.handle_secured

    async def handle(request: Request) -> Response:
        agent = request.headers.get("user-agent", "")
        if not agent.startswith("kcm/"):
            return await trusted(request)
        token = tokens.get(agent.rpartition("/")[2], tokens[MANAGER])
        headers = {**request.headers, "authorization": f"Bearer {token}"}
        return await secured(replace(request, headers=headers))

    world.api.handle = handle  # type: ignore[method-assign]  # what the daemon connects to


# What happens on a day.


async def ready(world: World, path: str, count: int) -> None:
    async def holds() -> bool:
        status = (await world.call("GET", path))["status"]
        return bool(status.get("readyReplicas", 0) == count == status.get("replicas", 0))

    await world.until(holds, what=f"{count} ready pods of {path}")


async def a_day_of_replica_sets(world: World) -> None:
    """Scale, adopt, release, lose an answer, be refused again and again."""
    world.api.faults.add(Fault(DropAfter(), "create", "pods", agent="kcm", times=1))
    orphan = {**pod_of("web", {"app": "web"}), "metadata": {"name": "orphan", "labels": {"app": "web"}}}
    await world.call("POST", PODS, orphan)
    await world.call("POST", SETS, replica_set("web", 3))
    await ready(world, f"{SETS}/web", 3)
    await world.patch(f"{PODS}/orphan", {"metadata": {"labels": {"app": "free"}}})
    await ready(world, f"{SETS}/web", 3)
    await world.patch(f"{SETS}/web", {"spec": {"replicas": 1}})
    await ready(world, f"{SETS}/web", 1)
    refused = {"spec": {"containers": [{"name": "c", "image": "i"}], "serviceAccountName": "nobody"}}
    template = {"metadata": {"labels": {"app": "bad"}}, **refused}
    await world.call("POST", SETS, replica_set("bad", 1, template=template))
    await world.clock.sleep(120)


async def a_day_of_rollouts(world: World) -> None:
    """Roll out, roll back, adopt, release, forget, lose an answer."""

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


async def a_day_of_autoscaling(world: World) -> None:
    """Scale a Deployment and a bare ReplicaSet, by metrics of all three APIs."""

    def metric(kind: str, **source: Any) -> dict[str, Any]:
        return {"type": kind, f"{kind[0].lower()}{kind[1:]}": source}

    cpu = metric("Resource", name="cpu", target={"type": "Utilization", "averageUtilization": 80})
    average = {"type": "AverageValue", "averageValue": "10"}
    queue = metric("External", metric={"name": "queue"}, target=average)
    hits = metric("Pods", metric={"name": "hits"}, target=average)
    await world.call("PUT", "/sandbox/metrics/external/default/queue", "50")
    await world.call("PUT", "/sandbox/metrics/custom/default/pods/*/hits", "20")
    busy = deployment("busy", 1)
    busy["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "500m"}}
    await world.call("POST", DEPLOYMENTS, busy)
    await world.call("POST", SETS, replica_set("bare", 1))
    for name, kind, metrics in (("busy", "Deployment", [cpu, queue]), ("bare", "ReplicaSet", [hits])):
        spec = {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": kind, "name": name},
            "minReplicas": 1,
            "maxReplicas": 3,
            "metrics": metrics,
        }
        await world.call("POST", AUTOSCALERS, {"metadata": {"name": name}, "spec": spec})
    for path in (f"{DEPLOYMENTS}/busy", f"{SETS}/bare"):
        await ready(world, path, 3)


async def a_day_of_news(world: World) -> None:
    """The same event twice is one event, counted: what repeats it is a patch. An answer is lost."""
    world.api.faults.add(Fault(DropAfter(), "create", "events", agent="kcm", times=1))
    refusal = Refuse(403, message="no more of these")
    world.api.faults.add(Fault(refusal, "create", "replicasets", name="^late-", agent="kcm"))
    await world.call("POST", DEPLOYMENTS, deployment("late", 1))
    await world.clock.sleep(900)


async def a_day_of_orphans(world: World) -> None:
    """Collect in the background, in the foreground, and let go."""
    for propagation in ("Background", "Foreground", "Orphan"):
        name = f"gone-{propagation.lower()}"
        await world.call("POST", SETS, replica_set(name, 2))
        await ready(world, f"{SETS}/{name}", 2)
        await world.call("DELETE", f"{SETS}/{name}", {"propagationPolicy": propagation})
        await world.clock.sleep(60)


DAYS: dict[str, Callable[[World], Awaitable[None]]] = {
    "replicaset": a_day_of_replica_sets,
    "deployment": a_day_of_rollouts,
    "hpa": a_day_of_autoscaling,
    "eventrecorder": a_day_of_news,
    "garbagecollector": a_day_of_orphans,
}


class Lived(msgspec.Struct):
    """What was decided on all those days."""

    decisions: set[Decision]

    def of(self, name: str) -> Iterator[Decision]:
        return (each for each in self.decisions if each.user == account_name(NAMESPACE, name))

    def used(self, name: str) -> set[Right]:
        return {
            (each.group, "/".join(filter(None, (each.resource, each.subresource))), each.verb)
            for each in self.of(name)
            if each.allowed and not each.path
        }


async def live() -> Lived:
    plain = quick_configuration()
    election = msgspec.structs.replace(plain.leader_election, resource_namespace=NAMESPACE)
    configuration = msgspec.structs.replace(plain, leader_election=election)
    async with World(configuration=configuration) as world:
        ask_who_is_there(world, await install(world))
        decisions = world.api.gate.record()
        daemon = world.start(implementations())
        for name in ROLES:
            await DAYS[name](world)
        await world.clock.sleep(30)
        await daemon.stop()
        return Lived(decisions)


@pytest.fixture(scope="module")
def lived() -> Lived:
    return run(live())


def covered(wanted: Set[Right], used: Set[Right]) -> set[Right]:
    """Return the rights among `wanted` that were used; "*" stands for any resource of its group."""
    return {
        (group, resource, verb)
        for group, resource, verb in wanted
        if any(
            group in (ANY, other) and resource in (ANY, name) and verb == what for other, name, what in used
        )
    }


def test_every_role_is_that_of_a_controller_which_has_a_day() -> None:
    assert sorted(implementations()) == ROLES
    assert set(ROLES) <= set(DAYS)


def test_nothing_is_refused(lived: Lived) -> None:
    assert [each for each in lived.decisions if not each.allowed] == []


@pytest.mark.parametrize("controller", ROLES)
def test_a_role_allows_what_its_controller_does_and_nothing_else(lived: Lived, controller: str) -> None:
    granted = rights_of(controller)
    watched = watched_by(controller) & granted
    # What it watches is asked for by the manager; metrics are listed by the controller itself.
    idle = granted - covered(granted, lived.used(controller)) - watched - discovered(controller)
    assert idle == SPARE.get(controller, set())


@pytest.mark.parametrize("controller", ROLES)
def test_a_role_allows_what_its_controller_watches(controller: str) -> None:
    assert watched_by(controller) <= rights_of(controller)


def test_the_manager_watches_what_the_controllers_declare_and_touches_one_lease(lived: Lived) -> None:
    used = lived.used(MANAGER)
    watched = set().union(*map(watched_by, ROLES))
    assert watched <= used
    lease = rights(DEPLOY / "base" / "lease.yaml")
    assert {each for each in used if each[0] == "coordination.k8s.io" and each in lease} == lease
    others = {each for each in used - watched - lease if each[2] not in ("list", "watch")}
    assert others == set()
    named = {each.name for each in lived.of(MANAGER) if each.resource == "leases" and each.verb == "patch"}
    assert named == {"kcm"}


def discovered(controller: str) -> set[Right]:
    """Return the list and watch rights of a controller that watches all types there are."""
    if watched_by(controller):
        return set()
    return {each for each in rights_of(controller) if each[2] in ("list", "watch")}
