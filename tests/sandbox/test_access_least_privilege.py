"""The daemon with nothing but the roles of deploy/: nothing is refused, and nothing granted is idle."""

from dataclasses import replace
from pathlib import Path

import yaml

from kcm.sandbox.access.users import User, account_name
from kcm.sandbox.api import DropAfter, Fault
from kcm.testing.virtual import run
from kcm.testing.world import World

PAPERS = Path(__file__).parents[2] / "deploy"
PODS = "/api/v1/namespaces/default/pods"
SETS = "/apis/apps/v1/namespaces/default/replicasets"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


def papers(name, namespace):
    """Return what a file has for the Lease and the replicaset controller, in this namespace."""
    for obj in yaml.safe_load_all((PAPERS / name).read_text()):
        if obj["metadata"]["name"] not in ("kcm-replicaset", "kcm-lease"):
            continue
        for subject in obj.get("subjects", ()):
            subject["namespace"] = namespace
        yield obj


async def install(world, namespace):
    """Create account, roles and bindings; return a token of the account."""
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    await world.call("POST", accounts, {"metadata": {"name": "kcm"}})
    for name in ("clusterrole.yaml", "role.yaml"):
        for obj in papers(name, namespace):
            scope = "" if obj["kind"].startswith("Cluster") else f"/namespaces/{namespace}"
            await world.call("POST", f"{RBAC}{scope}/{obj['kind'].lower()}s", obj)
    answer = await world.call("POST", f"{accounts}/kcm/token", {"spec": {"expirationSeconds": 2**32}})
    return answer["status"]["token"]


def ask_who_is_there(world, token):
    """Let the daemon, which connects from now on, be one with this token; the test itself stays trusted."""
    trusted, secured = world.api.handle, world.api.handle_secured

    async def handle(request):
        if request.headers.get("user-agent") == "test":
            return await trusted(request)
        headers = {**request.headers, "authorization": f"Bearer {token}"}
        return await secured(replace(request, headers=headers))

    world.api.handle = handle


def replica_set(name, replicas):
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "c", "image": "web:1"}]},
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"metadata": {"name": name}, "spec": spec}


async def work_for_the_replica_set_controller(world):
    async def ready(count):
        async def holds():
            return (await world.call("GET", f"{SETS}/web"))["status"].get("readyReplicas", 0) == count

        await world.until(holds, what=f"{count} ready pods")

    orphan = {"metadata": {"name": "orphan", "labels": {"app": "web"}}}
    orphan["spec"] = {"containers": [{"name": "c", "image": "web:1"}]}
    await world.call("POST", PODS, orphan)
    # The controller looks for a pod of its own that was made, but whose answer was lost.
    world.api.faults.add(Fault(DropAfter(), "create", "pods", agent="kcm", times=1))
    await world.call("POST", SETS, replica_set("web", 3))
    await ready(3)
    await world.patch(f"{PODS}/orphan", {"metadata": {"labels": {"app": "other"}}})
    await ready(3)
    await world.patch(f"{SETS}/web", {"spec": {"replicas": 1}})
    await ready(1)


def test_the_replica_set_role_is_enough_and_not_too_much():
    async def main():
        async with World() as world:
            namespace = world.configuration.leader_election.resource_namespace
            ask_who_is_there(world, await install(world, namespace))
            decided = world.api.gate.record()
            daemon = world.start()
            await work_for_the_replica_set_controller(world)
            await world.clock.sleep(30)
            await daemon.stop()
            user = account_name(namespace, "kcm")
            own = [one for one in decided if one.user == user]
            assert own
            assert [one for one in own if not one.allowed] == []
            return world.api.gate.unused_grants(User(user), own, [namespace])

    # Events are patched when they repeat; the finalizers are for an admission plugin.
    assert run(main()) == [
        '{APIGroups:[""], Resources:["events"], Verbs:["patch"]}',
        '{APIGroups:["apps"], Resources:["replicasets/finalizers"], Verbs:["update"]}',
    ]
