"""What it costs to learn of many pods: CPU and memory of the cache's data path.

Synthetic pods of about 1.8 KB go, as watch lines, through compaction, store and feed, and then
through a host's frame decoder into a replica with its indexes, all in this process and without
a network.
"""

from __future__ import annotations

import gc
import json
import time
import tracemalloc
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from benchmarks.options import Options
from benchmarks.reporting import Report
from kcm.base.clock import SystemClock
from kcm.cache.changes import Change
from kcm.cache.channel import Unpacker, pack
from kcm.cache.compaction import Compactor
from kcm.cache.feed import FeedData, FeedSink
from kcm.cache.projection import projection_of
from kcm.cache.replica import Replica
from kcm.cache.store import Store
from kcm.cache.watchspec import WatchSpec
from kcm.objects import Pod

T = TypeVar("T")

PODS = 30_000
SETS = 300
NAMESPACES = 10
BATCH = 280  # about as many lines as come with one read of half a MiB

_decode = msgspec.json.Decoder(FeedData).decode


class Wire:
    """An outlet that keeps the frames."""

    congested = False

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def send(self, payload: bytes) -> None:
        self.frames.append(pack(payload))

    def when_clear(self, callback: Callable[[], None]) -> None:
        raise AssertionError("never congested")


def pod(number: int) -> dict[str, Any]:
    """Return a pod as a ReplicaSet makes it and a kubelet reports it."""
    owner = number % SETS
    managed: dict[str, Any] = {f"f:field{n}": {"f:inner": {}, ".": {}} for n in range(14)}
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": f"web-{owner:03}-{number:05x}",
            "generateName": f"web-{owner:03}-",
            "namespace": f"team-{owner % NAMESPACES}",
            "uid": f"0f1b3e1a-7a58-4b0c-8c3e-{number:012x}",
            "resourceVersion": str(1000 + number),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app": f"web-{owner:03}", "pod-template-hash": f"{owner:010x}"},
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": f"web-{owner:03}",
                    "uid": f"0f1b3e1a-7a58-4b0c-aaaa-{owner:012x}",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
            "managedFields": [{"manager": "kcm", "operation": "Update", "fieldsV1": managed}],
        },
        "spec": {
            "containers": [
                {"name": "c", "image": "registry.example/web:1.2.3", "terminationMessagePath": "/dev/log"}
            ],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "nodeName": f"node-{number % 50}",
            "schedulerName": "default-scheduler",
        },
        "status": {
            "phase": "Running",
            "conditions": [
                {"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:05Z"}
                for kind in ("Ready", "ContainersReady")
            ],
            "hostIP": "192.0.2.1",
            "podIP": "198.51.100.1",
            "containerStatuses": [
                {"name": "c", "restartCount": 0, "ready": True, "image": "registry.example/web:1.2.3"}
            ],
        },
    }


def fill_store(lines: list[bytes]) -> Store:
    """Do what a reflector does with a WatchList, batch by batch."""
    compactor = Compactor(projection_of(Pod))
    staged: dict[str, Change] = {}
    for begin in range(0, len(lines), BATCH):
        for event in compactor.events(lines[begin : begin + BATCH]):
            assert isinstance(event, Change)
            staged[event.key] = event
    store = Store(SystemClock())
    store.replace(staged.values(), "1000000")
    return store


def feed(store: Store) -> list[bytes]:
    """Encode the store for one host."""
    wire = Wire()
    store.subscribe(FeedSink(0, wire))
    return wire.frames


def fill_replica(frames: list[bytes]) -> Replica[Pod]:
    """Do what a host does with the frames."""
    replica: Replica[Pod] = Replica(WatchSpec(Pod.resource_type()), Pod)
    unpacker = Unpacker()
    for frame in frames:
        for payload in unpacker.take(frame):
            replica.feed(_decode(payload))
    return replica


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Return what the work made and its CPU milliseconds: the best of three."""
    best, made = float("inf"), None
    for _ in range(3):
        made = None
        gc.collect()
        begun = time.process_time()
        made = work()
        best = min(best, (time.process_time() - begun) * 1000)
    assert made is not None
    return made, best


def weighed(work: Callable[[], T], count: int) -> tuple[T, float]:
    """Return what the work made and how many bytes of it stay, for each of `count`."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    made = work()
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return made, grown / count


async def run(options: Options) -> Report:
    """Measure each stage."""
    count = options.scaled(PODS)
    lines = [
        json.dumps({"type": "ADDED", "object": pod(n)}, separators=(",", ":")).encode() for n in range(count)
    ]
    store, store_ms = timed(lambda: fill_store(lines))
    frames, feed_ms = timed(lambda: feed(store))
    _, replica_ms = timed(lambda: fill_replica(frames))
    _, store_bytes = weighed(lambda: fill_store(lines), count)
    _, replica_bytes = weighed(lambda: fill_replica(frames), count)
    report = Report("cache", "cache: from watch lines to a host's replica", facts={"pods": count})
    report.facts["lineBytes"] = round(sum(map(len, lines)) / count)
    report.add("store_cpu_us", "compaction and store, CPU", store_ms * 1000 / count, "us/pod")
    report.add("feed_cpu_us", "feed to one host, CPU", feed_ms * 1000 / count, "us/pod")
    report.add("replica_cpu_us", "a host's replica and indexes, CPU", replica_ms * 1000 / count, "us/pod")
    report.add("compact_bytes", "compact object", sum(map(len, store.bodies.values())) / count, "bytes")
    report.add("store_bytes", "store in the manager", store_bytes, "bytes")
    report.add("replica_bytes", "replica in a host", replica_bytes, "bytes")
    return report
