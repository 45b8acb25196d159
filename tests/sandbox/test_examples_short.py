"""The short examples, each in a world of its own: what the first lines of each promise, happens."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from kcm.cli.crd import definitions_of
from kcm.cli.targets import find_controller
from kcm.testing.virtual import run
from kcm.testing.world import Daemon, World, deployment, quick_configuration

EXAMPLES = Path(__file__).parents[2] / "examples"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
DEFAULT = "/api/v1/namespaces/default"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
DEMO = "/apis/demo.dev/v1/namespaces/default"
FILES = {
    "backup_policy": "04_backup_policy/backup_policy.py",
    "chore": "05_timer/chore.py",
    "fingerprint": "06_blocking/fingerprint.py",
    "trial_access": "07_rate_limit/trial_access.py",
    "pods_per_node": "08_pods_by_index/pods_per_node.py",
}
WORKLOADS = {
    "replicaset": "controllers.replicaset:ReplicaSetController",
    "deployment": "controllers.deployment:DeploymentController",
}

Story = Callable[[World, Daemon], Awaitable[None]]


@contextmanager
def at_hand(name: str) -> Iterator[ModuleType]:
    """Let Python find an example, as its host would."""
    folder = str((EXAMPLES / FILES[name]).parent)
    sys.path.insert(0, folder)
    try:
        yield importlib.import_module(name)
    finally:
        sys.path.remove(folder)
        sys.modules.pop(name, None)


def play(
    name: str,
    story: Story,
    *,
    nodes: int = 0,
    others: dict[str, str] | None = None,
    qps: float = 0.0,
) -> None:
    """Run a story beside the controller of an example, whose definition, if there is one, is in force."""

    async def main() -> None:
        quick = quick_configuration()
        configuration = replace(quick, client=replace(quick.client, qps=qps))
        async with World(nodes=nodes, configuration=configuration) as world:
            definition = (EXAMPLES / FILES[name]).parent / "crd.yaml"
            if definition.exists():
                await world.call("POST", CRDS, yaml.safe_load(definition.read_text()))
                await world.clock.sleep(1)
            found = find_controller(str(EXAMPLES / FILES[name]))
            daemon = world.start({**(others or {}), found.name: found.implementation})
            await story(world, daemon)
            await daemon.stop()

    path, before = list(sys.path), dict(sys.modules)
    with at_hand(name):
        run(main())
    sys.path[:] = path
    assert set(sys.modules) >= set(before)


def sample(path: str) -> Any:
    return yaml.safe_load((EXAMPLES / path).read_text())


@pytest.mark.parametrize("name", ["backup_policy", "chore"])
def test_the_definition_beside_an_example_is_what_kcm_prints(name: str) -> None:
    path = list(sys.path)
    (printed,) = definitions_of(str(EXAMPLES / FILES[name]))
    sys.path[:] = path
    sys.modules.pop(name, None)
    assert printed == sample(f"{Path(FILES[name]).parent}/crd.yaml")


def test_a_policy_is_rendered_kept_right_and_cleaned_away() -> None:
    async def story(world: World, daemon: Daemon) -> None:
        async def rendered() -> Any:
            found = {each["metadata"]["name"]: each for each in await world.items(f"{DEFAULT}/configmaps")}
            return found.get("nightly", {}).get("data")

        await world.call("POST", f"{DEMO}/backuppolicies", sample("04_backup_policy/policy.yaml"))
        await world.clock.sleep(1)
        assert await rendered() == {"schedule": "0 3 * * *", "keep": "7"}
        await world.patch(f"{DEFAULT}/configmaps/nightly", {"data": {"keep": "0", "more": "x"}})
        await world.clock.sleep(1)
        assert await rendered() == {"schedule": "0 3 * * *", "keep": "7"}
        await world.patch(f"{DEMO}/backuppolicies/nightly", {"spec": {"keep": 2}})
        await world.clock.sleep(1)
        assert await rendered() == {"schedule": "0 3 * * *", "keep": "2"}
        await world.call("DELETE", f"{DEMO}/backuppolicies/nightly")
        await world.clock.sleep(30)
        assert await rendered() is None

    play("backup_policy", story)


def test_a_chore_is_done_every_so_often_once_each_time_whoever_leads() -> None:
    async def story(world: World, daemon: Daemon) -> None:
        names: set[str] = set()

        async def runs() -> list[str]:
            found = [each["metadata"]["name"] for each in await world.items(f"{DEFAULT}/pods")]
            names.update(found)
            return sorted(found)

        await world.call("POST", f"{DEMO}/chores", sample("05_timer/chore.yaml"))
        for second in range(60):
            await world.clock.sleep(1)
            await runs()
            if second == 32:
                # Killed in the middle; the new host finds out by itself what is due.
                daemon.launcher.handles[-1].kill()
        # Six or seven ten-second slots have begun, and each has had one pod.
        assert 6 <= len(names) <= 7
        numbers = sorted(int(name.rpartition("-")[2]) for name in names)
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert len(await runs()) == 3

    play("chore", story)


def test_a_fingerprint_is_computed_in_a_thread_and_follows_the_content() -> None:
    async def story(world: World, daemon: Daemon) -> None:
        async def answer() -> Any:
            found = await world.call("GET", f"{DEFAULT}/configmaps/settings")
            return found["metadata"].get("annotations", {}).get("example.kcm.dev/scrypt")

        await world.call("POST", f"{DEFAULT}/configmaps", sample("06_blocking/configmap.yaml"))
        await world.clock.sleep(1)
        first = await answer()
        assert len(first) == 32
        await world.patch(f"{DEFAULT}/configmaps/settings", {"data": {"colour": "red"}})
        await world.clock.sleep(1)
        assert len(await answer()) == 32
        assert await answer() != first

    play("fingerprint", story)


def test_the_rate_limit_spreads_the_work_and_all_of_it_is_done() -> None:
    async def story(world: World, daemon: Daemon) -> None:
        begun = world.clock.monotonic()
        for number in range(20):
            namespace = sample("07_rate_limit/namespace.yaml")
            namespace["metadata"]["name"] = f"trial-{number}"
            await world.call("POST", "/api/v1/namespaces", namespace)

        async def bindings() -> list[Any]:
            found = await world.items(f"{RBAC}/rolebindings")
            return [each for each in found if each["metadata"]["name"] == "trial"]

        await world.clock.sleep(1)
        # Four at once, two a second.
        assert 4 <= len(await bindings()) <= 7

        async def complete() -> bool:
            return len(await bindings()) == 20

        await world.until(complete)
        assert 7.0 <= world.clock.monotonic() - begun <= 10.0
        changed = f"{RBAC}/namespaces/trial-3/rolebindings/trial"
        await world.patch(changed, {"subjects": []})
        await world.clock.sleep(2)
        found = await world.call("GET", changed)
        assert [each["name"] for each in found["subjects"]] == ["trial"]

    # Where nobody is limited, as in a sandbox, a controller's own limit does not hold either.
    play("trial_access", story, qps=20.0)


def test_nodes_say_how_many_pods_run_on_them() -> None:
    async def story(world: World, daemon: Daemon) -> None:
        async def counts() -> list[int]:
            nodes = await world.items("/api/v1/nodes")
            return [int(each["metadata"]["annotations"]["example.kcm.dev/pods"]) for each in nodes]

        await world.call("POST", "/apis/apps/v1/namespaces/default/deployments", deployment("web", 11))
        await world.clock.sleep(60)
        assert sum(await counts()) == 11
        web = "/apis/apps/v1/namespaces/default/deployments/web"
        await world.patch(web, {"spec": {"replicas": 4}})
        await world.clock.sleep(120)
        assert sum(await counts()) == 4

    play("pods_per_node", story, nodes=3, others=WORKLOADS)


def test_what_is_due_follows_from_the_time_alone() -> None:
    with at_hand("chore") as module:
        example: Any = module
        from datetime import UTC, datetime, timedelta

        from kcm.objects import ObjectMeta

        metadata = ObjectMeta(name="sweep", namespace="default", uid="1")
        chore = example.Chore(metadata=metadata, spec=example.ChoreSpec(every_seconds=60, keep=1))
        now = datetime(2026, 1, 1, 0, 0, 15, tzinfo=UTC)
        plan = example.decide(example.Seen(chore, ()), now)
        (create,) = plan.actions
        assert plan.recheck_in == 45
        made = example.Run(metadata=create.object.metadata, spec=create.object.spec)
        assert not example.decide(example.Seen(chore, (made,)), now).actions
        later = example.decide(example.Seen(chore, (made,)), now + timedelta(hours=5))
        # One run for all that were missed, and the old pod goes.
        assert [type(action).__name__ for action in later.actions] == ["Create", "Delete"]
