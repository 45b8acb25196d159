"""The configuration file changes while the daemon runs: what changed applies, and nothing else moves."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kcm.config.loader import parse
from kcm.config.schema import Configuration
from kcm.config.selection import Installed, select
from kcm.manager.reload import Desired, Reloader
from kcm.sandbox.api.audit import Mutation
from kcm.testing.virtual import run
from kcm.testing.world import WORKLOADS, Daemon, World, deployment, quick_configuration, replica_set

APPS = "/apis/apps/v1/namespaces/default"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kcm"
HEAD = "apiVersion: kcm.dev/v1alpha1\nkind: ManagerConfiguration\n"


class File:
    """A configuration file as a ConfigMap's mount shows it: the path is a symlink that is swapped."""

    def __init__(self, directory: Path, text: str) -> None:
        self.path = directory / "kcm.yaml"
        self._directory = directory
        self._version = 0
        self.path.symlink_to(Path("..data") / "kcm.yaml")
        self.write(text)

    def write(self, text: str) -> None:
        """Swap in another text."""
        self._version += 1
        data = self._directory / f"..{self._version}"
        data.mkdir()
        (data / "kcm.yaml").write_text(HEAD + text)
        link = self._directory / "..new"
        link.symlink_to(data.name)
        os.replace(link, self._directory / "..data")


def understood(text: bytes) -> Desired:
    """Return what `kcm run` would make of a file, on a world's quick connection."""
    read = parse(text, "kcm.yaml")
    selection = select(read, tuple(map(Installed, WORKLOADS)))
    quick = quick_configuration()
    whole = msgspec.structs.replace(
        selection.configuration, client=msgspec.structs.replace(read.client, qps=0.0), serving=quick.serving
    )
    return Desired(whole, {name: WORKLOADS[name] for name in selection.enabled})


async def started(file: File) -> tuple[World, Daemon, Reloader]:
    raise NotImplementedError


def start(world: World, file: File) -> tuple[Daemon, Reloader]:
    """Start a daemon that follows a file."""
    text = file.path.read_bytes()
    desired = understood(text)
    world.configuration = desired.configuration
    followed: list[Reloader] = []
    daemon = world.start(
        desired.controllers,
        prepare=lambda manager: followed.append(manager.follow(str(file.path), text, understood)),
    )
    return daemon, followed[0]


def pids(daemon: Daemon) -> dict[str, int]:
    return {host.name: host.pid for host in daemon.manager.hosts if host.name != "eventrecorder"}


def names(daemon: Daemon) -> list[str]:
    return [host.name for host in daemon.manager.hosts if host.name != "eventrecorder"]


def leads(daemon: Daemon) -> Callable[[], Any]:
    async def all_lead() -> bool:
        return all(host.state == "leading" for host in daemon.manager.status().hosts)

    return all_lead


def available(world: World, name: str, count: int) -> Callable[[], Any]:
    async def is_available() -> bool:
        found = await world.call("GET", f"{APPS}/deployments/{name}")
        return bool((found.get("status") or {}).get("availableReplicas") == count)

    return is_available


def scenario(play: Callable[[World, File], Any], tmp_path: Path, text: str = "") -> None:
    async def whole() -> None:
        async with World() as world:
            await play(world, File(tmp_path, text))

    run(whole())


def test_more_workers_restart_the_one_host_and_leave_the_other_and_the_lease_alone(tmp_path: Path) -> None:
    async def play(world: World, file: File) -> None:
        daemon, reloader = start(world, file)
        await world.call("POST", f"{APPS}/deployments", deployment("web", 3))
        await world.until(available(world, "web", 3), 60.0)
        before, lease = pids(daemon), await world.call("GET", LEASE)
        file.write("controllers: {replicaset: {workers: 2}}\n")
        await world.clock.sleep(6.0)
        await world.until(leads(daemon), 10.0)
        after, held = pids(daemon), await world.call("GET", LEASE)
        assert after["deployment"] == before["deployment"]
        assert after["replicaset"] != before["replicaset"]
        workers = {each.name: each.workers for each in daemon.manager.status().controllers}
        assert (workers["replicaset"], workers["deployment"]) == (2, 5)
        for field in ("holderIdentity", "acquireTime", "leaseTransitions"):
            assert held["spec"].get(field) == lease["spec"].get(field)
        await world.patch(f"{APPS}/deployments/web", {"spec": {"replicas": 6}})
        await world.until(available(world, "web", 6), 60.0)
        assert reloader.state().refused == ""
        await daemon.stop()

    scenario(play, tmp_path)


def test_a_controller_is_switched_off_and_on_again(tmp_path: Path) -> None:
    async def play(world: World, file: File) -> None:
        daemon, _ = start(world, file)
        await world.until(leads(daemon), 30.0)
        file.write("controllers: {replicaset: {enabled: false}}\n")
        await world.clock.sleep(8.0)
        assert names(daemon) == ["deployment"]
        assert "replicaset" not in {each.name for each in daemon.manager.status().controllers}
        await world.call("POST", f"{APPS}/replicasets", replica_set("web", 3))
        await world.clock.sleep(20.0)
        assert await world.items("/api/v1/namespaces/default/pods") == []
        file.write("")
        await world.clock.sleep(8.0)
        assert len(await world.items("/api/v1/namespaces/default/pods")) == 3
        assert not daemon.manager.status().failing
        await daemon.stop()

    scenario(play, tmp_path)


def test_a_controller_that_moves_to_anothers_process_never_runs_in_two(tmp_path: Path) -> None:
    async def play(world: World, file: File) -> None:
        daemon, _ = start(world, file)
        await world.until(leads(daemon), 30.0)
        file.write("controllers: {replicaset: {process: both}, deployment: {process: both}}\n")
        await world.clock.sleep(8.0)
        await world.until(leads(daemon), 10.0)
        assert names(daemon) == ["both"]
        ended = [handle for handle in daemon.launcher.handles if not handle._task.done()]
        assert len(ended) == 1
        await world.call("POST", f"{APPS}/deployments", deployment("web", 3))
        await world.until(available(world, "web", 3), 60.0)
        await daemon.stop()

    scenario(play, tmp_path)


REFUSED = {
    "no-yaml": ("controllers: [", "is not valid YAML"),
    "unknown-key": ("controlers: {}\n", "did you mean controllers"),
    "bad-settings": (
        "controllers: {replicaset: {settings: {burstReplicaz: 3}}}\n",
        "controllers.replicaset.settings",
    ),
    "lease": (
        "leaderElection: {resourceName: other}\n",
        "leaderElection.resourceName: cannot change while kcm runs; restart it",
    ),
    "port": ("logging: {format: json}\n", "logging.format: cannot change while kcm runs; restart it"),
    "fence": ("client: {writeTimeout: 2s}\ncontrollers: {replicaset: {workers: 1}}\n", "client.writeTimeout"),
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_file_that_cannot_be_is_refused_and_the_old_one_stays(
    text: str, reason: str, tmp_path: Path
) -> None:
    async def play(world: World, file: File) -> None:
        daemon, reloader = start(world, file)
        await world.until(leads(daemon), 30.0)
        before, digest = pids(daemon), reloader.state().hash
        file.write(text)
        await world.clock.sleep(60.0)
        assert pids(daemon) == before
        assert reason in reloader.state().refused
        assert reloader.state().hash == digest
        page = daemon.manager._exposition.render().decode()
        assert 'kcm_config_reloads_total{result="failure"} 1.0' in page, "counted once, not at each look"
        assert "kcm_config_last_reload_successful 0.0" in page
        file.write("controllers: {replicaset: {workers: 3}}\n")
        await world.clock.sleep(8.0)
        assert reloader.state().refused == ""
        page = daemon.manager._exposition.render().decode()
        assert 'kcm_config_reloads_total{result="success"} 1.0' in page
        await daemon.stop()

    scenario(play, tmp_path)


def test_asked_it_reads_at_once_and_the_level_of_the_log_follows(tmp_path: Path) -> None:
    async def play(world: World, file: File) -> None:
        daemon, reloader = start(world, file)
        await world.until(leads(daemon), 30.0)
        before = pids(daemon)
        file.write("logging: {level: debug}\n")
        reloader.ask()
        await world.clock.sleep(0.1)
        assert daemon.manager._configuration.logging.level == "debug"
        assert pids(daemon) == before
        await daemon.stop()

    scenario(play, tmp_path)


def test_what_counts_as_unwell_changes_at_once_and_no_host_is_touched(tmp_path: Path) -> None:
    async def play(world: World, file: File) -> None:
        daemon, _ = start(world, file)
        await world.until(leads(daemon), 30.0)
        before = pids(daemon)
        daemon.launcher.handles[0].delay(15)
        await world.clock.sleep(40.0)
        assert daemon.manager.status().failing == {}
        file.write("health: {feedLag: 10s}\n")
        await world.clock.sleep(6.0)
        assert list(daemon.manager.status().failing) == ["readyz/feeds"]
        assert pids(daemon) == before
        await daemon.stop()

    scenario(play, tmp_path)


def test_on_a_standby_a_host_is_changed_too_and_leads_when_the_lease_comes(tmp_path: Path) -> None:
    async def play(world: World, file: File) -> None:
        world.configuration = quick_configuration()
        first = world.start(WORKLOADS, identity="first")
        await world.clock.sleep(5.0)
        daemon, _ = start(world, file)
        await world.clock.sleep(5.0)
        file.write("controllers: {replicaset: {workers: 2}}\n")
        await world.clock.sleep(8.0)
        assert {host.state for host in daemon.manager.status().hosts} == {"standby"}
        await first.stop()
        await world.until(leads(daemon), 10.0)
        await daemon.stop()

    scenario(play, tmp_path)


def test_after_a_reload_a_graceful_handover_still_tells_what_was_written(tmp_path: Path) -> None:
    async def play(world: World, file: File) -> None:
        daemon, _ = start(world, file)
        await world.call("POST", f"{APPS}/deployments", deployment("web", 3))
        await world.until(available(world, "web", 3), 60.0)
        file.write("controllers: {replicaset: {enabled: false}}\n")
        await world.clock.sleep(8.0)
        await daemon.stop()
        lease = await world.call("GET", LEASE)
        told = lease["metadata"]["annotations"]["kcm.dev/last-writes"]
        assert "pods" in told, "the host that is no more has written them"

    scenario(play, tmp_path)


def test_reloads_at_random_lose_no_key_and_never_make_a_pod_too_many(tmp_path: Path) -> None:
    async def play(world: World, file: File) -> None:
        writes: list[Mutation] = []
        world.api.audit.subscribe(writes.append)
        daemon, _ = start(world, file)
        await world.call("POST", f"{APPS}/deployments", deployment("web", 4))
        for turn in range(1, 11):
            file.write(
                f"controllers: {{replicaset: {{workers: {turn}}}, deployment: {{workers: {1 + turn % 3}}}}}\n"
            )
            size = 4 + 7 * turn % 20
            await world.patch(f"{APPS}/deployments/web", {"spec": {"replicas": size}})
            await world.clock.sleep(world.rng.uniform(0.5, 6.0))
            found = await world.items("/api/v1/namespaces/default/pods")
            assert len([pod for pod in found if not pod["metadata"].get("deletionTimestamp")]) <= 30
        await world.clock.sleep(10.0)
        await world.until(available(world, "web", size), 60.0)
        await daemon.stop()

    scenario(play, tmp_path)


def test_the_shipped_defaults_are_the_configuration_that_runs(tmp_path: Path) -> None:
    assert parse(HEAD.encode(), "kcm.yaml") == Configuration()
