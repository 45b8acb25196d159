"""What the answer to a DELETE says about the object, as kube-apiserver words it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kcm.host.replicas import Replicas
from kcm.objects import Key, Pod
from kcm.objects.pods import PodMeta
from kcm.runtime.applier import Applier
from kcm.runtime.plan import Plan
from kcm.runtime.watches import owns
from kcm.testing.virtual import run

NO_EVENTS: Any = None
PODS = Pod.resource_type()
KEY = Key("default", "p")
DELETED: dict[str, Any] = {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 0}


class Server:
    """Answers every DELETE alike."""

    def __init__(self, answer: Any) -> None:
        self.answer = msgspec.json.encode(answer)

    async def delete(
        self, resource: Any, key: Key, *, uid: str, resource_version: str, propagation: str
    ) -> bytes:
        return self.answer


def pod(version: str, **metadata: Any) -> Any:
    identity = {"name": "p", "namespace": "default", "uid": "u", "resourceVersion": version}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": identity | metadata}


def delete(answer: Any) -> tuple[Replicas, Pod | None]:
    """Delete a pod that is in the replica at 5; return the replicas."""
    watch = owns(Pod)
    replicas = Replicas((watch,))
    replicas.wrote(PODS, msgspec.json.encode(pod("5")))
    applier = Applier(Server(answer), replicas, NO_EVENTS)  # type: ignore[arg-type]  # a fake with one verb
    seen = Pod(metadata=PodMeta(name="p", namespace="default", uid="u", resource_version="5"))
    outcome = run(applier.apply(Plan.delete(seen, because="")))
    assert not outcome.failed
    return replicas, replicas.replica(watch).objects.get(*KEY)


def test_a_pod_without_a_node_is_gone_though_its_last_state_is_terminating() -> None:
    replicas, left = delete(pod("7", **DELETED))
    assert left is None
    assert replicas.last_writes == {"pods": "7"}
    assert not replicas.unconfirmed


@pytest.mark.parametrize(
    "kept_by",
    [
        pytest.param({"deletionGracePeriodSeconds": 30}, id="grace"),
        pytest.param({"finalizers": ["example.com/x"]}, id="a finalizer"),
    ],
)
def test_a_pod_that_something_keeps_is_terminating(kept_by: dict[str, Any]) -> None:
    _, left = delete(pod("7", **(DELETED | kept_by)))
    assert left is not None
    assert left.metadata.deletion_timestamp is not None


def test_a_status_says_that_it_is_gone_but_not_since_when() -> None:
    replicas, left = delete({"kind": "Status", "apiVersion": "v1", "status": "Success"})
    assert left is None
    assert replicas.last_writes == {"pods": "5"}
    assert replicas.unconfirmed
