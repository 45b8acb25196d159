"""What a Deployment sees, and what becomes of its births: the cases 26, 85, 87 to 89, 92, 97."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from controllers.deployment import DeploymentController
from controllers.deployment.births import (
    Again,
    Birth,
    Born,
    Collided,
    Refused,
    Unwelcome,
    birth_plan,
    judge,
    new_replica_set,
)
from controllers.deployment.observe import Seen, look
from kcm import Cache, Key, Outcome, TerminalError
from kcm.cache.indexer import Indexer
from kcm.client.errors import Status, StatusCause, StatusDetails, error_of
from kcm.client.transport import Unanswered
from kcm.objects import (
    Deployment,
    LabelSelector,
    Metadata,
    ObjectMeta,
    OwnerReference,
    PodTrace,
    WholeReplicaSet,
)
from kcm.objects.deployments import (
    DeploymentSpec,
    DeploymentStrategy,
    PodTraceStatus,
    WholeReplicaSetSpec,
)
from kcm.objects.replicasets import ReplicaSetStatus
from kcm.objects.selectors import SelectorRequirement
from kcm.runtime.enqueue import keys_of
from kcm.runtime.plan import Applied, Failed

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = Key("ns", "web")
WEB = {"app": "web"}
TEMPLATE = msgspec.Raw(
    b'{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"c","image":"i"}]}}'
)
EDITED = msgspec.Raw(
    b'{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"c","image":"j"}]}}'
)


class Held:
    """Objects of one type, as a replica shows them."""

    trouble = ""
    version = "100"
    synced = True
    bad: Mapping[Key, str] = {}

    def __init__(self, objects: Iterable[Any]) -> None:
        self.objects: Indexer[Any] = Indexer(lambda key, reason: None)
        for each in objects:
            self.objects.put(each)


def controlled(uid: str, kind: str = "Deployment", name: str = "web") -> tuple[OwnerReference, ...]:
    if not uid:
        return ()
    return (OwnerReference("apps/v1", kind, name, uid, controller=True, block_owner_deletion=True),)


def deployment(*, deleting: bool = False, strategy: str = "RollingUpdate", **spec: Any) -> Deployment:
    return Deployment(
        metadata=ObjectMeta(
            name="web",
            namespace="ns",
            uid="d",
            resource_version="4",
            deletion_timestamp=NOW if deleting else None,
        ),
        spec=DeploymentSpec(
            **{
                "selector": LabelSelector(WEB),
                "template": TEMPLATE,
                "strategy": DeploymentStrategy(strategy),
                **spec,
            }
        ),
    )


def replica_set(
    name: str,
    *,
    owner: str = "d",
    labels: Mapping[str, str] = WEB,
    deleting: bool = False,
    namespace: str = "ns",
    template: msgspec.Raw = EDITED,
    pods: int = 0,
) -> WholeReplicaSet:
    return WholeReplicaSet(
        metadata=ObjectMeta(
            name=name,
            namespace=namespace,
            uid=f"uid-{name}",
            resource_version="7",
            labels=labels,
            deletion_timestamp=NOW if deleting else None,
            owner_references=controlled(owner),
        ),
        spec=WholeReplicaSetSpec(replicas=0, template=template),
        status=ReplicaSetStatus(replicas=pods),
    )


def pod(name: str, owner: str, phase: str = "Running") -> PodTrace:
    return PodTrace(
        metadata=Metadata(
            name=name, namespace="ns", uid=f"uid-{name}", owner_references=controlled(owner, "ReplicaSet")
        ),
        status=PodTraceStatus(phase),
    )


def cache(present: Deployment, *mine: WholeReplicaSet, pods: Iterable[PodTrace] = ()) -> Cache:
    return Cache({Deployment: Held([present]), WholeReplicaSet: Held(mine), PodTrace: Held(pods)})


def seen(present: Deployment, *mine: WholeReplicaSet, pods: Iterable[PodTrace] = ()) -> Seen:
    found = look(cache(present, *mine, pods=pods), KEY)
    assert found is not None
    return found


# Case 88: claims.
@pytest.mark.parametrize(
    ("mine", "deleting", "found"),
    [
        pytest.param(replica_set("a"), False, "old", id="ours and selected"),
        pytest.param(replica_set("a", labels={}), False, "stray", id="ours, not selected any more"),
        pytest.param(replica_set("a", owner=""), False, "orphan", id="nobody's and selected"),
        pytest.param(replica_set("a", owner="", labels={}), False, "", id="nobody's, not selected"),
        pytest.param(replica_set("a", owner="other"), False, "", id="another's"),
        pytest.param(replica_set("a", owner="", deleting=True), False, "", id="a dying orphan"),
        pytest.param(replica_set("a", owner="", namespace="b"), False, "", id="an orphan elsewhere"),
        pytest.param(replica_set("a", namespace="b"), False, "", id="one elsewhere that says it is ours"),
        pytest.param(replica_set("a", owner=""), True, "", id="a dying Deployment adopts nothing"),
        pytest.param(replica_set("a", labels={}), True, "", id="nor releases"),
        pytest.param(replica_set("a"), True, "old", id="but still counts"),
    ],
)
def test_case_88_whose_replica_sets(mine: WholeReplicaSet, deleting: bool, found: str) -> None:
    look_at = seen(deployment(deleting=deleting), mine)
    places = {"old": look_at.fleet.all, "stray": look_at.strays, "orphan": look_at.orphans}
    assert [place for place, there in places.items() if there] == ([found] if found else [])


# Cases 87 and 92.
@pytest.mark.parametrize(
    ("pods", "counted", "strategy", "expected"),
    [
        pytest.param([("p", "uid-old", "Running")], 0, "Recreate", True, id="an old pod runs"),
        pytest.param([("p", "uid-old", "Pending")], 0, "Recreate", True, id="or will"),
        pytest.param([("p", "uid-old", "")], 0, "Recreate", True, id="or says nothing"),
        pytest.param([("p", "uid-old", "Failed")], 0, "Recreate", False, id="it has failed"),
        pytest.param([("p", "uid-old", "Succeeded")], 0, "Recreate", False, id="it has succeeded"),
        pytest.param([("p", "uid-new", "Running")], 0, "Recreate", False, id="a new pod"),
        pytest.param([("p", "foreign", "Running")], 0, "Recreate", False, id="another's pod"),
        pytest.param([], 1, "Recreate", True, id="the status counts one"),
        pytest.param([], 0, "Recreate", False, id="none"),
        pytest.param([("p", "uid-old", "Running")], 1, "RollingUpdate", False, id="nobody asks"),
    ],
)
def test_case_92_whether_old_pods_run(
    pods: list[tuple[str, str, str]], counted: int, strategy: str, expected: bool
) -> None:
    mine = replica_set("old", pods=counted), replica_set("new", template=TEMPLATE)
    look_at = seen(deployment(strategy=strategy), *mine, pods=[pod(*each) for each in pods])
    assert look_at.old_pods_run is expected


@pytest.mark.parametrize(
    "absurd",
    [
        {"replicas": -1},
        {"replicas": 2**31},
        {"min_ready_seconds": -1},
        {"revision_history_limit": -1},
        {"progress_deadline_seconds": 10**30},
        {"selector": None},
        {"selector": LabelSelector({"-": "x"})},
        {"selector": LabelSelector({}, (SelectorRequirement("a", "Like", ("b",)),))},
        {"template": msgspec.Raw(b"[]")},
    ],
)
def test_what_no_server_should_accept_is_one_keys_problem(absurd: dict[str, Any]) -> None:
    with pytest.raises(TerminalError):
        seen(deployment(**absurd))


def test_case_85_an_empty_selector_is_left_alone() -> None:
    look_at = seen(deployment(selector=LabelSelector()), replica_set("a"), replica_set("b", owner=""))
    assert look_at.selects_all
    assert (look_at.fleet.all, look_at.strays, look_at.orphans) == ((), (), ())


def test_what_is_gone_is_nothing_to_do() -> None:
    assert look(cache(deployment()), Key("ns", "other")) is None


# Case 89: whom a change wakes.
@pytest.mark.parametrize(
    ("old", "new", "woken"),
    [
        pytest.param(None, replica_set("a"), {KEY}, id="made"),
        pytest.param(replica_set("a"), None, {KEY}, id="gone"),
        pytest.param(replica_set("a"), replica_set("a", owner=""), {KEY}, id="set free"),
        pytest.param(None, replica_set("a", owner=""), {KEY}, id="an orphan that is selected"),
        pytest.param(None, replica_set("a", owner="", labels={}), set(), id="an orphan that is not"),
        pytest.param(replica_set("a", owner=""), None, set(), id="an orphan gone"),
    ],
)
def test_case_89_whom_a_replica_set_wakes(
    old: WholeReplicaSet | None, new: WholeReplicaSet | None, woken: set[Key]
) -> None:
    watch = next(each for each in DeploymentController.watches if each.type is WholeReplicaSet)
    assert set(keys_of(watch, Deployment, cache(deployment()))(old, new)) == woken


def test_pods_wake_nobody() -> None:
    watch = next(each for each in DeploymentController.watches if each.type is PodTrace)
    assert not set(keys_of(watch, Deployment, cache(deployment()))(None, pod("p", "uid-old")))


# What becomes of a create.
def refusal(code: int, reason: str, cause: str = "") -> Exception:
    details = StatusDetails(causes=(StatusCause(reason=cause),)) if cause else None
    return error_of("POST", Status(kind="Status", code=code, reason=reason, message="m", details=details))


def born(found: WholeReplicaSet | None, error: Exception | None) -> Birth:
    look_at = seen(deployment())
    wanted = new_replica_set(look_at, 1)
    action = birth_plan(look_at, wanted).actions[0]
    outcome = Outcome(failed=(Failed(action, error),)) if error else Outcome(done=(Applied(action),))
    return judge(look_at, wanted, found, outcome)


TAKEN = refusal(409, "AlreadyExists")
MARKED = new_replica_set(seen(deployment()), 1).metadata.labels


@pytest.mark.parametrize(
    ("found", "error", "expected"),
    [
        pytest.param(replica_set("x", template=TEMPLATE), None, Born, id="made"),
        pytest.param(None, None, Born, id="made, and gone again"),
        pytest.param(replica_set("x"), None, Collided, id="ours by its name, another by its template"),
        pytest.param(replica_set("x", template=TEMPLATE), TAKEN, Born, id="made before"),
        pytest.param(replica_set("x"), TAKEN, Collided, id="edited in place"),
        pytest.param(replica_set("x", owner="z", template=TEMPLATE), TAKEN, Collided, id="another's"),
        pytest.param(
            replica_set("x", owner="", labels=MARKED, template=TEMPLATE), TAKEN, Again, id="set free"
        ),
        pytest.param(
            replica_set("x", owner="", labels={}, template=TEMPLATE), TAKEN, Collided, id="not selected"
        ),
        pytest.param(
            replica_set("x", owner="", labels=MARKED, template=TEMPLATE, deleting=True),
            TAKEN,
            Collided,
            id="dying",
        ),
        pytest.param(None, refusal(403, "Forbidden", "NamespaceTerminating"), Unwelcome, id="namespace goes"),
        pytest.param(None, refusal(403, "Forbidden"), Refused, id="quota"),
        pytest.param(None, refusal(422, "Invalid"), Refused, id="invalid"),
        pytest.param(None, refusal(500, "InternalError"), Refused, id="a webhook is down"),
    ],
)
def test_case_26_what_becomes_of_a_birth(
    found: WholeReplicaSet | None, error: Exception | None, expected: type[Any]
) -> None:
    assert type(born(found, error)) is expected


@pytest.mark.parametrize("error", [Unanswered("no answer"), refusal(429, "TooManyRequests")])
def test_what_says_nothing_about_the_replica_set_is_told_to_nobody(error: Exception) -> None:
    with pytest.raises(type(error)):
        born(None, error)
